/* SPDX-License-Identifier: MIT
 *
 * tcp_metrics_test.c - what one connection leaves to the next, and two sysctls
 *		        about round trips and answers
 */
#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_metrics, .init = peer_init, .fini = peer_fini);

/* The next connection begins anew. */
static void another(void)
{
	w.s = 0;
	w.has_iss = false;
}

/* One that takes 150 ms for data, sees reordering, and ends in order. */
static void first_one(void)
{
	open_active();
	cr_assert(put(100, 0) == 100);
	skip();
	pass(150 * MSEC);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	conn()->reordering = 20;
	sock_close(w.st, w.s, w.now);
	skip();
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 102);
	skip();
	pass(61 * SEC);
	skip();
	another();
}

static void end(void)
{
	sock_close(w.st, w.s, w.now);
	skip();
	SEND(.flags = RST, .seq = 1);
	quiet();
}

Test(tcp_metrics, the_next_one_knows_how_far_it_is)
{
	struct tcp_metrics *m;

	first_one();
	open_active();
	m = tcp_fo_metrics(conn()->t, &conn()->node.key.raddr, false);
	cr_assert(m && m->rtt > 0);
	/* its own estimate is that of its SYN, its first timeout is not */
	cr_assert(conn()->srtt < m->rtt);
	cr_assert(conn()->rto == m->rtt + MAX(2 * m->rtt, 200 * MSEC));
	cr_assert(conn()->reordering == 20);
	cr_assert(conn()->cc.ssthresh == CC_SSTHRESH_NONE);
	end();
}

Test(tcp_metrics, tcp_no_metrics_save_keeps_nothing)
{
	w.st->sysctl.tcp_no_metrics_save = 1;
	first_one();
	open_active();
	cr_assert(conn()->reordering == 3);
	cr_assert(!tcp_fo_metrics(conn()->t, &conn()->node.key.raddr, false));
	end();
}

Test(tcp_metrics, a_threshold_is_kept_if_asked)
{
	w.st->sysctl.tcp_no_ssthresh_metrics_save = 0;
	open_active();
	put(100, 0);
	skip();
	pass(10 * MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	conn()->cc.ssthresh = 7; /* and the window has grown beyond */
	conn()->cc.cwnd = 20;
	sock_close(w.st, w.s, w.now);
	skip();
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 102);
	skip();
	pass(61 * SEC);
	another();
	open_active();
	cr_assert(conn()->cc.ssthresh == 10);
	end();
}

Test(tcp_metrics, what_backed_off_leaves_no_round_trip)
{
	struct tcp_metrics *m;

	first_one();
	open_active();
	put(100, 0);
	sock_close(w.st, w.s, w.now);
	pass(5 * SEC);
	skip();
	m = tcp_fo_metrics(conn()->t, &conn()->node.key.raddr, false);
	cr_assert(m->rtt > 0);
	conn()->backoff = 1;
	tcp_metrics_save(conn());
	cr_assert(m->rtt == 0 && m->reordering == 20);
	SEND(.flags = RST, .seq = 1);
}

Test(tcp_metrics, tcp_min_rtt_wlen_is_how_long_the_shortest_counts)
{
	w.st->sysctl.tcp_min_rtt_wlen = 5;
	open_active();
	for (int i = 0; i < 8; i++) {
		put(100, 0);
		skip();
		pass(i ? 50 * MSEC : 5 * MSEC);
		SEND(.flags = ACK, .seq = 1, .ack = 101 + (uint32_t)i * 100);
		cr_assert(i > 3 || conn()->min_rtt < 50 * MSEC);
		pass(SEC);
	}
	cr_assert(conn()->min_rtt == 50 * MSEC);
	end();
}

Test(tcp_metrics, tcp_pingpong_thresh_is_how_often_until_acks_wait)
{
	w.st->sysctl.tcp_pingpong_thresh = 3;
	open_active();
	for (uint32_t i = 0; i < 3; i++) {
		cr_assert(!tcp_is_pingpong(conn()));
		SEND(.flags = ACK | PSH, .seq = 1 + i * 10, .ack = 1 + i * 10,
		     .len = 10);
		put(10, 0);
		skip();
		get(10, 0);
	}
	cr_assert(tcp_is_pingpong(conn()));
	end();
}
