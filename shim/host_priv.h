/* SPDX-License-Identifier: MIT
 *
 * host_priv.h - what host.c, wait.c and sentinel.c share
 *
 * Everything here is guarded by the stack lock, unless it says otherwise.
 */
#ifndef TCPSHIM_HOST_PRIV_H
#define TCPSHIM_HOST_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "edge/tun.h"
#include "host.h"
#include "wait.h"

#define RX_BATCH 64
#define RX_LARGE 8

/* How long frames may lie unread before the stack thread takes them: nobody
 * drives; somebody should. */
#define GRACE_IDLE (1 * MSEC)
#define GRACE_DRIVEN (20 * MSEC)
/* How late a timer may be while somebody drives, before the stack thread
 * takes it. */
#define GRACE_TIMER (20 * MSEC)

/* The first pages of the mapping, in front of the arena. */
struct shared {
	pthread_mutex_t lock;
	uint32_t op; /* of the holder, for recovery */
	sockid op_sock;
	nsec now;
	/* who drives: moves with every batch and every change of driver */
	uint64_t epoch __attribute__((aligned(64)));
	int32_t driver_tid;
	/* who writes: odd while taken; moves when it is stolen */
	_Atomic uint64_t tx_token __attribute__((aligned(64)));
	nsec tx_at; /* when its owner was last seen */
};
#define SHARED_SIZE 65536

/* Empty frames of one reader, and what it has read. Outside the lock it belongs
 * to the thread that took it. */
struct kit {
	struct frame *small[RX_BATCH], *large[RX_LARGE], *got[RX_BATCH];
	unsigned num_small, num_large, num_got;
	bool is_drained;
	bool is_taken;
	_Atomic bool is_reading; /* the owner is at it, without the lock */
	uint32_t num_lost;	 /* read, with no memory to keep it */
};

struct host {
	struct shared *sh;
	struct stack *st;
	struct tun tun;
	int pid;
	struct waiter *driver; /* who has the lease */
	struct list asleep;    /* waiters that could drive */
	struct list wakes;     /* waiters to be woken after unlock */
	nsec sentinel_at;      /* when the stack thread wakes by itself */
	bool had_tx;	       /* packets to write since it last woke */
	bool is_logging;       /* more than warnings: drained at each unlock */
	bool is_capturing;
	_Atomic bool is_up;
	_Atomic bool
		is_leaving; /* exit: threads that may not go on are parked */
};
extern struct host host;
/* This thread goes on while the process leaves. */
extern __thread bool host_may_go_on;

/* wait.c */
struct kit *kit_take(void); /* caller holds the lock; NULL: all in use */
void kit_give(struct kit *k);
/* Reads a batch; no lock held. */
void kit_read(struct kit *k);
/* Hands what was read to the stack; caller holds the lock. */
void kit_process(struct kit *k);
/* Has a kit been read and left lying? Its owner is stopped. Caller holds the
 * lock; with @take they are processed. */
bool kits_left(bool take);
/* stack_ready() to the watches; caller holds the lock. */
void wait_dispatch(void);
/* The lease goes to whoever sleeps and could drive; caller holds the lock. */
void wait_hand_over(void);
/* @w drives no longer, if it did; caller holds the lock. */
void wait_give_up(struct waiter *w);
void wait_forked(void);

/* sentinel.c */
int sentinel_start(char *why, size_t len);

/* host.c: writes out log lines and captured packets; no lock held. */
void host_drain_logs(void);
/* Writes packets that the token's owner has left lying; no lock held. */
void host_tx_rescue(void);
void host_forked(void); /* in a forked child */

/* fdtab.c */
int fdtab_init(void);
void fdtab_forked(void);

/* call_signal.c: handlers that are installed already defer from now on. */
void signal_adopt(void);

#endif
