/* SPDX-License-Identifier: MIT
 *
 * tcp_ecn.c - explicit congestion notification (RFC 3168)
 *
 * A router that is about to drop marks instead (CE in the IP header); the
 * receiver echoes the mark in every ACK (ECE) until the sender says that it has
 * reduced its window (CWR). New data is sent as capable (ECT); resends, pure
 * ACKs and probes are not, since their loss must not go unnoticed.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

#define ECN_MASK 3u /* of the TOS byte, RFC 3168 5 */
#define ECN_NOT_ECT 0u
#define ECN_ECT0 2u
#define ECN_CE 3u

bool tcp_ecn_asked(const struct tcp_seg *s)
{
	uint8_t both = s->r.flags & (TCP_ECE | TCP_CWR);

	if (s->r.flags & TCP_ACK) /* a SYN-ACK agrees with ECE alone */
		return both == TCP_ECE;
	/* a SYN must not be ECT itself: then the bits mean something else */
	return both == (TCP_ECE | TCP_CWR) &&
	       (s->rx->tos & ECN_MASK) == ECN_NOT_ECT;
}

void tcp_ecn_in(struct tcp_conn *c, const struct tcp_seg *s)
{
	if (!c->ecn_ok)
		return;
	if (s->r.flags & TCP_CWR) {
		c->ecn_demand = false;
		c->owe |= TCP_OWE_NOW; /* its window may be very small now */
	}
	switch (s->rx->tos & ECN_MASK) {
	case ECN_NOT_ECT:
		/* from one that marks its data: a resend, so it waits */
		if (c->ecn_seen)
			tcp_be_quick(c);
		break;
	case ECN_CE:
		if (!c->ecn_demand)
			tcp_be_quick(c);
		c->ecn_demand = true;
		c->ecn_seen = true;
		break;
	default:
		c->ecn_seen = true;
	}
}

uint8_t tcp_ecn_out(struct tcp_conn *c, uint8_t flags, bool is_new_data,
		    uint8_t *tos)
{
	uint8_t add = 0;

	if (flags & TCP_SYN && flags & TCP_ACK)
		return c->ecn_ok ? TCP_ECE : 0;
	if (flags & TCP_SYN)
		return c->ecn_try ? TCP_ECE | TCP_CWR : 0;
	if (!c->ecn_ok || flags & TCP_RST)
		return 0;
	if (is_new_data) {
		*tos = (uint8_t)((*tos & ~ECN_MASK) | ECN_ECT0);
		if (c->ecn_cwr)
			add |= TCP_CWR;
	}
	return c->ecn_demand ? add | TCP_ECE : add;
}
