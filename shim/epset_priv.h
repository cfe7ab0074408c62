/* SPDX-License-Identifier: MIT
 *
 * epset_priv.h - what the files about epoll share with each other
 */
#ifndef TCPSHIM_EPSET_PRIV_H
#define TCPSHIM_EPSET_PRIV_H

#include <sys/epoll.h>

#include "epset.h"

struct epset {
	struct list all_link; /* on epset_all, or the free list */
	struct list items, ready;
	struct list waiters;	 /* struct epset_watch */
	struct file *file;	 /* NULL: its last number was closed */
	unsigned num_users;	 /* who waits for it, and keeps it */
	uint32_t scan;		 /* number of the last scan of the ready list */
	_Atomic bool has_kernel; /* the kernel's half may not be empty */
	_Atomic bool
		kernel_first; /* whose turn it is to fill the results first */
	_Atomic int last_fd;  /* a copy of a number that was closed, or -1 */
	int nest_fd;	      /* -1: not nested */
	struct waiter nest;   /* writes to it */
};

/* --- epset.c; the stack lock is held only where it says so --- */
extern struct list epset_all; /* stack lock */

/* A set with a file that is on no number yet. 0 or -ENOMEM. */
int epset_new(struct epset **out);
/* epoll_ctl() of @fd, a number of socket @f. */
int epset_ctl(struct epset *s, int op, struct file *f, int fd,
	      const struct epoll_event *ev);
/* Up to @n events of our sockets into the program's memory. @scan: 0 at the
 * first of several calls for one wait. */
int epset_take(struct epset *s, struct epoll_event *v, int n, uint32_t *scan);
/* From now on waits for @s look at the kernel's half too. */
void epset_has_kernel(struct epset *s);
/* Is one ready? Lock held. */
bool epset_look(struct epset *s);
/* The same for a poll from outside, which takes those that are not off the
 * list, up to the first that is: later order depends on it. */
bool epset_drop_look(struct epset *s);
/* Somebody should look at @s. Lock held. */
void epset_wake(struct epset *s);
/* @s is in use: not taken apart although its last number is closed. Lock
 * held. */
void epset_get(struct epset *s);
void epset_put(struct epset *s);
/* Closes what sets that went have left, which can't be done under the lock. */
void epset_close_stale(void);
/* An eventfd with a high number, or -errno. */
int epset_eventfd(void);

/* --- epset_nest.c --- */
/* @s, whose number is @epfd, is nested in another set. */
int epset_nest(struct epset *s, int epfd);
/* What @s shows the kernel is made true. */
void epset_nest_refresh(struct epset *s);
/* @s goes. The fd to be closed later, or -1. Lock held. */
int epset_nest_fini(struct epset *s);
/* In a forked child. */
void epset_nest_forked(void);

/* --- epnum.c --- */
/* epoll_create() gave @fd, or an error. */
int epnum_created(int fd);
/* The set behind @epfd, an epoll fd, made if it is not there yet. */
int epnum_make_set(int epfd, struct epset **out);
/* The file of @epfd's set, also if the number is a copy of one that has a set
 * and we were not told. NULL: the kernel's alone. */
struct file *epnum_file(int epfd);
/* @fd, which is perhaps an epoll fd, is put into @epfd. */
void epnum_note_nested(int epfd, int fd);
/* May there be sets in @epfd? */
bool epnum_is_outer(int epfd);
/* A wait for @epfd that @blocks goes to the kernel as it is, unless this says
 * false; then it is counted until epnum_leave(). */
bool epnum_enter(int epfd, bool blocks);
/* What the wait gave, without events of our own; -ERESTART when the set has got
 * sockets of ours meanwhile and the wait has to start again. */
#define EPNUM_RESTART (-512)
int epnum_leave(int epfd, struct epoll_event *v, int r, bool blocks);
/* Takes events with one of our eventfds as their data out of @v. */
int epnum_hide(struct epoll_event *v, int n, const struct epset *s);
void epnum_forked(void);

#endif
