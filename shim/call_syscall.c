/* SPDX-License-Identifier: MIT
 *
 * call_syscall.c - syscall(2): the same calls by number
 *
 * A number that has a name among our hooks goes to that hook, with what differs
 * between the two put right: the kernel's signal mask is shorter than libc's
 * (none of ours looks at more than the kernel's part), pselect6 packs it, and
 * preadv splits its offset. All else is the kernel's.
 *
 * io_uring_setup is ENOSYS, as on a kernel without it or in most containers: a
 * ring would carry requests for our sockets past the whole library. Programs
 * that ask by this road (libuv) have another one for that case.
 */
#include <stdarg.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "call_priv.h"
#include "forks.h"
#include "real.h"
#include "sys.h"

#define P(n) ((void *)a[n])
#define I(n) ((int)a[n])
#define Z(n) ((size_t)a[n])

struct packed_mask { /* pselect6's last argument */
	const sigset_t *mask;
	size_t len;
};

/* Calls whose first argument is an fd: ours only if that is. */
static long of_fd(long nr, const long a[6], bool *is_done)
{
	*is_done = true;
	switch (nr) {
	case SYS_bind:
		return bind(I(0), P(1), (socklen_t)a[2]);
	case SYS_connect:
		return connect(I(0), P(1), (socklen_t)a[2]);
	case SYS_listen:
		return listen(I(0), I(1));
	case SYS_shutdown:
		return shutdown(I(0), I(1));
	case SYS_getsockname:
		return getsockname(I(0), P(1), P(2));
	case SYS_getpeername:
		return getpeername(I(0), P(1), P(2));
	case SYS_getsockopt:
		return getsockopt(I(0), I(1), I(2), P(3), P(4));
	case SYS_setsockopt:
		return setsockopt(I(0), I(1), I(2), P(3), (socklen_t)a[4]);
	case SYS_sendto:
		return sendto(I(0), P(1), Z(2), I(3), P(4), (socklen_t)a[5]);
	case SYS_sendmsg:
		return sendmsg(I(0), P(1), I(2));
	case SYS_sendmmsg:
		return sendmmsg(I(0), P(1), (unsigned)a[2], I(3));
	case SYS_recvfrom:
		return recvfrom(I(0), P(1), Z(2), I(3), P(4), P(5));
	case SYS_recvmsg:
		return recvmsg(I(0), P(1), I(2));
	case SYS_recvmmsg:
		return recvmmsg(I(0), P(1), (unsigned)a[2], I(3), P(4));
	case SYS_dup:
		return dup(I(0));
	case SYS_fcntl:
		return fcntl(I(0), I(1), P(2));
	case SYS_ioctl:
		return ioctl(I(0), (unsigned long)a[1], P(2));
	default:
		*is_done = false;
		return 0;
	}
}

static long of_fd_bytes(long nr, const long a[6], bool *is_done)
{
	*is_done = true;
	switch (nr) {
	case SYS_read:
		return read(I(0), P(1), Z(2));
	case SYS_readv:
		return readv(I(0), P(1), I(2));
	case SYS_write:
		return write(I(0), P(1), Z(2));
	case SYS_writev:
		return writev(I(0), P(1), I(2));
	case SYS_pread64:
		return pread(I(0), P(1), Z(2), a[3]);
	case SYS_pwrite64:
		return pwrite(I(0), P(1), Z(2), a[3]);
	case SYS_preadv:
		return preadv(I(0), P(1), I(2), a[3]);
	case SYS_pwritev:
		return pwritev(I(0), P(1), I(2), a[3]);
	case SYS_preadv2:
		return preadv2(I(0), P(1), I(2), a[3], I(5));
	case SYS_pwritev2:
		return pwritev2(I(0), P(1), I(2), a[3], I(5));
	default:
		*is_done = false;
		return 0;
	}
}

/* Calls that make numbers, move them, or name several. */
static long of_many(long nr, const long a[6], bool *is_done)
{
	*is_done = true;
	switch (nr) {
	case SYS_socket:
		return socket(I(0), I(1), I(2));
	case SYS_socketpair:
		return socketpair(I(0), I(1), I(2), P(3));
	case SYS_accept:
		return accept(I(0), P(1), P(2));
	case SYS_accept4:
		return accept4(I(0), P(1), P(2), I(3));
	case SYS_close:
		return close(I(0));
	case SYS_close_range:
		return close_range((unsigned)a[0], (unsigned)a[1], I(2));
#ifdef SYS_dup2
	case SYS_dup2:
		return dup2(I(0), I(1));
#endif
	case SYS_dup3:
		return dup3(I(0), I(1), I(2));
	case SYS_pidfd_getfd:
		return pidfd_getfd(I(0), I(1), (unsigned)a[2]);
	case SYS_sendfile:
		return sendfile(I(0), I(1), P(2), Z(3));
	case SYS_splice:
		return splice(I(0), P(1), I(2), P(3), Z(4), (unsigned)a[5]);
	case SYS_exit_group:
		_exit(I(0));
	case SYS_clone:
	case SYS_clone3:
		/* numbers are copied; the child notices by itself */
		fork_copied();
		*is_done = false;
		return 0;
	default:
		*is_done = false;
		return 0;
	}
}

/* Unlike libc's functions the calls say what is left of the timeout. */
static int write_left(struct timespec *t, nsec from, int r)
{
	nsec spent = sys_now() - from;

	if (!t || (r < 0 && (errno == EINVAL || errno == EFAULT)) ||
	    (!t->tv_sec && !t->tv_nsec) || t->tv_sec > TIME_NEVER / SEC - 1)
		return r;
	*t = sys_timespec(MAX(t->tv_sec * SEC + t->tv_nsec - spent, 0));
	return r;
}

static long of_readiness(long nr, const long a[6], bool *is_done)
{
	*is_done = true;
	switch (nr) {
#ifdef SYS_poll
	case SYS_poll:
		return poll(P(0), (nfds_t)a[1], I(2));
#endif
	case SYS_ppoll: {
		nsec from = sys_now();
		int r = ppoll(P(0), (nfds_t)a[1], P(2), P(3));

		return write_left(P(2), from, r);
	}
#ifdef SYS_select
	case SYS_select:
		return select(I(0), P(1), P(2), P(3), P(4));
#endif
	case SYS_pselect6: {
		const struct packed_mask *m = P(5);
		nsec from = sys_now();
		int r = pselect(I(0), P(1), P(2), P(3), P(4),
				m ? m->mask : NULL);

		return write_left(P(4), from, r);
	}
#ifdef SYS_epoll_create
	case SYS_epoll_create:
		return epoll_create(I(0));
#endif
	case SYS_epoll_create1:
		return epoll_create1(I(0));
	case SYS_epoll_ctl:
		return epoll_ctl(I(0), I(1), I(2), P(3));
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
		return epoll_wait(I(0), P(1), I(2), I(3));
#endif
	case SYS_epoll_pwait:
		return epoll_pwait(I(0), P(1), I(2), I(3), P(4));
	case SYS_epoll_pwait2:
		return epoll_pwait2(I(0), P(1), I(2), P(3), P(4));
	default:
		*is_done = false;
		return 0;
	}
}

static long dispatch(long nr, const long a[6], bool *is_done)
{
	long r = 0;

	*is_done = false;
	if (fd_file(I(0)) || fd_is_internal(I(0))) {
		r = of_fd(nr, a, is_done);
		if (!*is_done)
			r = of_fd_bytes(nr, a, is_done);
	}
	if (!*is_done)
		r = of_many(nr, a, is_done);
	if (!*is_done)
		r = of_readiness(nr, a, is_done);
	if (!*is_done && nr == SYS_io_uring_setup) {
		*is_done = true;
		r = shim_ret(-ENOSYS);
	}
	return r;
}

EXPORT long syscall(long nr, ...)
{
	bool is_done;
	long a[6], r;
	va_list ap;

	va_start(ap, nr);
	for (unsigned i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	r = dispatch(nr, a, &is_done);
	return is_done ? r
		       : real.syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
