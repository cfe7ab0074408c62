/* SPDX-License-Identifier: MIT
 *
 * repair.c - the holder of the lock has died
 *
 * The next one finds out as he takes it. The core makes its own state anew
 * (base/rebuild.h); what lies outside of it is told here: frames that readers
 * have, packets that writers have, seats. None of their owners needs the lock
 * to go on, so nothing of theirs is touched but links. Who sleeps is woken,
 * since whatever he waits for may have happened.
 *
 * Who dies at this leaves it to the next one, from the beginning.
 */
#include <sys/mman.h>

#include "base/rebuild.h"
#include "host_priv.h"
#include "sys.h"

/* Where marks are made: pages of our own, which are there when they are
 * written to. Behind a filter no more can be had. */
static struct {
	void *mem;
	size_t len;
} scratch;

void repair_init(size_t most)
{
	size_t len = ARENA_MARKS_SIZE(most);
	long p = sys(mmap, NULL, len, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p < 0 && p >= -4095)
		return;
	sys(madvise, p, len, MADV_DONTDUMP);
	scratch.mem = (void *)p;
	scratch.len = len;
}

/* No larger than needed, for a process that may have little. */
static bool has_scratch(void)
{
	size_t len = ARENA_MARKS_SIZE(host.sh->len);
	long p;

	if (scratch.len >= len)
		return true;
	sys_forbidden = false; /* once, in a process with little memory */
	p = sys(mmap, NULL, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sys_forbidden = true;
	if (p < 0 && p >= -4095)
		return false;
	scratch.mem = (void *)p;
	scratch.len = len;
	return true;
}

/* --- frames and packets --- */

/* A reader moves them from one array to another, as we look: they stay where
 * they were, too, and it may have fewer than it had. */
static void find_kit(struct kit *k, struct rebuild *rb)
{
	for (unsigned i = 0; i < k->has_small; i++)
		stack_rebuild_frame(rb, k->small[i]);
	for (unsigned i = 0; i < k->has_large; i++)
		stack_rebuild_frame(rb, k->large[i]);
	for (unsigned i = 0; i < k->num_got; i++)
		stack_rebuild_frame(rb, k->got[i]);
	/* the dead was about to fill it */
	if (k->num_small > k->has_small)
		k->num_small = k->has_small;
	if (k->num_large > k->has_large)
		k->num_large = k->has_large;
}

static void find_batch(struct tx_batch *b, struct rebuild *rb)
{
	if (!b->is_taken)
		b->num = 0;
	for (unsigned i = 0; i < b->num; i++)
		stack_rebuild_tx(host.st, rb, &b->v[i]);
}

/* --- seats --- */

static bool keep_seat(struct rebuild *rb, void *obj, void *arg)
{
	struct seat *s = obj;
	struct party *p = arg;

	list_init(&s->asleep_link);
	list_init(&s->party_link);
	list_init(&s->wake_link);
	if (s->sleep == AWAKE)
		return true;
	list_push(&p->seats, &s->party_link);
	if (s->could_drive)
		list_push(&host.sh->asleep, &s->asleep_link);
	return true;
}

static void find_seats(struct rebuild *rb)
{
	struct shared *sh = host.sh;

	list_init(&sh->asleep);
	list_init(&sh->wakes);
	list_init(&sh->free);
	for (unsigned i = 0; i < STACK_MAX_PARTIES; i++) {
		struct party *p = &sh->parties[i];

		list_init(&p->seats);
		REBUILD_LIST(rb, &p->all, struct seat, owner_link, keep_seat,
			     p);
	}
	if (sh->driver &&
	    !rebuild_is_marked(rb, sh->driver, sizeof(*sh->driver))) {
		sh->driver = NULL;
		sh->epoch++;
	}
}

void repair(void)
{
	struct shared *sh = host.sh;
	struct rebuild rb;

	sh->num_forced++;
	sh->now = MAX(sh->now, sys_now());
	if (!has_scratch()) /* the lock stays as it is: nobody goes on */
		assert_failed(__FILE__, __LINE__, "memory for a repair");
	stack_rebuild_begin(host.st, &rb, scratch.mem, sh->now);
	for (unsigned i = 0; i < NUM_KITS; i++)
		find_kit(&sh->kits[i], &rb);
	for (unsigned i = 0; i < NUM_TX; i++)
		find_batch(&sh->tx[i], &rb);
	find_seats(&rb);
	sh->num_reset += stack_rebuild_end(host.st, &rb);
	sh->num_broken += rb.num_lost;
	arena_extend(stack_arena(host.st), sh->len - SHARED_SIZE);
	seat_wake_all();
	sh->sentinel_at = TIME_NEVER; /* what it knows is not so any more */
	sh->had_tx = sh->had_wakes = true;
	sh->op = OP_NONE;
	sh->op_sock = 0;
	/* only now: until then the next one would have to do it again */
	pthread_mutex_consistent(&sh->lock);
}
