/* SPDX-License-Identifier: MIT
 *
 * epset.h - what poll and select need of an epoll set with sockets of ours
 *
 * The number of such a set is a kernel epoll fd, which answers for the kernel
 * fds in it; what is here answers for our sockets. Everything needs the stack
 * lock unless it says otherwise.
 */
#ifndef TCPSHIM_SHIM_EPSET_H
#define TCPSHIM_SHIM_EPSET_H

#include <stdbool.h>

#include "fdtab.h"
#include "wait.h"

struct epset;

/* Somebody who waits for a set to become ready. */
struct epset_watch {
	struct list node; /* on the set */
	struct waiter *waiter;
	struct epset *set; /* kept meanwhile */
	bool is_exclusive; /* of these one is woken at a time */
};

/* Is a socket in @f, a FILE_EPOLL, ready? */
bool epset_ready(struct file *f);
/* Marks @w whenever one becomes so. */
void epset_watch_add(struct epset_watch *h, struct file *f, struct waiter *w);
void epset_watch_del(struct epset_watch *h);
/* Before a wait in the kernel that may include a set that is nested in another:
 * what it shows the kernel is made true. No lock held. */
void epset_refresh_nested(void);

#endif
