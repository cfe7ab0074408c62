/* SPDX-License-Identifier: MIT */
#include "wire/icmp.h"

#include "base/csum.h"
#include "base/log.h"

/* RFC 4443 2.3: ICMPv6 sums a pseudo header, RFC 792: ICMPv4 has none. */
static uint64_t pseudo(const struct ip_addr *src, const struct ip_addr *dst,
		       size_t len)
{
	if (ip_addr_is4(src))
		return 0;
	return csum_pseudo(src, dst, IPPROTO_ICMPV6, (uint32_t)len);
}

enum drop icmp_parse(struct icmp_repr *r, const struct ip_addr *src,
		     const struct ip_addr *dst, const uint8_t *p, size_t len,
		     int csum_ok)
{
	if (len < ICMP_HLEN)
		return DROP_ICMP_MALFORMED;
	if (!csum_ok && csum_fold(csum_add(pseudo(src, dst, len), p, len)) != 0)
		return DROP_ICMP_CSUM;
	r->type = p[0];
	r->code = p[1];
	r->rest = get_be32(p + 4);
	r->body = p + ICMP_HLEN;
	r->body_len = (uint32_t)(len - ICMP_HLEN);
	return DROP_NONE;
}

void icmp_emit(const struct icmp_repr *r, const struct ip_addr *src,
	       const struct ip_addr *dst, uint64_t payload_sum, uint8_t *p)
{
	uint64_t sum;
	uint16_t csum;

	p[0] = r->type;
	p[1] = r->code;
	put_be16(p + 2, 0);
	put_be32(p + 4, r->rest);
	sum = csum_add(payload_sum, p, ICMP_HLEN);
	/* sums are added by adding the words that they are made of */
	payload_sum = pseudo(src, dst, (size_t)ICMP_HLEN + r->body_len);
	csum = csum_fold(csum_add(sum, &payload_sum, sizeof(payload_sum)));
	memcpy(p + 2, &csum, 2);
}

struct name {
	uint8_t type;
	const char *text;
};

static const struct name names4[] = {
	{ICMP4_ECHO_REPLY, "echo reply"},
	{ICMP4_ECHO, "echo request"},
	{ICMP4_UNREACH, "unreachable"},
	{ICMP4_TIME_EXCEEDED, "time exceeded"},
	{ICMP4_PARAM_PROBLEM, "parameter problem"},
	{0, NULL},
};

static const struct name names6[] = {
	{ICMP6_ECHO_REPLY, "echo reply"},
	{ICMP6_ECHO, "echo request"},
	{ICMP6_UNREACH, "unreachable"},
	{ICMP6_TOO_BIG, "packet too big"},
	{ICMP6_TIME_EXCEEDED, "time exceeded"},
	{ICMP6_PARAM_PROBLEM, "parameter problem"},
	{0, NULL},
};

size_t icmp_print(const struct icmp_repr *r, int is4, char *out, size_t len)
{
	const char *proto = is4 ? "ICMP" : "ICMP6";
	const struct name *n = is4 ? names4 : names6;
	unsigned total = ICMP_HLEN + r->body_len;

	while (n->text && n->type != r->type)
		n++;
	if (!n->text)
		return log_snprintf(out, len, "%s type %u, code %u, length %u",
				    proto, r->type, r->code, total);
	if (n - (is4 ? names4 : names6) < 2) /* the two echoes come first */
		return log_snprintf(out, len, "%s %s, id %u, seq %u, length %u",
				    proto, n->text, r->rest >> 16,
				    r->rest & 0xffff, total);
	return log_snprintf(out, len, "%s %s, code %u, rest %u, length %u",
			    proto, n->text, r->code, r->rest, total);
}
