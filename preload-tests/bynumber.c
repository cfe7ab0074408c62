/* SPDX-License-Identifier: MIT
 *
 * bynumber.c - syscall(2): the socket calls by their numbers, as node, libuv
 * and others make them
 */
#include "lib/pair.h"
#include <linux/close_range.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static void made(const struct t_fam *f, int sv[2])
{
	struct t_addr a = t_addr(f->us, 0), b = {.len = sizeof(b.ss)};
	int lfd = (int)CALL(syscall(SYS_socket, f->af, SOCK_STREAM, 0));

	CALL(syscall(SYS_bind, lfd, &a.sa, a.len));
	CALL(syscall(SYS_listen, lfd, 5));
	CALL(syscall(SYS_getsockname, lfd, &b.sa, &b.len));
	say("%s, %d bytes", t_ip(&b), (int)b.len);
	sv[0] = (int)CALL(
		syscall(SYS_socket, f->af, SOCK_STREAM | SOCK_CLOEXEC, 0));
	CALL(syscall(SYS_connect, sv[0], &b.sa, b.len));
	CALL(syscall(SYS_getpeername, sv[0], &a.sa, &a.len));
	say("the same: %d", t_port(&a) == t_port(&b));
	a.len = sizeof(a.ss);
	sv[1] = (int)CALL(
		syscall(SYS_accept4, lfd, &a.sa, &a.len, SOCK_NONBLOCK));
	say("%s", t_ip(&a));
	CALL(syscall(SYS_accept4, lfd, NULL, NULL, 99));
	CALL(syscall(SYS_close, lfd));
	CALL(syscall(SYS_close, lfd));
	CALL(syscall(SYS_accept, lfd, NULL, NULL));
}

static void moved(int sv[2])
{
	char buf[32] = "";
	struct iovec v = {(char[]){"vec"}, 3}, w = {buf, sizeof(buf)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct mmsghdr mm[2] = {{.msg_hdr = m}, {.msg_hdr = m}};

	CALL(syscall(SYS_read, sv[1], buf, sizeof(buf)));
	CALL(syscall(SYS_recvfrom, sv[1], buf, sizeof(buf), 0, NULL, NULL));
	CALL(syscall(SYS_write, sv[0], "write", 5));
	CALL(syscall(SYS_writev, sv[0], &v, 1));
	CALL(syscall(SYS_sendto, sv[0], "sendto", 6, MSG_NOSIGNAL, NULL, 0));
	CALL(syscall(SYS_sendmsg, sv[0], &m, 0));
	CALL(syscall(SYS_sendmmsg, sv[0], mm, 2, 0));
	CALL(syscall(SYS_pwritev2, sv[0], &v, 1, -1L, -1L, 0));
	t_wait_bytes(sv[1], 26);
	CALL(syscall(SYS_read, sv[1], buf, 5));
	CALL(syscall(SYS_readv, sv[1], &w, 0));
	w.iov_len = 4;
	CALL(syscall(SYS_readv, sv[1], &w, 1));
	m.msg_iov = &w;
	CALL(syscall(SYS_recvmsg, sv[1], &m, MSG_PEEK));
	CALL(syscall(SYS_preadv2, sv[1], &w, 1, -1L, -1L, 0));
	CALL(syscall(SYS_preadv, sv[1], &w, 1, 0L, 0L));
	CALL(syscall(SYS_pread64, sv[1], buf, 4, 0L));
	CALL(syscall(SYS_pwrite64, sv[1], buf, 4, -1L));
	CALL(syscall(SYS_recvfrom, sv[1], buf, sizeof(buf), 0, NULL, NULL));
	say("%s", buf);
	CALL(syscall(SYS_lseek, sv[1], 0L, SEEK_CUR));
}

static void asked(int sv[2])
{
	struct timeval tv = {0, 0};
	struct timespec ts = {0, 0};
	struct pollfd p[2] = {{sv[0], T_ALL, 0}, {sv[1], T_ALL, 0}};
	struct {
		const void *mask;
		size_t len;
	} pack = {NULL, 8};
	fd_set r, w;
	unsigned long mask = 1ul << (SIGUSR1 - 1);
	int val = 0;
	socklen_t len = sizeof(val);

	CALL(syscall(SYS_poll, p, 2, 0));
	say("%s %s", t_mask((unsigned)p[0].revents),
	    t_mask((unsigned)p[1].revents));
	CALL(syscall(SYS_ppoll, p, 2, &ts, &mask, sizeof(mask)));
	CALL(syscall(SYS_ppoll, p, 1, &ts, NULL, 0));
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(sv[0], &r);
	FD_SET(sv[1], &w);
	CALL(syscall(SYS_select, sv[1] + 1, &r, &w, NULL, &tv));
	say("%d %d", !!FD_ISSET(sv[0], &r), !!FD_ISSET(sv[1], &w));
	FD_SET(sv[0], &r);
	CALL(syscall(SYS_pselect6, sv[1] + 1, &r, &w, NULL, &ts, &pack));
	pack.mask = &mask;
	CALL(syscall(SYS_pselect6, sv[1] + 1, &r, &w, NULL, &ts, &pack));
	CALL(syscall(SYS_setsockopt, sv[0], IPPROTO_TCP, TCP_NODELAY, &(int){1},
		     sizeof(int)));
	CALL(syscall(SYS_getsockopt, sv[0], IPPROTO_TCP, TCP_NODELAY, &val,
		     &len));
	say("%d", val);
	CALL(syscall(SYS_ioctl, sv[0], FIONREAD, &val));
	CALL(syscall(SYS_fcntl, sv[1], F_SETFL, 0));
	CALL(syscall(SYS_fcntl, sv[1], F_GETFL));
}

static void sets(int sv[2])
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = 7}, out[4];
	struct timespec ts = {0, 0};
	unsigned long mask = 0;
	int ep = (int)CALL(syscall(SYS_epoll_create1, 0));

	CALL(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, sv[1], &e));
	CALL(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, sv[1], &e));
	CALL(syscall(SYS_epoll_wait, ep, out, 4, 0));
	CALL(syscall(SYS_sendto, sv[0], "x", 1, 0, NULL, 0));
	CALL(syscall(SYS_epoll_wait, ep, out, 4, -1));
	say("%u %s", out[0].data.u32, t_mask(out[0].events));
	CALL(syscall(SYS_epoll_pwait, ep, out, 4, 0, &mask, sizeof(mask)));
	CALL(syscall(SYS_epoll_pwait2, ep, out, 4, &ts, NULL, 0));
	CALL(syscall(SYS_epoll_wait, ep, out, 0, 0));
	CALL(syscall(SYS_close, ep));
	ep = (int)CALL(syscall(SYS_epoll_create, 1));
	CALL(syscall(SYS_epoll_create, 0));
	CALL(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_DEL, sv[1], NULL));
	CALL(syscall(SYS_close, ep));
}

static void copies(int sv[2])
{
	int a = (int)CALL(syscall(SYS_dup, sv[0])), pidfd, got;
	char c;

	CALL(syscall(SYS_dup2, sv[0], 60));
	CALL(syscall(SYS_dup2, sv[0], sv[0]));
	CALL(syscall(SYS_dup3, sv[0], 61, O_CLOEXEC));
	CALL(syscall(SYS_dup3, sv[0], sv[0], 0));
	CALL(syscall(SYS_fcntl, sv[0], F_DUPFD_CLOEXEC, 62));
	CALL(syscall(SYS_write, 62, "!", 1));
	CALL(syscall(SYS_close_range, 60, 62, CLOSE_RANGE_CLOEXEC));
	CALL(syscall(SYS_fcntl, 60, F_GETFD));
	CALL(syscall(SYS_write, 62, "!", 1));
	CALL(syscall(SYS_close_range, 61, 62, 0));
	CALL(syscall(SYS_close_range, 62, 61, 0));
	CALL(syscall(SYS_write, 61, "!", 1));
	CALL(syscall(SYS_close, sv[0]));
	CALL(syscall(SYS_close, a));
	CALL(syscall(SYS_write, 60, "!", 1));
	/* one more, the long way round */
	pidfd = (int)MUST(syscall(SYS_pidfd_open, getpid(), 0));
	got = (int)MUST(syscall(SYS_pidfd_getfd, pidfd, 60, 0));
	CALL(syscall(SYS_write, got, "!", 1));
	CALL(syscall(SYS_close, 60));
	CALL(syscall(SYS_write, got, "!", 1));
	CALL(syscall(SYS_shutdown, got, SHUT_WR));
	CALL(syscall(SYS_write, got, "!", 1));
	say_poll("number", got);
	close(got);
	close(pidfd);
	while (read(sv[1], &c, 1) == 1)
		putchar(c);
	say(" is all");
	close(sv[1]);
}

static void not_ours(void)
{
	int p[2];
	char c;

	MUST(pipe(p));
	CALL(syscall(SYS_write, p[1], "x", 1));
	CALL(syscall(SYS_read, p[0], &c, 1));
	CALL(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
	CALL(syscall(SYS_socket, AF_INET, 77, 0));
	CALL(syscall(SYS_getpid) == getpid());
	CALL(syscall(-1));
	CALL(syscall(SYS_read, -1, &c, 1));
	CALL(syscall(SYS_close, -1));
}

int main(void)
{
	int sv[2];

	t_init();
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		made(&t_fams[i], sv);
		moved(sv);
		asked(sv);
		sets(sv);
		copies(sv);
	}
	not_ours();
	return 0;
}
