/* SPDX-License-Identifier: MIT
 *
 * loan.h - what callers have between begin and commit
 *
 * The caller copies without the lock, and may die at it. So a loan is written
 * down, with whose it is: who forgets a participant gives it back. It holds the
 * endpoint, too, so that a close in between pulls nothing away.
 */
#ifndef TCPSHIM_LOAN_H
#define TCPSHIM_LOAN_H

#include "transport/transport.h"

struct span;
struct rebuild;

enum loan_kind {
	LOAN_NONE,   /* free */
	LOAN_HELD,   /* nothing lent yet */
	LOAN_STREAM, /* struct tcp_lend */
	LOAN_SEND,   /* a datagram's chunk, or the cork's */
	LOAN_RECV,   /* a datagram's buffer; 0: an empty one */
	LOAN_NOTE,   /* struct errq_note */
};

struct loan {
	struct loan *next; /* free: the next one */
	struct ep *e;
	uint64_t pin;
	uint16_t party;
	uint8_t kind; /* enum loan_kind; written last */
	bool is_send;
};

#define LOAN_BLOCK 64
struct loan_block {
	struct loan_block *next;
	struct loan v[LOAN_BLOCK];
};

/* Holds @e for the calling participant; NULL: no memory. */
struct loan *loan_new(struct ep *e, bool is_send);
/* What was lent is @sp's pin. */
static inline void loan_set(struct loan *l, enum loan_kind kind, uint64_t pin)
{
	l->pin = pin;
	__atomic_store_n(&l->kind, (uint8_t)kind, __ATOMIC_RELEASE);
}
/* The first thing that a commit does; it holds @e itself from now on. */
void loan_end(struct transport *tp, struct loan *l);
/* The next one of @party, or NULL. */
struct loan *loan_of(struct transport *tp, uint16_t party);
int loans_init(struct transport *tp); /* 0 or -ENOMEM */
void loans_free(struct transport *tp);

#endif
