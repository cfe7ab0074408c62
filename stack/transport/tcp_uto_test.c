/* SPDX-License-Identifier: MIT
 *
 * The user timeout option: who tells it when, and what comes of the peer's
 * (RFC 5482).
 */
#include <errno.h>
#include <netinet/tcp.h>

#include <criterion/criterion.h>

#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

#define MINUTES 0x8000u
#define OURS 924 /* net.ipv4.tcp_uto_adv */

static void init(void)
{
	peer_init();
	w.st->sysctl.tcp_uto = 1;
}

TestSuite(tcp_uto, .init = init, .fini = peer_fini);

static void close_now(void)
{
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
}

static void open_told(uint16_t uto)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .sack_ok = true,
				     .uto = uto});
}

/* Sends, and sees how many seconds it takes to give up; 0: longer. */
static int gives_up_after(int most)
{
	nsec began = w.now;

	put(100, 0);
	while (w.now - began < most * SEC && !sock_err()) {
		pass(SEC);
		skip();
	}
	return conn()->state == TCPS_CLOSED ? (int)((w.now - began) / SEC) : 0;
}

Test(tcp_uto, linux_has_none)
{
	w.st->sysctl.tcp_uto = 0;
	open_told(200);
	cr_assert(w.last.uto == 0);
	cr_assert(gives_up_after(800) == 0);
	close_now();
}

/* 3: in the SYN and, for those who answer with a cookie, right after it */
Test(tcp_uto, who_connects_says_it_twice)
{
	open_with(NULL);
	cr_assert(w.last.uto == OURS);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	expect(ACK, 1, 1, 0);
	cr_assert(w.last.uto == OURS);
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
	cr_assert(w.last.uto == 0);
	close_now();
}

Test(tcp_uto, who_listens_too)
{
	sockid l = open_listener(1), s;

	SEND(.flags = SYN, .mss = MSS, .sack_ok = true);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.uto == OURS);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	cr_assert(sock_accept(w.st, l, &s, w.now) == 0);
	w.s = s;
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
	cr_assert(w.last.uto == OURS);
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	put(100, 0);
	expect(PSH | ACK, 101, 1, 100);
	cr_assert(w.last.uto == 0);
	close_now();
	sock_close(w.st, l, w.now);
}

/* Nothing is kept of the SYN: what comes with the next segment counts. */
Test(tcp_uto, a_cookie_forgets_the_first_and_takes_the_second)
{
	sockid l = open_listener(1), s;

	w.st->sysctl.tcp_syncookies = 2;
	SEND(.flags = SYN, .mss = MSS, .uto = 150);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.uto == OURS);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .uto = 2000);
	cr_assert(sock_accept(w.st, l, &s, w.now) == 0);
	w.s = s;
	cr_assert(tcp_uto_adopted(conn()) == 2000 * SEC);
	close_now();
	sock_close(w.st, l, w.now);
}

Test(tcp_uto, what_was_in_the_syn_is_the_childs)
{
	sockid l = open_listener(1), s;

	SEND(.flags = SYN, .mss = MSS, .uto = MINUTES | 20);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	cr_assert(sock_accept(w.st, l, &s, w.now) == 0);
	w.s = s;
	cr_assert(tcp_uto_adopted(conn()) == 1200 * SEC);
	close_now();
	sock_close(w.st, l, w.now);
}

/* A frame that the option would make too long is cut for it. */
Test(tcp_uto, a_full_segment_leaves_room)
{
	open_active();
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 500000);
	put(2 * MSS, 0);
	expect(ACK, 1, 1, MSS - 4);
	cr_assert(w.last.uto == 500);
	expect(ACK, MSS - 3, 1, MSS);
	cr_assert(w.last.uto == 0);
	close_now();
}

Test(tcp_uto, it_goes_again_with_its_byte)
{
	open_active();
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 500000);
	put(100, 0);
	expect(PSH | ACK, 1, 1, 100);
	cr_assert(w.last.uto == 500);
	put(100, MSG_EOR);
	skip();
	pass(3 * SEC); /* nothing comes back */
	do
		next();
	while (w.last.seq != 1);
	cr_assert(w.last.uto == 500);
	skip();
	close_now();
}

/* 3.3: seconds, rounded up, as far as 15 bits reach */
Test(tcp_uto, seconds_or_minutes)
{
	static const struct {
		int ms;
		uint16_t wire;
	} v[] = {
		{1, 1},
		{1000, 1},
		{1001, 2},
		{32767000, 32767},
		{32767001, MINUTES | 547},
		{INT32_MAX, MINUTES | 32767},
	};

	open_active();
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, v[i].ms);
		put(1, 0);
		next();
		cr_assert(w.last.uto == (v[i].wire), "%d: %x", v[i].ms,
			  w.last.uto);
		SEND(.flags = ACK, .seq = 1, .ack = (uint32_t)i + 2);
	}
	close_now();
}

/* 3.1: min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)) */
Test(tcp_uto, the_longer_of_both_within_limits)
{
	w.st->sysctl.tcp_uto_adv = 10;
	open_told(50);
	cr_assert(tcp_uto_adopted(conn()) == 100 * SEC); /* RFC 1122's least */
	SEND(.flags = ACK, .seq = 1, .ack = 1, .uto = 200);
	cr_assert(tcp_uto_adopted(conn()) == 200 * SEC);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .uto = MINUTES | 1000);
	cr_assert(tcp_uto_adopted(conn()) == 3600 * SEC);
	w.st->sysctl.tcp_uto_adv = 300;
	SEND(.flags = ACK, .seq = 1, .ack = 1, .uto = 200);
	cr_assert(tcp_uto_adopted(conn()) == 300 * SEC);
	close_now();
}

Test(tcp_uto, an_adopted_one_ends_the_connection)
{
	int s;

	w.st->sysctl.tcp_uto_adv = 60;
	open_told(120);
	s = gives_up_after(900);
	/* from the first resend on, as TCP_USER_TIMEOUT */
	cr_assert(s >= 120 && s <= 123, "%d", s);
	close_now();
}

Test(tcp_uto, or_keeps_it_longer_than_usual)
{
	open_told(2000);
	cr_assert(gives_up_after(1900) == 0);
	close_now();
}

/* What the application has set is not the peer's to change. */
Test(tcp_uto, a_user_timeout_is_not_changeable)
{
	int s;

	new_sock();
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
	open_told(MINUTES | 30);
	cr_assert(w.last.uto == 30);
	s = gives_up_after(900);
	cr_assert(s >= 30 && s <= 33, "%d", s);
	close_now();
}

/* 3.4 */
Test(tcp_uto, zero_says_nothing)
{
	open_told(200);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .uto = MINUTES);
	cr_assert(conn()->uto.remote == 200);
	close_now();
}

Test(tcp_uto, not_from_a_segment_that_is_not_acceptable)
{
	open_told(200);
	SEND(.flags = ACK, .seq = 2000000, .ack = 1, .uto = 2000);
	SEND(.flags = ACK, .seq = 1, .ack = 2000000, .uto = 2000);
	cr_assert(conn()->uto.remote == 200);
	skip();
	close_now();
}

/* 4.2: keepalive may not end what is to survive */
Test(tcp_uto, keepalive_waits_for_it)
{
	w.st->sysctl.tcp_uto_adv = 60;
	new_sock();
	set_opt(SOL_SOCKET, SO_KEEPALIVE, 1);
	set_opt(IPPROTO_TCP, TCP_KEEPIDLE, 10);
	set_opt(IPPROTO_TCP, TCP_KEEPINTVL, 1);
	set_opt(IPPROTO_TCP, TCP_KEEPCNT, 2);
	open_told(150);
	pass(150 * SEC);
	quiet();
	pass(2 * SEC);
	expect(ACK, 0, 1, 0);
	skip();
	pass(2 * SEC);
	cr_assert(sock_err() == ETIMEDOUT);
	close_now();
}

/* Timestamps, SACK, scale, a cookie of 16 bytes: 40 are full. */
Test(tcp_uto, nothing_gives_way_to_it)
{
	struct tcp_repr r = {.flags = TCP_SYN,
			     .has_mss = true,
			     .has_ts = true,
			     .sack_ok = true,
			     .has_wscale = true,
			     .fo = {.is_there = true, .len = 16}};

	new_sock();
	tcp_uto_synack(ep_find(&w.st->tp, w.s), &r);
	cr_assert(r.uto == 0 && tcp_emit_len(&r) == 60);
	r.fo.len = 8;
	tcp_uto_synack(ep_find(&w.st->tp, w.s), &r);
	cr_assert(r.uto == OURS && tcp_emit_len(&r) == 56);
	close_now();
}
