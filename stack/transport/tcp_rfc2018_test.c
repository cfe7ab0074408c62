/* SPDX-License-Identifier: MIT
 *
 * RFC 2018: what a receiver tells of what it holds, and a sender that does not
 * rely on it: a peer may throw away what it has sacked.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_sack_world.h"

TestSuite(tcp_rfc2018, .init = peer_init, .fini = peer_fini);

/* --- 4: the receiver --- */

/* The RFC's segments are of 500 bytes, the first of them at 5000. */
static void data(uint32_t at)
{
	SEND(.flags = ACK, .seq = at - 4999, .ack = 1, .len = 500);
}

#define TELLS(n, ...)                                          \
	tells(n, (struct tcp_sack_block[]){__VA_ARGS__},       \
	      sizeof((struct tcp_sack_block[]){__VA_ARGS__}) / \
		      sizeof(struct tcp_sack_block))

static void tells(uint32_t ack, const struct tcp_sack_block *b, size_t num)
{
	expect(ACK, 1, ack - 4999, 0);
	cr_assert(w.last.num_sack == num, "%u blocks", w.last.num_sack);
	for (size_t i = 0; i < num; i++)
		cr_assert(w.last.sack[i].start + 4999 == b[i].start &&
				  w.last.sack[i].end + 4999 == b[i].end,
			  "%zu: %u to %u", i, w.last.sack[i].start + 4999,
			  w.last.sack[i].end + 4999);
}

/* 7, case 2 */
Test(tcp_rfc2018, one_block_that_grows)
{
	open_active();
	for (uint32_t at = 5500; at < 9000; at += 500) {
		data(at);
		pass(5 * MSEC); /* the later ACKs are compressed */
		TELLS(5000, {5500, at + 500});
	}
	data(5000);
	expect(ACK, 1, 4001, 0);
	cr_assert(w.last.num_sack == 0);
}

/* 7, case 3 */
Test(tcp_rfc2018, the_newest_block_first_then_those_told_before)
{
	open_active();
	data(5000);
	expect(ACK, 1, 501, 0);
	cr_assert(w.last.num_sack == 0);
	data(6000);
	TELLS(5500, {6000, 6500});
	data(7000);
	TELLS(5500, {7000, 7500}, {6000, 6500});
	data(8000);
	TELLS(5500, {8000, 8500}, {7000, 7500}, {6000, 6500});
	data(6500);
	pass(5 * MSEC);
	TELLS(5500, {6000, 7500}, {8000, 8500});
	data(5500);
	TELLS(7500, {8000, 8500});
}

Test(tcp_rfc2018, as_many_blocks_as_there_is_room_for)
{
	open_active();
	for (uint32_t i = 1; i <= 6; i++) {
		data(5000 + i * 1000);
		pass(5 * MSEC);
		expect(ACK, 1, 1, 0);
		cr_assert(w.last.num_sack == MIN(i, 4u));
		cr_assert(w.last.sack[0].start + 4999 == 5000 + i * 1000);
	}
	/* data of ours that goes meanwhile tells of them, too */
	put(10, 0);
	next();
	cr_assert(w.last.len == 10 && w.last.num_sack == 4);
	go_away();
}

Test(tcp_rfc2018, three_beside_a_timestamp)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK,
				     .ack = 1,
				     .mss = MSS,
				     .sack_ok = true,
				     .has_ts = true,
				     .ts_val = 1});
	for (uint32_t i = 1; i <= 6; i++) {
		SEND(.flags = ACK, .seq = 1 + i * 1000, .ack = 1, .len = 500,
		     .has_ts = true, .ts_val = 1);
		pass(5 * MSEC);
		expect(ACK, 1, 1, 0);
		cr_assert(w.last.num_sack == MIN(i, 3u));
	}
}

Test(tcp_rfc2018, nothing_is_told_who_did_not_permit_it)
{
	open_with(&(struct peer_seg){.flags = SYN | ACK, .ack = 1, .mss = MSS});
	for (uint32_t i = 1; i <= 3; i++) {
		data(5000 + i * 1000);
		expect(ACK, 1, 1, 0);
		cr_assert(w.last.num_sack == 0);
	}
}

Test(tcp_rfc2018, only_syns_permit_it)
{
	open_with(NULL);
	cr_assert(w.last.sack_ok);
	SEND(.flags = SYN | ACK, .ack = 1, .mss = MSS);
	expect(ACK, 1, 1, 0);
	cr_assert(!w.last.sack_ok);
	/* too late */
	SEND(.flags = ACK, .seq = 501, .ack = 1, .len = 500, .sack_ok = true);
	expect(ACK, 1, 1, 0);
	cr_assert(w.last.num_sack == 0 && !w.last.sack_ok);
}

Test(tcp_rfc2018, a_listener_permits_it_to_who_does)
{
	open_listener(4);
	SEND(.flags = SYN, .mss = MSS, .sport = 81);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(!w.last.sack_ok);
	SEND(.flags = RST, .seq = 1, .sport = 81);
	SEND(.flags = SYN, .mss = MSS, .sack_ok = true);
	expect(SYN | ACK, 0, 1, 0);
	cr_assert(w.last.sack_ok);
	SEND(.flags = RST, .seq = 1);
}

/* 8, as one that reneges: what was thrown away is not told of again. */
Test(tcp_rfc2018, what_is_pruned_is_told_no_longer)
{
	struct tcp_conn *c;
	uint32_t more;

	open_active();
	c = conn();
	for (uint32_t i = 1; i <= 20; i++)
		data(5000 + i * 500);
	pass(5 * MSEC);
	skip();
	cr_assert(c->num_sacks == 1 && c->sacks[0].end - w.irs == 10501);
	more = 2 * c->ep->rcvbuf; /* somebody else needs the memory */
	c->ep->rx_mem += more;
	data(5000 + 30 * 500);
	pass(5 * MSEC);
	next();
	c->ep->rx_mem -= more;
	cr_assert(count(STAT_TcpExtOfoPruned) == 1);
	cr_assert(count(STAT_TcpExtTCPOFODrop) == 1);
	for (unsigned i = 0; i < w.last.num_sack; i++)
		cr_assert(w.last.sack[i].end < 10501);
	cr_assert(c->num_ofo && c->num_ofo < 20);
	/* it is held to what it tells now */
	more = c->num_ofo * 500;
	data(5000);
	expect(ACK, 1, 501 + more, 0);
	cr_assert(w.last.num_sack == 0);
}

/* --- 5 and 8: the sender --- */

Test(tcp_rfc2018, what_is_sacked_is_kept_until_it_is_acknowledged)
{
	open_rtt();
	put(5000, 0);
	segs(0, 5);
	SACKED(0, S(1, 5));
	segs(0, 1);
	cr_assert(conn()->packets_out == 5 && conn()->sacked_out == 4);
	acked(5);
	cr_assert(conn()->packets_out == 0 && conn()->sacked_out == 0);
	cr_assert(list_empty(&conn()->recs));
}

/* The ACK ends where a block began: what the block told of is gone. The first
 * of it goes after half a round trip, the rest as in slow start; the counter is
 * Linux's. */
Test(tcp_rfc2018, a_peer_that_reneges_gets_it_all_again)
{
	nsec at;

	open_rtt();
	put(8000, 0);
	segs(0, 8);
	pass(RTT);
	SACKED(0, S(1, 8));
	segs(0, 1);
	pass(RTT);
	acked(1);
	quiet();
	at = w.now;
	while (!num_out())
		pass(MSEC);
	cr_assert(w.now - at >= RTT / 2 - 20 * MSEC);
	cr_assert(w.now - at <= RTT / 2 + 5 * MSEC);
	segs(1, 2);
	quiet();
	cr_assert(count(STAT_TcpExtTCPSACKReneging) == 1);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 1);
	cr_assert(conn()->ca == CA_LOSS && conn()->sacked_out == 0);
	acked(2);
	segs(2, 4);
	acked(4);
	segs(4, 8);
	acked(8);
	cr_assert(conn()->ca == CA_OPEN && conn()->packets_out == 0);
	cr_assert(count(STAT_TcpRetransSegs) == 8);
}

/* An ACK that was overtaken looks like that for a moment. */
Test(tcp_rfc2018, an_overtaken_ack_is_no_reneging)
{
	open_rtt();
	put(8000, 0);
	segs(0, 8);
	pass(RTT);
	SACKED(0, S(1, 8));
	segs(0, 1);
	pass(RTT);
	acked(1);
	pass(10 * MSEC);
	acked(8);
	pass(10 * RTT);
	quiet();
	cr_assert(count(STAT_TcpExtTCPSACKReneging) == 0);
	cr_assert(count(STAT_TcpExtTCPTimeouts) == 0);
	cr_assert(conn()->ca == CA_OPEN && conn()->packets_out == 0);
}

/* ACKs that stay where they are do not put it off. */
Test(tcp_rfc2018, duplicates_do_not_prolong_the_wait)
{
	nsec at;

	open_rtt();
	put(8000, 0);
	segs(0, 8);
	pass(RTT);
	SACKED(0, S(1, 8));
	segs(0, 1);
	pass(RTT);
	acked(1);
	at = w.now;
	for (int i = 0; i < 20 && !num_out(); i++) {
		acked(1);
		pass(5 * MSEC);
	}
	cr_assert(w.now - at <= RTT / 2 + 5 * MSEC);
	segs(1, 2);
	cr_assert(count(STAT_TcpExtTCPSACKReneging) == 1);
	acked(8);
}

/* It may renege on a part, and on what it says after that. */
Test(tcp_rfc2018, a_peer_may_renege_again)
{
	open_rtt();
	put(8000, 0);
	segs(0, 8);
	pass(RTT);
	SACKED(0, S(1, 8));
	segs(0, 1);
	pass(RTT);
	acked(1);
	pass(RTT / 2 + 5 * MSEC);
	segs(1, 2);
	/* it still has 4 to 8, it says */
	SACKED(2, S(4, 8));
	segs(2, 4);
	pass(RTT / 10);
	acked(4); /* and then that it has not */
	pass(RTT);
	segs(4, 5);
	cr_assert(count(STAT_TcpExtTCPSACKReneging) == 2);
	acked(8);
	cr_assert(conn()->ca == CA_OPEN);
}

/* What is lost and resent on a path where nobody reneges: the timeout keeps
 * what was sacked, as Linux does (and RFC 6675 5.1 tells of). */
Test(tcp_rfc2018, a_timeout_keeps_what_was_sacked)
{
	open_rtt();
	put(8000, 0);
	segs(0, 8);
	pass(RTT);
	SACKED(0, S(4, 8));
	segs(0, 4);
	pass(2 * SEC);
	next();
	cr_assert(w.last.seq == 1); /* the left edge, always */
	skip();
	cr_assert(conn()->ca == CA_LOSS && conn()->sacked_out == 4);
	acked(1);
	segs(1, 3);
	acked(3);
	segs(3, 4);
	quiet();
	acked(8);
	cr_assert(count(STAT_TcpExtTCPSACKReneging) == 0);
}

/* The head goes after a timeout, sacked or not. */
Test(tcp_rfc2018, the_left_edge_goes_after_a_timeout_though_it_was_sacked)
{
	open_rtt();
	put(2000, 0);
	segs(0, 2);
	pass(RTT);
	SACKED(0, S(0, 1));
	pass(2 * SEC);
	cr_assert(count(STAT_TcpExtTCPTimeouts) >= 1);
	cr_assert(count(STAT_TcpExtTCPSACKReneging) >= 1);
	while (num_out()) {
		next();
		if (w.last.seq == 1)
			break;
	}
	cr_assert(w.last.seq == 1);
	skip();
	acked(2);
}

/* Rates that were measured on what is gone would be too high: they are not
 * used until the recovery is over, as in Linux. */
Test(tcp_rfc2018, no_rate_is_measured_on_what_was_reneged)
{
	open_rtt();
	put(8000, 0);
	segs(0, 8);
	pass(RTT);
	SACKED(0, S(1, 8));
	cr_assert(conn()->rate.interval > 0);
	skip();
	pass(RTT);
	acked(1);
	pass(RTT / 2 + 5 * MSEC);
	segs(1, 2);
	pass(RTT);
	acked(2);
	segs(2, 4);
	cr_assert(conn()->rate.interval == 0);
	pass(RTT);
	acked(8);
	cr_assert(conn()->ca == CA_OPEN && conn()->rate.interval == 0);
	put(2000, 0);
	segs(8, 10);
	pass(RTT);
	acked(10);
	cr_assert(conn()->rate.interval >= RTT);
}

/* 5.1: one ACK that tells of something out of order reduces nothing. */
Test(tcp_rfc2018, one_that_came_early_is_no_loss)
{
	open_rtt();
	put(20000, 0);
	segs(0, 10);
	pass(RTT);
	SACKED(0, S(1, 2));
	cr_assert(conn()->ca == CA_DISORDER && conn()->cc.cwnd == 10);
	segs(10, 11);
	quiet();
	cr_assert(count(STAT_TcpRetransSegs) == 0);
	go_away();
}
