/* SPDX-License-Identifier: MIT
 *
 * handover.c - sockets that turn out to be for loopback, and stay the kernel's:
 * registered with epoll, set up and copied before anyone could know
 */
#include "t.h"

static int ep;

static void ctl(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events};

	e.data.u64 = data;
	MUST(epoll_ctl(ep, op, fd, &e));
}

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

static void say_ready(const char *label, int ms)
{
	struct epoll_event v[8];
	int n = epoll_wait(ep, v, 8, ms);

	say("%s: %d", label, n);
	if (n > 0)
		qsort(v, (size_t)n, sizeof(v[0]), by_data);
	for (int i = 0; i < n; i++)
		say("  %llu: %s", (unsigned long long)v[i].data.u64,
		    t_mask(v[i].events));
}

static int get_opt(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	MUST(getsockopt(fd, level, name, &v, &len));
	return v;
}

static void streams(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->lo, 0);
	int lfd = (int)MUST(socket(f->af, SOCK_STREAM, 0)), fd, dupfd, conn;
	int one = 1, far = t_connected(f, 0);
	char buf[8];

	ep = (int)MUST(epoll_create1(0));
	ctl(EPOLL_CTL_ADD, far, EPOLLIN, 9); /* one that stays ours */
	ctl(EPOLL_CTL_ADD, lfd, EPOLLIN, 1);
	say_ready("fresh", 0);
	MUST(bind(lfd, &a.sa, a.len));
	MUST(listen(lfd, 4));
	say_ready("listening", 0);
	a = t_addr(f->lo, t_local_port(lfd));

	fd = (int)MUST(socket(f->af, SOCK_STREAM | SOCK_NONBLOCK, 0));
	dupfd = (int)MUST(dup(fd));
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	MUST(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
	MUST(fcntl(dupfd, F_SETFD, FD_CLOEXEC));
	ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 2);
	ctl(EPOLL_CTL_ADD, dupfd, EPOLLIN, 3);
	say("connect %d",
	    connect(fd, &a.sa, a.len) == 0 || errno == EINPROGRESS);
	t_settle(fd, POLLOUT);
	t_settle(lfd, POLLIN);
	say_ready("connected", -1);
	say("O_NONBLOCK %d, FD_CLOEXEC %d %d, NODELAY %d, KEEPALIVE %d",
	    !!(fcntl(fd, F_GETFL) & O_NONBLOCK), fcntl(fd, F_GETFD),
	    fcntl(dupfd, F_GETFD), get_opt(fd, IPPROTO_TCP, TCP_NODELAY),
	    get_opt(dupfd, SOL_SOCKET, SO_KEEPALIVE));
	conn = (int)CALL(accept(lfd, NULL, NULL));
	CALL(send(conn, "abc", 3, 0));
	t_settle(fd, POLLIN);
	peer("send 0 2");
	t_settle(far, POLLIN);
	say_ready("both kinds", -1);
	CALL(recv(dupfd, buf, sizeof(buf), 0));
	CALL(recv(far, buf, sizeof(buf), 0));
	say_ready("read", 0);
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	close(conn);
	t_settle(dupfd, POLLRDHUP);
	say_ready("ended", -1);
	close(fd);
	close(dupfd);
	close(lfd);
	say_ready("closed", 0);
	close(far);
	close(ep);
	peer("close 0");
}

static void datagrams(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->lo, 0);
	int in = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	int out = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	char buf[8];

	ep = (int)MUST(epoll_create1(0));
	ctl(EPOLL_CTL_ADD, in, EPOLLIN, 1);
	ctl(EPOLL_CTL_ADD, out, EPOLLOUT | EPOLLONESHOT, 2);
	MUST(bind(in, &a.sa, a.len));
	a = t_addr(f->lo, t_local_port(in));
	CALL(sendto(out, "x", 1, 0, &a.sa, a.len));
	t_settle(in, POLLIN);
	say_ready("sent", -1);
	say_ready("one-shot", -1);
	CALL(recv(in, buf, sizeof(buf), 0));
	CALL(connect(out, &a.sa, a.len));
	CALL(send(out, "yz", 2, 0));
	CALL(recv(in, buf, sizeof(buf), 0));
	close(in);
	close(out);
	close(ep);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		streams(&t_fams[i]);
		datagrams(&t_fams[i]);
	}
	return 0;
}
