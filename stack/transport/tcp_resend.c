/* SPDX-License-Identifier: MIT
 *
 * tcp_resend.c - what was sent before goes again
 *
 * What is judged lost, in order and a frame at a time, as far as the congestion
 * window allows; or the first or the last record, whatever it allows. A part
 * that goes again gets a record of its own, and is cut anew if the MSS has
 * fallen since, or the peer's window (RFC 7323 2.4).
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_out.h"

static void note_attempt(struct tcp_conn *c, const struct tcp_rec *r, nsec now)
{
	c->total_retrans += r->num_segs;
	c->bytes_retrans += r->len;
	stat_add(c->t->core, STAT_TcpRetransSegs, r->num_segs);
	if (r->flags & TCP_SYN)
		stat_inc(c->t->core, STAT_TcpExtTCPSynRetrans);
	if (!c->retrans_at)
		c->retrans_at = now;
}

/* The device refused it, but for Linux it was a resend. */
static void note_refused(struct tcp_conn *c, struct tcp_rec *r, nsec now)
{
	note_attempt(c, r, now);
	if (r->num_tx < UINT8_MAX)
		r->num_tx++; /* no round trip is taken from it: Karn */
}

static void note_resent(struct tcp_conn *c, struct tcp_rec *r, nsec now)
{
	tcp_rec_sent(c, r, true, now);
	c->mtup.size = 0; /* what a probe was to tell is lost */
	note_attempt(c, r, now);
}

/* A second copy in the pipe; the loss probe's is not counted, as in Linux. */
static void note_pipe(struct tcp_conn *c, struct tcp_rec *r, nsec now)
{
	if (!r->is_rtx) {
		r->is_rtx = true;
		c->retrans_out += r->num_segs - rec_count(r->sacked);
	}
	if (!c->undo.resent_at)
		c->undo.resent_at = now;
	c->undo.retrans = MAX(c->undo.retrans, 0) + r->num_segs;
	if (tcp_is_reducing(c))
		c->prr_out += r->num_segs;
	/* the timeout runs from the last transmission of the oldest byte */
	if (r->node.prev == &c->recs && c->at[TCP_T_REO] == TIME_NEVER) {
		tcp_timer_stop(c, TCP_T_TLP);
		tcp_timer_set(c, TCP_T_RTX,
			      now + c->rto + tcp_pace_delay(c, now));
	}
}

/* A record of its own for the run of segments of @r that starts at @first, at
 * most @max long. NULL: no memory. */
static struct tcp_rec *carve(struct tcp_conn *c, struct tcp_rec *r,
			     uint64_t run, uint32_t max)
{
	unsigned first = (unsigned)__builtin_ctzll(run);
	uint64_t rest = ~(run >> first);
	unsigned len = rest ? (unsigned)__builtin_ctzll(rest) : 64;

	len = MIN(len, max);
	if (first) {
		r = tcp_rec_split(c, r, r->seq + first * r->mss);
		if (!r)
			return NULL;
	}
	if (len < r->num_segs && !tcp_rec_split(c, r, r->seq + len * r->mss))
		return NULL;
	return r;
}

/* The MSS has fallen since: cut to what goes now, in one frame's worth. */
static bool fit_mss(struct tcp_conn *c, struct tcp_rec *r, uint32_t mss)
{
	uint32_t per = MAX(TCP_MAX_SEGS * mss / r->mss, 1u);

	if (r->mss <= c->mss_cache)
		return true;
	if (DIV_ROUND_UP(r->len, mss) > TCP_MAX_SEGS && r->num_segs > per &&
	    !tcp_rec_split(c, r, r->seq + per * r->mss))
		return false;
	if (DIV_ROUND_UP(r->len, mss) > TCP_MAX_SEGS)
		mss = DIV_ROUND_UP(r->len, TCP_MAX_SEGS);
	tcp_rec_resegment(c, r, (uint16_t)mss);
	if (!tcp_can_gso(c) && r->num_segs > 1 &&
	    !tcp_rec_split(c, r, r->seq + r->mss))
		return false;
	return true;
}

/* Bytes of what begins at @seq that the peer takes. It may have shrunk its
 * window below what is in flight: what lies beyond then waits. But for the
 * head, which is the probe of a window that closed (Linux's
 * __tcp_retransmit_skb()). */
static uint32_t window_at(const struct tcp_conn *c, uint32_t seq)
{
	uint32_t end = c->snd_una + c->snd_wnd;

	if (seq_gt(end, seq))
		return end - seq;
	return seq == c->snd_una ? c->mss_cache : 0;
}

/* Cuts @r to the part of it that the peer takes. False: there is none. */
static bool fit_window(struct tcp_conn *c, struct tcp_rec *r)
{
	uint32_t room = window_at(c, r->seq);
	uint16_t mss = r->mss;
	struct tcp_rec *rest;

	if (room >= r->len)
		return true;
	if (room >= mss)
		return tcp_rec_split(c, r, r->seq + room / mss * mss);
	if (!room || r->sacked ||
	    (r->num_segs > 1 && !tcp_rec_split(c, r, r->seq + mss)))
		return false;
	if (room >= r->len || DIV_ROUND_UP(r->len, room) > TCP_MAX_SEGS)
		return room >= r->len || r->seq == c->snd_una;
	tcp_rec_resegment(c, r, (uint16_t)room);
	rest = tcp_rec_split(c, r, r->seq + room);
	if (!rest)
		return false;
	tcp_rec_resegment(c, rest, mss);
	return true;
}

static int resend_copy(struct tcp_conn *c, struct tcp_rec *r, nsec now)
{
	struct tcp_frame o = tcp_frame_of(c, r);
	int err = tcp_transmit(c, &o, now);

	if (err == -EBUSY)
		note_refused(c, r, now);
	if (tcp_is_unsent(err)) {
		stat_add(c->t->core, STAT_TcpExtTCPRetransFail, r->num_segs);
		return err;
	}
	note_resent(c, r, now);
	return SENT;
}

static int resend(struct tcp_conn *c, struct tcp_rec *r, nsec now)
{
	int err = resend_copy(c, r, now);

	if (err == SENT)
		note_pipe(c, r, now);
	return err;
}

static uint64_t rec_todo(const struct tcp_rec *r)
{
	return r->is_rtx ? 0 : r->lost & ~r->sacked;
}

static uint32_t first_todo(const struct tcp_rec *r)
{
	return (uint32_t)__builtin_ctzll(rec_todo(r));
}

struct tcp_rec *tcp_next_lost(struct tcp_conn *c)
{
	struct tcp_rec *r = c->hint_rtx;

	if (c->hold_resend || c->frto_new || !c->lost_out ||
	    c->lost_out <= c->retrans_out)
		return NULL;
	if (!r)
		r = list_first(&c->recs, struct tcp_rec, node);
	while (r && !rec_todo(r))
		r = rec_next(c, r);
	c->hint_rtx = r;
	return r;
}

/* One frame of what is lost. */
int tcp_resend_lost(struct tcp_conn *c, nsec now)
{
	struct tcp_rec *r = tcp_next_lost(c);
	uint32_t room, pipe = tcp_in_flight(c), mss;
	int err;

	if (!r)
		return NOTHING;
	room = c->cc.cwnd > pipe ? c->cc.cwnd - pipe : 0;
	if (!room || !window_at(c, r->seq + first_todo(r) * r->mss))
		return NOTHING;
	mss = tcp_out_mss(c);
	room = MIN(room, MAX(tcp_max_frame(c, r->mss) / r->mss, 1u));
	r = carve(c, r, rec_todo(r), room);
	if (!r || !fit_mss(c, r, mss) || !fit_window(c, r))
		return NOTHING;
	err = resend(c, r, now);
	if (err == SENT)
		stat_add(c->t->core,
			 c->ca == CA_LOSS ? STAT_TcpExtTCPSlowStartRetrans
					  : STAT_TcpExtTCPFastRetrans,
			 r->num_segs);
	return err;
}

int tcp_resend_head(struct tcp_conn *c, nsec now)
{
	struct tcp_rec *r = list_first(&c->recs, struct tcp_rec, node);
	int err;

	if (!r)
		return 0;
	if (r->num_segs > 1) {
		uint64_t first = 1;

		if (!carve(c, r, first, 1))
			return -ENOMEM;
	}
	if (!fit_mss(c, r, tcp_out_mss(c)) || !fit_window(c, r))
		return -ENOMEM;
	err = resend(c, r, now);
	return err == SENT ? 0 : err;
}

int tcp_resend_last(struct tcp_conn *c, nsec now)
{
	struct tcp_rec *r = list_last(&c->recs, struct tcp_rec, node);
	uint32_t last;

	if (!r)
		return -ENOENT;
	last = r->num_segs - 1u;
	if (last) {
		r = tcp_rec_split(c, r, r->seq + last * r->mss);
		if (!r)
			return -ENOMEM;
	}
	if (!fit_mss(c, r, tcp_out_mss(c)))
		return -ENOMEM;
	if (!fit_window(c, r))
		return -EAGAIN;
	return resend_copy(c, r, now);
}
