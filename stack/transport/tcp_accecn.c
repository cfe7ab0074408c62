/* SPDX-License-Identifier: MIT
 *
 * tcp_accecn.c - accurate ECN feedback (RFC 9768)
 *
 * A receiver counts the marked packets that came, and each of its packets has
 * the count's three lowest bits in AE, CWR and ECE, which then are one field:
 * ACE. Marks wrap it every eight; a sender takes the smallest count that the
 * field and what was delivered allow for, and a larger one when an ACK covers
 * so much that it could have wrapped.
 *
 * An option, which may be missing or lost, has three counters of bytes: those
 * that came as ECT(1), as CE and as ECT(0). With them wraps are told apart.
 * Counters begin at 5 (ACE) and 1, so that whoever zeroes a field is found
 * out; then nothing more is sent as capable, or the option is not used.
 *
 * What Linux does beside the RFC's text is done here as well: which fields go
 * when room is short, two ACKs with the option after each change, the average
 * of segments an ACK that tells thinned-out ACKs from wraps.
 */
#include "base/util.h"
#include "transport/tcp_auth.h"
#include "transport/tcp_conn.h"

#define ACE_MASK 7u	/* RFC 9768 3.1: three bits */
#define ACE_RESERVED 5u /* RFC 9768 3.1.3 */
#define MAX_PENDING                                              \
	6u /* RFC 9768 3.2.2.5.1: an ACK is due before ACE wraps \
	    */
#define PENDING_CAP 15u
#define FIELD_BITS 24 /* RFC 9768 3.2.3 */
#define FIELD_MASK ((1u << FIELD_BITS) - 1)
#define OPT_EVERY_BITS 22 /* RFC 9768 3.2.3.3: before a quarter of the wrap */
/* Without the option so far: its counters may have wrapped by now. */
#define OPT_TOO_LATE ((1u << (FIELD_BITS - 1)) - 1)
/* RFC 9768 A.2.2: so much less is no proof against a wrap */
#define SAFETY_SHIFT 1
#define AVG_SHIFT 6    /* Linux: its weight and precision */
#define THINNED_ACKS 4 /* segments an ACK on average: ACKs are thinned out */

/* Where counters of bytes begin (RFC 9768 3.2.1). */
static uint32_t field_init(uint8_t ect)
{
	return ect == IP_CE ? 0 : 1;
}

/* RFC 9768 3.2.3, table 5 */
static uint8_t field_ect(unsigned order, unsigned i)
{
	static const uint8_t ect[2][TCP_ACCECN_FIELDS] = {
		{IP_ECT0, IP_CE, IP_ECT1},
		{IP_ECT1, IP_CE, IP_ECT0},
	};

	return ect[order][i];
}

/* Fields of order 1, ours, up to that of @ect. */
static uint8_t fields_up_to(uint8_t ect)
{
	return ect == IP_ECT1 ? 1 : ect == IP_CE ? 2 : ect == IP_ECT0 ? 3 : 0;
}

void tcp_set_ace(struct tcp_repr *r, uint32_t ace)
{
	r->flags &= (uint8_t) ~(TCP_ECE | TCP_CWR);
	r->ns = ace >> 2 & 1;
	r->flags |=
		(uint8_t)((ace & 2 ? TCP_CWR : 0) | (ace & 1 ? TCP_ECE : 0));
}

/* --- how SYN and SYN-ACK came --- */

uint8_t tcp_ace_reflecting(uint8_t ect)
{
	static const uint8_t ace[] = {2, 3, 4, 6};

	return ace[ect & IP_ECN_MASK];
}

bool tcp_accecn_is_reflection(uint8_t ace, uint8_t ect)
{
	return ace == tcp_ace_reflecting(ect);
}

/* RFC 9768 3.2.2.3: only ECT may have become CE, and ECT(0) and ECT(1) each
 * other. */
bool tcp_accecn_reflection_ok(struct tcp_conn *c, uint8_t ace)
{
	uint8_t snt = c->ecn.syn_snt;
	bool is_same = tcp_accecn_is_reflection(ace, snt);

	if (!tcp_sysctl(c)->tcp_ecn_fallback || is_same || ace == ACE_RESERVED)
		return true;
	if (snt != IP_NOT_ECT && snt != IP_CE &&
	    !tcp_accecn_is_reflection(ace, IP_NOT_ECT))
		return true;
	c->ecn.fail |= ECN_FAIL_ACE_RCV;
	return false;
}

/* --- the receiver's side --- */

static void count(struct tcp_conn *c, uint8_t ect, const struct tcp_seg *s)
{
	struct tcp_ecn *e = &c->ecn;
	uint32_t before = e->received[ect];

	if (!tcp_ecn_is_classic(c))
		e->seen = true;
	if (ect == IP_CE) {
		e->received_ce += s->segs;
		e->ce_pending =
			(uint8_t)MIN(e->ce_pending + s->segs, PENDING_CAP);
	}
	if (!s->len)
		return;
	e->received[ect] += s->len;
	e->least = MAX(e->least, fields_up_to(ect));
	if ((before ^ e->received[ect]) >> OPT_EVERY_BITS)
		e->opt_demand = MAX(e->opt_demand, 1);
}

void tcp_accecn_heard(struct tcp_conn *c, const struct tcp_seg *s)
{
	struct tcp_ecn *e = &c->ecn;
	uint8_t ect = s->rx->tos & IP_ECN_MASK;
	bool changed = e->last_rcv != ect;

	if (ect != IP_NOT_ECT)
		count(c, ect, s);
	if (!changed && ect != IP_CE)
		return;
	e->last_rcv = ect;
	if (!tcp_ecn_is_accurate(c))
		return;
	/* RFC 9768 3.2.2.5.1; two, so that the second tells of one kind */
	if (changed)
		e->ack_soon = true;
	e->opt_demand = 2;
}

void tcp_accecn_duplicate(struct tcp_conn *c)
{
	if (c->ecn.opt_with_dsack) /* RFC 9768 3.2.3.2.2 */
		c->ecn.fail |= ECN_FAIL_OPT_SND;
}

/* --- our option --- */

static void set_fields(struct tcp_repr *r, const uint32_t received[4])
{
	r->accecn.order = 1;
	for (unsigned i = 0; i < TCP_ACCECN_FIELDS; i++) {
		uint8_t ect = field_ect(1, i);

		r->accecn.v[i] = (received[ect] + field_init(ect)) & FIELD_MASK;
	}
}

void tcp_accecn_syn_opt(struct tcp_repr *r)
{
	static const uint32_t none[4];

	set_fields(r, none);
	tcp_fit_accecn(r, 0);
}

static bool may_send_opt(const struct tcp_conn *c)
{
	return tcp_sysctl(c)->tcp_ecn_option && c->ecn.opt_seen &&
	       !(c->ecn.fail & ECN_FAIL_OPT_SND);
}

static bool is_opt_due(const struct tcp_conn *c, nsec now)
{
	const struct sysctl_values *v = tcp_sysctl(c);

	if (v->tcp_ecn_option > 1 || c->ecn.opt_demand)
		return true;
	return v->tcp_ecn_option_beacon &&
	       (now - c->ecn.opt_at) * v->tcp_ecn_option_beacon >= c->srtt;
}

/* Of @r's header what mss_cache does not know of. */
static uint32_t extra_len(const struct tcp_repr *r, const struct tcp_sig *sig)
{
	return tcp_emit_len(r) - TCP_HLEN - tcp_sig_len(sig) -
	       (r->has_ts ? TCP_TS_OPT_LEN : 0);
}

uint32_t tcp_accecn_room(const struct tcp_conn *c, unsigned num_sack)
{
	struct tcp_repr r = {.num_sack = (uint8_t)num_sack};
	struct tcp_sig sig = tcp_sig_of(c->ep, &c->node.key.raddr);

	r.has_ts = c->ts_ok;
	tcp_sig_room(&sig, &r);
	if (may_send_opt(c) &&
	    (tcp_sysctl(c)->tcp_ecn_option > 1 || c->ecn.opt_demand))
		tcp_fit_accecn(&r, c->ecn.least);
	return extra_len(&r, &sig);
}

void tcp_accecn_add_opt(struct tcp_conn *c, struct tcp_repr *r, uint32_t room,
			nsec now)
{
	struct tcp_sig sig = tcp_sig_of(c->ep, &c->node.key.raddr);
	uint8_t num_sack = r->num_sack;
	struct tcp_ecn *e = &c->ecn;

	if (r->flags & TCP_SYN) { /* both connect at once, or Fast Open */
		if (r->flags & TCP_ACK && tcp_sysctl(c)->tcp_ecn_option &&
		    c->retransmits < 2)
			tcp_accecn_syn_opt(r);
		return;
	}
	if (!may_send_opt(c) || !is_opt_due(c, now))
		return;
	set_fields(r, e->received);
	if (!tcp_fit_accecn(r, e->least))
		return;
	if (extra_len(r, &sig) > room) {
		r->accecn.is_there = false;
		r->num_sack = num_sack;
		return;
	}
	e->opt_with_dsack = c->has_dsack;
	e->least = 0;
	e->opt_at = now;
	if (e->opt_demand)
		e->opt_demand--;
}

/* --- the sender's side --- */

void tcp_accecn_saw_opt(struct tcp_conn *c, const struct tcp_accecn_opt *o)
{
	struct tcp_ecn *e = &c->ecn;

	if (e->opt_seen >= ECN_OPT_SEEN)
		return;
	e->opt_seen = o->num ? ECN_OPT_SEEN : ECN_OPT_EMPTY;
	/* the first and the last field can't be zero yet: RFC 9768 3.2.3.2.4 */
	if ((o->num && !o->v[0]) || (o->num == 3 && !o->v[2])) {
		e->opt_seen = ECN_OPT_BROKEN;
		e->fail |= ECN_FAIL_OPT_RCV;
	}
}

static int32_t advance(uint32_t *count, uint32_t field, uint8_t ect)
{
	uint32_t low = (field - field_init(ect)) & FIELD_MASK;
	uint32_t delta = (low - *count) & FIELD_MASK;

	if (delta >> (FIELD_BITS - 1))
		delta |= ~FIELD_MASK; /* negative */
	*count += delta;
	return (int32_t)delta;
}

/* No option in this ACK: what it covers came as the last did, if that is
 * known. */
static bool without_option(struct tcp_conn *c, uint32_t bytes)
{
	struct tcp_ecn *e = &c->ecn;

	if (!e->opt_seen && c->bytes_sent >= OPT_TOO_LATE) {
		e->opt_seen = ECN_OPT_BROKEN;
		e->fail |= ECN_FAIL_OPT_RCV;
	}
	if (!e->opt_seen || !e->guess)
		return false;
	e->delivered[e->guess] += bytes;
	return true;
}

/* True: what the counters say can be relied on. */
static bool take_option(struct tcp_conn *c, const struct tcp_accecn_opt *o,
			uint32_t bytes)
{
	struct tcp_ecn *e = &c->ecn;
	uint8_t guess = e->guess;
	bool ok = guess, has_new = false, is_clear = true;

	if (e->fail & ECN_FAIL_OPT_RCV)
		return false;
	if (!o->is_there)
		return without_option(c, bytes);
	tcp_accecn_saw_opt(c, o);
	for (unsigned i = 0; i < o->num; i++) {
		uint8_t ect = field_ect(o->order, i);
		int32_t delta = advance(&e->delivered[ect], o->v[i], ect);

		if (!delta)
			continue;
		if (delta < 0)
			is_clear = false;
		if (ect == guess)
			continue;
		if (has_new)
			is_clear = false;
		else
			e->guess = ect;
		has_new = true;
	}
	if (!is_clear)
		e->guess = 0;
	return ok && is_clear;
}

static void average(struct tcp_ecn *e, uint32_t segs)
{
	uint32_t avg = e->acked_avg;

	if (!segs)
		return;
	if (!avg)
		avg = segs << AVG_SHIFT;
	else
		avg = ((avg << AVG_SHIFT) - avg + (segs << AVG_SHIFT)) >>
		      AVG_SHIFT;
	e->acked_avg = MIN(avg, 0xffffu);
}

/* ACE says @delta, but it may have wrapped: @most at most. The bytes that came
 * as CE help to choose (RFC 9768 A.2.1 and A.2.2). */
static uint32_t choose(const struct tcp_conn *c, uint32_t delta, uint32_t most,
		       uint32_t ce_bytes, uint32_t segs, uint32_t bytes)
{
	uint64_t est;

	if (!ce_bytes)
		return delta;
	if (segs >= 2 * (ACE_MASK + 1) &&
	    (c->sack_ok || TCP_CA_IN(c, 1u << CA_OPEN | 1u << CA_CWR))) {
		if (bytes <= ce_bytes)
			return most;
		est = ((uint64_t)ce_bytes * segs + bytes - 1) / bytes;
		return MIN(most, delta + ((uint32_t)est & ~ACE_MASK));
	}
	if (ce_bytes > delta * c->mss_cache)
		return most;
	if (ce_bytes < most * c->mss_cache >> SAFETY_SHIFT)
		return delta;
	return most;
}

static uint32_t delivered_bytes(const struct tcp_conn *c,
				const struct tcp_acked *a, uint32_t segs)
{
	if (!a->sacked && !c->sacked_out && !a->prior_sacked)
		return a->bytes;
	return MIN(segs * c->mss_cache, a->bytes + a->sacked * c->mss_cache);
}

uint32_t tcp_accecn_ack(struct tcp_conn *c, const struct tcp_seg *s,
			const struct tcp_acked *a)
{
	struct tcp_ecn *e = &c->ecn;
	uint32_t segs = (uint32_t)(c->delivered - a->prior_delivered);
	uint32_t bytes = delivered_bytes(c, a, segs);
	uint32_t ce_before = e->delivered[IP_CE];
	uint32_t delta, most;
	uint8_t ace = tcp_ace(&s->r);
	bool ok;

	/* one that was overtaken has old counters */
	if (!a->bytes && !a->sacked && !s->ts_advanced)
		return 0;
	ok = take_option(c, &s->r.accecn, bytes);
	average(e, segs);
	if (a->prior_una == c->iss) /* ACE is something else in a handshake */
		return 0;
	/* RFC 9768 3.2.2.4: no counter begins at zero */
	if (!ace && a->bytes && a->prior_una == c->iss + 1) {
		e->fail |= ECN_FAIL_ACE_RCV | ECN_FAIL_OPT_RCV;
		return 0;
	}
	if (e->fail & ECN_FAIL_ACE_RCV)
		return 0;
	if (e->ce_pending >= MAX_PENDING)
		e->ack_soon = true;
	delta = (ace - TCP_ACE_INIT - e->delivered_ce) & ACE_MASK;
	if (segs <= ACE_MASK)
		return delta;
	most = segs - ((segs - delta) & ACE_MASK);
	if (ok)
		return choose(c, delta, most, e->delivered[IP_CE] - ce_before,
			      segs, bytes);
	if (e->acked_avg > THINNED_ACKS << AVG_SHIFT)
		return delta;
	return most;
}
