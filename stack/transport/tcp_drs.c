/* SPDX-License-Identifier: MIT
 *
 * tcp_drs.c - how large the receive buffer should be: dynamic right-sizing
 *
 * What the reader took in a round trip is what the sender's window must hold,
 * and twice that, so that the sender may double it in the next one (Fisk and
 * Feng, "Dynamic right-sizing in TCP", 2001; the steps are those of Linux 6.18,
 * so both offer the same window to the same peer). It needs a round trip as the
 * receiver sees it: by the timestamps that come back, or, without them, by how
 * long a window took to arrive.
 *
 * While a hole waits to be filled the reader takes nothing, and the window must
 * hold what comes meanwhile, too: on a path where some packet of each round
 * trip is lost a buffer for two round trips is too small for any sender that
 * does not mind losses. So what lies behind holes is added, as it comes.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

#define RTT_MAX_MS 60000u /* an echo older than that is none */

/* A stamp's round trip holds what the peer waited before it sent, and what lay
 * unread: shorter is always better, longer is believed slowly. */
static void note_rtt(struct tcp_conn *c, nsec rtt, bool is_exact)
{
	if (!c->rcv_rtt || rtt < c->rcv_rtt)
		c->rcv_rtt = MAX(rtt, USEC);
	else if (is_exact)
		c->rcv_rtt += (rtt - c->rcv_rtt) / 8;
}

/* From here to where the window ended then takes a round trip at least. */
static void by_window(struct tcp_conn *c, nsec now)
{
	if (c->rcv_rtt_at) {
		if (seq_lt(c->rcv_nxt, c->rcv_rtt_seq))
			return;
		note_rtt(c, now - c->rcv_rtt_at, false);
	}
	c->rcv_rtt_seq = c->rcv_nxt + c->rcv_wnd;
	c->rcv_rtt_at = now;
}

/* What our timestamp came back after; once for each that we sent. */
static void by_stamp(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t ms;
	nsec rtt;

	if (!c->ts_ok || !s->r.has_ts || s->r.ts_ecr == c->rcv_rtt_ecr)
		return;
	c->rcv_rtt_ecr = s->r.ts_ecr;
	if (s->len < c->rcv_mss)
		return;
	ms = tcp_ts_now(c->ts_off, s->now) - s->r.ts_ecr;
	rtt = ms * MSEC;
	/* none is less than the clock can tell; a reader that is late makes it
	 * long */
	if (ms && ms < RTT_MAX_MS &&
	    (rtt < c->rcv_rtt || seq_geq(c->copied_seq, s->seq)))
		note_rtt(c, rtt, true);
}

void tcp_rcv_rtt(struct tcp_conn *c, const struct tcp_seg *s)
{
	by_window(c, s->now);
	by_stamp(c, s);
}

static uint32_t space_from_win(const struct tcp_conn *c, uint64_t win)
{
	return (uint32_t)MIN((win << 8) / MAX(c->win_ratio, 1u), 1u << 30);
}

static void grow_rcvbuf(struct tcp_conn *c, uint32_t copied)
{
	const struct tcp_rslice *last =
		list_last(&c->ofo, struct tcp_rslice, node);
	uint64_t win = 2ull * copied, was = c->rcvq_space;
	struct ep *e = c->ep;
	uint32_t buf;

	c->rcvq_space = copied;
	if (!tcp_sysctl(c)->tcp_moderate_rcvbuf || tcp_mem_is_short(c) ||
	    ep_opt(e, EP_O_RCVBUF_LOCK))
		return;
	/* room for the growth of a round trip in slow start */
	win += 2 * (win * (copied - was) / was);
	if (last)
		win += last->seq + last->len - c->rcv_nxt;
	buf = MIN(space_from_win(c, win),
		  (uint32_t)tcp_sysctl(c)->tcp_rmem_max);
	if (buf <= e->rcvbuf)
		return;
	e->rcvbuf = buf;
	c->window_clamp = tcp_win_from_space(c, e->rcvbuf);
	if (e->topt.window_clamp)
		c->window_clamp = MIN(c->window_clamp, e->topt.window_clamp);
}

void tcp_rcv_space_adjust(struct tcp_conn *c, nsec now)
{
	int32_t copied = (int32_t)(c->copied_seq - c->rcvq_seq);

	if (!c->rcv_rtt || now - c->rcvq_at < c->rcv_rtt)
		return;
	/* what the reader leaves needs no larger window */
	copied -= (int32_t)(c->rcv_nxt - c->copied_seq);
	if (copied > 0 && (uint32_t)copied > c->rcvq_space)
		grow_rcvbuf(c, (uint32_t)copied);
	c->rcvq_seq = c->copied_seq;
	c->rcvq_at = now;
}

void tcp_rcv_ofo_grow(struct tcp_conn *c, uint32_t len)
{
	if (c->sack_ok)
		tcp_rcv_grow_window(c, len);
	/* one that nobody has accepted grows by nothing */
	if (!c->parent && !c->is_orphan)
		grow_rcvbuf(c, c->rcvq_space);
}

/* The window opens as the peer shows that it fills it with good frames. */
void tcp_rcv_grow_window(struct tcp_conn *c, uint32_t len)
{
	uint32_t room = c->window_clamp > c->rcv_ssthresh
				? c->window_clamp - c->rcv_ssthresh
				: 0;

	if (!room || c->ep->rx_mem > c->ep->rcvbuf || tcp_mem_is_short(c))
		return;
	c->rcv_ssthresh += MIN(room, MAX(2u * c->advmss, 2 * len));
}
