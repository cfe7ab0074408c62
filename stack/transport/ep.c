/* SPDX-License-Identifier: MIT
 *
 * ep.c - the table of endpoints, their references and their readiness
 */
#include "transport/ep.h"

#include <errno.h>

#include "base/util.h"
#include "sysctl.h"
#include "transport/errq.h"
#include "transport/filter.h"
#include "transport/tcp.h"
#include "transport/tcp_auth.h"
#include "transport/udp.h"

int ep_table_init(struct ep_table *t, struct core *c)
{
	*t = (struct ep_table){0};
	t->segs = arena_zalloc(c->arena, EP_MAX_SEGS * sizeof(*t->segs));
	return t->segs ? 0 : -ENOMEM;
}

void ep_table_fini(struct ep_table *t, struct core *c)
{
	ASSERT(t->num == 0);
	for (uint32_t i = 0; i < t->num_segs; i++)
		arena_free(c->arena, t->segs[i]);
	arena_free(c->arena, t->segs);
	*t = (struct ep_table){0};
}

static struct ep_slot *slot_at(const struct ep_table *t, uint32_t index)
{
	return &t->segs[index / EP_SEG][index % EP_SEG];
}

static int grow(struct ep_table *t, struct core *c)
{
	struct ep_slot *seg;
	uint32_t base = t->num_segs * EP_SEG;

	if (t->num_segs == EP_MAX_SEGS)
		return -ENFILE;
	seg = arena_zalloc(c->arena, EP_SEG * sizeof(*seg));
	if (!seg)
		return -ENOMEM;
	for (uint32_t i = 0; i < EP_SEG - 1; i++)
		seg[i].next_free = base + i + 2;
	t->segs[t->num_segs] = seg;
	__atomic_store_n(&t->num_segs, t->num_segs + 1, __ATOMIC_RELEASE);
	t->first_free = base + 1;
	return 0;
}

struct ep *ep_table_walk(const struct ep_table *t, uint32_t *pos)
{
	while (*pos < t->num_segs * EP_SEG) {
		struct ep *e = slot_at(t, (*pos)++)->e;

		if (e)
			return e;
	}
	return NULL;
}

/* What a fresh socket reads back, for every kind; socket(7), ip(7), ipv6(7) */
static void set_defaults(struct ep *e, const struct sysctl_values *v)
{
	static const uint8_t any4[4];

	e->laddr =
		e->family == AF_INET ? ip_addr_v4(any4) : (struct ip_addr){0};
	e->raddr = e->laddr;
	e->rcvbuf = (uint32_t)v->rmem_default;
	e->sndbuf = (uint32_t)v->wmem_default;
	e->rcvlowat = 1;
	e->max_pacing = ~0ull;
	e->incoming_cpu = ~0u;
	e->linger = -1;
	e->peek_off = -1;
	e->ttl = e->hops6 = e->mc_hops6 = -1;
	e->mc_ttl = 1;
	e->pmtudisc = v->ip_no_pmtu_disc ? IP_PMTUDISC_DONT : IP_PMTUDISC_WANT;
	e->pmtudisc6 = IPV6_PMTUDISC_WANT;
	ep_opt_set(e, EP_O_MCAST_LOOP, true);
	ep_opt_set(e, EP_O_MCAST_LOOP6, true);
	ep_opt_set(e, EP_O_MCAST_ALL, e->family == AF_INET);
	ep_opt_set(e, EP_O_MCAST_ALL6, true);
	ep_opt_set(e, EP_O_QUICKACK, true);
	ep_opt_set(e, EP_O_AUTOFLOWLABEL, true);
	ep_opt_set(e, EP_O_TXREHASH, true);
}

struct ep *ep_new(struct transport *tp, enum ep_kind kind, int family, nsec now)
{
	struct ep_table *t = &tp->eps;
	struct ep_slot *s;
	struct ep *e;

	if (!t->first_free && grow(t, tp->core))
		return NULL;
	e = arena_zalloc(tp->core->arena, sizeof(*e));
	if (!e)
		return NULL;
	e->index = t->first_free - 1;
	s = slot_at(t, e->index);
	t->first_free = s->next_free;
	t->num++;
	s->gen++;
	e->gen = s->gen;
	e->tp = tp;
	e->refs = 1;
	e->kind = (uint8_t)kind;
	e->family = (uint8_t)family;
	e->type = kind == EP_TCP ? SOCK_STREAM : SOCK_DGRAM;
	e->proto = kind == EP_TCP ? IPPROTO_TCP : IPPROTO_UDP;
	e->created_at = now;
	e->cookie = ++tp->cookie;
	e->party = tp->party;
	e->sub.e = e;
	list_init(&e->sub.link);
	list_init(&e->sub.node);
	list_init(&e->more);
	list_init(&e->rxq);
	list_init(&e->groups);
	list_init(&e->raw_link);
	list_init(&e->errq);
	set_defaults(e, tp->core->sysctl);
	/* last: who dies before has made none */
	__atomic_store_n(&s->e, e, __ATOMIC_RELEASE);
	return e;
}

void ep_get(struct ep *e)
{
	ASSERT(e->refs > 0);
	e->refs++;
}

static void ep_free(struct ep *e)
{
	struct transport *tp = e->tp;
	struct ep_slot *s = slot_at(&tp->eps, e->index);

	if (dgram_is(e))
		dgram_ep_fini(e);
	errq_fini(e);
	filter_detach(e);
	tcp_auth_fini(e);
	port_release(e);
	ep_sub_del_all(e);
	ep_set_tag(e, 0);
	s->e = NULL;
	s->next_free = tp->eps.first_free;
	tp->eps.first_free = e->index + 1;
	tp->eps.num--;
	arena_free(tp->core->arena, e);
}

void ep_put(struct ep *e)
{
	ASSERT(e->refs > 0);
	if (--e->refs == 0)
		ep_free(e);
}

sockid ep_id(const struct ep *e)
{
	return (uint64_t)e->gen << 32 | (e->index + 1);
}

struct ep *ep_find(struct transport *tp, sockid s)
{
	uint32_t index = (uint32_t)s - 1;
	struct ep_slot *slot;

	if (index >= tp->eps.num_segs * EP_SEG)
		return NULL;
	slot = slot_at(&tp->eps, index);
	return slot->e && slot->gen == s >> 32 ? slot->e : NULL;
}

/* --- who hears of it --- */

static void sub_tell(struct ep_sub *sub)
{
	struct transport *tp = sub->e->tp;
	struct ep_party *p = &tp->parties[sub->party];

	if (!list_empty(&sub->link))
		return;
	if (list_empty(&p->subs) && list_empty(&p->link))
		list_push(&tp->news, &p->link);
	list_push(&p->subs, &sub->link);
}

/* True: @sub is one of those of which one is enough, and it is free. */
static bool tell_unless_exclusive(struct ep_sub *sub)
{
	if (!sub->is_exclusive)
		sub_tell(sub);
	return sub->is_exclusive && list_empty(&sub->link);
}

/* Who is asked before who is away. */
static struct ep_sub *better(struct ep_sub *one, struct ep_sub *sub)
{
	return one && (!one->is_away || sub->is_away) ? one : sub;
}

/* All, and of the exclusive ones the first that does not know yet. */
static void tell_but_one(struct ep *e)
{
	struct ep_sub *one = NULL;
	struct list *l;

	if (e->wants_ready && tell_unless_exclusive(&e->sub))
		one = &e->sub;
	list_for_each (l, &e->more) {
		struct ep_sub *sub = list_entry(l, struct ep_sub, node);

		if (tell_unless_exclusive(sub))
			one = better(one, sub);
	}
	if (one && e->bits & EPOLLIN)
		sub_tell(one);
}

static bool can_come(const struct ep_sub *sub)
{
	return sub->is_exclusive && !sub->is_away && list_empty(&sub->link);
}

void ep_tell_one(struct ep *e)
{
	struct list *l;

	if (e->wants_ready && can_come(&e->sub)) {
		sub_tell(&e->sub);
		return;
	}
	list_for_each (l, &e->more) {
		struct ep_sub *sub = list_entry(l, struct ep_sub, node);

		if (!can_come(sub))
			continue;
		sub_tell(sub);
		return;
	}
}

void ep_tell_all(struct ep *e)
{
	struct list *l;

	if (e->wants_ready)
		sub_tell(&e->sub);
	list_for_each (l, &e->more)
		sub_tell(list_entry(l, struct ep_sub, node));
}

struct ep_sub *ep_sub_of(struct ep *e, uint16_t party, bool make)
{
	struct ep_sub *sub;
	struct list *l;

	if (e->wants_ready && e->sub.party == party)
		return &e->sub;
	list_for_each (l, &e->more) {
		sub = list_entry(l, struct ep_sub, node);
		if (sub->party == party)
			return sub;
	}
	if (!make)
		return NULL;
	if (!e->wants_ready) {
		e->sub.party = party;
		e->sub.is_exclusive = e->sub.is_passed = e->sub.is_away = false;
		__atomic_store_n(&e->wants_ready, true, __ATOMIC_RELEASE);
		return &e->sub;
	}
	sub = arena_alloc(e->tp->core->arena, sizeof(*sub));
	if (!sub)
		return NULL;
	*sub = (struct ep_sub){.e = e, .party = party};
	list_init(&sub->link);
	list_push(&e->more, &sub->node);
	return sub;
}

void ep_sub_del(struct ep_sub *sub)
{
	struct ep *e = sub->e;

	list_remove(&sub->link);
	if (sub == &e->sub) {
		e->wants_ready = false;
		return;
	}
	list_remove(&sub->node);
	arena_free(e->tp->core->arena, sub);
}

void ep_sub_del_all(struct ep *e)
{
	ep_sub_del(&e->sub);
	while (!list_empty(&e->more))
		ep_sub_del(list_entry(e->more.next, struct ep_sub, node));
}

static uint32_t tag_hash(uint64_t tag)
{
	return (uint32_t)(tag * 0x9e3779b97f4a7c15 >> 32);
}

void ep_set_tag(struct ep *e, uint64_t tag)
{
	if (e->tag)
		htab_remove(&e->tp->tags, &e->tag_node);
	e->tag = tag;
	if (tag)
		htab_insert(&e->tp->tags, &e->tag_node, tag_hash(tag));
}

void ep_tag_refill(struct ep *e)
{
	if (e->is_closed)
		e->tag = 0;
	if (e->tag)
		htab_insert(&e->tp->tags, &e->tag_node, tag_hash(e->tag));
}

struct ep *ep_by_tag(const struct transport *tp, uint64_t tag)
{
	struct hnode *n;

	for (n = htab_first(&tp->tags, tag_hash(tag)); n; n = htab_next(n))
		if (container_of(n, struct ep, tag_node)->tag == tag)
			return container_of(n, struct ep, tag_node);
	return NULL;
}

/* --- readiness --- */

/* A bit that rises is an edge of its own, whether or not the caller says so. */
void ep_ready(struct ep *e, uint32_t bits, bool edge_in, bool edge_out)
{
	const uint32_t out = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	uint32_t risen = bits & ~e->bits;
	bool changed = bits != e->bits;

	e->bits = bits;
	if (edge_in || risen & ~out) {
		e->in_seq++;
		changed = true;
	}
	if (edge_out || risen & out) {
		e->out_seq++;
		changed = true;
	}
	if (changed && bits & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
		ep_tell_all(e);
	else if (changed && (e->wants_ready || !list_empty(&e->more)))
		tell_but_one(e);
}

void ep_error(struct ep *e, int err)
{
	e->err = err;
	ep_ready(e, (e->bits & ~SOCK_POLL_NOTE) | EPOLLERR, true, true);
}
