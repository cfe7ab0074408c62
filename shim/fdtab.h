/* SPDX-License-Identifier: MIT
 *
 * fdtab.h - which file descriptors are ours, and what is behind them
 *
 * A flat per-process array from fd to struct file, read without a lock. The
 * number that the program holds is a real kernel fd: for a socket the near end
 * (see fdtab.c), for an epoll set that has one of our sockets in it the
 * kernel's own epoll fd. Several numbers (dup) share one struct file.
 *
 * Lifetime: struct file is type-stable. It is recycled, never given back, so a
 * pointer that was looked up without a lock may go stale, but not wild: whoever
 * holds one passes ->s to the core, and a socket that is gone is -EBADF there.
 * Whoever needs more (a watch) checks under the stack lock.
 */
#ifndef TCPSHIM_FDTAB_H
#define TCPSHIM_FDTAB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "stack.h"

enum file_kind {
	FILE_FREE,
	FILE_SOCK,  /* a socket of the stack: ->s */
	FILE_EPOLL, /* an epoll set with sockets of the stack in it: ->priv */
	FILE_HEIR,  /* a near end that came across exec; nobody has asked for
		     * its socket yet (adopt.c) */
	FILE_TEXT,  /* a sysctl, to be written to: call_file.c */
};

#define FILE_NONBLOCK 1u  /* O_NONBLOCK, as fcntl() would say */
#define FILE_LISTENING 2u /* listen() succeeded */
#define FILE_WATCHED 4u	  /* sock_watch() is in force; stack lock */
#define FILE_SHARED 8u	  /* a copy may exist that we can't see (fork) */
#define FILE_OWNED 16u	  /* F_SETOWN or O_ASYNC was set on the near end */

/* A socket option that was set, to be set again on a kernel socket. */
#define FILE_MAX_OPTS 16
struct file_opt {
	int16_t level, name;
	uint8_t len;
	uint8_t val[19];
};

struct file {
	_Atomic uint8_t kind; /* enum file_kind */
	uint8_t type;	      /* SOCK_STREAM, SOCK_DGRAM */
	uint8_t family;	      /* AF_INET, AF_INET6 */
	uint8_t num_opts;
	_Atomic uint32_t flags; /* FILE_* */
	_Atomic uint32_t refs;	/* fd numbers that name it */
	_Atomic sockid s;	/* FILE_SOCK */
	void *priv;		/* FILE_EPOLL: the set, of call_epoll.c */
	struct list watches;	/* struct watch ->node; stack lock */
	struct sigio *sigio;	/* of sigio.c */
	struct mirror *mirror;	/* of mirror.c */
	struct file *next;	/* on the free list */
	int proto;		/* as given to socket() */
	uint32_t listener;	/* near end: whom it is connected to */
	uint64_t fork_epoch;	/* when it was made, see forks.h */
	uint64_t cookie;	/* near end: SO_COOKIE */
	struct file_opt
		*opts; /* FILE_MAX_OPTS; not touched while none is set */
};

/* Two tables in one: their first pages lie together. */
struct fdtab_slot {
	_Atomic(struct file *) by_fd;
	_Atomic(struct file *) by_sock; /* by index of the sockid */
};
extern struct fdtab_slot *fdtab_v; /* NULL until something is ours */
extern unsigned fdtab_num;	   /* 0 until something is ours */

/* What @fd names, if it is ours, whatever its kind. */
static inline struct file *fd_file(int fd)
{
	if (__builtin_expect((unsigned)fd >= fdtab_num, 1))
		return NULL;
	return atomic_load_explicit(&fdtab_v[fd].by_fd, memory_order_acquire);
}

/* An heir is used: what it names, or NULL if that is not ours. errno stays. */
struct file *fd_adopt_heir(int fd);

/* As fd_file(); an heir becomes what it is. */
static inline struct file *fd_any(int fd)
{
	struct file *f = fd_file(fd);

	return f && f->kind == FILE_HEIR ? fd_adopt_heir(fd) : f;
}

/* A socket of the stack, or NULL: pass the call on to real.NAME. */
static inline struct file *fd_sock(int fd)
{
	struct file *f = fd_file(fd);

	if (!f || __builtin_expect(f->kind == FILE_SOCK, 1))
		return f;
	return f->kind == FILE_HEIR ? fd_adopt_heir(fd) : NULL;
}

/* An epoll set that has, or had, sockets of the stack in it; or NULL. */
static inline struct file *fd_epoll(int fd)
{
	struct file *f = fd_file(fd);

	return f && f->kind == FILE_EPOLL ? f : NULL;
}

/* A sysctl that was opened for writing, or NULL. */
static inline struct file *fd_text(int fd)
{
	struct file *f = fd_file(fd);

	return f && f->kind == FILE_TEXT ? f : NULL;
}

static inline bool file_has(const struct file *f, uint32_t flag)
{
	return atomic_load_explicit(&f->flags, memory_order_relaxed) & flag;
}

/* A struct file with one reference, not yet in the table; or NULL. */
struct file *file_new(enum file_kind kind);
/* Makes @fd name @f (one reference moves into the table). What it named before
 * by a stale entry is forgotten. 0 or -EMFILE when @fd is beyond the table. */
int fd_install(int fd, struct file *f);
/* The struct file of a socket of this process; NULL: not (any more) ours.
 * Caller holds the stack lock. */
struct file *file_of_sock(sockid s);
/* Some number that names @f, or -1. Slow. */
int file_some_fd(struct file *f);

/* Is @fd one of the library's own? Such a number is not the program's to
 * close, dup over or poll. */
bool fd_is_internal(int fd);
/* Moves @fd to a high number, CLOEXEC, and remembers it as internal. The new
 * number; the old one is closed either way. Negative errno: none free. */
int fd_make_internal(int fd);
void fd_close_internal(int fd);
void fd_note_internal(int fd); /* stays where it is (libuv's own) */

/* Defined by epset.c.
 * The last number of an epoll set was closed: @f is FILE_EPOLL. */
void epoll_file_free(struct file *f);
/* @fd, a number of it, is about to be: who waits for the set goes on. */
void epoll_number_goes(struct file *f, int fd);
/* @fd, a number of socket @f, now is a kernel socket: every registration of it
 * in an epoll set is made anew with the kernel, before the program goes on.
 * Called before the socket's watches hear of WATCH_GONE; no lock held. */
void epoll_file_handed_over(struct file *f, int fd);
/* In a forked child: sets made by the parent are the kernel's again without
 * @has_keeper; else they stay, without the parent's threads. */
void epoll_forked(bool has_keeper);
/* Address space that the tables take. */
size_t fdtab_reserved(void);
/* May a socket of ours be without FD_CLOEXEC? */
bool fdtab_may_hand_down(void);
/* adopt.c: from the constructor. Numbers below @num_fds, and 0, 1 and 2, that
 * were handed down are noted. */
void heirs_init(unsigned num_fds);
/* Joins the host if heirs wait, while that is possible; all of them are
 * adopted, since later may be too late. */
void heirs_join(void);
void heirs_adopt(void);
void fdtab_hands_down(void); /* one is, from now on */
/* A program that we are not in will have what is handed down: the keeper moves
 * the bytes. No lock held. */
void fdtab_relay(void);
/* Is @fd a near end, of whatever host? Needs nothing. */
bool fd_is_handed_down(int fd);

/* Defined by epnum.c: numbers that are epoll fds, with or without a set. */
extern _Atomic uint32_t epnum_bits[];
#define EPNUM_MOST 65536
/* @copy (or an error) was made of @fd, with dup() or so. */
void epoll_number_copied(int fd, int copy);
void epoll_number_closed(int fd);
static inline bool epoll_is_number(int fd)
{
	return (unsigned)fd < EPNUM_MOST &&
	       epnum_bits[fd / 32] >> (fd % 32) & 1;
}

#endif
