/* SPDX-License-Identifier: MIT
 *
 * sleeper.c - what a sleeping call has on the lists of others
 *
 * A signal handler may leave a sleeping call by longjmp(). What the call had on
 * the lists of sockets and waiters stays there, so it can't be on the stack,
 * which others write over. It is here instead, in memory that is never given
 * back, and the next sleep of the thread clears it away.
 *
 * Which calls were left? Each notes where on the stack it is. A call that
 * sleeps now, and is not inside another one, is not deeper than any that still
 * lasts: what was noted at the same depth or deeper has been left. A handler
 * that sleeps inside a sleeping call is deeper than that call, which then
 * stays. An alternate signal stack lies elsewhere and is asked for, but only if
 * anything is noted at all, which is rare.
 */
#include "sleeper.h"

#include <signal.h>
#include <sys/mman.h>

#include "call_priv.h"
#include "host_priv.h"
#include "sys.h"

#define SLAB_BYTES 65536

static __thread struct sleeper *mine __attribute__((tls_model("initial-exec")));

/* Files that calls of this thread keep, the innermost last. */
#define MAX_HOLDS 8
static __thread struct {
	struct file *file;
	uintptr_t frame;
} holds[MAX_HOLDS] __attribute__((tls_model("initial-exec")));
static __thread unsigned num_holds __attribute__((tls_model("initial-exec")));

static struct list free_ones = {&free_ones, &free_ones}; /* stack lock */

static bool is_on(const stack_t *ss, uintptr_t frame)
{
	return frame - (uintptr_t)ss->ss_sp < ss->ss_size;
}

static int refill(void)
{
	long p = sys(mmap, NULL, SLAB_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sleeper *v = (struct sleeper *)p;

	if (p < 0 && p >= -4095)
		return (int)p;
	host_lock(OP_WAIT, 0);
	for (size_t i = 0; i < SLAB_BYTES / sizeof(*v); i++)
		list_push(&free_ones, &v[i].link);
	host_unlock();
	return 0;
}

void sleeper_put(struct sleeper *sl)
{
	sl->leave(sl);
	waiter_fini(&sl->w);
	mine = sl->outer;
	list_push_front(&free_ones, &sl->link);
}

/* Has what was noted at @frame been left, seen from @now? */
static bool was_left(uintptr_t frame, uintptr_t now, const stack_t *ss)
{
	bool has_alt = !(ss->ss_flags & SS_DISABLE);
	bool it_alt = has_alt && is_on(ss, frame);
	bool now_alt = has_alt && is_on(ss, now);

	if (it_alt != now_alt)
		return it_alt;
	return frame <= now;
}

/* The innermost goes, with what can't go under the lock. */
static void put_left(void)
{
	if (mine->drop)
		mine->drop(mine);
	host_lock(OP_WAIT, 0);
	sleeper_put(mine);
	host_unlock();
}

static void drop_last(void)
{
	struct file *f = holds[--num_holds].file;

	if (f)
		file_drop(f);
}

/* Handlers wait: one that left in the middle would have it done twice. */
static void tidy(uintptr_t now)
{
	stack_t ss = {.ss_flags = SS_DISABLE};

	sys(sigaltstack, NULL, &ss);
	signal_hold();
	while (mine && was_left(mine->frame, now, &ss))
		put_left();
	while (num_holds && was_left(holds[num_holds - 1].frame, now, &ss))
		drop_last();
	signal_release();
}

bool sleeper_hold(struct file *f)
{
	bool is_held;

	sleeper_tidy();
	signal_hold();
	is_held = file_hold(f);
	if (is_held && num_holds < MAX_HOLDS) {
		holds[num_holds].file = f;
		holds[num_holds++].frame =
			(uintptr_t)__builtin_frame_address(0);
	}
	signal_release();
	return is_held;
}

void sleeper_unhold(struct file *f)
{
	signal_hold();
	for (unsigned i = num_holds; i-- > 0;)
		if (holds[i].file == f) {
			holds[i].file = NULL;
			break;
		}
	while (num_holds && !holds[num_holds - 1].file)
		num_holds--;
	file_drop(f);
	signal_release();
}

void sleeper_tidy(void)
{
	if (__builtin_expect(mine || num_holds, 0))
		tidy((uintptr_t)__builtin_frame_address(0));
}

void sleeper_thread_gone(void *arg)
{
	signal_hold();
	while (mine)
		put_left();
	while (num_holds)
		drop_last();
	signal_release();
}

struct sleeper *sleeper_get(void (*leave)(struct sleeper *sl))
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	struct sleeper *sl;
	struct list *l;

	cancel_note_thread();
	if (mine || num_holds)
		tidy(frame);
	host_lock(OP_WAIT, 0);
	for (sl = mine; sl; sl = sl->outer)
		wait_give_up(&sl->w); /* it can't drive while we are here */
	while (!(l = list_pop(&free_ones))) {
		host_unlock();
		if (refill() < 0)
			return NULL;
		host_lock(OP_WAIT, 0);
	}
	sl = list_entry(l, struct sleeper, link);
	waiter_init(&sl->w);
	sl->frame = frame;
	sl->leave = leave;
	sl->drop = NULL;
	sl->set_watch.set = NULL;
	sl->own = NULL;
	sl->num_own = 0;
	sl->watch = (struct watch){.file = NULL};
	list_init(&sl->watch.node);
	list_init(&sl->set_watch.node);
	sl->outer = mine;
	mine = sl;
	return sl;
}

void sleeper_interrupt(void)
{
	for (struct sleeper *sl = mine; sl; sl = sl->outer)
		waiter_interrupt(&sl->w);
}
