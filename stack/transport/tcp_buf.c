/* SPDX-License-Identifier: MIT
 *
 * tcp_buf.c - the bytes of a connection: send chunks, receive slices, and how
 *	       large both sides may grow
 *
 * Sending: begin lends memory that nobody else sees, the rest of the last chunk
 * or new chunks; commit makes slices of it, in the order of commits. Slices are
 * read-only from then on and go when they are acknowledged; the device may hold
 * the chunk longer. Receiving: slices refer to the frames as they came; begin
 * takes them off the queue and lends them, commit gives back what was not used.
 *
 * The caller may take its time, or die, between the two. So what is lent hangs
 * on struct tcp, not on the connection, and outlives it.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_conn.h"

#define CHUNK_SMALL 1984u /* a first small write takes no 16 KiB */

/* --- what is lent --- */

static struct tcp_lend *lend_new(struct tcp_conn *c, bool is_recv)
{
	struct tcp_lend *l = arena_zalloc(tcp_arena(c), sizeof(*l));

	if (!l)
		return NULL;
	l->conn = c;
	l->is_recv = is_recv;
	list_init(&l->slices);
	list_push(&c->t->lends, &l->link);
	return l;
}

static void lend_free(struct tcp *t, struct tcp_lend *l)
{
	struct arena *a = t->core->arena;
	struct list *n;

	for (uint32_t i = 0; i < l->num; i++)
		if (l->c[i])
			buf_put(a, &l->c[i]->b);
	while ((n = list_pop(&l->slices))) {
		struct tcp_rslice *r = list_entry(n, struct tcp_rslice, node);

		buf_put(a, r->b);
		arena_free(a, r);
	}
	list_remove(&l->link);
	arena_free(a, l);
}

static struct tcp_lend *lend_of(const struct span *sp)
{
	return (struct tcp_lend *)(uintptr_t)sp->pin;
}

/* The connection goes; the memory stays with whoever has it. */
void tcp_lend_orphan(struct tcp_conn *c)
{
	struct list *p;

	list_for_each (p, &c->t->lends) {
		struct tcp_lend *l = list_entry(p, struct tcp_lend, link);

		struct list *n;

		if (l->conn != c)
			continue;
		l->conn = NULL;
		list_for_each (n, &l->slices)
			c->ep->rx_mem -=
				list_entry(n, struct tcp_rslice, node)->charge;
	}
}

void tcp_lends_free(struct tcp *t)
{
	while (!list_empty(&t->lends))
		lend_free(t, list_first(&t->lends, struct tcp_lend, link));
}

/* --- send buffer --- */

/* SO_SNDBUF bounds what Linux's skbs take, so they are counted as Linux would
 * have them: a frame in flight is one, and what is unsent lies in skbs filled
 * up to the size goal, the last one perhaps not. A new one is begun while what
 * there is takes less than the buffer; so the last may lie wholly above it. */
static uint32_t num_unsent_skbs(const struct tcp_conn *c)
{
	uint32_t unsent = tcp_unsent(c), fill = MIN(c->snd_fill, unsent);

	return unsent ? 1 + DIV_ROUND_UP(unsent - fill, tcp_size_goal(c)) : 0;
}

uint32_t tcp_snd_used(const struct tcp_conn *c)
{
	return c->snd_mem + TCP_SKB_COST * (c->num_recs + num_unsent_skbs(c));
}

uint32_t tcp_wmem_queued(const struct ep *e)
{
	return e->tcp ? tcp_snd_used(e->tcp) : 0;
}

/* __sk_stream_memory_free(): may another skb be begun? Who waits is woken when
 * less than half of TCP_NOTSENT_LOWAT is unsent. */
static bool has_space(const struct tcp_conn *c, bool wake)
{
	uint64_t unsent = tcp_unsent(c);
	uint32_t lowat = c->ep->topt.notsent_lowat;

	if (!lowat)
		lowat = (uint32_t)tcp_sysctl(c)->tcp_notsent_lowat;
	return tcp_snd_used(c) < c->ep->sndbuf && unsent << wake < lowat &&
	       !c->no_memory && (!c->snd_mem || tcp_mem_may_send(c));
}

/* sk_stream_is_writeable(): and a third of the buffer is free */
bool tcp_snd_is_writeable(const struct tcp_conn *c)
{
	uint32_t used = tcp_snd_used(c), buf = c->ep->sndbuf;

	return used < buf && buf - used >= used / 2 && has_space(c, true);
}

void tcp_snd_check_space(struct tcp_conn *c)
{
	if (!c->nospace)
		return;
	tcp_sndbuf_grow(c);
	if (tcp_snd_is_writeable(c)) {
		c->nospace = false;
		tcp_ready(c, false, true);
	}
}

struct tcp_slice *tcp_slice_next(const struct tcp_conn *c,
				 const struct tcp_slice *s)
{
	return s->node.next == &c->stream
		       ? NULL
		       : list_entry(s->node.next, struct tcp_slice, node);
}

static void slice_free(struct tcp_conn *c, struct tcp_slice *s)
{
	list_remove(&s->node);
	buf_put(tcp_arena(c), &s->c->b);
	arena_free(tcp_arena(c), s);
}

static void drop_tail(struct tcp_conn *c)
{
	if (c->tail)
		buf_put(tcp_arena(c), &c->tail->b);
	c->tail = NULL;
	c->tail_lent = false;
}

static void uncharge(struct tcp_conn *c, uint32_t n)
{
	ASSERT(c->snd_mem >= n);
	c->snd_mem -= n;
}

/* Nothing is joined to what MSG_EOR ends: it takes an skb, however short. */
static uint32_t slice_cost(const struct tcp_slice *s)
{
	return s->eor ? TCP_SKB_COST : 0;
}

void tcp_snd_acked(struct tcp_conn *c)
{
	struct tcp_slice *s;

	while ((s = list_first(&c->stream, struct tcp_slice, node))) {
		uint32_t n = c->snd_una - s->seq;

		if (seq_leq(c->snd_una, s->seq))
			break;
		if (n < s->len) {
			s->seq += n;
			s->p += n;
			s->len -= n;
			uncharge(c, n);
			break;
		}
		uncharge(c, s->len + slice_cost(s));
		if (c->snd_sl == s)
			c->snd_sl = tcp_slice_next(c, s);
		slice_free(c, s);
	}
	if (list_empty(&c->stream) && !c->tail_lent)
		drop_tail(c); /* an idle connection holds no memory */
}

void tcp_snd_free(struct tcp_conn *c)
{
	while (!list_empty(&c->stream))
		slice_free(c, list_first(&c->stream, struct tcp_slice, node));
	c->snd_sl = NULL;
	c->snd_mem = 0;
	drop_tail(c);
}

/* Autotuning as tcp_sndbuf_expand(): twice the window, with its overhead. */
void tcp_sndbuf_grow(struct tcp_conn *c)
{
	struct ep *e = c->ep;
	uint64_t per, segs, want;
	uint32_t factor = cc_ops(&c->cc)->sndbuf_factor;

	if (ep_opt(e, EP_O_SNDBUF_LOCK) || tcp_mem_is_short(c))
		return;
	if (c->was_established && tcp_in_flight(c) >= c->cc.cwnd)
		return; /* it is not the buffer that holds us */
	per = MAX(c->mss_clamp, c->mss_cache) + 640u;
	per = (1ull << (64 - __builtin_clzll(per - 1))) + 256;
	segs = MAX(MAX((uint32_t)tcp_sysctl(c)->tcp_init_cwnd, c->cc.cwnd), 4u);
	want = MIN((factor ? factor : 2) * segs * per,
		   (uint64_t)tcp_sysctl(c)->tcp_wmem_max);
	e->sndbuf = MAX(e->sndbuf, (uint32_t)want);
}

/* --- send --- */

/* With SOCK_GOES_ON the error is left for the next call to be told. */
static int may_send(struct ep *e, int flags)
{
	struct tcp_conn *c = e->tcp;
	int err = e->err;

	if (err && !(flags & SOCK_GOES_ON)) {
		e->err = 0;
		ep_ready(e, tcp_poll(e), false, false);
	}
	if (err)
		return -err;
	if (!c || e->shut & EP_SHUT_WR)
		return -EPIPE;
	if (c->fo_deferred || tcp_is_early(c))
		return 0;
	if (c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RCVD)
		return -EAGAIN;
	return TCPS_IN(c, TCPS_BIT(ESTABLISHED) | TCPS_BIT(CLOSE_WAIT))
		       ? 0
		       : -EPIPE;
}

static void lend_piece(struct span *sp, struct tcp_lend *l, struct chunk *k,
		       uint32_t n)
{
	sp->v[sp->num_v++] = (struct iovec){k->data + k->used, n};
	l->c[l->num++] = k;
	l->bytes += n;
}

/* Up to @want bytes in pieces, the rest of the tail first. */
static void lend_chunks(struct tcp_conn *c, struct span *sp, struct tcp_lend *l,
			uint32_t want)
{
	if (c->tail && !c->tail_lent && c->tail->used < c->tail->room) {
		struct chunk *k = c->tail;

		buf_get(&k->b);
		lend_piece(sp, l, k, MIN(want, k->room - k->used));
		l->has_tail = c->tail_lent = true;
	}
	while (l->bytes < want && l->num < SPAN_MAX_V) {
		uint32_t left = want - l->bytes;
		uint32_t room = CHUNK_SIZE;
		struct chunk *k;

		if (!tcp_mem_may_lend(c, l->bytes))
			break;
		if (left <= CHUNK_SMALL && list_empty(&c->stream) && !c->tail)
			room = CHUNK_SMALL;
		if (tcp_mem_is_short(c))
			room = CHUNK_SMALL;
		k = chunk_new(tcp_arena(c), room);
		if (!k)
			break;
		lend_piece(sp, l, k, MIN(left, k->room));
	}
}

/* What the last skb has room for, or a new one if there may be one. */
static uint32_t room_now(const struct tcp_conn *c)
{
	const struct tcp_slice *s =
		list_last(&c->stream, struct tcp_slice, node);
	uint32_t unsent = tcp_unsent(c), goal = tcp_size_goal(c);
	uint32_t fill = MIN(c->snd_fill, unsent);

	if (unsent && s && !s->eor && fill < goal)
		return goal - fill;
	return has_space(c, false) ? goal : 0;
}

/* A writer is refused: what it has written so far goes. */
static int refuse(struct tcp_conn *c, int flags, nsec now)
{
	c->nospace = true;
	if (flags & SOCK_GOES_ON && tcp_unsent(c)) {
		tcp_mark_push(c);
		tcp_out_push(c, now);
		tcp_timer_sync(c);
	}
	return -EAGAIN;
}

/* No ACK may come to wake the writer. */
static int refuse_memory(struct tcp_conn *c, int flags, nsec now)
{
	c->no_memory = true;
	tcp_timer_set(c, TCP_T_OUT, now + TCP_RESOURCE_RETRY);
	tcp_timer_sync(c);
	return refuse(c, flags, now);
}

int tcp_send_begin(struct ep *e, size_t want, int flags, struct span *sp,
		   nsec now)
{
	struct tcp_conn *c = e->tcp;
	int err = may_send(e, flags);
	struct tcp_lend *l;
	uint32_t room;

	*sp = (struct span){0};
	if (!err && tcp_in_repair(e))
		err = tcp_repair_may_send(e);
	if (err) {
		if (err == -EAGAIN) {
			c->nospace = true;
			c->write_waits |= flags & SOCK_WAITS;
		}
		return err;
	}
	room = tcp_mem_may_send(c) || !c->snd_mem ? room_now(c) : 0;
	if (!room || c->no_memory)
		return refuse(c, flags, now);
	want = MIN(want, room);
	if (c->fo_deferred) {
		c->write_waits = flags & SOCK_WAITS && want > tcp_fo_space(c);
		want = MIN(want, tcp_fo_space(c));
		sp->is_syn = true;
	}
	if (!want)
		return 0;
	l = lend_new(c, false);
	if (!l)
		return refuse_memory(c, flags, now);
	lend_chunks(c, sp, l, (uint32_t)want);
	if (!l->bytes) {
		lend_free(c->t, l);
		return refuse_memory(c, flags, now);
	}
	sp->pin = (uintptr_t)l;
	c->snd_mem += l->bytes;
	return (int)l->bytes;
}

/* @n bytes at @p, in @k, are the next of the stream. */
static int append(struct tcp_conn *c, struct chunk *k, uint8_t *p, uint32_t n)
{
	struct tcp_slice *s = list_last(&c->stream, struct tcp_slice, node);

	if (s && !s->eor && s->c == k && s->p + s->len == p) {
		/* the cursor may stand at the end of everything */
		if (!c->snd_sl && c->snd_nxt == c->write_seq)
			c->snd_sl = s;
		s->len += n;
	} else {
		s = arena_alloc(tcp_arena(c), sizeof(*s));
		if (!s)
			return -ENOBUFS;
		*s = (struct tcp_slice){
			.c = k, .p = p, .seq = c->write_seq, .len = n};
		buf_get(&k->b);
		list_push(&c->stream, &s->node);
		if (!c->snd_sl)
			c->snd_sl = s;
	}
	c->snd_mem += n;
	c->write_seq += n;
	return 0;
}

/* What is queued goes with PSH, as in Linux's tcp_write_wakeup(). */
void tcp_mark_push(struct tcp_conn *c)
{
	struct tcp_slice *s = list_last(&c->stream, struct tcp_slice, node);

	if (s)
		s->push = true;
	c->pushed_seq = c->write_seq;
}

static void set_tail(struct tcp_conn *c, struct chunk *k)
{
	if (c->tail == k || c->tail_lent || k->used == k->room)
		return;
	drop_tail(c);
	buf_get(&k->b);
	c->tail = k;
}

/* @n bytes have come behind @unsent. */
static void note_fill(struct tcp_conn *c, uint32_t unsent, bool is_joined,
		      uint32_t n)
{
	uint32_t goal = tcp_size_goal(c);

	c->snd_fill = (is_joined ? MIN(c->snd_fill, unsent) : 0) + n;
	if (c->snd_fill > goal)
		c->snd_fill = (c->snd_fill - 1) % goal + 1;
}

/* How many of @len bytes have entered the stream. */
static uint32_t commit(struct tcp_conn *c, struct span *sp, struct tcp_lend *l,
		       uint32_t len)
{
	const struct tcp_slice *s =
		list_last(&c->stream, struct tcp_slice, node);
	uint32_t done = 0, unsent = tcp_unsent(c);
	bool is_joined = s && !s->eor;

	uncharge(c, l->bytes);
	if (l->has_tail)
		c->tail_lent = false;
	for (unsigned i = 0; i < sp->num_v && done < len; i++) {
		struct chunk *k = l->c[i];
		uint32_t n = MIN((uint32_t)sp->v[i].iov_len, len - done);

		if (append(c, k, sp->v[i].iov_base, n))
			break;
		k->used += n;
		done += n;
		set_tail(c, k);
	}
	note_fill(c, unsent, is_joined, done);
	if (c->tail && c->tail->used == c->tail->room && !c->tail_lent)
		drop_tail(c);
	if (list_empty(&c->stream) && !c->tail_lent)
		drop_tail(c);
	return done;
}

/* forced_push() of Linux: half of the peer's window without a PSH is enough */
static bool must_push(const struct tcp_conn *c)
{
	return seq_gt(c->write_seq, c->pushed_seq + c->max_window / 2);
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

/* Repair: as if the peer had sent it. */
static uint32_t commit_received(struct tcp_conn *c, struct span *sp,
				struct tcp_lend *l, uint32_t len, nsec now)
{
	uint32_t done = 0;

	uncharge(c, l->bytes);
	if (l->has_tail)
		c->tail_lent = false;
	for (unsigned i = 0; i < sp->num_v && done < len; i++) {
		struct chunk *k = l->c[i];
		uint32_t n = MIN((uint32_t)sp->v[i].iov_len, len - done);
		struct tcp_rslice *r =
			rslice_for(c, &k->b, sp->v[i].iov_base, c->rcv_nxt, n);

		if (!r)
			break;
		buf_get(&k->b);
		k->used += n;
		r->charge = n + TCP_SLICE_COST;
		r->at = now;
		c->ep->rx_mem += r->charge;
		list_push(&c->rcvq, &r->node);
		c->rcv_nxt += n;
		c->rcv_wup = c->rcv_nxt;
		done += n;
	}
	tcp_ready(c, true, false);
	return done;
}

int tcp_send_commit(struct ep *e, struct span *sp, size_t len, int flags,
		    nsec now)
{
	struct tcp *t = e->tp->tcp;
	struct tcp_lend *l = lend_of(sp);
	struct tcp_conn *c = l ? l->conn : NULL;
	uint32_t done;

	sp->pin = 0;
	if (!l)
		return 0;
	len = MIN(len, l->bytes);
	if (!c || c != e->tcp || c->state == TCPS_CLOSED ||
	    e->shut & EP_SHUT_WR) {
		if (c && c->state != TCPS_CLOSED) {
			uncharge(c, l->bytes);
			if (l->has_tail)
				c->tail_lent = false;
		}
		lend_free(t, l);
		return len ? MIN(may_send(e, flags), -1) : 0;
	}
	if (tcp_in_repair(e) && e->topt.repair.queue == TCP_REPAIR_RECV) {
		done = commit_received(c, sp, l, (uint32_t)len, now);
		lend_free(t, l);
		tcp_timer_sync(c);
		return (int)done;
	}
	done = commit(c, sp, l, (uint32_t)len);
	lend_free(t, l);
	if (len && !done)
		return -EAGAIN;
	c->more_coming = flags & MSG_MORE;
	if (done && flags & MSG_OOB)
		c->snd_up = c->write_seq;
	if (done) {
		struct tcp_slice *last =
			list_last(&c->stream, struct tcp_slice, node);

		/* the call ends with them; else it goes on, or is refused */
		if ((sp->is_last && !c->more_coming) || must_push(c))
			tcp_mark_push(c);
		last->eor = sp->is_last && flags & MSG_EOR;
		c->snd_mem += slice_cost(last);
	}
	if (done && sp->is_last)
		tcp_mark_add(c, sp->stamp);
	if (done && c->fo_deferred)
		tcp_send_syn(c, now);
	else if (done)
		tcp_out(c, now);
	c->more_coming = false; /* of this call: the next ACK asks Nagle only */
	tcp_timer_sync(c);
	tcp_check(c);
	return (int)done;
}

/* --- receive buffer --- */

uint32_t tcp_win_from_space(const struct tcp_conn *c, uint32_t space)
{
	return (uint32_t)((uint64_t)space * c->win_ratio >> 8);
}

static uint32_t space_from_win(const struct tcp_conn *c, uint64_t win)
{
	return (uint32_t)MIN((win << 8) / MAX(c->win_ratio, 1u), 1u << 30);
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
	l = lend_new(c, true);
	k = l ? chunk_new(tcp_arena(c), 16) : NULL;
	if (!k) {
		if (l)
			lend_free(c->t, l);
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

/* Repair: what is not acknowledged, sent or not. */
static void lend_sent(struct tcp_conn *c, struct span *sp, struct tcp_lend *l,
		      uint32_t skip, uint32_t want)
{
	struct list *p;

	list_for_each (p, &c->stream) {
		struct tcp_slice *s = list_entry(p, struct tcp_slice, node);
		uint32_t n;

		if (l->bytes == want || l->num == SPAN_MAX_V)
			break;
		if (skip >= s->len) {
			skip -= s->len;
			continue;
		}
		n = MIN(want - l->bytes, s->len - skip);
		buf_get(&s->c->b);
		l->c[l->num++] = s->c;
		sp->v[sp->num_v++] = (struct iovec){s->p + skip, n};
		l->bytes += n;
		skip = 0;
	}
}

static int peek_sent(struct tcp_conn *c, struct span *sp, uint32_t skip,
		     uint32_t want)
{
	struct tcp_lend *l = lend_new(c, true);

	if (!l)
		return -EAGAIN;
	l->is_peek = true;
	lend_sent(c, sp, l, skip, want);
	if (!l->bytes) {
		lend_free(c->t, l);
		return 0;
	}
	sp->pin = (uintptr_t)l;
	return (int)l->bytes;
}

static void lend_peek(struct tcp_conn *c, struct span *sp, struct tcp_lend *l,
		      uint32_t skip, uint32_t want)
{
	struct list *p;

	list_for_each (p, &c->rcvq) {
		struct tcp_rslice *r = list_entry(p, struct tcp_rslice, node);
		uint32_t n;

		if (l->bytes == want || l->num == SPAN_MAX_V)
			break;
		if (skip >= r->len) {
			skip -= r->len;
			continue;
		}
		n = MIN(want - l->bytes, r->len - skip);
		sp->at = r->at;
		buf_get(r->b);
		/* pinned as a buffer; frames and chunks begin with one */
		l->c[l->num++] = (struct chunk *)(void *)r->b;
		sp->v[sp->num_v++] = (struct iovec){r->p + skip, n};
		l->bytes += n;
		skip = 0;
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
			return peek_sent(c, sp, skip, (uint32_t)want);
	}
	if (flags & MSG_OOB)
		return c ? recv_oob(c, flags, sp) : -EINVAL;
	if (c && urgent_is_next(c) && !(flags & MSG_PEEK))
		skip_urgent(c);
	if (!c || list_empty(&c->rcvq))
		return nothing_to_read(e);
	if (!want)
		return 0;
	l = lend_new(c, true);
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
		lend_free(c->t, l);
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
	       (c->owe & TCP_OWE_PUSHED && !c->pingpong);
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
	struct tcp_lend *l = lend_of(sp);
	struct tcp_conn *c = l ? l->conn : NULL;

	sp->pin = 0;
	if (!l)
		return 0;
	if (!c || c != e->tcp) {
		/* it is gone, and with it what was charged */
		lend_free(t, l);
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
	lend_free(t, l);
	tcp_check(c);
	return (int)used;
}

/* --- receive autotuning: dynamic right-sizing, as Linux --- */

static void rtt_update(struct tcp_conn *c, nsec sample, bool by_window)
{
	if (sample < USEC)
		sample = USEC;
	if (!c->rcv_rtt)
		c->rcv_rtt = sample;
	else if (by_window)
		c->rcv_rtt = MIN(c->rcv_rtt, sample);
	else
		c->rcv_rtt += (sample - c->rcv_rtt) / 8;
}

/* What our timestamp came back after; once for each that we sent. */
void tcp_rcv_rtt(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t ms;

	if (!c->ts_ok || !s->r.has_ts || s->r.ts_ecr == c->rcv_rtt_ecr)
		return;
	c->rcv_rtt_ecr = s->r.ts_ecr;
	if (s->len < c->rcv_mss)
		return;
	ms = tcp_ts_now(c->ts_off, s->now) - s->r.ts_ecr;
	if (ms < 60000)
		rtt_update(c, MAX(ms, 1u) * MSEC, false);
}

static void grow_rcvbuf(struct tcp_conn *c, uint32_t copied)
{
	struct ep *e = c->ep;
	uint64_t win = 2ull * copied + 16ull * c->advmss;
	uint64_t buf;

	/* room for the growth of a round trip in slow start */
	win += 2 * (win * (copied - c->rcvq_space) / c->rcvq_space);
	buf = MIN(space_from_win(c, win),
		  (uint64_t)tcp_sysctl(c)->tcp_rmem_max);
	if (buf <= e->rcvbuf)
		return;
	e->rcvbuf = (uint32_t)buf;
	c->window_clamp = tcp_win_from_space(c, e->rcvbuf);
	if (e->topt.window_clamp)
		c->window_clamp = MIN(c->window_clamp, e->topt.window_clamp);
}

void tcp_rcv_space_adjust(struct tcp_conn *c, nsec now)
{
	uint32_t copied = c->copied_seq - c->rcvq_seq;

	if (!c->rcvq_at) {
		c->rcvq_at = now;
		return;
	}
	if (!c->rcv_rtt || now - c->rcvq_at < c->rcv_rtt)
		return;
	if ((int32_t)copied > 0 && copied > c->rcvq_space) {
		if (tcp_sysctl(c)->tcp_moderate_rcvbuf &&
		    !tcp_mem_is_short(c) && !ep_opt(c->ep, EP_O_RCVBUF_LOCK))
			grow_rcvbuf(c, copied);
		c->rcvq_space = copied;
	}
	c->rcvq_seq = c->copied_seq;
	c->rcvq_at = now;
}

/* The window opens as the peer shows that it fills it with good frames. */
void tcp_rcv_grow_window(struct tcp_conn *c, uint32_t len)
{
	uint32_t room = c->window_clamp > c->rcv_ssthresh
				? c->window_clamp - c->rcv_ssthresh
				: 0;

	if (!room || c->ep->rx_mem > c->ep->rcvbuf || tcp_mem_is_short(c))
		return;
	c->rcv_ssthresh += MIN(room, MAX(2u * c->advmss, 2 * len));
}
