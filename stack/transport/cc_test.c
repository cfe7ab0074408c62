/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "transport/cc.h"

static struct cc make(enum cc_id id)
{
	struct cc cc = {.cwnd = 10,
			.ssthresh = CC_SSTHRESH_NONE,
			.cwnd_clamp = 1u << 30};

	cc_switch(&cc, id);
	return cc;
}

static void lose(struct cc *cc)
{
	cc->ssthresh = cc_ops(cc)->ssthresh(cc);
	cc->cwnd = cc->ssthresh;
}

/* One round trip in which the whole window was acknowledged. */
static void round_trip(struct cc *cc, nsec rtt, nsec *now)
{
	uint32_t n = cc->cwnd;

	*now += rtt;
	if (cc_ops(cc)->rtt)
		cc_ops(cc)->rtt(cc, rtt, *now);
	for (uint32_t i = 0; i < n; i += 2)
		cc_ops(cc)->grow(cc, 2, *now);
}

Test(cc, reno_doubles_then_adds_one_a_round_trip)
{
	struct cc cc = make(CC_RENO);
	nsec now = SEC;

	round_trip(&cc, 10 * MSEC, &now);
	cr_assert(cc.cwnd == 20);
	lose(&cc);
	cr_assert(cc.cwnd == 10 && cc.ssthresh == 10);
	round_trip(&cc, 10 * MSEC, &now);
	cr_assert(cc.cwnd == 11);
	round_trip(&cc, 10 * MSEC, &now);
	cr_assert(cc.cwnd == 11 || cc.cwnd == 12);
}

Test(cc, reno_never_below_two)
{
	struct cc cc = make(CC_RENO);

	for (int i = 0; i < 10; i++)
		lose(&cc);
	cr_assert(cc.ssthresh == 2);
}

Test(cc, cubic_falls_to_seven_tenths)
{
	struct cc cc = make(CC_CUBIC);

	cc.cwnd = 1000;
	lose(&cc);
	cr_assert(cc.cwnd == 700);
}

/* RFC 9438 4.2: back at W_max after K = cbrt(W_max (1 - beta) / C). */
Test(cc, cubic_is_back_at_its_maximum_after_k)
{
	struct cc cc = make(CC_CUBIC);
	nsec now = SEC, start, rtt = 100 * MSEC;

	cc.cwnd = 1000;
	lose(&cc);
	start = now;
	while (cc.cwnd < 990)
		round_trip(&cc, rtt, &now);
	/* cbrt(1000 * 0.3 / 0.4) = 9.09 s; 990 lies on the flat part */
	cr_assert(now - start > 5 * SEC && now - start < 10 * SEC, "%lld ms",
		  (long long)(now - start) / MSEC);
	/* concave, then convex: slow around the plateau, fast beyond */
	for (int i = 0; i < 10; i++)
		round_trip(&cc, rtt, &now);
	cr_assert(cc.cwnd < 1010);
	while (now - start < 16 * SEC)
		round_trip(&cc, rtt, &now);
	cr_assert(cc.cwnd > 1080);
}

Test(cc, cubic_is_no_slower_than_reno_on_short_paths)
{
	struct cc cc = make(CC_CUBIC);
	nsec now = SEC;
	uint32_t before;

	cc.cwnd = 20;
	lose(&cc);
	before = cc.cwnd;
	for (int i = 0; i < 20; i++)
		round_trip(&cc, MSEC, &now);
	/* 3 (1 - 0.7) / (1 + 0.7) = 0.53 segments a round trip */
	cr_assert(cc.cwnd >= before + 8, "%u", cc.cwnd);
}

Test(cc, cubic_gives_way_when_it_loses_below_its_maximum)
{
	struct cc cc = make(CC_CUBIC);

	cc.cwnd = 1000;
	lose(&cc);
	lose(&cc); /* at 700: somebody else needs room (RFC 9438 4.7) */
	cr_assert(cc.u.cubic.last_max < 700);
	cr_assert(cc.u.cubic.last_max == 700 * (1024 + 717) / 2048);
}

Test(cc, idle_time_does_not_count)
{
	struct cc cc = make(CC_CUBIC);
	nsec now = SEC;
	uint32_t before;

	cc.cwnd = 1000;
	lose(&cc);
	for (int i = 0; i < 20; i++)
		round_trip(&cc, 100 * MSEC, &now);
	before = cc.cwnd;
	now += 1000 * SEC;
	cc_ops(&cc)->event(&cc, CC_RESTART, 1000 * SEC, now);
	round_trip(&cc, 100 * MSEC, &now);
	cr_assert(cc.cwnd < before + before / 4);
}

/* --- leaving slow start early --- */

static struct cc make_hystart(uint8_t kind)
{
	struct cc cc = make(CC_CUBIC);

	cc.hystart = kind;
	cc.pacing_rate = ~0ull;
	cc.cwnd = 20;
	return cc;
}

/* A round: @n ACKs, @gap apart, each with this round trip. */
static void ack_round(struct cc *cc, unsigned n, nsec rtt, nsec gap, nsec *now)
{
	cc->nxt = cc->una + n;
	for (unsigned i = 0; i < n; i++) {
		cc->una++;
		*now += gap;
		cc_ops(cc)->rtt(cc, rtt, *now);
		cc_ops(cc)->grow(cc, 1, *now);
	}
	cc->una++;
	cc->nxt = cc->una + 1;
}

Test(cc, hystart_ends_slow_start_as_the_round_trip_grows)
{
	struct cc cc = make_hystart(HYSTART_LINUX);
	nsec now = SEC;

	ack_round(&cc, 20, 100 * MSEC, 3 * MSEC, &now);
	ack_round(&cc, 20, 105 * MSEC, 3 * MSEC, &now); /* less than 1/8 */
	cr_assert(cc_in_slow_start(&cc));
	ack_round(&cc, 20, 120 * MSEC, 3 * MSEC, &now);
	cr_assert(!cc_in_slow_start(&cc));
	cr_assert(cc.ssthresh < 80);
}

Test(cc, hystart_ends_slow_start_by_a_long_train_of_acks)
{
	struct cc cc = make_hystart(HYSTART_LINUX);
	nsec now = SEC;

	ack_round(&cc, 20, 100 * MSEC, MSEC, &now);
	cr_assert(cc_in_slow_start(&cc));
	/* 60 ms of ACKs of a path of 100 ms */
	ack_round(&cc, 60, 100 * MSEC, MSEC, &now);
	cr_assert(!cc_in_slow_start(&cc));
}

Test(cc, hystart_plus_plus_slows_down_and_goes_back_after_jitter)
{
	struct cc cc = make_hystart(HYSTART_PLUS_PLUS);
	nsec now = SEC;
	uint32_t before;

	ack_round(&cc, 20, 100 * MSEC, 3 * MSEC, &now);
	ack_round(&cc, 20, 120 * MSEC, 3 * MSEC, &now);
	cr_assert(cc_in_slow_start(&cc) && cc.u.cubic.hystart.in_css);
	before = cc.cwnd;
	ack_round(&cc, 4, 120 * MSEC, 3 * MSEC, &now);
	cr_assert(cc.cwnd <= before + 2); /* a quarter of the growth */
	ack_round(&cc, 20, 100 * MSEC, 3 * MSEC, &now);
	cr_assert(!cc.u.cubic.hystart.in_css && cc_in_slow_start(&cc));
}

Test(cc, hystart_plus_plus_ends_slow_start_after_five_rounds)
{
	struct cc cc = make_hystart(HYSTART_PLUS_PLUS);
	nsec now = SEC;

	ack_round(&cc, 20, 100 * MSEC, 3 * MSEC, &now);
	for (int i = 0; i < 7; i++)
		ack_round(&cc, 20, 120 * MSEC, 3 * MSEC, &now);
	cr_assert(!cc_in_slow_start(&cc));
}

Test(cc, hystart_plus_plus_is_for_the_first_slow_start) /* RFC 9406 4.3 */
{
	struct cc cc = make_hystart(HYSTART_PLUS_PLUS);
	nsec now = SEC;

	cc.ssthresh = 1000; /* there was a loss */
	ack_round(&cc, 20, 100 * MSEC, 3 * MSEC, &now);
	ack_round(&cc, 20, 120 * MSEC, 3 * MSEC, &now);
	cr_assert(cc_in_slow_start(&cc) && !cc.u.cubic.hystart.in_css);
}

Test(cc, hystart_plus_plus_asks_for_eight_samples) /* RFC 9406 4.2 */
{
	struct cc cc = make_hystart(HYSTART_PLUS_PLUS);
	nsec now = SEC;

	ack_round(&cc, 20, 100 * MSEC, 3 * MSEC, &now);
	ack_round(&cc, 7, 120 * MSEC, 3 * MSEC, &now);
	cr_assert(!cc.u.cubic.hystart.in_css);
	ack_round(&cc, 20, 100 * MSEC, 3 * MSEC, &now);
	/* less than an eighth more */
	ack_round(&cc, 20, 111 * MSEC, 3 * MSEC, &now);
	cr_assert(!cc.u.cubic.hystart.in_css);
	ack_round(&cc, 8, 130 * MSEC, 3 * MSEC, &now);
	cr_assert(cc.u.cubic.hystart.in_css);
}

/* --- marks --- */

static void mark(struct cc *cc)
{
	cc->by_mark = true;
	lose(cc);
	cc->by_mark = false;
}

Test(cc, a_mark_weighs_less_when_asked_so) /* RFC 8511 */
{
	struct cc reno = make(CC_RENO), cubic = make(CC_CUBIC);

	reno.cwnd = cubic.cwnd = 1000;
	mark(&reno);
	mark(&cubic);
	cr_assert(reno.cwnd == 500 && cubic.cwnd == 700);
	reno.cwnd = cubic.cwnd = 1000;
	reno.abe = cubic.abe = true;
	mark(&reno);
	mark(&cubic);
	cr_assert(reno.cwnd == 800, "%u", reno.cwnd);
	cr_assert(cubic.cwnd == 849, "%u", cubic.cwnd); /* 870 / 1024 */
	reno.cwnd = cubic.cwnd = 1000;
	lose(&reno);
	lose(&cubic);
	cr_assert(reno.cwnd == 500 && cubic.cwnd == 700);
}

static struct cc make_dctcp(bool has_ecn)
{
	struct cc cc = make(CC_DCTCP);

	cc.has_ecn = has_ecn;
	cc.cwnd = cc.ssthresh = 100;
	cc.mss = 1000;
	return cc;
}

/* A window's worth is acknowledged, so many of its segments marked. */
static void window(struct cc *cc, uint32_t ce)
{
	cc->una = cc->nxt;
	cc->nxt += cc->cwnd;
	cc->delivered += cc->cwnd;
	cc->delivered_ce += ce;
	cc_ops(cc)->acked(cc);
}

Test(cc, dctcp_halves_at_first) /* RFC 8257 4.2: alpha is 1 */
{
	struct cc cc = make_dctcp(true);

	mark(&cc);
	cr_assert(cc.cwnd == 50);
}

Test(cc, dctcp_falls_by_half_of_the_share_of_marks)
{
	struct cc cc = make_dctcp(true);
	uint32_t v[CC_INFO_WORDS];

	for (int i = 0; i < 200; i++)
		window(&cc, 25);
	cr_assert(cc_ops(&cc)->info(&cc, v) == 16);
	cr_assert(v[1] > 240 && v[1] < 280, "%u", v[1]); /* a quarter */
	mark(&cc);
	cr_assert(cc.cwnd >= 87 && cc.cwnd <= 89, "%u", cc.cwnd);
	/* no marks: the share comes to nothing */
	for (int i = 0; i < 200; i++)
		window(&cc, 0);
	cc_ops(&cc)->info(&cc, v);
	cr_assert(v[1] == 0);
	cc.cwnd = 100;
	mark(&cc);
	cr_assert(cc.cwnd == 100);
	lose(&cc); /* RFC 8257 3.5 */
	cr_assert(cc.cwnd == 50);
}

Test(cc, dctcp_takes_no_more_than_all_for_marked) /* RFC 8257 4.2 */
{
	struct cc cc = make_dctcp(true);
	uint32_t v[CC_INFO_WORDS];

	for (int i = 0; i < 50; i++) {
		window(&cc, 100);
		cc_ops(&cc)->info(&cc, v);
		cr_assert(v[1] <= 1024, "%u", v[1]);
	}
	cr_assert(v[1] >= 1000);
}

Test(cc, dctcp_looks_once_a_window)
{
	struct cc cc = make_dctcp(true);
	uint32_t v[CC_INFO_WORDS];

	cc.nxt = 100;
	window(&cc, 0);
	cc.una = cc.nxt - 1;
	cc.delivered += 10;
	cc_ops(&cc)->acked(&cc);
	cc_ops(&cc)->info(&cc, v);
	cr_assert(v[1] == 1024 - 64 && v[3] == 10 * 1000);
}

Test(cc, dctcp_without_ecn_is_reno)
{
	struct cc cc = make_dctcp(false);
	uint32_t v[CC_INFO_WORDS];
	nsec now = SEC;

	window(&cc, 0);
	lose(&cc);
	cr_assert(cc.cwnd == 50);
	round_trip(&cc, 10 * MSEC, &now);
	cr_assert(cc.cwnd == 51);
	cr_assert(cc_ops(&cc)->info(&cc, v) == 16 && v[0] == 0);
}
