/* SPDX-License-Identifier: MIT
 *
 * ip4.h - the IPv4 header (RFC 791), and nothing that needs state
 */
#ifndef TCPSHIM_WIRE_IP4_H
#define TCPSHIM_WIRE_IP4_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/stats.h"

#define IP4_HLEN 20
#define IP4_MAX_HLEN 60
#define IP4_MIN_MTU 68

struct ip4_repr {
	struct ip_addr src, dst;
	uint16_t total_len; /* header included */
	uint16_t id;
	uint16_t frag_off; /* bytes */
	uint8_t hdr_len;   /* 20..60 */
	uint8_t tos, ttl, proto;
	bool df, mf;
	const uint8_t *opts; /* hdr_len - 20 bytes, inside the packet */
};

/* Checks version, lengths and header checksum; options are only delimited. */
enum drop ip4_parse(struct ip4_repr *r, const uint8_t *p, size_t len);
/* Writes r->hdr_len bytes at @p, header checksum included; @opts is copied. */
void ip4_emit(const struct ip4_repr *r, uint8_t *p);
size_t ip4_print(const struct ip4_repr *r, char *out, size_t len);

#endif
