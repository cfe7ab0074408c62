/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/siphash.h"
#include "base/util.h"

#define KIB ((size_t)1024)
#define MIB ((size_t)1 << 20)

static void *mem;
static struct arena *a;
static struct rng rng;

static void setup_sized(size_t len, size_t max)
{
	static const uint8_t seed[32] = {1};

	mem = aligned_alloc(64 * KIB, max);
	memset(mem, 0, max);
	a = arena_init(mem, len, max);
	cr_assert(a);
	rng_init(&rng, seed, 1);
}

static void setup(void)
{
	setup_sized(16 * MIB, 16 * MIB);
}

static void teardown(void)
{
	free(mem);
}

TestSuite(arena, .init = setup, .fini = teardown);

Test(arena, too_small_is_refused)
{
	cr_assert_null(arena_init(mem, 64 * KIB, 16 * MIB));
	cr_assert_null(arena_init(mem, 16 * MIB, 1 * MIB));
}

Test(arena, size_zero_and_too_big_are_refused)
{
	cr_assert_null(arena_alloc(a, 0));
	cr_assert_null(arena_alloc(a, ARENA_MAX_OBJ + 1));
	arena_free(a, NULL);
}

Test(arena, every_size_is_aligned_charged_and_given_back)
{
	for (size_t size = 1; size <= ARENA_MAX_OBJ;
	     size += 1 + (size > 4096 ? 4093 : 0)) {
		uint8_t *p = arena_alloc(a, size);

		cr_assert(p, "size %zu", size);
		cr_assert_eq((uintptr_t)p % (size >= 64 ? 64 : 16), 0);
		memset(p, 0xa5, size);
		cr_assert_eq(arena_used(a), arena_charge(size));
		cr_assert_geq(arena_charge(size), size);
		arena_free(a, p);
		cr_assert_eq(arena_used(a), 0);
	}
}

Test(arena, frames_and_chunks_do_not_waste)
{
	cr_assert_eq(arena_charge(FRAME_LARGE + sizeof(struct frame)), 67584);
	cr_assert_eq(arena_charge(FRAME_SMALL + sizeof(struct frame)), 2112);
	cr_assert_eq(arena_charge(CHUNK_SIZE + sizeof(struct chunk)), 16448);
}

Test(arena, last_freed_is_first_handed_out)
{
	void *p[8];

	for (int i = 0; i < 8; i++)
		p[i] = arena_alloc(a, FRAME_LARGE);
	arena_free(a, p[2]);
	arena_free(a, p[6]);
	arena_free(a, p[4]);
	cr_assert_eq(arena_alloc(a, FRAME_LARGE), p[4]);
	cr_assert_eq(arena_alloc(a, FRAME_LARGE), p[6]);
	cr_assert_eq(arena_alloc(a, FRAME_LARGE), p[2]);
}

Test(arena, last_freed_is_first_across_slabs)
{
	static void *p[4000];

	for (int i = 0; i < 4000; i++)
		p[i] = arena_alloc(a, 256);
	arena_free(a, p[3999]);
	arena_free(a, p[10]);
	arena_free(a, p[2000]);
	cr_assert_eq(arena_alloc(a, 256), p[2000]);
}

Test(arena, zalloc_clears_used_memory)
{
	uint8_t *p = arena_alloc(a, 100);

	memset(p, 0xff, 100);
	arena_free(a, p);
	p = arena_zalloc(a, 100);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(p[i], 0);
}

/* what was used by one size can be used by any other afterwards */
Test(arena, empty_slabs_go_back)
{
	static void *p[20000];
	static const size_t sizes[] = {16,   64,    200,     2048,
				       9000, 67000, 1 * MIB, 30};

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		unsigned n = 0, least;

		while (n < ARRAY_SIZE(p) && (p[n] = arena_alloc(a, sizes[s])))
			n++;
		least = (unsigned)(13 * MIB / arena_charge(sizes[s]));
		cr_assert_geq(n, MIN(least, ARRAY_SIZE(p)), "size %zu: %u",
			      sizes[s], n);
		while (n)
			arena_free(a, p[--n]);
		cr_assert_eq(arena_used(a), 0);
	}
}

Test(arena, full_gives_null_and_recovers)
{
	void *p[16];
	unsigned n = 0;

	while (n < 16 && (p[n] = arena_alloc(a, ARENA_MAX_OBJ)))
		n++;
	cr_assert_eq(n, 15); /* a run of the 256 describes the rest */
	cr_assert_eq(arena_wants(a), 0); /* at its maximum */
	arena_free(a, p[7]);
	p[7] = arena_alloc(a, ARENA_MAX_OBJ);
	cr_assert(p[7]);
}

struct obj {
	uint8_t *p;
	size_t size;
	uint8_t fill;
};

static void check_and_free(struct obj *o)
{
	for (size_t i = 0; i < o->size; i += 1 + o->size / 64)
		cr_assert_eq(o->p[i], o->fill);
	cr_assert_eq(o->p[o->size - 1], o->fill);
	arena_free(a, o->p);
	o->p = NULL;
}

static size_t random_size(void)
{
	return 1 + rng_below(&rng, 1u << (4 + rng_below(&rng, 16)));
}

/* any order of calls: no two objects overlap, and nothing is lost */
static void churn(unsigned rounds)
{
	static struct obj objs[400];
	size_t charged = 0;

	for (unsigned i = 0; i < rounds; i++) {
		struct obj *o = &objs[rng_below(&rng, ARRAY_SIZE(objs))];

		if (o->p) {
			charged -= arena_charge(o->size);
			check_and_free(o);
			continue;
		}
		o->size = random_size();
		o->p = arena_alloc(a, o->size);
		if (!o->p)
			continue;
		o->fill = (uint8_t)rng_u32(&rng);
		memset(o->p, o->fill, o->size);
		charged += arena_charge(o->size);
		cr_assert_eq(arena_used(a), charged);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(objs); i++)
		if (objs[i].p)
			check_and_free(&objs[i]);
	cr_assert_eq(arena_used(a), 0);
}

Test(arena, random_churn)
{
	churn(100000);
	/* all of it is whole again, but for what empty classes keep */
	for (int i = 0; i < 15; i++)
		cr_assert(arena_alloc(a, ARENA_MAX_OBJ));
}

Test(arena, malloc_mode_churn)
{
	a = arena_new_malloc(8 * MIB);
	churn(20000);
	cr_assert_null(arena_alloc(a, 9 * MIB));
	arena_destroy_malloc(a);
}

Test(arena, malloc_mode_is_bounded)
{
	void *p;

	a = arena_new_malloc(100000);
	p = arena_alloc(a, 60000);
	cr_assert(p);
	cr_assert_null(arena_alloc(a, 60000));
	arena_free(a, p);
	cr_assert_eq(arena_used(a), 0);
	cr_assert_eq(arena_room(a), 100000);
	arena_destroy_malloc(a);
}

Test(arena, root)
{
	int x;

	cr_assert_null(arena_root(a));
	arena_set_root(a, &x);
	cr_assert_eq(arena_root(a), &x);
}

/* 160 MiB: three regions, each with its own descriptors */
Test(arena_growth, grows_on_demand_to_the_end)
{
	size_t max = 160 * MIB, n = 0, grown = 0;

	setup_sized(2 * MIB, max);
	for (;;) {
		void *p = arena_alloc(a, 100000);
		size_t more = arena_wants(a);

		if (p)
			n++;
		else if (!more)
			break;
		cr_assert_eq(more % MIB, 0);
		if (more) {
			arena_extend(a, arena_len(a) + more);
			grown++;
		}
	}
	cr_assert_eq(arena_len(a), max);
	/* of 1024, 1024 and 512 runs one describes, objects are of two */
	cr_assert_eq(n, 511 + 511 + 255);
	cr_assert_lt(grown, 60); /* geometrically */
	teardown();
}

Test(arena_growth, asks_before_it_is_full_and_stops_asking)
{
	void *p[6];
	int n = 0;

	setup_sized(4 * MIB, 64 * MIB);
	cr_assert_eq(arena_wants(a), 0);
	while (!arena_wants(a))
		p[n++] = arena_alloc(a, 1 * MIB);
	cr_assert_eq(n, 3);
	cr_assert_eq(arena_wants(a), 1 * MIB);
	cr_assert_gt(arena_room(a), 512 * KIB);
	arena_free(a, p[0]);
	cr_assert_eq(arena_wants(a), 0);
	teardown();
}

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>

Test(arena, freed_memory_and_slack_are_poisoned)
{
	uint8_t *p = arena_alloc(a, 100), *big = arena_alloc(a, 100000);

	cr_assert_not(__asan_address_is_poisoned(p + 99));
	cr_assert(__asan_address_is_poisoned(p + 104));
	cr_assert(__asan_address_is_poisoned(big + 100000));
	arena_free(a, p);
	arena_free(a, big);
	cr_assert(__asan_address_is_poisoned(p));
	cr_assert(__asan_address_is_poisoned(big));
}
#endif
