/* SPDX-License-Identifier: MIT
 *
 * epoll_basic.c - epoll_ctl's errnos, level triggering, one-shot, MOD and DEL,
 * data that is the program's own, dup'ed numbers, close, two sets, timeouts
 */
#include "t.h"
#include <sys/eventfd.h>

static struct epoll_event ev(uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events};

	e.data.u64 = data;
	return e;
}

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

/* What is ready now; the order among ready ones is not promised. */
static int say_ready(const char *label, int ep, int ms)
{
	struct epoll_event v[16];
	int n = epoll_wait(ep, v, 16, ms);

	say("%s: %d %s", label, n, n < 0 ? t_err(errno) : "");
	if (n > 0)
		qsort(v, (size_t)n, sizeof(v[0]), by_data);
	for (int i = 0; i < n; i++)
		say("  %#llx: %s", (unsigned long long)v[i].data.u64,
		    t_mask(v[i].events));
	return n;
}

static long add_mod_del(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = ev(events, data);

	return epoll_ctl(ep, op, fd, &e);
}

#define CTL(ep, op, fd, events, data) \
	CALL(add_mod_del(ep, EPOLL_CTL_##op, fd, events, data))

static void errnos(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), ep2;
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	int file = (int)MUST(open("/etc/passwd", O_RDONLY));
	struct epoll_event e = ev(EPOLLIN, 1);
	volatile int minus_one = -1; /* hidden from the compiler's checks */

	CALL(epoll_create1(EPOLL_CLOEXEC | 1));
	CALL(epoll_create(0));
	ep2 = (int)CALL(epoll_create1(EPOLL_CLOEXEC));
	say("cloexec %d", fcntl(ep2, F_GETFD));
	close(ep2);
	CTL(ep, MOD, fd, EPOLLIN, 1);
	CTL(ep, DEL, fd, EPOLLIN, 1);
	CALL(epoll_ctl(ep, 77, fd, &e));
	CALL(epoll_ctl(-1, EPOLL_CTL_ADD, fd, &e));
	CALL(epoll_ctl(999, EPOLL_CTL_ADD, fd, &e));
	CALL(epoll_ctl(file, EPOLL_CTL_ADD, fd, &e));
	CALL(epoll_ctl(fd, EPOLL_CTL_ADD, fd, &e));
	CALL(epoll_ctl(fd, EPOLL_CTL_ADD, ep, &e));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, -1, &e));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, file, &e));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, fd, NULL));
	CTL(ep, ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1);
	CTL(ep, ADD, fd, EPOLLRDHUP | EPOLLEXCLUSIVE, 1);
	CTL(ep, ADD, fd, EPOLLIN, 1);
	CTL(ep, ADD, fd, EPOLLIN, 1);
	CTL(ep, MOD, fd, EPOLLIN | EPOLLEXCLUSIVE, 1);
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, fd, NULL));
	CALL(epoll_ctl(ep, 77, fd, &e));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	CTL(ep, DEL, fd, 0, 0);
	CTL(ep, ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 1);
	CTL(ep, MOD, fd, EPOLLIN, 1);
	CTL(ep, DEL, fd, 0, 0);
	CALL(epoll_wait(ep, &e, 0, 0));
	CALL(epoll_wait(ep, &e, minus_one, 0));
	CALL(epoll_wait(fd, &e, 1, 0));
	CALL(epoll_wait(file, &e, 1, 0));
	CALL(epoll_wait(-1, &e, 1, 0));
	CALL(epoll_wait(ep, &e, 1, 0));
	CTL(ep, ADD, fd, EPOLLIN, 1);
	CALL(epoll_wait(ep, &e, 0, 0));
	CALL(epoll_wait(ep, &e, minus_one, 0));
	CALL(read(ep, &e, sizeof(e)));
	close(fd);
	CTL(ep, DEL, fd, 0, 0);
	CTL(ep, MOD, fd, EPOLLIN, 0);
	close(file);
	close(ep);
	CALL(epoll_wait(ep, &e, 1, 0));
}

static void level(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd;
	int idle = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	char buf[16];

	CTL(ep, ADD, idle, EPOLLIN, 0x1d1e);
	say_ready("unconnected", ep, 0);
	CTL(ep, DEL, idle, 0, 0);
	close(idle);
	fd = t_connected(f, 0);
	CTL(ep, ADD, fd, EPOLLIN, 0xfeedfacecafebeef);
	say_ready("idle", ep, 0);
	peer("send 0 8");
	say_ready("data", ep, -1);
	say_ready("data again", ep, -1);
	CALL(recv(fd, buf, 4, 0));
	say_ready("half read", ep, -1);
	CALL(recv(fd, buf, 4, 0));
	say_ready("all read", ep, 0);
	CTL(ep, MOD, fd, EPOLLIN | EPOLLOUT, 2);
	say_ready("writable", ep, 0);
	CTL(ep, MOD, fd, 0, 3);
	say_ready("nothing asked", ep, 0);
	peer("close 0");
	t_settle(fd, POLLRDHUP);
	say_ready("FIN, nothing asked", ep, 0);
	CTL(ep, MOD, fd, EPOLLRDHUP, 4);
	say_ready("RDHUP asked", ep, 0);
	shutdown(fd, SHUT_WR);
	t_settle(fd, POLLHUP);
	CTL(ep, MOD, fd, 0, 5);
	say_ready("HUP", ep, 0);
	CTL(ep, DEL, fd, 0, 0);
	say_ready("deleted", ep, 0);
	close(fd);
	close(ep);
}

static void one_shot(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);

	CTL(ep, ADD, fd, EPOLLIN | EPOLLONESHOT, 7);
	peer("send 0 1");
	say_ready("once", ep, -1);
	say_ready("not twice", ep, 0);
	peer("send 0 1");
	t_wait_bytes(fd, 2);
	say_ready("nor for more", ep, 0);
	CTL(ep, ADD, fd, EPOLLIN, 7);
	CTL(ep, MOD, fd, EPOLLIN | EPOLLONESHOT, 8);
	say_ready("armed again", ep, 0);
	peer("rst 0");
	t_settle(fd, POLLERR);
	say_ready("disarmed: not even errors", ep, 0);
	CTL(ep, MOD, fd, EPOLLONESHOT, 9);
	say_ready("errors", ep, 0);
	close(fd);
	say_ready("closed", ep, 0);
	close(ep);
}

static void copies(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	int fd2 = (int)MUST(dup(fd)), fd3;

	CTL(ep, ADD, fd, EPOLLIN, 1);
	CTL(ep, ADD, fd2, EPOLLIN | EPOLLOUT, 2);
	peer("send 0 1");
	t_settle(fd, POLLIN);
	say_ready("both numbers", ep, 0);
	close(fd); /* the file lives: so does its registration */
	say_ready("one number closed", ep, 0);
	CTL(ep, DEL, fd, 0, 0);
	CTL(ep, MOD, fd2, EPOLLIN, 3);
	say_ready("the other changed", ep, 0);
	fd3 = (int)MUST(dup(fd2));
	say("the number is used again: %d", fd3 == fd);
	CTL(ep, ADD, fd3, EPOLLIN, 4); /* the same file under the number */
	CTL(ep, DEL, fd3, 0, 0);
	say_ready("deleted by it", ep, 0);
	close(fd3);
	close(fd2);
	say_ready("all closed", ep, 0);
	close(ep);
	peer("close 0");

	/* close and reuse of the number by another socket */
	ep = (int)MUST(epoll_create1(0));
	fd = t_connected(f, 0);
	CTL(ep, ADD, fd, EPOLLIN, 1);
	close(fd);
	fd2 = t_connected(f, 1);
	say("same number %d", fd == fd2);
	say_ready("reused", ep, 0);
	CTL(ep, MOD, fd2, EPOLLIN, 2);
	CTL(ep, ADD, fd2, EPOLLIN | EPOLLOUT, 2);
	say_ready("added", ep, 0);
	close(fd2);
	close(ep);
	peer("close 0");
	peer("close 1");
}

static void two_sets(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), ep2 = (int)MUST(epoll_create1(0));
	int fd = t_connected(f, 0), ep3;
	char c;

	CTL(ep, ADD, fd, EPOLLIN, 1);
	CTL(ep2, ADD, fd, EPOLLIN | EPOLLOUT, 2);
	peer("send 0 1");
	say_ready("first", ep, -1);
	say_ready("second", ep2, -1);
	close(ep);
	say_ready("second alone", ep2, 0);
	ep3 = (int)MUST(dup(ep2));
	close(ep2);
	say_ready("a copy of the set", ep3, 0);
	CALL(recv(fd, &c, 1, 0));
	CTL(ep3, MOD, fd, EPOLLIN, 3);
	say_ready("changed through it", ep3, 0);
	close(fd);
	close(ep3);
	peer("close 0");
}

static void limits(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fds[10], seen[20] = {0};
	int efd[10];
	struct epoll_event v[3];

	for (int i = 0; i < 10; i++) {
		struct epoll_event e = ev(EPOLLOUT, (uint64_t)i);

		fds[i] = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e));
		e = ev(EPOLLOUT, (uint64_t)(10 + i));
		efd[i] = (int)MUST(eventfd(0, 0));
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, efd[i], &e));
	}
	/* nobody is left out however few are taken at a time */
	for (int i = 0; i < 40; i++) {
		int n = epoll_wait(ep, v, 3, -1);

		for (int k = 0; k < n; k++)
			seen[v[k].data.u64]++;
		if (n != 3)
			say("got %d", n);
	}
	for (int i = 0; i < 20; i++)
		if (!seen[i])
			say("never saw %d", i);
	for (int i = 0; i < 10; i++) {
		close(fds[i]);
		close(efd[i]);
	}
	say_ready("all closed", ep, 0);
	close(ep);
}

static void timeouts(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	struct timespec ts = {0, 40000000};
	struct epoll_event e;
	int64_t t0;

	CTL(ep, ADD, fd, EPOLLIN, 1);
	t0 = t_now_ms();
	CALL(epoll_wait(ep, &e, 1, 40));
	say("waited %d", t_now_ms() - t0 >= 40);
	t0 = t_now_ms();
	CALL(epoll_pwait(ep, &e, 1, 40, NULL));
	say("waited %d", t_now_ms() - t0 >= 40);
	t0 = t_now_ms();
	CALL(epoll_pwait2(ep, &e, 1, &ts, NULL));
	say("waited %d", t_now_ms() - t0 >= 40);
	ts.tv_nsec = -1;
	CALL(epoll_pwait2(ep, &e, 1, &ts, NULL));
	peer("send 0 1");
	CALL(epoll_pwait2(ep, &e, 1, NULL, NULL));
	close(fd);
	close(ep);
	peer("close 0");
}

static void accepting(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), lfd = t_listener(f, 8);
	int a, b;

	CTL(ep, ADD, lfd, EPOLLIN, 1);
	say_ready("no one", ep, 0);
	peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
	peer_quiet("connect 1 %d %d", f->n, t_local_port(lfd));
	say_ready("two", ep, -1);
	a = (int)MUST(accept(lfd, NULL, NULL));
	say_ready("one left", ep, -1);
	b = (int)MUST(accept(lfd, NULL, NULL));
	say_ready("none left", ep, 0);
	CTL(ep, ADD, a, EPOLLIN | EPOLLRDHUP, 2);
	peer("close 0");
	say_ready("ended", ep, -1);
	close(a);
	close(b);
	close(lfd);
	close(ep);
	peer("close 1");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		errnos(&t_fams[i]);
		level(&t_fams[i]);
		one_shot(&t_fams[i]);
		copies(&t_fams[i]);
		two_sets(&t_fams[i]);
		limits(&t_fams[i]);
		timeouts(&t_fams[i]);
		accepting(&t_fams[i]);
	}
	return 0;
}
