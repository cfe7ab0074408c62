/* SPDX-License-Identifier: MIT
 *
 * ip6.h - the IPv6 header, its extension chain and the fragment header
 *	   (RFC 8200)
 */
#ifndef TCPSHIM_WIRE_IP6_H
#define TCPSHIM_WIRE_IP6_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/stats.h"

#define IP6_HLEN 40
#define IP6_FRAG_HLEN 8
#define IP6_MIN_MTU 1280

struct ip6_repr {
	struct ip_addr src, dst;
	uint32_t flow;	      /* 20 bits */
	uint16_t payload_len; /* after the 40 bytes */
	uint8_t tclass, hop_limit;
	uint8_t next; /* the first next-header value */
};

/* What walking the chain found. */
struct ip6_chain {
	uint8_t proto; /* upper layer, or IPPROTO_NONE */
	uint16_t off;  /* of the upper layer, from the start of the packet */
	uint16_t unfrag_off; /* of the fragment header, 0 when there is none */
	uint16_t next_off;   /* of the next-header field that named the fragment
				header: reassembly rewrites it */
	uint16_t proto_off;  /* of the next-header field that named ->proto */
	bool is_frag, more;  /* is_frag: there is a fragment header */
	uint16_t frag_off;   /* bytes */
	uint32_t frag_id;
	/* Set when the packet must be answered with a parameter problem. */
	uint8_t problem_code; /* 0 header field, 1 next header, 2 option */
	uint32_t problem_at;  /* offset into the packet; 0: none */
};

enum drop ip6_parse(struct ip6_repr *r, const uint8_t *p, size_t len);
/* Walks hop-by-hop, routing, destination and fragment headers with the option
 * action bits of RFC 8200 4.2; stops at a fragment that is not the first. */
enum drop ip6_walk(struct ip6_chain *c, const uint8_t *p, size_t len);
void ip6_emit(const struct ip6_repr *r, uint8_t *p); /* 40 bytes */
void ip6_frag_emit(uint8_t next, uint16_t off, bool more, uint32_t id,
		   uint8_t *p); /* 8 bytes */
size_t ip6_print(const struct ip6_repr *r, char *out, size_t len);

#endif
