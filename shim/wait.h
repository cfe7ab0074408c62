/* SPDX-License-Identifier: MIT
 *
 * wait.h - being told, and sleeping until then
 *
 * A watch sits on a socket and hears of its readiness; a waiter is a thread
 * that sleeps. A watch either marks a waiter, or calls a function of this
 * process (epoll items), which may mark waiters in turn with waiter_mark().
 *
 *	struct waiter w;
 *	struct watch h;
 *
 *	waiter_init(&w);
 *	host_lock(OP_POLL, f->s);
 *	bits = watch_add(&h, f, EPOLLIN, &w, NULL);   (bits hold already)
 *	host_unlock();
 *	if (!bits)
 *		r = wait_block(&w, NULL, 0, deadline, NULL, NULL, NULL);
 *	host_lock(OP_POLL, f->s);
 *	watch_del(&h);
 *	waiter_fini(&w);
 *	host_unlock();
 *
 * wait_block() is the one place that sleeps, and the waiter drives: see
 * wait.c. Everything here is guarded by the stack lock.
 */
#ifndef TCPSHIM_WAIT_H
#define TCPSHIM_WAIT_H

#include <poll.h>
#include <signal.h>

#include "fdtab.h"
#include "host.h"
#include "shared.h"

/* In ready.bits, to a watch whose socket was closed or handed over to the
 * kernel: it is off the socket's list already, and there is no more to come. */
#define WATCH_GONE 0x40000000u

/* In watch.want: of a call that waits, which the error queue does not end. */
#define WATCH_CALL 0x08000000u
/* In watch.want: of those that wait so, in whatever process, one is woken for
 * each connection. Who stops waiting says watch_left(). */
#define WATCH_ONE 0x02000000u
/* Whatever there is, and what is no more. */
#define WATCH_ALL (~(WATCH_CALL | WATCH_ONE))

struct kit;

struct waiter {
	struct list wake_link; /* an eventfd, to be written after unlock */
	uint32_t word;	       /* WORD_MARKED: its condition may hold */
	int wake_fd;	       /* lent by a pool; -1: none yet */
	struct bell bell;      /* of it */
	struct seat *seat;     /* as others see it; NULL: never slept yet */
	uint8_t sleep;	       /* shared.h: not asleep, how asleep */
	bool is_driver;
	/* a handler ran since the last wait_block() with it said -EINTR */
	volatile bool is_interrupted;
	struct kit *kit; /* to read the device with; of wait.c */
};

struct watch;
/* True: a thread was woken. */
typedef bool (*watch_fn)(struct watch *h, const struct ready *r);

struct watch {
	struct list node;  /* on file->watches */
	struct file *file; /* NULL: not on any */
	uint32_t want;	   /* EPOLL*; EPOLLERR, EPOLLHUP always count */
	uint32_t got;	   /* what was heard since watch_add(), of ->want */
	struct waiter *waiter;
	watch_fn on_ready;
	/* of these, in their order, those after one that woke a thread hear
	 * nothing (EPOLLEXCLUSIVE) */
	bool is_exclusive;
};

/* If all of @f are so, one of the processes that have it is told. */
void watch_one(struct file *f);

/* Lock not needed. */
void waiter_init(struct waiter *w);
/* A waiter that no thread sleeps on: when it is marked and was not before, 1 is
 * written to @fd, an eventfd, once the lock is released. */
void waiter_init_fd(struct waiter *w, int fd);
/* Caller holds the stack lock; the last thing done with @w. */
void waiter_fini(struct waiter *w);
/* Caller holds the stack lock: @w's condition may hold now. */
void waiter_mark(struct waiter *w);
/* From a handler: the wait under way, or the next one, ends with -EINTR. */
void waiter_interrupt(struct waiter *w);
/* Caller holds the stack lock: what was marked before is dealt with. */
void waiter_clear(struct waiter *w);

/* Caller holds the stack lock. Either @w is marked when a wanted bit comes up
 * (or an edge of it: again), or @fn is called under the lock with what changed
 * in @r (it may watch_del() itself). Returns the wanted bits that hold already,
 * WATCH_GONE when the socket is no more (then it was not added). */
uint32_t watch_add(struct watch *h, struct file *f, uint32_t want,
		   struct waiter *w, watch_fn fn);
/* Bits and edge counters of this moment, whatever is wanted. */
uint32_t watch_look(struct watch *h, struct ready *out);
/* Caller holds the stack lock. Fine when it is off already. */
void watch_del(struct watch *h);

/* Caller holds the stack lock. A WATCH_ONE of @f is off: what it did not take
 * is another one's. */
void watch_left(struct file *f);

/* From now on a thread of ours deals with what is new for this process, even if
 * all others sleep in the kernel. No lock held. */
void wait_listen(void);

/**
 * wait_block() - Sleep until something happens; drive meanwhile
 * @w:		This thread; its watches were added before
 * @kernel:	Fds that are the kernel's to wait for (a program's own, or an
 *		epoll fd); revents are filled in on return. May be NULL
 * @num_kernel:	How many; one more slot than this is not needed
 * @deadline:	On the clock of host_now(); TIME_NEVER for ever; past: look once
 * @mask:	Signal mask while asleep, as ppoll(2); NULL: unchanged
 * @done:	Called under the lock: does what the caller waits for hold?
 *NULL:
 *		@w was marked
 * @arg:	For @done
 *
 * Caller doesn't hold the lock. Looks before it sleeps, so a mark between
 * watch_add() and this is never lost.
 *
 * Return: 1 when done or a kernel fd has revents, 0 at the deadline, -EINTR
 * after a signal handler ran (or is about to)
 */
int wait_block(struct waiter *w, struct pollfd *kernel, nfds_t num_kernel,
	       nsec deadline, const sigset_t *mask, bool (*done)(void *arg),
	       void *arg);

#endif
