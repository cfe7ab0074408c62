/* SPDX-License-Identifier: MIT
 *
 * rights.h - sockets of ours that travel over an AF_UNIX socket
 */
#ifndef TCPSHIM_RIGHTS_H
#define TCPSHIM_RIGHTS_H

#include <sys/socket.h>

/* @h is about to be sent on a socket of the kernel's. */
void rights_go(const struct msghdr *h);
/* @h was received there. */
void rights_came(const struct msghdr *h);

#endif
