/* SPDX-License-Identifier: MIT
 *
 * sock.h - what the socket layer's files share, and the root of the arena
 *
 * Private to stack/: everybody else sees stack.h. The struct is the one place
 * where all layers meet, so it lives in the rightmost of them.
 */
#ifndef TCPSHIM_SOCK_H
#define TCPSHIM_SOCK_H

#include "stack.h"
#include "transport/raw.h"
#include "transport/udp.h"

#define STACK_RX_CACHE 64 /* large frames kept for the next read */

struct stack {
	struct core core;
	struct sysctl_values sysctl;
	struct link link;
	struct ip ip;
	struct transport tp;
	char dev_name[16];
	struct frame *rx_cache[STACK_RX_CACHE]; /* last in, first out */
	unsigned num_rx_cache;
};

/* The endpoint that an fd names, or NULL: none, or its owner is gone. */
struct ep *sock_find(struct stack *st, sockid s);
/* The same, to look at it only: who dies then has broken nothing. */
struct ep *sock_see(struct stack *st, sockid s);
/* EPOLL* bits that hold now, whatever the kind. */
uint32_t sock_bits(const struct ep *e);
/* What @party has between begin and commit. */
void sock_give_back(struct stack *st, uint16_t party, nsec now);
/* Takes SO_ERROR, as reading it does: positive errno or 0. */
int sock_take_error(struct ep *e);
/* @a and @port as the socket's family writes them. */
void sock_put_addr(const struct ep *e, const struct ip_addr *a, uint16_t port,
		   struct sockaddr_storage *ss, socklen_t *len);

/* Where a datagram is to go, as sendmsg(2) names it. 0 or -errno. */
int sock_parse_name(const struct ep *e, const struct sock_msg *m,
		    struct dgram_to *to);

/* Interfaces as if_nametoindex(3) numbers them. */
#define IF_INDEX(link) ((link) == LINK_LO ? 1 : 2)

#endif
