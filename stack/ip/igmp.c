/* SPDX-License-Identifier: MIT
 *
 * igmp.c - group messages of IPv4 (RFC 3376, and 2236 and 1112 for old routers)
 *
 * All go out with TTL 1 and the router alert option (RFC 2113); what they say
 * is mcast.c's business.
 */
#include <errno.h>

#include "base/csum.h"
#include "ip/ip_priv.h"
#include "ip/mcast.h"
#include "wire/igmp.h"
#include "wire/ip4.h"

#define ALERT_LEN 4		  /* RFC 2113 2.1 */
#define TOS_CONTROL 0xc0	  /* RFC 3376 4 */
#define ALL_ROUTERS 0xe0000002	  /* 224.0.0.2 */
#define ALL_V3_ROUTERS 0xe0000016 /* 224.0.0.22, RFC 3376 4.2.14 */

static struct ip_addr group_addr(uint32_t a)
{
	uint8_t b[4];

	put_be32(b, a);
	return ip_addr_v4(b);
}

/* @p begins with the IGMP message; takes it. */
static void send_message(struct ip *ip, struct pkt *p,
			 const struct ip_addr *dst, nsec now)
{
	static const uint8_t alert[ALERT_LEN] = {148, 4, 0, 0};
	struct ip_tx tx = {
		.dst = *dst, .proto = IPPROTO_IGMP, .oif = IP_IF_DEV};
	struct ip4_repr r = {
		.dst = *dst,
		.hdr_len = IP4_HLEN + ALERT_LEN,
		.tos = TOS_CONTROL,
		.ttl = 1,
		.proto = IPPROTO_IGMP,
		.df = true,
		.opts = alert,
	};
	uint8_t *at;

	if (ip_source_via(ip, dst, IP_IF_DEV, &tx.src)) {
		pkt_free(ip->core->arena, p);
		return;
	}
	r.src = tx.src;
	r.total_len = (uint16_t)(p->len + r.hdr_len);
	at = pkt_push(p, r.hdr_len);
	ASSERT(at);
	ip4_emit(&r, at);
	if (ip_out_own(ip, p, &tx, now) == 0)
		stat_inc(ip->core, STAT_IgmpOutReports);
}

void igmp_send_report(struct ip *ip, struct chunk *c, uint32_t len,
		      uint16_t num, nsec now)
{
	struct ip_addr dst = group_addr(ALL_V3_ROUTERS);
	struct pkt *p = pkt_new(ip->core->arena);
	uint16_t csum;
	uint8_t *h;

	if (!p)
		return;
	if (pkt_add(p, &c->b, c->data, len)) {
		pkt_free(ip->core->arena, p);
		return;
	}
	h = pkt_push(p, IGMP_HLEN);
	memset(h, 0, IGMP_HLEN);
	h[0] = IGMP_V3_REPORT;
	put_be16(h + 6, num);
	csum = csum_fold(csum_add(pkt_payload_csum(p, 0), h, IGMP_HLEN));
	memcpy(h + 2, &csum, sizeof(csum));
	send_message(ip, p, &dst, now);
}

void igmp_send_old(struct ip *ip, const struct ip_addr *group, uint8_t type,
		   nsec now)
{
	struct ip_addr dst =
		type == IGMP_V2_LEAVE ? group_addr(ALL_ROUTERS) : *group;
	struct pkt *p = pkt_new(ip->core->arena);
	uint16_t csum;
	uint8_t *h;

	if (!p)
		return;
	h = pkt_push(p, IGMP_HLEN);
	memset(h, 0, IGMP_HLEN);
	h[0] = type;
	group_addr_emit(group, h + 4);
	csum = csum_fold(csum_add(0, h, IGMP_HLEN));
	memcpy(h + 2, &csum, sizeof(csum));
	send_message(ip, p, &dst, now);
}

void igmp_in(struct ip *ip, const struct ip_rx *rx, nsec now)
{
	struct group_query q;
	struct ip_addr group;
	enum drop d;

	if (ip_dif(rx) != IP_IF_DEV || rx->l4_len < IGMP_HLEN) {
		drop(ip->core, DROP_IGMP_MALFORMED);
		return;
	}
	switch (rx->l4[0]) {
	case IGMP_QUERY:
		d = igmp_query_parse(&q, rx->l4, rx->l4_len);
		if (d)
			drop(ip->core, d);
		else
			mcast_query(ip, true, &q, now);
		break;
	case IGMP_V1_REPORT:
	case IGMP_V2_REPORT:
		if (csum_fold(csum_add(0, rx->l4, rx->l4_len)) != 0) {
			drop(ip->core, DROP_IGMP_MALFORMED);
			break;
		}
		group = ip_addr_v4(rx->l4 + 4);
		mcast_heard_report(ip, &group, now);
		break;
	default: /* for routers */
		break;
	}
}
