/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/udp.h>

#include "sock/sock_world.h"

static sockid a, b; /* on host 0 and 1; b is bound to port 53 of all */
static uint8_t big[70000], back[70000];
static struct sock_ctl ctl;
static struct sock_msg msg;

static void pair(void)
{
	world_init();
	a = open_sock(0, AF_INET, SOCK_DGRAM);
	b = open_sock(1, AF_INET6, SOCK_DGRAM);
	cr_assert(bind_to(1, b, "::", 53) == 0);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 251);
}

TestSuite(msg, .init = pair, .fini = world_fini);

static int recv_ctl(int h, sockid s, int flags)
{
	msg = (struct sock_msg){.ctl = &ctl};
	ctl.wall = 1000 * SEC;
	return recv_from(h, s, back, sizeof(back), flags, &msg);
}

/* Data of the control message, or NULL. */
static const void *told(int level, int type, size_t len)
{
	struct cmsghdr h;

	for (uint32_t i = 0; i < ctl.len; i += CMSG_ALIGN(h.cmsg_len)) {
		memcpy(&h, ctl.b + i, sizeof(h));
		if (h.cmsg_level == level && h.cmsg_type == type) {
			cr_assert(h.cmsg_len == CMSG_LEN(len));
			return ctl.b + i + CMSG_LEN(0);
		}
	}
	return NULL;
}

static int told_int(int level, int type)
{
	const void *p = told(level, type, sizeof(int));
	int v = -1;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

Test(msg, ttl_tos_and_local_address_are_told_when_asked)
{
	const struct in6_pktinfo *p;
	const uint8_t *tos;

	set_int(1, b, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set_int(1, b, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	set_int(1, b, IPPROTO_IP, IP_RECVTTL, 1);
	set_int(1, b, IPPROTO_IP, IP_RECVTOS, 1);
	set_int(0, a, IPPROTO_IP, IP_TTL, 7);
	set_int(0, a, IPPROTO_IP, IP_TOS, 0x48);
	send_to(0, a, "x", 1, 0, "10.0.0.2", 53);
	settle();
	cr_assert(recv_ctl(1, b, 0) == 1);
	cr_assert(told_int(IPPROTO_IP, IP_TTL) == 7);
	tos = told(IPPROTO_IP, IP_TOS, 1);
	cr_assert(tos && *tos == 0x48);
	/* an IPv4 packet has no hop limit, but a mapped address */
	cr_assert(told_int(IPPROTO_IPV6, IPV6_HOPLIMIT) == -1);
	p = told(IPPROTO_IPV6, IPV6_PKTINFO, sizeof(*p));
	cr_assert(p && IN6_IS_ADDR_V4MAPPED(&p->ipi6_addr) &&
		  p->ipi6_ifindex == 2);
}

Test(msg, stamps_are_in_real_time)
{
	const int64_t *t;

	set_int(1, b, SOL_SOCKET, SO_TIMESTAMPNS_NEW, 1);
	send_to(0, a, "x", 1, 0, "10.0.0.2", 53);
	settle();
	cr_assert(recv_ctl(1, b, 0) == 1);
	t = told(SOL_SOCKET, SO_TIMESTAMPNS_NEW, 16);
	cr_assert(t && t[0] >= 1000);
}

static struct sock_extended_err note(int level, int type, size_t len)
{
	struct sock_extended_err ee = {0};
	const void *p = told(level, type, len);

	if (p)
		memcpy(&ee, p, sizeof(ee));
	return ee;
}

#define LEN4 (sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in))

Test(msg, a_refused_datagram_comes_back_through_the_error_queue)
{
	struct sock_extended_err ee;
	struct sockaddr_in in;

	set_int(0, a, IPPROTO_IP, IP_RECVERR, 1);
	cr_assert(recv_ctl(0, a, MSG_ERRQUEUE) == -EAGAIN);
	send_to(0, a, "hello", 5, 0, "10.0.0.2", 99);
	settle();
	cr_assert(poll_of(0, a) & EPOLLERR);
	cr_assert(recv_ctl(0, a, MSG_ERRQUEUE) == 5);
	cr_assert(memcmp(back, "hello", 5) == 0);
	cr_assert(msg.flags == MSG_ERRQUEUE);
	memcpy(&in, &msg.name, sizeof(in));
	cr_assert(in.sin_family == AF_INET && get_be16(&in.sin_port) == 99);
	ee = note(IPPROTO_IP, IP_RECVERR, LEN4);
	cr_assert(ee.ee_errno == ECONNREFUSED);
	cr_assert(ee.ee_origin == SO_EE_ORIGIN_ICMP && ee.ee_type == 3 &&
		  ee.ee_code == 3);
	/* the last note of an error takes SO_ERROR with it */
	cr_assert(!(poll_of(0, a) & EPOLLERR));
	cr_assert(get_int(0, a, SOL_SOCKET, SO_ERROR) == 0);
}

Test(msg, so_error_follows_the_queue)
{
	set_int(0, a, IPPROTO_IP, IP_RECVERR, 1);
	send_to(0, a, "1", 1, 0, "10.0.0.2", 98);
	settle();
	cr_assert(get_int(0, a, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
	send_to(0, a, "2", 1, 0, "10.0.0.2", 99);
	settle();
	cr_assert(recv_ctl(0, a, MSG_ERRQUEUE) == 1 && back[0] == '1');
	cr_assert(poll_of(0, a) & EPOLLERR);
	cr_assert(recv_from(0, a, back, 1, 0, NULL) == -ECONNREFUSED);
	cr_assert(recv_ctl(0, a, MSG_ERRQUEUE) == 1 && back[0] == '2');
	cr_assert(!(poll_of(0, a) & EPOLLERR));
}

Test(msg, what_is_too_long_is_a_local_error)
{
	struct sock_extended_err ee;

	set_int(0, a, IPPROTO_IP, IP_RECVERR, 1);
	set_int(0, a, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	cr_assert(send_to(0, a, big, 2000, 0, "10.0.0.2", 53) == -EMSGSIZE);
	cr_assert(recv_ctl(0, a, MSG_ERRQUEUE) == 0);
	ee = note(IPPROTO_IP, IP_RECVERR, LEN4);
	cr_assert(ee.ee_origin == SO_EE_ORIGIN_LOCAL && ee.ee_info == 1500);
	cr_assert(ee.ee_errno == EMSGSIZE);
}

Test(msg, the_error_queue_is_bounded)
{
	unsigned num = 0;

	set_int(0, a, SOL_SOCKET, SO_RCVBUF, 10000);
	set_int(0, a, IPPROTO_IP, IP_RECVERR, 1);
	set_int(0, a, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	for (int i = 0; i < 1000; i++)
		send_to(0, a, big, 2000, 0, "10.0.0.2", 53);
	while (recv_ctl(0, a, MSG_ERRQUEUE) >= 0)
		num++;
	cr_assert(num > 3 && num < 50);
}

/* One control message to be sent. */
static void give(int level, int type, const void *p, size_t len)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(len),
			    .cmsg_level = level,
			    .cmsg_type = type};

	memcpy(ctl.b, &h, sizeof(h));
	memcpy(ctl.b + CMSG_LEN(0), p, len);
	ctl.len = (uint32_t)CMSG_SPACE(len);
	msg = (struct sock_msg){.ctl = &ctl};
}

static int send_ctl(int h, sockid s, const char *addr, uint16_t port,
		    size_t len)
{
	struct span sp;
	int res;

	msg.name_len = netsim_addr(addr, port, &msg.name);
	res = sock_send_begin(host(h), s, len, 0, &msg, &sp, now());
	if (res < 0)
		return res;
	if (sp.num_v && sp.v[0].iov_len)
		memcpy(sp.v[0].iov_base, big, sp.v[0].iov_len);
	return sock_send_commit(host(h), s, &sp, (size_t)res, 0, now());
}

Test(msg, control_data_rule_one_datagram)
{
	int ttl = 9;

	set_int(1, b, IPPROTO_IP, IP_RECVTTL, 1);
	give(IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	cr_assert(send_ctl(0, a, "10.0.0.2", 53, 1) == 1);
	settle();
	recv_ctl(1, b, 0);
	cr_assert(told_int(IPPROTO_IP, IP_TTL) == 9);
	send_to(0, a, "x", 1, 0, "10.0.0.2", 53);
	settle();
	recv_ctl(1, b, 0);
	cr_assert(told_int(IPPROTO_IP, IP_TTL) == 64);
	/* bad ones are refused, those of other levels passed over */
	ttl = 0;
	give(IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	cr_assert(send_ctl(0, a, "10.0.0.2", 53, 1) == -EINVAL);
	give(IPPROTO_IP, IP_TTL, &ttl, 2);
	cr_assert(send_ctl(0, a, "10.0.0.2", 53, 1) == -EINVAL);
	give(IPPROTO_IPV6, IPV6_HOPLIMIT, &ttl, 2);
	cr_assert(send_ctl(0, a, "10.0.0.2", 53, 1) == 1);
}

/* --- UDP_SEGMENT --- */

Test(msg, one_send_is_many_datagrams)
{
	set_int(0, a, IPPROTO_UDP, UDP_SEGMENT, 1000);
	cr_assert(send_to(0, a, big, 2500, 0, "10.0.0.2", 53) == 2500);
	settle();
	cr_assert(recv_from(1, b, back, sizeof(back), 0, NULL) == 1000);
	cr_assert(recv_from(1, b, back, sizeof(back), 0, NULL) == 1000);
	cr_assert(memcmp(back, big + 1000, 1000) == 0);
	cr_assert(recv_from(1, b, back, sizeof(back), 0, NULL) == 500);
	/* 128 of them, each within the path's MTU */
	set_int(0, a, IPPROTO_UDP, UDP_SEGMENT, 10);
	cr_assert(send_to(0, a, big, 1280, 0, "10.0.0.2", 53) == 1280);
	cr_assert(send_to(0, a, big, 1281, 0, "10.0.0.2", 53) == -EINVAL);
	set_int(0, a, IPPROTO_UDP, UDP_SEGMENT, 1473);
	cr_assert(send_to(0, a, big, 2000, 0, "10.0.0.2", 53) == -EMSGSIZE);
	cr_assert(send_to(0, a, big, 1400, 0, "10.0.0.2", 53) == 1400);
}

/* --- SO_PEEK_OFF --- */

Test(msg, peeking_goes_on_where_it_ended)
{
	send_to(0, a, "abcdef", 6, 0, "10.0.0.2", 53);
	send_to(0, a, "ghi", 3, 0, "10.0.0.2", 53);
	settle();
	set_int(1, b, SOL_SOCKET, SO_PEEK_OFF, 0);
	cr_assert(recv_from(1, b, back, 4, MSG_PEEK, NULL) == 4);
	cr_assert(recv_from(1, b, back, 4, MSG_PEEK, NULL) == 2);
	cr_assert(memcmp(back, "ef", 2) == 0);
	cr_assert(recv_from(1, b, back, 4, MSG_PEEK, NULL) == 3);
	cr_assert(recv_from(1, b, back, 4, MSG_PEEK, NULL) == -EAGAIN);
	cr_assert(get_int(1, b, SOL_SOCKET, SO_PEEK_OFF) == 9);
	cr_assert(recv_from(1, b, back, 9, 0, NULL) == 6);
	cr_assert(get_int(1, b, SOL_SOCKET, SO_PEEK_OFF) == 3);
}

/* --- what a stream is told of what it sent --- */

#define STAMPS                                                     \
	(SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY | \
	 SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_TX_SCHED |     \
	 SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK)

static sockid connected(void)
{
	sockid l = open_sock(1, AF_INET, SOCK_STREAM);
	sockid c = open_sock(0, AF_INET, SOCK_STREAM);

	cr_assert(bind_to(1, l, "10.0.0.2", 80) == 0);
	cr_assert(sock_listen(host(1), l, 5, now()) == 0);
	cr_assert(connect_to(0, c, "10.0.0.2", 80) == -EINPROGRESS);
	settle();
	cr_assert(connect_to(0, c, "10.0.0.2", 80) == 0);
	return c;
}

static void expect_stamp(sockid s, uint32_t type, uint32_t id)
{
	struct sock_extended_err ee;

	cr_assert(recv_ctl(0, s, MSG_ERRQUEUE) == 0);
	ee = note(IPPROTO_IP, IP_RECVERR, LEN4);
	cr_assert(ee.ee_errno == ENOMSG && ee.ee_info == type &&
			  ee.ee_data == id,
		  "got %u %u", ee.ee_info, ee.ee_data);
	cr_assert(told(SOL_SOCKET, SO_TIMESTAMPING_OLD, 48));
}

Test(msg, a_stream_hears_when_its_last_byte_left_and_arrived)
{
	sockid c = connected();

	set_int(0, c, SOL_SOCKET, SO_TIMESTAMPING_OLD, (int)STAMPS);
	cr_assert(send_to(0, c, big, 3000, 0, NULL, 0) == 3000);
	settle();
	expect_stamp(c, SCM_TSTAMP_SCHED, 2999);
	expect_stamp(c, SCM_TSTAMP_SND, 2999);
	expect_stamp(c, SCM_TSTAMP_ACK, 2999);
	cr_assert(recv_ctl(0, c, MSG_ERRQUEUE) == -EAGAIN);
	/* what nobody asked about leaves nothing */
	set_int(0, c, SOL_SOCKET, SO_TIMESTAMPING_OLD, 0);
	send_to(0, c, big, 10, 0, NULL, 0);
	settle();
	cr_assert(recv_ctl(0, c, MSG_ERRQUEUE) == -EAGAIN);
}

Test(msg, marks_go_with_their_connection)
{
	sockid c = connected();

	set_int(0, c, SOL_SOCKET, SO_TIMESTAMPING_OLD, (int)STAMPS);
	for (int i = 0; i < 50; i++)
		send_to(0, c, big, 2000, 0, NULL, 0);
	stack_abort_all(host(0), now());
}

Test(msg, zerocopy_notes_are_ranges)
{
	struct sock_extended_err ee;
	sockid c = connected();

	cr_assert(send_to(0, c, big, 10, MSG_ZEROCOPY, NULL, 0) == 10);
	cr_assert(recv_ctl(0, c, MSG_ERRQUEUE) == -EAGAIN);
	set_int(0, c, SOL_SOCKET, SO_ZEROCOPY, 1);
	for (int i = 0; i < 3; i++)
		send_to(0, c, big, 10, MSG_ZEROCOPY, NULL, 0);
	cr_assert(poll_of(0, c) & EPOLLERR);
	cr_assert(recv_ctl(0, c, MSG_ERRQUEUE) == 0);
	ee = note(IPPROTO_IP, IP_RECVERR, LEN4);
	cr_assert(ee.ee_origin == SO_EE_ORIGIN_ZEROCOPY &&
		  ee.ee_code == SO_EE_CODE_ZEROCOPY_COPIED);
	cr_assert(ee.ee_info == 0 && ee.ee_data == 2);
	cr_assert(!(poll_of(0, c) & EPOLLERR));
}

/* A poll hears of a note, a call that waits does not. */
Test(msg, a_note_alone_is_marked)
{
	sockid c = connected();

	set_int(0, c, SOL_SOCKET, SO_ZEROCOPY, 1);
	send_to(0, c, big, 10, MSG_ZEROCOPY, NULL, 0);
	cr_assert(poll_of(0, c) & SOCK_POLL_NOTE);
	set_int(0, a, IPPROTO_IP, IP_RECVERR, 1);
	send_to(0, a, "x", 1, 0, "10.0.0.2", 99);
	settle();
	cr_assert(poll_of(0, a) & EPOLLERR);
	cr_assert(!(poll_of(0, a) & SOCK_POLL_NOTE));
	cr_assert(get_int(0, a, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
	cr_assert(poll_of(0, a) & SOCK_POLL_NOTE);
}
