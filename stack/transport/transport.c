/* SPDX-License-Identifier: MIT
 *
 * transport.c - the transports' common state, made and taken apart
 */
#include "transport/transport.h"

#include <errno.h>

#include "transport/tcp.h"

int transport_init(struct transport *tp, struct core *c, struct ip *ip)
{
	*tp = (struct transport){.core = c, .ip = ip};
	list_init(&tp->ready);
	list_init(&tp->groups);
	if (ep_table_init(&tp->eps, c))
		return -ENOMEM;
	if (htab_init(&tp->ports, c->arena))
		goto no_ports;
	if (htab_init(&tp->udp_conn, c->arena))
		goto no_conn;
	for (unsigned i = 0; i < PORT_NUM_NEXT; i++)
		tp->port_next[i] = rng_u32(&c->rng);
	tp->tcp = tcp_new(tp);
	if (!tp->tcp)
		goto no_tcp;
	return 0;
no_tcp:
	htab_fini(&tp->udp_conn);
no_conn:
	htab_fini(&tp->ports);
no_ports:
	ep_table_fini(&tp->eps, c);
	return -ENOMEM;
}

/* Every connection is dropped first; what is left then is held by an fd or by
 * an accept queue that is gone. */
void transport_fini(struct transport *tp)
{
	uint32_t pos = 0;
	struct ep *e;

	if (!tp->core)
		return;
	tcp_free(tp->tcp);
	tp->tcp = NULL;
	while ((e = ep_table_walk(&tp->eps, &pos))) {
		e->refs = 1;
		ep_put(e);
	}
	htab_fini(&tp->udp_conn);
	htab_fini(&tp->ports);
	ep_table_fini(&tp->eps, tp->core);
	tp->core = NULL;
}
