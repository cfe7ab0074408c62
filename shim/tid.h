/* SPDX-License-Identifier: MIT
 *
 * tid.h - a child of the system call itself, as libc would have made it
 */
#ifndef TCPSHIM_TID_H
#define TCPSHIM_TID_H

#include <stdbool.h>

/* Before there is a child: where libc keeps what a child must change. */
void tid_init(void);
/* In a child: it is no more taken for its parent. False: it can't be done, and
 * no lock may be taken. Costs one system call where libc did it. */
bool tid_fix(void);

#endif
