/* SPDX-License-Identifier: MIT
 *
 * htab.c - linear hashing (Litwin, "Linear hashing", 1980)
 *
 * With HTAB_MIN << level buckets at the start of a round, ->split of them have
 * been split in this round: bucket b into b and b + (HTAB_MIN << level). The
 * table follows its number of entries both ways, a bucket or two at a time, so
 * that an emptied table is as small as a new one. Segments are not cleared as
 * a whole: a bucket is written when it comes into being.
 */
#include "base/htab.h"

#include <errno.h>

#include "base/util.h"

#define MAX_STEPS 8 /* buckets made or given up by one call, at most */

/* Segments double until they are as big as an object may be, then stay. */
#define NUM_DOUBLING 12u
#define SEG_MAX (HTAB_MIN << (NUM_DOUBLING - 1))
#define DOUBLING_END (HTAB_MIN * ((1u << NUM_DOUBLING) - 1))
_Static_assert(SEG_MAX * sizeof(struct hnode *) <= ARENA_MAX_OBJ, "fits");

static unsigned seg_of(uint32_t bucket, uint32_t *off)
{
	unsigned k;

	if (bucket >= DOUBLING_END) {
		*off = (bucket - DOUBLING_END) % SEG_MAX;
		return NUM_DOUBLING + (bucket - DOUBLING_END) / SEG_MAX;
	}
	k = 31 - (unsigned)__builtin_clz(bucket / HTAB_MIN + 1);
	*off = bucket - HTAB_MIN * ((1u << k) - 1);
	return k;
}

static uint32_t seg_len(unsigned k)
{
	return k < NUM_DOUBLING ? HTAB_MIN << k : SEG_MAX;
}

static struct hnode **head_of(const struct htab *t, uint32_t bucket)
{
	uint32_t off;
	unsigned k = seg_of(bucket, &off);

	return &t->segs[k][off];
}

static uint32_t num_buckets(const struct htab *t)
{
	return (HTAB_MIN << t->level) + t->split;
}

static uint32_t bucket_of(const struct htab *t, uint32_t hash)
{
	uint32_t low = HTAB_MIN << t->level;
	uint32_t b = hash & (2 * low - 1);

	return b < num_buckets(t) ? b : b & (low - 1);
}

int htab_init(struct htab *t, struct arena *a)
{
	*t = (struct htab){.arena = a};
	t->segs[0] = arena_zalloc(a, HTAB_MIN * sizeof(*t->segs[0]));
	return t->segs[0] ? 0 : -ENOMEM;
}

void htab_fini(struct htab *t)
{
	ASSERT(t->num == 0);
	for (unsigned k = 0; k < ARRAY_SIZE(t->segs); k++)
		arena_free(t->arena, t->segs[k]);
	*t = (struct htab){0};
}

void htab_reset(struct htab *t)
{
	for (unsigned k = 1; k < ARRAY_SIZE(t->segs); k++)
		t->segs[k] = NULL;
	t->num = t->level = t->split = 0;
	memset(t->segs[0], 0, HTAB_MIN * sizeof(*t->segs[0]));
}

/* One more bucket: takes its share of the entries of bucket ->split. */
static bool grow(struct htab *t)
{
	uint32_t low = HTAB_MIN << t->level, made = low + t->split, off;
	unsigned k = seg_of(made, &off);
	struct hnode **from, **to, *n;

	if (k >= ARRAY_SIZE(t->segs))
		return false;
	if (!t->segs[k]) {
		t->segs[k] =
			arena_alloc(t->arena, seg_len(k) * sizeof(*t->segs[k]));
		if (!t->segs[k])
			return false;
	}
	from = head_of(t, t->split);
	to = &t->segs[k][off];
	while ((n = *from)) {
		if (n->hash & low) {
			*from = n->next;
			*to = n;
			to = &n->next;
		} else {
			from = &n->next;
		}
	}
	*to = NULL;
	if (++t->split == low) {
		t->level++;
		t->split = 0;
	}
	return true;
}

/* One bucket less: its entries go back behind those they were split from. */
static void shrink(struct htab *t)
{
	uint32_t last = num_buckets(t) - 1, off;
	unsigned k = seg_of(last, &off);
	struct hnode **tail;

	if (t->split == 0) {
		t->level--;
		t->split = HTAB_MIN << t->level;
	}
	t->split--;
	for (tail = head_of(t, t->split); *tail;)
		tail = &(*tail)->next;
	*tail = t->segs[k][off];
	if (off == 0) {
		arena_free(t->arena, t->segs[k]);
		t->segs[k] = NULL;
	}
}

void htab_insert(struct htab *t, struct hnode *n, uint32_t hash)
{
	struct hnode **head;

	t->num++;
	for (int i = 0; i < MAX_STEPS && t->num > num_buckets(t); i++)
		if (!grow(t))
			break;
	head = head_of(t, bucket_of(t, hash));
	n->hash = hash;
	n->next = *head;
	*head = n;
}

void htab_remove(struct htab *t, struct hnode *n)
{
	struct hnode **p = head_of(t, bucket_of(t, n->hash));

	while (*p != n) {
		ASSERT(*p);
		p = &(*p)->next;
	}
	*p = n->next;
	t->num--;
	for (int i = 0; i < MAX_STEPS && num_buckets(t) > HTAB_MIN &&
			t->num < num_buckets(t) / 4;
	     i++)
		shrink(t);
}

static struct hnode *match(struct hnode *n, uint32_t hash)
{
	while (n && n->hash != hash)
		n = n->next;
	return n;
}

struct hnode *htab_first(const struct htab *t, uint32_t hash)
{
	return match(*head_of(t, bucket_of(t, hash)), hash);
}

struct hnode *htab_next(const struct hnode *n)
{
	return match(n->next, n->hash);
}

/* From the last bucket down: what removals move goes to lower buckets, which
 * are still to come. */
struct hnode *htab_walk(const struct htab *t, uint32_t *bucket,
			const struct hnode *after)
{
	uint32_t b = num_buckets(t);

	if (*bucket) {
		if (after && after->next)
			return after->next;
		/* its bucket again when the last entry is gone */
		b = MIN(b, after ? *bucket - 1 : *bucket);
	}
	while (b-- > 0) {
		struct hnode *n = *head_of(t, b);

		if (n) {
			*bucket = b + 1;
			return n;
		}
	}
	return NULL;
}
