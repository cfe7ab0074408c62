/* SPDX-License-Identifier: MIT
 *
 * contest.c - our congestion controls on simulated bottlenecks, in a table
 *
 *	sender 1 ---\
 *	   ...       >--- port: rate, buffer ---- delay ---- receiver
 *	sender 8 ---/
 *
 * Each sender is a host (a stack) of its own with ten times the rate of the
 * bottleneck. Time is virtual and everything is seeded: the table is the same
 * on every machine, until TCP changes. docs/contests.md is its snapshot.
 *
 * Around one path (no loss, a buffer of one bandwidth-delay product) one thing
 * is varied at a time. In the second part controls share a bottleneck.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "edge/netsim.h"
#include "edge/snapshot.h"
#include "transport/cc.h"

#define PORT 80
#define MAX_FLOWS 8
#define MAX_CELLS 2000
#define WIRE 1500 /* bytes of a full packet */
#define BUFFER_MAX (96u << 20)

/* --- the paths --- */

static const char *const names[] = {
#define X(id, name, ops) [CC_##id] = name,
	CC_ROWS(X)
#undef X
};

struct variant {
	const char *name;
	double buffer;	    /* in bandwidth-delay products */
	const char *impair; /* at the receiver; NULL: nothing */
	double mark;	    /* what finds more than so much is marked; 0: no */
	bool abe;
};

static const struct variant variants[] = {
	{"clean", 1, NULL},
	{"loss 0.1 %", 1, "in: loss 0.1%"},
	{"loss 1 %", 1, "in: loss 1%"},
	{"loss 3 %", 1, "in: loss 3%"},
	{"loss 10 %", 1, "in: loss 10%"},
	{"reordering", 1, "in: delay 2ms reorder 5% limit 100000"},
	{"ACK loss 20 %", 1, "out: loss 20%"},
	{"buffer 0.1 BDP", 0.1, NULL},
	{"buffer 0.3 BDP", 0.3, NULL},
	{"buffer 4 BDP", 4, NULL},
	{"ECN", 1, NULL, .mark = 0.2},
	{"ECN, ABE", 1, NULL, .mark = 0.2, .abe = true},
};

static const unsigned rates[] = {10, 1000}; /* Mbit/s */
static const unsigned rtts[] = {1, 20, 100, 300};
static const unsigned crowds[] = {1, 8};
static const double shares[] = {0.3, 1, 4}; /* buffers where controls share */

struct cell {
	unsigned rate, rtt, flows;
	const struct variant *v;
	double buffer;
	unsigned cc[2]; /* flows take turns; both the same: alone */
	bool is_quick;
};

struct outcome {
	bool is_known;
	double goodput, resent, median, p95, jain, share;
};

static struct {
	bool quick;
	int watch; /* milliseconds, 0: not */
	FILE *trace;
	unsigned jobs;
	int only;
	const char *write, *compare;
} opt = {.jobs = 1, .only = -1};

static struct cell cells[MAX_CELLS];
static unsigned num_cells;
static struct outcome *results; /* shared with the workers */

/* How long, in virtual time: slow start and some rounds after it. */
static nsec duration(const struct cell *c)
{
	nsec rtts_worth = (c->rate > 100 ? 60 : 100) * c->rtt * MSEC;

	return CLAMP(rtts_worth, (c->rate > 100 ? 2 : 10) * SEC,
		     (c->rate > 100 ? 10 : 30) * SEC);
}

/* --- one run --- */

static uint32_t queue_bytes(const struct cell *c, double bdps, double packets)
{
	double bdp = c->rate * 1e6 / 8 * c->rtt / 1e3;

	return (uint32_t)MAX(bdp * bdps, packets * WIRE);
}

static void add_hosts(struct netsim *ns, const struct cell *c)
{
	struct sysctl_values sysctl = sysctl_defaults;
	struct netsim_host_cfg cfg = {
		.sysctl = &sysctl,
		.delay = c->rtt * MSEC / 2,
		.rate = c->rate * 10000000ull,
	};
	char addr[32];

	sysctl.tcp_wmem_max = sysctl.tcp_rmem_max = BUFFER_MAX;
	for (unsigned i = 0; i < c->flows; i++) {
		snprintf(addr, sizeof(addr), "10.0.0.%u", i + 1);
		cfg.addr4 = addr;
		sysctl.tcp_congestion_control = c->cc[i % 2];
		sysctl.tcp_ecn = c->v->mark > 0 ? 1 : sysctl_defaults.tcp_ecn;
		sysctl.tcp_abe = c->v->abe;
		ASSERT(netsim_add_host(ns, &cfg) == (int)i);
	}
	cfg.addr4 = "10.0.0.100";
	cfg.rate = 0;
	cfg.in_rate = c->rate * 1000000ull;
	cfg.in_queue = queue_bytes(c, c->buffer, 4);
	if (c->v->mark > 0)
		cfg.in_mark = queue_bytes(c, c->v->mark, 2);
	cfg.impair = c->v->impair;
	ASSERT(netsim_add_host(ns, &cfg) == (int)c->flows);
}

static struct tcp_info info_of(struct netsim *ns, unsigned sender)
{
	struct tcp_info i = {0};
	socklen_t len = sizeof(i);

	for (unsigned k = 0; k < netsim_num_streams(ns); k++) {
		const struct netsim_stream *s = netsim_stream(ns, k);

		if (s->host == (int)sender && !s->is_closed)
			sock_getopt(netsim_stack(ns, s->host), s->s,
				    IPPROTO_TCP, TCP_INFO, &i, &len,
				    netsim_now(ns));
	}
	return i;
}

static double waited(const struct netsim_port *p, double share)
{
	double all = 0, sum = 0;

	for (unsigned i = 0; i < NETSIM_BINS; i++)
		all += p->waited[i];
	for (unsigned i = 0; i < NETSIM_BINS; i++) {
		sum += p->waited[i];
		if (sum >= share * all)
			return (double)i * NETSIM_BIN / MSEC;
	}
	return 0;
}

/* Jain: 1 when all have the same, 1/n when one has all. */
static double jain(const double v[], unsigned n)
{
	double sum = 0, squares = 0;

	for (unsigned i = 0; i < n; i++) {
		sum += v[i];
		squares += v[i] * v[i];
	}
	return squares > 0 ? sum * sum / (n * squares) : 0;
}

static bool is_open(void *ns)
{
	return netsim_stream(ns, 0)->is_open;
}

/* Flows begin one after another, each a little into the slow start of the one
 * before. The clock starts when the first is open, or a SYN-ACK that was lost
 * would be a second of all that follows. */
static nsec start(struct netsim *ns, const struct cell *c)
{
	struct netsim_stream_cfg sc = {.to_server = UINT64_MAX};
	nsec step = MAX(c->rtt * MSEC / 4, 10 * MSEC), begin;

	ASSERT(!netsim_listen(ns, (int)c->flows, "0.0.0.0", PORT, &sc));
	ASSERT(!netsim_connect(ns, 0, "10.0.0.100", PORT, &sc));
	netsim_run(ns, netsim_now(ns) + 60 * SEC, is_open, ns);
	begin = netsim_now(ns);
	for (unsigned i = 1; i < c->flows; i++) {
		netsim_run(ns, begin + i * step, NULL, NULL);
		ASSERT(!netsim_connect(ns, (int)i, "10.0.0.100", PORT, &sc));
	}
	return begin;
}

/* What the counters of each host say, and what was refused, for --cell. */
static void tell_counters(struct netsim *ns, unsigned num)
{
	for (int h = 0; h <= (int)num; h++) {
		const struct stats *st = stack_stats(netsim_stack(ns, h));

		for (unsigned i = 0; i < STAT_NUM; i++)
			if (st->v[i])
				fprintf(stderr, "%d %s %llu\n", h, stat_name(i),
					(unsigned long long)st->v[i]);
		for (unsigned i = 0; i < DROP_NUM; i++)
			if (st->drop[i])
				fprintf(stderr, "%d dropped: %s %llu\n", h,
					drop_name(i),
					(unsigned long long)st->drop[i]);
	}
}

/* --watch: what the first flow has, every so many milliseconds. */
static void run_until(struct netsim *ns, nsec until)
{
	while (opt.watch && netsim_now(ns) < until) {
		nsec at = netsim_now(ns) + opt.watch * MSEC;
		struct tcp_info t;

		netsim_run(ns, MIN(at, until), NULL, NULL);
		t = info_of(ns, 0);
		fprintf(stderr,
			"%.3f ca %u cwnd %u ssthresh %d out %u sacked %u "
			"lost %u resent %u unsent %u window %u rtt %u pace "
			"%llu rate %llu delivered %u sent %u\n",
			(double)netsim_now(ns) / (double)SEC, t.tcpi_ca_state,
			t.tcpi_snd_cwnd, (int)t.tcpi_snd_ssthresh,
			t.tcpi_unacked, t.tcpi_sacked, t.tcpi_lost,
			t.tcpi_total_retrans, t.tcpi_notsent_bytes,
			t.tcpi_snd_wnd, t.tcpi_rtt,
			(unsigned long long)t.tcpi_pacing_rate,
			(unsigned long long)t.tcpi_delivery_rate,
			t.tcpi_delivered, t.tcpi_data_segs_out);
	}
	netsim_run(ns, until, NULL, NULL);
}

static struct outcome run(const struct cell *c)
{
	struct netsim *ns = netsim_new(c->rate * 7919 + c->rtt, false);
	double half[MAX_FLOWS], first = 0, all = 0, bytes = 0, sent = 0;
	nsec begin, length = duration(c);
	struct outcome o = {.is_known = true};

	netsim_be_quick(ns);
	if (opt.trace)
		netsim_trace(ns, opt.trace);
	add_hosts(ns, c);
	begin = start(ns, c);
	run_until(ns, begin + length / 2);
	for (unsigned i = 0; i < c->flows; i++)
		half[i] = (double)info_of(ns, i).tcpi_bytes_acked;
	run_until(ns, begin + length);
	for (unsigned i = 0; i < c->flows; i++) {
		struct tcp_info t = info_of(ns, i);

		bytes += (double)t.tcpi_bytes_acked;
		sent += t.tcpi_data_segs_out;
		o.resent += t.tcpi_total_retrans;
		half[i] = (double)t.tcpi_bytes_acked - half[i];
		all += half[i];
		first += i % 2 ? 0 : half[i];
	}
	o.resent *= sent > 0 ? 100 / sent : 0;
	o.goodput = bytes * 8 * 1e3 / (double)length;
	o.share = all > 0 ? 100 * first / all : 0;
	o.jain = jain(half, c->flows);
	o.median = waited(netsim_port(ns, (int)c->flows), 0.5);
	o.p95 = waited(netsim_port(ns, (int)c->flows), 0.95);
	if (opt.only >= 0)
		tell_counters(ns, c->flows);
	netsim_free(ns);
	return o;
}

/* --- the grid --- */

static void add(unsigned rate, unsigned rtt, unsigned flows,
		const struct variant *v, double buffer, unsigned a, unsigned b,
		bool is_quick)
{
	ASSERT(num_cells < MAX_CELLS);
	cells[num_cells++] =
		(struct cell){rate, rtt, flows, v, buffer, {a, b}, is_quick};
}

/* Each control by itself; alternative backoff is for those that have one. */
static void add_controls(unsigned rate, unsigned flows, unsigned rtt,
			 const struct variant *v, bool is_quick)
{
	for (unsigned k = 0; k < CC_NUM; k++)
		if (!v->abe || k == CC_RENO || k == CC_CUBIC)
			add(rate, rtt, flows, v, v->buffer, k, k, is_quick);
}

static void add_alone(void)
{
	for (size_t r = 0; r < ARRAY_SIZE(rates); r++)
		for (size_t f = 0; f < ARRAY_SIZE(crowds); f++)
			for (size_t t = 0; t < ARRAY_SIZE(rtts); t++)
				for (size_t v = 0; v < ARRAY_SIZE(variants);
				     v++)
					add_controls(rates[r], crowds[f],
						     rtts[t], &variants[v],
						     r == 0 && t == 1);
}

static void add_pair(unsigned a, unsigned b)
{
	for (unsigned flows = 2; flows <= 8; flows += 6)
		for (size_t t = 1; t < ARRAY_SIZE(rtts) - 1; t++)
			for (size_t s = 0; s < ARRAY_SIZE(shares); s++)
				add(rates[0], rtts[t], flows, &variants[0],
				    shares[s], a, b, t == 1);
}

static void add_together(void)
{
	for (unsigned a = 0; a < CC_NUM; a++)
		for (unsigned b = a + 1; b < CC_NUM; b++)
			add_pair(a, b);
}

static bool is_wanted(unsigned i)
{
	if (opt.only >= 0)
		return i == (unsigned)opt.only;
	return !opt.quick || cells[i].is_quick;
}

/* Each worker takes every n-th of those that are wanted. */
static void run_share(unsigned worker)
{
	unsigned n = 0;

	for (unsigned i = 0; i < num_cells; i++)
		if (is_wanted(i) && n++ % opt.jobs == worker)
			results[i] = run(&cells[i]);
}

static int run_all(void)
{
	size_t size = sizeof(results[0]) * MAX_CELLS;
	int bad = 0, status;

	results = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(results != MAP_FAILED);
	for (unsigned w = 0; w < opt.jobs; w++) {
		pid_t pid = fork();

		ASSERT(pid >= 0);
		if (pid == 0) {
			run_share(w);
			fflush(NULL);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		bad |= status;
	return bad;
}

/* --- the table --- */

static const char head[] =
	"# Contests\n\n"
	"Our TCP against itself on simulated bottlenecks, written by `contest "
	"--write`; the same on every\nmachine. A buffer is given in "
	"bandwidth-delay products, one if not said, and holds four packets at\n"
	"least; loss and reordering (one packet in twenty arrives 2 ms before "
	"its turn) come after the\nbottleneck. With ECN what finds a fifth of "
	"a product waiting is marked, and all ask for marks. Flows\nstart one "
	"after another; a run takes 10 to 30 s of virtual time at 10 Mbit/s, 2 "
	"to 10 s at 1,000, from\nthe end of the first handshake. Goodput is "
	"what was acknowledged, slow start included; resent is in\npercent of "
	"all segments; the queue is the bottleneck's, in ms, as median and "
	"95th "
	"percentile of\npackets; Jain's index is that of the second half of "
	"the run. [contests-read.md](contests-read.md) says\nwhat of it is as "
	"it must be, and why.\n";

static void tell_alone(FILE *f, const struct cell *c, const struct outcome *o)
{
	fprintf(f, "| %u ms | %s | %s | %.4g | %.2f | %.1f / %.1f | ", c->rtt,
		c->v->name, names[c->cc[0]], o->goodput, o->resent, o->median,
		o->p95);
	fprintf(f, c->flows > 1 ? "%.2f |\n" : "|\n", o->jain);
}

static void tell_together(FILE *f, const struct cell *c,
			  const struct outcome *o)
{
	fprintf(f, "| %s, %s | %u | %u ms | %g | %.0f | %.4g | %.1f / %.1f |\n",
		names[c->cc[0]], names[c->cc[1]], c->flows, c->rtt, c->buffer,
		o->share, o->goodput, o->median, o->p95);
}

static void table(FILE *f)
{
	const struct cell *last = NULL;

	fputs(head, f);
	for (unsigned i = 0; i < num_cells; i++) {
		const struct cell *c = &cells[i];
		bool alone = c->cc[0] == c->cc[1];

		if (alone &&
		    (!last || last->rate != c->rate || last->flows != c->flows))
			fprintf(f,
				"\n## %u Mbit/s, %u flow%s\n\n"
				"| RTT | path | control | goodput, Mbit/s | "
				"resent, %% | queue, ms | Jain |\n"
				"|---:|---|---|---:|---:|---:|---:|\n",
				c->rate, c->flows, c->flows > 1 ? "s" : "");
		if (!alone && last->cc[0] == last->cc[1])
			fprintf(f,
				"\n## Side by side at %u Mbit/s\n\n"
				"Half of the flows use the first control: "
				"their share of what all got in the second "
				"half of the run.\n\n"
				"| controls | flows | RTT | buffer | share of "
				"the first, %% | goodput, Mbit/s | queue, ms "
				"|\n|---|---:|---:|---:|---:|---:|---:|\n",
				c->rate);
		last = c;
		if (!results[i].is_known)
			continue;
		(alone ? tell_alone : tell_together)(f, c, &results[i]);
	}
}

static int parse_args(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--quick") == 0) {
			opt.quick = true;
			continue;
		}
		if (!value)
			return -1;
		if (strcmp(argv[i], "--jobs") == 0)
			opt.jobs = (unsigned)CLAMP(atoi(value), 1, 64);
		else if (strcmp(argv[i], "--cell") == 0)
			opt.only = atoi(value);
		else if (strcmp(argv[i], "--watch") == 0)
			opt.watch = atoi(value);
		else if (strcmp(argv[i], "--trace") == 0)
			opt.trace = fopen(value, "w");
		else if (strcmp(argv[i], "--write") == 0)
			opt.write = value;
		else if (strcmp(argv[i], "--compare") == 0)
			opt.compare = value;
		else
			return -1;
		i++;
	}
	return opt.quick && opt.write ? -1 : 0;
}

int main(int argc, char **argv)
{
	FILE *f = stdout;

	if (parse_args(argc, argv)) {
		fprintf(stderr,
			"usage: %s [--jobs N] [--quick | --cell N [--watch MS] "
			"[--trace FILE]] [--compare FILE] | --write FILE\n",
			argv[0]);
		return 2;
	}
	add_alone();
	add_together();
	if (run_all()) {
		fprintf(stderr, "contest: a run died\n");
		return 1;
	}
	if (opt.write)
		f = fopen(opt.write, "w");
	else if (opt.compare)
		f = tmpfile();
	if (!f) {
		perror("contest");
		return 2;
	}
	table(f);
	return opt.compare && snapshot_compare(opt.compare, f) ? 1 : 0;
}
