/* SPDX-License-Identifier: MIT
 *
 * udp.h - the user datagram protocol (RFC 768), beside what is in dgram.h
 */
#ifndef TCPSHIM_TRANSPORT_UDP_H
#define TCPSHIM_TRANSPORT_UDP_H

#include "transport/dgram.h"

/* Most that one datagram carries: 65535 less the headers (RFC 768). */
#define UDP_MAX4 65507
#define UDP_MAX6 65527

/* Most datagrams that UDP_SEGMENT makes of one send. */
#define UDP_MAX_SEGMENTS 128

/* The header of a datagram with @len bytes, in front of @p; with UDP_SEGMENT,
 * of many. 0, or -EMSGSIZE or -EINVAL when they cannot be so. */
int udp_put_header(struct ep *e, struct pkt *p, const struct dgram_tx *tx,
		   uint32_t len, nsec now);

#endif
