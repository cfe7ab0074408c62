/* SPDX-License-Identifier: MIT
 *
 * When a connection is given up, and what is not believed: timeouts of the
 * user's, orphans, ICMP, answers that are rationed.
 */
#include <errno.h>
#include <netinet/tcp.h>

#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

TestSuite(tcp_limits, .init = peer_init, .fini = peer_fini);

static void close_now(void)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	sock_connect(w.st, w.s, &nobody, sizeof(nobody), w.now);
	skip();
	sock_close(w.st, w.s, w.now);
	skip();
	w.s = 0;
}

static unsigned num_sent(nsec t)
{
	unsigned n;

	pass(t);
	n = num_out();
	skip();
	return n;
}

/* --- TCP_USER_TIMEOUT --- */

/* Not a doubled wait later, as Linux's tcp_clamp_rto_to_user_timeout(). */
Test(tcp_limits, a_user_timeout_ends_when_it_is_over)
{
	nsec first;

	open_active();
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
	put(100, 0);
	skip();
	while (!conn()->retrans_at)
		pass(MSEC);
	first = conn()->retrans_at;
	pass(first + 2990 * MSEC - w.now);
	cr_assert(sock_err() == 0);
	pass(20 * MSEC);
	cr_assert(sock_err() == ETIMEDOUT);
	skip();
	close_now();
}

Test(tcp_limits, a_user_timeout_for_a_closed_window)
{
	open_active();
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win0 = true);
	put(100, 0);
	/* it answers every probe and opens nothing */
	for (int i = 0; i < 40 && conn()->state == TCPS_ESTABLISHED; i++) {
		pass(100 * MSEC);
		if (!num_out())
			continue;
		skip();
		SEND(.flags = ACK, .seq = 1, .ack = 1, .win0 = true);
	}
	skip();
	/* the answers begin the count anew, as in Linux: it is alive */
	cr_assert(conn()->state == TCPS_ESTABLISHED);
	pass(9 * SEC);
	cr_assert(sock_err() == ETIMEDOUT);
	skip();
	close_now();
}

/* The window closes on what is in flight. */
static void shrink_to_nothing(void)
{
	open_active();
	put(1000, 0);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win0 = true);
}

Test(tcp_limits, a_peer_that_closes_on_data_may_take_its_time)
{
	shrink_to_nothing();
	for (int i = 0; i < 60; i++) {
		pass(10 * SEC);
		skip();
		SEND(.flags = ACK, .seq = 1, .ack = 1, .win0 = true);
	}
	cr_assert(conn()->state == TCPS_ESTABLISHED);
	/* but not for ever without a word: twice the longest wait */
	pass(700 * SEC);
	skip();
	cr_assert(sock_err() == ETIMEDOUT);
	close_now();
}

Test(tcp_limits, a_user_timeout_is_about_progress)
{
	shrink_to_nothing();
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
	for (int i = 0; i < 100 && conn()->state == TCPS_ESTABLISHED; i++) {
		pass(100 * MSEC);
		skip();
		SEND(.flags = ACK, .seq = 1, .ack = 1, .win0 = true);
	}
	cr_assert(sock_err() == ETIMEDOUT);
	skip();
	close_now();
}

/* --- keepalive --- */

Test(tcp_limits, keepalive_leaves_what_is_unsent_to_others)
{
	open_active();
	set_opt(SOL_SOCKET, SO_KEEPALIVE, 1);
	set_opt(IPPROTO_TCP, TCP_KEEPIDLE, 1);
	SEND(.flags = ACK, .seq = 1, .ack = 1, .win0 = true);
	put(100, 0);
	for (int i = 0; i < 20; i++) {
		pass(SEC);
		skip();
		SEND(.flags = ACK, .seq = 1, .ack = 1, .win0 = true);
	}
	cr_assert(count(STAT_TcpExtTCPKeepAlive) == 0);
	skip();
	close_now();
}

Test(tcp_limits, a_user_timeout_instead_of_a_number_of_probes)
{
	open_active();
	set_opt(SOL_SOCKET, SO_KEEPALIVE, 1);
	set_opt(IPPROTO_TCP, TCP_KEEPIDLE, 10);
	set_opt(IPPROTO_TCP, TCP_KEEPINTVL, 2);
	set_opt(IPPROTO_TCP, TCP_KEEPCNT, 1);
	set_opt(IPPROTO_TCP, TCP_USER_TIMEOUT, 17000);
	pass(16 * SEC);
	cr_assert(num_out() == 4 && sock_err() == 0); /* 10, 12, 14, 16 */
	skip();
	pass(2 * SEC);
	expect(RST | ACK, 1, 1, 0);
	cr_assert(sock_err() == ETIMEDOUT);
	close_now();
}

/* --- the retransmission timer --- */

Test(tcp_limits, thin_streams_do_not_back_off_at_first)
{
	nsec rto;

	open_active();
	set_opt(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1);
	conn()->cc.ssthresh = 10; /* past the first slow start */
	put(100, 0);
	skip();
	rto = conn()->rto;
	pass(rto + 200 * MSEC);
	cr_assert(conn()->backoff == 0);
	skip();
	/* six of them, a second apart at most; then the waits double */
	cr_assert(num_sent(5 * conn()->rto) >= 5);
	pass(20 * SEC);
	skip();
	cr_assert(conn()->backoff > 1);
	close_now();
}

Test(tcp_limits, without_it_they_do)
{
	open_active();
	conn()->cc.ssthresh = 10;
	put(100, 0);
	pass(3 * SEC);
	skip();
	cr_assert(conn()->backoff > 0);
	close_now();
}

/* RFC 6069 */
Test(tcp_limits, a_way_that_is_gone_is_no_congestion)
{
	nsec rto;

	open_active();
	put(100, 0);
	pass(8 * SEC);
	skip();
	rto = conn()->rto;
	cr_assert(conn()->backoff >= 2);
	send_unreach(1, 0, 1); /* host unreachable, of our oldest byte */
	cr_assert(conn()->rto == rto / 2);
	cr_assert(conn()->ep->err_soft == EHOSTUNREACH && !conn()->ep->err);
	send_unreach(1, 0, 50); /* of another: says nothing of the timeout */
	cr_assert(conn()->rto == rto / 2);
	send_unreach(3, 0, 1); /* a port: not of the way */
	cr_assert(conn()->rto == rto / 2);
	skip();
	close_now();
}

/* --- RFC 5927, RFC 5961 --- */

Test(tcp_limits, icmp_about_what_is_not_in_flight)
{
	open_active();
	put(100, 0);
	skip();
	send_unreach(3, 0, 0);
	send_unreach(3, 0, 102);
	cr_assert(count(STAT_TcpExtOutOfWindowIcmps) == 2);
	cr_assert(conn()->ep->err_soft == 0);
	send_unreach(3, 0, 101); /* the next byte counts as such, in Linux */
	cr_assert(conn()->ep->err_soft == ECONNREFUSED);
	cr_assert(conn()->state == TCPS_ESTABLISHED && !conn()->ep->err);
	close_now();
}

Test(tcp_limits, a_hard_error_ends_a_connect_only)
{
	open_with(NULL);
	send_unreach(3, 0, 5); /* not our SYN */
	cr_assert(conn()->state == TCPS_SYN_SENT);
	send_unreach(3, 0, 0);
	cr_assert(sock_err() == ECONNREFUSED);
	close_now();
}

Test(tcp_limits, challenges_of_the_whole_host_are_rationed)
{
	w.st->sysctl.tcp_challenge_ack_limit = 2;
	w.st->sysctl.tcp_invalid_ratelimit = 0;
	open_active();
	for (int i = 0; i < 10; i++)
		SEND(.flags = RST, .seq = 100);
	cr_assert(count(STAT_TcpExtTCPChallengeACK) >= 1);
	cr_assert(count(STAT_TcpExtTCPChallengeACK) <= 2);
	skip();
	pass(SEC);
	SEND(.flags = RST, .seq = 100);
	cr_assert(num_out() == 1);
	skip();
	w.st->sysctl.tcp_challenge_ack_limit = 0;
	pass(2 * SEC);
	SEND(.flags = RST, .seq = 100);
	quiet();
	close_now();
}

Test(tcp_limits, an_old_ack_is_challenged)
{
	open_active();
	put(100, 0);
	skip();
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	/* RFC 5961 5.2: no older than the largest window */
	SEND(.flags = ACK, .seq = 1, .ack = 101u - 60000u);
	expect(ACK, 101, 1, 0);
	cr_assert(count(STAT_TcpExtTCPChallengeACK) == 1);
	close_now();
}

/* --- orphans and TIME-WAIT --- */

Test(tcp_limits, too_many_orphans)
{
	w.st->sysctl.tcp_max_orphans = 0;
	open_active();
	put(100, 0);
	skip();
	sock_close(w.st, w.s, w.now);
	w.s = 0;
	next(); /* its FIN */
	next();
	cr_assert(w.last.flags == (RST | ACK));
	cr_assert(count(STAT_TcpExtTCPAbortOnMemory) == 1);
	cr_assert(w.st->tp.tcp->mem.num_orphans == 0);
}

Test(tcp_limits, an_orphan_is_one_until_it_ends)
{
	open_active();
	put(100, 0);
	skip();
	sock_close(w.st, w.s, w.now);
	w.s = 0;
	cr_assert(w.st->tp.tcp->mem.num_orphans == 1);
	skip();
	pass(1000 * SEC); /* tcp_orphan_retries: 8 */
	skip();
	cr_assert(w.st->tp.tcp->mem.num_orphans == 0);
	cr_assert(w.st->tp.tcp->mem.held == 0);
}

Test(tcp_limits, orphan_retries)
{
	w.st->sysctl.tcp_orphan_retries = 2;
	open_active();
	put(100, 0);
	skip();
	sock_close(w.st, w.s, w.now);
	w.s = 0;
	skip();
	pass(5 * SEC);
	skip();
	cr_assert(w.st->tp.tcp->mem.num_orphans == 0);
}

/* Both ends have closed; @at: numbers of the peer's next byte and ours. */
static void enter_time_wait(void)
{
	open_active();
	sock_close(w.st, w.s, w.now);
	w.s = 0;
	expect(FIN | ACK, 1, 1, 0);
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(ACK, 2, 2, 0);
	cr_assert(w.st->tp.tcp->num_tw == 1);
}

Test(tcp_limits, a_reset_assassinates_time_wait)
{
	enter_time_wait();
	SEND(.flags = RST, .seq = 2);
	cr_assert(w.st->tp.tcp->num_tw == 0);
}

Test(tcp_limits, unless_rfc_1337_is_followed)
{
	w.st->sysctl.tcp_rfc1337 = 1;
	enter_time_wait();
	SEND(.flags = RST, .seq = 2);
	cr_assert(w.st->tp.tcp->num_tw == 1);
	quiet();
	pass(61 * SEC);
	cr_assert(w.st->tp.tcp->num_tw == 0);
}

Test(tcp_limits, no_more_time_waits_than_that)
{
	w.st->sysctl.tcp_max_tw_buckets = 0;
	open_active();
	sock_close(w.st, w.s, w.now);
	w.s = 0;
	expect(FIN | ACK, 1, 1, 0);
	SEND(.flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(ACK, 2, 2, 0);
	cr_assert(w.st->tp.tcp->num_tw == 0);
	cr_assert(count(STAT_TcpExtTCPTimeWaitOverflow) == 1);
}

/* --- compressed ACKs --- */

static void hole(uint32_t i)
{
	SEND(.flags = ACK, .seq = 1001 + i * 1000, .ack = 101, .len = 1000);
}

static void open_with_rtt(nsec rtt)
{
	open_active();
	put(100, 0);
	skip();
	pass(rtt);
	SEND(.flags = ACK, .seq = 1, .ack = 101);
	/* past the quick ACKs of the beginning */
	conn()->quick = 0;
	conn()->ato = TCP_DELACK_MIN;
}

Test(tcp_limits, acks_of_a_hole_are_compressed_after_three)
{
	open_with_rtt(20 * MSEC);
	for (uint32_t i = 1; i <= 3; i++) {
		hole(i);
		expect(ACK, 101, 1, 0);
	}
	for (uint32_t i = 4; i <= 20; i++)
		hole(i);
	quiet();
	pass(MSEC);
	expect(ACK, 101, 1, 0); /* one for all of them */
	cr_assert(w.last.num_sack == 1 && w.last.sack[0].end == 22001);
	cr_assert(count(STAT_TcpExtTCPAckCompressed) == 16);
	/* the hole is filled: at once */
	hole(22);
	quiet();
	SEND(.flags = ACK, .seq = 1, .ack = 101, .len = 2000);
	expect(ACK, 101, 22001, 0);
	hole(24); /* a new one: three again */
	expect(ACK, 101, 22001, 0);
	close_now();
}

Test(tcp_limits, no_more_than_so_many_acks_are_held_back)
{
	open_with_rtt(20 * MSEC);
	for (uint32_t i = 1; i <= 3; i++)
		hole(i);
	skip();
	for (uint32_t i = 4; i <= 47; i++)
		hole(i);
	quiet();
	hole(48);
	expect(ACK, 101, 1, 0);
	close_now();
	w.st->sysctl.tcp_comp_sack_nr = 0;
	open_with_rtt(20 * MSEC);
	for (uint32_t i = 1; i <= 10; i++) {
		hole(i);
		expect(ACK, 101, 1, 0);
	}
	close_now();
}

/* A third of the round trip, if that is less. */
Test(tcp_limits, a_short_round_trip_holds_them_less)
{
	open_with_rtt(MSEC);
	conn()->srtt = MSEC; /* the handshake took none */
	for (uint32_t i = 1; i <= 5; i++)
		hole(i);
	skip();
	pass(320 * USEC);
	quiet();
	pass(20 * USEC);
	expect(ACK, 101, 1, 0);
	close_now();
}
