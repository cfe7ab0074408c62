/* SPDX-License-Identifier: MIT
 *
 * tcp_uto.c - the user timeout option (RFC 5482): how long an end is willing to
 *	       wait for an ACK, told to the other
 *
 * It is told in the SYN, in the first segment after it (a host that answers
 * with SYN cookies forgets what was in the SYN), again when TCP_USER_TIMEOUT
 * changes, and with the byte that it went with, should that be sent again. It
 * is advice: a segment that has no room goes without, the next one has it.
 *
 * In the words of RFC 5482 3: ENABLED is net.ipv4.tcp_uto; ADV_UTO is the
 * socket's TCP_USER_TIMEOUT, or net.ipv4.tcp_uto_adv; CHANGEABLE is every
 * socket that has not set TCP_USER_TIMEOUT; L_LIMIT and U_LIMIT are
 * net.ipv4.tcp_uto_min and tcp_uto_max. Linux has none of it.
 */
#include "base/log.h"
#include "base/util.h"
#include "transport/tcp_conn.h"

#define UTO_MINUTES 0x8000u /* the granularity bit, RFC 5482 3.3 */
#define UTO_MAX 0x7fffu

static bool is_on(const struct ep *e)
{
	return e->tp->core->sysctl->tcp_uto;
}

static nsec advertised(const struct ep *e)
{
	return e->topt.user_timeout ? e->topt.user_timeout * MSEC
				    : e->tp->core->sysctl->tcp_uto_adv * SEC;
}

/* Rounded up: seconds as far as they reach, then minutes. Never 0, which is
 * reserved (RFC 5482 3.4). */
static uint16_t to_wire(nsec t)
{
	uint64_t s = DIV_ROUND_UP((uint64_t)t, (uint64_t)SEC);

	if (s <= UTO_MAX)
		return (uint16_t)MAX(s, 1u);
	s = DIV_ROUND_UP(s, 60u);
	return (uint16_t)(UTO_MINUTES | MIN(s, UTO_MAX));
}

static nsec from_wire(uint16_t v)
{
	return (v & UTO_MAX) * (v & UTO_MINUTES ? 60 * SEC : SEC);
}

void tcp_uto_heard(struct tcp_conn *c, const struct tcp_repr *r)
{
	if (!r->uto || !is_on(c->ep))
		return;
	c->uto.remote = r->uto;
	/* 3.1: the application should hear of what it does not get */
	if (c->ep->topt.user_timeout)
		log_at(&c->t->core->log, LOG_INFO,
		       "tcp port %u: peer's user timeout of %u s not taken",
		       c->node.key.lport, (unsigned)(from_wire(r->uto) / SEC));
}

nsec tcp_uto_adopted(const struct tcp_conn *c)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	nsec t = from_wire(c->uto.remote), least = v->tcp_uto_min * SEC;

	if (!t || !is_on(c->ep) || c->ep->topt.user_timeout)
		return 0;
	least = MAX(least, c->rto); /* nothing can be acked sooner */
	return MIN(MAX(MAX(t, advertised(c->ep)), least), v->tcp_uto_max * SEC);
}

uint32_t tcp_uto_room(const struct tcp_conn *c)
{
	return c->uto.is_owed && is_on(c->ep) ? TCP_UTO_LEN : 0;
}

void tcp_uto_synack(const struct ep *e, struct tcp_repr *r)
{
	if (!is_on(e) ||
	    tcp_emit_len(r) + TCP_UTO_LEN > TCP_HLEN + TCP_MAX_OPTS)
		return;
	r->uto = to_wire(advertised(e));
}

void tcp_uto_add(struct tcp_conn *c, struct tcp_repr *r, uint32_t seq,
		 uint32_t len, uint32_t room)
{
	struct tcp_uto *u = &c->uto;
	bool again = len && u->has_seq && seq_lt(seq, c->snd_nxt) &&
		     u->seq - seq < len;

	if (r->flags & TCP_RST || !is_on(c->ep))
		return;
	if (!(r->flags & TCP_SYN || u->is_owed || again) ||
	    (len && room < TCP_UTO_LEN))
		return;
	tcp_uto_synack(c->ep, r);
}

void tcp_uto_sent(struct tcp_conn *c, const struct tcp_repr *r, uint32_t len)
{
	struct tcp_uto *u = &c->uto;

	if (!r->uto || r->flags & TCP_SYN)
		return;
	u->is_owed = false;
	if (len) {
		u->has_seq = true;
		u->seq = r->seq;
	}
}
