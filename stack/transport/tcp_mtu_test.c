/* SPDX-License-Identifier: MIT
 *
 * The search for the path's MTU (RFC 4821): link of 1500, the peer takes all.
 */
#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

#define BASE 512u
#define PROBE 986u /* of 1026, half way between 552 and 1500 */

static void init(void)
{
	peer_init();
	w.st->sysctl.tcp_base_mss = BASE;
	w.st->sysctl.tcp_init_cwnd = 11; /* Linux's least */
}

TestSuite(tcp_mtu, .init = init, .fini = peer_fini);

static void open_probing(void)
{
	w.st->sysctl.tcp_mtu_probing = 2;
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = 1460, .sack_ok = true});
	cr_assert(conn()->mss_cache == BASE);
}

static void close_now(void)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	sock_connect(w.st, w.s, &nobody, sizeof(nobody), w.now);
	skip();
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
}

static void expect_run(uint32_t seq, uint32_t end, uint32_t mss)
{
	for (; seq < end; seq += mss)
		expect(seq + mss < end ? ACK : PSH | ACK, seq, 1,
		       MIN(mss, end - seq));
}

/* The same numbers as packetdrill's mtu_probe/basic-v4 */
Test(tcp_mtu, a_probe_that_passes_raises_the_mss)
{
	open_probing();
	cr_assert(put(4000, 0) == 4000);
	expect(ACK, 1, 1, PROBE);
	cr_assert(conn()->cc.cwnd == 10);
	expect_run(1 + PROBE, 4001, BASE);
	SEND(.flags = ACK, .seq = 1, .ack = 4001);
	cr_assert(count(STAT_TcpExtTCPMTUPSuccess) == 1);
	cr_assert(conn()->mss_cache == PROBE);
	cr_assert(put(2000, 0) == 2000); /* too little for the next */
	expect_run(4001, 6001, PROBE);
	SEND(.flags = ACK, .seq = 1, .ack = 6001);
	close_now();
}

/* RFC 4821 4: larger segments, and no more bytes. */
Test(tcp_mtu, a_probe_that_passes_makes_the_window_no_larger)
{
	open_probing();
	conn()->cc.cwnd = 20;
	conn()->cc.ssthresh = 5;
	cr_assert(put(4000, 0) == 4000);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 4001);
	cr_assert(conn()->mss_cache == PROBE);
	cr_assert(conn()->cc.cwnd < 20);
	cr_assert(conn()->cc.cwnd * PROBE <= 20 * BASE + PROBE, "%u",
		  conn()->cc.cwnd);
	close_now();
}

Test(tcp_mtu, too_little_data_no_probe)
{
	open_probing();
	cr_assert(put(3000, 0) == 3000); /* PROBE + 4 * BASE are 3034 */
	expect_run(1, 3001, BASE);
	close_now();
}

Test(tcp_mtu, a_probe_that_is_lost_is_no_congestion)
{
	uint32_t seq = 1 + PROBE;
	uint32_t cwnd;

	open_probing();
	cwnd = conn()->cc.cwnd;
	cr_assert(put(4000, 0) == 4000);
	skip();
	for (int i = 1; i <= 4; i++) {
		pass(MSEC);
		SEND(.flags = ACK, .seq = 1, .ack = 1, .num_sack = 1,
		     .sack = {{seq, seq + (uint32_t)i * BASE}});
	}
	pass(10 * MSEC);
	cr_assert(count(STAT_TcpExtTCPMTUPFail) == 1);
	cr_assert(conn()->cc.cwnd >= cwnd && conn()->mss_cache == BASE, "%u %u",
		  conn()->cc.cwnd, cwnd);
	cr_assert(conn()->mtup.high == PROBE + 40 - 1);
	/* its bytes go again, as two */
	expect(ACK, 1, 1, BASE);
	expect(ACK, 1 + BASE, 1, PROBE - BASE);
	SEND(.flags = ACK, .seq = 1, .ack = 4001);
	cr_assert(conn()->ca == CA_OPEN);
	/* the next is half way again: 552 and 1025 */
	cr_assert(put(4000, 0) == 4000);
	expect(ACK, 4001, 1, (552 + PROBE + 39) / 2 - 40);
	close_now();
}

Test(tcp_mtu, a_probe_in_a_timeout_tells_nothing)
{
	open_probing();
	cr_assert(put(4000, 0) == 4000);
	skip();
	pass(2 * SEC);
	skip();
	cr_assert(conn()->mtup.size == 0);
	SEND(.flags = ACK, .seq = 1, .ack = 4001);
	cr_assert(count(STAT_TcpExtTCPMTUPSuccess) == 0);
	cr_assert(count(STAT_TcpExtTCPMTUPFail) == 0);
	close_now();
}

Test(tcp_mtu, it_waits_for_room_in_the_congestion_window)
{
	open_probing();
	for (int i = 0; i < 10; i++)
		cr_assert(put(BASE, 0) == BASE); /* 10 of 11 */
	skip();
	cr_assert(put(4000, 0) == 4000);
	quiet(); /* two more are too many: wait */
	SEND(.flags = ACK, .seq = 1, .ack = 1 + 2 * BASE);
	next();
	cr_assert(w.last.len == PROBE);
	close_now();
}

Test(tcp_mtu, a_search_ends_and_begins_again)
{
	uint32_t sent = 1;

	open_probing();
	for (int i = 0; i < 20; i++) {
		cr_assert(put(12000, 0) == 12000);
		sent += 12000;
		do {
			skip();
			SEND(.flags = ACK, .seq = 1, .ack = w.last.seq);
			SEND(.flags = ACK, .seq = 1,
			     .ack = conn()->snd_nxt - conn()->iss);
		} while (num_out());
		cr_assert(conn()->snd_una == conn()->iss + sent);
	}
	cr_assert(conn()->mtup.high - conn()->mtup.low < 8);
	cr_assert(conn()->mss_cache > 1450);
	cr_assert(!conn()->mtup.size);
	pass(601 * SEC);
	cr_assert(put(12000, 0) == 12000);
	skip();
	cr_assert(conn()->mtup.at == w.now);
	close_now();
}

/* tcp_mtu_probing = 1 */
Test(tcp_mtu, timeouts_make_segments_small)
{
	w.st->sysctl.tcp_mtu_probing = 1;
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = 1460, .sack_ok = true});
	cr_assert(conn()->mss_cache == 1460);
	cr_assert(put(1460, 0) == 1460);
	expect(PSH | ACK, 1, 1, 1460);
	/* 200 ms doubled thrice are the time of tcp_retries1 */
	pass(3 * SEC);
	cr_assert(conn()->mss_cache == 1460);
	for (int i = 0; i < 50 && !conn()->mtup.is_on; i++) {
		skip();
		pass(100 * MSEC);
	}
	cr_assert(conn()->mtup.is_on && conn()->mss_cache == BASE, "%d %u",
		  conn()->mtup.is_on, conn()->mss_cache);
	next();
	cr_assert(w.last.len == BASE && w.last.seq == 1);
	for (uint32_t mss = BASE / 2; mss > 100; mss /= 2) {
		for (int i = 0; i < 600 && conn()->mss_cache > mss; i++)
			pass(100 * MSEC);
		cr_assert(conn()->mss_cache == mss);
	}
	pass(600 * SEC);
	cr_assert(conn()->mss_cache == 48);
	close_now();
}

Test(tcp_mtu, off_by_default)
{
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = 1460, .sack_ok = true});
	cr_assert(put(1460, 0) == 1460);
	pass(100 * SEC);
	cr_assert(conn()->mss_cache == 1460);
	close_now();
}

/* Linux: a server keeps its MSS until the first probe was answered. */
Test(tcp_mtu, a_server_begins_large)
{
	struct ep *e;
	int err;

	w.st->sysctl.tcp_mtu_probing = 2;
	open_listener(1);
	SEND(.flags = SYN, .mss = 1460, .sack_ok = true);
	expect(SYN | ACK, 0, 1, 0);
	SEND(.flags = ACK, .seq = 1, .ack = 1);
	e = tcp_accept(sock_find(w.st, w.s), &err, w.now);
	cr_assert(e->tcp->mss_cache == 1460 && e->tcp->mtup.is_on);
	tcp_disconnect(e, w.now);
	e->is_closed = true;
	ep_put(e);
	close_now();
}
