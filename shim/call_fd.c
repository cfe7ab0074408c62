/* SPDX-License-Identifier: MIT
 *
 * call_fd.c - close, dup, fcntl, ioctl: what a number is, not what it carries
 *
 * The number is a kernel fd, so nearly all of this is the kernel's to do; here
 * the table is kept in step, and the library's own numbers are out of reach.
 */
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <pty.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include <utmp.h>

#include "call_priv.h"
#include "cmsg.h"
#include "host_priv.h"
#include "real.h"
#include "sigio.h"
#include "sys.h"

int __close(int fd);
int __dup2(int fd, int to);
int __fcntl(int fd, int cmd, ...);

/* A vfork child has our memory and numbers of its own: what it closes or moves
 * before exec may not be forgotten here. */
static bool is_us(void)
{
	return host.pid == (int)sys(getpid) || host_notices_fork();
}

/* --- close --- */

static int close_ours(int fd)
{
	return is_us() ? fd_close(fd) : (int)sys(close, fd);
}

EXPORT int close(int fd)
{
	if (!fd_file(fd) && !fd_is_internal(fd)) {
		if (epoll_is_number(fd))
			epoll_number_closed(fd);
		return real.close(fd);
	}
	return (int)shim_ret(close_ours(fd));
}

EXPORT int __close(int fd)
{
	if (!fd_file(fd) && !fd_is_internal(fd)) {
		if (epoll_is_number(fd))
			epoll_number_closed(fd);
		return real.__close(fd);
	}
	return (int)shim_ret(close_ours(fd));
}

/* The kernel's part of a range, around the numbers of our own. */
static int close_gaps(unsigned first, unsigned last, int flags)
{
	long r = 0;
	int own;

	while (first <= last && r >= 0) {
		own = first > INT32_MAX ? -1 : fd_next_internal((int)first);
		if (own < 0 || (unsigned)own > last)
			return (int)sys(close_range, first, last, flags);
		if ((unsigned)own > first)
			r = sys(close_range, first, own - 1, flags);
		first = (unsigned)own + 1;
	}
	return (int)r;
}

static int do_close_range(unsigned first, unsigned last, int flags)
{
	unsigned most = MIN(fd_highest(), last);

	if (first > last)
		return -EINVAL;
	if (!(flags & CLOSE_RANGE_CLOEXEC))
		for (unsigned fd = first; fd <= most; fd++)
			if (fd_file((int)fd))
				fd_close((int)fd);
	return close_gaps(first, last, flags);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	if (!fdtab_num || !is_us())
		return real.close_range(first, last, flags);
	return (int)shim_ret(do_close_range(first, last, flags));
}

EXPORT void closefrom(int first)
{
	if (!fdtab_num || !is_us())
		real.closefrom(first);
	else
		do_close_range((unsigned)MAX(first, 0), ~0u, 0);
}

/* --- dup --- */

/* A number that is the kernel's was copied, or not. */
static int copied(int fd, int copy)
{
	if (epoll_is_number(fd))
		epoll_number_copied(fd, copy);
	return copy;
}

/* @fd is a new copy of what @f names; takes what the kernel said. */
static int shared(int fd, struct file *f)
{
	int r;

	if (fd < 0 || !f || !is_us())
		return fd;
	r = fd_share(fd, f);
	if (r < 0)
		sys(close, fd);
	else if (f->kind != FILE_EPOLL)
		stdio_take(fd);
	return r < 0 ? r : fd;
}

EXPORT int dup(int fd)
{
	struct file *f = fd_file(fd);

	if (!f && !fd_is_internal(fd))
		return copied(fd, real.dup(fd));
	return (int)shim_ret(f ? shared(copied(fd, (int)sys(dup, fd)), f)
			       : -EBADF);
}

static int do_dup3(int fd, int to, int flags, bool same_is_fine)
{
	struct file *f = fd_file(fd);
	int r;

	if (fd_is_internal(fd))
		return -EBADF;
	if (fd_is_internal(to))
		return -EBUSY;
	if ((fd == to && !same_is_fine) || flags & ~O_CLOEXEC)
		return -EINVAL;
	/* a bad source must leave the target alone */
	if (sys(fcntl, fd, F_GETFD) < 0)
		return -EBADF;
	if (fd == to)
		return fd;
	if ((unsigned)to < fdtab_num)
		fd_dropped(to);
	r = copied(fd, (int)sys(dup3, fd, to, flags));
	return shared(r, f);
}

EXPORT int dup2(int fd, int to)
{
	if (!fdtab_num || !is_us())
		return copied(fd, real.dup2(fd, to));
	return (int)shim_ret(do_dup3(fd, to, 0, true));
}

EXPORT int __dup2(int fd, int to)
{
	if (!fdtab_num || !is_us())
		return copied(fd, real.__dup2(fd, to));
	return (int)shim_ret(do_dup3(fd, to, 0, true));
}

EXPORT int dup3(int fd, int to, int flags)
{
	if (!fdtab_num || !is_us())
		return copied(fd, real.dup3(fd, to, flags));
	return (int)shim_ret(do_dup3(fd, to, flags, false));
}

/* --- fcntl --- */

static bool is_about_owner(int cmd)
{
	return cmd == F_SETOWN || cmd == F_SETOWN_EX || cmd == F_SETSIG;
}

static int do_fcntl(int fd, struct file *f, int cmd, void *arg)
{
	int r;

	if (f->kind == FILE_HEIR && (cmd == F_SETFL || is_about_owner(cmd)))
		f = fd_any(fd);
	r = (int)sys(fcntl, fd, cmd, arg);
	if (r < 0 || !f)
		return r;
	if (cmd == F_SETFD && !((intptr_t)arg & FD_CLOEXEC))
		fdtab_hands_down();
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return shared(copied(fd, r), f);
	if (cmd == F_SETFL && f->kind == FILE_SOCK && is_us()) {
		if ((intptr_t)arg & O_NONBLOCK)
			atomic_fetch_or(&f->flags, FILE_NONBLOCK);
		else
			atomic_fetch_and(&f->flags, ~FILE_NONBLOCK);
	}
	if (((cmd == F_SETFL && ((intptr_t)arg & O_ASYNC || f->sigio)) ||
	     is_about_owner(cmd)) &&
	    f->kind == FILE_SOCK && is_us())
		sigio_changed(fd, f);
	return r;
}

#define HOOK_FCNTL(name)                                                 \
	EXPORT int name(int fd, int cmd, ...)                            \
	{                                                                \
		struct file *f = fd_file(fd);                            \
		va_list ap;                                              \
		void *arg;                                               \
                                                                         \
		va_start(ap, cmd);                                       \
		arg = va_arg(ap, void *);                                \
		va_end(ap);                                              \
		/* a group's number is no error; libc knows that */      \
		if (f && cmd == F_GETOWN)                                \
			return real.name(fd, cmd, arg);                  \
		if (f)                                                   \
			return (int)shim_ret(do_fcntl(fd, f, cmd, arg)); \
		if (fd_is_internal(fd))                                  \
			return (int)shim_ret(-EBADF);                    \
		if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)            \
			return copied(fd, real.name(fd, cmd, arg));      \
		return real.name(fd, cmd, arg);                          \
	}
HOOK_FCNTL(fcntl)
HOOK_FCNTL(__fcntl)
HOOK_FCNTL(fcntl64)

/* --- ioctl --- */

static int ioctl_value(struct file *f, unsigned long req, void *out)
{
	struct stack *st = host_lock(OP_IOCTL, f->s);
	int val = 0, r = sock_ioctl(st, f->s, req, &val);

	host_unlock();
	if (r == 0)
		memcpy(out, &val, sizeof(val)); /* it may lie anywhere */
	return r;
}

static int ioctl_stamp(struct file *f, unsigned long req, int64_t v[2])
{
	struct sock_ctl ctl;
	struct stack *st;
	nsec at = 0;
	int r;

	cmsg_prepare(&ctl); /* what the wall clock is ahead by */
	st = host_lock(OP_IOCTL, f->s);
	r = sock_stamp(st, f->s, &at, host_now());
	host_unlock();
	if (r < 0)
		return r;
	at += ctl.wall;
	v[0] = at / SEC;
	v[1] = at % SEC;
	if (req == SIOCGSTAMP_OLD || req == SIOCGSTAMP_NEW)
		v[1] /= USEC;
	return 0;
}

static int do_ioctl(int fd, struct file *f, unsigned long req, void *arg)
{
	int r;

	if (ifaddr_ioctl(f, req, arg, &r))
		return r;
	switch (req) {
	case SIOCGSTAMP_OLD:
	case SIOCGSTAMPNS_OLD:
	case SIOCGSTAMP_NEW:
	case SIOCGSTAMPNS_NEW:
		return arg ? ioctl_stamp(f, req, arg) : -EFAULT;
	case FIONREAD:
	case TIOCOUTQ:
	case SIOCOUTQNSD:
	case SIOCATMARK:
		return arg ? ioctl_value(f, req, arg) : -EFAULT;
	case FIONBIO: /* and the near end has the flag too */
		if (!arg)
			return -EFAULT;
		if (*(int *)arg)
			atomic_fetch_or(&f->flags, FILE_NONBLOCK);
		else
			atomic_fetch_and(&f->flags, ~FILE_NONBLOCK);
		break;
	default:
		break;
	}
	/* CLOEXEC, owner, terminal (ENOTTY): the kernel's, on the near end */
	r = (int)sys(ioctl, fd, req, arg);
	if (r == 0 && (req == FIOASYNC || req == FIOSETOWN || req == SIOCSPGRP))
		sigio_changed(fd, f);
	return r;
}

EXPORT int ioctl(int fd, unsigned long req, ...)
{
	struct file *f = fd_sock(fd);
	va_list ap;
	void *arg;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!f)
		return real.ioctl(fd, req, arg);
	return (int)shim_ret(do_ioctl(fd, f, req, arg));
}

EXPORT int isatty(int fd)
{
	if (!fd_sock(fd))
		return real.isatty(fd);
	errno = ENOTTY;
	return 0;
}

EXPORT int sockatmark(int fd)
{
	struct file *f = fd_sock(fd);
	int val = 0;
	long r;

	if (!f)
		return real.sockatmark(fd);
	r = shim_ret(ioctl_value(f, SIOCATMARK, &val));
	return r < 0 ? (int)r : val;
}

/* --- numbers that libc itself replaces --- */

static void recheck_std(void)
{
	int saved = errno;

	for (int fd = 0; fd < 3; fd++)
		fd_recheck(fd);
	errno = saved;
}

EXPORT int daemon(int nochdir, int noclose)
{
	int r = real.daemon(nochdir, noclose);

	recheck_std();
	return r;
}

EXPORT int login_tty(int fd)
{
	int r = real.login_tty(fd);

	recheck_std();
	return r;
}

EXPORT pid_t forkpty(int *fd, char *name, const struct termios *t,
		     const struct winsize *w)
{
	pid_t pid = real.forkpty(fd, name, t, w);

	recheck_std();
	return pid;
}

/* --- numbers from elsewhere --- */

EXPORT int pidfd_getfd(int pidfd, int fd, unsigned flags)
{
	int r = real.pidfd_getfd(pidfd, fd, flags);

	if (r >= 0)
		fd_adopt(r);
	return r;
}
