/* SPDX-License-Identifier: MIT
 *
 * Who may share a port. The tables are what Linux 6.18 answers to the same
 * binds; see preload-tests for the comparison with the kernel at hand.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "sock/sock_world.h"

static const struct end {
	int family;
	const char *addr;
	bool v6only;
} ends[] = {
	{AF_INET, "0.0.0.0", false},
	{AF_INET, "127.0.0.1", false},
	{AF_INET, "127.0.0.2", false},
	{AF_INET6, "::", false},
	{AF_INET6, "::", true},
	{AF_INET6, "::1", false},
	{AF_INET6, "::ffff:0.0.0.0", false},
	{AF_INET6, "::ffff:127.0.0.1", false},
};
#define NUM_ENDS ARRAY_SIZE(ends)

/* Row: bound first; column: bound second. X: some packet could reach both. */
static const char *const overlap[NUM_ENDS] = {
	"XXXX..XX", "XX.X..XX", "X.XX..X.", "XXXXXXXX",
	"...XXX..", "...XXX..", "XXXX..XX", "XX.X..XX",
};

#define REUSEADDR 1
#define REUSEPORT 2

static sockid make(int type, const struct end *x, unsigned share)
{
	sockid s = open_sock(0, x->family, type);

	set_int(0, s, SOL_SOCKET, SO_REUSEADDR, share & REUSEADDR);
	set_int(0, s, SOL_SOCKET, SO_REUSEPORT, share & REUSEPORT);
	if (x->family == AF_INET6)
		set_int(0, s, IPPROTO_IPV6, IPV6_V6ONLY, x->v6only);
	return s;
}

/* A v4-mapped text is an IPv6 sockaddr only if somebody says so. */
static int bind_end(sockid s, const struct end *x, uint16_t port)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	const char *v4 = x->addr + 7;
	struct ip_addr a;

	if (strncmp(x->addr, "::ffff:", 7) != 0)
		return bind_to(0, s, x->addr, port);
	cr_assert(ip_addr_parse(v4, &a) == 0);
	memcpy(&in6.sin6_addr, a.b, 16);
	put_be16(&in6.sin6_port, port);
	return sock_bind(host(0), s, (struct sockaddr *)&in6, sizeof(in6),
			 now());
}

static void check_all_pairs(int type, unsigned first, unsigned second,
			    bool listens, bool shared)
{
	static uint16_t port = 20000;

	for (size_t i = 0; i < NUM_ENDS; i++) {
		for (size_t k = 0; k < NUM_ENDS; k++) {
			sockid a = make(type, &ends[i], first);
			sockid b = make(type, &ends[k], second);
			bool ok = shared || overlap[i][k] == '.';

			cr_assert(bind_end(a, &ends[i], ++port) == 0);
			if (listens)
				cr_assert(sock_listen(host(0), a, 5, now()) ==
					  0);
			cr_expect(bind_end(b, &ends[k], port) ==
					  (ok ? 0 : -EADDRINUSE),
				  "%s then %s, %u %u", ends[i].addr,
				  ends[k].addr, first, second);
			sock_close(host(0), a, now());
			sock_close(host(0), b, now());
		}
	}
}

Test(port, who_conflicts_is_what_linux_says, .init = world_init,
     .fini = world_fini)
{
	for (unsigned a = 0; a < 4; a++) {
		for (unsigned b = 0; b < 4; b++) {
			check_all_pairs(SOCK_DGRAM, a, b, false, a & b);
			check_all_pairs(SOCK_STREAM, a, b, false, a & b);
			check_all_pairs(SOCK_STREAM, a, b, true,
					a & b & REUSEPORT);
		}
	}
}

Test(port, two_may_bind_but_only_one_listens, .init = world_init,
     .fini = world_fini)
{
	sockid a = make(SOCK_STREAM, &ends[0], REUSEADDR);
	sockid b = make(SOCK_STREAM, &ends[0], REUSEADDR);

	cr_assert(bind_to(0, a, "0.0.0.0", 80) == 0);
	cr_assert(bind_to(0, b, "0.0.0.0", 80) == 0);
	cr_assert(sock_listen(host(0), a, 5, now()) == 0);
	cr_assert(sock_listen(host(0), b, 5, now()) == -EADDRINUSE);
	/* the first may still change its backlog */
	cr_assert(sock_listen(host(0), a, 9, now()) == 0);
}

Test(port, ephemeral_ports_are_in_range_and_differ, .init = world_init,
     .fini = world_fini)
{
	sockid s[200];
	bool seen[65536] = {false};

	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		uint16_t port;

		s[i] = open_sock(0, AF_INET, i % 2 ? SOCK_STREAM : SOCK_DGRAM);
		cr_assert(bind_to(0, s[i], "0.0.0.0", 0) == 0);
		port = port_of(0, s[i]);
		cr_assert(port >= 32768 && port <= 60999);
		/* bind takes from the odd half while it lasts */
		cr_assert(port & 1);
		cr_assert(i % 2 || !seen[port]);
		seen[port] |= i % 2 == 0;
	}
}

Test(port, a_range_of_two_is_used_up, .init = world_init, .fini = world_fini)
{
	sockid s[3];

	cr_assert(stack_sysctl_set(host(0), "net.ipv4.ip_local_port_range",
				   "40000\t40001") == 0);
	for (size_t i = 0; i < 3; i++) {
		s[i] = open_sock(0, AF_INET, SOCK_DGRAM);
		cr_assert(bind_to(0, s[i], "0.0.0.0", 0) ==
			  (i < 2 ? 0 : -EADDRINUSE));
	}
	sock_close(host(0), s[0], now());
	cr_assert(bind_to(0, s[2], "0.0.0.0", 0) == 0);
}

Test(port, one_socket_may_narrow_its_range, .init = world_init,
     .fini = world_fini)
{
	const int ip_local_port_range = 51;
	sockid s = open_sock(0, AF_INET, SOCK_DGRAM);

	cr_assert(set_int(0, s, IPPROTO_IP, ip_local_port_range,
			  (int)(50001u << 16 | 50001u)) == 0);
	cr_assert(bind_to(0, s, "0.0.0.0", 0) == 0);
	cr_assert(port_of(0, s) == 50001);
}

Test(port, lookup_prefers_address_then_family, .init = world_init,
     .fini = world_fini)
{
	sockid any6 = open_sock(0, AF_INET6, SOCK_DGRAM);
	sockid sender = open_sock(1, AF_INET, SOCK_DGRAM);
	sockid exact;
	char c;

	cr_assert(bind_to(0, any6, "::", 53) == 0);
	send_to(1, sender, "a", 1, 0, "10.0.0.1", 53);
	settle();
	cr_assert(recv_from(0, any6, &c, 1, 0, NULL) == 1);

	set_int(0, any6, SOL_SOCKET, SO_REUSEADDR, 1);
	exact = open_sock(0, AF_INET, SOCK_DGRAM);
	set_int(0, exact, SOL_SOCKET, SO_REUSEADDR, 1);
	cr_assert(bind_to(0, exact, "10.0.0.1", 53) == 0);
	send_to(1, sender, "b", 1, 0, "10.0.0.1", 53);
	settle();
	cr_assert(recv_from(0, any6, &c, 1, MSG_DONTWAIT, NULL) == -EAGAIN);
	cr_assert(recv_from(0, exact, &c, 1, 0, NULL) == 1 && c == 'b');
}

Test(port, reuseport_spreads_flows_and_keeps_each, .init = world_init,
     .fini = world_fini)
{
	sockid s[4], from[32];
	int got[32];
	unsigned used = 0;

	for (size_t i = 0; i < 4; i++) {
		s[i] = make(SOCK_DGRAM, &ends[0], REUSEPORT);
		cr_assert(bind_to(0, s[i], "0.0.0.0", 53) == 0);
	}
	for (size_t i = 0; i < 32; i++)
		from[i] = open_sock(1, AF_INET, SOCK_DGRAM);
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < 32; i++) {
			char c;
			int at = -1;

			send_to(1, from[i], "x", 1, 0, "10.0.0.1", 53);
			settle();
			for (int k = 0; k < 4; k++)
				if (recv_from(0, s[k], &c, 1, MSG_DONTWAIT,
					      NULL) == 1)
					at = k;
			cr_assert(at >= 0);
			cr_assert(round == 0 || got[i] == at);
			got[i] = at;
			used |= 1u << at;
		}
	}
	cr_assert(used == 15);
}
