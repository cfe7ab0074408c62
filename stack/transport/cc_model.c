/* SPDX-License-Identifier: MIT
 *
 * cc_model.c - volumes and rates of BBR and BBRv3
 */
#include "transport/cc_model.h"

#include "base/util.h"

#define MARGIN_PERCENT 1 /* Linux: bbr_pacing_margin_percent; draft 5.6.2 */
#define INIT_CWND 10u	 /* RFC 6928 2 */
#define MIN_TSO_RATE (1200000u / 8) /* Linux: bbr_min_tso_rate */
#define TSO_BYTES 65215u   /* Linux: GSO_LEGACY_MAX_SIZE less headers */
#define TSO_SEGS_MAX 0x7fu /* Linux: bbr_tso_segs_goal() */

uint32_t cc_bw_of(uint64_t segs, nsec time)
{
	uint64_t us = (uint64_t)MAX(time / USEC, 1);

	return (uint32_t)MIN((segs << CC_BW_SHIFT) / us, (uint64_t)CC_BW_MAX);
}

uint32_t cc_segs_in(uint32_t bw, nsec time)
{
	uint64_t us = (uint64_t)MAX(time, 0) / USEC;

	return (uint32_t)MIN((uint64_t)bw * us >> CC_BW_SHIFT,
			     (uint64_t)CC_MODEL_SEGS_MAX);
}

static uint64_t rate_of(const struct cc *cc, uint64_t bw, uint32_t gain,
			uint32_t margin)
{
	uint64_t rate = bw * cc->mss * gain >> CC_GAIN_SHIFT;

	return rate * (1000000 / 100 * (100 - margin)) >> CC_BW_SHIFT;
}

uint64_t cc_bytes_a_second(const struct cc *cc, uint64_t bw, uint32_t gain)
{
	return rate_of(cc, bw, gain, 0);
}

uint32_t cc_bdp(uint32_t bw, nsec min_rtt, uint32_t gain)
{
	uint64_t w;

	if (!min_rtt)
		return INIT_CWND;
	w = (uint64_t)bw * (uint64_t)MAX(min_rtt / USEC, 1);
	w = (w >> CC_GAIN_SHIFT) * gain;
	w = (w + (1u << CC_BW_SHIFT) - 1) >> CC_BW_SHIFT;
	return (uint32_t)MIN(w, (uint64_t)CC_MODEL_SEGS_MAX);
}

uint32_t cc_frame_segs_min(const struct cc *cc)
{
	return cc->pacing_rate < MIN_TSO_RATE ? 1 : 2;
}

/* A millisecond's worth. */
uint32_t cc_frame_segs(const struct cc *cc)
{
	uint64_t bytes = MIN(cc->pacing_rate >> 10, (uint64_t)TSO_BYTES);
	uint32_t segs = (uint32_t)bytes / MAX(cc->mss, 1u);

	return MIN(MAX(segs, cc_frame_segs_min(cc)), TSO_SEGS_MAX);
}

uint64_t cc_model_rate(const struct cc *cc, uint32_t bw, uint32_t gain)
{
	return MIN(rate_of(cc, bw, gain, MARGIN_PERCENT), cc->max_pacing);
}

bool cc_model_first_rate(struct cc *cc, uint32_t gain)
{
	nsec rtt = cc->srtt ? MAX(cc->srtt, USEC) : MSEC; /* a guess */

	cc->pacing_rate = cc_model_rate(cc, cc_bw_of(cc->cwnd, rtt), gain);
	return cc->srtt != 0;
}

uint32_t cc_draw(uint32_t *rand)
{
	*rand = *rand * 1664525u + 1013904223u;
	return *rand >> 16;
}

unsigned cc_model_info(const struct cc *cc, uint32_t bw, nsec min_rtt,
		       uint32_t pacing_gain, uint32_t cwnd_gain,
		       uint32_t v[CC_INFO_WORDS])
{
	uint64_t rate = cc_bytes_a_second(cc, bw, CC_ONE);

	v[0] = (uint32_t)rate;
	v[1] = (uint32_t)(rate >> 32);
	v[2] = min_rtt ? (uint32_t)(min_rtt / USEC) : ~0u;
	v[3] = pacing_gain;
	v[4] = cwnd_gain;
	return 20;
}
