/* SPDX-License-Identifier: MIT
 *
 * udp.c - the user datagram protocol (RFC 768; RFC 8085; RFC 1122 4.1)
 *
 * The header, and which sockets a datagram is for; sending and queueing are
 * dgram.c's. A frame of many datagrams (GSO_UDP) is cut here, each part holding
 * a reference.
 */
#include "transport/udp.h"

#include <errno.h>

#include "base/csum.h"
#include "sysctl.h"
#include "transport/errq.h"
#include "wire/icmp.h"
#include "wire/udp.h"

#define MAX_GROUPS 20 /* igmp_max_memberships of Linux */

static struct core *core_of(const struct ep *e)
{
	return e->tp->core;
}

void udp_put_header(struct ep *e, struct pkt *p, const struct dgram_tx *tx,
		    uint32_t len)
{
	struct udp_repr r = {
		.src_port = e->lport,
		.dst_port = tx->dport,
		.len = (uint16_t)(UDP_HLEN + len),
	};

	if (ep_opt(e,
		   ip_addr_is4(&tx->dst) ? EP_O_NO_CHECK : EP_O_NO_CHECK6_TX)) {
		p->csum = CSUM_NONE;
	} else {
		p->csum = CSUM_PARTIAL;
		r.csum = csum_fold_raw(
			csum_pseudo(&tx->src, &tx->dst, IPPROTO_UDP, r.len));
	}
	udp_emit(&r, pkt_push(p, UDP_HLEN));
	p->hdr_len = UDP_HLEN;
}

static void deliver_all(struct transport *tp, const struct ip_rx *rx,
			const struct udp_repr *r);

/* What is sent to many is also heard at home: broadcast always, multicast
 * unless IP_MULTICAST_LOOP is 0, and if somebody has joined. */
void udp_hear_oneself(struct ep *e, const struct dgram_tx *tx,
		      const uint8_t *data, uint32_t len, nsec now)
{
	enum ip_scope scope = ip_scope(e->tp->ip, &tx->dst);
	bool is4 = ip_addr_is4(&tx->dst);
	struct udp_repr r = {
		.src_port = e->lport,
		.dst_port = tx->dport,
		.len = (uint16_t)(UDP_HLEN + len),
	};
	struct ip_rx rx = {
		.l4_len = r.len,
		.src = tx->src,
		.dst = tx->dst,
		.proto = IPPROTO_UDP,
		.ttl = (uint8_t)MAX(tx->ttl, 0),
		.tos = tx->tos,
		.scope = (uint8_t)scope,
		.csum = CSUM_VALID,
		.link = LINK_LO,
	};

	if (scope != IP_SCOPE_BCAST &&
	    (scope != IP_SCOPE_MCAST ||
	     !ep_opt(e, is4 ? EP_O_MCAST_LOOP : EP_O_MCAST_LOOP6) ||
	     !udp_host_has_group(e->tp, &tx->dst)))
		return;
	rx.f = frame_new(core_of(e)->arena, r.len);
	if (!rx.f)
		return;
	udp_emit(&r, rx.f->data);
	if (len)
		memcpy(rx.f->data + UDP_HLEN, data, len);
	rx.f->len = r.len;
	rx.f->at = now;
	rx.l4 = rx.f->data;
	deliver_all(e->tp, &rx, &r);
	frame_put(core_of(e)->arena, rx.f);
}

static void deliver(struct ep *e, const struct ip_rx *rx,
		    const struct udp_repr *r)
{
	const uint8_t *data = rx->l4 + UDP_HLEN;
	uint32_t len = r->len - UDP_HLEN;
	uint32_t seg = rx->f->gso == GSO_UDP ? rx->f->gso_size : 0;
	uint32_t num, charge;

	if (!seg || seg >= len) {
		dgram_deliver(e, rx, data, len, r->src_port);
		return;
	}
	num = DIV_ROUND_UP(len, seg);
	charge = rx->f->b.size / num + sizeof(struct dgram);
	for (uint32_t off = 0; off < len; off += seg)
		dgram_enqueue(e, rx, rx->f, data + off, MIN(seg, len - off),
			      charge, r->src_port);
}

bool udp_host_has_group(const struct transport *tp, const struct ip_addr *a)
{
	struct list *n;

	list_for_each (n, &tp->groups) {
		if (ip_addr_eq(
			    &list_entry(n, struct udp_group, host_link)->group,
			    a))
			return true;
	}
	return false;
}

static struct udp_group *group_find(const struct ep *e, const struct ip_addr *a)
{
	struct list *n;

	list_for_each (n, &e->groups) {
		struct udp_group *g = list_entry(n, struct udp_group, ep_link);

		if (ip_addr_eq(&g->group, a))
			return g;
	}
	return NULL;
}

/* ip_mc_sf_allow() of Linux: a socket hears every group of the host unless it
 * asked not to (IP_MULTICAST_ALL 0). */
static bool hears_group(const struct ep *e, const struct ip_addr *a)
{
	enum ep_opt all = ip_addr_is4(a) ? EP_O_MCAST_ALL : EP_O_MCAST_ALL6;

	return ep_opt(e, all) || group_find(e, a);
}

/* Broadcast and multicast: to all who match, and no complaint if none does. */
static void deliver_all(struct transport *tp, const struct ip_rx *rx,
			const struct udp_repr *r)
{
	bool is_mcast = rx->scope == IP_SCOPE_MCAST;
	struct ep *e = NULL;
	unsigned num = 0;

	while ((e = port_next(tp, EP_UDP, r->dst_port, e))) {
		/* a connected one has a source address, not the group's */
		if (!port_addr_matches(e, &rx->dst))
			continue;
		if (e->is_connected && (e->rport != r->src_port ||
					!ip_addr_eq(&e->raddr, &rx->src)))
			continue;
		if (is_mcast && !hears_group(e, &rx->dst))
			continue;
		deliver(e, rx, r);
		num++;
	}
	if (!num)
		drop(tp->core, DROP_UDP_NO_PORT);
}

/* A datagram without checksum over IPv6, which RFC 6935 5 leaves to sockets
 * that ask for it (UDP_NO_CHECK6_RX). */
static bool is_bare6(const struct ip_rx *rx)
{
	return rx->l4_len >= UDP_HLEN && !ip_addr_is4(&rx->dst) &&
	       get_be16(rx->l4 + 6) == 0;
}

static enum drop parse(struct transport *tp, const struct ip_rx *rx,
		       struct udp_repr *r)
{
	if (is_bare6(rx)) {
		struct ep *e =
			port_lookup(tp, EP_UDP, &rx->dst, get_be16(rx->l4 + 2),
				    &rx->src, get_be16(rx->l4), 0);

		if (e && ep_opt(e, EP_O_NO_CHECK6_RX)) {
			*r = (struct udp_repr){
				.src_port = get_be16(rx->l4),
				.dst_port = get_be16(rx->l4 + 2),
				.len = get_be16(rx->l4 + 4),
			};
			if (r->len < UDP_HLEN || r->len > rx->l4_len)
				return DROP_UDP_MALFORMED;
			return DROP_NONE;
		}
	}
	return udp_parse(r, &rx->src, &rx->dst, rx->l4, rx->l4_len,
			 (enum csum_state)rx->csum);
}

enum ip_verdict udp_in(struct transport *tp, const struct ip_rx *rx, nsec now)
{
	struct udp_repr r;
	struct ep *e;
	enum drop d = parse(tp, rx, &r);

	if (d) {
		stat_inc(tp->core, STAT_UdpInErrors);
		if (d == DROP_UDP_CSUM)
			stat_inc(tp->core, STAT_UdpInCsumErrors);
		drop(tp->core, d);
		return IP_TAKEN;
	}
	if (rx->scope == IP_SCOPE_MCAST || rx->scope == IP_SCOPE_BCAST) {
		deliver_all(tp, rx, &r);
		return IP_TAKEN;
	}
	e = port_lookup(
		tp, EP_UDP, &rx->dst, r.dst_port, &rx->src, r.src_port,
		port_conn_hash(tp, &rx->dst, r.dst_port, &rx->src, r.src_port));
	if (!e) {
		stat_inc(tp->core, STAT_UdpNoPorts);
		drop(tp->core, DROP_UDP_NO_PORT);
		return IP_NO_PORT;
	}
	deliver(e, rx, &r);
	return IP_TAKEN;
}

/* __udp4_lib_err() of Linux: only a connected socket, or one that asked for
 * IP_RECVERR, hears of errors; of soft ones only the latter. */
void udp_error(struct transport *tp, const struct ip_error *err, nsec now)
{
	uint16_t lport = get_be16(err->l4), rport = get_be16(err->l4 + 2);
	struct ep *e = port_lookup(tp, EP_UDP, &err->local, lport, &err->remote,
				   rport, 0);
	bool wants, hard = err->fatal;

	if (!e) {
		drop(tp->core, DROP_ICMP_NO_SOCK);
		return;
	}
	wants = ep_opt(e, err->is4 ? EP_O_RECVERR : EP_O_RECVERR6);
	if (err->err == EMSGSIZE) {
		unsigned disc = err->is4 ? e->pmtudisc : e->pmtudisc6;

		if (disc == IP_PMTUDISC_DONT)
			return;
		hard = true;
	}
	if (!wants && (!hard || !e->is_connected))
		return;
	if (wants)
		errq_icmp(e, err, rport, err->l4 + UDP_HLEN,
			  err->l4_len - UDP_HLEN);
	ep_error(e, err->err);
}

/* --- groups --- */

int udp_group_join(struct ep *e, const struct ip_addr *group, uint32_t ifindex)
{
	struct udp_group *g;
	struct list *n;
	unsigned num = 0;

	if (!ip_addr_is_multicast(group))
		return -EINVAL;
	if (group_find(e, group))
		return -EADDRINUSE;
	list_for_each (n, &e->groups)
		num++;
	if (num >= MAX_GROUPS)
		return -ENOBUFS;
	g = arena_zalloc(core_of(e)->arena, sizeof(*g));
	if (!g)
		return -ENOBUFS;
	g->group = *group;
	g->ifindex = ifindex;
	list_push(&e->groups, &g->ep_link);
	list_push(&e->tp->groups, &g->host_link);
	return 0;
}

int udp_group_leave(struct ep *e, const struct ip_addr *group)
{
	struct udp_group *g = group_find(e, group);

	if (!ip_addr_is_multicast(group))
		return -EINVAL;
	if (!g)
		return -EADDRNOTAVAIL;
	list_remove(&g->ep_link);
	list_remove(&g->host_link);
	arena_free(core_of(e)->arena, g);
	return 0;
}
