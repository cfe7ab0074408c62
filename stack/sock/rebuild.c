/* SPDX-License-Identifier: MIT
 *
 * rebuild.c - the stack after a death under the lock, see base/rebuild.h
 *
 *	stack_rebuild_begin()	finds what the layers hold
 *	stack_rebuild_...()	the crank tells what threads have outside
 *	stack_rebuild_end()	frees the rest, fills tables, goes on
 *
 * The endpoint that the dead was at stays noted until all is done: whoever dies
 * at this only makes the next one do it again.
 */
#include "sock/sock.h"

#include "transport/rebuild.h"

void stack_rebuild_begin(struct stack *st, struct rebuild *rb, void *scratch,
			 nsec now)
{
	struct arena *a = st->core.arena;

	*rb = (struct rebuild){.now = now};
	do {
		arena_marks_init(&rb->marks, a, scratch);
		rebuild_own(rb, st, sizeof(*st));
		ip_find(&st->ip, rb);
	} while (!transport_find(&st->tp, rb));
	link_find(&st->link, rb);
	st->num_rx_cache = 0;
	timers_reset(&st->core.timers);
}

bool stack_rebuild_frame(struct rebuild *rb, struct frame *f)
{
	if (!rebuild_is_buf(rb, &f->b))
		return false;
	if (rebuild_own(rb, f, sizeof(*f)))
		f->b.ref = 1;
	return true;
}

bool stack_rebuild_tx(struct stack *st, struct rebuild *rb, const struct txv *v)
{
	struct pkt *p = (struct pkt *)(uintptr_t)v->cookie;

	if (!rebuild_pkt(rb, p))
		return false;
	transport_charge(&st->tp, p->cookie, p->charge);
	st->link.num_inflight++;
	return true;
}

unsigned stack_rebuild_end(struct stack *st, struct rebuild *rb)
{
	unsigned num;

	arena_sweep(&rb->marks);
	transport_refill(&st->tp, rb);
	link_refill(&st->link);
	ip_revive(&st->ip, rb->now);
	num = transport_revive(&st->tp, rb->now);
	if (rb->num_lost)
		log_at(&st->core.log, LOG_WARN,
		       "after a death %u structures were broken where nobody "
		       "was at work",
		       rb->num_lost);
	return num;
}
