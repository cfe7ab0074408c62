/* SPDX-License-Identifier: MIT
 *
 * demux.c - from ip to the transports: a row of proto.def each
 */
#include "transport/raw.h"
#include "transport/rebuild.h"
#include "transport/tcp.h"
#include "transport/transport.h"
#include "transport/udp.h"

static enum ip_verdict tcp_deliver(struct transport *tp, const struct ip_rx *rx,
				   nsec now)
{
	tcp_in(tp->tcp, rx, now);
	return IP_TAKEN;
}

static void tcp_deliver_error(struct transport *tp, const struct ip_error *e,
			      nsec now)
{
	tcp_error(tp->tcp, e, now);
}

static const struct proto {
	uint8_t number;
	enum ip_verdict (*in)(struct transport *, const struct ip_rx *, nsec);
	void (*error)(struct transport *, const struct ip_error *, nsec);
} protos[] = {
#define PROTO(number, in, error) {number, in, error},
#include "transport/proto.def"
#undef PROTO
};

static const struct proto *find(uint8_t number)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].number == number)
			return &protos[i];
	return NULL;
}

enum ip_verdict ip_deliver(struct transport *tp, const struct ip_rx *rx,
			   nsec now)
{
	const struct proto *p = find(rx->proto);

	transport_note(tp, NULL);
	return p ? p->in(tp, rx, now) : IP_NO_PROTO;
}

void ip_deliver_error(struct transport *tp, const struct ip_error *e, nsec now)
{
	const struct proto *p = find(e->proto);

	raw_error(tp, e);
	if (p)
		p->error(tp, e, now);
	else
		drop(tp->core, DROP_ICMP_NO_SOCK);
}

bool ip_deliver_raw(struct transport *tp, const struct ip_rx *rx, nsec now)
{
	return !list_empty(&tp->raws) && raw_in(tp, rx);
}

void link_tx_room_again(struct ip *ip, nsec now)
{
	tcp_tx_room(ip->tp->tcp, now);
}

void link_tx_stamp(struct ip *ip, const struct pkt *p, uint32_t type, nsec now)
{
	struct ep *e = ep_find(ip->tp, p->cookie);

	if (e && e->kind == EP_TCP)
		tcp_mark_sent(e, type, p, now);
	else if (e)
		dgram_tx_stamp(e, type, p, now);
}

/* The cookie is a sockid: an endpoint that is gone has nothing to be told. */
void link_tx_done(struct ip *ip, uint64_t cookie, uint32_t charge, int res,
		  nsec now)
{
	struct ep *e = ep_find(ip->tp, cookie);

	if (!e)
		return;
	if (dgram_is(e))
		dgram_tx_done(e, charge);
	else
		e->tx_mem -= MIN(charge, e->tx_mem);
}

void link_charge(struct ip *ip, uint64_t cookie, uint32_t charge)
{
	transport_charge(ip->tp, cookie, charge);
}
