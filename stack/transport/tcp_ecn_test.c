/* SPDX-License-Identifier: MIT
 *
 * Accurate ECN (RFC 9768), as traces. ACE is AE, CWR and ECE as one number;
 * a counter of packets begins at 5, of bytes at 1 but for CE's.
 */
#include <criterion/criterion.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_info.h"
#include "transport/tcp_world.h"

#define ECT1 1
#define ECT0 2
#define CE 3
#define RTT (50 * MSEC)

#define ACE_FLAGS(a) \
	((a)&1 ? TCP_ECE : 0) | ((a)&2 ? TCP_CWR : 0), .ae = (a) >> 2 & 1
#define A(ace) .flags = ACK | ACE_FLAGS(ace)
/* the peer's option, in our order */
#define OPT(e1, ce, e0)                            \
	.accecn = {                                \
		.is_there = true,                  \
		.order = 1,                        \
		.num = 3,                          \
		.v = {(e1) + 1u, (ce), (e0) + 1u}, \
	}

static void init(void)
{
	peer_init();
	w.st->sysctl.tcp_ecn = 3;
}

TestSuite(tcp_ecn, .init = init, .fini = peer_fini);

static uint8_t ace(void) /* of what was sent last */
{
	return (uint8_t)(w.last.ae << 2 | (w.last.flags & TCP_CWR ? 2 : 0) |
			 (w.last.flags & TCP_ECE ? 1 : 0));
}

static void go_away(void)
{
	skip();
	SEND(.flags = RST | ACK, .seq = conn()->rcv_nxt - w.irs,
	     .ack = conn()->snd_nxt - w.iss);
	skip();
}

/* Our SYN, a SYN-ACK with this ACE, and our ACK. */
static void open_accurate(uint8_t synack, uint8_t tos)
{
	struct peer_seg s = {.flags = SYN | ACK | ACE_FLAGS(synack),
			     .tos = tos,
			     .ack = 1,
			     .mss = MSS,
			     .sack_ok = true,
			     OPT(0, 0, 0)};

	open_with(NULL);
	cr_assert(ace() == 7 && w.last.tos == 0 && !w.last.accecn.is_there);
	send_seg(&s);
	next();
	conn()->srtt = conn()->min_rtt = RTT;
	tcp_rto_update(conn());
}

static bool has_opt(uint32_t e1, uint32_t ce, uint32_t e0)
{
	const struct tcp_accecn_opt *o = &w.last.accecn;

	return o->is_there && o->order == 1 && o->num == 3 &&
	       o->v[0] == e1 + 1 && o->v[1] == ce && o->v[2] == e0 + 1;
}

static struct tcp_info_all info(void)
{
	struct tcp_info_all i;
	socklen_t len = sizeof(i);

	cr_assert(sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_INFO, &i, &len,
			      w.now) == 0);
	cr_assert(len == sizeof(i));
	return i;
}

/* --- agreeing --- */

Test(tcp_ecn, asks_and_is_answered)
{
	open_accurate(2, 0);
	cr_assert(conn()->ecn.mode == ECN_ACCURATE);
	/* it reflects how the SYN-ACK came: Not-ECT */
	cr_assert(ace() == 2 && w.last.tos == ECT0 && has_opt(0, 0, 0));
	put(100, 0);
	next();
	cr_assert(ace() == 5 && w.last.tos == ECT0 && has_opt(0, 0, 0));
	go_away();
}

Test(tcp_ecn, what_a_synack_agrees_to)
{
	static const uint8_t mode[8] = {
		ECN_OFF,      ECN_CLASSIC,  ECN_ACCURATE, ECN_ACCURATE,
		ECN_ACCURATE, ECN_ACCURATE, ECN_ACCURATE, ECN_OFF};

	for (uint8_t a = 0; a < 8; a++) {
		w.s = 0;
		open_with(NULL);
		SEND(.flags = SYN | ACK | ACE_FLAGS(a), .ack = 1, .mss = MSS);
		next();
		cr_assert(conn()->ecn.mode == mode[a], "%u: %u", a,
			  conn()->ecn.mode);
		/* a SYN that went as Not-ECT can't have come as ECT */
		cr_assert(!(conn()->ecn.fail & ECN_FAIL_ACE_RCV) ==
				  (a != 3 && a != 4 && a != 6),
			  "%u", a);
		go_away();
		sock_close(w.st, w.s, w.now);
	}
	w.s = 0;
}

Test(tcp_ecn, the_ack_reflects_the_synack)
{
	static const uint8_t want[4] = {2, 3, 4, 6};

	for (uint8_t tos = 0; tos < 4; tos++) {
		w.s = 0;
		open_accurate(2, tos);
		cr_assert(ace() == want[tos]);
		/* a marked one is the first that is counted */
		cr_assert(info().x.received_ce == (tos == CE));
		put(1, 0);
		next();
		cr_assert(ace() == (tos == CE ? 6 : 5));
		go_away();
		sock_close(w.st, w.s, w.now);
	}
	w.s = 0;
}

Test(tcp_ecn, what_a_listener_answers)
{
	/* by net.ipv4.tcp_ecn and the SYN's ACE: the SYN-ACK's */
	static const uint8_t want[6][8] = {
		{0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 1, 0, 0, 0, 1},
		{0, 0, 0, 1, 0, 0, 0, 1}, {0, 2, 2, 1, 2, 2, 2, 2},
		{0, 2, 2, 1, 2, 2, 2, 2}, {0, 2, 2, 1, 2, 2, 2, 2},
	};
	uint16_t sport = 100;

	open_listener(64);
	for (int v = 0; v < 6; v++)
		for (uint8_t a = 0; a < 8; a++) {
			w.st->sysctl.tcp_ecn = v;
			SEND(.flags = SYN | ACE_FLAGS(a), .mss = MSS,
			     .sport = ++sport);
			next();
			cr_assert(ace() == want[v][a], "%d %u: %u", v, a,
				  ace());
			cr_assert(w.last.accecn.is_there == (ace() == 2));
			cr_assert(w.last.tos == 0);
		}
	pass(600 * SEC);
	skip();
}

Test(tcp_ecn, a_syn_asks_twice_then_does_not)
{
	open_with(NULL);
	pass(SEC + 10 * MSEC);
	next();
	cr_assert(ace() == 7);
	pass(SEC + 10 * MSEC);
	next();
	cr_assert(ace() == 0);
	/* the answer to one of the first is good all the same */
	SEND(.flags = SYN | ACK | TCP_CWR, .ack = 1, .mss = MSS);
	next();
	cr_assert(conn()->ecn.mode == ECN_ACCURATE && ace() == 2);
	go_away();
}

Test(tcp_ecn, a_synack_again_without_option_then_without_all)
{
	open_listener(4);
	SEND(.flags = SYN | ACE_FLAGS(7), .mss = MSS);
	next();
	cr_assert(ace() == 2 && w.last.accecn.is_there);
	pass(SEC + 10 * MSEC);
	next();
	cr_assert(ace() == 2 && !w.last.accecn.is_there);
	pass(2 * SEC + 10 * MSEC);
	next();
	cr_assert(ace() == 0 && !w.last.accecn.is_there);
	pass(600 * SEC);
	skip();
}

static void open_child(uint8_t third)
{
	sockid l = open_listener(4);

	SEND(.flags = SYN | ACE_FLAGS(7), .mss = MSS, .sack_ok = true);
	next();
	SEND(A(third), .seq = 1, .ack = 1, OPT(0, 0, 0), .tos = ECT0);
	cr_assert(sock_accept(w.st, l, &w.s, w.now) == 0);
	quiet(); /* the change from Not-ECT is no reason to answer an ACK */
	conn()->srtt = conn()->min_rtt = RTT;
	tcp_rto_update(conn());
}

Test(tcp_ecn, a_third_ack_that_is_bleached)
{
	open_child(0);
	put(10, 0);
	next();
	cr_assert(ace() == 5 && w.last.tos == 0);
	go_away();
}

Test(tcp_ecn, a_third_ack_that_says_the_impossible)
{
	open_child(6); /* our SYN-ACK was not ECT: nobody can have marked it */
	cr_assert(conn()->ecn.fail == ECN_FAIL_ACE_RCV);
	cr_assert(info().x.ecn_fail == ECN_FAIL_ACE_RCV);
	go_away();
}

/* --- the receiver --- */

Test(tcp_ecn, marks_are_counted_in_all_packets)
{
	struct tcp_info_all i;

	open_child(2);
	for (uint32_t k = 0; k < 12; k++) {
		SEND(A(5), .seq = 1 + k * 100, .ack = 1, .len = 100, .tos = CE);
		next();
		cr_assert(ace() == (5 + k + 1) % 8 && w.last.tos == ECT0);
		cr_assert(has_opt(0, (k + 1) * 100, 0));
	}
	SEND(A(5), .seq = 1201, .ack = 1, .len = 100, .tos = ECT1);
	next();
	cr_assert(ace() == (5 + 12) % 8 && has_opt(100, 1200, 0));
	i = info();
	cr_assert(i.x.received_ce == 12 && i.x.received_ce_bytes == 1200 &&
		  i.x.received_e1 == 100 && i.x.received_e0 == 0);
	cr_assert(i.x.ecn_opt_seen == ECN_OPT_SEEN && !i.x.ecn_fail);
	cr_assert(i.i.tcpi_options & TCPI_OPT_ECN_SEEN);
	go_away();
}

Test(tcp_ecn, a_change_is_told_at_once)
{
	open_child(2);
	for (uint32_t k = 0; k < 20; k++) { /* no longer in a hurry */
		SEND(A(5), .seq = 1 + k, .ack = 1, .len = 1, .tos = ECT0);
		pass(SEC);
		skip();
	}
	conn()->quick = 0;
	conn()->pingpong = true;
	SEND(A(5), .seq = 21, .ack = 1, .len = 1, .tos = ECT0);
	quiet();
	pass(SEC);
	skip();
	conn()->quick = 0;
	SEND(A(5), .seq = 22, .ack = 1, .len = 1, .tos = CE);
	next();
	cr_assert(ace() == 6);
	SEND(A(5), .seq = 23, .ack = 1, .len = 1, .tos = ECT0);
	next();
	conn()->quick = 0;
	SEND(A(5), .seq = 24, .ack = 1, .len = 1, .tos = ECT0);
	quiet();
	pass(SEC);
	go_away();
}

Test(tcp_ecn, less_option_when_asked_so)
{
	w.st->sysctl.tcp_ecn_option = 1;
	w.st->sysctl.tcp_ecn_option_beacon = 0;
	open_child(2);
	SEND(A(5), .seq = 1, .ack = 1, .len = 100, .tos = ECT0);
	next();
	cr_assert(w.last.accecn.is_there);
	for (uint32_t k = 1; k < 6; k++) {
		SEND(A(5), .seq = 1 + k * 100, .ack = 1, .len = 100,
		     .tos = ECT0);
		next();
	}
	cr_assert(!w.last.accecn.is_there);
	w.st->sysctl.tcp_ecn_option_beacon = 3; /* each third of a trip */
	SEND(A(5), .seq = 601, .ack = 1, .len = 100, .tos = ECT0);
	next();
	pass(RTT);
	SEND(A(5), .seq = 701, .ack = 1, .len = 100, .tos = ECT0);
	next();
	cr_assert(w.last.accecn.is_there);
	SEND(A(5), .seq = 801, .ack = 1, .len = 100, .tos = ECT0);
	next();
	cr_assert(!w.last.accecn.is_there);
	SEND(A(5), .seq = 901, .ack = 1, .len = 100, .tos = CE);
	next();
	cr_assert(w.last.accecn.is_there); /* a mark */
	go_away();
}

Test(tcp_ecn, an_option_that_gets_acks_lost_is_left_out)
{
	open_child(2);
	for (int k = 0; k < 2; k++) {
		SEND(A(5), .seq = 1, .ack = 1, .len = 100, .tos = ECT0);
		next();
		cr_assert(w.last.accecn.is_there);
	}
	SEND(A(5), .seq = 1, .ack = 1, .len = 100, .tos = ECT0);
	next();
	cr_assert(!w.last.accecn.is_there && w.last.num_sack == 1);
	cr_assert(ace() == 5);
	go_away();
}

/* --- the sender --- */

Test(tcp_ecn, segments_are_smaller_by_the_option)
{
	open_accurate(2, 0);
	put(3000, 0);
	next();
	cr_assert(w.last.len == MSS - 12 && w.last.accecn.is_there);
	go_away();
}

Test(tcp_ecn, everything_is_ect)
{
	open_accurate(2, 0);
	put(4000, 0);
	skip();
	pass(RTT);
	SEND(A(5), .seq = 1, .ack = 1, .num_sack = 1, .sack = {{989, 3953}},
	     OPT(0, 0, 2964));
	next();
	cr_assert(w.last.seq == 1 && w.last.tos == ECT0); /* a resend */
	SEND(A(5), .seq = 1, .ack = 4001, .len = 10);
	next();
	cr_assert(w.last.len == 0 && w.last.tos == ECT0); /* an ACK */
	sock_close(w.st, w.s, w.now);
	next();
	cr_assert(w.last.flags & (FIN | RST) && w.last.tos == ECT0);
	SEND(.flags = RST | ACK, .seq = 11, .ack = 4002);
	skip();
}

Test(tcp_ecn, marks_reduce_once_a_window_and_are_all_counted)
{
	open_accurate(2, 0);
	put(20000, 0);
	skip();
	pass(RTT);
	SEND(A(6), .seq = 1, .ack = 989, OPT(0, 988, 0));
	cr_assert(conn()->ca == CA_CWR && conn()->cc.ssthresh == 7);
	next();
	cr_assert(ace() == 5); /* there is no CWR */
	SEND(A(0), .seq = 1, .ack = 2965, OPT(0, 2964, 0));
	cr_assert(conn()->cc.ssthresh == 7);
	cr_assert(info().i.tcpi_delivered_ce == 3);
	cr_assert(info().x.delivered_ce == 2964);
	cr_assert(count(STAT_TcpRetransSegs) == 0);
	/* an ACK that was overtaken has old counters */
	SEND(A(6), .seq = 1, .ack = 989, OPT(0, 988, 0));
	cr_assert(info().i.tcpi_delivered_ce == 3);
	go_away();
}

/* @n segments are acknowledged at once; what ACE and the option say of it. */
static uint32_t marks(uint8_t a, uint32_t n, uint32_t ce_bytes, bool option)
{
	struct peer_seg s = {A(a), .seq = 1, .ack = 1 + n * 988};
	uint32_t before = conn()->ecn.delivered_ce;

	if (option)
		s.accecn = (struct tcp_accecn_opt){
			.is_there = true,
			.order = 1,
			.num = 3,
			.v = {1, ce_bytes, 1 + n * 988 - ce_bytes}};
	send_seg(&s);
	return conn()->ecn.delivered_ce - before;
}

static void twenty_in_flight(void)
{
	w.st->sysctl.tcp_init_cwnd = 40;
	open_accurate(2, 0);
	put(20 * 988, 0);
	pass(RTT);
	skip();
}

/* So that it is known how data comes without the option. */
static void twenty_in_flight_known(void)
{
	twenty_in_flight();
	cr_assert(marks(5, 1, 0, true) == 0);
}

Test(tcp_ecn, ace_that_may_have_wrapped_counts_as_wrapped)
{
	twenty_in_flight();
	cr_assert(marks(5, 1, 0, false) == 0);
	cr_assert(marks(6, 10, 0, false) == 9);
	go_away();
}

Test(tcp_ecn, but_not_where_acks_are_thinned_out)
{
	twenty_in_flight();
	cr_assert(marks(6, 9, 0, false) == 1);
	go_away();
}

Test(tcp_ecn, bytes_tell_that_it_has_not)
{
	twenty_in_flight_known();
	cr_assert(marks(6, 10, 988, true) == 1);
	go_away();
}

Test(tcp_ecn, bytes_tell_that_it_has)
{
	twenty_in_flight_known();
	cr_assert(marks(6, 10, 9 * 988, true) == 9);
	go_away();
}

Test(tcp_ecn, a_long_ack_takes_its_share_of_marks)
{
	twenty_in_flight_known();
	/* 18 segments, 11 of them marked: three more than a wrap */
	cr_assert(marks(0, 19, 11 * 988, true) == 11);
	go_away();
}

Test(tcp_ecn, a_first_ace_of_zero_ends_it)
{
	open_accurate(2, 0);
	put(100, 0);
	next();
	SEND(A(0), .seq = 1, .ack = 101);
	put(100, 0);
	next();
	cr_assert(w.last.tos == 0 && ace() == 5);
	SEND(A(1), .seq = 1, .ack = 201); /* nothing is believed any more */
	cr_assert(info().i.tcpi_delivered_ce == 0);
	cr_assert(conn()->ca == CA_OPEN);
	go_away();
}

Test(tcp_ecn, a_zeroed_option_is_not_used)
{
	struct peer_seg s = {.flags = SYN | ACK | TCP_CWR,
			     .ack = 1,
			     .mss = MSS,
			     .accecn = {.is_there = true, .num = 3}};

	open_with(NULL);
	send_seg(&s);
	next();
	cr_assert(info().x.ecn_opt_seen == ECN_OPT_BROKEN);
	cr_assert(info().x.ecn_fail == ECN_FAIL_OPT_RCV);
	put(100, 0);
	next();
	SEND(A(6), .seq = 1, .ack = 101, OPT(0, 100, 0));
	/* but ACE is */
	cr_assert(info().i.tcpi_delivered_ce == 1);
	cr_assert(info().x.delivered_ce == 0);
	go_away();
}

Test(tcp_ecn, the_other_order_is_read_too)
{
	struct peer_seg s = {A(6), .seq = 1, .ack = 101};

	open_accurate(2, 0);
	put(100, 0);
	next();
	s.accecn = (struct tcp_accecn_opt){
		.is_there = true, .num = 2, .v = {1, 100}};
	send_seg(&s); /* ECT(0), CE */
	cr_assert(info().x.delivered_ce == 100 && info().x.delivered_e0 == 0);
	go_away();
}

Test(tcp_ecn, sacks_give_way_as_far_as_two)
{
	open_accurate(2, 0);
	w.st->sysctl.tcp_comp_sack_nr = 0;
	for (uint32_t k = 0; k < 4; k++) {
		SEND(A(5), .seq = 1001 + k * 2000, .ack = 1, .len = 1000,
		     .tos = ECT0);
		next();
	}
	/* 36 bytes of blocks: three fields go where two have to */
	cr_assert(w.last.accecn.is_there && w.last.accecn.num == 3);
	cr_assert(w.last.num_sack == 3);
	go_away();
}

Test(tcp_ecn, both_connect_at_once)
{
	open_with(NULL);
	SEND(.flags = SYN | ACE_FLAGS(7), .mss = MSS, .tos = 0);
	expect(SYN | ACK | TCP_CWR, 0, 1, 0);
	cr_assert(w.last.accecn.is_there);
	SEND(.flags = SYN | ACK | TCP_CWR, .ack = 1, .mss = MSS, OPT(0, 0, 0));
	expect(ACK | TCP_CWR, 1, 1, 0);
	cr_assert(conn()->ecn.mode == ECN_ACCURATE);
	go_away();
}

/* A cookie keeps nothing: that it was agreed is seen by the ACK (RFC 9768
 * 5.1). */
Test(tcp_ecn, agreed_by_a_cookie)
{
	sockid l;

	w.st->sysctl.tcp_syncookies = 2;
	l = open_listener(4);
	SEND(.flags = SYN | ACE_FLAGS(7), .mss = MSS, .has_ts = true,
	     .ts_val = 1);
	next();
	cr_assert(ace() == 2);
	SEND(A(2), .seq = 1, .ack = 1, .has_ts = true, .ts_val = 2,
	     .ts_ecr = w.last.ts_val);
	cr_assert(sock_accept(w.st, l, &w.s, w.now) == 0);
	cr_assert(conn()->ecn.mode == ECN_ACCURATE);
	go_away();
}

/* --- DCTCP (RFC 8257): both ends --- */

static void use_dctcp(void)
{
	w.st->sysctl.tcp_congestion_control = CC_DCTCP;
}

Test(tcp_ecn, dctcp_asks_with_ect)
{
	use_dctcp();
	w.st->sysctl.tcp_ecn = 2;
	open_with(NULL);
	cr_assert(ace() == 3 && w.last.tos == ECT0);
	go_away();
}

static void open_dctcp(void)
{
	use_dctcp();
	w.st->sysctl.tcp_ecn = 2;
	open_with(NULL);
	SEND(.flags = SYN | ACK | TCP_ECE, .ack = 1, .mss = MSS,
	     .sack_ok = true);
	next();
	cr_assert(w.last.tos == ECT0); /* a pure ACK, too */
	conn()->srtt = conn()->min_rtt = RTT;
	tcp_rto_update(conn());
}

Test(tcp_ecn, dctcp_tells_each_change_and_acks_one_kind)
{
	open_dctcp();
	for (uint32_t k = 0; k < 20; k++) {
		SEND(.flags = ACK, .seq = 1 + k, .ack = 1, .len = 1,
		     .tos = ECT0);
		pass(SEC);
		skip();
	}
	conn()->quick = 0;
	conn()->pingpong = true;
	SEND(.flags = ACK, .seq = 21, .ack = 1, .len = 1, .tos = ECT0);
	quiet();
	SEND(.flags = ACK, .seq = 22, .ack = 1, .len = 1, .tos = CE);
	expect(ACK, 1, 22, 0); /* what came before it was not marked */
	expect(ACK | TCP_ECE, 1, 23, 0);
	SEND(.flags = ACK, .seq = 23, .ack = 1, .len = 1, .tos = CE);
	quiet(); /* no change */
	SEND(.flags = ACK, .seq = 24, .ack = 1, .len = 1, .tos = ECT0);
	expect(ACK | TCP_ECE, 1, 24, 0);
	expect(ACK, 1, 25, 0);
	go_away();
}

Test(tcp_ecn, dctcp_reduces_by_the_marks)
{
	uint32_t v[8];
	socklen_t len = sizeof(v);

	open_dctcp();
	put(30000, 0);
	skip();
	conn()->cc.u.dctcp.alpha = 256;
	pass(RTT);
	SEND(.flags = ACK | TCP_ECE, .seq = 1, .ack = 1001);
	cr_assert(conn()->ca == CA_CWR);
	cr_assert(conn()->cc.ssthresh == 9, "%u", conn()->cc.ssthresh);
	cr_assert(sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_CC_INFO, v, &len,
			      w.now) == 0);
	cr_assert(len == 16 && (v[0] & 0xffff) == 1);
	go_away();
}

Test(tcp_ecn, dctcp_with_accurate_feedback)
{
	use_dctcp();
	open_with(NULL);
	cr_assert(ace() == 7 && w.last.tos == ECT0);
	/* the SYN-ACK tells that the SYN came as it was sent */
	SEND(.flags = SYN | ACK | ACE_FLAGS(4), .ack = 1, .mss = MSS,
	     .sack_ok = true, OPT(0, 0, 0));
	next();
	cr_assert(!conn()->ecn.fail);
	conn()->srtt = conn()->min_rtt = RTT;
	tcp_rto_update(conn());
	put(20000, 0);
	skip();
	pass(RTT);
	/* the first window: 2 of 10 */
	SEND(A(7), .seq = 1, .ack = 9881, OPT(0, 1976, 7904));
	cr_assert(conn()->cc.delivered_ce == 2);
	cr_assert(conn()->ca == CA_CWR);
	go_away();
}

Test(tcp_ecn, dctcp_is_reno_where_nobody_agrees)
{
	uint32_t v[8];
	socklen_t len = sizeof(v);

	use_dctcp();
	open_with(NULL);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true);
	next();
	cr_assert(w.last.tos == 0);
	put(100, 0);
	next();
	cr_assert(w.last.tos == 0);
	cr_assert(sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_CC_INFO, v, &len,
			      w.now) == 0);
	cr_assert(len == 16 && v[0] == 0);
	go_away();
}
