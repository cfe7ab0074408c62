/* SPDX-License-Identifier: MIT
 *
 * row.c - the list of sockets that carry datagrams
 */
#include "transport/row.h"

#include <netinet/tcp.h>

#include "base/util.h"
#include "transport/dgram.h"
#include "transport/ep.h"
#include "transport/tcp.h"
#include "transport/transport.h"

/* Linux lists those that are in a table: raw ones always, others once they
 * have a port. */
static bool is_listed(const struct ep *e, enum ep_kind kind)
{
	return e->kind == kind && !e->is_closed && (kind == EP_RAW || e->lport);
}

unsigned dgram_list(const struct transport *tp, enum ep_kind kind,
		    struct sock_cursor *cur, struct sock_row *rows, unsigned n)
{
	const struct ep *e;
	unsigned k = 0;

	while (k < n && (e = ep_table_walk(&tp->eps, &cur->pos)))
		if (is_listed(e, kind))
			rows[k++] = (struct sock_row){
				.laddr = e->laddr,
				.raddr = e->raddr,
				.lport = kind == EP_RAW ? e->proto : e->lport,
				.rport = e->rport,
				.family = e->family,
				.state = e->is_connected ? TCP_ESTABLISHED
							 : TCP_CLOSE,
				.recv_q = e->rx_mem,
				.send_q = e->tx_mem,
				.drops = e->rx_drops,
				.s = ep_id(e),
			};
	return k;
}
