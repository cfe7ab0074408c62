/* SPDX-License-Identifier: MIT
 *
 * htab.h - intrusive hash table that grows a few buckets at a time
 *
 * Linear hashing: at most 8 buckets are split on one insert (or joined on one
 * removal), so none is ever slow. The caller computes the hash (base/siphash.h,
 *keyed from the stack's seed) and compares keys itself.
 *
 *	for (n = htab_first(t, hash); n; n = htab_next(n))
 *		if (key_equal(container_of(n, struct x, node), key)) ...
 */
#ifndef TCPSHIM_HTAB_H
#define TCPSHIM_HTAB_H

#include <stdbool.h>

#include "base/arena.h"

struct hnode {
	struct hnode *next;
	uint32_t hash;
};

struct htab {
	struct arena *arena;
	struct hnode **segs[32]; /* see htab.c */
	uint32_t num;		 /* entries */
	uint32_t level, split;	 /* linear hashing */
};

#define HTAB_MIN 64u /* buckets of an empty table */

int htab_init(struct htab *t, struct arena *a); /* 0 or -ENOMEM */
void htab_fini(struct htab *t);			/* must be empty */
/* Forgets all entries, and all buckets but the first, without freeing any. */
void htab_reset(struct htab *t);
/* Never fails: when buckets can't be added the chains get longer. */
void htab_insert(struct htab *t, struct hnode *n, uint32_t hash);
void htab_remove(struct htab *t, struct hnode *n); /* must be in @t */
/* First and next entry whose full hash equals @hash. */
struct hnode *htab_first(const struct htab *t, uint32_t hash);
struct hnode *htab_next(const struct hnode *n);
/* Every entry, for counters, ss-like listings and teardown. @bucket starts at
 * 0; @after is the entry returned last, or NULL when it has been removed. Don't
 * insert meanwhile; after removals an entry that stays may come twice. */
struct hnode *htab_walk(const struct htab *t, uint32_t *bucket,
			const struct hnode *after);

#endif
