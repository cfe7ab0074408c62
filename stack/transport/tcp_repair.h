/* SPDX-License-Identifier: MIT
 *
 * tcp_repair.h - a connection taken down here and set up there (TCP_REPAIR)
 */
#ifndef TCPSHIM_TCP_REPAIR_H
#define TCPSHIM_TCP_REPAIR_H

#include "transport/ep.h"

/* As in linux/tcp.h. */
enum tcp_repair_queue {
	TCP_REPAIR_NO_QUEUE,
	TCP_REPAIR_RECV,
	TCP_REPAIR_SEND,
	TCP_REPAIR_NUM_QUEUES
};

struct tcp_repair_win { /* struct tcp_repair_window */
	uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
};

static inline bool tcp_in_repair(const struct ep *e)
{
	return e->topt.repair.is_on;
}

/* On (1), off with a probe of the window (0), off without (-1). */
int tcp_repair_set(struct ep *e, int v, nsec now);
/* What the next byte of the chosen queue is numbered. */
int tcp_repair_set_seq(struct ep *e, uint32_t seq);
int tcp_repair_get_seq(const struct ep *e, uint32_t *seq);
int tcp_repair_set_win(struct ep *e, const struct tcp_repair_win *w);
int tcp_repair_get_win(const struct ep *e, struct tcp_repair_win *w);
/* One struct tcp_repair_opt: an option as if both SYNs had had it. */
int tcp_repair_option(struct ep *e, uint32_t code, uint32_t value, nsec now);
void tcp_repair_set_stamp(struct ep *e, uint32_t v, nsec now);
uint32_t tcp_repair_get_stamp(const struct ep *e, nsec now);

#endif
