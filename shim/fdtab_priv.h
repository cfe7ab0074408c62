/* SPDX-License-Identifier: MIT
 *
 * fdtab_priv.h - what the files about numbers share with each other
 */
#ifndef TCPSHIM_FDTAB_PRIV_H
#define TCPSHIM_FDTAB_PRIV_H

#include "call_priv.h"

#define FD_MAX (1u << 20)
#define NO_LISTENER UINT32_MAX /* of a near end that another process made */

/* fdnum.c */
/* @v: FD_MAX zeros. */
void fdnum_table(_Atomic uint8_t *v);
int fdnum_init(void);
/* As fd_make_internal(), for what we can do without: only where it costs nobody
 * a number. */
int fdnum_make_if_easy(int fd);
/* In a forked child: what it has of its parent's is closed. */
void fdnum_forked(void);

/* near.c */
uint64_t near_cookie(int fd); /* SO_COOKIE; 0: not a socket */
/* A near end on listener @idx is no more. */
void near_listener_put(uint32_t idx);
uint32_t near_listener_num(uint32_t idx); /* at the keeper's */
void near_forked(void);

/* fdtab.c */
void *fdtab_reserve(size_t len); /* memory that is there when touched; NULL */
int fdtab_tables(void);		 /* makes them, once. 0 or -errno */
/* @f is now @s, which is what @facts say, with @n behind its number, and has
 * @flags. 0 or -errno. */
int file_become(struct file *f, const struct near *n, sockid s,
		const struct sock_facts *facts, uint32_t flags);
struct file *file_new_early(enum file_kind kind); /* there is no host yet */
void file_free(struct file *f); /* caller holds the stack lock */

#endif
