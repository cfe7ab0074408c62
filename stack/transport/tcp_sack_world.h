/* SPDX-License-Identifier: MIT
 *
 * tcp_sack_world.h - segments of ours by number, and what a peer says of them
 *
 * Segment i is the bytes from i * MSS + 1; S(a, b) is the block of segments a
 * to b, without b.
 */
#ifndef TCPSHIM_TCP_SACK_WORLD_H
#define TCPSHIM_TCP_SACK_WORLD_H

#include "transport/tcp_conn.h"
#include "transport/tcp_world.h"

#define RTT (100 * MSEC)

#define S(a, b)                            \
	{                                  \
		(a) * MSS + 1, (b)*MSS + 1 \
	}
/* The peer has everything below segment @n, and these blocks. */
#define SACKED(n, ...)                                                    \
	SEND(.flags = ACK, .seq = 1, .ack = (n)*MSS + 1,                  \
	     .num_sack = sizeof((struct tcp_sack_block[]){__VA_ARGS__}) / \
			 sizeof(struct tcp_sack_block),                   \
	     .sack = {__VA_ARGS__})

static inline void acked(uint32_t n)
{
	SEND(.flags = ACK, .seq = 1, .ack = n * MSS + 1);
}

/* These are what is sent next. */
static inline void segs(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		next();
		cr_assert(w.last.seq == i * MSS + 1 && w.last.len == MSS,
			  "seq %u len %u, wanted segment %u", w.last.seq,
			  w.last.len, i);
	}
}

/* Connected, with what many samples of one round trip would have left. */
static inline void open_rtt(void)
{
	open_active();
	conn()->srtt = conn()->min_rtt = RTT;
	conn()->min_rtt_at = w.now;
	conn()->mdev = conn()->mdev_max = conn()->rttvar = 50 * MSEC;
	tcp_rto_update(conn());
	cr_assert(conn()->rto == 3 * RTT);
}

/* The end of a test that leaves data in flight. */
static inline void go_away(void)
{
	skip();
	SEND(.flags = RST | ACK, .seq = conn()->rcv_nxt - w.irs,
	     .ack = conn()->snd_nxt - w.iss);
	skip();
}

#endif
