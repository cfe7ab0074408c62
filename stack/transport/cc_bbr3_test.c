/* SPDX-License-Identifier: MIT
 *
 * BBRv3's model and states, told of a path by hand: most of the example cases
 * at the end of draft-ietf-ccwg-bbr-05. So many segments are delivered a
 * millisecond, with this round trip, these losses.
 */
#include <criterion/criterion.h>

#include "base/util.h"
#include "transport/cc.h"

#define RTT (20 * MSEC)
#define ACKS 10 /* of a round */
#define INF UINT32_MAX

enum { STARTUP, DRAIN, DOWN, CRUISE, REFILL, UP, PROBE_RTT };

static struct cc cc;
static nsec now;
#define B (&cc.u.bbr3)

struct path {
	uint32_t per_ms; /* segments */
	nsec rtt;
	uint32_t in_flight; /* 0: what the path holds */
	uint32_t losses;    /* in each ACK */
	bool app_limited;
	bool cwnd_limited;
	uint32_t burst; /* of this ACK, beyond the rate */
};

static struct path path;

static void init(void)
{
	now = 100 * SEC;
	cc = (struct cc){
		.cwnd = 10,
		.ssthresh = CC_SSTHRESH_NONE,
		.cwnd_clamp = 1u << 30,
		.now = now,
		.srtt = RTT,
		.min_rtt = RTT,
		.max_pacing = ~0ull,
		.mss = 1000,
		.seed = 7,
		.has_sack = true,
	};
	path = (struct path){.per_ms = 10, .rtt = RTT};
	cc_switch(&cc, CC_BBR3);
}

TestSuite(cc_bbr3, .init = init);

static uint32_t of_round(void)
{
	return path.per_ms * (uint32_t)(path.rtt / MSEC);
}

static void lose(uint32_t segs, uint32_t tx, uint32_t since)
{
	struct cc_loss l = {.segs = segs,
			    .tx_in_flight = tx,
			    .lost = since,
			    .app_limited = path.app_limited};

	cc.lost += segs;
	cc_ops(&cc)->lost(&cc, &l);
}

static void one_ack(void)
{
	uint32_t round = of_round();
	uint32_t out = path.in_flight ? path.in_flight : round;
	struct cc_sample s = {
		.acked = round / ACKS + path.burst,
		.losses = path.losses,
		.delivered = round,
		.interval = path.rtt,
		.app_limited = path.app_limited,
		.rtt = path.rtt,
		.tx_in_flight = out,
		.lost = path.losses * ACKS,
	};

	now += path.rtt / ACKS;
	cc.now = now;
	cc.is_cwnd_limited = path.cwnd_limited;
	if (path.losses)
		lose(path.losses, out, path.losses * ACKS);
	cc.delivered += s.acked;
	cc.delivered_at = cc.pace_at = now;
	cc.in_flight = out;
	s.prior_in_flight = out + s.acked;
	s.prior_delivered = cc.delivered > round ? cc.delivered - round : 0;
	cc_ops(&cc)->control(&cc, &s, now);
}

static void rounds(unsigned n)
{
	for (unsigned i = 0; i < n * ACKS; i++)
		one_ack();
}

/* Until the state is @state, for at most so many rounds. */
static void reach(unsigned state, unsigned limit)
{
	for (unsigned i = 0; B->state != state; i++) {
		cr_assert(i < limit * ACKS, "still %u, wanted %u", B->state,
			  state);
		one_ack();
	}
}

static void settle(void)
{
	path.in_flight = 400;
	reach(DRAIN, 10);
	path.in_flight = 150;
	reach(CRUISE, 4);
	path.in_flight = 0;
}

/* --- STARTUP and DRAIN --- */

Test(cc_bbr3, begins_at_2_77_windows_a_round_trip)
{
	cr_assert(B->state == STARTUP && B->pacing_gain == 709 &&
		  B->cwnd_gain == 512);
	/* 10 segments of 1000 bytes in 20 ms, less one percent */
	cr_assert(cc.pacing_rate > 1360000 && cc.pacing_rate < 1390000, "%llu",
		  (unsigned long long)cc.pacing_rate);
}

Test(cc_bbr3, startup_ends_on_a_plateau)
{
	for (path.per_ms = 1; path.per_ms <= 8; path.per_ms *= 2) {
		rounds(2);
		cr_assert(B->state == STARTUP);
	}
	path.per_ms = 10; /* a quarter more */
	rounds(2);
	cr_assert(B->state == STARTUP);
	path.in_flight = 400;
	rounds(3);
	cr_assert(B->state == DRAIN && B->pacing_gain == 128);
	cr_assert(B->is_full && B->full_now);
}

Test(cc_bbr3, startup_ends_on_many_losses_even_if_application_limited)
{
	path.app_limited = true;
	rounds(10);
	cr_assert(B->state == STARTUP); /* never without losses */
	cc.ca = CA_RECOVERY;
	path.losses = 1; /* 10 of 200 */
	path.in_flight = 400;
	reach(DRAIN, 4);
	cr_assert(B->is_full);
	cr_assert(B->inflight_long >= 200 && B->inflight_long < 220, "%u",
		  B->inflight_long);
	/* they prove none: back */
	cc_ops(&cc)->event(&cc, CC_UNDO, 0, now);
	cr_assert(B->state == STARTUP && !B->is_full);
	cr_assert(B->inflight_long == INF);
}

Test(cc_bbr3, startup_does_not_end_on_few_losses)
{
	path.app_limited = true;
	cc.ca = CA_RECOVERY;
	for (int i = 0; i < 8; i++) {
		path.losses = 10; /* all in one place */
		one_ack();
		path.losses = 0;
		rounds(2);
	}
	cr_assert(B->state == STARTUP);
}

Test(cc_bbr3, drain_ends_when_the_queue_is_gone)
{
	path.in_flight = 400;
	reach(DRAIN, 10);
	path.in_flight = 250;
	one_ack();
	cr_assert(B->state == DRAIN);
	path.in_flight = 200; /* what the path holds */
	one_ack();
	cr_assert(B->state == DOWN || B->state == CRUISE);
}

Test(cc_bbr3, drain_ends_after_three_rounds)
{
	path.in_flight = 400;
	reach(DRAIN, 10);
	rounds(3);
	cr_assert(B->state == DRAIN);
	rounds(2);
	cr_assert(B->state == DOWN && B->pacing_gain == 230);
}

/* --- probing for bandwidth --- */

Test(cc_bbr3, cruises_at_the_bandwidth_with_two_of_the_path)
{
	settle();
	rounds(3);
	cr_assert(B->state == CRUISE && B->pacing_gain == 256);
	/* 10 segments a millisecond, less one percent */
	cr_assert(cc.pacing_rate > 9850000 && cc.pacing_rate <= 9900000);
	cr_assert(cc.cwnd >= 400 && cc.cwnd <= 440, "%u", cc.cwnd);
}

Test(cc_bbr3, probes_every_two_to_three_seconds_or_reno_rounds)
{
	nsec began;

	settle();
	began = now;
	reach(REFILL, 64);
	/* 63 rounds of 20 ms come first here */
	cr_assert(now - began > 1200 * MSEC && now - began < 1300 * MSEC);
	path.rtt = 200 * MSEC;
	path.in_flight = 0;
	reach(UP, 4);
	path.in_flight = 3000;
	reach(DOWN, 10);
	path.in_flight = 1;
	began = now;
	reach(REFILL, 30);
	cr_assert(now - began > 2 * SEC && now - began < 3200 * MSEC, "%lld",
		  (long long)(now - began) / MSEC);
}

Test(cc_bbr3, refill_is_a_round_then_up_then_down_on_a_plateau)
{
	uint64_t rounds_before;

	settle();
	reach(REFILL, 70);
	cr_assert(B->pacing_gain == 256 && B->bw_short == INF);
	rounds_before = B->rounds;
	reach(UP, 3);
	cr_assert(B->rounds == rounds_before + 1);
	cr_assert(B->pacing_gain == 320 && B->cwnd_gain == 576);
	rounds_before = B->rounds;
	reach(DOWN, 8);
	cr_assert(B->rounds >= rounds_before + 3);
	cr_assert(!B->was_too_high && B->inflight_long == INF);
}

Test(cc_bbr3, up_ends_on_losses_which_bound_what_is_in_flight)
{
	settle();
	reach(UP, 80);
	path.in_flight = 300;
	rounds(2);
	/* of a frame of 10: 300 were in flight, 8 lost, 6 are the limit */
	lose(10, 300, 12);
	cr_assert(B->state == DOWN && B->was_too_high);
	/* before it 290, of which 2 were lost: 3.9 of it might be */
	cr_assert(B->inflight_long == 290 + (290 - 100) / 49, "%u",
		  B->inflight_long);
	/* it was reordering: as before, and probe again */
	cc_ops(&cc)->event(&cc, CC_UNDO, 0, now);
	cr_assert(B->state == REFILL && B->inflight_long == INF);
}

Test(cc_bbr3, up_ends_on_losses_even_if_application_limited)
{
	settle();
	reach(UP, 80);
	path.app_limited = true;
	path.in_flight = 100;
	rounds(10);
	cr_assert(B->state == UP); /* and never without */
	lose(5, 100, 5);
	cr_assert(B->state == DOWN);
	cr_assert(B->inflight_long == INF); /* nothing is known of a bound */
}

static void learn_bound(void)
{
	settle();
	reach(UP, 80);
	path.in_flight = 300;
	one_ack();
	lose(20, 300, 20);
	cr_assert(B->state == DOWN);
}

Test(cc_bbr3, some_room_is_left_while_cruising)
{
	uint32_t bound;

	learn_bound();
	bound = B->inflight_long;
	cr_assert(bound >= 280 && bound < 300);
	path.in_flight = bound - 10; /* not yet fifteen percent */
	rounds(2);
	cr_assert(B->state == DOWN);
	path.in_flight = 0;
	rounds(2);
	cr_assert(B->state == CRUISE);
	cr_assert(cc.cwnd == bound - bound * 15 / 100, "%u of %u", cc.cwnd,
		  bound);
}

Test(cc_bbr3, after_losses_the_next_probe_stops_at_the_bound_once)
{
	learn_bound();
	path.in_flight = 0;
	reach(UP, 90);
	path.in_flight = B->inflight_long;
	one_ack();
	cr_assert(B->state == DOWN && B->was_precautionary);
	/* no losses: on at once */
	reach(REFILL, 3);
	reach(UP, 3);
	one_ack();
	cr_assert(B->state == UP);
}

Test(cc_bbr3, the_bound_grows_twice_as_fast_each_round)
{
	uint32_t before, per;

	learn_bound();
	path.in_flight = 0;
	reach(UP, 90);
	B->was_too_high = false;
	path.cwnd_limited = true;
	before = B->inflight_long;
	for (unsigned i = 0; i < 4; i++) {
		per = B->up_per_inc;
		path.in_flight = B->inflight_long;
		for (unsigned k = 0; k < ACKS; k++) {
			cc.cwnd = B->inflight_long;
			one_ack();
		}
		cr_assert(B->state == UP);
		/* so many acknowledged for a segment of growth */
		cr_assert(B->up_per_inc <= per / 2 + 3 &&
				  B->up_per_inc >= per / 2 - 3,
			  "%u, was %u", B->up_per_inc, per);
	}
	/* 200 are acknowledged a round */
	cr_assert(B->inflight_long >= before + 10 &&
		  B->inflight_long <= before + 16);
}

Test(cc_bbr3, a_full_pipe_goes_from_down_to_refill)
{
	settle();
	reach(UP, 80);
	reach(DOWN, 8);
	path.in_flight = 500; /* never drains */
	while (B->state == DOWN)
		one_ack();
	cr_assert(B->state == REFILL);
}

/* --- what losses say meanwhile --- */

Test(cc_bbr3, losses_while_cruising_lower_the_short_term_bounds)
{
	uint32_t v[CC_INFO_WORDS];

	settle();
	path.losses = 1;
	path.per_ms = 5;
	rounds(2);
	cr_assert(B->bw_short != INF && B->inflight_short != INF);
	cr_assert(B->inflight_long == INF); /* no probe: no bound */
	rounds(8);
	/* not below what arrives */
	cc_ops(&cc)->info(&cc, v);
	cr_assert(v[0] > 4900000 && v[0] < 5100000, "%u", v[0]);
	cr_assert(B->max_bw > B->bw_short);
	path.losses = 0;
	reach(REFILL, 80);
	cr_assert(B->bw_short == INF && B->inflight_short == INF);
}

Test(cc_bbr3, bandwidth_is_forgotten_after_two_cycles)
{
	uint32_t v[CC_INFO_WORDS];

	settle();
	path.per_ms = 1;
	path.in_flight = 20;
	for (unsigned i = 0; i < 3; i++) {
		reach(UP, 200);
		reach(DOWN, 20);
	}
	rounds(3);
	cc_ops(&cc)->info(&cc, v);
	cr_assert(v[0] < 1100000, "%u", v[0]);
}

Test(cc_bbr3, an_idle_application_says_nothing_of_the_bandwidth)
{
	uint32_t v[CC_INFO_WORDS];

	settle();
	path.per_ms = 1;
	path.app_limited = true;
	path.in_flight = 20;
	rounds(300);
	cc_ops(&cc)->info(&cc, v);
	cr_assert(v[0] > 9900000, "%u", v[0]);
}

/* --- PROBE_RTT --- */

Test(cc_bbr3, half_of_the_path_for_200_ms_after_5_s)
{
	nsec began;

	settle();
	began = now;
	path.rtt = RTT + MSEC; /* a queue: no new minimum */
	reach(PROBE_RTT, 300);
	cr_assert(now - began > 4 * SEC && now - began < 6 * SEC);
	cr_assert(cc.cwnd == 100, "%u", cc.cwnd); /* 10 * 20 / 2 */
	cr_assert(cc.app_limited);
	began = now;
	path.in_flight = 100;
	while (B->state == PROBE_RTT) {
		one_ack();
		cr_assert(cc.cwnd <= 100 || B->state != PROBE_RTT);
	}
	cr_assert(now - began >= 200 * MSEC && now - began < 260 * MSEC);
	cr_assert(B->state == CRUISE && cc.cwnd >= 400, "%u", cc.cwnd);
}

Test(cc_bbr3, probe_rtt_of_a_startup_goes_back_to_it)
{
	path.app_limited = true;
	path.rtt = RTT + MSEC;
	reach(PROBE_RTT, 300);
	path.in_flight = 4;
	while (B->state == PROBE_RTT)
		one_ack();
	cr_assert(B->state == STARTUP);
}

Test(cc_bbr3, who_was_idle_need_not_drain_the_path)
{
	settle();
	cc.app_limited = 1;
	now += 30 * SEC;
	cc.now = now;
	cc_ops(&cc)->event(&cc, CC_RESTART, 30 * SEC, now);
	/* at the bandwidth, not above */
	cr_assert(cc.pacing_rate > 9850000 && cc.pacing_rate <= 9900000);
	path.rtt = RTT + MSEC;
	one_ack();
	cr_assert(B->state != PROBE_RTT);
}

/* --- the window --- */

Test(cc_bbr3, acks_in_bunches_get_room)
{
	uint32_t before;

	settle();
	rounds(3);
	before = cc.cwnd;
	path.burst = 50;
	one_ack();
	path.burst = 0;
	rounds(1);
	cr_assert(cc.cwnd >= before + 40, "%u, was %u", cc.cwnd, before);
}

Test(cc_bbr3, never_less_than_four_segments)
{
	path.per_ms = 1;
	path.rtt = ACKS * MSEC; /* one an ACK */
	cc.mss = 60000;
	path.in_flight = 2;
	B->min_rtt = B->probe_min = USEC;
	rounds(20);
	cr_assert(cc.cwnd >= 4);
}

Test(cc_bbr3, a_recovery_gives_the_window_back)
{
	uint32_t before;

	settle();
	rounds(3);
	before = cc.cwnd;
	cc.ssthresh = cc_ops(&cc)->ssthresh(&cc);
	cc.cwnd = 1;
	cc.ca = CA_LOSS;
	cc_ops(&cc)->event(&cc, CC_LOSS, 0, now);
	path.in_flight = 1;
	one_ack();
	cr_assert(cc.cwnd < before);
	cc.ca = CA_OPEN;
	one_ack();
	cr_assert(cc.cwnd >= before, "%u, was %u", cc.cwnd, before);
}

Test(cc_bbr3, no_faster_than_the_user_allows)
{
	cc.max_pacing = 500000;
	settle();
	cr_assert(cc.pacing_rate == 500000);
}
