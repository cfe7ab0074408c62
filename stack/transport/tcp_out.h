/* SPDX-License-Identifier: MIT
 *
 * tcp_out.h - what the files that send share: tcp_out.c decides, tcp_resend.c
 *	       sends again, tcp_xmit.c builds
 */
#ifndef TCPSHIM_TCP_OUT_H
#define TCPSHIM_TCP_OUT_H

#include "transport/tcp_conn.h"

/* What became of a frame, if it is no -errno. */
enum { SENT = 1, NOTHING = 0 };

struct tcp_frame {
	uint32_t seq, len;
	struct tcp_slice *sl;
	uint8_t flags;
	uint16_t mss; /* gso when len is more */
};

/* --- tcp_xmit.c --- */
struct tcp_frame tcp_frame_of(const struct tcp_conn *c,
			      const struct tcp_rec *r);
/* 0, or -errno; see tcp_is_unsent(). */
int tcp_transmit(struct tcp_conn *c, const struct tcp_frame *o, nsec now);
/* tcp_tx_room() will call tcp_out(). */
void tcp_wait_for_room(struct tcp_conn *c);
bool tcp_can_gso(const struct tcp_conn *c);
uint32_t tcp_max_frame(const struct tcp_conn *c, uint32_t mss);

/* --- tcp_resend.c --- */
/* The next record with a part that is lost and not out again. */
struct tcp_rec *tcp_next_lost(struct tcp_conn *c);
int tcp_resend_lost(struct tcp_conn *c, nsec now); /* one frame of it */
/* The last segment, whatever the window; not counted in the pipe. */
int tcp_resend_last(struct tcp_conn *c, nsec now);

#endif
