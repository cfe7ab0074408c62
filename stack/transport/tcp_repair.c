/* SPDX-License-Identifier: MIT
 *
 * tcp_repair.c - a connection taken down here and set up there (TCP_REPAIR)
 *
 * As in Linux, for who moves processes (CRIU): a socket in repair tells the
 * numbers and bytes of its queues and closes without a word; another one in
 * repair is given them, connects without a SYN, and goes on. What is written to
 * its send queue counts as sent: the retransmission timer sees to it.
 */
#include "transport/tcp_repair.h"

#include <errno.h>
#include <linux/tcp.h>

#include "transport/tcp_conn.h"

#define PAWS_FORGOTTEN (25 * 24 * 3600 * SEC) /* RFC 7323 5.5 */

#define OPT_MSS 2     /* TCPOPT_MSS; RFC 9293 3.7.1 */
#define OPT_WINDOW 3  /* RFC 7323 2: ours << 16 | the peer's */
#define OPT_SACK_OK 4 /* RFC 2018 2 */
#define OPT_TS 8      /* RFC 7323 3 */

int tcp_repair_set(struct ep *e, int v, nsec now)
{
	struct ep_repair *r = &e->topt.repair;
	struct tcp_conn *c = e->tcp;

	if (e->listen) /* tcp_can_repair_sock() */
		return -EPERM;
	if (v < -1 || v > 1)
		return -EINVAL;
	r->is_on = v == 1;
	r->queue = TCP_REPAIR_NO_QUEUE;
	/* Linux's SK_FORCE_REUSE: a port that is in use is no obstacle */
	ep_opt_set(e, EP_O_REUSEADDR, v == 1);
	if (v == 0 && c && c->state == TCPS_ESTABLISHED) {
		c->snd_wl1 = c->rcv_nxt - 1;
		tcp_send_probe(c, now);
		tcp_out(c, now);
		tcp_timer_sync(c);
	}
	return 0;
}

int tcp_repair_set_seq(struct ep *e, uint32_t seq)
{
	struct ep_repair *r = &e->topt.repair;

	if (tcp_state(e) != TCPS_CLOSED)
		return -EPERM;
	if (r->queue == TCP_REPAIR_SEND)
		r->snd_seq = seq;
	else if (r->queue == TCP_REPAIR_RECV)
		r->rcv_seq = seq;
	else
		return -EINVAL;
	return 0;
}

int tcp_repair_get_seq(const struct ep *e, uint32_t *seq)
{
	const struct ep_repair *r = &e->topt.repair;
	const struct tcp_conn *c = e->tcp;

	if (r->queue == TCP_REPAIR_SEND)
		*seq = c ? c->write_seq + c->fin_queued : r->snd_seq;
	else if (r->queue == TCP_REPAIR_RECV)
		*seq = c ? c->rcv_nxt : r->rcv_seq;
	else
		return -EINVAL;
	return 0;
}

int tcp_repair_set_win(struct ep *e, const struct tcp_repair_win *w)
{
	struct tcp_conn *c = e->tcp;

	if (!tcp_in_repair(e))
		return -EPERM;
	if (!c || w->max_window < w->snd_wnd ||
	    seq_gt(w->snd_wl1, c->rcv_nxt + w->rcv_wnd) ||
	    seq_gt(w->rcv_wup, c->rcv_nxt))
		return -EINVAL;
	c->snd_wl1 = w->snd_wl1;
	c->snd_wnd = w->snd_wnd;
	c->max_window = w->max_window;
	c->rcv_wnd = w->rcv_wnd;
	c->rcv_wup = w->rcv_wup;
	return 0;
}

int tcp_repair_get_win(const struct ep *e, struct tcp_repair_win *w)
{
	const struct tcp_conn *c = e->tcp;

	if (!tcp_in_repair(e))
		return -EPERM;
	*w = (struct tcp_repair_win){0};
	if (c)
		*w = (struct tcp_repair_win){c->snd_wl1, c->snd_wnd,
					     c->max_window, c->rcv_wnd,
					     c->rcv_wup};
	return 0;
}

static int set_scales(struct tcp_conn *c, uint32_t value)
{
	uint32_t snd = value & 0xffff, rcv = value >> 16;

	if (snd > TCP_MAX_WSCALE || rcv > TCP_MAX_WSCALE)
		return -EFBIG;
	c->snd_wscale = (uint8_t)snd;
	c->rcv_wscale = (uint8_t)rcv;
	c->wscale_ok = true;
	return 0;
}

int tcp_repair_option(struct ep *e, uint32_t code, uint32_t value, nsec now)
{
	struct tcp_conn *c = e->tcp;

	if (!tcp_in_repair(e))
		return -EINVAL;
	if (!c || c->state != TCPS_ESTABLISHED || c->bytes_sent)
		return -EPERM;
	switch (code) {
	case OPT_MSS:
		c->mss_clamp = (uint16_t)value;
		tcp_mtu_init(c, now);
		tcp_mss_sync(c, c->pmtu);
		return 0;
	case OPT_WINDOW:
		return set_scales(c, value);
	case OPT_SACK_OK:
		c->sack_ok = !value;
		return value ? -EINVAL : 0;
	case OPT_TS:
		c->ts_ok = !value;
		tcp_mss_sync(c, c->pmtu);
		return value ? -EINVAL : 0;
	default:
		return 0;
	}
}

void tcp_repair_set_stamp(struct ep *e, uint32_t v, nsec now)
{
	e->topt.repair.ts_off = v - tcp_ts_now(0, now);
	e->topt.repair.has_ts_off = true;
	if (e->tcp)
		e->tcp->ts_off = e->topt.repair.ts_off;
}

uint32_t tcp_repair_get_stamp(const struct ep *e, nsec now)
{
	uint32_t off = e->topt.repair.ts_off;

	return tcp_ts_now(e->tcp ? e->tcp->ts_off : off, now);
}

/* tcp_finish_connect() without a SYN. */
void tcp_repair_connect(struct tcp_conn *c, nsec now)
{
	const struct ep_repair *r = &c->ep->topt.repair;

	c->iss = r->snd_seq - 1;
	c->snd_una = c->snd_nxt = c->write_seq = r->snd_seq;
	c->irs = r->rcv_seq - 1;
	c->rcv_nxt = c->rcv_wup = c->copied_seq = r->rcv_seq;
	c->snd_wl1 = c->rcv_nxt;
	if (r->has_ts_off)
		c->ts_off = r->ts_off;
	tcp_conn_setup(c, now);
	c->ts_ok = false; /* all that is agreed on is told later */
	c->rcv_wscale = 0;
	tcp_set_state(c, TCPS_ESTABLISHED);
	tcp_conn_established(c, now);
	c->ts_recent_at = now - PAWS_FORGOTTEN; /* the next stamp is believed */
	tcp_timer_sync(c);
	tcp_check(c);
}

int tcp_repair_may_send(const struct ep *e)
{
	return e->topt.repair.queue == TCP_REPAIR_NO_QUEUE ? -EINVAL : 0;
}

int tcp_repair_may_recv(const struct ep *e, int flags)
{
	if (!(flags & MSG_PEEK))
		return -EPERM;
	return e->topt.repair.queue == TCP_REPAIR_NO_QUEUE ? -EINVAL : 0;
}
