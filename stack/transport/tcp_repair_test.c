/* SPDX-License-Identifier: MIT
 *
 * tcp_repair_test.c - a connection that was elsewhere goes on here
 */
#include <netinet/tcp.h>
#include <string.h>

#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_repair, .init = peer_init, .fini = peer_fini);

/* The peer's numbers begin at 0x10000000, ours at 0x20000000. */
static void set_up(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};

	w.s = new_sock();
	set_opt(IPPROTO_TCP, TCP_REPAIR, 1);
	set_opt(IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_REPAIR_SEND);
	set_opt(IPPROTO_TCP, TCP_QUEUE_SEQ, 0x20000001);
	set_opt(IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_REPAIR_RECV);
	set_opt(IPPROTO_TCP, TCP_QUEUE_SEQ, 0x10000001);
	put_be16(&sin.sin_port, STACK_PORT);
	sock_bind(w.st, w.s, (struct sockaddr *)&sin, sizeof(sin), w.now);
	put_be16(&sin.sin_port, PEER_PORT);
	memcpy(&sin.sin_addr, "\x0a\x00\x00\x02", 4);
	cr_assert(sock_connect(w.st, w.s, (struct sockaddr *)&sin, sizeof(sin),
			       w.now) == 0);
	w.irs = 0x10000000;
	w.iss = 0x20000000;
	w.has_iss = true;
	quiet();
}

Test(tcp_repair, what_was_sent_elsewhere_may_be_acknowledged_at_once)
{
	set_up();
	set_opt(SOL_SOCKET, SO_SNDBUF, 200000);
	set_opt(IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_REPAIR_SEND);
	/* more than the congestion window; and no window is known */
	cr_assert(put(60000, 0) == 60000);
	quiet();
	cr_assert(tcp_unsent(conn()) == 0);
	set_opt(IPPROTO_TCP, TCP_REPAIR, 0);
	expect(ACK, 0, 1, 0); /* how does the peer's window stand? */
	SEND(.flags = ACK, .seq = 1, .ack = 60001);
	cr_assert(conn()->snd_una == w.iss + 60001);
	SEND(.flags = ACK | PSH, .seq = 1, .ack = 60001, .len = 100);
	skip();
	cr_assert(get(100, 0) == 100);
	sock_close(w.st, w.s, w.now);
	expect(FIN | ACK, 60001, 101, 0);
	SEND(.flags = RST, .seq = 101);
}

Test(tcp_repair, the_mss_is_that_of_the_handshake)
{
	int v = 0;
	socklen_t len = sizeof(v);

	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .has_ts = true,
				     .ts_val = 1});
	sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_MAXSEG, &v, &len, w.now);
	cr_assert(v == (int)MSS - 12);
	set_opt(IPPROTO_TCP, TCP_REPAIR, 1);
	sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_MAXSEG, &v, &len, w.now);
	cr_assert(v == (int)MSS);
	sock_close(w.st, w.s, w.now);
	quiet(); /* nobody is told */
}

Test(tcp_repair, nothing_leaves_while_it_is_looked_at)
{
	open_active();
	set_opt(IPPROTO_TCP, TCP_CORK, 1);
	put(100, 0);
	set_opt(IPPROTO_TCP, TCP_REPAIR, 1);
	set_opt(IPPROTO_TCP, TCP_CORK, 0);
	quiet();
	cr_assert(tcp_unsent(conn()) == 100);
	sock_close(w.st, w.s, w.now);
	quiet();
}
