/* SPDX-License-Identifier: MIT
 *
 * sleeper.h - what a sleeping call has on the lists of others
 *
 *	sl = sleeper_get(leave);		(takes the stack lock)
 *	(adds sl->w and its watches)
 *	host_unlock();
 *	r = wait_block(&sl->w, ...);
 *	host_lock(...);
 *	sleeper_put(sl);
 *	host_unlock();
 */
#ifndef TCPSHIM_SLEEPER_H
#define TCPSHIM_SLEEPER_H

#include "epset.h"

#define SLEEPER_ROOM 3072

struct sleeper {
	struct list link;      /* while free */
	struct sleeper *outer; /* the call that this one interrupted */
	uintptr_t frame;       /* where on the stack the call is */
	void (*leave)(struct sleeper *sl);
	void (*drop)(
		struct sleeper *sl); /* without the lock, before; or NULL */
	struct waiter w;
	/* of whoever uses it, for ->leave */
	struct watch watch;
	struct epset_watch set_watch;
	void *own;
	unsigned num_own;
	char room[SLEEPER_ROOM] __attribute__((aligned(16)));
};

/* For a call of this thread that is about to sleep; ->w is initialised. @leave,
 * under the stack lock, takes off all lists what the call put there. Returns
 * with the stack lock held, but for NULL: no memory. */
struct sleeper *sleeper_get(void (*leave)(struct sleeper *sl));
/* The call is over: drops, and gives back. Caller holds the stack lock. */
void sleeper_put(struct sleeper *sl);
/* A call of this thread keeps @f until it says otherwise, or was left. False:
 * it is gone already. */
bool sleeper_hold(struct file *f);
void sleeper_unhold(struct file *f);
/* Clears away the calls that were left, as far as it can be told. No lock
 * held. */
void sleeper_tidy(void);
/* The thread ends. */
void sleeper_thread_gone(void *arg);
/* A signal handler is about to run on this thread: what sleeps ends. */
void sleeper_interrupt(void);

#endif
