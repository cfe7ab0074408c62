/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "sock/sock_world.h"

static sockid a, b; /* on host 0 and 1; b is bound to port 53 of all */
static uint8_t big[70000], back[70000];

static void pair(void)
{
	world_init();
	a = open_sock(0, AF_INET, SOCK_DGRAM);
	b = open_sock(1, AF_INET6, SOCK_DGRAM);
	cr_assert(bind_to(1, b, "::", 53) == 0);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 251);
}

TestSuite(udp, .init = pair, .fini = world_fini);

Test(udp, datagrams_of_every_size_arrive_whole)
{
	static const size_t sizes[] = {0,    1,	   255,	 256,  1471, 1472,
				       1473, 2047, 2048, 4000, 9000, 65507};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct sock_msg m = {.ctl = NULL};

		cr_assert(send_to(0, a, big, sizes[i], 0, "10.0.0.2", 53) ==
			  (int)sizes[i]);
		settle();
		cr_assert(poll_of(1, b) & EPOLLIN);
		cr_assert(recv_from(1, b, back, sizeof(back), 0, &m) ==
			  (int)sizes[i]);
		cr_assert(memcmp(big, back, sizes[i]) == 0);
		cr_assert(m.real_len == sizes[i] && !m.flags);
		cr_assert(!(poll_of(1, b) & EPOLLIN));
	}
	cr_assert(send_to(0, a, big, 65508, 0, "10.0.0.2", 53) == -EMSGSIZE);
}

Test(udp, ipv6_and_loopback_too)
{
	sockid c = open_sock(0, AF_INET6, SOCK_DGRAM);

	cr_assert(send_to(0, c, big, 5000, 0, "fd00::2", 53) == 5000);
	settle();
	cr_assert(recv_from(1, b, back, sizeof(back), 0, NULL) == 5000);
	cr_assert(send_to(1, b, big, 60000, 0, "::1", 53) == 60000);
	settle();
	cr_assert(recv_from(1, b, back, sizeof(back), 0, NULL) == 60000);
	cr_assert(memcmp(big, back, 60000) == 0);
	/* no address is this host */
	cr_assert(send_to(1, b, big, 3, 0, "::", 53) == 3);
	settle();
	cr_assert(recv_from(1, b, back, sizeof(back), 0, NULL) == 3);
}

Test(udp, the_sender_is_named_in_the_receivers_family)
{
	struct sockaddr_in6 in6;
	struct sock_msg m = {.ctl = NULL};

	send_to(0, a, "x", 1, 0, "10.0.0.2", 53);
	settle();
	recv_from(1, b, back, 1, 0, &m);
	cr_assert(m.name_len == sizeof(in6));
	memcpy(&in6, &m.name, sizeof(in6));
	cr_assert(IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr));
	cr_assert(get_be16(&in6.sin6_port) == port_of(0, a));
}

Test(udp, what_does_not_fit_is_cut_and_said)
{
	struct sock_msg m = {.ctl = NULL};

	send_to(0, a, "hello", 5, 0, "10.0.0.2", 53);
	settle();
	cr_assert(recv_from(1, b, back, 2, MSG_PEEK, &m) == 2);
	cr_assert(m.flags & MSG_TRUNC && m.real_len == 5);
	cr_assert(recv_from(1, b, back, 3, 0, &m) == 3);
	cr_assert(m.flags & MSG_TRUNC && m.real_len == 5);
	cr_assert(recv_from(1, b, back, 9, MSG_DONTWAIT, &m) == -EAGAIN);
}

Test(udp, refused_is_told_to_the_connected_only)
{
	sockid c = open_sock(0, AF_INET, SOCK_DGRAM);

	send_to(0, a, "x", 1, 0, "10.0.0.2", 99);
	cr_assert(connect_to(0, c, "10.0.0.2", 99) == 0);
	cr_assert(send_to(0, c, "x", 1, 0, NULL, 0) == 1);
	settle();
	cr_assert(recv_from(0, a, back, 1, MSG_DONTWAIT, NULL) == -EAGAIN);
	cr_assert(poll_of(0, c) & EPOLLERR);
	cr_assert(send_to(0, c, "x", 1, 0, NULL, 0) == -ECONNREFUSED);
	cr_assert(!(poll_of(0, c) & EPOLLERR));
	settle();
	send_to(0, c, "x", 1, 0, NULL, 0);
	settle();
	cr_assert(get_int(0, c, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
	cr_assert(get_int(0, c, SOL_SOCKET, SO_ERROR) == 0);

	/* IP_RECVERR: unconnected ones hear of it too */
	set_int(0, a, IPPROTO_IP, IP_RECVERR, 1);
	send_to(0, a, "x", 1, 0, "10.0.0.2", 99);
	settle();
	cr_assert(recv_from(0, a, back, 1, 0, NULL) == -ECONNREFUSED);
}

Test(udp, a_connected_socket_hears_its_peer_only)
{
	sockid c = open_sock(0, AF_INET, SOCK_DGRAM);

	cr_assert(bind_to(0, a, "0.0.0.0", 1000) == 0);
	cr_assert(connect_to(0, a, "10.0.0.2", 53) == 0);
	send_to(1, b, "b", 1, 0, "::ffff:10.0.0.1", 1000);
	send_to(0, c, "c", 1, 0, "10.0.0.1", 1000);
	settle();
	cr_assert(recv_from(0, a, back, 1, 0, NULL) == 1 && back[0] == 'b');
	cr_assert(recv_from(0, a, back, 1, MSG_DONTWAIT, NULL) == -EAGAIN);
}

Test(udp, disconnect_gives_back_what_connect_chose)
{
	struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	struct sockaddr_storage ss;
	socklen_t len;

	cr_assert(connect_to(0, a, "10.0.0.2", 53) == 0);
	cr_assert(port_of(0, a) != 0);
	cr_assert(sock_name(host(0), a, true, &ss, &len) == 0);
	cr_assert(sock_connect(host(0), a, &unspec, sizeof(unspec), now()) ==
		  0);
	cr_assert(port_of(0, a) == 0);
	cr_assert(sock_name(host(0), a, true, &ss, &len) == -ENOTCONN);
	cr_assert(send_to(0, a, "x", 1, 0, NULL, 0) == -EDESTADDRREQ);
}

Test(udp, broadcast_needs_leave)
{
	cr_assert(send_to(0, a, "x", 1, 0, "10.0.0.255", 53) == -EACCES);
	cr_assert(connect_to(0, a, "255.255.255.255", 53) == -EACCES);
	set_int(0, a, SOL_SOCKET, SO_BROADCAST, 1);
	cr_assert(send_to(0, a, "x", 1, 0, "10.0.0.255", 53) == 1);
	settle();
	cr_assert(recv_from(1, b, back, 1, 0, NULL) == 1);
}

Test(udp, multicast_reaches_who_joined)
{
	sockid c = open_sock(1, AF_INET, SOCK_DGRAM);
	struct ip_mreq m = {0};

	cr_assert(bind_to(1, c, "0.0.0.0", 5000) == 0);
	send_to(0, a, "x", 1, 0, "239.1.2.3", 5000);
	settle();
	cr_assert(recv_from(1, c, back, 1, MSG_DONTWAIT, NULL) == -EAGAIN);
	put_be32(&m.imr_multiaddr, 0xef010203);
	cr_assert(sock_setopt(host(1), c, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m,
			      sizeof(m), now()) == 0);
	cr_assert(sock_setopt(host(1), c, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m,
			      sizeof(m), now()) == -EADDRINUSE);
	send_to(0, a, "y", 1, 0, "239.1.2.3", 5000);
	settle();
	cr_assert(recv_from(1, c, back, 1, 0, NULL) == 1 && back[0] == 'y');
	cr_assert(sock_setopt(host(1), c, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m,
			      sizeof(m), now()) == 0);
	cr_assert(sock_setopt(host(1), c, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m,
			      sizeof(m), now()) == -EADDRNOTAVAIL);
}

Test(udp, a_full_receive_buffer_drops_and_counts)
{
	unsigned num = 0;

	set_int(1, b, SOL_SOCKET, SO_RCVBUF, 8000);
	for (unsigned i = 0; i < 100; i++) {
		send_to(0, a, big, 1000, 0, "10.0.0.2", 53);
		settle();
	}
	while (recv_from(1, b, back, 2000, MSG_DONTWAIT, NULL) == 1000)
		num++;
	cr_assert(num > 5 && num < 16, "%u", num);
	cr_assert(stack_stats(host(1))->v[STAT_UdpRcvbufErrors] == 100 - num);
}

Test(udp, small_datagrams_in_large_frames_are_charged_what_they_take)
{
	unsigned num = 0;

	/* 3 KB each, read into 64 KB buffers */
	for (unsigned i = 0; i < 30; i++) {
		send_to(0, a, big, 3000, 0, "10.0.0.2", 53);
		settle();
	}
	while (recv_from(1, b, back, 4000, MSG_DONTWAIT, NULL) == 3000)
		num++;
	cr_assert(num == 30);
}

Test(udp, the_send_buffer_is_charged_until_the_device_has_it)
{
	struct sock_msg m = {0};
	unsigned num = 0;
	struct span sp;
	int res;

	m.name_len = netsim_addr("10.0.0.2", 53, &m.name);
	/* nobody takes from the queue */
	while ((res = sock_send_begin(host(0), a, 1000, 0, &m, &sp, now())) >=
	       0) {
		cr_assert(sock_send_commit(host(0), a, &sp, 1000, 0, now()) ==
			  1000);
		num++;
		cr_assert(num < 1000);
	}
	cr_assert(res == -EAGAIN && num > 50);
	cr_assert(!(poll_of(0, a) & EPOLLOUT));
	settle();
	cr_assert(poll_of(0, a) & EPOLLOUT);
	cr_assert(send_to(0, a, big, 1000, 0, "10.0.0.2", 53) == 1000);
}

Test(udp, giving_back_leaves_nothing_behind)
{
	size_t before = arena_used(stack_arena(host(0)));
	struct sock_msg m = {0};
	struct span sp;

	cr_assert(bind_to(0, a, "0.0.0.0", 4000) == 0);
	m.name_len = netsim_addr("10.0.0.2", 53, &m.name);
	cr_assert(sock_send_begin(host(0), a, 100, 0, &m, &sp, now()) == 100);
	cr_assert(sock_send_commit(host(0), a, &sp, 0, 0, now()) == 0);
	settle();
	cr_assert(!(poll_of(1, b) & EPOLLIN));
	cr_assert(arena_used(stack_arena(host(0))) == before);
}

Test(udp, a_close_between_begin_and_commit_is_harmless)
{
	struct sock_msg m = {0};
	struct span sp;

	m.name_len = netsim_addr("10.0.0.2", 53, &m.name);
	cr_assert(sock_send_begin(host(0), a, 100, 0, &m, &sp, now()) == 100);
	sock_close(host(0), a, now());
	memset(sp.v[0].iov_base, 1, 100);
	sock_send_commit(host(0), a, &sp, 100, 0, now());
	cr_assert(sock_poll(host(0), a, &(uint32_t){0}) == -EBADF);

	sockid c = open_sock(0, AF_INET, SOCK_DGRAM);
	send_to(0, c, "z", 1, 0, "10.0.0.2", 53);
	settle();
	while (sock_recv_begin(host(1), b, 10, 0, &m, &sp, now()) != 1)
		sock_recv_commit(host(1), b, &sp, 1, 0, now());
	sock_close(host(1), b, now());
	cr_assert(*(char *)sp.v[0].iov_base == 'z');
	sock_recv_commit(host(1), b, &sp, 1, 0, now());
}

Test(udp, corked_pieces_are_one_datagram)
{
	cr_assert(send_to(0, a, "abc", 3, MSG_MORE, "10.0.0.2", 53) == 3);
	cr_assert(send_to(0, a, "de", 2, MSG_MORE, "10.0.0.2", 53) == 2);
	settle();
	cr_assert(recv_from(1, b, back, 9, MSG_DONTWAIT, NULL) == -EAGAIN);
	cr_assert(send_to(0, a, "f", 1, 0, "10.0.0.2", 53) == 1);
	settle();
	cr_assert(recv_from(1, b, back, 9, 0, NULL) == 6);
	cr_assert(memcmp(back, "abcdef", 6) == 0);

	set_int(0, a, IPPROTO_UDP, 1 /* UDP_CORK */, 1);
	send_to(0, a, "gh", 2, 0, "10.0.0.2", 53);
	settle();
	cr_assert(recv_from(1, b, back, 9, MSG_DONTWAIT, NULL) == -EAGAIN);
	set_int(0, a, IPPROTO_UDP, 1, 0);
	settle();
	cr_assert(recv_from(1, b, back, 9, 0, NULL) == 2);
}

Test(udp, no_checksum_over_ipv4_is_taken)
{
	set_int(0, a, SOL_SOCKET, SO_NO_CHECK, 1);
	send_to(0, a, "x", 1, 0, "10.0.0.2", 53);
	settle();
	cr_assert(recv_from(1, b, back, 1, 0, NULL) == 1);
}

Test(udp, dont_fragment_refuses_what_is_too_long)
{
	set_int(0, a, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	cr_assert(send_to(0, a, big, 1473, 0, "10.0.0.2", 53) == -EMSGSIZE);
	cr_assert(send_to(0, a, big, 1472, 0, "10.0.0.2", 53) == 1472);
}

Test(udp, shutdown_ends_reading_and_writing)
{
	cr_assert(sock_shutdown(host(0), a, SHUT_RDWR, now()) == -ENOTCONN);
	cr_assert(poll_of(0, a) & EPOLLHUP);
	cr_assert(send_to(0, a, "x", 1, 0, "10.0.0.2", 53) == -EPIPE);
	cr_assert(recv_from(0, a, back, 1, 0, NULL) == 0);
	cr_assert(recv_from(0, a, back, 1, MSG_DONTWAIT, NULL) == -EAGAIN);
}

Test(udp, ioctls_tell_the_first_datagram_and_what_is_queued)
{
	int v = -1;

	send_to(0, a, big, 12, 0, "10.0.0.2", 53);
	cr_assert(sock_ioctl(host(0), a, TIOCOUTQ, &v) == 0 && v > 0);
	send_to(0, a, big, 34, 0, "10.0.0.2", 53);
	settle();
	cr_assert(sock_ioctl(host(0), a, TIOCOUTQ, &v) == 0 && v == 0);
	cr_assert(sock_ioctl(host(1), b, FIONREAD, &v) == 0 && v == 12);
}

Test(udp, a_frame_of_many_datagrams_is_cut)
{
	uint8_t pkt[20 + 8 + 2500] = {0x45};
	struct frame *f;

	/* 1000 + 1000 + 500 bytes, as a device with USO gives them */
	put_be16(pkt + 2, sizeof(pkt));
	pkt[8] = 64;
	pkt[9] = IPPROTO_UDP;
	memcpy(pkt + 12, (uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
	{
		uint32_t sum = 0;

		for (unsigned i = 0; i < 20; i += 2)
			sum += get_be16(pkt + i);
		sum = (sum & 0xffff) + (sum >> 16);
		put_be16(pkt + 10, (uint16_t) ~(sum + (sum >> 16)));
	}
	put_be16(pkt + 20, 777);
	put_be16(pkt + 22, 53);
	put_be16(pkt + 24, 8 + 2500);
	memcpy(pkt + 28, big, 2500);
	cr_assert(stack_rx_alloc(host(1), FRAME_LARGE, &f, 1) == 1);
	memcpy(f->data, pkt, sizeof(pkt));
	f->len = sizeof(pkt);
	f->gso = GSO_UDP;
	f->gso_size = 1000;
	f->gso_segs = 3;
	f->hdr_len = 28;
	f->l4_off = 20;
	f->csum = CSUM_PARTIAL;
	stack_rx(host(1), &f, 1, true, now());
	cr_assert(recv_from(1, b, back, 3000, 0, NULL) == 1000);
	cr_assert(recv_from(1, b, back, 3000, 0, NULL) == 1000);
	cr_assert(recv_from(1, b, back, 3000, 0, NULL) == 500);
	cr_assert(memcmp(back, big + 2000, 500) == 0);
}

Test(udp, an_edge_is_counted_for_every_datagram)
{
	struct ready r, v[4];

	cr_assert(sock_watch(host(1), b, 3, &r) == 0);
	cr_assert(!(r.bits & EPOLLIN));
	for (unsigned i = 1; i <= 3; i++) {
		send_to(0, a, "x", 1, 0, "10.0.0.2", 53);
		settle(); /* the simulator fetches what is ready */
		cr_assert(sock_watch(host(1), b, 3, &v[0]) == 0);
		cr_assert(v[0].in_seq - r.in_seq == i);
		cr_assert(v[0].bits & EPOLLIN && v[0].slot == 3);
	}
}

Test(udp, a_sender_hears_its_own_multicast_unless_it_says_no)
{
	struct ip_mreq m = {0};

	cr_assert(bind_to(0, a, "0.0.0.0", 5000) == 0);
	put_be32(&m.imr_multiaddr, 0xef010203);
	sock_setopt(host(0), a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m),
		    now());
	cr_assert(send_to(0, a, "x", 1, 0, "239.1.2.3", 5000) == 1);
	settle(); /* it goes through the loopback queue */
	cr_assert(recv_from(0, a, back, 1, 0, NULL) == 1 && back[0] == 'x');
	set_int(0, a, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	send_to(0, a, "x", 1, 0, "239.1.2.3", 5000);
	settle();
	cr_assert(recv_from(0, a, back, 1, MSG_DONTWAIT, NULL) == -EAGAIN);
}

Test(udp, ipv6_without_checksum_needs_both_ends_to_agree)
{
	sockid c = open_sock(0, AF_INET6, SOCK_DGRAM);

	set_int(0, c, IPPROTO_UDP, 101 /* UDP_NO_CHECK6_TX */, 1);
	send_to(0, c, "x", 1, 0, "fd00::2", 53);
	settle();
	cr_assert(recv_from(1, b, back, 1, MSG_DONTWAIT, NULL) == -EAGAIN);
	set_int(1, b, IPPROTO_UDP, 102 /* UDP_NO_CHECK6_RX */, 1);
	send_to(0, c, "x", 1, 0, "fd00::2", 53);
	settle();
	cr_assert(recv_from(1, b, back, 1, 0, NULL) == 1);
}
