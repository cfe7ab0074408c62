/* SPDX-License-Identifier: MIT
 *
 * addr.h - one address type for both families
 *
 * An IPv4 address is kept v4-mapped (::ffff:a.b.c.d, RFC 4291 2.5.5.2), so
 * one key, one comparison and one socket layer serve both families, and a
 * v4-mapped IPv6 socket is no special case. Bytes are in network order.
 */
#ifndef TCPSHIM_ADDR_H
#define TCPSHIM_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"

struct ip_addr {
	union {
		uint8_t b[16];
		uint64_t q[2];
	};
};

static inline bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}

static inline bool ip_addr_is4(const struct ip_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->b, mapped, 12) == 0;
}

static inline struct ip_addr ip_addr_v4(const void *four) /* network order */
{
	struct ip_addr a = {.b = {[10] = 0xff, [11] = 0xff}};

	memcpy(a.b + 12, four, 4);
	return a;
}

static inline struct ip_addr ip_addr_v6(const void *sixteen)
{
	struct ip_addr a;

	memcpy(a.b, sixteen, 16);
	return a;
}

static inline uint32_t ip_addr_be32(const struct ip_addr *a) /* host order */
{
	return get_be32(a->b + 12);
}

/* 0.0.0.0 or :: */
bool ip_addr_is_any(const struct ip_addr *a);
bool ip_addr_is_loopback(const struct ip_addr *a);  /* 127/8, ::1 */
bool ip_addr_is_multicast(const struct ip_addr *a); /* 224/4, ff00::/8 */
bool ip_addr_is_linklocal(const struct ip_addr *a); /* 169.254/16, fe80::/10 */
bool ip_addr_is_limited_bcast(const struct ip_addr *a); /* 255.255.255.255 */
/* @plen counts bits of the family's own address: 0..32 or 0..128; prefixes of
 * different families never match. */
bool ip_addr_in_prefix(const struct ip_addr *a, const struct ip_addr *net,
		       unsigned plen);

#define IP_ADDR_STRLEN 46
/* Text form of RFC 5952 / dotted quad into @buf, which is returned. */
const char *ip_addr_str(const struct ip_addr *a, char buf[IP_ADDR_STRLEN]);
/* Parses "10.0.0.1" or "fd00::1"; no DNS, no zone. 0 or -EINVAL. */
int ip_addr_parse(const char *s, struct ip_addr *out);

#endif
