/* SPDX-License-Identifier: MIT
 *
 * mirror.h - TCPSHIM_EPOLL=mirror: near ends show what their sockets are ready
 * for, and poll, select and epoll are the kernel's
 */
#ifndef TCPSHIM_MIRROR_H
#define TCPSHIM_MIRROR_H

#include "fdtab.h"

extern bool mirror_is_on;

/* Once, before the first socket. 0 or -errno. */
int mirror_init(void);
/* A near end for a socket of @type, with no far end yet; or -errno. */
int mirror_near(int type, int flags);
/* @fd is the near end of @f, which is in the table. */
void mirror_attach(struct file *f, int fd);
/* Before a wait of the kernel's: every near end shows what holds. */
void mirror_sync(void);
/* After an unlock. */
void mirror_flush(void);
/* Around the end of a number: nothing is done to it meanwhile. */
void mirror_lock(void);
void mirror_unlock(void);

#endif
