/* SPDX-License-Identifier: MIT
 *
 * route.c - where a packet goes, from which address, and how long it may be
 *
 * Routes are few and sorted by prefix length, so the first that matches is the
 * longest. There is one device: a gateway is only whom to ask for on a link
 * that has neighbours.
 *
 * Path MTUs are learned from routers (RFC 1191, RFC 8201), kept by destination
 * for mtu_expires seconds and then forgotten, so that a longer path is found
 * again (RFC 1191 6.3). An entry is never raised by a message. The cache is
 * bounded: the one that would expire first goes.
 */
#include "ip/ip_priv.h"

#include <errno.h>
#include <string.h>

#include "base/rebuild.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#define MAX_PMTU 1024 /* destinations */

struct pmtu {
	struct hnode node;
	struct list age;
	struct ip_addr dst;
	nsec expires_at;
	uint32_t mtu;
	bool locked;
};

int route_init(struct ip *ip)
{
	ip->to_self.link = LINK_LO;
	ip->to_group.link = LINK_DEV;
	list_init(&ip->pmtu_age);
	return htab_init(&ip->pmtu, ip->core->arena);
}

static void pmtu_free(struct ip *ip, struct pmtu *e)
{
	htab_remove(&ip->pmtu, &e->node);
	list_remove(&e->age);
	arena_free(ip->core->arena, e);
	ip->num_pmtu--;
}

/* A death under the lock: what was learned is learned again. */
void route_find(struct ip *ip, struct rebuild *rb)
{
	rebuild_htab(rb, &ip->pmtu);
	list_init(&ip->pmtu_age);
	ip->num_pmtu = 0;
	ip->gen++;
}

void route_fini(struct ip *ip)
{
	struct pmtu *e;

	while ((e = list_first(&ip->pmtu_age, struct pmtu, age)))
		pmtu_free(ip, e);
	htab_fini(&ip->pmtu);
}

/* Comparable between families: bits of the v4-mapped form. */
static unsigned mapped_plen(const struct ip_route *r)
{
	return r->plen + (ip_addr_is4(&r->dst) ? 96u : 0u);
}

static struct ip_addr masked(const struct ip_addr *a, unsigned plen)
{
	struct ip_addr out = *a;
	unsigned bits = plen + (ip_addr_is4(a) ? 96u : 0u);

	for (unsigned i = 0; i < 16; i++, bits -= MIN(bits, 8u))
		out.b[i] &= (uint8_t)(0xff00u >> MIN(bits, 8u));
	return out;
}

static int route_of(const struct ip_route *from, struct ip_route *r)
{
	bool is4 = ip_addr_is4(&from->dst);

	*r = *from;
	if (r->plen > (is4 ? 32u : 128u))
		return -EINVAL;
	if (!ip_addr_is_any(&r->gw) && ip_addr_is4(&r->gw) != is4)
		return -EINVAL;
	r->link = LINK_DEV;
	r->dst = masked(&r->dst, r->plen);
	return 0;
}

static struct ip_route *route_same(struct ip *ip, const struct ip_route *r)
{
	for (unsigned i = 0; i < ip->num_routes; i++)
		if (mapped_plen(&ip->routes[i]) == mapped_plen(r) &&
		    ip_addr_eq(&ip->routes[i].dst, &r->dst))
			return &ip->routes[i];
	return NULL;
}

static int route_insert(struct ip *ip, const struct ip_route *r)
{
	unsigned i;

	if (ip->num_routes == IP_MAX_ROUTES)
		return -ENOSPC;
	for (i = ip->num_routes; i > 0; i--) {
		if (mapped_plen(&ip->routes[i - 1]) >= mapped_plen(r))
			break;
		ip->routes[i] = ip->routes[i - 1];
	}
	ip->routes[i] = *r;
	ip->num_routes++;
	ip->gen++;
	return 0;
}

int ip_route_add(struct ip *ip, const struct ip_addr *dst, unsigned plen,
		 const struct ip_addr *gw)
{
	struct ip_route r = {.dst = *dst, .gw = *gw};
	int err;

	r.plen = (uint8_t)MIN(plen, 255u);
	err = route_of(&r, &r);
	if (err)
		return err;
	return route_same(ip, &r) ? -EEXIST : route_insert(ip, &r);
}

int ip_route_set(struct ip *ip, const struct ip_route *from)
{
	struct ip_route r, *old;
	int err = route_of(from, &r);

	if (err)
		return err;
	old = route_same(ip, &r);
	if (!old)
		return route_insert(ip, &r);
	*old = r;
	ip->gen++;
	return 0;
}

static bool says_more(const struct ip_route *r)
{
	static const struct ip_metrics none;

	return memcmp(&r->m, &none, sizeof(none)) != 0 ||
	       !ip_addr_is_any(&r->src);
}

int ip_route_tell(struct ip *ip, const struct ip_route *from)
{
	struct ip_route r;
	const struct ip_route *old;
	int err = route_of(from, &r);

	if (err)
		return err;
	old = route_same(ip, &r);
	if (old && !(says_more(&r) && ip_addr_eq(&old->gw, &r.gw)))
		return -EEXIST;
	return ip_route_set(ip, &r);
}

const struct ip_route *ip_route_lookup(const struct ip *ip,
				       const struct ip_addr *dst)
{
	enum ip_scope scope = ip_scope(ip, dst);

	if (scope == IP_SCOPE_LOCAL)
		return &ip->to_self;
	for (unsigned i = 0; i < ip->num_routes; i++)
		if (ip_addr_in_prefix(dst, &ip->routes[i].dst,
				      ip->routes[i].plen))
			return &ip->routes[i];
	/* the one device is the only place where a group could be */
	return scope == IP_SCOPE_NONE ? NULL : &ip->to_group;
}

/* By way of the loopback there is only this host; Linux's IPv4 sends what is
 * for others there, too, and it is lost. By way of the device an IPv4 address
 * without a route is taken for a neighbour, as an IPv6 one of its link is. */
const struct ip_route *ip_route_via(const struct ip *ip,
				    const struct ip_addr *dst, uint32_t oif)
{
	const struct ip_route *r = ip_route_lookup(ip, dst);
	bool is4 = ip_addr_is4(dst);

	if (!oif || (r && r->link == LINK_LO))
		return r;
	if (oif > IP_IF_DEV)
		return NULL;
	if (oif == IP_IF_LO)
		return is4 || ip_addr_is_multicast(dst) ? &ip->to_self : NULL;
	if (!r && (is4 || ip_addr_is_linklocal(dst)))
		return &ip->to_group;
	return r;
}

const struct ip_metrics *ip_metrics_via(const struct ip *ip,
					const struct ip_addr *dst, uint32_t oif)
{
	static const struct ip_metrics none;
	const struct ip_route *r = ip_route_via(ip, dst, oif);

	return r ? &r->m : &none;
}

/* RFC 6724 3.1, with the scopes of RFC 4291 2.7 for multicast. */
static unsigned v6_scope(const struct ip_addr *a)
{
	if (ip_addr_is_multicast(a))
		return a->b[1] & 0xf;
	return ip_addr_is_linklocal(a) || ip_addr_is_loopback(a) ? 2 : 14;
}

/* Labels of the default policy table, RFC 6724 2.1. */
static unsigned v6_label(const struct ip_addr *a)
{
	static const struct {
		struct ip_addr net;
		uint8_t plen, label;
	} rows[] = {
		{{.b = {[15] = 1}}, 128, 0},   {{.b = {0x20, 0x02}}, 16, 2},
		{{.b = {0x20, 0x01}}, 32, 5},  {{.b = {0xfc}}, 7, 13},
		{{.b = {0xfe, 0xc0}}, 10, 11}, {{.b = {0x3f, 0xfe}}, 16, 12},
		{{.b = {0}}, 96, 3},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (ip_addr_in_prefix(a, &rows[i].net, rows[i].plen))
			return rows[i].label;
	return 1;
}

static unsigned common_bits(const struct ip_addr *a, const struct ip_addr *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 16; i++, n += 8)
		if (a->b[i] != b->b[i])
			return n +
			       (unsigned)__builtin_clz(
				       (unsigned)(a->b[i] ^ b->b[i])) -
			       24;
	return n;
}

/* Is @a a better source for @dst than @b? RFC 6724 5: rules 2, 6 and 8; the
 * others compare what we don't have (deprecated, temporary, home addresses). */
static bool v6_is_better(const struct ip_ifaddr *a, const struct ip_ifaddr *b,
			 const struct ip_addr *dst)
{
	unsigned sa = v6_scope(&a->addr), sb = v6_scope(&b->addr);
	unsigned sd = v6_scope(dst), label = v6_label(dst);
	bool la = v6_label(&a->addr) == label, lb = v6_label(&b->addr) == label;

	if (sa != sb)
		return sa < sb ? sa >= sd : sb < sd;
	if (la != lb)
		return la;
	return MIN(common_bits(&a->addr, dst), a->plen) >
	       MIN(common_bits(&b->addr, dst), b->plen);
}

/* RFC 1122 3.3.4.3: on the subnet of the first hop, else the first we have. */
static bool v4_is_better(const struct ip_ifaddr *a, const struct ip_ifaddr *b,
			 const struct ip_addr *hop)
{
	bool in_a = ip_addr_in_prefix(hop, &a->addr, a->plen);
	bool in_b = ip_addr_in_prefix(hop, &b->addr, b->plen);

	if (in_a != in_b)
		return in_a;
	return in_a && a->plen > b->plen;
}

int ip_source(const struct ip *ip, const struct ip_addr *dst,
	      struct ip_addr *src)
{
	return ip_source_via(ip, dst, 0, src);
}

int ip_source_via(const struct ip *ip, const struct ip_addr *dst, uint32_t oif,
		  struct ip_addr *src)
{
	static const struct ip_addr lo4 = {
		.b = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
	const struct ip_route *r = ip_route_via(ip, dst, oif);
	const struct ip_ifaddr *best = NULL;
	const struct ip_addr *hop;
	bool is4 = ip_addr_is4(dst);

	if (!r)
		return -ENETUNREACH;
	if (ip_scope(ip, dst) == IP_SCOPE_LOCAL) { /* RFC 6724 5 rule 1 */
		*src = is4 && ip_addr_is_loopback(dst) ? lo4 : *dst;
		return 0;
	}
	if (!ip_addr_is_any(&r->src)) {
		*src = r->src;
		return 0;
	}
	hop = ip_addr_is_any(&r->gw) ? dst : &r->gw;
	for (unsigned i = 0; i < ip->num_addrs; i++) {
		const struct ip_ifaddr *a = &ip->addrs[i];

		if (ip_addr_is4(&a->addr) != is4)
			continue;
		if (!best || (is4 ? v4_is_better(a, best, hop)
				  : v6_is_better(a, best, dst)))
			best = a;
	}
	if (!best)
		return -EADDRNOTAVAIL;
	*src = best->addr;
	return 0;
}

uint32_t route_mtu(const struct ip *ip, const struct ip_route *r)
{
	if (r && r->link == LINK_LO)
		return IP_LO_MTU;
	return r && r->m.mtu ? MIN(r->m.mtu, ip->link->mtu) : ip->link->mtu;
}

uint32_t route_link_mtu(const struct ip *ip, const struct ip_addr *dst)
{
	uint32_t mtu = route_mtu(ip, ip_route_lookup(ip, dst));

	return ip_addr_is4(dst) ? MIN(mtu, (uint32_t)IP4_MAX_TOTAL) : mtu;
}

static uint32_t pmtu_hash(const struct ip *ip, const struct ip_addr *dst)
{
	return (uint32_t)sip_hash(&ip->core->hash_key, dst->b, sizeof(dst->b));
}

static struct pmtu *pmtu_find(const struct ip *ip, const struct ip_addr *dst)
{
	struct hnode *n;

	for (n = htab_first(&ip->pmtu, pmtu_hash(ip, dst)); n;
	     n = htab_next(n)) {
		struct pmtu *e = container_of(n, struct pmtu, node);

		if (ip_addr_eq(&e->dst, dst))
			return e;
	}
	return NULL;
}

uint32_t pmtu_get(struct ip *ip, const struct ip_addr *dst, bool *locked,
		  nsec now)
{
	struct pmtu *e = ip->num_pmtu ? pmtu_find(ip, dst) : NULL;

	if (!e || e->expires_at <= now)
		return 0;
	if (locked)
		*locked = e->locked;
	return e->mtu;
}

uint32_t ip_mtu(struct ip *ip, const struct ip_addr *dst, nsec now)
{
	uint32_t mtu = route_link_mtu(ip, dst);
	uint32_t learned = pmtu_get(ip, dst, NULL, now);

	return learned ? MIN(mtu, learned) : mtu;
}

static struct pmtu *pmtu_new(struct ip *ip, const struct ip_addr *dst)
{
	struct pmtu *e;

	if (ip->num_pmtu >= MAX_PMTU)
		pmtu_free(ip, list_first(&ip->pmtu_age, struct pmtu, age));
	e = arena_zalloc(ip->core->arena, sizeof(*e));
	if (!e)
		return NULL;
	e->dst = *dst;
	list_init(&e->age);
	htab_insert(&ip->pmtu, &e->node, pmtu_hash(ip, dst));
	ip->num_pmtu++;
	return e;
}

void pmtu_note(struct ip *ip, const struct ip_addr *dst, uint32_t mtu, nsec now)
{
	const struct sysctl_values *sys = ip->core->sysctl;
	uint32_t low =
		ip_addr_is4(dst) ? (uint32_t)sys->route_min_pmtu : IP6_MIN_MTU;
	uint32_t old = ip_mtu(ip, dst, now);
	bool locked = ip_addr_is4(dst) && mtu < low;
	const struct ip_route *r = ip_route_lookup(ip, dst);
	struct pmtu *e;

	if (r && r->m.mtu_lock)
		return;
	mtu = locked ? MIN(low, old) : MAX(mtu, low);
	if (mtu > old || (mtu == route_link_mtu(ip, dst) && !locked))
		return; /* RFC 1191 3, RFC 8201 4: nothing new, or a raise */
	e = pmtu_find(ip, dst);
	if (!e)
		e = pmtu_new(ip, dst);
	if (!e)
		return;
	ip->gen++;
	e->mtu = mtu;
	e->locked = locked;
	e->expires_at = now + sys->route_mtu_expires * SEC;
	list_remove(&e->age);
	list_push(&ip->pmtu_age, &e->age);
	ip_timer_rearm(ip);
}

uint32_t ip_mtu_told(struct ip *ip, const struct ip_addr *dst, uint32_t mtu,
		     nsec now)
{
	pmtu_note(ip, dst, mtu, now);
	return ip_mtu(ip, dst, now);
}

uint32_t pmtu_plateau(uint32_t len)
{
	static const uint16_t plateaus[] = {/* RFC 1191 7.1, table 7-1 */
					    65535, 32000, 17914, 8166,
					    4352,  2002,  1492,	 1006,
					    508,   296,	  68};

	for (size_t i = 0; i < ARRAY_SIZE(plateaus); i++)
		if (plateaus[i] < len)
			return plateaus[i];
	return IP4_MIN_MTU;
}

nsec pmtu_next_at(const struct ip *ip)
{
	struct pmtu *e = list_first(&ip->pmtu_age, struct pmtu, age);

	return e ? e->expires_at : TIME_NEVER;
}

void pmtu_expire(struct ip *ip, nsec now)
{
	struct pmtu *e;

	while ((e = list_first(&ip->pmtu_age, struct pmtu, age)) &&
	       e->expires_at <= now) {
		pmtu_free(ip, e);
		ip->gen++;
	}
}
