/* SPDX-License-Identifier: MIT
 *
 * join.h - this process and its keeper
 */
#ifndef TCPSHIM_JOIN_H
#define TCPSHIM_JOIN_H

#include "keeper.h"

/* Sends @req, with @fd unless it is -1, and waits for the reply of those that
 * have one. No lock held. >= 0 or -errno. */
long join_tell(struct keeper_req *req, int fd);
/* The same over a connection of its own: for a child that has closed ours, or
 * shares our memory. Takes no lock. */
void join_tell_anew(struct keeper_req *req);
/* The process is at its end: this thread goes on, the others are parked when
 * they next want the lock. */
void host_leaving(void);
/* Has this process a place (a forked child may not have one yet)? */
bool host_has_joined(void);
/* No other thread of ours is in the lock when exec ends it. */
void host_exec_before(void);
void host_exec_failed(void);
/* In the parent, in this order. wait: until no thread makes the host or joins
 * it; true: go is to be called in the end. */
bool host_fork_wait(void);
void host_fork_before(void);
void host_fork_parent(void);
void host_fork_go(void);

#endif
