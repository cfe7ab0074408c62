/* SPDX-License-Identifier: MIT
 *
 * blocking.h - every call that can sleep, with what it works on and what ends
 * it
 */
#ifndef TCPSHIM_PRELOAD_BLOCKING_H
#define TCPSHIM_PRELOAD_BLOCKING_H

#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "t.h"

static const struct t_fam *fam;
static int the_fd, the_ep, data_fd;

/* --- the calls --- */
static char buf[8 << 20];
static struct iovec iov = {buf, 8}, big_iov = {buf, sizeof(buf)};

static long in_recv(void)
{
	return recv(the_fd, buf, 8, 0);
}

static long in_recv_all(void)
{
	return recv(the_fd, buf, 8, MSG_WAITALL);
}

static long in_peek(void)
{
	return recv(the_fd, buf, 8, MSG_PEEK);
}

static long in_recvfrom(void)
{
	struct t_addr a = {.len = sizeof(a.ss)};

	return recvfrom(the_fd, buf, 8, 0, &a.sa, &a.len);
}

static long in_recvmsg(void)
{
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	return recvmsg(the_fd, &m, 0);
}

static long in_recvmmsg(void)
{
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	return recvmmsg(the_fd, &m, 1, 0, NULL);
}

static long in_read(void)
{
	return read(the_fd, buf, 8);
}

static long in_readv(void)
{
	return readv(the_fd, &iov, 1);
}

static long in_accept(void)
{
	int fd = accept(the_fd, NULL, NULL);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 1;
}

static long in_accept4(void)
{
	int fd = accept4(the_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 1;
}

/* Nobody answers; a new address each time, since after some seconds the kernel
 * knows that. */
static long in_connect(void)
{
	static _Atomic unsigned num;
	struct t_addr a;
	char ip[16];

	snprintf(ip, sizeof(ip), "10.77.0.%u",
		 100 + ((unsigned)getpid() * 7 + num++) % 150);
	a = t_addr(ip, 9);
	return connect(the_fd, &a.sa, a.len);
}

/* How much went before is nobody's promise, nor whether anything did. */
static long sent(ssize_t n)
{
	return n < 0 && errno != EINTR ? -1 : 1;
}

static long in_send(void)
{
	return sent(send(the_fd, buf, sizeof(buf), MSG_NOSIGNAL));
}

static long in_write(void)
{
	return sent(write(the_fd, buf, sizeof(buf)));
}

static long in_writev(void)
{
	return sent(writev(the_fd, &big_iov, 1));
}

static long in_sendmsg(void)
{
	struct msghdr m = {.msg_iov = &big_iov, .msg_iovlen = 1};

	return sent(sendmsg(the_fd, &m, MSG_NOSIGNAL));
}

static long in_sendmmsg(void)
{
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &big_iov, .msg_iovlen = 1}};

	return sent(sendmmsg(the_fd, &m, 1, MSG_NOSIGNAL));
}

static long in_sendfile(void)
{
	off_t at = 0;

	return sent(sendfile(the_fd, data_fd, &at, sizeof(buf)));
}

static long in_poll(void)
{
	struct pollfd p = {.fd = the_fd, .events = POLLIN};

	return poll(&p, 1, T_PATIENCE);
}

static long in_ppoll(void)
{
	struct pollfd p = {.fd = the_fd, .events = POLLIN};
	struct timespec ts = {T_PATIENCE / 1000, 0};

	return ppoll(&p, 1, &ts, NULL);
}

static long in_select(void)
{
	struct timeval tv = {T_PATIENCE / 1000, 0};
	fd_set r;

	FD_ZERO(&r);
	FD_SET(the_fd, &r);
	return select(the_fd + 1, &r, NULL, NULL, &tv);
}

static long in_pselect(void)
{
	fd_set r;

	FD_ZERO(&r);
	FD_SET(the_fd, &r);
	return pselect(the_fd + 1, &r, NULL, NULL, NULL, NULL);
}

static long in_epoll_wait(void)
{
	struct epoll_event e;

	return epoll_wait(the_ep, &e, 1, -1);
}

static long in_epoll_pwait(void)
{
	struct epoll_event e;

	return epoll_pwait(the_ep, &e, 1, T_PATIENCE, NULL);
}

static long in_epoll_pwait2(void)
{
	struct timespec ts = {T_PATIENCE / 1000, 0};
	struct epoll_event e;

	return epoll_pwait2(the_ep, &e, 1, &ts, NULL);
}

static long in_poll_nothing(void)
{
	return poll(NULL, 0, T_PATIENCE);
}

static long in_select_nothing(void)
{
	struct timeval tv = {T_PATIENCE / 1000, 0};

	return select(0, NULL, NULL, NULL, &tv);
}

/* --- what they work on --- */
enum kind { DATA, FULL, PART, LISTENER, CONNECTING, DATAGRAM };

static int udp_port;

static void fill(int fd)
{
	int full = 0;

	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	while (!full) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		while (send(fd, buf, 1 << 16, 0) > 0)
			;
		full = poll(&p, 1, 50) == 0;
	}
	MUST(fcntl(fd, F_SETFL, 0));
}

static void set_up(enum kind kind)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct t_addr a = t_addr(fam->us, 0);
	int small = 65536;

	if (kind == LISTENER) {
		the_fd = t_listener(fam, 4);
	} else if (kind == CONNECTING) {
		the_fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	} else if (kind == DATAGRAM) {
		the_fd = (int)MUST(socket(fam->af, SOCK_DGRAM, 0));
		MUST(bind(the_fd, &a.sa, a.len));
		udp_port = t_local_port(the_fd);
		peer_quiet("udp 0 %d", fam->n);
	} else {
		the_fd = t_connected(fam, 0);
		if (kind == FULL || kind == PART)
			MUST(setsockopt(the_fd, SOL_SOCKET, SO_SNDBUF, &small,
					sizeof(small)));
		if (kind == FULL)
			fill(the_fd);
	}
	the_ep = (int)MUST(epoll_create1(0));
	MUST(epoll_ctl(the_ep, EPOLL_CTL_ADD, the_fd, &e));
}

/* What the call waits for happens. */
static T_UNUSED void end_call(enum kind kind)
{
	if (kind == LISTENER)
		peer_quiet("connect 0 %d %d", fam->n, t_local_port(the_fd));
	else if (kind == CONNECTING)
		MUST(shutdown(the_fd, SHUT_RDWR));
	else if (kind == DATAGRAM)
		peer_quiet("sendto 0 %d %d 4", fam->n, udp_port);
	else if (kind == FULL || kind == PART)
		peer_quiet("sink 0 %ld", -1L);
	else
		peer_quiet("send 0 8");
}

static T_UNUSED void tear_down(enum kind kind, bool has_ended)
{
	close(the_ep);
	close(the_fd);
	if (kind == CONNECTING || (kind == LISTENER && !has_ended))
		return;
	if ((kind == FULL || kind == PART) && has_ended)
		return; /* the peer's thread closes it */
	peer_quiet("close 0");
}

static const struct {
	const char *name;
	long (*call)(void);
	enum kind kind;
	int timeo; /* the option that it obeys, or 0 */
} calls[] = {
	{"recv", in_recv, DATA, SO_RCVTIMEO},
	{"recv all", in_recv_all, DATA, SO_RCVTIMEO},
	{"peek", in_peek, DATA, SO_RCVTIMEO},
	{"recvfrom", in_recvfrom, DATA, SO_RCVTIMEO},
	{"recvmsg", in_recvmsg, DATA, SO_RCVTIMEO},
	{"recvmmsg", in_recvmmsg, DATA, SO_RCVTIMEO},
	{"read", in_read, DATA, SO_RCVTIMEO},
	{"readv", in_readv, DATA, SO_RCVTIMEO},
	{"udp recv", in_recv, DATAGRAM, SO_RCVTIMEO},
	{"udp recvmsg", in_recvmsg, DATAGRAM, SO_RCVTIMEO},
	{"udp recvmmsg", in_recvmmsg, DATAGRAM, SO_RCVTIMEO},
	{"accept", in_accept, LISTENER, SO_RCVTIMEO},
	{"accept4", in_accept4, LISTENER, SO_RCVTIMEO},
	{"connect", in_connect, CONNECTING, SO_SNDTIMEO},
	{"send", in_send, FULL, SO_SNDTIMEO},
	{"write", in_write, FULL, SO_SNDTIMEO},
	{"writev", in_writev, FULL, SO_SNDTIMEO},
	{"sendmsg", in_sendmsg, FULL, SO_SNDTIMEO},
	{"sendmmsg", in_sendmmsg, FULL, SO_SNDTIMEO},
	{"sendfile", in_sendfile, FULL, SO_SNDTIMEO},
	{"send, a part", in_send, PART, SO_SNDTIMEO},
	{"write, a part", in_write, PART, SO_SNDTIMEO},
	{"sendmsg, a part", in_sendmsg, PART, SO_SNDTIMEO},
	{"sendfile, a part", in_sendfile, PART, SO_SNDTIMEO},
	{"poll", in_poll, DATA, 0},
	{"ppoll", in_ppoll, DATA, 0},
	{"select", in_select, DATA, 0},
	{"pselect", in_pselect, DATA, 0},
	{"epoll_wait", in_epoll_wait, DATA, 0},
	{"epoll_pwait", in_epoll_pwait, DATA, 0},
	{"epoll_pwait2", in_epoll_pwait2, DATA, 0},
	{"poll of nothing", in_poll_nothing, DATA, 0},
	{"select of nothing", in_select_nothing, DATA, 0},
};
#define NUM_CALLS (sizeof(calls) / sizeof(calls[0]))

static void calls_init(void)
{
	data_fd = (int)MUST(memfd_create("data", 0));
	MUST(ftruncate(data_fd, sizeof(buf)));
}

#endif
