/* SPDX-License-Identifier: MIT
 *
 * udp.h - the UDP header (RFC 768)
 */
#ifndef TCPSHIM_WIRE_UDP_H
#define TCPSHIM_WIRE_UDP_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/stats.h"

#define UDP_HLEN 8

struct udp_repr {
	uint16_t src_port, dst_port;
	uint16_t len;  /* header included */
	uint16_t csum; /* as found; 0: the sender computed none */
};

/* Checks lengths, and the checksum when @state is CSUM_NONE. A zero checksum is
 * refused over IPv6 (RFC 8200 8.1). */
enum drop udp_parse(struct udp_repr *r, const struct ip_addr *src,
		    const struct ip_addr *dst, const uint8_t *p, size_t len,
		    enum csum_state state);
/* Writes 8 bytes, checksum field as given in r->csum (network order bits as
 * csum_fold() returns them). */
void udp_emit(const struct udp_repr *r, uint8_t *p);
size_t udp_print(const struct udp_repr *r, char *out, size_t len);

#endif
