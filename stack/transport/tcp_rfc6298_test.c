/* SPDX-License-Identifier: MIT
 *
 * The retransmission timer, rule by rule of RFC 6298: what it is computed
 * from, when it is started, stopped and doubled. Without SACK, so that there
 * is no loss probe in front of it.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_rfc6298, .init = peer_init, .fini = peer_fini);

/* A connection whose handshake took @rtt. */
static void open_after(nsec rtt)
{
	open_with(NULL);
	pass(rtt);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	expect(ACK, 1, 1, 0);
}

static void ack(uint32_t n)
{
	SEND(.flags = ACK, .seq = 1, .ack = n);
}

/* The next segment is @seq, and comes at @t since @since, not earlier. */
static void resent_at(nsec since, nsec t, uint32_t seq)
{
	pass(since + t - MSEC - w.now);
	quiet();
	pass(2 * MSEC);
	next();
	cr_assert(w.last.seq == seq && w.last.len);
}

/* --- 2: computing it --- */

Test(tcp_rfc6298, a_second_until_there_is_a_sample)
{
	open_with(NULL);
	cr_assert(conn()->rto == SEC);
	pass(SEC - MSEC);
	quiet();
	pass(MSEC);
	expect(SYN, 0, 0, 0);
}

Test(tcp_rfc6298, the_first_sample)
{
	open_after(400 * MSEC);
	cr_assert(conn()->srtt == 400 * MSEC);
	cr_assert(conn()->rttvar == 200 * MSEC);
	cr_assert(conn()->rto == 1200 * MSEC);
}

Test(tcp_rfc6298, the_next_ones_variance_first)
{
	open_after(400 * MSEC);
	put(1000, 0);
	skip();
	pass(800 * MSEC);
	ack(1001);
	/* 200 * 3/4 + (800 - 400) / 4, not (800 - 450) / 4 */
	cr_assert(conn()->rttvar == 250 * MSEC);
	cr_assert(conn()->srtt == 450 * MSEC); /* 400 * 7/8 + 800 / 8 */
	cr_assert(conn()->rto == 1450 * MSEC);
}

/* Linux: a path that becomes faster is no less certain for that. */
Test(tcp_rfc6298, a_shorter_round_trip_weighs_less)
{
	open_after(400 * MSEC);
	put(1000, 0);
	skip();
	pass(100 * MSEC);
	ack(1001);
	cr_assert(conn()->srtt == 400 * MSEC - 300 * MSEC / 8);
	cr_assert(conn()->mdev == 200 * MSEC + 100 * MSEC / 8 / 4);
	cr_assert(conn()->rttvar == conn()->mdev);
}

/* ... and the variance falls by a quarter a round trip, as the largest one of
 * the round trip is what counts. */
Test(tcp_rfc6298, the_variance_falls_slowly)
{
	uint32_t seq = 1;
	nsec before;

	open_after(400 * MSEC);
	for (int i = 0; i < 30; i++) {
		before = conn()->rttvar;
		put(1000, 0);
		skip();
		pass(400 * MSEC);
		ack(seq += 1000);
		cr_assert(conn()->rttvar >= before * 3 / 4);
		cr_assert(conn()->rttvar <= MAX(before, 50 * MSEC));
	}
	/* 4: a variance of nothing counts for 200 ms, no less */
	cr_assert(conn()->srtt == 400 * MSEC);
	cr_assert(conn()->rto >= 600 * MSEC && conn()->rto < 601 * MSEC);
}

Test(tcp_rfc6298, its_least_is_200_ms_as_linux_has_it_or_what_is_set)
{
	open_after(10 * MSEC);
	cr_assert(conn()->rto == 210 * MSEC);
	sock_close(w.st, w.s, w.now);
	skip();
	peer_fini();
	peer_init();
	w.st->sysctl.tcp_rto_min_us = 1000000; /* RFC 6298 2.4 */
	open_after(10 * MSEC);
	cr_assert(conn()->rto == 1010 * MSEC);
	put(1000, 0);
	skip();
	resent_at(w.now, 1010 * MSEC, 1);
}

Test(tcp_rfc6298, its_most_is_two_minutes)
{
	nsec last, gap = 0;

	open_after(100 * MSEC);
	put(1000, 0);
	skip();
	last = w.now;
	for (int i = 0; i < 12; i++) {
		while (!num_out())
			pass(100 * MSEC);
		gap = w.now - last;
		last = w.now;
		skip();
		cr_assert(gap < 121 * SEC);
	}
	cr_assert(gap > 119 * SEC);
}

/* --- 3: samples --- */

Test(tcp_rfc6298, what_was_sent_again_is_no_sample)
{
	nsec srtt, sent;

	open_after(100 * MSEC);
	srtt = conn()->srtt;
	cr_assert(conn()->rto == 300 * MSEC);
	sent = w.now;
	put(1000, 0);
	expect(PSH | ACK, 1, 1, 1000);
	resent_at(sent, 300 * MSEC, 1);
	pass(10 * MSEC);
	ack(1001);
	cr_assert(conn()->srtt == srtt);
	/* the doubled timeout stays, until there is a sample */
	cr_assert(conn()->rto == 600 * MSEC);
	sent = w.now;
	put(1000, 0);
	expect(PSH | ACK, 1001, 1, 1000);
	resent_at(sent, 600 * MSEC, 1001);
	ack(2001);
	put(1000, 0);
	expect(PSH | ACK, 2001, 1, 1000);
	pass(100 * MSEC);
	ack(3001);
	cr_assert(conn()->rto <= 300 * MSEC);
}

/* A timestamp tells which of the two it was. */
Test(tcp_rfc6298, a_timestamp_makes_it_one)
{
	nsec sent;

	open_with(NULL);
	pass(100 * MSEC);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .has_ts = true,
	     .ts_val = 1, .ts_ecr = w.last.ts_val);
	skip();
	sent = w.now;
	put(1000, 0);
	skip();
	resent_at(sent, 300 * MSEC, 1);
	pass(19 * MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 1001, .has_ts = true, .ts_val = 2,
	     .ts_ecr = w.last.ts_val);
	cr_assert(conn()->srtt < 100 * MSEC && conn()->srtt >= 90 * MSEC);
	cr_assert(conn()->rto <= 300 * MSEC);
}

Test(tcp_rfc6298, each_round_trip_is_measured)
{
	uint32_t seq = 1;

	open_after(100 * MSEC);
	for (int i = 1; i <= 20; i++) {
		nsec before = conn()->srtt;

		put(4000, 0);
		skip();
		pass((100 + i) * MSEC);
		ack(seq += 4000);
		cr_assert(conn()->srtt > before);
	}
}

/* --- 5: managing it --- */

Test(tcp_rfc6298, it_runs_from_the_first_segment)
{
	nsec sent;

	open_after(100 * MSEC);
	sent = w.now;
	put(1000, 0);
	pass(200 * MSEC);
	put(1000, 0); /* the timer is running: 5.1 */
	skip();
	resent_at(sent, 300 * MSEC, 1);
	quiet(); /* the earliest, and no other: 5.4 */
}

Test(tcp_rfc6298, it_stops_with_the_last_ack)
{
	open_after(100 * MSEC);
	put(2000, 0);
	skip();
	ack(2001);
	cr_assert(conn()->at[TCP_T_RTX] == TIME_NEVER);
	pass(100 * SEC);
	quiet();
}

/* 5.3; so it is never earlier than an RTO after the segment was sent. */
Test(tcp_rfc6298, new_data_acknowledged_starts_it_again)
{
	nsec acked;

	open_after(100 * MSEC);
	put(1000, 0);
	pass(50 * MSEC);
	put(1000, 0);
	skip();
	pass(50 * MSEC);
	ack(1001);
	acked = w.now;
	cr_assert(conn()->rto <= 300 * MSEC);
	resent_at(acked, conn()->rto, 1001);
}

Test(tcp_rfc6298, an_old_ack_does_not)
{
	nsec sent;

	open_after(100 * MSEC);
	sent = w.now;
	put(1000, 0);
	skip();
	pass(200 * MSEC);
	ack(1);
	resent_at(sent, 300 * MSEC, 1);
}

Test(tcp_rfc6298, each_expiry_doubles_it)
{
	static const int ms[] = {300, 900, 2100, 4500, 9300, 18900};
	nsec sent;

	open_after(100 * MSEC);
	sent = w.now;
	put(3000, 0);
	skip();
	for (unsigned i = 0; i < ARRAY_SIZE(ms); i++) {
		resent_at(sent, ms[i] * MSEC, 1);
		cr_assert(conn()->rto == (600 << i) * MSEC);
	}
	cr_assert(count(STAT_TcpExtTCPTimeouts) == ARRAY_SIZE(ms));
}

/* 5.7: tried on Linux */
Test(tcp_rfc6298, three_seconds_after_a_syn_that_went_twice)
{
	nsec sent;

	open_with(NULL);
	pass(SEC);
	expect(SYN, 0, 0, 0);
	pass(100 * MSEC);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	expect(ACK, 1, 1, 0);
	cr_assert(conn()->srtt == 0 && conn()->rto == 3 * SEC);
	sent = w.now;
	put(1000, 0);
	skip();
	resent_at(sent, 3 * SEC, 1);
	resent_at(sent, 9 * SEC, 1);
	ack(1001);
	put(1000, 0);
	skip();
	pass(100 * MSEC);
	ack(2001); /* and now there is one */
	cr_assert(conn()->srtt == 100 * MSEC && conn()->rto == 300 * MSEC);
}

Test(tcp_rfc6298, and_after_a_synack_that_did)
{
	sockid l = open_listener(1), child;
	nsec sent;

	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	pass(SEC + MSEC);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	cr_assert(sock_accept(w.st, l, &child, w.now) == 0);
	sock_close(w.st, l, w.now);
	w.s = child;
	cr_assert(conn()->srtt == 0 && conn()->rto == 3 * SEC);
	sent = w.now;
	put(1000, 0);
	skip();
	resent_at(sent, 3 * SEC, 1);
}
