/* SPDX-License-Identifier: MIT
 *
 * Loss: found by time, repaired, its end; the tail; what was no loss at all.
 */
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_recover, .init = peer_init, .fini = peer_fini);

#define RTT (100 * MSEC)

static void ack(uint32_t n)
{
	SEND(.flags = ACK, .seq = 1, .ack = n);
}

#define SACKED(n, ...)                                                    \
	SEND(.flags = ACK, .seq = 1, .ack = (n),                          \
	     .num_sack = sizeof((struct tcp_sack_block[]){__VA_ARGS__}) / \
			 sizeof(struct tcp_sack_block),                   \
	     .sack = {__VA_ARGS__})
#define R(a, b)                            \
	{                                  \
		(a) * MSS + 1, (b)*MSS + 1 \
	}

static void expect_segs(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		next();
		cr_assert(w.last.seq == i * MSS + 1 && w.last.len == MSS,
			  "seq %u len %u, wanted segment %u", w.last.seq,
			  w.last.len, i);
	}
}

/* Connected, with what many samples of one round trip would have left. */
static void open_rtt(void)
{
	open_active();
	conn()->srtt = conn()->min_rtt = RTT;
	conn()->mdev = conn()->mdev_max = conn()->rttvar = 50 * MSEC;
	tcp_rto_update(conn());
	cr_assert(conn()->rto == 3 * RTT);
}

/* --- RACK --- */

Test(tcp_recover, a_hole_is_lost_a_quarter_round_trip_later_not_by_count)
{
	open_rtt();
	put(2000, 0);
	expect_segs(0, 2);
	pass(RTT);
	SACKED(1, R(1, 2));
	quiet(); /* one is not DupThresh: it may be only late */
	pass(RTT / 4 - 2 * MSEC);
	quiet();
	pass(RTT / 4);
	expect_segs(0, 1);
	cr_assert(conn()->ca == CA_RECOVERY);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	ack(2001);
	cr_assert(conn()->ca == CA_OPEN);
}

Test(tcp_recover, late_by_less_than_the_reordering_window_is_not_lost)
{
	open_rtt();
	put(2000, 0);
	expect_segs(0, 2);
	pass(RTT);
	SACKED(1, R(1, 2));
	pass(RTT / 8);
	ack(2001);
	pass(10 * RTT);
	quiet();
	cr_assert(count(STAT_TcpRetransSegs) == 0);
	/* two apart: within what is expected */
	cr_assert(conn()->reordering == 3 && conn()->rack.reord_seen == 1);
}

Test(tcp_recover, reordering_raises_the_degree_and_opens_the_window)
{
	open_rtt();
	put(8000, 0);
	expect_segs(0, 8);
	pass(RTT);
	SACKED(1, R(7, 8));
	SACKED(1, R(1, 2), R(7, 8)); /* six later than 7, in order of sending */
	cr_assert(conn()->rack.reord_seen == 1);
	cr_assert(conn()->reordering == 7, "%u", conn()->reordering);
	cr_assert(count(STAT_TcpExtTCPSACKReorder) == 1);
	/* DupThresh does not count any more, only time does */
	SACKED(1, R(1, 8));
	quiet();
	pass(RTT / 2);
	expect_segs(0, 1);
	ack(8001);
}

Test(tcp_recover, three_above_are_enough_without_reordering)
{
	open_rtt();
	put(4000, 0);
	expect_segs(0, 4);
	pass(RTT);
	SACKED(1, R(1, 4));
	expect_segs(0, 1);
	quiet();
	ack(4001);
}

Test(tcp_recover, dsacks_widen_the_reordering_window)
{
	open_rtt();
	put(4000, 0);
	expect_segs(0, 4);
	pass(RTT);
	SACKED(1, R(1, 4));
	expect_segs(0, 1);
	pass(RTT / 10);
	ack(4001); /* the first copy was only late */
	pass(RTT);
	put(1000, 0);
	skip();
	pass(RTT);
	SACKED(5001, R(0, 1));
	cr_assert(conn()->rack.reo_wnd_steps == 2);
	cr_assert(conn()->rack.reo_wnd_persist >= 16);
}

/* --- PRR --- */

Test(tcp_recover, the_window_falls_in_proportion)
{
	uint32_t sent = 0, end = 20;

	open_rtt();
	conn()->cc.cwnd = 20;
	put(40000, 0);
	expect_segs(0, 20);
	pass(RTT);
	SACKED(1, R(1, 4));
	expect_segs(0, 1);
	/* ssthresh is 14 of 20: 7 sent for 10 delivered */
	cr_assert(conn()->cc.ssthresh == 14);
	for (uint32_t i = 5; i <= 20; i++) {
		SACKED(1, R(1, i));
		for (; num_out(); end++, sent++)
			expect_segs(end, end + 1);
		/* with the resend, 14 for 20 of what is delivered */
		cr_assert(sent + 1 <= (14 * (i - 1) + 19) / 20);
	}
	cr_assert(sent >= 10 && sent <= 13, "%u", sent);
	cr_assert(tcp_in_flight(conn()) <= 14);
	pass(RTT);
	ack(20001);
	cr_assert(conn()->ca == CA_OPEN && conn()->cc.cwnd == 14);
	skip();
	ack(conn()->snd_nxt - w.iss);
	skip();
}

/* --- reordering --- */

/* As measured on Linux: the rest of a lone segment, acknowledged after a part
 * of it, lies below what was acknowledged and is taken for late. */
Test(tcp_recover, the_rest_of_a_segment_counts_as_reordering)
{
	open_rtt();
	put(800, 0);
	skip();
	pass(RTT);
	ack(401);
	cr_assert(conn()->rack.reord_seen == 0);
	ack(801);
	cr_assert(conn()->rack.reord_seen == 1);
	cr_assert(conn()->reordering == 3);
}

Test(tcp_recover, the_rest_of_many_segments_does_not)
{
	peer_fini();
	peer_init_tso();
	open_rtt();
	put(3000, 0);
	skip();
	pass(RTT);
	ack(1401);
	ack(3001);
	cr_assert(conn()->rack.reord_seen == 0);
}

/* --- the tail --- */

Test(tcp_recover, a_lost_tail_is_probed_after_two_round_trips)
{
	nsec at;

	open_rtt();
	put(3000, 0);
	expect_segs(0, 3);
	at = w.now;
	while (!num_out() && w.now - at < SEC)
		pass(MSEC);
	cr_assert(w.now - at >= 2 * (RTT - 10 * MSEC));
	cr_assert(w.now - at <= 2 * RTT + 10 * MSEC);
	expect_segs(2, 3);
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 1);
	/* 1 and 2 were lost: the probe's SACK shows it */
	pass(RTT);
	SACKED(1001, R(2, 3));
	pass(RTT / 2);
	expect_segs(1, 2);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	ack(3001);
}

Test(tcp_recover, a_probe_takes_new_data_if_there_is_some)
{
	open_rtt();
	conn()->cc.cwnd = 2;
	put(3000, 0);
	expect_segs(0, 2);
	quiet();
	pass(2 * RTT + 10 * MSEC);
	expect_segs(2, 3);
	cr_assert(count(STAT_TcpRetransSegs) == 0);
	ack(3001);
	cr_assert(!conn()->tlp_out);
}

Test(tcp_recover, what_a_probe_repaired_counts_as_a_loss)
{
	open_rtt();
	put(2000, 0);
	skip();
	pass(3 * RTT);
	expect_segs(1, 2);
	put(1000, 0);
	expect_segs(2, 3);
	ack(3001); /* later data, and no D-SACK: the first copy was lost */
	cr_assert(count(STAT_TcpExtTCPLossProbeRecovery) == 1);
	cr_assert(conn()->cc.cwnd == 7 && conn()->ca == CA_OPEN);
}

Test(tcp_recover, a_needless_probe_costs_nothing)
{
	open_rtt();
	put(2000, 0);
	skip();
	pass(3 * RTT);
	expect_segs(1, 2);
	ack(2001); /* of the first copies */
	SACKED(2001, R(1, 2));
	cr_assert(count(STAT_TcpExtTCPLossProbeRecovery) == 0);
	cr_assert(!conn()->tlp_out && conn()->cc.cwnd >= 10);
}

Test(tcp_recover, one_probe_then_the_timeout)
{
	open_rtt();
	put(1000, 0);
	skip();
	pass(3 * SEC);
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 1);
	cr_assert(count(STAT_TcpExtTCPTimeouts) >= 1);
	skip();
	ack(1001);
}

/* --- undoing --- */

Test(tcp_recover, every_resend_came_twice)
{
	uint32_t cwnd;

	open_rtt();
	put(10000, 0);
	expect_segs(0, 10);
	cwnd = conn()->cc.cwnd;
	pass(RTT);
	SACKED(1, R(1, 4));
	expect_segs(0, 1);
	pass(RTT / 10);
	ack(4001);
	SACKED(4001, R(0, 1)); /* the resend was needless */
	cr_assert(conn()->ca == CA_OPEN);
	cr_assert(conn()->cc.cwnd >= cwnd);
	cr_assert(conn()->cc.ssthresh >= CC_SSTHRESH_NONE);
	cr_assert(count(STAT_TcpExtTCPDSACKUndo) == 1);
	ack(10001);
}

static uint32_t ts(void)
{
	return tcp_ts_now(conn()->ts_off, w.now);
}

Test(tcp_recover, eifel_sees_the_first_copy_by_its_timestamp)
{
	uint32_t first;

	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS + 12,
				     .sack_ok = true,
				     .has_ts = true,
				     .ts_val = 1});
	conn()->srtt = conn()->min_rtt = RTT;
	put(4000, 0);
	skip();
	first = ts();
	pass(RTT);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .has_ts = true, .ts_val = 2,
	     .ts_ecr = first, .num_sack = 1, .sack = {R(1, 4)});
	expect_segs(0, 1);
	cr_assert(conn()->ca == CA_RECOVERY);
	pass(RTT / 10);
	SEND(.flags = ACK, .seq = 1, .ack = 4001, .has_ts = true, .ts_val = 3,
	     .ts_ecr = first);
	cr_assert(conn()->ca == CA_OPEN && conn()->cc.cwnd >= 10);
	cr_assert(count(STAT_TcpExtTCPFullUndo) == 1);
}

/* What an ACK above a hole echoes is older than every resend: it must not keep
 * one that is lost from being seen by the next that arrives. */
Test(tcp_recover, a_lost_resend_shows_though_the_echo_is_old)
{
	uint32_t first;

	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS + 12,
				     .sack_ok = true,
				     .has_ts = true,
				     .ts_val = 1});
	conn()->srtt = conn()->min_rtt = RTT;
	put(8000, 0);
	skip();
	first = ts();
	pass(RTT);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .has_ts = true, .ts_val = 2,
	     .ts_ecr = first, .num_sack = 2, .sack = {R(3, 8), R(1, 2)});
	expect_segs(0, 1);
	pass(MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .has_ts = true, .ts_val = 3,
	     .ts_ecr = first, .num_sack = 2, .sack = {R(3, 8), R(1, 2)});
	expect_segs(2, 3);
	pass(RTT + MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .has_ts = true, .ts_val = 3,
	     .ts_ecr = first, .num_sack = 1, .sack = {R(1, 8)});
	expect_segs(0, 1);
	cr_assert(count(STAT_TcpExtTCPLostRetransmit) == 1);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	skip();
}

/* One recovery follows another while a resend of the first is on its way: its
 * answer is older than the second's first resend, and yet no late original. */
Test(tcp_recover, the_answer_to_an_older_resend_is_no_reordering)
{
	uint32_t first, second;

	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS + 12,
				     .sack_ok = true,
				     .has_ts = true,
				     .ts_val = 1});
	conn()->srtt = conn()->min_rtt = RTT;
	put(20000, 0);
	skip();
	first = ts();
	pass(RTT);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .has_ts = true, .ts_val = 2,
	     .ts_ecr = first, .num_sack = 1, .sack = {R(1, 10)});
	expect_segs(0, 1);
	cr_assert(conn()->ca == CA_RECOVERY);
	skip(); /* 10 and on, of which 10 and 11 are lost */
	second = ts();
	pass(RTT);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .has_ts = true, .ts_val = 3,
	     .ts_ecr = first, .num_sack = 2, .sack = {R(11, 12), R(1, 10)});
	expect_segs(0, 1); /* once more: 11 was sent after it */
	expect_segs(10, 11);
	skip();
	second = ts();
	pass(RTT);
	SEND(.flags = ACK, .seq = 1, .ack = 10001, .has_ts = true, .ts_val = 4,
	     .ts_ecr = second, .num_sack = 2, .sack = {R(14, 15), R(11, 12)});
	cr_assert(conn()->ca == CA_RECOVERY); /* another one, for 12 and 13 */
	skip();
	pass(MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 10001, .has_ts = true, .ts_val = 4,
	     .ts_ecr = second, .num_sack = 2, .sack = {R(14, 17), R(11, 12)});
	skip();
	cr_assert(conn()->undo.resent_at);
	pass(MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 12001, .has_ts = true, .ts_val = 5,
	     .ts_ecr = second, .num_sack = 1, .sack = {R(14, 15)});
	cr_assert(conn()->rack.reord_seen == 0);
	cr_assert(count(STAT_TcpExtTCPTSReorder) == 0);
	skip();
}

Test(tcp_recover, frto_a_delay_spike_is_no_loss)
{
	open_rtt();
	put(10000, 0);
	expect_segs(0, 10);
	put(10000, 0);
	pass(2 * RTT + 20 * MSEC);
	skip(); /* the probe */
	pass(2 * SEC);
	cr_assert(conn()->ca == CA_LOSS);
	skip();
	ack(1001); /* one of before: new data goes first */
	expect_segs(11, 12);
	expect_segs(12, 13);
	quiet();
	ack(2001);
	cr_assert(conn()->ca == CA_OPEN);
	cr_assert(conn()->cc.cwnd >= 10);
	cr_assert(count(STAT_TcpExtTCPSpuriousRTOs) == 1);
	skip();
	ack(conn()->snd_nxt - w.iss);
	skip();
}

Test(tcp_recover, frto_a_loss_is_a_loss)
{
	open_rtt();
	put(10000, 0);
	expect_segs(0, 10);
	put(10000, 0);
	pass(2 * RTT + 20 * MSEC);
	skip();
	pass(2 * SEC);
	cr_assert(conn()->ca == CA_LOSS);
	skip();
	ack(1001); /* of the resend */
	expect_segs(11, 13);
	SACKED(1001, R(11, 12));
	cr_assert(!conn()->frto && conn()->ca == CA_LOSS);
	expect_segs(1, 2);
	skip();
	ack(conn()->snd_nxt - w.iss);
	skip();
	ack(conn()->snd_nxt - w.iss);
	skip();
}

/* --- ECN (RFC 3168) --- */

#define ECT0 2
#define CE 3

static void open_ecn(void)
{
	w.st->sysctl.tcp_ecn = 1;
	open_with(&(struct peer_seg){.flags = SYN | ACK | TCP_ECE,
				     .ack = 1,
				     .mss = MSS,
				     .sack_ok = true});
	conn()->srtt = conn()->min_rtt = RTT;
	tcp_rto_update(conn());
	cr_assert(conn()->ecn.mode == ECN_CLASSIC);
}

Test(tcp_recover, new_data_is_ect_resends_and_acks_are_not)
{
	open_ecn();
	put(4000, 0);
	for (int i = 0; i < 4; i++) {
		next();
		cr_assert(w.last.tos == ECT0);
	}
	pass(RTT);
	SACKED(1, R(1, 4));
	next();
	cr_assert(w.last.seq == 1 && w.last.tos == 0);
	ack(4001);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 4001, .len = 10);
	next();
	cr_assert(w.last.len == 0 && w.last.tos == 0);
}

Test(tcp_recover, an_echo_reduces_once_a_window_and_is_answered)
{
	open_ecn();
	put(20000, 0);
	expect_segs(0, 10);
	pass(RTT);
	SEND(.flags = ACK | TCP_ECE, .seq = 1, .ack = 1001);
	SEND(.flags = ACK | TCP_ECE, .seq = 1, .ack = 2001);
	cr_assert(conn()->ca == CA_CWR && conn()->cc.ssthresh == 7);
	next();
	cr_assert(w.last.flags & TCP_CWR);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 11001);
	cr_assert(conn()->ca == CA_OPEN);
	cr_assert(conn()->cc.cwnd >= 7 && conn()->cc.cwnd <= 8);
	next();
	cr_assert(!(w.last.flags & TCP_CWR));
	skip();
	cr_assert(count(STAT_TcpRetransSegs) == 0);
	ack(conn()->snd_nxt - w.iss);
	skip();
}

Test(tcp_recover, a_mark_is_echoed_until_cwr)
{
	open_ecn();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 100, .tos = ECT0);
	next();
	cr_assert(!(w.last.flags & TCP_ECE));
	SEND(.flags = ACK, .seq = 101, .ack = 1, .len = 100, .tos = CE);
	next();
	cr_assert(w.last.flags & TCP_ECE);
	SEND(.flags = ACK, .seq = 201, .ack = 1, .len = 100, .tos = ECT0);
	next();
	cr_assert(w.last.flags & TCP_ECE);
	SEND(.flags = ACK | TCP_CWR, .seq = 301, .ack = 1, .len = 100,
	     .tos = ECT0);
	next();
	cr_assert(!(w.last.flags & TCP_ECE));
	cr_assert(get(1000, 0) == 400);
}

Test(tcp_recover, a_syn_sent_again_does_not_ask)
{
	w.st->sysctl.tcp_ecn = 1;
	open_with(NULL);
	pass(SEC + 10 * MSEC);
	next();
	cr_assert(w.last.flags == SYN);
	sock_close(w.st, w.s, w.now);
}

Test(tcp_recover, a_listener_agrees_when_asked)
{
	open_listener(4);
	SEND(.flags = SYN | TCP_ECE | TCP_CWR, .seq = 0, .mss = MSS);
	next();
	cr_assert(w.last.flags == (SYN | ACK | TCP_ECE));
	SEND(.flags = SYN, .seq = 0, .mss = MSS, .sport = 81);
	next();
	cr_assert(w.last.flags == (SYN | ACK));
	pass(600 * SEC);
	skip();
}

/* --- RFC 6675 is still there --- */

Test(tcp_recover, by_count_when_asked_to)
{
	w.st->sysctl.tcp_recovery = 0;
	open_rtt();
	put(4000, 0);
	expect_segs(0, 4);
	pass(RTT);
	SACKED(1, R(1, 3));
	pass(RTT);
	quiet();
	SACKED(1, R(1, 4));
	expect_segs(0, 1);
	ack(4001);
}

/* --- what came before its turn --- */

Test(tcp_recover, any_order_is_put_right)
{
	enum { NUM = 300, LEN = 100 };
	uint32_t order[NUM], x = 1;

	open_active();
	conn()->ep->rcvbuf = 4u << 20;
	for (uint32_t i = 0; i < NUM; i++)
		order[i] = i + 1;
	for (uint32_t i = NUM - 1; i; i--) {
		uint32_t k, t = order[i];

		x = x * 1664525 + 1013904223;
		k = (x >> 8) % (i + 1);
		order[i] = order[k];
		order[k] = t;
	}
	for (uint32_t i = 0; i < NUM; i++)
		SEND(.flags = ACK, .seq = 1 + order[i] * LEN, .ack = 1,
		     .len = LEN);
	skip();
	cr_assert(conn()->num_ofo == NUM);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = LEN);
	skip();
	for (uint32_t at = 1; at <= (NUM + 1) * LEN;) {
		int n = get(65536, 0);

		cr_assert(n > 0);
		for (int i = 0; i < n; i++, at++)
			cr_assert(w.data[i] == (uint8_t)(at * 31 + (at >> 8)));
	}
	cr_assert(!conn()->num_ofo && !conn()->ofo_root);
}
