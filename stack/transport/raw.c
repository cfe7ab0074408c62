/* SPDX-License-Identifier: MIT
 *
 * raw.c - SOCK_RAW: packets of one IP protocol as they are (raw(7), RFC 3542)
 *
 * Every raw socket whose protocol and addresses match gets a copy of a packet,
 * before and besides whatever the stack does with it: of IPv4 with its header,
 * of IPv6 what follows the headers. What it sends gets a header of ours, or is
 * its own header and all. Checksums are the sender's business over IPv4; over
 * IPv6 they are ours for ICMPv6 and where IPV6_CHECKSUM says so.
 */
#include "transport/raw.h"

#include <errno.h>

#include "base/csum.h"
#include "transport/filter.h"
#include "transport/group.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#define MH_CSUM_AT 4	/* RFC 6275 6.1.1 */
#define ICMP6_CSUM_AT 2 /* RFC 3542 3.1 */

void raw_ep_init(struct ep *e)
{
	e->raw_csum = RAW_NO_CSUM;
	if (e->family == AF_INET6 && e->proto == IPPROTO_ICMPV6)
		e->raw_csum = ICMP6_CSUM_AT;
	if (e->family == AF_INET6 && e->proto == IPPROTO_MH)
		e->raw_csum = MH_CSUM_AT;
	ep_opt_set(e, EP_O_HDRINCL, e->proto == IPPROTO_RAW);
	e->lport = e->proto; /* getsockname(2) tells it as the port */
	list_push(&e->tp->raws, &e->raw_link);
}

void raw_leave(struct ep *e)
{
	list_remove(&e->raw_link);
}

bool raw_has_header(const struct ep *e)
{
	return e->kind == EP_RAW && ep_opt(e, EP_O_HDRINCL);
}

/* --- receiving --- */

/* raw_v4_match() and raw_v6_match() of Linux; @laddr is ours. */
static bool matches(const struct ep *e, bool is4, uint8_t proto,
		    const struct ip_addr *laddr, const struct ip_addr *raddr,
		    uint32_t dif)
{
	if (e->proto != proto || (e->family == AF_INET) != is4)
		return false;
	if (e->is_connected && !ip_addr_eq(&e->raddr, raddr))
		return false;
	if (!port_dev_matches(e, dif))
		return false;
	if (ip_addr_is_any(&e->laddr) || ip_addr_eq(&e->laddr, laddr))
		return true;
	return !is4 && ip_addr_is_multicast(laddr) &&
	       group_hears(e, laddr, raddr, dif);
}

/* ICMP_FILTER names 32 types, and lets others through; ICMP6_FILTER all. */
static bool is_filtered(const struct ep *e, const struct ip_rx *rx)
{
	uint8_t type;

	if (rx->proto != IPPROTO_ICMP && rx->proto != IPPROTO_ICMPV6)
		return false;
	if (rx->l4_len < (e->family == AF_INET ? ICMP_HLEN : 1))
		return true;
	type = rx->l4[0];
	if (e->family == AF_INET && type >= 32)
		return false;
	return e->icmp_filter[type / 32] >> type % 32 & 1;
}

static bool has_bad_csum(const struct ep *e, const struct ip_rx *rx)
{
	uint64_t sum;

	if (e->family == AF_INET || e->raw_csum == RAW_NO_CSUM ||
	    rx->csum != CSUM_NONE)
		return false;
	sum = csum_pseudo(&rx->src, &rx->dst, rx->proto, rx->l4_len);
	return csum_fold(csum_add(sum, rx->l4, rx->l4_len)) != 0;
}

static void deliver(struct ep *e, const struct ip_rx *rx)
{
	bool is4 = e->family == AF_INET;
	const uint8_t *data;
	uint32_t len;

	if (is_filtered(e, rx))
		return;
	if (is4 && rx->scope == IP_SCOPE_MCAST &&
	    !group_hears(e, &rx->dst, &rx->src, ip_dif(rx)))
		return;
	if (has_bad_csum(e, rx)) {
		e->rx_drops++;
		drop(e->tp->core, DROP_RAW_CSUM);
		return;
	}
	data = is4 ? rx->f->data : rx->l4;
	len = is4 ? rx->f->len : rx->l4_len;
	if (filter_pass(e, rx, data, &len))
		dgram_deliver(e, rx, data, len, 0);
}

bool raw_in(struct transport *tp, const struct ip_rx *rx)
{
	bool is4 = ip_addr_is4(&rx->dst), any = false;
	struct list *n;

	list_for_each (n, &tp->raws) {
		struct ep *e = list_entry(n, struct ep, raw_link);

		if (!matches(e, is4, rx->proto, &rx->dst, &rx->src, ip_dif(rx)))
			continue;
		if (e->rx_mem >= e->rcvbuf) {
			e->rx_drops++;
			drop(tp->core, DROP_RAW_RCVBUF);
			continue;
		}
		deliver(e, rx);
		any = true;
	}
	return any;
}

/* Who writes headers also gets the quoted one. */
static void note(struct ep *e, const struct ip_error *err)
{
	const uint8_t *p = err->l4;
	uint32_t len = err->l4_len;
	bool hard = err->fatal;

	if (raw_has_header(e)) {
		p = err->rx->l4 + ICMP_HLEN;
		len += (uint32_t)(err->l4 - p);
	}
	if (err->err == EMSGSIZE)
		hard = err->is4 ? e->pmtudisc != IP_PMTUDISC_DONT
				: e->pmtudisc6 == IPV6_PMTUDISC_DO;
	dgram_error(e, err, hard, 0, p, len);
}

/* raw_err() of Linux: told to who asked for IP_RECVERR; who is connected hears
 * of what is final. */
void raw_error(struct transport *tp, const struct ip_error *err)
{
	struct list *n;

	list_for_each (n, &tp->raws) {
		struct ep *e = list_entry(n, struct ep, raw_link);

		if (matches(e, err->is4, err->proto, &err->local, &err->remote,
			    0))
			note(e, err);
	}
}

/* --- sending --- */

/* RFC 3542 3.1: over the pseudo header and all of the message. */
static int put_csum(const struct ep *e, const struct dgram_tx *tx,
		    uint8_t *data, uint32_t len)
{
	uint16_t csum = 0;
	uint64_t sum;

	if (e->family == AF_INET || e->raw_csum == RAW_NO_CSUM)
		return 0;
	if ((uint32_t)e->raw_csum + sizeof(csum) > len)
		return -EINVAL;
	memcpy(data + e->raw_csum, &csum, sizeof(csum));
	sum = csum_pseudo(&tx->src, &tx->dst, tx->proto, len);
	csum = csum_fold(csum_add(sum, data, len));
	if (!csum && tx->proto == IPPROTO_UDP) /* RFC 8200 8.1 */
		csum = 0xffff;
	memcpy(data + e->raw_csum, &csum, sizeof(csum));
	return 0;
}

/* How much of @data is a header; 0: it can't be one. */
static uint32_t header_len(bool is4, const uint8_t *data, uint32_t len)
{
	uint32_t hdr;

	if (!is4)
		return len < IP6_HLEN ? 0 : IP6_HLEN;
	if (len < IP4_HLEN)
		return 0;
	hdr = MAX((data[0] & 0xfu) * 4, (uint32_t)IP4_HLEN);
	return hdr > len ? 0 : hdr;
}

static int fill(struct pkt *p, struct chunk *c, uint8_t *data, uint32_t len,
		uint32_t hdr)
{
	uint8_t *at = pkt_push(p, hdr);

	if (!at)
		return -ENOBUFS;
	memcpy(at, data, hdr);
	return len > hdr ? pkt_add(p, &c->b, data + hdr, len - hdr) : 0;
}

int raw_send(struct ep *e, const struct dgram_tx *tx, const struct ip_tx *ip,
	     struct chunk *c, uint8_t *data, uint32_t len, struct pkt *p,
	     nsec now)
{
	bool is4 = ip_addr_is4(&tx->dst), own = raw_has_header(e);
	uint32_t hdr = own ? header_len(is4, data, len) : 0;
	struct ip_tx to = *ip;
	int err;

	if (own)
		err = hdr ? fill(p, c, data, len, hdr) : -EINVAL;
	else if (!(err = put_csum(e, tx, data, len)) && len)
		err = pkt_add(p, &c->b, data, len);
	if (err) {
		pkt_free(e->tp->core->arena, p);
		return err;
	}
	if (!own)
		return ip_out(e->tp->ip, p, ip, now);
	to.host_only = ip_addr_is_multicast(&tx->dst) && !data[is4 ? 8 : 7];
	return ip_out_own(e->tp->ip, p, &to, now);
}
