/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/siphash.h"
#include "base/util.h"

#define NUM 5000

static struct arena *a;
static struct timers ts;
static struct timer t[NUM];
static struct rng rng;

static void setup(void)
{
	static const uint8_t seed[32] = {2};

	a = arena_new_malloc((size_t)64 << 20);
	timers_init(&ts, a);
	rng_init(&rng, seed, 1);
	for (int i = 0; i < NUM; i++)
		timer_init(&t[i], TIMER_TEST);
}

static void teardown(void)
{
	timers_fini(&ts);
	cr_assert_eq(arena_used(a), 0);
	arena_destroy_malloc(a);
}

TestSuite(heap, .init = setup, .fini = teardown);

Test(heap, empty)
{
	cr_assert_eq(timers_next_at(&ts), TIME_NEVER);
	cr_assert_null(timers_pop(&ts, TIME_NEVER));
	cr_assert_eq(timers_num_armed(&ts), 0);
}

Test(heap, due_only_at_its_time)
{
	timer_arm(&ts, &t[0], 100);
	cr_assert(timer_is_armed(&t[0]));
	cr_assert_null(timers_pop(&ts, 99));
	cr_assert_eq(timers_pop(&ts, 100), &t[0]);
	cr_assert_not(timer_is_armed(&t[0]));
	cr_assert_null(timers_pop(&ts, 1000));
}

Test(heap, equal_deadlines_in_order_of_arming)
{
	timer_arm(&ts, &t[3], 50);
	timer_arm(&ts, &t[1], 50);
	timer_arm(&ts, &t[2], 50);
	timer_arm(&ts, &t[0], 60);
	timer_arm(&ts, &t[0], 50); /* earlier: now the last of the equals */
	timer_arm(&ts, &t[1], 50); /* the same again: keeps its place */
	timer_arm(&ts, &t[3], 70);
	timer_arm(&ts, &t[3], 50); /* moved away and back: behind all */
	cr_assert_eq(timers_pop(&ts, 50), &t[1]);
	cr_assert_eq(timers_pop(&ts, 50), &t[2]);
	cr_assert_eq(timers_pop(&ts, 50), &t[0]);
	cr_assert_eq(timers_pop(&ts, 50), &t[3]);
}

Test(heap, moved_later_fires_later)
{
	timer_arm(&ts, &t[0], 10);
	timer_arm(&ts, &t[1], 20);
	timer_arm(&ts, &t[0], 30);
	cr_assert_eq(timers_next_at(&ts), 20);
	cr_assert_eq(timers_pop(&ts, 100), &t[1]);
	cr_assert_eq(timers_pop(&ts, 100), &t[0]);
}

Test(heap, disarmed_never_fires)
{
	timer_arm(&ts, &t[0], 10);
	timer_arm(&ts, &t[1], 20);
	timer_disarm(&ts, &t[0]);
	timer_disarm(&ts, &t[0]);
	cr_assert_eq(timers_num_armed(&ts), 1);
	cr_assert_eq(timers_pop(&ts, 100), &t[1]);
	cr_assert_null(timers_pop(&ts, 100));
	timer_arm(&ts, &t[0], 5);
	timer_arm(&ts, &t[0], TIME_NEVER);
	cr_assert_eq(timers_next_at(&ts), TIME_NEVER);
	cr_assert_eq(timers_num_armed(&ts), 0);
}

Test(heap, removed_is_forgotten)
{
	for (int i = 0; i < 10; i++)
		timer_arm(&ts, &t[i], 10 + i);
	timer_disarm(&ts, &t[4]);
	timer_remove(&ts, &t[4]);
	timer_remove(&ts, &t[0]);
	timer_remove(&ts, &t[9]);
	timer_remove(&ts, &t[9]);
	memset(&t[0], 0xff, sizeof(t[0]));
	for (int i = 1; i < 9; i++)
		if (i != 4)
			cr_assert_eq(timers_pop(&ts, 100), &t[i]);
	cr_assert_null(timers_pop(&ts, 100));
}

/* the timer that must fire next, by looking at all of them */
static struct timer *earliest(void)
{
	struct timer *best = NULL;

	for (int i = 0; i < 200; i++)
		if (timer_is_armed(&t[i]) &&
		    (!best || t[i].at < best->at ||
		     (t[i].at == best->at && t[i].order < best->order)))
			best = &t[i];
	return best;
}

Test(heap, random_against_a_plain_search)
{
	for (int i = 0; i < 50000; i++) {
		struct timer *x = &t[rng_below(&rng, 200)], *best;

		switch (rng_below(&rng, 6)) {
		case 0:
			timer_disarm(&ts, x);
			break;
		case 1:
			timer_remove(&ts, x);
			break;
		case 2:
			best = earliest();
			cr_assert_eq(timers_next_at(&ts),
				     best ? best->at : TIME_NEVER);
			cr_assert_eq(timers_pop(&ts, TIME_NEVER - 1), best);
			break;
		default:
			timer_arm(&ts, x, rng_below(&rng, 50));
		}
	}
}

Test(heap, many_and_back_to_the_start)
{
	size_t small;
	nsec last = 0;

	timer_arm(&ts, &t[0], 1);
	small = arena_used(a);
	for (int i = 0; i < NUM; i++)
		cr_assert_eq(timer_arm(&ts, &t[i], rng_below(&rng, 1000)), 0);
	cr_assert_eq(timers_num_armed(&ts), NUM);
	for (int i = 0; i < NUM; i++) {
		nsec at = timers_next_at(&ts);

		cr_assert_geq(at, last);
		last = at;
		cr_assert(timers_pop(&ts, at));
	}
	cr_assert_eq(timers_num_armed(&ts), 0);
	cr_assert_eq(arena_used(a), small);
}

Test(heap, no_memory_is_reported)
{
	struct timers none;
	struct arena *tiny = arena_new_malloc(100);

	timers_init(&none, tiny);
	cr_assert_eq(timer_arm(&none, &t[0], 5), -ENOMEM);
	cr_assert_not(timer_is_armed(&t[0]));
	cr_assert_eq(timers_next_at(&none), TIME_NEVER);
	timers_fini(&none);
	arena_destroy_malloc(tiny);
}
