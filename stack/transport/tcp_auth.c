/* SPDX-License-Identifier: MIT
 *
 * tcp_auth.c - signed segments: who has keys, and what a segment must carry
 *
 * The rules are those of tcp_inbound_hash() of Linux. Signing a segment reads
 * its payload under the lock, up to one MSS.
 */
#include "transport/tcp_auth.h"

#include "transport/rebuild.h"

#define OPTMEM_MAX 131072u /* net.core.optmem_max */

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

bool tcp_key_id_eq(const struct tcp_key_id *a, const struct tcp_key_id *b)
{
	return a->prefix == b->prefix && a->by_if == b->by_if &&
	       ip_addr_eq(&a->addr, &b->addr);
}

void tcp_auth_inherit(struct ep *child, const struct ep *from)
{
	const struct tcp_md5_key *k = tcp_md5_find(from, &child->raddr);
	struct tcp_key_id id = {.addr = child->raddr, .prefix = 128};

	if (k)
		tcp_md5_add(child, &id, k->v, k->len);
}

/* --- going out --- */

struct tcp_sig tcp_sig_of(const struct ep *e, const struct ip_addr *peer)
{
	return (struct tcp_sig){.md5 = tcp_md5_find(e, peer)};
}

unsigned tcp_sig_len(const struct tcp_sig *sig)
{
	return sig->md5 ? 20 : 0; /* with two NOPs */
}

void tcp_sig_room(const struct tcp_sig *sig, struct tcp_repr *r)
{
	r->has_md5 = sig->md5 != NULL;
}

void tcp_sig_put(const struct tcp_sig *sig, struct pkt *p,
		 const struct tcp_repr *r, const struct ip_tx *tx)
{
	if (sig->md5)
		tcp_md5_sign(sig->md5, p, r->md5_at, tx);
}

/* --- coming in --- */

static bool refuse(const struct ep *e, enum stat_id why)
{
	stat_inc(e->tp->core, why);
	drop(e->tp->core, DROP_TCP_AUTH);
	return false;
}

bool tcp_auth_check(const struct ep *e, const struct tcp_seg *s)
{
	const struct tcp_md5_key *k = tcp_md5_find(e, &s->rx->src);

	if (s->r.auth_bad) {
		drop(e->tp->core, DROP_TCP_AUTH);
		return false;
	}
	if (!s->r.has_md5)
		return !k || refuse(e, STAT_TcpExtTCPMD5NotFound);
	if (!k)
		return refuse(e, STAT_TcpExtTCPMD5Unexpected);
	return tcp_md5_is_good(k, s) || refuse(e, STAT_TcpExtTCPMD5Failure);
}

/* --- after a death under the lock --- */

static bool keep_key(struct rebuild *rb, void *obj, void *arg)
{
	*(uint32_t *)arg += sizeof(struct tcp_md5_key);
	return true;
}

void tcp_auth_find(struct ep *e, struct rebuild *rb)
{
	struct tcp_auth *a = e->auth;

	if (a && !rebuild_own(rb, a, sizeof(*a)))
		e->auth = NULL;
	if (!e->auth)
		return;
	a->bytes = 0;
	REBUILD_LIST(rb, &a->md5, struct tcp_md5_key, node, keep_key,
		     &a->bytes);
}
