/* SPDX-License-Identifier: MIT
 *
 * Values, bounds and lengths are what Linux 6.18 reads back.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/tcp.h>

#include "sock/sock_world.h"

TestSuite(sockopt, .init = world_init, .fini = world_fini);

enum { TCP4 = 1, TCP6 = 2, UDP4 = 4, UDP6 = 8, ALL = 15, V6 = 10 };

static sockid of_kind(int kind)
{
	return open_sock(0, kind & V6 ? AF_INET6 : AF_INET,
			 kind & (TCP4 | TCP6) ? SOCK_STREAM : SOCK_DGRAM);
}

/* What a fresh socket answers. */
static const struct {
	int kinds, level, name, value;
} defaults[] = {
	{ALL, SOL_SOCKET, SO_REUSEADDR, 0},
	{TCP4 | TCP6, SOL_SOCKET, SO_TYPE, SOCK_STREAM},
	{UDP4 | UDP6, SOL_SOCKET, SO_TYPE, SOCK_DGRAM},
	{TCP4 | UDP4, SOL_SOCKET, SO_DOMAIN, AF_INET},
	{UDP6, SOL_SOCKET, SO_PROTOCOL, IPPROTO_UDP},
	{ALL, SOL_SOCKET, SO_ERROR, 0},
	{ALL, SOL_SOCKET, SO_ACCEPTCONN, 0},
	{UDP4 | UDP6, SOL_SOCKET, SO_SNDBUF, 212992},
	{UDP4 | UDP6, SOL_SOCKET, SO_RCVBUF, 212992},
	{TCP4 | TCP6, SOL_SOCKET, SO_SNDBUF, 16384},
	{TCP4 | TCP6, SOL_SOCKET, SO_RCVBUF, 131072},
	{ALL, SOL_SOCKET, SO_SNDBUFFORCE, -ENOPROTOOPT},
	{ALL, SOL_SOCKET, SO_RCVLOWAT, 1},
	{ALL, SOL_SOCKET, SO_SNDLOWAT, 1},
	{ALL, SOL_SOCKET, SO_INCOMING_CPU, -1},
	{ALL, SOL_SOCKET, SO_PASSCRED, -EOPNOTSUPP},
	{ALL, SOL_SOCKET, SO_PEERNAME, -ENOTCONN},
	{ALL, SOL_SOCKET, 999, -ENOPROTOOPT},
	{ALL, IPPROTO_IP, IP_TOS, 0},
	{ALL, IPPROTO_IP, IP_TTL, 64},
	{ALL, IPPROTO_IP, IP_MTU, -ENOTCONN},
	{ALL, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT},
	{ALL, IPPROTO_IP, IP_MULTICAST_TTL, 1},
	{TCP4 | UDP4, IPPROTO_IP, IP_MULTICAST_ALL, 1},
	{TCP6 | UDP6, IPPROTO_IP, IP_MULTICAST_ALL, 0},
	{TCP4 | UDP4, IPPROTO_IPV6, IPV6_V6ONLY, -EOPNOTSUPP},
	{V6, IPPROTO_IPV6, IPV6_V6ONLY, 0},
	{V6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64},
	{V6, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1},
	{V6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1},
	{V6, IPPROTO_IPV6, IPV6_MTU, -ENOTCONN},
	{V6, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1},
	{TCP4 | TCP6, IPPROTO_TCP, TCP_NODELAY, 0},
	{TCP4 | TCP6, IPPROTO_TCP, TCP_MAXSEG, 536},
	{TCP4 | TCP6, IPPROTO_TCP, TCP_KEEPIDLE, 7200},
	{TCP4 | TCP6, IPPROTO_TCP, TCP_KEEPINTVL, 75},
	{TCP4 | TCP6, IPPROTO_TCP, TCP_KEEPCNT, 9},
	{TCP4 | TCP6, IPPROTO_TCP, TCP_SYNCNT, 6},
	{TCP4 | TCP6, IPPROTO_TCP, TCP_LINGER2, 60},
	{TCP4 | TCP6, IPPROTO_TCP, TCP_QUICKACK, 1},
	{UDP4, IPPROTO_TCP, TCP_NODELAY, -EOPNOTSUPP},
	{UDP6, IPPROTO_TCP, TCP_NODELAY, -ENOPROTOOPT},
	{TCP4, IPPROTO_UDP, 1, -EOPNOTSUPP},
};

Test(sockopt, fresh_sockets_answer_as_linux)
{
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		for (int kind = TCP4; kind <= UDP6; kind <<= 1) {
			sockid s;

			if (!(defaults[i].kinds & kind))
				continue;
			s = of_kind(kind);
			cr_expect(get_int(0, s, defaults[i].level,
					  defaults[i].name) ==
					  defaults[i].value,
				  "level %d name %d kind %d: %d",
				  defaults[i].level, defaults[i].name, kind,
				  get_int(0, s, defaults[i].level,
					  defaults[i].name));
			sock_close(host(0), s, now());
		}
	}
}

/* Set, and what is read back: or the error of setting, below 0. */
static const struct {
	int kinds, level, name, set, back;
} sets[] = {
	{ALL, SOL_SOCKET, SO_REUSEADDR, 7, 1},
	{ALL, SOL_SOCKET, SO_SNDBUF, 0, 4608},
	{ALL, SOL_SOCKET, SO_SNDBUF, 32767, 65534},
	{ALL, SOL_SOCKET, SO_SNDBUF, -1, 8388608},
	{ALL, SOL_SOCKET, SO_RCVBUF, 1, 2304},
	{ALL, SOL_SOCKET, SO_RCVBUF, 1500, 3000},
	{ALL, SOL_SOCKET, SO_RCVBUF, 5000000, 8388608},
	{TCP4, SOL_SOCKET, SO_RCVLOWAT, -1, 16777216},
	{UDP4, SOL_SOCKET, SO_RCVLOWAT, -1, INT32_MAX},
	{ALL, SOL_SOCKET, SO_RCVLOWAT, 0, 1},
	{ALL, SOL_SOCKET, SO_BUSY_POLL, -1, -EINVAL},
	{ALL, SOL_SOCKET, SO_TYPE, 1, -ENOPROTOOPT},
	{ALL, SOL_SOCKET, SO_LINGER, 1, -EINVAL},
	{TCP4 | TCP6, IPPROTO_IP, IP_TOS, 7, 4},
	{UDP4 | UDP6, IPPROTO_IP, IP_TOS, 7, 7},
	{ALL, IPPROTO_IP, IP_TTL, -1, 64},
	{ALL, IPPROTO_IP, IP_TTL, 0, -EINVAL},
	{ALL, IPPROTO_IP, IP_TTL, 256, -EINVAL},
	{ALL, IPPROTO_IP, IP_MTU_DISCOVER, 5, 5},
	{ALL, IPPROTO_IP, IP_MTU_DISCOVER, 6, -EINVAL},
	{TCP4, IPPROTO_IP, IP_MULTICAST_TTL, 1, -EINVAL},
	{UDP4, IPPROTO_IP, IP_MULTICAST_TTL, -1, 1},
	{ALL, IPPROTO_IP, IP_MULTICAST_ALL, 2, -EINVAL},
	{V6, IPPROTO_IPV6, IPV6_V6ONLY, 5, 1},
	{V6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256, -EINVAL},
	{V6, IPPROTO_IPV6, IPV6_TCLASS, -1, 0},
	{TCP6, IPPROTO_IPV6, IPV6_TCLASS, 255, 252},
	{UDP6, IPPROTO_IPV6, IPV6_TCLASS, 255, 255},
	{V6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 2, -EINVAL},
	{TCP4, IPPROTO_IPV6, IPV6_V6ONLY, 1, -ENOPROTOOPT},
	{TCP4, IPPROTO_TCP, TCP_MAXSEG, 87, -EINVAL},
	{TCP4, IPPROTO_TCP, TCP_MAXSEG, 88, 88},
	{TCP4, IPPROTO_TCP, TCP_KEEPIDLE, 32768, -EINVAL},
	{TCP4, IPPROTO_TCP, TCP_KEEPCNT, 127, 127},
	{TCP4, IPPROTO_TCP, TCP_KEEPCNT, 128, -EINVAL},
	{TCP4, IPPROTO_TCP, TCP_LINGER2, 255, 120},
	{TCP4, IPPROTO_TCP, TCP_LINGER2, -2, -1},
	{TCP4, IPPROTO_TCP, TCP_DEFER_ACCEPT, 2, 3},
	{TCP4, IPPROTO_TCP, TCP_DEFER_ACCEPT, 100, 127},
	{TCP4, IPPROTO_TCP, TCP_DEFER_ACCEPT, 255, 367},
	{TCP4, IPPROTO_TCP, TCP_WINDOW_CLAMP, 1, 1152},
	{TCP4, IPPROTO_TCP, TCP_USER_TIMEOUT, -1, -EINVAL},
	{TCP4, IPPROTO_TCP, TCP_FASTOPEN, 32767, 4096},
	{UDP4, IPPROTO_TCP, TCP_NODELAY, 1, -ENOPROTOOPT},
};

Test(sockopt, what_is_set_reads_back_as_linux)
{
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		for (int kind = TCP4; kind <= UDP6; kind <<= 1) {
			sockid s;
			int res;

			if (!(sets[i].kinds & kind))
				continue;
			s = of_kind(kind);
			res = set_int(0, s, sets[i].level, sets[i].name,
				      sets[i].set);
			if (!res)
				res = get_int(0, s, sets[i].level,
					      sets[i].name);
			cr_expect(res == sets[i].back,
				  "level %d name %d set %d kind %d: %d",
				  sets[i].level, sets[i].name, sets[i].set,
				  kind, res);
			sock_close(host(0), s, now());
		}
	}
}

static int set_len(sockid s, int level, int name, socklen_t len)
{
	uint8_t one[16] = {1};

	return sock_setopt(host(0), s, level, name, one, len, now());
}

Test(sockopt, short_values_mean_what_their_level_says)
{
	sockid s = of_kind(UDP6);

	cr_assert(set_len(s, SOL_SOCKET, SO_REUSEADDR, 3) == -EINVAL);
	cr_assert(set_len(s, IPPROTO_IP, IP_PKTINFO, 1) == 0);
	cr_assert(get_int(0, s, IPPROTO_IP, IP_PKTINFO) == 1);
	cr_assert(set_len(s, IPPROTO_IP, IP_PKTINFO, 0) == 0);
	cr_assert(get_int(0, s, IPPROTO_IP, IP_PKTINFO) == 0);
	cr_assert(set_len(s, IPPROTO_IP, IP_FREEBIND, 0) == -EINVAL);
	cr_assert(set_len(s, IPPROTO_IPV6, IPV6_RECVERR, 3) == -EINVAL);
	cr_assert(set_len(s, IPPROTO_IPV6, IPV6_DONTFRAG, 3) == 0);
	cr_assert(get_int(0, s, IPPROTO_IPV6, IPV6_DONTFRAG) == 0);
}

Test(sockopt, a_short_buffer_gets_the_beginning)
{
	sockid s = of_kind(TCP4);
	uint8_t buf[8] = {0xee, 0xee, 0xee, 0xee, 0xee};
	socklen_t len = 2;

	cr_assert(sock_getopt(host(0), s, SOL_SOCKET, SO_RCVBUF, buf, &len,
			      now()) == 0);
	cr_assert(len == 2 && buf[2] == 0xee);
	/* IP gives one byte */
	cr_assert(sock_getopt(host(0), s, IPPROTO_IP, IP_TTL, buf, &len,
			      now()) == 0);
	cr_assert(len == 1 && buf[0] == 64);
	len = 99;
	cr_assert(sock_getopt(host(0), s, IPPROTO_IP, IP_TTL, buf, &len,
			      now()) == 0);
	cr_assert(len == 4);
}

Test(sockopt, linger_and_timeouts_keep_their_structs)
{
	sockid s = of_kind(TCP4);
	struct linger l = {1, 5}, l2 = {0};
	int64_t tv[2] = {3, 1}, tv2[2] = {0};
	struct sock_facts facts;
	socklen_t len = sizeof(l2);

	cr_assert(sock_setopt(host(0), s, SOL_SOCKET, SO_LINGER, &l, sizeof(l),
			      now()) == 0);
	cr_assert(sock_getopt(host(0), s, SOL_SOCKET, SO_LINGER, &l2, &len,
			      now()) == 0);
	cr_assert(l2.l_onoff == 1 && l2.l_linger == 5);
	cr_assert(sock_setopt(host(0), s, SOL_SOCKET, SO_RCVTIMEO, tv,
			      sizeof(tv), now()) == 0);
	len = sizeof(tv2);
	cr_assert(sock_getopt(host(0), s, SOL_SOCKET, SO_RCVTIMEO, tv2, &len,
			      now()) == 0);
	/* a tick of HZ 250 */
	cr_assert(len == 16 && tv2[0] == 3 && tv2[1] == 4000);
	tv[1] = 1000000;
	cr_assert(sock_setopt(host(0), s, SOL_SOCKET, SO_RCVTIMEO, tv,
			      sizeof(tv), now()) == -EDOM);
	cr_assert(sock_facts(host(0), s, &facts) == 0);
	cr_assert(facts.rcvtimeo == 3 * SEC + 4 * MSEC);
	cr_assert(facts.sndtimeo == 0 && facts.linger == 5 * SEC);
}

Test(sockopt, congestion_control_goes_by_name)
{
	sockid s = of_kind(TCP4);
	char name[20] = "";
	socklen_t len = sizeof(name);

	cr_assert(sock_setopt(host(0), s, IPPROTO_TCP, TCP_CONGESTION, "cubic",
			      5, now()) == 0);
	cr_assert(sock_getopt(host(0), s, IPPROTO_TCP, TCP_CONGESTION, name,
			      &len, now()) == 0);
	cr_assert(len == 16 && strcmp(name, "cubic") == 0);
	cr_assert(sock_setopt(host(0), s, IPPROTO_TCP, TCP_CONGESTION, "nosuch",
			      6, now()) == -ENOENT);
}

Test(sockopt, congestion_controls_that_take_privilege)
{
	struct stack *st = host(0);
	sockid s = of_kind(TCP4);

	cr_assert(sock_may_choose_cc(st, s, "reno", 4));
	cr_assert(sock_may_choose_cc(st, s, "cubic", 5));
	cr_assert(!sock_may_choose_cc(st, s, "bbr", 3));
	cr_assert(!sock_may_choose_cc(st, s, "dctcp", 5));
	cr_assert(sock_may_choose_cc(st, s, "nosuch", 6)); /* ENOENT */
	cr_assert(stack_sysctl_set(st,
				   "net.ipv4.tcp_allowed_congestion_control",
				   "dctcp reno") == 0);
	cr_assert(sock_may_choose_cc(st, s, "dctcp", 5));
	/* the default always is, and what the socket has */
	cr_assert(sock_may_choose_cc(st, s, "cubic", 5));
	cr_assert(stack_sysctl_set(st, "net.ipv4.tcp_congestion_control",
				   "bbr") == 0);
	cr_assert(sock_may_choose_cc(st, s, "bbr", 3));
	cr_assert(stack_sysctl_set(st,
				   "net.ipv4.tcp_allowed_congestion_control",
				   "reno nosuch") == -EINVAL);
	cr_assert(stack_sysctl_set(st,
				   "net.ipv4.tcp_allowed_congestion_control",
				   " ") == -EINVAL);
	cr_assert(stack_sysctl_set(st,
				   "net.ipv4.tcp_available_congestion_control",
				   "reno") == -EPERM);
}

Test(sockopt, a_device_is_bound_to_by_name)
{
	sockid s = of_kind(UDP4);
	char name[16];
	socklen_t len = sizeof(name);

	cr_assert(sock_setopt(host(0), s, SOL_SOCKET, SO_BINDTODEVICE, "eth7",
			      4, now()) == -ENODEV);
	cr_assert(sock_setopt(host(0), s, SOL_SOCKET, SO_BINDTODEVICE, "sim0",
			      4, now()) == 0);
	cr_assert(sock_getopt(host(0), s, SOL_SOCKET, SO_BINDTODEVICE, name,
			      &len, now()) == 0);
	cr_assert(len == 5 && strcmp(name, "sim0") == 0);
	cr_assert(get_int(0, s, SOL_SOCKET, SO_BINDTOIFINDEX) == 2);
}

Test(sockopt, unknown_ones_are_counted)
{
	sockid s = of_kind(TCP4);

	cr_assert(set_int(0, s, SOL_SOCKET, 999, 1) == -ENOPROTOOPT);
	cr_assert(set_int(0, s, 12345, 1, 1) == -ENOPROTOOPT);
	cr_assert(get_int(0, s, 12345, 1) == -EOPNOTSUPP);
	cr_assert(stack_stats(host(0))->v[STAT_SockUnsupportedOpt] == 3);
}

Test(sockopt, v6only_is_fixed_by_bind)
{
	sockid s = of_kind(UDP6);

	cr_assert(bind_to(0, s, "::", 99) == 0);
	cr_assert(set_int(0, s, IPPROTO_IPV6, IPV6_V6ONLY, 1) == -EINVAL);
}

Test(sockopt, path_mtu_is_known_once_connected)
{
	sockid s = of_kind(UDP4);

	cr_assert(connect_to(0, s, "10.0.0.2", 9) == 0);
	cr_assert(get_int(0, s, IPPROTO_IP, IP_MTU) == 1500);
}
