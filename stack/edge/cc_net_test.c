/* SPDX-License-Identifier: MIT
 *
 * Congestion controls on simulated paths. BBR against CUBIC: loss that is no
 * congestion, buffers that are too deep, a policer, and a clean link. Marks
 * instead of drops, for those who take them. Virtual time, seeded; what is
 * asserted are ratios.
 */
#include <criterion/criterion.h>
#include <linux/tcp.h>

#include "edge/netsim.h"

#define RATE 100000000u
#define DELAY (25 * MSEC)
#define PORT 80

struct path {
	const char *impair; /* of what comes in at the receiver */
	uint32_t queue;	    /* bytes at the bottleneck */
	uint64_t bytes;
	uint32_t mark; /* and how many of them are too many; 0: nobody marks */
	int ecn;       /* net.ipv4.tcp_ecn of both */
	bool abe;
	nsec delay; /* one way; 0: DELAY */
};

struct result {
	double mbit;
	double rtt_ms; /* mean of what the sender measures, after 2 s */
	uint64_t resent;
	uint32_t marks; /* that the sender was told of */
};

static struct netsim *make(const struct path *p, const char *cc, uint64_t seed)
{
	struct sysctl_values sysctl = sysctl_defaults;
	struct netsim_host_cfg cfg = {
		.addr4 = "10.0.0.1",
		.delay = p->delay ? p->delay : DELAY,
		.rate = RATE,
		.queue = p->queue,
		.mark = p->mark,
		.sysctl = &sysctl,
	};
	struct netsim *ns = netsim_new(seed, false);

	cr_assert(sysctl_set(&sysctl, "net.ipv4.tcp_congestion_control", cc) ==
		  0);
	sysctl.tcp_ecn = p->ecn;
	sysctl.tcp_abe = p->abe;
	cr_assert(netsim_add_host(ns, &cfg) == 0);
	cfg.addr4 = "10.0.0.2";
	cfg.impair = p->impair;
	cr_assert(netsim_add_host(ns, &cfg) == 1);
	return ns;
}

static struct tcp_info info_of(struct netsim *ns, const struct netsim_stream *s)
{
	struct tcp_info i = {0};
	socklen_t len = sizeof(i);

	cr_assert(sock_getopt(netsim_stack(ns, s->host), s->s, IPPROTO_TCP,
			      TCP_INFO, &i, &len, netsim_now(ns)) == 0);
	return i;
}

static bool is_received(void *arg)
{
	struct netsim *ns = arg;

	for (unsigned i = 0; i < netsim_num_streams(ns); i++) {
		const struct netsim_stream *s = netsim_stream(ns, i);

		if (s->is_server)
			return s->received == s->to_receive;
	}
	return false;
}

/* One way, from host 0 to host 1. */
static struct result transfer(const struct path *p, const char *cc,
			      uint64_t seed)
{
	struct netsim *ns = make(p, cc, seed);
	struct netsim_stream_cfg sc = {.seed = seed, .to_server = p->bytes};
	nsec start = netsim_now(ns), at = start;
	struct result r = {0};
	double sum = 0;
	unsigned n = 0;

	cr_assert(netsim_listen(ns, 1, "0.0.0.0", PORT, &sc) == 0);
	cr_assert(netsim_connect(ns, 0, "10.0.0.2", PORT, &sc) == 0);
	for (;;) {
		const struct netsim_stream *s = netsim_stream(ns, 0);
		struct tcp_info i;

		at += 100 * MSEC;
		cr_assert(at - start < 600 * SEC);
		if (netsim_run(ns, at, is_received, ns) == NETSIM_DONE)
			break;
		if (s->is_closed)
			continue;
		i = info_of(ns, s);
		r.resent = i.tcpi_total_retrans;
		r.marks = i.tcpi_delivered_ce;
		if (at - start > 2 * SEC) {
			sum += i.tcpi_rtt / 1000.0;
			n++;
		}
	}
	r.mbit = (double)p->bytes * 8 * 1e3 / (double)(netsim_now(ns) - start);
	r.rtt_ms = n ? sum / n : 0;
	cr_log_info("%s: %.1f Mbit/s, %.0f ms, %llu sent again, %u marks", cc,
		    r.mbit, r.rtt_ms, (unsigned long long)r.resent, r.marks);
	netsim_free(ns);
	return r;
}

Test(bbr, random_loss_is_no_congestion)
{
	struct path p = {"in: loss 1%", 1 << 20, 40u << 20};

	for (uint64_t seed = 1; seed <= 2; seed++) {
		struct result bbr = transfer(&p, "bbr", seed);
		struct result cubic = transfer(&p, "cubic", seed);

		cr_assert(bbr.mbit > 60, "%.1f", bbr.mbit);
		cr_assert(bbr.mbit > 5 * cubic.mbit, "%.1f, cubic %.1f",
			  bbr.mbit, cubic.mbit);
	}
}

Test(bbr, a_deep_buffer_stays_empty)
{
	struct path p = {NULL, 8 << 20, 100u << 20};
	struct result bbr = transfer(&p, "bbr", 1);
	struct result cubic = transfer(&p, "cubic", 1);

	cr_assert(bbr.rtt_ms < 75, "%.0f ms", bbr.rtt_ms);
	cr_assert(cubic.rtt_ms - 50 > 3 * (bbr.rtt_ms - 50), "%.0f, %.0f ms",
		  bbr.rtt_ms, cubic.rtt_ms);
	cr_assert(bbr.resent == 0);
}

Test(bbr, a_clean_link_is_filled)
{
	struct path p = {NULL, 1 << 20, 100u << 20};
	struct result bbr = transfer(&p, "bbr", 1);

	cr_assert(bbr.mbit > 85, "%.1f", bbr.mbit);
}

Test(bbr, a_shallow_buffer_costs_little)
{
	struct path p = {NULL, 64 << 10, 50u << 20};
	struct result bbr = transfer(&p, "bbr", 1);

	cr_assert(bbr.mbit > 70, "%.1f", bbr.mbit);
}

/* --- marks --- */

#define DEEP (8u << 20)
#define STEP (100u << 10)     /* a sixth of what the path holds */
#define NEAR_STEP (30u << 10) /* a quarter at 10 ms */

static struct path marking(int ecn, uint32_t mark)
{
	return (struct path){
		.queue = DEEP, .bytes = 150u << 20, .mark = mark, .ecn = ecn};
}

Test(cc_net, marks_take_the_place_of_drops)
{
	for (int ecn = 1; ecn <= 3; ecn += 2) {
		struct path p = marking(ecn, 1 << 20);
		struct result cubic = transfer(&p, "cubic", 1);
		struct result reno = transfer(&p, "reno", 1);

		cr_assert(cubic.resent == 0 && reno.resent == 0);
		cr_assert(cubic.marks && reno.marks);
		cr_assert(cubic.mbit > 85 && reno.mbit > 85, "%.1f %.1f",
			  cubic.mbit, reno.mbit);
		/* 1 MB at this rate: 84 ms */
		cr_assert(cubic.rtt_ms < 150, "%.0f", cubic.rtt_ms);
	}
}

/* RFC 8257: a queue about as long as where marks begin, and a full link; by
 * either kind of feedback. */
Test(cc_net, dctcp_keeps_the_queue_short)
{
	for (int ecn = 1; ecn <= 3; ecn += 2) {
		struct path p = marking(ecn, NEAR_STEP);
		struct result dctcp, reno;

		p.delay = 5 * MSEC;
		dctcp = transfer(&p, "dctcp", 1);
		reno = transfer(&p, "reno", 1);
		cr_assert(dctcp.mbit > 85, "%.1f", dctcp.mbit);
		cr_assert(dctcp.mbit > 1.1 * reno.mbit, "%.1f, reno %.1f",
			  dctcp.mbit, reno.mbit);
		/* 30 KB at this rate: 2.5 ms */
		cr_assert(dctcp.rtt_ms < 14, "%.0f", dctcp.rtt_ms);
		cr_assert(dctcp.resent == 0 && dctcp.marks > 2 * reno.marks);
	}
}

/* RFC 8511: where marks begin early, falling by less keeps the link busier. */
Test(cc_net, a_mark_that_weighs_less_fills_the_link)
{
	struct path p = marking(3, STEP);
	struct result plain = transfer(&p, "reno", 1), abe;

	p.abe = true;
	abe = transfer(&p, "reno", 1);
	cr_assert(abe.mbit > 1.05 * plain.mbit, "%.1f, else %.1f", abe.mbit,
		  plain.mbit);
}

/* --- BBRv3 --- */

Test(bbr3, random_loss_below_its_threshold_is_no_congestion)
{
	struct path p = {"in: loss 1%", 1 << 20, 40u << 20};

	for (uint64_t seed = 1; seed <= 2; seed++) {
		struct result bbr = transfer(&p, "bbr3", seed);
		struct result cubic = transfer(&p, "cubic", seed);

		cr_assert(bbr.mbit > 40, "%.1f", bbr.mbit);
		cr_assert(bbr.mbit > 5 * cubic.mbit, "%.1f, cubic %.1f",
			  bbr.mbit, cubic.mbit);
	}
}

Test(bbr3, a_deep_buffer_stays_empty)
{
	struct path p = {NULL, 8 << 20, 50u << 20};
	struct result bbr = transfer(&p, "bbr3", 1);

	cr_assert(bbr.rtt_ms < 75, "%.0f ms", bbr.rtt_ms);
	cr_assert(bbr.mbit > 85, "%.1f", bbr.mbit);
	cr_assert(bbr.resent == 0);
}

Test(bbr3, a_clean_link_is_filled)
{
	struct path p = {NULL, 1 << 20, 50u << 20};
	struct result bbr = transfer(&p, "bbr3", 1);

	cr_assert(bbr.mbit > 85, "%.1f", bbr.mbit);
}

/* What version 3 is for: a buffer of a tenth of the path is not overrun again
 * and again. */
Test(bbr3, a_shallow_buffer_is_spared)
{
	struct path p = {NULL, 64 << 10, 100u << 20};
	struct result v1 = transfer(&p, "bbr", 1);
	struct result v3 = transfer(&p, "bbr3", 1);

	cr_assert(v3.mbit > 70, "%.1f", v3.mbit);
	cr_assert(v3.resent < v1.resent * 2 / 3, "%llu, v1 %llu",
		  (unsigned long long)v3.resent, (unsigned long long)v1.resent);
}
