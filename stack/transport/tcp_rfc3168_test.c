/* SPDX-License-Identifier: MIT
 *
 * RFC 3168: marks, where tcp_recover_test.c does not have them already.
 */
#include "base/util.h"
#include "transport/tcp_sack_world.h"

TestSuite(tcp_rfc3168, .init = peer_init, .fini = peer_fini);

#define ECT0 2
#define CE 3

static void open_ecn(void)
{
	w.st->sysctl.tcp_ecn = 1;
	open_with(NULL);
	cr_assert(w.last.tos == 0); /* a SYN is never capable */
	SEND(.flags = SYN | ACK | TCP_ECE, .ack = 1, .mss = MSS,
	     .sack_ok = true);
	expect(ACK, 1, 1, 0);
	cr_assert(w.last.tos == 0);
	conn()->srtt = conn()->min_rtt = RTT;
	tcp_rto_update(conn());
}

/* 6.1.1: ECE alone agrees, nothing else does. */
Test(tcp_rfc3168, what_a_synack_agrees_to)
{
	static const uint8_t flags[] = {0, TCP_ECE, TCP_CWR, TCP_ECE | TCP_CWR};

	w.st->sysctl.tcp_ecn = 1;
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		bool agrees = flags[i] == TCP_ECE;

		w.s = 0;
		open_with(NULL);
		SEND(.flags = SYN | ACK | flags[i], .ack = 1, .mss = MSS);
		skip();
		put(100, 0);
		next();
		cr_assert(w.last.tos == (agrees ? ECT0 : 0), "%u", i);
		cr_assert(!(w.last.flags & (TCP_ECE | TCP_CWR)));
		go_away();
		sock_close(w.st, w.s, w.now);
	}
	w.s = 0;
}

/* 6.1.2: the first new data says it, not what goes again before it. */
Test(tcp_rfc3168, the_answer_is_on_the_first_new_data)
{
	open_ecn();
	put(30000, 0);
	segs(0, 10);
	pass(RTT);
	SEND(.flags = ACK | TCP_ECE, .seq = 1, .ack = 1, .num_sack = 1,
	     .sack = {S(1, 4)});
	segs(0, 1);
	cr_assert(!(w.last.flags & TCP_CWR) && w.last.tos == 0);
	for (uint32_t i = 5; i <= 10; i++)
		SEND(.flags = ACK | TCP_ECE, .seq = 1, .ack = 1, .num_sack = 1,
		     .sack = {S(1, i)});
	segs(10, 11);
	cr_assert(w.last.flags & TCP_CWR && w.last.tos == ECT0);
	segs(11, 12);
	cr_assert(!(w.last.flags & TCP_CWR) && w.last.tos == ECT0);
	go_away();
}

/* 6.1.2: a loss and a mark of one window are one reduction. */
Test(tcp_rfc3168, a_loss_and_a_mark_reduce_once)
{
	open_ecn();
	put(30000, 0);
	segs(0, 10);
	pass(RTT);
	SEND(.flags = ACK | TCP_ECE, .seq = 1, .ack = 1001);
	cr_assert(conn()->ca == CA_CWR && conn()->cc.ssthresh == 7);
	SACKED(1, S(2, 5));
	cr_assert(conn()->ca == CA_RECOVERY && conn()->cc.ssthresh == 7);
	go_away();
}

Test(tcp_rfc3168, an_echo_lets_nothing_grow)
{
	uint32_t cwnd;

	open_ecn();
	put(30000, 0);
	segs(0, 10);
	pass(RTT);
	cwnd = conn()->cc.cwnd;
	for (uint32_t i = 1; i <= 10; i++) {
		SEND(.flags = ACK | TCP_ECE, .seq = 1, .ack = i * MSS + 1);
		cr_assert(conn()->cc.cwnd <= cwnd);
		cwnd = conn()->cc.cwnd;
	}
	cr_assert(cwnd <= 7);
	go_away();
}

/* The RFC halves as far as one segment, and then in time; Linux stops at two.
 */
Test(tcp_rfc3168, marks_leave_two)
{
	uint32_t n = 0;

	open_ecn();
	put(60000, 0);
	skip();
	for (int i = 0; i < 10; i++) {
		pass(RTT);
		n = (conn()->snd_nxt - w.iss - 1) / MSS;
		SEND(.flags = ACK | TCP_ECE, .seq = 1, .ack = n * MSS + 1);
		skip();
	}
	cr_assert(conn()->cc.ssthresh == 2);
	cr_assert(conn()->cc.cwnd >= 1 && conn()->cc.cwnd <= 3);
	go_away();
}

/* 6.1.5: what is not in the window tells nothing. */
Test(tcp_rfc3168, a_mark_beside_the_window_is_ignored)
{
	open_ecn();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 100, .tos = ECT0);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 100, .tos = CE);
	next();
	cr_assert(!(w.last.flags & TCP_ECE));
	SEND(.flags = ACK, .seq = 1000000, .ack = 1, .len = 100, .tos = CE);
	next();
	cr_assert(!(w.last.flags & TCP_ECE));
	SEND(.flags = ACK, .seq = 101, .ack = 1, .len = 100, .tos = ECT0);
	next();
	cr_assert(!(w.last.flags & TCP_ECE));
}

/* 6.1.6 */
Test(tcp_rfc3168, a_window_probe_is_not_capable)
{
	open_ecn();
	put(1000, 0);
	segs(0, 1);
	SEND(.flags = ACK | TCP_ECE, .seq = 1, .ack = 1001, .win0 = true);
	put(500, 0);
	pass(SEC);
	next();
	cr_assert(w.last.len == 0 && w.last.seq == 1000);
	cr_assert(w.last.tos == 0 && !(w.last.flags & TCP_CWR));
	go_away();
}

/* A marked probe counts if it has data in the window. */
Test(tcp_rfc3168, a_mark_that_came_early_counts)
{
	open_ecn();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 100, .tos = ECT0);
	skip();
	SEND(.flags = ACK, .seq = 201, .ack = 1, .len = 100, .tos = CE);
	next();
	cr_assert(w.last.flags & TCP_ECE);
}
