/* SPDX-License-Identifier: MIT
 *
 * rebuild.h - after a death under the lock: what all layers need
 *
 * Who holds the lock can be killed between any two instructions. Then nothing
 * is believed but
 *
 *  - the table of endpoints, where one store makes or ends an entry,
 *  - what belongs to one endpoint alone, unless it is the one that the dead
 *    was at (transport->hand),
 *  - chains of list.next, which are whole at every instruction (list.h), with
 *    what hangs on them,
 *  - what threads have outside of the lock: loans, and what the crank tells.
 *
 * From these everything in use is found and marked; references are counted on
 * the way. What was not found is free (arena_sweep()): half-made objects,
 * packets in hand. Then tables, heap and lists are filled anew.
 *
 * Nothing is followed before it was seen to be an object of its size, and
 * everything only once, so that the walk ends whatever it meets. It can be
 * begun again at any point, since who does it may die as well: what is believed
 * is changed last, or not at all.
 */
#ifndef TCPSHIM_REBUILD_H
#define TCPSHIM_REBUILD_H

#include "base/htab.h"
#include "base/list.h"
#include "base/pkt.h"

struct rebuild {
	struct arena_marks marks;
	nsec now;
	uint32_t num_lost; /* found broken where nobody was at work */
};

/* @p is an object in use, of @size bytes at least. False: it is none, or has
 * another owner already. */
static inline bool rebuild_own(struct rebuild *rb, const void *p, size_t size)
{
	return arena_mark(&rb->marks, p, size) == ARENA_NEW;
}

static inline bool rebuild_is_marked(const struct rebuild *rb, const void *p,
				     size_t size)
{
	return arena_look(&rb->marks, p, size) == ARENA_AGAIN;
}

/* One more reference to a frame or chunk. False: @b is none. */
bool rebuild_buf(struct rebuild *rb, struct buf *b);
/* The same, changing nothing. */
bool rebuild_is_buf(const struct rebuild *rb, const struct buf *b);
/* A packet, with its references. False: it is none. */
bool rebuild_pkt(struct rebuild *rb, struct pkt *p);

/* Walks @head's chain. The entries are objects of @size bytes with their node
 * at @off. @keep says whether one stays, before it is marked, and marks what
 * hangs on it; NULL: all stay. How many there are. */
typedef bool (*rebuild_keep)(struct rebuild *rb, void *obj, void *arg);
uint32_t rebuild_list(struct rebuild *rb, struct list *head, size_t off,
		      size_t size, rebuild_keep keep, void *arg);
#define REBUILD_LIST(rb, head, type, member, keep, arg) \
	rebuild_list(rb, head, offsetof(type, member), sizeof(type), keep, arg)

/* Empty, as a new one; its first buckets stay. False: it had none. */
bool rebuild_htab(struct rebuild *rb, struct htab *t);

#endif
