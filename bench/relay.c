/* SPDX-License-Identifier: MIT
 *
 * relay.c - a bad network between two TUN devices, in real time
 *
 *	relay --seed 1 --ab 'loss 1%' --ab 'rate 10mbit limit 50' \
 *	      --ab 'delay 10ms' --ba 'delay 10ms' NS:DEV NS:DEV
 *
 * Each --ab (--ba) is a stage on the way from the first device to the second
 * (and back), in the words of impair.h; packets go through them in order. Rate
 * and delay belong into stages of their own: netem counts what is on its way
 * against its limit, a router's buffer does not. Each stage draws from numbers
 * of its own, so the n-th packet meets the same fate in every run with this
 * seed, whoever sends it.
 *
 * SIGTERM ends it, with a line for each direction: packets taken, lost by
 * chance, refused by a full queue, and the median and 95th percentile of how
 * long one was on its way, in milliseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "edge/tun.h"
#include "link/impair.h"

#define MAX_STAGES 4
#define ARENA_MAX ((size_t)256 << 20)
#define BINS 10000 /* of 100 us each */
#define BIN (100 * USEC)
#define BATCH 64

struct way {
	struct impair *stages[MAX_STAGES];
	unsigned num;
	struct tun *from, *to;
	uint64_t taken, lost, refused;
	uint32_t bins[BINS];
};

static struct core core;
static volatile sig_atomic_t is_over;

static void on_term(int sig)
{
	is_over = 1;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "relay: %s: %s\n", what, why);
	exit(1);
}

static nsec now_is(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SEC + ts.tv_nsec;
}

/* --- making --- */

static void init_core(uint64_t seed)
{
	uint8_t bytes[32] = {0};

	memcpy(bytes, &seed, sizeof(seed));
	core.arena = arena_new_malloc(ARENA_MAX);
	if (!core.arena)
		die("arena", "no memory");
	rng_init(&core.rng, bytes, 0);
	rng_key(&core.rng, &core.hash_key);
}

static void add_stage(struct way *w, const char *text, uint32_t purpose)
{
	struct impair_cfg in, out;
	bool has_in, has_out;
	const char *bad;

	if (w->num == MAX_STAGES)
		die(text, "too many stages");
	if (impair_parse(text, &in, &has_in, &out, &has_out, &bad))
		die("not understood", bad);
	w->stages[w->num] = impair_new(&core, &in, purpose + w->num);
	if (!w->stages[w->num++])
		die(text, "no memory");
}

/* "NS:DEV", a namespace as ip-netns(8) names it; it must be there already. */
static void open_in(struct tun *t, const char *spec)
{
	char path[256], why[256];
	const char *colon = strchr(spec, ':');
	struct tun_cfg cfg = {.name = colon ? colon + 1 : ""};
	int fd;

	if (!colon)
		die(spec, "NAMESPACE:DEVICE expected");
	snprintf(path, sizeof(path), "/run/netns/%.*s", (int)(colon - spec),
		 spec);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path, strerror(errno));
	close(fd);
	if (tun_open(t, &cfg, why, sizeof(why)))
		die(spec, why);
}

/* --- packets --- */

static struct pkt *read_one(struct way *w)
{
	struct frame *f = frame_new(core.arena, FRAME_SMALL);
	struct pkt *p;
	int n;

	if (!f)
		return NULL;
	n = tun_read(w->from, f);
	p = n > 0 ? pkt_new(core.arena) : NULL;
	if (p)
		pkt_add(p, &f->b, f->data, f->len);
	frame_put(core.arena, f); /* @p holds it */
	return p;
}

static void free_lost(struct way *w, struct impair *im)
{
	struct pkt *p;

	while ((p = impair_take_lost(im)))
		pkt_free(core.arena, p);
}

static void write_one(struct way *w, struct pkt *p, nsec now)
{
	uint8_t bytes[FRAME_SMALL];
	struct txv x = {.f = {.data = bytes, .len = p->len}, .num_v = 1};
	nsec took = now - (nsec)p->cookie;

	pkt_copy_out(p, bytes);
	x.v[0] = (struct iovec){bytes, p->len};
	tun_write(w->to, &x);
	w->bins[CLAMP(took / BIN, 0, BINS - 1)]++;
	pkt_free(core.arena, p);
}

static void put(struct way *w, unsigned stage, struct pkt *p, nsec now)
{
	uint64_t loss = core.stats.drop[DROP_IMPAIR_LOSS];
	uint64_t full = core.stats.drop[DROP_IMPAIR_LIMIT];

	impair_put(w->stages[stage], p, now);
	w->lost += core.stats.drop[DROP_IMPAIR_LOSS] - loss;
	w->refused += core.stats.drop[DROP_IMPAIR_LIMIT] - full;
	free_lost(w, w->stages[stage]);
}

/* A late wake-up must not make the network slower than it is said to be: what
 * leaves a stage enters the next at the time that it was due. */
static void pass(struct way *w, nsec now)
{
	for (unsigned i = 0; i < w->num; i++) {
		nsec due;
		struct pkt *p;

		while ((due = impair_next_at(w->stages[i])) <= now) {
			p = impair_take(w->stages[i], now);
			if (i + 1 < w->num)
				put(w, i + 1, p, due ? due : now);
			else
				write_one(w, p, now);
		}
	}
}

static bool take(struct way *w)
{
	struct pkt *p = NULL;

	for (unsigned i = 0; i < BATCH; i++) {
		nsec now;

		p = read_one(w);
		if (!p)
			return false;
		now = now_is();
		pass(w, now);
		p->cookie = (uint64_t)now;
		w->taken++;
		if (w->num)
			put(w, 0, p, now);
		else
			write_one(w, p, now);
	}
	return true;
}

static nsec next_at(const struct way *w)
{
	nsec at = TIME_NEVER;

	for (unsigned i = 0; i < w->num; i++)
		at = MIN(at, impair_next_at(w->stages[i]));
	return at;
}

static void run(struct way w[2], const sigset_t *mask)
{
	struct pollfd fds[2] = {{w[0].from->fd, POLLIN, 0},
				{w[1].from->fd, POLLIN, 0}};

	while (!is_over) {
		nsec at = MIN(next_at(&w[0]), next_at(&w[1]));
		nsec now = now_is(), wait = CLAMP(at - now, 0, SEC);
		struct timespec ts = {wait / SEC, wait % SEC};

		if (ppoll(fds, 2, &ts, mask) < 0 && errno != EINTR)
			die("ppoll", strerror(errno));
		while ((int)take(&w[0]) | (int)take(&w[1]))
			;
		pass(&w[0], now_is());
		pass(&w[1], now_is());
	}
}

/* --- the end --- */

static double percentile(const struct way *w, double share)
{
	uint64_t all = 0, sum = 0;

	for (unsigned i = 0; i < BINS; i++)
		all += w->bins[i];
	for (unsigned i = 0; i < BINS; i++) {
		sum += w->bins[i];
		if (all && (double)sum >= share * (double)all)
			return (i + 0.5) * BIN / MSEC;
	}
	return 0;
}

static void tell(const char *name, const struct way *w)
{
	printf("%s taken %llu lost %llu refused %llu median %.1f p95 %.1f\n",
	       name, (unsigned long long)w->taken, (unsigned long long)w->lost,
	       (unsigned long long)w->refused, percentile(w, 0.5),
	       percentile(w, 0.95));
}

static int usage(void)
{
	fprintf(stderr, "usage: relay [--seed N] [--ab STAGE]... "
			"[--ba STAGE]... NS:DEV NS:DEV\n");
	return 2;
}

int main(int argc, char **argv)
{
	static struct way w[2];
	static struct tun tun[2];
	struct sigaction sa = {.sa_handler = on_term};
	sigset_t mask, block;
	int i = 1;

	if (argc > 2 && strcmp(argv[1], "--seed") == 0)
		i = 3;
	init_core(i == 3 ? strtoull(argv[2], NULL, 0) : 1);
	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		bool is_ab = strcmp(argv[i], "--ab") == 0;

		if (!is_ab && strcmp(argv[i], "--ba") != 0)
			return usage();
		add_stage(&w[!is_ab], argv[i + 1], is_ab ? 0 : 100);
	}
	if (i + 2 != argc)
		return usage();
	open_in(&tun[0], argv[i]);
	open_in(&tun[1], argv[i + 1]);
	w[0].from = w[1].to = &tun[0];
	w[0].to = w[1].from = &tun[1];
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &mask);
	sigaction(SIGTERM, &sa, NULL);
	prctl(PR_SET_TIMERSLACK, 1000);
	setpriority(PRIO_PROCESS, 0, -15); /* if we may */
	printf("ready\n");
	fflush(stdout);
	run(w, &mask);
	tell("ab", &w[0]);
	tell("ba", &w[1]);
	return 0;
}
