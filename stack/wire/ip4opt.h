/* SPDX-License-Identifier: MIT
 *
 * ip4opt.h - options of the IPv4 header (RFC 791 3.1)
 *
 * Those that record: each host on the way, the first and the last included,
 * writes its address (record route) or its time (timestamp) into them.
 */
#ifndef TCPSHIM_WIRE_IP4OPT_H
#define TCPSHIM_WIRE_IP4OPT_H

#include <stdbool.h>

#include "base/addr.h"

#define IP4_OPT_MAX 40

enum {
	IP4_OPT_END = 0,
	IP4_OPT_NOP = 1,
	IP4_OPT_RR = 7,
	IP4_OPT_TS = 68,
	IP4_OPT_LSRR = 131,
	IP4_OPT_SSRR = 137,
	IP4_OPT_RA = 148, /* RFC 2113 */
};

/* Bytes of the option at @at of @len; 0: malformed. */
unsigned ip4_opt_len(const uint8_t *o, unsigned len, unsigned at);
/* Leaves the mark of a host that is @addr, at @ms, where there is room. -1, or
 * the offset of what is malformed. */
int ip4_opt_record(uint8_t *o, unsigned len, const struct ip_addr *addr,
		   uint32_t ms);
/* What goes into the answer to @in: the records so far. Into @out, padded; its
 * length. */
unsigned ip4_opt_echo(const uint8_t *in, unsigned len,
		      uint8_t out[IP4_OPT_MAX]);
/* What later fragments do not carry becomes NOP. */
void ip4_opt_later(uint8_t *o, unsigned len);

#endif
