/* SPDX-License-Identifier: MIT
 *
 * ready.c - readiness bits, and who asked to hear of them
 *
 * A transport says what holds now (ep_ready()); here it is only queued, once a
 * socket and participant, until that participant fetches it. Who watches
 * nothing is told nothing.
 */
#include "sock/sock.h"

#include <errno.h>

uint32_t sock_bits(const struct ep *e)
{
	return dgram_is(e) ? dgram_poll(e) : tcp_poll(e);
}

static void fill(struct ready *r, const struct ep *e)
{
	*r = (struct ready){
		.s = ep_id(e),
		.bits = sock_bits(e),
		.in_seq = e->in_seq,
		.out_seq = e->out_seq,
		.slot = e->slot,
	};
}

unsigned stack_ready(struct stack *st, struct ready v[], unsigned n)
{
	struct ep_party *p = &st->tp.parties[st->tp.party];
	unsigned num = 0;

	while (num < n) {
		struct list *l = list_pop(&p->subs);

		if (!l)
			break;
		list_entry(l, struct ep_sub, link)->is_passed = false;
		fill(&v[num++], list_entry(l, struct ep_sub, link)->e);
	}
	if (list_empty(&p->subs))
		list_remove(&p->link);
	return num;
}

int sock_watch(struct stack *st, sockid s, uint16_t slot, struct ready *out)
{
	struct ep *e = sock_see(st, s);
	struct ep_sub *sub = e ? ep_sub_of(e, st->tp.party, true) : NULL;

	if (!e)
		return -EBADF;
	if (!sub)
		return -ENOBUFS;
	sub->is_exclusive = sub->is_away = false;
	e->slot = slot;
	fill(out, e);
	/* the caller knows now; the others hear of it */
	if (out->bits != e->bits && !list_empty(&e->more))
		ep_ready(e, out->bits, false, false);
	e->bits = out->bits;
	return 0;
}

/* Who was told of a connection, or would have been, is no longer there. */
static void pass_on(struct ep *e)
{
	if (sock_bits(e) & EPOLLIN)
		ep_tell_one(e);
}

static void unwatch(struct ep *e, uint16_t party)
{
	struct ep_sub *sub = ep_sub_of(e, party, false);
	bool was_exclusive = sub && sub->is_exclusive;

	if (sub)
		ep_sub_del(sub);
	if (was_exclusive)
		pass_on(e);
}

void sock_unwatch(struct stack *st, sockid s)
{
	struct ep *e = sock_see(st, s);

	if (e)
		unwatch(e, st->tp.party);
}

void sock_watch_exclusive(struct stack *st, sockid s)
{
	struct ep *e = sock_see(st, s);
	struct ep_sub *sub = e ? ep_sub_of(e, st->tp.party, false) : NULL;

	if (sub)
		sub->is_exclusive = true;
}

void sock_pass_on(struct stack *st, sockid s)
{
	struct ep *e = sock_see(st, s);

	if (e)
		pass_on(e);
}

void sock_pass_by(struct stack *st, sockid s)
{
	struct ep *e = sock_see(st, s);
	struct ep_sub *sub = e ? ep_sub_of(e, st->tp.party, false) : NULL;

	if (!sub || !sub->is_exclusive)
		return;
	sub->is_away = true;
	pass_on(e);
}

void stack_pass_on(struct stack *st)
{
	for (unsigned i = 0; i < st->tp.num_parties; i++) {
		struct list *l;

		list_for_each (l, &st->tp.parties[i].subs) {
			struct ep_sub *sub = list_entry(l, struct ep_sub, link);

			if (!sub->is_exclusive || sub->is_passed)
				continue;
			sub->is_passed = true;
			pass_on(sub->e);
		}
	}
}

int sock_poll(struct stack *st, sockid s, uint32_t *bits)
{
	struct ep *e = sock_see(st, s);

	if (!e)
		return -EBADF;
	*bits = sock_bits(e);
	return 0;
}

/* --- participants --- */

void stack_set_party(struct stack *st, uint16_t party)
{
	st->tp.party = party;
	st->tp.hand = NULL;
}

bool stack_has_ready(const struct stack *st)
{
	return !list_empty(&st->tp.parties[st->tp.party].subs);
}

int stack_next_news(struct stack *st)
{
	struct list *l = list_pop(&st->tp.news);

	if (!l)
		return -1;
	return (int)(list_entry(l, struct ep_party, link) - st->tp.parties);
}

void sock_set_shared(struct stack *st, sockid s)
{
	struct ep *e = sock_see(st, s);

	if (e)
		e->is_shared = true;
}

int sock_set_tag(struct stack *st, sockid s, uint64_t tag)
{
	struct ep *e = sock_see(st, s);

	if (!e)
		return -EBADF;
	ep_set_tag(e, tag);
	return 0;
}

sockid sock_by_tag(const struct stack *st, uint64_t tag)
{
	const struct ep *e = tag ? ep_by_tag(&st->tp, tag) : NULL;

	return e && !e->is_closed ? ep_id(e) : 0;
}

unsigned stack_tags(const struct stack *st, uint32_t *pos, uint64_t v[],
		    unsigned n)
{
	const struct ep *e;
	unsigned num = 0;

	while (num < n && (e = ep_table_walk(&st->tp.eps, pos)))
		if (e->tag && !e->is_closed)
			v[num++] = e->tag;
	return num;
}

bool stack_forget_party(struct stack *st, uint16_t party, uint32_t *pos,
			unsigned budget, nsec now)
{
	struct ep *e = NULL;

	if (!*pos)
		sock_give_back(st, party, now);
	while (budget-- && (e = ep_table_walk(&st->tp.eps, pos))) {
		unwatch(e, party);
		/* made, and not yet given to anybody */
		if (e->party == party && !e->tag && !e->is_closed &&
		    !e->is_child)
			sock_close(st, ep_id(e), now);
	}
	return !e;
}
