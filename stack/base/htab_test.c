/* SPDX-License-Identifier: MIT */
#include "base/htab.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/siphash.h"
#include "base/util.h"

#define NUM 300000

struct item {
	struct hnode node;
	bool is_in;
	uint8_t seen;
};

static struct arena *a;
static struct htab t;
static struct item items[NUM];
static struct rng rng;

static void setup(void)
{
	static const uint8_t seed[32] = {3};

	a = arena_new_malloc((size_t)64 << 20);
	cr_assert_eq(htab_init(&t, a), 0);
	rng_init(&rng, seed, 1);
}

static void teardown(void)
{
	htab_fini(&t);
	cr_assert_eq(arena_used(a), 0);
	arena_destroy_malloc(a);
}

TestSuite(htab, .init = setup, .fini = teardown);

static bool find(const struct item *x, uint32_t hash)
{
	struct hnode *n;

	for (n = htab_first(&t, hash); n; n = htab_next(n)) {
		cr_assert_eq(n->hash, hash);
		if (n == &x->node)
			return true;
	}
	return false;
}

static uint32_t hash_of(const struct item *x)
{
	return (uint32_t)(x - items) * 2654435761u;
}

Test(htab, equal_hashes_are_all_found)
{
	for (int i = 0; i < 10; i++)
		htab_insert(&t, &items[i].node, 77);
	htab_insert(&t, &items[10].node, 78);
	for (int i = 0; i < 10; i++)
		cr_assert(find(&items[i], 77));
	cr_assert_not(find(&items[10], 77));
	for (int i = 0; i < 11; i++)
		htab_remove(&t, &items[i].node);
	cr_assert_null(htab_first(&t, 77));
}

Test(htab, many_come_and_go)
{
	size_t start = arena_used(a);

	for (int i = 0; i < NUM; i++)
		htab_insert(&t, &items[i].node, hash_of(&items[i]));
	cr_assert_eq(t.num, NUM);
	for (int i = 0; i < NUM; i += 7)
		cr_assert(find(&items[i], hash_of(&items[i])));
	for (int i = 0; i < NUM; i++)
		htab_remove(&t, &items[i].node);
	cr_assert_eq(arena_used(a), start);
}

Test(htab, random_against_flags)
{
	unsigned num = 0;

	for (int i = 0; i < 200000; i++) {
		/* let it swell and shrink */
		uint32_t range = (i / 20000) % 2 ? 300 : 20000;
		struct item *x = &items[rng_below(&rng, range)];

		cr_assert_eq(find(x, hash_of(x)), x->is_in);
		if (x->is_in) {
			htab_remove(&t, &x->node);
			num--;
		} else {
			htab_insert(&t, &x->node, hash_of(x));
			num++;
		}
		x->is_in = !x->is_in;
		cr_assert_eq(t.num, num);
	}
	for (int i = 0; i < 20000; i++)
		if (items[i].is_in)
			htab_remove(&t, &items[i].node);
}

Test(htab, walk_sees_each_once)
{
	uint32_t bucket = 0;
	struct hnode *n = NULL;
	int num = 0;

	cr_assert_null(htab_walk(&t, &bucket, NULL));
	for (int i = 0; i < 1000; i++)
		htab_insert(&t, &items[i].node, hash_of(&items[i]));
	bucket = 0;
	while ((n = htab_walk(&t, &bucket, n))) {
		cr_assert_eq(container_of(n, struct item, node)->seen++, 0);
		num++;
	}
	cr_assert_eq(num, 1000);
	bucket = 0;
	while ((n = htab_walk(&t, &bucket, NULL)))
		htab_remove(&t, n);
	cr_assert_eq(t.num, 0);
}

/* every third goes, the table shrinks under the walk, none is missed */
Test(htab, walk_with_removals_misses_none)
{
	uint32_t bucket = 0;
	struct hnode *n, *after = NULL;

	for (int i = 0; i < 3000; i++)
		htab_insert(&t, &items[i].node, hash_of(&items[i]));
	while ((n = htab_walk(&t, &bucket, after))) {
		struct item *x = container_of(n, struct item, node);

		after = n;
		x->seen = 1;
		if ((x - items) % 10) {
			htab_remove(&t, n);
			after = NULL;
		}
	}
	for (int i = 0; i < 3000; i++)
		cr_assert(items[i].seen);
	cr_assert_eq(t.num, 300);
	bucket = 0;
	while ((n = htab_walk(&t, &bucket, NULL)))
		htab_remove(&t, n);
}

Test(htab, works_on_when_memory_is_short)
{
	struct htab small;
	struct arena *tiny = arena_new_malloc(2000);
	struct hnode *n;
	uint32_t bucket = 0;

	cr_assert_eq(htab_init(&small, tiny), 0);
	for (int i = 0; i < 2000; i++)
		htab_insert(&small, &items[i].node, hash_of(&items[i]));
	cr_assert_eq(small.num, 2000);
	while ((n = htab_walk(&small, &bucket, NULL)))
		htab_remove(&small, n);
	htab_fini(&small);
	arena_destroy_malloc(tiny);
	tiny = arena_new_malloc(10);
	cr_assert_eq(htab_init(&small, tiny), -ENOMEM);
	arena_destroy_malloc(tiny);
}
