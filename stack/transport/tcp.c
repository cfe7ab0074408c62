/* SPDX-License-Identifier: MIT
 *
 * tcp.c - open, listen, close: the user's half of the state diagram
 *
 * One table of tuples holds connections, SYN records and TIME-WAIT records:
 * what a segment belongs to is one lookup, and a tuple has one owner. A
 * connection that is over (CLOSED) leaves the table at once; it lives on only
 * for an owner who may still read what came.
 */
#include "transport/tcp.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "transport/errq.h"
#include "transport/tcp_conn.h"

/* --- the whole --- */

struct tcp *tcp_new(struct transport *tp)
{
	struct tcp *t = arena_zalloc(tp->core->arena, sizeof(*t));

	if (!t)
		return NULL;
	t->tp = tp;
	t->core = tp->core;
	if (htab_init(&t->tuples, t->core->arena)) {
		arena_free(t->core->arena, t);
		return NULL;
	}
	list_init(&t->conns);
	list_init(&t->listens);
	list_init(&t->owed);
	list_init(&t->wait);
	list_init(&t->lends);
	list_init(&t->tw);
	for (unsigned i = 0; i < TCP_NUM_SYNQ; i++)
		list_init(&t->synq[i]);
	timer_init(&t->timer, TIMER_TCP_TABLE);
	rng_key(&t->core->rng, &t->fo_key);
	rng_key(&t->core->rng, &t->cookie_key);
	return t;
}

static void listen_free(struct tcp_listen *l)
{
	struct tcp *t = l->ep->tp->tcp;

	list_remove(&l->link);
	__atomic_store_n(&l->ep->listen, NULL, __ATOMIC_RELEASE);
	arena_free(t->core->arena, l);
}

static void forget_syns(struct tcp *t, struct tcp_listen *l)
{
	struct list *p, *tmp;

	for (unsigned i = 0; i < TCP_NUM_SYNQ; i++) {
		list_for_each_safe (p, tmp, &t->synq[i]) {
			struct tcp_syn *q = list_entry(p, struct tcp_syn, link);

			if (!l || q->listener == l->ep->index)
				tcp_syn_forget(t, q);
		}
	}
}

/* A child that nobody accepted loses the queue's reference, its owner's. */
static struct ep *pop_child(struct tcp_listen *l)
{
	struct tcp_conn *c;

	if (list_empty(&l->acceptq))
		return NULL;
	c = list_entry(l->acceptq.next, struct tcp_conn, accept_link);
	transport_note(c->ep->tp, c->ep);
	/* in this order: who dies in between had got it (rebuild.c) */
	c->ep->party = c->ep->tp->party;
	__atomic_store_n(&c->ep->is_child, false, __ATOMIC_RELEASE);
	c->parent = NULL;
	list_remove(&c->accept_link);
	l->num_accept--;
	return c->ep;
}

uint64_t tcp_layout(void)
{
	return sizeof(struct tcp) * 31 + sizeof(struct tcp_conn);
}

void tcp_free(struct tcp *t)
{
	struct arena *a = t->core->arena;
	struct list *p, *tmp;

	forget_syns(t, NULL);
	list_for_each_safe (p, tmp, &t->listens) {
		struct tcp_listen *l = list_entry(p, struct tcp_listen, link);
		struct ep *child;

		while ((child = pop_child(l))) {
			child->is_closed = true;
			if (child->tcp)
				tcp_conn_free(child->tcp);
			ep_put(child);
		}
		listen_free(l);
	}
	list_for_each_safe (p, tmp, &t->conns)
		tcp_conn_free(list_entry(p, struct tcp_conn, link));
	tcp_tw_fini(t);
	tcp_fo_fini(t);
	tcp_lends_free(t);
	timer_remove(&t->core->timers, &t->timer);
	htab_fini(&t->tuples);
	for (unsigned i = 0; i < ARRAY_SIZE(t->ports); i++)
		arena_free(a, t->ports[i]);
	arena_free(a, t);
}

/* --- tuples and ports --- */

static uint32_t key_hash(const struct tcp *t, const struct tcp_key *k)
{
	return (uint32_t)sip_hash(&t->core->hash_key, k, TCP_KEY_LEN);
}

static bool key_eq(const struct tcp_key *a, const struct tcp_key *b)
{
	return a->lport == b->lport && a->rport == b->rport &&
	       ip_addr_eq(&a->raddr, &b->raddr) &&
	       ip_addr_eq(&a->laddr, &b->laddr);
}

struct tcp_node *tcp_tuple_find(struct tcp *t, const struct tcp_key *k)
{
	struct hnode *h;

	for (h = htab_first(&t->tuples, key_hash(t, k)); h; h = htab_next(h)) {
		struct tcp_node *n = container_of(h, struct tcp_node, h);

		if (key_eq(&n->key, k))
			return n;
	}
	return NULL;
}

int tcp_tuple_insert(struct tcp *t, struct tcp_node *n)
{
	if (tcp_tuple_find(t, &n->key))
		return -EADDRNOTAVAIL;
	htab_insert(&t->tuples, &n->h, key_hash(t, &n->key));
	return 0;
}

void tcp_tuple_remove(struct tcp *t, struct tcp_node *n)
{
	htab_remove(&t->tuples, &n->h);
}

unsigned tcp_reuse_bits(const struct ep *e)
{
	return (ep_opt(e, EP_O_REUSEADDR) ? TCP_TW_REUSEADDR : 0) |
	       (ep_opt(e, EP_O_REUSEPORT) ? TCP_TW_REUSEPORT : 0);
}

/* Without memory for the page the port is simply not guarded. */
void tcp_port_count(struct tcp *t, const struct tcp_node *n, int d)
{
	uint16_t port = n->key.lport;
	struct tcp_port_page **pg = &t->ports[port / 1024];
	struct tcp_port *p;

	if (!*pg && d > 0)
		*pg = arena_zalloc(t->core->arena, sizeof(**pg));
	if (!*pg)
		return;
	p = &(*pg)->v[port % 1024];
	if (d < 0 && !p->all)
		return;
	if (!p->all) {
		p->laddr = n->key.laddr;
		p->is_mixed = false;
	}
	p->is_mixed |= !ip_addr_eq(&p->laddr, &n->key.laddr);
	p->all += (uint32_t)d;
	if (!(n->bits & TCP_TW_REUSEADDR))
		p->no_addr += (uint32_t)d;
	if (!(n->bits & TCP_TW_REUSEPORT))
		p->no_port += (uint32_t)d;
	(*pg)->used += (uint32_t)d;
	if ((*pg)->used == 0) {
		struct tcp_port_page *empty = *pg;

		__atomic_store_n(pg, NULL, __ATOMIC_RELEASE);
		arena_free(t->core->arena, empty);
	}
}

/* Does @n hold @port against @e, which wants @addr there? */
static bool holds(const struct tcp_node *n, const struct ep *e,
		  const struct ip_addr *addr, uint16_t port)
{
	unsigned both = n->bits & tcp_reuse_bits(e);

	if (n->key.lport != port ||
	    both & (TCP_TW_REUSEADDR | TCP_TW_REUSEPORT))
		return false;
	if (n->kind == TCP_NODE_CONN &&
	    !container_of(n, struct tcp_conn, node)->holds_port)
		return false;
	return n->kind != TCP_NODE_SYN &&
	       port_takes(addr, ep_opt(e, EP_O_V6ONLY), &n->key.laddr);
}

/* Addresses are compared, as inet_bhash2_conflict() of Linux does. On a port
 * whose holders have several, all that there are are looked through: who binds
 * a busy port without SO_REUSEADDR waits. */
bool tcp_port_taken(struct tcp *t, const struct ep *e,
		    const struct ip_addr *addr, uint16_t port)
{
	struct hnode *h = NULL;
	uint32_t bucket = 0;
	const struct tcp_port_page *pg = t->ports[port / 1024];
	const struct tcp_port *p = pg ? &pg->v[port % 1024] : NULL;

	if (!p || !p->all)
		return false;
	if (ep_opt(e, EP_O_REUSEADDR) && !p->no_addr)
		return false;
	if (ep_opt(e, EP_O_REUSEPORT) && !p->no_port)
		return false;
	if (!p->is_mixed)
		return port_takes(addr, ep_opt(e, EP_O_V6ONLY), &p->laddr);
	while ((h = htab_walk(&t->tuples, &bucket, h)))
		if (holds(container_of(h, struct tcp_node, h), e, addr, port))
			return true;
	return false;
}

bool tcp_tuple_taken(struct tcp *t, const struct ep *e, uint16_t lport,
		     nsec now)
{
	struct tcp_key k = {e->laddr, e->raddr, lport, e->rport, 0};
	struct tcp_node *n = tcp_tuple_find(t, &k);

	if (!n)
		return false;
	if (n->kind != TCP_NODE_TW)
		return true;
	return !tcp_tw_may_reuse(t, container_of(n, struct tcp_tw, n), now);
}

/* RFC 6528 3: a clock that ticks every 64 ns, as Linux's, and a keyed hash. */
uint32_t tcp_iss(struct tcp *t, const struct tcp_key *k, nsec now)
{
	return (uint32_t)sip_hash(&t->core->iss_key, k, TCP_KEY_LEN) +
	       (uint32_t)((uint64_t)now >> 6);
}

/* One offset per pair of hosts: timestamps grow from connection to connection,
 * which TIME-WAIT reuse depends on (RFC 6191), and don't tell the uptime. */
uint32_t tcp_ts_off(struct tcp *t, const struct tcp_key *k)
{
	struct ip_addr pair[2] = {k->laddr, k->raddr};

	return (uint32_t)sip_hash(&t->core->iss_key, pair, sizeof(pair));
}

void tcp_table_rearm(struct tcp *t, nsec now)
{
	nsec at = MIN(tcp_syn_next_at(t, now), tcp_tw_next_at(t, now));

	if (at == TIME_NEVER)
		timer_disarm(&t->core->timers, &t->timer);
	else
		timer_arm(&t->core->timers, &t->timer, at);
}

void tcp_table_timer(struct tcp *t, struct timer *tm, nsec now)
{
	tcp_syn_timer(t, now);
	tcp_tw_timer(t, now);
	tcp_table_rearm(t, now);
}

/* --- one connection's life --- */

static const char *state_name(enum tcp_state s)
{
	static const char *const names[] = {
#define X(name, v) [v] = #name,
		TCP_STATES(X)
#undef X
	};

	return names[s];
}

/* Where each state may go; RFC 9293 figure 5, and CLOSED from everywhere. */
static const uint16_t arrows[] = {
	[TCPS_CLOSED] = TCPS_BIT(SYN_SENT) | TCPS_BIT(SYN_RCVD),
	[TCPS_SYN_SENT] = TCPS_BIT(SYN_RCVD) | TCPS_BIT(ESTABLISHED),
	[TCPS_SYN_RCVD] = TCPS_BIT(ESTABLISHED) | TCPS_BIT(FIN_WAIT1) |
			  TCPS_BIT(CLOSE_WAIT),
	[TCPS_ESTABLISHED] = TCPS_BIT(FIN_WAIT1) | TCPS_BIT(CLOSE_WAIT),
	[TCPS_FIN_WAIT1] = TCPS_BIT(FIN_WAIT2) | TCPS_BIT(CLOSING),
	[TCPS_FIN_WAIT2] = 0,
	[TCPS_CLOSE_WAIT] = TCPS_BIT(LAST_ACK),
	[TCPS_LAST_ACK] = 0,
	[TCPS_CLOSING] = 0,
};

void tcp_set_state(struct tcp_conn *c, enum tcp_state s)
{
	char l[IP_ADDR_STRLEN], r[IP_ADDR_STRLEN];
	struct log *lg = &c->t->core->log;

	ASSERT(s == TCPS_CLOSED || (arrows[c->state] & (1u << s)));
	if (lg->level >= LOG_INFO)
		log_line(lg, LOG_INFO, "tcp %s:%u%c%s:%u %s -> %s",
			 ip_addr_str(&c->node.key.laddr, l), c->node.key.lport,
			 c->is_passive ? '<' : '>',
			 ip_addr_str(&c->node.key.raddr, r), c->node.key.rport,
			 state_name(c->state), state_name(s));
	if (s == TCPS_CLOSED &&
	    TCPS_IN(c, TCPS_BIT(ESTABLISHED) | TCPS_BIT(CLOSE_WAIT)))
		stat_inc(c->t->core, STAT_TcpEstabResets);
	c->state = (uint8_t)s;
	if (s == TCPS_ESTABLISHED)
		c->was_established = true;
}

struct tcp_conn *tcp_conn_new(struct ep *e, nsec now)
{
	struct tcp *t = e->tp->tcp;
	struct tcp_conn *c = arena_zalloc(t->core->arena, sizeof(*c));

	if (!c)
		return NULL;
	c->t = t;
	c->ep = e;
	c->state = TCPS_CLOSED;
	c->node.key = (struct tcp_key){e->laddr, e->raddr, e->lport, e->rport};
	c->node.kind = TCP_NODE_CONN;
	timer_init(&c->timer, TIMER_TCP_CONN);
	for (unsigned i = 0; i < TCP_NUM_TIMERS; i++)
		c->at[i] = TIME_NEVER;
	list_init(&c->owed_link);
	list_init(&c->wait_link);
	list_init(&c->accept_link);
	list_init(&c->stream);
	list_init(&c->marks);
	list_init(&c->recs);
	list_init(&c->sent);
	list_init(&c->rcvq);
	list_init(&c->ofo);
	list_push(&t->conns, &c->link);
	c->ts_off = tcp_ts_off(t, &c->node.key);
	c->flow = (uint32_t)key_hash(t, &c->node.key) & 0xfffff;
	c->heard_at = c->last_rcv_at = c->last_sent_at = now;
	ep_get(e);
	e->tcp = c;
	return c;
}

static void leave_table(struct tcp_conn *c)
{
	if (c->in_table)
		tcp_tuple_remove(c->t, &c->node);
	c->in_table = false;
	if (c->holds_port)
		tcp_port_count(c->t, &c->node, -1);
	c->holds_port = false;
}

void tcp_conn_free(struct tcp_conn *c)
{
	struct ep *e = c->ep;

	leave_table(c);
	if (c->parent) {
		list_remove(&c->accept_link);
		c->parent->num_accept--;
	}
	list_remove(&c->link);
	list_remove(&c->owed_link);
	list_remove(&c->wait_link);
	timer_remove(&c->t->core->timers, &c->timer);
	tcp_recs_free(c);
	tcp_snd_free(c);
	tcp_ofo_free(c);
	tcp_rcv_free(c);
	tcp_lend_orphan(c);
	tcp_marks_free(c);
	tcp_mem_forget(c);
	e->tcp = NULL;
	arena_free(tcp_arena(c), c);
	ep_put(e);
}

void tcp_ready(struct tcp_conn *c, bool edge_in, bool edge_out)
{
	if (!c->is_orphan)
		ep_ready(c->ep, tcp_poll(c->ep), edge_in, edge_out);
}

/* A child that dies in the accept queue stays there: accept(2) hands it out and
 * the error is found by the first call on it, as in Linux. */
bool tcp_done(struct tcp_conn *c, int err, nsec now)
{
	struct ep *e = c->ep;

	/* not if whoever asked for it has given it up */
	if ((err || c->is_reset) &&
	    TCPS_IN(c, TCPS_BIT(SYN_SENT) | TCPS_BIT(SYN_RCVD)))
		stat_inc(c->t->core, STAT_TcpAttemptFails);
	if (c->state != TCPS_CLOSED)
		tcp_set_state(c, TCPS_CLOSED);
	leave_table(c);
	tcp_fo_end(c, now);
	tcp_recs_free(c);
	tcp_snd_free(c);
	tcp_ofo_free(c);
	for (unsigned i = 0; i < TCP_NUM_TIMERS; i++)
		c->at[i] = TIME_NEVER;
	timer_remove(&c->t->core->timers, &c->timer);
	list_remove(&c->owed_link);
	list_remove(&c->wait_link);
	c->owe = 0;
	tcp_mem_sync(c);
	e->shut = EP_SHUT_RD | EP_SHUT_WR;
	if (c->is_orphan) {
		tcp_conn_free(c);
		return true;
	}
	/* tcp_set_state() of Linux: what bind(2) didn't fix is free again */
	if (!ep_opt(e, EP_O_BOUND_PORT))
		port_release(e);
	if (err)
		ep_error(e, err);
	tcp_ready(c, true, true);
	return false;
}

#ifdef TCPSHIM_DEBUG_CHECKS
/* What holds between any two calls. */
void tcp_check(const struct tcp_conn *c)
{
	uint32_t segs = 0, sacked = 0, lost = 0, rtx = 0, num = 0;
	uint32_t seq = c->snd_una;
	const struct list *p;

	list_for_each (p, &c->recs) {
		const struct tcp_rec *r = list_entry(p, struct tcp_rec, node);

		ASSERT(r->seq == seq && r->num_segs >= 1);
		ASSERT(r->num_segs <= TCP_MAX_SEGS);
		ASSERT(!((r->sacked | r->lost) & ~rec_all(r)));
		ASSERT(!(r->sacked & r->lost));
		ASSERT(!r->len ||
		       (r->sl && seq_in(r->seq, r->sl->seq, r->sl->len)));
		seq = rec_end(r);
		segs += r->num_segs;
		sacked += rec_count(r->sacked);
		lost += rec_count(r->lost);
		rtx += r->is_rtx ? r->num_segs - rec_count(r->sacked) : 0;
		num++;
	}
	ASSERT(num == c->num_recs && segs == c->packets_out);
	if (num)
		ASSERT(seq == c->snd_nxt);
	ASSERT(lost == c->lost_out && rtx == c->retrans_out);
	if (c->sack_ok)
		ASSERT(sacked == c->sacked_out);
	ASSERT(c->sacked_out + c->lost_out <= c->packets_out);
	ASSERT(c->state == TCPS_CLOSED || seq_leq(c->snd_una, c->snd_nxt));
	ASSERT(c->ep->tcp == c);
	ASSERT(c->cc.cwnd >= 1 || c->state == TCPS_CLOSED);
}
#endif

/* --- calls of the user --- */

int tcp_ep_init(struct ep *e)
{
	const struct sysctl_values *v = e->tp->core->sysctl;

	e->rcvbuf = (uint32_t)v->tcp_rmem_def;
	e->sndbuf = (uint32_t)v->tcp_wmem_def;
	e->topt.cc = (uint8_t)v->tcp_congestion_control;
	if (e->topt.cc >= CC_NUM)
		e->topt.cc = CC_CUBIC;
	return 0;
}

static int take_source(struct ep *e, nsec now)
{
	bool keep = ep_opt(e, EP_O_BOUND_ADDR) ||
		    (!ip_addr_is_any(&e->laddr) && !e->is_auto);
	int err;

	if (e->is_bound && e->is_auto)
		port_release(e);
	if (!keep) {
		err = ip_source_via(e->tp->ip, &e->raddr, e->dev_if, &e->laddr);
		if (err)
			return err;
	} else if (!ip_route_via(e->tp->ip, &e->raddr, e->dev_if)) {
		return -ENETUNREACH;
	}
	if (!e->is_bound)
		return port_bind_connect(e, now);
	return tcp_tuple_taken(e->tp->tcp, e, e->lport, now) ? -EADDRNOTAVAIL
							     : 0;
}

/* A TIME-WAIT that may be reused gives its tuple, and numbers beyond its own.
 */
static void take_tuple(struct tcp_conn *c, nsec now)
{
	struct tcp_node *n = tcp_tuple_find(c->t, &c->node.key);

	c->iss = tcp_iss(c->t, &c->node.key, now);
	if (n && n->kind == TCP_NODE_TW) {
		struct tcp_tw *w = container_of(n, struct tcp_tw, n);

		/* Linux's tcp_twsk_unique(): well beyond any old duplicate */
		c->iss = w->snd_nxt + 65535 + 2;
		stat_inc(c->t->core, STAT_TcpExtTWRecycled);
		tcp_tw_free(c->t, w);
	}
	ASSERT(tcp_tuple_insert(c->t, &c->node) == 0);
	c->in_table = true;
}

int tcp_connect(struct ep *e, nsec now)
{
	struct tcp_conn *c;
	int err;

	if (e->tcp) {
		if (e->tcp->state != TCPS_CLOSED)
			return -EISCONN;
		tcp_conn_free(e->tcp);
	}
	e->shut = 0;
	e->err = 0;
	err = take_source(e, now);
	if (!err)
		err = tcp_auth_connect(e);
	if (err)
		return err;
	c = tcp_conn_new(e, now);
	if (!c)
		return -ENOBUFS;
	take_tuple(c, now);
	if (tcp_in_repair(e)) {
		tcp_set_state(c, TCPS_SYN_SENT);
		e->is_connected = true;
		tcp_repair_connect(c, now);
		return 0;
	}
	c->snd_una = c->snd_nxt = c->iss;
	c->write_seq = c->iss + 1;
	tcp_conn_setup(c, now);
	tcp_set_state(c, TCPS_SYN_SENT);
	e->is_connected = true;
	if (e->topt.fastopen_connect &&
	    tcp_sysctl(c)->tcp_fastopen & TFO_CLIENT_ENABLE &&
	    tcp_fo_prepare(c, now))
		return 0;
	err = tcp_send_syn(c, now);
	if (err && err != -ENOBUFS) {
		tcp_set_state(c, TCPS_CLOSED);
		tcp_conn_free(c);
		e->is_connected = false;
		return err;
	}
	tcp_timer_sync(c);
	tcp_check(c);
	return -EINPROGRESS;
}

int tcp_listen(struct ep *e, int backlog, nsec now)
{
	struct tcp *t = e->tp->tcp;
	struct tcp_listen *l = e->listen;
	uint32_t max = (uint32_t)t->core->sysctl->somaxconn;
	int err;

	if (e->tcp && e->tcp->state != TCPS_CLOSED)
		return -EINVAL;
	if (!l) {
		if (e->tcp)
			tcp_conn_free(e->tcp);
		if (!e->is_bound) {
			struct ip_addr any = e->laddr;

			err = port_bind(e, &any, 0);
		} else {
			err = port_listen_check(e);
		}
		if (err)
			return err;
		l = arena_zalloc(t->core->arena, sizeof(*l));
		if (!l)
			return -ENOBUFS;
		l->ep = e;
		list_init(&l->acceptq);
		list_push(&t->listens, &l->link);
		__atomic_store_n(&e->listen, l, __ATOMIC_RELEASE);
		e->shut = 0;
	}
	/* a negative backlog is a large one, as in Linux */
	l->backlog = MIN((uint32_t)backlog, max);
	ep_ready(e, tcp_poll(e), false, false);
	return 0;
}

struct ep *tcp_accept(struct ep *e, int *err, nsec now)
{
	struct ep *child;

	if (!e->listen) {
		*err = -EINVAL;
		return NULL;
	}
	child = pop_child(e->listen);
	*err = child ? 0 : -EAGAIN;
	ep_ready(e, tcp_poll(e), false, false);
	return child;
}

/* States in which the peer has to be told with a RST (RFC 9293 3.10.5). */
#define KNOWS_OF_US                                                         \
	(TCPS_BIT(ESTABLISHED) | TCPS_BIT(SYN_RCVD) | TCPS_BIT(FIN_WAIT1) | \
	 TCPS_BIT(FIN_WAIT2) | TCPS_BIT(CLOSE_WAIT))

void tcp_conn_abort(struct tcp_conn *c, int err, nsec now)
{
	if (TCPS_IN(c, KNOWS_OF_US) ||
	    (TCPS_IN(c, TCPS_BIT(LAST_ACK) | TCPS_BIT(CLOSING)) &&
	     c->snd_nxt != c->write_seq + c->fin_queued))
		tcp_send_rst(c, now);
	tcp_done(c, err, now);
}

static void listen_close(struct tcp_listen *l, nsec now)
{
	struct tcp *t = l->ep->tp->tcp;
	struct ep *child;

	forget_syns(t, l);
	while ((child = pop_child(l))) {
		child->is_closed = true;
		if (child->tcp) {
			child->tcp->is_orphan = true;
			tcp_conn_abort(child->tcp, 0, now);
		}
		ep_put(child);
	}
	listen_free(l);
	tcp_table_rearm(t, now);
}

/* tcp_need_reset() of Linux, and SYN-SENT: the next call is told. */
static bool is_reset_by_disconnect(enum tcp_state s)
{
	return s == TCPS_SYN_SENT || s == TCPS_SYN_RCVD ||
	       s == TCPS_ESTABLISHED || s == TCPS_CLOSE_WAIT ||
	       s == TCPS_FIN_WAIT1 || s == TCPS_FIN_WAIT2;
}

void tcp_disconnect(struct ep *e, nsec now)
{
	struct tcp_conn *c = e->tcp;
	bool is_queued = c && c->parent;

	ep_get(e); /* the connection may hold the last reference */
	if (e->listen)
		listen_close(e->listen, now);
	if (is_queued) { /* it stays in the accept queue, dead */
		tcp_conn_abort(c, ECONNABORTED, now);
	} else if (c) {
		if (is_reset_by_disconnect(c->state))
			ep_error(e, ECONNRESET);
		c->is_orphan = true;
		tcp_conn_abort(c, 0, now);
	}
	if (!is_queued) {
		e->shut = 0;
		e->is_connected = false;
	}
	ep_put(e);
}

/* Our side is done sending: the FIN half of close(2) and shutdown(2). True if
 * a FIN has to go out. */
static bool close_state(struct tcp_conn *c)
{
	switch (c->state) {
	case TCPS_SYN_RCVD:
	case TCPS_ESTABLISHED:
		tcp_set_state(c, TCPS_FIN_WAIT1);
		return true;
	case TCPS_CLOSE_WAIT:
		tcp_set_state(c, TCPS_LAST_ACK);
		return true;
	default:
		return false;
	}
}

/* From now on nobody reads or writes; the connection finishes by itself. */
static void orphan(struct tcp_conn *c, nsec now)
{
	c->is_orphan = true;
	tcp_rcv_free(c);
	if (c->state == TCPS_CLOSED) {
		tcp_conn_free(c);
		return;
	}
	if (close_state(c))
		tcp_send_fin(c, now);
	if (tcp_mem_orphaned(c, now))
		return;
	if (c->state == TCPS_FIN_WAIT2) {
		nsec len = tcp_fin2_len(c);

		if (len < 0) {
			tcp_send_rst(c, now);
			stat_inc(c->t->core, STAT_TcpExtTCPAbortOnLinger);
			tcp_done(c, 0, now);
			return;
		}
		tcp_timer_set(c, TCP_T_FIN2, now + len);
		tcp_count_tw(c, len);
	}
	tcp_timer_sync(c);
	tcp_check(c);
}

void tcp_close(struct ep *e, nsec now)
{
	struct tcp_conn *c = e->tcp;
	bool unread;

	if (e->listen)
		listen_close(e->listen, now);
	e->shut = EP_SHUT_RD | EP_SHUT_WR;
	e->tp->tcp->mem.now = now;
	if (!c)
		return;
	unread = !list_empty(&c->rcvq);
	if (tcp_in_repair(e)) { /* it goes on elsewhere: nobody is told */
		c->is_orphan = true;
		tcp_done(c, 0, now);
	} else if (c->state == TCPS_SYN_SENT) {
		c->is_orphan = true;
		tcp_done(c, 0, now);
	} else if (unread && c->state != TCPS_CLOSED) {
		stat_inc(c->t->core, STAT_TcpExtTCPAbortOnClose);
		c->is_orphan = true;
		tcp_send_rst(c, now); /* RFC 2525 2.17 */
		tcp_done(c, 0, now);
	} else if (ep_opt(e, EP_O_LINGER) && e->linger == 0) {
		c->is_orphan = true;
		stat_inc(c->t->core, STAT_TcpExtTCPAbortOnData);
		tcp_conn_abort(c, 0, now);
	} else {
		orphan(c, now);
	}
}

int tcp_shutdown(struct ep *e, int how, nsec now)
{
	struct tcp_conn *c = e->tcp;

	if (e->listen) { /* Linux: a listener that is shut for reading ends */
		if (how == SHUT_WR)
			return 0;
		listen_close(e->listen, now);
		if (!ep_opt(e, EP_O_BOUND_PORT))
			port_release(e);
		ep_ready(e, tcp_poll(e), true, true);
		return 0;
	}
	if (!c || c->state == TCPS_CLOSED) { /* heard all the same */
		e->shut |= (uint8_t)(how + 1);
		ep_ready(e, tcp_poll(e), true, true);
		return -ENOTCONN;
	}
	if (c->state == TCPS_SYN_SENT) { /* Linux: inet_shutdown() */
		tcp_disconnect(e, now);
		ep_ready(e, tcp_poll(e), true, true);
		return 0;
	}
	e->shut |= (uint8_t)(how + 1); /* SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2 */
	if (how != SHUT_RD && close_state(c))
		tcp_send_fin(c, now);
	tcp_ready(c, true,
		  true); /* Linux: sk_state_change(), whatever it was */
	tcp_timer_sync(c);
	tcp_check(c);
	return 0;
}

/* tcp_set_window_clamp() of Linux: a lower one closes the window as it is used
 * up, a higher one opens it no faster than data comes. */
static void clamp_changed(struct tcp_conn *c)
{
	uint32_t new = c->ep->topt.window_clamp;

	c->window_clamp = new;
	if (!new)
		return; /* closed, and only then */
	if (new < c->rcv_ssthresh)
		c->rcv_ssthresh = new;
	else
		c->rcv_ssthresh = MAX(c->rcv_ssthresh, MIN(c->rcv_wnd, new));
}

/* --- options --- */

void tcp_opt_changed(struct ep *e, int level, int name, nsec now)
{
	struct tcp_conn *c = e->tcp;

	if (!c)
		return;
	if (level == IPPROTO_TCP && name == TCP_WINDOW_CLAMP)
		clamp_changed(c);
	if (level == IPPROTO_TCP && name == TCP_QUICKACK)
		tcp_set_pingpong(c, !ep_opt(e, EP_O_QUICKACK));
	if (c->state == TCPS_CLOSED)
		return;
	if (level == IPPROTO_TCP) {
		switch (name) {
		case TCP_NODELAY:
		case TCP_CORK:
			if (!ep_opt(e, EP_O_CORK) || ep_opt(e, EP_O_NODELAY))
				tcp_out_push(c, now);
			break;
		case TCP_QUICKACK:
			if (!tcp_is_pingpong(c) && c->owe)
				tcp_send_ack(c, now);
			break;
		case TCP_CONGESTION:
			if (c->cc.id != e->topt.cc)
				tcp_cc_init(c, e->topt.cc, now);
			break;
		case TCP_KEEPIDLE:
		case TCP_KEEPINTVL:
			tcp_timer_keep_changed(c, now);
			break;
		case TCP_MD5SIG:
		case TCP_MD5SIG_EXT:
			tcp_mss_sync(c, c->pmtu);
			break;
		case TCP_USER_TIMEOUT:
			c->uto.is_owed = true;
			break;
		case TCP_NOTSENT_LOWAT:
			tcp_ready(c, false, tcp_snd_is_writeable(c));
			break;
		}
	} else if (level == SOL_SOCKET && name == SO_KEEPALIVE) {
		tcp_timer_keep_changed(c, now);
	} else if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE) {
		if (e->max_pacing != ~0ull)
			tcp_pace_enable(c);
	} else if (level == SOL_SOCKET && name == SO_SNDBUF) {
		tcp_ready(c, false, tcp_snd_is_writeable(c));
	} else if (level == SOL_SOCKET && name == SO_RCVBUF) {
		c->window_clamp = tcp_win_from_space(c, e->rcvbuf);
	}
	tcp_timer_sync(c);
	tcp_check(c);
}
