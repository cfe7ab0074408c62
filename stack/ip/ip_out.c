/* SPDX-License-Identifier: MIT
 *
 * ip_out.c - route, headers, fragments, and down to the link
 *
 * A packet gets its L3 header in front and goes down whole if it fits the path
 * MTU, or if the device cuts it and each cut fits. What does not fit goes back
 * to the sender (-EMSGSIZE) when it must not be fragmented, else it is cut here
 * into fragments whose payload refers to the same bytes.
 *
 * Identifiers (RFC 7739 5.3): a keyed hash of the two ends and the protocol,
 * plus a counter that all ends with the same bucket share. Each pair of ends
 * sees numbers that don't repeat soon; nobody can infer those of another pair.
 */
#include "ip/ip_priv.h"

#include <errno.h>

#include "base/csum.h"
#include "ip/mcast.h"
#include "link/offload.h"
#include "wire/ip4.h"
#include "wire/ip4opt.h"
#include "wire/ip6.h"

/* What the headers of one packet, or of all its fragments, have in common. */
struct l3 {
	const struct ip_tx *tx;
	uint32_t id;
	uint32_t mtu;
	uint8_t ttl;
	uint8_t link; /* enum link_id */
	bool is4, df;
	bool loop, host_only; /* as in struct ip_tx */
	uint8_t num_opts;
	uint8_t opts[IP4_OPT_MAX];
};

static uint32_t next_id(struct ip *ip, const struct ip_tx *tx, uint32_t num)
{
	struct {
		struct ip_addr src, dst;
		uint64_t proto;
	} key = {tx->src, tx->dst, tx->proto};
	uint64_t hash = sip_hash(&ip->id_key, &key, sizeof(key));
	uint32_t *counter = &ip->ids[hash >> 32 & (IP_NUM_IDS - 1)];
	uint32_t id = (uint32_t)hash + *counter;

	*counter += num;
	return id;
}

/* The default, and 1 for multicast (RFC 1112 6.1, RFC 3493 5.2). */
static uint8_t default_ttl(const struct ip *ip, const struct ip_route *r,
			   const struct ip_addr *dst)
{
	const struct sysctl_values *sys = ip->core->sysctl;

	if (ip_addr_is_multicast(dst))
		return 1;
	if (r->m.hoplimit)
		return (uint8_t)r->m.hoplimit;
	return (uint8_t)(ip_addr_is4(dst) ? sys->ip_default_ttl
					  : sys->ip6_hop_limit);
}

static bool push_ip4(struct pkt *p, const struct l3 *h, uint32_t off, bool more)
{
	struct ip4_repr r = {
		.src = h->tx->src,
		.dst = h->tx->dst,
		.total_len = (uint16_t)(p->len + IP4_HLEN + h->num_opts),
		.id = (uint16_t)h->id,
		.frag_off = (uint16_t)off,
		.hdr_len = (uint8_t)(IP4_HLEN + h->num_opts),
		.tos = h->tx->tos,
		.ttl = h->ttl,
		.proto = h->tx->proto,
		.df = h->df,
		.mf = more,
	};
	uint8_t later[IP4_OPT_MAX];
	uint8_t *at = pkt_push(p, r.hdr_len);

	if (!at)
		return false;
	r.opts = h->opts;
	if (off) {
		memcpy(later, h->opts, h->num_opts);
		ip4_opt_later(later, h->num_opts);
		r.opts = later;
	}
	ip4_emit(&r, at);
	p->l4_off = r.hdr_len;
	return true;
}

static bool push_ip6(struct pkt *p, const struct l3 *h, uint8_t next)
{
	struct ip6_repr r = {
		.src = h->tx->src,
		.dst = h->tx->dst,
		.flow = h->tx->flow & 0xfffff,
		.payload_len = (uint16_t)p->len,
		.tclass = h->tx->tos,
		.hop_limit = h->ttl,
		.next = next,
	};
	uint8_t *at = pkt_push(p, IP6_HLEN);

	if (!at)
		return false;
	ip6_emit(&r, at);
	p->l4_off = IP6_HLEN;
	return true;
}

static bool push_frag(struct pkt *p, const struct l3 *h, uint32_t off,
		      bool more)
{
	uint8_t *at;

	if (h->is4)
		return push_ip4(p, h, off, more);
	at = pkt_push(p, IP6_FRAG_HLEN);
	if (!at)
		return false;
	ip6_frag_emit(h->tx->proto, (uint16_t)off, more, h->id, at);
	if (!push_ip6(p, h, IPPROTO_FRAGMENT))
		return false;
	p->l4_off += IP6_FRAG_HLEN;
	return true;
}

static int push_whole(struct pkt *p, const struct l3 *h)
{
	uint32_t l4_hdr = p->hdr_len ? p->hdr_len : pkt_head_len(p);

	if (!(h->is4 ? push_ip4(p, h, 0, false) : push_ip6(p, h, h->tx->proto)))
		return -ENOBUFS;
	p->hdr_len = (uint16_t)(p->l4_off + l4_hdr);
	p->link = h->link;
	return 0;
}

/* Puts bytes [@off, @off + @len) of @p's L4 packet into the empty @out: what
 * lies in @p's room is copied, the rest is referred to. */
static int slice(struct pkt *out, struct pkt *p, uint32_t off, uint32_t len)
{
	uint32_t in_head = pkt_head_len(p) - p->l4_off;
	uint32_t n;
	int err;

	if (off < in_head) {
		uint8_t *to;

		n = MIN(len, in_head - off);
		to = pkt_push(out, n);
		if (!to)
			return -ENOBUFS;
		memcpy(to, pkt_head(p) + p->l4_off + off, n);
		off += n;
		len -= n;
	}
	off -= in_head;
	for (unsigned i = 0; i < p->num_v && len; i++) {
		const struct pkt_ref *v = &p->v[i];

		if (off >= v->len) {
			off -= v->len;
			continue;
		}
		n = MIN(len, v->len - off);
		err = pkt_add(out, v->b, v->p + off, n);
		if (err)
			return err;
		len -= n;
		off = 0;
	}
	return 0;
}

static struct pkt *make_frag(struct ip *ip, struct pkt *p, const struct l3 *h,
			     uint32_t off, uint32_t len, bool more)
{
	struct pkt *out = pkt_new(ip->core->arena);

	if (!out)
		return NULL;
	if (slice(out, p, off, len) || !push_frag(out, h, off, more)) {
		pkt_free(ip->core->arena, out);
		return NULL;
	}
	out->hdr_len = (uint16_t)pkt_head_len(out);
	out->at = p->at;
	out->link = p->link;
	if (!more) { /* all are gone when the last is */
		out->cookie = p->cookie;
		out->charge = p->charge;
		out->stamp = p->stamp;
		out->stamp_id = p->stamp_id;
	}
	return out;
}

static int out_failed(struct ip *ip, bool is4, int err)
{
	if (is4)
		stat_inc(ip->core, STAT_IpOutDiscards);
	else
		stat_inc(ip->core, STAT_Ip6OutDiscards);
	return err;
}

/* Cuts @p, a whole packet with its L3 header. All fragments go or none, as far
 * as the queue can tell: a part of a datagram is no use to anybody. */
static int fragment(struct ip *ip, struct pkt *p, const struct l3 *h, nsec now)
{
	uint32_t hdr = p->l4_off + (h->is4 ? 0u : IP6_FRAG_HLEN);
	uint32_t total = p->len - p->l4_off;
	uint32_t step = (h->mtu - hdr) & ~7u; /* RFC 791 3.2, RFC 8200 4.5 */
	uint32_t num = DIV_ROUND_UP(total, step);
	int err = 0;

	if (h->link == LINK_DEV && link_tx_room(ip->link) < num) {
		ip->link->tx_starved = true;
		drop(ip->core, DROP_TXQ_FULL);
		IP_STAT(ip, h->is4, FragFails);
		return out_failed(ip, h->is4, -ENOBUFS);
	}
	if (p->csum == CSUM_PARTIAL)
		offload_csum(p);
	for (uint32_t off = 0; off < total && !err; off += step) {
		uint32_t len = MIN(step, total - off);
		struct pkt *out;

		out = make_frag(ip, p, h, off, len, off + len < total);
		err = out ? link_tx(ip->link, out, now) : -ENOBUFS;
		if (!err)
			IP_STAT(ip, h->is4, FragCreates);
	}
	if (err) {
		IP_STAT(ip, h->is4, FragFails);
		return out_failed(ip, h->is4, err);
	}
	IP_STAT(ip, h->is4, FragOKs);
	return 0;
}

static int fragment_and_free(struct ip *ip, struct pkt *p, const struct l3 *h,
			     nsec now)
{
	int err = fragment(ip, p, h, now);

	pkt_free(ip->core->arena, p);
	return err;
}

/* A gso packet whose cuts don't fit the path: cut it ourselves, then fragment
 * each. Only for senders that allow fragments. */
static int cut_and_fragment(struct ip *ip, struct pkt *p, struct l3 *h,
			    nsec now)
{
	struct list cuts;
	struct list *n;
	int err;

	list_init(&cuts);
	err = offload_cut(ip->core->arena, p, &cuts);
	while ((n = list_pop(&cuts))) {
		struct pkt *q = list_entry(n, struct pkt, node);

		if (!err && q->len <= h->mtu) { /* the last is often shorter */
			err = link_tx(ip->link, q, now);
		} else {
			if (!err)
				err = fragment(ip, q, h, now);
			pkt_free(ip->core->arena, q);
		}
		h->id++;
	}
	return err;
}

static int too_long(struct ip *ip, struct pkt *p, bool is4)
{
	IP_STAT(ip, is4, FragFails);
	pkt_free(ip->core->arena, p);
	return -EMSGSIZE;
}

/* What goes to a group or to all is heard at home, too: ip_mc_output() and
 * ip6_finish_output() of Linux. It comes in as if by the device. */
static void echo(struct ip *ip, const struct pkt *p, nsec now)
{
	struct pkt *q = pkt_clone(ip->core->arena, p);

	if (!q)
		return;
	q->link = LINK_LO;
	q->flags |= FRAME_F_ECHO;
	link_tx(ip->link, q, now);
}

/* To a group with TTL 0, RFC 1112 6.1: not on the wire. */
static int keep_home(struct ip *ip, struct pkt *p, nsec now)
{
	if (p->cookie)
		link_tx_done(ip, p->cookie, p->charge, 0, now);
	pkt_free(ip->core->arena, p);
	return 0;
}

static void count_out(struct ip *ip, const struct pkt *p,
		      const struct ip_addr *dst)
{
	bool is4 = ip_addr_is4(dst);

	IP_STAT(ip, is4, OutTransmits);
	stat_add(ip->core, is4 ? STAT_IpExtOutOctets : STAT_Ip6OutOctets,
		 p->len);
	ip_count_group(ip, dst, p->len, false);
}

static int emit(struct ip *ip, struct pkt *p, struct l3 *h, nsec now)
{
	uint32_t l3_len = h->is4 ? IP4_HLEN + h->num_opts : IP6_HLEN;
	uint32_t len = p->len + l3_len;
	bool fits, is_gso = p->gso != GSO_NONE;
	int err;

	if (h->is4 ? len > IP4_MAX_TOTAL : p->len > IP6_MAX_PAYLOAD)
		return too_long(ip, p, h->is4);
	if (is_gso)
		len = l3_len + p->hdr_len + p->gso_size;
	fits = len <= h->mtu;
	if (!fits && (h->df || h->mtu < IP4_MIN_MTU))
		return too_long(ip, p, h->is4);
	/* of the fragments of an IPv6 packet only they carry an identifier */
	if (h->is4 || !fits)
		h->id = next_id(ip, h->tx, is_gso ? MAX(1u, p->gso_segs) : 1);
	h->df = h->df && h->is4;
	err = push_whole(p, h);
	if (err) {
		pkt_free(ip->core->arena, p);
		return out_failed(ip, h->is4, err);
	}
	count_out(ip, p, &h->tx->dst);
	if (h->loop)
		echo(ip, p, now);
	if (h->host_only)
		return keep_home(ip, p, now);
	if (!fits)
		return is_gso ? cut_and_fragment(ip, p, h, now)
			      : fragment_and_free(ip, p, h, now);
	err = link_tx(ip->link, p, now);
	return err ? out_failed(ip, h->is4, err) : 0;
}

/* The MTU that @h's packet must keep to, and whether it may be fragmented on
 * its way. */
static void choose_mtu(struct ip *ip, struct l3 *h, const struct ip_route *r,
		       nsec now)
{
	const struct ip_tx *tx = h->tx;
	uint32_t learned;
	bool locked = false;

	h->df = tx->df;
	h->mtu = r->link == LINK_LO ? IP_LO_MTU : ip->link->mtu;
	if (tx->mtu)
		h->mtu = MIN(h->mtu, tx->mtu);
	if (tx->dont_fragment_local)
		return;
	h->mtu = MIN(h->mtu, route_mtu(ip, r));
	if (r->m.mtu_lock)
		h->df = tx->df_always;
	learned = pmtu_get(ip, &tx->dst, &locked, now);
	if (!learned)
		return;
	h->mtu = MIN(h->mtu, learned);
	if (locked) /* the path is narrower still: routers have to fragment */
		h->df = tx->df_always;
}

/* Is what goes to @tx->dst heard at home? Broadcast always is, a group's if
 * somebody here is in it. What goes by the loopback comes back anyway. */
static bool is_heard(const struct ip *ip, const struct ip_tx *tx, uint8_t link)
{
	if (!tx->loop || link == LINK_LO)
		return false;
	if (ip_scope(ip, &tx->dst) == IP_SCOPE_BCAST)
		return true;
	return mcast_hears(ip, IP_IF_DEV, &tx->dst, &tx->src, tx->proto);
}

/* Where @tx's packet goes and from where; NULL and @p is gone: *err says why.
 */
static const struct ip_route *find_way(struct ip *ip, struct pkt *p,
				       struct ip_tx *tx, int *err)
{
	const struct ip_route *r = ip_route_via(ip, &tx->dst, tx->oif);
	bool is4 = ip_addr_is4(&tx->dst);

	IP_STAT(ip, is4, OutRequests);
	*err = r ? 0 : -ENETUNREACH;
	if (!*err && ip_addr_is_any(&tx->src) && !tx->any_src)
		*err = ip_source_via(ip, &tx->dst, tx->oif, &tx->src);
	if (!*err)
		return r;
	IP_STAT(ip, is4, OutNoRoutes);
	drop(ip->core, DROP_NO_ROUTE);
	pkt_free(ip->core->arena, p);
	return NULL;
}

/* The host that sends is the first to leave its mark. Its clock is no wall
 * clock, which the high bit says (RFC 791 3.1). */
static void take_options(struct l3 *h, nsec now)
{
	ASSERT(h->tx->num_opts <= IP4_OPT_MAX && !(h->tx->num_opts & 3));
	h->num_opts = h->tx->num_opts;
	memcpy(h->opts, h->tx->opts, h->num_opts);
	ip4_opt_record(h->opts, h->num_opts, &h->tx->src, IP_OPT_TIME(now));
}

int ip_out(struct ip *ip, struct pkt *p, const struct ip_tx *tx, nsec now)
{
	struct ip_tx own = *tx;
	struct l3 h = {.tx = &own, .is4 = ip_addr_is4(&tx->dst)};
	int err;
	const struct ip_route *r = find_way(ip, p, &own, &err);

	if (!r)
		return err;
	h.link = r->link;
	h.ttl = tx->ttl ? tx->ttl : default_ttl(ip, r, &tx->dst);
	h.loop = is_heard(ip, &own, r->link);
	h.host_only = tx->host_only && r->link != LINK_LO;
	if (tx->host_only)
		h.ttl = 0;
	choose_mtu(ip, &h, r, now);
	if (h.is4 && own.num_opts)
		take_options(&h, now);
	return emit(ip, p, &h, now);
}

/* raw_send_hdrinc() of Linux: a header that is none goes as it is. */
static void complete4(struct ip *ip, struct pkt *p, const struct ip_tx *tx)
{
	static const uint8_t zero[4];
	uint8_t *h = pkt_head(p);
	uint32_t len = (h[0] & 0xfu) * 4;
	uint16_t csum;

	if (len < IP4_HLEN || len > pkt_head_len(p))
		return;
	p->l4_off = (uint16_t)len;
	if (memcmp(h + 12, zero, 4) == 0)
		memcpy(h + 12, tx->src.b + 12, 4);
	put_be16(h + 2, (uint16_t)p->len);
	if (get_be16(h + 4) == 0)
		put_be16(h + 4, (uint16_t)next_id(ip, tx, 1));
	put_be16(h + 10, 0);
	csum = csum_fold(csum_add(0, h, len));
	memcpy(h + 10, &csum, sizeof(csum));
}

int ip_out_own(struct ip *ip, struct pkt *p, const struct ip_tx *tx, nsec now)
{
	struct ip_tx own = *tx;
	bool is4 = ip_addr_is4(&tx->dst);
	int err;
	const struct ip_route *r = find_way(ip, p, &own, &err);

	if (!r)
		return err;
	if (p->len > (r->link == LINK_LO ? IP_LO_MTU : ip->link->mtu))
		return too_long(ip, p, is4);
	p->l4_off = is4 ? IP4_HLEN : IP6_HLEN;
	if (is4)
		complete4(ip, p, &own);
	p->link = r->link;
	count_out(ip, p, &tx->dst);
	if (is_heard(ip, &own, r->link))
		echo(ip, p, now);
	if (tx->host_only && r->link != LINK_LO)
		return keep_home(ip, p, now);
	err = link_tx(ip->link, p, now);
	return err ? out_failed(ip, is4, err) : 0;
}
