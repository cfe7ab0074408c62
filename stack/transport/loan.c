/* SPDX-License-Identifier: MIT */
#include "transport/loan.h"

#include <errno.h>

#include "base/util.h"

static bool grow(struct transport *tp)
{
	struct loan_block *b = arena_zalloc(tp->core->arena, sizeof(*b));

	if (!b)
		return false;
	b->next = tp->loans;
	__atomic_store_n(&tp->loans, b, __ATOMIC_RELEASE);
	for (unsigned i = LOAN_BLOCK; i-- > 0;) {
		b->v[i].next = tp->free_loans;
		tp->free_loans = &b->v[i];
	}
	return true;
}

struct loan *loan_new(struct ep *e, bool is_send)
{
	struct transport *tp = e->tp;
	struct loan *l;

	if (!tp->free_loans && !grow(tp))
		return NULL;
	l = tp->free_loans;
	tp->free_loans = l->next;
	l->e = e;
	l->pin = 0;
	l->party = tp->party;
	l->is_send = is_send;
	__atomic_store_n(&l->kind, LOAN_HELD, __ATOMIC_RELEASE);
	ep_get(e);
	return l;
}

void loan_end(struct transport *tp, struct loan *l)
{
	l->kind = LOAN_NONE;
	l->next = tp->free_loans;
	tp->free_loans = l;
}

struct loan *loan_of(struct transport *tp, uint16_t party)
{
	for (struct loan_block *b = tp->loans; b; b = b->next)
		for (unsigned i = 0; i < LOAN_BLOCK; i++)
			if (b->v[i].kind && b->v[i].party == party)
				return &b->v[i];
	return NULL;
}

int loans_init(struct transport *tp)
{
	return grow(tp) ? 0 : -ENOMEM;
}

void loans_free(struct transport *tp)
{
	while (tp->loans) {
		struct loan_block *b = tp->loans;

		tp->loans = b->next;
		arena_free(tp->core->arena, b);
	}
	tp->free_loans = NULL;
}
