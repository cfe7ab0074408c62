/* SPDX-License-Identifier: MIT
 *
 * tcp_sndbuf.c - what is written: chunks, the stream of slices, and how large
 *		  it may grow
 *
 * Begin lends memory that nobody else sees, the rest of the last chunk or new
 * chunks; commit makes slices of it, in the order of commits. Slices are
 * read-only from then on and go when they are acknowledged; the device may hold
 * the chunk longer.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_conn.h"

#define CHUNK_SMALL 1984u /* a first small write takes no 16 KiB */

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
	l = tcp_lend_new(c, false);
	if (!l)
		return refuse_memory(c, flags, now);
	lend_chunks(c, sp, l, (uint32_t)want);
	if (!l->bytes) {
		tcp_lend_free(c->t, l);
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

/* Repair: as if the peer had sent it. */
static uint32_t commit_received(struct tcp_conn *c, struct span *sp,
				struct tcp_lend *l, uint32_t len, nsec now)
{
	uint32_t done = 0;

	uncharge(c, l->bytes);
	if (l->has_tail)
		c->tail_lent = false;
	for (unsigned i = 0; i < sp->num_v && done < len; i++) {
		uint32_t n = MIN((uint32_t)sp->v[i].iov_len, len - done);

		if (!tcp_rcv_append(c, l->c[i], sp->v[i].iov_base, n, now))
			break;
		done += n;
	}
	tcp_ready(c, true, false);
	return done;
}

int tcp_snd_peek(struct tcp_conn *c, struct span *sp, uint32_t skip,
		 uint32_t want)
{
	struct tcp_lend *l = tcp_lend_new(c, true);
	struct list *p;

	if (!l)
		return -EAGAIN;
	l->is_peek = true;
	l->skip = skip;
	l->want = want;
	list_for_each (p, &c->stream) {
		struct tcp_slice *s = list_entry(p, struct tcp_slice, node);

		if (!tcp_lend_look(l, sp, &s->c->b, s->p, s->len))
			break;
	}
	if (!l->bytes) {
		tcp_lend_free(c->t, l);
		return 0;
	}
	sp->pin = (uintptr_t)l;
	return (int)l->bytes;
}

int tcp_send_commit(struct ep *e, struct span *sp, size_t len, int flags,
		    nsec now)
{
	struct tcp *t = e->tp->tcp;
	struct tcp_lend *l = tcp_lend_of(sp);
	struct tcp_conn *c = l ? l->conn : NULL;
	bool is_full = flags & SOCK_SKB_FULL;
	bool is_last = sp->is_last && !is_full;
	uint32_t done;

	t->mem.now = now;
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
		tcp_lend_free(t, l);
		return len ? MIN(may_send(e, flags), -1) : 0;
	}
	if (tcp_in_repair(e) && e->topt.repair.queue == TCP_REPAIR_RECV) {
		done = commit_received(c, sp, l, (uint32_t)len, now);
		tcp_lend_free(t, l);
		tcp_timer_sync(c);
		return (int)done;
	}
	done = commit(c, sp, l, (uint32_t)len);
	tcp_lend_free(t, l);
	if (len && !done)
		return -EAGAIN;
	c->more_coming = flags & MSG_MORE;
	if (done && flags & MSG_OOB)
		c->snd_up = c->write_seq;
	if (done) {
		struct tcp_slice *last =
			list_last(&c->stream, struct tcp_slice, node);

		/* the call ends with them; else it goes on, or is refused */
		if ((is_last && !c->more_coming) || is_full || must_push(c))
			tcp_mark_push(c);
		last->eor = (is_last && flags & MSG_EOR) || is_full;
		c->snd_mem += slice_cost(last);
	}
	if (done && is_last)
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
