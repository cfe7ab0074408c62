/* SPDX-License-Identifier: MIT
 *
 * RFC 7323: window scale, timestamps, what they are measured by and what they
 * protect from.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_rfc7323, .init = peer_init, .fini = peer_fini);

#define DAY (24 * 3600 * SEC)

/* Segments of ours, one after the other, beginning with @from. */
static void expect_segs(uint32_t from, uint32_t num)
{
	for (uint32_t i = 0; i < num; i++) {
		next();
		cr_assert(w.last.seq == from + i * MSS && w.last.len == MSS,
			  "seq %u len %u, wanted %u", w.last.seq, w.last.len,
			  from + i * MSS);
	}
}

static void ack_win(uint32_t ack, uint16_t win)
{
	SEND(.flags = ACK, .seq = 1, .ack = ack, .win = win, .win0 = !win);
}

/* --- 2: window scale --- */

static void open_scaled(uint8_t theirs)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .win = 5000,
				     .has_wscale = true,
				     .wscale = theirs});
}

Test(tcp_rfc7323, a_scale_of_none_is_offered_too)
{
	new_sock();
	set_opt(SOL_SOCKET, SO_RCVBUF, 8192);
	open_with(NULL);
	cr_assert(w.last.has_wscale && w.last.wscale == 0);
}

Test(tcp_rfc7323, both_windows_are_scaled_once_both_have_offered)
{
	open_scaled(7);
	cr_assert(w.last.win > 0); /* of our ACK: in units of 2^10 */
	cr_assert((uint32_t)w.last.win << 10 == conn()->rcv_wnd);
	/* the window of their SYN-ACK was not scaled */
	put(30000, 0);
	expect_segs(1, 5);
	quiet();
	/* that of all else is: 47 * 128 = 6016 */
	ack_win(5001, 47);
	expect_segs(5001, 6);
	quiet();
}

Test(tcp_rfc7323, the_window_of_a_syn_is_not_scaled)
{
	open_with(NULL);
	/* what is offered in the SYN, 64240, is what may be sent */
	cr_assert(w.last.has_wscale && w.last.wscale == 10);
	cr_assert(w.last.win == 64240 && conn()->rcv_wnd == 64240);
}

Test(tcp_rfc7323, neither_window_is_scaled_if_one_has_not_offered)
{
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = MSS, .win = 5000});
	cr_assert(w.last.win == conn()->rcv_wnd && w.last.win > 60000);
	put(30000, 0);
	expect_segs(1, 5);
	ack_win(5001, 3000);
	expect_segs(5001, 3);
	quiet();
}

Test(tcp_rfc7323, a_listener_answers_an_offer_and_only_that)
{
	sockid l = open_listener(4);

	SEND(.flags = SYN, .mss = MSS, .sport = 81);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(!w.last.has_wscale);
	SEND(.flags = RST, .seq = 1, .sport = 81);

	SEND(.flags = SYN, .mss = MSS, .has_wscale = true, .wscale = 3);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.has_wscale && w.last.wscale == 10);
	cr_assert(w.last.win == 64240); /* not scaled */
	ack_win(1, 300);
	cr_assert(sock_accept(w.st, l, &w.s, w.now) == 0);
	put(10000, 0);
	expect_segs(1, 2); /* 300 * 8 = 2400 */
	quiet();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win = 300, .len = 1000);
	next();
	cr_assert((uint32_t)w.last.win << 10 == conn()->rcv_wnd);
	skip();
}

Test(tcp_rfc7323, a_scale_is_heard_in_syns_only)
{
	open_scaled(2);
	put(30000, 0);
	expect_segs(1, 5);
	SEND(.flags = ACK, .seq = 1, .ack = 5001, .win = 500,
	     .has_wscale = true, .wscale = 14);
	expect_segs(5001, 2); /* 500 * 4 */
	quiet();
	ack_win(7001, 500);
	expect_segs(7001, 2);
	quiet();
}

Test(tcp_rfc7323, a_scale_beyond_14_is_14_and_is_told)
{
	char said[512];
	size_t n;

	w.st->core.log.level = LOG_INFO;
	w.st->sysctl.tcp_init_cwnd = 40;
	open_scaled(200);
	cr_assert(conn()->snd_wscale == 14);
	put(60000, 0);
	expect_segs(1, 5);
	ack_win(5001, 1); /* 16384 */
	expect_segs(5001, 16);
	quiet();
	n = stack_log_drain(w.st, said, sizeof(said) - 1);
	said[n] = '\0';
	cr_assert(strstr(said, "window scale 200"), "%s", said);
}

Test(tcp_rfc7323, our_own_scale_is_14_at_most)
{
	w.st->sysctl.tcp_rmem_max = INT32_MAX;
	open_with(NULL);
	cr_assert(w.last.wscale == 14);
}

/* 2.4: what was promised stays so, though the scale has coarser steps than what
 * comes in. */
Test(tcp_rfc7323, a_coarse_scale_takes_no_promise_back)
{
	uint32_t seq = 1, edge = 0;

	w.st->sysctl.tcp_rmem_max = INT32_MAX; /* steps of 16 KiB */
	open_scaled(0);
	edge = w.last.ack + ((uint32_t)w.last.win << 14);
	for (int i = 0; i < 500; i++) {
		uint32_t e;

		SEND(.flags = PSH | ACK, .seq = seq, .ack = 1, .len = 77);
		seq += 77;
		pass(250 * MSEC);
		next();
		cr_assert(w.last.ack == seq);
		e = w.last.ack + ((uint32_t)w.last.win << 14);
		cr_assert(seq_geq(e, edge), "%u, had been %u", e, edge);
		edge = e;
	}
	/* and is kept: up to its last byte */
	SEND(.flags = ACK, .seq = edge - 1000, .ack = 1, .len = 1000);
	cr_assert(conn()->num_ofo == 1);
	SEND(.flags = ACK, .seq = edge + 1, .ack = 1, .len = 1000);
	cr_assert(conn()->num_ofo == 1);
	cr_assert(dropped(DROP_TCP_OUT_OF_WINDOW) == 1);
	skip();
}

/* 2.4 on the side that sends: RFC 9293 3.8.6 */
Test(tcp_rfc7323, beyond_a_window_that_shrank_nothing_goes_out)
{
	open_active();
	put(20000, 0);
	expect_segs(1, 10);
	/* it takes back what lies beyond 2501 */
	ack_win(1001, 1500);
	quiet();
	pass(SEC);
	while (num_out()) { /* probe and timeout: the head alone */
		next();
		cr_assert(w.last.seq == 1001 && w.last.len == MSS);
	}
	/* 2001 to 3001 no longer fits, a part of it does */
	ack_win(2001, 1500);
	expect(ACK, 2001, 1, 1000);
	expect(ACK, 3001, 1, 500);
	quiet();
	ack_win(3501, 50000);
	next();
	cr_assert(w.last.seq == 3501);
	skip();
}

Test(tcp_rfc7323, a_window_that_shrank_to_nothing_is_probed_with_the_head)
{
	open_active();
	put(5000, 0);
	expect_segs(1, 5);
	pass(10 * MSEC);
	skip();
	ack_win(1001, 0);
	for (int i = 0; i < 4; i++) {
		pass(4 * SEC);
		while (num_out()) {
			next();
			cr_assert(w.last.seq == 1001 && w.last.len == MSS);
		}
		ack_win(1001, 0);
	}
	ack_win(5001, 50000);
	cr_assert(conn()->packets_out == 0);
}

/* --- 3: timestamps --- */

static void open_ts(uint32_t theirs)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS + 12,
				     .sack_ok = true,
				     .has_ts = true,
				     .ts_val = theirs});
	cr_assert(w.last.has_ts && w.last.ts_ecr == theirs);
}

static uint32_t ts(void)
{
	return tcp_ts_now(conn()->ts_off, w.now);
}

/* @num bytes at @seq, stamped @val. */
static void data_ts(uint32_t seq, uint32_t num, uint32_t val)
{
	SEND(.flags = ACK, .seq = seq, .ack = 1, .len = num, .has_ts = true,
	     .ts_val = val);
}

Test(tcp_rfc7323, our_syn_offers_a_stamp_and_echoes_none)
{
	open_with(NULL);
	cr_assert(w.last.has_ts && w.last.ts_ecr == 0);
}

Test(tcp_rfc7323, a_listener_stamps_if_the_syn_was)
{
	open_listener(4);
	SEND(.flags = SYN, .mss = MSS, .sport = 81);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(!w.last.has_ts);
	SEND(.flags = RST, .seq = 1, .sport = 81);
	/* what a SYN echoes means nothing */
	SEND(.flags = SYN, .mss = MSS, .has_ts = true, .ts_val = 7,
	     .ts_ecr = 0xdeadbeef);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.has_ts && w.last.ts_ecr == 7);
	SEND(.flags = RST, .seq = 1);
}

Test(tcp_rfc7323, what_a_crossing_syn_echoes_means_nothing)
{
	open_with(NULL);
	SEND(.flags = SYN, .mss = MSS, .has_ts = true, .ts_val = 7,
	     .ts_ecr = 0xdeadbeef);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.has_ts && w.last.ts_ecr == 7);
	cr_assert(conn()->srtt == 0);
	SEND(.flags = RST, .seq = 1);
}

/* Once agreed on, it is in everything but a RST, and in that where we end. */
Test(tcp_rfc7323, every_segment_has_one)
{
	struct linger l = {.l_onoff = 1, .l_linger = 0};

	open_ts(1000);
	put(3000, 0);
	for (int i = 0; i < 3; i++) {
		next();
		cr_assert(w.last.len == MSS && w.last.has_ts &&
			  w.last.ts_val == ts() && w.last.ts_ecr == 1000);
	}
	pass(3 * SEC); /* probe and resends */
	cr_assert(num_out() >= 3);
	while (num_out()) {
		next();
		cr_assert(w.last.has_ts && w.last.ts_ecr == 1000);
	}
	SEND(.flags = ACK, .seq = 1, .ack = 3001, .win0 = true, .has_ts = true,
	     .ts_val = 1001, .ts_ecr = ts());
	put(1000, 0);
	pass(SEC); /* of a closed window */
	expect(ACK, 3000, 1, 0);
	cr_assert(w.last.has_ts && w.last.ts_ecr == 1001);
	data_ts(1, 100, 1002); /* an ACK */
	skip();
	data_ts(301, 100, 1003);
	next();
	cr_assert(w.last.num_sack && w.last.has_ts);
	sock_setopt(w.st, w.s, SOL_SOCKET, SO_LINGER, &l, sizeof(l), w.now);
	sock_close(w.st, w.s, w.now);
	next();
	cr_assert(w.last.flags & RST && w.last.has_ts);
}

Test(tcp_rfc7323, a_fin_has_one)
{
	open_ts(1000);
	sock_shutdown(w.st, w.s, SHUT_WR, w.now);
	expect(FIN | ACK, 1, 1, 0);
	cr_assert(w.last.has_ts && w.last.ts_ecr == 1000);
}

/* 5.2 would have one; Linux has none. */
Test(tcp_rfc7323, a_reset_for_nobody_has_none)
{
	SEND(.flags = ACK, .seq = 10, .ack = 20, .has_ts = true, .ts_val = 7);
	expect(RST, 20, 0, 0);
	cr_assert(!w.last.has_ts);
}

/* 3.2 would drop it silently; Linux takes it. It never ends a connection. */
Test(tcp_rfc7323, what_lacks_one_is_taken)
{
	open_ts(1000);
	SEND(.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10);
	expect(ACK, 1, 11, 0);
	cr_assert(w.last.ts_ecr == 1000);
	cr_assert(get(100, 0) == 10);
	data_ts(11, 10, 1005);
	expect(ACK, 1, 21, 0);
	cr_assert(w.last.ts_ecr == 1005);
}

Test(tcp_rfc7323, what_was_not_agreed_on_is_ignored)
{
	open_active();
	data_ts(1, 10, 1000);
	expect(ACK, 1, 11, 0);
	cr_assert(!w.last.has_ts);
	data_ts(11, 10, 5); /* nothing is compared either */
	expect(ACK, 1, 21, 0);
	cr_assert(get(100, 0) == 20);
}

/* --- 4: round trips --- */

Test(tcp_rfc7323, the_clock_has_milliseconds)
{
	uint32_t first;

	open_ts(1000);
	put(1000, 0);
	next();
	first = w.last.ts_val;
	SEND(.flags = ACK, .seq = 1, .ack = 1001, .has_ts = true,
	     .ts_val = 1001, .ts_ecr = first);
	pass(12345 * MSEC);
	put(1000, 0);
	next();
	cr_assert(w.last.ts_val == first + 12345);
	skip();
}

Test(tcp_rfc7323, only_what_acknowledges_is_a_round_trip)
{
	uint32_t first;
	nsec srtt;

	open_ts(1000);
	first = ts();
	pass(50 * MSEC);
	put(2000, 0);
	skip();
	pass(50 * MSEC);
	srtt = conn()->srtt;
	/* data of theirs with an old echo */
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 10, .has_ts = true,
	     .ts_val = 1050, .ts_ecr = first);
	cr_assert(conn()->srtt == srtt);
	SEND(.flags = ACK, .seq = 11, .ack = 1, .has_ts = true, .ts_val = 1051,
	     .ts_ecr = first);
	cr_assert(conn()->srtt == srtt);
	SEND(.flags = ACK, .seq = 11, .ack = 2001, .has_ts = true,
	     .ts_val = 1052, .ts_ecr = ts() - 50);
	cr_assert(conn()->srtt != srtt);
	skip();
}

/* 4.2: many samples of one round trip do not wipe out what was before it. */
Test(tcp_rfc7323, many_samples_of_one_round_trip_count_little)
{
	nsec before;

	w.st->sysctl.tcp_init_cwnd = 40;
	open_ts(1000);
	conn()->srtt = conn()->min_rtt = 100 * MSEC;
	conn()->rttvar = conn()->mdev_max = 200 * MSEC;
	conn()->rtt_seq = conn()->snd_nxt;
	put(40000, 0);
	skip();
	before = conn()->rttvar;
	pass(100 * MSEC);
	for (uint32_t i = 1; i <= 40; i++)
		SEND(.flags = ACK, .seq = 1, .ack = 1 + i * MSS, .has_ts = true,
		     .ts_val = 1100, .ts_ecr = ts() - 100);
	cr_assert(conn()->rttvar >= before * 3 / 4, "%lld",
		  (long long)conn()->rttvar);
	skip();
}

/* 4.3, (A) */
Test(tcp_rfc7323, a_delayed_ack_echoes_the_first)
{
	open_ts(1000);
	conn()->quick = 0;
	conn()->ato = TCP_DELACK_MIN;
	data_ts(1, 10, 1001);
	data_ts(11, 10, 1002);
	data_ts(21, 10, 1003);
	quiet();
	pass(SEC);
	expect(ACK, 1, 31, 0);
	cr_assert(w.last.ts_ecr == 1001);
	data_ts(31, 10, 1010);
	pass(SEC);
	expect(ACK, 1, 41, 0);
	cr_assert(w.last.ts_ecr == 1010);
}

/* 4.3, (B) and (C): the RFC's own example */
Test(tcp_rfc7323, a_hole_echoes_what_was_before_it_and_then_what_filled_it)
{
	static const struct {
		uint32_t seq, val, ack, ecr;
	} v[] = {
		{1, 1, 101, 1},	  {201, 3, 101, 1}, {101, 2, 301, 2},
		{401, 5, 301, 2}, {301, 4, 501, 4},
	};

	open_ts(0);
	for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
		data_ts(v[i].seq, 100, v[i].val);
		expect(ACK, 1, v[i].ack, 0);
		cr_assert(w.last.ts_ecr == v[i].ecr, "%u: %u", i,
			  w.last.ts_ecr);
	}
}

/* --- 5: old duplicates --- */

Test(tcp_rfc7323, what_is_old_is_refused_before_its_number_is_looked_at)
{
	open_ts(1000);
	data_ts(1, 10, 1010);
	expect(ACK, 1, 11, 0);
	data_ts(11, 10, 900); /* in order, but old */
	expect(ACK, 1, 11, 0);
	cr_assert(count(STAT_TcpExtPAWSEstab) == 1);
	data_ts(0x40000000, 10, 900); /* nowhere, and old */
	expect(ACK, 1, 11, 0);
	cr_assert(count(STAT_TcpExtPAWSEstab) == 2);
	cr_assert(dropped(DROP_TCP_OUT_OF_WINDOW) == 0);
	/* an ACK that is late: nobody waits for an answer, finds Linux 6.18 */
	pass(SEC);
	SEND(.flags = ACK, .seq = 5, .ack = 1, .has_ts = true, .ts_val = 900);
	quiet();
	cr_assert(count(STAT_TcpExtPAWSEstab) == 2);
	cr_assert(count(STAT_TcpExtPAWSOldAck) == 1);
	cr_assert(dropped(DROP_TCP_PAWS) == 3);
	cr_assert(get(100, 0) == 10);
}

/* 5.2 compares as sequence numbers do */
Test(tcp_rfc7323, stamps_wrap)
{
	open_ts(0xfffffff0);
	data_ts(1, 10, 0x10);
	expect(ACK, 1, 11, 0);
	cr_assert(w.last.ts_ecr == 0x10);
	data_ts(11, 10, 0xfffffff8);
	expect(ACK, 1, 11, 0);
	cr_assert(count(STAT_TcpExtPAWSEstab) == 1);
}

/* What is kept for it never goes back, whatever order segments come in. */
Test(tcp_rfc7323, the_stamp_that_is_kept_never_goes_back)
{
	uint32_t recent = 1000, x = 1;

	open_ts(1000);
	for (int i = 0; i < 300; i++) {
		uint32_t off, val;

		x = x * 1664525 + 1013904223;
		off = (x >> 16) % 50 * 10;
		val = recent - 5 + (x >> 8) % 12;
		data_ts(1 + off, 10, val);
		cr_assert((int32_t)(conn()->ts_recent - recent) >= 0);
		recent = conn()->ts_recent;
		skip();
	}
}

Test(tcp_rfc7323, a_reset_is_not_asked_for_its_age)
{
	open_ts(1000);
	/* one that is not exact tells nothing, its stamp neither */
	SEND(.flags = RST, .seq = 2, .has_ts = true, .ts_val = 5000);
	expect(ACK, 1, 1, 0); /* RFC 5961 3.2 */
	cr_assert(w.last.ts_ecr == 1000);
	SEND(.flags = RST, .seq = 1, .has_ts = true, .ts_val = 1);
	cr_assert(sock_err() == ECONNRESET);
	cr_assert(count(STAT_TcpExtPAWSEstab) == 0);
}

/* 5.3: what waits for a hole was judged as it came. */
Test(tcp_rfc7323, what_is_queued_is_not_judged_again)
{
	open_ts(1);
	data_ts(1, 100, 1);
	for (uint32_t i = 2; i < 20; i++)
		data_ts(1 + i * 100, 100, 1);
	skip();
	data_ts(101, 100, 50); /* sent again, later */
	expect(ACK, 1, 2001, 0);
	cr_assert(w.last.ts_ecr == 50);
	for (int n, got = 0; got < 2000; got += n) {
		n = get(65536, 0);
		cr_assert(n > 0);
	}
}

/* 5.5 */
Test(tcp_rfc7323, a_stamp_is_out_of_date_after_24_days)
{
	open_ts(0x80000000);
	pass(23 * DAY);
	data_ts(1, 10, 0x70000000);
	expect(ACK, 1, 1, 0);
	cr_assert(count(STAT_TcpExtPAWSEstab) == 1);
	pass(2 * DAY);
	data_ts(1, 10, 0x70000000);
	expect(ACK, 1, 11, 0);
	cr_assert(w.last.ts_ecr == 0x70000000);
}

/* 5.4 and 7: by host pair, as Linux, and not the time since the host began. */
Test(tcp_rfc7323, each_peer_sees_another_clock)
{
	struct tcp_key a = {0}, b;
	struct tcp *t;

	open_ts(1);
	t = w.st->tp.tcp;
	ip_addr_parse("10.0.0.1", &a.laddr);
	ip_addr_parse("10.0.0.2", &a.raddr);
	a.lport = STACK_PORT;
	a.rport = PEER_PORT;
	b = a;
	b.rport++;
	cr_assert(tcp_ts_off(t, &a) == tcp_ts_off(t, &b));
	ip_addr_parse("10.0.0.3", &b.raddr);
	cr_assert(tcp_ts_off(t, &a) != tcp_ts_off(t, &b));
	put(10, 0);
	next();
	cr_assert(w.last.ts_val ==
		  (uint32_t)(w.now / MSEC) + tcp_ts_off(t, &a));
	cr_assert(tcp_ts_off(t, &a) != 0);
}
