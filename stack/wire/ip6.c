/* SPDX-License-Identifier: MIT */
#include "wire/ip6.h"

#include "base/log.h"

#define MAX_HEADERS 16 /* a longer chain is no honest one */
#define MAX_PAD 7      /* what aligning to 8 can need; Linux drops more */
#define NEXT_OFF 6     /* of the next-header field in the fixed header */

enum { /* RFC 8200 4.2, and RFC 2711 for the router alert */
       OPT_PAD1 = 0,
       OPT_PADN = 1,
       OPT_ROUTER_ALERT = 5,
};

enum { /* what an unknown option asks for: the top two bits of its type */
       ACT_SKIP = 0,
       ACT_DISCARD = 1,
       ACT_REPORT = 2,
       ACT_REPORT_UNICAST = 3,
};

enum { /* RFC 4443 3.4 */
       PROBLEM_FIELD = 0,
       PROBLEM_OPTION = 2,
};

enum drop ip6_parse(struct ip6_repr *r, const uint8_t *p, size_t len)
{
	uint32_t word;

	if (len < 1)
		return DROP_TOO_SHORT;
	if (p[0] >> 4 != 6)
		return DROP_IP_VERSION;
	if (len < IP6_HLEN)
		return DROP_TOO_SHORT;
	word = get_be32(p);
	r->tclass = (uint8_t)(word >> 20);
	r->flow = word & 0xfffff;
	r->payload_len = get_be16(p + 4);
	r->next = p[NEXT_OFF];
	r->hop_limit = p[7];
	r->src = ip_addr_v6(p + 8);
	r->dst = ip_addr_v6(p + 24);
	/* a v4-mapped address is never on the wire (RFC 4038 4.2), and would be
	 * taken for an IPv4 one from here on */
	if (ip_addr_is4(&r->src) || ip_addr_is4(&r->dst))
		return DROP_IP_SRC_ADDR;
	if (r->payload_len > len - IP6_HLEN)
		return DROP_TOO_SHORT;
	return DROP_NONE;
}

static enum drop problem(struct ip6_chain *c, uint8_t code, size_t at)
{
	c->problem_code = code;
	c->problem_at = (uint32_t)at;
	return DROP_IP6_EXT;
}

static enum drop unknown_option(struct ip6_chain *c, const uint8_t *p,
				size_t at)
{
	switch (p[at] >> 6) {
	case ACT_SKIP:
		return DROP_NONE;
	case ACT_REPORT_UNICAST:
		if (p[24] == 0xff) /* to a multicast group */
			return DROP_IP6_EXT;
		return problem(c, PROBLEM_OPTION, at);
	case ACT_REPORT:
		return problem(c, PROBLEM_OPTION, at);
	}
	return DROP_IP6_EXT;
}

/* The options from @at to @end, which are inside the packet. */
static enum drop walk_options(struct ip6_chain *c, const uint8_t *p, size_t at,
			      size_t end)
{
	unsigned pad = 0;

	while (at < end) {
		size_t len = 1;
		enum drop d;

		if (p[at] != OPT_PAD1) {
			if (end - at < 2 || end - at < 2u + p[at + 1])
				return DROP_IP6_EXT;
			len = 2u + p[at + 1];
		}
		if (p[at] <= OPT_PADN) {
			pad += (unsigned)len;
			if (pad > MAX_PAD)
				return DROP_IP6_EXT;
		} else {
			pad = 0;
			if (p[at] != OPT_ROUTER_ALERT) {
				d = unknown_option(c, p, at);
				if (d)
					return d;
			}
		}
		at += len;
	}
	return DROP_NONE;
}

static enum drop take_fragment(struct ip6_chain *c, const uint8_t *p, size_t at)
{
	uint16_t word = get_be16(p + at + 2);

	if (c->is_frag)
		return DROP_IP6_EXT;
	c->is_frag = true;
	c->more = word & 1;
	c->frag_off = word & 0xfff8;
	c->frag_id = get_be32(p + at + 4);
	c->unfrag_off = (uint16_t)at;
	c->next_off = c->proto_off;
	return DROP_NONE;
}

/* One extension header of @len bytes at @at. */
static enum drop take_header(struct ip6_chain *c, const uint8_t *p, size_t at,
			     size_t len)
{
	switch (c->proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_DSTOPTS:
		return walk_options(c, p, at + 2, at + len);
	case IPPROTO_ROUTING:
		/* RFC 8200 4.4: we know no routing type, so only an exhausted
		 * header is passed over (type 0: RFC 5095) */
		return p[at + 3] ? problem(c, PROBLEM_FIELD, at + 2)
				 : DROP_NONE;
	default:
		return take_fragment(c, p, at);
	}
}

static bool is_extension(uint8_t next, size_t at)
{
	/* hop-by-hop only right behind the fixed header (RFC 8200 4.1) */
	return next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING ||
	       next == IPPROTO_FRAGMENT ||
	       (next == IPPROTO_HOPOPTS && at == IP6_HLEN);
}

enum drop ip6_walk(struct ip6_chain *c, const uint8_t *p, size_t len)
{
	size_t at = IP6_HLEN;

	*c = (struct ip6_chain){0};
	if (len < IP6_HLEN)
		return DROP_TOO_SHORT;
	len = MIN(len, (size_t)IP6_HLEN + get_be16(p + 4));
	c->proto = p[NEXT_OFF];
	c->proto_off = NEXT_OFF;
	for (int i = 0; is_extension(c->proto, at); i++) {
		size_t hdr;
		enum drop d;

		if (i == MAX_HEADERS || len - at < 8)
			return DROP_IP6_EXT;
		hdr = c->proto == IPPROTO_FRAGMENT ? 8 : 8 + p[at + 1] * 8u;
		if (len - at < hdr)
			return DROP_IP6_EXT;
		d = take_header(c, p, at, hdr);
		if (d)
			return d;
		c->proto = p[at];
		c->proto_off = (uint16_t)at;
		at += hdr;
		if (c->is_frag && c->frag_off)
			break; /* what follows is the middle of something */
	}
	c->off = (uint16_t)at;
	return DROP_NONE;
}

void ip6_emit(const struct ip6_repr *r, uint8_t *p)
{
	put_be32(p, 6u << 28 | (uint32_t)r->tclass << 20 | (r->flow & 0xfffff));
	put_be16(p + 4, r->payload_len);
	p[NEXT_OFF] = r->next;
	p[7] = r->hop_limit;
	memcpy(p + 8, r->src.b, 16);
	memcpy(p + 24, r->dst.b, 16);
}

void ip6_frag_emit(uint8_t next, uint16_t off, bool more, uint32_t id,
		   uint8_t *p)
{
	p[0] = next;
	p[1] = 0;
	put_be16(p + 2, (uint16_t)((off & 0xfff8) | (more ? 1 : 0)));
	put_be32(p + 4, id);
}

size_t ip6_print(const struct ip6_repr *r, char *out, size_t len)
{
	char src[IP_ADDR_STRLEN], dst[IP_ADDR_STRLEN];

	return log_snprintf(out, len,
			    "IP6 %s > %s: class 0x%x, flowlabel 0x%x, hlim %u, "
			    "next-header %u, payload length %u",
			    ip_addr_str(&r->src, src),
			    ip_addr_str(&r->dst, dst), r->tclass, r->flow,
			    r->hop_limit, r->next, r->payload_len);
}
