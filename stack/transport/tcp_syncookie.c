/* SPDX-License-Identifier: MIT
 *
 * tcp_syncookie.c - connections that nothing is kept of (RFC 4987 3.6)
 *
 * When a listener has as many half-open connections as it may, a SYN is
 * answered all the same, and what would have been kept goes out in the SYN-ACK:
 * our sequence number holds, under a keyed hash of both ends, a minute count
 * and which of four MSS values suits; the low bits of our timestamp hold window
 * scale, SACK and ECN. The ACK brings both back. Bernstein's scheme, as Linux
 * lays it out. Without timestamps the options are lost, so this is only for
 * when there is no room.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

#define MINUTE (60 * SEC)
#define MAX_AGE 2u /* minutes that a cookie is good for, as Linux's */
#define COUNT_BITS 24
#define COUNT_MASK ((1u << COUNT_BITS) - 1)

/* In the timestamp: Linux's TS_OPT_*. */
#define TS_WSCALE 0xfu /* none */
#define TS_SACK 0x10u
#define TS_ECN 0x20u
#define TS_BITS 0x3fu

/* The MSS values that are worth telling apart (Linux: msstab). */
static const uint16_t mss4[] = {536, 1300, 1440, 1460};
static const uint16_t mss6[] = {1220, 1440, 1460, 8940};
#define NUM_MSS 4u

static const uint16_t *mss_table(const struct tcp_key *k)
{
	return ip_addr_is4(&k->raddr) ? mss4 : mss6;
}

static uint32_t hash(const struct tcp *t, const struct tcp_key *k,
		     uint32_t count, uint32_t which)
{
	struct {
		struct tcp_key k;
		uint32_t count, which;
	} text;

	memset(&text, 0, sizeof(text));
	memcpy(&text.k, k, TCP_KEY_LEN);
	text.count = count;
	text.which = which;
	return (uint32_t)sip_hash(&t->cookie_key, &text, sizeof(text));
}

static uint32_t minutes(nsec now)
{
	return (uint32_t)(now / MINUTE);
}

/* The largest of the table that the peer's allows; its MSS becomes that. */
uint32_t tcp_cookie_make(struct tcp *t, struct tcp_syn *q, nsec now)
{
	const uint16_t *table = mss_table(&q->n.key);
	uint32_t count = minutes(now), i = NUM_MSS - 1;

	while (i && q->mss < table[i])
		i--;
	q->mss = table[i];
	return hash(t, &q->n.key, 0, 0) + q->irs + (count << COUNT_BITS) +
	       ((hash(t, &q->n.key, count, 1) + i) & COUNT_MASK);
}

uint32_t tcp_cookie_stamp(const struct tcp_syn *q, uint32_t ts_now)
{
	uint32_t bits = TS_WSCALE, ts;

	if (q->n.bits & TCP_SYN_WSCALE)
		bits = q->n.scales >> 4;
	bits |= q->n.bits & TCP_SYN_SACK ? TS_SACK : 0;
	bits |= q->n.bits & TCP_SYN_ECN ? TS_ECN : 0;
	ts = (ts_now & ~TS_BITS) | bits;
	return seq_gt(ts, ts_now) ? ts - TS_BITS - 1 : ts;
}

static void read_stamp(struct tcp_syn *q, uint32_t ts, uint8_t our_scale)
{
	uint8_t scale = ts & TS_WSCALE;

	q->n.bits |= TCP_SYN_TS;
	if (scale != TS_WSCALE) {
		q->n.bits |= TCP_SYN_WSCALE;
		q->n.scales =
			(uint8_t)(MIN(scale, TCP_MAX_WSCALE) << 4 | our_scale);
	}
	q->n.bits |= ts & TS_SACK ? TCP_SYN_SACK : 0;
	q->n.bits |= ts & TS_ECN ? TCP_SYN_ECN : 0;
}

bool tcp_cookie_check(struct tcp *t, struct tcp_syn *q, const struct tcp_seg *s,
		      uint8_t our_scale)
{
	const struct tcp_key *k = &q->n.key;
	uint32_t iss = s->r.ack - 1, irs = s->seq - 1, i, age, count;
	uint32_t cookie = iss - hash(t, k, 0, 0) - irs;

	age = (minutes(s->now) - (cookie >> COUNT_BITS)) &
	      (UINT32_MAX >> COUNT_BITS);
	if (age >= MAX_AGE)
		return false;
	count = minutes(s->now) - age;
	i = (cookie - hash(t, k, count, 1)) & COUNT_MASK;
	if (i >= NUM_MSS)
		return false;
	q->iss = iss;
	q->irs = irs;
	q->mss = mss_table(k)[i];
	if (s->r.has_ts && s->r.ts_ecr && t->core->sysctl->tcp_timestamps) {
		q->ts_recent = s->r.ts_val;
		read_stamp(q, s->r.ts_ecr - tcp_ts_off(t, k), our_scale);
		/* RFC 9768 5.1: it can be nothing else */
		if (q->n.bits & TCP_SYN_ECN && tcp_ace(&s->r) > 1)
			q->n.bits |= TCP_SYN_ACCECN;
	}
	return true;
}
