/* SPDX-License-Identifier: MIT
 *
 * tcp_ecn.c - explicit congestion notification: agreeing on it, and RFC 3168
 *
 * A router that is about to drop marks instead (CE in the IP header); the
 * receiver echoes the mark in every ACK (ECE) until the sender says that it has
 * reduced its window (CWR). New data is sent as capable (ECT); resends, pure
 * ACKs and probes are not, since their loss must not go unnoticed.
 *
 * Accurate feedback (RFC 9768, tcp_accecn.c) counts the marks instead; then all
 * packets are capable. The bits AE, CWR and ECE of the SYN say what is asked
 * for, those of the SYN-ACK what is agreed to, and how the SYN came:
 *
 *	SYN 111	SYN-ACK 010 011 100 110	accurate: Not-ECT, ECT(1), ECT(0), CE
 *	SYN 111	SYN-ACK 101		accurate, not in use yet
 *	SYN 111	SYN-ACK 001		RFC 3168
 *	SYN 011	SYN-ACK 001		RFC 3168
 *	any	SYN-ACK 000 111		none
 *
 * A congestion control that lives on marks (DCTCP, RFC 8257) has them asked
 * for, has every packet capable, SYN included (RFC 8257 3.6), and has each
 * change of marks told at once.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

/* net.ipv4.tcp_ecn, as Linux numbers it */
enum {
	SYSCTL_OFF,
	SYSCTL_CLASSIC,		 /* asked for */
	SYSCTL_CLASSIC_PASSIVE,	 /* if the peer asks */
	SYSCTL_ACCURATE,	 /* asked for */
	SYSCTL_ACCURATE_CLASSIC, /* if the peer asks; RFC 3168 asked for */
	SYSCTL_ACCURATE_PASSIVE, /* if the peer asks */
};

#define ACE_CLASSIC 3u /* CWR and ECE */
#define ACE_ALL 7u
#define ACE_SYNACK_CLASSIC 1u
#define ACE_RESERVED 5u /* RFC 9768 3.1.3: taken as accurate */

static bool cc_needs_ecn(unsigned id)
{
	struct cc cc = {.id = (uint8_t)id};

	return id < CC_NUM && cc_ops(&cc)->needs_ecn;
}

static uint8_t ect_of(const struct tcp_seg *s)
{
	return s->rx->tos & IP_ECN_MASK;
}

static void set_ect(uint8_t *tos, uint8_t ect)
{
	*tos = (uint8_t)((*tos & ~IP_ECN_MASK) | ect);
}

/* --- who connects --- */

void tcp_ecn_begin(struct tcp_conn *c)
{
	int64_t v = tcp_sysctl(c)->tcp_ecn;

	c->ecn.asks = ECN_OFF;
	c->ecn.syn_is_plain = false;
	if (v == SYSCTL_ACCURATE)
		c->ecn.asks = ECN_ACCURATE;
	else if (v == SYSCTL_CLASSIC || v == SYSCTL_ACCURATE_CLASSIC ||
		 cc_needs_ecn(c->cc.id))
		c->ecn.asks = ECN_CLASSIC;
}

/* It may be why nobody answers: RFC 3168 6.1.1.1; once more with RFC 9768
 * 3.1.4.1. An answer to the first one is taken all the same. */
void tcp_ecn_syn_again(struct tcp_conn *c)
{
	if (!tcp_sysctl(c)->tcp_ecn_fallback)
		return;
	if (c->ecn.asks != ECN_ACCURATE || c->retransmits > 0)
		c->ecn.syn_is_plain = true;
}

static void agree_accurate(struct tcp_conn *c, const struct tcp_seg *s)
{
	c->ecn.mode = ECN_ACCURATE;
	c->ecn.syn_rcv = c->ecn.last_rcv = ect_of(s);
}

void tcp_ecn_synack_in(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint8_t ace = tcp_ace(&s->r);

	c->ecn.mode = ECN_OFF;
	if (c->ecn.asks == ECN_OFF || ace == 0 || ace == ACE_ALL)
		return;
	if (ace == ACE_SYNACK_CLASSIC ||
	    (ace == ACE_RESERVED && c->ecn.asks == ECN_CLASSIC)) {
		c->ecn.mode = ECN_CLASSIC;
		return;
	}
	if (c->ecn.asks != ECN_ACCURATE)
		return;
	agree_accurate(c, s);
	if (s->r.accecn.is_there) {
		tcp_accecn_saw_opt(c, &s->r.accecn);
		c->ecn.opt_demand = 2;
	}
	if (tcp_accecn_reflection_ok(c, ace) && ect_of(s) == IP_CE) {
		c->ecn.received_ce++; /* RFC 9768 3.2.2.1: r.cep is 6 */
		c->ecn.ce_pending++;
	}
}

/* Both connect at once: RFC 9768 3.1.2 */
void tcp_ecn_syn_in(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint8_t ace = tcp_ace(&s->r);

	c->ecn.mode = ECN_OFF;
	if (c->ecn.asks == ECN_ACCURATE && ace && ace != ACE_CLASSIC)
		agree_accurate(c, s);
	else if (c->ecn.asks && (ace & ACE_CLASSIC) == ACE_CLASSIC)
		c->ecn.mode = ECN_CLASSIC;
}

/* --- who listens --- */

void tcp_ecn_request(const struct tcp_listen *l, struct tcp_syn *q,
		     const struct tcp_seg *s)
{
	int64_t v = l->ep->tp->core->sysctl->tcp_ecn;
	uint8_t ace = tcp_ace(&s->r);
	bool needs = cc_needs_ecn(l->ep->topt.cc);

	q->ect = ect_of(s) & IP_ECN_MASK;
	/* RFC 9768 3.1.2: any other combination counts as 111 */
	if (v >= SYSCTL_ACCURATE && ace && ace != ACE_CLASSIC) {
		q->n.bits |= TCP_SYN_ECN | TCP_SYN_ACCECN;
		return;
	}
	if ((ace & ACE_CLASSIC) != ACE_CLASSIC)
		return;
	/* a SYN of RFC 3168 is not ECT: else the bits mean something else */
	if (needs || (v && (q->ect == IP_NOT_ECT || ace == ACE_ALL)))
		q->n.bits |= TCP_SYN_ECN;
}

/* RFC 9768 3.1.5: the SYN came again without asking. What was agreed stays,
 * but the peer may not be able to take marks. */
void tcp_ecn_request_again(struct tcp_syn *q, const struct tcp_seg *s)
{
	if (!(q->n.bits & TCP_SYN_ACCECN))
		return;
	q->ect = ect_of(s) & IP_ECN_MASK;
	if (!tcp_ace(&s->r))
		q->n.bits |= TCP_SYN_NO_ECT;
}

/* RFC 9768 3.2.3.2.2 and 3.1.4.2: sent again it goes without the option, and
 * then without asking for anything. */
void tcp_ecn_synack_out(const struct tcp_listen *l, struct tcp_syn *q,
			struct tcp_repr *r, uint8_t *tos)
{
	const struct sysctl_values *v = l->ep->tp->core->sysctl;

	if (q->n.bits & TCP_SYN_ACCECN) {
		if (q->num_synacks < 2)
			tcp_set_ace(r, tcp_ace_reflecting(q->ect));
		if (!q->num_synacks && v->tcp_ecn_option)
			tcp_accecn_syn_opt(r);
	} else if (q->n.bits & TCP_SYN_ECN) {
		r->flags |= TCP_ECE;
	}
	if (q->n.bits & TCP_SYN_ECN && cc_needs_ecn(l->ep->topt.cc))
		set_ect(tos, IP_ECT0);
	if (q->num_synacks < 3)
		q->num_synacks++;
}

void tcp_ecn_child(struct tcp_conn *c, const struct tcp_syn *q)
{
	struct tcp_ecn *e = &c->ecn;

	e->mode = ECN_OFF;
	if (!(q->n.bits & TCP_SYN_ECN))
		return;
	e->mode = ECN_CLASSIC;
	if (!(q->n.bits & TCP_SYN_ACCECN))
		return;
	e->mode = ECN_ACCURATE;
	e->syn_rcv = e->last_rcv = q->ect;
	e->syn_snt = cc_needs_ecn(c->cc.id) ? IP_ECT0 : IP_NOT_ECT;
	e->opt_demand = 1;
	if (q->n.bits & TCP_SYN_NO_ECT)
		e->fail |= ECN_FAIL_ACE_RCV;
}

/* RFC 9768 3.2.2.1, table 4: it reflects how our SYN-ACK came. */
void tcp_ecn_third_ack(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint8_t ace = tcp_ace(&s->r);

	if (!tcp_ecn_is_accurate(c))
		return;
	if (s->r.accecn.is_there)
		tcp_accecn_saw_opt(c, &s->r.accecn);
	if (ace == 0) { /* bleached, or the SYN-ACK was */
		c->ecn.fail |= ECN_FAIL_ACE_RCV;
		return;
	}
	if (s->end != s->seq || ace == 1 || ace == 5 || ace == ACE_ALL)
		return; /* a counter, of data; or not in use */
	if (tcp_accecn_reflection_ok(c, ace) &&
	    tcp_accecn_is_reflection(ace, IP_CE) && !c->ecn.delivered_ce)
		c->ecn.delivered_ce = 1; /* s.cep is 6 */
}

/* --- what comes --- */

void tcp_ecn_heard(struct tcp_conn *c, const struct tcp_seg *s)
{
	tcp_accecn_heard(c, s);
}

/* RFC 8257 3.2: an ACK covers data of one kind only. */
static void tell_change(struct tcp_conn *c, bool is_ce, nsec now)
{
	if (c->ecn.ce_state != is_ce) {
		if (c->owe & TCP_OWE_ACK)
			tcp_send_ack(c, now);
		c->owe |= TCP_OWE_NOW;
	}
	c->ecn.ce_state = is_ce;
	if (tcp_ecn_is_classic(c))
		c->ecn.demand = is_ce;
}

void tcp_ecn_in(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint8_t ect = ect_of(s);

	if (!c->ecn.mode)
		return;
	if (c->ecn.ack_soon)
		c->owe |= TCP_OWE_NOW;
	if (s->r.flags & TCP_CWR && tcp_ecn_is_classic(c)) {
		c->ecn.demand = false;
		c->owe |= TCP_OWE_NOW; /* its window may be very small now */
	}
	if (ect == IP_NOT_ECT) {
		/* from one that marks its data: a resend, so it waits */
		if (c->ecn.seen)
			tcp_be_quick(c);
		return;
	}
	if (cc_ops(&c->cc)->needs_ecn) {
		tell_change(c, ect == IP_CE, s->now);
	} else if (ect == IP_CE && tcp_ecn_is_classic(c)) {
		if (!c->ecn.demand)
			tcp_be_quick(c);
		c->ecn.demand = true;
	}
	c->ecn.seen = true;
}

/* --- what goes out --- */

static void syn_out(struct tcp_conn *c, struct tcp_repr *r, uint8_t *tos)
{
	bool needs = cc_ops(&c->cc)->needs_ecn;

	if (c->ecn.asks == ECN_OFF || c->ecn.syn_is_plain)
		return;
	tcp_set_ace(r, c->ecn.asks == ECN_ACCURATE ? ACE_ALL : ACE_CLASSIC);
	c->ecn.syn_snt = needs ? IP_ECT0 : IP_NOT_ECT;
	set_ect(tos, c->ecn.syn_snt);
}

static void synack_out(struct tcp_conn *c, struct tcp_repr *r, uint8_t *tos)
{
	if (tcp_ecn_is_accurate(c))
		tcp_set_ace(r, tcp_ace_reflecting(c->ecn.syn_rcv));
	else if (tcp_ecn_is_classic(c))
		r->flags |= TCP_ECE;
	if (c->ecn.mode && cc_ops(&c->cc)->needs_ecn)
		set_ect(tos, IP_ECT0);
}

/* RFC 9768 3.2.2; all of it may be marked, as draft-ietf-tcpm-generalized-ecn
 * has it, since marks on all of it are told. */
static void accurate_out(struct tcp_conn *c, struct tcp_repr *r, uint8_t *tos)
{
	if (c->ecn.reflect) {
		tcp_set_ace(r, tcp_ace_reflecting(c->ecn.syn_rcv));
		c->ecn.reflect = false;
	} else {
		tcp_set_ace(r, c->ecn.received_ce + TCP_ACE_INIT);
		c->ecn.ce_pending = 0;
		c->ecn.ack_soon = false;
	}
	if (!(c->ecn.fail & ECN_FAIL_ACE_RCV))
		set_ect(tos, IP_ECT0);
}

void tcp_ecn_out(struct tcp_conn *c, struct tcp_repr *r, bool is_new_data,
		 uint8_t *tos)
{
	bool ack = r->flags & TCP_ACK;

	if (r->flags & TCP_SYN) {
		if (ack)
			synack_out(c, r, tos);
		else
			syn_out(c, r, tos);
		return;
	}
	if (tcp_ecn_is_accurate(c)) {
		accurate_out(c, r, tos);
		return;
	}
	if (!tcp_ecn_is_classic(c) || r->flags & TCP_RST)
		return;
	if (is_new_data || cc_ops(&c->cc)->needs_ecn)
		set_ect(tos, IP_ECT0);
	if (is_new_data && c->ecn.cwr)
		r->flags |= TCP_CWR;
	if (c->ecn.demand)
		r->flags |= TCP_ECE;
}

/* --- what an ACK tells --- */

bool tcp_ecn_ack(struct tcp_conn *c, const struct tcp_seg *s,
		 const struct tcp_acked *a)
{
	uint32_t fresh = (uint32_t)(c->delivered - a->prior_delivered);
	uint32_t marks = 0;
	bool echo = false;

	if (s->r.flags & TCP_SYN)
		return false;
	if (tcp_ecn_is_accurate(c)) {
		marks = tcp_accecn_ack(c, s, a);
		echo = marks;
	} else if (tcp_ecn_is_classic(c) && s->r.flags & TCP_ECE) {
		marks = fresh; /* all of it, as far as can be known */
		echo = true;
	}
	c->ecn.delivered_ce += marks;
	if (echo)
		stat_add(c->t->core, STAT_TcpExtTCPDeliveredCE, fresh);
	return echo;
}
