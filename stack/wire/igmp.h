/* SPDX-License-Identifier: MIT
 *
 * igmp.h - IGMP (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810) messages
 *
 * The two say the same with addresses of different length: MLDv1 is IGMPv2,
 * MLDv2 is IGMPv3.
 */
#ifndef TCPSHIM_WIRE_IGMP_H
#define TCPSHIM_WIRE_IGMP_H

#include "base/addr.h"
#include "base/stats.h"
#include "base/time.h"

#define IGMP_HLEN 8  /* of every message but the v3 query, RFC 2236 2 */
#define MLD_HLEN 24  /* of every MLDv1 message, RFC 2710 3 */
#define MLD2_RHLEN 8 /* of a report in front of its records, RFC 3810 5.2 */

enum { /* types */
       IGMP_QUERY = 0x11,
       IGMP_V1_REPORT = 0x12,
       IGMP_V2_REPORT = 0x16,
       IGMP_V2_LEAVE = 0x17,
       IGMP_V3_REPORT = 0x22,
       MLD_QUERY = 130, /* of ICMPv6 */
       MLD_V1_REPORT = 131,
       MLD_V1_DONE = 132,
       MLD_V2_REPORT = 143,
};

enum group_record { /* RFC 3376 4.2.12, RFC 3810 5.2.12 */
		    GROUP_IS_INCLUDE = 1,
		    GROUP_IS_EXCLUDE = 2,
		    GROUP_TO_INCLUDE = 3,
		    GROUP_TO_EXCLUDE = 4,
		    GROUP_ALLOW_NEW = 5,
		    GROUP_BLOCK_OLD = 6,
};

struct group_query {
	struct ip_addr group; /* any: all groups */
	uint8_t version;      /* of IGMP: 1, 2, 3; MLD counts as 2 and 3 */
	uint8_t qrv;	      /* robustness, 0: not told */
	nsec max_resp;	      /* answers within this time */
	const uint8_t *src;   /* @num_src addresses, inside the packet */
	uint16_t num_src;
};

/* @p: the whole message, checksum seen to by the caller for MLD. */
enum drop igmp_query_parse(struct group_query *q, const uint8_t *p, size_t len);
enum drop mld_query_parse(struct group_query *q, const uint8_t *p, size_t len);
struct ip_addr group_query_src(const struct group_query *q, unsigned i,
			       bool is4);

/* Bytes of a record with @num sources; writes all but the sources. */
uint32_t group_record_len(bool is4, unsigned num);
uint8_t *group_record_emit(enum group_record type, const struct ip_addr *group,
			   uint16_t num, uint8_t *p); /* where sources go */
/* @a at @p; the place behind it. */
uint8_t *group_addr_emit(const struct ip_addr *a, uint8_t *p);

#endif
