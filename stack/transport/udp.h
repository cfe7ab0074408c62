/* SPDX-License-Identifier: MIT
 *
 * udp.h - datagram sockets (RFC 768) as the socket layer sees them
 *
 * Addresses arrive checked and mapped: sock/ knows sockaddrs, this folder only
 * struct ip_addr.
 */
#ifndef TCPSHIM_TRANSPORT_UDP_H
#define TCPSHIM_TRANSPORT_UDP_H

#include "transport/tcp.h"
#include "transport/transport.h"

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

/* What goes beside the bytes of one datagram. */
struct udp_to {
	struct ip_addr dst;
	uint16_t dport;
	bool has_dst; /* else the connected peer */
	bool has_src;
	struct ip_addr src;
	int ttl, tos; /* -1: the socket's */
};

struct udp_from {
	struct ip_addr src, dst;
	uint16_t sport;
	uint8_t ttl, tos;
	uint32_t len; /* of the whole datagram */
	nsec at;
};

void udp_ep_fini(struct ep *e);
void udp_close(struct ep *e);
/* raddr and rport as given; chooses laddr if none is bound. 0, -EACCES for a
 * broadcast address without SO_BROADCAST, -ENETUNREACH, ... */
int udp_connect(struct ep *e, const struct ip_addr *dst, uint16_t dport);
void udp_disconnect(struct ep *e);
int udp_shutdown(struct ep *e, int how);

/* A datagram is lent whole: 0.. (@want, as zero is a datagram too) or -errno.
 * -EAGAIN: send buffer full. Every begin that gave no error wants a commit. */
int udp_send_begin(struct ep *e, size_t want, int flags,
		   const struct udp_to *to, struct span *sp, nsec now);
/* @len < 0 gives everything back and sends nothing. */
int udp_send_commit(struct ep *e, struct span *sp, ssize_t len, int flags,
		    nsec now);
/* The first datagram, cut to @want: bytes lent or -errno. */
int udp_recv_begin(struct ep *e, size_t want, int flags, struct udp_from *from,
		   struct span *sp, nsec now);
void udp_recv_commit(struct ep *e, struct span *sp);
int udp_ioctl(struct ep *e, unsigned long req);
uint32_t udp_poll(const struct ep *e);
/* UDP_CORK was cleared: what is held goes out. */
int udp_push(struct ep *e, nsec now);
/* The device has, or refused, @charge bytes. */
void udp_tx_done(struct ep *e, uint32_t charge);

int udp_group_join(struct ep *e, const struct ip_addr *group, uint32_t ifindex);
bool udp_host_has_group(const struct transport *tp, const struct ip_addr *a);
int udp_group_leave(struct ep *e, const struct ip_addr *group);

#endif
