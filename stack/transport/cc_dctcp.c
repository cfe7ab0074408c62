/* SPDX-License-Identifier: MIT
 *
 * cc_dctcp.c - DCTCP (RFC 8257): as much less as there were marks
 *
 * In a data center switches mark what finds more than a few packets waiting. A
 * mark then says little, their share of a round trip says how long the queue
 * is. The share is averaged, and the window falls by half of the average: by
 * half if all was marked, by next to nothing after one mark. Otherwise this is
 * Reno, after losses too.
 *
 * Both ends must take part: who receives tells each change of marks at once
 * (tcp_ecn.c), or counts them (RFC 9768), which serves as well. Without ECN it
 * is Reno. Constants are RFC 8257's and Linux's.
 */
#include "transport/cc.h"

#include <string.h>

#include "base/seq.h"
#include "base/util.h"

#define ONE 1024u
#define G_SHIFT 4 /* g = 1/16, RFC 8257 4.2 */

static void begin_window(struct cc *cc)
{
	struct dctcp *d = &cc->u.dctcp;

	d->end_seq = cc->nxt;
	d->delivered = cc->delivered;
	d->delivered_ce = cc->delivered_ce;
}

static void init(struct cc *cc)
{
	cc->u.dctcp = (struct dctcp){.alpha = ONE}; /* RFC 8257 4.2 */
	begin_window(cc);
}

/* RFC 8257 3.3.2: alpha = (1 - g) alpha + g F, once a window */
static void acked(struct cc *cc)
{
	struct dctcp *d = &cc->u.dctcp;
	uint32_t ce = cc->delivered_ce - d->delivered_ce, fade;
	uint64_t all = MAX(cc->delivered - d->delivered, 1u);

	if (!cc->has_ecn || seq_lt(cc->una, d->end_seq))
		return;
	fade = d->alpha >> G_SHIFT;
	d->alpha -= fade ? fade : d->alpha; /* so that it comes to zero */
	d->alpha += (uint32_t)(((uint64_t)ce << (10 - G_SHIFT)) / all);
	d->alpha = MIN(d->alpha, ONE);
	begin_window(cc);
}

static uint32_t ssthresh(struct cc *cc)
{
	uint64_t less = (uint64_t)cc->cwnd * cc->u.dctcp.alpha / (2 * ONE);

	if (!cc->has_ecn || !cc->by_mark)
		return MAX(cc->cwnd / 2, 2u);	   /* RFC 8257 3.5 */
	return MAX(cc->cwnd - (uint32_t)less, 2u); /* RFC 8257 3.3.3 */
}

/* struct tcp_dctcp_info */
static unsigned info(const struct cc *cc, uint32_t v[CC_INFO_WORDS])
{
	const struct dctcp *d = &cc->u.dctcp;
	uint16_t head[2] = {cc->has_ecn, cc->ce_state};

	memset(v, 0, 16);
	if (!cc->has_ecn)
		return 16;
	memcpy(v, head, sizeof(head));
	v[1] = d->alpha;
	v[2] = (cc->delivered_ce - d->delivered_ce) * cc->mss;
	v[3] = (uint32_t)(cc->delivered - d->delivered) * cc->mss;
	return 16;
}

const struct cc_ops cc_dctcp = {
	.name = "dctcp",
	.init = init,
	.ssthresh = ssthresh,
	.grow = cc_grow_reno,
	.acked = acked,
	.info = info,
	.needs_ecn = true,
};
