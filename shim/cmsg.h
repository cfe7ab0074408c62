/* SPDX-License-Identifier: MIT
 *
 * cmsg.h - control data between the program's msghdr and the core
 */
#ifndef TCPSHIM_SHIM_CMSG_H
#define TCPSHIM_SHIM_CMSG_H

#include <sys/socket.h>

#include "stack.h"

/* Empty, and ready for what the core has to tell. */
void cmsg_prepare(struct sock_ctl *c);
/* To the program, as far as there is room: MSG_CTRUNC in @h->msg_flags. */
void cmsg_to_program(struct msghdr *h, const struct sock_ctl *c);
/* From the program. 0 or -ENOBUFS. */
int cmsg_from_program(const struct msghdr *h, struct sock_ctl *c);

#endif
