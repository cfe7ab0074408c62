/* SPDX-License-Identifier: MIT
 *
 * What packetdrill's scripts leave out, as scripts of our own: each a packet
 * trace with its times. The RFC is in front of each group; docs/rfc.d has the
 * rows.
 */
#include <errno.h>
#include <netinet/tcp.h>

#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_script, .init = peer_init, .fini = peer_fini);

#define RTT (100 * MSEC)
#define SEG(n) ((n)*MSS + 1)

static void close_now(void)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	sock_connect(w.st, w.s, &nobody, sizeof(nobody), w.now);
	skip();
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
}

static void ack(uint32_t n)
{
	SEND(.flags = ACK, .seq = 1, .ack = n);
}

static void sacked(uint32_t n, uint32_t start, uint32_t end)
{
	SEND(.flags = ACK, .seq = 1, .ack = n, .num_sack = 1,
	     .sack = {{start, end}});
}

static void know_rtt(void)
{
	conn()->srtt = conn()->min_rtt = RTT;
	conn()->mdev = conn()->mdev_max = conn()->rttvar = 50 * MSEC;
	tcp_rto_update(conn());
	cr_assert(conn()->rto == 3 * RTT);
}

/* Connected, a round trip known; @sack: the peer can. */
static void open_rtt(bool sack)
{
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = sack});
	know_rtt();
}

/* The stack's next @n segments, from the @from-th on. */
static void expect_segs(uint32_t from, uint32_t n)
{
	for (uint32_t i = from; i < from + n; i++) {
		next();
		cr_assert(w.last.seq == SEG(i) && w.last.len == MSS,
			  "seq %u len %u, wanted segment %u", w.last.seq,
			  w.last.len, i);
	}
}

static void expect_sack(unsigned i, uint32_t start, uint32_t end)
{
	cr_assert(w.last.num_sack > i && w.last.sack[i].start == start &&
			  w.last.sack[i].end == end,
		  "block %u of %u: %u-%u", i, w.last.num_sack,
		  w.last.sack[i].start, w.last.sack[i].end);
}

/* --- RFC 2883: D-SACK of the receiver --- */

/* 4.1.1: a whole segment, and nothing is missing */
Test(tcp_script, a_segment_that_came_twice)
{
	open_active();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 1000);
	expect(ACK, 1, 1001, 0);
	cr_assert(w.last.num_sack == 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 1000);
	expect(ACK, 1, 1001, 0);
	cr_assert(w.last.num_sack == 1);
	expect_sack(0, 1, 1001);
	/* once: the next ACK says no more of it */
	SEND(.flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
	expect(ACK, 1, 2001, 0);
	cr_assert(w.last.num_sack == 0);
	close_now();
}

/* 4.1.2: what came twice first, then what is held above the hole */
Test(tcp_script, twice_above_a_hole)
{
	open_active();
	SEND(.flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
	expect(ACK, 1, 1, 0);
	expect_sack(0, 1001, 2001);
	SEND(.flags = ACK, .seq = 2001, .ack = 1, .len = 1000);
	expect(ACK, 1, 1, 0);
	expect_sack(0, 1001, 3001);
	SEND(.flags = ACK, .seq = 2001, .ack = 1, .len = 1000);
	expect(ACK, 1, 1, 0);
	cr_assert(w.last.num_sack == 2);
	expect_sack(0, 2001, 3001);
	expect_sack(1, 1001, 3001);
	close_now();
}

/* 4.2.1: of a segment that is half old, the old half */
Test(tcp_script, half_of_a_segment_came_twice)
{
	open_active();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 1000);
	expect(ACK, 1, 1001, 0);
	SEND(.flags = ACK, .seq = 501, .ack = 1, .len = 1000);
	expect(ACK, 1, 1501, 0);
	expect_sack(0, 501, 1001);
	close_now();
}

Test(tcp_script, no_dsack_when_it_is_switched_off)
{
	w.st->sysctl.tcp_dsack = 0;
	open_active();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 1000);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .len = 1000);
	expect(ACK, 1, 1001, 0);
	cr_assert(w.last.num_sack == 0);
	close_now();
}

/* Both open at once: the SYN that comes again with the ACK of ours */
Test(tcp_script, a_crossing_syn_that_came_twice)
{
	open_with(NULL);
	SEND(.flags = SYN, .mss = MSS, .sack_ok = true);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = true);
	expect(ACK, 1, 1, 0);
	expect_sack(0, 0, 1);
	cr_assert(conn()->state == TCPS_ESTABLISHED);
	close_now();
}

/* --- RFC 5682: F-RTO without SACK --- */

static void into_timeout(void)
{
	put(4000, 0);
	expect_segs(0, 4);
	put(4000, 0);
	expect_segs(4, 4);
	pass(3 * RTT + MSEC);
	expect_segs(0, 1); /* the timeout's */
	cr_assert(conn()->ca == CA_LOSS);
}

/* 2.1: both ACKs are of what was sent before: nothing was lost */
Test(tcp_script, a_timeout_that_came_too_early)
{
	open_rtt(false);
	into_timeout();
	put(4000, 0);
	quiet();
	ack(SEG(1));
	/* step 2.b: two new ones, not what is thought lost */
	expect_segs(8, 2);
	ack(SEG(2));
	cr_assert(conn()->ca == CA_OPEN);
	cr_assert(count(STAT_TcpExtTCPSpuriousRTOs) == 1);
	cr_assert(conn()->cc.cwnd >= 10);
	skip();
	ack(SEG(12));
	quiet();
	cr_assert(count(STAT_TcpRetransSegs) == 1);
	close_now();
}

/* step 3.a: a duplicate says that there was a loss after all */
Test(tcp_script, a_timeout_that_was_right)
{
	open_rtt(false);
	into_timeout();
	put(4000, 0);
	quiet();
	ack(SEG(1));
	expect_segs(8, 2);
	ack(SEG(1));
	cr_assert(conn()->ca == CA_LOSS && !conn()->frto);
	expect_segs(1, 1);
	skip();
	ack(SEG(10));
	skip();
	cr_assert(count(STAT_TcpExtTCPSpuriousRTOs) == 0);
	close_now();
}

/* step 2.b: nothing new to send, so what is lost goes */
Test(tcp_script, a_timeout_with_nothing_new_to_send)
{
	open_rtt(false);
	into_timeout();
	ack(SEG(1));
	expect_segs(1, 2);
	cr_assert(!conn()->frto);
	skip();
	ack(SEG(8));
	quiet();
	close_now();
}

/* --- RFC 3522, 4015: the Eifel algorithm --- */

static uint32_t ts(void)
{
	return tcp_ts_now(conn()->ts_off, w.now);
}

/* After a timeout an ACK echoes the first copy's stamp: it was not lost, and
 * what the timeout took is given back. */
Test(tcp_script, a_stamp_older_than_the_resend)
{
	uint32_t first, cwnd;

	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS + 12,
				     .sack_ok = true,
				     .has_ts = true,
				     .ts_val = 1});
	know_rtt();
	w.st->sysctl.tcp_frto = 0;
	put(2000, 0);
	expect_segs(0, 2);
	first = ts();
	cwnd = conn()->cc.cwnd;
	pass(2 * RTT + 5 * MSEC);
	expect_segs(1, 1); /* the probe */
	pass(3 * RTT + 5 * MSEC);
	expect_segs(0, 1);
	cr_assert(conn()->ca == CA_LOSS && conn()->cc.cwnd == 1);
	SEND(.flags = ACK, .seq = 1, .ack = 2001, .has_ts = true, .ts_val = 3,
	     .ts_ecr = first);
	cr_assert(conn()->ca == CA_OPEN);
	cr_assert(conn()->cc.cwnd >= cwnd);
	cr_assert(conn()->cc.ssthresh == CC_SSTHRESH_NONE);
	close_now();
}

/* The resend's own stamp: it was needed. */
Test(tcp_script, a_stamp_of_the_resend)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS + 12,
				     .sack_ok = true,
				     .has_ts = true,
				     .ts_val = 1});
	know_rtt();
	w.st->sysctl.tcp_frto = 0;
	put(2000, 0);
	expect_segs(0, 2);
	pass(2 * RTT + 5 * MSEC);
	expect_segs(1, 1);
	pass(3 * RTT + 5 * MSEC);
	expect_segs(0, 1);
	pass(RTT);
	SEND(.flags = ACK, .seq = 1, .ack = 2001, .has_ts = true, .ts_val = 3,
	     .ts_ecr = ts() - (uint32_t)(RTT / MSEC));
	cr_assert(conn()->cc.ssthresh < CC_SSTHRESH_NONE);
	cr_assert(count(STAT_TcpExtTCPFullUndo) == 0);
	close_now();
}

/* --- RFC 6937 and its successor: proportional rate reduction --- */

/* One new segment goes out for every one that is delivered while the pipe is
 * above the threshold, less the share that the window falls by; and recovery
 * ends at the threshold. */
Test(tcp_script, the_window_falls_with_what_is_delivered)
{
	uint32_t sent = 0;

	open_rtt(true);
	w.st->sysctl.tcp_recovery = 0;
	put(30000, 0);
	expect_segs(0, 10);
	pass(RTT);
	sacked(1, SEG(1), SEG(2));
	sacked(1, SEG(1), SEG(3));
	skip(); /* limited transmit */
	sacked(1, SEG(1), SEG(4));
	cr_assert(conn()->ca == CA_RECOVERY && conn()->cc.ssthresh == 7);
	expect_segs(0, 1);
	skip();
	for (uint32_t i = 5; i <= 10; i++) {
		sacked(1, SEG(1), SEG(i));
		sent += num_out();
		skip();
		cr_assert(tcp_in_flight(conn()) >= 7 - 1);
	}
	cr_assert(sent >= 3 && sent <= 6, "%u", sent);
	ack(conn()->snd_nxt - w.iss);
	cr_assert(conn()->ca == CA_OPEN && conn()->cc.cwnd >= 7 &&
		  conn()->cc.cwnd <= 10);
	skip();
	close_now();
}

/* --- RFC 7765: RTO restart --- */

static nsec until_resent(uint32_t n)
{
	nsec from = w.now;

	while (!num_out() && w.now - from < SEC)
		pass(MSEC);
	expect_segs(n, 1);
	return w.now - from;
}

static nsec timeout_of_a_tail(int restart)
{
	w.st->sysctl.tcp_rto_restart = restart;
	w.st->sysctl.tcp_early_retrans = 0; /* no loss probe */
	open_rtt(false);
	put(2000, 0);
	expect_segs(0, 2);
	pass(RTT);
	ack(SEG(1)); /* the second is lost */
	conn()->rto = 3 * RTT;
	tcp_timer_rtx_restart(conn(), w.now);
	tcp_timer_sync(conn());
	return until_resent(1);
}

Test(tcp_script, a_timeout_counts_from_the_last_ack)
{
	nsec t = timeout_of_a_tail(0);

	cr_assert(t >= 3 * RTT && t <= 3 * RTT + MSEC);
	ack(SEG(2));
	close_now();
}

Test(tcp_script, a_timeout_counts_from_the_sending)
{
	nsec t = timeout_of_a_tail(1);

	cr_assert(t >= 2 * RTT && t <= 2 * RTT + MSEC);
	ack(SEG(2));
	close_now();
}

Test(tcp_script, not_with_four_in_flight)
{
	w.st->sysctl.tcp_rto_restart = 1;
	w.st->sysctl.tcp_early_retrans = 0;
	open_rtt(false);
	put(5000, 0);
	expect_segs(0, 5);
	pass(RTT);
	ack(SEG(1));
	cr_assert(conn()->at[TCP_T_RTX] == w.now + conn()->rto);
	ack(SEG(5));
	close_now();
}

/* --- a clock of ticks --- */

Test(tcp_script, deadlines_of_a_coarse_clock)
{
	nsec t;

	w.st->sysctl.tcp_early_retrans = 0;
	open_rtt(false);
	w.st->sysctl.tcp_tick_us = 10000;
	pass(10 * MSEC - w.now % (10 * MSEC) + 3 * MSEC);
	put(1000, 0);
	expect_segs(0, 1);
	/* 300 ms later it is 3 ms past a tick: over at the second from there */
	t = until_resent(0);
	cr_assert(t == 317 * MSEC, "%lld", (long long)t);
	ack(SEG(1));
	close_now();
}

/* --- net.core.default_qdisc --- */

/* Behind the initial window nothing goes in bursts. */
Test(tcp_script, a_queue_that_paces)
{
	cr_assert(stack_sysctl_set(w.st, "net.core.default_qdisc", "fq") == 0);
	open_rtt(true);
	put(40000, 0);
	cr_assert(num_out() == 10);
	skip();
	pass(RTT);
	ack(SEG(10));
	cr_assert(num_out() >= 1 && num_out() < 10, "%u", num_out());
	pass(RTT);
	cr_assert(num_out() == 20, "%u", num_out());
	skip();
	close_now();
}

Test(tcp_script, a_queue_that_does_not)
{
	cr_assert(stack_sysctl_set(w.st, "net.core.default_qdisc",
				   "fq_codel") == 0);
	cr_assert(stack_sysctl_set(w.st, "net.core.default_qdisc", "fast") ==
		  -EINVAL);
	open_rtt(true);
	put(40000, 0);
	skip();
	pass(RTT);
	ack(SEG(10));
	cr_assert(num_out() == 20);
	skip();
	close_now();
}

/* --- a device that refuses --- */

/* Linux: TCP_RESOURCE_PROBE_INTERVAL */
Test(tcp_script, new_data_is_offered_twice_a_second)
{
	open_rtt(true);
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
	stack_set_refusing(w.st, true);
	put(1000, 0);
	quiet();
	cr_assert(conn()->packets_out == 0 && conn()->snd_nxt == w.iss + 1);
	pass(3 * RTT + MSEC);
	cr_assert(conn()->probes_out == 1 && conn()->backoff == 0);
	pass(500 * MSEC);
	cr_assert(conn()->probes_out == 2);
	stack_set_refusing(w.st, false);
	pass(500 * MSEC);
	expect_segs(0, 1);
	cr_assert(conn()->probes_out == 0);
	ack(SEG(1));
	close_now();
}

Test(tcp_script, until_the_user_has_no_patience)
{
	open_rtt(true);
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
	stack_set_refusing(w.st, true);
	put(1000, 0);
	pass(3 * RTT + 2999 * MSEC);
	cr_assert(conn()->state == TCPS_ESTABLISHED);
	cr_assert(conn()->probes_out == 6);
	pass(2 * MSEC);
	cr_assert(sock_err() == ETIMEDOUT);
	close_now();
}

/* A resend that did not leave is no copy in the pipe, and no congestion of the
 * path: the timer does not double. */
Test(tcp_script, a_resend_that_is_refused)
{
	w.st->sysctl.tcp_early_retrans = 0;
	open_rtt(true);
	put(1000, 0);
	expect_segs(0, 1);
	stack_set_refusing(w.st, true);
	pass(3 * RTT + MSEC);
	quiet();
	cr_assert(conn()->retrans_out == 0 && conn()->backoff == 0);
	cr_assert(count(STAT_TcpExtTCPRetransFail) == 1);
	stack_set_refusing(w.st, false);
	pass(500 * MSEC);
	expect_segs(0, 1);
	cr_assert(conn()->retrans_out == 1 && conn()->backoff == 1);
	ack(SEG(1));
	close_now();
}

Test(tcp_script, a_syn_that_is_refused)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(PEER_PORT)};

	sin.sin_addr.s_addr = htonl(0x0a000002);
	new_sock();
	stack_set_refusing(w.st, true);
	cr_assert(sock_connect(w.st, w.s, (struct sockaddr *)&sin, sizeof(sin),
			       w.now) == -EINPROGRESS);
	quiet();
	pass(SEC + MSEC); /* refused again: half a second more */
	quiet();
	stack_set_refusing(w.st, false);
	pass(500 * MSEC);
	expect(SYN, 0, 0, 0);
	close_now();
}

/* --- RFC 5927: ICMP --- */

/* 7: only what is in flight can have been too long. */
Test(tcp_script, a_path_mtu_of_nothing_in_flight)
{
	struct ip_addr peer;

	ip_addr_parse("10.0.0.2", &peer);
	open_rtt(true);
	put(1000, 0);
	expect_segs(0, 1);
	send_unreach(4, 600, 5000);
	cr_assert(ip_mtu(&w.st->ip, &peer, w.now) == 1500);
	cr_assert(count(STAT_TcpExtOutOfWindowIcmps) == 1);
	quiet();
	send_unreach(4, 600, 1);
	cr_assert(ip_mtu(&w.st->ip, &peer, w.now) == 600);
	expect(ACK, 1, 1, 560);
	skip();
	ack(SEG(1));
	close_now();
}

/* tcp_req_err() of Linux: of a SYN-ACK, a router may say that nobody is there,
 * not that it was too long, nor that a port is closed. */
Test(tcp_script, a_handshake_that_a_router_knows_of)
{
	open_listener(4);
	SEND(.flags = SYN, .mss = MSS, .sack_ok = true);
	expect(SYN | ACK, 0, 1, 0);
	send_unreach(1, 0, 700); /* not its number */
	send_unreach(4, 600, 0);
	send_unreach(3, 0, 0);
	cr_assert(count(STAT_TcpExtOutOfWindowIcmps) == 1);
	cr_assert(count(STAT_TcpExtListenDrops) == 0);
	send_unreach(1, 0, 0);
	cr_assert(count(STAT_TcpExtListenDrops) == 1);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	expect(RST, 1, 0, 0);
}

/* --- RFC 1337: what TIME-WAIT hears --- */

static void into_time_wait(void)
{
	open_active();
	sock_shutdown(w.st, w.s, SHUT_RDWR, w.now);
	expect(FIN | ACK, 1, 1, 0);
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(ACK, 2, 2, 0);
	sock_close(w.st, w.s, w.now);
	w.s = 0;
}

Test(tcp_script, old_data_in_time_wait)
{
	into_time_wait();
	SEND(.flags = ACK, .seq = 1, .ack = 2, .len = 100);
	expect(ACK, 2, 2, 0); /* where it stands, and it goes on waiting */
	pass(59 * SEC);
	SEND(.flags = ACK, .seq = 1, .ack = 2, .len = 100);
	expect(ACK, 2, 2, 0);
	pass(61 * SEC);
	SEND(.flags = ACK, .seq = 2, .ack = 2);
	expect(RST, 2, 0, 0); /* forgotten */
}
