/* SPDX-License-Identifier: MIT
 *
 * RFC 5682: was a timeout needless? Told by the first two ACKs after it.
 */
#include "base/util.h"
#include "transport/tcp_sack_world.h"

TestSuite(tcp_rfc5682, .init = peer_init, .fini = peer_fini);

/* Ten segments out, more to send, and the timeout is over. No probe, so that
 * the head alone has gone twice. */
static void time_out(bool sack)
{
	w.st->sysctl.tcp_early_retrans = 0;
	open_with(&(struct peer_seg){
		.flags = SYN | ACK, .ack = 1, .mss = MSS, .sack_ok = sack});
	conn()->srtt = conn()->min_rtt = RTT;
	conn()->mdev = conn()->mdev_max = conn()->rttvar = 50 * MSEC;
	tcp_rto_update(conn());
	put(20000, 0);
	segs(0, 10);
	pass(conn()->rto + MSEC);
	segs(0, 1);
	quiet();
	cr_assert(conn()->ca == CA_LOSS && conn()->cc.cwnd == 1);
}

static void spurious(void)
{
	cr_assert(conn()->ca == CA_OPEN);
	cr_assert(count(STAT_TcpExtTCPSpuriousRTOs) == 1);
	cr_assert(conn()->cc.cwnd >= 10);
	go_away();
}

static void real(void)
{
	cr_assert(conn()->ca == CA_LOSS && !conn()->frto);
	cr_assert(count(STAT_TcpExtTCPSpuriousRTOs) == 0);
	go_away();
}

/* 2.1, steps 2.b and 3.b */
Test(tcp_rfc5682, two_acks_that_advance_and_it_was_needless)
{
	time_out(false);
	acked(1);
	segs(10, 12); /* two new ones first */
	quiet();
	acked(2); /* which was sent once */
	spurious();
}

/* Step 2.a would give up at a duplicate. Linux waits for what advances, with
 * SACK or without, as 3.1 does. */
Test(tcp_rfc5682, a_duplicate_first_is_waited_out)
{
	time_out(false);
	acked(0);
	quiet();
	acked(1);
	segs(10, 12);
	acked(2);
	spurious();
}

/* And it would when all is acknowledged at once. Linux goes by what was sent
 * only once and is among it. */
Test(tcp_rfc5682, all_at_once_is_needless)
{
	time_out(false);
	acked(10);
	cr_assert(count(STAT_TcpExtTCPSpuriousRTOs) == 1);
	cr_assert(conn()->cc.cwnd >= 10);
	skip();
	acked(11); /* without SACK the point must be passed: RFC 6582 */
	spurious();
}

/* step 2.b: Nagle does not hold it back. */
Test(tcp_rfc5682, a_small_one_will_do)
{
	w.st->sysctl.tcp_early_retrans = 0;
	open_rtt();
	put(2500, 0);
	segs(0, 2);
	next();
	put(300, 0);
	quiet();
	pass(conn()->rto + MSEC);
	segs(0, 1);
	acked(1);
	expect(PSH | ACK, 2501, 1, 300);
	quiet();
	acked(2);
	spurious();
}

/* step 3.a */
Test(tcp_rfc5682, a_duplicate_after_the_new_ones_and_it_is_real)
{
	time_out(false);
	acked(1);
	segs(10, 12);
	acked(1);
	segs(1, 2);
	cr_assert(conn()->cc.cwnd <= 3);
	real();
}

/* step 2.b with nothing new to send: as ever */
Test(tcp_rfc5682, without_new_data_it_goes_on_as_ever)
{
	w.st->sysctl.tcp_early_retrans = 0;
	open_with(&(struct peer_seg){.flags = SYN | ACK, .ack = 1, .mss = MSS});
	conn()->srtt = conn()->min_rtt = RTT;
	tcp_rto_update(conn());
	put(5000, 0);
	segs(0, 5);
	pass(conn()->rto + MSEC);
	segs(0, 1);
	acked(1);
	segs(1, 3);
	real();
}

/* step 1: a second timeout begins anew */
Test(tcp_rfc5682, a_second_timeout_begins_anew)
{
	time_out(false);
	pass(conn()->rto + MSEC);
	segs(0, 1);
	cr_assert(conn()->frto && count(STAT_TcpExtTCPTimeouts) == 2);
	acked(1);
	segs(10, 12);
	acked(2);
	spurious();
}

/* Not in a recovery that has begun before: what was sent again would mislead.
 */
Test(tcp_rfc5682, not_within_a_recovery)
{
	w.st->sysctl.tcp_early_retrans = 0;
	open_rtt();
	put(20000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 4));
	segs(0, 1);
	skip();
	pass(conn()->rto + MSEC);
	cr_assert(conn()->ca == CA_LOSS && !conn()->frto);
	skip();
	go_away();
}

/* 3.1, with SACK: one that was sent once and arrives tells it. */
Test(tcp_rfc5682, with_sack_whatever_was_sent_once_tells)
{
	time_out(true);
	acked(1);
	segs(10, 12);
	SACKED(1, S(2, 3));
	spurious();
}

Test(tcp_rfc5682, with_sack_only_what_is_new_arrives_and_it_is_real)
{
	time_out(true);
	acked(1);
	segs(10, 12);
	SACKED(1, S(10, 11));
	segs(1, 2);
	real();
}

Test(tcp_rfc5682, switched_off)
{
	w.st->sysctl.tcp_frto = 0;
	time_out(false);
	acked(1);
	segs(1, 3);
	real();
}
