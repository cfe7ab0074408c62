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

/* One membership of one socket, IP_ADD_MEMBERSHIP. */
struct udp_group {
	struct list ep_link;   /* ep->groups */
	struct list host_link; /* transport->groups */
	struct ip_addr group;
	uint32_t ifindex;
};

/* The header of a datagram with @len bytes, in front of @p. */
void udp_put_header(struct ep *e, struct pkt *p, const struct dgram_tx *tx,
		    uint32_t len);
void udp_hear_oneself(struct ep *e, const struct dgram_tx *tx,
		      const uint8_t *data, uint32_t len, nsec now);

int udp_group_join(struct ep *e, const struct ip_addr *group, uint32_t ifindex);
bool udp_host_has_group(const struct transport *tp, const struct ip_addr *a);
int udp_group_leave(struct ep *e, const struct ip_addr *group);

#endif
