/* SPDX-License-Identifier: MIT
 *
 * Data: when it is sent, again or not yet; when it is acknowledged; windows.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"
#include "base/csum.h"
#include "wire/ip4.h"

TestSuite(tcp_flow, .init = peer_init, .fini = peer_fini);

static void open_plain(void) /* no SACK, no timestamps */
{
	open_with(&(struct peer_seg){.flags = SYN | ACK, .ack = 1, .mss = MSS});
}

static void expect_data(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		expect(ACK, 1 + i * MSS, 1, MSS);
}

/* Nothing of the quick start's ACKs is left. */
static void use_up_quickacks(uint32_t *seq)
{
	for (int i = 0; i < 40; i++) {
		SEND(.flags = ACK, .seq = *seq, .ack = 1, .len = 1);
		*seq += 1;
		pass(MSEC);
		cr_assert(get(10, 0) == 1);
		if (!conn()->quick)
			break;
	}
	pass(60 * MSEC);
	skip();
}

/* --- acknowledging --- */

Test(tcp_flow, quick_at_first_then_delayed)
{
	uint32_t seq = 1;
	nsec at;

	open_active();
	SEND(.flags = PSH | ACK, .seq = seq, .ack = 1, .len = 1);
	expect(ACK, 1, ++seq, 0); /* the first one at once */
	cr_assert(get(10, 0) == 1);
	use_up_quickacks(&seq);
	SEND(.flags = PSH | ACK, .seq = seq, .ack = 1, .len = 1);
	quiet();
	at = w.now;
	while (!num_out() && w.now - at < SEC)
		pass(MSEC);
	expect(ACK, 1, ++seq, 0);
	cr_assert(w.now - at >= 40 * MSEC && w.now - at <= 200 * MSEC);
	cr_assert(count(STAT_TcpExtDelayedACKs) >= 1);
}

Test(tcp_flow, two_full_segments_are_acked_as_the_batch_ends)
{
	uint32_t seq = 1;

	open_active();
	use_up_quickacks(&seq);
	SEND(.flags = ACK, .seq = seq, .ack = 1, .len = 1000);
	skip();
	SEND(.flags = ACK, .seq = seq + 1000, .ack = 1, .len = 1000);
	SEND(.flags = ACK, .seq = seq + 2000, .ack = 1, .len = 1000);
	cr_assert(num_out() >= 1);
	skip();
	cr_assert(conn()->rcv_wup - conn()->irs >= seq + 2000);
}

Test(tcp_flow, an_answer_takes_the_ack_along)
{
	uint32_t seq = 1;

	open_active();
	use_up_quickacks(&seq);
	SEND(.flags = PSH | ACK, .seq = seq, .ack = 1, .len = 1);
	quiet();
	put(10, 0);
	expect(PSH | ACK, 1, seq + 1, 10);
	pass(SEC / 10);
	quiet();
}

Test(tcp_flow, out_of_order_is_acked_at_once_and_sacked)
{
	open_active();
	SEND(.flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
	expect(ACK, 1, 1, 0);
	cr_assert(w.last.num_sack == 1);
	SEND(.flags = ACK, .seq = 4001, .ack = 1, .len = 1000);
	expect(ACK, 1, 1, 0); /* the newest block first */
	cr_assert(w.last.num_sack == 2 && w.last.sack[0].start == 4001);
	cr_assert(w.last.sack[1].start == 1001 && w.last.sack[1].end == 2001);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 1000);
	expect(ACK, 1, 2001, 0);
	cr_assert(w.last.num_sack == 1 && w.last.sack[0].start == 4001);
	cr_assert(get(10000, 0) == 2000);
	for (uint32_t i = 0; i < 2000; i++)
		cr_assert(w.data[i] ==
			  (uint8_t)((1 + i) * 31 + ((1 + i) >> 8)));
}

Test(tcp_flow, what_came_twice_is_told_as_dsack)
{
	open_active();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 1000);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 1000);
	expect(ACK, 1, 1001, 0);
	cr_assert(w.last.num_sack == 1 && w.last.sack[0].start == 1 &&
		  w.last.sack[0].end == 1001);
	/* half old, half new */
	SEND(.flags = ACK, .seq = 501, .ack = 1, .len = 1000);
	skip();
	cr_assert(get(10000, 0) == 1500);
}

Test(tcp_flow, overlaps_out_of_order_deliver_each_byte_once)
{
	open_active();
	SEND(.flags = ACK, .seq = 101, .ack = 1, .len = 100);
	SEND(.flags = ACK, .seq = 301, .ack = 1, .len = 100);
	SEND(.flags = ACK, .seq = 151, .ack = 1, .len = 200);
	SEND(.flags = ACK, .seq = 51, .ack = 1, .len = 500);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 60);
	skip();
	cr_assert(get(10000, 0) == 550);
	for (uint32_t i = 0; i < 550; i++)
		cr_assert(w.data[i] ==
			  (uint8_t)((1 + i) * 31 + ((1 + i) >> 8)));
}

/* --- sending: Nagle, cork --- */

Test(tcp_flow, nagle_holds_a_second_small_write)
{
	open_active();
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
	put(100, 0);
	put(50, 0);
	quiet();
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	expect(PSH | ACK, 101, 1, 150);
}

Test(tcp_flow, nagle_as_minshall_has_it)
{
	open_active();
	put(1100, 0); /* a full one is in flight, and a small one: no wait */
	expect(ACK, 1, 1, 1000);
	expect(PSH | ACK, 1001, 1, 100);
	put(100, 0);
	quiet();
}

Test(tcp_flow, nodelay_does_not_wait)
{
	open_active();
	put(100, 0);
	skip();
	put(100, 0);
	quiet();
	set_opt(IPPROTO_TCP, TCP_NODELAY, 1);
	expect(PSH | ACK, 101, 1, 100);
	put(100, 0);
	expect(PSH | ACK, 201, 1, 100);
}

Test(tcp_flow, cork_holds_for_200_ms_at_most)
{
	open_active();
	set_opt(IPPROTO_TCP, TCP_CORK, 1);
	put(1500, 0);
	expect(ACK, 1, 1, 1000);
	SEND(.flags = ACK, .seq = 1, .ack = 1001);
	quiet();
	pass(150 * MSEC);
	quiet();
	pass(100 * MSEC);
	expect(PSH | ACK, 1001, 1, 500);
	put(200, 0);
	quiet();
	set_opt(IPPROTO_TCP, TCP_CORK, 0);
	expect(PSH | ACK, 1501, 1, 200);
}

Test(tcp_flow, msg_more_joins_the_next_write)
{
	open_active();
	put(100, MSG_MORE);
	quiet();
	put(100, 0);
	expect(PSH | ACK, 1, 1, 200);
}

/* --- windows --- */

Test(tcp_flow, initial_window_is_ten_and_slow_start_doubles)
{
	open_active();
	cr_assert(put(40000, 0) == 40000);
	expect_data(0, 10);
	quiet();
	SEND(.flags = ACK, .seq = 1, .ack = 10001);
	expect_data(10, 30);
	quiet();
}

Test(tcp_flow, peers_window_bounds_us)
{
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = MSS, .win = 2500});
	put(5000, 0);
	expect(ACK, 1, 1, 1000);
	expect(PSH | ACK, 1001, 1, 1000); /* half a window */
	quiet();			  /* 500 are left: silly */
	SEND(.flags = ACK, .seq = 1, .ack = 2001, .win = 2500);
	expect(ACK, 2001, 1, 1000);
	expect(ACK, 3001, 1, 1000);
	quiet();
}

Test(tcp_flow, zero_window_is_probed_and_backs_off)
{
	static const int ms[] = {200, 600, 1400, 3000};

	open_active();
	put(1000, 0);
	expect(PSH | ACK, 1, 1, 1000);
	pass(MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 1001, .win0 = true);
	put(500, 0);
	quiet();
	for (unsigned i = 0; i < ARRAY_SIZE(ms); i++) {
		until(ms[i] * MSEC + 3 * MSEC);
		expect(ACK, 1000, 1, 0); /* an old byte's number */
		SEND(.flags = ACK, .seq = 1, .ack = 1001, .win0 = true);
	}
	SEND(.flags = ACK, .seq = 1, .ack = 1001);
	expect(PSH | ACK, 1001, 1, 500);
}

Test(tcp_flow, a_window_smaller_than_a_segment_gets_a_piece_by_time)
{
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = MSS, .win = 2000});
	put(3000, 0);
	expect(ACK, 1, 1, 1000);
	expect(PSH | ACK, 1001, 1, 1000);
	SEND(.flags = ACK, .seq = 1, .ack = 2001, .win = 300);
	quiet();
	pass(SEC);
	expect(PSH | ACK, 2001, 1, 300);
}

Test(tcp_flow, our_window_closes_never_shrinks_and_opens_with_an_update)
{
	uint32_t seq = 1, edge = 0;

	open_active();
	for (int i = 0; i < 200; i++) {
		SEND(.flags = ACK, .seq = seq, .ack = 1, .len = 1000);
		if (num_out()) {
			while (num_out() > 1)
				expect(ACK, 1, w.last.ack + 0, 0);
			break;
		}
		seq += 1000;
	}
	skip();
	for (int i = 0; i < 400; i++) {
		uint32_t end = conn()->rcv_wup + conn()->rcv_wnd;

		cr_assert(i == 0 || seq_geq(end, edge));
		edge = end;
		if (conn()->rcv_wnd == 0)
			break;
		seq = conn()->rcv_nxt - w.irs;
		SEND(.flags = ACK, .seq = seq, .ack = 1,
		     .len = MIN(1000u, edge - conn()->rcv_nxt));
		pass(50 * MSEC);
		skip();
	}
	cr_assert(conn()->rcv_wnd == 0);
	while (get(65536, 0) > 0)
		;
	cr_assert(num_out() >= 1);
	skip();
	cr_assert(conn()->rcv_wnd > 10000);
}

/* Frames that are larger than their data use memory up before the window. */
Test(tcp_flow, data_without_room_closes_a_window_that_reading_opens)
{
	struct tcp_conn *c;
	uint32_t more;

	open_active();
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 1000);
	skip();
	c = conn();
	more = 2 * c->ep->rcvbuf + (1u << 20);
	c->ep->rx_mem += more;
	SEND(.flags = PSH | ACK, .seq = 1001, .ack = 1, .len = 1000);
	expect(ACK, 1, 1001, 0);
	cr_assert(w.last.win == 0);
	cr_assert(count(STAT_TcpExtTCPRcvQDrop) == 1);

	/* what Linux probes such a window with is the head of its queue */
	for (int i = 1; i <= 3; i++) {
		pass(SEC);
		SEND(.flags = PSH | ACK, .seq = 1001, .ack = 1, .len = 1000);
		expect(ACK, 1, 1001, 0);
		cr_assert(w.last.win == 0);
		quiet();
	}

	c->ep->rx_mem -= more;
	cr_assert(get(65536, 0) == 1000);
	expect(ACK, 1, 1001, 0);
	cr_assert(w.last.win > 0);
}

Test(tcp_flow, sndbuf_full_then_room_is_an_edge)
{
	int n, sum = 0;
	uint32_t una = 1;

	open_active();
	set_opt(SOL_SOCKET, SO_SNDBUF, 20000);
	while ((n = put(65536, 0)) > 0)
		sum += n;
	cr_assert(n == -EAGAIN && !(bits() & EPOLLOUT));
	while (!(bits() & EPOLLOUT)) {
		skip();
		una = conn()->snd_nxt - w.iss;
		cr_assert(una < (uint32_t)sum + 1);
		SEND(.flags = ACK, .seq = 1, .ack = una);
	}
	cr_assert(una > (uint32_t)sum / 4);
	skip();
}

/* --- retransmission --- */

Test(tcp_flow, silence_resends_and_backs_off)
{
	/* the loss probe comes as the timeout would: RFC 8985 7.2 */
	static const int ms[] = {200, 400, 800, 1600, 3200, 6400};

	open_active();
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
	for (unsigned i = 0; i < ARRAY_SIZE(ms); i++) {
		until(ms[i] * MSEC - 2 * MSEC);
		quiet();
		until(ms[i] * MSEC + 2 * MSEC);
		expect(PSH | ACK, 1, 1, 100);
	}
	cr_assert(count(STAT_TcpExtTCPLossProbes) == 1);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 5);
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	cr_assert(stack_num_unfinished(w.st) == 0);
}

Test(tcp_flow, given_up_after_retries2)
{
	open_active();
	put(100, 0);
	pass(900 * SEC);
	cr_assert(bits() & EPOLLOUT);
	skip();
	pass(200 * SEC); /* 924.6 s and more, as ip-sysctl.rst says */
	skip();
	cr_assert(sock_err() == ETIMEDOUT);
	cr_assert(count(STAT_TcpExtTCPAbortOnTimeout) == 1);
}

Test(tcp_flow, user_timeout)
{
	open_active();
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
	put(100, 0);
	pass(4 * SEC);
	cr_assert(sock_err() == 0);
	pass(10 * SEC);
	skip();
	cr_assert(sock_err() == ETIMEDOUT);
}

Test(tcp_flow, fast_retransmit_with_sack)
{
	open_active();
	put(20000, 0);
	expect_data(0, 10);
	/* the second is lost */
	SEND(.flags = ACK, .seq = 1, .ack = 1001);
	expect_data(10, 12);
	SEND(.flags = ACK, .seq = 1, .ack = 1001, .num_sack = 1,
	     .sack = {{2001, 3001}});
	expect_data(12, 13); /* limited transmit, RFC 3042 */
	SEND(.flags = ACK, .seq = 1, .ack = 1001, .num_sack = 1,
	     .sack = {{2001, 4001}});
	expect_data(13, 14);
	SEND(.flags = ACK, .seq = 1, .ack = 1001, .num_sack = 1,
	     .sack = {{2001, 5001}});
	expect(ACK, 1001, 1, 1000);
	quiet();
	cr_assert(count(STAT_TcpExtTCPSackRecovery) == 1);
	cr_assert(conn()->cc.ssthresh == 11 * 717 / 1024); /* RFC 9438 4.6 */
	cr_assert(conn()->cc.cwnd == tcp_in_flight(conn()));
	SEND(.flags = ACK, .seq = 1, .ack = 14001);
	cr_assert(conn()->ca == CA_OPEN);
	cr_assert(conn()->cc.cwnd >= 11 * 717 / 1024);
	cr_assert(conn()->cc.cwnd <= 11 * 717 / 1024 + 1);
	skip();
}

Test(tcp_flow, two_holes_are_both_filled)
{
	open_active();
	put(20000, 0);
	expect_data(0, 10);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .num_sack = 2,
	     .sack = {{3001, 10001}, {1001, 2001}});
	expect(ACK, 1, 1, 1000);
	expect(ACK, 2001, 1, 1000);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 10001);
	skip();
	cr_assert(count(STAT_TcpRetransSegs) == 2);
}

Test(tcp_flow, fast_retransmit_without_sack)
{
	open_plain();
	put(20000, 0);
	expect_data(0, 10);
	for (int i = 0; i < 2; i++) {
		SEND(.flags = ACK, .seq = 1, .ack = 1);
		expect_data(10 + i, 11 + i); /* RFC 3042 */
	}
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	expect(ACK, 1, 1, 1000);
	cr_assert(count(STAT_TcpExtTCPRenoRecovery) == 1);
	quiet();
	/* a partial ACK shows the next hole: RFC 6582; it goes out as the
	 * window allows, in proportion: RFC 6937 */
	SEND(.flags = ACK, .seq = 1, .ack = 3001);
	SEND(.flags = ACK, .seq = 1, .ack = 3001);
	expect(ACK, 3001, 1, 1000);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 12001);
	cr_assert(conn()->ca == CA_RECOVERY); /* not yet beyond it */
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 13001);
	cr_assert(conn()->ca == CA_OPEN);
	skip();
}

Test(tcp_flow, a_lost_resend_is_noticed)
{
	open_active();
	conn()->srtt = conn()->min_rtt = 10 * MSEC;
	put(40000, 0);
	expect_data(0, 10);
	pass(10 * MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .num_sack = 1,
	     .sack = {{1001, 10001}});
	expect(ACK, 1, 1, 1000); /* lost again */
	expect_data(10, 16);
	pass(10 * MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .num_sack = 1,
	     .sack = {{1001, 12001}});
	/* what was sent after the resend is there: RFC 8985 6.2 */
	expect(ACK, 1, 1, 1000);
	cr_assert(count(STAT_TcpExtTCPLostRetransmit) == 1);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	skip();
}

Test(tcp_flow, a_timeout_resends_all_as_acks_come)
{
	open_active();
	put(10000, 0);
	skip();
	pass(10 * MSEC);
	expect(PSH | ACK, 9001, 1, 1000); /* the probe */
	pass(210 * MSEC);
	expect(ACK, 1, 1, 1000);
	quiet();
	cr_assert(conn()->cc.cwnd == 1 && conn()->ca == CA_LOSS);
	SEND(.flags = ACK, .seq = 1, .ack = 1001);
	expect(ACK, 1001, 1, 1000);
	expect(ACK, 2001, 1, 1000);
	SEND(.flags = ACK, .seq = 1, .ack = 10001);
	cr_assert(conn()->ca == CA_OPEN);
}

Test(tcp_flow, renege_forgets_what_was_sacked)
{
	open_active();
	put(3000, 0);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .num_sack = 1,
	     .sack = {{1001, 3001}});
	pass(50 * MSEC);
	expect(ACK, 1, 1, 1000);
	/* what it had said to hold is asked for after all */
	SEND(.flags = ACK, .seq = 1, .ack = 1001);
	quiet();
	pass(20 * MSEC);
	expect(ACK, 1001, 1, 1000);
	cr_assert(count(STAT_TcpExtTCPSACKReneging) == 1);
	skip();
}

Test(tcp_flow, rtt_is_measured_and_bounded_below)
{
	open_active();
	put(100, 0);
	pass(50 * MSEC);
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	cr_assert(conn()->srtt > 5 * MSEC && conn()->srtt < 50 * MSEC);
	cr_assert(conn()->rto >= 200 * MSEC);
	skip();
}

Test(tcp_flow, slow_start_after_idle)
{
	open_active();
	put(20000, 0);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 10001);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 20001);
	cr_assert(conn()->cc.cwnd > 10);
	pass(60 * SEC);
	put(20000, 0);
	cr_assert(num_out() == 10);
	skip();
}

/* --- keepalive --- */

Test(tcp_flow, keepalive_probes_then_gives_up)
{
	open_active();
	set_opt(SOL_SOCKET, SO_KEEPALIVE, 1);
	set_opt(IPPROTO_TCP, TCP_KEEPIDLE, 10);
	set_opt(IPPROTO_TCP, TCP_KEEPINTVL, 2);
	set_opt(IPPROTO_TCP, TCP_KEEPCNT, 3);
	until(9 * SEC);
	quiet();
	until(10 * SEC + MSEC);
	expect(ACK, 0, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	until(20 * SEC);
	quiet();
	for (int i = 0; i < 3; i++) {
		until((20 + 2 * i) * SEC + 10 * MSEC);
		expect(ACK, 0, 1, 0);
	}
	until(27 * SEC);
	expect(RST | ACK, 1, 1, 0);
	cr_assert(sock_err() == ETIMEDOUT);
}

Test(tcp_flow, keepalive_of_a_half_closed_connection)
{
	int q = -1;

	open_active();
	set_opt(SOL_SOCKET, SO_KEEPALIVE, 1);
	set_opt(IPPROTO_TCP, TCP_KEEPIDLE, 10);
	cr_assert(sock_shutdown(w.st, w.s, SHUT_WR, w.now) == 0);
	expect(FIN | ACK, 1, 1, 0);
	cr_assert(sock_ioctl(w.st, w.s, TIOCOUTQ, &q) == 0 && q == 1);
	SEND(.flags = ACK, .seq = 1, .ack = 2);
	cr_assert(sock_ioctl(w.st, w.s, TIOCOUTQ, &q) == 0 && q == 0);
	cr_assert(stack_num_unfinished(w.st) == 0);
	pass(10 * SEC + MSEC);
	expect(ACK, 1, 1, 0);
}

Test(tcp_flow, an_absurd_mss_is_not_believed)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = 1,
				     .has_ts = true,
				     .ts_val = 1});
	put(100, 0);
	expect(ACK, 1, 1, 48); /* tcp_min_snd_mss */
	skip();
}

/* --- urgent --- */

Test(tcp_flow, urgent_byte_is_read_out_of_band)
{
	int mark = 0;

	open_active();
	SEND(.flags = PSH | ACK | URG, .seq = 1, .ack = 1, .len = 10, .urg = 5);
	skip();
	cr_assert(bits() & EPOLLPRI);
	cr_assert(get(100, 0) == 4); /* to the mark */
	cr_assert(sock_ioctl(w.st, w.s, SIOCATMARK, &mark) == 0 && mark);
	cr_assert(get(1, MSG_OOB) == 1 && w.data[0] == (uint8_t)(5 * 31));
	cr_assert(get(1, MSG_OOB) == -EINVAL);
	cr_assert(get(100, 0) == 5); /* beyond it */
	cr_assert(!(bits() & EPOLLPRI));
}

Test(tcp_flow, urgent_byte_inline)
{
	open_active();
	set_opt(SOL_SOCKET, SO_OOBINLINE, 1);
	SEND(.flags = PSH | ACK | URG, .seq = 1, .ack = 1, .len = 10, .urg = 5);
	skip();
	cr_assert(get(1, MSG_OOB) == -EINVAL);
	cr_assert(get(100, 0) == 4 && get(100, 0) == 6);
}

Test(tcp_flow, urgent_sent)
{
	open_active();
	put(1, MSG_OOB);
	expect(PSH | ACK | URG, 1, 1, 1);
	cr_assert(w.last.urg == 1);
	SEND(.flags = ACK, .seq = 1, .ack = 2);
	put(1, 0);
	expect(PSH | ACK, 2, 1, 1);
}

/* --- reading --- */

Test(tcp_flow, peek_leaves_and_part_reads_take)
{
	open_active();
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 1000);
	SEND(.flags = PSH | ACK, .seq = 1001, .ack = 1, .len = 1000);
	skip();
	cr_assert(get(1500, MSG_PEEK) == 1500);
	cr_assert(get(300, 0) == 300 && w.data[0] == 31);
	cr_assert(get(5000, 0) == 1700);
	for (uint32_t i = 0; i < 1700; i++)
		cr_assert(w.data[i] ==
			  (uint8_t)((301 + i) * 31 + ((301 + i) >> 8)));
	cr_assert(get(1, 0) == -EAGAIN);
}

Test(tcp_flow, two_readers_and_what_one_gives_back)
{
	struct span a, b;

	open_active();
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 100);
	skip();
	cr_assert(sock_recv_begin(w.st, w.s, 40, 0, NULL, &a, w.now) == 40);
	cr_assert(sock_recv_begin(w.st, w.s, 40, 0, NULL, &b, w.now) == 40);
	sock_recv_commit(w.st, w.s, &b, 40, 0, w.now);
	sock_recv_commit(w.st, w.s, &a, 10, 0, w.now);
	cr_assert(get(100, 0) == 50); /* 30 given back, 20 never taken */
}

Test(tcp_flow, two_writers_and_the_order_of_commits)
{
	struct span a, b;

	open_active();
	cr_assert(sock_send_begin(w.st, w.s, 10, 0, NULL, &a, w.now) == 10);
	cr_assert(sock_send_begin(w.st, w.s, 10, 0, NULL, &b, w.now) == 10);
	memset(a.v[0].iov_base, 'a', 10);
	memset(b.v[0].iov_base, 'b', 10);
	cr_assert(sock_send_commit(w.st, w.s, &b, 10, MSG_MORE, w.now) == 10);
	cr_assert(sock_send_commit(w.st, w.s, &a, 5, 0, w.now) == 5);
	expect(PSH | ACK, 1, 1, 15);
	cr_assert(memcmp(w.data, "bbbbbbbbbbaaaaa", 15) == 0);
	cr_assert(sock_send_begin(w.st, w.s, 10, 0, NULL, &a, w.now) == 10);
	cr_assert(sock_send_commit(w.st, w.s, &a, 0, 0, w.now) == 0);
	quiet();
}

Test(tcp_flow, reset_between_begin_and_commit)
{
	struct span a, b;

	open_active();
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 100);
	skip();
	sock_send_begin(w.st, w.s, 10, 0, NULL, &a, w.now);
	sock_recv_begin(w.st, w.s, 40, 0, NULL, &b, w.now);
	SEND(.flags = RST, .seq = 101);
	cr_assert(sock_send_commit(w.st, w.s, &a, 10, 0, w.now) < 0);
	sock_close(w.st, w.s, w.now);
	sock_recv_commit(w.st, w.s, &b, 40, 0, w.now);
	quiet();
}

Test(tcp_flow, tiny_segments_share_memory)
{
	uint32_t before;

	open_active();
	for (uint32_t i = 0; i < 3000; i++)
		SEND(.flags = ACK, .seq = 1 + i, .ack = 1, .len = 1);
	skip();
	before = conn()->ep->rx_mem;
	cr_assert(before < conn()->ep->rcvbuf);
	cr_assert(get(65536, 0) > 0);
	while (get(65536, 0) > 0)
		;
	cr_assert(conn()->ep->rx_mem == 0);
	cr_assert(conn()->rcv_nxt - w.irs == 3001);
	skip();
}

/* Each in a buffer of 66 KiB: two of them are as large as the receive buffer.
 */
static void send_part_filled(uint32_t num, uint32_t len)
{
	for (uint32_t i = 0; i < num; i++) {
		SEND(.flags = ACK, .seq = 1 + i * len, .ack = 1, .len = len,
		     .gso_size = 1000);
		pass(MSEC);
	}
}

Test(tcp_flow, part_filled_frames_do_not_close_the_window)
{
	uint32_t got = 0;

	open_active();
	send_part_filled(20, 4000);
	skip();
	cr_assert(conn()->rcv_nxt - w.irs == 80001);
	cr_assert(conn()->ep->rx_mem < conn()->ep->rcvbuf);
	cr_assert(conn()->rcv_wnd > 10000);
	while (got < 80000) {
		int n = get(7001, 0);

		cr_assert(n > 0);
		got += (uint32_t)n;
	}
	cr_assert(conn()->ep->rx_mem == 0);
	skip();
}

Test(tcp_flow, part_filled_frames_out_of_order_are_kept)
{
	open_active();
	for (uint32_t i = 1; i < 12; i++)
		SEND(.flags = ACK, .seq = 1 + i * 4000, .ack = 1, .len = 4000,
		     .gso_size = 1000);
	skip();
	cr_assert(count(STAT_TcpExtRcvPruned) == 0);
	cr_assert(count(STAT_TcpExtTCPOFODrop) == 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 4000, .gso_size = 1000);
	expect(ACK, 1, 48001, 0);
	cr_assert(get(65536, 0) > 0);
	while (get(65536, 0) > 0)
		;
	skip();
}

/* --- autotuning --- */

Test(tcp_flow, receive_buffer_grows_with_what_is_read)
{
	uint32_t seq = 1, first;

	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = 1460,
				     .has_ts = true,
				     .ts_val = 1,
				     .has_wscale = true,
				     .wscale = 7});
	first = conn()->ep->rcvbuf;
	for (int round = 0; round < 30; round++) {
		uint32_t end = conn()->rcv_wup + conn()->rcv_wnd - w.irs;
		uint32_t ecr = tcp_ts_now(conn()->ts_off, w.now);

		pass(10 * MSEC);
		skip();
		while (seq + 1448 <= end) {
			SEND(.flags = ACK, .seq = seq, .ack = 1, .len = 1448,
			     .has_ts = true, .ts_val = 2, .ts_ecr = ecr);
			seq += 1448;
			while (get(65536, 0) > 0)
				;
			skip();
		}
	}
	cr_assert(conn()->ep->rcvbuf > 4 * first);
	set_opt(SOL_SOCKET, SO_RCVBUF, 20000);
	cr_assert(conn()->ep->rcvbuf == 40000);
}

Test(tcp_flow, send_buffer_grows_with_the_window)
{
	uint32_t first;

	open_active();
	first = conn()->ep->sndbuf;
	for (int i = 0; i < 100; i++) {
		while (put(65536, 0) > 0)
			;
		skip();
		SEND(.flags = ACK, .seq = 1, .ack = conn()->snd_nxt - w.iss,
		     .win = 65535);
	}
	skip();
	cr_assert(conn()->ep->sndbuf > 2 * first);
}

/* --- frames that the device cuts --- */

TestSuite(tcp_tso, .init = peer_init_tso, .fini = peer_fini);

static void open_wide(void)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .has_wscale = true,
				     .wscale = 7,
				     .sack_ok = true});
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win = 60416 >> 7);
}

Test(tcp_tso, a_frame_is_at_most_half_of_the_largest_window)
{
	uint32_t seq = 1;

	open_wide();
	put(300000, 0);
	put(300000, 0);
	/* the initial window, half of it at a time */
	expect(PSH | ACK, 1, 1, 5000);
	expect(PSH | ACK, 5001, 1, 5000);
	cr_assert(w.last.gso_size == MSS);
	SEND(.flags = ACK, .seq = 1, .ack = 10001, .win = 60416 >> 7);
	seq = 10001;
	for (int i = 0; i < 6; i++) { /* never stalls for a larger one */
		while (put(65536, 0) > 0)
			;
		cr_assert(num_out() >= 1);
		while (num_out()) {
			next();
			cr_assert(w.last.seq == seq);
			cr_assert(w.last.len && w.last.len <= 60416 / 2);
			seq += w.last.len;
		}
		cr_assert(seq - conn()->snd_una + w.iss >= 20000);
		SEND(.flags = ACK, .seq = 1, .ack = seq, .win = 60416 >> 7);
	}
}

Test(tcp_tso, part_of_a_frame_is_sent_again)
{
	open_wide();
	put(10000, 0);
	expect(PSH | ACK, 1, 1, 5000);
	expect(PSH | ACK, 5001, 1, 5000);
	SEND(.flags = ACK, .seq = 1, .ack = 2001, .num_sack = 2,
	     .sack = {{5001, 10001}, {3001, 4001}});
	expect(ACK, 2001, 1, 1000);
	cr_assert(w.last.gso_size == 0);
	expect(ACK, 4001, 1, 1000);
	quiet();
	SEND(.flags = ACK, .seq = 1, .ack = 10001);
	cr_assert(list_empty(&conn()->recs) && conn()->packets_out == 0);
}

Test(tcp_tso, joined_frames_count_as_their_segments)
{
	open_wide();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 20000, .gso_size = 1000);
	expect(ACK, 1, 20001, 0);
	cr_assert(conn()->data_segs_in == 20 && conn()->rcv_mss == 1000);
	cr_assert(get(65536, 0) == 20000);
	skip();
}

/* --- the path --- */

static void frag_needed(uint16_t mtu, uint32_t seq)
{
	send_unreach(4, mtu, seq);
}

Test(tcp_flow, a_smaller_path_mtu_cuts_anew)
{
	open_active();
	put(3000, 0);
	expect(ACK, 1, 1, 1000);
	expect(ACK, 1001, 1, 1000);
	expect(PSH | ACK, 2001, 1, 1000);
	frag_needed(640, 999999); /* about nothing of ours: RFC 5927 */
	quiet();
	frag_needed(640, 1);
	for (uint32_t seq = 1; seq < 3001;) {
		bool odd = (seq - 1) % 1000 != 0;
		uint32_t len = odd ? 400 : 600;

		expect(ACK | (seq + len == 3001 ? PSH : 0), seq, 1, len);
		seq += len;
	}
	SEND(.flags = ACK, .seq = 1, .ack = 3001);
	cr_assert(conn()->packets_out == 0);
}

/* --- a full transmit queue --- */

Test(tcp_flow, a_full_queue_stops_and_restarts_us)
{
	struct txv v[8];
	int res[8] = {0};
	uint32_t total = 0;
	unsigned n;

	w.st->sysctl.tcp_init_cwnd = 500;
	w.st->sysctl.tcp_wmem_def = 1 << 20;
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = 100,
				     .has_wscale = true,
				     .wscale = 7});
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win = 60000);
	cr_assert(put(40000, 0) == 40000);
	for (int i = 0; i < 20; i++) /* no more than 32 frames a call */
		stack_tick(w.st, 64, w.now);
	cr_assert(w.st->link.num_txq <= LINK_TXQ_MAX);
	cr_assert(!list_empty(&w.st->tp.tcp->wait));
	while ((n = stack_tx(w.st, v, 8, w.now))) {
		for (unsigned i = 0; i < n; i++)
			total += v[i].f.len - 40;
		stack_tx_done(w.st, v, res, n, w.now);
		stack_tick(w.st, 64, w.now);
	}
	cr_assert(total == 40000, "%u", total);
}

/* --- TCP_INFO --- */

Test(tcp_flow, info_is_true)
{
	struct tcp_info i;
	socklen_t len = sizeof(i);

	open_active();
	put(3000, 0);
	skip();
	cr_assert(sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_INFO, &i, &len,
			      w.now) == 0);
	cr_assert(i.tcpi_state == TCP_ESTABLISHED && i.tcpi_unacked == 3);
	cr_assert(i.tcpi_snd_cwnd == 10 && i.tcpi_snd_mss == MSS);
	cr_assert(i.tcpi_options == TCPI_OPT_SACK);
	SEND(.flags = ACK, .seq = 1, .ack = 3001);
	sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_INFO, &i, &len, w.now);
	cr_assert(i.tcpi_unacked == 0 && i.tcpi_rtt > 0);
}
