/* SPDX-License-Identifier: MIT
 *
 * tcp_out.c - what may be sent now, and building it
 *
 * tcp_out() is the one loop: first what is lost, then what is new, a frame at a
 * time, while the congestion window, the peer's window, Nagle and the transmit
 * queue agree. A frame is up to 64 segments when the device cuts them. It is
 * never larger than half of the largest window that the peer has shown: one
 * that offers 60,416 bytes and never more must not be waited for. A connection
 * that is paced (tcp_pace.c) stops between frames until the next may leave.
 *
 * A frame that the queue refuses counts as not sent; nothing has moved then,
 * and the connection waits on tcp->wait for tcp_tx_room().
 */
#include <errno.h>

#include "base/csum.h"
#include "base/util.h"
#include "transport/tcp_conn.h"

#define MAX_FRAME 65535u /* an IP packet */

enum { SENT = 1, NOTHING = 0 };

/* --- sizes --- */

static uint32_t ip_hlen(const struct tcp_key *k)
{
	return ip_addr_is4(&k->raddr) ? 20 : 40;
}

uint32_t tcp_mss_of_mtu(const struct tcp_key *k, uint32_t mtu)
{
	uint32_t hdr = ip_hlen(k) + TCP_HLEN;

	return mtu > hdr + 8 ? mtu - hdr : 8;
}

void tcp_mss_sync(struct tcp_conn *c, uint32_t pmtu)
{
	uint32_t mss = tcp_mss_of_mtu(&c->node.key, pmtu);

	/* a peer may have offered next to nothing */
	mss = MIN(mss, c->mss_clamp);
	if (c->ts_ok)
		mss -= MIN(mss, TCP_TS_OPT_LEN);
	mss = MAX(mss, (uint32_t)tcp_sysctl(c)->tcp_min_snd_mss);
	c->pmtu = pmtu;
	c->mss_cache = (uint16_t)MIN(mss, 65535u);
}

static unsigned num_sack_now(const struct tcp_conn *c)
{
	struct tcp_sack_block b[TCP_MAX_SACK];

	return tcp_sack_blocks(c, b, c->ts_ok ? 3 : 4);
}

/* The MSS, less SACK blocks that go along; at most half of the largest window
 * ever seen (RFC 1122 4.2.3.4, as Linux's tcp_bound_to_half_wnd()). */
uint32_t tcp_out_mss(const struct tcp_conn *c)
{
	uint32_t mss = c->mss_cache, half = c->max_window / 2;
	unsigned sacks = num_sack_now(c);

	if (sacks && mss > 64 + 4 + 8 * sacks)
		mss -= 4 + 8 * sacks;
	if (c->max_window > TCP_DEF_MSS)
		mss = MIN(mss, half);
	else if (c->max_window)
		mss = MIN(mss, c->max_window);
	return MAX(mss, 48u);
}

static bool can_gso(const struct tcp_conn *c)
{
	const struct link *l = c->t->tp->ip->link;

	/* each segment of a frame would carry the same urgent pointer */
	if (c->snd_up != c->snd_una)
		return false;
	return ip_addr_is4(&c->node.key.raddr) ? l->can_tso4 : l->can_tso6;
}

/* Linux's tcp_tso_autosize(): a millisecond's worth, more the nearer the peer
 * is, or a frame would be a burst on a slow path. */
static uint32_t pace_segs(const struct tcp_conn *c, uint32_t mss)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	uint64_t bytes = MIN(c->pacing_rate >> 10, (uint64_t)MAX_FRAME);
	nsec r = c->min_rtt / USEC >> v->tcp_tso_rtt_log;
	uint32_t least = (uint32_t)v->tcp_min_tso_segs;

	if (v->tcp_tso_rtt_log && r < 32)
		bytes += MAX_FRAME >> r;
	if (cc_ops(&c->cc)->min_segs)
		least = cc_ops(&c->cc)->min_segs(&c->cc);
	return (uint32_t)MAX(bytes / mss, (uint64_t)least);
}

static uint32_t max_frame(const struct tcp_conn *c, uint32_t mss)
{
	uint32_t room = MAX_FRAME - ip_hlen(&c->node.key) - 60;
	uint32_t segs;

	if (!can_gso(c))
		return mss;
	segs = MIN(TCP_MAX_SEGS, room / mss);
	segs = MIN(segs, pace_segs(c, mss));
	segs = MIN(segs, c->max_window / 2 / mss);
	return MAX(segs, 1u) * mss;
}

/* --- the receive window --- */

static uint32_t window_left(const struct tcp_conn *c)
{
	uint32_t end = c->rcv_wup + c->rcv_wnd;

	return seq_gt(end, c->rcv_nxt) ? end - c->rcv_nxt : 0;
}

/* __tcp_select_window() of Linux: RFC 1122 4.2.3.3; shrinks for one reason. */
uint32_t tcp_select_window(const struct tcp_conn *c)
{
	const struct ep *e = c->ep;
	uint32_t space = e->rcvbuf > e->rx_mem ? e->rcvbuf - e->rx_mem : 0;
	uint32_t free_win = tcp_win_from_space(c, space);
	uint32_t full = MIN(c->window_clamp, tcp_win_from_space(c, e->rcvbuf));
	uint32_t mss = MIN(c->rcv_mss, MAX(full, 1u)), left = window_left(c);
	uint32_t win = left, grain = 1u << c->rcv_wscale;

	/* a promise that memory can't keep is taken back (ICSK_ACK_NOMEM of
	 * Linux): the peer would send the same again and again, unheard */
	if (c->owe & TCP_OWE_NOMEM)
		return 0;
	if (free_win < full / 2 && (free_win < full / 16 || free_win < mss))
		return left; /* closed, but for what was promised */
	free_win = MIN(free_win, c->rcv_ssthresh);
	if (c->rcv_wscale) {
		win = ALIGN_UP(free_win, grain);
	} else if (win <= free_win - MIN(free_win, mss) || win > free_win) {
		win = free_win / mss * mss;
	}
	win = MIN(win, 0xffffu << c->rcv_wscale);
	return MAX(win, left);
}

/* What is left of an old promise may not end on the scale's grid: rounding
 * down would take it back (Linux rounds up too). */
static uint16_t wire_window(const struct tcp_conn *c, uint32_t *win)
{
	uint32_t w = DIV_ROUND_UP(*win, 1u << c->rcv_wscale);

	w = MIN(w, 0xffffu);
	*win = w << c->rcv_wscale;
	return (uint16_t)w;
}

/* --- building --- */

struct out {
	uint32_t seq, len;
	struct tcp_slice *sl;
	uint8_t flags;
	uint16_t mss; /* gso when len is more */
};

static void tx_of(const struct tcp_conn *c, struct ip_tx *tx)
{
	const struct ep *e = c->ep;
	bool is4 = ip_addr_is4(&c->node.key.raddr);
	int hops = is4 ? e->ttl : e->hops6;

	*tx = (struct ip_tx){
		.oif = e->dev_if,
		.src = c->node.key.laddr,
		.dst = c->node.key.raddr,
		.proto = IPPROTO_TCP,
		.ttl = hops > 0 ? (uint8_t)hops : 0,
		.tos = is4 ? e->tos : e->tclass,
		.df = is4 ? e->pmtudisc != 0 : true,
	};
	if (!is4)
		tx->flow = ep_opt(e, EP_O_AUTOFLOWLABEL) && !e->flowinfo
				   ? c->flow
				   : e->flowinfo & 0xfffff;
}

static void add_urgent(const struct tcp_conn *c, struct tcp_repr *r)
{
	uint32_t ahead = c->snd_up - r->seq;

	if (c->snd_up == c->snd_una || !seq_gt(c->snd_up, r->seq))
		return;
	r->flags |= TCP_URG;
	r->urg = (uint16_t)MIN(ahead, 0xffffu);
}

static void add_options(const struct tcp_conn *c, struct tcp_repr *r,
			const struct out *o, nsec now)
{
	bool syn = o->flags & TCP_SYN;

	r->has_ts = syn && !(o->flags & TCP_ACK)
			    ? tcp_sysctl(c)->tcp_timestamps != 0
			    : c->ts_ok;
	if (r->has_ts) {
		r->ts_val = tcp_ts_now(c->ts_off, now);
		r->ts_ecr = c->ts_recent;
	}
	if (syn) {
		bool first = !(o->flags & TCP_ACK);

		r->has_mss = true;
		r->mss = c->advmss;
		r->sack_ok = first ? tcp_sysctl(c)->tcp_sack != 0 : c->sack_ok;
		r->has_wscale = first ? tcp_sysctl(c)->tcp_window_scaling != 0
				      : c->wscale_ok;
		r->wscale = c->rcv_wscale;
		r->fo = c->fo;
		return;
	}
	/* a frame cut for a larger MSS has no room for blocks */
	if (!o->len || o->mss + 4u + 8u * num_sack_now(c) <= c->mss_cache)
		r->num_sack =
			(uint8_t)tcp_sack_blocks(c, r->sack, c->ts_ok ? 3 : 4);
}

static void add_payload(struct pkt *p, const struct out *o)
{
	uint32_t seq = o->seq + !!(o->flags & TCP_SYN), left = o->len;
	struct list *at = o->sl ? &o->sl->node : NULL;

	while (left) {
		struct tcp_slice *s = list_entry(at, struct tcp_slice, node);
		uint32_t off = seq - s->seq, n = MIN(left, s->len - off);

		ASSERT(off < s->len);
		ASSERT(pkt_add(p, &s->c->b, s->p + off, n) == 0);
		seq += n;
		left -= n;
		at = at->next;
	}
}

/* The device sums if it can; else here, over one segment. */
static void put_csum(struct pkt *p, const struct link *l,
		     const struct ip_tx *tx)
{
	uint8_t *h = pkt_head(p);
	uint64_t sum = csum_pseudo(&tx->src, &tx->dst, IPPROTO_TCP, p->len);
	uint16_t v;

	if (l->can_csum || p->gso) {
		p->csum = CSUM_PARTIAL;
		v = csum_fold_raw(sum);
	} else {
		p->csum = CSUM_NONE;
		sum = csum_add(sum, h, p->hdr_len);
		v = csum_fold(pkt_payload_csum(p, sum));
	}
	memcpy(h + 16, &v, sizeof(v));
}

static int emit(struct tcp *t, struct pkt *p, struct tcp_repr *r,
		const struct ip_tx *tx, nsec now)
{
	unsigned hlen = tcp_emit_len(r);
	uint8_t *h = pkt_push(p, hlen);

	ASSERT(h);
	tcp_emit(r, h);
	p->hdr_len = (uint16_t)hlen;
	put_csum(p, t->tp->ip->link, tx);
	return ip_out(t->tp->ip, p, tx, now);
}

static void ack_is_out(struct tcp_conn *c, uint32_t win, nsec now)
{
	c->rcv_wnd = win;
	c->rcv_wup = c->rcv_nxt;
	c->owe = 0;
	c->owed_frames = 0;
	c->has_dsack = false;
	if (c->quick)
		c->quick--;
	tcp_timer_stop(c, TCP_T_DELACK);
}

static void wait_for_room(struct tcp_conn *c)
{
	c->t->tp->ip->link->tx_starved = true;
	if (list_empty(&c->wait_link))
		list_push(&c->t->wait, &c->wait_link);
}

static int transmit(struct tcp_conn *c, const struct out *o, nsec now)
{
	struct tcp *t = c->t;
	uint32_t win = tcp_select_window(c);
	bool syn = o->flags & TCP_SYN;
	struct ip_tx tx;
	struct tcp_repr r = {
		.src_port = c->node.key.lport,
		.dst_port = c->node.key.rport,
		.seq = o->seq,
		.flags = o->flags,
	};
	struct pkt *p = pkt_new(t->core->arena);
	uint32_t segs = 1;
	int err;

	if (!p) {
		drop(t->core, DROP_NO_MEM);
		wait_for_room(c);
		return -ENOBUFS;
	}
	if (syn) { /* RFC 7323 2.2: never scaled in a SYN */
		win = c->rcv_wnd;
		r.window = (uint16_t)MIN(win, 0xffffu);
	} else {
		r.window = wire_window(c, &win);
	}
	if (o->flags & TCP_ACK)
		r.ack = c->rcv_nxt;
	/* ends a burst for whoever joins segments, as Linux does it */
	if (o->len > o->mss)
		r.flags |= TCP_PSH;
	add_urgent(c, &r);
	add_options(c, &r, o, now);
	add_payload(p, o);
	if (o->len > o->mss) {
		segs = DIV_ROUND_UP(o->len, o->mss);
		p->gso = ip_addr_is4(&c->node.key.raddr) ? GSO_TCP4 : GSO_TCP6;
		p->gso_size = o->mss;
		p->gso_segs = (uint16_t)segs;
	}
	if (o->len && !list_empty(&c->marks))
		tcp_mark_pkt(c, p, o->seq, o->len);
	tx_of(c, &tx);
	r.flags |= tcp_ecn_out(c, o->flags, o->len && o->seq == c->snd_nxt,
			       &tx.tos);
	if (p->gso && r.flags & TCP_CWR)
		p->flags |= FRAME_F_CWR;
	err = emit(t, p, &r, &tx, now);
	if (err == -ENOBUFS || err == -ENOMEM) {
		wait_for_room(c);
		return -ENOBUFS;
	}
	if (err == -EMSGSIZE)
		return err;
	/* no route now is as good as lost: the timer tries again */
	if (r.flags & TCP_CWR && !syn)
		c->ecn_cwr = false;
	c->segs_out += segs;
	if (o->len) {
		c->data_segs_out += segs;
		tcp_pace_sent(c, o->len, now);
	}
	stat_add(t->core, STAT_TcpOutSegs, segs);
	if (o->flags & TCP_RST)
		stat_inc(t->core, STAT_TcpOutRsts);
	else if (o->flags & TCP_ACK)
		ack_is_out(c, win, now);
	return err;
}

/* --- without data --- */

int tcp_send_ack(struct tcp_conn *c, nsec now)
{
	struct out o = {.seq = c->snd_nxt, .flags = TCP_ACK};
	int err;

	if (c->state == TCPS_CLOSED)
		return 0;
	err = transmit(c, &o, now);
	if (err == -ENOBUFS) {
		c->owe |= TCP_OWE_NOW;
		tcp_timer_delack(c, now);
	}
	return err;
}

void tcp_send_rst(struct tcp_conn *c, nsec now)
{
	struct out o = {.seq = c->snd_nxt, .flags = TCP_RST | TCP_ACK};

	transmit(c, &o, now);
}

int tcp_send_probe(struct tcp_conn *c, nsec now)
{
	struct out o = {.seq = c->snd_una - 1, .flags = TCP_ACK};

	return transmit(c, &o, now);
}

void tcp_send_bare(struct tcp *t, const struct tcp_key *k, struct tcp_repr *r,
		   uint8_t tos, uint8_t ttl, nsec now)
{
	struct ip_tx tx = {.src = k->laddr,
			   .dst = k->raddr,
			   .proto = IPPROTO_TCP,
			   .tos = tos,
			   .ttl = ttl,
			   .df = true};
	struct pkt *p = pkt_new(t->core->arena);

	if (!p) {
		drop(t->core, DROP_NO_MEM);
		return;
	}
	r->src_port = k->lport;
	r->dst_port = k->rport;
	stat_inc(t->core, STAT_TcpOutSegs);
	if (r->flags & TCP_RST)
		stat_inc(t->core, STAT_TcpOutRsts);
	emit(t, p, r, &tx, now);
}

struct tcp_key tcp_seg_key(const struct tcp_seg *s)
{
	return (struct tcp_key){s->rx->dst, s->rx->src, s->r.dst_port,
				s->r.src_port, 0};
}

void tcp_answer_rst(struct tcp *t, const struct tcp_seg *s)
{
	struct tcp_key k = tcp_seg_key(s);
	struct tcp_repr r = {.flags = TCP_RST};

	if (s->r.flags & TCP_RST || s->rx->scope != IP_SCOPE_LOCAL)
		return;
	if (s->r.flags & TCP_ACK) {
		r.seq = s->r.ack;
	} else {
		r.flags |= TCP_ACK;
		r.ack = s->end;
	}
	tcp_send_bare(t, &k, &r, 0, 0, s->now);
}

/* --- records --- */

static void enqueue(struct tcp_conn *c, struct tcp_rec *r, nsec now)
{
	tcp_rec_sent(c, r, false, now);
	list_push(&c->recs, &r->node);
	c->num_recs++;
	c->packets_out += r->num_segs;
	c->snd_nxt = rec_end(r);
	if (c->packets_out > c->max_packets_out ||
	    seq_geq(c->snd_una, c->max_packets_seq)) {
		c->max_packets_out = c->packets_out;
		c->max_packets_seq = c->snd_nxt;
	}
	if (c->at[TCP_T_RTX] == TIME_NEVER && c->at[TCP_T_TLP] == TIME_NEVER)
		tcp_timer_set(c, TCP_T_RTX,
			      now + c->rto + tcp_pace_delay(c, now));
	tcp_timer_stop(c, TCP_T_PROBE);
}

static struct out out_of_rec(const struct tcp_conn *c, const struct tcp_rec *r)
{
	struct out o = {.seq = r->seq,
			.len = r->len,
			.sl = r->sl,
			.mss = r->mss,
			.flags = r->flags};

	if (c->state != TCPS_SYN_SENT)
		o.flags |= TCP_ACK;
	return o;
}

static struct tcp_rec *new_rec(struct tcp_conn *c, uint32_t seq, uint8_t flags,
			       nsec now)
{
	struct tcp_rec *r = tcp_rec_new(c, now);

	if (!r)
		return NULL;
	r->seq = seq;
	r->flags = flags;
	r->num_segs = 1;
	r->mss = c->mss_cache;
	return r;
}

/* What is queued goes along (RFC 7413): as a record of its own, since the SYN
 * is sent again without it. */
int tcp_send_syn(struct tcp_conn *c, nsec now)
{
	uint32_t len = c->write_seq - c->iss - 1;
	struct tcp_rec *r = new_rec(c, c->iss, TCP_SYN, now), *data = NULL;
	struct out o;
	int err;

	if (!r)
		return -ENOMEM;
	if (len) {
		data = new_rec(c, c->iss + 1, TCP_PSH, now);
		if (!data) {
			arena_free(tcp_arena(c), r);
			return -ENOMEM;
		}
		data->len = len;
		data->sl = c->snd_sl;
		data->mss = (uint16_t)MAX(len, r->mss);
	}
	c->ecn_try = tcp_sysctl(c)->tcp_ecn == 1;
	c->fo_deferred = false;
	c->fo_asked = c->fo.is_there;
	enqueue(c, r, now);
	o = out_of_rec(c, r);
	if (data) {
		o.len = len;
		o.mss = data->mss;
		o.sl = data->sl;
		while (c->snd_sl)
			c->snd_sl = tcp_slice_next(c, c->snd_sl);
		enqueue(c, data, now);
		c->bytes_sent += len;
	}
	c->syn_at = now;
	err = transmit(c, &o, now);
	c->fo_data = data && !err;
	c->fo.is_there = false;		  /* a SYN sent again is a plain one */
	return err == -ENOBUFS ? 0 : err; /* the timer sends it again */
}

/* --- sending again --- */

static void note_resent(struct tcp_conn *c, struct tcp_rec *r, nsec now)
{
	tcp_rec_sent(c, r, true, now);
	c->total_retrans += r->num_segs;
	c->bytes_retrans += r->len;
	stat_add(c->t->core, STAT_TcpRetransSegs, r->num_segs);
	stat_add(c->t->core,
		 c->ca == CA_LOSS ? STAT_TcpExtTCPSlowStartRetrans
				  : STAT_TcpExtTCPFastRetrans,
		 r->num_segs);
	if (!c->retrans_at)
		c->retrans_at = now;
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
	if (r->node.prev == &c->recs) {
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
	if (!can_gso(c) && r->num_segs > 1 &&
	    !tcp_rec_split(c, r, r->seq + r->mss))
		return false;
	return true;
}

static int resend_copy(struct tcp_conn *c, struct tcp_rec *r, nsec now)
{
	struct out o = out_of_rec(c, r);
	int err = transmit(c, &o, now);

	if (err == -ENOBUFS || err == -EMSGSIZE)
		return err;
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

static struct tcp_rec *next_lost(struct tcp_conn *c)
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
static int send_lost(struct tcp_conn *c, nsec now)
{
	struct tcp_rec *r = next_lost(c);
	uint32_t room, pipe = tcp_in_flight(c), mss;

	if (!r)
		return NOTHING;
	room = c->cc.cwnd > pipe ? c->cc.cwnd - pipe : 0;
	if (!room)
		return NOTHING;
	mss = tcp_out_mss(c);
	room = MIN(room, MAX(max_frame(c, r->mss) / r->mss, 1u));
	r = carve(c, r, rec_todo(r), room);
	if (!r || !fit_mss(c, r, mss))
		return NOTHING;
	return resend(c, r, now);
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
	if (!fit_mss(c, r, tcp_out_mss(c)))
		return -ENOMEM;
	err = resend(c, r, now);
	return err == SENT ? 0 : err;
}

/* --- sending what is new --- */

enum push {
	PUSH_NOT,
	PUSH_ALL,  /* Nagle and cork are off for this call */
	PUSH_TAIL, /* and one segment goes, whatever the congestion window */
};

/* RFC 896 with Minshall's change, as Linux's tcp_nagle_check(): a small segment
 * waits only for a small one that is in flight. */
static bool nagle_holds(const struct tcp_conn *c, enum push push)
{
	const struct ep *e = c->ep;

	if (push != PUSH_NOT || c->fin_queued || c->snd_up != c->snd_una)
		return false;
	if (ep_opt(e, EP_O_CORK) || c->more_coming)
		return true;
	if (ep_opt(e, EP_O_NODELAY) || !c->packets_out)
		return false;
	return seq_gt(c->snd_sml, c->snd_una) &&
	       seq_leq(c->snd_sml, c->snd_nxt);
}

/* How much of [snd_nxt, +@len) lies in few enough pieces, and in one record. */
static uint32_t in_pieces(const struct tcp_conn *c, uint32_t len)
{
	const struct tcp_slice *s = c->snd_sl;
	uint32_t got = 0, off = c->snd_nxt - s->seq;

	for (unsigned i = 0; s && got < len && i < TCP_MAX_PIECES; i++) {
		got += s->len - off;
		off = 0;
		if (s->eor)
			break;
		s = tcp_slice_next(c, s);
	}
	return MIN(got, len);
}

/* Bytes of the next frame, 0: not now. */
static uint32_t next_len(struct tcp_conn *c, uint32_t mss, enum push push)
{
	uint32_t unsent = tcp_unsent(c);
	uint32_t end = c->snd_una + c->snd_wnd;
	uint32_t wnd = seq_gt(end, c->snd_nxt) ? end - c->snd_nxt : 0;
	/* the SYN-ACK of a Fast Open is no data */
	uint32_t cwnd = c->cc.cwnd + tcp_is_early(c);
	uint32_t pipe = tcp_in_flight(c), len, room;

	if (push == PUSH_TAIL)
		return in_pieces(c, MIN(MIN(unsent, wnd), mss));
	if (pipe >= cwnd) {
		c->is_cwnd_limited = true;
		return 0;
	}
	/* a whole segment, or all there is, must fit (RFC 1122 4.2.3.4) */
	if (wnd < MIN(unsent, mss)) {
		c->is_rwnd_limited = true;
		return 0;
	}
	len = MIN(MIN(unsent, wnd), max_frame(c, mss));
	/* half the window at most, so that there are ACKs (tcp_cwnd_test()) */
	room = MIN(cwnd - pipe, MAX(c->cc.cwnd / 2, 1u));
	if (len > room * (uint64_t)mss) {
		len = room * mss;
		c->is_cwnd_limited = room == cwnd - pipe;
	}
	len = in_pieces(c, len);
	if (len >= unsent && len % mss == 0)
		return len;
	/* the odd rest of a frame is a small segment of its own */
	if (len > mss && (len < unsent || nagle_holds(c, push)))
		len -= len % mss;
	else if (len < mss && len == unsent && nagle_holds(c, push))
		return 0;
	return len;
}

/* PSH goes on the frame that holds the end of a write (RFC 9293 3.9.1.2); what
 * was joined to it since is pushed with it. */
static bool ends_a_write(const struct tcp_conn *c, uint32_t len)
{
	uint32_t end = c->snd_nxt + len;

	for (struct tcp_slice *s = c->snd_sl; s && seq_lt(s->seq, end);
	     s = tcp_slice_next(c, s))
		if (s->push && seq_leq(s->seq + s->len, end))
			return true;
	return false;
}

static void advance_cursor(struct tcp_conn *c, uint32_t len)
{
	uint32_t end = c->snd_nxt + len;

	while (c->snd_sl && seq_geq(end, c->snd_sl->seq + c->snd_sl->len))
		c->snd_sl = tcp_slice_next(c, c->snd_sl);
}

/* RFC 5681 4.1: after an RTO of silence the window is worth nothing. */
static void restart_if_idle(struct tcp_conn *c, nsec now)
{
	nsec idle = now - c->last_sent_at;
	uint32_t floor = (uint32_t)tcp_sysctl(c)->tcp_init_cwnd;
	uint32_t mtu;

	if (c->packets_out || !tcp_unsent(c) || !c->snd_wnd || c->pace_waits)
		return;
	tcp_cc_event(c, CC_RESTART, idle, now);
	if (idle <= c->rto)
		return;
	/* what was learned of the path may have expired */
	mtu = ip_mtu(c->t->tp->ip, &c->node.key.raddr, now);
	if (mtu != c->pmtu)
		tcp_mss_sync(c, mtu);
	if (!tcp_sysctl(c)->tcp_slow_start_after_idle || tcp_cc_has_control(c))
		return;
	c->cc.ssthresh = MAX(c->cc.ssthresh, c->cc.cwnd * 3 / 4);
	floor = MIN(floor, c->cc.cwnd);
	for (; idle > c->rto && c->cc.cwnd > floor; idle -= c->rto)
		c->cc.cwnd /= 2;
	c->cc.cwnd = MAX(c->cc.cwnd, MAX(floor, 1u));
	c->cc.cwnd_cnt = 0;
}

static void after_data(struct tcp_conn *c, uint32_t len, uint32_t mss, nsec now)
{
	if (len % mss)
		c->snd_sml = c->snd_nxt;
	c->bytes_sent += len;
	/* Linux's tcp_event_data_sent(): we answer soon after being asked */
	if (now - c->last_rcv_at < c->ato)
		c->pingpong = true;
	c->last_sent_at = now;
}

/* One frame of new data, with the FIN if that is next. */
static int send_new(struct tcp_conn *c, enum push push, nsec now)
{
	uint32_t mss = tcp_out_mss(c), len = 0;
	uint32_t unsent = tcp_unsent(c);
	bool fin = c->fin_queued && !c->fin_sent;
	struct tcp_rec *r;
	struct out o;
	int err;

	if (c->fin_sent || (!unsent && !fin))
		return NOTHING;
	if (unsent) {
		len = next_len(c, mss, push);
		if (!len)
			return NOTHING;
	} /* the last FIN needs no congestion window, as in Linux */
	r = tcp_rec_new(c, now);
	if (!r)
		return -ENOBUFS;
	r->seq = c->snd_nxt;
	r->len = len;
	r->sl = len ? c->snd_sl : NULL;
	r->mss = (uint16_t)mss;
	r->num_segs = (uint8_t)MAX(DIV_ROUND_UP(len, mss), 1u);
	if (len && ends_a_write(c, len))
		r->flags |= TCP_PSH;
	if (len == unsent && fin)
		r->flags |= TCP_FIN;
	o = out_of_rec(c, r);
	err = transmit(c, &o, now);
	if (err == -ENOBUFS || err == -EMSGSIZE) {
		arena_free(tcp_arena(c), r);
		return err;
	}
	advance_cursor(c, len);
	enqueue(c, r, now);
	if (r->flags & TCP_FIN)
		c->fin_sent = true;
	if (tcp_is_reducing(c))
		c->prr_out += r->num_segs;
	if (len)
		after_data(c, len, mss, now);
	return SENT;
}

static bool has_more(struct tcp_conn *c)
{
	return next_lost(c) || tcp_unsent(c) || (c->fin_queued && !c->fin_sent);
}

static int resend_last(struct tcp_conn *c, nsec now)
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
	return resend_copy(c, r, now);
}

/* Something to send, but not yet. */
static bool is_paced_off(struct tcp_conn *c, nsec now)
{
	return c->is_paced && has_more(c) && tcp_pace_holds(c, now);
}

int tcp_send_tail(struct tcp_conn *c, bool *is_rtx, nsec now)
{
	uint32_t end = c->snd_una + c->snd_wnd;
	bool has_new = tcp_unsent(c) && seq_gt(end, c->snd_nxt);
	int err;

	*is_rtx = !has_new;
	if (has_new && is_paced_off(c, now))
		return -EAGAIN;
	err = has_new ? send_new(c, PUSH_TAIL, now) : resend_last(c, now);
	return err == SENT ? 0 : err == NOTHING ? -EAGAIN : err;
}

/* --- the loop --- */

static void arm_probe(struct tcp_conn *c, nsec now)
{
	if (c->packets_out || c->fin_sent || (!tcp_unsent(c) && !c->fin_queued))
		return;
	if (c->pace_waits)
		return;
	/* it waits for a window, for Nagle or for a cork; this is the limit */
	if (c->at[TCP_T_PROBE] == TIME_NEVER)
		tcp_timer_set(c, TCP_T_PROBE, now + MAX(c->rto, 200 * MSEC));
}

static void note_limit(struct tcp_conn *c)
{
	/* the application gives less than the window would take */
	if (!tcp_unsent(c) && tcp_in_flight(c) < c->cc.cwnd &&
	    c->lost_out <= c->retrans_out)
		c->app_limited = MAX(c->delivered + tcp_in_flight(c), 1u);
}

static void new_path_mtu(struct tcp_conn *c, nsec now)
{
	uint32_t mtu = ip_mtu(c->t->tp->ip, &c->node.key.raddr, now);

	if (mtu < c->pmtu)
		tcp_mss_sync(c, mtu);
	else /* nobody says how small: ever smaller */
		tcp_mss_sync(c, MAX(c->pmtu - c->pmtu / 8, 256u));
}

/* When the oldest byte in flight times out. */
static nsec head_deadline(const struct tcp_conn *c)
{
	struct tcp_rec *r = list_first(&c->recs, struct tcp_rec, node);

	return r ? r->last_at + c->rto : TIME_NEVER;
}

static void send_loop(struct tcp_conn *c, enum push push, nsec now)
{
	unsigned budget = TCP_OUT_BUDGET;
	uint32_t before = c->snd_nxt;
	int r = SENT;

	if (!TCPS_IN(c, TCPS_CAN_SEND) && !tcp_is_early(c))
		return;
	restart_if_idle(c, now);
	if (!is_paced_off(c, now)) /* else as the last frame left it */
		c->is_cwnd_limited = c->is_rwnd_limited = false;
	for (; budget && r == SENT; budget--) {
		if (link_tx_room(c->t->tp->ip->link) <= TCP_TXQ_SPARE) {
			if (has_more(c))
				wait_for_room(c);
			break;
		}
		if (is_paced_off(c, now))
			break;
		r = send_lost(c, now);
		if (r == NOTHING)
			r = send_new(c, push, now);
		if (c->frto_new && r == NOTHING && c->snd_nxt == before) {
			/* RFC 5682 2.1 step 2.b: there was nothing new */
			c->frto = c->frto_new = false;
			r = SENT;
		}
		if (r == -EMSGSIZE) {
			new_path_mtu(c, now);
			r = SENT;
		}
	}
	if (!budget)
		tcp_timer_set(c, TCP_T_OUT, now);
	c->pace_waits = is_paced_off(c, now);
	if (!c->pace_waits)
		tcp_timer_stop(c, TCP_T_PACE);
	else if (tcp_in_flight(c) >= c->cc.cwnd)
		c->is_cwnd_limited = true;
	if (c->snd_nxt != before)
		tcp_tlp_arm(c, head_deadline(c), now);
	note_limit(c);
	arm_probe(c, now);
	tcp_chrono_update(c, now);
}

void tcp_out(struct tcp_conn *c, nsec now)
{
	send_loop(c, PUSH_NOT, now);
}

void tcp_out_push(struct tcp_conn *c, nsec now)
{
	c->more_coming = false;
	send_loop(c, PUSH_ALL, now);
}

void tcp_send_fin(struct tcp_conn *c, nsec now)
{
	c->fin_queued = true;
	c->more_coming = false;
	tcp_out(c, now);
}

int tcp_send_wakeup(struct tcp_conn *c, nsec now)
{
	uint32_t end = c->snd_una + c->snd_wnd, mss = tcp_out_mss(c);
	uint32_t unsent = tcp_unsent(c), len;
	struct tcp_rec *r;
	struct out o;
	int err;

	if (!unsent || !seq_gt(end, c->snd_nxt))
		return tcp_send_probe(c, now);
	/* less than a segment, but there is room for it */
	len = in_pieces(c, MIN(MIN(unsent, end - c->snd_nxt), mss));
	r = tcp_rec_new(c, now);
	if (!r)
		return -ENOBUFS;
	r->seq = c->snd_nxt;
	r->len = len;
	r->sl = c->snd_sl;
	r->mss = (uint16_t)mss;
	r->num_segs = 1;
	r->flags = TCP_PSH;
	if (len == unsent && c->fin_queued)
		r->flags |= TCP_FIN;
	o = out_of_rec(c, r);
	err = transmit(c, &o, now);
	if (err == -ENOBUFS || err == -EMSGSIZE) {
		arena_free(tcp_arena(c), r);
		return err;
	}
	advance_cursor(c, len);
	enqueue(c, r, now);
	if (r->flags & TCP_FIN)
		c->fin_sent = true;
	after_data(c, len, mss, now);
	return 0;
}

/* --- called from below --- */

/* Whoever was refused goes on, in order; each that is refused again goes to the
 * end of the list, so one look at each is enough. */
void tcp_tx_room(struct tcp *t, nsec now)
{
	struct list todo;
	struct list *n;

	list_init(&todo);
	list_splice(&todo, &t->wait);
	while ((n = list_pop(&todo))) {
		struct tcp_conn *c = list_entry(n, struct tcp_conn, wait_link);

		if (c->owe & TCP_OWE_NOW)
			tcp_send_ack(c, now);
		tcp_out(c, now);
		tcp_timer_sync(c);
		tcp_check(c);
		if (link_tx_room(t->tp->ip->link) <= TCP_TXQ_SPARE)
			break;
	}
	/* those not reached keep their place in front */
	list_splice(&todo, &t->wait);
	list_splice(&t->wait, &todo);
	if (!list_empty(&t->wait))
		t->tp->ip->link->tx_starved = true;
}
