/* SPDX-License-Identifier: MIT */
#include "wire/ip4.h"

#include "base/csum.h"
#include "base/log.h"

#define FLAG_DF 0x4000
#define FLAG_MF 0x2000
#define FRAG_MASK 0x1fff /* units of 8 bytes */

enum drop ip4_parse(struct ip4_repr *r, const uint8_t *p, size_t len)
{
	uint16_t frag;

	if (len < 1)
		return DROP_TOO_SHORT;
	if (p[0] >> 4 != 4)
		return DROP_IP_VERSION;
	if (len < IP4_HLEN)
		return DROP_TOO_SHORT;
	r->hdr_len = (uint8_t)((p[0] & 15) * 4);
	r->total_len = get_be16(p + 2);
	if (r->hdr_len < IP4_HLEN || r->total_len < r->hdr_len)
		return DROP_IP4_HDR;
	if (r->total_len > len)
		return DROP_TOO_SHORT;
	if (csum_fold(csum_add(0, p, r->hdr_len)) != 0)
		return DROP_IP4_CSUM;
	r->tos = p[1];
	r->id = get_be16(p + 4);
	frag = get_be16(p + 6);
	r->df = frag & FLAG_DF;
	r->mf = frag & FLAG_MF;
	r->frag_off = (uint16_t)((frag & FRAG_MASK) * 8);
	r->ttl = p[8];
	r->proto = p[9];
	r->src = ip_addr_v4(p + 12);
	r->dst = ip_addr_v4(p + 16);
	r->opts = p + IP4_HLEN;
	return DROP_NONE;
}

void ip4_emit(const struct ip4_repr *r, uint8_t *p)
{
	uint16_t csum;

	p[0] = (uint8_t)(4 << 4 | r->hdr_len / 4);
	p[1] = r->tos;
	put_be16(p + 2, r->total_len);
	put_be16(p + 4, r->id);
	put_be16(p + 6, (uint16_t)((r->df ? FLAG_DF : 0) |
				   (r->mf ? FLAG_MF : 0) | r->frag_off / 8));
	p[8] = r->ttl;
	p[9] = r->proto;
	put_be16(p + 10, 0);
	memcpy(p + 12, r->src.b + 12, 4);
	memcpy(p + 16, r->dst.b + 12, 4);
	if (r->hdr_len > IP4_HLEN)
		memcpy(p + IP4_HLEN, r->opts, r->hdr_len - IP4_HLEN);
	csum = csum_fold(csum_add(0, p, r->hdr_len));
	memcpy(p + 10, &csum, 2);
}

size_t ip4_print(const struct ip4_repr *r, char *out, size_t len)
{
	char src[IP_ADDR_STRLEN], dst[IP_ADDR_STRLEN];

	return log_snprintf(out, len,
			    "IP %s > %s: tos 0x%x, ttl %u, id %u, offset %u, "
			    "flags [%s%s], proto %u, length %u",
			    ip_addr_str(&r->src, src),
			    ip_addr_str(&r->dst, dst), r->tos, r->ttl, r->id,
			    r->frag_off, r->mf ? "+" : "", r->df ? "DF" : "",
			    r->proto, r->total_len);
}
