/* SPDX-License-Identifier: MIT
 *
 * cc_model.h - what controls that keep a model of the path reckon with: a
 *	        bandwidth, the shortest round trip, and their product
 *
 * Bandwidth is in segments a microsecond << 24, gains are in 1/256; the figures
 * are those of Linux's tcp_bbr.c.
 */
#ifndef TCPSHIM_CC_MODEL_H
#define TCPSHIM_CC_MODEL_H

#include "transport/cc.h"

#define CC_BW_SHIFT 24 /* Linux: BW_SCALE */
#define CC_BW_MAX (UINT32_MAX - 1)
#define CC_GAIN_SHIFT 8 /* Linux: BBR_SCALE */
#define CC_ONE (1u << CC_GAIN_SHIFT)
#define CC_MODEL_SEGS_MAX (UINT32_MAX / 4)

uint32_t cc_bw_of(uint64_t segs, nsec time);
uint32_t cc_segs_in(uint32_t bw, nsec time);
uint64_t cc_bytes_a_second(const struct cc *cc, uint64_t bw, uint32_t gain);
/* Bandwidth times round trip times gain; the initial window while @min_rtt is
 * not known. */
uint32_t cc_bdp(uint32_t bw, nsec min_rtt, uint32_t gain);

/* Segments of a frame at this pacing rate, and at least: a row's min_segs. */
uint32_t cc_frame_segs(const struct cc *cc);
uint32_t cc_frame_segs_min(const struct cc *cc);

/* A little slower than the model, so that queues drain; no faster than the
 * socket allows. */
uint64_t cc_model_rate(const struct cc *cc, uint32_t bw, uint32_t gain);
/* The rate of the first window. False: its round trip was a guess. */
bool cc_model_first_rate(struct cc *cc, uint32_t gain);
uint32_t cc_draw(uint32_t *rand); /* 16 bits of chance */
/* struct tcp_bbr_info; its length. */
unsigned cc_model_info(const struct cc *cc, uint32_t bw, nsec min_rtt,
		       uint32_t pacing_gain, uint32_t cwnd_gain,
		       uint32_t v[CC_INFO_WORDS]);

#endif
