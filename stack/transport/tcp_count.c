/* SPDX-License-Identifier: MIT
 *
 * tcp_count.c - counters of Linux's that need a judgement of their own
 *
 * Nothing here decides anything. Linux has a short way for a segment that is
 * just what was to be expected (header prediction), and counts who takes it;
 * we have one way for all, and look at each as Linux would.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

/* tcp_fast_path_check() and the test of pred_flags in tcp_rcv_established() */
static bool is_predicted(const struct tcp_conn *c, const struct tcp_seg *s)
{
	uint8_t flags = s->r.flags & (uint8_t)~TCP_PSH;
	unsigned hlen = TCP_HLEN + (c->ts_ok ? 12u : 0u);

	if (c->state != TCPS_ESTABLISHED || !list_empty(&c->ofo) ||
	    !c->rcv_wnd || c->ep->rx_mem >= c->ep->rcvbuf || c->urg_state)
		return false;
	if (flags != TCP_ACK || s->r.hdr_len != hlen || s->seq != c->rcv_nxt ||
	    s->r.window != c->snd_wnd >> c->snd_wscale)
		return false;
	return !c->ts_ok ||
	       (s->r.has_ts && (int32_t)(s->r.ts_val - c->ts_recent) >= 0);
}

void tcp_count_ack(const struct tcp_conn *c, const struct tcp_seg *s)
{
	bool is_fast = is_predicted(c, s);
	struct core *core = c->t->core;

	if (is_fast && s->len)
		stat_inc(core, STAT_TcpExtTCPHPHits);
	if (is_fast && seq_gt(s->r.ack, c->snd_una))
		stat_inc(core, STAT_TcpExtTCPHPAcks);
	else if (s->end == s->seq)
		stat_inc(core, STAT_TcpExtTCPPureAcks);
}

/* tcp_is_sackblock_valid() of Linux for a D-SACK; true is none of ours. */
static bool dsack_is_about_now(const struct tcp_conn *c,
			       const struct tcp_sack_block *b)
{
	if (seq_gt(b->end, c->snd_nxt) || seq_geq(b->start, b->end))
		return false;
	if (seq_gt(b->start, c->snd_una))
		return true;
	if (!c->undo.armed || seq_gt(b->end, c->snd_una))
		return false;
	if (seq_geq(b->start, c->undo.marker))
		return true;
	return seq_gt(b->end, c->undo.marker) &&
	       seq_geq(b->start, b->end - c->max_window);
}

void tcp_count_dsack(const struct tcp_conn *c, const struct tcp_sack_block *b)
{
	if (!dsack_is_about_now(c, b))
		stat_inc(c->t->core,
			 c->undo.armed ? STAT_TcpExtTCPDSACKIgnoredOld
				       : STAT_TcpExtTCPDSACKIgnoredNoUndo);
}

void tcp_count_window(const struct tcp_conn *c, uint32_t win)
{
	struct core *core = c->t->core;

	if (!win && c->rcv_wnd)
		stat_inc(core, STAT_TcpExtTCPToZeroWindowAdv);
	else if (win && !c->rcv_wnd)
		stat_inc(core, STAT_TcpExtTCPFromZeroWindowAdv);
}

void tcp_count_hystart(struct tcp_conn *c)
{
	struct core *core = c->t->core;

	if (c->cc.ended_by_train) {
		stat_inc(core, STAT_TcpExtTCPHystartTrainDetect);
		stat_add(core, STAT_TcpExtTCPHystartTrainCwnd, c->cc.cwnd);
	}
	if (c->cc.ended_by_delay) {
		stat_inc(core, STAT_TcpExtTCPHystartDelayDetect);
		stat_add(core, STAT_TcpExtTCPHystartDelayCwnd, c->cc.cwnd);
	}
	c->cc.ended_by_train = c->cc.ended_by_delay = false;
}

/* tcp_time_wait() of Linux: @len is how long it will stay there. */
void tcp_count_tw(struct tcp_conn *c, nsec len)
{
	if (!c->tw_counted)
		stat_inc(c->t->core, len <= TCP_TW_KILLED ? STAT_TcpExtTWKilled
							  : STAT_TcpExtTW);
	c->tw_counted = true;
}
