/* SPDX-License-Identifier: MIT
 *
 * tcp_rebuild.c - TCP after a death under the lock, see base/rebuild.h
 *
 * A connection is its endpoint's. If somebody was at it as he died it loses its
 * bytes, and is reset afterwards by the code that always does so: what that
 * needs is in single words. A listener has nothing that is not told by its
 * children and SYN records; it stays.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/rebuild.h"

/* --- one connection --- */

static bool keep_slice(struct rebuild *rb, void *obj, void *arg)
{
	struct tcp_slice *s = obj;

	return rebuild_buf(rb, &s->c->b);
}

static bool keep_rslice(struct rebuild *rb, void *obj, void *arg)
{
	struct tcp_rslice *r = obj;
	uint32_t *charge = arg;

	if (!rebuild_buf(rb, r->b))
		return false;
	*charge += r->charge;
	return true;
}

/* The records in order of their last transmission are those of ->recs. */
static bool find_sent(struct tcp_conn *c, struct rebuild *rb, uint32_t most)
{
	struct list *last = &c->sent;

	for (struct list *n = last->next; n != &c->sent; n = n->next) {
		struct tcp_rec *r = list_entry(n, struct tcp_rec, sent);

		if (!rebuild_is_marked(rb, r, sizeof(*r)) || !most--)
			return false;
		n->prev = last;
		last = n;
	}
	c->sent.prev = last;
	return true;
}

static bool is_rec(const struct rebuild *rb, const struct tcp_rec *r)
{
	return !r || rebuild_is_marked(rb, r, sizeof(*r));
}

static bool find_conn(struct tcp_conn *c, struct rebuild *rb)
{
	uint32_t num = REBUILD_LIST(rb, &c->stream, struct tcp_slice, node,
				    keep_slice, NULL);
	uint32_t num_recs =
		REBUILD_LIST(rb, &c->recs, struct tcp_rec, node, NULL, NULL);
	uint32_t *charge = &c->ep->rx_mem;

	REBUILD_LIST(rb, &c->rcvq, struct tcp_rslice, node, keep_rslice,
		     charge);
	if (REBUILD_LIST(rb, &c->ofo, struct tcp_rslice, node, keep_rslice,
			 charge) != c->num_ofo)
		return false;
	tcp_ofo_index(c);
	REBUILD_LIST(rb, &c->marks, struct tcp_mark, node, NULL, NULL);
	if (c->tail && !rebuild_buf(rb, &c->tail->b))
		return false;
	if (c->snd_sl &&
	    (!num || !rebuild_is_marked(rb, c->snd_sl, sizeof(*c->snd_sl))))
		return false;
	return num_recs == c->num_recs && find_sent(c, rb, num_recs) &&
	       is_rec(rb, c->hint_sack) && is_rec(rb, c->hint_lost) &&
	       is_rec(rb, c->hint_rtx);
}

/* Nothing to send and nothing to read. */
static void clear(struct tcp_conn *c)
{
	list_init(&c->stream);
	list_init(&c->marks);
	list_init(&c->recs);
	list_init(&c->sent);
	list_init(&c->rcvq);
	list_init(&c->ofo);
	c->snd_sl = NULL;
	c->tail = NULL;
	c->tail_lent = false;
	c->hint_sack = c->hint_lost = c->hint_rtx = NULL;
	c->packets_out = c->sacked_out = c->lost_out = c->retrans_out = 0;
	c->num_recs = c->snd_mem = 0;
	c->num_ofo = c->num_sacks = 0;
	c->ofo_root = NULL;
	c->urg_state = 0;
	c->owe = 0;
	c->copied_seq = c->rcv_nxt - c->fin_rcvd;
	for (unsigned i = 0; i < TCP_NUM_TIMERS; i++)
		c->at[i] = TIME_NEVER;
}

static bool find_listen(struct ep *e, struct rebuild *rb)
{
	struct tcp_listen *l = e->listen;

	if (arena_look(&rb->marks, l, sizeof(*l)) != ARENA_NEW || l->ep != e)
		return false;
	rebuild_own(rb, l, sizeof(*l));
	list_init(&l->acceptq);
	l->num_accept = l->num_syn = 0;
	return true;
}

bool tcp_find_ep(struct ep *e, struct rebuild *rb)
{
	struct tcp_conn *c = e->tcp;

	if (e->listen && !find_listen(e, rb)) {
		e->listen = NULL;
		rb->num_lost++;
	}
	if (c && (arena_look(&rb->marks, c, sizeof(*c)) != ARENA_NEW ||
		  c->ep != e || c->t != e->tp->tcp)) {
		e->tcp = NULL; /* it was being freed */
		e->is_broken = false;
	}
	if (!e->tcp)
		return true;
	rebuild_own(rb, c, sizeof(*c));
	e->refs++;
	timer_init(&c->timer, TIMER_TCP_CONN);
	list_init(&c->owed_link);
	list_init(&c->wait_link);
	list_init(&c->accept_link);
	if (e->is_broken)
		clear(c);
	return e->is_broken || find_conn(c, rb);
}

bool tcp_find_lend(struct ep *e, struct tcp_lend *l, struct rebuild *rb)
{
	uint32_t charge = 0;

	if (arena_look(&rb->marks, l, sizeof(*l)) != ARENA_NEW ||
	    l->num > SPAN_MAX_V)
		return false;
	rebuild_own(rb, l, sizeof(*l));
	for (uint32_t i = 0; i < l->num; i++)
		if (l->c[i] && !rebuild_buf(rb, &l->c[i]->b))
			l->c[i] = NULL;
	REBUILD_LIST(rb, &l->slices, struct tcp_rslice, node, keep_rslice,
		     &charge);
	if (l->conn != e->tcp || e->is_broken)
		l->conn = NULL;
	if (l->conn)
		e->rx_mem += charge;
	list_push(&e->tp->tcp->lends, &l->link);
	return true;
}

/* --- all --- */

static struct tcp_listen *listener_at(struct tcp *t, uint32_t index)
{
	uint32_t pos = index;
	struct ep *e = ep_table_walk(&t->tp->eps, &pos);

	return e && e->index == index ? e->listen : NULL;
}

static bool keep_syn(struct rebuild *rb, void *obj, void *arg)
{
	struct tcp_syn *q = obj;

	return q->n.kind == TCP_NODE_SYN && listener_at(arg, q->listener);
}

static bool keep_tw(struct rebuild *rb, void *obj, void *arg)
{
	struct tcp_tw *w = obj;

	return w->n.kind == TCP_NODE_TW;
}

static void find_records(struct tcp *t, struct rebuild *rb)
{
	for (unsigned i = 0; i < TCP_NUM_SYNQ; i++)
		REBUILD_LIST(rb, &t->synq[i], struct tcp_syn, link, keep_syn,
			     t);
	t->num_tw =
		REBUILD_LIST(rb, &t->tw, struct tcp_tw, link, keep_tw, NULL);
}

void tcp_find(struct tcp *t, struct rebuild *rb)
{
	rebuild_own(rb, t, sizeof(*t));
	rebuild_htab(rb, &t->tuples);
	tcp_fo_find(t, rb);
	for (unsigned i = 0; i < ARRAY_SIZE(t->ports); i++) {
		struct tcp_port_page *pg = t->ports[i];

		if (pg && !rebuild_own(rb, pg, sizeof(*pg)))
			t->ports[i] = NULL;
		else if (pg)
			memset(pg, 0, sizeof(*pg));
	}
	list_init(&t->conns);
	list_init(&t->listens);
	list_init(&t->owed);
	list_init(&t->wait);
	list_init(&t->lends);
	timer_init(&t->timer, TIMER_TCP_TABLE);
}

/* In order of arrival, which is that in which they were made. */
static void enqueue_child(struct tcp_listen *l, struct tcp_conn *c)
{
	struct list *at = l->acceptq.prev;

	while (at != &l->acceptq &&
	       list_entry(at, struct tcp_conn, accept_link)->ep->cookie >
		       c->ep->cookie)
		at = at->prev;
	list_insert(&c->accept_link, at, at->next);
	l->num_accept++;
}

static bool has_listener(const struct tcp *t, const struct tcp_listen *l)
{
	struct ep *e;

	for (uint32_t pos = 0; (e = ep_table_walk(&t->tp->eps, &pos));)
		if (e->listen == l)
			return true;
	return false;
}

void tcp_find_rest(struct tcp *t, struct rebuild *rb)
{
	const struct tcp_listen *known = NULL;
	struct ep *e;

	find_records(t, rb);
	for (uint32_t pos = 0; (e = ep_table_walk(&t->tp->eps, &pos));) {
		struct tcp_conn *c = e->tcp;

		if (!c || !c->parent)
			continue;
		if (c->parent != known && has_listener(t, c->parent))
			known = c->parent;
		if (e->is_child && !e->is_closed && c->parent == known)
			enqueue_child(c->parent, c);
		else
			c->parent = NULL;
	}
}

/* --- filled anew --- */

static void refill_conn(struct tcp_conn *c)
{
	struct tcp *t = c->t;

	list_push(&t->conns, &c->link);
	/* its place was another's already, or is still: it was given up */
	if (c->in_table && tcp_tuple_insert(t, &c->node))
		c->in_table = c->holds_port = false;
	if (c->holds_port)
		tcp_port_count(t, &c->node, 1);
	tcp_timer_sync(c);
}

static void refill_syns(struct tcp *t, struct list *queue)
{
	struct list *p, *tmp;

	list_for_each_safe (p, tmp, queue) {
		struct tcp_syn *q = list_entry(p, struct tcp_syn, link);

		if (tcp_tuple_insert(t, &q->n)) { /* its child is there */
			list_remove(&q->link);
			arena_free(t->core->arena, q);
			continue;
		}
		listener_at(t, q->listener)->num_syn++;
	}
}

static void refill_tws(struct tcp *t)
{
	struct list *p, *tmp;

	list_for_each_safe (p, tmp, &t->tw) {
		struct tcp_tw *w = list_entry(p, struct tcp_tw, link);

		if (tcp_tuple_insert(t, &w->n)) {
			list_remove(&w->link);
			t->num_tw--;
			arena_free(t->core->arena, w);
			continue;
		}
		tcp_port_count(t, &w->n, 1);
	}
}

void tcp_refill(struct tcp *t, struct rebuild *rb)
{
	struct ep *e;

	for (uint32_t pos = 0; (e = ep_table_walk(&t->tp->eps, &pos));) {
		if (e->listen)
			list_push(&t->listens, &e->listen->link);
		if (e->tcp)
			refill_conn(e->tcp);
	}
	refill_tws(t);
	for (unsigned i = 0; i < TCP_NUM_SYNQ; i++)
		refill_syns(t, &t->synq[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(t->ports); i++) {
		struct tcp_port_page *pg = t->ports[i];

		if (!pg || pg->used)
			continue;
		t->ports[i] = NULL;
		arena_free(t->core->arena, pg);
	}
	tcp_table_rearm(t, rb->now);
}

/* --- and alive --- */

void tcp_revive_ep(struct ep *e, nsec now)
{
	struct tcp_conn *c = e->tcp;
	char l[IP_ADDR_STRLEN], r[IP_ADDR_STRLEN];

	if (!c)
		return;
	log_at(&c->t->core->log, LOG_WARN,
	       "tcp %s:%u %s:%u reset: who worked on it was killed",
	       ip_addr_str(&c->node.key.laddr, l), c->node.key.lport,
	       ip_addr_str(&c->node.key.raddr, r), c->node.key.rport);
	c->is_orphan = e->is_closed;
	c->is_reset = true;
	tcp_conn_abort(c, ECONNRESET, now);
}

static void revive_conn(struct tcp_conn *c, nsec now)
{
	transport_note(c->t->tp, c->ep);
	if (TCPS_IN(c, TCPS_BIT(CLOSED) | TCPS_BIT(SYN_SENT)))
		return;
	if (c->owe || TCPS_IN(c, TCPS_CAN_RECV))
		tcp_send_ack(c, now);
	tcp_out(c, now);
	if (c->packets_out && c->at[TCP_T_RTX] == TIME_NEVER &&
	    c->at[TCP_T_TLP] == TIME_NEVER && c->at[TCP_T_REO] == TIME_NEVER)
		tcp_timer_rtx_restart(c, now);
	tcp_timer_sync(c);
	tcp_check(c);
}

void tcp_revive(struct tcp *t, nsec now)
{
	struct list *p, *tmp;

	tcp_mem_recount(t);
	list_for_each_safe (p, tmp, &t->conns)
		revive_conn(list_entry(p, struct tcp_conn, link), now);
}
