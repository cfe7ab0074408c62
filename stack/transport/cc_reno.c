/* SPDX-License-Identifier: MIT
 *
 * cc_reno.c - RFC 5681 by the book, and what all controllers share
 *
 * With alternative backoff (RFC 8511, net.ipv4.tcp_abe) a mark takes less of
 * the window than a loss does: who marks has a short queue, and half of the
 * window would leave the link idle.
 */
#include "transport/cc.h"

#include "base/util.h"

static const struct cc_ops *const table[CC_NUM] = {
#define X(id, name, ops) &ops,
	CC_ROWS(X)
#undef X
};

const struct cc_ops *cc_ops(const struct cc *cc)
{
	return table[cc->id];
}

void cc_switch(struct cc *cc, enum cc_id id)
{
	cc->id = (uint8_t)id;
	if (cc_ops(cc)->init)
		cc_ops(cc)->init(cc);
}

uint32_t cc_slow_start(struct cc *cc, uint32_t acked)
{
	uint32_t cwnd = MIN(cc->cwnd + acked, cc->ssthresh);

	acked -= cwnd - cc->cwnd;
	cc->cwnd = MIN(cwnd, cc->cwnd_clamp);
	return acked;
}

void cc_grow_linear(struct cc *cc, uint32_t w, uint32_t acked)
{
	/* the divisor may have become smaller since the count began */
	if (cc->cwnd_cnt >= w) {
		cc->cwnd_cnt = 0;
		cc->cwnd++;
	}
	cc->cwnd_cnt += acked;
	if (cc->cwnd_cnt >= w) {
		uint32_t n = cc->cwnd_cnt / w;

		cc->cwnd_cnt -= n * w;
		cc->cwnd += n;
	}
	cc->cwnd = MIN(cc->cwnd, cc->cwnd_clamp);
}

static uint32_t ssthresh(struct cc *cc)
{
	if (cc->by_mark && cc->abe)
		return MAX(cc->cwnd * 4 / 5, 2u); /* RFC 8511 3.1: 0.8 */
	return MAX(cc->cwnd / 2, 2u);		  /* RFC 5681 (4) */
}

void cc_grow_reno(struct cc *cc, uint32_t acked, nsec now)
{
	if (cc_in_slow_start(cc)) {
		acked = cc_slow_start(cc, acked);
		if (!acked)
			return;
	}
	cc_grow_linear(cc, cc->cwnd, acked);
}

const struct cc_ops cc_reno = {
	.name = "reno",
	.ssthresh = ssthresh,
	.grow = cc_grow_reno,
};
