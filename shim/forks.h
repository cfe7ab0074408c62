/* SPDX-License-Identifier: MIT
 *
 * forks.h - what a fork must not copy, and who may have copies
 */
#ifndef TCPSHIM_FORKS_H
#define TCPSHIM_FORKS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A page that reads 0 in a child, which is what a lock is at first. As a fork
 * does not copy it, writing to it afterwards costs the parent no page fault, as
 * it does for every other page. */
struct fork_page {
	_Atomic uint32_t gate;	     /* GATE_* of host_priv.h */
	_Atomic uintptr_t forker;    /* pthread_self() of who forks, or 0 */
	_Atomic uint64_t num_copies; /* times that descriptors were copied */
	bool has_locks;		     /* the forker was not alone */
	bool has_up_lock;	     /* the forker has join.c's, too */
	/* taken in this order; join.c's follows adopt_lock */
	pthread_mutex_t fork_lock;
	pthread_mutex_t adopt_lock;   /* adopt.c */
	pthread_mutex_t listen_lock;  /* near.c: making a listener */
	pthread_mutex_t control_lock; /* join.c: one request at a time */
	pthread_mutex_t files_lock;   /* fdtab.c: more memory */
};
extern struct fork_page *fork_page;

/* The page, by which a child notices that it is one when it comes to us.
 * Before there is anything that a fork has to mind. 0 or -errno. */
int forks_page(void);
/* In the constructor: before the program registers handlers of its own. */
void forks_init(void);

/* Descriptors are copied now, by whatever way. */
static inline void fork_copied(void)
{
	atomic_fetch_add(&fork_page->num_copies, 1);
}
/* Moves with everything that copies descriptors: a socket of an earlier epoch
 * may have copies; one from before fork_born() is another process's. */
uint64_t fork_epoch(void);
uint64_t fork_born(void);

/* This thread is on its way through fork(): it may pass the gate, and signal
 * handlers wait. */
static inline bool fork_is_mine(void)
{
	return atomic_load_explicit(&fork_page->forker, memory_order_relaxed) ==
	       (uintptr_t)pthread_self();
}
void fork_begin(void);
void fork_end(void);
/* From the child's host_forked(). */
void forks_child(bool has_keeper);

#endif
