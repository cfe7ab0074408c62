/* SPDX-License-Identifier: MIT
 *
 * tcp_out.c - what may be sent now
 *
 * tcp_out() is the one loop: first what is lost, then what is new, a frame at a
 * time, while the congestion window, the peer's window, Nagle and the transmit
 * queue agree. A connection that is paced (tcp_pace.c) stops between frames
 * until the next may leave.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_conn.h"
#include "transport/tcp_out.h"

/* --- records --- */

static void enqueue(struct tcp_conn *c, struct tcp_rec *r, nsec now)
{
	tcp_rec_sent(c, r, false, now);
	list_push(&c->recs, &r->node);
	c->num_recs++;
	c->packets_out += r->num_segs;
	if (!(r->flags & TCP_SYN))
		stat_add(c->t->core, STAT_TcpExtTCPOrigDataSent, r->num_segs);
	c->snd_nxt = rec_end(r);
	if (c->packets_out > c->max_packets_out ||
	    seq_geq(c->snd_una, c->max_packets_seq)) {
		c->max_packets_out = c->packets_out;
		c->max_packets_seq = c->snd_nxt;
	}
	if (c->at[TCP_T_RTX] == TIME_NEVER && c->at[TCP_T_TLP] == TIME_NEVER &&
	    c->at[TCP_T_REO] == TIME_NEVER)
		tcp_timer_set(c, TCP_T_RTX,
			      now + c->rto + tcp_pace_delay(c, now));
	tcp_timer_stop(c, TCP_T_PROBE);
}

static struct tcp_rec *new_rec(struct tcp_conn *c, uint32_t seq, uint8_t flags,
			       nsec now)
{
	struct tcp_rec *r = tcp_rec_new(c, now);

	if (!r)
		return NULL;
	r->seq = seq;
	r->flags = flags;
	r->num_segs = 1;
	r->mss = c->mss_cache;
	return r;
}

/* What is queued goes along (RFC 7413): as a record of its own, since the SYN
 * is sent again without it. */
int tcp_send_syn(struct tcp_conn *c, nsec now)
{
	uint32_t len = c->write_seq - c->iss - 1;
	struct tcp_rec *r = new_rec(c, c->iss, TCP_SYN, now), *data = NULL;
	struct tcp_frame o;
	int err;

	if (!r)
		return -ENOMEM;
	if (len) {
		data = new_rec(c, c->iss + 1, TCP_PSH, now);
		if (!data) {
			arena_free(tcp_arena(c), r);
			return -ENOMEM;
		}
		data->len = len;
		data->sl = c->snd_sl;
		data->mss = (uint16_t)MAX(len, r->mss);
	}
	tcp_ecn_begin(c);
	c->fo_deferred = false;
	c->fo_asked = c->fo.is_there;
	enqueue(c, r, now);
	o = tcp_frame_of(c, r);
	if (data) {
		o.len = len;
		o.mss = data->mss;
		o.sl = data->sl;
		while (c->snd_sl)
			c->snd_sl = tcp_slice_next(c, c->snd_sl);
		enqueue(c, data, now);
		c->bytes_sent += len;
	}
	c->syn_at = now;
	err = tcp_transmit(c, &o, now);
	if (!c->is_passive && (!err || err == -ENOBUFS)) {
		stat_inc(c->t->core, STAT_TcpActiveOpens);
		if (!data && c->fo.len) /* data of no bytes, for Linux */
			stat_inc(c->t->core, STAT_TcpExtTCPOrigDataSent);
	}
	c->fo_data = data && !err;
	c->fo.is_there = false; /* a SYN sent again is a plain one */
	return tcp_is_unsent(err) ? 0 : err; /* the timer sends it again */
}

/* --- sending what is new --- */

enum push {
	PUSH_NOT,
	PUSH_ALL,  /* Nagle and cork are off for this call */
	PUSH_TAIL, /* and one segment goes, whatever the congestion window */
};

/* RFC 896 with Minshall's change, as Linux's tcp_nagle_check(): a small segment
 * waits only for a small one that is in flight. */
static bool nagle_holds(const struct tcp_conn *c, enum push push)
{
	const struct ep *e = c->ep;

	if (push != PUSH_NOT || c->fin_queued || c->snd_up != c->snd_una)
		return false;
	if (ep_opt(e, EP_O_CORK) || c->more_coming)
		return true;
	if (ep_opt(e, EP_O_NODELAY) || !c->packets_out)
		return false;
	return seq_gt(c->snd_sml, c->snd_una) &&
	       seq_leq(c->snd_sml, c->snd_nxt);
}

/* How much of [snd_nxt, +@len) lies in few enough pieces, and in one record. */
static uint32_t in_pieces(const struct tcp_conn *c, uint32_t len)
{
	const struct tcp_slice *s = c->snd_sl;
	uint32_t got = 0, off = c->snd_nxt - s->seq;

	for (unsigned i = 0; s && got < len && i < TCP_MAX_PIECES; i++) {
		got += s->len - off;
		off = 0;
		if (s->eor)
			break;
		s = tcp_slice_next(c, s);
	}
	return MIN(got, len);
}

/* Bytes of the next frame, 0: not now. */
static uint32_t next_len(struct tcp_conn *c, uint32_t mss, enum push push)
{
	uint32_t unsent = tcp_unsent(c);
	/* the SYN-ACK of a Fast Open takes nothing of either window */
	uint32_t end = c->snd_una + c->snd_wnd + tcp_is_early(c);
	uint32_t wnd = seq_gt(end, c->snd_nxt) ? end - c->snd_nxt : 0;
	uint32_t cwnd = c->cc.cwnd + tcp_is_early(c);
	uint32_t pipe = tcp_in_flight(c), len, room;

	if (push == PUSH_TAIL)
		return in_pieces(c, MIN(MIN(unsent, wnd), mss));
	if (pipe >= cwnd) {
		c->is_cwnd_limited = true;
		return 0;
	}
	/* a whole segment, or all there is, must fit (RFC 1122 4.2.3.4) */
	if (wnd < MIN(unsent, mss)) {
		c->is_rwnd_limited = true;
		return 0;
	}
	len = MIN(MIN(unsent, wnd), tcp_max_frame(c, mss));
	/* half the window at most, so that there are ACKs (tcp_cwnd_test()) */
	room = MIN(cwnd - pipe, MAX(c->cc.cwnd / 2, 1u));
	if (len > room * (uint64_t)mss) {
		len = room * mss;
		c->is_cwnd_limited = room == cwnd - pipe;
	}
	len = in_pieces(c, len);
	if (len >= unsent && len % mss == 0)
		return len;
	/* the odd rest of a frame is a small segment of its own */
	if (len > mss && (len < unsent || nagle_holds(c, push)))
		len -= len % mss;
	else if (len < mss && len == unsent && nagle_holds(c, push))
		return 0;
	return len;
}

/* PSH goes on the frame that holds the end of a write (RFC 9293 3.9.1.2); what
 * was joined to it since is pushed with it. */
static bool ends_a_write(const struct tcp_conn *c, uint32_t len)
{
	uint32_t end = c->snd_nxt + len;

	for (struct tcp_slice *s = c->snd_sl; s && seq_lt(s->seq, end);
	     s = tcp_slice_next(c, s))
		if (s->push && seq_leq(s->seq + s->len, end))
			return true;
	return false;
}

static void advance_cursor(struct tcp_conn *c, uint32_t len)
{
	uint32_t end = c->snd_nxt + len;

	while (c->snd_sl && seq_geq(end, c->snd_sl->seq + c->snd_sl->len))
		c->snd_sl = tcp_slice_next(c, c->snd_sl);
}

/* RFC 5681 4.1: after an RTO of silence the window is worth nothing. */
static void restart_if_idle(struct tcp_conn *c, nsec now)
{
	nsec idle = now - c->last_sent_at;
	uint32_t floor = tcp_initial_cwnd(c);
	uint32_t mtu;

	if (c->packets_out || !tcp_unsent(c) || !c->snd_wnd || c->pace_waits)
		return;
	tcp_cc_event(c, CC_RESTART, idle, now);
	if (idle <= c->rto)
		return;
	/* what was learned of the path may have expired */
	mtu = ip_mtu(c->t->tp->ip, &c->node.key.raddr, now);
	if (mtu != c->pmtu)
		tcp_mss_sync(c, mtu);
	if (tcp_cwv_restart(c, now) ||
	    !tcp_sysctl(c)->tcp_slow_start_after_idle || tcp_cc_has_control(c))
		return;
	c->cc.ssthresh = MAX(c->cc.ssthresh, c->cc.cwnd * 3 / 4);
	floor = MIN(floor, c->cc.cwnd);
	for (; idle > c->rto && c->cc.cwnd > floor; idle -= c->rto)
		c->cc.cwnd /= 2;
	c->cc.cwnd = MAX(c->cc.cwnd, MAX(floor, 1u));
	c->cc.cwnd_cnt = 0;
}

static void after_data(struct tcp_conn *c, uint32_t len, uint32_t mss, nsec now)
{
	if (len % mss)
		c->snd_sml = c->snd_nxt;
	c->bytes_sent += len;
	/* Linux's tcp_event_data_sent(): we answer soon after being asked */
	if (now - c->last_rcv_at < c->ato && c->pingpong < UINT8_MAX)
		c->pingpong++;
	c->last_sent_at = now;
}

/* One frame of new data, with the FIN if that is next. */
static int send_frame(struct tcp_conn *c, uint32_t len, uint32_t mss, nsec now)
{
	bool fin = c->fin_queued && len == tcp_unsent(c);
	struct tcp_rec *r;
	struct tcp_frame o;
	int err;

	r = tcp_rec_new(c, now);
	if (!r)
		return -ENOBUFS;
	r->seq = c->snd_nxt;
	r->len = len;
	r->sl = len ? c->snd_sl : NULL;
	r->mss = (uint16_t)mss;
	r->num_segs = (uint8_t)MAX(DIV_ROUND_UP(len, mss), 1u);
	if (len && ends_a_write(c, len))
		r->flags |= TCP_PSH;
	if (fin)
		r->flags |= TCP_FIN;
	o = tcp_frame_of(c, r);
	err = tcp_transmit(c, &o, now);
	if (tcp_is_unsent(err)) {
		arena_free(tcp_arena(c), r);
		return err;
	}
	advance_cursor(c, len);
	enqueue(c, r, now);
	if (r->flags & TCP_FIN)
		c->fin_sent = true;
	if (tcp_is_reducing(c))
		c->prr_out += r->num_segs;
	if (len)
		after_data(c, len, mss, now);
	return SENT;
}

static int send_new(struct tcp_conn *c, enum push push, nsec now)
{
	uint32_t mss = tcp_out_mss(c), len = 0;

	if (c->fin_sent || (!tcp_unsent(c) && !c->fin_queued))
		return NOTHING;
	if (tcp_unsent(c)) {
		len = next_len(c, mss, push);
		if (!len)
			return NOTHING;
	} else if (push != PUSH_TAIL && tcp_in_flight(c) >= c->cc.cwnd) {
		return NOTHING; /* measured: in Linux 6.18 a FIN waits, too */
	}
	return send_frame(c, len, mss, now);
}

static int send_mtu_probe(struct tcp_conn *c, nsec now)
{
	int len = tcp_mtu_probe_len(c, now), err;
	uint32_t seq = c->snd_nxt;

	if (len == TCP_MTU_WAIT)
		return -EAGAIN;
	if (len < 0 || in_pieces(c, (uint32_t)len) < (uint32_t)len)
		return NOTHING;
	err = send_frame(c, (uint32_t)len, (uint32_t)len, now);
	if (err == SENT)
		tcp_mtu_sent(c, seq, (uint32_t)len);
	if (err != -EMSGSIZE)
		return err;
	tcp_mtu_too_long(c, now);
	return NOTHING;
}

static bool has_more(struct tcp_conn *c)
{
	return tcp_next_lost(c) || tcp_unsent(c) ||
	       (c->fin_queued && !c->fin_sent);
}

/* Something to send, but not yet. */
static bool is_paced_off(struct tcp_conn *c, nsec now)
{
	return c->pace_at > now && has_more(c) && tcp_pace_holds(c, now);
}

int tcp_send_tail(struct tcp_conn *c, bool *is_rtx, nsec now)
{
	uint32_t end = c->snd_una + c->snd_wnd;
	bool has_new = (tcp_unsent(c) || (c->fin_queued && !c->fin_sent)) &&
		       seq_gt(end, c->snd_nxt);
	int err;

	*is_rtx = !has_new;
	if (has_new && is_paced_off(c, now))
		return -EAGAIN;
	err = has_new ? send_new(c, PUSH_TAIL, now) : tcp_resend_last(c, now);
	return err == SENT ? 0 : err == NOTHING ? -EAGAIN : err;
}

/* --- the loop --- */

static void arm_probe(struct tcp_conn *c, nsec now)
{
	if (c->packets_out || c->fin_sent || (!tcp_unsent(c) && !c->fin_queued))
		return;
	if (c->pace_waits)
		return;
	/* it waits for a window, for Nagle or for a cork; this is the limit */
	if (c->at[TCP_T_PROBE] == TIME_NEVER)
		tcp_timer_set(c, TCP_T_PROBE, now + MAX(c->rto, 200 * MSEC));
}

static void note_limit(struct tcp_conn *c)
{
	/* the application gives less than the window would take; one that the
	 * send buffer holds up would give more */
	if (!tcp_unsent(c) && !c->nospace && tcp_in_flight(c) < c->cc.cwnd &&
	    c->lost_out <= c->retrans_out)
		c->app_limited = MAX(c->delivered + tcp_in_flight(c), 1u);
}

static void new_path_mtu(struct tcp_conn *c, nsec now)
{
	uint32_t mtu = ip_mtu(c->t->tp->ip, &c->node.key.raddr, now);

	if (mtu < c->pmtu)
		tcp_mss_sync(c, mtu);
	else /* nobody says how small: ever smaller */
		tcp_mss_sync(c, MAX(c->pmtu - c->pmtu / 8, 256u));
}

/* As in Linux the route is looked up with the first packet, and what has been
 * cut by then goes as it is. */
static void look_at_route(struct tcp_conn *c, nsec now)
{
	const struct ip *ip = c->t->tp->ip;
	uint32_t mtu;

	if (c->route_gen == ip->gen)
		return;
	c->route_gen = ip->gen;
	mtu = ip_mtu(c->t->tp->ip, &c->node.key.raddr, now);
	if (mtu != c->pmtu)
		tcp_mss_sync(c, mtu);
}

/* When the oldest byte in flight times out. */
static nsec head_deadline(const struct tcp_conn *c)
{
	struct tcp_rec *r = list_first(&c->recs, struct tcp_rec, node);

	return r ? r->last_at + c->rto : TIME_NEVER;
}

/* What is put back into the send queue was sent elsewhere, whatever the windows
 * are here: the peer may acknowledge all of it. */
static void put_back(struct tcp_conn *c, nsec now)
{
	uint32_t mss = tcp_out_mss(c), len;

	if (c->ep->topt.repair.queue != TCP_REPAIR_SEND)
		return;
	while (tcp_unsent(c)) {
		len = MIN(tcp_unsent(c), tcp_max_frame(c, mss));
		if (send_frame(c, len, mss, now) != SENT)
			return;
	}
}

static void send_loop(struct tcp_conn *c, enum push push, nsec now)
{
	unsigned budget = TCP_OUT_BUDGET;
	uint32_t before = c->snd_nxt;
	bool has_probed = false;
	int r = SENT;

	if (!TCPS_IN(c, TCPS_CAN_SEND) && !tcp_is_early(c))
		return;
	if (tcp_in_repair(c->ep)) {
		put_back(c, now);
		return;
	}
	restart_if_idle(c, now);
	if (c->frto_new && push == PUSH_NOT)
		push = PUSH_ALL;   /* RFC 5682 2.1 step 2.b */
	if (!is_paced_off(c, now)) /* else as the last frame left it */
		c->is_cwnd_limited = c->is_rwnd_limited = false;
	for (; budget && r == SENT; budget--) {
		if (link_tx_room(c->t->tp->ip->link) <= TCP_TXQ_SPARE) {
			if (has_more(c))
				tcp_wait_for_room(c);
			break;
		}
		if (is_paced_off(c, now))
			break;
		r = tcp_resend_lost(c, now);
		if (r == NOTHING && c->mtup.is_on && !has_probed) {
			has_probed = true;
			r = send_mtu_probe(c, now);
		}
		if (r == NOTHING)
			r = send_new(c, push, now);
		if (c->frto_new && r == NOTHING && c->snd_nxt == before) {
			/* RFC 5682 2.1 step 2.b: there was nothing new */
			c->frto = c->frto_new = false;
			r = SENT;
		}
		if (r == -EMSGSIZE) {
			new_path_mtu(c, now);
			r = SENT;
		}
	}
	if (!budget)
		tcp_timer_set(c, TCP_T_OUT, now);
	/* who stops for others in the middle of what a late timer owes is late
	 * for the same reason when he goes on */
	c->pace_waits = is_paced_off(c, now) || (!budget && c->pace_waits);
	if (!c->pace_waits)
		tcp_timer_stop(c, TCP_T_PACE);
	else if (tcp_in_flight(c) >= c->cc.cwnd)
		c->is_cwnd_limited = true;
	if (c->snd_nxt != before) {
		tcp_tlp_arm(c, head_deadline(c), now);
		look_at_route(c, now);
	}
	note_limit(c);
	arm_probe(c, now);
	tcp_chrono_update(c, now);
}

void tcp_out(struct tcp_conn *c, nsec now)
{
	send_loop(c, PUSH_NOT, now);
}

void tcp_out_push(struct tcp_conn *c, nsec now)
{
	c->more_coming = false;
	send_loop(c, PUSH_ALL, now);
}

void tcp_send_fin(struct tcp_conn *c, nsec now)
{
	c->fin_queued = true;
	c->more_coming = false;
	tcp_out(c, now);
}

int tcp_send_wakeup(struct tcp_conn *c, nsec now)
{
	uint32_t end = c->snd_una + c->snd_wnd, mss = tcp_out_mss(c);
	uint32_t unsent = tcp_unsent(c), len;
	struct tcp_rec *r;
	struct tcp_frame o;
	int err;

	if (!unsent || !seq_gt(end, c->snd_nxt)) {
		stat_inc(c->t->core, STAT_TcpExtTCPWinProbe);
		return tcp_send_probe(c, now);
	}
	/* less than a segment, but there is room for it */
	len = in_pieces(c, MIN(MIN(unsent, end - c->snd_nxt), mss));
	r = tcp_rec_new(c, now);
	if (!r)
		return -ENOBUFS;
	r->seq = c->snd_nxt;
	r->len = len;
	r->sl = c->snd_sl;
	r->mss = (uint16_t)mss;
	r->num_segs = 1;
	r->flags = TCP_PSH;
	if (len == unsent && c->fin_queued)
		r->flags |= TCP_FIN;
	o = tcp_frame_of(c, r);
	err = tcp_transmit(c, &o, now);
	if (tcp_is_unsent(err)) {
		arena_free(tcp_arena(c), r);
		return err;
	}
	advance_cursor(c, len);
	enqueue(c, r, now);
	if (r->flags & TCP_FIN)
		c->fin_sent = true;
	after_data(c, len, mss, now);
	return 0;
}

/* --- called from below --- */

/* Whoever was refused goes on, in order; each that is refused again goes to the
 * end of the list, so one look at each is enough. */
void tcp_tx_room(struct tcp *t, nsec now)
{
	struct list todo;
	struct list *n;

	list_init(&todo);
	list_splice(&todo, &t->wait);
	while ((n = list_pop(&todo))) {
		struct tcp_conn *c = list_entry(n, struct tcp_conn, wait_link);

		transport_note(t->tp, c->ep);
		if (c->owe & TCP_OWE_NOW)
			tcp_send_ack(c, now);
		tcp_out(c, now);
		tcp_timer_sync(c);
		tcp_check(c);
		if (link_tx_room(t->tp->ip->link) <= TCP_TXQ_SPARE)
			break;
	}
	/* those not reached keep their place in front */
	list_splice(&todo, &t->wait);
	list_splice(&t->wait, &todo);
	if (!list_empty(&t->wait))
		t->tp->ip->link->tx_starved = true;
}
