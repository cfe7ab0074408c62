/* SPDX-License-Identifier: MIT
 *
 * heap.c - a binary heap in blocks, entries moved only when it matters
 *
 * An entry's ->at is never later than what its timer wants. So the top entry
 * is settled first: a timer that was disarmed leaves the heap there, one that
 * moved later is sorted in again. What is then on top is the true next one.
 *
 * Equal deadlines fire in order of arming: every arming draws a number, which
 * is the second half of the key. Arming for the same deadline again keeps it.
 */
#include "base/heap.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

#define BLOCK 1024u
#define MIN_DIR 64u /* block pointers */

static struct timer_slot *slot(const struct timers *ts, uint32_t i)
{
	return &ts->v[i / BLOCK][i % BLOCK];
}

static bool before(const struct timer_slot *a, const struct timer_slot *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void place(struct timers *ts, uint32_t i, const struct timer_slot *s)
{
	*slot(ts, i) = *s;
	s->t->slot = i + 1;
}

static void sift_up(struct timers *ts, uint32_t i, struct timer_slot s)
{
	while (i > 0) {
		uint32_t up = (i - 1) / 2;

		if (!before(&s, slot(ts, up)))
			break;
		place(ts, i, slot(ts, up));
		i = up;
	}
	place(ts, i, &s);
}

static void sift_down(struct timers *ts, uint32_t i, struct timer_slot s)
{
	for (;;) {
		uint32_t down = 2 * i + 1;

		if (down >= ts->num)
			break;
		if (down + 1 < ts->num &&
		    before(slot(ts, down + 1), slot(ts, down)))
			down++;
		if (!before(slot(ts, down), &s))
			break;
		place(ts, i, slot(ts, down));
		i = down;
	}
	place(ts, i, &s);
}

/* --- room --- */

static int resize_dir(struct timers *ts, uint32_t room)
{
	struct timer_slot **v = arena_alloc(ts->arena, room * sizeof(*v));

	if (!v)
		return -ENOMEM;
	if (ts->num_blocks)
		memcpy(v, ts->v, ts->num_blocks * sizeof(*v));
	arena_free(ts->arena, ts->v);
	ts->v = v;
	ts->room_blocks = room;
	return 0;
}

static int add_block(struct timers *ts)
{
	struct timer_slot *b;

	if (ts->num_blocks == ts->room_blocks &&
	    resize_dir(ts, MAX(MIN_DIR, 2 * ts->room_blocks)))
		return -ENOMEM;
	b = arena_alloc(ts->arena, BLOCK * sizeof(*b));
	if (!b)
		return -ENOMEM;
	ts->v[ts->num_blocks++] = b;
	return 0;
}

/* Half a block of slack, so that no boundary is crossed back and forth. */
static void drop_blocks(struct timers *ts)
{
	while (ts->num_blocks > 1 &&
	       ts->num + BLOCK / 2 <= (ts->num_blocks - 1) * BLOCK)
		arena_free(ts->arena, ts->v[--ts->num_blocks]);
	if (ts->room_blocks > MIN_DIR && ts->num_blocks < ts->room_blocks / 4)
		resize_dir(ts, ts->room_blocks / 2);
}

void timers_init(struct timers *ts, struct arena *a)
{
	*ts = (struct timers){.arena = a};
}

void timers_fini(struct timers *ts)
{
	for (uint32_t i = 0; i < ts->num_blocks; i++)
		arena_free(ts->arena, ts->v[i]);
	arena_free(ts->arena, ts->v);
	*ts = (struct timers){.arena = ts->arena};
}

/* --- timers --- */

void timers_reset(struct timers *ts)
{
	ts->v = NULL;
	ts->num = ts->num_blocks = ts->room_blocks = ts->num_armed = 0;
}

int timer_arm(struct timers *ts, struct timer *t, nsec at)
{
	nsec was = t->at;

	if (at == was)
		return 0;
	if (at == TIME_NEVER) {
		timer_disarm(ts, t);
		return 0;
	}
	if (!t->slot && ts->num == ts->num_blocks * BLOCK && add_block(ts))
		return -ENOMEM;
	if (was == TIME_NEVER)
		ts->num_armed++;
	t->at = at;
	t->order = ts->order++;
	/* one that moves later stays; its slot need not even be looked at */
	if (!t->slot)
		sift_up(ts, ts->num++, (struct timer_slot){at, t->order, t});
	else if (at < was && at < slot(ts, t->slot - 1)->at)
		sift_up(ts, t->slot - 1, (struct timer_slot){at, t->order, t});
	return 0;
}

void timer_disarm(struct timers *ts, struct timer *t)
{
	if (t->at == TIME_NEVER)
		return;
	t->at = TIME_NEVER;
	ts->num_armed--;
}

void timer_remove(struct timers *ts, struct timer *t)
{
	uint32_t i = t->slot - 1;
	struct timer_slot last;

	timer_disarm(ts, t);
	if (!t->slot)
		return;
	t->slot = 0;
	last = *slot(ts, --ts->num);
	if (last.t != t) {
		if (i > 0 && before(&last, slot(ts, (i - 1) / 2)))
			sift_up(ts, i, last);
		else
			sift_down(ts, i, last);
	}
	drop_blocks(ts);
}

/* Makes the top entry one that holds; false when there is none. */
static bool settle(struct timers *ts)
{
	while (ts->num) {
		struct timer_slot s = *slot(ts, 0);

		if (s.t->at == TIME_NEVER)
			timer_remove(ts, s.t);
		else if (s.at != s.t->at || s.order != s.t->order)
			sift_down(
				ts, 0,
				(struct timer_slot){s.t->at, s.t->order, s.t});
		else
			return true;
	}
	return false;
}

nsec timers_next_at(struct timers *ts)
{
	return settle(ts) ? slot(ts, 0)->at : TIME_NEVER;
}

struct timer *timers_pop(struct timers *ts, nsec now)
{
	struct timer *t;

	if (timers_next_at(ts) > now || !ts->num)
		return NULL;
	t = slot(ts, 0)->t;
	timer_remove(ts, t);
	return t;
}

uint32_t timers_num_armed(const struct timers *ts)
{
	return ts->num_armed;
}
