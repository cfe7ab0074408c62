/* SPDX-License-Identifier: MIT
 *
 * icmp.h - ICMPv4 (RFC 792) and ICMPv6 (RFC 4443) messages
 */
#ifndef TCPSHIM_WIRE_ICMP_H
#define TCPSHIM_WIRE_ICMP_H

#include "base/addr.h"
#include "base/stats.h"

#define ICMP_HLEN 8

enum { /* type values */
       ICMP4_ECHO_REPLY = 0,
       ICMP4_UNREACH = 3,
       ICMP4_ECHO = 8,
       ICMP4_TIME_EXCEEDED = 11,
       ICMP4_PARAM_PROBLEM = 12,
       ICMP6_UNREACH = 1,
       ICMP6_TOO_BIG = 2,
       ICMP6_TIME_EXCEEDED = 3,
       ICMP6_PARAM_PROBLEM = 4,
       ICMP6_ECHO = 128,
       ICMP6_ECHO_REPLY = 129,
};

enum { /* codes */
       ICMP4_UNREACH_NET = 0,
       ICMP4_UNREACH_HOST = 1,
       ICMP4_UNREACH_PROTO = 2,
       ICMP4_UNREACH_PORT = 3,
       ICMP4_UNREACH_FRAG = 4,
       ICMP6_UNREACH_NOROUTE = 0,
       ICMP6_UNREACH_ADMIN = 1,
       ICMP6_UNREACH_ADDR = 3,
       ICMP6_UNREACH_PORT = 4,
};

struct icmp_repr {
	uint8_t type, code;
	uint32_t rest; /* bytes 4..7 in host order: id<<16|seq, mtu, pointer */
	const uint8_t *body; /* after the 8 bytes */
	uint32_t body_len;
};

/* Checks length and, unless @csum_ok, the checksum. @src/@dst: the ICMPv6
 * pseudo header; their family says which ICMP this is. */
enum drop icmp_parse(struct icmp_repr *r, const struct ip_addr *src,
		     const struct ip_addr *dst, const uint8_t *p, size_t len,
		     int csum_ok);
/* Writes the 8 header bytes; the checksum covers @payload_sum (an unfolded
 * csum.h sum over the body of @body_len bytes) and the v6 pseudo header. */
void icmp_emit(const struct icmp_repr *r, const struct ip_addr *src,
	       const struct ip_addr *dst, uint64_t payload_sum, uint8_t *p);
size_t icmp_print(const struct icmp_repr *r, int is4, char *out, size_t len);

#endif
