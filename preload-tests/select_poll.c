/* SPDX-License-Identifier: MIT
 *
 * select_poll.c - select and poll over sockets, pipes, bad numbers, timeouts
 */
#include "t.h"
#include <sys/select.h>

static void say_sets(int n, const fd_set *r, const fd_set *w, const fd_set *x)
{
	for (int fd = 0; fd < n; fd++)
		if (FD_ISSET(fd, r) || FD_ISSET(fd, w) || FD_ISSET(fd, x))
			say("  fd %d:%s%s%s", fd, FD_ISSET(fd, r) ? " r" : "",
			    FD_ISSET(fd, w) ? " w" : "",
			    FD_ISSET(fd, x) ? " x" : "");
}

/* All three sets with @num numbers; timeout of @ms. */
static void try_select(const char *label, const int *fds, int num, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	fd_set r, w, x;
	int max = 0, ret;

	FD_ZERO(&r);
	for (int i = 0; i < num; i++) {
		FD_SET(fds[i], &r);
		max = fds[i] > max ? fds[i] : max;
	}
	w = x = r;
	ret = select(max + 1, &r, &w, &x, ms < 0 ? NULL : &tv);
	say("%s: select %d %s", label, ret, ret < 0 ? t_err(errno) : "");
	if (ret >= 0)
		say_sets(max + 1, &r, &w, &x);
}

static void selecting(const struct t_fam *f)
{
	int fd = t_connected(f, 0), p[2], closed;
	int v[3];
	char c;

	MUST(pipe(p));
	v[0] = fd;
	v[1] = p[0];
	v[2] = p[1];
	try_select("idle", v, 3, -1);
	MUST(write(p[1], "x", 1));
	try_select("pipe", v, 3, -1);
	peer("send 0 1");
	t_settle(fd, POLLIN);
	try_select("both", v, 3, -1);
	MUST(read(p[0], &c, 1));
	try_select("socket", v, 3, -1);
	try_select("socket, now", v, 1, 0);
	peer("oob 0 65");
	t_settle(fd, POLLPRI);
	try_select("urgent", v, 1, -1);
	CALL(recv(fd, &c, 1, MSG_OOB));
	peer("close 0");
	t_settle(fd, POLLRDHUP);
	try_select("ended", v, 1, -1);
	closed = (int)MUST(dup(fd));
	close(closed);
	v[1] = closed;
	try_select("bad number", v, 2, 0);
	v[0] = p[0];
	try_select("bad number, no socket", v, 2, 0);
	close(p[0]);
	close(p[1]);
	close(fd);
}

/* A wait that is woken by either kind. */
static void *wake_by_pipe(void *arg)
{
	const int *p = arg;

	peer_quiet("flushed 0"); /* any command: takes a moment */
	MUST(write(p[1], "x", 1));
	return NULL;
}

static void *wake_by_peer(void *arg)
{
	peer_quiet("send 0 3");
	return NULL;
}

static void mixed_waits(const struct t_fam *f)
{
	int fd = t_connected(f, 0), p[2];
	struct pollfd v[3];
	pthread_t t;
	char buf[8];
	fd_set r;

	MUST(pipe(p));
	for (int i = 0; i < 3; i++)
		v[i] = (struct pollfd){.events = POLLIN};
	v[0].fd = fd;
	v[1].fd = p[0];
	v[2].fd = -5;
	pthread_create(&t, NULL, wake_by_pipe, p);
	CALL(poll(v, 3, -1));
	say("%s, %s, %s", t_mask((unsigned)v[0].revents),
	    t_mask((unsigned)v[1].revents), t_mask((unsigned)v[2].revents));
	pthread_join(t, NULL);
	MUST(read(p[0], buf, 1));
	pthread_create(&t, NULL, wake_by_peer, NULL);
	CALL(poll(v, 3, -1));
	say("%s, %s", t_mask((unsigned)v[0].revents),
	    t_mask((unsigned)v[1].revents));
	pthread_join(t, NULL);
	MUST(recv(fd, buf, 3, 0));
	pthread_create(&t, NULL, wake_by_peer, NULL);
	FD_ZERO(&r);
	FD_SET(fd, &r);
	FD_SET(p[0], &r);
	CALL(select((fd > p[0] ? fd : p[0]) + 1, &r, NULL, NULL, NULL));
	say("socket %d pipe %d", FD_ISSET(fd, &r), FD_ISSET(p[0], &r));
	pthread_join(t, NULL);
	MUST(recv(fd, buf, 3, 0));
	close(p[0]);
	close(p[1]);
	close(fd);
	peer("close 0");
}

static void timeouts(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN, .revents = -1};
	struct timespec ts = {0, 50000000};
	struct timeval tv = {0, 50000};
	int64_t t0 = t_now_ms();
	fd_set r;

	CALL(poll(&p, 1, 50));
	say("%s, waited %d", t_mask((unsigned)p.revents),
	    t_now_ms() - t0 >= 50);
	t0 = t_now_ms();
	CALL(ppoll(&p, 1, &ts, NULL));
	say("waited %d, left %ld", t_now_ms() - t0 >= 50, ts.tv_nsec);
	t0 = t_now_ms();
	FD_ZERO(&r);
	FD_SET(fd, &r);
	CALL(select(fd + 1, &r, NULL, NULL, &tv));
	say("waited %d, left %ld.%ld, set %d", t_now_ms() - t0 >= 50,
	    (long)tv.tv_sec, (long)tv.tv_usec, FD_ISSET(fd, &r));
	t0 = t_now_ms();
	FD_SET(fd, &r);
	CALL(pselect(fd + 1, &r, NULL, NULL, &ts, NULL));
	say("waited %d, left %ld", t_now_ms() - t0 >= 50, ts.tv_nsec);
	/* what is left when it is ready at once */
	peer("send 0 1");
	t_settle(fd, POLLIN);
	tv = (struct timeval){100, 0};
	FD_SET(fd, &r);
	CALL(select(fd + 1, &r, NULL, NULL, &tv));
	say("left %s",
	    tv.tv_sec >= 95 && tv.tv_sec <= 100 ? "nearly all" : "too little");
	ts = (struct timespec){0, 1000000000};
	CALL(ppoll(&p, 1, &ts, NULL));
	ts = (struct timespec){-1, 0};
	CALL(ppoll(&p, 1, &ts, NULL));
	tv = (struct timeval){-1, 0};
	FD_SET(fd, &r);
	CALL(select(fd + 1, &r, NULL, NULL, &tv));
	CALL(select(-1, &r, NULL, NULL, NULL));
	close(fd);
	peer("close 0");
}

/* More than fits anywhere on a stack, both kinds, the same number twice. */
static void many(const struct t_fam *f)
{
	static struct pollfd v[300];
	int fds[100], n = 0, lfd = t_listener(f, 8), p[2];

	MUST(pipe(p));
	for (; n < 100; n++)
		fds[n] = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	for (int i = 0; i < 300; i++)
		v[i] = (struct pollfd){.fd = i % 3 == 0	  ? fds[i / 3]
					     : i % 3 == 1 ? p[i % 2]
							  : lfd,
				       .events = POLLIN | POLLOUT};
	CALL(poll(v, 300, -1));
	for (int i = 0; i < 300; i += 100)
		say("%s %s %s", t_mask((unsigned)v[i].revents),
		    t_mask((unsigned)v[i + 1].revents),
		    t_mask((unsigned)v[i + 2].revents));
	for (int i = 0; i < n; i++)
		close(fds[i]);
	for (int i = 0; i < 300; i++)
		v[i].events = POLLIN;
	CALL(poll(v, 300, -1));
	say("%s %s %s", t_mask((unsigned)v[0].revents),
	    t_mask((unsigned)v[1].revents), t_mask((unsigned)v[2].revents));
	close(lfd);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		selecting(&t_fams[i]);
		mixed_waits(&t_fams[i]);
		timeouts(&t_fams[i]);
		many(&t_fams[i]);
	}
	return 0;
}
