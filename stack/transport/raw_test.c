/* SPDX-License-Identifier: MIT */
#include "transport/raw.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "base/csum.h"
#include "sock/sock_world.h"
#include "wire/icmp.h"

static uint8_t buf[70000];

TestSuite(raw, .init = world_init, .fini = world_fini);

static sockid open_proto(int h, int family, int type, int proto)
{
	sockid s = 0;

	cr_assert_eq(sock_new(host(h), family, type, proto, &s, now()), 0);
	return s;
}

static void echo_request(uint16_t id, uint8_t type)
{
	uint16_t csum;

	memset(buf, 0, 64);
	buf[0] = type;
	put_be16(buf + 4, id);
	csum = csum_fold(csum_add(0, buf, 64));
	memcpy(buf + 2, &csum, 2);
}

Test(raw, needs_a_protocol)
{
	sockid s;

	cr_assert_eq(sock_new(host(0), AF_INET, SOCK_RAW, 0, &s, now()),
		     -EPROTONOSUPPORT);
	cr_assert_eq(sock_new(host(0), AF_INET6, SOCK_RAW, 0, &s, now()),
		     -EPROTONOSUPPORT);
	cr_assert_eq(sock_new(host(0), AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6, &s,
			      now()),
		     -EPROTONOSUPPORT);
}

Test(raw, every_one_that_matches_gets_its_copy)
{
	sockid a = open_proto(0, AF_INET, SOCK_RAW, IPPROTO_ICMP);
	sockid b = open_proto(0, AF_INET, SOCK_RAW, IPPROTO_ICMP);
	sockid u = open_proto(0, AF_INET, SOCK_RAW, IPPROTO_UDP);
	struct sock_msg m = {0};

	echo_request(7, ICMP4_ECHO);
	cr_assert_eq(send_to(0, a, buf, 64, 0, "10.0.0.2", 0), 64);
	settle();
	cr_assert_eq(recv_from(0, a, buf, sizeof(buf), 0, &m), 84);
	cr_assert_eq(buf[0], 0x45);
	cr_assert_eq(buf[20], ICMP4_ECHO_REPLY);
	cr_assert_eq(recv_from(0, b, buf, sizeof(buf), 0, NULL), 84);
	cr_assert_eq(recv_from(0, u, buf, sizeof(buf), MSG_DONTWAIT, NULL),
		     -EAGAIN);
}

Test(raw, a_protocol_that_only_a_raw_socket_knows_is_no_error)
{
	sockid a = open_proto(0, AF_INET, SOCK_RAW, 200);
	sockid err = open_proto(0, AF_INET, SOCK_RAW, IPPROTO_ICMP);
	sockid b = open_proto(1, AF_INET, SOCK_RAW, 200);

	send_to(0, a, "hello", 5, 0, "10.0.0.2", 0);
	settle();
	cr_assert_eq(recv_from(1, b, buf, sizeof(buf), 0, NULL), 25);
	cr_assert_eq(memcmp(buf + 20, "hello", 5), 0);
	cr_assert_eq(recv_from(0, err, buf, 100, MSG_DONTWAIT, NULL), -EAGAIN);
	sock_close(host(1), b, now());
	send_to(0, a, "hello", 5, 0, "10.0.0.2", 0);
	settle();
	cr_assert_eq(recv_from(0, err, buf, 100, 0, NULL), 20 + 8 + 25);
	cr_assert_eq(buf[21], ICMP4_UNREACH_PROTO);
}

Test(raw, a_header_of_ones_own_is_completed)
{
	sockid a = open_proto(0, AF_INET, SOCK_RAW, IPPROTO_RAW);
	sockid b = open_proto(1, AF_INET, SOCK_RAW, 200);
	uint8_t pkt[25] = {0x45, [8] = 9, [9] = 200, [16] = 10, [19] = 2};

	cr_assert_eq(send_to(0, a, pkt, 25, 0, "10.0.0.2", 0), 25);
	settle();
	cr_assert_eq(recv_from(1, b, buf, sizeof(buf), 0, NULL), 25);
	cr_assert_eq(get_be16(buf + 2), 25);
	cr_assert_neq(get_be16(buf + 4), 0, "an identifier");
	cr_assert_eq(get_be32(buf + 12), 0x0a000001, "the source");
	cr_assert_eq(csum_fold(csum_add(0, buf, 20)), 0);
	cr_assert_eq(send_to(0, a, pkt, 19, 0, "10.0.0.2", 0), -EINVAL);
	pkt[0] = 0x4f;
	cr_assert_eq(send_to(0, a, pkt, 25, 0, "10.0.0.2", 0), -EINVAL);
	cr_assert_eq(send_to(0, a, buf, 1501, 0, "10.0.0.2", 0), -EMSGSIZE);
}

Test(raw, a_receive_buffer_that_is_full_takes_no_more)
{
	sockid a = open_proto(0, AF_INET, SOCK_RAW, 200);
	sockid b = open_proto(1, AF_INET, SOCK_RAW, 200);
	unsigned n = 0;

	set_int(1, b, SOL_SOCKET, SO_RCVBUF, 4000);
	for (int i = 0; i < 50; i++)
		send_to(0, a, buf, 1000, 0, "10.0.0.2", 0);
	settle();
	while (recv_from(1, b, buf, sizeof(buf), MSG_DONTWAIT, NULL) > 0)
		n++;
	cr_assert(n > 0 && n < 50, "%u", n);
}

Test(raw, checksums_of_ipv6_are_made_and_checked)
{
	sockid a = open_proto(0, AF_INET6, SOCK_RAW, 200);
	sockid b = open_proto(1, AF_INET6, SOCK_RAW, 200);

	set_int(0, a, IPPROTO_IPV6, IPV6_CHECKSUM, 4);
	set_int(1, b, IPPROTO_IPV6, IPV6_CHECKSUM, 4);
	memset(buf, 1, 20);
	cr_assert_eq(send_to(0, a, buf, 20, 0, "fd00::2", 0), 20);
	cr_assert_eq(send_to(0, a, buf, 5, 0, "fd00::2", 0), -EINVAL);
	set_int(0, a, IPPROTO_IPV6, IPV6_CHECKSUM, -1);
	cr_assert_eq(send_to(0, a, buf, 20, 0, "fd00::2", 0), 20);
	settle();
	cr_assert_eq(recv_from(1, b, buf, sizeof(buf), 0, NULL), 20);
	cr_assert_eq(recv_from(1, b, buf, 20, MSG_DONTWAIT, NULL), -EAGAIN);
	cr_assert_eq(stack_stats(host(1))->drop[DROP_RAW_CSUM], 1);
}

Test(raw, errors_reach_who_is_connected)
{
	sockid a = open_proto(0, AF_INET, SOCK_RAW, IPPROTO_UDP);
	uint8_t udp[9] = {0, 9, 0, 9, 0, 9};

	cr_assert_eq(connect_to(0, a, "10.0.0.2", 0), 0);
	cr_assert_eq(send_to(0, a, udp, 9, 0, NULL, 0), 9);
	settle();
	cr_assert(poll_of(0, a) & EPOLLERR);
	cr_assert_eq(recv_from(0, a, buf, 10, 0, NULL), -ECONNREFUSED);
}

TestSuite(ping, .init = world_init, .fini = world_fini);

Test(ping, only_its_own_replies_come_back)
{
	sockid a = open_proto(0, AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	sockid b = open_proto(0, AF_INET, SOCK_DGRAM, IPPROTO_ICMP);

	cr_assert_eq(bind_to(0, b, "0.0.0.0", 77), 0);
	echo_request(1, ICMP4_ECHO);
	cr_assert_eq(send_to(0, a, buf, 64, 0, "10.0.0.2", 0), 64);
	settle();
	cr_assert_eq(recv_from(0, a, buf, sizeof(buf), 0, NULL), 64);
	cr_assert_eq(buf[0], ICMP4_ECHO_REPLY);
	cr_assert_eq(get_be16(buf + 4), port_of(0, a));
	cr_assert_eq(recv_from(0, b, buf, 64, MSG_DONTWAIT, NULL), -EAGAIN);
	echo_request(1, ICMP4_ECHO);
	cr_assert_eq(send_to(0, b, buf, 64, 0, "10.0.0.2", 0), 64);
	settle();
	cr_assert_eq(recv_from(0, b, buf, 64, 0, NULL), 64);
	cr_assert_eq(get_be16(buf + 4), 77);
}

Test(ping, of_ipv6)
{
	sockid a = open_proto(0, AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);

	echo_request(1, ICMP6_ECHO);
	cr_assert_eq(send_to(0, a, buf, 64, 0, "fd00::2", 0), 64);
	settle();
	cr_assert_eq(recv_from(0, a, buf, sizeof(buf), 0, NULL), 64);
	cr_assert_eq(buf[0], ICMP6_ECHO_REPLY);
	buf[0] = ICMP6_ECHO_REPLY;
	cr_assert_eq(send_to(0, a, buf, 64, 0, "fd00::2", 0), -EINVAL);
	cr_assert_eq(send_to(0, a, buf, 7, 0, "fd00::2", 0), -EINVAL);
}

TestSuite(group, .init = world_init, .fini = world_fini);

static int join(int h, sockid s, uint32_t group, int name)
{
	struct ip_mreq m = {0};

	put_be32(&m.imr_multiaddr, group);
	return sock_setopt(host(h), s, IPPROTO_IP, name, &m, sizeof(m), now());
}

Test(group, all_that_share_a_port_hear_and_strangers_do_not)
{
	sockid a = open_sock(1, AF_INET, SOCK_DGRAM);
	sockid b = open_sock(1, AF_INET, SOCK_DGRAM);
	sockid out = open_sock(0, AF_INET, SOCK_DGRAM);

	set_int(1, a, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(1, b, SOL_SOCKET, SO_REUSEADDR, 1);
	cr_assert_eq(bind_to(1, a, "0.0.0.0", 5000), 0);
	cr_assert_eq(bind_to(1, b, "0.0.0.0", 5000), 0);
	send_to(0, out, "x", 1, 0, "239.1.2.3", 5000);
	settle();
	cr_assert_eq(recv_from(1, a, buf, 1, MSG_DONTWAIT, NULL), -EAGAIN);
	cr_assert_eq(join(1, a, 0xef010203, IP_ADD_MEMBERSHIP), 0);
	set_int(1, b, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	send_to(0, out, "x", 1, 0, "239.1.2.3", 5000);
	settle();
	cr_assert_eq(recv_from(1, a, buf, 1, 0, NULL), 1);
	cr_assert_eq(recv_from(1, b, buf, 1, MSG_DONTWAIT, NULL), -EAGAIN);
	set_int(1, b, IPPROTO_IP, IP_MULTICAST_ALL, 1);
	send_to(0, out, "x", 1, 0, "239.1.2.3", 5000);
	settle();
	cr_assert_eq(recv_from(1, a, buf, 1, 0, NULL), 1);
	cr_assert_eq(recv_from(1, b, buf, 1, 0, NULL), 1);
	/* closing leaves: nobody is in it any more */
	sock_close(host(1), a, now());
	send_to(0, out, "x", 1, 0, "239.1.2.3", 5000);
	settle();
	cr_assert_eq(recv_from(1, b, buf, 1, MSG_DONTWAIT, NULL), -EAGAIN);
}

Test(group, memberships_are_limited)
{
	sockid a = open_sock(0, AF_INET, SOCK_DGRAM);

	for (uint32_t i = 0; i < 20; i++)
		cr_assert_eq(join(0, a, 0xef010000 + i, IP_ADD_MEMBERSHIP), 0);
	cr_assert_eq(join(0, a, 0xef020000, IP_ADD_MEMBERSHIP), -ENOBUFS);
	cr_assert_eq(join(0, a, 0xef010000, IP_DROP_MEMBERSHIP), 0);
	cr_assert_eq(join(0, a, 0xef010000, IP_DROP_MEMBERSHIP),
		     -EADDRNOTAVAIL);
	cr_assert_eq(join(0, a, 0xef020000, IP_ADD_MEMBERSHIP), 0);
	cr_assert_eq(join(0, a, 0xef020000, IP_ADD_MEMBERSHIP), -EADDRINUSE);
}

TestSuite(device, .init = world_init, .fini = world_fini);

Test(device, binding_to_the_loopback_hears_nothing_of_the_wire)
{
	sockid a = open_sock(1, AF_INET, SOCK_DGRAM);
	sockid b = open_sock(1, AF_INET, SOCK_DGRAM);
	sockid out = open_sock(0, AF_INET, SOCK_DGRAM);

	set_int(1, a, SOL_SOCKET, SO_BINDTOIFINDEX, 1);
	set_int(1, b, SOL_SOCKET, SO_BINDTOIFINDEX, 2);
	cr_assert_eq(bind_to(1, a, "0.0.0.0", 5000), 0);
	cr_assert_eq(bind_to(1, b, "0.0.0.0", 5000), 0);
	send_to(0, out, "x", 1, 0, "10.0.0.2", 5000);
	settle();
	cr_assert_eq(recv_from(1, a, buf, 1, MSG_DONTWAIT, NULL), -EAGAIN);
	cr_assert_eq(recv_from(1, b, buf, 1, 0, NULL), 1);
	send_to(1, a, "x", 1, 0, "127.0.0.1", 5000);
	settle();
	cr_assert_eq(recv_from(1, a, buf, 1, 0, NULL), 1);
	set_int(0, out, SOL_SOCKET, SO_BINDTOIFINDEX, 9);
	cr_assert_eq(send_to(0, out, "x", 1, 0, "10.0.0.2", 5000), -ENODEV);
}
