/* SPDX-License-Identifier: MIT
 *
 * transport.c - the transports' common state, made and taken apart
 */
#include "transport/transport.h"

#include <errno.h>

#include "transport/loan.h"
#include "transport/tcp.h"

static int parties_init(struct transport *tp, unsigned num)
{
	tp->num_parties = MAX(num, 1u);
	list_init(&tp->news);
	tp->parties = arena_alloc(tp->core->arena,
				  tp->num_parties * sizeof(tp->parties[0]));
	for (unsigned i = 0; tp->parties && i < tp->num_parties; i++) {
		list_init(&tp->parties[i].subs);
		list_init(&tp->parties[i].link);
	}
	return tp->parties ? 0 : -ENOMEM;
}

int transport_init(struct transport *tp, struct core *c, struct ip *ip,
		   unsigned num_parties)
{
	*tp = (struct transport){.core = c, .ip = ip};
	list_init(&tp->raws);
	if (parties_init(tp, num_parties))
		return -ENOMEM;
	if (ep_table_init(&tp->eps, c))
		goto no_eps;
	if (htab_init(&tp->tags, c->arena))
		goto no_tags;
	if (htab_init(&tp->ports, c->arena))
		goto no_ports;
	if (htab_init(&tp->udp_conn, c->arena))
		goto no_conn;
	for (unsigned i = 0; i < PORT_NUM_NEXT; i++)
		tp->port_next[i] = rng_u32(&c->rng);
	if (loans_init(tp))
		goto no_loans;
	tp->tcp = tcp_new(tp);
	if (!tp->tcp)
		goto no_tcp;
	return 0;
no_tcp:
	loans_free(tp);
no_loans:
	htab_fini(&tp->udp_conn);
no_conn:
	htab_fini(&tp->ports);
no_ports:
	htab_fini(&tp->tags);
no_tags:
	ep_table_fini(&tp->eps, c);
no_eps:
	arena_free(c->arena, tp->parties);
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
	htab_fini(&tp->tags);
	loans_free(tp);
	ep_table_fini(&tp->eps, tp->core);
	arena_free(tp->core->arena, tp->parties);
	tp->core = NULL;
}
