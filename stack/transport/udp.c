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
#include "transport/filter.h"
#include "transport/group.h"
#include "wire/icmp.h"
#include "wire/udp.h"

/* udp_send_skb() of Linux: pieces are never fragmented, and have checksums. */
static int set_gso(struct ep *e, struct pkt *p, const struct dgram_tx *tx,
		   uint32_t len, bool bare, nsec now)
{
	uint32_t headers = UDP_HLEN + (ip_addr_is4(&tx->dst) ? 20 : 40);
	uint32_t seg = tx->gso_size;

	if (headers + MIN(len, seg) > ip_mtu(e->tp->ip, &tx->dst, now))
		return -EMSGSIZE;
	if (len > seg * UDP_MAX_SEGMENTS || bare)
		return -EINVAL;
	if (len > seg) {
		p->gso = GSO_UDP;
		p->gso_size = (uint16_t)seg;
		p->gso_segs = (uint16_t)DIV_ROUND_UP(len, seg);
	}
	return 0;
}

int udp_put_header(struct ep *e, struct pkt *p, const struct dgram_tx *tx,
		   uint32_t len, nsec now)
{
	bool bare = ep_opt(e, ip_addr_is4(&tx->dst) ? EP_O_NO_CHECK
						    : EP_O_NO_CHECK6_TX);
	int err = tx->gso_size ? set_gso(e, p, tx, len, bare, now) : 0;
	struct udp_repr r = {
		.src_port = e->lport,
		.dst_port = tx->dport,
		.len = (uint16_t)(UDP_HLEN + len),
	};

	if (err)
		return err;
	if (bare) {
		p->csum = CSUM_NONE;
	} else {
		p->csum = CSUM_PARTIAL;
		r.csum = csum_fold_raw(
			csum_pseudo(&tx->src, &tx->dst, IPPROTO_UDP, r.len));
	}
	udp_emit(&r, pkt_push(p, UDP_HLEN));
	p->hdr_len = UDP_HLEN;
	return 0;
}

static void deliver(struct ep *e, const struct ip_rx *rx,
		    const struct udp_repr *r)
{
	const uint8_t *data = rx->l4 + UDP_HLEN;
	uint32_t len = r->len - UDP_HLEN;
	uint32_t seg = rx->f->gso == GSO_UDP ? rx->f->gso_size : 0;
	uint32_t num, charge, want;

	/* of many in one frame the first speaks for all */
	want = seg ? MIN(seg, len) + UDP_HLEN : r->len;
	if (!filter_pass(e, rx, rx->l4, &want)) {
		stat_inc(e->tp->core, STAT_UdpInErrors);
		return;
	}
	if (!seg)
		len = MAX(want, (uint32_t)UDP_HLEN) - UDP_HLEN;
	if (!seg || seg >= len || ep_opt(e, EP_O_GRO)) {
		if (dgram_deliver(e, rx, data, len, r->src_port) && seg < len)
			list_last(&e->rxq, struct dgram, node)->from.gso_size =
				(uint16_t)seg;
		return;
	}
	num = DIV_ROUND_UP(len, seg);
	charge = rx->f->b.size / num + sizeof(struct dgram);
	for (uint32_t off = 0; off < len; off += seg)
		dgram_enqueue(e, rx, rx->f, data + off, MIN(seg, len - off),
			      charge, r->src_port);
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
		if (e->is_connected && ((e->rport && e->rport != r->src_port) ||
					!ip_addr_eq(&e->raddr, &rx->src)))
			continue;
		if (!port_dev_matches(e, ip_dif(rx)))
			continue;
		if (is_mcast && !group_hears(e, &rx->dst, &rx->src, ip_dif(rx)))
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
				    &rx->src, get_be16(rx->l4), ip_dif(rx), 0);

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
		ip_dif(rx),
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
				   rport, 0, 0);
	bool hard = err->fatal;

	if (!e) {
		drop(tp->core, DROP_ICMP_NO_SOCK);
		return;
	}
	if (err->err == EMSGSIZE) {
		unsigned disc = err->is4 ? e->pmtudisc : e->pmtudisc6;

		if (disc == IP_PMTUDISC_DONT)
			return;
		hard = true;
	}
	dgram_error(e, err, hard, rport, err->l4 + UDP_HLEN,
		    err->l4_len - UDP_HLEN);
}
