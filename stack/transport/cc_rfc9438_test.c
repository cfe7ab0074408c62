/* SPDX-License-Identifier: MIT
 *
 * RFC 9438, CUBIC: the curve against its formula, and where Linux leaves it.
 */
#include <criterion/criterion.h>

#include "base/util.h"
#include "transport/cc.h"
#include "transport/tcp_sack_world.h"

#define C 0.4	 /* 5.1 */
#define BETA 0.7 /* 4.6 */

static struct cc make(uint32_t cwnd)
{
	struct cc cc = {.cwnd = cwnd,
			.ssthresh = CC_SSTHRESH_NONE,
			.cwnd_clamp = 1u << 30};

	cc_switch(&cc, CC_CUBIC);
	return cc;
}

static void lose(struct cc *cc)
{
	cc->ssthresh = cc_ops(cc)->ssthresh(cc);
	cc->cwnd = cc->ssthresh;
}

/* As tcp_enter_loss() does it. */
static void time_out(struct cc *cc, nsec now)
{
	cc->ssthresh = cc_ops(cc)->ssthresh(cc);
	cc_ops(cc)->event(cc, CC_TIMEOUT, 0, now);
	cc->cwnd = 1;
	cc_ops(cc)->event(cc, CC_LOSS, 0, now);
}

static void round_trip(struct cc *cc, nsec rtt, nsec *now)
{
	uint32_t n = cc->cwnd;

	*now += rtt;
	cc_ops(cc)->rtt(cc, rtt, *now);
	for (uint32_t i = 0; i < n; i++)
		cc_ops(cc)->grow(cc, 1, *now);
}

static double root3(double v)
{
	double r = v;

	for (int i = 0; i < 100; i++)
		r -= (r * r * r - v) / (3 * r * r);
	return r;
}

/* 4.2, at so many seconds after the epoch began */
static double curve(double t, double w_max, double k)
{
	return C * (t - k) * (t - k) * (t - k) + w_max;
}

/* --- 4.2, 4.4, 4.5: the curve --- */

/* What is reached now was aimed at a round trip ago. */
Test(cc_rfc9438, the_window_is_the_curve)
{
	static const uint32_t w_max[] = {200, 1000, 5000};
	nsec rtt = 100 * MSEC;

	for (unsigned i = 0; i < ARRAY_SIZE(w_max); i++) {
		struct cc cc = make(w_max[i]);
		nsec now = SEC, epoch;
		double k = root3(w_max[i] * (1 - BETA) / C), t = 0;

		lose(&cc);
		epoch = now + rtt; /* the first ACK */
		while (t < 2 * k) {
			double below, above;

			round_trip(&cc, rtt, &now);
			t = (double)(now - epoch) / SEC;
			below = curve(t - 0.1, w_max[i], k);
			above = curve(t + 0.1, w_max[i], k);
			cr_assert(cc.cwnd >= below * 0.985 - 2 &&
					  cc.cwnd <= above * 1.015 + 2,
				  "%u at %.1f s, the curve has %.0f", cc.cwnd,
				  t, curve(t, w_max[i], k));
		}
		cr_assert(cc.cwnd > w_max[i] + w_max[i] / 5);
	}
}

Test(cc_rfc9438, it_never_falls_and_grows_by_half_at_most)
{
	struct cc cc = make(50);
	nsec now = SEC;

	lose(&cc);
	for (int i = 0; i < 60; i++) {
		uint32_t before = cc.cwnd;

		/* far apart: the curve runs away */
		round_trip(&cc, i < 30 ? SEC : 3 * SEC, &now);
		cr_assert(cc.cwnd >= before);
		cr_assert(cc.cwnd <= before + before / 2 + 1, "%u after %u",
			  cc.cwnd, before);
		if (cc.cwnd > 100000)
			break;
	}
	cr_assert(cc.cwnd > 100000);
}

/* 4.2 and 5.8: time in which nothing was sent is none of the curve's. */
Test(cc_rfc9438, idle_time_is_left_out)
{
	struct cc a = make(1000), b = make(1000);
	nsec at = SEC, bt = SEC;

	lose(&a);
	lose(&b);
	for (int i = 0; i < 20; i++) {
		round_trip(&a, 100 * MSEC, &at);
		round_trip(&b, 100 * MSEC, &bt);
	}
	bt += 100 * SEC;
	cc_ops(&b)->event(&b, CC_RESTART, 100 * SEC, bt);
	for (int i = 0; i < 20; i++) {
		round_trip(&a, 100 * MSEC, &at);
		round_trip(&b, 100 * MSEC, &bt);
		cr_assert(a.cwnd == b.cwnd, "%u and %u", a.cwnd, b.cwnd);
	}
}

/* --- 4.3: where Reno would be faster --- */

Test(cc_rfc9438, no_slower_than_reno)
{
	double alpha = 3 * (1 - BETA) / (1 + BETA);
	struct cc cc = make(40);
	nsec now = SEC;
	uint32_t begin;

	lose(&cc);
	begin = cc.cwnd;
	for (int i = 1; i <= 20; i++) {
		round_trip(&cc, MSEC, &now);
		/* from the window of the epoch, so much a round trip */
		cr_assert(cc.cwnd >= begin + alpha * i * 0.9 - 1.5 &&
				  cc.cwnd <= begin + alpha * i * 1.1 + 1.5,
			  "%u after %d", cc.cwnd, i);
	}
}

/* The RFC has 1 from where the last loss was; Linux goes on with 0.53. */
Test(cc_rfc9438, beyond_its_maximum_renos_share_stays_as_it_is)
{
	struct cc cc = make(20);
	nsec now = SEC;
	uint32_t before;

	lose(&cc);
	while (cc.cwnd < 22)
		round_trip(&cc, MSEC, &now);
	before = cc.cwnd;
	for (int i = 0; i < 40; i++)
		round_trip(&cc, MSEC, &now);
	cr_assert(cc.cwnd - before >= 18 && cc.cwnd - before <= 24, "%u",
		  cc.cwnd - before);
}

/* --- 4.6 --- */

Test(cc_rfc9438, a_loss_takes_three_tenths)
{
	for (uint32_t n = 10; n < 100000; n = n * 3 / 2) {
		struct cc cc = make(n);

		lose(&cc);
		cr_assert(cc.ssthresh >= 0.699 * n - 1);
		cr_assert(cc.ssthresh <= 0.701 * n + 1);
	}
}

Test(cc_rfc9438, two_are_left_after_losses)
{
	struct cc cc = make(10);

	for (int i = 0; i < 20; i++)
		lose(&cc);
	cr_assert(cc.cwnd == 2 && cc.ssthresh == 2);
}

/* The RFC goes on to one, and on in time; Linux stops at two. */
Test(cc_rfc9438, and_after_marks)
{
	struct cc cc = make(10);

	cc.by_mark = true;
	for (int i = 0; i < 20; i++)
		lose(&cc);
	cr_assert(cc.cwnd == 2);
}

/* --- 4.7 --- */

Test(cc_rfc9438, lost_before_its_maximum_it_gives_way)
{
	struct cc cc = make(1000);

	lose(&cc);
	cr_assert(cc.u.cubic.last_max == 1000);
	lose(&cc);
	cr_assert(cc.u.cubic.last_max >= 700 * (1 + BETA) / 2 - 1);
	cr_assert(cc.u.cubic.last_max <= 700 * (1 + BETA) / 2 + 1);
	cc.cwnd = 2000;
	lose(&cc); /* beyond it */
	cr_assert(cc.u.cubic.last_max == 2000);
}

/* --- 4.8 --- */

Test(cc_rfc9438, after_a_timeout_the_curve_begins_where_slow_start_ends)
{
	struct cc cc = make(1000);
	nsec now = SEC, epoch;
	double t;

	lose(&cc);
	for (int i = 0; i < 20; i++)
		round_trip(&cc, 100 * MSEC, &now);
	time_out(&cc, now);
	cr_assert(cc.ssthresh >= 500 && cc.ssthresh < 800);
	while (cc_in_slow_start(&cc))
		round_trip(&cc, 100 * MSEC, &now);
	epoch = now;
	cr_assert(cc.u.cubic.k == 0);
	cr_assert(cc.u.cubic.origin >= cc.ssthresh &&
		  cc.u.cubic.origin <= cc.ssthresh + 2);
	cr_assert(cc.u.cubic.reno >= cc.ssthresh &&
		  cc.u.cubic.reno <= cc.ssthresh + 2);
	for (int i = 0; i < 40; i++) {
		round_trip(&cc, 100 * MSEC, &now);
		t = (double)(now - epoch) / SEC;
		/* until a loss is seen it grows by 5 % a round trip */
		cr_assert(cc.cwnd >= curve(t - 0.1, cc.ssthresh, 0) * 0.98 - 2);
	}
}

/* Each timeout of a row, as Linux does it at each change of state. */
Test(cc_rfc9438, a_second_timeout_forgets_what_was_begun_since)
{
	struct cc cc = make(20);
	nsec now = SEC;

	time_out(&cc, now);
	while (cc.cwnd < 16)
		round_trip(&cc, 100 * MSEC, &now);
	cr_assert(cc.u.cubic.epoch_at);
	cc_ops(&cc)->event(&cc, CC_LOSS, 0, now);
	cr_assert(!cc.u.cubic.epoch_at && !cc.u.cubic.last_max);
}

/* --- 4.10 --- */

Test(cc_rfc9438, it_begins_with_slow_start)
{
	struct cc cc = make(10);
	nsec now = SEC;

	for (uint32_t n = 20; n < 1000; n *= 2) {
		round_trip(&cc, 100 * MSEC, &now);
		cr_assert(cc.cwnd == n);
	}
	/* and does so below ssthresh */
	lose(&cc);
	cc.cwnd = 10;
	round_trip(&cc, 100 * MSEC, &now);
	cr_assert(cc.cwnd == 20);
}

/* It may end without a loss: there is no maximum yet. */
Test(cc_rfc9438, without_a_loss_the_curve_begins_here)
{
	struct cc cc = make(100);
	nsec now = SEC;

	cc.ssthresh = 100; /* HyStart says so */
	round_trip(&cc, 100 * MSEC, &now);
	cr_assert(cc.u.cubic.k == 0 && cc.u.cubic.last_max == 0);
	cr_assert(cc.u.cubic.origin == 100 && cc.u.cubic.reno >= 100);
	cr_assert(cc.cwnd >= 104 && cc.cwnd <= 106);
}

/* --- in a connection --- */

TestSuite(cc_rfc9438_conn, .init = peer_init, .fini = peer_fini);

/* 4.6: the window that a loss is measured on must have been used. */
Test(cc_rfc9438_conn, what_is_not_used_does_not_grow)
{
	uint32_t n = 0;

	open_rtt();
	cr_assert(w.st->sysctl.tcp_congestion_control == CC_CUBIC);
	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < 50; i++) {
			put(4000, 0);
			skip();
			pass(RTT / 2);
			acked(n += 4);
			cr_assert(conn()->cc.cwnd == 10, "%u", conn()->cc.cwnd);
		}
		conn()->cc.ssthresh = 8; /* and in congestion avoidance */
	}
	/* nor beyond the peer's window */
	for (int i = 0; i < 50; i++) {
		put(8000, 0);
		SEND(.flags = ACK, .seq = 1, .ack = (n + 3) * MSS + 1,
		     .win = 5000);
		skip();
		pass(RTT / 2);
		n += 3;
		cr_assert(conn()->cc.cwnd <= 11, "%u", conn()->cc.cwnd);
	}
	go_away();
}

/* 4.9.2: window and threshold come back; not below what is there now. */
Test(cc_rfc9438_conn, a_window_that_has_grown_since_stays)
{
	open_rtt();
	put(10000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 4));
	segs(0, 1);
	pass(RTT / 10);
	acked(10);
	cr_assert(conn()->ca == CA_OPEN && conn()->cc.cwnd == 7);
	conn()->cc.cwnd = 30;
	put(1000, 0);
	skip();
	SACKED(10, S(0, 1)); /* the resend was needless */
	cr_assert(conn()->cc.cwnd == 30);
	cr_assert(conn()->cc.ssthresh >= CC_SSTHRESH_NONE);
	cr_assert(count(STAT_TcpExtTCPDSACKUndo) == 1);
	acked(11);
}
