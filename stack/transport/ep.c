/* SPDX-License-Identifier: MIT
 *
 * ep.c - the table of endpoints, their references and their readiness
 */
#include "transport/ep.h"

#include <errno.h>

#include "base/util.h"
#include "sysctl.h"
#include "transport/tcp.h"
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
	t->segs[t->num_segs++] = seg;
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
	s->e = e;
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
	list_init(&e->ready_link);
	list_init(&e->rxq);
	list_init(&e->groups);
	set_defaults(e, tp->core->sysctl);
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
	port_release(e);
	list_remove(&e->ready_link);
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
	if (changed && e->wants_ready && list_empty(&e->ready_link))
		list_push(&e->tp->ready, &e->ready_link);
}

void ep_error(struct ep *e, int err)
{
	e->err = err;
	ep_ready(e, e->bits | EPOLLERR, true, true);
}
