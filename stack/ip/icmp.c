/* SPDX-License-Identifier: MIT
 *
 * icmp.c - echo, and errors both ways (RFC 792, RFC 4443)
 *
 * In: echo requests are answered with the bytes that came, by reference. An
 * error is matched to the packet of ours that it quotes, translated to errno as
 * Linux's icmp_err_convert and tab_unreach do, and given to the transport. What
 * a router says about length goes to the path MTU cache first. Redirects, and
 * router and neighbour messages on a link without neighbours, are ignored.
 *
 * Out: never about what could start a storm (RFC 1122 3.2.2, RFC 4443 2.4(e)),
 * and limited twice: a token bucket for the host, and six at once then one per
 * icmp_ratelimit to the same destination, as Linux.
 */
#include "wire/icmp.h"

#include <errno.h>

#include "base/csum.h"
#include "ip/ip_priv.h"
#include "ip/mcast.h"
#include "wire/ip4.h"
#include "wire/ip4opt.h"
#include "wire/ip6.h"

#define ICMP4_REDIRECT 5
#define ICMP4_SOURCE_QUENCH 4 /* deprecated by RFC 6633 */
#define ICMP4_NUM_UNREACH 16  /* codes, RFC 1812 5.2.7.1 */
#define ICMP4_MAX_TYPE 18     /* highest that Linux knows */
#define ICMP6_INFO 128	      /* RFC 4443 2.1: errors are below */
#define ICMP6_REDIRECT 137
#define ICMP4_QUOTE 576		      /* RFC 1812 4.3.2.3: all of the error */
#define HOST_BURST 6		      /* Linux's XRLIM_BURST_FACTOR */
#define MIN_QUOTED_L4 8		      /* RFC 792: ports and sequence number */
#define TOS_PREC_INTERNETCONTROL 0xc0 /* RFC 1812 4.3.2.5 */

void icmp_init(struct ip *ip)
{
	for (int i = 0; i < 2; i++)
		ip->icmp_limit[i].tokens =
			(uint32_t)ip->core->sysctl->icmp_msgs_burst;
}

/* --- out --- */

static void count_out(struct core *c, bool is4, uint8_t type)
{
	static const struct {
		uint8_t type;
		enum stat_id id;
	} rows[2][6] = {
		{{ICMP6_UNREACH, STAT_Icmp6OutDestUnreachs},
		 {ICMP6_TIME_EXCEEDED, STAT_Icmp6OutTimeExcds},
		 {ICMP6_PARAM_PROBLEM, STAT_Icmp6OutParmProblems},
		 {ICMP6_ECHO_REPLY, STAT_Icmp6OutEchoReplies}},
		{{ICMP4_UNREACH, STAT_IcmpOutDestUnreachs},
		 {ICMP4_TIME_EXCEEDED, STAT_IcmpOutTimeExcds},
		 {ICMP4_PARAM_PROBLEM, STAT_IcmpOutParmProbs},
		 {ICMP4_ECHO_REPLY, STAT_IcmpOutEchoReps}},
	};

	stat_inc(c, is4 ? STAT_IcmpOutMsgs : STAT_Icmp6OutMsgs);
	for (int i = 0; i < 4; i++)
		if (rows[is4][i].type == type)
			stat_inc(c, rows[is4][i].id);
}

/* Sends @r, whose body lies in @f, to @tx->dst. */
static int emit(struct ip *ip, const struct icmp_repr *r, struct frame *f,
		struct ip_tx *tx, nsec now)
{
	bool is4 = ip_addr_is4(&tx->dst);
	struct pkt *p = pkt_new(ip->core->arena);
	uint8_t *at, *body;
	int err = -ENOBUFS;

	tx->proto = is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	if (p && r->body_len) {
		body = f->data + (r->body - f->data);
		if (pkt_add(p, &f->b, body, r->body_len)) {
			pkt_free(ip->core->arena, p);
			p = NULL;
		}
	}
	at = p ? pkt_push(p, ICMP_HLEN) : NULL;
	if (at) {
		icmp_emit(r, &tx->src, &tx->dst, pkt_payload_csum(p, 0), at);
		p->csum = CSUM_NONE;
		p->hdr_len = ICMP_HLEN;
		err = ip_out(ip, p, tx, now);
	}
	if (err)
		stat_inc(ip->core,
			 is4 ? STAT_IcmpOutErrors : STAT_Icmp6OutErrors);
	else
		count_out(ip->core, is4, r->type);
	return err;
}

/* RFC 4443 2.4(f): the whole host's bucket, Linux's icmp_global_allow(). */
static bool global_allow(struct ip *ip, struct icmp_limit *lim, nsec now)
{
	const struct sysctl_values *sys = ip->core->sysctl;
	nsec passed = MIN(now - lim->refilled_at, SEC);
	uint64_t more = (uint64_t)(passed * sys->icmp_msgs_per_sec / SEC);

	if (more) {
		lim->refilled_at = now;
		lim->tokens = (uint32_t)MIN(lim->tokens + more,
					    (uint64_t)sys->icmp_msgs_burst);
	}
	if (!lim->tokens)
		return false;
	lim->tokens--;
	return true;
}

/* One to a host each icmp_ratelimit, with a burst: its bucket is kept as the
 * instant at which it is full again. */
static bool host_allow(struct ip *ip, struct icmp_limit *lim,
		       const struct ip_addr *dst, nsec now)
{
	nsec every = ip->core->sysctl->icmp_ratelimit * MSEC;
	uint32_t hash = (uint32_t)sip_hash(&ip->core->hash_key, dst->b, 16);
	unsigned i = hash % ICMP_NUM_HOSTS;

	if (lim->host[i].hash != hash) {
		lim->host[i].hash = hash;
		lim->host[i].next_at = 0;
	}
	if (lim->host[i].next_at - now > (HOST_BURST - 1) * every)
		return false;
	lim->host[i].next_at = MAX(lim->host[i].next_at, now) + every;
	return true;
}

static bool may_send(struct ip *ip, const struct ip_addr *dst, nsec now)
{
	bool is4 = ip_addr_is4(dst);
	struct icmp_limit *lim = &ip->icmp_limit[is4 ? 0 : 1];

	if (!global_allow(ip, lim, now)) {
		stat_inc(ip->core, is4 ? STAT_IcmpOutRateLimitGlobal
				       : STAT_Icmp6OutRateLimitGlobal);
		return false;
	}
	if (!host_allow(ip, lim, dst, now)) {
		stat_inc(ip->core, is4 ? STAT_IcmpOutRateLimitHost
				       : STAT_Icmp6OutRateLimitHost);
		return false;
	}
	return true;
}

/* RFC 1122 3.2.2: a source that doesn't name one host. */
static bool is_one_host(const struct ip *ip, const struct ip_addr *a)
{
	enum ip_scope s = ip_scope(ip, a);

	return !ip_addr_is_any(a) && s != IP_SCOPE_BCAST && s != IP_SCOPE_MCAST;
}

static bool is_icmp4_error(uint8_t type)
{
	switch (type) {
	case ICMP4_UNREACH:
	case ICMP4_SOURCE_QUENCH:
	case ICMP4_REDIRECT:
	case ICMP4_TIME_EXCEEDED:
	case ICMP4_PARAM_PROBLEM:
		return true;
	default: /* an unknown one could be an error */
		return type > ICMP4_MAX_TYPE;
	}
}

/* May an error be sent about this packet? Fills in both ends of the error. The
 * fields are read one by one: the header may be what the error is about. */
static bool gate4(struct ip *ip, const struct frame *f, struct ip_tx *tx)
{
	const uint8_t *p = f->data;
	uint32_t hdr_len = (p[0] & 0xfu) * 4;
	struct ip_addr src, dst;

	if (f->len < IP4_HLEN || hdr_len < IP4_HLEN || f->len < hdr_len)
		return false;
	src = ip_addr_v4(p + 12);
	dst = ip_addr_v4(p + 16);
	if (!is_one_host(ip, &src) || !is_one_host(ip, &dst))
		return false;
	if (get_be16(p + 6) & 0x1fff) /* not the first fragment */
		return false;
	if (p[9] == IPPROTO_ICMP &&
	    (f->len <= hdr_len || is_icmp4_error(p[hdr_len])))
		return false;
	tx->src = dst;
	tx->dst = src;
	tx->tos = (uint8_t)((p[1] & 0x1e) | TOS_PREC_INTERNETCONTROL);
	return true;
}

/* Looks past extension headers without judging them: one of them may be what
 * the error is about. Offset of the ICMPv6 message, or 0 if none is in sight.
 */
static uint32_t find_icmp6(const uint8_t *p, uint32_t len)
{
	uint8_t next = p[6];
	uint32_t at = IP6_HLEN;

	while (at + 8 <= len) {
		uint32_t hdr = 8 + p[at + 1] * 8u;

		switch (next) {
		case IPPROTO_FRAGMENT:
			if (get_be16(p + at + 2) & 0xfff8)
				return 0; /* RFC 4443 doesn't ask to guess */
			hdr = IP6_FRAG_HLEN;
			break;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			break;
		default:
			return next == IPPROTO_ICMPV6 ? at : 0;
		}
		next = p[at];
		at += hdr;
	}
	return next == IPPROTO_ICMPV6 ? at : 0;
}

static bool is_icmp6_error(const struct frame *f)
{
	uint32_t at = find_icmp6(f->data, f->len);
	uint8_t type;

	if (!at)
		return false;
	if (at >= f->len) /* cut off: it could be one */
		return true;
	type = f->data[at];
	return type < ICMP6_INFO || type == ICMP6_REDIRECT;
}

static bool gate6(struct ip *ip, const struct frame *f, uint8_t type,
		  uint8_t code, struct ip_tx *tx)
{
	struct ip_addr src, dst;

	if (f->len < IP6_HLEN)
		return false;
	src = ip_addr_v6(f->data + 8);
	dst = ip_addr_v6(f->data + 24);
	if (!is_one_host(ip, &src) || is_icmp6_error(f))
		return false;
	/* RFC 4443 2.4(e.3): an option of a multicast packet may be refused */
	if (ip_addr_is_multicast(&dst) &&
	    !(type == ICMP6_PARAM_PROBLEM && code == 2))
		return false;
	tx->src = dst;
	tx->dst = src;
	return true;
}

void icmp_send_error(struct ip *ip, struct frame *f, uint8_t type, uint8_t code,
		     uint32_t rest, nsec now)
{
	struct icmp_repr r = {.type = type, .code = code, .rest = rest};
	struct ip_tx tx = {.proto = IPPROTO_ICMP};
	bool is4 = f->len && f->data[0] >> 4 == 4;
	uint32_t room = is4 ? ICMP4_QUOTE - IP4_HLEN - ICMP_HLEN
			    : IP6_MIN_MTU - IP6_HLEN - ICMP_HLEN;

	if (!(is4 ? gate4(ip, f, &tx) : gate6(ip, f, type, code, &tx)))
		return;
	if (!(f->flags & FRAME_F_LOOP) && !may_send(ip, &tx.dst, now))
		return;
	if (ip_scope(ip, &tx.src) != IP_SCOPE_LOCAL &&
	    ip_source(ip, &tx.dst, &tx.src))
		return;
	r.body = f->data;
	r.body_len = MIN(f->len, room);
	emit(ip, &r, f, &tx, now);
}

/* --- in --- */

static enum drop echo(struct ip *ip, const struct ip_rx *rx,
		      const struct icmp_repr *req, nsec now)
{
	const struct sysctl_values *sys = ip->core->sysctl;
	bool is4 = ip_addr_is4(&rx->src);
	struct icmp_repr r = *req;
	struct ip_tx tx = {.src = rx->dst, .dst = rx->src, .tos = rx->tos};
	uint8_t opts[IP4_OPT_MAX];

	if (sys->icmp_echo_ignore_all && is4)
		return drop(ip->core, DROP_ICMP_IGNORED);
	if (rx->scope != IP_SCOPE_LOCAL) {
		if (is4 && sys->icmp_echo_ignore_broadcasts)
			return drop(ip->core, DROP_ICMP_IGNORED);
		if (ip_source(ip, &rx->src, &tx.src)) /* RFC 1122 3.2.2.6 */
			return drop(ip->core, DROP_NO_ROUTE);
	}
	if (!is_one_host(ip, &rx->src))
		return drop(ip->core, DROP_IP_SRC_ADDR);
	r.type = is4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
	r.code = 0;
	if (is4) { /* RFC 1122 3.2.2.6: records go back with the answer */
		tx.opts = opts;
		tx.num_opts = (uint8_t)ip4_opt_echo(
			rx->f->data + IP4_HLEN,
			(rx->f->data[0] & 0xfu) * 4 - IP4_HLEN, opts);
	}
	emit(ip, &r, rx->f, &tx, now);
	return DROP_NONE;
}

struct verdict {
	uint8_t err;
	bool fatal;
};

/* What Linux's icmp_err_convert says of unreachable, code by code. */
static const struct verdict unreach4[ICMP4_NUM_UNREACH] = {
	{ENETUNREACH, false},  /* net */
	{EHOSTUNREACH, false}, /* host */
	{ENOPROTOOPT, true},   /* protocol */
	{ECONNREFUSED, true},  /* port */
	{EMSGSIZE, false},     /* fragmentation needed */
	{EOPNOTSUPP, false},   /* source route failed */
	{ENETUNREACH, true},   /* net unknown */
	{EHOSTDOWN, true},     /* host unknown */
	{ENONET, true},	       /* host isolated */
	{ENETUNREACH, true},   /* net prohibited */
	{EHOSTUNREACH, true},  /* host prohibited */
	{ENETUNREACH, false},  /* net, for this TOS */
	{EHOSTUNREACH, false}, /* host, for this TOS */
	{EHOSTUNREACH, true},  /* filtered */
	{EHOSTUNREACH, true},  /* precedence violation */
	{EHOSTUNREACH, true},  /* precedence cutoff */
};

static struct verdict verdict4(uint8_t type, uint8_t code)
{
	if (type == ICMP4_UNREACH)
		return unreach4[code];
	if (type == ICMP4_PARAM_PROBLEM)
		return (struct verdict){EPROTO, true};
	return (struct verdict){EHOSTUNREACH, false};
}

/* Linux's icmpv6_err_convert(). */
static struct verdict verdict6(uint8_t type, uint8_t code)
{
	static const struct verdict unreach[] = {
		{ENETUNREACH, false},  /* no route */
		{EACCES, true},	       /* prohibited */
		{EHOSTUNREACH, false}, /* beyond scope of source */
		{EHOSTUNREACH, false}, /* address */
		{ECONNREFUSED, true},  /* port */
		{EACCES, true},	       /* source address failed policy */
		{EACCES, true},	       /* reject route */
	};

	switch (type) {
	case ICMP6_UNREACH:
		if (code < ARRAY_SIZE(unreach))
			return unreach[code];
		return (struct verdict){EPROTO, true};
	case ICMP6_TOO_BIG:
		return (struct verdict){EMSGSIZE, false};
	case ICMP6_PARAM_PROBLEM:
		return (struct verdict){EPROTO, true};
	case ICMP6_TIME_EXCEEDED:
		return (struct verdict){EHOSTUNREACH, false};
	default: /* RFC 4443 2.4(a): unknown errors go up too */
		return (struct verdict){EPROTO, false};
	}
}

/* Reads the quoted packet, which is cut short; @e's ends are those of the
 * packet that we sent. @quoted_len: what its header says. */
static bool read_quote(struct ip_error *e, const uint8_t *q, uint32_t len,
		       uint32_t *quoted_len)
{
	uint32_t off;

	if (e->is4) {
		if (len < IP4_HLEN || q[0] >> 4 != 4 || (q[0] & 0xf) < 5)
			return false;
		if (get_be16(q + 6) & 0x1fff) /* no L4 header in there */
			return false;
		off = (q[0] & 0xfu) * 4;
		e->local = ip_addr_v4(q + 12);
		e->remote = ip_addr_v4(q + 16);
		e->proto = q[9];
		*quoted_len = get_be16(q + 2);
	} else {
		struct ip6_chain c;

		if (len < IP6_HLEN || q[0] >> 4 != 6 || ip6_walk(&c, q, len))
			return false;
		if (c.is_frag && c.frag_off)
			return false;
		off = c.off;
		e->local = ip_addr_v6(q + 8);
		e->remote = ip_addr_v6(q + 24);
		e->proto = c.proto;
		*quoted_len = get_be16(q + 4) + IP6_HLEN;
	}
	if (len < off + MIN_QUOTED_L4)
		return false;
	e->l4 = q + off;
	e->l4_len = len - off;
	return true;
}

/* Fragmentation needed, packet too big: notes it. A report that our packet
 * would have fitted is a lie or stale (RFC 5927 7.2). TCP has a better test,
 * its sequence numbers, and calls ip_mtu_told() when it is passed. */
static bool note_mtu(struct ip *ip, struct ip_error *e, uint32_t reported,
		     uint32_t quoted_len, nsec now)
{
	if (e->is4 && ip->core->sysctl->ip_no_pmtu_disc)
		return false;
	if (!reported && e->is4) /* a router from before RFC 1191 */
		reported = pmtu_plateau(quoted_len);
	e->mtu = reported;
	if (e->proto == IPPROTO_TCP)
		return true;
	if (reported >= quoted_len)
		return false;
	e->mtu = ip_mtu_told(ip, &e->remote, reported, now);
	return true;
}

/* ee_info of Linux: IPv6 hands on whatever the four bytes hold. */
static uint32_t error_info(const struct ip_error *e, const struct icmp_repr *r)
{
	if (!e->is4)
		return r->rest;
	if (e->err == EMSGSIZE)
		return r->rest & 0xffff;
	return r->type == ICMP4_PARAM_PROBLEM ? r->rest >> 24 : 0;
}

static enum drop error_in(struct ip *ip, const struct ip_rx *rx,
			  const struct icmp_repr *r, nsec now)
{
	struct ip_error e = {
		.offender = rx->src,
		.type = r->type,
		.code = r->code,
		.is4 = ip_addr_is4(&rx->src),
		.rx = rx,
	};
	struct verdict v;
	uint32_t quoted_len;

	if (e.is4 && r->type == ICMP4_UNREACH && r->code >= ICMP4_NUM_UNREACH)
		return drop(ip->core, DROP_ICMP_IGNORED);
	if (!read_quote(&e, r->body, r->body_len, &quoted_len)) {
		stat_inc(ip->core,
			 e.is4 ? STAT_IcmpInErrors : STAT_Icmp6InErrors);
		return drop(ip->core, DROP_ICMP_MALFORMED);
	}
	/* a packet that we did not send, or one to a group */
	if (ip_scope(ip, &e.local) != IP_SCOPE_LOCAL ||
	    !is_one_host(ip, &e.remote))
		return drop(ip->core, DROP_ICMP_NO_SOCK);
	v = e.is4 ? verdict4(r->type, r->code) : verdict6(r->type, r->code);
	e.err = v.err;
	e.fatal = v.fatal;
	e.info = error_info(&e, r);
	if (e.err == EMSGSIZE &&
	    !note_mtu(ip, &e, e.is4 ? r->rest & 0xffff : r->rest, quoted_len,
		      now))
		return drop(ip->core, DROP_ICMP_IGNORED);
	ip_deliver_error(ip->tp, &e, now);
	return DROP_NONE;
}

static void count_in(struct core *c, bool is4, uint8_t type)
{
	static const struct {
		uint8_t type;
		enum stat_id id;
	} rows[2][6] = {
		{{ICMP6_UNREACH, STAT_Icmp6InDestUnreachs},
		 {ICMP6_TOO_BIG, STAT_Icmp6InPktTooBigs},
		 {ICMP6_TIME_EXCEEDED, STAT_Icmp6InTimeExcds},
		 {ICMP6_PARAM_PROBLEM, STAT_Icmp6InParmProblems},
		 {ICMP6_ECHO, STAT_Icmp6InEchos},
		 {ICMP6_ECHO_REPLY, STAT_Icmp6InEchoReplies}},
		{{ICMP4_UNREACH, STAT_IcmpInDestUnreachs},
		 {ICMP4_TIME_EXCEEDED, STAT_IcmpInTimeExcds},
		 {ICMP4_PARAM_PROBLEM, STAT_IcmpInParmProbs},
		 {ICMP4_ECHO, STAT_IcmpInEchos},
		 {ICMP4_ECHO_REPLY, STAT_IcmpInEchoReps},
		 {ICMP4_ECHO_REPLY, STAT_NUM}},
	};

	for (int i = 0; i < 6; i++)
		if (rows[is4][i].type == type && rows[is4][i].id != STAT_NUM)
			stat_inc(c, rows[is4][i].id);
}

static void refuse(struct core *c, bool is4, enum drop d)
{
	if (d == DROP_ICMP_CSUM)
		stat_inc(c,
			 is4 ? STAT_IcmpInCsumErrors : STAT_Icmp6InCsumErrors);
	stat_inc(c, is4 ? STAT_IcmpInErrors : STAT_Icmp6InErrors);
	drop(c, d);
}

/* For a ping socket. */
static enum drop reply_in(struct ip *ip, const struct ip_rx *rx, nsec now)
{
	if (ip_deliver(ip->tp, rx, now) == IP_TAKEN)
		return DROP_NONE;
	return drop(ip->core, DROP_ICMP_NO_SOCK);
}

static enum drop dispatch4(struct ip *ip, const struct ip_rx *rx,
			   const struct icmp_repr *r, nsec now)
{
	switch (r->type) {
	case ICMP4_ECHO:
		return echo(ip, rx, r, now);
	case ICMP4_ECHO_REPLY:
		return reply_in(ip, rx, now);
	case ICMP4_UNREACH:
	case ICMP4_TIME_EXCEEDED:
	case ICMP4_PARAM_PROBLEM:
		/* RFC 1122 3.2.2: errors are sent to one host */
		if (rx->scope == IP_SCOPE_LOCAL)
			return error_in(ip, rx, r, now);
		break;
	default:
		break;
	}
	return drop(ip->core, DROP_ICMP_IGNORED);
}

static enum drop dispatch6(struct ip *ip, const struct ip_rx *rx,
			   const struct icmp_repr *r, nsec now)
{
	if (r->type == ICMP6_ECHO)
		return echo(ip, rx, r, now);
	if (r->type == ICMP6_ECHO_REPLY)
		return reply_in(ip, rx, now);
	if (mld_in(ip, rx, now))
		return DROP_NONE;
	if (r->type < ICMP6_INFO && rx->scope == IP_SCOPE_LOCAL)
		return error_in(ip, rx, r, now);
	return drop(ip->core, DROP_ICMP_IGNORED);
}

void icmp_in(struct ip *ip, const struct ip_rx *rx, nsec now)
{
	bool is4 = ip_addr_is4(&rx->src);
	struct icmp_repr r;
	enum drop d;

	stat_inc(ip->core, is4 ? STAT_IcmpInMsgs : STAT_Icmp6InMsgs);
	d = icmp_parse(&r, &rx->src, &rx->dst, rx->l4, rx->l4_len,
		       rx->csum != CSUM_NONE);
	if (d) {
		refuse(ip->core, is4, d);
		return;
	}
	count_in(ip->core, is4, r.type);
	if (is4)
		dispatch4(ip, rx, &r, now);
	else
		dispatch6(ip, rx, &r, now);
}
