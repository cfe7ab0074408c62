/* SPDX-License-Identifier: MIT
 *
 * tcp_tw.c - TIME-WAIT: 96 bytes that answer for a connection that is over
 *
 * All wait equally long, so they stand in one FIFO: the first is the next to
 * go. A SYN with a later timestamp or a higher sequence number than all that
 * was seen may open the tuple anew (RFC 6191, RFC 9293 MAY-2).
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

static uint8_t oow_stamp(nsec now)
{
	return (uint8_t)((uint64_t)now >> 28);
}

static void rearm(struct tcp *t, struct tcp_tw *w, nsec now)
{
	w->due = tcp_stamp(now + TCP_TW_LEN);
	list_remove(&w->link);
	list_push(&t->tw, &w->link);
	tcp_table_rearm(t, now);
}

void tcp_tw_free(struct tcp *t, struct tcp_tw *w)
{
	tcp_tuple_remove(t, &w->n);
	tcp_port_count(t, &w->n, -1);
	list_remove(&w->link);
	t->num_tw--;
	arena_free(t->core->arena, w);
}

void tcp_tw_fini(struct tcp *t)
{
	while (!list_empty(&t->tw))
		tcp_tw_free(t, list_first(&t->tw, struct tcp_tw, link));
}

void tcp_tw_enter(struct tcp_conn *c, nsec now)
{
	struct tcp *t = c->t;
	struct tcp_tw *w = NULL;
	uint8_t bits = 0;

	if (t->num_tw < (uint64_t)tcp_sysctl(c)->tcp_max_tw_buckets)
		w = tcp_tw_new(c, &bits);
	if (!w) {
		stat_inc(t->core, STAT_TcpExtTCPTimeWaitOverflow);
		return;
	}
	tcp_count_tw(c, TCP_TW_LEN);
	tcp_metrics_save(c);
	w->n.key = c->node.key;
	w->n.kind = TCP_NODE_TW;
	bits |= (uint8_t)tcp_reuse_bits(c->ep);
	w->n.bits = bits | (c->ts_ok ? TCP_TW_TS : 0);
	w->snd_nxt = c->snd_nxt;
	w->rcv_nxt = c->rcv_nxt;
	w->ts_recent = c->ts_recent;
	w->began = tcp_stamp(now);
	w->window = (uint16_t)MIN(c->rcv_wnd >> c->rcv_wscale, 0xffffu);
	w->tos = ip_addr_is4(&c->node.key.raddr) ? c->ep->tos : c->ep->tclass;
	w->oow = (uint8_t)(oow_stamp(now) - 2);
	list_init(&w->link);
	tcp_tuple_remove(t, &c->node);
	c->in_table = false;
	ASSERT(tcp_tuple_insert(t, &w->n) == 0);
	tcp_port_count(t, &w->n, 1);
	t->num_tw++;
	rearm(t, w, now);
}

static void answer(struct tcp *t, struct tcp_tw *w, nsec now)
{
	uint32_t off = tcp_ts_off(t, &w->n.key);
	struct tcp_sig sig = tcp_tw_sig(w, w->snd_nxt);
	struct tcp_repr r = {
		.seq = w->snd_nxt,
		.ack = w->rcv_nxt,
		.flags = TCP_ACK,
		.window = w->window,
		.has_ts = w->n.bits & TCP_TW_TS,
		.ts_val = tcp_ts_now(off, now),
		.ts_ecr = w->ts_recent,
	};

	if ((uint8_t)(oow_stamp(now) - w->oow) < 2) {
		stat_inc(t->core, STAT_TcpExtTCPACKSkippedTimeWait);
		return;
	}
	w->oow = oow_stamp(now);
	tcp_send_bare(t, &w->n.key, &r, &sig, w->tos, 0, now);
}

/* tcp_timewait_state_process() of Linux. */
bool tcp_tw_in(struct tcp *t, struct tcp_tw *w, struct tcp_seg *s,
	       uint32_t *iss)
{
	bool has_ts = w->n.bits & TCP_TW_TS && s->r.has_ts;
	int32_t older = (int32_t)(w->ts_recent - s->r.ts_val);
	bool paws = has_ts && older > 1;
	uint8_t f = s->r.flags;

	if (!paws && s->seq == w->rcv_nxt &&
	    (s->seq == s->end || f & TCP_RST)) {
		if (f & TCP_RST && !t->core->sysctl->tcp_rfc1337) {
			tcp_tw_free(t, w); /* RFC 1337's assassin */
			return false;
		}
		if (has_ts && older < 0)
			w->ts_recent = s->r.ts_val;
		rearm(t, w, s->now);
		return false;
	}
	if ((f & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_SYN && !paws &&
	    (seq_gt(s->seq, w->rcv_nxt) || (has_ts && older < 0))) {
		*iss = w->snd_nxt + 65535 + 2;
		*iss += !*iss; /* 0 means any */
		tcp_tw_free(t, w);
		return true;
	}
	if (paws) {
		stat_inc(t->core, STAT_TcpExtPAWSTimewait);
		drop(t->core, DROP_TCP_PAWS);
	}
	if (f & TCP_RST)
		return false;
	if (paws || f & TCP_ACK)
		rearm(t, w, s->now);
	answer(t, w, s->now);
	return false;
}

/* For connect(2): only when the peer can tell old from new by timestamp, and
 * ours has moved on (RFC 6191 2). */
bool tcp_tw_may_reuse(const struct tcp *t, const struct tcp_tw *w, nsec now)
{
	int64_t mode = t->core->sysctl->tcp_tw_reuse;

	if (!mode || !(w->n.bits & TCP_TW_TS))
		return false;
	if (mode == 2 && !ip_addr_is_loopback(&w->n.key.laddr) &&
	    !ip_addr_is_loopback(&w->n.key.raddr))
		return false;
	return tcp_stamp(now) - w->began >
	       tcp_stamp(t->core->sysctl->tcp_tw_reuse_delay * MSEC);
}

nsec tcp_tw_next_at(const struct tcp *t, nsec now)
{
	const struct tcp_tw *w = list_first(&t->tw, struct tcp_tw, link);

	if (!w)
		return TIME_NEVER;
	return ((now >> 14) + (int32_t)(w->due - tcp_stamp(now))) * (1 << 14);
}

void tcp_tw_timer(struct tcp *t, nsec now)
{
	struct tcp_tw *w;

	while ((w = list_first(&t->tw, struct tcp_tw, link)) &&
	       (int32_t)(w->due - tcp_stamp(now)) <= 0) {
		tcp_tw_free(t, w);
	}
}
