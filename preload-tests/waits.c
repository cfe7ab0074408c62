/* SPDX-License-Identifier: MIT
 *
 * waits.c - poll and select at their edges: no fds, many, high and bad ones,
 * timeouts of every kind, what is left of them
 */
#include "t.h"
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>

static volatile int minus_one = -1; /* hidden from the compiler's checks */

static void no_fds(void)
{
	struct timespec ts = {0, 30000000};
	struct timeval tv = {0, 30000};
	int64_t t0 = t_now_ms();
	fd_set none;

	CALL(poll(NULL, 0, 0));
	CALL(poll(NULL, 0, 30));
	CALL(ppoll(NULL, 0, &ts, NULL));
	CALL(select(0, NULL, NULL, NULL, &tv));
	say("left %ld.%06ld", (long)tv.tv_sec, (long)tv.tv_usec);
	CALL(pselect(0, NULL, NULL, NULL, &ts, NULL));
	FD_ZERO(&none);
	tv = (struct timeval){0, 0};
	CALL(select(FD_SETSIZE, &none, NULL, NULL, &tv));
	say("waited %d", t_now_ms() - t0 >= 120);
}

static void timeouts(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	struct pollfd p[2] = {{.fd = fd, .events = POLLOUT},
			      {.fd = fd, .events = POLLIN}};
	struct timespec ts;
	struct timeval tv;
	fd_set r, w;

	/* ready at once, whatever the timeout */
	static const int ms[] = {-1, -77, INT_MIN, INT_MAX, 0};
	for (size_t i = 0; i < sizeof(ms) / sizeof(*ms); i++)
		CALL(poll(p, 1, ms[i]));
	static const struct timespec t[] = {{LONG_MAX, 999999999},
					    {LONG_MAX, 0},
					    {INT_MAX, 999999999},
					    {0, 1},
					    {0, 1000000000},
					    {0, -1},
					    {-1, 0},
					    {LONG_MIN, 0}};
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		CALL(ppoll(p, 1, &t[i], NULL));
		FD_ZERO(&w);
		FD_SET(fd, &w);
		CALL(pselect(fd + 1, NULL, &w, NULL, &t[i], NULL));
		say("set %d", FD_ISSET(fd, &w) ? 1 : 0);
	}
	static const struct timeval v[] = {{LONG_MAX, 999999},
					   {LONG_MAX, LONG_MAX},
					   {0, 5000000},
					   {0, -1},
					   {-1, 0},
					   {1, 1999999}};
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		tv = v[i];
		FD_ZERO(&w);
		FD_SET(fd, &w);
		CALL(select(fd + 1, NULL, &w, NULL, &tv));
		if (i == 2 || i == 5)
			say("left %s",
			    tv.tv_sec * 1000000 + tv.tv_usec > 1500000
				    ? "most"
				    : "too little");
		else if (i >= 3)
			say("left %ld.%ld", (long)tv.tv_sec, (long)tv.tv_usec);
	}
	/* not ready: short ones */
	CALL(poll(&p[1], 1, 1));
	ts = (struct timespec){0, 1};
	CALL(ppoll(&p[1], 1, &ts, NULL));
	say("libc keeps the program's %ld", ts.tv_nsec);
	ts = (struct timespec){0, 20000000};
	FD_ZERO(&r);
	FD_SET(fd, &r);
	CALL(pselect(fd + 1, &r, NULL, NULL, &ts, NULL));
	say("libc keeps the program's %ld, set %d", ts.tv_nsec,
	    FD_ISSET(fd, &r) ? 1 : 0);
	ts = (struct timespec){10, 0};
	CALL(syscall(SYS_ppoll, p, 1, &ts, NULL, 8));
	say("the kernel writes %s",
	    ts.tv_sec == 9 ? "what is left" : "nothing");
	close(fd);
	peer("close 0");
}

/* The same number often, bad ones between, events that nobody knows. */
static void odd_fds(const struct t_fam *f)
{
	int fd = t_connected(f, 0), gone = (int)MUST(dup(fd));
	struct pollfd v[7] = {{fd, POLLOUT, 1},	 {-1, POLLIN, 1},
			      {gone, POLLIN, 1}, {fd, 0, 1},
			      {fd, POLLOUT, 1},	 {INT_MAX, POLLIN, 1},
			      {fd, 0x7fff, 1}};
	struct pollfd many[41];
	struct rlimit lim, small;

	close(gone);
	CALL(poll(v, 7, 0));
	for (int i = 0; i < 7; i++)
		say("%d: %s", i, t_mask((unsigned short)v[i].revents));
	CALL(poll(v, 7, -1));
	v[0].fd = -1;
	v[2].fd = v[3].fd = v[4].fd = v[5].fd = v[6].fd = -1 - fd;
	CALL(poll(v, 7, 5));
	MUST(getrlimit(RLIMIT_NOFILE, &lim));
	small = lim;
	small.rlim_cur = 40;
	v[0] = (struct pollfd){fd, POLLOUT, 0};
	MUST(setrlimit(RLIMIT_NOFILE, &small));
	for (int i = 0; i < 41; i++)
		many[i] = v[0];
	CALL(poll(many, 41, 0));
	CALL(poll(many, 40, 0));
	MUST(setrlimit(RLIMIT_NOFILE, &lim));
	CALL(poll(v, (nfds_t)minus_one, 0));
	close(fd);
	peer("close 0");
}

/* Numbers past FD_SETSIZE, in sets that are large enough. */
#define LARGE 4096

static void high_fds(const struct t_fam *f)
{
	int fd = t_connected(f, 0), high;
	struct timeval now = {0, 0};
	struct rlimit lim;
	unsigned long *r = calloc(LARGE / 8, 2), *w = r + LARGE / 64;

	MUST(getrlimit(RLIMIT_NOFILE, &lim));
	if (lim.rlim_cur < LARGE) {
		lim.rlim_cur = LARGE;
		MUST(setrlimit(RLIMIT_NOFILE, &lim));
	}
	high = (int)MUST(fcntl(fd, F_DUPFD, 3000));
	say("high %d", high >= 3000);
	r[high / 64] |= 1ul << (high % 64);
	w[high / 64] |= 1ul << (high % 64);
	CALL(select(high + 1, (fd_set *)r, (fd_set *)w, NULL, &now));
	say("readable %d writable %d", r[high / 64] != 0, w[high / 64] != 0);
	w[high / 64] |= 1ul << (high % 64);
	CALL(select(high, NULL, (fd_set *)w, NULL, &now));
	say("not looked at: bit %d", w[high / 64] != 0);
	/* more than there can be: what is open counts */
	CALL(select(LARGE, NULL, (fd_set *)w, NULL, &now));
	say("bit %d", w[high / 64] != 0);
	memset(r, 0, LARGE / 4);
	r[3500 / 64] |= 1ul << (3500 % 64); /* nobody's */
	CALL(select(3501, (fd_set *)r, NULL, NULL, &now));
	CALL(select(minus_one, (fd_set *)r, NULL, NULL, &now));
	close(high);
	close(fd);
	free(r);
	peer("close 0");
}

/* All three sets are one. */
static void same_set(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	struct timeval now = {0, 0};
	fd_set s, *volatile same = &s; /* hidden from the compiler's checks */

	FD_ZERO(&s);
	FD_SET(fd, &s);
	CALL(select(fd + 1, &s, same, same, &now));
	say("set %d", FD_ISSET(fd, &s) ? 1 : 0);
	FD_SET(fd, &s);
	CALL(select(fd + 1, &s, NULL, NULL, &now));
	say("set %d", FD_ISSET(fd, &s) ? 1 : 0);
	close(fd);
	peer("close 0");
}

int main(void)
{
	t_init();
	no_fds();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		timeouts(&t_fams[i]);
		odd_fds(&t_fams[i]);
		high_fds(&t_fams[i]);
		same_set(&t_fams[i]);
		no_fds();
	}
	return 0;
}
