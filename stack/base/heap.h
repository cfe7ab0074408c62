/* SPDX-License-Identifier: MIT
 *
 * heap.h - deadlines: one binary heap, one entry per object, lazily moved
 *
 * A timer that moves later is only written (its heap entry stays early and is
 * re-sorted when it comes up); one that moves earlier is sifted at once.
 * Measured at a million entries: 2 to 7 ns lazy, 41 to 51 ns eager, so no
 * wheel. Equal deadlines fire in the order in which they were armed.
 *
 * What a timer does is named by @kind, an enum that indexes a const table of
 * the caller of timers_pop(): no function pointer lives in the arena.
 */
#ifndef TCPSHIM_HEAP_H
#define TCPSHIM_HEAP_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/time.h"

enum timer_kind {
	TIMER_IP,	 /* reassembly, path MTU expiry: struct ip */
	TIMER_TCP_CONN,	 /* struct tcp_conn */
	TIMER_TCP_TABLE, /* SYN records, TIME-WAIT: struct tcp */
	TIMER_LINK,	 /* impair's queue: struct link */
	TIMER_EP,	 /* what sock/ waits for: struct ep */
	TIMER_TEST,	 /* for unit tests */
	TIMER_NUM_KINDS
};

struct timer {
	nsec at;	/* wanted; TIME_NEVER when not armed */
	uint64_t order; /* of arming, among equal deadlines */
	uint32_t slot;	/* 1 + position in the heap, 0 when in none */
	uint8_t kind;
};

struct timer_slot {
	nsec at; /* what it is sorted by; may be earlier than timer->at */
	uint64_t order;
	struct timer *t;
};

struct timers {
	struct arena *arena;
	struct timer_slot **v; /* blocks: no object may be over a megabyte */
	uint32_t num, num_blocks, room_blocks;
	uint64_t order;
	uint32_t num_armed;
};

void timers_init(struct timers *ts, struct arena *a);
void timers_fini(struct timers *ts);

static inline void timer_init(struct timer *t, enum timer_kind kind)
{
	t->at = TIME_NEVER;
	t->order = 0;
	t->slot = 0;
	t->kind = (uint8_t)kind;
}

/* Empty, without freeing anything: every timer has to be initialised and armed
 * again. */
void timers_reset(struct timers *ts);

/* Arms, or moves; @at TIME_NEVER disarms. 0, or -ENOMEM when the heap itself
 * could not grow (the timer is then not armed). */
int timer_arm(struct timers *ts, struct timer *t, nsec at);
void timer_disarm(struct timers *ts,
		  struct timer *t); /* lazy: keeps its slot */
/* Takes it out of the heap for good: before its object is freed. */
void timer_remove(struct timers *ts, struct timer *t);
static inline bool timer_is_armed(const struct timer *t)
{
	return t->at != TIME_NEVER;
}

/* The earliest deadline that is really wanted, TIME_NEVER if none. Re-sorts
 * lazily moved entries that have come to the top. */
nsec timers_next_at(struct timers *ts);
/* Takes the earliest timer that is due at @now, disarmed, or NULL. */
struct timer *timers_pop(struct timers *ts, nsec now);
/* How many timers are armed: 0 is what an idle stack must show. */
uint32_t timers_num_armed(const struct timers *ts);

#endif
