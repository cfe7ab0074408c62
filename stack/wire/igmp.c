/* SPDX-License-Identifier: MIT */
#include "wire/igmp.h"

#include "base/csum.h"

#define IGMP3_QUERY_HLEN 12    /* RFC 3376 4.1 */
#define MLD2_QUERY_HLEN 28     /* RFC 3810 5.1 */
#define V1_MAX_RESP (10 * SEC) /* RFC 2236 4 */

/* RFC 3376 4.1.1: eight bits, in tenths of a second. */
static nsec igmp_time(uint8_t code)
{
	uint32_t tenths = code;

	if (code >= 128)
		tenths = (uint32_t)((code & 0xf) | 0x10)
			 << (((code >> 4) & 7) + 3);
	return (nsec)tenths * 100 * MSEC;
}

/* RFC 3810 5.1.3: sixteen bits, in milliseconds. */
static nsec mld_time(uint16_t code)
{
	uint32_t ms = code;

	if (code >= 32768)
		ms = (uint32_t)((code & 0xfff) | 0x1000)
		     << (((code >> 12) & 7) + 3);
	return (nsec)ms * MSEC;
}

enum drop igmp_query_parse(struct group_query *q, const uint8_t *p, size_t len)
{
	*q = (struct group_query){0};
	if (len < IGMP_HLEN || csum_fold(csum_add(0, p, len)) != 0)
		return DROP_IGMP_MALFORMED;
	q->group = ip_addr_v4(p + 4);
	if (len == IGMP_HLEN) { /* RFC 3376 7.1 */
		q->version = p[1] ? 2 : 1;
		q->max_resp = p[1] ? igmp_time(MIN(p[1], 127)) : V1_MAX_RESP;
		return DROP_NONE;
	}
	if (len < IGMP3_QUERY_HLEN)
		return DROP_IGMP_MALFORMED;
	q->version = 3;
	q->max_resp = igmp_time(p[1]);
	q->qrv = p[8] & 7;
	q->num_src = get_be16(p + 10);
	q->src = p + IGMP3_QUERY_HLEN;
	if (len < IGMP3_QUERY_HLEN + q->num_src * 4u)
		return DROP_IGMP_MALFORMED;
	return DROP_NONE;
}

enum drop mld_query_parse(struct group_query *q, const uint8_t *p, size_t len)
{
	*q = (struct group_query){0};
	if (len < MLD_HLEN || (len > MLD_HLEN && len < MLD2_QUERY_HLEN))
		return DROP_IGMP_MALFORMED;
	q->group = ip_addr_v6(p + 8);
	if (len == MLD_HLEN) { /* RFC 3810 8.1 */
		q->version = 2;
		q->max_resp = get_be16(p + 4) * MSEC;
		return DROP_NONE;
	}
	q->version = 3;
	q->max_resp = mld_time(get_be16(p + 4));
	q->qrv = p[24] & 7;
	q->num_src = get_be16(p + 26);
	q->src = p + MLD2_QUERY_HLEN;
	if (len < MLD2_QUERY_HLEN + q->num_src * 16u)
		return DROP_IGMP_MALFORMED;
	return DROP_NONE;
}

struct ip_addr group_query_src(const struct group_query *q, unsigned i,
			       bool is4)
{
	return is4 ? ip_addr_v4(q->src + i * 4u) : ip_addr_v6(q->src + i * 16u);
}

uint8_t *group_addr_emit(const struct ip_addr *a, uint8_t *p)
{
	bool is4 = ip_addr_is4(a);

	memcpy(p, is4 ? a->b + 12 : a->b, is4 ? 4 : 16);
	return p + (is4 ? 4 : 16);
}

uint32_t group_record_len(bool is4, unsigned num)
{
	return 4 + (is4 ? 4 : 16) * (1 + num);
}

uint8_t *group_record_emit(enum group_record type, const struct ip_addr *group,
			   uint16_t num, uint8_t *p)
{
	p[0] = (uint8_t)type;
	p[1] = 0; /* no auxiliary data */
	put_be16(p + 2, num);
	return group_addr_emit(group, p + 4);
}
