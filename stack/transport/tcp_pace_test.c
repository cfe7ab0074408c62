/* SPDX-License-Identifier: MIT
 *
 * Pacing in time: the trace of a rate, of its resends, of late timers.
 */
#include "transport/tcp_conn.h"
#include "transport/tcp_info.h"
#include "transport/tcp_world.h"

TestSuite(tcp_pace, .init = peer_init, .fini = peer_fini);

#define RTT (100 * MSEC)

static void ack(uint32_t n)
{
	SEND(.flags = ACK, .seq = 1, .ack = n);
}

static void expect_segs(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		next();
		cr_assert(w.last.seq == i * MSS + 1 && w.last.len == MSS,
			  "seq %u len %u, wanted segment %u", w.last.seq,
			  w.last.len, i);
	}
}

static void fill(uint32_t n)
{
	while (n) {
		int k = put(n, 0);

		cr_assert(k > 0);
		n -= (uint32_t)k;
	}
}

static void limit_rate(uint32_t bytes_per_s)
{
	cr_assert(set_opt(SOL_SOCKET, SO_MAX_PACING_RATE, (int)bytes_per_s) ==
		  0);
}

/* The initial window is out and acknowledged; the clock of pacing runs. */
static void open_paced(uint32_t bytes_per_s, nsec rtt)
{
	open_active();
	/* as many samples of one round trip would leave it */
	conn()->srtt = conn()->min_rtt = rtt;
	conn()->mdev = conn()->mdev_max = conn()->rttvar = rtt / 2;
	tcp_rto_update(conn());
	limit_rate(bytes_per_s);
	fill(40000);
	expect_segs(0, 10);
	quiet();
	pass(rtt);
	ack(10001);
}

/* What the timers would do by now, but late. */
static void wake_late(nsec t)
{
	w.now += t;
	stack_tick(w.st, 64, w.now);
}

Test(tcp_pace, one_segment_every_ten_milliseconds)
{
	open_paced(100000, RTT);
	expect_segs(10, 11); /* at once: the last one is long ago */
	quiet();
	pass(5 * MSEC - 1); /* half a frame is credited */
	quiet();
	pass(1);
	expect_segs(11, 12);
	for (uint32_t i = 12; i < 20; i++) {
		pass(10 * MSEC - 1);
		quiet();
		pass(1);
		expect_segs(i, i + 1);
	}
}

Test(tcp_pace, no_rate_no_pace)
{
	open_active();
	fill(40000);
	expect_segs(0, 10);
	pass(RTT);
	ack(10001);
	expect_segs(10, 30);
	cr_assert(conn()->at[TCP_T_PACE] == TIME_NEVER);
}

Test(tcp_pace, a_rate_set_before_connect_holds_and_is_told)
{
	struct tcp_info_all info;
	struct ep *e;

	new_sock();
	limit_rate(100000);
	open_active();
	cr_assert(conn()->is_paced && conn()->pacing_rate == 100000);
	e = ep_find(&w.st->tp, w.s);
	tcp_get_info(e, &info, w.now);
	cr_assert(info.i.tcpi_pacing_rate == 100000);
	cr_assert(info.i.tcpi_max_pacing_rate == 100000);
}

Test(tcp_pace, it_is_no_limit_of_the_window_or_the_application)
{
	uint32_t cwnd;

	open_paced(100000, RTT);
	cwnd = conn()->cc.cwnd;
	expect_segs(10, 11);
	for (uint32_t i = 11; i < 20; i++) {
		pass(10 * MSEC);
		expect_segs(i, i + 1);
		cr_assert(!conn()->is_cwnd_limited && !conn()->app_limited);
		ack(i * MSS + 1);
	}
	/* a window that is not filled does not grow: RFC 7661 */
	cr_assert(conn()->cc.cwnd == cwnd);
}

Test(tcp_pace, short_frames_go_in_quanta_at_the_same_rate)
{
	uint32_t n = 10;

	open_paced(2000000, 5 * MSEC); /* 0.5 ms each */
	for (unsigned ms = 0; ms < 6; ms++) {
		unsigned k = num_out();

		cr_assert(k >= 1 && k <= 3, "%u", k);
		expect_segs(n, n + k);
		n += k;
		pass(MSEC);
	}
	cr_assert(n >= 21 && n <= 24, "%u", n);
}

Test(tcp_pace, what_a_late_timer_missed_is_sent_then_up_to_a_bound)
{
	open_paced(2000000, 5 * MSEC);
	skip();
	pass(2 * MSEC);
	skip();
	wake_late(1500 * USEC); /* a wait of 1 ms, half of one late */
	cr_assert(num_out() >= 2 && num_out() <= 4, "%u", num_out());
	skip();
	wake_late(40 * MSEC); /* a process that stood still */
	cr_assert(num_out() == 4 || num_out() == 5, "%u", num_out());
}

/* 60 segments are a millisecond's, 32 go in one turn of the loop: what is left
 * of them goes in the next. */
Test(tcp_pace, a_turn_that_ends_early_loses_nothing)
{
	unsigned n = 0;

	open_paced(60000000, 5 * MSEC);
	conn()->cc.cwnd = 2000;
	conn()->pacing_rate = 60000000;
	conn()->snd_wnd = conn()->max_window = 3000000;
	conn()->ep->sndbuf = 4000000;
	fill(2000000);
	skip();
	pass(2 * MSEC);
	skip();
	for (int ms = 0; ms < 10; ms++) {
		pass(MSEC);
		n += num_out();
		skip();
	}
	cr_assert(n >= 590 && n <= 610, "%u", n);
}

Test(tcp_pace, resends_keep_the_pace)
{
	open_paced(100000, RTT);
	expect_segs(10, 11);
	for (uint32_t i = 11; i < 20; i++) {
		pass(10 * MSEC);
		expect_segs(i, i + 1);
	}
	pass(10 * MSEC);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 10001, .num_sack = 1,
	     .sack = {{14001, 20001}});
	quiet(); /* four are lost: not all at once, not even the first */
	pass(20 * MSEC);
	cr_assert(num_out() == 2 && conn()->retrans_out >= 1);
	skip();
	pass(10 * MSEC);
	cr_assert(num_out() == 1);
	skip();
	pass(30 * MSEC);
	cr_assert(conn()->retrans_out == 4 && num_out() == 3);
}

Test(tcp_pace, slower_than_the_probe_timer)
{
	open_paced(1000, RTT); /* one a second */
	for (uint32_t i = 10; i < 16; i++) {
		quiet();
		pass(SEC);
		expect_segs(i, i + 1);
		ack((i + 1) * MSS + 1);
	}
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	cr_assert(count(STAT_TcpRetransSegs) == 0);
}

Test(tcp_pace, the_last_frame_and_its_fin_are_paced_and_no_timer_is_left)
{
	open_paced(100000, RTT);
	pass(2 * SEC);
	skip();
	while (conn()->snd_una != conn()->write_seq) {
		ack(conn()->snd_nxt - w.iss);
		pass(SEC);
		skip();
	}
	cr_assert(conn()->at[TCP_T_PACE] == TIME_NEVER);
	cr_assert(put(1500, 0) == 1500);
	cr_assert(sock_shutdown(w.st, w.s, SHUT_WR, w.now) == 0);
	cr_assert(num_out() == 1);
	pass(10 * MSEC);
	cr_assert(num_out() == 2);
	next();
	next();
	cr_assert(w.last.len == 500 && w.last.flags & FIN);
}

Test(tcp_pace, a_frame_is_a_millisecond_where_the_device_cuts,
     .init = peer_init_tso)
{
	open_active();
	w.st->sysctl.tcp_tso_rtt_log = 0;
	limit_rate(4096000);
	conn()->cc.cwnd = 40;
	fill(40000);
	skip();
	pass(MSEC);
	skip();
	for (int i = 0; i < 5; i++) {
		pass(MSEC);
		next();
		cr_assert(w.last.len == 4000, "%u", w.last.len);
		quiet();
	}
}

/* --- what a congestion control asks for --- */

static void set_cc(const char *name)
{
	cr_assert(sock_setopt(w.st, w.s, IPPROTO_TCP, TCP_CONGESTION, name,
			      (socklen_t)strlen(name), w.now) == 0);
}

static socklen_t cc_info(uint32_t v[8])
{
	socklen_t len = 32;

	cr_assert(sock_getopt(w.st, w.s, IPPROTO_TCP, TCP_CC_INFO, v, &len,
			      w.now) == 0);
	return len;
}

static void open_bbr(void)
{
	if (!w.s)
		new_sock();
	set_cc("bbr");
	open_with(NULL);
	pass(RTT);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true);
	expect(ACK, 1, 1, 0);
}

Test(tcp_pace, bbr_paces_and_tells_its_model)
{
	uint32_t v[8];
	unsigned n;

	new_sock();
	cr_assert(cc_info(v) == 0); /* cubic has nothing to say */
	open_bbr();
	cr_assert(conn()->is_paced);
	/* 2.89 windows a round trip */
	cr_assert(conn()->pacing_rate > 280000 && conn()->pacing_rate < 289000,
		  "%llu", (unsigned long long)conn()->pacing_rate);
	fill(40000);
	expect_segs(0, 10);
	pass(RTT);
	ack(10001);
	pass(2 * MSEC);
	n = num_out();
	cr_assert(n >= 1 && n <= 2, "%u", n); /* 3.5 ms each */
	pass(20 * MSEC);
	cr_assert(num_out() >= 5 && num_out() <= 8, "%u", num_out());
	cr_assert(cc_info(v) == 20);
	cr_assert(v[2] == RTT / USEC && v[3] == 739 && v[4] == 739);
	/* 10 segments in 100 ms */
	cr_assert(v[0] > 99000 && v[0] <= 100000 && v[1] == 0, "%u", v[0]);
}

Test(tcp_pace, bbr_keeps_its_window_when_idle)
{
	uint32_t cwnd;

	open_bbr();
	fill(10000);
	expect_segs(0, 10);
	pass(RTT);
	ack(10001);
	cwnd = conn()->cc.cwnd;
	cr_assert(cwnd == 20);
	pass(5 * SEC);
	fill(1000);
	expect_segs(10, 11);
	cr_assert(conn()->cc.cwnd == cwnd);
}

Test(tcp_pace, from_bbr_to_cubic_and_back)
{
	open_bbr();
	fill(20000);
	expect_segs(0, 10);
	pass(RTT);
	set_cc("cubic");
	ack(10001);
	cr_assert(conn()->cc.id == CC_CUBIC && conn()->is_paced);
	pass(RTT);
	skip();
	set_cc("bbr");
	ack(conn()->snd_nxt - w.iss);
	pass(RTT);
	cr_assert(conn()->cc.id == CC_BBR && conn()->cc.cwnd >= 4);
}

Test(tcp_pace, bbr_after_a_timeout_sends_one_and_has_its_window_back)
{
	uint32_t cwnd;

	open_bbr();
	fill(40000);
	expect_segs(0, 10);
	pass(RTT);
	ack(10001);
	cwnd = conn()->cc.cwnd;
	pass(3 * SEC);
	cr_assert(conn()->ca == CA_LOSS);
	cr_assert(count(STAT_TcpExtTCPTimeouts) >= 1);
	cr_assert(conn()->cc.cwnd <= 4);
	while (conn()->ca == CA_LOSS) {
		ack(conn()->snd_una - w.iss + MSS);
		pass(10 * MSEC);
	}
	skip();
	cr_assert(conn()->cc.cwnd >= cwnd, "%u, was %u", conn()->cc.cwnd, cwnd);
}
