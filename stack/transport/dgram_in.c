/* SPDX-License-Identifier: MIT
 *
 * dgram_in.c - receiving whole messages, whatever their header
 *
 * A datagram stays in the frame that brought it, which the socket is charged
 * for at its true size.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "transport/dgram.h"
#include "transport/errq.h"
#include "wire/ip4.h"

static struct core *core_of(const struct ep *e)
{
	return e->tp->core;
}

static void update(struct ep *e, bool edge_in)
{
	ep_ready(e, dgram_poll(e), edge_in, false);
}

void dgram_free(struct ep *e, struct dgram *d)
{
	struct arena *a = core_of(e)->arena;

	buf_put(a, d->b);
	arena_free(a, d);
}

/* --- receiving --- */

/* The first datagram, or why there is none. */
static int first(struct ep *e, int flags, struct dgram **out)
{
	int err = -e->err;

	*out = NULL;
	if (err) {
		e->err = 0;
		update(e, false);
		return err;
	}
	if (list_empty(&e->rxq)) {
		/* Linux: end of file for who would wait, EAGAIN for others */
		if (e->shut & EP_SHUT_RD && !(flags & MSG_DONTWAIT))
			return 0;
		return -EAGAIN;
	}
	*out = list_first(&e->rxq, struct dgram, node);
	return 0;
}

/* SO_PEEK_OFF goes through the queue as if it were a stream. */
static struct dgram *at_peek_off(struct ep *e, uint32_t *off)
{
	struct list *n;

	list_for_each (n, &e->rxq) {
		struct dgram *d = list_entry(n, struct dgram, node);
		uint32_t len = d->from.len;

		if (*off < len || (!len && !*off && !d->is_peeked)) {
			d->is_peeked = true;
			return d;
		}
		*off -= len;
	}
	return NULL;
}

/* sk_peek_offset_fwd(), sk_peek_offset_bwd(): by what the call returns. */
static void move_peek(struct ep *e, int flags, uint32_t len)
{
	if (e->peek_off < 0)
		return;
	if (flags & MSG_PEEK)
		e->peek_off += (int32_t)len;
	else
		e->peek_off = MAX(e->peek_off - (int32_t)len, 0);
}

int dgram_recv_begin(struct ep *e, size_t want, int flags,
		     struct dgram_from *from, struct span *sp, nsec now)
{
	struct dgram *d = NULL;
	int err = -EOPNOTSUPP;
	uint32_t off = 0;
	size_t len;

	*sp = (struct span){0};
	*from = (struct dgram_from){0};
	if (!(flags & MSG_OOB) || e->kind == EP_UDP)
		err = first(e, flags, &d);
	if (d && flags & MSG_PEEK && e->peek_off >= 0) {
		off = (uint32_t)e->peek_off;
		d = at_peek_off(e, &off);
		err = -EAGAIN;
	}
	if (!d)
		return err;
	*from = d->from;
	len = MIN(want, from->len - off);
	sp->v[0].iov_base = (void *)(uintptr_t)(d->data + off);
	sp->v[0].iov_len = len;
	sp->num_v = len > 0;
	move_peek(e, flags, flags & MSG_TRUNC ? from->len : (uint32_t)len);
	if (flags & MSG_PEEK) {
		sp->pin = (uintptr_t)buf_get(d->b);
		return (int)len;
	}
	sp->pin = (uintptr_t)buf_get(d->b);
	list_remove(&d->node);
	e->num_rxq--;
	e->rx_mem -= d->charge;
	dgram_free(e, d);
	update(e, false);
	return (int)len;
}

void dgram_recv_commit(struct ep *e, struct span *sp)
{
	if (sp->pin)
		buf_put(core_of(e)->arena, (struct buf *)(uintptr_t)sp->pin);
	sp->pin = 0;
}

int dgram_ioctl(struct ep *e, unsigned long req)
{
	struct dgram *d = list_first(&e->rxq, struct dgram, node);

	if (e->kind == EP_PING) /* ping_prot of Linux has no ioctl */
		return -ENOTTY;
	switch (req) {
	case FIONREAD:
		return d ? (int)d->from.len : 0;
	case TIOCOUTQ:
		return (int)e->tx_mem;
	default:
		return -ENOTTY;
	}
}

/* --- from ip --- */

/* Is there room? An empty queue takes anything, as Linux's does. */
static bool has_room(const struct ep *e, uint32_t charge)
{
	return e->rx_mem == 0 || e->rx_mem + charge <= e->rcvbuf;
}

void dgram_error(struct ep *e, const struct ip_error *err, bool hard,
		 uint16_t port, const uint8_t *payload, uint32_t len)
{
	bool wants = ep_opt(e, err->is4 ? EP_O_RECVERR : EP_O_RECVERR6);

	if (!wants && (!hard || !e->is_connected))
		return;
	if (wants)
		errq_icmp(e, err, port, payload, len);
	ep_error(e, err->err);
}

struct dgram_from dgram_from_rx(const struct ip_rx *rx)
{
	return (struct dgram_from){
		.src = rx->src,
		.dst = rx->dst,
		.flow = rx->flow,
		.ttl = rx->ttl,
		.tos = rx->tos,
		.link = rx->link,
		.at = rx->f->at,
	};
}

/* Bytes of IPv4 options in front of @rx's datagram. */
static uint8_t num_opts(const struct ip_rx *rx)
{
	if (!ip_addr_is4(&rx->dst))
		return 0;
	return (uint8_t)((rx->f->data[0] & 0xfu) * 4 - IP4_HLEN);
}

bool dgram_enqueue(struct ep *e, const struct ip_rx *rx, struct frame *f,
		   const uint8_t *data, uint32_t len, uint32_t charge,
		   uint16_t sport)
{
	struct core *c = core_of(e);
	struct dgram *d;

	if (!has_room(e, charge)) {
		e->rx_drops++;
		if (e->kind == EP_UDP) {
			stat_inc(c, STAT_UdpRcvbufErrors);
			stat_inc(c, STAT_UdpInErrors);
		}
		drop(c, DROP_UDP_RCVBUF);
		return false;
	}
	d = arena_alloc(c->arena, sizeof(*d));
	if (!d) {
		e->rx_drops++;
		if (e->kind == EP_UDP)
			stat_inc(c, STAT_UdpInErrors);
		drop(c, DROP_NO_MEM);
		return false;
	}
	*d = (struct dgram){
		.b = buf_get(&f->b),
		.data = data,
		.charge = charge,
		.from = dgram_from_rx(rx),
	};
	d->from.len = len;
	d->from.drops = e->rx_drops;
	d->from.sport = sport;
	if (f == rx->f && num_opts(rx)) {
		d->from.num_opts = num_opts(rx);
		d->from.opts = f->data + IP4_HLEN;
	}
	list_push(&e->rxq, &d->node);
	e->num_rxq++;
	e->rx_mem += charge;
	if (e->kind == EP_UDP)
		stat_inc(c, STAT_UdpInDatagrams);
	update(e, true);
	return true;
}

/* What may be copied under the lock without a thought. Linux's skb of so little
 * counts 768 bytes against SO_RCVBUF, a frame of copy-break three times that.
 */
#define SMALL_LEN 256

/* A datagram in a frame much larger than itself moves to one of its size, or
 * a few would fill the receive buffer. NULL: stays where it is. */
static struct frame *shrink(struct core *c, const struct ip_rx *rx,
			    const uint8_t *data, uint32_t len)
{
	struct frame *f;

	if (num_opts(rx)) /* they are told, too */
		return NULL;
	if (rx->f->b.size <= 2 * len + FRAME_SMALL &&
	    (len > SMALL_LEN || rx->f->b.size <= FRAME_SMALL / 2))
		return NULL;
	f = frame_new(c->arena, MAX(len, 1u));
	if (!f)
		return NULL;
	memcpy(f->data, data, len);
	f->at = rx->f->at;
	return f;
}

bool dgram_deliver(struct ep *e, const struct ip_rx *rx, const uint8_t *data,
		   uint32_t len, uint16_t sport)
{
	struct core *c = core_of(e);
	uint32_t charge = rx->f->b.size + sizeof(struct dgram);
	struct frame *f = shrink(c, rx, data, len);
	bool done;

	if (!f)
		return dgram_enqueue(e, rx, rx->f, data, len, charge, sport);
	charge = f->b.size + sizeof(struct dgram);
	done = dgram_enqueue(e, rx, f, f->data, len, charge, sport);
	frame_put(c->arena, f);
	return done;
}
