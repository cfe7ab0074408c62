/* SPDX-License-Identifier: MIT
 *
 * tcp_ao_key.c - whose master keys are whose (RFC 5925 3.1, 3.3)
 *
 * IDs of keys that can be for the same peer must not clash, in either
 * direction. Keys of a listener are looked up by the peer each time; those of a
 * connection all fit, for connect(2) drops the others and a child is given no
 * others. The newest is found first.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_ao.h"
#include "transport/tcp_conn.h"

static struct tcp_ao_key *key_of(struct list *n)
{
	return list_entry(n, struct tcp_ao_key, node);
}

static struct arena *arena_of(const struct ep *e)
{
	return e->tp->core->arena;
}

/* --- memory --- */

struct tcp_ao *tcp_ao_need(struct ep *e)
{
	struct tcp_auth *a = tcp_auth_need(e);
	struct tcp_ao *ao;

	if (!a || a->ao)
		return a ? a->ao : NULL;
	ao = arena_zalloc(arena_of(e), sizeof(*ao));
	if (!ao)
		return NULL;
	list_init(&ao->keys);
	__atomic_store_n(&a->ao, ao, __ATOMIC_RELEASE);
	return ao;
}

static void free_key(struct ep *e, struct tcp_ao_key *k)
{
	list_remove(&k->node);
	tcp_auth_release(e, k, sizeof(*k));
}

void tcp_ao_fini(struct ep *e)
{
	struct tcp_ao *ao = tcp_ao_of(e);

	if (!ao)
		return;
	ao->current = ao->rnext = NULL;
	while (!list_empty(&ao->keys))
		free_key(e, key_of(ao->keys.next));
	e->auth->ao = NULL;
	arena_free(arena_of(e), ao);
}

/* --- finding --- */

static bool has_ids(const struct tcp_ao_key *k, int sndid, int rcvid)
{
	return (sndid < 0 || k->sndid == sndid) &&
	       (rcvid < 0 || k->rcvid == rcvid);
}

struct tcp_ao_key *tcp_ao_pick(const struct tcp_ao *ao, int sndid, int rcvid)
{
	struct list *n;

	list_for_each (n, &ao->keys)
		if (has_ids(key_of(n), sndid, rcvid))
			return key_of(n);
	return NULL;
}

struct tcp_ao_key *tcp_ao_find(const struct ep *e, const struct ip_addr *peer,
			       int sndid, int rcvid)
{
	const struct tcp_ao *ao = tcp_ao_of(e);
	struct list *n;

	if (!ao)
		return NULL;
	list_for_each (n, &ao->keys) {
		struct tcp_ao_key *k = key_of(n);

		if (has_ids(k, sndid, rcvid) && tcp_key_id_fits(&k->id, peer))
			return k;
	}
	return NULL;
}

bool tcp_ao_is_due(const struct ep *e, const struct ip_addr *peer)
{
	const struct tcp_ao *ao = tcp_ao_of(e);

	return ao &&
	       (ao->required || tcp_ao_find(e, peer, TCP_AO_ANY, TCP_AO_ANY));
}

/* --- coming and going --- */

int tcp_ao_may_add(const struct ep *e, const struct tcp_ao_key *k)
{
	const struct tcp_ao *ao = tcp_ao_of(e);
	struct list *n;

	if (tcp_md5_find(e, &k->id.addr))
		return -EKEYREJECTED;
	if (!ao)
		return 0;
	list_for_each (n, &ao->keys)
		if ((key_of(n)->sndid == k->sndid ||
		     key_of(n)->rcvid == k->rcvid) &&
		    tcp_key_id_touches(&key_of(n)->id, &k->id))
			return -EEXIST;
	return 0;
}

static void derive_both(const struct tcp_conn *c, struct tcp_ao_key *k)
{
	const struct tcp_ao *ao = tcp_ao_of(c->ep);
	const struct tcp_key *n = &c->node.key;
	struct tcp_ao_ends out = {n->laddr, n->raddr, n->lport,
				  n->rport, ao->lisn, ao->risn};
	struct tcp_ao_ends in = {n->raddr, n->laddr, n->rport,
				 n->lport, ao->risn, ao->lisn};

	tcp_ao_derive(k, &out, k->snd);
	tcp_ao_derive(k, &in, k->rcv);
}

static bool has_conn(const struct ep *e)
{
	return e->tcp && e->tcp->state != TCPS_CLOSED;
}

/* A key of another length changes what a segment has room for. */
void tcp_ao_choose(struct ep *e, struct tcp_ao_key *current,
		   struct tcp_ao_key *rnext)
{
	struct tcp_ao *ao = tcp_ao_of(e);

	if (current)
		ao->current = current;
	if (rnext)
		ao->rnext = rnext;
	if (current && has_conn(e))
		tcp_mss_sync(e->tcp, e->tcp->pmtu);
}

int tcp_ao_add(struct ep *e, const struct tcp_ao_key *k, bool set_current,
	       bool set_rnext)
{
	struct tcp_ao *ao = tcp_ao_need(e);
	struct tcp_ao_key *own = ao ? tcp_auth_alloc(e, sizeof(*own)) : NULL;

	if (!own)
		return -ENOMEM;
	*own = *k;
	list_init(&own->node);
	list_push_front(&ao->keys, &own->node);
	if (has_conn(e)) {
		derive_both(e->tcp, own);
		set_current |= !ao->current;
		set_rnext |= !ao->rnext;
	}
	tcp_ao_choose(e, set_current ? own : NULL, set_rnext ? own : NULL);
	return 0;
}

int tcp_ao_del(struct ep *e, const struct tcp_ao_key *like,
	       struct tcp_ao_key *current, struct tcp_ao_key *rnext)
{
	struct tcp_ao *ao = tcp_ao_of(e);
	struct tcp_ao_key *k = NULL;
	struct list *n;

	list_for_each (n, &ao->keys) {
		k = key_of(n);
		if (has_ids(k, like->sndid, like->rcvid) &&
		    tcp_key_id_eq(&k->id, &like->id) && k != current &&
		    k != rnext)
			break;
		k = NULL;
	}
	if (!k)
		return -ENOENT;
	tcp_ao_choose(e, current, rnext);
	if (e->listen) { /* nobody there uses them */
		ao->current = ao->current == k ? NULL : ao->current;
		ao->rnext = ao->rnext == k ? NULL : ao->rnext;
	}
	if (ao->current == k || ao->rnext == k)
		return -EBUSY;
	free_key(e, k);
	return 0;
}

/* --- connections --- */

/* tcp_connect() and tcp_ao_connect_init() of Linux */
int tcp_ao_connect(struct ep *e)
{
	struct tcp_ao *ao = tcp_ao_of(e);
	bool has_md5 = tcp_md5_find(e, &e->raddr);
	struct tcp_ao_key *first;
	struct list *n, *tmp;

	if (!ao)
		return 0;
	first = tcp_ao_find(e, &e->raddr, TCP_AO_ANY, TCP_AO_ANY);
	if (has_md5 && (first || ao->required))
		return -EKEYREJECTED;
	if (has_md5) {
		tcp_ao_fini(e);
		return 0;
	}
	if (!first)
		return -EKEYREJECTED;
	list_for_each_safe (n, tmp, &ao->keys) {
		struct tcp_ao_key *k = key_of(n);

		if (tcp_key_id_fits(&k->id, &e->raddr))
			continue;
		ao->current = ao->current == k ? NULL : ao->current;
		ao->rnext = ao->rnext == k ? NULL : ao->rnext;
		free_key(e, k);
	}
	if (!ao->current)
		ao->current = first;
	if (!ao->rnext)
		ao->rnext = first;
	return 0;
}

static void derive_all(struct tcp_conn *c)
{
	struct list *n;

	list_for_each (n, &tcp_ao_of(c->ep)->keys)
		derive_both(c, key_of(n));
}

void tcp_ao_begin(struct tcp_conn *c)
{
	struct tcp_ao *ao = tcp_ao_of(c->ep);

	if (!ao)
		return;
	ao->lisn = ao->snd_at = c->iss;
	ao->risn = ao->rcv_at = c->irs;
	ao->snd_sne = ao->rcv_sne = 0;
	derive_all(c);
}

int tcp_ao_inherit(struct ep *child, const struct ep *from,
		   const struct tcp_syn *q)
{
	const struct tcp_ao *ao = tcp_ao_of(from);
	const struct tcp_syn_ao *asked =
		container_of(q, const struct tcp_syn_ao, q);
	struct tcp_ao *own;
	struct list *n;

	if (!ao)
		return -EKEYREJECTED; /* its last one went meanwhile */
	list_for_each (n, &ao->keys) {
		struct tcp_ao_key k = *key_of(n);

		k.num_good = k.num_bad = 0;
		if (tcp_key_id_fits(&k.id, &child->raddr) &&
		    tcp_ao_add(child, &k, false, false))
			return -ENOMEM;
	}
	own = tcp_ao_of(child);
	if (!own)
		return -EKEYREJECTED;
	own->required = ao->required;
	own->accept_icmps = ao->accept_icmps;
	own->current = tcp_ao_pick(own, asked->rnext, TCP_AO_ANY);
	own->rnext = tcp_ao_pick(own, TCP_AO_ANY, asked->keyid);
	if (!own->current)
		own->current = key_of(own->keys.next);
	if (!own->rnext)
		own->rnext = key_of(own->keys.next);
	return 0;
}

/* --- repair --- */

void tcp_ao_set_repair(struct ep *e, const struct tcp_ao_repair_state *r)
{
	struct tcp_ao *ao = tcp_ao_of(e);
	const struct ep_repair *seq = &e->topt.repair;

	ao->lisn = r->lisn;
	ao->risn = r->risn;
	ao->snd_sne = r->snd_sne;
	ao->rcv_sne = r->rcv_sne;
	ao->snd_at = has_conn(e) ? e->tcp->snd_una : seq->snd_seq;
	ao->rcv_at = has_conn(e) ? e->tcp->rcv_nxt : seq->rcv_seq;
	if (has_conn(e))
		derive_all(e->tcp);
}

void tcp_ao_get_repair(const struct ep *e, struct tcp_ao_repair_state *r)
{
	const struct tcp_ao *ao = tcp_ao_of(e);

	if (has_conn(e))
		tcp_ao_follow(e->tcp);
	*r = (struct tcp_ao_repair_state){ao->lisn, ao->risn, ao->snd_sne,
					  ao->rcv_sne};
}
