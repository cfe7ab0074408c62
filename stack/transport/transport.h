/* SPDX-License-Identifier: MIT
 *
 * transport.h - the transports as a whole: endpoints, ports, and who gets what
 */
#ifndef TCPSHIM_TRANSPORT_H
#define TCPSHIM_TRANSPORT_H

#include "ip/ip.h"
#include "transport/ep.h"

struct tcp; /* tcp.h */

#define PORT_NUM_NEXT 256 /* RFC 6056 3.3.4: TABLE_LENGTH */

struct transport {
	struct core *core;
	struct ip *ip;
	struct ep_table eps;
	struct ep_party {
		struct list subs; /* eps whose readiness changed, in order */
		struct list link; /* on ->news */
	} * parties;		  /* num_parties */
	unsigned num_parties;
	uint16_t party;	   /* who holds the lock */
	struct list news;  /* parties whose queue is not empty any more */
	struct htab tags;  /* struct ep by ->tag */
	struct htab ports; /* struct ep by (kind, lport): bound or listening */
	struct htab udp_conn; /* connected UDP eps by 4-tuple */
	struct list raws;     /* raw sockets, oldest first */
	struct tcp *tcp;
	/* whose own state the holder of the lock is changing, if it is a TCP
	 * one; NULL: nobody's. See rebuild.c */
	struct ep *hand;
	struct loan_block *loans; /* loan.h */
	struct loan *free_loans;
	uint64_t cookie;   /* SO_COOKIE counter */
	uint64_t bind_seq; /* order of binding */
	/* RFC 6056 3.3.4: one counter per bucket of remote ends */
	uint32_t port_next[PORT_NUM_NEXT];
};

/* From now on what belongs to @e alone is being changed. */
static inline void transport_note(struct transport *tp, struct ep *e)
{
	__asm__ volatile("" ::: "memory"); /* what came before is done */
	__atomic_store_n(&tp->hand, e, __ATOMIC_RELAXED);
	__asm__ volatile("" ::: "memory");
}

int transport_init(struct transport *tp, struct core *c, struct ip *ip,
		   unsigned num_parties);
void transport_fini(struct transport *tp);

/* port.c: local ports and who may share them (socket(7) SO_REUSEADDR and
 * SO_REUSEPORT, ip(7); Linux's inet_csk_get_port and udp_lib_get_port). */

/* Binds @e to (@addr, @port), any allowed; port 0 picks an ephemeral one (RFC
 * 6056 algorithm 4, low and high of sysctl). 0, -EADDRINUSE, -EADDRNOTAVAIL,
 * -EINVAL when bound already. */
int port_bind(struct ep *e, const struct ip_addr *addr, uint16_t port);
/* Ephemeral port for a connect, such that the 4-tuple is free; laddr and the
 * remote end are set in @e. 0 or -EADDRNOTAVAIL. */
int port_bind_connect(struct ep *e, nsec now);
void port_release(struct ep *e);
/* It says that it is bound, but the table is new. */
void port_refill(struct ep *e);
/* A TCP listener is about to be: are there conflicting ones? 0/-EADDRINUSE. */
int port_listen_check(struct ep *e);
/* Child of a listener: shares its parent's port entry. */
void port_inherit(struct ep *child, const struct ep *parent);
/* Best match for a packet that came by interface @dif (0: any): bound to an
 * address over any, to a device over none, own family over dual; among
 * SO_REUSEPORT equals by @hash. TCP: only listeners. UDP: connected ones of the
 * 4-tuple first. */
struct ep *port_lookup(struct transport *tp, enum ep_kind kind,
		       const struct ip_addr *laddr, uint16_t lport,
		       const struct ip_addr *raddr, uint16_t rport,
		       uint32_t dif, uint32_t hash);

/* Every endpoint on @lport, for broadcast and multicast; @after NULL: first. */
struct ep *port_next(struct transport *tp, enum ep_kind kind, uint16_t lport,
		     const struct ep *after);
/* Hash of a connected UDP endpoint's 4-tuple, for ->udp_conn. */
uint32_t port_conn_hash(const struct transport *tp, const struct ip_addr *laddr,
			uint16_t lport, const struct ip_addr *raddr,
			uint16_t rport);
/* Would a packet that came by @dif reach @e as far as SO_BINDTODEVICE goes? */
static inline bool port_dev_matches(const struct ep *e, uint32_t dif)
{
	return !e->dev_if || !dif || e->dev_if == dif;
}
/* Would a datagram or SYN to @laddr reach @e by its local address alone? */
bool port_takes(const struct ip_addr *bound, bool v6only,
		const struct ip_addr *laddr);
bool port_addr_matches(const struct ep *e, const struct ip_addr *laddr);

/* What is known of a received packet beside its bytes. */
struct dgram_from {
	struct ip_addr src, dst;
	uint32_t len;	/* of the whole datagram */
	uint32_t flow;	/* IPv6 flow label */
	uint32_t drops; /* SO_RXQ_OVFL: before this one */
	uint16_t sport;
	uint16_t gso_size; /* UDP_GRO: many of this size; 0: one */
	uint8_t ttl, tos;
	uint8_t link; /* enum link_id: where it came from */
	uint8_t num_opts;
	const uint8_t *opts; /* IPv4 options, in the datagram's own buffer */
	nsec at;
};

struct dgram { /* one queued datagram */
	struct list node;
	struct buf *b;	     /* holds the bytes */
	const uint8_t *data; /* payload */
	uint32_t charge;
	bool is_peeked; /* SO_PEEK_OFF has been behind it */
	struct dgram_from from;
};

/* udp.c */
enum ip_verdict udp_in(struct transport *tp, const struct ip_rx *rx, nsec now);
void udp_error(struct transport *tp, const struct ip_error *e, nsec now);

#endif
