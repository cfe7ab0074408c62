/* SPDX-License-Identifier: MIT
 *
 * epoll_edge.c - edge triggering: once per event, again with more data, both
 * directions, MOD re-arms, the end and the reset, listeners, one-shot with it
 */
#include "t.h"

#define IN_OUT_ET (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static void ctl(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events};

	e.data.u64 = data;
	MUST(epoll_ctl(ep, op, fd, &e));
}

static void say_ready(const char *label, int ep, int ms)
{
	struct epoll_event v[8];
	int n = epoll_wait(ep, v, 8, ms);

	say("%s: %d", label, n);
	for (int i = 0; i < n; i++)
		say("  %llu: %s", (unsigned long long)v[i].data.u64,
		    t_mask(v[i].events));
}

static void reading(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	char buf[64];

	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 1);
	say_ready("idle", ep, 0);
	peer("send 0 4");
	say_ready("data", ep, -1);
	say_ready("no new data", ep, 0);
	CALL(recv(fd, buf, 1, 0));
	say_ready("part of it read", ep, 0);
	peer("send 0 4");
	say_ready("more data, some unread", ep, -1);
	say_ready("once", ep, 0);
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_ready("all read", ep, 0);
	peer("send 0 4");
	t_wait_bytes(fd, 4);
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_ready("came and went", ep, 0);
	peer("send 0 4");
	say_ready("data", ep, -1);
	ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 2);
	say_ready("MOD re-arms", ep, 0);
	ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 3);
	say_ready("level", ep, 0);
	say_ready("level", ep, 0);
	ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET | EPOLLONESHOT, 4);
	say_ready("edge, one-shot", ep, 0);
	peer("send 0 4");
	t_wait_bytes(fd, 8);
	say_ready("disarmed", ep, 0);
	ctl(ep, EPOLL_CTL_DEL, fd, 0, 0);
	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 5);
	say_ready("added with data there", ep, 0);
	close(fd);
	close(ep);
	peer("close 0");
}

static void both_ways(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	char buf[64];

	ctl(ep, EPOLL_CTL_ADD, fd, IN_OUT_ET, 1);
	say_ready("writable", ep, 0);
	say_ready("once", ep, 0);
	CALL(send(fd, "\0", 1, 0));
	peer("recv 0 1");
	peer("send 0 1");
	say_ready("data: both bits are told", ep, -1);
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_ready("nothing new", ep, 0);
	peer("send 0 2");
	t_wait_bytes(fd, 2);
	peer("shut 0 1");
	t_settle(fd, POLLRDHUP);
	say_ready("data and end, one event", ep, 0);
	say_ready("once", ep, 0);
	CALL(recv(fd, buf, sizeof(buf), 0));
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_ready("end read", ep, 0);
	peer("rst 0");
	t_settle(fd, POLLERR);
	say_ready("reset", ep, 0);
	say_ready("once", ep, 0);
	close(fd);
	close(ep);
}

/* Full, then room again: that is an edge. */
static void room_again(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	static char buf[65536];
	struct epoll_event e;
	ssize_t n;

	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 1);
	say_ready("writable", ep, 0);
	/* until it is full and stays so */
	do {
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		do
			n = send(fd, buf, sizeof(buf), 0);
		while (n > 0);
		if (poll(&p, 1, 300) == 0)
			break;
	} while (n < 0 && errno == EAGAIN);
	say("full: %s", t_mask(t_poll_now(fd, POLLOUT)));
	while (epoll_wait(ep, &e, 1, 0) > 0)
		;
	peer_quiet("sink 0 %ld", -1L);
	say_ready("room again", ep, -1);
	n = send(fd, buf, sizeof(buf), 0);
	say("send %s", n > 0 ? "goes" : "fails");
	close(fd);
	close(ep);
}

static void listeners(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), lfd = t_listener(f, 8);
	int port = t_local_port(lfd), fd;

	ctl(ep, EPOLL_CTL_ADD, lfd, EPOLLIN | EPOLLET, 1);
	peer_quiet("connect 0 %d %d", f->n, port);
	say_ready("one", ep, -1);
	say_ready("not accepted, not told again", ep, 0);
	peer_quiet("connect 1 %d %d", f->n, port);
	say_ready("another", ep, -1);
	fd = (int)MUST(accept(lfd, NULL, NULL));
	close(fd);
	say_ready("one left", ep, 0);
	fd = (int)MUST(accept(lfd, NULL, NULL));
	close(fd);
	close(lfd);
	close(ep);
	peer("close 0");
	peer("close 1");
}

/* The usual order of event loops: add, then connect. */
static void connecting(const struct t_fam *f)
{
	int port = (int)peer_quiet("listen 3 %d", f->n);
	int bad = (int)peer_quiet("refuse 4 %d", f->n);
	struct t_addr a = t_addr(f->peer, port);
	int ep = (int)MUST(epoll_create1(0));
	int fd = (int)MUST(socket(f->af, SOCK_STREAM | SOCK_NONBLOCK, 0));

	ctl(ep, EPOLL_CTL_ADD, fd, IN_OUT_ET, 1);
	say_ready("fresh", ep, 0);
	CALL(connect(fd, &a.sa, a.len));
	say_ready("connected", ep, -1);
	say_ready("once", ep, 0);
	close(fd);
	fd = (int)MUST(socket(f->af, SOCK_STREAM | SOCK_NONBLOCK, 0));
	a = t_addr(f->peer, bad);
	CALL(connect(fd, &a.sa, a.len));
	ctl(ep, EPOLL_CTL_ADD, fd, IN_OUT_ET, 2);
	t_settle(fd, POLLERR);
	say_ready("refused", ep, -1);
	say_ready("once", ep, 0);
	close(fd);
	close(ep);
	peer("close 3");
	peer("close 4");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		reading(&t_fams[i]);
		both_ways(&t_fams[i]);
		room_again(&t_fams[i]);
		listeners(&t_fams[i]);
		connecting(&t_fams[i]);
	}
	return 0;
}
