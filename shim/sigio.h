/* SPDX-License-Identifier: MIT
 *
 * sigio.h - SIGIO and SIGURG for who has asked with F_SETOWN and O_ASYNC
 */
#ifndef TCPSHIM_SIGIO_H
#define TCPSHIM_SIGIO_H

#include "fdtab.h"

/* F_SETOWN, F_SETSIG, O_ASYNC or the like was changed on the near end of @f,
 * under number @fd: from now on it is so. No lock held. */
void sigio_changed(int fd, struct file *f);
/* A change of our own making: no signal for it. Caller holds the stack lock. */
void sigio_look(struct file *f);
/* @f has become a kernel socket under the number that asked. */
void sigio_handed_over(struct file *f);
/* After an unlock, handlers wait: what is pending is sent. */
void sigio_send(void);
/* In a forked child: the parent's signals are the parent's. */
void sigio_forked(void);

#endif
