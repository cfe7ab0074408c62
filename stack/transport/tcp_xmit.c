/* SPDX-License-Identifier: MIT
 *
 * tcp_xmit.c - building a segment and handing it down
 *
 * How large a segment and a frame may be, the window that is advertised, the
 * options, and the packet. A frame is up to 64 segments when the device cuts
 * them. It is never larger than half of the largest window that the peer has
 * shown: one that offers 60,416 bytes and never more must not be waited for.
 *
 * A frame that the queue refuses counts as not sent; nothing has moved then,
 * and the connection waits on tcp->wait for tcp_tx_room(). What the device
 * refuses is not sent either, and timers try again, twice a second.
 */
#include <errno.h>

#include "base/csum.h"
#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_out.h"

#define MAX_FRAME 65535u /* an IP packet */

/* --- sizes --- */

static uint32_t ip_hlen(const struct tcp_key *k)
{
	return ip_addr_is4(&k->raddr) ? 20 : 40;
}

uint32_t tcp_hdr_len(const struct tcp_key *k)
{
	return ip_hlen(k) + TCP_HLEN;
}

uint32_t tcp_mss_of_mtu(const struct tcp_key *k, uint32_t mtu)
{
	uint32_t hdr = tcp_hdr_len(k);

	return mtu > hdr + 8 ? mtu - hdr : 8;
}

unsigned tcp_auth_len(const struct tcp_conn *c)
{
	struct tcp_sig sig = tcp_sig_of(c->ep, &c->node.key.raddr);

	return tcp_sig_len(&sig);
}

/* SACK blocks that there is room for (RFC 2018 3). */
static unsigned max_sack(const struct tcp_conn *c)
{
	unsigned room = TCP_MAX_OPTS - tcp_auth_len(c);

	room -= c->ts_ok ? TCP_TS_OPT_LEN : 0;
	return room < 4 + 8 ? 0 : (room - 4) / 8;
}

static unsigned num_sack_now(const struct tcp_conn *c)
{
	struct tcp_sack_block b[TCP_MAX_SACK];

	return tcp_sack_blocks(c, b, max_sack(c));
}

/* The MSS, less SACK blocks that go along; at most half of the largest window
 * ever seen (RFC 1122 4.2.3.4, as Linux's tcp_bound_to_half_wnd()). */
uint32_t tcp_out_mss(const struct tcp_conn *c)
{
	uint32_t mss = c->mss_cache, half = c->max_window / 2;
	unsigned sacks = num_sack_now(c);

	if (tcp_ecn_is_accurate(c))
		mss -= tcp_accecn_room(c, sacks);
	else if (sacks && mss > 64 + 4 + 8 * sacks)
		mss -= 4 + 8 * sacks;
	mss -= mss > 64 ? tcp_uto_room(c) : 0;
	if (c->max_window > TCP_DEF_MSS)
		mss = MIN(mss, half);
	else if (c->max_window)
		mss = MIN(mss, c->max_window);
	return MAX(mss, 48u);
}

bool tcp_can_gso(const struct tcp_conn *c)
{
	const struct link *l = c->t->tp->ip->link;

	/* each segment of a frame would carry the same urgent pointer */
	if (c->snd_up != c->snd_una || tcp_accecn_no_gso(c) ||
	    c->ep->auth) /* or digest */
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

uint32_t tcp_max_frame(const struct tcp_conn *c, uint32_t mss)
{
	uint32_t room = MAX_FRAME - ip_hlen(&c->node.key) - 60;
	uint32_t segs;

	if (!tcp_can_gso(c))
		return mss;
	segs = MIN(TCP_MAX_SEGS, room / mss);
	segs = MIN(segs, pace_segs(c, mss));
	segs = MIN(segs, c->max_window / 2 / mss);
	return MAX(segs, 1u) * mss;
}

/* tcp_xmit_size_goal() of Linux: half of the largest window, or a packet. */
uint32_t tcp_size_goal(const struct tcp_conn *c)
{
	uint32_t mss = tcp_out_mss(c);
	uint32_t room = MAX_FRAME - ip_hlen(&c->node.key) - 60;

	if (c->snd_up != c->snd_una)
		return mss;
	if (c->max_window > TCP_DEF_MSS)
		room = MIN(room, c->max_window / 2);
	else if (c->max_window)
		room = MIN(room, c->max_window);
	return MAX(room / mss, 1u) * mss;
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
		/* ip_dont_fragment() of Linux */
		.df = !is4 || e->pmtudisc == IP_PMTUDISC_WANT ||
		      e->pmtudisc == IP_PMTUDISC_DO,
		.df_always = e->pmtudisc == IP_PMTUDISC_DO,
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
			const struct tcp_frame *o, nsec now)
{
	bool syn = o->flags & TCP_SYN;

	r->has_ts = c->ts_ok;
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
		r->num_sack = (uint8_t)tcp_sack_blocks(c, r->sack, max_sack(c));
}

static void add_accecn(struct tcp_conn *c, struct tcp_repr *r,
		       const struct tcp_frame *o, nsec now)
{
	uint32_t seg = MIN(o->len, o->mss);

	if (o->flags & TCP_SYN)
		seg = 0;
	if (tcp_ecn_is_accurate(c))
		tcp_accecn_add_opt(c, r, c->mss_cache - MIN(c->mss_cache, seg),
				   now);
}

/* Last, with what room the others have left. */
static void add_uto(struct tcp_conn *c, struct tcp_repr *r,
		    const struct tcp_frame *o)
{
	uint32_t seg = o->flags & TCP_SYN ? 0 : MIN(o->len, o->mss);
	uint32_t used = seg + tcp_emit_len(r) - TCP_HLEN - tcp_auth_len(c) -
			(r->has_ts ? TCP_TS_OPT_LEN : 0);

	tcp_uto_add(c, r, o->seq, seg,
		    c->mss_cache > used ? c->mss_cache - used : 0);
}

static void add_payload(struct pkt *p, const struct tcp_frame *o)
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
		const struct ip_tx *tx, const struct tcp_sig *sig, nsec now)
{
	unsigned hlen;
	uint8_t *h;

	tcp_sig_room(sig, r);
	hlen = tcp_emit_len(r);
	h = pkt_push(p, hlen);
	ASSERT(h);
	tcp_emit(r, h);
	p->hdr_len = (uint16_t)hlen;
	tcp_sig_put(sig, p, r, tx);
	put_csum(p, t->tp->ip->link, tx);
	return ip_out(t->tp->ip, p, tx, now);
}

static void ack_is_out(struct tcp_conn *c, uint32_t win, nsec now)
{
	tcp_count_window(c, win);
	c->rcv_wnd = win;
	c->rcv_wup = c->rcv_nxt;
	c->owe = 0;
	c->owed_frames = 0;
	c->has_dsack = false;
	if (c->quick)
		c->quick--;
	tcp_timer_stop(c, TCP_T_DELACK);
	tcp_timer_stop(c, TCP_T_COMP);
	stat_add(c->t->core, STAT_TcpExtTCPAckCompressed, c->comp_held);
	c->comp_held = 0;
}

void tcp_wait_for_room(struct tcp_conn *c)
{
	c->t->tp->ip->link->tx_starved = true;
	if (list_empty(&c->wait_link))
		list_push(&c->t->wait, &c->wait_link);
}

/* As Linux counts: what goes again is RetransSegs only, but for SYN-ACKs that
 * it makes out of a request. */
static bool is_first(const struct tcp_conn *c, const struct tcp_frame *o)
{
	uint32_t end = o->seq + o->len + !!(o->flags & TCP_FIN);

	if (o->flags & TCP_SYN)
		return c->is_tfo || c->segs_out == 1;
	return end == o->seq || seq_gt(end, c->snd_nxt);
}

int tcp_transmit(struct tcp_conn *c, const struct tcp_frame *o, nsec now)
{
	struct tcp *t = c->t;
	uint32_t win = tcp_select_window(c);
	bool syn = o->flags & TCP_SYN;
	struct tcp_sig sig = tcp_sig_conn(c, o->flags, o->seq);
	struct ip_tx tx;
	struct tcp_repr r = {
		.src_port = c->node.key.lport,
		.dst_port = c->node.key.rport,
		.seq = o->seq,
		.flags = o->flags,
	};
	uint32_t segs = 1;
	struct pkt *p;
	int err;

	if (o->len && tcp_in_repair(c->ep))
		return 0; /* it was sent elsewhere */
	p = pkt_new(t->core->arena);
	if (!p) {
		drop(t->core, DROP_NO_MEM);
		tcp_wait_for_room(c);
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
	tcp_sig_room(&sig, &r);
	add_options(c, &r, o, now);
	add_accecn(c, &r, o, now);
	add_uto(c, &r, o);
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
	tcp_ecn_out(c, &r, o->len && o->seq == c->snd_nxt, &tx.tos);
	if (p->gso && r.flags & TCP_CWR && tcp_ecn_is_classic(c))
		p->flags |= FRAME_F_CWR;
	err = emit(t, p, &r, &tx, &sig, now);
	if (err == -ENOBUFS && t->tp->ip->link->is_refusing) {
		tcp_enter_cwr(c, false); /* a queue of ours is full */
		err = -EBUSY;
	} else if (err == -ENOBUFS || err == -ENOMEM) {
		tcp_wait_for_room(c);
		return -ENOBUFS;
	}
	if (err == -EMSGSIZE)
		return err;
	/* no route now is as good as lost: the timer tries again */
	if (r.flags & TCP_CWR && !syn)
		c->ecn.cwr = false;
	tcp_uto_sent(c, &r, o->len);
	c->segs_out += segs;
	if (o->len) {
		c->data_segs_out += segs;
		if (err != -EBUSY)
			tcp_pace_sent(c, o->len, now);
	}
	if (is_first(c, o))
		stat_add(t->core, STAT_TcpOutSegs, segs);
	if (o->flags & TCP_RST)
		stat_inc(t->core, STAT_TcpOutRsts);
	else if (o->flags & TCP_ACK)
		ack_is_out(c, win, now);
	return err;
}

struct tcp_frame tcp_frame_of(const struct tcp_conn *c, const struct tcp_rec *r)
{
	struct tcp_frame o = {.seq = r->seq,
			      .len = r->len,
			      .sl = r->sl,
			      .mss = r->mss,
			      .flags = r->flags};

	if (c->state != TCPS_SYN_SENT)
		o.flags |= TCP_ACK;
	return o;
}

/* --- without data --- */

int tcp_send_ack(struct tcp_conn *c, nsec now)
{
	struct tcp_frame o = {.seq = c->snd_nxt, .flags = TCP_ACK};
	int err;

	if (c->state == TCPS_CLOSED)
		return 0;
	err = tcp_transmit(c, &o, now);
	if (err == -ENOBUFS) {
		c->owe |= TCP_OWE_NOW;
		tcp_timer_delack(c, now);
	}
	return err;
}

void tcp_send_rst(struct tcp_conn *c, nsec now)
{
	struct tcp_frame o = {.seq = c->snd_nxt, .flags = TCP_RST | TCP_ACK};

	if (tcp_is_unsent(tcp_transmit(c, &o, now)))
		stat_inc(c->t->core, STAT_TcpExtTCPAbortFailed);
}

int tcp_send_probe(struct tcp_conn *c, nsec now)
{
	struct tcp_frame o = {.seq = c->snd_una - 1, .flags = TCP_ACK};

	return tcp_transmit(c, &o, now);
}

void tcp_send_bare(struct tcp *t, const struct tcp_key *k, struct tcp_repr *r,
		   const struct tcp_sig *sig, uint8_t tos, uint8_t ttl,
		   nsec now)
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
	emit(t, p, r, &tx, sig, now);
}

struct tcp_key tcp_seg_key(const struct tcp_seg *s)
{
	return (struct tcp_key){s->rx->dst, s->rx->src, s->r.dst_port,
				s->r.src_port, 0};
}

/**
 * rst_sig() - What a reset is signed with: tcp_v4_send_reset() of Linux
 * @t:		The stack's TCP
 * @k:		Ends of the reset
 * @s:		What it answers
 * @seq:	Of the reset
 * @sig:	Filled in
 *
 * Where no socket is, but one listens on the port that @s came from, ours was
 * lost and the peer still signs: it believes no reset that is not signed. (By
 * TCP-MD5: what TCP-AO signs with is lost with the connection.)
 *
 * Return: false if none may be sent
 */
static bool rst_sig(struct tcp *t, const struct tcp_key *k,
		    const struct tcp_seg *s, uint32_t seq, struct tcp_sig *sig)
{
	struct tcp_node *n = tcp_tuple_find(t, k);
	const struct ep *e = NULL;

	if (n && n->kind == TCP_NODE_CONN)
		e = container_of(n, struct tcp_conn, node)->ep;
	else if (n && n->kind == TCP_NODE_SYN)
		e = tcp_syn_listener(t, container_of(n, struct tcp_syn, n))->ep;
	else if (!n)
		e = port_lookup(t->tp, EP_TCP, &k->laddr, k->lport, &k->raddr,
				k->rport, ip_dif(s->rx), 0);
	if (!n && !e && s->r.has_md5) {
		e = port_lookup(t->tp, EP_TCP, &k->laddr, k->rport, &k->raddr,
				k->rport, ip_dif(s->rx), 0);
		if (!e || !tcp_auth_check(e, NULL, s))
			return false;
	}
	return tcp_sig_reset(e, n, s, seq, sig);
}

void tcp_answer_rst(struct tcp *t, const struct tcp_seg *s)
{
	struct tcp_key k = tcp_seg_key(s);
	struct tcp_repr r = {.flags = TCP_RST};
	struct tcp_sig sig;

	if (s->r.flags & TCP_RST || s->rx->scope != IP_SCOPE_LOCAL)
		return;
	if (s->r.flags & TCP_ACK) {
		r.seq = s->r.ack;
	} else {
		r.flags |= TCP_ACK;
		r.ack = s->end;
	}
	if (rst_sig(t, &k, s, r.seq, &sig))
		tcp_send_bare(t, &k, &r, &sig, 0, 0, s->now);
}
