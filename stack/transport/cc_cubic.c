/* SPDX-License-Identifier: MIT
 *
 * cc_cubic.c - CUBIC (RFC 9438) in integers
 *
 * After a loss the window falls to beta times what it was (W_max) and then
 * follows W(t) = C (t - K)^3 + W_max: steep, flat around W_max, steep again,
 * in real time and so whatever the round trip. K is the time to get back to
 * W_max, the cube root of W_max (1 - beta) / C. Where Reno would be faster its
 * estimate is followed instead (RFC 9438 4.3).
 *
 * Time is in 1/1024 s, windows in segments. The controller hands cc.h's linear
 * growth a divisor: so many acked segments for one of growth.
 */
#include "transport/cc.h"

#include "base/util.h"

#define BETA_NUM 717u /* 0.7 (RFC 9438 4.6), in 1/1024 */
#define BETA_DEN 1024u
#define BETA_ECN 870u /* 0.85 (RFC 8511 3.1) where a mark weighs less */
#define MIN_WINDOW 2u /* RFC 9438 4.6; Linux: for marks, too */
#define C_NUM 4u      /* C is 0.4 (RFC 9438 5.1) */
#define C_DEN 10u
#define MIN_COUNT 2u	/* 1.5 times a round trip (RFC 9438 4.2) */
#define FIRST_COUNT 20u /* Linux: 5 % a round trip until a loss is seen */
#define FLAT_COUNT 100u /* Linux: where the curve is below the window */
#define SETTLE SEC	/* Linux: no round trip so soon after a loss */
#define TICK_SHIFT 10	/* Linux: BICTCP_HZ, 1024 ticks a second */
#define RECOMPUTE_EVERY (SEC / 32) /* Linux: bictcp_update() */
/* Windows and times beyond these are as good as these. */
#define MAX_WINDOW 0x3fffffu
#define MAX_TICKS (1u << 18)

static uint64_t to_ticks(nsec t)
{
	return (uint64_t)(t / 1000) * (1u << TICK_SHIFT) / 1000000;
}

/* The largest r with r^3 <= @v, a bit at a time. */
static uint32_t cube_root(uint64_t v)
{
	uint64_t r = 0;

	for (int bit = 20; bit >= 0; bit--) {
		uint64_t t = r | 1ull << bit;

		if (t * t * t <= v)
			r = t;
	}
	return (uint32_t)r;
}

static void init(struct cc *cc)
{
	cc->u.cubic = (struct cubic){0};
	hystart_init(&cc->u.cubic.hystart);
}

static uint32_t ssthresh(struct cc *cc)
{
	struct cubic *q = &cc->u.cubic;

	q->epoch_at = 0;
	/* fast convergence: lost before reaching W_max again (RFC 9438 4.7) */
	if (cc->cwnd < q->last_max)
		q->last_max =
			(uint32_t)((uint64_t)cc->cwnd * (BETA_DEN + BETA_NUM) /
				   (2 * BETA_DEN));
	else
		q->last_max = cc->cwnd;
	if (cc->by_mark && cc->abe)
		return MAX((uint32_t)((uint64_t)cc->cwnd * BETA_ECN / BETA_DEN),
			   MIN_WINDOW);
	return MAX((uint32_t)((uint64_t)cc->cwnd * BETA_NUM / BETA_DEN),
		   MIN_WINDOW);
}

static void begin_epoch(struct cc *cc, uint32_t acked, nsec now)
{
	struct cubic *q = &cc->u.cubic;

	q->epoch_at = MAX(now, 1);
	q->acked = acked;
	q->reno = cc->cwnd;
	q->k = 0;
	q->origin = cc->cwnd;
	if (q->last_max > cc->cwnd) {
		uint64_t gap = MIN(q->last_max - cc->cwnd, MAX_WINDOW);

		/* K^3 = gap / C (RFC 9438 4.2); ticks are cubed: << 30 */
		q->k = cube_root((gap << (3 * TICK_SHIFT)) / C_NUM * C_DEN);
		q->origin = q->last_max;
	}
}

/* W(t) of RFC 9438 4.2, @t in ticks since the epoch began. */
static uint32_t window_at(const struct cubic *q, uint64_t t)
{
	uint64_t d = t < q->k ? q->k - t : t - q->k;
	uint64_t delta;

	d = MIN(d, MAX_TICKS);
	delta = (d * d * d / C_DEN * C_NUM) >> (3 * TICK_SHIFT);
	delta = MIN(delta, MAX_WINDOW);
	if (t < q->k)
		return q->origin > delta ? (uint32_t)(q->origin - delta) : 0;
	return q->origin + (uint32_t)delta;
}

/* RFC 9438 4.3: alpha = 3 (1 - beta) / (1 + beta) a round trip, expressed as
 * segments acked per segment of growth. Beyond W_max, too, as in Linux, where
 * the RFC has 1. */
static void follow_reno(struct cc *cc)
{
	struct cubic *q = &cc->u.cubic;
	uint64_t per = (uint64_t)cc->cwnd * (BETA_DEN + BETA_NUM) /
		       (3 * (BETA_DEN - BETA_NUM));

	per = MAX(per, 1u);
	if (q->acked > per) {
		q->reno += (uint32_t)(q->acked / per);
		q->acked = (uint32_t)(q->acked % per);
	}
	if (q->reno > cc->cwnd)
		q->cnt = MIN(q->cnt, MAX(cc->cwnd / (q->reno - cc->cwnd), 1u));
}

static void update(struct cc *cc, uint32_t acked, nsec now)
{
	struct cubic *q = &cc->u.cubic;
	uint32_t target;

	q->acked += acked;
	if (!q->epoch_at)
		begin_epoch(cc, acked, now);
	else if (q->last_cwnd == cc->cwnd &&
		 now - q->last_at <= RECOMPUTE_EVERY)
		return;
	q->last_cwnd = cc->cwnd;
	q->last_at = now;
	/* the window of one round trip from now */
	target = window_at(q, to_ticks(now + q->delay_min - q->epoch_at));
	if (target > cc->cwnd)
		q->cnt = cc->cwnd / (target - cc->cwnd);
	else
		q->cnt = FLAT_COUNT * cc->cwnd; /* next to nothing */
	if (!q->last_max)
		q->cnt = MIN(q->cnt, FIRST_COUNT);
}

static void grow(struct cc *cc, uint32_t acked, nsec now)
{
	if (cc_in_slow_start(cc)) {
		acked = cc_slow_start(
			cc, hystart_growth(&cc->u.cubic.hystart, acked));
		if (!acked)
			return;
	}
	update(cc, acked, now);
	follow_reno(cc);
	cc->u.cubic.cnt = MAX(cc->u.cubic.cnt, MIN_COUNT);
	cc_grow_linear(cc, cc->u.cubic.cnt, acked);
}

static void rtt(struct cc *cc, nsec sample, nsec now)
{
	struct cubic *q = &cc->u.cubic;

	/* what follows a recovery is no measure (Linux: cubictcp_acked()) */
	if (q->epoch_at && now - q->epoch_at < SETTLE)
		return;
	if (!q->delay_min || sample < q->delay_min)
		q->delay_min = sample;
	hystart_rtt(cc, &q->hystart, q->delay_min, sample, now);
}

static void event(struct cc *cc, enum cc_event ev, nsec idle, nsec now)
{
	struct cubic *q = &cc->u.cubic;

	switch (ev) {
	case CC_LOSS: /* RFC 9438 4.8: K is 0, W_max the window to come */
		init(cc);
		break;
	case CC_RESTART: /* the curve must not run while nothing is sent */
		if (q->epoch_at)
			q->epoch_at = MIN(q->epoch_at + idle, now);
		break;
	case CC_TIMEOUT:
	case CC_UNDO:
		break;
	}
}

const struct cc_ops cc_cubic = {
	.name = "cubic",
	.init = init,
	.ssthresh = ssthresh,
	.grow = grow,
	.rtt = rtt,
	.event = event,
};
