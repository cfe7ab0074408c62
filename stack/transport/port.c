/* SPDX-License-Identifier: MIT
 *
 * port.c - local ports: who may share one, which one is free, who is meant
 *
 * One table holds every bound endpoint by (kind, port). Children of a listener
 * are not in it, or a busy server's port would be one chain of a million: TCP
 * is asked for those (tcp_port_taken()).
 *
 * Two endpoints conflict when some packet could reach both and they did not
 * agree to share (socket(7), SO_REUSEADDR and SO_REUSEPORT). All endpoints of
 * a host have one owner, so Linux's comparison of user ids is always true.
 *
 * A port that connect(2) picked is marked ->is_auto. Such ports are shared as
 * long as the 4-tuples differ, but never with a port that bind(2) took.
 */
#include <errno.h>

#include "sysctl.h"
#include "transport/tcp.h"
#include "transport/transport.h"

static uint32_t port_hash(const struct transport *tp, unsigned kind,
			  uint16_t port)
{
	uint32_t key = kind << 16 | port;

	return (uint32_t)sip_hash(&tp->core->hash_key, &key, sizeof(key));
}

static struct ep *entry(struct hnode *n)
{
	return n ? container_of(n, struct ep, bind_node) : NULL;
}

struct ep *port_next(struct transport *tp, enum ep_kind kind, uint16_t lport,
		     const struct ep *after)
{
	struct hnode *n;

	n = after ? htab_next(&after->bind_node)
		  : htab_first(&tp->ports, port_hash(tp, kind, lport));
	for (; n; n = htab_next(n)) {
		struct ep *e = entry(n);

		if (e->kind == kind && e->lport == lport)
			return e;
	}
	return NULL;
}

/* Which families an unspecific local address can be reached through. */
static bool takes_any4(const struct ip_addr *a, bool v6only)
{
	return ip_addr_is_any(a) && (ip_addr_is4(a) || !v6only);
}

static bool takes_any6(const struct ip_addr *a)
{
	return ip_addr_is_any(a) && !ip_addr_is4(a);
}

bool port_takes(const struct ip_addr *bound, bool v6only,
		const struct ip_addr *a)
{
	if (ip_addr_eq(bound, a))
		return true;
	return ip_addr_is4(a) ? takes_any4(bound, v6only) : takes_any6(bound);
}

bool port_addr_matches(const struct ep *e, const struct ip_addr *laddr)
{
	return port_takes(&e->laddr, ep_opt(e, EP_O_V6ONLY), laddr);
}

/* Could one packet reach both? @addr is what @e is about to be bound to. */
static bool overlaps(const struct ep *e, const struct ip_addr *addr,
		     const struct ep *o)
{
	bool only = ep_opt(e, EP_O_V6ONLY), o_only = ep_opt(o, EP_O_V6ONLY);

	if (e->kind == EP_PING) /* an identifier is one for all addresses */
		return true;

	if (!ip_addr_is_any(addr))
		return port_addr_matches(o, addr);
	if (!ip_addr_is_any(&o->laddr))
		return port_takes(addr, only, &o->laddr);
	if (takes_any4(addr, only) && takes_any4(&o->laddr, o_only))
		return true;
	return takes_any6(addr) && takes_any6(&o->laddr);
}

/* inet_bind_conflict() and udp_lib_lport_inuse() of Linux. @relax: the port was
 * asked for by number, so SO_REUSEADDR counts for TCP too. */
static bool may_share(const struct ep *e, const struct ep *o, bool relax)
{
	if (e->kind == EP_PING) /* ping_get_port() */
		return ep_opt(e, EP_O_REUSEADDR) && ep_opt(o, EP_O_REUSEADDR);
	if (e->dev_if && o->dev_if && e->dev_if != o->dev_if)
		return true;
	if (ep_opt(e, EP_O_REUSEPORT) && ep_opt(o, EP_O_REUSEPORT))
		return true;
	if (!ep_opt(e, EP_O_REUSEADDR) || !ep_opt(o, EP_O_REUSEADDR))
		return false;
	return e->kind == EP_UDP || (relax && !o->listen);
}

static bool conflicts(struct ep *e, const struct ip_addr *addr, uint16_t port,
		      bool relax)
{
	struct ep *o = NULL;

	while ((o = port_next(e->tp, e->kind, port, o))) {
		if (o != e && overlaps(e, addr, o) && !may_share(e, o, relax))
			return true;
	}
	return e->kind == EP_TCP && tcp_port_taken(e->tp->tcp, e, addr, port);
}

static void enter(struct ep *e, uint16_t port, bool is_auto)
{
	struct transport *tp = e->tp;

	e->lport = port;
	e->is_bound = true;
	e->is_auto = is_auto;
	e->bind_seq = ++tp->bind_seq;
	htab_insert(&tp->ports, &e->bind_node, port_hash(tp, e->kind, port));
}

/* The ephemeral range: sysctl's, narrowed by IP_LOCAL_PORT_RANGE. */
static void port_range(const struct ep *e, uint32_t *lo, uint32_t *num)
{
	const struct sysctl_values *v = e->tp->core->sysctl;
	uint32_t first = (uint32_t)v->ip_local_port_lo;
	uint32_t last = (uint32_t)MAX(v->ip_local_port_hi, first);

	/* as Linux: an end outside the host's range is not honoured */
	if (e->port_lo >= first && e->port_lo <= last)
		first = e->port_lo;
	if (e->port_hi >= first && e->port_hi <= last)
		last = e->port_hi;
	*lo = first;
	*num = last - first + 1;
}

/* RFC 6056 3.3.1: a random start, then one after the other. Linux looks at the
 * odd half of the range first, as connect(2) begins with the even one. */
static int pick_for_bind(struct ep *e, const struct ip_addr *addr)
{
	uint32_t lo, num, start;

	port_range(e, &lo, &num);
	start = rng_below(&e->tp->core->rng, num);
	for (unsigned half = 0; half < 2; half++) {
		for (uint32_t i = 0; i < num; i++) {
			uint32_t port = lo + (start + i) % num;

			if ((port & 1) == half)
				continue;
			if (!conflicts(e, addr, (uint16_t)port, false)) {
				enter(e, (uint16_t)port, false);
				return 0;
			}
		}
	}
	return -EADDRINUSE;
}

int port_bind(struct ep *e, const struct ip_addr *addr, uint16_t port)
{
	int err = 0;

	if (e->is_bound)
		return -EINVAL;
	if (!port)
		err = pick_for_bind(e, addr);
	else if (conflicts(e, addr, port, true))
		err = -EADDRINUSE;
	else
		enter(e, port, false);
	if (!err)
		e->laddr = *addr;
	return err;
}

/* Taken by bind(2), or by another connection with this very 4-tuple? */
static bool connect_conflicts(struct ep *e, uint16_t port, nsec now)
{
	struct ep *o = NULL;

	while ((o = port_next(e->tp, e->kind, port, o)))
		if (!o->is_auto)
			return true;
	return tcp_tuple_taken(e->tp->tcp, e, port, now);
}

/* RFC 6056 3.3.4, double-hash port selection: where to start depends on both
 * ends, and the counter is shared with few other destinations. Two steps at a
 * time, so that one half of the range is left to bind(2), as Linux does. */
int port_bind_connect(struct ep *e, nsec now)
{
	struct transport *tp = e->tp;
	struct {
		struct ip_addr local, remote;
		uint64_t port; /* wide: no padding gets hashed */
	} key = {e->laddr, e->raddr, e->rport};
	uint64_t h = sip_hash(&tp->core->port_key, &key, sizeof(key));
	uint32_t *next = &tp->port_next[(h >> 32) % PORT_NUM_NEXT];
	uint32_t lo, num, start;

	if (e->is_bound)
		return -EINVAL;
	if (e->kind != EP_TCP) {
		struct ip_addr laddr = e->laddr;

		return port_bind(e, &laddr, 0);
	}
	port_range(e, &lo, &num);
	start = ((uint32_t)h + *next) & ~1u;
	for (unsigned half = 0; half < 2; half++) {
		for (uint32_t i = 0; i < num; i += 2) {
			uint32_t off = (start + i) % num;
			uint32_t port;

			/* an odd range wraps on to the other half */
			off = (off & ~1u) + half;
			if (off >= num)
				continue;
			port = lo + off;
			if (connect_conflicts(e, (uint16_t)port, now))
				continue;
			*next += i + 2;
			enter(e, (uint16_t)port, true);
			return 0;
		}
	}
	return -EADDRNOTAVAIL;
}

void port_refill(struct ep *e)
{
	htab_insert(&e->tp->ports, &e->bind_node,
		    port_hash(e->tp, e->kind, e->lport));
}

void port_release(struct ep *e)
{
	if (!e->is_bound)
		return;
	htab_remove(&e->tp->ports, &e->bind_node);
	e->is_bound = false;
	e->is_auto = false;
}

int port_listen_check(struct ep *e)
{
	return conflicts(e, &e->laddr, e->lport, true) ? -EADDRINUSE : 0;
}

void port_inherit(struct ep *child, const struct ep *parent)
{
	child->lport = parent->lport;
	child->bind_seq = parent->bind_seq;
}

/* compute_score() of Linux: an address over any, a device over none, own family
 * over dual. -1: not for this one. */
static int score(const struct ep *e, const struct ip_addr *laddr, uint32_t dif)
{
	int s = 0;

	if (!port_addr_matches(e, laddr) || !port_dev_matches(e, dif))
		return -1;
	if (!ip_addr_is_any(&e->laddr))
		s += 4;
	if (e->dev_if)
		s += 2;
	if ((e->family == AF_INET) == ip_addr_is4(laddr))
		s += 1;
	return s;
}

/* Equals that share by SO_REUSEPORT get the packet by highest random weight:
 * a flow stays with its socket while others come and go. */
static uint32_t weight(const struct ep *e, uint32_t hash)
{
	uint64_t x = (hash ^ e->bind_seq * 0x9e3779b97f4a7c15u) *
		     0xd6e8feb86659fd93u;

	return (uint32_t)(x >> 32);
}

static bool is_better(const struct ep *e, const struct ep *best, uint32_t hash)
{
	if (ep_opt(e, EP_O_REUSEPORT) && ep_opt(best, EP_O_REUSEPORT))
		return weight(e, hash) > weight(best, hash);
	return e->bind_seq > best->bind_seq;
}

static struct ep *lookup_connected(struct transport *tp,
				   const struct ip_addr *laddr, uint16_t lport,
				   const struct ip_addr *raddr, uint16_t rport,
				   uint32_t dif)
{
	struct ep *best = NULL;
	struct hnode *n;
	uint32_t h = port_conn_hash(tp, laddr, lport, raddr, rport);

	for (n = htab_first(&tp->udp_conn, h); n; n = htab_next(n)) {
		struct ep *e = container_of(n, struct ep, conn_node);

		if (e->lport == lport && e->rport == rport &&
		    ip_addr_eq(&e->laddr, laddr) &&
		    ip_addr_eq(&e->raddr, raddr) && port_dev_matches(e, dif) &&
		    (!best || e->bind_seq > best->bind_seq))
			best = e;
	}
	return best;
}

uint32_t port_conn_hash(const struct transport *tp, const struct ip_addr *laddr,
			uint16_t lport, const struct ip_addr *raddr,
			uint16_t rport)
{
	struct {
		struct ip_addr l, r;
		uint64_t ports; /* wide: no padding gets hashed */
	} key = {*laddr, *raddr, (uint64_t)lport << 16 | rport};

	return (uint32_t)sip_hash(&tp->core->hash_key, &key, sizeof(key));
}

struct ep *port_lookup(struct transport *tp, enum ep_kind kind,
		       const struct ip_addr *laddr, uint16_t lport,
		       const struct ip_addr *raddr, uint16_t rport,
		       uint32_t dif, uint32_t hash)
{
	struct ep *best = NULL, *e = NULL;
	int best_score = -1;

	if (kind == EP_UDP && tp->udp_conn.num) {
		e = lookup_connected(tp, laddr, lport, raddr, rport, dif);
		if (!e) /* connected to port 0: compute_score() of Linux */
			e = lookup_connected(tp, laddr, lport, raddr, 0, dif);
		if (e)
			return e;
	}
	while ((e = port_next(tp, kind, lport, e))) {
		int s;

		if (kind == EP_TCP ? !e->listen : e->is_connected)
			continue;
		s = score(e, laddr, dif);
		if (s < 0 || s < best_score)
			continue;
		if (s > best_score || is_better(e, best, hash)) {
			best = e;
			best_score = s;
		}
	}
	return best;
}
