/* SPDX-License-Identifier: MIT
 *
 * host.h - the one stack of this process: its lock, and who turns the crank
 *
 *	st = host_lock(OP_CONNECT, f->s);
 *	r = sock_connect(st, f->s, sa, len, host_now());
 *	host_unlock();
 *
 * Between the two: no system call, no byte of the program's memory, nothing
 * that waits. host_unlock() hands readiness to the watches (wait.h), unlocks,
 * and then does everything slow: wakes threads, writes packets to the device,
 * grows the arena.
 */
#ifndef TCPSHIM_HOST_H
#define TCPSHIM_HOST_H

#include "stack.h"

/* What the holder of the lock is at, for recovery after its death. */
enum host_op {
	OP_NONE,
	OP_RX,
	OP_TX,
	OP_TICK,
	OP_WAIT,
	OP_POLL,
	OP_EPOLL,
	OP_NEW,
	OP_CLOSE,
	OP_BIND,
	OP_CONNECT,
	OP_LISTEN,
	OP_ACCEPT,
	OP_SHUTDOWN,
	OP_NAME,
	OP_SEND,
	OP_RECV,
	OP_OPTION,
	OP_IOCTL,
	OP_EXIT,
};

/* Brings up the stack at the first routed socket; cheap ever after. 0, or
 * -ENETDOWN, after one line that says why and what to do. */
int host_up(void);
bool host_is_up(void);
bool host_has_failed(void); /* to come up */

/* Takes the stack lock. Not recursive. */
struct stack *host_lock(enum host_op op, sockid s);
/* The instant of the last host_lock() of this thread; under the lock. */
nsec host_now(void);
void host_unlock(void);

/* After -ENOMEM or -ENOBUFS: true when the arena has more than it had, so that
 * the call may be tried again; many threads at once can be faster than it grows
 * by itself. No lock held. */
bool host_more_memory(void);
bool host_wants_memory(void);

/* Reads what the device has, at most one batch, and runs what is due, without
 * waiting: for poll(..., 0) and the like. Does nothing when another thread
 * drives. How many frames. No lock held. */
unsigned host_drive_once(void);

#endif
