/* SPDX-License-Identifier: MIT
 *
 * RFC 6675: loss by counting what was sacked above, as with
 * net.ipv4.tcp_recovery=0; what of it RACK leaves as it is goes for both.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_sack_world.h"

TestSuite(tcp_rfc6675, .init = peer_init, .fini = peer_fini);

static void open_counting(void)
{
	w.st->sysctl.tcp_recovery = 0;
	open_rtt();
}

/* --- 4: what is lost, what is in the pipe, what goes next --- */

Test(tcp_rfc6675, three_above_are_a_loss)
{
	open_counting();
	put(8000, 0);
	segs(0, 8);
	pass(RTT);
	SACKED(0, S(1, 2));
	SACKED(0, S(3, 4), S(1, 2));
	pass(RTT / 2); /* time does not count */
	quiet();
	SACKED(0, S(5, 6), S(3, 4), S(1, 2));
	segs(0, 1); /* 2 has two above it only */
	cr_assert(conn()->lost_out == 1 && conn()->sacked_out == 3);
	SACKED(0, S(5, 7), S(3, 4), S(1, 2));
	segs(2, 3);
	quiet();
	acked(8);
	cr_assert(conn()->ca == CA_OPEN);
}

/* What has been sent, less what has arrived or is lost, plus what was sent
 * again. */
Test(tcp_rfc6675, the_pipe)
{
	open_counting();
	put(20000, 0);
	segs(0, 10);
	cr_assert(tcp_in_flight(conn()) == 10);
	pass(RTT);
	SACKED(0, S(3, 6));
	segs(0, 3); /* three for three: RFC 6937 3.1 */
	quiet();
	cr_assert(conn()->lost_out == 3 && conn()->retrans_out == 3);
	cr_assert(tcp_in_flight(conn()) == 10 - 3 - 3 + 3);
	SACKED(0, S(3, 8), S(0, 1));
	cr_assert(conn()->lost_out == 2 && conn()->sacked_out == 6);
	segs(10, 13);
	cr_assert(tcp_in_flight(conn()) == 13 - 6 - 2 + 2);
	go_away();
}

/* Lost ones first, from the lowest, each once; then what is new. */
Test(tcp_rfc6675, the_lowest_that_is_lost_goes_first_then_what_is_new)
{
	static const uint32_t want[] = {0, 1, 2, 14, 15, 16};
	uint32_t n = 0;

	open_counting();
	conn()->cc.cwnd = 14;
	put(20000, 0);
	segs(0, 14);
	pass(RTT);
	for (uint32_t i = 6; i <= 14 && n < ARRAY_SIZE(want); i++) {
		SACKED(0, S(3, i));
		while (num_out() && n < ARRAY_SIZE(want)) {
			segs(want[n], want[n] + 1);
			n++;
		}
	}
	cr_assert(n >= 4, "%u", n);
	go_away();
}

/* Rules 3 and 4 would send a hole that is not yet lost, and the end of what is
 * out, when there is nothing else. Linux does not; there RACK finds them. */
Test(tcp_rfc6675, nothing_goes_that_is_not_lost)
{
	open_counting();
	put(6000, 0);
	segs(0, 6);
	pass(RTT);
	SACKED(0, S(4, 5), S(1, 3));
	segs(0, 1);
	pass(RTT);
	quiet();
	SACKED(1, S(4, 5), S(1, 3));
	quiet();
	acked(6);
}

Test(tcp_rfc6675, which_rack_finds)
{
	open_rtt();
	put(6000, 0);
	segs(0, 6);
	pass(RTT);
	SACKED(0, S(4, 5), S(1, 3));
	segs(0, 1);
	pass(RTT);
	SACKED(3, S(4, 5));
	segs(3, 4);
	pass(RTT);
	acked(5);
	segs(5, 6);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	acked(6);
}

/* --- 5 --- */

/* What came before the left edge moved does not count any more. */
Test(tcp_rfc6675, progress_starts_the_count_anew)
{
	open_counting();
	put(10000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 3));
	acked(3); /* it was only late */
	cr_assert(conn()->sacked_out == 0);
	SACKED(3, S(4, 6));
	quiet();
	cr_assert(conn()->ca == CA_DISORDER);
	SACKED(3, S(4, 7));
	segs(3, 4);
	acked(10);
}

/* Two that are early bring new data each, within the window (RFC 3042). */
Test(tcp_rfc6675, the_first_two_bring_new_data)
{
	open_counting();
	put(20000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 2));
	segs(10, 11);
	quiet();
	SACKED(0, S(1, 3));
	segs(11, 12);
	quiet();
	cr_assert(conn()->cc.cwnd == 10);
	SACKED(0, S(1, 4));
	segs(0, 1);
	go_away();
}

Test(tcp_rfc6675, a_duplicate_that_tells_nothing_brings_nothing)
{
	open_counting();
	put(20000, 0);
	segs(0, 10);
	pass(RTT);
	acked(0);
	acked(0);
	SACKED(0, S(1, 2));
	segs(10, 11);
	SACKED(0, S(1, 2));
	SACKED(0, S(1, 2));
	acked(0);
	quiet();
	cr_assert(conn()->ca == CA_DISORDER);
	go_away();
}

/* A recovery lasts until all is acknowledged that was out as it began. */
Test(tcp_rfc6675, a_recovery_ends_at_its_point)
{
	open_counting();
	put(10000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 4));
	segs(0, 1);
	cr_assert(conn()->ca == CA_RECOVERY);
	cr_assert(conn()->high_seq == conn()->snd_nxt);
	pass(RTT / 2);
	acked(4);
	cr_assert(conn()->ca == CA_RECOVERY);
	acked(9);
	cr_assert(conn()->ca == CA_RECOVERY);
	acked(10);
	cr_assert(conn()->ca == CA_OPEN);
	cr_assert(count(STAT_TcpExtTCPSackRecovery) == 1);
}

/* The window falls once for all that is lost in one. */
Test(tcp_rfc6675, one_reduction_for_one_recovery)
{
	open_counting();
	put(10000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 4));
	segs(0, 1);
	cr_assert(conn()->cc.ssthresh == 7);
	SACKED(0, S(1, 4), S(5, 9));
	SACKED(4, S(5, 9));
	skip();
	cr_assert(conn()->cc.ssthresh == 7);
	acked(10);
	cr_assert(conn()->ca == CA_OPEN && conn()->cc.cwnd == 7);
}

/* What is known of beyond the point stays known. */
Test(tcp_rfc6675, the_end_of_a_recovery_forgets_nothing)
{
	open_counting();
	put(20000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 4));
	segs(0, 1);
	for (uint32_t i = 5; i <= 10; i++)
		SACKED(0, S(1, i));
	segs(10, 13);
	skip();
	SACKED(0, S(11, 12), S(1, 10));
	skip();
	acked(10);
	cr_assert(conn()->ca == CA_DISORDER && conn()->sacked_out == 1);
	go_away();
}

/* As many go as the pipe has room for. */
Test(tcp_rfc6675, what_arrives_makes_room)
{
	open_counting();
	conn()->cc.cwnd = 20;
	put(40000, 0);
	segs(0, 20);
	pass(RTT);
	SACKED(0, S(1, 4));
	segs(0, 1);
	for (uint32_t i = 5; i < 20; i++) {
		SACKED(0, S(1, i));
		skip();
		cr_assert(tcp_in_flight(conn()) == conn()->cc.cwnd);
	}
	cr_assert(count(STAT_TcpRetransSegs) == 1); /* 0, and that once */
	go_away();
}

/* --- 5.1: timeouts --- */

/* Within a recovery: it is over, and no other begins below its end. */
Test(tcp_rfc6675, no_recovery_begins_before_a_timeout_is_over)
{
	uint32_t thresh;

	w.st->sysctl.tcp_frto = 0;
	open_counting();
	conn()->cc.cwnd = 16;
	put(20000, 0);
	segs(0, 16);
	pass(RTT);
	SACKED(0, S(4, 8));
	segs(0, 1);
	pass(2 * SEC);
	skip();
	cr_assert(conn()->ca == CA_LOSS);
	cr_assert(conn()->high_seq == conn()->snd_nxt);
	thresh = conn()->cc.ssthresh;
	/* what would be a loss else */
	SACKED(2, S(4, 12));
	SACKED(2, S(4, 13));
	cr_assert(conn()->ca == CA_LOSS && conn()->cc.ssthresh == thresh);
	cr_assert(count(STAT_TcpExtTCPSackRecovery) == 1);
	skip();
	acked((conn()->high_seq - w.iss - 1) / MSS);
	cr_assert(conn()->ca == CA_OPEN);
	skip();
	go_away();
}

/* What is told meanwhile is made use of. */
Test(tcp_rfc6675, after_a_timeout_what_arrives_is_not_sent_again)
{
	w.st->sysctl.tcp_frto = 0;
	open_counting();
	put(10000, 0);
	segs(0, 10);
	pass(2 * RTT + 50 * MSEC);
	skip(); /* the probe */
	pass(2 * SEC);
	skip();
	cr_assert(conn()->ca == CA_LOSS);
	SACKED(1, S(2, 4), S(6, 10));
	segs(1, 2);
	segs(4, 6);
	quiet();
	SACKED(4, S(6, 10));
	quiet();
	acked(10);
	cr_assert(conn()->ca == CA_OPEN);
}

/* --- 6 --- */

Test(tcp_rfc6675, a_resend_of_the_oldest_starts_the_timeout_anew)
{
	nsec rto;

	open_counting();
	put(10000, 0);
	segs(0, 10);
	pass(2 * RTT - 10 * MSEC);
	SACKED(0, S(1, 4));
	segs(0, 1);
	rto = conn()->rto;
	pass(rto - 10 * MSEC);
	skip();
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	pass(20 * MSEC);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 1);
	skip();
	acked(10);
}
