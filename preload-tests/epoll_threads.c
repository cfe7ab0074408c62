/* SPDX-License-Identifier: MIT
 *
 * epoll_threads.c - several threads in epoll_wait: who is woken by what, and
 * what happens when numbers are closed meanwhile
 */
#include "t.h"
#include <sys/eventfd.h>
#include <sys/syscall.h>

#define NUM_THREADS 4
#define QUIT 99

struct waiting {
	pthread_t t;
	int ep, most;
	volatile pid_t tid;
	long got; /* data of the event, or -errno */
	volatile bool is_back;
};

static void ctl(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events};

	e.data.u64 = data;
	MUST(epoll_ctl(ep, op, fd, &e));
}

static void *wait_main(void *arg)
{
	struct waiting *w = arg;
	struct epoll_event v[8];
	int n;

	w->tid = (pid_t)syscall(SYS_gettid);
	n = epoll_wait(w->ep, v, w->most, T_PATIENCE);
	w->got = n > 0 ? (long)v[0].data.u64 : n < 0 ? -errno : 0;
	w->is_back = true;
	return NULL;
}

/* Every thread of @v sleeps, or is back, and it stays so. */
static void settle(struct waiting *v, int n)
{
	int seen = 0;

	for (int i = 0; i < T_PATIENCE && seen < 5; i++) {
		bool all = true;

		for (int k = 0; k < n; k++)
			all &= v[k].is_back || (v[k].tid && t_sleeps(v[k].tid));
		seen = all ? seen + 1 : 0;
		poll(NULL, 0, 1);
	}
}

static void start(struct waiting *v, int n, int ep, int most)
{
	for (int i = 0; i < n; i++) {
		v[i] = (struct waiting){.ep = ep, .most = most};
		if (pthread_create(&v[i].t, NULL, wait_main, &v[i]))
			t_die("pthread_create");
	}
	settle(v, n);
}

static int count_back(struct waiting *v, int n)
{
	int num = 0;

	for (int i = 0; i < n; i++)
		num += v[i].is_back;
	return num;
}

/* Lets the others go and says who got what. */
static void finish(const char *label, struct waiting *v, int n, int quit)
{
	uint64_t one = 1;
	int num[QUIT + 1] = {0}, other = 0;

	settle(v, n);
	say("%s: %d came back", label, count_back(v, n));
	MUST(write(quit, &one, 8));
	for (int i = 0; i < n; i++) {
		pthread_join(v[i].t, NULL);
		if (v[i].got >= 0 && v[i].got <= QUIT)
			num[v[i].got]++;
		else
			other++;
	}
	MUST(read(quit, &one, 8));
	for (int i = 0; i <= QUIT; i++)
		if (num[i])
			say("  %d with %d", num[i], i);
	if (other)
		say("  %d with errors", other);
}

static void one_each(const struct t_fam *f)
{
	static const uint32_t how[] = {EPOLLET, EPOLLONESHOT,
				       EPOLLET | EPOLLONESHOT};
	int ep = (int)MUST(epoll_create1(0)), quit = (int)MUST(eventfd(0, 0));
	int fds[3];
	struct waiting v[NUM_THREADS];
	char buf[8];

	ctl(ep, EPOLL_CTL_ADD, quit, EPOLLIN, QUIT);
	for (int i = 0; i < 3; i++) {
		fds[i] = t_connected(f, i);
		ctl(ep, EPOLL_CTL_ADD, fds[i], EPOLLIN | EPOLLET,
		    (uint64_t)i + 1);
	}
	for (size_t k = 0; k < sizeof(how) / sizeof(*how); k++) {
		for (int i = 0; i < 3; i++)
			ctl(ep, EPOLL_CTL_MOD, fds[i], EPOLLIN | how[k],
			    (uint64_t)i + 1);
		start(v, NUM_THREADS, ep, 1);
		peer("send 0 1");
		finish("one event", v, NUM_THREADS, quit);
		MUST(recv(fds[0], buf, sizeof(buf), 0));
		for (int i = 0; i < 3; i++)
			ctl(ep, EPOLL_CTL_MOD, fds[i], EPOLLIN | how[k],
			    (uint64_t)i + 1);
		start(v, NUM_THREADS, ep, 1);
		peer("send 0 1");
		peer("send 1 1");
		peer("send 2 1");
		finish("three events", v, NUM_THREADS, quit);
		for (int i = 0; i < 3; i++)
			MUST(recv(fds[i], buf, sizeof(buf), 0));
	}
	for (int i = 0; i < 3; i++) {
		close(fds[i]);
		peer_quiet("close %d", i);
	}
	close(quit);
	close(ep);
}

/* Each thread has a set of its own on one listener. */
static void exclusive(const struct t_fam *f)
{
	struct waiting v[NUM_THREADS];
	int lfd = t_listener(f, 8), quit = (int)MUST(eventfd(0, 0));
	int port = t_local_port(lfd), eps[NUM_THREADS];

	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < NUM_THREADS; i++) {
			eps[i] = (int)MUST(epoll_create1(0));
			ctl(eps[i], EPOLL_CTL_ADD, lfd,
			    EPOLLIN | (k ? 0u : EPOLLEXCLUSIVE), 1);
			ctl(eps[i], EPOLL_CTL_ADD, quit, EPOLLIN, QUIT);
			start(&v[i], 1, eps[i], 1);
		}
		peer_quiet("connect %d %d %d", k, f->n, port);
		finish(k ? "all" : "exclusive", v, NUM_THREADS, quit);
		close((int)MUST(accept(lfd, NULL, NULL)));
		for (int i = 0; i < NUM_THREADS; i++)
			close(eps[i]);
		peer_quiet("close %d", k);
	}
	close(lfd);
	close(quit);
}

/* The wait goes on with the set, whatever becomes of its number. */
static void number_goes(const struct t_fam *f)
{
	struct waiting v[2];
	uint64_t one = 1;
	char c;

	for (int k = 0; k < 5; k++) {
		static const char *how[] = {"closed", "closed, a copy is left",
					    "replaced", "closed, sockets only",
					    "closed, the kernel's event"};
		int ep = (int)MUST(epoll_create1(0)), fd = t_connected(f, 0);
		int efd = (int)MUST(eventfd(0, 0)), copy = -1;

		ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
		if (k != 3)
			ctl(ep, EPOLL_CTL_ADD, efd, EPOLLIN, 2);
		if (k == 1)
			copy = (int)MUST(dup(ep));
		start(v, 1, ep, 8);
		if (k == 2)
			MUST(dup2(efd, ep));
		else
			MUST(close(ep));
		settle(v, 1);
		say("%s: back %d", how[k], v[0].is_back);
		if (k == 4)
			MUST(write(efd, &one, 8));
		else
			peer("send 0 1");
		pthread_join(v[0].t, NULL);
		say("%s: %ld", how[k], v[0].got);
		if (k != 4)
			MUST(recv(fd, &c, 1, 0));
		if (copy >= 0) {
			struct epoll_event e;

			peer("send 0 1");
			say("the copy works: %d",
			    epoll_wait(copy, &e, 1, T_PATIENCE));
			close(copy);
		}
		if (k == 2)
			close(ep);
		close(efd);
		close(fd);
		peer("close 0");
	}
}

/* Sockets come and go while threads wait. */
static void members_go(const struct t_fam *f)
{
	int ep = (int)MUST(epoll_create1(0)), quit = (int)MUST(eventfd(0, 0));
	int fd = t_connected(f, 0), fd2 = t_connected(f, 1), copy;
	struct waiting v[2];

	ctl(ep, EPOLL_CTL_ADD, quit, EPOLLIN, QUIT);
	ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	ctl(ep, EPOLL_CTL_ADD, fd2, EPOLLIN, 2);
	start(v, 1, ep, 1);
	ctl(ep, EPOLL_CTL_DEL, fd, 0, 0);
	peer("send 0 1");
	t_settle(fd, POLLIN);
	finish("taken out", v, 1, quit);
	start(v, 1, ep, 1);
	MUST(close(fd2));
	finish("closed", v, 1, quit);
	copy = (int)MUST(dup(fd));
	ctl(ep, EPOLL_CTL_ADD, copy, EPOLLRDHUP, 3);
	start(v, 2, ep, 1);
	MUST(close(copy)); /* fd still names it */
	peer("shut 0 1");
	t_settle(fd, POLLRDHUP);
	finish("closed, a copy is left", v, 1, quit);
	pthread_join(v[1].t, NULL);
	close(fd);
	start(v, 2, ep, 1);
	finish("all closed", v, 2, quit);
	close(quit);
	close(ep);
	peer("close 0");
	peer("close 1");
}

/* Readers by poll and epoll of several sets on one socket: all hear. */
static void all_hear(const struct t_fam *f)
{
	int fd = t_connected(f, 0), quit = (int)MUST(eventfd(0, 0));
	int outer = (int)MUST(epoll_create1(0)), eps[3];
	struct waiting v[4];
	char c;

	for (int i = 0; i < 3; i++) {
		eps[i] = (int)MUST(epoll_create1(0));
		ctl(eps[i], EPOLL_CTL_ADD, fd, EPOLLIN | (i ? EPOLLET : 0u),
		    (uint64_t)i + 1);
		start(&v[i], 1, eps[i], 1);
	}
	ctl(outer, EPOLL_CTL_ADD, eps[2], EPOLLIN, 4);
	start(&v[3], 1, outer, 1);
	peer("send 0 1");
	settle(v, 3); /* the outer one may find that the inner was quicker */
	say("%d came back", count_back(v, 3));
	MUST(recv(fd, &c, 1, 0));
	peer("send 0 1");
	for (int i = 0; i < 4; i++) {
		pthread_join(v[i].t, NULL);
		say("set %d: %ld", i, v[i].got);
	}
	for (int i = 0; i < 3; i++)
		close(eps[i]);
	close(outer);
	close(quit);
	close(fd);
	peer("close 0");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		one_each(&t_fams[i]);
		exclusive(&t_fams[i]);
		number_goes(&t_fams[i]);
		members_go(&t_fams[i]);
		all_hear(&t_fams[i]);
	}
	return 0;
}
