/* SPDX-License-Identifier: MIT
 *
 * errq.h - the error queue of a socket: MSG_ERRQUEUE of recvmsg(2)
 *
 * Notes about what became of things that were sent: ICMP errors and local ones
 * (IP_RECVERR), transmit timestamps, MSG_ZEROCOPY. Linux's sk_error_queue: in
 * order of arrival, charged to the receive buffer, and a note that finds it
 * full is lost.
 */
#ifndef TCPSHIM_TRANSPORT_ERRQ_H
#define TCPSHIM_TRANSPORT_ERRQ_H

#include <time.h>

#include <linux/errqueue.h> /* wants struct timespec */

#include "base/pkt.h"
#include "ip/ip.h"
#include "transport/dgram.h"

struct errq_note {
	struct list node;
	struct sock_extended_err ee;
	bool has_name;		/* where the packet was going */
	bool has_info;		/* ->info is of the packet that told us */
	struct ip_addr name;	/* and its port */
	uint16_t port;		/* host order */
	struct dgram_from info; /* src: the offender */
	nsec at;		/* 0: none */
	uint32_t charge;
	uint32_t len;  /* of the payload */
	struct buf *b; /* holds the payload; NULL: see @pkt, or none */
	const uint8_t *data;
	struct pkt *pkt; /* the payload is a whole packet */
};

/* EPOLL* bits that it adds. */
uint32_t errq_poll(const struct ep *e);
/* Queues a copy of @n, whose buffers become the queue's. 0, or -ENOMEM: lost,
 * its buffers released. */
int errq_push(struct ep *e, const struct errq_note *n);
/* A packet of ours was refused, or will be: IP_RECVERR. @payload of @len bytes
 * lies in what the ICMP message quotes. */
void errq_icmp(struct ep *e, const struct ip_error *err, uint16_t port,
	       const uint8_t *payload, uint32_t len);
/* The same from ourselves: @dst with @port would want packets of @mtu. */
void errq_local(struct ep *e, int err, const struct ip_addr *dst, uint16_t port,
		uint32_t mtu);
/* SCM_TSTAMP_* @type of the send with @id; @p: its packet, or NULL. */
void errq_stamp(struct ep *e, uint32_t type, uint32_t id, const struct pkt *p,
		nsec now);
/* MSG_ZEROCOPY send number @id: its bytes are the program's again. We copy, so
 * that is so at once, and the note says "copied". */
void errq_zerocopy(struct ep *e, uint32_t id);

/* Takes the first off; NULL: none. SO_ERROR becomes that of the next ICMP
 * error, as in Linux. The caller updates readiness, and frees it. */
struct errq_note *errq_take(struct ep *e);
void errq_free(struct core *c, struct errq_note *n);
void errq_fini(struct ep *e);
/* IP_RECVERR was cleared: all but MSG_ZEROCOPY's notes go. */
void errq_purge(struct ep *e);
/* The payload in pieces, cut to @want bytes: how many bytes. */
uint32_t errq_payload(const struct errq_note *n, size_t want, struct span *sp);

#endif
