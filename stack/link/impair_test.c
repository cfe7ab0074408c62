/* SPDX-License-Identifier: MIT */
#include "link/impair.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/csum.h"

/* --- the words --- */

static struct impair_cfg in, out;
static bool has_in, has_out;
static const char *bad;

static int parse(const char *text)
{
	return impair_parse(text, &in, &has_in, &out, &has_out, &bad);
}

static bool near(double a, double b)
{
	return a - b < 1e-9 && b - a < 1e-9;
}

Test(impair_parse, the_line_of_the_manual)
{
	cr_assert_eq(parse("loss 5% delay 20ms 5ms reorder 25% duplicate 1% "
			   "corrupt 0.1% rate 100mbit"),
		     0);
	cr_assert(has_in && has_out);
	cr_assert(near(in.loss, 0.05) && near(out.loss, 0.05));
	cr_assert_eq(in.delay, 20 * MSEC);
	cr_assert_eq(in.jitter, 5 * MSEC);
	cr_assert(near(in.reorder, 0.25));
	cr_assert(near(in.duplicate, 0.01));
	cr_assert(near(in.corrupt, 0.001));
	cr_assert_eq(in.rate, 100000000);
	cr_assert_eq(in.limit, 1000);
	cr_assert_not(in.normal);
}

Test(impair_parse, optional_values)
{
	cr_assert_eq(parse("loss random 5% 25% delay 100 10us 30% "
			   "distribution normal reorder 1% 50% gap 5 "
			   "limit 12 corrupt 3 duplicate 2% 9% rate 1.5gbit"),
		     0);
	cr_assert(near(in.loss_corr, 0.25));
	cr_assert_eq(in.delay, 100 * USEC); /* a plain number, as tc */
	cr_assert_eq(in.jitter, 10 * USEC);
	cr_assert(near(in.delay_corr, 0.3));
	cr_assert(in.normal);
	cr_assert(near(in.reorder_corr, 0.5));
	cr_assert_eq(in.gap, 5);
	cr_assert_eq(in.limit, 12);
	cr_assert(near(in.corrupt, 0.03));
	cr_assert(near(in.dup_corr, 0.09));
	cr_assert_eq(in.rate, 1500000000);
}

Test(impair_parse, directions)
{
	cr_assert_eq(parse("delay 1ms in:loss 1% out: loss 2% rate 8kbps"), 0);
	cr_assert_eq(in.delay, MSEC);
	cr_assert_eq(out.delay, MSEC);
	cr_assert(near(in.loss, 0.01));
	cr_assert(near(out.loss, 0.02));
	cr_assert_eq(in.rate, 0);
	cr_assert_eq(out.rate, 64000);
	cr_assert_eq(parse("in: loss 1%"), 0);
	cr_assert(has_in);
	cr_assert_not(has_out);
	cr_assert_eq(parse(""), 0);
	cr_assert_not(has_in || has_out);
}

Test(impair_parse, marks)
{
	cr_assert_eq(parse("loss 1% ecn rate 10mbit ce_threshold 2ms"), 0);
	cr_assert(in.ecn && out.ecn && in.ce_threshold == 2 * MSEC);
	cr_assert_eq(parse("ce_threshold x"), -EINVAL);
}

Test(impair_parse, says_what_it_did_not_understand)
{
	static const struct {
		const char *text, *bad;
	} rows[] = {
		{"losss 5%", "losss"},
		{"loss", ""},
		{"loss x%", "x%"},
		{"loss 101%", "101%"},
		{"loss 5% 3ms", "3ms"},
		{"delay 10parsecs", "10parsecs"},
		{"delay -5ms", "-5ms"},
		{"rate 0", "0"},
		{"limit 0", "0"},
		{"delay 1ms distribution pareto", "pareto"},
		{"5%", "5%"},
		{"up: loss 1%", "up:"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_assert_eq(parse(rows[i].text), -EINVAL, "%s", rows[i].text);
		cr_assert(bad >= rows[i].text &&
			  bad <= rows[i].text + strlen(rows[i].text));
		cr_assert_eq(strncmp(bad, rows[i].bad, strlen(rows[i].bad)), 0,
			     "%s: %s", rows[i].text, bad);
	}
	cr_assert_eq(parse("reorder 10%"), -EINVAL); /* nothing to pass */
}

/* --- what it does --- */

static struct core core;
static struct impair *im;

static void setup(void)
{
	core.arena = arena_new_malloc((size_t)64 << 20);
	core.hash_key = (struct sip_key){1, 2};
	log_init(&core.log, LOG_OFF);
}

static void drain_lost(void)
{
	struct pkt *p;

	while ((p = impair_take_lost(im)))
		pkt_free(core.arena, p);
}

static void teardown(void)
{
	impair_free(im);
	cr_assert_eq(arena_used(core.arena), 0);
	arena_destroy_malloc(core.arena);
}

TestSuite(impair, .init = setup, .fini = teardown);

static void start(const char *text)
{
	cr_assert_eq(parse(text), 0);
	impair_free(im);
	im = impair_new(&core, &in, 1);
}

/* @len bytes, numbered */
static struct pkt *numbered(uint32_t n, uint32_t len)
{
	struct pkt *p = pkt_new(core.arena);
	uint8_t *h = pkt_push(p, len);

	memset(h, 0, len);
	memcpy(h, &n, 4);
	p->cookie = n + 1;
	return p;
}

static uint32_t number_of(const struct pkt *p)
{
	uint8_t flat[2048];
	uint32_t n;

	pkt_copy_out(p, flat);
	memcpy(&n, flat, 4);
	return n;
}

/* The number of the next one due at @now; -1: none. */
static int take(nsec now)
{
	struct pkt *p = impair_take(im, now);
	int n;

	if (!p)
		return -1;
	n = (int)number_of(p);
	pkt_free(core.arena, p);
	return n;
}

Test(impair, nothing_set_passes_at_once)
{
	start("limit 10");
	cr_assert_eq(impair_next_at(im), TIME_NEVER);
	impair_put(im, numbered(3, 100), 50);
	cr_assert_eq(impair_next_at(im), 50);
	cr_assert_eq(take(50), 3);
	cr_assert_eq(take(50), -1);
}

Test(impair, loss_rate)
{
	unsigned passed = 0;

	start("loss 5%");
	for (uint32_t i = 0; i < 20000; i++) {
		impair_put(im, numbered(i, 20), i);
		passed += take(i) >= 0;
		drain_lost();
	}
	cr_assert(passed > 18850 && passed < 19150, "%u", passed);
	cr_assert_eq(core.stats.v[STAT_ImpairLost], 20000 - passed);
	cr_assert_eq(core.stats.drop[DROP_IMPAIR_LOSS], 20000 - passed);
}

/* losses that come in bunches */
Test(impair, correlated_loss)
{
	unsigned lost = 0, pairs = 0;
	bool was_lost = false;

	start("loss 30% 75%");
	for (uint32_t i = 0; i < 20000; i++) {
		bool is_lost;

		impair_put(im, numbered(i, 20), i);
		is_lost = take(i) < 0;
		lost += is_lost;
		pairs += is_lost && was_lost;
		was_lost = is_lost;
		drain_lost();
	}
	cr_assert_gt(lost, 500);
	/* what follows a loss is lost far more often than the average */
	cr_assert_gt((double)pairs / lost, 5.0 * lost / 20000, "%u of %u",
		     pairs, lost);
}

Test(impair, delay_and_jitter)
{
	nsec least = TIME_NEVER, most = 0, sum = 0;

	start("delay 20ms 5ms");
	for (uint32_t i = 0; i < 5000; i++) {
		nsec at;

		impair_put(im, numbered(i, 20), 0);
		at = impair_next_at(im);
		cr_assert_eq(take(at - 1), -1);
		cr_assert_eq(take(at), (int)i);
		least = MIN(least, at);
		most = MAX(most, at);
		sum += at;
	}
	cr_assert(least >= 15 * MSEC && least < 15 * MSEC + 50 * USEC);
	cr_assert(most <= 25 * MSEC && most > 25 * MSEC - 50 * USEC);
	cr_assert(sum / 5000 > 19900 * USEC && sum / 5000 < 20100 * USEC);
}

Test(impair, normal_jitter)
{
	unsigned within = 0, beyond = 0;

	start("delay 20ms 1ms distribution normal");
	for (uint32_t i = 0; i < 5000; i++) {
		nsec off;

		impair_put(im, numbered(i, 20), 0);
		off = impair_next_at(im) - 20 * MSEC;
		within += off > -MSEC && off < MSEC;
		beyond += off < -2 * MSEC || off > 2 * MSEC;
		take(TIME_NEVER - 1);
	}
	cr_assert(within > 3250 && within < 3570, "%u", within); /* 68.3 % */
	cr_assert(beyond > 150 && beyond < 310, "%u", beyond);	 /* 4.6 % */
}

/* jitter overtakes: the queue is sorted by time */
Test(impair, leaves_in_order_of_time)
{
	nsec last = 0;
	int turned = 0, before = -1;

	start("delay 20ms 15ms");
	for (uint32_t i = 0; i < 500; i++)
		impair_put(im, numbered(i, 20), i * USEC);
	for (int i = 0; i < 500; i++) {
		nsec at = impair_next_at(im);
		int n = take(at);

		cr_assert_geq(at, last);
		turned += n < before;
		before = n;
		last = at;
	}
	cr_assert_gt(turned, 100);
}

Test(impair, equal_times_keep_their_order)
{
	start("delay 20ms");
	for (uint32_t i = 0; i < 20; i++)
		impair_put(im, numbered(i, 20), 0);
	for (int i = 0; i < 20; i++)
		cr_assert_eq(take(20 * MSEC), i);
}

Test(impair, reorder_with_gap_goes_ahead)
{
	start("delay 10ms reorder 100% gap 5");
	for (uint32_t i = 0; i < 10; i++)
		impair_put(im, numbered(i, 20), 0);
	/* every fifth is sent at once, the last of them first */
	cr_assert_eq(take(0), 9);
	cr_assert_eq(take(0), 4);
	cr_assert_eq(take(0), -1);
	cr_assert_eq(take(10 * MSEC), 0);
	cr_assert_eq(core.stats.v[STAT_ImpairReordered], 2);
}

Test(impair, reorder_share)
{
	start("delay 10ms reorder 25%");
	for (uint32_t i = 0; i < 10000; i++) {
		impair_put(im, numbered(i, 20), 0);
		take(TIME_NEVER - 1);
	}
	cr_assert(core.stats.v[STAT_ImpairReordered] > 2300 &&
		  core.stats.v[STAT_ImpairReordered] < 2700);
}

Test(impair, duplicates_have_no_cookie)
{
	struct pkt *a, *b;

	start("duplicate 100%");
	impair_put(im, numbered(7, 100), 0);
	a = impair_take(im, 0);
	b = impair_take(im, 0);
	cr_assert(a && b);
	cr_assert_null(impair_take(im, 0)); /* copies make no copies */
	cr_assert_eq(number_of(a), 7);
	cr_assert_eq(number_of(b), 7);
	cr_assert_eq(a->cookie + b->cookie, 8);
	pkt_free(core.arena, a);
	pkt_free(core.arena, b);
	cr_assert_eq(core.stats.v[STAT_ImpairDuplicated], 1);
}

Test(impair, loss_takes_one_of_two)
{
	unsigned passed = 0;

	start("loss 50% duplicate 100%");
	for (uint32_t i = 0; i < 1000; i++) {
		impair_put(im, numbered(i, 20), 0);
		while (take(0) >= 0)
			passed++;
		drain_lost();
	}
	/* half keep a copy that may be lost, half lose just the copy */
	cr_assert(passed > 1150 && passed < 1350, "%u", passed);
}

Test(impair, corrupt_flips_one_bit_of_a_copy)
{
	struct chunk *c = chunk_new(core.arena, 1000);
	unsigned where[2] = {0};

	start("corrupt 100%");
	memset(c->data, 0, 1000);
	for (int i = 0; i < 500; i++) {
		struct pkt *p = pkt_new(core.arena), *q;
		uint8_t flat[1020];
		int bits = 0;

		memset(pkt_push(p, 20), 0, 20);
		p->cookie = 3;
		p->charge = 4;
		pkt_add(p, &c->b, c->data, 1000);
		impair_put(im, p, 0);
		q = impair_take(im, 0);
		cr_assert_eq(q->cookie, 3);
		cr_assert_eq(q->charge, 4);
		cr_assert_eq(q->len, 1020);
		pkt_copy_out(q, flat);
		for (int k = 0; k < 1020; k++) {
			bits += __builtin_popcount(flat[k]);
			if (flat[k])
				where[k >= 510]++;
		}
		cr_assert_eq(bits, 1);
		pkt_free(core.arena, q);
	}
	for (int k = 0; k < 1000; k++) /* the sender's own is untouched */
		cr_assert_eq(c->data[k], 0);
	cr_assert(where[0] > 200 && where[1] > 200);
	cr_assert_eq(core.stats.v[STAT_ImpairCorrupted], 500);
	buf_put(core.arena, &c->b);
}

Test(impair, rate_is_serialisation)
{
	/* 1000 bytes at 8 Mbit/s take a millisecond */
	start("rate 8mbit");
	for (uint32_t i = 0; i < 3; i++)
		impair_put(im, numbered(i, 150), 0);
	cr_assert_eq(impair_next_at(im), 150 * USEC);
	cr_assert_eq(take(150 * USEC), 0);
	cr_assert_eq(impair_next_at(im), 300 * USEC);
	cr_assert_eq(take(300 * USEC), 1);
	cr_assert_eq(take(450 * USEC), 2);
	/* with delay: it is spent while waiting for the line */
	start("rate 8mbit delay 1ms");
	impair_put(im, numbered(0, 150), 0);
	impair_put(im, numbered(1, 150), 0);
	cr_assert_eq(impair_next_at(im), 1150 * USEC);
	take(1150 * USEC);
	cr_assert_eq(impair_next_at(im), 1300 * USEC);
}

Test(impair, limit_bounds_the_queue)
{
	start("delay 1ms limit 10");
	for (uint32_t i = 0; i < 15; i++)
		impair_put(im, numbered(i, 20), 0);
	cr_assert_eq(core.stats.drop[DROP_IMPAIR_LIMIT], 5);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(take(MSEC), i);
	cr_assert_eq(take(MSEC), -1);
	impair_put(im, numbered(99, 20), MSEC);
	cr_assert_eq(take(2 * MSEC), 99);
}

static uint64_t fingerprint(const char *text, uint32_t purpose)
{
	struct sip_key k = {3, 4};
	uint64_t h = 0;

	cr_assert_eq(parse(text), 0);
	impair_free(im);
	im = impair_new(&core, &in, purpose);
	for (uint32_t i = 0; i < 2000; i++) {
		nsec now = i * USEC, at;

		impair_put(im, numbered(i, 20), now);
		while ((at = impair_next_at(im)) <= now) {
			struct pkt *p = impair_take(im, now);
			uint8_t flat[32];

			memcpy(flat, &h, 8);
			memcpy(flat + 8, &at, 8);
			pkt_copy_out(p, flat + 12);
			h = sip_hash(&k, flat, 32);
			pkt_free(core.arena, p);
		}
		drain_lost();
	}
	return h;
}

Test(impair, repeats_for_a_seed)
{
	const char *all = "loss 5% 10% delay 100us 30us distribution normal "
			  "reorder 10% duplicate 2% corrupt 1% rate 1gbit";
	uint64_t once = fingerprint(all, 0);

	cr_assert_eq(fingerprint(all, 0), once);
	cr_assert_neq(fingerprint(all, 1), once);
	core.hash_key.k0++;
	cr_assert_neq(fingerprint(all, 0), once);
}

/* --- marking (RFC 3168) --- */

static struct pkt *with_header(bool is4, uint8_t ect)
{
	struct pkt *p = numbered(0, 100);
	uint8_t *h = pkt_head(p);
	uint16_t sum;

	memset(h, 0, 4);
	if (is4) {
		h[0] = 0x45;
		h[1] = 0x20 | ect;
		sum = csum_fold(csum_add(0, h, 20));
		memcpy(h + 10, &sum, 2);
	} else {
		h[0] = 0x62;
		h[1] = (uint8_t)(ect << 4 | 5);
	}
	return p;
}

/* What comes out of it: its codepoint; -1: nothing. */
static int through(bool is4, uint8_t ect, nsec at)
{
	struct pkt *p;
	const uint8_t *h;
	int r;

	impair_put(im, with_header(is4, ect), at);
	p = impair_take(im, TIME_NEVER - 1);
	drain_lost();
	if (!p)
		return -1;
	h = pkt_head(p);
	r = is4 ? h[1] & 3 : h[1] >> 4 & 3;
	if (is4) {
		cr_assert(h[1] >> 2 == 8);
		cr_assert(csum_fold(csum_add(0, h, 20)) == 0);
	} else {
		cr_assert(h[0] == 0x62 && (h[1] & 15) == 5);
	}
	pkt_free(core.arena, p);
	return r;
}

Test(impair, marks_instead_of_losing)
{
	start("loss 100% ecn");
	for (int is4 = 0; is4 < 2; is4++) {
		cr_assert_eq(through(is4, 0, 0), -1);
		for (uint8_t ect = 1; ect < 4; ect++)
			cr_assert_eq(through(is4, ect, 0), 3);
	}
	start("loss 100%");
	cr_assert_eq(through(true, 2, 0), -1);
}

Test(impair, marks_what_waits_too_long)
{
	/* 100 bytes take 0.8 ms at this rate */
	start("rate 1mbit delay 50ms ce_threshold 5ms");
	for (int i = 0; i < 20; i++)
		impair_put(im, with_header(true, 2), 0);
	for (int i = 0; i < 20; i++) {
		struct pkt *p = impair_take(im, TIME_NEVER - 1);
		bool late = i * 800 > 5000;

		cr_assert_eq(pkt_head(p)[1] & 3, late ? 3 : 2, "%d", i);
		pkt_free(core.arena, p);
	}
}
