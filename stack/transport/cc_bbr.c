/* SPDX-License-Identifier: MIT
 *
 * cc_bbr.c - BBR, version 1 (draft-cardwell-iccrg-bbr-congestion-control-00)
 *
 * Loss and full buffers say little about a path. BBR keeps a model of it: the
 * highest delivery rate of the last ten round trips, which is the bottleneck's
 * bandwidth, and the shortest round trip of the last ten seconds, which is the
 * path without a queue. It sends at that rate, in time, with about their
 * product in flight; now and then a little faster or much less, to learn.
 *
 *	STARTUP -- three rounds without a quarter more --> DRAIN
 *	DRAIN -- no more in flight than the path holds --> PROBE_BW
 *	PROBE_BW: eight phases of a round trip, one faster, one slower, six even
 *	any -- min_rtt is 10 s old --> PROBE_RTT: 200 ms with four segments
 *
 * Constants and the order of steps are those of Linux's tcp_bbr.c, so are what
 * the draft leaves out: what a policer lets through (long-term bandwidth), and
 * room for ACKs that come in bunches (extra_acked). Units are cc_model.h's.
 */
#include "transport/cc_model.h"

#include "base/seq.h"
#include "base/util.h"

#define GAIN_SHIFT CC_GAIN_SHIFT
#define ONE CC_ONE
#define HIGH_GAIN (ONE * 2885 / 1000 + 1) /* bbr_high_gain: 2/ln 2 */
#define DRAIN_GAIN (ONE * 1000 / 2885)	  /* Linux: bbr_drain_gain */
#define CWND_GAIN (2 * ONE)		  /* Linux: bbr_cwnd_gain */
#define MIN_CWND 4u			  /* Linux: bbr_cwnd_min_target */
#define INIT_CWND 10u			  /* RFC 6928 2 */

#define PROBE_RTT_EVERY (10 * SEC) /* Linux: bbr_min_rtt_win_sec */
#define PROBE_RTT_LEN (200 * MSEC) /* Linux: bbr_probe_rtt_mode_ms */

#define FULL_BW_GROWTH (ONE * 5 / 4) /* Linux: bbr_full_bw_thresh */
#define FULL_BW_ROUNDS 3	     /* Linux: bbr_full_bw_cnt */

#define PHASES 8u	 /* Linux: CYCLE_LEN */
#define PHASES_RANDOM 7u /* Linux: bbr_cycle_rand */

/* A policer: the same rate in two intervals in which a fifth was lost. */
#define LT_ROUNDS_MIN 4u   /* Linux: bbr_lt_intvl_min_rtts */
#define LT_LOSS 50u	   /* 1/256; Linux: bbr_lt_loss_thresh */
#define LT_RATIO (ONE / 8) /* Linux: bbr_lt_bw_ratio */
#define LT_DIFF (4000 / 8) /* bytes a second; Linux: bbr_lt_bw_diff */
#define LT_USE_ROUNDS 48u  /* Linux: bbr_lt_bw_max_rtts */

#define EXTRA_ROUNDS 5u	       /* Linux: bbr_extra_acked_win_rtts */
#define EXTRA_RESET (1u << 20) /* Linux: bbr_ack_epoch_acked_reset_thresh */
#define EXTRA_MAX_US 100000u   /* Linux: bbr_extra_acked_max_us */

enum { STARTUP, DRAIN, PROBE_BW, PROBE_RTT };

/* Linux: bbr_pacing_gain */
static const uint16_t phase_gain[PHASES] = {ONE * 5 / 4, ONE * 3 / 4, ONE, ONE,
					    ONE,	 ONE,	      ONE, ONE};

/* --- the model --- */

/* The highest of this round and the ten before it that had samples. */
static void note_bw(struct bbr *b, uint32_t bw)
{
	uint32_t gap = MIN(b->rounds - b->bw_round, (uint32_t)BBR_BW_ROUNDS);
	uint32_t *slot = &b->bw[b->rounds % BBR_BW_ROUNDS];

	for (uint32_t i = 0; i < gap; i++)
		b->bw[(b->rounds - i) % BBR_BW_ROUNDS] = 0;
	b->bw_round = b->rounds;
	*slot = MAX(*slot, bw);
	b->max_bw = 0;
	for (uint32_t i = 0; i < BBR_BW_ROUNDS; i++)
		b->max_bw = MAX(b->max_bw, b->bw[i]);
}

static uint32_t bandwidth(const struct bbr *b)
{
	return b->lt_use ? b->lt_bw : b->max_bw;
}

/* Room for frames that are being put together at both ends; even, since every
 * second segment is acknowledged; more where more is to be tried. */
static uint32_t with_frames(const struct cc *cc, uint32_t cwnd)
{
	const struct bbr *b = &cc->u.bbr;

	cwnd += 3 * cc_frame_segs(cc);
	cwnd = (cwnd + 1) & ~1u;
	return cwnd + (b->mode == PROBE_BW && !b->phase ? 2 : 0);
}

static uint32_t inflight(const struct cc *cc, uint32_t bw, uint32_t gain)
{
	return with_frames(cc, cc_bdp(bw, cc->u.bbr.min_rtt, gain));
}

/* What will be in flight as the next frame leaves: less is by then. */
static uint32_t in_net_at_departure(const struct cc *cc, uint32_t now_out,
				    nsec now)
{
	const struct bbr *b = &cc->u.bbr;
	uint32_t gone = cc_segs_in(bandwidth(b), cc->pace_at - now);

	if (b->pacing_gain > ONE)
		now_out += cc_frame_segs(cc);
	return now_out > gone ? now_out - gone : 0;
}

/* --- rate and window --- */

static void set_pacing_rate(struct cc *cc, uint32_t bw, uint32_t gain)
{
	struct bbr *b = &cc->u.bbr;
	uint64_t rate = cc_model_rate(cc, bw, gain);

	if (!b->has_seen_rtt && cc->srtt)
		b->has_seen_rtt = cc_model_first_rate(cc, HIGH_GAIN);
	/* while the pipe fills, a low sample must not slow it down */
	if (b->is_full || rate > cc->pacing_rate)
		cc->pacing_rate = rate;
}

static void save_cwnd(struct cc *cc)
{
	struct bbr *b = &cc->u.bbr;

	if (b->prev_ca < CA_RECOVERY && b->mode != PROBE_RTT)
		b->prior_cwnd = cc->cwnd;
	else
		b->prior_cwnd = MAX(b->prior_cwnd, cc->cwnd);
}

/* In the first round of a recovery as much is sent as is delivered; at its end
 * the window is what it was. True: nothing else moves it. */
static bool in_recovery(struct cc *cc, const struct cc_sample *s,
			uint32_t *cwnd)
{
	struct bbr *b = &cc->u.bbr;

	if (s->losses)
		*cwnd = *cwnd > s->losses ? *cwnd - s->losses : 1;
	if (cc->ca == CA_RECOVERY && b->prev_ca != CA_RECOVERY) {
		b->conserve = true;
		b->round_end = cc->delivered;
		*cwnd = cc->in_flight + s->acked;
	} else if (b->prev_ca >= CA_RECOVERY && cc->ca < CA_RECOVERY) {
		*cwnd = MAX(*cwnd, b->prior_cwnd);
		b->conserve = false;
	}
	b->prev_ca = cc->ca;
	if (b->conserve)
		*cwnd = MAX(*cwnd, cc->in_flight + s->acked);
	return b->conserve;
}

/* What came at once beyond the bandwidth, and may again. */
static uint32_t extra_cwnd(const struct bbr *b)
{
	if (!b->is_full)
		return 0;
	return MIN(MAX(b->extra[0], b->extra[1]),
		   cc_segs_in(bandwidth(b), EXTRA_MAX_US * USEC));
}

static void set_cwnd(struct cc *cc, const struct cc_sample *s)
{
	struct bbr *b = &cc->u.bbr;
	uint32_t cwnd = cc->cwnd, target;

	if (s->acked && !in_recovery(cc, s, &cwnd)) {
		target = cc_bdp(bandwidth(b), b->min_rtt, b->cwnd_gain) +
			 extra_cwnd(b);
		target = with_frames(cc, target);
		if (b->is_full)
			cwnd = MIN(cwnd + s->acked, target);
		else if (cwnd < target || cc->delivered < INIT_CWND)
			cwnd += s->acked;
		cwnd = MAX(cwnd, MIN_CWND);
	}
	cc->cwnd = MIN(cwnd, cc->cwnd_clamp);
	if (b->mode == PROBE_RTT)
		cc->cwnd = MIN(cc->cwnd, MIN_CWND);
}

/* --- modes --- */

static void next_phase(struct cc *cc)
{
	struct bbr *b = &cc->u.bbr;

	b->phase = (uint8_t)((b->phase + 1u) % PHASES);
	b->phase_at = cc->delivered_at;
}

/* Begins anywhere but in the slow phase, so that flows take turns. */
static void enter_probe_bw(struct cc *cc)
{
	struct bbr *b = &cc->u.bbr;

	b->mode = PROBE_BW;
	b->phase = (uint8_t)(PHASES - 1 - cc_draw(&b->rand) % PHASES_RANDOM);
	next_phase(cc);
}

static void leave_probe_rtt(struct cc *cc)
{
	struct bbr *b = &cc->u.bbr;

	if (b->is_full)
		enter_probe_bw(cc);
	else
		b->mode = STARTUP;
}

static void set_gains(struct bbr *b)
{
	b->cwnd_gain = HIGH_GAIN;
	switch (b->mode) {
	case STARTUP:
		b->pacing_gain = HIGH_GAIN;
		break;
	case DRAIN:
		b->pacing_gain = DRAIN_GAIN;
		break;
	case PROBE_BW:
		b->pacing_gain = b->lt_use ? ONE : phase_gain[b->phase];
		b->cwnd_gain = CWND_GAIN;
		break;
	default:
		b->pacing_gain = b->cwnd_gain = ONE;
	}
}

/* --- long-term bandwidth --- */

static void begin_lt_interval(struct cc *cc)
{
	struct bbr *b = &cc->u.bbr;

	b->lt_at = cc->delivered_at;
	b->lt_delivered = cc->delivered;
	b->lt_lost = cc->lost;
	b->lt_rounds = 0;
}

static void reset_lt(struct cc *cc)
{
	struct bbr *b = &cc->u.bbr;

	b->lt_bw = 0;
	b->lt_use = b->lt_sampling = false;
	begin_lt_interval(cc);
}

static void end_lt_interval(struct cc *cc, uint32_t bw)
{
	struct bbr *b = &cc->u.bbr;
	uint32_t diff = bw > b->lt_bw ? bw - b->lt_bw : b->lt_bw - bw;

	if (b->lt_bw &&
	    ((uint64_t)diff * ONE <= (uint64_t)LT_RATIO * b->lt_bw ||
	     cc_model_rate(cc, diff, ONE) <= LT_DIFF)) {
		b->lt_bw = (uint32_t)(((uint64_t)bw + b->lt_bw) / 2);
		b->lt_use = true;
		b->pacing_gain = ONE;
		b->lt_rounds = 0;
		return;
	}
	b->lt_bw = bw;
	begin_lt_interval(cc);
}

/* An interval ends with a loss, after four rounds and before sixteen. */
static void sample_lt(struct cc *cc, bool has_loss, bool app_limited)
{
	struct bbr *b = &cc->u.bbr;
	uint64_t delivered;
	uint32_t lost;
	nsec t;

	if (b->lt_use) { /* believed for so long, then looked at anew */
		if (b->mode == PROBE_BW && b->round_start &&
		    ++b->lt_rounds >= LT_USE_ROUNDS) {
			reset_lt(cc);
			enter_probe_bw(cc);
		}
		return;
	}
	if (!b->lt_sampling) {
		if (!has_loss)
			return;
		begin_lt_interval(cc);
		b->lt_sampling = true;
	}
	if (app_limited) {
		reset_lt(cc);
		return;
	}
	b->lt_rounds += b->round_start;
	if (b->lt_rounds < LT_ROUNDS_MIN)
		return;
	if (b->lt_rounds > 4 * LT_ROUNDS_MIN) {
		reset_lt(cc);
		return;
	}
	if (!has_loss)
		return;
	lost = cc->lost - b->lt_lost;
	delivered = cc->delivered - b->lt_delivered;
	if (!delivered || ((uint64_t)lost << GAIN_SHIFT) < LT_LOSS * delivered)
		return;
	t = cc->delivered_at - b->lt_at;
	if (t >= MSEC)
		end_lt_interval(cc, cc_bw_of(delivered, t));
}

/* --- what an ACK tells --- */

static void learn_bw(struct cc *cc, const struct cc_sample *s)
{
	struct bbr *b = &cc->u.bbr;
	uint32_t bw;

	b->round_start = false;
	if (s->interval <= 0)
		return;
	/* what was sent as the round began is delivered */
	if (s->prior_delivered >= b->round_end) {
		b->round_end = cc->delivered;
		b->rounds++;
		b->round_start = true;
		b->conserve = false;
	}
	sample_lt(cc, s->losses, s->app_limited);
	bw = cc_bw_of(s->delivered, s->interval);
	if (!s->app_limited || bw >= b->max_bw)
		note_bw(b, bw);
}

/* How many more than expected are acknowledged in a stretch that keeps ahead of
 * the bandwidth. */
static void learn_extra(struct cc *cc, const struct cc_sample *s)
{
	struct bbr *b = &cc->u.bbr;
	uint32_t expected, extra;

	if (!s->acked || s->interval <= 0)
		return;
	if (b->round_start && ++b->extra_rounds >= EXTRA_ROUNDS) {
		b->extra_rounds = 0;
		b->extra_now ^= 1;
		b->extra[b->extra_now] = 0;
	}
	expected = cc_segs_in(bandwidth(b), cc->delivered_at - b->epoch_at);
	if (b->epoch_acked <= expected ||
	    b->epoch_acked + s->acked >= EXTRA_RESET) {
		b->epoch_acked = expected = 0;
		b->epoch_at = cc->delivered_at;
	}
	b->epoch_acked = MIN(b->epoch_acked + s->acked, EXTRA_RESET - 1);
	extra = MIN(b->epoch_acked - expected, cc->cwnd);
	b->extra[b->extra_now] = MAX(b->extra[b->extra_now], extra);
}

/* A phase is a round trip long; the fast one ends when what it wants is in
 * flight, the slow one as soon as the queue is gone. */
static void cycle(struct cc *cc, const struct cc_sample *s, nsec now)
{
	struct bbr *b = &cc->u.bbr;
	bool is_over = cc->delivered_at - b->phase_at > b->min_rtt;
	uint32_t out;

	if (b->mode != PROBE_BW)
		return;
	out = in_net_at_departure(cc, s->prior_in_flight, now);
	if (b->pacing_gain > ONE)
		is_over = is_over &&
			  (s->losses ||
			   out >= inflight(cc, b->max_bw, b->pacing_gain));
	else if (b->pacing_gain < ONE)
		is_over = is_over || out <= inflight(cc, b->max_bw, ONE);
	if (is_over)
		next_phase(cc);
}

static void look_if_full(struct bbr *b, const struct cc_sample *s)
{
	if (b->is_full || !b->round_start || s->app_limited)
		return;
	if (b->max_bw >= (uint64_t)b->full_bw * FULL_BW_GROWTH >> GAIN_SHIFT) {
		b->full_bw = b->max_bw;
		b->full_rounds = 0;
		return;
	}
	b->is_full = ++b->full_rounds >= FULL_BW_ROUNDS;
}

static void drain(struct cc *cc, nsec now)
{
	struct bbr *b = &cc->u.bbr;

	if (b->mode == STARTUP && b->is_full) {
		b->mode = DRAIN;
		cc->ssthresh = inflight(cc, b->max_bw, ONE);
	}
	if (b->mode == DRAIN && in_net_at_departure(cc, cc->in_flight, now) <=
					inflight(cc, b->max_bw, ONE))
		enter_probe_bw(cc);
}

static void end_probe_rtt(struct cc *cc, nsec now)
{
	struct bbr *b = &cc->u.bbr;

	if (!b->probe_done_at || now <= b->probe_done_at)
		return;
	b->min_rtt_at = now;
	cc->cwnd = MAX(cc->cwnd, b->prior_cwnd);
	leave_probe_rtt(cc);
}

static void probe_rtt(struct cc *cc, nsec now)
{
	struct bbr *b = &cc->u.bbr;

	/* what is delivered meanwhile says nothing of the bandwidth */
	cc->app_limited = MAX(cc->delivered + cc->in_flight, 1u);
	if (!b->probe_done_at) {
		if (cc->in_flight > MIN_CWND)
			return;
		b->probe_done_at = now + PROBE_RTT_LEN;
		b->probe_round_done = false;
		b->round_end = cc->delivered;
		return;
	}
	if (b->round_start)
		b->probe_round_done = true;
	if (b->probe_round_done)
		end_probe_rtt(cc, now);
}

static void learn_rtt(struct cc *cc, const struct cc_sample *s, nsec now)
{
	struct bbr *b = &cc->u.bbr;
	bool is_old = now > b->min_rtt_at + PROBE_RTT_EVERY;

	if (s->rtt >= 0 && (!b->min_rtt || s->rtt < b->min_rtt ||
			    (is_old && !s->is_ack_delayed))) {
		b->min_rtt = MAX(s->rtt, USEC);
		b->min_rtt_at = now;
	}
	if (is_old && !b->idle_restart && b->mode != PROBE_RTT) {
		save_cwnd(cc);
		b->mode = PROBE_RTT;
		b->probe_done_at = 0;
	}
	if (b->mode == PROBE_RTT)
		probe_rtt(cc, now);
	if (s->delivered)
		b->idle_restart = false;
}

static void control(struct cc *cc, const struct cc_sample *s, nsec now)
{
	struct bbr *b = &cc->u.bbr;

	learn_bw(cc, s);
	learn_extra(cc, s);
	cycle(cc, s, now);
	look_if_full(b, s);
	drain(cc, now);
	learn_rtt(cc, s, now);
	set_gains(b);
	set_pacing_rate(cc, bandwidth(b), b->pacing_gain);
	set_cwnd(cc, s);
}

/* --- the rest of the interface --- */

static void init(struct cc *cc)
{
	struct bbr *b = &cc->u.bbr;

	*b = (struct bbr){
		.min_rtt = cc->min_rtt,
		.min_rtt_at = cc->now,
		.epoch_at = cc->now,
		.round_end = cc->delivered,
		.rand = cc->seed,
		.mode = STARTUP,
	};
	cc->ssthresh = CC_SSTHRESH_NONE;
	set_gains(b);
	reset_lt(cc);
	b->has_seen_rtt = cc_model_first_rate(cc, HIGH_GAIN);
}

static uint32_t ssthresh(struct cc *cc)
{
	save_cwnd(cc);
	return cc->ssthresh;
}

static void restart(struct cc *cc, nsec now)
{
	struct bbr *b = &cc->u.bbr;

	if (!cc->app_limited)
		return;
	b->idle_restart = true;
	b->epoch_at = now;
	b->epoch_acked = 0;
	/* the pipe is empty: no need to go faster than it takes */
	if (b->mode == PROBE_BW)
		set_pacing_rate(cc, bandwidth(b), ONE);
	else if (b->mode == PROBE_RTT)
		end_probe_rtt(cc, now);
}

static void event(struct cc *cc, enum cc_event ev, nsec idle, nsec now)
{
	struct bbr *b = &cc->u.bbr;

	switch (ev) {
	case CC_LOSS:
		b->prev_ca = CA_LOSS;
		b->full_bw = 0;
		b->round_start = true; /* an RTO is longer than a round */
		sample_lt(cc, true, false);
		break;
	case CC_UNDO:
		b->full_bw = 0;
		b->full_rounds = 0;
		reset_lt(cc);
		break;
	case CC_RESTART:
		restart(cc, now);
		break;
	case CC_TIMEOUT:
		break;
	}
}

static unsigned info(const struct cc *cc, uint32_t v[CC_INFO_WORDS])
{
	const struct bbr *b = &cc->u.bbr;

	return cc_model_info(cc, bandwidth(b), b->min_rtt, b->pacing_gain,
			     b->cwnd_gain, v);
}

const struct cc_ops cc_bbr = {
	.name = "bbr",
	.init = init,
	.ssthresh = ssthresh,
	.control = control,
	.event = event,
	.min_segs = cc_frame_segs_min,
	.info = info,
	.sndbuf_factor = 3,
};
