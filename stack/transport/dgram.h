/* SPDX-License-Identifier: MIT
 *
 * dgram.h - what sockets of whole messages have in common: UDP, raw, ping
 *
 * Addresses arrive checked and mapped: sock/ knows sockaddrs, this folder only
 * struct ip_addr. What differs between the kinds (headers, who gets a packet)
 * is in udp.c and its neighbours.
 */
#ifndef TCPSHIM_TRANSPORT_DGRAM_H
#define TCPSHIM_TRANSPORT_DGRAM_H

#include "transport/tcp.h"
#include "transport/transport.h"

/* What goes beside the bytes of one datagram. */
struct dgram_to {
	struct ip_addr dst;
	uint16_t dport;
	bool has_dst; /* else the connected peer */
	bool has_src;
	bool has_stamp_id;
	bool on_link;  /* MSG_DONTROUTE */
	uint32_t flow; /* label that was asked for */
	struct ip_addr src;
	int ttl, tos, dontfrag; /* -1: the socket's */
	uint32_t ifindex;	/* 0: by route */
	uint32_t gso_size;	/* UDP_SEGMENT; 0: one datagram */
	uint8_t proto;		/* raw sockets; 0: the socket's */
	uint32_t stamp;		/* SOF_TIMESTAMPING_* */
	uint32_t stamp_id;
};

/* A datagram under way, at the beginning of a lent chunk's data. */
struct dgram_tx {
	struct ip_addr src, dst;
	uint32_t charge;
	uint32_t room;	    /* bytes lent */
	uint32_t mtu;	    /* a longer packet is refused; 0: no such limit */
	uint32_t flow;	    /* IPv6 flow label */
	uint32_t frag_size; /* IPV6_MTU; 0: the path's */
	uint32_t stamp, stamp_id;
	uint32_t gso_size; /* UDP_SEGMENT: cut into pieces of this size */
	uint16_t dport;
	int16_t ttl;
	uint8_t tos, proto;
	uint32_t oif;
	bool df, df_always, is_probe;
};

/* A datagram that is not complete: MSG_MORE, UDP_CORK. */
struct dgram_cork {
	struct chunk *c; /* struct dgram_tx, then the bytes */
	uint32_t len;
	bool is_lent;
};

static inline bool dgram_is(const struct ep *e)
{
	return e->kind != EP_TCP;
}

void dgram_ep_fini(struct ep *e);
void dgram_close(struct ep *e, nsec now);
/* Gives @e a port, if it has none. False: there is none left. */
bool dgram_autobind(struct ep *e);
/* @e has a port. raddr and rport as given; chooses laddr if none is bound. 0,
 * -EACCES for a broadcast address without SO_BROADCAST, -ENETUNREACH, ... */
int dgram_connect(struct ep *e, const struct ip_addr *dst, uint16_t dport);
void dgram_disconnect(struct ep *e);
int dgram_shutdown(struct ep *e, int how);

/* A datagram is lent whole: 0.. (@want, as zero is a datagram too) or -errno.
 * -EAGAIN: send buffer full. Every begin that gave no error wants a commit. */
int dgram_send_begin(struct ep *e, size_t want, int flags,
		     const struct dgram_to *to, struct span *sp, nsec now);
/* @len < 0 gives everything back and sends nothing. */
int dgram_send_commit(struct ep *e, struct span *sp, ssize_t len, int flags,
		      nsec now);
/* The first datagram, cut to @want: bytes lent or -errno. */
int dgram_recv_begin(struct ep *e, size_t want, int flags,
		     struct dgram_from *from, struct span *sp, nsec now);
void dgram_recv_commit(struct ep *e, struct span *sp);
int dgram_ioctl(struct ep *e, unsigned long req);
uint32_t dgram_poll(const struct ep *e);
void dgram_free(struct ep *e, struct dgram *d); /* off the queue already */
/* UDP_CORK was cleared: what is held goes out. */
int dgram_push(struct ep *e, nsec now);
/* A datagram that wants to know (SO_TIMESTAMPING) was queued, or has left. */
void dgram_tx_stamp(struct ep *e, uint32_t type, const struct pkt *p, nsec now);
/* The device has, or refused, @charge bytes. */
void dgram_tx_done(struct ep *e, uint32_t charge);

struct dgram_from dgram_from_rx(const struct ip_rx *rx);
/* An ICMP error about what @e sent to @port: told, with the @len quoted bytes
 * at @payload, to who asked for IP_RECVERR, and if it is @hard to who is
 * connected. */
void dgram_error(struct ep *e, const struct ip_error *err, bool hard,
		 uint16_t port, const uint8_t *payload, uint32_t len);
/* From ip: queues @len bytes at @data, which lie in @rx's frame; they move to
 * a frame of their size if that one is much larger. False: there was no room.
 */
bool dgram_deliver(struct ep *e, const struct ip_rx *rx, const uint8_t *data,
		   uint32_t len, uint16_t sport);
/* The same without a move, charged with @charge: a part of a larger frame. */
bool dgram_enqueue(struct ep *e, const struct ip_rx *rx, struct frame *f,
		   const uint8_t *data, uint32_t len, uint32_t charge,
		   uint16_t sport);

/* Datagram sockets of @kind, as tcp_list(). */
unsigned dgram_list(const struct transport *tp, enum ep_kind kind,
		    struct sock_cursor *cur, struct sock_row *rows, unsigned n);

#endif
