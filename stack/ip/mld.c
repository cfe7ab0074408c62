/* SPDX-License-Identifier: MIT
 *
 * mld.c - group messages of IPv6 (RFC 3810, and 2710 for old routers)
 *
 * ICMPv6 with hop limit 1 and a router alert (RFC 2711) in front, from the
 * link-local address, or from none when there is none (RFC 3810 5.2.13).
 */
#include "base/csum.h"
#include "ip/ip_priv.h"
#include "ip/mcast.h"
#include "wire/igmp.h"
#include "wire/ip6.h"

#define OPT_ALERT 5
#define ALERT_LEN 8 /* hop-by-hop header with the option, RFC 2711 2.1 */

static struct ip_addr link_local(const struct ip *ip)
{
	for (unsigned i = 0; i < ip->num_addrs; i++) {
		const struct ip_addr *a = &ip->addrs[i].addr;

		if (!ip_addr_is4(a) && ip_addr_is_linklocal(a))
			return *a;
	}
	return (struct ip_addr){0};
}

/* @p begins with the ICMPv6 message, its checksum zero; takes it. */
static void send_message(struct ip *ip, struct pkt *p,
			 const struct ip_addr *dst, nsec now)
{
	static const uint8_t alert[ALERT_LEN] = {
		IPPROTO_ICMPV6, 0, OPT_ALERT, 2, 0, 0, 1, 0};
	struct ip_tx tx = {
		.src = link_local(ip),
		.dst = *dst,
		.proto = IPPROTO_ICMPV6,
		.any_src = true,
		.oif = IP_IF_DEV,
	};
	struct ip6_repr r = {
		.src = tx.src,
		.dst = *dst,
		.payload_len = (uint16_t)(p->len + ALERT_LEN),
		.hop_limit = 1,
		.next = IPPROTO_HOPOPTS,
	};
	uint64_t sum = csum_pseudo(&r.src, dst, IPPROTO_ICMPV6, p->len);
	uint8_t *h = pkt_head(p);
	uint16_t csum;

	sum = csum_add(pkt_payload_csum(p, sum), h, pkt_head_len(p));
	csum = csum_fold(sum);
	memcpy(h + 2, &csum, sizeof(csum));
	h = pkt_push(p, ALERT_LEN);
	memcpy(h, alert, ALERT_LEN);
	h = pkt_push(p, IP6_HLEN);
	ip6_emit(&r, h);
	if (ip_out_own(ip, p, &tx, now) == 0)
		stat_inc(ip->core, STAT_Icmp6OutMLDReports);
}

void mld_send_report(struct ip *ip, struct chunk *c, uint32_t len, uint16_t num,
		     nsec now)
{
	/* ff02::16, RFC 3810 5.2.14 */
	static const struct ip_addr routers = {.b = {0xff, 2, [15] = 0x16}};
	struct pkt *p = pkt_new(ip->core->arena);
	uint8_t *h;

	if (!p)
		return;
	if (pkt_add(p, &c->b, c->data, len)) {
		pkt_free(ip->core->arena, p);
		return;
	}
	h = pkt_push(p, MLD2_RHLEN);
	memset(h, 0, MLD2_RHLEN);
	h[0] = MLD_V2_REPORT;
	put_be16(h + 6, num);
	send_message(ip, p, &routers, now);
}

void mld_send_old(struct ip *ip, const struct ip_addr *group, uint8_t type,
		  nsec now)
{
	static const struct ip_addr routers = {.b = {0xff, 2, [15] = 2}};
	struct pkt *p = pkt_new(ip->core->arena);
	uint8_t *h;

	if (!p)
		return;
	h = pkt_push(p, MLD_HLEN);
	memset(h, 0, MLD_HLEN);
	h[0] = type;
	group_addr_emit(group, h + 8);
	send_message(ip, p, type == MLD_V1_DONE ? &routers : group, now);
}

/* Is there a router alert that means MLD (RFC 2711 2.1)? The header is known to
 * be well-formed. */
static bool has_alert(const struct ip_rx *rx)
{
	const uint8_t *p = rx->f->data + IP6_HLEN;
	uint32_t len, at = 2;

	if (rx->f->data[6] != IPPROTO_HOPOPTS)
		return false;
	len = 8 + p[1] * 8u;
	while (at + 4 <= len) {
		if (p[at] == OPT_ALERT)
			return p[at + 1] == 2 && get_be16(p + at + 2) == 0;
		at += p[at] == 0 ? 1 : 2u + p[at + 1];
	}
	return false;
}

/* RFC 3810 6.2: a router on this link, one hop away. */
static void query_in(struct ip *ip, const struct ip_rx *rx, nsec now)
{
	struct group_query q;
	enum drop d = DROP_IGMP_MALFORMED;

	if (ip_addr_is_linklocal(&rx->src) && rx->ttl == 1 && has_alert(rx))
		d = mld_query_parse(&q, rx->l4, rx->l4_len);
	if (d)
		drop(ip->core, d);
	else
		mcast_query(ip, false, &q, now);
}

bool mld_in(struct ip *ip, const struct ip_rx *rx, nsec now)
{
	struct ip_addr group;

	switch (rx->l4[0]) {
	case MLD_QUERY:
		query_in(ip, rx, now);
		return true;
	case MLD_V1_REPORT:
		if (rx->l4_len < MLD_HLEN || rx->ttl != 1) {
			drop(ip->core, DROP_IGMP_MALFORMED);
			return true;
		}
		group = ip_addr_v6(rx->l4 + 8);
		mcast_heard_report(ip, &group, now);
		return true;
	case MLD_V1_DONE:
	case MLD_V2_REPORT: /* for routers */
		return true;
	default:
		return false;
	}
}
