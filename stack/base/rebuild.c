/* SPDX-License-Identifier: MIT */
#include "base/rebuild.h"

bool rebuild_is_buf(const struct rebuild *rb, const struct buf *b)
{
	return arena_look(&rb->marks, b, sizeof(*b)) != ARENA_BAD &&
	       b->size == arena_size_of(&rb->marks, b);
}

bool rebuild_buf(struct rebuild *rb, struct buf *b)
{
	if (!rebuild_is_buf(rb, b))
		return false;
	if (arena_mark(&rb->marks, b, sizeof(*b)) == ARENA_NEW)
		b->ref = 1;
	else
		b->ref++;
	return true;
}

bool rebuild_pkt(struct rebuild *rb, struct pkt *p)
{
	if (arena_look(&rb->marks, p, sizeof(*p)) != ARENA_NEW ||
	    p->num_v > PKT_MAX_V || p->head > PKT_ROOM)
		return false;
	for (unsigned i = 0; i < p->num_v; i++)
		if (!rebuild_is_buf(rb, p->v[i].b))
			return false;
	rebuild_own(rb, p, sizeof(*p));
	for (unsigned i = 0; i < p->num_v; i++)
		rebuild_buf(rb, p->v[i].b);
	return true;
}

uint32_t rebuild_list(struct rebuild *rb, struct list *head, size_t off,
		      size_t size, rebuild_keep keep, void *arg)
{
	struct list *last = head;
	uint32_t num = 0;

	for (struct list *n = head->next; n != head;) {
		uint8_t *p = (uint8_t *)n - off;
		struct list *next;

		if (arena_look(&rb->marks, p, size) != ARENA_NEW)
			break;
		next = n->next;
		if (!keep || keep(rb, p, arg)) {
			arena_mark(&rb->marks, p, size);
			last->next = n;
			n->prev = last;
			last = n;
			num++;
		}
		n = next;
	}
	last->next = head;
	head->prev = last;
	return num;
}

bool rebuild_htab(struct rebuild *rb, struct htab *t)
{
	struct hnode **first = t->segs[0];

	htab_reset(t);
	return rebuild_own(rb, first, HTAB_MIN * sizeof(*first));
}
