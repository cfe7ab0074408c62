/* SPDX-License-Identifier: MIT
 *
 * How connections begin and end: handshakes, every way through the state
 * diagram, resets, TIME-WAIT, listeners.
 */
#include <errno.h>
#include <netinet/tcp.h>

#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp, .init = peer_init, .fini = peer_fini);

static uint8_t state(void)
{
	struct sock_facts f;

	cr_assert(sock_facts(w.st, w.s, &f) == 0);
	return f.state;
}

static void close_sock(void)
{
	sock_close(w.st, w.s, w.now);
}

static void shut(int how)
{
	cr_assert(sock_shutdown(w.st, w.s, how, w.now) == 0);
}

/* --- opening --- */

Test(tcp, active_open_offers_and_takes_options)
{
	open_with(NULL);
	cr_assert(w.last.mss == 1460 && w.last.sack_ok && w.last.has_ts);
	cr_assert(w.last.has_wscale && w.last.wscale == 10);
	cr_assert(w.last.win == 64240);
	cr_assert(!(bits() & (EPOLLIN | EPOLLOUT)));

	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true,
	     .has_wscale = true, .wscale = 4);
	expect(ACK, 1, 1, 0);
	cr_assert(!w.last.has_ts); /* the peer did not want it */
	cr_assert(state() == TCP_ESTABLISHED && bits() & EPOLLOUT);
}

Test(tcp, syn_is_sent_again_four_times_a_second_apart_then_backs_off)
{
	static const int secs[] = {1, 2, 3, 4, 5, 7, 11, 19, 35, 67};

	open_with(NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(secs); i++) {
		until(secs[i] * SEC - MSEC);
		quiet();
		until(secs[i] * SEC);
		expect(SYN, 0, 0, 0);
	}
	until(130 * SEC);
	quiet();
	until(132 * SEC);
	quiet();
	cr_assert(state() == TCP_CLOSE && sock_err() == ETIMEDOUT);
}

Test(tcp, refused)
{
	open_with(NULL);
	SEND(.flags = RST, .seq = 1); /* without ACK it proves nothing */
	cr_assert(state() == TCP_SYN_SENT);
	SEND(.flags = RST | ACK, .ack = 1);
	quiet();
	cr_assert(bits() & EPOLLERR && bits() & EPOLLHUP);
	cr_assert(sock_err() == ECONNREFUSED);
}

Test(tcp, wrong_ack_of_our_syn_is_reset)
{
	open_with(NULL);
	SEND(.flags = SYN | ACK, .seq = 0, .ack = 77, .mss = MSS);
	expect(RST, 77, 0, 0);
	cr_assert(state() == TCP_SYN_SENT);
}

Test(tcp, simultaneous_open)
{
	open_with(NULL);
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(state() == TCP_SYN_RECV);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	cr_assert(state() == TCP_ESTABLISHED);
	skip();
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
}

Test(tcp, passive_open)
{
	sockid l = open_listener(5);

	SEND(.flags = SYN, .mss = MSS, .sack_ok = true, .has_ts = true,
	     .ts_val = 9);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.has_ts && w.last.ts_ecr == 9 && w.last.sack_ok);
	cr_assert(!w.last.has_wscale);
	cr_assert(sock_accept(w.st, l, &w.s, w.now) == -EAGAIN);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .has_ts = true, .ts_val = 10);
	cr_assert(sock_accept(w.st, l, &w.s, w.now) == 0);
	cr_assert(state() == TCP_ESTABLISHED);
	put(10, 0);
	expect(PSH | ACK, 1, 1, 10);
}

Test(tcp, synack_is_sent_again_and_forgotten)
{
	open_listener(5);
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	pass(SEC + MSEC);
	expect(SYN | ACK, 0, 1, 0);
	pass(2 * SEC);
	expect(SYN | ACK, 0, 1, 0);
	pass(200 * SEC);
	cr_assert(num_out() == 3); /* five in all */
	skip();
	cr_assert(stack_timers_armed(w.st) == 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	expect(RST, 1, 0, 0); /* nobody knows of it */
}

Test(tcp, accept_queue_overflows_by_one_and_the_last_ack_is_dropped)
{
	sockid l = open_listener(1), c;

	open_passive(1001);
	open_passive(1002);
	quiet();
	SEND(.flags = SYN, .mss = MSS, .sport = 1003);
	quiet();
	cr_assert(dropped(DROP_TCP_ACCEPT_QUEUE) == 1);
	cr_assert(count(STAT_TcpExtListenOverflows) == 1);
	cr_assert(sock_accept(w.st, l, &c, w.now) == 0);
	sock_close(w.st, c, w.now);
	skip();
	open_passive(1003);
	cr_assert(sock_accept(w.st, l, &c, w.now) == 0);
	sock_close(w.st, c, w.now);
	skip();
}

Test(tcp, abort_on_overflow_resets)
{
	uint32_t iss;

	w.st->sysctl.tcp_abort_on_overflow = 1;
	open_listener(1);
	open_passive(1001);
	SEND(.flags = SYN, .mss = MSS, .sport = 1002);
	expect(SYN | ACK, 0, 1, 0);
	iss = w.iss;
	open_passive(1003);
	w.iss = iss;
	SEND(.flags = ACK, .seq = 1, .ack = 1, .sport = 1002);
	expect(RST, 1, 0, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .sport = 1002);
	expect(RST, 1, 0, 0);
}

Test(tcp, syn_queue_is_bounded)
{
	w.st->sysctl.tcp_syncookies = 0;
	open_listener(2);
	for (uint16_t i = 0; i < 3; i++) {
		SEND(.flags = SYN, .mss = MSS, .sport = 2000 + i);
		expect(SYN | ACK, 0, 1, 0);
	}
	SEND(.flags = SYN, .mss = MSS, .sport = 3000);
	quiet();
	cr_assert(dropped(DROP_TCP_SYN_QUEUE) == 1);
	/* one of them gives up: there is room again */
	SEND(.flags = RST, .seq = 1, .sport = 2000);
	SEND(.flags = SYN, .mss = MSS, .sport = 3000);
	expect(SYN | ACK, 0, 1, 0);
}

/* Twice as many SYNs as the queue takes: who is answered by a cookie has
 * nothing kept of him, and gets in with his ACK all the same. */
Test(tcp, a_full_syn_queue_answers_with_cookies)
{
	uint32_t iss, ts;
	sockid child = 0;

	open_listener(1);
	for (uint16_t i = 0; i < 2; i++) {
		SEND(.flags = SYN, .mss = MSS, .sport = (uint16_t)(100 + i));
		skip();
	}
	cr_assert(count(STAT_TcpExtSyncookiesSent) == 0);
	SEND(.flags = SYN, .mss = 1300, .sack_ok = true, .has_ts = true,
	     .ts_val = 7, .has_wscale = true, .wscale = 5, .sport = 200);
	next();
	iss = w.iss;
	ts = w.last.ts_val;
	cr_assert(w.last.flags == (SYN | ACK) && w.last.sack_ok);
	cr_assert(count(STAT_TcpExtSyncookiesSent) == 1);
	/* what is no cookie is answered as before */
	SEND(.flags = ACK, .seq = 1, .ack = 999, .has_ts = true, .ts_val = 8,
	     .ts_ecr = ts, .sport = 200);
	next();
	cr_assert(w.last.flags == RST);
	cr_assert(count(STAT_TcpExtSyncookiesFailed) == 1);
	w.iss = iss;
	SEND(.flags = ACK, .seq = 1, .ack = 1, .has_ts = true, .ts_val = 8,
	     .ts_ecr = ts, .sport = 200);
	cr_assert(count(STAT_TcpExtSyncookiesRecv) == 1);
	cr_assert(sock_accept(w.st, w.s, &child, w.now) == 0);
	sock_close(w.st, w.s, w.now);
	w.s = child;
	skip();
	cr_assert(conn()->state == TCPS_ESTABLISHED && conn()->sack_ok);
	cr_assert(conn()->wscale_ok && conn()->snd_wscale == 5);
	cr_assert(conn()->ts_ok && conn()->mss_cache == 1300 - 12);
	SEND(.flags = RST, .seq = 1, .sport = 200);
}

Test(tcp, a_cookie_is_good_for_two_minutes)
{
	uint32_t iss;
	sockid child = 0;

	w.st->sysctl.tcp_syncookies = 2;
	open_listener(4);
	SEND(.flags = SYN, .mss = MSS);
	next();
	iss = w.iss;
	pass(119 * SEC);
	quiet(); /* nothing is sent again: nothing is known */
	pass(60 * SEC);
	w.iss = iss;
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	next();
	cr_assert(w.last.flags == RST);
	cr_assert(sock_accept(w.st, w.s, &child, w.now) == -EAGAIN);
}

Test(tcp, closing_a_listener_resets_its_children)
{
	sockid l = open_listener(5);

	open_passive(1001);
	SEND(.flags = SYN, .mss = MSS, .sport = 1002);
	skip();
	sock_close(w.st, l, w.now);
	cr_assert(num_out() ==
		  1); /* the child; of the SYN nobody says a word */
	skip();
	cr_assert(stack_timers_armed(w.st) == 0);
}

Test(tcp, defer_accept_waits_for_data)
{
	sockid l, c;

	new_sock();
	set_opt(IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	cr_assert(sock_listen(w.st, w.s, 5, w.now) == 0);
	l = w.s;
	open_passive(PEER_PORT);
	cr_assert(sock_accept(w.st, l, &c, w.now) == -EAGAIN);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	cr_assert(sock_accept(w.st, l, &w.s, w.now) == 0);
	cr_assert(get(100, 0) == 10);
}

/* --- closing --- */

Test(tcp, we_close_first)
{
	open_active();
	shut(SHUT_WR);
	expect(FIN | ACK, 1, 1, 0);
	cr_assert(state() == TCP_FIN_WAIT1);
	SEND(.flags = ACK, .seq = 1, .ack = 2);
	cr_assert(state() == TCP_FIN_WAIT2);
	/* half closed: data still comes in */
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 2, .len = 50);
	expect(ACK, 2, 51, 0);
	cr_assert(get(100, 0) == 50);
	SEND(.flags = FIN | ACK, .seq = 51, .ack = 2);
	expect(ACK, 2, 52, 0);
	cr_assert(get(100, 0) == 0 && state() == TCP_CLOSE);
	cr_assert(w.st->tp.tcp->num_tw == 1);
	pass(61 * SEC);
	cr_assert(w.st->tp.tcp->num_tw == 0);
}

Test(tcp, peer_closes_first)
{
	open_active();
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 1);
	expect(ACK, 1, 2, 0);
	cr_assert(state() == TCP_CLOSE_WAIT);
	cr_assert(bits() & EPOLLRDHUP && get(10, 0) == 0);
	cr_assert(put(10, 0) == 10);
	expect(PSH | ACK, 1, 2, 10);
	close_sock();
	expect(FIN | ACK, 11, 2, 0);
	SEND(.flags = ACK, .seq = 2, .ack = 12);
	quiet();
	cr_assert(list_empty(&w.st->tp.tcp->conns));
	cr_assert(w.st->tp.tcp->num_tw == 0);
}

Test(tcp, simultaneous_close)
{
	open_active();
	shut(SHUT_WR);
	expect(FIN | ACK, 1, 1, 0);
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 1);
	expect(ACK, 2, 2, 0);
	cr_assert(state() == TCP_CLOSING);
	SEND(.flags = ACK, .seq = 2, .ack = 2);
	cr_assert(state() == TCP_CLOSE && w.st->tp.tcp->num_tw == 1);
}

Test(tcp, fin_wait2_of_an_orphan_ends_by_time)
{
	open_active();
	close_sock();
	expect(FIN | ACK, 1, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 2);
	pass(59 * SEC);
	cr_assert(!list_empty(&w.st->tp.tcp->conns));
	pass(2 * SEC);
	cr_assert(list_empty(&w.st->tp.tcp->conns));
	cr_assert(stack_timers_armed(w.st) == 0);
}

Test(tcp, linger2_below_zero_does_not_wait)
{
	open_active();
	set_opt(IPPROTO_TCP, TCP_LINGER2, -1);
	close_sock();
	expect(FIN | ACK, 1, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 2);
	expect(RST | ACK, 2, 1, 0);
	cr_assert(list_empty(&w.st->tp.tcp->conns));
}

Test(tcp, fin_that_arrives_with_data_out_of_order)
{
	open_active();
	SEND(.flags = FIN | ACK, .seq = 101, .ack = 1, .len = 50);
	expect(ACK, 1, 1, 0);
	cr_assert(w.last.num_sack == 1 && w.last.sack[0].start == 101);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 100);
	expect(ACK, 1, 152, 0);
	cr_assert(get(1000, 0) == 150 && get(10, 0) == 0);
	cr_assert(state() == TCP_CLOSE_WAIT);
}

Test(tcp, data_for_a_closed_socket_is_reset)
{
	open_active();
	close_sock();
	expect(FIN | ACK, 1, 1, 0);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 2, .len = 10);
	expect(RST, 2, 0, 0); /* answers a segment: as for no connection */
	cr_assert(count(STAT_TcpExtTCPAbortOnData) == 1);
}

Test(tcp, close_with_unread_data_resets)
{
	open_active();
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	expect(ACK, 1, 11, 0);
	close_sock();
	expect(RST | ACK, 1, 11, 0);
	cr_assert(count(STAT_TcpExtTCPAbortOnClose) == 1);
	cr_assert(list_empty(&w.st->tp.tcp->conns));
}

Test(tcp, linger_zero_resets)
{
	struct linger l = {.l_onoff = 1, .l_linger = 0};

	open_active();
	cr_assert(sock_setopt(w.st, w.s, SOL_SOCKET, SO_LINGER, &l, sizeof(l),
			      w.now) == 0);
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
	close_sock();
	expect(RST | ACK, 101, 1, 0);
	cr_assert(list_empty(&w.st->tp.tcp->conns));
}

Test(tcp, orphan_sends_what_was_written_before_its_fin)
{
	open_active();
	cr_assert(put(25000, 0) == 25000);
	close_sock();
	for (uint32_t i = 0; i < 10; i++)
		expect(ACK, 1 + i * 1000, 1, 1000);
	quiet();
	SEND(.flags = ACK, .seq = 1, .ack = 10001);
	for (uint32_t i = 10; i < 24; i++)
		expect(ACK, 1 + i * 1000, 1, 1000);
	expect(FIN | PSH | ACK, 24001, 1, 1000);
	cr_assert(stack_num_unfinished(w.st) == 1);
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 25002);
	expect(ACK, 25002, 2, 0);
	cr_assert(stack_num_unfinished(w.st) == 0);
}

/* --- resets --- */

Test(tcp, only_an_exact_rst_resets)
{
	open_active();
	SEND(.flags = RST, .seq = 2); /* in the window: RFC 5961 3.2 */
	expect(ACK, 1, 1, 0);
	cr_assert(count(STAT_TcpExtTCPChallengeACK) == 1);
	SEND(.flags = RST, .seq = 70000000);
	quiet();
	cr_assert(state() == TCP_ESTABLISHED);
	SEND(.flags = RST, .seq = 1);
	quiet();
	cr_assert(state() == TCP_CLOSE && bits() & EPOLLERR);
	cr_assert(get(10, 0) == -ECONNRESET && get(10, 0) == 0);
	cr_assert(put(10, 0) == -EPIPE);
}

Test(tcp, syn_in_a_connection_gets_a_challenge)
{
	open_active();
	SEND(.flags = SYN, .seq = 100, .mss = MSS);
	expect(ACK, 1, 1, 0);
	SEND(.flags = SYN, .seq = 200, .mss = MSS);
	quiet(); /* not twice in half a second */
	pass(500 * MSEC);
	SEND(.flags = SYN, .seq = 300, .mss = MSS);
	expect(ACK, 1, 1, 0);
	cr_assert(state() == TCP_ESTABLISHED);
}

Test(tcp, ack_of_what_was_not_sent_is_dropped)
{
	open_active();
	SEND(.flags = ACK, .seq = 1, .ack = 1000, .len = 10);
	expect(ACK, 1, 1, 0); /* as Linux 6.18 and RFC 9293 3.10.7.4 */
	cr_assert(dropped(DROP_TCP_BAD_ACK) == 1 && get(10, 0) == -EAGAIN);
}

Test(tcp, rst_for_nobody)
{
	SEND(.flags = ACK, .seq = 10, .ack = 20);
	expect(RST, 20, 0, 0);
	SEND(.flags = SYN, .seq = 10);
	expect(RST | ACK, 0, 11, 0);
	SEND(.flags = RST, .seq = 10);
	quiet();
}

Test(tcp, unread_data_survives_a_reset)
{
	open_active();
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	skip();
	SEND(.flags = RST, .seq = 11);
	cr_assert(get(100, 0) == 10 && get(100, 0) == -ECONNRESET);
}

/* --- PAWS --- */

Test(tcp, old_timestamps_are_refused)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .has_ts = true,
				     .ts_val = 1000});
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10, .has_ts = true,
	     .ts_val = 1010);
	expect(ACK, 1, 11, 0);
	cr_assert(w.last.ts_ecr == 1010);
	SEND(.flags = PSH | ACK, .seq = 11, .ack = 1, .len = 10, .has_ts = true,
	     .ts_val = 900);
	expect(ACK, 1, 11, 0);
	cr_assert(count(STAT_TcpExtPAWSEstab) == 1);
	cr_assert(dropped(DROP_TCP_PAWS) == 1);
	cr_assert(get(100, 0) == 10);
}

/* --- TIME-WAIT --- */

static void into_time_wait(bool ts)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .has_ts = ts,
				     .ts_val = 1000});
	close_sock();
	expect(FIN | ACK, 1, 1, 0);
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 2, .has_ts = ts,
	     .ts_val = 1001);
	expect(ACK, 2, 2, 0);
	cr_assert(w.st->tp.tcp->num_tw == 1);
}

Test(tcp, time_wait_answers_a_lost_ack_and_starts_again)
{
	into_time_wait(false);
	pass(30 * SEC);
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(ACK, 2, 2, 0);
	pass(59 * SEC);
	cr_assert(w.st->tp.tcp->num_tw == 1);
	pass(2 * SEC);
	cr_assert(w.st->tp.tcp->num_tw == 0);
}

Test(tcp, time_wait_gives_way_to_a_newer_syn)
{
	uint32_t old;

	into_time_wait(false);
	open_listener(1);
	old = w.iss + 2;
	SEND(.flags = SYN, .seq = 1, .mss = MSS, .sack_ok = false);
	expect(ACK, 2, 2, 0); /* an old duplicate */
	SEND(.flags = SYN, .seq = 100000, .mss = MSS);
	expect(SYN | ACK, 0, 100001, 0);
	cr_assert(seq_gt(w.iss, old + 65535));
	cr_assert(w.st->tp.tcp->num_tw == 0);
}

Test(tcp, time_wait_gives_way_to_a_later_timestamp)
{
	into_time_wait(true);
	open_listener(1);
	SEND(.flags = SYN, .seq = 0, .mss = MSS, .has_ts = true,
	     .ts_val = 2000);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.st->tp.tcp->num_tw == 0);
}

Test(tcp, time_wait_keeps_its_port_from_bind)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	sockid s;

	into_time_wait(false);
	put_be16(&sin.sin_port, STACK_PORT);
	sock_new(w.st, AF_INET, SOCK_STREAM, 0, &s, w.now);
	cr_assert(sock_bind(w.st, s, (struct sockaddr *)&sin, sizeof(sin),
			    w.now) == -EADDRINUSE);
	pass(61 * SEC);
	cr_assert(sock_bind(w.st, s, (struct sockaddr *)&sin, sizeof(sin),
			    w.now) == 0);
}

Test(tcp, connect_again_after_disconnect)
{
	struct sockaddr sa = {.sa_family = AF_UNSPEC};

	open_active();
	cr_assert(sock_connect(w.st, w.s, &sa, sizeof(sa), w.now) == 0);
	expect(RST | ACK, 1, 1, 0);
	open_active();
	cr_assert(state() == TCP_ESTABLISHED);
}
