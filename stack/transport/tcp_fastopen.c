/* SPDX-License-Identifier: MIT
 *
 * tcp_fastopen.c - TCP Fast Open (RFC 7413): data in the SYN
 *
 * A client asks for a cookie once, in an option of its SYN; with it, later SYNs
 * carry data that the server hands to its program before the handshake is
 * over. The cookie is a keyed hash of both addresses, so that the server keeps
 * nothing, and who spoofs an address cannot have one.
 *
 * Client: the cookie and the MSS of each server are kept in a small cache. A
 * connection may stand in SYN-SENT without a SYN (it is deferred): the first
 * write sends one with data. The SYN and its data are two records, since the
 * SYN alone is what is sent again.
 *
 * Server: with a valid cookie the connection is made by the SYN; it is in the
 * accept queue at once, in SYN-RCVD, and may send. How many such there may be
 * is bounded (TCP_FASTOPEN), since they cost more than a SYN record.
 *
 * Some middleboxes swallow what such a connection sends, or all but its first
 * packet. Where that shows, the client does without Fast Open for a while,
 * twice as long each time, until one has worked again (RFC 7413 7.1, as Linux
 * does if net.ipv4.tcp_fastopen_blackhole_timeout_sec is set).
 */
#include <errno.h>

#include "base/util.h"
#include "transport/rebuild.h"

#define CACHE_SIZE 64u
#define COOKIE_LEN 8 /* of ours, as Linux's */
#define BLACKHOLE_DOUBLINGS 6u

struct tcp_fo_entry {
	struct ip_addr peer;
	struct tcp_fo_cookie c;
	uint8_t try_exp; /* 1: ask in the experimental format, once; 2: did */
	uint16_t mss;
	struct tcp_metrics m;
	uint64_t used; /* counts up; 0: free */
};

struct tcp_fo_cache {
	struct tcp_fo_entry v[CACHE_SIZE];
	uint64_t clock;
};

/* --- the client's cache --- */

static struct tcp_fo_entry *lookup(struct tcp *t, const struct ip_addr *peer)
{
	for (unsigned i = 0; t->fo_cache && i < CACHE_SIZE; i++) {
		struct tcp_fo_entry *f = &t->fo_cache->v[i];

		if (f->used && ip_addr_eq(&f->peer, peer)) {
			f->used = ++t->fo_cache->clock;
			return f;
		}
	}
	return NULL;
}

/* A place for @peer: its own, or that of who was not asked for longest. */
static struct tcp_fo_entry *place(struct tcp *t, const struct ip_addr *peer)
{
	struct tcp_fo_entry *f = lookup(t, peer);

	if (f)
		return f;
	if (!t->fo_cache)
		t->fo_cache =
			arena_zalloc(t->core->arena, sizeof(*t->fo_cache));
	if (!t->fo_cache)
		return NULL;
	f = &t->fo_cache->v[0];
	for (unsigned i = 1; i < CACHE_SIZE; i++)
		if (t->fo_cache->v[i].used < f->used)
			f = &t->fo_cache->v[i];
	*f = (struct tcp_fo_entry){.peer = *peer, .used = ++t->fo_cache->clock};
	return f;
}

struct tcp_metrics *tcp_fo_metrics(struct tcp *t, const struct ip_addr *peer,
				   bool make)
{
	struct tcp_fo_entry *f = make ? place(t, peer) : lookup(t, peer);

	return f ? &f->m : NULL;
}

void tcp_fo_find(struct tcp *t, struct rebuild *rb)
{
	if (t->fo_cache && !rebuild_own(rb, t->fo_cache, sizeof(*t->fo_cache)))
		t->fo_cache = NULL;
}

void tcp_forget_cookies(struct tcp *t)
{
	if (t->fo_cache)
		arena_free(t->core->arena, t->fo_cache);
	t->fo_cache = NULL;
}

void tcp_fo_fini(struct tcp *t)
{
	tcp_forget_cookies(t);
}

static bool no_cookie_needed(const struct tcp_conn *c)
{
	return tcp_sysctl(c)->tcp_fastopen & TFO_CLIENT_NO_COOKIE ||
	       c->ep->topt.fastopen_no_cookie;
}

/* --- black holes --- */

static void switch_off(struct tcp_conn *c, nsec now)
{
	struct tcp *t = c->t;

	if (!tcp_sysctl(c)->tcp_fastopen_blackhole)
		return;
	t->fo_off_at = now;
	t->fo_off_times++;
	stat_inc(t->core, STAT_TcpExtTCPFastOpenBlackhole);
}

static bool is_switched_off(struct tcp_conn *c, nsec now)
{
	const struct tcp *t = c->t;
	nsec len = tcp_sysctl(c)->tcp_fastopen_blackhole * SEC;

	if (!len || !t->fo_off_times)
		return false;
	len <<= MIN(t->fo_off_times - 1, BLACKHOLE_DOUBLINGS);
	if (now <= t->fo_off_at + len)
		return true;
	c->fo_tries = true;
	return false;
}

void tcp_fo_timeout(struct tcp_conn *c, bool gives_up, nsec now)
{
	if (!c->fo_asked && !c->fo_data && !c->fo_acked)
		return;
	if (c->retransmits != 2 && !(c->retransmits < 2 && gives_up))
		return;
	switch_off(c, now);
	stat_inc(c->t->core, STAT_TcpExtTCPFastOpenActiveFail);
}

void tcp_fo_odd_rst(struct tcp_conn *c, nsec now)
{
	if (c->fo_asked && !c->data_segs_in && c->state == TCPS_ESTABLISHED)
		switch_off(c, now);
}

void tcp_fo_end(struct tcp_conn *c, nsec now)
{
	const struct tcp_rslice *r =
		list_first(&c->ofo, struct tcp_rslice, node);

	if (!c->fo_asked)
		return;
	if (c->data_segs_in) {
		if (c->fo_tries && !ip_addr_is_loopback(&c->node.key.raddr))
			c->t->fo_off_times = 0;
	} else if (r && r->node.next == &c->ofo && r->fin) {
		switch_off(c, now); /* all but the FIN was swallowed */
	}
}

/* What the next SYN says; true: it may carry data. */
static bool choose(struct tcp_conn *c, nsec now)
{
	struct tcp_fo_entry *f = lookup(c->t, &c->node.key.raddr);

	if (f && f->mss)
		c->mss_clamp = MIN(f->mss, c->mss_clamp);
	if (is_switched_off(c, now)) {
		c->fo = (struct tcp_fo_cookie){0};
		return false;
	}
	c->fo = (struct tcp_fo_cookie){.is_there = true};
	if (no_cookie_needed(c)) {
		c->fo.is_there = false;
		return true;
	}
	if (f && f->c.len) {
		c->fo = f->c;
		return true;
	}
	c->fo.exp = f && f->try_exp == 1;
	c->fo_fail = FO_FAIL_NO_COOKIE;
	return false;
}

bool tcp_fo_prepare(struct tcp_conn *c, nsec now)
{
	/* the default MSS of a peer that nobody knows: ours */
	c->mss_clamp = c->ep->topt.maxseg ? c->ep->topt.maxseg : c->advmss;
	if (choose(c, now)) {
		c->fo_deferred = true;
		tcp_mss_sync(c, c->pmtu);
		return true;
	}
	return false;
}

bool tcp_is_waiting(const struct ep *e)
{
	return e->tcp && e->tcp->fo_deferred;
}

bool tcp_open_now(struct ep *e, nsec now)
{
	struct tcp_conn *c = e->tcp;

	if (!c || !c->fo_deferred)
		return false;
	tcp_send_syn(c, now);
	tcp_timer_sync(c);
	return true;
}

/* Data of a SYN: 40 bytes less than a segment, for middleboxes' options. */
uint32_t tcp_fo_space(const struct tcp_conn *c)
{
	uint32_t mss = tcp_mss_of_mtu(&c->node.key, c->pmtu);

	mss = MIN(mss, c->mss_clamp);
	return mss > TCP_MAX_OPTS ? mss - TCP_MAX_OPTS : 0;
}

/* Linux's tcp_rcv_fastopen_synack(). True: the data has to go again. */
bool tcp_fo_synack(struct tcp_conn *c, const struct tcp_seg *s)
{
	const struct tcp_fo_cookie *got = &s->r.fo;
	struct tcp_rec *data = list_first(&c->recs, struct tcp_rec, node);
	struct tcp_fo_entry *f;
	uint8_t try_exp = 0;

	if (!c->fo_asked && !c->fo_data)
		return false;
	if (c->fo_asked && !c->total_retrans && !got->is_there && !c->fo_data)
		try_exp = c->fo.exp ? 2 : 1;
	f = place(c->t, &c->node.key.raddr);
	if (f) {
		f->mss = s->r.has_mss ? s->r.mss : TCP_DEF_MSS;
		if (c->fo_asked && got->is_there && got->len)
			f->c = *got;
		else if (try_exp && !f->c.len)
			f->try_exp = f->try_exp ? 2 : try_exp;
	}
	if (!c->fo_data)
		return false;
	if (data) {
		c->fo_data = false;
		c->fo_fail = c->total_retrans ? FO_FAIL_SYN_AGAIN
					      : FO_FAIL_NOT_ACKED;
		stat_inc(c->t->core, STAT_TcpExtTCPFastOpenActiveFail);
		return true;
	}
	c->fo_acked = true;
	stat_inc(c->t->core, STAT_TcpExtTCPFastOpenActive);
	if (c->delivered > 1)
		c->delivered--; /* the SYN and its data were one packet */
	return false;
}

/* --- the server's cookies --- */

static void make_cookie(const struct sip_key *k, const struct tcp_seg *s,
			struct tcp_fo_cookie *out)
{
	const struct ip_addr *a = &s->rx->src, *b = &s->rx->dst;
	unsigned off = ip_addr_is4(a) ? 12 : 0, n = 16 - off;
	uint8_t text[32];
	uint64_t h;

	memcpy(text, a->b + off, n);
	memcpy(text + n, b->b + off, n);
	h = sip_hash(k, text, 2 * n);
	out->is_there = true;
	out->len = COOKIE_LEN;
	for (unsigned i = 0; i < COOKIE_LEN; i++)
		out->v[i] = (uint8_t)(h >> 8 * i);
}

/* net.ipv4.tcp_fastopen_key, four numbers of 32 bits; -1: one of our own. */
static struct sip_key host_key(const struct tcp *t)
{
	const struct sysctl_values *v = t->core->sysctl;

	if (v->tcp_fastopen_key0 < 0)
		return t->fo_key;
	return (struct sip_key){(uint64_t)v->tcp_fastopen_key1 << 32 |
					(uint64_t)v->tcp_fastopen_key0,
				(uint64_t)v->tcp_fastopen_key3 << 32 |
					(uint64_t)v->tcp_fastopen_key2};
}

static uint64_t get_le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static struct sip_key key_of(const struct tcp_listen *l)
{
	const struct ep_tcp_opts *o = &l->ep->topt;

	if (o->num_fo_keys)
		return (struct sip_key){get_le64(o->fo_key),
					get_le64(o->fo_key + 8)};
	return host_key(l->ep->tp->tcp);
}

/* 1: valid; 2: valid by the older key, so @fresh goes back; 0: not. */
static int check(const struct tcp_listen *l, const struct tcp_seg *s,
		 struct tcp_fo_cookie *fresh)
{
	const struct tcp_fo_cookie *got = &s->r.fo;
	const struct ep_tcp_opts *o = &l->ep->topt;
	struct sip_key k = key_of(l);
	struct tcp_fo_cookie old;

	make_cookie(&k, s, fresh);
	if (got->len == COOKIE_LEN && !memcmp(got->v, fresh->v, COOKIE_LEN))
		return 1;
	if (o->num_fo_keys < 2)
		return 0;
	k = (struct sip_key){get_le64(o->fo_key + 16),
			     get_le64(o->fo_key + 24)};
	make_cookie(&k, s, &old);
	return got->len == COOKIE_LEN && !memcmp(got->v, old.v, COOKIE_LEN) ? 2
									    : 0;
}

static uint32_t queue_limit(const struct tcp_listen *l)
{
	const int mode = (int)l->ep->tp->core->sysctl->tcp_fastopen;

	if (l->ep->topt.fastopen_qlen)
		return (uint32_t)l->ep->topt.fastopen_qlen;
	return mode & TFO_SERVER_WO_SOCKOPT1 ? l->backlog : 0;
}

static uint32_t num_early(const struct tcp_listen *l)
{
	struct list *p;
	uint32_t n = 0;

	list_for_each (p, &l->acceptq)
		n += tcp_is_early(list_entry(p, struct tcp_conn, accept_link));
	return n;
}

static bool takes_any(const struct tcp_listen *l)
{
	return l->ep->tp->core->sysctl->tcp_fastopen &
		       TFO_SERVER_COOKIE_NOT_REQD ||
	       l->ep->topt.fastopen_no_cookie;
}

bool tcp_fo_try(struct tcp_listen *l, const struct tcp_seg *s,
		struct tcp_fo_cookie *answer)
{
	struct core *core = l->ep->tp->core;
	const struct tcp_fo_cookie *got = &s->r.fo;
	struct tcp_fo_cookie fresh = {0};
	struct sip_key k;
	int valid = 1;

	*answer = (struct tcp_fo_cookie){0};
	if (got->is_there && !got->len)
		stat_inc(core, STAT_TcpExtTCPFastOpenCookieReqd);
	if (!(core->sysctl->tcp_fastopen & TFO_SERVER_ENABLE) ||
	    !(s->len || got->is_there) || !queue_limit(l))
		return false;
	if (num_early(l) >= queue_limit(l)) {
		stat_inc(core, STAT_TcpExtTCPFastOpenListenOverflow);
		return false;
	}
	if (!takes_any(l)) {
		if (!got->is_there)
			return false;
		if (!got->len) {
			k = key_of(l);
			make_cookie(&k, s, &fresh);
			valid = 0;
		} else {
			valid = check(l, s, &fresh);
			if (!valid)
				stat_inc(core,
					 STAT_TcpExtTCPFastOpenPassiveFail);
		}
	}
	fresh.exp = got->exp;
	if (valid != 1)
		*answer = fresh;
	return valid != 0;
}

void tcp_fo_opened(struct tcp *t, const struct tcp_fo_cookie *answer, bool ok)
{
	if (!ok) {
		stat_inc(t->core, STAT_TcpExtTCPFastOpenPassiveFail);
		return;
	}
	stat_inc(t->core, STAT_TcpExtTCPFastOpenPassive);
	if (answer->is_there)
		stat_inc(t->core, STAT_TcpExtTCPFastOpenPassiveAltKey);
}
