/* SPDX-License-Identifier: MIT
 *
 * tcp_syn.c - the handshake: what both ends agree on, and listeners
 *
 * A SYN at a listener makes a record of 96 bytes, no connection: so a flood of
 * them is cheap, and bounded. The ACK that completes it makes the child, which
 * then goes through the ordinary steps with that very segment. Records wait for
 * their next SYN-ACK in FIFOs, one for each number of resends: within one all
 * wait equally long.
 */
#include <errno.h>
#include <linux/icmp.h>

#include "base/util.h"
#include "transport/filter.h"
#include "transport/tcp_conn.h"

#define COOKIE_PATIENCE (120 * SEC) /* Linux: TCP_SYNCOOKIE_VALID */
#define MAX_SYN_WINDOW 65535u /* RFC 7323 2.2: a SYN's window is not scaled */
#define SYNACK_MAX_WAIT (120 * SEC)
#define SYNACK_MAX_LIFE (10 * SYNACK_MAX_WAIT)
#define RATIO_INIT 128u /* Linux: TCP_DEFAULT_SCALING_RATIO, a half */

/* --- agreed on --- */

static uint32_t ilog2(uint32_t v)
{
	return 31u - (uint32_t)__builtin_clz(v);
}

uint32_t tcp_initial_window(const struct ep *e, const struct ip_metrics *m,
			    uint32_t mss, uint8_t *wscale, uint32_t *clamp)
{
	const struct sysctl_values *v = e->tp->core->sysctl;
	uint32_t win = (uint32_t)((uint64_t)e->rcvbuf * RATIO_INIT >> 8);
	uint32_t max = (uint32_t)MAX(v->tcp_rmem_max, v->rmem_max);

	*clamp = e->topt.window_clamp ? e->topt.window_clamp : 0x3fffffffu;
	if (ep_opt(e, EP_O_RCVBUF_LOCK))
		*clamp = MIN(*clamp, MAX(win, 1u));
	win = MIN(win, *clamp);
	if (win > mss)
		win -= win % mss;
	if (m->initrwnd)
		win = (uint32_t)MIN(win, (uint64_t)m->initrwnd * mss);
	*wscale = 0;
	if (v->tcp_window_scaling) {
		max = MIN(MAX(max, win), *clamp);
		*wscale = (uint8_t)CLAMP((int)ilog2(MAX(max, 1u)) - 15, 0,
					 (int)TCP_MAX_WSCALE);
	}
	*clamp = MIN(*clamp, 65535u << *wscale);
	return win;
}

/* RFC 7323 2.3: one beyond 14 is told of and taken for 14. */
uint8_t tcp_peer_wscale(struct core *core, const struct tcp_repr *r)
{
	if (r->wscale <= TCP_MAX_WSCALE)
		return r->wscale;
	log_at(&core->log, LOG_INFO, "tcp port %u window scale %u, not over %u",
	       r->src_port, r->wscale, TCP_MAX_WSCALE);
	return TCP_MAX_WSCALE;
}

/* What the user knows of the way to @to. */
static const struct ip_metrics *metrics_to(const struct ep *e,
					   const struct ip_addr *to)
{
	return ip_metrics_via(e->tp->ip, to, e->dev_if);
}

static uint16_t advertised_mss(const struct ep *e, const struct tcp_key *k,
			       uint32_t mtu)
{
	uint32_t told = metrics_to(e, &k->raddr)->advmss;
	uint32_t mss = told ? told : tcp_mss_of_mtu(k, mtu);

	if (e->topt.maxseg)
		mss = MIN(mss, e->topt.maxseg);
	return (uint16_t)MIN(mss, 65535u);
}

/* tcp_ca_dst_init() of Linux: its control instead of the socket's. */
static void take_metrics(struct tcp_conn *c, const struct ip_metrics *m)
{
	int id = *m->congctl ? tcp_cc_find(m->congctl) : -ENOENT;

	c->route = (struct tcp_route){
		.rto_min = m->rto_min * MSEC,
		.initcwnd = m->initcwnd,
		.quickack = m->quickack,
		.cc_lock = id >= 0 && m->cc_lock,
	};
	if (id >= 0)
		c->ep->topt.cc = (uint8_t)id;
}

bool tcp_cc_is_locked(const struct ep *e)
{
	return e->tcp && e->tcp->route.cc_lock;
}

void tcp_conn_setup(struct tcp_conn *c, nsec now)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	const struct ip_metrics *m = metrics_to(c->ep, &c->node.key.raddr);
	struct ep *e = c->ep;

	take_metrics(c, m);
	c->pmtu = ip_mtu(c->t->tp->ip, &c->node.key.raddr, now);
	c->route_gen = c->t->tp->ip->gen;
	c->advmss = advertised_mss(e, &c->node.key, c->pmtu);
	c->mss_clamp = e->topt.maxseg ? e->topt.maxseg : 65535;
	/* no room for them beside a digest in a SYN, Linux finds */
	c->ts_ok = v->tcp_timestamps && !tcp_md5_find(e, &c->node.key.raddr);
	tcp_auth_begin(c);
	tcp_mss_sync(c, c->pmtu);
	c->win_ratio = RATIO_INIT;
	c->rcv_wnd = tcp_initial_window(e, m, MAX(c->advmss, 1u),
					&c->rcv_wscale, &c->window_clamp);
	c->rcv_ssthresh = c->rcv_wnd;
	c->rcv_mss = MIN(c->advmss, TCP_DEF_MSS);
	c->rto = MIN(TCP_RTO_INIT, tcp_rto_max(c));
	c->high_seq = c->high_sacked = c->iss;
	c->snd_up = c->snd_una;
	c->pushed_seq = c->write_seq;
	c->snd_sml = c->snd_una;
	c->max_packets_seq = c->snd_una;
	c->cc.cwnd = tcp_initial_cwnd(c);
	c->cc.ssthresh = CC_SSTHRESH_NONE;
	c->cc.cwnd_clamp = 1u << 30;
	c->cc.hystart = (uint8_t)v->tcp_hystart;
	c->cc.abe = v->tcp_abe;
	c->uto.is_owed = true;
	c->cwv = (struct tcp_cwv){.end_seq = c->iss, .period_at = now};
	tcp_cc_init(c, e->topt.cc < CC_NUM ? e->topt.cc : CC_CUBIC, now);
}

/* tcp_init_buffer_space() of Linux: a segment's worth is kept back. */
static void clamp_to_buffer(struct tcp_conn *c)
{
	uint32_t full = tcp_win_from_space(c, c->ep->rcvbuf);
	uint32_t mss = c->advmss;

	c->window_clamp = MIN(c->window_clamp, full);
	if (c->window_clamp > 2 * mss && c->window_clamp + mss > full)
		c->window_clamp = MAX(2 * mss, full - mss);
	c->rcv_ssthresh = MIN(c->rcv_ssthresh, c->window_clamp);
}

void tcp_conn_established(struct tcp_conn *c, nsec now)
{
	uint32_t hint;

	if (c->ts_ok && c->advmss > TCP_TS_OPT_LEN) /* as Linux counts it now */
		c->advmss -= TCP_TS_OPT_LEN;
	hint = MIN(MIN(c->advmss, c->mss_cache), TCP_DEF_MSS);
	c->rcv_mss = MAX(MIN(hint, c->rcv_wnd / 2), TCP_MIN_MSS);
	c->high_seq = c->high_sacked = c->snd_una - 1;
	c->snd_up = c->snd_sml = c->snd_una;
	c->ca = CA_OPEN;
	tcp_rack_init(c);
	c->delivered += c->is_passive && !c->is_tfo; /* the SYN-ACK */
	c->pacing_rate = c->ep->max_pacing;
	c->is_paced = c->pacing_rate != ~0ull ||
		      tcp_sysctl(c)->default_qdisc == QDISC_FQ;
	c->cc.is_paced = c->is_paced;
	tcp_pacing_update(c);
	c->retransmits = c->total_rto = 0;
	c->cc.cwnd = tcp_initial_cwnd(c);
	/* RFC 6928 2: a lost SYN says that the path is not to be trusted */
	if (c->total_retrans > 1)
		c->cc.cwnd = 1;
	tcp_rtt_init(c);
	tcp_metrics_load(c);
	tcp_mss_sync(c, c->pmtu);
	tcp_mtu_init(c, now);
	tcp_sndbuf_grow(c);
	clamp_to_buffer(c);
	c->rcvq_seq = c->copied_seq;
	c->rcvq_space = MAX(MIN(c->rcv_wnd, 10u * c->advmss), 1u);
	c->rcvq_at = now;
	c->delivered_at = c->first_tx_at = now;
	/* the window is known by now, and what the peer agreed to */
	if (tcp_cc_has_control(c) || cc_ops(&c->cc)->needs_ecn)
		tcp_cc_init(c, c->cc.id, now);
	c->last_rcv_at = c->last_sent_at = c->heard_at = now;
	c->ep->err_soft = 0;
	c->ep->is_connected = true;
	tcp_timer_stop(c, TCP_T_RTX);
	if (c->packets_out)
		tcp_timer_rtx_restart(c, now);
	tcp_timer_keep_changed(c, now);
	tcp_ready(c, false, true);
}

/* --- records --- */

struct tcp_listen *tcp_syn_listener(struct tcp *t, const struct tcp_syn *q)
{
	uint32_t pos = q->listener;
	struct ep *e = ep_table_walk(&t->tp->eps, &pos);

	ASSERT(e && e->index == q->listener && e->listen);
	return e->listen;
}

void tcp_syn_forget(struct tcp *t, struct tcp_syn *q)
{
	tcp_syn_listener(t, q)->num_syn--;
	tcp_tuple_remove(t, &q->n);
	list_remove(&q->link);
	arena_free(t->core->arena, q);
}

static nsec synack_wait(unsigned retries)
{
	nsec w = TCP_RTO_INIT << MIN(retries, 20u);

	return MIN(w, SYNACK_MAX_WAIT);
}

static void wait_for_ack(struct tcp *t, struct tcp_syn *q, nsec now)
{
	unsigned i = MIN(q->n.retries, TCP_NUM_SYNQ - 1u);

	q->due = tcp_stamp(now + synack_wait(q->n.retries));
	list_remove(&q->link);
	list_push(&t->synq[i], &q->link);
}

static void send_synack(struct tcp *t, struct tcp_syn *q,
			const struct tcp_fo_cookie *fo, nsec now)
{
	struct tcp_listen *l = tcp_syn_listener(t, q);
	const struct ep *e = l->ep;
	const struct tcp_key *k = &q->n.key;
	bool is4 = ip_addr_is4(&k->raddr);
	uint16_t mss = advertised_mss(e, k, ip_mtu(t->tp->ip, &k->raddr, now));
	int hops = is4 ? e->ttl : e->hops6;
	const struct ip_metrics *m = metrics_to(e, &k->raddr);
	struct tcp_sig sig;
	uint32_t clamp;
	uint8_t scale, tos = is4 ? e->tos : e->tclass;
	struct tcp_repr r = {
		.seq = q->iss,
		.ack = q->irs + 1,
		.flags = TCP_SYN | TCP_ACK,
		.has_mss = true,
		.mss = mss,
		.has_ts = q->n.bits & TCP_SYN_TS,
		.ts_val = tcp_ts_now(tcp_ts_off(t, k), now),
		.ts_ecr = q->ts_recent,
		.sack_ok = q->n.bits & TCP_SYN_SACK,
		.has_wscale = q->n.bits & TCP_SYN_WSCALE,
		.wscale = q->n.scales & 15,
	};

	if (!tcp_sig_synack(e, q, q->iss, &sig))
		return;
	if (q->n.bits & TCP_SYN_COOKIE)
		r.ts_val = tcp_cookie_stamp(q, tcp_ts_now(0, now)) +
			   tcp_ts_off(t, k);
	if (fo)
		r.fo = *fo;
	r.window = (uint16_t)MIN(
		tcp_initial_window(e, m, MAX(mss, 1u), &scale, &clamp),
		MAX_SYN_WINDOW);
	tcp_sig_room(&sig, &r);
	tcp_ecn_synack_out(l, q, &r, &tos);
	tcp_uto_synack(e, &r);
	tcp_send_bare(t, k, &r, &sig, tos, hops > 0 ? (uint8_t)hops : 0, now);
}

/* What does not belong here is told where we stand: Linux's reqsk_send_ack. */
static void send_ack(struct tcp *t, const struct tcp_syn *q, nsec now)
{
	const struct ep *e = tcp_syn_listener(t, q)->ep;
	const struct tcp_key *k = &q->n.key;
	bool is4 = ip_addr_is4(&k->raddr);
	uint16_t mss = advertised_mss(e, k, ip_mtu(t->tp->ip, &k->raddr, now));
	int hops = is4 ? e->ttl : e->hops6;
	struct tcp_repr r = {
		.seq = q->iss + 1,
		.ack = q->irs + 1,
		.flags = TCP_ACK,
		.has_ts = q->n.bits & TCP_SYN_TS,
		.ts_val = tcp_ts_now(tcp_ts_off(t, k), now),
		.ts_ecr = q->ts_recent,
	};
	struct tcp_sig sig;
	uint32_t clamp, win;
	uint8_t scale;

	if (!tcp_sig_synack(e, q, r.seq, &sig))
		return;
	win = tcp_initial_window(e, metrics_to(e, &k->raddr), MAX(mss, 1u),
				 &scale, &clamp);
	win = MIN(win, MAX_SYN_WINDOW);
	if (q->n.bits & TCP_SYN_WSCALE)
		win >>= q->n.scales & 15;
	r.window = (uint16_t)win;
	tcp_send_bare(t, k, &r, &sig, is4 ? e->tos : e->tclass,
		      hops > 0 ? (uint8_t)hops : 0, now);
}

/* tcp_invalid_ratelimit, for all but data */
static bool oow_allowed(struct tcp *t, const struct tcp_syn *q,
			const struct tcp_seg *s)
{
	nsec gap = t->core->sysctl->tcp_invalid_ratelimit * MSEC;
	struct tcp_syn_answer *a = &t->answers[q->iss % TCP_NUM_ANSWERS];
	uint32_t stamp = tcp_stamp(s->now);

	if (s->end != s->seq && !(s->r.flags & TCP_SYN))
		return true;
	if (a->iss == q->iss && stamp - a->at < tcp_stamp(gap)) {
		stat_inc(t->core, STAT_TcpExtTCPACKSkippedSynRecv);
		return false;
	}
	*a = (struct tcp_syn_answer){q->iss, stamp};
	return true;
}

/* --- at a listener --- */

static bool is_full(const struct tcp_listen *l)
{
	return l->num_accept > l->backlog; /* Linux: one more than backlog */
}

static uint32_t syn_limit(const struct tcp_listen *l)
{
	uint32_t max = (uint32_t)l->ep->tp->core->sysctl->tcp_max_syn_backlog;

	return MIN(max, l->backlog + 1); /* Linux: full when over backlog */
}

/* tcp_synack_options() of Linux: a signature and timestamps leave no room for
 * SACK blocks, which are preferred; but a cookie needs the stamps if it is to
 * remember SACK at all. */
static bool may_stamp(const struct tcp_listen *l, const struct tcp_syn *q)
{
	if (!(q->n.bits & TCP_SYN_SACK) || q->n.bits & TCP_SYN_COOKIE)
		return true;
	return !q->has_ao && !tcp_md5_find(l->ep, &q->n.key.raddr);
}

/* What the SYN, or the ACK of a cookie, had. */
static void note_ao(struct tcp_syn *q, const struct tcp_seg *s)
{
	struct tcp_syn_ao *a = container_of(q, struct tcp_syn_ao, q);

	if (!s->r.ao_len)
		return;
	q->has_ao = true;
	a->keyid = s->r.ao_key;
	a->rnext = s->r.ao_rnext;
}

static struct tcp_syn *new_record(struct tcp *t, const struct tcp_seg *s)
{
	struct arena *a = t->core->arena;
	struct tcp_syn_ao *big;

	if (!s->r.ao_len)
		return arena_zalloc(a, sizeof(struct tcp_syn));
	big = arena_zalloc(a, sizeof(*big));
	return big ? &big->q : NULL;
}

static void fill_record(struct tcp *t, struct tcp_listen *l, struct tcp_syn *q,
			const struct tcp_seg *s, uint8_t bits)
{
	const struct sysctl_values *v = t->core->sysctl;
	const struct tcp_repr *r = &s->r;
	uint32_t clamp;
	uint8_t scale;

	q->n.key = tcp_seg_key(s);
	q->n.kind = TCP_NODE_SYN;
	q->n.bits = bits;
	q->listener = l->ep->index;
	q->iss = s->iss ? s->iss : tcp_iss(t, &q->n.key, s->now);
	q->irs = s->seq;
	note_ao(q, s);
	q->mss = r->has_mss ? r->mss : TCP_DEF_MSS;
	if (l->ep->topt.maxseg)
		q->mss = MIN(q->mss, l->ep->topt.maxseg);
	if (r->has_ts && v->tcp_timestamps) {
		q->n.bits |= TCP_SYN_TS;
		q->ts_recent = r->ts_val;
	}
	if (r->sack_ok && v->tcp_sack)
		q->n.bits |= TCP_SYN_SACK;
	if (!may_stamp(l, q))
		q->n.bits &= (uint8_t)~TCP_SYN_TS;
	tcp_ecn_request(l, q, s);
	q->uto = r->uto;
	if (r->has_wscale && v->tcp_window_scaling) {
		tcp_initial_window(l->ep, metrics_to(l->ep, &q->n.key.raddr), 1,
				   &scale, &clamp);
		q->n.bits |= TCP_SYN_WSCALE;
		q->n.scales =
			(uint8_t)(tcp_peer_wscale(t->core, r) << 4 | scale);
	}
}

/* --- the ACK of our SYN-ACK: a child is born --- */

static void copy_options(struct ep *e, const struct ep *from)
{
	e->opts = from->opts;
	e->tsflags = from->tsflags;
	e->peek_off = from->peek_off;
	filter_inherit(e, from);
	e->rcvbuf = from->rcvbuf;
	e->sndbuf = from->sndbuf;
	e->rcvlowat = from->rcvlowat;
	e->priority = from->priority;
	e->mark = from->mark;
	e->busy_poll = from->busy_poll;
	e->incoming_cpu = from->incoming_cpu;
	e->max_pacing_lo = from->max_pacing_lo;
	e->max_pacing = from->max_pacing;
	e->rcvtimeo = from->rcvtimeo;
	e->sndtimeo = from->sndtimeo;
	e->linger = from->linger;
	e->tos = from->tos;
	e->tclass = from->tclass;
	e->ttl = from->ttl;
	e->hops6 = from->hops6;
	e->mc_ttl = from->mc_ttl;
	e->mc_hops6 = from->mc_hops6;
	e->pmtudisc = from->pmtudisc;
	e->pmtudisc6 = from->pmtudisc6;
	e->min_ttl = from->min_ttl;
	e->min_hops6 = from->min_hops6;
	e->mtu6 = from->mtu6;
	e->dev_if = from->dev_if;
	e->topt = from->topt;
}

static struct ep *child_ep(struct tcp_listen *l, const struct tcp_syn *q,
			   nsec now)
{
	const struct tcp_key *k = &q->n.key;
	struct ep *e = ep_new(l->ep->tp, EP_TCP, l->ep->family, now);

	if (!e)
		return NULL;
	e->is_child = true;
	transport_note(e->tp, e);
	copy_options(e, l->ep);
	e->laddr = k->laddr;
	e->raddr = k->raddr;
	e->rport = k->rport;
	port_inherit(e, l->ep);
	e->lport = k->lport;
	e->is_connected = true;
	e->phase = EP_CONNECTED;
	if (tcp_auth_inherit(e, l->ep, q)) {
		ep_put(e);
		return NULL;
	}
	return e;
}

/* What the record knows. */
static void child_options(struct tcp_conn *c, const struct tcp_syn *q, nsec now)
{
	uint8_t bits = q->n.bits, scales = q->n.scales;

	c->is_passive = true;
	c->iss = c->snd_una = q->iss;
	c->snd_nxt = c->write_seq = q->iss + 1;
	c->irs = q->irs;
	c->rcv_nxt = c->rcv_wup = c->copied_seq = q->irs + 1;
	tcp_conn_setup(c, now);
	c->ts_ok = bits & TCP_SYN_TS;
	c->sack_ok = bits & TCP_SYN_SACK;
	tcp_ecn_child(c, q);
	c->wscale_ok = bits & TCP_SYN_WSCALE;
	c->snd_wscale = c->wscale_ok ? scales >> 4 : 0;
	c->rcv_wscale = c->wscale_ok ? scales & 15 : 0;
	if (!c->wscale_ok)
		c->window_clamp = MIN(c->window_clamp, 65535u);
	c->ts_recent = q->ts_recent;
	c->ts_recent_at = now;
	c->uto.remote = q->uto;
	c->mss_clamp = MIN(c->mss_clamp, q->mss);
	tcp_mss_sync(c, c->pmtu);
}

static void child_enter(struct tcp_conn *c)
{
	struct tcp *t = c->t;

	ASSERT(tcp_tuple_insert(t, &c->node) == 0);
	c->in_table = true;
	c->node.bits = (uint8_t)tcp_reuse_bits(c->ep);
	tcp_port_count(t, &c->node, 1);
	c->holds_port = true;
	tcp_set_state(c, TCPS_SYN_RCVD);
}

/* The record's place in the table is the child's. */
static void child_fill(struct tcp_conn *c, struct tcp_syn *q, nsec now)
{
	uint8_t retries = q->n.retries;
	nsec sent_at;

	child_options(c, q, now);
	c->total_retrans = retries;
	sent_at = ((now >> 14) + (int32_t)(q->due - tcp_stamp(now))) * 16384 -
		  synack_wait(retries);
	c->syn_at = MIN(sent_at, now);
	tcp_syn_forget(c->t, q);
	child_enter(c);
	if (!retries) /* Karn */
		tcp_rtt_sample(c, now - c->syn_at, now);
}

static void make_child(struct tcp *t, struct tcp_listen *l, struct tcp_syn *q,
		       struct tcp_seg *s)
{
	struct ep *e = child_ep(l, q, s->now);
	struct tcp_conn *c = e ? tcp_conn_new(e, s->now) : NULL;

	if (!c) {
		if (e)
			ep_put(e);
		stat_inc(t->core, STAT_TcpExtListenDrops);
		drop(t->core, DROP_NO_MEM);
		return;
	}
	child_fill(c, q, s->now);
	/* in the queue before the segment is looked at: its end may be too */
	c->parent = l;
	list_push(&l->acceptq, &c->accept_link);
	l->num_accept++;
	tcp_conn_in(c, s);
	if (c->state == TCPS_SYN_RCVD ||
	    (c->state == TCPS_CLOSED && !c->was_established)) {
		tcp_conn_free(c);
		ep_put(e);
		return;
	}
	stat_inc(t->core, STAT_TcpPassiveOpens);
	ep_ready(l->ep, tcp_poll(l->ep), true, false);
}

/* RFC 7413 4.2: the connection is there before its handshake is over. */
static bool open_early(struct tcp_listen *l, struct tcp_seg *s,
		       const struct tcp_fo_cookie *answer)
{
	struct tcp *t = l->ep->tp->tcp;
	struct tcp_syn_ao rec = {0};
	struct tcp_syn *q = &rec.q;
	struct tcp_seg data = *s;
	struct tcp_conn *c;
	struct ep *e;

	fill_record(t, l, q, s, 0);
	e = child_ep(l, q, s->now);
	c = e ? tcp_conn_new(e, s->now) : NULL;
	if (!c) {
		if (e)
			ep_put(e);
		return false;
	}
	child_options(c, q, s->now);
	c->snd_nxt = c->iss;
	c->is_tfo = true;
	c->snd_wnd = c->max_window = s->r.window;
	c->snd_wl1 = s->seq;
	child_enter(c);
	c->parent = l;
	list_push(&l->acceptq, &c->accept_link);
	l->num_accept++;
	data.seq++;
	if (data.len && tcp_rcv_queue(c, &data)) {
		c->fo_acked = true;
		c->data_segs_in += s->segs;
	}
	c->segs_in++;
	c->fo = *answer;
	stat_inc(t->core, STAT_TcpPassiveOpens);
	tcp_send_syn(c, s->now);
	tcp_timer_sync(c);
	tcp_check(c);
	ep_ready(l->ep, tcp_poll(l->ep), true, false);
	return true;
}

/* TCP_DEFER_ACCEPT is in seconds; here as SYN-ACKs sent, as Linux keeps it. */
static unsigned defer_retries(const struct ep *e)
{
	nsec left = e->topt.defer_accept * SEC, sum = 0;
	unsigned n = 0;

	while (sum < left && n < 255)
		sum += synack_wait(n++);
	return n;
}

static void take_ack(struct tcp *t, struct tcp_syn *q, struct tcp_seg *s)
{
	struct tcp_listen *l = tcp_syn_listener(t, q);

	if (s->r.ack != q->iss + 1) {
		drop(t->core, DROP_TCP_BAD_ACK);
		tcp_answer_rst(t, s);
		return;
	}
	if (s->end == q->irs + 1 && q->n.retries < defer_retries(l->ep)) {
		stat_inc(t->core, STAT_TcpExtTCPDeferAcceptDrop);
		q->n.bits |= TCP_SYN_ACKED;
		return;
	}
	if (is_full(l)) {
		stat_inc(t->core, STAT_TcpExtListenOverflows);
		stat_inc(t->core, STAT_TcpExtListenDrops);
		drop(t->core, DROP_TCP_ACCEPT_QUEUE);
		q->n.bits |= TCP_SYN_ACKED;
		if (t->core->sysctl->tcp_abort_on_overflow) {
			stat_inc(t->core, STAT_TcpExtEmbryonicRsts);
			tcp_answer_rst(t, s);
			tcp_syn_forget(t, q);
		}
		return;
	}
	make_child(t, l, q, s);
	tcp_table_rearm(t, s->now);
}

/* There is no room, and a SYN-ACK all the same: tcp_syncookie.c. */
static void answer_with_cookie(struct tcp *t, struct tcp_listen *l,
			       const struct tcp_seg *s)
{
	struct tcp_syn_ao rec = {0};
	struct tcp_syn *q = &rec.q;

	fill_record(t, l, q, s, TCP_SYN_COOKIE);
	if (!(q->n.bits & TCP_SYN_TS)) /* nothing could bring them back */
		q->n.bits &= (uint8_t) ~(TCP_SYN_SACK | TCP_SYN_WSCALE |
					 TCP_SYN_ECN | TCP_SYN_ACCECN);
	q->iss = tcp_cookie_make(t, q, s->now);
	l->cookie_at = MAX(s->now, 1);
	stat_inc(t->core, STAT_TcpExtTCPReqQFullDoCookies);
	stat_inc(t->core, STAT_TcpExtSyncookiesSent);
	send_synack(t, q, NULL, s->now);
}

/* An ACK that nothing is known of: of a cookie? True: it was. */
static bool take_cookie(struct tcp_listen *l, struct tcp_seg *s)
{
	struct tcp *t = l->ep->tp->tcp;
	struct tcp_syn *q;
	uint32_t clamp;
	uint8_t scale;

	if (!l->cookie_at || s->now - l->cookie_at > COOKIE_PATIENCE ||
	    s->r.flags & (TCP_SYN | TCP_RST))
		return false;
	q = new_record(t, s);
	if (!q)
		return false;
	note_ao(q, s);
	q->n.key = tcp_seg_key(s);
	q->n.kind = TCP_NODE_SYN;
	q->listener = l->ep->index;
	tcp_initial_window(l->ep, metrics_to(l->ep, &q->n.key.raddr), 1, &scale,
			   &clamp);
	if (!tcp_cookie_check(t, q, s, scale)) {
		stat_inc(t->core, STAT_TcpExtSyncookiesFailed);
		arena_free(t->core->arena, q);
		return false;
	}
	stat_inc(t->core, STAT_TcpExtSyncookiesRecv);
	list_init(&q->link);
	ASSERT(tcp_tuple_insert(t, &q->n) == 0);
	l->num_syn++;
	wait_for_ack(t, q, s->now);
	take_ack(t, q, s);
	tcp_table_rearm(t, s->now);
	return true;
}

static void take_syn(struct tcp_listen *l, struct tcp_seg *s)
{
	struct tcp *t = l->ep->tp->tcp;
	struct tcp_fo_cookie fo;
	struct tcp_syn *q;

	if (is_full(l)) {
		stat_inc(t->core, STAT_TcpExtListenOverflows);
		stat_inc(t->core, STAT_TcpExtListenDrops);
		drop(t->core, DROP_TCP_ACCEPT_QUEUE);
		return;
	}
	if (t->core->sysctl->tcp_syncookies == 2 ||
	    (t->core->sysctl->tcp_syncookies && l->num_syn >= syn_limit(l))) {
		answer_with_cookie(t, l, s);
		return;
	}
	if (l->num_syn >= syn_limit(l)) {
		stat_inc(t->core, STAT_TcpExtTCPReqQFullDrop);
		stat_inc(t->core, STAT_TcpExtListenDrops);
		drop(t->core, DROP_TCP_SYN_QUEUE);
		return;
	}
	if (tcp_fo_try(l, s, &fo)) {
		bool ok = open_early(l, s, &fo);

		tcp_fo_opened(t, &fo, ok);
		if (ok)
			return;
	}
	q = new_record(t, s);
	if (!q) {
		stat_inc(t->core, STAT_TcpExtListenDrops);
		drop(t->core, DROP_NO_MEM);
		return;
	}
	fill_record(t, l, q, s, 0);
	list_init(&q->link);
	ASSERT(tcp_tuple_insert(t, &q->n) == 0);
	l->num_syn++;
	wait_for_ack(t, q, s->now);
	tcp_table_rearm(t, s->now);
	send_synack(t, q, &fo, s->now);
}

/* RFC 9293 3.10.7.2 */
void tcp_listen_in(struct tcp_listen *l, struct tcp_seg *s)
{
	struct tcp *t = l->ep->tp->tcp;

	if (s->r.flags & TCP_RST) {
		drop(t->core, DROP_TCP_BAD_FLAGS);
	} else if (s->r.flags & TCP_ACK) {
		if (take_cookie(l, s))
			return;
		drop(t->core, DROP_TCP_BAD_ACK);
		tcp_answer_rst(t, s);
	} else if ((s->r.flags & (TCP_SYN | TCP_FIN)) == TCP_SYN) {
		take_syn(l, s);
	} else {
		drop(t->core, DROP_TCP_BAD_FLAGS);
	}
}

/* Does it echo what no SYN-ACK of ours has had? When the first one went out is
 * not in the record, but none lives longer. */
static bool is_strange_echo(struct tcp *t, const struct tcp_syn *q,
			    const struct tcp_seg *s)
{
	uint32_t off = tcp_ts_off(t, &q->n.key);
	nsec oldest = MAX(s->now - SYNACK_MAX_LIFE, 0);

	return q->n.bits & TCP_SYN_TS && s->r.has_ts && s->r.ts_ecr &&
	       (seq_lt(s->r.ts_ecr, tcp_ts_now(off, oldest)) ||
		seq_gt(s->r.ts_ecr, tcp_ts_now(off, s->now)));
}

/* tcp_rtx_synack() of Linux */
static void send_synack_again(struct tcp *t, struct tcp_syn *q, nsec now)
{
	stat_inc(t->core, STAT_TcpRetransSegs);
	stat_inc(t->core, STAT_TcpExtTCPSynRetrans);
	send_synack(t, q, NULL, now);
}

/* Not what completes the handshake. */
static void refuse(struct tcp *t, struct tcp_syn *q, struct tcp_seg *s,
		   bool paws)
{
	drop(t->core, paws ? DROP_TCP_PAWS : DROP_TCP_OUT_OF_WINDOW);
	if (!(s->r.flags & TCP_RST) && oow_allowed(t, q, s))
		send_ack(t, q, s->now);
	if (paws)
		stat_inc(t->core, STAT_TcpExtPAWSEstab);
	else if (is_strange_echo(t, q, s))
		stat_inc(t->core, STAT_TcpExtTSEcrRejected);
}

/* tcp_check_req() of Linux */
void tcp_syn_in(struct tcp *t, struct tcp_syn *q, struct tcp_seg *s)
{
	bool paws = q->n.bits & TCP_SYN_TS && s->r.has_ts &&
		    (int32_t)(q->ts_recent - s->r.ts_val) > 0;
	uint8_t f = s->r.flags;

	if (s->seq == q->irs &&
	    (f & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN) {
		if (!paws && oow_allowed(t, q, s)) {
			tcp_ecn_request_again(q, s);
			send_synack_again(t, q, s->now);
			wait_for_ack(t, q, s->now);
			tcp_table_rearm(t, s->now);
		}
		return;
	}
	if (paws || is_strange_echo(t, q, s) ||
	    !seq_in(s->seq, q->irs + 1, MAX_SYN_WINDOW + 1)) {
		refuse(t, q, s, paws);
		return;
	}
	/* RFC 9293 3.10.7.4: only an exact one resets */
	if (f & TCP_RST && s->seq != q->irs + 1) {
		drop(t->core, DROP_TCP_OUT_OF_WINDOW);
		if (oow_allowed(t, q, s))
			send_ack(t, q, s->now);
		return;
	}
	if (f & (TCP_RST | TCP_SYN)) {
		stat_inc(t->core, STAT_TcpAttemptFails);
		stat_inc(t->core, STAT_TcpExtEmbryonicRsts);
		if (f & TCP_SYN)
			tcp_answer_rst(t, s);
		tcp_syn_forget(t, q);
		tcp_table_rearm(t, s->now);
		return;
	}
	if (!(f & TCP_ACK)) {
		drop(t->core, DROP_TCP_BAD_FLAGS);
		return;
	}
	if (q->n.bits & TCP_SYN_TS && s->r.has_ts && s->seq == q->irs + 1)
		q->ts_recent = s->r.ts_val;
	take_ack(t, q, s);
}

/* tcp_v4_err() and tcp_v6_err(): of what does nobody come back? */
static bool ends_handshake(const struct ip_error *e)
{
	if (!e->is4)
		return e->fatal;
	return e->type == ICMP_PARAMETERPROB || e->type == ICMP_TIME_EXCEEDED ||
	       (e->type == ICMP_DEST_UNREACH && e->code <= ICMP_HOST_UNREACH);
}

/* tcp_req_err() of Linux */
void tcp_syn_error(struct tcp *t, struct tcp_syn *q, const struct ip_error *e,
		   uint32_t seq)
{
	if (seq != q->iss) {
		stat_inc(t->core, STAT_TcpExtOutOfWindowIcmps);
		drop(t->core, DROP_ICMP_NO_SOCK);
		return;
	}
	if (!ends_handshake(e))
		return;
	stat_inc(t->core, STAT_TcpExtListenDrops);
	tcp_syn_forget(t, q);
}

/* --- SYN-ACKs again --- */

static void resend(struct tcp *t, struct tcp_syn *q, nsec now)
{
	const struct ep *e = tcp_syn_listener(t, q)->ep;
	unsigned max = e->topt.syncnt
			       ? e->topt.syncnt
			       : (unsigned)t->core->sysctl->tcp_synack_retries;
	unsigned defer = defer_retries(e);

	if (q->n.retries >= max) {
		tcp_syn_forget(t, q);
		return;
	}
	if (!(q->n.bits & TCP_SYN_ACKED) || !defer ||
	    q->n.retries + 1u >= defer) {
		send_synack_again(t, q, now);
	}
	q->n.retries++;
	wait_for_ack(t, q, now);
}

void tcp_syn_timer(struct tcp *t, nsec now)
{
	for (unsigned i = 0; i < TCP_NUM_SYNQ; i++) {
		struct tcp_syn *q;

		while ((q = list_first(&t->synq[i], struct tcp_syn, link)) &&
		       (int32_t)(q->due - tcp_stamp(now)) <= 0)
			resend(t, q, now);
	}
}

nsec tcp_syn_next_at(const struct tcp *t, nsec now)
{
	nsec at = TIME_NEVER;

	for (unsigned i = 0; i < TCP_NUM_SYNQ; i++) {
		const struct tcp_syn *q =
			list_first(&t->synq[i], struct tcp_syn, link);

		if (q)
			at = MIN(at, ((now >> 14) +
				      (int32_t)(q->due - tcp_stamp(now))) *
					     16384);
	}
	return at;
}
