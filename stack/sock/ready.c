/* SPDX-License-Identifier: MIT
 *
 * ready.c - readiness bits, and who asked to hear of them
 *
 * A transport says what holds now (ep_ready()); here it is only queued once a
 * socket until somebody fetches it. Who watches nothing is told nothing.
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
	unsigned num = 0;

	while (num < n) {
		struct list *l = list_pop(&st->tp.ready);

		if (!l)
			break;
		fill(&v[num++], list_entry(l, struct ep, ready_link));
	}
	return num;
}

int sock_watch(struct stack *st, sockid s, uint16_t slot, struct ready *out)
{
	struct ep *e = sock_find(st, s);

	if (!e)
		return -EBADF;
	e->wants_ready = true;
	e->slot = slot;
	fill(out, e);
	e->bits = out->bits;
	return 0;
}

void sock_unwatch(struct stack *st, sockid s)
{
	struct ep *e = sock_find(st, s);

	if (!e)
		return;
	e->wants_ready = false;
	list_remove(&e->ready_link);
}

int sock_poll(struct stack *st, sockid s, uint32_t *bits)
{
	struct ep *e = sock_find(st, s);

	if (!e)
		return -EBADF;
	*bits = sock_bits(e);
	return 0;
}
