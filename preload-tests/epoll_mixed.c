/* SPDX-License-Identifier: MIT
 *
 * epoll_mixed.c - sets with sockets, pipes, eventfds and timers at once; sets
 * in sets, in poll and in select; sets that other threads wait for while they
 * change
 */
#include "t.h"
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

static void ctl(int ep, int op, int fd, uint32_t events, uint64_t data)
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

static void say_ready(const char *label, int ep, int ms)
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

static void kinds(const struct t_fam *f)
{
	struct itimerspec soon = {.it_value.tv_nsec = 20000000};
	int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	int efd = (int)MUST(eventfd(0, EFD_NONBLOCK));
	int tfd = (int)MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	int udp = (int)MUST(socket(f->af, SOCK_DGRAM, 0)), p[2];
	uint64_t one = 1;
	char buf[16];

	MUST(pipe(p));
	ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 2);
	ctl(ep, EPOLL_CTL_ADD, efd, EPOLLIN | EPOLLET, 3);
	ctl(ep, EPOLL_CTL_ADD, tfd, EPOLLIN, 4);
	ctl(ep, EPOLL_CTL_ADD, udp, EPOLLIN, 5);
	say_ready("idle", ep, 0);
	MUST(write(efd, &one, 8));
	say_ready("eventfd", ep, -1);
	say_ready("once", ep, 0);
	MUST(timerfd_settime(tfd, 0, &soon, NULL));
	say_ready("timer", ep, -1);
	MUST(read(tfd, &one, 8));
	peer("send 0 4");
	say_ready("socket", ep, -1);
	MUST(write(p[1], "x", 1));
	MUST(write(efd, &one, 8));
	say_ready("all but the timer", ep, -1);
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_ready("pipe", ep, -1);
	close(p[1]);
	MUST(read(p[0], buf, 1));
	say_ready("pipe ended", ep, -1);
	ctl(ep, EPOLL_CTL_DEL, fd, 0, 0);
	ctl(ep, EPOLL_CTL_DEL, udp, 0, 0);
	say_ready("without sockets", ep, -1);
	close(p[0]);
	say_ready("nothing", ep, 20);
	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT, 6);
	say_ready("a socket again", ep, -1);
	close(fd);
	close(udp);
	close(efd);
	close(tfd);
	close(ep);
	peer("close 0");
}

static void nested(const struct t_fam *f)
{
	int in = (int)MUST(epoll_create1(0)), mid = (int)MUST(epoll_create1(0));
	int out = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
	struct epoll_event e = {.events = EPOLLIN};
	char buf[16];
	fd_set r;

	/* once before the socket is in, once after */
	ctl(mid, EPOLL_CTL_ADD, in, EPOLLIN, 1);
	ctl(in, EPOLL_CTL_ADD, fd, EPOLLIN, 2);
	ctl(out, EPOLL_CTL_ADD, mid, EPOLLIN, 3);
	CALL(epoll_ctl(in, EPOLL_CTL_ADD, out, &e));
	CALL(epoll_ctl(in, EPOLL_CTL_ADD, in, &e));
	CALL(epoll_ctl(mid, EPOLL_CTL_ADD, in, &e));
	say_ready("idle", out, 0);
	say_poll("idle set", in);
	peer("send 0 4");
	say_ready("outer", out, -1);
	say_ready("middle", mid, -1);
	say_ready("inner", in, -1);
	say_poll("ready set", in);
	say_poll("outer set", out);
	FD_ZERO(&r);
	FD_SET(in, &r);
	FD_SET(out, &r);
	CALL(select((in > out ? in : out) + 1, &r, NULL, NULL, NULL));
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_ready("read: outer", out, 0);
	say_ready("read: inner", in, 0);
	say_poll("read: set", in);
	peer("send 0 4");
	say_ready("outer again", out, -1);
	ctl(mid, EPOLL_CTL_DEL, in, 0, 0);
	say_ready("taken out", out, 0);
	say_ready("inner alone", in, 0);
	CALL(recv(fd, buf, sizeof(buf), 0));
	ctl(out, EPOLL_CTL_MOD, mid, EPOLLIN | EPOLLET, 4);
	ctl(mid, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLET, 5);
	peer("send 0 4");
	say_ready("edge", out, -1);
	say_ready("edge, once", out, 0);
	CALL(recv(fd, buf, sizeof(buf), 0));
	/* the innermost set goes away */
	peer("send 0 4");
	t_settle(fd, POLLIN);
	close(in);
	say_ready("inner closed", mid, 0);
	close(mid);
	close(out);
	close(fd);
	peer("close 0");
}

/* --- waits that another thread ends --- */
static int shared_ep;
static const struct t_fam *fam;
static volatile pid_t waiter_tid;

static void *wait_main(void *arg)
{
	struct epoll_event e;
	long n;

	waiter_tid = (pid_t)syscall(SYS_gettid);
	n = epoll_wait(shared_ep, &e, 1, T_PATIENCE);
	return (void *)(n == 1 ? (long)e.data.u64 : -n);
}

static pthread_t start_waiter(void)
{
	int seen = 0;
	pthread_t t;

	waiter_tid = 0;
	if (pthread_create(&t, NULL, wait_main, NULL))
		t_die("pthread_create");
	for (int i = 0; i < T_PATIENCE && seen < 5; i++) {
		seen = waiter_tid && t_sleeps(waiter_tid) ? seen + 1 : 0;
		poll(NULL, 0, 1);
	}
	return t;
}

static void join(const char *label, pthread_t t)
{
	void *ret;

	pthread_join(t, &ret);
	say("%s: %ld", label, (long)ret);
}

static void changed_while_waiting(const struct t_fam *f)
{
	int efd = (int)MUST(eventfd(0, 0)), fd, udp;
	uint64_t one = 1;
	pthread_t t, t2;

	shared_ep = (int)MUST(epoll_create1(0));
	ctl(shared_ep, EPOLL_CTL_ADD, efd, EPOLLIN, 1);
	t = start_waiter();
	fd = t_connected(f, 0);
	ctl(shared_ep, EPOLL_CTL_ADD, fd, EPOLLIN, 2); /* the first socket */
	peer("send 0 1");
	join("first socket, added while asleep", t);
	MUST(recv(fd, &one, 1, 0));
	one = 1;
	t = start_waiter();
	MUST(write(efd, &one, 8));
	join("eventfd", t);
	MUST(read(efd, &one, 8));
	t = start_waiter();
	udp = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	ctl(shared_ep, EPOLL_CTL_ADD, udp, EPOLLOUT, 3);
	join("ready socket, added while asleep", t);
	ctl(shared_ep, EPOLL_CTL_DEL, udp, 0, 0);
	t = start_waiter();
	ctl(shared_ep, EPOLL_CTL_MOD, fd, EPOLLOUT, 4);
	join("changed while asleep", t);
	ctl(shared_ep, EPOLL_CTL_DEL, fd, 0, 0);
	t = start_waiter();
	t2 = start_waiter();
	ctl(shared_ep, EPOLL_CTL_ADD, udp, EPOLLOUT, 5); /* level: wakes both */
	join("two", t);
	join("two", t2);
	ctl(shared_ep, EPOLL_CTL_DEL, udp, 0, 0);
	close(efd);
	ctl(shared_ep, EPOLL_CTL_ADD, fd, EPOLLIN, 6);
	t = start_waiter(); /* sockets only, then a kernel fd comes */
	efd = (int)MUST(eventfd(1, 0));
	ctl(shared_ep, EPOLL_CTL_ADD, efd, EPOLLIN, 7);
	join("eventfd, added while asleep", t);
	close(efd);
	close(udp);
	close(fd);
	close(shared_ep);
	peer("close 0");
}

/* Edge-triggered one-shots among several threads: each event goes to one. */
#define NUM_WORKERS 4
#define NUM_MESSAGES 200

static _Atomic int num_handled;

static void *worker(void *arg)
{
	struct epoll_event e;
	long got = 0;
	char c;

	while (num_handled < NUM_MESSAGES) {
		if (epoll_wait(shared_ep, &e, 1, 100) != 1)
			continue;
		while (recv(e.data.fd, &c, 1, MSG_DONTWAIT) == 1) {
			got++;
			num_handled++;
		}
		e.events = EPOLLIN | EPOLLET | EPOLLONESHOT;
		epoll_ctl(shared_ep, EPOLL_CTL_MOD, e.data.fd, &e);
	}
	return (void *)got;
}

static void workers(const struct t_fam *f)
{
	pthread_t t[NUM_WORKERS];
	int fds[8];
	long sum = 0;

	shared_ep = (int)MUST(epoll_create1(0));
	num_handled = 0;
	for (int i = 0; i < 8; i++) {
		struct epoll_event e = {.events = EPOLLIN | EPOLLET |
						  EPOLLONESHOT};

		fds[i] = t_connected(f, i);
		e.data.fd = fds[i];
		MUST(epoll_ctl(shared_ep, EPOLL_CTL_ADD, fds[i], &e));
	}
	for (int i = 0; i < NUM_WORKERS; i++)
		pthread_create(&t[i], NULL, worker, NULL);
	for (int i = 0; i < NUM_MESSAGES; i++)
		peer_quiet("send %d 1", i % 8);
	for (int i = 0; i < NUM_WORKERS; i++) {
		void *got;

		pthread_join(t[i], &got);
		sum += (long)got;
	}
	say("%ld messages, each once", sum);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	close(shared_ep);
	for (int i = 0; i < 8; i++)
		peer_quiet("close %d", i);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		fam = &t_fams[i];
		say("-- IPv%d", fam->n);
		kinds(fam);
		nested(fam);
		changed_while_waiting(fam);
		workers(fam);
	}
	return 0;
}
