/* SPDX-License-Identifier: MIT
 *
 * BBR's model and modes, told of a path by hand: so many segments delivered a
 * millisecond, this round trip, these losses.
 */
#include <criterion/criterion.h>

#include "base/util.h"
#include "transport/cc.h"

#define RTT (20 * MSEC)
#define ACKS 10 /* of a round */
#define HIGH 739u
#define DRAIN 88u

static struct cc cc;
static nsec now;

static void init(void)
{
	now = 100 * SEC;
	cc = (struct cc){
		.cwnd = 10,
		.ssthresh = CC_SSTHRESH_NONE,
		.cwnd_clamp = 1u << 30,
		.now = now,
		.srtt = RTT,
		.min_rtt = RTT,
		.max_pacing = ~0ull,
		.mss = 1000,
		.seed = 7,
	};
	cc_switch(&cc, CC_BBR);
}

TestSuite(cc_bbr, .init = init);

static uint32_t info(unsigned word)
{
	uint32_t v[CC_INFO_WORDS];

	cr_assert(cc_ops(&cc)->info(&cc, v) == 20);
	return v[word];
}

#define BW info(0) /* bytes a second */
#define GAIN info(3)

struct path {
	uint32_t per_ms; /* segments */
	nsec rtt;
	uint32_t in_flight; /* 0: what the window lets */
	uint32_t losses;    /* in each ACK */
	bool app_limited;
};

static void one_ack(const struct path *p)
{
	uint32_t round = p->per_ms * (uint32_t)(p->rtt / MSEC);
	struct cc_sample s = {
		.acked = round / ACKS,
		.losses = p->losses,
		.delivered = round,
		.interval = p->rtt,
		.app_limited = p->app_limited,
		.rtt = p->rtt,
	};

	now += p->rtt / ACKS;
	cc.delivered += s.acked;
	cc.lost += p->losses;
	cc.delivered_at = cc.pace_at = now;
	cc.in_flight = p->in_flight ? p->in_flight : cc.cwnd;
	s.prior_in_flight = cc.in_flight + s.acked;
	s.prior_delivered = cc.delivered > round ? cc.delivered - round : 0;
	cc_ops(&cc)->control(&cc, &s, now);
}

static void rounds(unsigned n, const struct path *p)
{
	for (unsigned i = 0; i < n * ACKS; i++)
		one_ack(p);
}

/* Past STARTUP, at 10 segments a millisecond. */
static struct path settle(void)
{
	struct path p = {.per_ms = 10, .rtt = RTT};

	rounds(6, &p);
	p.in_flight = 150;
	rounds(2, &p);
	cr_assert(GAIN != HIGH && GAIN != DRAIN);
	p.in_flight = 0;
	return p;
}

Test(cc_bbr, begins_at_2_89_windows_a_round_trip)
{
	cr_assert(GAIN == HIGH && info(4) == HIGH);
	/* 10 segments of 1000 bytes in 20 ms, less one percent */
	cr_assert(cc.pacing_rate > 1400000 && cc.pacing_rate < 1440000, "%llu",
		  (unsigned long long)cc.pacing_rate);
}

Test(cc_bbr, startup_ends_after_three_rounds_without_growth)
{
	struct path p = {.per_ms = 1, .rtt = RTT};

	for (; p.per_ms <= 8; p.per_ms *= 2) {
		rounds(2, &p);
		cr_assert(GAIN == HIGH);
	}
	p.per_ms = 10; /* a quarter more: growth */
	rounds(2, &p);
	cr_assert(GAIN == HIGH);
	p.in_flight = 400;
	rounds(3, &p);
	cr_assert(GAIN == DRAIN, "%u", GAIN);
	p.in_flight = 250;
	one_ack(&p);
	cr_assert(GAIN == DRAIN); /* the pipe holds 200 and a few */
	p.in_flight = 200;
	one_ack(&p);
	cr_assert(GAIN != DRAIN && info(4) == 512);
	cr_assert(BW > 9990000 && BW <= 10000000, "%u", BW);
	cr_assert(info(2) == RTT / USEC);
}

Test(cc_bbr, the_window_is_twice_the_path)
{
	struct path p = settle();

	rounds(8, &p);
	/* 2 * 200, and three frames of ten segments, and a little */
	cr_assert(cc.cwnd >= 400 && cc.cwnd <= 460, "%u", cc.cwnd);
}

Test(cc_bbr, phases_try_more_then_less)
{
	struct path p = settle();
	unsigned more = 0, less = 0, even = 0;

	p.in_flight = 255; /* what 5/4 wants in flight is reached */
	for (unsigned i = 0; i < 160 * ACKS; i++) {
		one_ack(&p);
		more += GAIN == 320;
		less += GAIN == 192;
		even += GAIN == 256;
		p.in_flight = GAIN == 320 ? 290 : 200;
	}
	cr_assert(more && less && even > 3 * more && more + less + even == 1600,
		  "%u %u %u", more, less, even);
}

Test(cc_bbr, bandwidth_is_forgotten_after_ten_rounds)
{
	struct path p = settle();

	rounds(2, &p);
	p.per_ms = 5;
	rounds(9, &p);
	cr_assert(BW > 9900000, "%u", BW);
	rounds(3, &p);
	cr_assert(BW < 5100000, "%u", BW);
}

Test(cc_bbr, an_idle_application_says_nothing_of_the_bandwidth)
{
	struct path p = settle();

	p.per_ms = 1;
	p.app_limited = true;
	rounds(30, &p);
	cr_assert(BW > 9900000, "%u", BW);
	p.per_ms = 20; /* unless it is more */
	rounds(2, &p);
	cr_assert(BW > 19000000, "%u", BW);
}

Test(cc_bbr, four_segments_for_200_ms_every_ten_seconds)
{
	struct path p = settle();
	uint32_t before;
	nsec began;

	p.rtt = RTT + MSEC; /* a queue: no new minimum */
	while (cc.cwnd > 4) {
		before = cc.cwnd;
		one_ack(&p);
		cr_assert(now < 120 * SEC);
	}
	cr_assert(now - 100 * SEC > 10 * SEC && now - 100 * SEC < 11 * SEC);
	cr_assert(cc.app_limited);
	began = now;
	p.in_flight = 4;
	while (cc.cwnd == 4) {
		one_ack(&p);
		cr_assert(now < 120 * SEC);
	}
	cr_assert(now - began >= 200 * MSEC && now - began < 260 * MSEC);
	cr_assert(cc.cwnd >= before, "%u", cc.cwnd);
	cr_assert(info(2) == (RTT + MSEC) / USEC); /* learned anew */
}

Test(cc_bbr, a_recovery_conserves_for_a_round_and_gives_the_window_back)
{
	struct path p = settle();
	uint32_t before;

	rounds(4, &p);
	before = cc.cwnd;
	cc.ssthresh = cc_ops(&cc)->ssthresh(&cc);
	cc.ca = CA_RECOVERY;
	p.in_flight = 100;
	p.losses = 5;
	one_ack(&p);
	cr_assert(cc.cwnd == 100 + 20, "%u", cc.cwnd);
	p.losses = 0;
	rounds(2, &p);
	cr_assert(cc.cwnd > 120);
	cc.ca = CA_OPEN;
	one_ack(&p);
	cr_assert(cc.cwnd >= before, "%u, was %u", cc.cwnd, before);
}

Test(cc_bbr, after_a_timeout_the_window_comes_back_at_once)
{
	struct path p = settle();
	uint32_t before;

	rounds(4, &p);
	before = cc.cwnd;
	cc.ssthresh = cc_ops(&cc)->ssthresh(&cc);
	cc_ops(&cc)->event(&cc, CC_TIMEOUT, 0, now);
	cc.cwnd = 1;
	cc.ca = CA_LOSS;
	cc_ops(&cc)->event(&cc, CC_LOSS, 0, now);
	p.in_flight = 1;
	one_ack(&p);
	cr_assert(cc.cwnd < before);
	cc.ca = CA_OPEN;
	one_ack(&p);
	cr_assert(cc.cwnd >= before, "%u, was %u", cc.cwnd, before);
}

Test(cc_bbr, a_policer_is_found_and_obeyed)
{
	struct path p = settle();

	p.losses = 8; /* beside 20 delivered */
	p.in_flight = 200;
	rounds(20, &p);
	for (unsigned i = 0; i < 16 * ACKS; i++) {
		one_ack(&p);
		cr_assert(GAIN == 256, "%u", GAIN);
	}
	p.losses = 0; /* and is looked for anew after 48 rounds */
	rounds(60, &p);
	cr_assert(!cc.u.bbr.lt_use);
}

Test(cc_bbr, idle_and_back_at_the_bandwidth_not_above)
{
	struct path p = settle();
	uint64_t rate;

	cc.app_limited = 1;
	now += 30 * SEC;
	cc_ops(&cc)->event(&cc, CC_RESTART, 30 * SEC, now);
	rate = cc.pacing_rate;
	cr_assert(rate > 9800000 && rate < 10000000, "%llu",
		  (unsigned long long)rate);
	one_ack(&p); /* min_rtt is old, but an idle path has no queue */
	cr_assert(cc.cwnd > 4);
}

Test(cc_bbr, no_faster_than_the_user_allows)
{
	struct path p = {.per_ms = 10, .rtt = RTT};

	cc.max_pacing = 500000;
	rounds(4, &p);
	cc.u.bbr.is_full = true;
	rounds(1, &p);
	cr_assert(cc.pacing_rate == 500000);
}
