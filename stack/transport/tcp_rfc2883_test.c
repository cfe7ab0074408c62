/* SPDX-License-Identifier: MIT
 *
 * RFC 2883: what came twice is told of. Its own examples, byte for byte.
 */
#include "base/util.h"
#include "transport/tcp_sack_world.h"

TestSuite(tcp_rfc2883, .init = peer_init, .fini = peer_fini);

/* Bytes @from to @to, both with, as the RFC writes them. */
static void data(uint32_t from, uint32_t to)
{
	SEND(.flags = ACK, .seq = from + 1, .ack = 1, .len = to - from + 1);
	pass(5 * MSEC);
}

#define TELLS(n, ...)                                          \
	tells(n, (struct tcp_sack_block[]){__VA_ARGS__},       \
	      sizeof((struct tcp_sack_block[]){__VA_ARGS__}) / \
		      sizeof(struct tcp_sack_block))

/* The last ACK; others of the same data may have gone before it. */
static void tells(uint32_t ack, const struct tcp_sack_block *b, size_t num)
{
	cr_assert(num_out());
	while (num_out())
		next();
	cr_assert(w.last.flags == ACK && w.last.ack == ack + 1, "ack %u",
		  w.last.ack - 1);
	cr_assert(w.last.num_sack == num, "%u blocks", w.last.num_sack);
	for (size_t i = 0; i < num; i++)
		cr_assert(w.last.sack[i].start == b[i].start + 1 &&
				  w.last.sack[i].end == b[i].end + 1,
			  "%zu: %u to %u", i, w.last.sack[i].start - 1,
			  w.last.sack[i].end - 1);
}

static void begin(uint32_t bytes)
{
	open_active();
	for (uint32_t at = 0; at < bytes; at += 500)
		data(at, at + 499);
	skip();
}

Test(tcp_rfc2883, example_1_a_duplicate)
{
	begin(4000);
	data(3000, 3499);
	TELLS(4000, {3000, 3500});
	/* once for each copy, and not again */
	data(4000, 4499);
	expect(ACK, 1, 4501, 0);
	cr_assert(w.last.num_sack == 0);
	cr_assert(count(STAT_TcpExtTCPDSACKOldSent) == 1);
}

Test(tcp_rfc2883, example_2_beside_what_is_out_of_order)
{
	begin(4000);
	data(4500, 4999);
	TELLS(4000, {4500, 5000});
	data(3000, 3499);
	TELLS(4000, {3000, 3500}, {4500, 5000});
}

Test(tcp_rfc2883, example_3_of_what_is_out_of_order)
{
	begin(4000);
	data(4500, 4999);
	data(5000, 5499);
	TELLS(4000, {4500, 5500});
	data(5000, 5499);
	TELLS(4000, {5000, 5500}, {4500, 5500});
}

Test(tcp_rfc2883, example_4_a_part)
{
	begin(1000);
	data(2000, 2499);
	data(1000, 1499);
	TELLS(1500, {2000, 2500});
	data(1000, 1999);
	TELLS(2500, {1000, 1500});
}

Test(tcp_rfc2883, example_5_two_parts_the_first_is_told)
{
	begin(1000);
	data(3000, 3499);
	data(1000, 1499);
	data(2000, 2499);
	TELLS(1500, {2000, 2500}, {3000, 3500});
	data(1000, 2499);
	TELLS(2500, {1000, 1500}, {3000, 3500});
}

Test(tcp_rfc2883, example_6_two_parts_above_the_ack)
{
	begin(1000);
	data(1500, 1999);
	data(2500, 2999);
	skip();
	data(1500, 2999);
	TELLS(1000, {1500, 2000}, {1500, 3000});
}

Test(tcp_rfc2883, switched_off)
{
	w.st->sysctl.tcp_dsack = 0;
	begin(4000);
	data(3000, 3499);
	expect(ACK, 1, 4001, 0);
	cr_assert(w.last.num_sack == 0);
}

/* 5: a block is one by the ACK that it comes with, not by what has been
 * acknowledged since. */
Test(tcp_rfc2883, it_is_read_by_its_own_ack)
{
	open_rtt();
	put(8000, 0);
	segs(0, 8);
	pass(RTT);
	acked(4);
	/* an older ACK, overtaken: its block is no duplicate */
	SACKED(0, S(1, 3));
	cr_assert(count(STAT_TcpExtTCPDSACKRecv) == 0);
	SACKED(4, S(0, 1));
	cr_assert(count(STAT_TcpExtTCPDSACKRecv) == 1);
	/* below it, or within the second block */
	SACKED(4, S(6, 7), S(5, 8));
	cr_assert(count(STAT_TcpExtTCPDSACKRecv) == 1);
	cr_assert(count(STAT_TcpExtTCPDSACKOfoRecv) == 1);
	go_away();
}
