/* SPDX-License-Identifier: MIT
 *
 * A sender that pauses: what its window is worth afterwards, by Linux's rule
 * and by RFC 7661.
 */
#include <criterion/criterion.h>

#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

#define RTT (50 * MSEC)

TestSuite(tcp_cwv, .init = peer_init, .fini = peer_fini);

static uint32_t acked;

static void open_wide(int cwv)
{
	w.st->sysctl.tcp_cwv = cwv;
	w.st->sysctl.tcp_init_cwnd = 40;
	w.st->sysctl.tcp_congestion_control = CC_RENO;
	open_active();
	conn()->srtt = conn()->min_rtt = RTT;
	tcp_rto_update(conn());
	w.st->sysctl.tcp_init_cwnd = 10;
	conn()->cc.ssthresh = 40;
	acked = 1;
}

/* @n segments in one round trip. */
static void round_trip(uint32_t n)
{
	put(n * MSS, 0);
	skip();
	pass(RTT);
	acked += n * MSS;
	SEND(.flags = ACK, .seq = 1, .ack = acked);
}

static void go_away(void)
{
	skip();
	SEND(.flags = RST | ACK, .seq = 1, .ack = conn()->snd_nxt - w.iss);
	skip();
}

Test(tcp_cwv, linux_forgets_a_window_while_nothing_is_sent)
{
	open_wide(0);
	round_trip(30);
	pass(10 * SEC);
	put(MSS, 0);
	cr_assert(conn()->cc.cwnd == 10, "%u", conn()->cc.cwnd);
	go_away();
}

Test(tcp_cwv, a_window_is_kept_for_five_minutes)
{
	open_wide(1);
	round_trip(30);
	pass(10 * SEC);
	round_trip(1);
	cr_assert(conn()->cc.cwnd == 40 && conn()->cwv.since);
	for (int i = 0; i < 9; i++) { /* four and a half minutes */
		pass(30 * SEC);
		round_trip(1);
	}
	cr_assert(conn()->cc.cwnd == 40);
	conn()->cc.ssthresh = 10;
	pass(60 * SEC);
	put(MSS, 0);
	cr_assert(conn()->cc.cwnd == 20, "%u", conn()->cc.cwnd);
	cr_assert(conn()->cc.ssthresh == 30);
	go_away();
}

Test(tcp_cwv, what_is_not_used_does_not_grow)
{
	open_wide(1);
	conn()->cc.ssthresh = CC_SSTHRESH_NONE;
	for (int i = 0; i < 60; i++) /* half of it and less, for 3 s */
		round_trip(10);
	cr_assert(conn()->cc.cwnd == 40 || conn()->cwv.since);
	cr_assert(conn()->cc.cwnd < 60, "%u", conn()->cc.cwnd);
	go_away();
}

Test(tcp_cwv, half_of_it_validates_it)
{
	open_wide(1);
	round_trip(30);
	pass(10 * SEC);
	round_trip(1);
	cr_assert(conn()->cwv.since);
	round_trip(20);
	cr_assert(!conn()->cwv.since);
	go_away();
}

Test(tcp_cwv, after_a_loss_it_falls_from_what_was_used)
{
	open_wide(1);
	round_trip(30);
	pass(10 * SEC);
	for (int i = 0; i < 3; i++)
		round_trip(8);
	put(8 * MSS, 0);
	skip();
	cr_assert(conn()->cc.cwnd == 40);
	pass(5 * SEC); /* nothing comes */
	cr_assert(conn()->ca == CA_LOSS);
	cr_assert(conn()->cc.ssthresh == 4, "%u", conn()->cc.ssthresh);
	go_away();
}

/* RFC 7661 4.2 */
Test(tcp_cwv, a_recovery_is_no_measure)
{
	open_wide(1);
	round_trip(30);
	put(40 * MSS, 0);
	skip();
	pass(RTT);
	for (uint32_t i = 4; i < 40; i += 4)
		SEND(.flags = ACK, .seq = 1, .ack = acked, .num_sack = 1,
		     .sack = {{acked + MSS, acked + i * MSS}});
	cr_assert(conn()->ca == CA_RECOVERY && !conn()->cwv.has_sample);
	skip();
	pass(RTT);
	acked += 20 * MSS; /* part of it */
	SEND(.flags = ACK, .seq = 1, .ack = acked);
	cr_assert(conn()->ca == CA_RECOVERY && !conn()->cwv.has_sample);
	go_away();
}

Test(tcp_cwv, linux_falls_from_what_was_allowed)
{
	open_wide(0);
	w.st->sysctl.tcp_slow_start_after_idle = 0;
	round_trip(30);
	pass(10 * SEC);
	for (int i = 0; i < 3; i++)
		round_trip(8);
	put(8 * MSS, 0);
	skip();
	pass(5 * SEC);
	cr_assert(conn()->ca == CA_LOSS);
	cr_assert(conn()->cc.ssthresh == 20, "%u", conn()->cc.ssthresh);
	go_away();
}

/* How many leave in each tenth of a round trip. */
static void spread(unsigned n[11])
{
	put(40 * MSS, 0);
	for (int i = 0; i <= 10; i++) {
		n[i] = num_out();
		skip();
		pass(RTT / 10);
	}
	skip();
}

Test(tcp_cwv, a_window_that_was_kept_is_no_burst)
{
	unsigned n[11], sum = 0;

	open_wide(1);
	round_trip(30);
	pass(10 * SEC);
	spread(n); /* RFC 7661 4.4.2: over a round trip */
	for (int i = 0; i < 11; i++) {
		cr_assert(n[i] <= 6, "%u at %d", n[i], i);
		sum += n[i];
	}
	cr_assert(n[0] <= 2 && sum == 40, "%u, all %u", n[0], sum);
	cr_assert(conn()->cc.cwnd == 40);
	go_away();
}

Test(tcp_cwv, one_that_is_validated_is_not_paced)
{
	unsigned n[11];

	open_wide(1);
	round_trip(30);
	spread(n);
	cr_assert(n[0] == 40, "%u", n[0]);
	go_away();
}

Test(tcp_cwv, linux_sends_what_is_left_of_it_at_once)
{
	unsigned n[11];

	open_wide(0);
	w.st->sysctl.tcp_slow_start_after_idle = 0;
	round_trip(30);
	pass(10 * SEC);
	spread(n);
	cr_assert(n[0] == 40, "%u", n[0]);
	go_away();
}

Test(tcp_cwv, the_pace_ends_as_the_window_is_validated)
{
	open_wide(1);
	round_trip(30);
	pass(10 * SEC);
	put(40 * MSS, 0);
	pass(RTT + 10 * MSEC);
	skip();
	acked += 40 * MSS;
	SEND(.flags = ACK, .seq = 1, .ack = acked);
	cr_assert(!conn()->cwv.since);
	put(40 * MSS, 0);
	cr_assert(num_out() >= 40, "%u", num_out());
	go_away();
}
