/* SPDX-License-Identifier: MIT
 *
 * What a route says of the connections over it: ip-route(8).
 */
#include <errno.h>
#include <netinet/tcp.h>

#include <criterion/criterion.h>

#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_route, .init = peer_init, .fini = peer_fini);

/* The peer is a neighbour: the route of the device says it. */
static void route(const char *words)
{
	char text[128];
	struct ip_route r;
	const char *bad;

	log_snprintf(text, sizeof(text), "10.0.0.0/24 %s", words);
	cr_assert(ip_route_parse(text, &r, &bad) == 0, "%s", bad);
	cr_assert(ip_route_tell(&w.st->ip, &r) == 0);
}

static void close_now(void)
{
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
}

Test(tcp_route, initcwnd)
{
	route("initcwnd 3");
	open_active();
	put(20 * MSS, 0);
	cr_assert(num_out() == 3);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 3 * MSS + 1);
	skip();
	cr_assert(conn()->cc.cwnd == 6);
	close_now();
}

/* RFC 5681 4.1: what is begun with again after a pause */
Test(tcp_route, initcwnd_after_a_pause)
{
	route("initcwnd 3");
	open_active();
	conn()->cc.cwnd = 40;
	put(MSS, 0);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = MSS + 1);
	pass(60 * SEC);
	put(20 * MSS, 0);
	cr_assert(conn()->cc.cwnd == 3, "%u", conn()->cc.cwnd);
	close_now();
}

/* The window of the SYN: so many segments of what we offer to take. */
Test(tcp_route, initrwnd_and_advmss)
{
	route("initrwnd 5 advmss 600");
	open_with(NULL);
	cr_assert(w.last.mss == 600 && w.last.win == 5 * 600, "%u %u",
		  w.last.mss, w.last.win);
	close_now();
}

Test(tcp_route, initrwnd_of_a_listener)
{
	route("initrwnd 2 hoplimit 9");
	open_listener(1);
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.win == 2 * 1460 && w.last.ttl == 9);
	close_now();
}

/* Linux: before what the socket says */
Test(tcp_route, rto_min)
{
	route("rto_min 20ms");
	open_active();
	conn()->ep->topt.rto_min_us = 100000;
	conn()->srtt = 0;
	tcp_rtt_sample(conn(), MSEC, w.now);
	cr_assert(conn()->rto < 25 * MSEC);
	close_now();
}

Test(tcp_route, congctl)
{
	char name[16] = {0};
	socklen_t len = sizeof(name);

	route("congctl reno");
	open_active();
	cr_assert(conn()->cc.id == CC_RENO);
	cr_assert(sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_CONGESTION, name,
			      &len, w.now) == 0);
	cr_assert(strcmp(name, "reno") == 0);
	cr_assert(sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_CONGESTION, "cubic",
			      5, w.now) == 0);
	close_now();
}

Test(tcp_route, congctl_that_stays)
{
	route("congctl lock reno");
	open_active();
	cr_assert(sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_CONGESTION, "cubic",
			      5, w.now) == -EPERM);
	cr_assert(conn()->cc.id == CC_RENO);
	close_now();
}

/* Each time at once, long after the first segments are past. */
Test(tcp_route, quickack)
{
	uint32_t seq = 1;

	route("quickack 1");
	open_active();
	set_opt(IPPROTO_TCP, TCP_QUICKACK, 0);
	for (int i = 0; i < 40; i++) {
		SEND(.flags = ACK, .seq = seq, .ack = 1, .len = 100);
		seq += 100;
		expect(ACK, 1, seq, 0);
	}
	close_now();
}

Test(tcp_route, mtu)
{
	route("mtu 600");
	open_with(NULL);
	cr_assert(w.last.mss == 560 && w.last.df);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	expect(ACK, 1, 1, 0);
	put(MSS, 0);
	expect(ACK, 1, 1, 560);
	close_now();
}

/* Routers may cut it, and what they say of it is not heard. */
Test(tcp_route, a_locked_mtu)
{
	route("mtu lock 600");
	open_active();
	put(MSS, 0);
	expect(ACK, 1, 1, 560);
	cr_assert(!w.last.df);
	send_unreach(4, 580, 1);
	cr_assert(conn()->pmtu == 600);
	set_opt(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	put(10, 0);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	put(560, 0);
	while (num_out())
		next();
	cr_assert(w.last.df);
	close_now();
}

/* ip_dont_fragment() of Linux */
Test(tcp_route, df_by_ip_mtu_discover)
{
	static const bool df[] = {
		[IP_PMTUDISC_DONT] = false,	 [IP_PMTUDISC_WANT] = true,
		[IP_PMTUDISC_DO] = true,	 [IP_PMTUDISC_PROBE] = false,
		[IP_PMTUDISC_INTERFACE] = false, [IP_PMTUDISC_OMIT] = false,
	};

	open_active();
	for (int i = 0; i < (int)ARRAY_SIZE(df); i++) {
		set_opt(IPPROTO_IP, IP_MTU_DISCOVER, i);
		put(10, 0);
		next();
		cr_assert(w.last.df == df[i], "%d", i);
		SEND(.flags = ACK, .seq = 1, .ack = 10 * (uint32_t)i + 11);
	}
	close_now();
}
