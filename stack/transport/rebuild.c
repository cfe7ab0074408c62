/* SPDX-License-Identifier: MIT
 *
 * rebuild.c - endpoints after a death under the lock
 *
 * An endpoint is there if its slot says so. What it has alone is whole, unless
 * the dead was at it: a TCP connection in the noted endpoint is given up, since
 * its numbers and its bytes may not agree any more; a datagram socket has only
 * lists, which are whole at any instruction, and sums, which are made anew.
 */
#include "transport/rebuild.h"

#include "base/util.h"
#include "transport/dgram.h"
#include "transport/errq.h"
#include "transport/filter.h"
#include "transport/loan.h"
#include "transport/raw.h"

static struct ep_slot *slot_at(const struct ep_table *t, uint32_t index)
{
	return &t->segs[index / EP_SEG][index % EP_SEG];
}

static uint32_t num_slots(const struct ep_table *t)
{
	return t->num_segs * EP_SEG;
}

/* --- the table --- */

/* A child that was being made is on no queue: nobody will ever accept it. */
static bool is_half_made(const struct transport *tp, const struct ep *e)
{
	return e == tp->hand && e->is_child && (!e->tcp || !e->tcp->parent);
}

static void find_slot(struct transport *tp, struct rebuild *rb, uint32_t i)
{
	struct ep_slot *s = slot_at(&tp->eps, i);
	struct ep *e = s->e;

	if (!e)
		return;
	if (arena_look(&rb->marks, e, sizeof(*e)) != ARENA_NEW || e->tp != tp ||
	    e->index != i || e->gen != s->gen) {
		s->e = NULL;
		rb->num_lost++;
		return;
	}
	rebuild_own(rb, e, sizeof(*e));
	e->refs = 0;
	e->rx_mem = e->tx_mem = 0;
	if (e == tp->hand && e->tcp)
		e->is_broken = true;
}

static void find_table(struct transport *tp, struct rebuild *rb)
{
	struct ep_table *t = &tp->eps;

	rebuild_own(rb, t->segs, EP_MAX_SEGS * sizeof(*t->segs));
	for (uint32_t i = 0; i < t->num_segs; i++)
		rebuild_own(rb, t->segs[i], EP_SEG * sizeof(*t->segs[i]));
	for (uint32_t i = 0; i < num_slots(t); i++)
		find_slot(tp, rb, i);
}

static void refill_table(struct transport *tp)
{
	struct ep_table *t = &tp->eps;

	t->num = t->first_free = 0;
	for (uint32_t i = num_slots(t); i-- > 0;) {
		struct ep_slot *s = slot_at(t, i);

		if (s->e) {
			t->num++;
			continue;
		}
		s->next_free = t->first_free;
		t->first_free = i + 1;
	}
}

/* --- one endpoint --- */

static bool keep_sub(struct rebuild *rb, void *obj, void *arg)
{
	struct ep_sub *sub = obj;

	list_init(&sub->link);
	return sub->e == arg;
}

static bool keep_note(struct rebuild *rb, void *obj, void *arg)
{
	struct errq_note *n = obj;
	struct ep *e = arg;

	if (n->b && !rebuild_is_buf(rb, n->b))
		return false;
	if (n->pkt && !rebuild_pkt(rb, n->pkt))
		return false;
	if (n->b)
		rebuild_buf(rb, n->b);
	e->rx_mem += n->charge;
	return true;
}

static bool keep_dgram(struct rebuild *rb, void *obj, void *arg)
{
	struct dgram *d = obj;
	struct ep *e = arg;

	if (!rebuild_buf(rb, d->b))
		return false;
	e->rx_mem += d->charge;
	return true;
}

static const struct dgram_tx *tx_of(const struct chunk *c)
{
	return (const struct dgram_tx *)(const void *)c->data;
}

static void find_cork(struct ep *e, struct rebuild *rb)
{
	struct dgram_cork *k = e->cork;

	if (k &&
	    (!rebuild_own(rb, k, sizeof(*k)) || !rebuild_buf(rb, &k->c->b))) {
		rb->num_lost++;
		e->cork = NULL;
	} else if (k) {
		e->tx_mem += tx_of(k->c)->charge;
	}
}

static void find_filter(struct ep *e, struct rebuild *rb)
{
	struct ep_filter *f = e->filter;

	if (!f)
		return;
	switch (arena_mark(&rb->marks, f, sizeof(*f))) {
	case ARENA_NEW:
		f->refs = 1;
		break;
	case ARENA_AGAIN:
		f->refs++;
		break;
	default:
		e->filter = NULL;
		rb->num_lost++;
	}
}

static bool find_ep(struct ep *e, struct rebuild *rb)
{
	if (is_half_made(e->tp, e))
		e->is_closed = true;
	e->refs += !e->is_closed;
	e->sub.e = e;
	list_init(&e->sub.link);
	list_init(&e->sub.node);
	REBUILD_LIST(rb, &e->more, struct ep_sub, node, keep_sub, e);
	REBUILD_LIST(rb, &e->errq, struct errq_note, node, keep_note, e);
	find_filter(e, rb);
	tcp_auth_find(e, rb);
	list_init(&e->raw_link);
	if (!dgram_is(e))
		return tcp_find_ep(e, rb);
	e->num_rxq =
		REBUILD_LIST(rb, &e->rxq, struct dgram, node, keep_dgram, e);
	find_cork(e, rb);
	group_find(e, rb);
	return true;
}

/* --- loans --- */

static bool find_loan(struct loan *l, struct rebuild *rb)
{
	struct ep *e = l->e;
	struct chunk *c = (struct chunk *)(uintptr_t)l->pin;
	struct errq_note *n = (struct errq_note *)(uintptr_t)l->pin;

	if (!rebuild_is_marked(rb, e, sizeof(*e)))
		return false;
	switch ((enum loan_kind)l->kind) {
	case LOAN_STREAM:
		return tcp_find_lend(e, (struct tcp_lend *)(uintptr_t)l->pin,
				     rb);
	case LOAN_SEND:
		if (e->cork && e->cork->c == c)
			return true;
		if (!rebuild_buf(rb, &c->b))
			return false;
		e->tx_mem += tx_of(c)->charge;
		return true;
	case LOAN_RECV:
		return !l->pin || rebuild_buf(rb, &c->b);
	case LOAN_NOTE:
		if (!rebuild_own(rb, n, sizeof(*n)))
			return false;
		if (n->b)
			rebuild_buf(rb, n->b);
		if (n->pkt)
			rebuild_pkt(rb, n->pkt);
		return true;
	default: /* the dead was about to lend */
		return false;
	}
}

static void find_loans(struct transport *tp, struct rebuild *rb)
{
	for (struct loan_block *b = tp->loans; b; b = b->next) {
		if (!rebuild_own(rb, b, sizeof(*b)))
			break;
		for (unsigned i = 0; i < LOAN_BLOCK; i++) {
			struct loan *l = &b->v[i];

			if (!l->kind)
				continue;
			if (find_loan(l, rb))
				l->e->refs++;
			else
				l->kind = LOAN_NONE;
		}
	}
}

static void refill_loans(struct transport *tp)
{
	tp->free_loans = NULL;
	for (struct loan_block *b = tp->loans; b; b = b->next)
		for (unsigned i = LOAN_BLOCK; i-- > 0;) {
			if (b->v[i].kind)
				continue;
			b->v[i].next = tp->free_loans;
			tp->free_loans = &b->v[i];
		}
}

/* --- all --- */

bool transport_find(struct transport *tp, struct rebuild *rb)
{
	struct ep *e;

	rebuild_own(rb, tp->parties, tp->num_parties * sizeof(*tp->parties));
	rebuild_htab(rb, &tp->tags);
	rebuild_htab(rb, &tp->ports);
	rebuild_htab(rb, &tp->udp_conn);
	find_table(tp, rb);
	tcp_find(tp->tcp, rb);
	for (uint32_t pos = 0; (e = ep_table_walk(&tp->eps, &pos));) {
		if (find_ep(e, rb))
			continue;
		e->is_broken = true;
		rb->num_lost++;
		return false;
	}
	find_loans(tp, rb);
	tcp_find_rest(tp->tcp, rb);
	return true;
}

void transport_charge(struct transport *tp, uint64_t cookie, uint32_t charge)
{
	struct ep *e = ep_find(tp, cookie);

	if (e)
		e->tx_mem += charge;
}

/* Oldest first, as they were made. */
static void refill_raw(struct transport *tp, struct ep *e)
{
	struct list *at = tp->raws.prev;

	while (at != &tp->raws &&
	       list_entry(at, struct ep, raw_link)->cookie > e->cookie)
		at = at->prev;
	list_insert(&e->raw_link, at, at->next);
}

static void refill_ep(struct ep *e, struct rebuild *rb)
{
	struct transport *tp = e->tp;

	if (e->is_bound)
		port_refill(e);
	ep_tag_refill(e);
	if (e->in_conn)
		htab_insert(&tp->udp_conn, &e->conn_node,
			    port_conn_hash(tp, &e->laddr, e->lport, &e->raddr,
					   e->rport));
	if (e->kind == EP_RAW && !e->is_closed)
		refill_raw(tp, e);
	if (dgram_is(e))
		group_refill(e);
	/* one that was being closed: transport_revive() goes on with it */
	if (!e->refs)
		e->refs = 1;
}

void transport_refill(struct transport *tp, struct rebuild *rb)
{
	struct ep *e;

	list_init(&tp->news);
	list_init(&tp->raws);
	for (unsigned i = 0; i < tp->num_parties; i++) {
		list_init(&tp->parties[i].subs);
		list_init(&tp->parties[i].link);
	}
	refill_table(tp);
	refill_loans(tp);
	for (uint32_t pos = 0; (e = ep_table_walk(&tp->eps, &pos));)
		refill_ep(e, rb);
	tcp_refill(tp->tcp, rb);
}

/* Was it being closed, with nobody left to hold it? */
static bool is_ending(const struct ep *e)
{
	bool has_loan = false;

	if (!e->is_closed || e->tcp)
		return false;
	for (struct loan_block *b = e->tp->loans; b; b = b->next)
		for (unsigned i = 0; i < LOAN_BLOCK; i++)
			has_loan |= b->v[i].kind && b->v[i].e == e;
	return !has_loan;
}

static void end(struct ep *e, nsec now)
{
	transport_note(e->tp, e);
	ep_sub_del_all(e);
	if (e->kind == EP_TCP)
		tcp_close(e, now);
	else
		dgram_close(e, now);
	ep_put(e);
}

unsigned transport_revive(struct transport *tp, nsec now)
{
	unsigned num = 0;
	struct ep *e;

	for (uint32_t pos = 0; (e = ep_table_walk(&tp->eps, &pos));) {
		bool is_broken = e->is_broken;

		transport_note(tp, e);
		if (is_ending(e)) {
			end(e, now);
			continue;
		}
		if (!is_broken)
			continue;
		num++;
		ep_get(e);
		tcp_revive_ep(e, now);
		e->is_broken = false;
		ep_put(e);
	}
	tcp_revive(tp->tcp, now);
	transport_note(tp, NULL);
	/* who watches anything looks again */
	for (uint32_t pos = 0; (e = ep_table_walk(&tp->eps, &pos));)
		ep_tell_all(e);
	return num;
}
