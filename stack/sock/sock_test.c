/* SPDX-License-Identifier: MIT
 *
 * The calls and their errors, as Linux has them.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>

#include "sock/sock_world.h"

TestSuite(sock, .init = world_init, .fini = world_fini);

Test(sock, only_what_exists_can_be_made)
{
	sockid s;

	cr_assert(sock_new(host(0), AF_UNIX, SOCK_STREAM, 0, &s, now()) ==
		  -EAFNOSUPPORT);
	cr_assert(sock_new(host(0), AF_INET, SOCK_STREAM, IPPROTO_UDP, &s,
			   now()) == -EPROTONOSUPPORT);
	cr_assert(sock_new(host(0), AF_INET, SOCK_SEQPACKET, 0, &s, now()) ==
		  -ESOCKTNOSUPPORT);
	cr_assert(sock_new(host(0), AF_INET, SOCK_STREAM, -1, &s, now()) ==
		  -EINVAL);
	cr_assert(sock_new(host(0), AF_INET6, SOCK_DGRAM, IPPROTO_UDP, &s,
			   now()) == 0);
}

Test(sock, an_id_dies_with_its_socket)
{
	sockid a = open_sock(0, AF_INET, SOCK_DGRAM), b;
	uint32_t bits;

	sock_close(host(0), a, now());
	b = open_sock(0, AF_INET, SOCK_DGRAM);
	cr_assert(a != b);
	cr_assert(sock_poll(host(0), a, &bits) == -EBADF);
	cr_assert(sock_poll(host(0), 0, &bits) == -EBADF);
	cr_assert(sock_poll(host(0), ~0ull, &bits) == -EBADF);
	sock_close(host(0), a, now()); /* harmless */
	cr_assert(sock_poll(host(0), b, &bits) == 0);
}

Test(sock, bind_checks_what_it_is_given)
{
	sockid s4 = open_sock(0, AF_INET, SOCK_STREAM);
	sockid s6 = open_sock(0, AF_INET6, SOCK_STREAM);
	struct sockaddr_storage ss;
	socklen_t len = netsim_addr("10.0.0.1", 80, &ss);

	cr_assert(sock_bind(host(0), s4, (struct sockaddr *)&ss, len - 1,
			    now()) == -EINVAL);
	cr_assert(sock_bind(host(0), s6, (struct sockaddr *)&ss, len, now()) ==
		  -EINVAL);
	ss.ss_family = AF_UNIX;
	cr_assert(sock_bind(host(0), s4, (struct sockaddr *)&ss, len, now()) ==
		  -EAFNOSUPPORT);
	ss.ss_family = AF_UNSPEC;
	cr_assert(sock_bind(host(0), s4, (struct sockaddr *)&ss, len, now()) ==
		  -EAFNOSUPPORT);
	cr_assert(bind_to(0, s4, "10.9.9.9", 80) == -EADDRNOTAVAIL);
	cr_assert(bind_to(0, s6, "fd00::99", 80) == -EADDRNOTAVAIL);
	cr_assert(bind_to(0, s6, "ff02::1", 80) == -EINVAL);
	cr_assert(bind_to(0, s6, "fe80::1", 80) == -EINVAL);
	cr_assert(bind_to(0, s4, "127.9.9.9", 80) == 0);
	cr_assert(bind_to(0, s4, "127.9.9.9", 81) == -EINVAL);
	/* any address will do where that was asked for */
	set_int(0, s6, IPPROTO_IPV6, IPV6_FREEBIND, 1);
	cr_assert(bind_to(0, s6, "fd00::99", 80) == 0);
}

Test(sock, an_ipv6_socket_speaks_ipv4_unless_told_not_to)
{
	sockid s = open_sock(0, AF_INET6, SOCK_DGRAM);
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct ip_addr a;

	cr_assert(ip_addr_parse("10.0.0.2", &a) == 0);
	memcpy(&in6.sin6_addr, a.b, 16);
	put_be16(&in6.sin6_port, 9);
	set_int(0, s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	cr_assert(sock_connect(host(0), s, (struct sockaddr *)&in6, sizeof(in6),
			       now()) == -ENETUNREACH);
	cr_assert(sock_bind(host(0), s, (struct sockaddr *)&in6, sizeof(in6),
			    now()) == -EINVAL);
	s = open_sock(0, AF_INET6, SOCK_DGRAM);
	cr_assert(sock_connect(host(0), s, (struct sockaddr *)&in6, sizeof(in6),
			       now()) == 0);
}

Test(sock, connect_checks_where_to)
{
	sockid u = open_sock(0, AF_INET, SOCK_DGRAM);
	sockid t = open_sock(0, AF_INET, SOCK_STREAM);
	struct sockaddr_storage ss;
	socklen_t len = netsim_addr("10.0.0.2", 80, &ss);

	cr_assert(sock_connect(host(0), u, (struct sockaddr *)&ss, 1, now()) ==
		  -EINVAL);
	cr_assert(sock_connect(host(0), u, (struct sockaddr *)&ss, len - 1,
			       now()) == -EINVAL);
	cr_assert(connect_to(0, u, "192.0.2.1", 80) == -ENETUNREACH);
	cr_assert(connect_to(0, t, "192.0.2.1", 80) == -ENETUNREACH);
	cr_assert(connect_to(0, t, "10.0.0.255", 80) == -ENETUNREACH);
	cr_assert(connect_to(0, t, "224.0.0.1", 80) == -ENETUNREACH);
	cr_assert(port_of(0, t) == 0);
	ss.ss_family = AF_UNIX;
	cr_assert(sock_connect(host(0), t, (struct sockaddr *)&ss, len,
			       now()) == -EAFNOSUPPORT);
}

Test(sock, datagram_sockets_cannot_listen)
{
	sockid s = open_sock(0, AF_INET, SOCK_DGRAM), c;

	cr_assert(sock_listen(host(0), s, 5, now()) == -EOPNOTSUPP);
	cr_assert(sock_accept(host(0), s, &c, now()) == -EOPNOTSUPP);
	cr_assert(sock_shutdown(host(0), s, 3, now()) == -EINVAL);
	cr_assert(sock_shutdown(host(0), s, -1, now()) == -EINVAL);
}

Test(sock, listening_unbound_picks_a_port)
{
	sockid s = open_sock(0, AF_INET, SOCK_STREAM);
	struct ip_addr a;
	struct sock_facts f;

	cr_assert(sock_listen(host(0), s, 5, now()) == 0);
	cr_assert(port_of(0, s) >= 32768);
	cr_assert(get_int(0, s, SOL_SOCKET, SO_ACCEPTCONN) == 1);
	cr_assert(connect_to(0, s, "10.0.0.2", 80) == -EISCONN);
	cr_assert(sock_facts(host(0), s, &f) == 0);
	cr_assert(f.listening && f.state == TCP_LISTEN);
	cr_assert(ip_addr_parse("10.0.0.1", &a) == 0);
	cr_assert(stack_has_listener(host(0), SOCK_STREAM, &a, port_of(0, s)));
	cr_assert(!stack_has_listener(host(0), SOCK_STREAM, &a, 1));
	cr_assert(stack_is_local(host(0), &a));
	cr_assert(stack_route_known(host(0), &a));
}

Test(sock, names_are_in_the_sockets_family)
{
	sockid s4 = open_sock(0, AF_INET, SOCK_DGRAM);
	sockid s6 = open_sock(0, AF_INET6, SOCK_DGRAM);
	struct sockaddr_storage ss;
	socklen_t len;

	cr_assert(sock_name(host(0), s4, false, &ss, &len) == 0);
	cr_assert(ss.ss_family == AF_INET && len == 16);
	cr_assert(sock_name(host(0), s6, false, &ss, &len) == 0);
	cr_assert(ss.ss_family == AF_INET6 && len == 28);
	cr_assert(sock_name(host(0), s6, true, &ss, &len) == -ENOTCONN);
	cr_assert(connect_to(0, s6, "fd00::2", 7) == 0);
	cr_assert(sock_name(host(0), s6, true, &ss, &len) == 0 && len == 28);
}

Test(sock, what_changed_is_queued_once_for_who_watches)
{
	sockid s = open_sock(0, AF_INET, SOCK_DGRAM);
	sockid c = open_sock(0, AF_INET, SOCK_DGRAM);
	struct ready r, v[4];

	cr_assert(bind_to(0, s, "127.0.0.1", 53) == 0);
	cr_assert(sock_watch(host(0), s, 9, &r) == 0);
	cr_assert(r.bits & EPOLLOUT && !(r.bits & EPOLLIN));
	for (unsigned i = 0; i < 3; i++)
		send_to(0, c, "x", 1, 0, "127.0.0.1", 53);
	while (stack_tick(host(0), 8, now()))
		;
	cr_assert(stack_ready(host(0), v, 4) == 1);
	cr_assert(v[0].s == s && v[0].slot == 9 && v[0].bits & EPOLLIN);
	cr_assert(v[0].in_seq == r.in_seq + 3);
	cr_assert(stack_ready(host(0), v, 4) == 0);
	sock_unwatch(host(0), s);
	send_to(0, c, "x", 1, 0, "127.0.0.1", 53);
	while (stack_tick(host(0), 8, now()))
		;
	cr_assert(stack_ready(host(0), v, 4) == 0);
}

Test(sock, each_participant_hears_of_what_it_watches)
{
	struct stack *st = host(0);
	sockid s = open_sock(0, AF_INET, SOCK_DGRAM);
	sockid c = open_sock(0, AF_INET, SOCK_DGRAM), left;
	struct ready r, v[4];
	uint32_t pos = 0;

	cr_assert(bind_to(0, s, "127.0.0.1", 53) == 0);
	for (uint16_t party = 0; party < 3; party++) {
		stack_set_party(st, party);
		cr_assert(sock_watch(st, s, 0, &r) == 0);
	}
	send_to(0, c, "x", 1, 0, "127.0.0.1", 53);
	while (stack_tick(st, 8, now()))
		;
	/* all have news, told once */
	for (int party = 0; party < 3; party++)
		cr_assert(stack_next_news(st) == party);
	cr_assert(stack_next_news(st) == -1);
	cr_assert(stack_ready(st, v, 4) == 1 && v[0].s == s);
	cr_assert(!stack_has_ready(st));
	stack_set_party(st, 1);
	cr_assert(stack_has_ready(st));
	sock_unwatch(st, s);
	cr_assert(!stack_has_ready(st));
	/* 0 dies: what it watched goes, and what it made and gave to nobody */
	left = c;
	cr_assert(sock_set_tag(st, s, 77) == 0 && sock_by_tag(st, 77) == s);
	while (!stack_forget_party(st, 0, &pos, 1, now()))
		;
	stack_set_party(st, 0);
	cr_assert(!stack_has_ready(st));
	cr_assert(sock_by_tag(st, 77) == s && sock_by_tag(st, 78) == 0);
	cr_assert(sock_set_tag(st, left, 1) == -EBADF);
	sock_close(st, s, now());
	cr_assert(sock_by_tag(st, 77) == 0);
}

Test(sock, sysctls_take_what_linux_writes)
{
	struct stack *st = host(0);

	cr_assert(stack_sysctl_set(st, "net.ipv4.tcp_rmem",
				   "4096\t100000\t6291456") == 0);
	cr_assert(stack_sysctl_set(st, "net.ipv4.tcp_rmem", "4096 100000") ==
		  -EINVAL);
	cr_assert(stack_sysctl_set(st, "net.ipv4.tcp_rmem",
				   "4096 3000 6291456") == -EINVAL);
	cr_assert(stack_sysctl_set(st, "net.ipv4.tcp_congestion_control",
				   "cubic") == 0);
	cr_assert(stack_sysctl_set(st, "net.ipv4.tcp_congestion_control",
				   "nosuch") == -EINVAL);
	cr_assert(stack_sysctl_set(st, "net.ipv4.nosuch", "1") == -ENOENT);
	cr_assert(stack_sysctl_set(st, "net.ipv4.ip_default_ttl", "12x") ==
		  -EINVAL);
	cr_assert(stack_sysctl_set(st, "net.ipv4.ip_default_ttl", "12") == 0);
	sockid s = open_sock(0, AF_INET, SOCK_STREAM);
	cr_assert(get_int(0, s, IPPROTO_IP, IP_TTL) == 12);
	cr_assert(get_int(0, s, SOL_SOCKET, SO_RCVBUF) == 100000);
}

static void expect_text(const char *name, const char *text)
{
	char out[SYSCTL_MAX_TEXT] = "";
	int n = stack_sysctl_text(host(0), name, out, sizeof(out));

	cr_assert(n == (int)strlen(text) && strcmp(out, text) == 0,
		  "%s is \"%s\"", name, out);
}

Test(sock, sysctls_are_told_as_linux_writes_them)
{
	char out[SYSCTL_MAX_TEXT];
	struct stack *st = host(0);

	expect_text("net.ipv4.tcp_rmem", "4096\t131072\t33554432");
	expect_text("net.ipv4.tcp_congestion_control", "cubic");
	expect_text("net.ipv4.tcp_allowed_congestion_control", "reno cubic");
	expect_text("net.ipv4.tcp_retries2", "15");
	cr_assert(stack_sysctl_set(st, "net.ipv4.tcp_fastopen_key",
				   "00000001-00000002-00000003-0000000a") == 0);
	expect_text("net.ipv4.tcp_fastopen_key",
		    "00000001-00000002-00000003-0000000a");
	cr_assert(stack_sysctl_set(st,
				   "net.ipv4.tcp_allowed_congestion_control",
				   "bbr reno") == 0);
	expect_text("net.ipv4.tcp_allowed_congestion_control",
		    "reno cubic bbr");
	cr_assert(stack_sysctl_text(st, "net.ipv4.nosuch", out, sizeof(out)) ==
		  -ENOENT);
}

/* How often each local port is in the list that comes in pieces of @piece. */
static unsigned list_ports(enum ep_kind kind, unsigned piece, uint16_t first,
			   unsigned *seen, unsigned num)
{
	struct sock_row rows[64];
	struct sock_cursor cur = {0};
	unsigned n, all = 0;

	memset(seen, 0, num * sizeof(*seen));
	while ((n = stack_list(host(0), kind, &cur, rows, piece, now()))) {
		cr_assert(n <= piece);
		all += n;
		for (unsigned i = 0; i < n; i++)
			if ((unsigned)rows[i].lport - first < num)
				seen[rows[i].lport - first]++;
		cr_assert(all < 10000);
	}
	return all;
}

Test(sock, a_list_in_pieces_has_each_socket_once)
{
	unsigned seen[300];
	struct sock_cursor cur = {0};
	struct sock_row row[16];
	sockid s;

	cr_assert(list_ports(EP_TCP, 16, 1000, seen, 1) == 0);
	for (uint16_t i = 0; i < 100; i++) {
		cr_assert(bind_to(0, open_sock(0, AF_INET, SOCK_DGRAM),
				  "10.0.0.1", 2000 + i) == 0);
		s = open_sock(0, AF_INET6, SOCK_STREAM);
		cr_assert(bind_to(0, s, "::", 1000 + i) == 0);
		cr_assert(sock_listen(host(0), s, 3, now()) == 0);
		s = open_sock(0, AF_INET, SOCK_STREAM);
		cr_assert(bind_to(0, s, "10.0.0.1", 1100 + i) == 0);
		/* nobody is asked for it: a SYN waits for its answer */
		cr_assert(connect_to(0, s, "10.0.0.2", 80) == -EINPROGRESS);
	}
	open_sock(0, AF_INET, SOCK_DGRAM); /* without a port: not listed */
	for (unsigned piece = 16; piece <= 64; piece += 16) {
		cr_assert(list_ports(EP_TCP, piece, 1000, seen, 200) == 200);
		for (unsigned i = 0; i < 200; i++)
			cr_assert(seen[i] == 1, "port %u", 1000 + i);
		cr_assert(list_ports(EP_UDP, piece, 2000, seen, 100) == 100);
		for (unsigned i = 0; i < 100; i++)
			cr_assert(seen[i] == 1, "port %u", 2000 + i);
	}
	cr_assert(stack_list(host(0), EP_TCP, &cur, row, 16, now()) == 16);
	cr_assert(row[0].state == TCP_LISTEN && row[0].family == AF_INET6 &&
		  row[0].send_q == 3 && row[0].s);
	while (row[0].state == TCP_LISTEN)
		cr_assert(stack_list(host(0), EP_TCP, &cur, row, 16, now()));
	cr_assert(row[0].state == TCP_SYN_SENT && row[0].rport == 80 &&
		  row[0].timer == SOCK_ROW_RETRANSMIT && row[0].due > now());
}

Test(sock, a_thousand_and_more_come_and_go)
{
	static sockid s[3000];
	size_t before;

	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(s); i++)
			s[i] = open_sock(0, AF_INET, SOCK_DGRAM);
		for (size_t i = 0; i < ARRAY_SIZE(s); i++)
			sock_close(host(0), s[i], now());
		if (round == 0)
			before = arena_used(stack_arena(host(0)));
	}
	cr_assert(arena_used(stack_arena(host(0))) == before);
}
