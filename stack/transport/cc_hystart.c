/* SPDX-License-Identifier: MIT
 *
 * cc_hystart.c - leaving slow start before it overflows a buffer
 *
 * Slow start doubles until something is lost, then half of a window is. Two
 * signs come earlier: the round trip grows, since a queue builds up; and the
 * ACKs of one burst stretch over half a round trip, since so much is on the way
 * as fits. Looked at a round at a time, a round being the data in flight as it
 * began.
 *
 * Linux's HyStart (Ha and Rhee, 2008, with Linux's constants) then ends slow
 * start at once. HyStart++ (RFC 9406) grows at a quarter of the speed for five
 * rounds, and goes back when the round trip falls again: jitter is no queue.
 */
#include "transport/cc.h"

#include "base/seq.h"
#include "base/util.h"

#define LOW_WINDOW 16u	       /* Linux: hystart_low_window */
#define ACK_DELTA (2 * MSEC)   /* Linux: hystart_ack_delta_us */
#define MIN_SAMPLES 8	       /* RFC 9406 4.3: N_RTT_SAMPLE; Linux the same */
#define THRESH_MIN (4 * MSEC)  /* RFC 9406 4.3: MIN_RTT_THRESH */
#define THRESH_MAX (16 * MSEC) /* RFC 9406 4.3: MAX_RTT_THRESH */
#define CSS_DIVISOR 4u	       /* RFC 9406 4.3: CSS_GROWTH_DIVISOR */
#define CSS_ROUNDS 5	       /* RFC 9406 4.3 */
#define FRAME 65536ull	       /* Linux: hystart_ack_delay() */

void hystart_init(struct hystart *h)
{
	*h = (struct hystart){.curr_min = TIME_NEVER, .last_min = TIME_NEVER};
}

static void begin_round(struct cc *cc, struct hystart *h, nsec now)
{
	h->last_min = h->curr_min;
	h->curr_min = TIME_NEVER;
	h->samples = 0;
	h->round_at = h->last_ack_at = now;
	h->end_seq = cc->nxt;
	if (h->in_css && ++h->css_rounds >= CSS_ROUNDS) {
		h->found = true;
		cc->ssthresh = cc->cwnd;
	}
}

/* What a burst of the device takes by itself, at the rate we send. */
static nsec burst_time(const struct cc *cc)
{
	if (!cc->pacing_rate || cc->pacing_rate == ~0ull)
		return 0;
	return MIN(1 * MSEC,
		   (nsec)(FRAME * 4 * (uint64_t)SEC / cc->pacing_rate));
}

/* The ACKs come one close behind the other, for longer than half a trip: pacing
 * alone may take that, and then it is a whole one, as in Linux. */
static bool is_long_train(const struct cc *cc, struct hystart *h, nsec min_rtt,
			  nsec now)
{
	if (now - h->last_ack_at > ACK_DELTA)
		return false;
	h->last_ack_at = now;
	return now - h->round_at >
	       (min_rtt + burst_time(cc)) / (cc->is_paced ? 1 : 2);
}

static void linux_style(struct cc *cc, struct hystart *h, nsec min_rtt,
			nsec rtt, nsec now)
{
	nsec thresh = CLAMP(min_rtt / 8, THRESH_MIN, THRESH_MAX);

	if (cc->cwnd < LOW_WINDOW)
		return;
	if (is_long_train(cc, h, min_rtt, now))
		h->found = cc->ended_by_train = true;
	h->curr_min = MIN(h->curr_min, rtt);
	if (h->samples < MIN_SAMPLES)
		h->samples++;
	else if (h->curr_min > min_rtt + thresh)
		h->found = cc->ended_by_delay = true;
	if (h->found)
		cc->ssthresh = cc->cwnd;
}

/* RFC 9406 4.2 */
static void plus_plus(struct hystart *h, nsec rtt)
{
	h->curr_min = MIN(h->curr_min, rtt);
	if (h->samples < UINT8_MAX)
		h->samples++;
	if (h->samples < MIN_SAMPLES || h->last_min == TIME_NEVER)
		return;
	if (h->in_css) {
		if (h->curr_min < h->css_base) /* it was jitter */
			h->in_css = false;
		return;
	}
	if (h->curr_min >=
	    h->last_min + CLAMP(h->last_min / 8, THRESH_MIN, THRESH_MAX)) {
		h->css_base = h->curr_min;
		h->in_css = true;
		h->css_rounds = 0;
	}
}

void hystart_rtt(struct cc *cc, struct hystart *h, nsec min_rtt, nsec rtt,
		 nsec now)
{
	if (!cc->hystart || h->found || !cc_in_slow_start(cc))
		return;
	/* only the first slow start, which knows no end (RFC 9406 4.3) */
	if (cc->hystart == HYSTART_PLUS_PLUS &&
	    cc->ssthresh < CC_SSTHRESH_NONE) {
		h->in_css = false;
		return;
	}
	if (!h->round_at || seq_gt(cc->una, h->end_seq))
		begin_round(cc, h, now);
	if (h->found)
		return;
	if (cc->hystart == HYSTART_PLUS_PLUS)
		plus_plus(h, rtt);
	else
		linux_style(cc, h, min_rtt, rtt, now);
}

uint32_t hystart_growth(struct hystart *h, uint32_t acked)
{
	uint32_t n;

	if (!h->in_css)
		return acked;
	h->css_acked += acked;
	n = h->css_acked / CSS_DIVISOR;
	h->css_acked %= CSS_DIVISOR;
	return n;
}
