/* SPDX-License-Identifier: MIT
 *
 * Segments that somebody made who sees nothing of the connection and guesses
 * its numbers: RFC 5961, in each state, with the answers that Linux gives.
 */
#include <errno.h>
#include <netinet/tcp.h>

#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_rfc5961, .init = peer_init, .fini = peer_fini);

#define WND 64240u

static uint8_t state(void)
{
	struct sock_facts f;

	cr_assert(sock_facts(w.st, w.s, &f) == 0);
	return f.state;
}

/* Where a connection is when the stranger comes, and where both ends stand. */
static const struct place {
	uint8_t state;
	uint32_t snd, rcv;
	int err; /* what a reset there is told as */
} places[] = {
	{TCP_ESTABLISHED, 1, 1, ECONNRESET}, {TCP_FIN_WAIT1, 2, 1, ECONNRESET},
	{TCP_FIN_WAIT2, 2, 1, ECONNRESET},   {TCP_CLOSE_WAIT, 1, 2, EPIPE},
	{TCP_CLOSING, 2, 2, ECONNRESET},     {TCP_LAST_ACK, 2, 2, ECONNRESET},
};

static void go_to(const struct place *p)
{
	bool fin_first = p->state == TCP_CLOSE_WAIT || p->state == TCP_LAST_ACK;

	open_active();
	if (fin_first)
		SEND(.flags = FIN | ACK, .seq = 1, .ack = 1);
	if (p->snd == 2)
		cr_assert(sock_shutdown(w.st, w.s, SHUT_WR, w.now) == 0);
	if (p->state == TCP_FIN_WAIT2)
		SEND(.flags = ACK, .seq = 1, .ack = 2);
	if (p->state == TCP_CLOSING)
		SEND(.flags = FIN | ACK, .seq = 1, .ack = 1);
	skip();
	cr_assert(state() == p->state);
}

static void leave(void)
{
	skip();
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
	peer_fini();
	peer_init();
}

/* --- 3.2: RST --- */

Test(tcp_rfc5961, a_reset_outside_the_window_gets_no_word)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const struct place *p = &places[i];
		/* one below is taken once the FIN has come: Linux */
		uint32_t low = p->rcv == 1 ? 0 : p->rcv - 2;

		go_to(p);
		SEND(.flags = RST, .seq = low);
		SEND(.flags = RST, .seq = p->rcv + WND + 1);
		SEND(.flags = RST | ACK, .seq = p->rcv + (1u << 31),
		     .ack = p->snd);
		quiet();
		cr_assert(state() == p->state);
		cr_assert(count(STAT_TcpExtTCPChallengeACK) == 0);
		leave();
	}
}

Test(tcp_rfc5961, a_reset_of_the_very_next_byte_resets)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const struct place *p = &places[i];

		go_to(p);
		SEND(.flags = RST, .seq = p->rcv);
		quiet();
		cr_assert(state() == TCP_CLOSE && sock_err() == p->err);
		leave();
	}
}

Test(tcp_rfc5961, a_reset_elsewhere_in_the_window_is_challenged)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const struct place *p = &places[i];

		go_to(p);
		SEND(.flags = RST, .seq = p->rcv + 1);
		expect(ACK, p->snd, p->rcv, 0);
		cr_assert(state() == p->state);
		pass(SEC / 2);
		skip(); /* a FIN that went again */
		SEND(.flags = RST | ACK, .seq = p->rcv + 30000, .ack = p->snd);
		expect(ACK, p->snd, p->rcv, 0);
		cr_assert(state() == p->state);
		cr_assert(count(STAT_TcpExtTCPChallengeACK) == 2);
		/* who does not know the connection answers the challenge */
		SEND(.flags = RST, .seq = p->rcv);
		quiet();
		cr_assert(state() == TCP_CLOSE);
		leave();
	}
}

/* Its data is not taken, nor its ACK. */
Test(tcp_rfc5961, nothing_else_of_a_challenged_reset_counts)
{
	open_active();
	put(100, 0);
	skip();
	SEND(.flags = RST | ACK, .seq = 2, .ack = 101, .len = 10);
	expect(ACK, 101, 1, 0);
	cr_assert(conn()->snd_una == w.iss + 1 && conn()->rcv_nxt == w.irs + 1);
	cr_assert(get(100, 0) == -EAGAIN);
}

/* What Linux takes as exact besides: the right edge of what was sacked, and
 * the number of a FIN whose sender does not count it. */
Test(tcp_rfc5961, two_more_numbers_where_the_peer_may_stand)
{
	open_active();
	SEND(.flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
	SEND(.flags = ACK, .seq = 4001, .ack = 1, .len = 1000);
	skip();
	SEND(.flags = RST, .seq = 2001);
	expect(ACK, 1, 1, 0);
	cr_assert(w.last.num_sack == 2);
	cr_assert(state() == TCP_ESTABLISHED);
	SEND(.flags = RST, .seq = 5001);
	cr_assert(state() == TCP_CLOSE);
	leave();

	go_to(&places[3]);
	SEND(.flags = RST, .seq = 1);
	quiet();
	cr_assert(state() == TCP_CLOSE && sock_err() == EPIPE);
}

/* --- 4.2: SYN --- */

Test(tcp_rfc5961, a_syn_is_challenged_whatever_its_number)
{
	static const uint32_t at[] = {0, 1, 2, 1000, 70000, 1u << 31};

	for (size_t i = 0; i < ARRAY_SIZE(places) * ARRAY_SIZE(at); i++) {
		const struct place *p = &places[i / ARRAY_SIZE(at)];

		go_to(p);
		SEND(.flags = SYN | (i & 1 ? ACK : 0), .ack = p->snd,
		     .seq = at[i % ARRAY_SIZE(at)], .mss = 536, .len = 5);
		expect(ACK, p->snd, p->rcv, 0);
		quiet();
		cr_assert(state() == p->state && sock_err() == 0);
		cr_assert(conn()->mss_clamp == MSS);
		cr_assert(count(STAT_TcpExtTCPSYNChallenge) == 1);
		cr_assert(count(STAT_TcpExtTCPChallengeACK) == 1);
		leave();
	}
}

/* A peer that has started anew: the challenge tells it of us, its RST tells us
 * of that, and its next SYN finds a listener. */
Test(tcp_rfc5961, who_has_restarted_gets_in)
{
	open_active();
	SEND(.flags = SYN, .seq = 123456, .mss = MSS);
	expect(ACK, 1, 1, 0);
	SEND(.flags = RST, .seq = 1);
	cr_assert(state() == TCP_CLOSE);
	sock_close(w.st, w.s, w.now);
	open_listener(1);
	SEND(.flags = SYN, .seq = 123456, .mss = MSS);
	expect(SYN | ACK, 0, 123457, 0);
}

Test(tcp_rfc5961, a_syn_with_an_old_timestamp_is_challenged_too)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .has_ts = true,
				     .ts_val = 1000});
	SEND(.flags = SYN, .seq = 100, .mss = MSS, .has_ts = true,
	     .ts_val = 500);
	expect(ACK, 1, 1, 0);
	cr_assert(count(STAT_TcpExtTCPSYNChallenge) == 1);
	cr_assert(count(STAT_TcpExtPAWSEstab) == 0);
}

/* --- SYN-RECEIVED: the record of a SYN answers as a connection would --- */

Test(tcp_rfc5961, a_half_open_one_tells_where_it_stands)
{
	sockid l = open_listener(5), child;

	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = RST, .seq = 5); /* in the window */
	expect(ACK, 1, 1, 0);
	pass(SEC / 2 + 40 * MSEC);
	SEND(.flags = ACK, .seq = 100000, .ack = 1); /* outside */
	expect(ACK, 1, 1, 0);
	SEND(.flags = RST, .seq = 100000);
	quiet();
	SEND(.flags = ACK, .seq = 1, .ack = 77); /* of nothing of ours */
	expect(RST, 77, 0, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	cr_assert(sock_accept(w.st, l, &child, w.now) == 0);
	sock_close(w.st, child, w.now);
	skip();
}

Test(tcp_rfc5961, an_exact_reset_or_a_syn_ends_a_half_open_one)
{
	for (int i = 0; i < 2; i++) {
		open_listener(5);
		SEND(.flags = SYN, .mss = MSS);
		expect(SYN | ACK, 0, 1, 0);
		SEND(.flags = i ? SYN : RST, .seq = i ? 5 : 1);
		if (i)
			expect(RST | ACK, -w.iss, 6, 0);
		cr_assert(stack_timers_armed(w.st) == 0);
		leave();
	}
}

/* --- 5.2: ACK --- */

/* The window that the peer has offered is 50000: as much may have been
 * acknowledged since the segment left. */
Test(tcp_rfc5961, an_ack_is_of_the_last_window_or_no_ack)
{
	uint32_t una = 1, low;

	open_active();
	while (una < 90000) {
		put(10000, 0);
		skip();
		una = conn()->snd_nxt - w.iss;
		SEND(.flags = ACK, .seq = 1, .ack = una);
	}
	skip();
	low = una - 50000;
	put(100, 0);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = low, .len = 10);
	expect(ACK, una + 100, 11, 0); /* old, but its data is good */
	cr_assert(get(100, 0) == 10);
	SEND(.flags = ACK, .seq = 11, .ack = low - 1, .len = 10);
	expect(ACK, una + 100, 11, 0);
	cr_assert(get(100, 0) == -EAGAIN);
	pass(SEC / 2);
	skip();
	SEND(.flags = ACK, .seq = 11, .ack = una + 101, .len = 10);
	expect(ACK, una + 100, 11, 0);
	cr_assert(get(100, 0) == -EAGAIN);
	cr_assert(conn()->snd_una == w.iss + una);
	cr_assert(count(STAT_TcpExtTCPChallengeACK) == 2);
	cr_assert(dropped(DROP_TCP_BAD_ACK) == 2);
	SEND(.flags = ACK, .seq = 11, .ack = una + 100, .len = 10);
	cr_assert(get(100, 0) == 10);
}

/* Linux: nor can more have been acknowledged than was ever sent. */
Test(tcp_rfc5961, an_ack_from_before_the_connection)
{
	open_active();
	put(100, 0);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	quiet();
	SEND(.flags = ACK, .seq = 1, .ack = -2u);
	expect(ACK, 101, 1, 0);
	cr_assert(count(STAT_TcpExtTCPChallengeACK) == 1);
}

Test(tcp_rfc5961, the_window_is_counted_as_it_was_meant)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .has_wscale = true,
				     .wscale = 7});
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win = 1000);
	cr_assert(conn()->max_window == 128000);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win = 10);
	cr_assert(conn()->max_window == 128000);
	skip();
}

/* --- 7: not too many answers --- */

Test(tcp_rfc5961, one_challenge_in_half_a_second)
{
	open_active();
	for (int i = 0; i < 100; i++) {
		SEND(.flags = RST, .seq = 2 + (uint32_t)i);
		SEND(.flags = SYN, .seq = 2 + (uint32_t)i);
		SEND(.flags = ACK, .seq = 1, .ack = 1000);
		SEND(.flags = ACK, .seq = 0 - 50000u, .ack = 1);
	}
	expect(ACK, 1, 1, 0);
	quiet();
	pass(499 * MSEC);
	SEND(.flags = RST, .seq = 2);
	quiet();
	pass(MSEC);
	SEND(.flags = RST, .seq = 2);
	expect(ACK, 1, 1, 0);
	/* data is no part of a loop of ACKs */
	for (int i = 0; i < 3; i++) {
		SEND(.flags = ACK, .seq = 0 - 50000u, .ack = 1, .len = 10);
		expect(ACK, 1, 1, 0);
	}
	w.st->sysctl.tcp_invalid_ratelimit = 100; /* and it can be set */
	pass(100 * MSEC);
	SEND(.flags = RST, .seq = 2);
	expect(ACK, 1, 1, 0);
}

/* The same of one that is half open, where it is SYNs that come again. */
Test(tcp_rfc5961, syns_again_are_answered_twice_a_second)
{
	open_listener(5);
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	for (int i = 0; i < 10; i++)
		SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	quiet();
	pass(450 * MSEC);
	SEND(.flags = SYN, .mss = MSS);
	quiet();
	pass(90 * MSEC);
	SEND(.flags = SYN, .mss = MSS);
	expect(SYN | ACK, 0, 1, 0);
	w.st->sysctl.tcp_invalid_ratelimit = 0;
	for (int i = 0; i < 3; i++) {
		SEND(.flags = SYN, .mss = MSS);
		expect(SYN | ACK, 0, 1, 0);
	}
}

/* How many the host sends a second is by chance, or a stranger could find out
 * by what he gets whether his guess about another's connection was right. */
Test(tcp_rfc5961, the_ration_of_the_host_is_uncertain)
{
	uint64_t before = 0, seen[7] = {0};

	w.st->sysctl.tcp_challenge_ack_limit = 4;
	w.st->sysctl.tcp_invalid_ratelimit = 0;
	open_active();
	for (int second = 0; second < 40; second++) {
		uint64_t n;

		for (int i = 0; i < 20; i++)
			SEND(.flags = RST, .seq = 100);
		skip();
		n = count(STAT_TcpExtTCPChallengeACK) - before;
		before += n;
		cr_assert(n >= 2 && n <= 5);
		seen[n]++;
		pass(SEC);
	}
	cr_assert(seen[2] && seen[3] && seen[4] && seen[5]);
}
