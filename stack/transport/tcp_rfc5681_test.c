/* SPDX-License-Identifier: MIT
 *
 * How much may be in flight: RFC 5681, with Reno, which is that RFC; and what
 * a receiver does so that a sender knows. What Linux does otherwise (the
 * initial window of RFC 6928, the proportional reduction of RFC 6937, a window
 * in segments) is tested as Linux does it.
 */
#include <errno.h>
#include <netinet/tcp.h>

#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_rfc5681, .init = peer_init, .fini = peer_fini);

static void open_reno(bool sack)
{
	w.st->sysctl.tcp_congestion_control = CC_RENO;
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = sack});
}

static void ack(uint32_t n)
{
	SEND(.flags = ACK, .seq = 1, .ack = n);
}

static uint32_t cwnd(void)
{
	return conn()->cc.cwnd;
}

static uint32_t ssthresh(void)
{
	return conn()->cc.ssthresh;
}

/* As many segments as the window has room for, from @*una on, are sent and
 * acknowledged one by one, a millisecond apart. */
static void round_trip(uint32_t *una)
{
	uint32_t n = cwnd();

	while (put(10000, 0) > 0)
		;
	skip();
	for (uint32_t i = 0; i < n; i++) {
		pass(MSEC);
		ack(*una += MSS);
	}
	skip();
}

/* --- 2, 3.1: what a window is --- */

Test(tcp_rfc5681, no_more_than_the_smaller_window)
{
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = MSS, .win = 4000});
	put(30000, 0);
	cr_assert(num_out() == 4);
	skip();
	/* now it is the congestion window, which has not been used so far */
	SEND(.flags = ACK, .seq = 1, .ack = 1001, .win = 50000);
	cr_assert(cwnd() == 10);
	cr_assert(num_out() == 7);
	skip();
	cr_assert(tcp_in_flight(conn()) == 10);
}

/* RFC 6928 in the place of RFC 5681's two to four */
Test(tcp_rfc5681, the_handshake_leaves_it_at_ten)
{
	sockid child;

	open_reno(true);
	cr_assert(cwnd() == 10);
	put(30000, 0);
	cr_assert(num_out() == 10);
	skip();
	sock_close(w.st, w.s, w.now);
	skip();
	peer_fini();
	peer_init();
	open_listener(1);
	open_passive(PEER_PORT);
	cr_assert(sock_accept(w.st, w.s, &child, w.now) == 0);
	sock_close(w.st, w.s, w.now);
	w.s = child;
	cr_assert(cwnd() == 10);
}

/* Linux: one that was lost may be chance, two are not. */
Test(tcp_rfc5681, a_syn_lost_twice_begins_with_one_segment)
{
	for (int lost = 1; lost <= 2; lost++) {
		open_with(NULL);
		pass(lost * SEC + MSEC);
		skip();
		SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true);
		expect(ACK, 1, 1, 0);
		cr_assert(cwnd() == (lost == 1 ? 10 : 1));
		put(20000, 0);
		cr_assert(num_out() == cwnd());
		skip();
		sock_close(w.st, w.s, w.now);
		skip();
		w.s = 0;
		peer_fini();
		peer_init();
	}
}

Test(tcp_rfc5681, a_narrower_path_makes_it_narrower)
{
	open_reno(true);
	put(30000, 0);
	skip();
	cr_assert(tcp_in_flight(conn()) == 10);
	send_unreach(4, 640, 1);
	skip();
	/* ten segments still, but of 600 bytes */
	cr_assert(conn()->mss_cache == 600 && cwnd() <= 10);
	pass(10 * SEC);
	skip();
}

Test(tcp_rfc5681, the_threshold_begins_above_any_window)
{
	open_reno(true);
	cr_assert(ssthresh() >= 1u << 30);
	cr_assert(cc_in_slow_start(&conn()->cc));
}

/* --- slow start --- */

/* Linux counts segments: an ACK of two adds two, which makes up for the ACKs
 * that a receiver leaves out. */
Test(tcp_rfc5681, slow_start_adds_what_was_acknowledged)
{
	open_reno(true);
	while (put(10000, 0) > 0)
		;
	skip();
	ack(1001);
	cr_assert(cwnd() == 11);
	ack(3001);
	cr_assert(cwnd() == 13);
	skip();
}

/* Savage's attack: many ACKs for one segment */
Test(tcp_rfc5681, an_ack_of_part_of_a_segment_adds_nothing)
{
	open_reno(true);
	while (put(10000, 0) > 0)
		;
	skip();
	for (uint32_t i = 1; i < 100; i++) {
		ack(1 + i * 10);
		cr_assert(cwnd() == 10);
	}
	ack(1001);
	cr_assert(cwnd() == 11);
	ack(1001); /* and a duplicate none */
	cr_assert(cwnd() == 11);
	skip();
}

/* --- congestion avoidance --- */

Test(tcp_rfc5681, one_segment_a_round_trip_above_the_threshold)
{
	uint32_t una = 1;

	open_reno(true);
	conn()->cc.ssthresh = 15;
	round_trip(&una);
	/* it was reached in the middle of the round: the rest adds less */
	cr_assert(cwnd() == 15);
	for (uint32_t i = 1; i <= 10; i++) {
		uint32_t before = cwnd();

		round_trip(&una);
		cr_assert(cwnd() <= before + 1);
	}
	cr_assert(cwnd() >= 24 && cwnd() <= 25);
}

/* --- a timeout --- */

Test(tcp_rfc5681, a_timeout_halves_the_threshold_and_begins_at_one)
{
	uint32_t una = 1;

	w.st->sysctl.tcp_frto = 0; /* RFC 5682 would send new data first */
	open_reno(false);
	round_trip(&una);
	cr_assert(cwnd() == 20);
	while (put(10000, 0) > 0)
		;
	skip();
	cr_assert(tcp_in_flight(conn()) == 20);
	pass(250 * MSEC);
	expect(ACK, una, 1, 1000);
	quiet();
	cr_assert(ssthresh() == 10 && cwnd() == 1);
	/* the same segment a second time: it stays */
	pass(600 * MSEC);
	expect(ACK, una, 1, 1000);
	cr_assert(ssthresh() == 10 && cwnd() == 1);
	/* slow start up to the threshold */
	ack(una += 1000);
	expect(ACK, una, 1, 1000);
	expect(ACK, una + 1000, 1, 1000);
	quiet();
	cr_assert(cwnd() == 2);
	ack(una += 2000);
	cr_assert(num_out() == 4 && cwnd() == 4);
	skip();
	ack(una += 4000);
	ack(una += 8000);
	cr_assert(cwnd() >= 10 && cwnd() <= 11);
	skip();
}

Test(tcp_rfc5681, the_threshold_is_two_segments_at_least)
{
	open_reno(false);
	put(1000, 0);
	skip();
	for (int i = 0; i < 3; i++) {
		conn()->cc.cwnd = 1;
		pass(SEC);
		cr_assert(ssthresh() >= 2);
		skip();
		ack(conn()->snd_nxt - w.iss);
		put(1000, 0);
		skip();
	}
	cr_assert(ssthresh() == 2);
}

/* --- 3.2: fast retransmit, fast recovery --- */

Test(tcp_rfc5681, two_duplicates_bring_two_new_segments_the_third_the_old_one)
{
	open_reno(false);
	put(30000, 0);
	cr_assert(num_out() == 10);
	skip();
	for (uint32_t i = 0; i < 2; i++) {
		ack(1);
		expect(ACK, 10001 + i * MSS, 1, MSS);
		quiet();
		cr_assert(cwnd() == 10);
	}
	ack(1);
	expect(ACK, 1, 1, MSS);
	/* of ten: the two new ones don't count */
	cr_assert(ssthresh() == 5);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	skip();
}

Test(tcp_rfc5681, a_duplicate_without_a_new_sack_brings_nothing)
{
	open_reno(true);
	put(30000, 0);
	skip();
	for (int i = 0; i < 5; i++)
		ack(1);
	quiet();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .num_sack = 1,
	     .sack = {{1001, 2001}});
	expect(ACK, 10001, 1, MSS);
	for (int i = 0; i < 5; i++)
		SEND(.flags = ACK, .seq = 1, .ack = 1, .num_sack = 1,
		     .sack = {{1001, 2001}});
	quiet();
}

/* A window that opens, data, an ACK of data: none is a duplicate. */
Test(tcp_rfc5681, what_is_no_duplicate)
{
	open_reno(false);
	put(10000, 0);
	skip();
	for (uint32_t i = 0; i < 5; i++) {
		SEND(.flags = ACK, .seq = 1, .ack = 1,
		     .win = (uint16_t)(51000 + i));
		SEND(.flags = ACK, .seq = 1 + i * 10, .ack = 1, .len = 10,
		     .win = (uint16_t)(51000 + i));
	}
	while (num_out()) {
		next();
		cr_assert(!w.last.len); /* ACKs only */
	}
	cr_assert(conn()->ca == CA_OPEN);
}

static void sack_to(uint32_t una, uint32_t to)
{
	SEND(.flags = ACK, .seq = 1, .ack = una, .num_sack = 1,
	     .sack = {{una + MSS, to}});
}

/* Half as much leaves in that round trip as was there, and the window is at
 * its threshold after it; RFC 6937 spreads this over the ACKs where RFC 5681
 * waits for half of them. */
Test(tcp_rfc5681, half_in_the_round_trip_of_a_loss)
{
	uint32_t una = 1, sent = 0;

	open_reno(true);
	round_trip(&una);
	while (put(10000, 0) > 0)
		;
	skip();
	cr_assert(tcp_in_flight(conn()) == 20 && cwnd() == 20);
	for (uint32_t i = 2; i <= 20; i++) {
		pass(MSEC);
		sack_to(una, una + i * MSS);
		sent += num_out();
		skip();
	}
	/* with the two of RFC 3042 */
	cr_assert(ssthresh() == 10);
	cr_assert(sent <= 10 && sent >= 9, "%u", sent);
	ack(una + 20 * MSS); /* the resent one is there */
	cr_assert(cwnd() <= 10);
	skip();
	ack(conn()->snd_nxt - w.iss);
	cr_assert(conn()->ca == CA_OPEN && cwnd() >= 10 && cwnd() <= 11);
	/* and it grows by congestion avoidance */
	una = conn()->snd_una - w.iss;
	for (int i = 0; i < 3; i++) {
		uint32_t before = cwnd();

		ack(una = conn()->snd_nxt - w.iss);
		cr_assert(cwnd() <= before + 1);
	}
	skip();
}

/* One loss or many of a window: it falls once. In the next window: again. */
Test(tcp_rfc5681, once_a_window_and_again_in_the_next)
{
	uint32_t una = 1, high;

	open_reno(true);
	round_trip(&una);
	while (put(10000, 0) > 0)
		;
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = una, .num_sack = 2,
	     .sack = {{una + 6 * MSS, una + 20 * MSS},
		      {una + MSS, una + 5 * MSS}});
	cr_assert(ssthresh() == 10);
	skip();
	high = conn()->snd_nxt - w.iss;
	ack(una + 5 * MSS);
	cr_assert(ssthresh() == 10);
	skip();
	ack(high);
	cr_assert(conn()->ca == CA_OPEN && ssthresh() == 10);
	una = high;
	while (put(10000, 0) > 0)
		;
	skip();
	pass(MSEC);
	sack_to(una, una + 6 * MSS);
	cr_assert(conn()->ca == CA_RECOVERY);
	cr_assert(ssthresh() <= 6 && ssthresh() >= 4);
	skip();
}

/* Of RFC 5681 a resend that is lost is a second sign; Linux takes it as one of
 * the same trouble, until a timeout. */
Test(tcp_rfc5681, a_lost_resend_lowers_nothing_more)
{
	open_reno(true);
	conn()->srtt = conn()->min_rtt = 10 * MSEC;
	put(40000, 0);
	skip();
	pass(10 * MSEC);
	sack_to(1, 10001);
	expect(ACK, 1, 1, MSS);
	cr_assert(ssthresh() == 5);
	skip();
	pass(10 * MSEC);
	sack_to(1, 12001);
	expect(ACK, 1, 1, MSS);
	cr_assert(count(STAT_TcpExtTCPLostRetransmit) == 1);
	cr_assert(ssthresh() == 5);
	skip();
}

/* --- 4.1 --- */

/* Linux: by half for each timeout's time, down to the initial window. */
Test(tcp_rfc5681, idle_time_takes_the_window_back_to_the_first)
{
	uint32_t una = 1;
	nsec rto;

	open_reno(true);
	for (int i = 0; i < 3; i++)
		round_trip(&una);
	ack(conn()->snd_nxt - w.iss);
	skip();
	ack(conn()->snd_nxt - w.iss);
	quiet();
	cr_assert(cwnd() >= 80 && !conn()->packets_out);
	rto = conn()->rto;
	pass(rto + rto / 2);
	put(60000, 0);
	cr_assert(cwnd() <= 80 && cwnd() >= 40);
	skip();
	ack(conn()->snd_nxt - w.iss);
	skip();
	ack(conn()->snd_nxt - w.iss);
	skip();
	pass(10 * rto);
	put(60000, 0);
	cr_assert(cwnd() == 10 && num_out() == 10);
	skip();
}

/* --- 4.2: the receiver --- */

static uint32_t rcv_seq;

static void data(uint32_t len)
{
	SEND(.flags = ACK, .seq = rcv_seq, .ack = 1, .len = len);
	rcv_seq += len;
}

static void use_up_quickacks(void)
{
	rcv_seq = 1;
	while (conn()->quick || rcv_seq == 1) {
		data(MSS);
		pass(MSEC);
		cr_assert(get(MSS, 0) == MSS);
	}
	pass(60 * MSEC);
	skip();
}

Test(tcp_rfc5681, an_ack_for_two_full_segments_or_within_200_ms)
{
	nsec at;

	open_active();
	use_up_quickacks();
	for (int i = 0; i < 5; i++) {
		data(MSS);
		quiet();
		data(MSS);
		expect(ACK, 1, rcv_seq, 0);
	}
	data(MSS);
	at = w.now;
	while (!num_out())
		pass(MSEC);
	expect(ACK, 1, rcv_seq, 0);
	cr_assert(w.now - at <= 200 * MSEC && w.now > at);
}

Test(tcp_rfc5681, a_gap_that_begins_or_is_filled_is_told_at_once)
{
	open_active();
	use_up_quickacks();
	for (uint32_t i = 1; i <= 3; i++) { /* above it */
		SEND(.flags = ACK, .seq = rcv_seq + 2 * i * MSS, .ack = 1,
		     .len = MSS);
		expect(ACK, 1, rcv_seq, 0);
		quiet();
	}
	pass(SEC / 5);
	data(MSS); /* below, but not all of it */
	expect(ACK, 1, rcv_seq, 0);
	data(MSS);
	expect(ACK, 1, rcv_seq + MSS, 0);
	quiet();
}

Test(tcp_rfc5681, no_more_than_one_ack_for_a_segment)
{
	static const uint32_t at[] = {0, 2, 4, 3, 3, 1, 0, 5, 6, 9, 8, 7, 20};

	open_active();
	rcv_seq = 1;
	for (size_t i = 0; i < 3 * ARRAY_SIZE(at); i++) {
		SEND(.flags = ACK | (i & 1 ? PSH : 0), .ack = 1, .len = MSS,
		     .seq = 1 + at[i % ARRAY_SIZE(at)] * MSS);
		cr_assert(num_out() <= 1);
		skip();
	}
}
