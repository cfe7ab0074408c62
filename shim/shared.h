/* SPDX-License-Identifier: MIT
 *
 * shared.h - the first pages of the mapping, in front of the arena
 *
 * What the processes on one host must know of each other. Like the arena it
 * holds no pointer to a function, to libc's heap or to a thread, and is at the
 * same address everywhere. Guarded by the lock in it, unless it says otherwise.
 */
#ifndef TCPSHIM_SHARED_H
#define TCPSHIM_SHARED_H

#include <pthread.h>
#include <stdatomic.h>

#include "edge/tun.h"

#define RX_BATCH 64
#define RX_LARGE 8
#define NUM_KITS 8
#define TX_BATCH 64
#define NUM_TX 8
#define PARTY_KEEPER 0 /* or the only process, when there is no keeper */

/* How a waiter sleeps. */
enum { AWAKE, SLEEP_FUTEX, SLEEP_FD, SLEEP_ALWAYS /* no thread's */ };

/* Bits of a seat's word. */
#define WORD_MARKED 1u
#define WORD_NUDGED 2u /* the lease is free: come and drive */
#define WORD_SIGNAL 4u /* a handler ran */
#define WORD_NEWS 8u   /* the participant's queue is not empty */

/* A datagram socket's name that the kernel picked: NUL and five digits. */
#define BELL_NAME 6
struct bell {
	uint8_t len; /* 0: none */
	char name[BELL_NAME];
};

/* A thread that sleeps, as the others see it. Never freed, only used again. */
struct seat {
	struct list asleep_link; /* shared->asleep, or the free list */
	struct list party_link;	 /* party->seats: asleep */
	struct list wake_link;	 /* shared->wakes */
	struct list owner_link;	 /* party->all */
	uint32_t word;		 /* futex: WORD_* */
	uint16_t party;
	uint8_t sleep;	  /* as above */
	bool is_ear;	  /* woken if none else can be */
	bool could_drive; /* on ->asleep */
	bool is_rung;	  /* woken a second time, since it sleeps */
	struct bell bell;
};

/* Empty frames of one reader, and what it has read. Outside the lock it belongs
 * to the thread that took it. */
struct kit {
	struct frame *small[RX_BATCH], *large[RX_LARGE], *got[RX_BATCH];
	unsigned num_small, num_large;
	unsigned has_small, has_large; /* as the lock was released */
	_Atomic unsigned num_got;      /* the owner's, while it reads */
	bool is_drained;
	_Atomic bool is_taken;
	_Atomic bool is_reading; /* the owner is at it, without the lock */
	uint16_t party;		 /* the owner's */
	uint32_t num_lost;	 /* read, with no memory to keep it */
};

/* Packets that somebody writes to the device, without the lock. */
struct tx_batch {
	_Atomic bool is_taken;
	bool is_left; /* the owner is done with it, its rescuer is not */
	uint16_t party;
	uint16_t rescuer; /* a participant + 1; 0: none */
	unsigned num;	  /* not yet handed back */
	_Atomic unsigned num_written;
	nsec at; /* when the owner took them */
	struct txv v[TX_BATCH];
	int res[TX_BATCH];
};

struct party {
	int32_t pid;	   /* as the keeper sees it; 0: free */
	struct list seats; /* asleep */
	struct list all;
};

struct shared {
	pthread_mutex_t lock;
	uint32_t op; /* of the holder, for recovery */
	sockid op_sock;
	nsec now;
	/* who drives: moves with every batch and every change of driver */
	_Atomic uint64_t epoch __attribute__((aligned(64)));
	struct seat *_Atomic driver;
	struct list asleep; /* seats whose threads could drive */
	struct list wakes;  /* seats to be woken after unlock */
	struct list free;   /* seats */
	nsec sentinel_at;   /* when the sentinel wakes by itself */
	/* packets to write, threads to wake since it last woke: who does it
	 * may be stopped */
	bool had_tx, had_wakes;
	_Atomic bool has_tx; /* at the last unlock; for who has no lock */
	uint64_t num_forced; /* repairs after a death under the lock */
	uint64_t num_reset;  /* connections that were reset by them */
	uint64_t num_broken; /* what was broken and should not have been */
	_Atomic uint32_t stops_again; /* thread that was nudged */
	_Atomic uint32_t debugged;    /* thread that was told of, last */
	/* who writes: odd while taken; moves when it is stolen */
	_Atomic uint64_t tx_token __attribute__((aligned(64)));
	nsec tx_at; /* when its owner was last seen */
	/* the mapping: bytes present, bytes reserved; who makes more */
	_Atomic size_t len;
	size_t max;
	pthread_mutex_t grow_lock;
	/* keepers that were started since the host is there; who starts one */
	_Atomic uint32_t num_keepers;
	pthread_mutex_t start_lock;
	uint64_t config;		/* settings of the host, as a hash */
	_Atomic uint32_t log_token;	/* who writes logs: its party + 1 */
	_Atomic uint32_t num_listeners; /* of near ends, ever */
	uint8_t secret[16];		/* who knows it has the mapping */
	struct stack *st;
	struct tun tun; /* but for its fd */
	uint32_t mtu;	/* of packets */
	bool is_capturing;
	struct kit kits[NUM_KITS];
	struct tx_batch tx[NUM_TX];
	struct party parties[STACK_MAX_PARTIES];
};
#define SHARED_SIZE ALIGN_UP(sizeof(struct shared), (size_t)65536)

#endif
