/* SPDX-License-Identifier: MIT
 *
 * ping.c - ping sockets: echo without privilege (icmp(7), Linux 3.0)
 *
 * Only echo requests are sent, whose identifier is the socket's port and whose
 * checksum is ours; only their replies come back, by that identifier.
 */
#include <errno.h>

#include "base/csum.h"
#include "transport/filter.h"
#include "transport/raw.h"
#include "wire/icmp.h"

int ping_finish(const struct ep *e, const struct dgram_tx *tx, uint8_t *data,
		uint32_t len)
{
	bool is4 = e->family == AF_INET;
	uint64_t sum = 0;
	uint16_t csum = 0;

	ASSERT(len >= ICMP_HLEN);
	if (data[0] != (is4 ? ICMP4_ECHO : ICMP6_ECHO) || data[1] != 0)
		return -EINVAL;
	put_be16(data + 4, e->lport);
	memcpy(data + 2, &csum, sizeof(csum));
	if (!is4)
		sum = csum_pseudo(&tx->src, &tx->dst, IPPROTO_ICMPV6, len);
	csum = csum_fold(csum_add(sum, data, len));
	memcpy(data + 2, &csum, sizeof(csum));
	return 0;
}

/* ping_lookup() of Linux: whom one pings is not asked; of those that share an
 * identifier, the newest. */
static struct ep *find(struct transport *tp, bool is4, uint16_t id,
		       const struct ip_addr *laddr, uint32_t dif)
{
	struct ep *e = NULL, *best = NULL;

	while ((e = port_next(tp, EP_PING, id, e))) {
		if ((e->family == AF_INET) != is4)
			continue;
		if (!ip_addr_is_any(&e->laddr) && !ip_addr_eq(&e->laddr, laddr))
			continue;
		if (port_dev_matches(e, dif) &&
		    (!best || e->bind_seq > best->bind_seq))
			best = e;
	}
	return best;
}

enum ip_verdict ping_in(struct transport *tp, const struct ip_rx *rx, nsec now)
{
	struct ep *e;
	uint32_t len = rx->l4_len;

	if (rx->l4_len < ICMP_HLEN)
		return IP_NO_PORT;
	e = find(tp, ip_addr_is4(&rx->dst), get_be16(rx->l4 + 4), &rx->dst,
		 ip_dif(rx));
	if (!e)
		return IP_NO_PORT;
	if (filter_pass(e, rx, rx->l4, &len))
		dgram_deliver(e, rx, rx->l4, len, 0);
	return IP_TAKEN;
}

/* ping_err() of Linux, about the request that is quoted. */
void ping_error(struct transport *tp, const struct ip_error *err, nsec now)
{
	bool hard = err->fatal;
	struct ep *e;

	if (err->l4[0] != (err->is4 ? ICMP4_ECHO : ICMP6_ECHO)) {
		drop(tp->core, DROP_ICMP_NO_SOCK);
		return;
	}
	e = find(tp, err->is4, get_be16(err->l4 + 4), &err->local, 0);
	if (!e) {
		drop(tp->core, DROP_ICMP_NO_SOCK);
		return;
	}
	if (err->err == EMSGSIZE) {
		hard = true;
		if ((err->is4 ? e->pmtudisc : e->pmtudisc6) == IP_PMTUDISC_DONT)
			return;
	}
	dgram_error(e, err, hard, 0, err->l4, err->l4_len);
}
