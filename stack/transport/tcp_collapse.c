/* SPDX-License-Identifier: MIT
 *
 * tcp_collapse.c - received bytes that hold far more memory than they are
 *
 * A packet is read into a buffer for the largest one, before anybody knows how
 * long it is, and the bytes stay where they were read. A joined packet of three
 * segments so holds 66 KiB, and two of them all of the default buffer: its
 * window would close, with room for twenty times as much (Linux lets 119 kB of
 * such packets into a buffer of 128 KiB).
 *
 * So, as tcp_collapse() of Linux: when a reader lags behind and half of the
 * buffer is used, what fills less than half of its memory is copied to where it
 * fits. That is a copy under the lock, of at most 33 KiB, and for two packets
 * at most in one step; who reads as the data comes never pays it.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

static uint32_t tight(uint32_t len)
{
	return (uint32_t)arena_charge(sizeof(struct chunk) + len) +
	       TCP_SLICE_COST;
}

static bool is_loose(uint32_t charge, uint32_t len)
{
	return charge / 2 > tight(len);
}

uint32_t tcp_rslice_held(uint32_t charge, uint32_t len)
{
	return is_loose(charge, len) ? tight(len) : charge;
}

/* Nobody but @r's list knows @r. */
static void tighten(struct tcp_conn *c, struct tcp_rslice *r)
{
	struct ep *e = c->ep;
	struct chunk *k;

	if (!is_loose(r->charge, r->len))
		return;
	k = chunk_new(tcp_arena(c), r->len);
	if (!k)
		return;
	memcpy(k->data, r->p, r->len);
	k->used = r->len;
	buf_put(tcp_arena(c), r->b);
	r->b = &k->b;
	r->p = k->data;
	r->is_gather = true;
	ASSERT(e->rx_mem >= r->charge);
	e->rx_mem -= r->charge;
	r->charge = k->b.size + TCP_SLICE_COST;
	e->rx_mem += r->charge;
	stat_inc(c->t->core, STAT_TcpExtTCPRcvCollapsed);
}

void tcp_rslice_tighten(struct tcp_conn *c, struct tcp_rslice *r,
			struct tcp_rslice *before)
{
	const struct ep *e = c->ep;

	if (e->rx_mem <= e->rcvbuf / 2 || (!before && e->rx_mem <= e->rcvbuf))
		return;
	/* one that is shared is only lent, or cut */
	if (before && before->b->ref == 1)
		tighten(c, before);
	tighten(c, r);
}
