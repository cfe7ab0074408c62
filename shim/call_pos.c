/* SPDX-License-Identifier: MIT
 *
 * call_pos.c - pread, pwrite and their v forms: a socket has no position
 *
 * The answer is ESPIPE, after what the kernel looks at first. Only the second
 * forms have a use for a socket: an offset of -1 says "where it stands", which
 * makes them readv() and writev() with flags of their own.
 */
#include <limits.h>

#include "aliases.h"
#include "call_priv.h"
#include "real.h"
#include "sys.h"

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
/* Those that a socket takes; of them only RWF_NOWAIT means something. */
#define RWF_SOCKET                                                    \
	(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | \
	 RWF_NOAPPEND)

static ssize_t no_position(off64_t off)
{
	return shim_ret(off < 0 ? -EINVAL : -ESPIPE);
}

#define HOOK_PREAD(name)                                                \
	EXPORT ssize_t name(int fd, void *buf, size_t len, off64_t off) \
	{                                                               \
		return fd_sock(fd) ? no_position(off)                   \
				   : real.name(fd, buf, len, off);      \
	}
HOOK_PREAD(pread)
HOOK_PREAD(pread64)
HOOK_PREAD(__pread64)

#define HOOK_PREAD_CHK(name)                                            \
	EXPORT ssize_t name(int fd, void *buf, size_t len, off64_t off, \
			    size_t room)                                \
	{                                                               \
		return fd_sock(fd) && len <= room                       \
			       ? no_position(off)                       \
			       : real.name(fd, buf, len, off, room);    \
	}
HOOK_PREAD_CHK(__pread_chk)
HOOK_PREAD_CHK(__pread64_chk)

#define HOOK_PWRITE(name)                                                     \
	EXPORT ssize_t name(int fd, const void *buf, size_t len, off64_t off) \
	{                                                                     \
		return fd_sock(fd) ? no_position(off)                         \
				   : real.name(fd, buf, len, off);            \
	}
HOOK_PWRITE(pwrite)
HOOK_PWRITE(pwrite64)
HOOK_PWRITE(__pwrite64)

#define HOOK_V(name)                                                           \
	EXPORT ssize_t name(int fd, const struct iovec *v, int n, off64_t off) \
	{                                                                      \
		return fd_sock(fd) ? no_position(off)                          \
				   : real.name(fd, v, n, off);                 \
	}
HOOK_V(preadv)
HOOK_V(preadv64)
HOOK_V(pwritev)
HOOK_V(pwritev64)

/* Does the call go on as readv() or writev()? Else its answer is in @r. */
static bool goes_on(const struct iovec *v, int n, off64_t off, int flags,
		    ssize_t *r)
{
	size_t sum = 0;

	*r = 0;
	if (off != -1)
		*r = off < 0 ? -EINVAL : -ESPIPE;
	else if (n < 0 || n > IOV_MAX)
		*r = -EINVAL;
	for (int i = 0; *r == 0 && i < n; i++)
		sum += v[i].iov_len;
	if (*r == 0 && sum && flags & ~RWF_SOCKET)
		*r = -EOPNOTSUPP;
	return *r == 0 && sum;
}

static ssize_t do_preadv2(int fd, const struct iovec *v, int n, off64_t off,
			  int flags)
{
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v,
			   .msg_iovlen = (size_t)n};
	ssize_t r;

	if (!goes_on(v, n, off, flags, &r))
		return shim_ret(r);
	return flags & RWF_NOWAIT ? recvmsg(fd, &m, MSG_DONTWAIT)
				  : readv(fd, v, n);
}

static ssize_t do_pwritev2(int fd, const struct iovec *v, int n, off64_t off,
			   int flags)
{
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v,
			   .msg_iovlen = (size_t)n};
	ssize_t r;

	if (!goes_on(v, n, off, flags, &r))
		return shim_ret(r);
	return flags & RWF_NOWAIT ? sendmsg(fd, &m, MSG_DONTWAIT)
				  : writev(fd, v, n);
}

#define HOOK_V2(name, ours)                                                    \
	EXPORT ssize_t name(int fd, const struct iovec *v, int n, off64_t off, \
			    int flags)                                         \
	{                                                                      \
		return fd_sock(fd) ? ours(fd, v, n, off, flags)                \
				   : real.name(fd, v, n, off, flags);          \
	}
HOOK_V2(preadv2, do_preadv2)
HOOK_V2(preadv64v2, do_preadv2)
HOOK_V2(pwritev2, do_pwritev2)
HOOK_V2(pwritev64v2, do_pwritev2)
