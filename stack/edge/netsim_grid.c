/* SPDX-License-Identifier: MIT
 *
 * netsim_grid.c - two stacks against every mix of a bad network
 *
 * Bytes both ways at once over loss, reordering, duplication, corruption, round
 * trip and socket buffer; each byte compared, every timer and every byte of
 * memory accounted for afterwards, each cell run twice for the same packets.
 * Prints a table of throughput in virtual time, which is the same on every
 * machine: docs/netsim-table.md is its snapshot.
 *
 *	netsim_grid [--quick] [--seed N] [--bytes N] [--cell N] [--trace]
 *		    [--cc NAME] [--write FILE | --compare FILE]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "edge/netsim.h"
#include "edge/snapshot.h"

#define RATE 100000000u /* bits a second of each way */
#define QUEUE (1u << 20)
#define PORT 5001
#define LIMIT (24 * 3600 * SEC) /* of virtual time */

static const double losses[] = {0, 1, 5, 20};		  /* percent */
static const int rtts[] = {0, 10, 200};			  /* ms */
static const uint32_t buffers[] = {8192, 65536, 1 << 20}; /* as asked for */

enum { REORDER = 1, DUPLICATE = 2, CORRUPT = 4, NUM_MIXES = 8 };

struct cell {
	unsigned num; /* which */
	double loss;
	int rtt;
	uint32_t buffer;
	unsigned mix;
};

struct outcome {
	bool ok;
	const char *why;
	double mbit; /* a second of virtual time, both ways together */
	uint64_t hash, packets;
};

static struct {
	uint64_t seed, bytes;
	bool quick, trace;
	int only;	/* a cell, or -1 */
	const char *cc; /* congestion control, or NULL */
	const char *write, *compare;
} opt = {1, 10u << 20, false, false, -1, NULL, NULL, NULL};

static void impair_text(const struct cell *c, char *out, size_t len)
{
	int n = snprintf(out, len, "in: loss %g%%", c->loss);

	if (c->mix & DUPLICATE)
		n += snprintf(out + n, len - (size_t)n, " duplicate 1%%");
	if (c->mix & CORRUPT)
		n += snprintf(out + n, len - (size_t)n, " corrupt 0.5%%");
	if (c->mix & REORDER) /* one in four overtakes the others */
		snprintf(out + n, len - (size_t)n, " delay 2ms reorder 25%%");
}

/* An application closes as soon as it has read to the end, so its last bytes
 * are an orphan's. Linux gives those up after 100 s without progress, which at
 * a loss of 20 % both ways comes to pass: here they get what others get. */
static int add_hosts(struct netsim *ns, const struct cell *c)
{
	struct sysctl_values sysctl = sysctl_defaults;
	struct netsim_host_cfg cfg = {
		.sysctl = &sysctl,
		.delay = c->rtt * MSEC / 2,
		.rate = RATE,
		.queue = QUEUE,
	};
	char impair[128];
	bool is_clean = c->loss == 0 && !c->mix;

	sysctl.tcp_orphan_retries = sysctl.tcp_retries2;
	if (opt.cc &&
	    sysctl_set(&sysctl, "net.ipv4.tcp_congestion_control", opt.cc))
		return -1;
	impair_text(c, impair, sizeof(impair));
	cfg.impair = is_clean ? NULL : impair;
	cfg.addr4 = "10.0.0.1";
	cfg.addr6 = "fd00::1";
	if (netsim_add_host(ns, &cfg) != 0)
		return -1;
	cfg.addr4 = "10.0.0.2";
	cfg.addr6 = "fd00::2";
	return netsim_add_host(ns, &cfg) == 1 ? 0 : -1;
}

static void tell_streams(struct netsim *ns, unsigned first)
{
	for (unsigned i = first; i < netsim_num_streams(ns); i++) {
		const struct netsim_stream *s = netsim_stream(ns, i);

		fprintf(stderr,
			"%s: sent %llu of %llu, received %llu of %llu%s, %s\n",
			s->is_server ? "server" : "client",
			(unsigned long long)s->sent,
			(unsigned long long)s->to_send,
			(unsigned long long)s->received,
			(unsigned long long)s->to_receive,
			s->is_wrong ? ", wrong" : "", strerror(s->err));
	}
}

/* One connection from its first packet to the end of its TIME-WAIT. */
static const char *transfer(struct netsim *ns, const struct cell *c,
			    uint64_t bytes, double *secs)
{
	/* families take turns */
	bool is4 = c->num % 2 == 0;
	struct netsim_stream_cfg sc = {
		.seed = opt.seed + c->num,
		.to_server = bytes,
		.to_client = bytes,
		.sndbuf = c->buffer,
		.rcvbuf = c->buffer,
	};
	nsec start = netsim_now(ns), done = 0;
	unsigned first = netsim_num_streams(ns);

	if (netsim_listen(ns, 1, is4 ? "0.0.0.0" : "::", PORT, &sc) ||
	    netsim_connect(ns, 0, is4 ? "10.0.0.2" : "fd00::2", PORT, &sc))
		return "no connection";
	if (netsim_run(ns, start + LIMIT, netsim_all_closed, ns) !=
	    NETSIM_DONE) {
		tell_streams(ns, first);
		return "not done in a day, or stuck";
	}
	netsim_unlisten(ns, 1);
	for (unsigned i = first; i < netsim_num_streams(ns); i++)
		done = MAX(done, netsim_stream(ns, i)->done_at);
	*secs = (double)(done - start) / (double)SEC;
	if (netsim_num_streams(ns) != first + 2)
		return "a stream is missing";
	if (!netsim_all_well(ns)) {
		tell_streams(ns, first);
		return "bytes missing or wrong";
	}
	if (netsim_run(ns, netsim_now(ns) + LIMIT, NULL, NULL) != NETSIM_IDLE)
		return "never idle";
	for (int h = 0; h < 2; h++)
		if (stack_timers_armed(netsim_stack(ns, h)))
			return "a timer is armed";
	return NULL;
}

static struct outcome run(const struct cell *c)
{
	struct outcome o = {.ok = false};
	struct netsim *ns = netsim_new(opt.seed * 1000 + c->num, false);
	double secs = 0;
	size_t used[2];

	if (opt.trace)
		netsim_trace(ns, stdout);
	if (add_hosts(ns, c)) {
		o.why = "no hosts";
		goto out;
	}
	/* tables grow with their first use; what counts is the second */
	o.why = transfer(ns, c, 1000, &secs);
	for (int h = 0; h < 2; h++)
		used[h] = arena_used(stack_arena(netsim_stack(ns, h)));
	if (!o.why)
		o.why = transfer(ns, c, opt.bytes, &secs);
	for (int h = 0; h < 2 && !o.why; h++)
		if (arena_used(stack_arena(netsim_stack(ns, h))) != used[h])
			o.why = "memory is left over";
	o.ok = !o.why;
	o.mbit = secs > 0 ? (double)opt.bytes * 16 / secs / 1e6 : 0;
	o.hash = netsim_hash(ns);
	o.packets = netsim_num_packets(ns);
out:
	netsim_free(ns);
	return o;
}

static const char *mix_name(unsigned mix)
{
	static const char *const names[NUM_MIXES] = {
		"nothing more",
		"reordering",
		"duplicates",
		"reordering, duplicates",
		"corruption",
		"reordering, corruption",
		"duplicates, corruption",
		"reordering, duplicates, corruption",
	};

	return names[mix];
}

static bool is_wanted(const struct cell *c)
{
	if (opt.only >= 0)
		return c->num == (unsigned)opt.only;
	if (!opt.quick)
		return true;
	/* corners, and a diagonal */
	return (c->mix == 0 && c->rtt != 200) ||
	       (c->mix == NUM_MIXES - 1 && c->buffer == 65536);
}

static unsigned failed, passed;
static uint64_t total_packets, total_hash;

static struct outcome check(const struct cell *c)
{
	struct outcome a = run(c), b;

	if (a.ok && !opt.trace) {
		b = run(c);
		if (a.hash != b.hash || a.packets != b.packets) {
			a.ok = false;
			a.why = "a second run had other packets";
		}
	}
	total_packets += a.packets;
	total_hash = total_hash * 31 + a.hash;
	if (a.ok) {
		passed++;
		return a;
	}
	failed++;
	fprintf(stderr,
		"cell %u: loss %g%% rtt %d ms buffer %u, %s: "
		"FAILED: %s\n",
		c->num, c->loss, c->rtt, c->buffer, mix_name(c->mix), a.why);
	return a;
}

static void head(FILE *f, unsigned mix)
{
	fprintf(f, "\n## Loss and %s\n\n", mix_name(mix));
	fprintf(f, "| loss | RTT | 8 KB | 64 KB | 1 MB |\n");
	fprintf(f, "|---:|---:|---:|---:|---:|\n");
}

static void grid(FILE *f)
{
	unsigned num = 0;

	fprintf(f,
		"# Throughput by loss and buffer\n\n"
		"Two stacks in the simulator, %.4g MB each way at once over "
		"100 Mbit/s each way:\nMbit/s of both ways together, in "
		"virtual "
		"time. Buffers are SO_SNDBUF and SO_RCVBUF\nas asked for. "
		"Impairments, on each host's way in: duplicate 1%%, corrupt "
		"0.5%%,\nreorder 25%% of packets past a delay of 2 ms. Written "
		"by "
		"`netsim_grid --write`, seed %llu;\nthe same on every "
		"machine.\n",
		(double)opt.bytes / (1 << 20), (unsigned long long)opt.seed);
	for (unsigned mix = 0; mix < NUM_MIXES; mix++) {
		head(f, mix);
		for (size_t l = 0; l < ARRAY_SIZE(losses); l++) {
			for (size_t r = 0; r < ARRAY_SIZE(rtts); r++) {
				fprintf(f, "| %g %% | %d ms |", losses[l],
					rtts[r]);
				for (size_t b = 0; b < ARRAY_SIZE(buffers);
				     b++) {
					struct cell c = {num++, losses[l],
							 rtts[r], buffers[b],
							 mix};

					if (is_wanted(&c))
						fprintf(f, " %.3g |",
							check(&c).mbit);
					else
						fprintf(f, " |");
				}
				fprintf(f, "\n");
				fflush(f);
			}
		}
	}
}

static int parse_args(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--quick") == 0) {
			opt.quick = true;
			opt.bytes = 1u << 20;
			continue;
		}
		if (strcmp(argv[i], "--trace") == 0) {
			opt.trace = true;
			continue;
		}
		if (!value)
			return -1;
		if (strcmp(argv[i], "--seed") == 0)
			opt.seed = strtoull(value, NULL, 0);
		else if (strcmp(argv[i], "--bytes") == 0)
			opt.bytes = strtoull(value, NULL, 0);
		else if (strcmp(argv[i], "--cell") == 0)
			opt.only = atoi(value);
		else if (strcmp(argv[i], "--cc") == 0)
			opt.cc = value;
		else if (strcmp(argv[i], "--write") == 0)
			opt.write = value;
		else if (strcmp(argv[i], "--compare") == 0)
			opt.compare = value;
		else
			return -1;
		i++;
	}
	return 0;
}

int main(int argc, char **argv)
{
	FILE *f = stdout;
	int res = 0;

	if (parse_args(argc, argv)) {
		fprintf(stderr,
			"usage: %s [--quick] [--seed N] [--bytes N] "
			"[--cell N] [--trace] [--cc NAME] "
			"[--write FILE | --compare FILE]\n",
			argv[0]);
		return 2;
	}
	if (opt.write)
		f = fopen(opt.write, "w");
	else if (opt.compare)
		f = tmpfile();
	if (!f) {
		perror("netsim_grid");
		return 2;
	}
	grid(f);
	if (opt.compare)
		res = snapshot_compare(opt.compare, f);
	fprintf(stderr,
		"%u cells passed, %u failed, %llu packets, trace %016llx\n",
		passed, failed, (unsigned long long)total_packets,
		(unsigned long long)total_hash);
	return failed || res ? 1 : 0;
}
