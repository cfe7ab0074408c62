/* SPDX-License-Identifier: MIT
 *
 * ip_world.h - a small world for the tests of ip/
 *
 * One host with 10.77.0.2/24 and fd77::2/64 and default routes, on a link that
 * keeps what is sent, and under a transport that notes what it gets. The link
 * and the transport are the test's own: only ip/ and what is below it is real.
 */
#ifndef TCPSHIM_IP_WORLD_H
#define TCPSHIM_IP_WORLD_H

#include "ip/ip.h"
#include "ip/ip_priv.h"

#define WORLD_PORT 7 /* the one port that the transport has, by convention */

struct world {
	struct arena *arena;
	struct core core;
	struct link link;
	struct ip ip;
	struct sysctl_values sysctl;
	nsec now;

	/* what the transport got */
	unsigned num_rx, num_errors;
	struct ip_rx rx; /* the last one; pointers are stale */
	struct ip_error error;
	uint8_t l4[70000];
	uint32_t l4_len;
	enum ip_verdict verdict; /* what it answers */
};

extern struct world w;

void world_init(void);
void world_fini(void); /* and asserts that nothing leaked */

struct ip_addr addr(const char *text);
/* A frame with these bytes comes from the device. */
void world_in(const uint8_t *p, uint32_t len);
void world_in_flags(const uint8_t *p, uint32_t len, uint8_t csum,
		    uint8_t flags);
/* Next packet that was sent, flat; its length, or 0. */
uint32_t world_out(uint8_t *p);
unsigned world_num_out(void);
/* Takes all that was sent, fragments of one datagram or a single packet, and
 * puts L3 header and payload together. */
uint32_t world_out_whole(uint8_t *p);

/* Builders: complete packets from 10.77.0.1 or fd77::1 to us. */
struct build {
	const char *src, *dst;
	uint8_t proto, ttl, tos;
	uint32_t id;
	uint32_t frag_off;
	bool more, is_frag;
	const uint8_t *body;
	uint32_t len;
};
uint32_t build(const struct build *b, uint8_t *p);
/* An echo request with @len patterned bytes, checksum complete. */
uint32_t build_echo(bool is4, uint32_t len, uint8_t *icmp);
/* UDP with a valid checksum of zero (IPv4) or computed (IPv6). */
uint32_t build_udp(bool is4, uint32_t len, uint8_t *udp);

#endif
