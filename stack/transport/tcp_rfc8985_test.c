/* SPDX-License-Identifier: MIT
 *
 * RFC 8985: loss by time (RACK), and a probe for the tail (TLP). What is shown
 * here is what tcp_recover_test.c does not.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_sack_world.h"

TestSuite(tcp_rfc8985, .init = peer_init, .fini = peer_fini);

/* How many of the three timers of section 8 run. */
static unsigned num_timers(void)
{
	const struct tcp_conn *c = conn();

	return (c->at[TCP_T_RTX] != TIME_NEVER) +
	       (c->at[TCP_T_TLP] != TIME_NEVER) +
	       (c->at[TCP_T_REO] != TIME_NEVER);
}

static uint64_t resent(void)
{
	return count(STAT_TcpRetransSegs);
}

/* Time until something is sent. */
static nsec wait_out(void)
{
	nsec at = w.now;

	while (!num_out() && w.now - at < 10 * SEC)
		pass(MSEC);
	return w.now - at;
}

/* --- 4: what it needs --- */

Test(tcp_rfc8985, without_sack_there_is_neither)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK, .ack = 1, .mss = MSS});
	conn()->srtt = conn()->min_rtt = RTT;
	tcp_rto_update(conn());
	put(3000, 0);
	segs(0, 3);
	cr_assert(conn()->at[TCP_T_TLP] == TIME_NEVER);
	pass(RTT);
	acked(0);
	acked(0);
	cr_assert(conn()->at[TCP_T_REO] == TIME_NEVER);
	pass(SEC);
	next();
	cr_assert(w.last.seq == 1 && count(STAT_TcpExtTCPTimeouts) >= 1);
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 0);
	go_away();
}

/* 4 and 9.1, 1: each segment has its time, and one that was sent later than
 * another by more than the reordering window tells on it at once. */
Test(tcp_rfc8985, each_segment_has_its_time)
{
	open_rtt();
	put(1000, 0);
	segs(0, 1);
	pass(RTT / 2);
	put(1000, 0);
	segs(1, 2);
	pass(RTT / 2);
	put(1000, 0);
	segs(2, 3);
	pass(RTT / 2);
	SACKED(0, S(1, 2));
	segs(0, 1);
	pass(RTT);
	acked(2); /* and what answers the resend tells on the third */
	segs(2, 3);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	acked(3);
}

/* A quarter of a short round trip is told apart. */
Test(tcp_rfc8985, its_time_is_fine_enough_for_a_data_centre)
{
	open_active();
	conn()->srtt = conn()->min_rtt = 40 * USEC;
	put(1000, 0);
	segs(0, 1);
	pass(11 * USEC);
	put(1000, 0);
	segs(1, 2);
	pass(40 * USEC);
	SACKED(0, S(1, 2));
	segs(0, 1);
	acked(2);
}

/* 9.1, 2 */
Test(tcp_rfc8985, a_resend_that_is_lost_is_sent_again)
{
	open_rtt();
	put(2000, 0);
	segs(0, 2);
	pass(RTT / 2);
	put(3000, 0);
	segs(2, 5);
	pass(RTT);
	SACKED(0, S(2, 3));
	segs(0, 1);
	SACKED(0, S(2, 4));
	segs(1, 2);
	pass(RTT);
	SACKED(0, S(1, 4)); /* the resend of 1 came, that of 0 did not */
	segs(0, 1);
	cr_assert(count(STAT_TcpExtTCPLostRetransmit) == 1);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	skip();
	acked(5);
}

/* --- 6.2 --- */

/* Step 1: the smallest round trip of the last 300 s. */
Test(tcp_rfc8985, the_smallest_round_trip_is_forgotten)
{
	uint32_t n = 0;

	open_rtt();
	conn()->min_rtt = 10 * MSEC;
	for (nsec t = 0; t < 299 * SEC; t += 50 * SEC) {
		put(1000, 0);
		skip();
		pass(RTT);
		acked(++n);
		cr_assert(conn()->min_rtt == 10 * MSEC);
		pass(50 * SEC - RTT);
	}
	pass(2 * SEC);
	put(1000, 0);
	skip();
	pass(RTT);
	acked(++n);
	cr_assert(conn()->min_rtt == RTT);
}

/* Step 2: what was sent again and is acknowledged sooner than a round trip
 * later was only late: it tells nothing of what was sent with the resend. */
Test(tcp_rfc8985, a_needless_resend_is_no_measure)
{
	open_rtt();
	put(20000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 4));
	segs(0, 1);
	skip();
	pass(RTT / 10);
	acked(4);
	skip();
	cr_assert(resent() == 1, "%u", (unsigned)resent());
	pass(RTT / 10);
	acked(10);
	cr_assert(resent() == 1);
	go_away();
}

/* Step 2: of those sent at once the highest number counts as the last. */
Test(tcp_rfc8985, what_was_sent_at_once_goes_by_number)
{
	open_rtt();
	put(10000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 2), S(3, 4), S(5, 6));
	pass(SEC / 10);
	segs(0, 1);
	segs(2, 3);
	segs(4, 5); /* but nothing from 6 on */
	quiet();
	cr_assert(resent() == 3);
	go_away();
}

/* Step 3: only what was never sent again can be late. */
Test(tcp_rfc8985, a_resend_is_no_reordering)
{
	open_rtt();
	put(4000, 0);
	segs(0, 4);
	pass(RTT);
	SACKED(0, S(1, 4));
	segs(0, 1);
	pass(RTT);
	acked(4);
	cr_assert(conn()->rack.reord_seen == 0);
	put(2000, 0);
	segs(4, 6);
	pass(RTT);
	SACKED(4, S(5, 6));
	acked(6); /* 4, once and late */
	cr_assert(conn()->rack.reord_seen == 1);
}

/* Step 4: while nothing was reordered there is no such window in recovery. */
Test(tcp_rfc8985, no_patience_in_recovery)
{
	open_rtt();
	put(10000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 4));
	segs(0, 1);
	SACKED(0, S(1, 4), S(5, 10)); /* room for a resend */
	segs(4, 5);
	cr_assert(conn()->at[TCP_T_REO] == TIME_NEVER);
	acked(10);
}

/* With reordering there is, and three above are not enough. */
Test(tcp_rfc8985, patience_where_reordering_was_seen)
{
	open_rtt();
	conn()->rack.reord_seen = 1;
	put(10000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 10));
	quiet();
	cr_assert(wait_out() <= RTT / 4 + 5 * MSEC);
	segs(0, 1);
	acked(10);
}

/* Told of it by a D-SACK, the window grows once a round trip, to one round trip
 * at most. */
Test(tcp_rfc8985, the_window_grows_once_a_round_trip)
{
	uint32_t n = 0;

	open_rtt();
	conn()->total_retrans = 1000; /* any D-SACK is about one of ours */
	for (uint32_t i = 1; i < 4; i++) {
		put(2000, 0);
		skip();
		pass(RTT);
		SEND(.flags = ACK, .seq = 1, .ack = (n + 1) * MSS + 1,
		     .num_sack = 1, .sack = {S(n, n + 1)});
		cr_assert(conn()->rack.reo_wnd_steps == i + 1);
		/* the same round trip */
		SEND(.flags = ACK, .seq = 1, .ack = (n + 2) * MSS + 1,
		     .num_sack = 1, .sack = {S(n, n + 1)});
		cr_assert(conn()->rack.reo_wnd_steps == i + 1);
		n += 2;
	}
}

Test(tcp_rfc8985, the_window_is_a_round_trip_at_most)
{
	nsec t;

	open_rtt();
	conn()->rack.reord_seen = 1;
	conn()->rack.reo_wnd_steps = 200;
	conn()->rack.reo_wnd_persist = 16;
	put(10000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 10));
	t = wait_out();
	cr_assert(t >= RTT - 15 * MSEC && t <= RTT + 5 * MSEC, "%lld ms",
		  (long long)t / MSEC);
	segs(0, 1);
	acked(10);
}

/* It is kept for 16 recoveries without a D-SACK. */
Test(tcp_rfc8985, the_window_is_kept_for_16_recoveries)
{
	uint32_t n = 0;

	open_rtt();
	conn()->rack.reo_wnd_steps = 3;
	conn()->rack.reo_wnd_persist = 16;
	for (int i = 0; i < 16; i++) {
		cr_assert(conn()->rack.reo_wnd_steps == 3, "%d", i);
		conn()->cc.cwnd = 20;
		put(4000, 0);
		skip();
		pass(RTT);
		SACKED(n, S(n + 1, n + 4));
		segs(n, n + 1);
		pass(RTT);
		n += 4;
		acked(n);
		skip();
		cr_assert(conn()->ca == CA_OPEN);
	}
	put(1000, 0);
	skip();
	pass(RTT);
	acked(++n);
	cr_assert(conn()->rack.reo_wnd_steps == 1);
}

/* --- 6.3 --- */

/* A timeout is no news of what was sent a moment ago. */
Test(tcp_rfc8985, a_timeout_spares_what_is_young)
{
	w.st->sysctl.tcp_early_retrans = 0; /* no probe */
	open_rtt();
	put(1000, 0);
	skip();
	pass(RTT);
	acked(1);
	put(2000, 0);
	segs(1, 3);
	pass(conn()->rto - 20 * MSEC);
	put(2000, 0);
	segs(3, 5);
	pass(30 * MSEC);
	cr_assert(conn()->ca == CA_LOSS);
	cr_assert(conn()->lost_out == 2);
	segs(1, 2);
	pass(RTT);
	acked(5);
}

/* --- 7.2: when a probe goes --- */

/* No round trip is known: the SYN was sent twice. */
Test(tcp_rfc8985, a_second_where_no_round_trip_is_known)
{
	open_with(NULL);
	pass(SEC + 10 * MSEC);
	expect(SYN, 0, 0, 0);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true);
	expect(ACK, 1, 1, 0);
	cr_assert(conn()->srtt == 0);
	put(2000, 0);
	segs(0, 2);
	pass(SEC - 5 * MSEC);
	quiet();
	pass(10 * MSEC);
	segs(1, 2);
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 1);
	acked(2);
}

/* A lone segment's ACK may be delayed: the probe waits for that, too. */
Test(tcp_rfc8985, a_lone_segment_is_given_the_time_of_a_delayed_ack)
{
	nsec t;

	open_rtt();
	conn()->rttvar = conn()->mdev_max = 500 * MSEC;
	tcp_rto_update(conn());
	put(1000, 0);
	segs(0, 1);
	t = wait_out();
	cr_assert(t >= 2 * RTT + 200 * MSEC - 5 * MSEC);
	cr_assert(t <= 2 * RTT + 200 * MSEC + 5 * MSEC);
	segs(0, 1);
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 1);
	acked(1);
}

/* Not where SACKs or a recovery tell more. */
Test(tcp_rfc8985, no_probe_while_something_is_sacked_or_repaired)
{
	open_rtt();
	put(8000, 0);
	segs(0, 8);
	cr_assert(conn()->at[TCP_T_TLP] != TIME_NEVER);
	pass(RTT);
	SACKED(0, S(1, 2));
	cr_assert(conn()->at[TCP_T_TLP] == TIME_NEVER);
	SACKED(0, S(1, 4));
	segs(0, 1);
	cr_assert(conn()->at[TCP_T_TLP] == TIME_NEVER);
	pass(RTT);
	SACKED(4, S(6, 7)); /* progress, but still in recovery */
	cr_assert(conn()->at[TCP_T_TLP] == TIME_NEVER);
	skip();
	pass(3 * SEC);
	cr_assert(conn()->ca == CA_LOSS);
	cr_assert(conn()->at[TCP_T_TLP] == TIME_NEVER);
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 0);
	skip();
	acked(8);
}

/* What advances starts the wait anew. */
Test(tcp_rfc8985, progress_puts_the_probe_off)
{
	open_rtt();
	put(5000, 0);
	segs(0, 5);
	for (uint32_t i = 1; i < 4; i++) {
		pass(2 * RTT - 50 * MSEC);
		acked(i);
	}
	quiet();
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 0);
	acked(5);
}

/* --- 7.3: what a probe is --- */

/* The last segment, where the peer's window has no room for a new one. */
Test(tcp_rfc8985, a_closed_window_lets_the_last_segment_go)
{
	open_rtt();
	put(1000, 0);
	segs(0, 1);
	SEND(.flags = ACK, .seq = 1, .ack = 1001, .win = 2000);
	put(3000, 0);
	segs(1, 3);
	quiet();
	cr_assert(wait_out() <= 2 * RTT + 5 * MSEC);
	segs(2, 3);
	SEND(.flags = ACK, .seq = 1, .ack = 3001, .win = 2000);
	segs(3, 4);
	go_away();
}

/* One at a time, and then the timeout, counted from the probe. */
Test(tcp_rfc8985, after_a_probe_comes_the_timeout)
{
	nsec t;

	open_rtt();
	put(2000, 0);
	segs(0, 2);
	cr_assert(num_timers() == 1);
	wait_out();
	segs(1, 2);
	cr_assert(num_timers() == 1 && conn()->at[TCP_T_RTX] != TIME_NEVER);
	t = wait_out();
	cr_assert(t >= conn()->rto / 2 - 5 * MSEC); /* it has doubled since */
	cr_assert(t <= conn()->rto / 2 + 5 * MSEC);
	segs(0, 1);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 1);
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 1);
	cr_assert(!conn()->tlp_out); /* 7.1: a timeout forgets it */
	acked(2);
}

/* New data does not bring another while the first is out. */
Test(tcp_rfc8985, no_second_probe_while_one_is_out)
{
	open_rtt();
	put(2000, 0);
	segs(0, 2);
	wait_out();
	segs(1, 2);
	put(1000, 0);
	segs(2, 3);
	acked(1); /* progress, short of the probe */
	cr_assert(conn()->tlp_out);
	pass(2 * RTT + 10 * MSEC);
	quiet();
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 1);
	cr_assert(num_timers() == 1);
	acked(3);
}

/* 7.3 asks for a round trip measured since the last probe; Linux does not. */
Test(tcp_rfc8985, a_probe_may_follow_one_that_measured_nothing)
{
	nsec srtt;

	open_rtt();
	put(1000, 0);
	segs(0, 1);
	wait_out();
	segs(0, 1);
	srtt = conn()->srtt;
	acked(1); /* of which copy? no measure */
	SACKED(1, S(0, 1));
	cr_assert(conn()->srtt == srtt && !conn()->tlp_out);
	put(2000, 0);
	segs(1, 3);
	wait_out();
	segs(2, 3);
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 2);
	acked(3);
}

/* --- 7.4.2 --- */

/* A peer without D-SACK: a duplicate without any block tells the same. */
Test(tcp_rfc8985, a_pure_duplicate_says_that_both_copies_came)
{
	open_rtt();
	put(2000, 0);
	segs(0, 2);
	wait_out();
	segs(1, 2);
	put(1000, 0);
	segs(2, 3);
	acked(2);
	cr_assert(conn()->tlp_out);
	acked(2);
	cr_assert(!conn()->tlp_out);
	acked(3);
	cr_assert(count(STAT_TcpExtTCPLossProbeRecovery) == 0);
	cr_assert(conn()->cc.cwnd >= 10);
}

/* --- 8 --- */

Test(tcp_rfc8985, one_timer_at_a_time)
{
	open_rtt();
	put(3000, 0);
	segs(0, 3);
	cr_assert(num_timers() == 1);
	pass(RTT);
	SACKED(0, S(1, 2));
	cr_assert(num_timers() == 1 && conn()->at[TCP_T_REO] != TIME_NEVER);
	put(1000, 0);
	segs(3, 4);
	cr_assert(num_timers() == 1 && conn()->at[TCP_T_REO] != TIME_NEVER);
	pass(RTT / 2);
	segs(0, 1);
	cr_assert(num_timers() == 1 && conn()->at[TCP_T_RTX] != TIME_NEVER);
	acked(4);
	cr_assert(num_timers() == 0);
}

/* Where round trips are long, patience may be longer than the timeout. */
Test(tcp_rfc8985, no_timeout_while_reordering_is_given_time)
{
	open_rtt();
	conn()->srtt = conn()->min_rtt = SEC;
	tcp_rto_update(conn());
	cr_assert(conn()->rto == 1200 * MSEC);
	conn()->rack.reord_seen = 1;
	conn()->rack.reo_wnd_steps = 4;
	conn()->rack.reo_wnd_persist = 16;
	put(3000, 0);
	segs(0, 3);
	pass(SEC);
	SACKED(0, S(1, 2));
	pass(800 * MSEC);
	quiet();
	acked(2); /* it was only late */
	cr_assert(num_timers() == 1);
	acked(3);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0 && resent() == 0);
}

/* And when it was in vain, the timeout goes on from the oldest segment. */
Test(tcp_rfc8985, the_timeout_goes_on_after_the_reordering_timer)
{
	open_rtt();
	put(3000, 0);
	segs(0, 3);
	pass(RTT);
	SACKED(0, S(1, 3));
	cr_assert(conn()->at[TCP_T_REO] != TIME_NEVER);
	pass(RTT / 2);
	segs(0, 1);
	cr_assert(conn()->ca == CA_RECOVERY);
	pass(3 * RTT + 10 * MSEC); /* nothing comes any more */
	segs(0, 1);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 1);
	acked(3);
}

/* --- 9.3 --- */

/* What is lost waits for the congestion window like all else. */
Test(tcp_rfc8985, lost_is_not_yet_sent_again)
{
	open_rtt();
	conn()->cc.cwnd = 20;
	put(20000, 0);
	segs(0, 20);
	pass(RTT);
	SACKED(0, S(10, 20));
	cr_assert(conn()->lost_out == 10 && conn()->ca == CA_RECOVERY);
	/* 14 of 20: so many for ten that came */
	cr_assert(conn()->cc.ssthresh == 14);
	cr_assert(num_out() >= 1 && num_out() <= 10);
	cr_assert(tcp_in_flight(conn()) <= conn()->cc.cwnd);
	skip();
	go_away();
}
