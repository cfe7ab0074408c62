/* SPDX-License-Identifier: MIT
 *
 * raw.h - sockets that see IP itself (raw(7)), and those that ping (icmp(7))
 */
#ifndef TCPSHIM_TRANSPORT_RAW_H
#define TCPSHIM_TRANSPORT_RAW_H

#include "transport/dgram.h"

#define RAW_NO_CSUM (-1) /* ep->raw_csum: no checksum is ours to make */

/* @e, made for a protocol, hears of packets from now on. */
void raw_ep_init(struct ep *e);
void raw_leave(struct ep *e); /* and no more */
/* Gives a copy to each raw socket that wants one; was there one? */
bool raw_in(struct transport *tp, const struct ip_rx *rx);
void raw_error(struct transport *tp, const struct ip_error *e);
/* Is the header the caller's own (IP_HDRINCL, IPV6_HDRINCL)? */
bool raw_has_header(const struct ep *e);
/* The @len bytes at @data, which lie in @c, in @p and down; takes @p. */
int raw_send(struct ep *e, const struct dgram_tx *tx, const struct ip_tx *ip,
	     struct chunk *c, uint8_t *data, uint32_t len, struct pkt *p,
	     nsec now);

/* Completes the echo request at @data: identifier and checksum. 0, -EINVAL. */
int ping_finish(const struct ep *e, const struct dgram_tx *tx, uint8_t *data,
		uint32_t len);
enum ip_verdict ping_in(struct transport *tp, const struct ip_rx *rx, nsec now);
void ping_error(struct transport *tp, const struct ip_error *e, nsec now);

#endif
