/* SPDX-License-Identifier: MIT
 *
 * tcp_rcvbuf.c - what is received: slices of frames, and reading them
 *
 * Slices refer to the frames as they came; begin takes them off the queue and
 * lends them, commit gives back what was not used.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_conn.h"

#define CHUNK_SMALL 1984u /* small payloads are gathered in */

/* --- receive buffer --- */

uint32_t tcp_win_from_space(const struct tcp_conn *c, uint32_t space)
{
	return (uint32_t)((uint64_t)space * c->win_ratio >> 8);
}

uint32_t tcp_rcv_avail(const struct tcp_conn *c)
{
	const struct tcp_rslice *first =
		list_first(&c->rcvq, struct tcp_rslice, node);
	uint32_t n;

	if (!first)
		return 0;
	n = c->rcv_nxt - c->copied_seq - c->fin_rcvd;
	/* the urgent byte is not read with the others: Linux's tcp_inq() */
	if (c->urg_state && !ep_opt(c->ep, EP_O_OOBINLINE) &&
	    seq_geq(c->urg_seq, c->copied_seq) &&
	    seq_lt(c->urg_seq, c->copied_seq + n)) {
		if (c->urg_seq != c->copied_seq)
			n = c->urg_seq - c->copied_seq;
		else
			n--;
	}
	return n;
}

/* Room is judged before the new data is charged, so that one frame always gets
 * in; and what the window has promised is not dropped lightly: frames come in
 * buffers much larger than what is in them. */
bool tcp_rcv_has_room(const struct tcp_conn *c)
{
	const struct ep *e = c->ep;

	return e->rx_mem <= 2 * (uint64_t)e->rcvbuf + (256u << 10) &&
	       tcp_mem_may_recv(c);
}

static struct tcp_rslice *rslice_for(struct tcp_conn *c, struct buf *b,
				     uint8_t *p, uint32_t seq, uint32_t len)
{
	struct tcp_rslice *r = arena_alloc(tcp_arena(c), sizeof(*r));

	if (!r)
		return NULL;
	*r = (struct tcp_rslice){.b = b, .p = p, .seq = seq, .len = len};
	list_init(&r->node);
	return r;
}

struct tcp_rslice *tcp_rslice_new(struct tcp_conn *c, struct tcp_seg *s,
				  uint32_t seq, uint32_t len)
{
	struct buf *b = &s->rx->f->b;
	uint8_t *p = s->rx->f->data + (s->data - s->rx->f->data);
	struct tcp_rslice *r;

	r = rslice_for(c, b, p + (seq - s->seq), seq, len);
	if (!r)
		return NULL;
	buf_get(b);
	r->charge = b->size + TCP_SLICE_COST;
	r->at = s->rx->f->at;
	c->ep->rx_mem += r->charge;
	return r;
}

static void uncharge_rx(struct tcp_conn *c, uint32_t n)
{
	ASSERT(c->ep->rx_mem >= n);
	c->ep->rx_mem -= n;
}

void tcp_rslice_free(struct tcp_conn *c, struct tcp_rslice *r)
{
	list_remove(&r->node);
	uncharge_rx(c, r->charge);
	buf_put(tcp_arena(c), r->b);
	arena_free(tcp_arena(c), r);
}

void tcp_rcv_free(struct tcp_conn *c)
{
	while (!list_empty(&c->rcvq))
		tcp_rslice_free(c,
				list_first(&c->rcvq, struct tcp_rslice, node));
}

/* Above half of the buffer small payloads are copied together instead of each
 * holding the frame it came in. */
static bool gather(struct tcp_conn *c, const uint8_t *p, uint32_t len)
{
	struct tcp_rslice *last = list_last(&c->rcvq, struct tcp_rslice, node);
	struct chunk *k;

	if (len > TCP_COPY_MAX || c->ep->rx_mem < c->ep->rcvbuf / 2)
		return false;
	k = last && last->is_gather ? (struct chunk *)(void *)last->b : NULL;
	if (!k || k->room - k->used < len || k->b.ref != 1) {
		k = chunk_new(tcp_arena(c), CHUNK_SMALL);
		if (!k)
			return false;
		last = rslice_for(c, &k->b, k->data, c->rcv_nxt, 0);
		if (!last) {
			buf_put(tcp_arena(c), &k->b);
			return false;
		}
		last->is_gather = true;
		last->charge = k->b.size + TCP_SLICE_COST;
		c->ep->rx_mem += last->charge;
		list_push(&c->rcvq, &last->node);
	}
	memcpy(k->data + k->used, p, len);
	k->used += len;
	last->len += len;
	stat_inc(c->t->core, STAT_TcpExtTCPRcvCollapsed);
	return true;
}

bool tcp_rcv_queue(struct tcp_conn *c, struct tcp_seg *s)
{
	uint32_t off = c->rcv_nxt - s->seq;
	uint32_t len = s->len - off;
	struct tcp_rslice *r, *last;

	if (gather(c, s->data + off, len)) {
		list_last(&c->rcvq, struct tcp_rslice, node)->at = s->rx->f->at;
	} else {
		r = tcp_rslice_new(c, s, c->rcv_nxt, len);
		if (!r)
			return false;
		last = list_last(&c->rcvq, struct tcp_rslice, node);
		list_push(&c->rcvq, &r->node);
		tcp_rslice_tighten(c, r, last);
	}
	c->rcv_nxt += len;
	c->bytes_received += len;
	return true;
}

bool tcp_rcv_append(struct tcp_conn *c, struct chunk *k, uint8_t *p, uint32_t n,
		    nsec now)
{
	struct tcp_rslice *r = rslice_for(c, &k->b, p, c->rcv_nxt, n);

	if (!r)
		return false;
	buf_get(&k->b);
	k->used += n;
	r->charge = n + TCP_SLICE_COST;
	r->at = now;
	c->ep->rx_mem += r->charge;
	list_push(&c->rcvq, &r->node);
	c->rcv_nxt += n;
	c->rcv_wup = c->rcv_nxt;
	return true;
}

/* --- receive --- */

static int nothing_to_read(struct ep *e)
{
	struct tcp_conn *c = e->tcp;
	int err = e->err;

	if (c && c->fin_rcvd)
		return 0;
	if (err) {
		e->err = 0;
		ep_ready(e, tcp_poll(e), false, false);
		return -err;
	}
	if (e->shut & EP_SHUT_RD)
		return 0;
	if (!c || c->state == TCPS_CLOSED)
		return c && c->was_established ? 0 : -ENOTCONN;
	return -EAGAIN;
}

static int recv_oob(struct tcp_conn *c, int flags, struct span *sp)
{
	struct tcp_lend *l;
	struct chunk *k;

	if (ep_opt(c->ep, EP_O_OOBINLINE) || !c->urg_state ||
	    c->urg_state == TCP_URG_READ)
		return -EINVAL;
	if (c->state == TCPS_CLOSED && !c->fin_rcvd)
		return -ENOTCONN;
	if (c->urg_state == TCP_URG_NOTYET)
		return c->ep->shut & EP_SHUT_RD ? 0 : -EAGAIN;
	l = tcp_lend_new(c, true);
	k = l ? chunk_new(tcp_arena(c), 16) : NULL;
	if (!k) {
		if (l)
			tcp_lend_free(c->t, l);
		return -EAGAIN;
	}
	k->data[0] = c->urg_byte;
	l->c[l->num++] = k;
	l->is_peek = true;
	sp->v[sp->num_v++] = (struct iovec){k->data, 1};
	sp->pin = (uintptr_t)l;
	if (!(flags & MSG_PEEK))
		c->urg_state = TCP_URG_READ;
	return 1;
}

/* The rest of @r, from @n on, stays on the queue as a slice of its own. */
static bool cut_rslice(struct tcp_conn *c, struct tcp_rslice *r, uint32_t n)
{
	struct tcp_rslice *rest =
		rslice_for(c, r->b, r->p + n, r->seq + n, r->len - n);

	if (!rest)
		return false;
	buf_get(r->b);
	rest->at = r->at;
	rest->charge = TCP_SLICE_COST; /* the buffer stays with the first */
	c->ep->rx_mem += rest->charge;
	list_insert(&rest->node, &r->node, r->node.next);
	r->len = n;
	return true;
}

/* How far one call may read: not across the urgent mark, nor, unless it is read
 * inline, over the urgent byte (tcp_recvmsg_locked() of Linux). */
static uint32_t read_limit(struct tcp_conn *c, uint32_t seq)
{
	uint32_t end = c->rcv_nxt - c->fin_rcvd;

	if (c->urg_state && seq_lt(seq, c->urg_seq) && seq_lt(c->urg_seq, end))
		return c->urg_seq - seq;
	return end - seq;
}

static bool urgent_is_next(const struct tcp_conn *c)
{
	return !list_empty(&c->rcvq) && c->urg_state &&
	       !ep_opt(c->ep, EP_O_OOBINLINE) && c->urg_seq == c->copied_seq;
}

/* The urgent byte at the head of the queue is passed over. */
static void skip_urgent(struct tcp_conn *c)
{
	struct tcp_rslice *r = list_first(&c->rcvq, struct tcp_rslice, node);

	c->copied_seq++;
	r->seq++;
	r->p++;
	if (--r->len == 0)
		tcp_rslice_free(c, r);
	c->urg_state = 0;
}

void tcp_rcv_drop_urgent(struct tcp_conn *c)
{
	if (urgent_is_next(c))
		skip_urgent(c);
}

static void lend_peek(struct tcp_conn *c, struct span *sp, struct tcp_lend *l,
		      uint32_t skip, uint32_t want)
{
	struct list *p;

	l->skip = skip;
	l->want = want;
	list_for_each (p, &c->rcvq) {
		struct tcp_rslice *r = list_entry(p, struct tcp_rslice, node);
		unsigned num = l->num;

		if (!tcp_lend_look(l, sp, r->b, r->p, r->len))
			break;
		if (l->num > num)
			sp->at = r->at;
	}
}

static void lend_rslices(struct tcp_conn *c, struct span *sp,
			 struct tcp_lend *l, uint32_t want)
{
	while (l->bytes < want && sp->num_v < SPAN_MAX_V) {
		struct tcp_rslice *r =
			list_first(&c->rcvq, struct tcp_rslice, node);

		if (!r)
			break;
		if (r->len > want - l->bytes &&
		    !cut_rslice(c, r, want - l->bytes))
			break;
		sp->v[sp->num_v++] = (struct iovec){r->p, r->len};
		sp->at = r->at;
		l->bytes += r->len;
		list_remove(&r->node);
		list_push(&l->slices, &r->node);
	}
	/* not + l->bytes: what was given back may lie before a gap */
	c->copied_seq =
		list_empty(&c->rcvq)
			? c->rcv_nxt - c->fin_rcvd
			: list_first(&c->rcvq, struct tcp_rslice, node)->seq;
	if (c->urg_state && seq_gt(c->copied_seq, c->urg_seq))
		c->urg_state = 0;
}

int tcp_recv_begin(struct ep *e, size_t want, int flags, uint32_t skip,
		   struct span *sp, nsec now)
{
	struct tcp_conn *c = e->tcp;
	struct tcp_lend *l;
	uint32_t n;

	*sp = (struct span){0};
	if (e->listen)
		return -ENOTCONN;
	if (c && tcp_in_repair(e)) {
		int err = tcp_repair_may_recv(e, flags);

		if (err)
			return err;
		if (e->topt.repair.queue == TCP_REPAIR_SEND)
			return tcp_snd_peek(c, sp, skip, (uint32_t)want);
	}
	if (flags & MSG_OOB)
		return c ? recv_oob(c, flags, sp) : -EINVAL;
	if (c && urgent_is_next(c) && !(flags & MSG_PEEK))
		skip_urgent(c);
	if (!c || list_empty(&c->rcvq))
		return nothing_to_read(e);
	if (!want)
		return 0;
	l = tcp_lend_new(c, true);
	if (!l)
		return -EAGAIN;
	l->is_peek = flags & MSG_PEEK;
	skip = l->is_peek ? skip + urgent_is_next(c) : 0;
	skip = MIN(skip, c->rcv_nxt - c->fin_rcvd - c->copied_seq);
	n = (uint32_t)MIN(want, read_limit(c, c->copied_seq + skip));
	if (l->is_peek)
		lend_peek(c, sp, l, skip, n);
	else
		lend_rslices(c, sp, l, n);
	if (!l->bytes) { /* nothing but the urgent byte */
		tcp_lend_free(c->t, l);
		return nothing_to_read(e);
	}
	sp->pin = (uintptr_t)l;
	return (int)l->bytes;
}

/* Back where it was by sequence number: somebody may have read on meanwhile. */
static void put_back(struct tcp_conn *c, struct tcp_rslice *r)
{
	struct list *at = c->rcvq.next;

	while (at != &c->rcvq &&
	       seq_lt(list_entry(at, struct tcp_rslice, node)->seq, r->seq))
		at = at->next;
	list_insert(&r->node, at->prev, at);
	if (seq_lt(r->seq, c->copied_seq))
		c->copied_seq = r->seq;
}

static void consume(struct tcp_conn *c, struct tcp_lend *l, uint32_t used)
{
	struct list *n;

	while ((n = list_pop(&l->slices))) {
		struct tcp_rslice *r = list_entry(n, struct tcp_rslice, node);
		uint32_t k = MIN(used, r->len);

		used -= k;
		if (k == r->len) {
			tcp_rslice_free(c, r);
			continue;
		}
		r->p += k;
		r->seq += k;
		r->len -= k;
		put_back(c, r);
	}
}

/* Did a write of the peer's end with what we have not acknowledged? Without an
 * ACK its next small one waits for ours (Nagle). One that is answered anyway
 * doesn't need it. */
static bool is_pushed(const struct tcp_conn *c)
{
	return c->owe & TCP_OWE_PUSHED2 ||
	       (c->owe & TCP_OWE_PUSHED && !tcp_is_pingpong(c));
}

/* tcp_cleanup_rbuf(): tell the peer that the window has opened, or that its
 * data was taken when we owe it an ACK for more than a segment. */
static void after_read(struct tcp_conn *c, bool copied, nsec now)
{
	bool now_please = false;

	if (!TCPS_IN(c, TCPS_CAN_RECV))
		return;
	if (c->owe && (c->rcv_nxt - c->rcv_wup > c->rcv_mss ||
		       (copied && c->rcv_nxt != c->rcv_wup && is_pushed(c) &&
			list_empty(&c->rcvq))))
		now_please = true;
	if (copied && !now_please) {
		uint32_t left = c->rcv_wup + c->rcv_wnd - c->rcv_nxt;

		if (2 * left <= c->window_clamp) {
			uint32_t win = tcp_select_window(c);

			now_please = win && win >= 2 * left;
		}
	}
	if (now_please)
		tcp_send_ack(c, now);
}

int tcp_recv_commit(struct ep *e, struct span *sp, size_t used, int flags,
		    nsec now)
{
	struct tcp *t = e->tp->tcp;
	struct tcp_lend *l = tcp_lend_of(sp);
	struct tcp_conn *c = l ? l->conn : NULL;

	t->mem.now = now;
	sp->pin = 0;
	if (!l)
		return 0;
	if (!c || c != e->tcp) {
		/* it is gone, and with it what was charged */
		tcp_lend_free(t, l);
		return (int)used;
	}
	if (!l->is_peek) {
		consume(c, l, (uint32_t)used);
		if (c->state != TCPS_CLOSED) {
			tcp_rcv_space_adjust(c, now);
			after_read(c, used > 0, now);
		}
		tcp_ready(c, false, false);
		tcp_timer_sync(c);
	}
	tcp_lend_free(t, l);
	tcp_check(c);
	return (int)used;
}
