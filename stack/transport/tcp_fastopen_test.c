/* SPDX-License-Identifier: MIT
 *
 * Data in the SYN: asking for a cookie, using it, giving one.
 */
#include <errno.h>
#include <netinet/tcp.h>

#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_fastopen, .init = peer_init, .fini = peer_fini);

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

static const struct tcp_fo_cookie request = {.is_there = true};
static const struct tcp_fo_cookie cookie = {
	.is_there = true, .len = 4, .v = {0xab, 0xcd, 0x12, 0x34}};

/* sendto(MSG_FASTOPEN) of @len bytes: what was taken, or -errno. */
static int put_to(uint32_t len)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(PEER_PORT)};
	struct sock_msg m = {.name_len = sizeof(sin)};
	struct span sp;
	int n;

	sin.sin_addr.s_addr = htonl(0x0a000002);
	memcpy(&m.name, &sin, sizeof(sin));
	n = sock_send_begin(w.st, w.s, len, MSG_FASTOPEN, &m, &sp, w.now);
	if (n <= 0)
		return n;
	cr_assert(sp.is_syn);
	for (unsigned i = 0; i < sp.num_v; i++)
		memset(sp.v[i].iov_base, 'x', sp.v[i].iov_len);
	return sock_send_commit(w.st, w.s, &sp, (size_t)n, MSG_FASTOPEN, w.now);
}

static void close_now(void)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	sock_connect(w.st, w.s, &nobody, sizeof(nobody), w.now);
	skip();
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
}

/* The cache knows the peer's cookie and its MSS of 1000. */
static void get_cookie(void)
{
	new_sock();
	cr_assert(put_to(100) == -EINPROGRESS);
	expect(SYN, 0, 0, 0);
	cr_assert(w.last.fo.is_there && w.last.fo.len == 0);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true,
	     .fo = cookie);
	expect(ACK, 1, 1, 0);
	close_now();
	new_sock();
}

Test(tcp_fastopen, a_syn_with_data)
{
	get_cookie();
	cr_assert(put_to(500) == 500);
	expect(SYN, 0, 0, 500);
	cr_assert(w.last.fo.len == 4 && !memcmp(w.last.fo.v, cookie.v, 4));
	SEND(.flags = SYN | ACK, .ack = 501, .mss = MSS);
	expect(ACK, 501, 1, 0);
	cr_assert(conn()->state == TCPS_ESTABLISHED && conn()->fo_acked);
	cr_assert(conn()->packets_out == 0);
	cr_assert(count(STAT_TcpExtTCPFastOpenActive) == 1);
	close_now();
}

Test(tcp_fastopen, no_more_than_the_cached_mss_less_40)
{
	get_cookie();
	cr_assert(put_to(5000) == 960);
	expect(SYN, 0, 0, 960);
	close_now();
}

Test(tcp_fastopen, data_that_the_syn_ack_passes_over_goes_again)
{
	get_cookie();
	cr_assert(put_to(500) == 500);
	expect(SYN, 0, 0, 500);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true);
	expect(PSH | ACK, 1, 1, 500); /* no ACK before it */
	quiet();
	SEND(.flags = ACK, .seq = 1, .ack = 501);
	cr_assert(count(STAT_TcpExtTCPFastOpenActiveFail) == 1);
	cr_assert(conn()->cc.cwnd >= 10 && conn()->ca == CA_OPEN);
	close_now();
}

Test(tcp_fastopen, a_syn_sent_again_is_plain)
{
	get_cookie();
	cr_assert(put_to(500) == 500);
	expect(SYN, 0, 0, 500);
	pass(SEC + 10 * MSEC);
	expect(SYN, 0, 0, 0);
	cr_assert(!w.last.fo.is_there);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	expect(PSH | ACK, 1, 1, 500);
	SEND(.flags = ACK, .seq = 1, .ack = 501);
	close_now();
}

Test(tcp_fastopen, connect_waits_for_the_first_write)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(PEER_PORT)};

	sin.sin_addr.s_addr = htonl(0x0a000002);
	get_cookie();
	set_opt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	cr_assert(sock_connect(w.st, w.s, (struct sockaddr *)&sin, sizeof(sin),
			       w.now) == 0);
	quiet();
	cr_assert(bits() & EPOLLOUT);
	cr_assert(put(300, 0) == 300);
	expect(SYN, 0, 0, 300);
	cr_assert(put(300, 0) == -EAGAIN);
	SEND(.flags = SYN | ACK, .ack = 301, .mss = MSS);
	expect(ACK, 301, 1, 0);
	close_now();
}

Test(tcp_fastopen, switched_off)
{
	w.st->sysctl.tcp_fastopen = 0;
	new_sock();
	cr_assert(put_to(100) == -EOPNOTSUPP);
	quiet();
}

/* --- RFC 7413 7.1: paths that swallow it; off unless asked for, as in Linux
 * --- */

static void into_black_hole(void)
{
	cr_assert(put_to(500) == 500);
	expect(SYN, 0, 0, 500);
	for (int i = 0; i < 3; i++) {
		pass(SEC + 10 * MSEC);
		expect(SYN, 0, 0, 0);
	}
}

Test(tcp_fastopen, no_black_holes_unless_they_are_looked_for)
{
	get_cookie();
	into_black_hole();
	cr_assert(count(STAT_TcpExtTCPFastOpenBlackhole) == 0);
	cr_assert(count(STAT_TcpExtTCPFastOpenActiveFail) == 1, "%d fails",
		  (int)count(STAT_TcpExtTCPFastOpenActiveFail));
	close_now();
	new_sock();
	cr_assert(put_to(500) == 500);
	expect(SYN, 0, 0, 500);
	close_now();
}

Test(tcp_fastopen, a_black_hole_switches_it_off_for_a_while)
{
	w.st->sysctl.tcp_fastopen_blackhole = 100;
	get_cookie();
	into_black_hole(); /* at the third timeout */
	cr_assert(count(STAT_TcpExtTCPFastOpenBlackhole) == 1);
	close_now();

	/* an ordinary SYN, that asks for nothing */
	new_sock();
	cr_assert(put_to(500) == -EINPROGRESS);
	expect(SYN, 0, 0, 0);
	cr_assert(!w.last.fo.is_there);
	close_now();

	/* tried again, and it fails again: for twice as long */
	pass(101 * SEC);
	new_sock();
	into_black_hole();
	cr_assert(count(STAT_TcpExtTCPFastOpenBlackhole) == 2);
	close_now();
	pass(150 * SEC);
	new_sock();
	cr_assert(put_to(500) == -EINPROGRESS);
	expect(SYN, 0, 0, 0);
	close_now();

	/* one that works makes it forgotten */
	pass(51 * SEC);
	new_sock();
	cr_assert(put_to(500) == 500);
	expect(SYN, 0, 0, 500);
	SEND(.flags = SYN | ACK, .ack = 501, .mss = MSS);
	expect(ACK, 501, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 501, .len = 10);
	skip();
	cr_assert(conn()->t->fo_off_times == 2);
	SEND(.flags = RST, .seq = 11);
	cr_assert(w.st->tp.tcp->fo_off_times == 0);
	close_now();
}

/* All but the peer's FIN was swallowed, */
Test(tcp_fastopen, a_fin_and_nothing_before_it)
{
	w.st->sysctl.tcp_fastopen_blackhole = 100;
	get_cookie();
	cr_assert(put_to(500) == 500);
	expect(SYN, 0, 0, 500);
	SEND(.flags = SYN | ACK, .ack = 501, .mss = MSS);
	expect(ACK, 501, 1, 0);
	SEND(.flags = FIN | ACK, .seq = 1001, .ack = 501);
	expect(ACK, 501, 1, 0);
	close_now();
	cr_assert(count(STAT_TcpExtTCPFastOpenBlackhole) == 1);
}

/* or a middlebox resets what it does not understand. */
Test(tcp_fastopen, a_reset_with_a_wrong_number)
{
	w.st->sysctl.tcp_fastopen_blackhole = 100;
	get_cookie();
	cr_assert(put_to(500) == 500);
	expect(SYN, 0, 0, 500);
	SEND(.flags = SYN | ACK, .ack = 501, .mss = MSS);
	expect(ACK, 501, 1, 0);
	SEND(.flags = RST, .seq = 500);
	expect(ACK, 501, 1, 0);
	cr_assert(count(STAT_TcpExtTCPFastOpenBlackhole) == 1);
	close_now();
}

/* --- what TCP_INFO says of it --- */

static unsigned client_fail(void)
{
	struct tcp_info i;
	socklen_t len = sizeof(i);
	uint8_t *p = (uint8_t *)&i;

	cr_assert(sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_INFO, &i, &len,
			      w.now) == 0);
	return p[7] >> 1 & 3; /* behind tcpi_delivery_rate_app_limited */
}

Test(tcp_fastopen, why_a_client_could_not)
{
	new_sock();
	cr_assert(put_to(100) == -EINPROGRESS);
	expect(SYN, 0, 0, 0);
	cr_assert(client_fail() == FO_FAIL_NO_COOKIE);
	close_now();
	get_cookie();
	cr_assert(put_to(500) == 500);
	expect(SYN, 0, 0, 500);
	cr_assert(client_fail() == FO_FAIL_NONE);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true);
	expect(PSH | ACK, 1, 1, 500);
	cr_assert(client_fail() == FO_FAIL_NOT_ACKED);
	close_now();
	new_sock();
	cr_assert(put_to(500) == 500);
	expect(SYN, 0, 0, 500);
	pass(SEC + 10 * MSEC);
	expect(SYN, 0, 0, 0);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true);
	expect(PSH | ACK, 1, 1, 500);
	cr_assert(client_fail() == FO_FAIL_SYN_AGAIN);
	close_now();
}

/* --- the server --- */

static struct tcp_fo_cookie ask(void)
{
	struct tcp_fo_cookie c;

	SEND(.flags = SYN, .mss = MSS, .sack_ok = true, .fo = request);
	expect(SYN | ACK, 0, 1, 0);
	c = w.last.fo;
	SEND(.flags = RST, .seq = 1);
	return c;
}

Test(tcp_fastopen, a_cookie_opens_at_once)
{
	struct tcp_fo_cookie c;
	sockid child = 0;

	w.st->sysctl.tcp_fastopen = TFO_SERVER_ENABLE;
	open_listener(4);
	set_opt(IPPROTO_TCP, TCP_FASTOPEN, 4);
	c = ask();
	cr_assert(c.is_there && c.len == 8);
	SEND(.flags = SYN, .mss = MSS, .sack_ok = true, .len = 100, .fo = c);
	expect(SYN | ACK, 0, 101, 0);
	cr_assert(!w.last.fo.is_there);
	cr_assert(sock_accept(w.st, w.s, &child, w.now) == 0);
	sock_close(w.st, w.s, w.now);
	w.s = child;
	cr_assert(get(1000, 0) == 100);
	cr_assert(put(50, 0) == 50); /* before the handshake is over */
	expect(PSH | ACK, 1, 101, 50);
	SEND(.flags = ACK, .seq = 101, .ack = 51);
	cr_assert(conn()->state == TCPS_ESTABLISHED && conn()->fo_acked);
	cr_assert(conn()->packets_out == 0);
	close_now();
}

Test(tcp_fastopen, another_address_or_a_wrong_cookie_does_not)
{
	struct tcp_fo_cookie c;

	w.st->sysctl.tcp_fastopen = TFO_SERVER_ENABLE;
	open_listener(4);
	set_opt(IPPROTO_TCP, TCP_FASTOPEN, 4);
	c = ask();
	c.v[0] ^= 1;
	SEND(.flags = SYN, .mss = MSS, .len = 100, .fo = c);
	expect(SYN | ACK, 0, 1, 0); /* the data is not taken */
	c.v[0] ^= 1;
	cr_assert(!memcmp(w.last.fo.v, c.v, 8)); /* the right one */
	cr_assert(count(STAT_TcpExtTCPFastOpenPassiveFail) == 1);
	SEND(.flags = RST, .seq = 1);
}

Test(tcp_fastopen, the_whole_window_of_the_syn_may_be_sent_at_once)
{
	sockid child;

	w.st->sysctl.tcp_fastopen =
		TFO_SERVER_ENABLE | TFO_SERVER_COOKIE_NOT_REQD;
	open_listener(8);
	set_opt(IPPROTO_TCP, TCP_FASTOPEN, 1);
	SEND(.flags = SYN, .mss = MSS, .len = 10, .win = 3000);
	expect(SYN | ACK, 0, 11, 0);
	cr_assert(sock_accept(w.st, w.s, &child, w.now) == 0);
	sock_close(w.st, w.s, w.now);
	w.s = child;
	cr_assert(put(3000, 0) == 3000);
	expect(ACK, 1, 11, 1000);
	next();
	cr_assert(w.last.seq == 1001 && w.last.len == 1000);
	expect(PSH | ACK, 2001, 11, 1000);
	SEND(.flags = ACK, .seq = 11, .ack = 3001);
	skip();
}

Test(tcp_fastopen, only_so_many_unconfirmed_ones)
{
	w.st->sysctl.tcp_fastopen =
		TFO_SERVER_ENABLE | TFO_SERVER_COOKIE_NOT_REQD;
	open_listener(8);
	set_opt(IPPROTO_TCP, TCP_FASTOPEN, 1);
	SEND(.flags = SYN, .mss = MSS, .len = 10);
	expect(SYN | ACK, 0, 11, 0);
	SEND(.flags = SYN, .mss = MSS, .len = 10, .sport = 81);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(count(STAT_TcpExtTCPFastOpenListenOverflow) == 1);
	pass(600 * SEC);
	skip();
}

Test(tcp_fastopen, its_syn_ack_is_sent_again_and_given_up)
{
	w.st->sysctl.tcp_fastopen =
		TFO_SERVER_ENABLE | TFO_SERVER_COOKIE_NOT_REQD;
	open_listener(8);
	set_opt(IPPROTO_TCP, TCP_FASTOPEN, 1);
	SEND(.flags = SYN, .mss = MSS, .len = 10);
	expect(SYN | ACK, 0, 11, 0);
	pass(SEC + 10 * MSEC);
	expect(SYN | ACK, 0, 11, 0);
	pass(600 * SEC);
	skip();
	cr_assert(count(STAT_TcpExtTCPAbortOnTimeout) == 1);
}
