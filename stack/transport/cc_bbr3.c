/* SPDX-License-Identifier: MIT
 *
 * cc_bbr3.c - BBR, version 3 (draft-ietf-ccwg-bbr-05)
 *
 * Like the first version (cc_bbr.c) it keeps a model of the path, its bandwidth
 * and its round trip, and sends by that. What it adds is bounds learned from
 * losses: how much in flight was too much while it probed (long term), and what
 * arrived while somebody else took his share (short term, forgotten with the
 * next probe). So it leaves room for flows that live on losses, and does not
 * keep overflowing a buffer that is small.
 *
 *	STARTUP -- three rounds without a quarter more, or many losses --> DRAIN
 *	DRAIN -- no more in flight than the path holds, three rounds --> DOWN
 *	DOWN -- and some room is left --> CRUISE -- 2 to 3 s, or as many rounds
 *		as a Reno flow needs to grow by as much --> REFILL
 *	REFILL -- a round --> UP -- no growth, or too many losses --> DOWN
 *	any -- 5 s without a shorter round trip --> PROBE_RTT: half of what the
 *		path holds, 200 ms --> CRUISE, or STARTUP
 *
 * The four in the middle are the draft's ProbeBW_*. The order of steps is that
 * of its UpdateOnACK(). It has no answer to ECN marks yet, nor has this.
 * Units are cc_model.h's. Numbers in brackets are sections of the draft.
 */
#include "transport/cc_model.h"

#include "base/util.h"

#define GAIN_SHIFT CC_GAIN_SHIFT
#define ONE CC_ONE
#define INF UINT32_MAX

/* 2.4 to 2.14: parameters */
#define STARTUP_GAIN (ONE * 277 / 100) /* 5.3.1.1: 4 ln 2 */
#define DRAIN_GAIN (ONE / 2)	       /* 5.3.2: DrainPacingGain */
#define UP_GAIN (ONE * 5 / 4)	       /* 5.3.3.4: ProbeBW_UP */
#define DOWN_GAIN (ONE * 9 / 10)       /* 5.3.3.1: ProbeBW_DOWN */
#define CWND_GAIN (2 * ONE)	       /* 5.6.4.2: DefaultCwndGain */
#define UP_CWND_GAIN (ONE * 9 / 4)     /* 5.3.3.4: while it probes */
#define PROBE_RTT_CWND_GAIN (ONE / 2)  /* 5.3.4: ProbeRTTCwndGain */
#define LOSS_PER 50u		       /* 5.5.9.2: LossThresh, 2 % */
#define BETA_TENTHS 7u		       /* 5.5.9.2: Beta */
#define HEADROOM_PERCENT 15u	       /* 5.3.3.2: Headroom */
#define MIN_CWND 4u		       /* 5.6.4.3: MinPipeCwnd */
#define INIT_CWND 10u		       /* RFC 6928 2 */
#define FULL_ROUNDS 3		       /* 5.3.1.2 */
#define FULL_GROWTH (ONE * 5 / 4)      /* 5.3.1.2 */
#define STARTUP_LOSSES 6	       /* 5.3.1.3: StartupFullLossCnt */
#define DRAIN_ROUNDS 3		       /* 5.3.2 */
#define MIN_RTT_LEN (10 * SEC)	       /* 5.5.7: MinRTTFilterLen */
#define PROBE_RTT_EVERY (5 * SEC)      /* 5.3.4: ProbeRTTInterval */
#define PROBE_RTT_LEN (200 * MSEC)     /* 5.3.4: ProbeRTTDuration */
#define PROBE_WAIT (2 * SEC)	       /* 5.3.3.5.3; and up to a second more */
#define PROBE_WAIT_RAND_MS 1000u       /* 5.3.3.5.3 */
#define RENO_ROUNDS_MAX 63u	       /* 5.3.3.5.3 */
#define EXTRA_ROUNDS 5u		       /* 5.5.8: half of ExtraAckedFilterLen */
#define UP_ROUNDS_MAX 30	       /* 5.3.3.6 */

enum { STARTUP, DRAIN, DOWN, CRUISE, REFILL, UP, PROBE_RTT, NO_STATE };

enum { /* what the ACKs that come now tell of */
       ACKS_INIT,
       ACKS_REFILLING,
       ACKS_PROBE_STARTING, /* not of the probe yet */
       ACKS_PROBE_FEEDBACK,
       ACKS_PROBE_STOPPING, /* still of the probe */
};

static bool is_probing(const struct bbr3 *b)
{
	return b->state == STARTUP || b->state == REFILL || b->state == UP;
}

static bool in_probe_bw(const struct bbr3 *b)
{
	return b->state >= DOWN && b->state <= UP;
}

/* --- volumes and rates --- */

static uint32_t bandwidth(const struct bbr3 *b)
{
	return MIN(b->max_bw, b->bw_short);
}

/* 5.6.4.2: BDPMultiple() */
static uint32_t bdp(const struct bbr3 *b, uint32_t bw, uint32_t gain)
{
	return cc_bdp(bw, b->min_rtt, gain);
}

/* Room for frames that are being put together at both ends. */
static uint32_t with_frames(const struct cc *cc, uint32_t cap)
{
	cap = MAX(cap, 3 * cc_frame_segs(cc)); /* 5.5.8.1: offload_budget */
	cap = MAX(cap, MIN_CWND);
	return cap + (cc->u.bbr3.state == UP ? 2 : 0);
}

static uint32_t inflight(const struct cc *cc, uint32_t gain)
{
	const struct bbr3 *b = &cc->u.bbr3;

	return with_frames(cc, bdp(b, bandwidth(b), gain));
}

static uint32_t target_inflight(const struct cc *cc)
{
	const struct bbr3 *b = &cc->u.bbr3;

	return MIN(bdp(b, bandwidth(b), ONE), cc->cwnd);
}

/* Some of the path is left to others. */
static uint32_t with_headroom(const struct bbr3 *b)
{
	uint32_t room;

	if (b->inflight_long == INF)
		return INF;
	room = (uint32_t)((uint64_t)b->inflight_long * HEADROOM_PERCENT / 100);
	room = MAX(room, 1u);
	return MAX(b->inflight_long - MIN(room, b->inflight_long), MIN_CWND);
}

static uint32_t probe_rtt_cwnd(const struct bbr3 *b)
{
	return MAX(bdp(b, bandwidth(b), PROBE_RTT_CWND_GAIN), MIN_CWND);
}

/* --- small steps of the draft, by its names --- */

static void reset_congestion_signals(struct bbr3 *b)
{
	b->is_loss_in_round = false;
	b->bw_latest = b->inflight_latest = 0;
}

static void reset_short_term(struct bbr3 *b)
{
	b->bw_short = b->inflight_short = INF;
}

static void reset_full_bw(struct bbr3 *b)
{
	b->full_bw = 0;
	b->full_rounds = 0;
	b->full_now = false;
}

static void start_round(struct cc *cc)
{
	cc->u.bbr3.round_end = cc->delivered;
}

static void save_cwnd(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (b->prev_ca < CA_RECOVERY && b->state != PROBE_RTT)
		b->prior_cwnd = cc->cwnd;
	else
		b->prior_cwnd = MAX(b->prior_cwnd, cc->cwnd);
}

static void restore_cwnd(struct cc *cc)
{
	cc->cwnd = MAX(cc->cwnd, cc->u.bbr3.prior_cwnd);
}

static void set_gains(struct bbr3 *b)
{
	b->cwnd_gain = CWND_GAIN;
	b->pacing_gain = ONE;
	switch (b->state) {
	case STARTUP:
		b->pacing_gain = STARTUP_GAIN;
		break;
	case DRAIN:
		b->pacing_gain = DRAIN_GAIN;
		break;
	case DOWN:
		b->pacing_gain = DOWN_GAIN;
		break;
	case UP:
		b->pacing_gain = UP_GAIN;
		b->cwnd_gain = UP_CWND_GAIN;
		break;
	case PROBE_RTT:
		b->cwnd_gain = PROBE_RTT_CWND_GAIN;
		break;
	default:
		break;
	}
}

static void enter(struct bbr3 *b, uint8_t state)
{
	b->state = state;
	set_gains(b);
}

/* --- 5.3.3: probing for bandwidth --- */

/* 5.3.3.6: RaiseInflightLongtermSlope(): twice as steep each round */
static void raise_slope(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	b->up_per_inc = MAX(cc->cwnd >> b->up_rounds, 1u);
	if (b->up_rounds < UP_ROUNDS_MAX)
		b->up_rounds++;
}

static void start_down(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	reset_congestion_signals(b);
	b->up_per_inc = INF;
	b->rounds_since_up = cc_draw(&b->rand) & 1;
	b->probe_wait =
		PROBE_WAIT + cc_draw(&b->rand) % PROBE_WAIT_RAND_MS * MSEC;
	b->cycle_at = cc->now;
	b->ack_phase = ACKS_PROBE_STOPPING;
	start_round(cc);
	enter(b, DOWN);
}

static void start_refill(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	reset_short_term(b);
	b->up_rounds = 0;
	b->up_acked = 0;
	b->was_precautionary = false;
	b->ack_phase = ACKS_REFILLING;
	start_round(cc);
	enter(b, REFILL);
}

static void start_up(struct cc *cc, uint32_t bw)
{
	struct bbr3 *b = &cc->u.bbr3;

	b->ack_phase = ACKS_PROBE_STARTING;
	start_round(cc);
	reset_full_bw(b);
	b->full_bw = bw;
	enter(b, UP);
	raise_slope(cc);
}

/* 5.3.3.5.2: who shares the path with Reno flows probes as often as they do. */
static bool is_time_to_probe(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (cc->now <= b->cycle_at + b->probe_wait &&
	    b->rounds_since_up < MIN(target_inflight(cc), RENO_ROUNDS_MAX))
		return false;
	start_refill(cc);
	return true;
}

static bool is_time_to_cruise(const struct cc *cc)
{
	const struct bbr3 *b = &cc->u.bbr3;

	return cc->in_flight <= with_headroom(b) &&
	       cc->in_flight <= with_frames(cc, bdp(b, b->max_bw, ONE));
}

static bool is_time_to_go_down(struct cc *cc, uint32_t bw)
{
	struct bbr3 *b = &cc->u.bbr3;

	/* where the last probe met losses this one goes no further, once */
	if (b->was_too_high && cc->in_flight >= b->inflight_long) {
		b->was_precautionary = true;
		return true;
	}
	if (cc->is_cwnd_limited && cc->cwnd >= b->inflight_long) {
		reset_full_bw(b); /* the bound is what limits, not the path */
		b->full_bw = bw;
		return false;
	}
	return b->full_now;
}

/* --- 5.5.9.2: how much in flight is too much --- */

static bool is_too_high(const struct cc *cc, uint32_t lost, uint32_t tx)
{
	return (uint64_t)lost * LOSS_PER > tx || (lost && !cc->has_sack);
}

static void handle_too_high(struct cc *cc, uint32_t tx, bool app_limited)
{
	struct bbr3 *b = &cc->u.bbr3;

	b->was_too_high = true;
	b->is_probe_sample = false; /* once a probe */
	if (!app_limited)
		b->inflight_long =
			MAX(tx, target_inflight(cc) * BETA_TENTHS / 10);
	if (b->state == UP) {
		b->undo_state = UP;
		start_down(cc);
	}
}

/* What was in flight as losses began to be too many: @l is a frame, of which
 * the first few may have been within bounds. */
static uint32_t inflight_at_loss(const struct cc_loss *l)
{
	uint32_t before = l->tx_in_flight - MIN(l->segs, l->tx_in_flight);
	uint32_t lost = l->lost - MIN(l->segs, l->lost);
	uint64_t within =
		before > (uint64_t)lost * LOSS_PER
			? (before - (uint64_t)lost * LOSS_PER) / (LOSS_PER - 1)
			: 0;

	return before + (uint32_t)within;
}

static void note_loss(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (!b->is_loss_in_round) {
		b->loss_round_end = cc->delivered;
		/* 5.5.10.1: in case that it proves none */
		save_cwnd(cc);
		b->undo_state = NO_STATE;
		b->undo_bw_short = b->bw_short;
		b->undo_inflight_short = b->inflight_short;
		b->undo_inflight_long = b->inflight_long;
	}
	b->is_loss_in_round = true;
}

static void lost(struct cc *cc, const struct cc_loss *l)
{
	struct bbr3 *b = &cc->u.bbr3;

	note_loss(cc);
	if (b->is_probe_sample && is_too_high(cc, l->lost, l->tx_in_flight))
		handle_too_high(cc, inflight_at_loss(l), l->app_limited);
}

/* 5.3.3.6: ProbeInflightLongtermUpward() */
static void grow_long_term(struct cc *cc, uint32_t acked)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (!cc->is_cwnd_limited || cc->cwnd < b->inflight_long)
		return;
	b->up_acked += acked;
	if (b->up_acked >= b->up_per_inc) {
		b->inflight_long += b->up_acked / b->up_per_inc;
		b->up_acked %= b->up_per_inc;
	}
	if (b->round_start)
		raise_slope(cc);
}

/* 5.5.6: a cycle is over, the one before it is forgotten */
static void advance_max_bw(struct bbr3 *b)
{
	b->bw[0] = b->bw[1];
	b->bw[1] = 0;
	b->max_bw = b->bw[0];
}

/* True: the state has been decided upon. */
static bool adapt_long_term(struct cc *cc, const struct cc_sample *s)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (b->ack_phase == ACKS_PROBE_STARTING && b->round_start)
		b->ack_phase = ACKS_PROBE_FEEDBACK;
	if (b->ack_phase == ACKS_PROBE_STOPPING && b->round_start) {
		b->is_probe_sample = false;
		b->ack_phase = ACKS_INIT;
		if (in_probe_bw(b) && !s->app_limited)
			advance_max_bw(b);
		if (in_probe_bw(b) && b->was_precautionary &&
		    !b->was_too_high) {
			start_refill(cc);
			return true;
		}
	}
	if (b->inflight_long == INF ||
	    is_too_high(cc, s->lost, s->tx_in_flight))
		return false;
	b->inflight_long = MAX(b->inflight_long, s->tx_in_flight);
	if (b->state == UP)
		grow_long_term(cc, s->acked);
	return false;
}

static void update_cycle(struct cc *cc, const struct cc_sample *s, uint32_t bw)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (!b->is_full || adapt_long_term(cc, s))
		return;
	switch (b->state) {
	case DOWN:
		if (!is_time_to_probe(cc) && is_time_to_cruise(cc))
			enter(b, CRUISE);
		break;
	case CRUISE:
		is_time_to_probe(cc);
		break;
	case REFILL:
		if (b->round_start) {
			b->is_probe_sample = true;
			start_up(cc, bw);
		}
		break;
	case UP:
		if (is_time_to_go_down(cc, bw)) {
			b->was_too_high = false; /* no losses yet */
			start_down(cc);
		}
		break;
	default:
		break;
	}
}

/* --- 5.5: the model --- */

static void update_max_bw(struct cc *cc, const struct cc_sample *s, uint32_t bw)
{
	struct bbr3 *b = &cc->u.bbr3;

	b->round_start = s->prior_delivered >= b->round_end;
	if (b->round_start) {
		start_round(cc);
		b->rounds++;
		b->rounds_since_up++;
	}
	if (bw >= b->max_bw || !s->app_limited) {
		b->bw[1] = MAX(b->bw[1], bw);
		b->max_bw = MAX(b->bw[0], b->bw[1]);
	}
}

/* 5.5.9.3: what arrives is taken for what there is, if some is lost. */
static void adapt_lower_bounds(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (is_probing(b) || !b->is_loss_in_round)
		return;
	if (b->bw_short == INF)
		b->bw_short = b->max_bw;
	if (b->inflight_short == INF)
		b->inflight_short = cc->cwnd;
	b->bw_short = MAX(b->bw_latest,
			  (uint32_t)((uint64_t)b->bw_short * BETA_TENTHS / 10));
	b->inflight_short =
		MAX(b->inflight_latest, b->inflight_short * BETA_TENTHS / 10);
}

static void update_signals(struct cc *cc, const struct cc_sample *s,
			   uint32_t bw)
{
	struct bbr3 *b = &cc->u.bbr3;

	b->bw_latest = MAX(b->bw_latest, bw);
	b->inflight_latest = MAX(b->inflight_latest, s->delivered);
	b->loss_round_start = s->prior_delivered >= b->loss_round_end;
	if (b->loss_round_start)
		b->loss_round_end = cc->delivered;
	update_max_bw(cc, s, bw);
	if (!b->loss_round_start)
		return;
	adapt_lower_bounds(cc);
	b->is_loss_in_round = false;
}

/* 5.5.8: how much more than expected comes acknowledged at once */
static void update_extra(struct cc *cc, const struct cc_sample *s)
{
	struct bbr3 *b = &cc->u.bbr3;
	uint32_t expected = cc_segs_in(bandwidth(b), cc->now - b->extra_at),
		 extra;

	if (b->round_start &&
	    ++b->extra_rounds >= (b->is_full ? EXTRA_ROUNDS : 1)) {
		b->extra_rounds = 0;
		b->extra[0] = b->is_full ? b->extra[1] : 0;
		b->extra[1] = 0;
	}
	if (b->extra_acked <= expected) {
		b->extra_acked = expected = 0;
		b->extra_at = cc->now;
	}
	b->extra_acked += s->acked;
	extra = MIN(b->extra_acked - MIN(expected, b->extra_acked), cc->cwnd);
	b->extra[1] = MAX(b->extra[1], extra);
}

/* 5.3.1.2 */
static void check_full_bw(struct bbr3 *b, const struct cc_sample *s,
			  uint32_t bw)
{
	if (b->full_now || !b->round_start || s->app_limited)
		return;
	if (bw >= (uint64_t)b->full_bw * FULL_GROWTH >> GAIN_SHIFT) {
		reset_full_bw(b);
		b->full_bw = bw;
		return;
	}
	b->full_now = ++b->full_rounds >= FULL_ROUNDS;
	b->is_full |= b->full_now;
}

/* 5.3.1.3: losses in several places of a round of recovery. Places are counted
 * as ACKs that told of losses, as Linux's BBRv3 does. */
static void check_startup_loss(struct cc *cc, const struct cc_sample *s)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (b->is_full)
		return;
	if (s->losses && b->loss_events < UINT8_MAX)
		b->loss_events++;
	if (b->loss_round_start && cc->ca == CA_RECOVERY &&
	    (b->loss_events >= STARTUP_LOSSES || !cc->has_sack) &&
	    is_too_high(cc, s->lost, s->tx_in_flight)) {
		b->undo_state = STARTUP;
		b->is_full = true;
		b->inflight_long =
			MAX(bdp(b, b->max_bw, ONE), b->inflight_latest);
	}
	if (b->loss_round_start)
		b->loss_events = 0;
}

static void check_drain(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (b->state == STARTUP && b->is_full) {
		enter(b, DRAIN);
		b->drain_round = b->rounds;
		cc->ssthresh = inflight(cc, ONE);
	}
	if (b->state == DRAIN && (cc->in_flight <= inflight(cc, ONE) ||
				  b->rounds > b->drain_round + DRAIN_ROUNDS))
		start_down(cc);
}

/* --- 5.3.4: the round trip --- */

static void leave_probe_rtt(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	reset_short_term(b);
	if (!b->is_full) {
		enter(b, STARTUP);
		return;
	}
	start_down(cc);
	enter(b, CRUISE);
}

static void check_probe_rtt_done(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (!b->probe_done_at || cc->now <= b->probe_done_at)
		return;
	b->probe_min_at = cc->now;
	restore_cwnd(cc);
	leave_probe_rtt(cc);
}

static void handle_probe_rtt(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	/* what is delivered meanwhile says nothing of the bandwidth */
	cc->app_limited = MAX(cc->delivered + cc->in_flight, 1u);
	if (!b->probe_done_at) {
		if (cc->in_flight > probe_rtt_cwnd(b))
			return;
		b->probe_done_at = cc->now + PROBE_RTT_LEN;
		b->probe_round_done = false;
		start_round(cc);
		return;
	}
	b->probe_round_done |= b->round_start;
	if (b->probe_round_done)
		check_probe_rtt_done(cc);
}

static void update_min_rtt(struct cc *cc, const struct cc_sample *s)
{
	struct bbr3 *b = &cc->u.bbr3;
	bool is_old = cc->now > b->probe_min_at + PROBE_RTT_EVERY;

	if (s->rtt >= 0 && (!b->probe_min || s->rtt < b->probe_min ||
			    (is_old && !s->is_ack_delayed))) {
		b->probe_min = MAX(s->rtt, USEC);
		b->probe_min_at = cc->now;
	}
	if (b->probe_min && (!b->min_rtt || b->probe_min < b->min_rtt ||
			     cc->now > b->min_rtt_at + MIN_RTT_LEN)) {
		b->min_rtt = b->probe_min;
		b->min_rtt_at = b->probe_min_at;
	}
	if (b->state != PROBE_RTT && is_old && !b->idle_restart) {
		save_cwnd(cc);
		enter(b, PROBE_RTT);
		b->probe_done_at = 0;
		b->ack_phase = ACKS_PROBE_STOPPING;
		start_round(cc);
	}
	if (b->state == PROBE_RTT)
		handle_probe_rtt(cc);
	if (s->delivered)
		b->idle_restart = false;
}

/* --- 5.6: rate and window --- */

static void set_pacing_rate(struct cc *cc, uint32_t gain)
{
	struct bbr3 *b = &cc->u.bbr3;
	uint64_t rate = cc_model_rate(cc, bandwidth(b), gain);

	if (!b->has_seen_rtt && cc->srtt)
		b->has_seen_rtt = cc_model_first_rate(cc, STARTUP_GAIN);
	if (b->is_full || rate > cc->pacing_rate)
		cc->pacing_rate = rate;
}

/* 5.6.4.7 */
static uint32_t model_cap(const struct bbr3 *b)
{
	uint32_t cap = INF;

	if (b->state == CRUISE || b->state == PROBE_RTT)
		cap = with_headroom(b);
	else if (in_probe_bw(b))
		cap = b->inflight_long;
	return MAX(MIN(cap, b->inflight_short), MIN_CWND);
}

static void set_cwnd(struct cc *cc, const struct cc_sample *s)
{
	struct bbr3 *b = &cc->u.bbr3;
	uint32_t max = bdp(b, bandwidth(b), b->cwnd_gain);

	max = with_frames(cc, max + MAX(b->extra[0], b->extra[1]));
	if (b->prev_ca >= CA_RECOVERY && cc->ca < CA_RECOVERY)
		restore_cwnd(cc);
	b->prev_ca = cc->ca;
	if (b->is_full)
		cc->cwnd = MIN(cc->cwnd + s->acked, max);
	else if (cc->cwnd < max || cc->delivered < INIT_CWND)
		cc->cwnd += s->acked;
	cc->cwnd = MAX(cc->cwnd, MIN_CWND);
	if (b->state == PROBE_RTT)
		cc->cwnd = MIN(cc->cwnd, probe_rtt_cwnd(b));
	cc->cwnd = MIN(MIN(cc->cwnd, model_cap(b)), cc->cwnd_clamp);
}

/* --- the interface --- */

/* 5.2.3 */
static void control(struct cc *cc, const struct cc_sample *s, nsec now)
{
	struct bbr3 *b = &cc->u.bbr3;
	uint32_t bw;

	b->round_start = b->loss_round_start = false;
	if (s->interval > 0) {
		bw = cc_bw_of(s->delivered, s->interval);
		update_signals(cc, s, bw);
		update_extra(cc, s);
		check_full_bw(b, s, bw);
		check_startup_loss(cc, s);
		check_drain(cc);
		update_cycle(cc, s, bw);
	}
	update_min_rtt(cc, s);
	if (b->loss_round_start) {
		b->bw_latest = cc_bw_of(s->delivered, s->interval);
		b->inflight_latest = s->delivered;
	}
	set_pacing_rate(cc, b->pacing_gain);
	set_cwnd(cc, s);
}

static void init(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	*b = (struct bbr3){
		.min_rtt = cc->min_rtt,
		.min_rtt_at = cc->now,
		.probe_min = cc->min_rtt,
		.probe_min_at = cc->now,
		.extra_at = cc->now,
		.round_end = cc->delivered,
		.loss_round_end = cc->delivered,
		.inflight_long = INF,
		.up_per_inc = INF,
		.rand = cc->seed,
		.undo_state = NO_STATE,
	};
	cc->ssthresh = CC_SSTHRESH_NONE;
	reset_short_term(b);
	enter(b, STARTUP);
	b->has_seen_rtt = cc_model_first_rate(cc, STARTUP_GAIN);
}

static uint32_t ssthresh(struct cc *cc)
{
	save_cwnd(cc);
	return cc->ssthresh;
}

/* 5.4.1 */
static void restart(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	if (!cc->app_limited)
		return;
	b->idle_restart = true;
	b->extra_at = cc->now;
	b->extra_acked = 0;
	if (in_probe_bw(b))
		set_pacing_rate(cc, ONE);
	else if (b->state == PROBE_RTT)
		check_probe_rtt_done(cc);
}

/* 5.5.10.2 */
static void undo(struct cc *cc)
{
	struct bbr3 *b = &cc->u.bbr3;

	restore_cwnd(cc);
	b->is_loss_in_round = false;
	reset_full_bw(b);
	b->bw_short = MAX(b->bw_short, b->undo_bw_short);
	b->inflight_short = MAX(b->inflight_short, b->undo_inflight_short);
	b->inflight_long = MAX(b->inflight_long, b->undo_inflight_long);
	if (b->undo_state == STARTUP && b->state != STARTUP) {
		b->is_full = false;
		if (b->state != PROBE_RTT)
			enter(b, STARTUP);
	} else if (b->undo_state == UP && b->state != UP &&
		   b->state != PROBE_RTT) {
		start_refill(cc);
	}
	b->undo_state = NO_STATE;
}

static void event(struct cc *cc, enum cc_event ev, nsec idle, nsec now)
{
	switch (ev) {
	case CC_LOSS:
		cc->u.bbr3.prev_ca = CA_LOSS;
		break;
	case CC_UNDO:
		undo(cc);
		break;
	case CC_RESTART:
		restart(cc);
		break;
	case CC_TIMEOUT:
		break;
	}
}

static unsigned info(const struct cc *cc, uint32_t v[CC_INFO_WORDS])
{
	const struct bbr3 *b = &cc->u.bbr3;

	return cc_model_info(cc, bandwidth(b), b->min_rtt, b->pacing_gain,
			     b->cwnd_gain, v);
}

const struct cc_ops cc_bbr3 = {
	.name = "bbr3",
	.init = init,
	.ssthresh = ssthresh,
	.control = control,
	.lost = lost,
	.event = event,
	.min_segs = cc_frame_segs_min,
	.info = info,
	.sndbuf_factor = 3,
};
