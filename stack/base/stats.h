/* SPDX-License-Identifier: MIT
 *
 * stats.h - every counter and every reason to drop a packet
 *
 * A row of stats.def each. Counters carry Linux's SNMP and TcpExt names
 * (RFC 2011, 2012, 2013; nstat(8)); drop reasons are ours, one per cause.
 */
#ifndef TCPSHIM_STATS_H
#define TCPSHIM_STATS_H

#include <stdint.h>

enum stat_id {
#define STAT(id, name, text) STAT_##id,
#define DROP(id, text)
#include "base/stats.def"
#undef STAT
#undef DROP
	STAT_NUM
};

enum drop {
	DROP_NONE = 0, /* not dropped */
#define STAT(id, name, text)
#define DROP(id, text) DROP_##id,
#include "base/stats.def"
#undef STAT
#undef DROP
	DROP_NUM
};

struct stats {
	uint64_t v[STAT_NUM];
	uint64_t drop[DROP_NUM];
};

const char *stat_name(enum stat_id s); /* "TcpRetransSegs" */
const char *stat_text(enum stat_id s); /* a sentence */
const char *drop_name(enum drop d);    /* "IP4_CSUM" */
const char *drop_text(enum drop d);

#endif
