/* SPDX-License-Identifier: MIT
 *
 * packetdrill_calls.c - sockets, names, options and readiness for packetdrill
 */
#include "packetdrill.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "packetdrill_epoll.h"

static int on_socket(void *u, int domain, int type, int protocol)
{
	sockid s = 0;
	int r = 0;

	pd_enter();
	if (!pd.is_up)
		r = pd_come_up();
	if (!r) {
		pd_read_sysctls();
		r = sock_new(pd.st, domain,
			     type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol,
			     &s, pd.now);
	}
	if (!r)
		r = pd_give(s);
	if (r >= 0)
		pd.fds[r].nonblock = type & SOCK_NONBLOCK;
	return pd_leave(r);
}

static int on_bind(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
	pd_enter();
	return pd_leave(sock_bind(pd.st, pd_sock(fd), sa, len, pd.now));
}

static int on_listen(void *u, int fd, int backlog)
{
	pd_enter();
	return pd_leave(sock_listen(pd.st, pd_sock(fd), backlog, pd.now));
}

static int on_accept(void *u, int fd, struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	sockid child = 0;
	int r;

	pd_enter();
	PD_WAIT_FOR(r, pd.fds[fd].nonblock,
		    sock_accept(pd.st, pd_sock(fd), &child, pd.now));
	if (!r && sa) {
		sock_accepted(pd.st, child, &ss, &ss_len);
		memcpy(sa, &ss, MIN(*len, ss_len));
		*len = ss_len;
	}
	return pd_leave(r ? r : pd_give(child));
}

int pd_connect_done(sockid s)
{
	struct sock_facts f;
	uint32_t bits = 0;
	int err = 0;
	socklen_t len = sizeof(err);

	sock_poll(pd.st, s, &bits);
	if (!(bits & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return -EAGAIN;
	sock_getopt(pd.st, s, SOL_SOCKET, SO_ERROR, &err, &len, pd.now);
	if (err)
		return -err;
	return sock_facts(pd.st, s, &f);
}

static int on_connect(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
	int r;

	pd_enter();
	if (pd.is_up)
		pd_read_sysctls();
	r = sock_connect(pd.st, pd_sock(fd), sa, len, pd.now);
	if (r == -EINPROGRESS && !pd.fds[fd].nonblock)
		PD_WAIT_FOR(r, false, pd_connect_done(pd_sock(fd)));
	return pd_leave(r);
}

static int on_fcntl(void *u, int fd, int cmd, ...)
{
	va_list ap;
	long arg;
	int r = 0;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	pd_enter();
	if (cmd == F_GETFL)
		r = O_RDWR | (pd.fds[fd].nonblock ? O_NONBLOCK : 0);
	else if (cmd == F_SETFL)
		pd.fds[fd].nonblock = arg & O_NONBLOCK;
	else
		r = -EINVAL;
	return pd_leave(r);
}

static int on_ioctl(void *u, int fd, unsigned long request, ...)
{
	va_list ap;
	int *val;

	va_start(ap, request);
	val = va_arg(ap, int *);
	va_end(ap);
	pd_enter();
	return pd_leave(sock_ioctl(pd.st, pd_sock(fd), request, val));
}

static int on_close(void *u, int fd)
{
	int r = -EBADF;

	pd_enter();
	if (pd_sock(fd)) {
		sock_close(pd.st, pd.fds[fd].s, pd.now);
		pd.fds[fd].s = 0;
		pd_epoll_close(fd);
		r = close(fd) ? -errno : 0;
	} else {
		pd_epoll_close(fd); /* a set, or nothing of ours */
		r = close(fd) ? -errno : 0;
	}
	return pd_leave(r);
}

/* As it ends packetdrill closes what the script left open through libc. */
__attribute__((visibility("default"))) int pd_close(int fd) __asm__("close");

int pd_close(int fd)
{
	return pd.is_up && pd_sock(fd) ? on_close(NULL, fd)
				       : (int)syscall(SYS_close, fd);
}

static int on_shutdown(void *u, int fd, int how)
{
	pd_enter();
	return pd_leave(sock_shutdown(pd.st, pd_sock(fd), how, pd.now));
}

static int on_getsockopt(void *u, int fd, int level, int name, void *val,
			 socklen_t *len)
{
	pd_enter();
	return pd_leave(
		sock_getopt(pd.st, pd_sock(fd), level, name, val, len, pd.now));
}

static int on_setsockopt(void *u, int fd, int level, int name, const void *val,
			 socklen_t len)
{
	pd_enter();
	if (pd.is_up)
		pd_read_sysctls();
	return pd_leave(
		sock_setopt(pd.st, pd_sock(fd), level, name, val, len, pd.now));
}

/* The code blocks' way in: libc's name, our numbers. */
__attribute__((visibility("default"))) int getsockopt(int fd, int level,
						      int name,
						      void *restrict val,
						      socklen_t *restrict len)
{
	int (*real)(int, int, int, void *, socklen_t *);

	if (pd_sock(fd))
		return on_getsockopt(NULL, fd, level, name, val, len);
	*(void **)&real = dlsym(RTLD_NEXT, "getsockopt");
	return real(fd, level, name, val, len);
}

static int poll_once(struct pollfd *fds, nfds_t n)
{
	int num = 0;

	for (nfds_t i = 0; i < n; i++) {
		uint32_t bits = 0;

		sock_poll(pd.st, pd_sock(fds[i].fd), &bits);
		fds[i].revents =
			(short)(bits & ((uint32_t)(uint16_t)fds[i].events |
					EPOLLERR | EPOLLHUP));
		num += fds[i].revents != 0;
	}
	return num ? num : -EAGAIN;
}

static int on_poll(void *u, struct pollfd *fds, nfds_t n, int timeout)
{
	nsec until;
	int r;

	pd_enter();
	until = timeout < 0 ? TIME_NEVER : pd.now + timeout * MSEC;
	PD_WAIT_FOR(r, timeout == 0 || pd.now >= until, poll_once(fds, n));
	return pd_leave(r == -EAGAIN ? 0 : r);
}

static int on_epoll_create(void *u, int size)
{
	return pd_ret(pd_epoll_new());
}

static int on_epoll_ctl(void *u, int epfd, int op, int fd,
			struct epoll_event *ev)
{
	struct ready r;

	pd_enter();
	if (op == EPOLL_CTL_ADD && pd_sock(fd))
		sock_watch(pd.st, pd_sock(fd), (uint16_t)fd, &r);
	return pd_leave(pd_epoll_ctl(epfd, op, fd, ev));
}

static struct pd_state fd_state(int fd)
{
	struct pd_state now = {.in_seq = pd.fds[fd].in_seq,
			       .out_seq = pd.fds[fd].out_seq};

	sock_poll(pd.st, pd_sock(fd), &now.bits);
	return now;
}

static int on_epoll_wait(void *u, int epfd, struct epoll_event *ev, int max,
			 int timeout)
{
	nsec until;
	int r;

	pd_enter();
	until = timeout < 0 ? TIME_NEVER : pd.now + timeout * MSEC;
	PD_WAIT_FOR(r, timeout == 0 || pd.now >= until,
		    pd_epoll_look(epfd, ev, max, fd_state));
	return pd_leave(r == -EAGAIN ? 0 : r);
}

void pd_calls_fill(struct packetdrill_interface *ifc)
{
	ifc->socket = on_socket;
	ifc->bind = on_bind;
	ifc->listen = on_listen;
	ifc->accept = on_accept;
	ifc->connect = on_connect;
	ifc->fcntl = on_fcntl;
	ifc->ioctl = on_ioctl;
	ifc->close = on_close;
	ifc->shutdown = on_shutdown;
	ifc->getsockopt = on_getsockopt;
	ifc->setsockopt = on_setsockopt;
	ifc->poll = on_poll;
	ifc->epoll_create = on_epoll_create;
	ifc->epoll_ctl = on_epoll_ctl;
	ifc->epoll_wait = on_epoll_wait;
}
