/* SPDX-License-Identifier: MIT
 *
 * tcp_auth.c - signed segments: who has keys, and what a segment must carry
 *
 * The rules are those of tcp_inbound_hash() of Linux. Signing a segment reads
 * its payload under the lock, up to one MSS.
 */
#include "transport/tcp_auth.h"

#include <linux/icmp.h>
#include <linux/icmpv6.h>

#include "transport/rebuild.h"
#include "transport/tcp_ao.h"

#define OPTMEM_MAX 131072u /* net.core.optmem_max */
#define AO_BASE 4u	   /* RFC 5925 2.2: the option without its MAC */

/* --- memory --- */

struct tcp_auth *tcp_auth_need(struct ep *e)
{
	struct tcp_auth *a = e->auth;

	if (a)
		return a;
	a = arena_zalloc(e->tp->core->arena, sizeof(*a));
	if (!a)
		return NULL;
	list_init(&a->md5);
	__atomic_store_n(&e->auth, a, __ATOMIC_RELEASE);
	return a;
}

void *tcp_auth_alloc(struct ep *e, uint32_t size)
{
	struct tcp_auth *a = tcp_auth_need(e);
	void *key;

	if (!a || a->bytes + size > OPTMEM_MAX)
		return NULL;
	key = arena_zalloc(e->tp->core->arena, size);
	if (key)
		a->bytes += size;
	return key;
}

void tcp_auth_release(struct ep *e, void *key, uint32_t size)
{
	memset(key, 0, size);
	e->auth->bytes -= size;
	arena_free(e->tp->core->arena, key);
}

void tcp_auth_fini(struct ep *e)
{
	struct list *n;

	if (!e->auth)
		return;
	tcp_ao_fini(e);
	while ((n = list_pop(&e->auth->md5)))
		tcp_auth_release(e, list_entry(n, struct tcp_md5_key, node),
				 sizeof(struct tcp_md5_key));
	arena_free(e->tp->core->arena, e->auth);
	e->auth = NULL;
}

/* --- whom a key is for --- */

bool tcp_key_id_fits(const struct tcp_key_id *id, const struct ip_addr *addr)
{
	unsigned whole = id->prefix / 8, rest = id->prefix % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	/* ::/0 is for IPv6 */
	if (ip_addr_is4(&id->addr) != ip_addr_is4(addr) ||
	    memcmp(id->addr.b, addr->b, whole))
		return false;
	return !rest || !((id->addr.b[whole] ^ addr->b[whole]) & mask);
}

bool tcp_key_id_touches(const struct tcp_key_id *a, const struct tcp_key_id *b)
{
	struct tcp_key_id wider = *a;

	wider.prefix = MIN(a->prefix, b->prefix);
	return tcp_key_id_fits(&wider, &b->addr);
}

bool tcp_key_id_eq(const struct tcp_key_id *a, const struct tcp_key_id *b)
{
	return a->prefix == b->prefix && a->by_if == b->by_if &&
	       ip_addr_eq(&a->addr, &b->addr);
}

/* --- connections --- */

int tcp_auth_connect(struct ep *e)
{
	return e->auth ? tcp_ao_connect(e) : 0;
}

void tcp_auth_begin(struct tcp_conn *c)
{
	if (c->ep->auth)
		tcp_ao_begin(c);
}

int tcp_auth_inherit(struct ep *child, const struct ep *from,
		     const struct tcp_syn *q)
{
	const struct tcp_md5_key *k = tcp_md5_find(from, &child->raddr);
	struct tcp_key_id id = {.addr = child->raddr, .prefix = 128};

	if (q->has_ao)
		return tcp_ao_inherit(child, from, q);
	return k ? tcp_md5_add(child, &id, k->v, k->len) : 0;
}

/* --- going out --- */

struct tcp_sig tcp_sig_conn(struct tcp_conn *c, uint8_t flags, uint32_t seq)
{
	struct tcp_sig sig = {0};
	const struct tcp_ao *ao = tcp_ao_of(c->ep);

	if (ao && ao->current)
		tcp_ao_sig_conn(c, flags, seq, &sig);
	else
		sig.md5 = tcp_md5_find(c->ep, &c->node.key.raddr);
	return sig;
}

bool tcp_sig_synack(const struct ep *e, const struct tcp_syn *q, uint32_t seq,
		    struct tcp_sig *sig)
{
	*sig = (struct tcp_sig){0};
	if (q->has_ao)
		return tcp_ao_sig_synack(e, q, seq, sig);
	sig->md5 = tcp_md5_find(e, &q->n.key.raddr);
	return true;
}

bool tcp_sig_reset(const struct ep *e, const struct tcp_node *n,
		   const struct tcp_seg *s, uint32_t seq, struct tcp_sig *sig)
{
	*sig = (struct tcp_sig){0};
	if (s->r.ao_len)
		return e && tcp_ao_sig_reset(e, n, s, seq, sig);
	if (n && n->kind == TCP_NODE_TW)
		*sig = tcp_tw_sig(container_of(n, const struct tcp_tw, n), seq);
	else if (e)
		sig->md5 = tcp_md5_find(e, &s->rx->src);
	return true;
}

struct tcp_sig tcp_sig_of(const struct ep *e, const struct ip_addr *peer)
{
	const struct tcp_ao *ao = tcp_ao_of(e);

	if (ao && ao->current)
		return (struct tcp_sig){.ao = ao->current};
	return (struct tcp_sig){.md5 = tcp_md5_find(e, peer)};
}

unsigned tcp_sig_len(const struct tcp_sig *sig)
{
	if (sig->ao)
		return ALIGN_UP(AO_BASE + sig->ao->maclen, 4u);
	return sig->md5 ? 20 : 0; /* with two NOPs */
}

void tcp_sig_room(const struct tcp_sig *sig, struct tcp_repr *r)
{
	r->has_md5 = sig->md5 != NULL;
	if (!sig->ao)
		return;
	r->ao_len = (uint8_t)(AO_BASE + sig->ao->maclen);
	r->ao_key = sig->keyid;
	r->ao_rnext = sig->rnext;
}

void tcp_sig_put(const struct tcp_sig *sig, struct pkt *p,
		 const struct tcp_repr *r, const struct ip_tx *tx)
{
	if (sig->ao)
		tcp_ao_sign(sig, p, r, tx);
	else if (sig->md5)
		tcp_md5_sign(sig->md5, p, r->md5_at, tx);
}

/* --- TIME-WAIT --- */

/* Keys may be needed when the socket is long gone. The peer checks by the
 * number of whatever key it sees, so one will do. */
struct tcp_tw *tcp_tw_new(struct tcp_conn *c, uint8_t *bits)
{
	const struct tcp_md5_key *k = tcp_md5_find(c->ep, &c->node.key.raddr);
	const struct tcp_ao *ao = tcp_ao_of(c->ep);
	struct arena *a = tcp_arena(c);
	struct tcp_tw_md5 *m;
	struct tcp_tw_ao *w;

	if (ao && ao->current) {
		w = arena_zalloc(a, sizeof(*w));
		if (!w)
			return NULL;
		tcp_ao_follow(c);
		*bits = TCP_TW_AO;
		w->key = *ao->current;
		list_init(&w->key.node);
		w->rnext = ao->rnext->rcvid;
		w->accept_icmps = ao->accept_icmps;
		w->snd_sne = tcp_ao_sne(ao->snd_sne, ao->snd_at, c->snd_nxt);
		return &w->w;
	}
	if (!k)
		return arena_zalloc(a, sizeof(struct tcp_tw));
	m = arena_zalloc(a, sizeof(*m));
	if (!m)
		return NULL;
	*bits = TCP_TW_MD5;
	m->key = *k;
	list_init(&m->key.node);
	return &m->w;
}

struct tcp_sig tcp_tw_sig(const struct tcp_tw *w, uint32_t seq)
{
	struct tcp_sig sig = {0};
	const struct tcp_tw_ao *a;

	if (w->n.bits & TCP_TW_MD5)
		sig.md5 = &container_of(w, const struct tcp_tw_md5, w)->key;
	if (!(w->n.bits & TCP_TW_AO))
		return sig;
	a = container_of(w, const struct tcp_tw_ao, w);
	sig.ao = &a->key;
	sig.keyid = a->key.sndid;
	sig.rnext = a->rnext;
	sig.sne = tcp_ao_sne(a->snd_sne, w->snd_nxt, seq);
	memcpy(sig.traffic, a->key.snd, sizeof(sig.traffic));
	return sig;
}

/* --- coming in --- */

static bool refuse(const struct ep *e, enum stat_id why)
{
	stat_inc(e->tp->core, why);
	drop(e->tp->core, DROP_TCP_AUTH);
	return false;
}

static bool check_unsigned(const struct ep *e, const struct tcp_seg *s)
{
	if (tcp_ao_is_due(e, &s->rx->src)) {
		tcp_ao_of(e)->num.required++;
		return refuse(e, STAT_TcpExtTCPAORequired);
	}
	return !tcp_md5_find(e, &s->rx->src) ||
	       refuse(e, STAT_TcpExtTCPMD5NotFound);
}

bool tcp_auth_check(const struct ep *e, const struct tcp_node *n,
		    const struct tcp_seg *s)
{
	const struct tcp_md5_key *k;

	if (s->r.auth_bad) {
		drop(e->tp->core, DROP_TCP_AUTH);
		return false;
	}
	/* a handshake goes on as it began */
	if (n && n->kind == TCP_NODE_SYN &&
	    container_of(n, const struct tcp_syn, n)->has_ao != !!s->r.ao_len)
		return refuse(e, STAT_TcpExtTCPAOBad);
	if (s->r.ao_len)
		return tcp_ao_check(e, n, s);
	if (!s->r.has_md5)
		return !e->auth || check_unsigned(e, s);
	k = tcp_md5_find(e, &s->rx->src);
	if (!k)
		return refuse(e, STAT_TcpExtTCPMD5Unexpected);
	return tcp_md5_is_good(k, s) || refuse(e, STAT_TcpExtTCPMD5Failure);
}

/* Those that would end a connection, of which an attacker in the middle of
 * nowhere could send many; tcp_ao_ignore_icmp() of Linux. */
static bool is_hard(const struct ip_error *e)
{
	if (e->is4)
		return e->type == ICMP_DEST_UNREACH &&
		       e->code >= ICMP_PROT_UNREACH &&
		       e->code <= ICMP_FRAG_NEEDED;
	return e->type == ICMPV6_DEST_UNREACH &&
	       (e->code == ICMPV6_ADM_PROHIBITED ||
		e->code == ICMPV6_PORT_UNREACH);
}

bool tcp_auth_ignores(const struct tcp_node *n, const struct ip_error *e)
{
	const struct tcp_conn *c;
	struct tcp_ao *ao;

	if (!is_hard(e))
		return false;
	if (n->kind == TCP_NODE_TW)
		return n->bits & TCP_TW_AO &&
		       !container_of(n, const struct tcp_tw_ao, w.n)
				->accept_icmps;
	if (n->kind != TCP_NODE_CONN)
		return false;
	c = container_of(n, const struct tcp_conn, node);
	ao = tcp_ao_of(c->ep);
	if (!ao || ao->accept_icmps ||
	    TCPS_IN(c, TCPS_BIT(SYN_SENT) | TCPS_BIT(SYN_RCVD)))
		return false;
	ao->num.icmps++;
	return true;
}

/* --- after a death under the lock --- */

static bool keep_md5(struct rebuild *rb, void *obj, void *arg)
{
	*(uint32_t *)arg += sizeof(struct tcp_md5_key);
	return true;
}

static bool keep_ao(struct rebuild *rb, void *obj, void *arg)
{
	*(uint32_t *)arg += sizeof(struct tcp_ao_key);
	return true;
}

static struct tcp_ao_key *keep_choice(struct tcp_ao *ao, struct rebuild *rb,
				      struct tcp_ao_key *k)
{
	if (k && !rebuild_is_marked(rb, k, sizeof(*k)))
		return list_first(&ao->keys, struct tcp_ao_key, node);
	return k;
}

static void find_ao(struct tcp_auth *a, struct rebuild *rb)
{
	struct tcp_ao *ao = a->ao;

	if (ao && !rebuild_own(rb, ao, sizeof(*ao)))
		a->ao = ao = NULL;
	if (!ao)
		return;
	REBUILD_LIST(rb, &ao->keys, struct tcp_ao_key, node, keep_ao,
		     &a->bytes);
	ao->current = keep_choice(ao, rb, ao->current);
	ao->rnext = keep_choice(ao, rb, ao->rnext);
}

void tcp_auth_find(struct ep *e, struct rebuild *rb)
{
	struct tcp_auth *a = e->auth;

	if (a && !rebuild_own(rb, a, sizeof(*a)))
		e->auth = NULL;
	if (!e->auth)
		return;
	a->bytes = 0;
	REBUILD_LIST(rb, &a->md5, struct tcp_md5_key, node, keep_md5,
		     &a->bytes);
	find_ao(a, rb);
}
