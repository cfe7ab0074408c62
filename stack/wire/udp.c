/* SPDX-License-Identifier: MIT */
#include "wire/udp.h"

#include "base/csum.h"
#include "base/log.h"

enum drop udp_parse(struct udp_repr *r, const struct ip_addr *src,
		    const struct ip_addr *dst, const uint8_t *p, size_t len,
		    enum csum_state state)
{
	uint64_t sum;

	if (len < UDP_HLEN)
		return DROP_UDP_MALFORMED;
	r->src_port = get_be16(p);
	r->dst_port = get_be16(p + 2);
	r->len = get_be16(p + 4);
	memcpy(&r->csum, p + 6, 2);
	if (r->len < UDP_HLEN || r->len > len)
		return DROP_UDP_MALFORMED;
	if (state == CSUM_PARTIAL)
		return DROP_NONE;
	if (r->csum == 0) /* RFC 768: the sender made none */
		return ip_addr_is4(src) ? DROP_NONE : DROP_UDP_CSUM;
	if (state == CSUM_VALID)
		return DROP_NONE;
	sum = csum_pseudo(src, dst, IPPROTO_UDP, r->len);
	return csum_fold(csum_add(sum, p, r->len)) ? DROP_UDP_CSUM : DROP_NONE;
}

void udp_emit(const struct udp_repr *r, uint8_t *p)
{
	put_be16(p, r->src_port);
	put_be16(p + 2, r->dst_port);
	put_be16(p + 4, r->len);
	memcpy(p + 6, &r->csum, 2);
}

size_t udp_print(const struct udp_repr *r, char *out, size_t len)
{
	return log_snprintf(out, len, "UDP, length %u", r->len - UDP_HLEN);
}
