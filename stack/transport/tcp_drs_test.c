/* SPDX-License-Identifier: MIT
 *
 * How the receive buffer grows: with what is read, with what waits behind a
 * hole, and by nothing that the peer could make up.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_drs, .init = peer_init, .fini = peer_fini);

#define RTT (10 * MSEC)

static uint32_t at; /* the peer's next sequence number */

static void open_peer(void)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = 1460,
				     .sack_ok = true,
				     .has_wscale = true,
				     .wscale = 7});
	at = 1;
}

static uint32_t window_end(void)
{
	return conn()->rcv_wup + conn()->rcv_wnd - w.irs;
}

static void send_at(uint32_t seq)
{
	SEND(.flags = ACK, .seq = seq, .ack = 1, .len = 1448);
	skip();
}

static void read_all(void)
{
	while (get(65536, 0) > 0)
		;
	skip();
}

/* As much as the window takes, after a round trip; read as it comes. */
static void fill_window(bool is_read)
{
	pass(RTT);
	for (uint32_t end = window_end(); at + 1448 <= end; at += 1448) {
		send_at(at);
		if (is_read)
			read_all();
	}
}

Test(tcp_drs, without_timestamps_a_window_is_the_clock)
{
	uint32_t first;

	open_peer();
	first = conn()->ep->rcvbuf;
	for (int i = 0; i < 2; i++)
		fill_window(true);
	cr_assert(conn()->rcv_rtt >= RTT && conn()->rcv_rtt <= 2 * RTT, "%lld",
		  (long long)conn()->rcv_rtt);
	for (int i = 0; i < 20; i++)
		fill_window(true);
	cr_assert(conn()->ep->rcvbuf > 4 * first, "%u", conn()->ep->rcvbuf);
}

Test(tcp_drs, what_is_not_read_is_no_reason_to_grow)
{
	uint32_t first;

	open_peer();
	first = conn()->ep->rcvbuf;
	for (int i = 0; i < 20; i++) {
		fill_window(false);
		get(1448, 0);
		skip();
	}
	cr_assert(conn()->ep->rcvbuf == first);
	read_all();
}

/* One packet of a window is lost and comes a round trip later. What came behind
 * it has its room besides: a path that always loses some would never have a
 * larger window else. */
Test(tcp_drs, a_hole_makes_room_for_what_comes_behind_it)
{
	uint32_t first, hole, held, window;

	open_peer();
	fill_window(true);
	pass(RTT);
	window = window_end() - at;
	first = conn()->ep->rcvbuf;
	hole = at;
	at += 1448;
	fill_window(false);
	held = at - hole - 1448;
	cr_assert(held > 2 * 14600);
	cr_assert(conn()->ep->rcvbuf > first);
	send_at(hole);
	cr_assert(conn()->rcv_nxt - w.irs == at);
	read_all();
	fill_window(true); /* it opens as data comes */
	fill_window(true);
	cr_assert(window_end() - at > window + held / 2, "%u, was %u",
		  window_end() - at, window);
}

Test(tcp_drs, a_buffer_that_was_asked_for_stays)
{
	new_sock();
	set_opt(SOL_SOCKET, SO_RCVBUF, 40000);
	open_peer();
	for (int i = 0; i < 5; i++)
		fill_window(true);
	at += 1448;
	fill_window(false);
	cr_assert(conn()->ep->rcvbuf == 80000);
}

Test(tcp_drs, what_nobody_accepted_does_not_grow)
{
	sockid l = open_listener(5);
	uint32_t first;

	open_passive(0);
	SEND(.flags = ACK, .seq = 20001, .ack = 1, .len = 1000);
	SEND(.flags = ACK, .seq = 40001, .ack = 1, .len = 1000);
	skip();
	cr_assert(sock_accept(w.st, l, &w.s, w.now) == 0);
	first = (uint32_t)w.st->sysctl.tcp_rmem_def;
	cr_assert(conn()->ep->rcvbuf == first, "%u", conn()->ep->rcvbuf);
	SEND(.flags = ACK, .seq = 42001, .ack = 1, .len = 1000);
	skip();
	cr_assert(conn()->num_ofo == 3);
	sock_close(w.st, l, w.now);
}
