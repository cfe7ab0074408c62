/* SPDX-License-Identifier: MIT */
#include "transport/errq.h"

#include <errno.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>

#include "base/util.h"

/* What a note about a small packet costs Linux: SKB_TRUESIZE of its head. */
#define NOTE_COST 768

uint32_t errq_poll(const struct ep *e)
{
	uint32_t bits = EPOLLERR;

	if (list_empty(&e->errq))
		return 0;
	if (!e->err)
		bits |= SOCK_POLL_NOTE;
	if (ep_opt(e, EP_O_SELECT_ERRQ) && e->kind != EP_TCP)
		bits |= EPOLLPRI;
	return bits;
}

void errq_free(struct core *c, struct errq_note *n)
{
	if (n->b)
		buf_put(c->arena, n->b);
	if (n->pkt)
		pkt_free(c->arena, n->pkt);
	arena_free(c->arena, n);
}

void errq_fini(struct ep *e)
{
	struct list *n;

	while ((n = list_pop(&e->errq)))
		errq_free(e->tp->core, list_entry(n, struct errq_note, node));
}

void errq_purge(struct ep *e)
{
	struct list *l, *tmp;

	list_for_each_safe (l, tmp, &e->errq) {
		struct errq_note *n = list_entry(l, struct errq_note, node);

		if (n->ee.ee_origin == SO_EE_ORIGIN_ZEROCOPY)
			continue;
		list_remove(l);
		e->rx_mem -= n->charge;
		errq_free(e->tp->core, n);
	}
}

static bool is_icmp(const struct errq_note *n)
{
	return n->ee.ee_origin == SO_EE_ORIGIN_ICMP ||
	       n->ee.ee_origin == SO_EE_ORIGIN_ICMP6;
}

static uint32_t cost_of(const struct errq_note *n)
{
	uint32_t cost = NOTE_COST;

	if (n->b)
		cost += n->b->size;
	if (n->pkt)
		cost += sizeof(*n->pkt) + n->pkt->len;
	return cost;
}

/* Zerocopy notes are paid for by their sends, the others by rcvbuf. */
static struct errq_note *enter(struct ep *e, const struct errq_note *n)
{
	uint32_t cost =
		n->ee.ee_origin == SO_EE_ORIGIN_ZEROCOPY ? 0 : cost_of(n);
	struct errq_note *new = NULL;

	if (!cost || e->rx_mem + cost < e->rcvbuf)
		new = arena_alloc(e->tp->core->arena, sizeof(*new));
	if (!new)
		return NULL;
	*new = *n;
	new->charge = cost;
	e->rx_mem += cost;
	list_push(&e->errq, &new->node);
	ep_ready(e, e->bits | errq_poll(e), true, false);
	return new;
}

int errq_push(struct ep *e, const struct errq_note *n)
{
	struct core *c = e->tp->core;

	if (!e->is_closed && enter(e, n))
		return 0;
	if (n->b)
		buf_put(c->arena, n->b);
	if (n->pkt)
		pkt_free(c->arena, n->pkt);
	return -ENOMEM;
}

/* The quote moves to memory of its size: notes may wait for long. */
static void keep_quote(struct ep *e, struct errq_note *n, const uint8_t *p,
		       uint32_t len)
{
	struct frame *f = len ? frame_new(e->tp->core->arena, len) : NULL;

	if (!f)
		return;
	memcpy(f->data, p, len);
	n->b = &f->b;
	n->data = f->data;
	n->len = len;
}

void errq_icmp(struct ep *e, const struct ip_error *err, uint16_t port,
	       const uint8_t *payload, uint32_t len)
{
	struct errq_note n = {
		.ee = {.ee_errno = (uint32_t)err->err,
		       .ee_origin = err->is4 ? SO_EE_ORIGIN_ICMP
					     : SO_EE_ORIGIN_ICMP6,
		       .ee_type = err->type,
		       .ee_code = err->code,
		       .ee_info = err->info},
		.has_name = true,
		.has_info = true,
		.name = err->remote,
		.port = port,
		.info = dgram_from_rx(err->rx),
		.at = err->rx->f->at,
	};

	keep_quote(e, &n, payload, len);
	errq_push(e, &n);
}

void errq_local(struct ep *e, int err, const struct ip_addr *dst, uint16_t port,
		uint32_t mtu)
{
	bool is4 = ip_addr_is4(dst);
	struct errq_note n = {
		.ee = {.ee_errno = (uint32_t)err,
		       .ee_origin = SO_EE_ORIGIN_LOCAL,
		       .ee_info = mtu},
		.has_name = true,
		.name = *dst,
		.port = port,
	};

	if (ep_opt(e, is4 ? EP_O_RECVERR : EP_O_RECVERR6))
		errq_push(e, &n);
}

/* The packet itself goes with the note, headers and all, and who asked for
 * PKTINFO may know from where it left. */
static void keep_packet(struct ep *e, struct errq_note *n, const struct pkt *p)
{
	const uint8_t *h = p->room + p->head;
	bool is4 = h[0] >> 4 == 4;

	n->pkt = pkt_clone(e->tp->core->arena, p);
	n->len = n->pkt ? p->len : 0;
	if (!pkt_head_len(p)) /* bytes of a stream */
		return;
	n->has_info =
		e->family == AF_INET6 || e->tsflags & SOF_TIMESTAMPING_OPT_CMSG;
	n->info = (struct dgram_from){
		.src = is4 ? ip_addr_v4(h + 12) : ip_addr_v6(h + 8),
		.dst = is4 ? ip_addr_v4(h + 16) : ip_addr_v6(h + 24),
		.ttl = is4 ? h[8] : h[7],
		.tos = is4 ? h[1] : (uint8_t)(h[0] << 4 | h[1] >> 4),
		.link = p->link,
	};
}

void errq_stamp(struct ep *e, uint32_t type, uint32_t id, const struct pkt *p,
		nsec now)
{
	struct errq_note n = {
		.ee = {.ee_errno = ENOMSG,
		       .ee_origin = SO_EE_ORIGIN_TIMESTAMPING,
		       .ee_info = type},
		.at = now,
	};

	if (e->tsflags & SOF_TIMESTAMPING_OPT_ID)
		n.ee.ee_data = id;
	if (p && !(e->tsflags & SOF_TIMESTAMPING_OPT_TSONLY))
		keep_packet(e, &n, p);
	errq_push(e, &n);
}

/* __msg_zerocopy_callback(): goes on from the last note if it can. */
void errq_zerocopy(struct ep *e, uint32_t id)
{
	struct errq_note *last = list_last(&e->errq, struct errq_note, node);
	struct errq_note n = {
		.ee = {.ee_origin = SO_EE_ORIGIN_ZEROCOPY,
		       .ee_code = SO_EE_CODE_ZEROCOPY_COPIED,
		       .ee_info = id,
		       .ee_data = id},
	};

	if (last && last->ee.ee_origin == SO_EE_ORIGIN_ZEROCOPY &&
	    last->ee.ee_data + 1 == id) {
		last->ee.ee_data = id;
		ep_ready(e, e->bits | errq_poll(e), true, false);
		return;
	}
	errq_push(e, &n);
}

/* sock_dequeue_err_skb() */
struct errq_note *errq_take(struct ep *e)
{
	struct list *l = list_pop(&e->errq);
	struct errq_note *n, *next;

	if (!l)
		return NULL;
	n = list_entry(l, struct errq_note, node);
	next = list_first(&e->errq, struct errq_note, node);
	e->rx_mem -= n->charge;
	if (next && is_icmp(next))
		e->err = (int)next->ee.ee_errno;
	else if (is_icmp(n))
		e->err = 0;
	return n;
}

static uint32_t lend(struct span *sp, uint8_t *p, uint32_t len, size_t want)
{
	len = (uint32_t)MIN(len, want);
	if (len)
		sp->v[sp->num_v++] = (struct iovec){p, len};
	return len;
}

uint32_t errq_payload(const struct errq_note *n, size_t want, struct span *sp)
{
	uint32_t done = 0;

	if (n->b)
		return lend(sp, (uint8_t *)(uintptr_t)n->data, n->len, want);
	if (!n->pkt)
		return 0;
	done = lend(sp, pkt_head(n->pkt), pkt_head_len(n->pkt), want);
	for (unsigned i = 0; i < n->pkt->num_v; i++)
		done += lend(sp, n->pkt->v[i].p, n->pkt->v[i].len, want - done);
	return done;
}
