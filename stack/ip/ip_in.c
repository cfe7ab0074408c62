/* SPDX-License-Identifier: MIT
 *
 * ip_in.c - check a packet, decide whether it is for us, deliver it
 *
 * The weak host model (RFC 1122 3.3.4.2): any address of ours is accepted on
 * any link. What a device may not send, since no other host can have sent it,
 * is refused: a loopback address at either end, and a source that is a group
 * or one of ours. (Linux accepts its own IPv6 source from outside; nothing good
 * comes from there.) Frames that the stack looped back are not questioned.
 *
 * A datagram made whole by reass.c passes through here a second time, as if it
 * had come in one piece.
 */
#include "ip/ip_priv.h"

#include "ip/mcast.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip4opt.h"
#include "wire/ip6.h"

#define ICMP6_HEADER_INCOMPLETE 3 /* parameter problem, RFC 7112 5 */

/* Source routes are refused, as Linux's accept_source_route of 0 and RFC 7126
 * 4.3 ask. In those that record, we do, too, as the host that is reached: the
 * header's checksum is no longer right then, nor is Linux's. @bad: offset of
 * what is malformed, 0 if nothing is. */
static bool check_options(struct ip *ip, struct frame *f,
			  const struct ip4_repr *r, enum ip_scope scope,
			  bool is_whole_again, uint32_t *bad, nsec now)
{
	uint32_t len = r->hdr_len - IP4_HLEN, at = 0;
	struct ip_addr us = r->dst;
	uint8_t *o = f->data + IP4_HLEN;
	int err;

	*bad = 0;
	while (at < len && o[at] != IP4_OPT_END) {
		uint32_t n = ip4_opt_len(o, len, at);

		if (!n)
			*bad = IP4_HLEN + at;
		if (!n || o[at] == IP4_OPT_LSRR || o[at] == IP4_OPT_SSRR)
			return false;
		at += n;
	}
	/* the first fragment has recorded already */
	if (is_whole_again ||
	    (scope != IP_SCOPE_LOCAL && ip_source(ip, &r->src, &us)))
		return true;
	err = ip4_opt_record(o, len, &us, IP_OPT_TIME(now));
	if (err >= 0)
		*bad = IP4_HLEN + (uint32_t)err;
	return err < 0;
}

static bool is_source_ok(const struct ip *ip, const struct ip_addr *src,
			 const struct ip_addr *dst, uint8_t proto,
			 bool is_looped)
{
	enum ip_scope scope = ip_scope(ip, src);

	if (scope == IP_SCOPE_MCAST || scope == IP_SCOPE_BCAST)
		return false;
	if (!ip_addr_is4(src)) {
		if (ip_addr_is_any(src)) /* only asks for its address */
			return false;
	} else if (get_be32(src->b + 12) >> 24 == 0) {
		/* "this host on this network", RFC 1122 3.2.1.3 */
		return ip_addr_is_any(src) &&
		       (ip_addr_is_limited_bcast(dst) ||
			proto == IPPROTO_IGMP); /* RFC 3376 4.2.13 */
	}
	return is_looped || scope != IP_SCOPE_LOCAL;
}

static uint8_t dif_of(const struct frame *f)
{
	return f->link == LINK_LO ? IP_IF_LO : IP_IF_DEV;
}

/* Multicast groups that every host is in, RFC 1112 4 and RFC 4291 2.8, and
 * those that a socket joined. */
static bool is_our_group(const struct ip *ip, const struct ip_addr *dst,
			 const struct ip_addr *src, const struct frame *f,
			 uint8_t proto)
{
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
	static const uint8_t solicited[13] = {0xff, 2, [11] = 1, [12] = 0xff};

	if (mcast_hears(ip, dif_of(f), dst, src, proto))
		return true;
	if (ip_addr_is4(dst))
		return ip_addr_be32(dst) == 0xe0000001; /* 224.0.0.1 */
	if (memcmp(dst->b, all_nodes, sizeof(all_nodes)) == 0)
		return true;
	if (memcmp(dst->b, solicited, sizeof(solicited)) != 0)
		return false;
	for (unsigned i = 0; i < ip->num_addrs; i++)
		if (!ip_addr_is4(&ip->addrs[i].addr) &&
		    memcmp(ip->addrs[i].addr.b + 13, dst->b + 13, 3) == 0)
			return true;
	return false;
}

/* Is a packet to @dst for us? Tells its scope. */
static bool is_for_us(const struct ip *ip, const struct ip_addr *src,
		      const struct ip_addr *dst, const struct frame *f,
		      uint8_t proto, enum ip_scope *scope)
{
	bool is_looped = f->flags & FRAME_F_LOOP;

	*scope = ip_scope(ip, dst);
	switch (*scope) {
	case IP_SCOPE_LOCAL: /* RFC 1122 3.2.1.3(g), RFC 4291 2.5.3 */
		return is_looped || !ip_addr_is_loopback(dst);
	case IP_SCOPE_BCAST:
		return true;
	case IP_SCOPE_MCAST:
		return is_our_group(ip, dst, src, f, proto);
	case IP_SCOPE_NONE:
		break;
	}
	return false;
}

/* Nobody wants the protocol or the port: say so (RFC 1122 3.2.2.1, RFC 8200 4,
 * RFC 4443 3.1). */
static void refuse(struct ip *ip, const struct ip_rx *rx,
		   const struct ip6_chain *c, enum ip_verdict v, nsec now)
{
	bool is4 = ip_addr_is4(&rx->dst);

	if (v == IP_NO_PORT) {
		if (is4)
			icmp_send_error(ip, rx->f, ICMP4_UNREACH,
					ICMP4_UNREACH_PORT, 0, now);
		else
			icmp_send_error(ip, rx->f, ICMP6_UNREACH,
					ICMP6_UNREACH_PORT, 0, now);
		return;
	}
	IP_STAT(ip, is4, InUnknownProtos);
	drop(ip->core, DROP_IP_NO_PROTO);
	if (is4)
		icmp_send_error(ip, rx->f, ICMP4_UNREACH, ICMP4_UNREACH_PROTO,
				0, now);
	else
		icmp_send_error(ip, rx->f, ICMP6_PARAM_PROBLEM, 1, c->proto_off,
				now);
}

static void deliver(struct ip *ip, struct ip_rx *rx, const struct ip6_chain *c,
		    nsec now)
{
	bool is4 = ip_addr_is4(&rx->dst);
	enum ip_verdict v = IP_TAKEN;
	bool raw;

	rx->csum = rx->f->csum;
	rx->link = rx->f->link;
	/* an address of the device's is reached by it, also from this host */
	if (rx->scope == IP_SCOPE_LOCAL && !ip_addr_is_loopback(&rx->dst))
		rx->link = LINK_DEV;
	raw = ip_deliver_raw(ip->tp, rx, now);
	if (is4 && rx->proto == IPPROTO_IGMP)
		igmp_in(ip, rx, now);
	else if (rx->proto == (is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		icmp_in(ip, rx, now);
	else if (rx->proto == IPPROTO_ICMP || rx->proto == IPPROTO_ICMPV6)
		v = IP_NO_PROTO;
	else
		v = ip_deliver(ip->tp, rx, now);
	if (v == IP_NO_PROTO && raw)
		v = IP_TAKEN;
	if (v != IP_NO_PROTO)
		IP_STAT(ip, is4, InDelivers);
	if (v != IP_TAKEN)
		refuse(ip, rx, c, v, now);
}

static struct frame *fragment4(struct ip *ip, struct frame *f,
			       const struct ip4_repr *r, nsec now)
{
	struct frag fr = {
		.src = r->src,
		.dst = r->dst,
		.id = r->id,
		.off = r->frag_off,
		.len = r->total_len - r->hdr_len,
		.data = f->data + r->hdr_len,
		.hdr = f->data,
		.hdr_len = r->hdr_len,
		.proto = r->proto,
		.ecn = r->tos & IP_ECN_MASK,
		.is4 = true,
		.more = r->mf,
	};

	if (fr.more) /* as Linux: what can't be addressed is not there */
		fr.len &= ~7u;
	return reass_add(ip->reass, &fr, f, now);
}

/* Not for us, or from nobody: DROP_NONE if neither. */
static enum drop check_ends(struct ip *ip, const struct ip_addr *src,
			    const struct ip_addr *dst, const struct frame *f,
			    uint8_t proto, enum ip_scope *scope)
{
	if (!is_for_us(ip, src, dst, f, proto, scope))
		return DROP_IP_NOT_OURS;
	if (!is_source_ok(ip, src, dst, proto, f->flags & FRAME_F_LOOP))
		return DROP_IP_SRC_ADDR;
	return DROP_NONE;
}

static void header_error(struct ip *ip, bool is4, enum drop d, uint32_t len)
{
	if (d == DROP_IP4_CSUM)
		stat_inc(ip->core, STAT_IpExtInCsumErrors);
	if (d == DROP_TOO_SHORT && len >= (is4 ? IP4_HLEN : IP6_HLEN))
		stat_inc(ip->core, is4 ? STAT_IpExtInTruncatedPkts
				       : STAT_Ip6InTruncatedPkts);
	else if (d == DROP_IP_NOT_OURS || d == DROP_IP_SRC_ADDR)
		IP_STAT(ip, is4, InAddrErrors);
	else
		IP_STAT(ip, is4, InHdrErrors);
	drop(ip->core, d);
}

void ip_count_group(struct ip *ip, const struct ip_addr *dst, uint32_t len,
		    bool in)
{
	/* by kind: packets in, bytes in, packets out, bytes out */
	static const enum stat_id ids[3][4] = {
		{STAT_IpExtInMcastPkts, STAT_IpExtInMcastOctets,
		 STAT_IpExtOutMcastPkts, STAT_IpExtOutMcastOctets},
		{STAT_IpExtInBcastPkts, STAT_IpExtInBcastOctets,
		 STAT_IpExtOutBcastPkts, STAT_IpExtOutBcastOctets},
		{STAT_Ip6InMcastPkts, STAT_Ip6InMcastOctets,
		 STAT_Ip6OutMcastPkts, STAT_Ip6OutMcastOctets},
	};
	const enum stat_id *id;

	if (ip_addr_is_multicast(dst))
		id = ids[ip_addr_is4(dst) ? 0 : 2];
	else if (ip_addr_is4(dst) && ip_scope(ip, dst) == IP_SCOPE_BCAST)
		id = ids[1];
	else
		return;
	stat_inc(ip->core, id[in ? 0 : 2]);
	stat_add(ip->core, id[in ? 1 : 3], len);
}

/* By codepoint: how many packets can be marked, and are. */
static void count_ecn(struct ip *ip, bool is4, const struct frame *f,
		      uint8_t tos)
{
	static const enum stat_id ids[2][4] = {
		{STAT_Ip6InNoECTPkts, STAT_Ip6InECT1Pkts, STAT_Ip6InECT0Pkts,
		 STAT_Ip6InCEPkts},
		{STAT_IpExtInNoECTPkts, STAT_IpExtInECT1Pkts,
		 STAT_IpExtInECT0Pkts, STAT_IpExtInCEPkts},
	};
	uint32_t segs = 1;

	if (f->gso_size)
		segs = DIV_ROUND_UP(f->len, f->gso_size);
	stat_add(ip->core, ids[is4][tos & IP_ECN_MASK], segs);
}

/* Each of the two returns a datagram that became whole, or NULL. */
static struct frame *in4(struct ip *ip, struct frame *f, bool was_fragmented,
			 nsec now)
{
	struct ip4_repr r;
	struct ip_rx rx;
	enum ip_scope scope;
	uint32_t bad;
	enum drop d = ip4_parse(&r, f->data, f->len);

	if (!d)
		d = check_ends(ip, &r.src, &r.dst, f, r.proto, &scope);
	if (d) {
		header_error(ip, true, d, f->len);
		return NULL;
	}
	if (!was_fragmented) {
		count_ecn(ip, true, f, r.tos);
		ip_count_group(ip, &r.dst, f->len, true);
	}
	f->len = r.total_len; /* short frames are padded on some links */
	f->l4_off = r.hdr_len;
	if (r.hdr_len > IP4_HLEN &&
	    !check_options(ip, f, &r, scope, was_fragmented, &bad, now)) {
		header_error(ip, true, DROP_IP4_OPTION, f->len);
		if (bad)
			icmp_send_error(ip, f, ICMP4_PARAM_PROBLEM, 0,
					bad << 24, now);
		return NULL;
	}
	if (r.mf || r.frag_off)
		return fragment4(ip, f, &r, now);
	rx = (struct ip_rx){
		.f = f,
		.l4 = f->data + r.hdr_len,
		.l4_len = r.total_len - r.hdr_len,
		.src = r.src,
		.dst = r.dst,
		.proto = r.proto,
		.ttl = r.ttl,
		.tos = r.tos,
		.scope = (uint8_t)scope,
		.was_fragmented = was_fragmented,
	};
	deliver(ip, &rx, NULL, now);
	return NULL;
}

/* RFC 8200 4.5 and RFC 7112: fragment zero must hold all headers, the upper
 * layer's too. As much as Linux asks for. */
static bool has_upper_header(const struct ip6_chain *c, uint32_t len)
{
	uint32_t need = 1;

	if (c->proto == IPPROTO_TCP)
		need = 20;
	else if (c->proto == IPPROTO_UDP || c->proto == IPPROTO_ICMPV6)
		need = 8;
	else if (c->proto == IPPROTO_NONE)
		need = 0;
	return c->off + need <= len;
}

static void problem6(struct ip *ip, struct frame *f, uint8_t code, uint32_t at,
		     enum drop d, nsec now)
{
	header_error(ip, false, d, f->len);
	icmp_send_error(ip, f, ICMP6_PARAM_PROBLEM, code, at, now);
}

static struct frame *fragment6(struct ip *ip, struct frame *f,
			       const struct ip6_repr *r,
			       const struct ip6_chain *c, nsec now)
{
	uint32_t data_off = c->unfrag_off + IP6_FRAG_HLEN;
	struct frag fr = {
		.src = r->src,
		.dst = r->dst,
		.id = c->frag_id,
		.off = c->frag_off,
		.len = f->len - data_off,
		.data = f->data + data_off,
		.hdr = f->data,
		.hdr_len = (uint16_t)data_off,
		.next_off = c->next_off,
		.proto = f->data[c->unfrag_off],
		.ecn = r->tclass & IP_ECN_MASK,
		.more = c->more,
	};

	/* RFC 8200 4.5: the three that are answered */
	if (fr.more && fr.len & 7) {
		problem6(ip, f, 0, 4 /* payload length */, DROP_FRAG_MALFORMED,
			 now);
		return NULL;
	}
	if (data_off - IP6_FRAG_HLEN - IP6_HLEN + fr.off + fr.len >
	    IP6_MAX_PAYLOAD) {
		problem6(ip, f, 0, c->unfrag_off + 2u /* offset */,
			 DROP_FRAG_MALFORMED, now);
		return NULL;
	}
	if (fr.off == 0 && !has_upper_header(c, f->len)) {
		problem6(ip, f, ICMP6_HEADER_INCOMPLETE, 0, DROP_FRAG_MALFORMED,
			 now);
		return NULL;
	}
	return reass_add(ip->reass, &fr, f, now);
}

static struct frame *in6(struct ip *ip, struct frame *f, bool was_fragmented,
			 nsec now)
{
	struct ip6_repr r;
	struct ip6_chain c;
	struct ip_rx rx;
	enum ip_scope scope;
	enum drop d = ip6_parse(&r, f->data, f->len);

	if (!d)
		d = check_ends(ip, &r.src, &r.dst, f, r.next, &scope);
	if (d) {
		header_error(ip, false, d, f->len);
		return NULL;
	}
	if (!was_fragmented) {
		count_ecn(ip, false, f, r.tclass);
		ip_count_group(ip, &r.dst, f->len, true);
	}
	f->len = IP6_HLEN + r.payload_len;
	d = ip6_walk(&c, f->data, f->len);
	if (d) {
		header_error(ip, false, d, f->len);
		if (c.problem_at)
			icmp_send_error(ip, f, ICMP6_PARAM_PROBLEM,
					c.problem_code, c.problem_at, now);
		return NULL;
	}
	f->l4_off = c.off;
	if (c.is_frag && (c.more || c.frag_off)) {
		if (!was_fragmented) /* RFC 6946: an atomic one is whole */
			return fragment6(ip, f, &r, &c, now);
		problem6(ip, f, 0, c.unfrag_off, DROP_FRAG_MALFORMED, now);
		return NULL;
	}
	if (c.proto == IPPROTO_NONE) /* RFC 8200 4.7 */
		return NULL;
	rx = (struct ip_rx){
		.f = f,
		.l4 = f->data + c.off,
		.l4_len = f->len - c.off,
		.src = r.src,
		.dst = r.dst,
		.flow = r.flow,
		.proto = c.proto,
		.ttl = r.hop_limit,
		.tos = r.tclass,
		.scope = (uint8_t)scope,
		.was_fragmented = was_fragmented,
	};
	deliver(ip, &rx, &c, now);
	return NULL;
}

void link_deliver(struct ip *ip, struct frame *f, nsec now)
{
	struct frame *whole;
	uint8_t version = f->len ? f->data[0] >> 4 : 0;

	if (version == 4) {
		stat_inc(ip->core, STAT_IpInReceives);
		stat_add(ip->core, STAT_IpExtInOctets, f->len);
	} else if (version == 6) {
		stat_inc(ip->core, STAT_Ip6InReceives);
		stat_add(ip->core, STAT_Ip6InOctets, f->len);
	} else {
		drop(ip->core, DROP_IP_VERSION);
	}
	for (int pass = 0; f; pass++, f = whole) {
		whole = NULL;
		if (version == 4)
			whole = in4(ip, f, pass > 0, now);
		else if (version == 6)
			whole = in6(ip, f, pass > 0, now);
		frame_put(ip->core->arena, f);
	}
}
