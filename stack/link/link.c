/* SPDX-License-Identifier: MIT
 *
 * link.c - the way down to the device's queue, and up from the device
 *
 *	 ip ---> capture ---> cut, checksum ---> impair ---> txq ---> edge
 *	 ip <--- capture <--- impair <--- cut, checksum <------------ edge
 *	 ip ---> loq ---> ip
 *
 * A frame that goes through impair is wrapped in a packet that refers to it,
 * so that both directions share one queue. Impaired packets that are due wait
 * where they are until the txq has room; what the txq refuses, its sender has
 * to send again, and is told when (link_tx_room_again()).
 *
 * A looped back packet is copied into a frame and delivered by link_tick(),
 * never from inside the call that sent it: no layer is entered twice.
 */
#include "link/link.h"

#include <errno.h>
#include <time.h>

#include <linux/errqueue.h>

#include "base/rebuild.h"
#include "base/util.h"
#include "link/capture.h"
#include "link/offload.h"

#define LOQ_MAX 1024 /* looped back packets; netdev_max_backlog's default */
#define RX_BUDGET 64 /* impaired frames let up by one that comes in */
enum { DIR_IN, DIR_OUT };

struct looped {
	struct list node;
	struct frame *f;
	uint64_t cookie;
	uint32_t charge;
};

int link_init(struct link *l, struct core *c, struct ip *ip,
	      const struct link_cfg *cfg)
{
	const struct impair_cfg *g[2] = {cfg->impair_in, cfg->impair_out};

	*l = (struct link){
		.core = c,
		.ip = ip,
		.mtu = cfg->mtu,
		.can_tso4 = cfg->can_tso4,
		.can_tso6 = cfg->can_tso6,
		.can_csum = cfg->can_csum,
	};
	list_init(&l->txq);
	list_init(&l->loq);
	timer_init(&l->timer, TIMER_LINK);
	for (unsigned d = 0; d < 2; d++) {
		if (!g[d])
			continue;
		l->impair[d] = impair_new(c, g[d], d);
		if (!l->impair[d])
			goto no_mem;
	}
	if (cfg->capture_ring) {
		l->capture = capture_new(c, cfg->capture_ring);
		if (!l->capture)
			goto no_mem;
	}
	return 0;
no_mem:
	link_fini(l);
	return -ENOMEM;
}

void link_fini(struct link *l)
{
	struct arena *a = l->core->arena;
	struct list *n;

	timer_remove(&l->core->timers, &l->timer);
	while ((n = list_pop(&l->txq)))
		pkt_free(a, list_entry(n, struct pkt, node));
	while ((n = list_pop(&l->loq))) {
		struct looped *lo = list_entry(n, struct looped, node);

		frame_put(a, lo->f);
		arena_free(a, lo);
	}
	l->num_txq = l->num_loq = 0;
	for (unsigned d = 0; d < 2; d++) {
		impair_free(l->impair[d]);
		l->impair[d] = NULL;
	}
	capture_free(l->capture);
	l->capture = NULL;
}

/* --- small things --- */

unsigned link_tx_room(const struct link *l)
{
	return l->num_txq < LINK_TXQ_MAX ? LINK_TXQ_MAX - l->num_txq : 0;
}

static void tell_stamp(struct link *l, const struct pkt *p, uint32_t type,
		       nsec now)
{
	if (p->stamp)
		link_tx_stamp(l->ip, p, type, now);
}

static void tell_sender(struct link *l, const struct pkt *p, int res, nsec now)
{
	if (res >= 0)
		tell_stamp(l, p, SCM_TSTAMP_SND, now);
	if (p->cookie)
		link_tx_done(l->ip, p->cookie, p->charge, res, now);
}

static void free_lost(struct link *l, struct impair *im, nsec now)
{
	struct pkt *p;

	while ((p = impair_take_lost(im))) {
		tell_sender(l, p, -ENOBUFS, now);
		pkt_free(l->core->arena, p);
	}
}

static nsec impair_due(const struct link *l)
{
	nsec at = TIME_NEVER;

	if (l->impair[DIR_IN])
		at = impair_next_at(l->impair[DIR_IN]);
	/* no use in waking up for a queue that is full */
	if (l->impair[DIR_OUT] && link_tx_room(l))
		at = MIN(at, impair_next_at(l->impair[DIR_OUT]));
	return at;
}

/* A timer that cannot be armed is no loss: link_next_at() knows, too. */
static void arm(struct link *l)
{
	timer_arm(&l->core->timers, &l->timer, impair_due(l));
}

nsec link_next_at(const struct link *l)
{
	return list_empty(&l->loq) ? impair_due(l) : 0;
}

/* Half of the queue is free again: go on with who was refused. */
static void room_again(struct link *l, nsec now)
{
	if (!l->tx_starved || l->num_txq > LINK_TXQ_MAX / 2 ||
	    l->num_loq > LOQ_MAX / 2)
		return;
	l->tx_starved = false;
	link_tx_room_again(l->ip, now);
}

/* --- down --- */

static int refuse(struct link *l, struct pkt *p, enum drop why)
{
	drop(l->core, why);
	l->tx_starved = true;
	pkt_free(l->core->arena, p);
	return -ENOBUFS;
}

static void txq_push(struct link *l, struct pkt *p)
{
	list_push(&l->txq, &p->node);
	l->num_txq++;
}

static void pump_out(struct link *l, nsec now)
{
	struct impair *im = l->impair[DIR_OUT];
	struct pkt *p;

	while (im && link_tx_room(l) && (p = impair_take(im, now)))
		txq_push(l, p);
}

/* Wire-sized, complete. */
static void tx_wire(struct link *l, struct pkt *p, nsec now)
{
	if (l->capture)
		capture_pkt(l->capture, p, now);
	if (l->impair[DIR_OUT])
		impair_put(l->impair[DIR_OUT], p, now);
	else
		txq_push(l, p);
}

static int tx_cut(struct link *l, struct pkt *p, nsec now)
{
	struct list cuts, *n;
	int err;

	list_init(&cuts);
	err = offload_cut(l->core->arena, p, &cuts);
	while ((n = list_pop(&cuts))) {
		struct pkt *q = list_entry(n, struct pkt, node);

		if (err)
			pkt_free(l->core->arena, q);
		else
			tx_wire(l, q, now);
	}
	if (err) {
		drop(l->core, DROP_NO_MEM);
		l->tx_starved = true;
		return -ENOBUFS;
	}
	return 0;
}

void link_set_refusing(struct link *l, bool on)
{
	l->is_refusing = on;
}

static int tx_dev(struct link *l, struct pkt *p, nsec now)
{
	bool is_cut = p->gso && (l->impair[DIR_OUT] || l->capture);
	unsigned num = is_cut && p->gso_segs ? p->gso_segs : 1;
	int err = 0;

	if (l->is_refusing) {
		drop(l->core, DROP_TXQ_FULL);
		pkt_free(l->core->arena, p);
		return -ENOBUFS;
	}
	if (link_tx_room(l) < num)
		return refuse(l, p, DROP_TXQ_FULL);
	if (!l->impair[DIR_OUT] && !l->capture) {
		txq_push(l, p);
		return 0;
	}
	if (is_cut) {
		err = tx_cut(l, p, now);
	} else {
		offload_csum(p);
		tx_wire(l, p, now);
	}
	if (l->impair[DIR_OUT]) {
		free_lost(l, l->impair[DIR_OUT], now);
		pump_out(l, now);
		arm(l);
	}
	return err;
}

static int tx_loop(struct link *l, struct pkt *p, nsec now)
{
	struct looped *lo;
	struct frame *f;

	if (l->num_loq >= LOQ_MAX)
		return refuse(l, p, DROP_TXQ_FULL);
	lo = arena_alloc(l->core->arena, sizeof(*lo));
	f = frame_new(l->core->arena, p->len);
	if (!lo || !f) {
		arena_free(l->core->arena, lo);
		frame_put(l->core->arena, f);
		return refuse(l, p, DROP_NO_MEM);
	}
	pkt_copy_out(p, f->data);
	f->len = p->len;
	f->at = now;
	f->l4_off = p->l4_off;
	f->hdr_len = p->hdr_len;
	f->gso_size = p->gso_size;
	f->gso_segs = p->gso_segs;
	f->gso = p->gso;
	f->csum = p->csum; /* a raw socket may have made a bad one */
	f->link = p->flags & FRAME_F_ECHO ? LINK_DEV : LINK_LO;
	f->flags = p->flags | FRAME_F_LOOP;
	lo->f = f;
	lo->cookie = p->cookie;
	lo->charge = p->charge;
	list_push(&l->loq, &lo->node);
	l->num_loq++;
	tell_stamp(l, p, SCM_TSTAMP_SND, now); /* there is no slower device */
	pkt_free(l->core->arena, p);
	return 0;
}

int link_tx(struct link *l, struct pkt *p, nsec now)
{
	/* what is in front of the payload, for whoever cuts later */
	p->hdr_len = (uint16_t)pkt_head_len(p);
	tell_stamp(l, p, SCM_TSTAMP_SCHED, now);
	return p->link == LINK_LO ? tx_loop(l, p, now) : tx_dev(l, p, now);
}

struct pkt *link_take(struct link *l, nsec now)
{
	struct list *n;

	pump_out(l, now);
	n = list_pop(&l->txq);
	if (!n)
		return NULL;
	l->num_txq--;
	l->num_inflight++;
	return list_entry(n, struct pkt, node);
}

void link_taken_done(struct link *l, struct pkt *p, int res, nsec now)
{
	ASSERT(l->num_inflight > 0);
	l->num_inflight--;
	if (res >= 0) {
		stat_inc(l->core, STAT_LinkTxPackets);
		stat_add(l->core, STAT_LinkTxBytes, p->len);
	} else {
		stat_inc(l->core, STAT_LinkTxErrors);
		drop(l->core, DROP_LINK_DOWN);
	}
	tell_sender(l, p, res, now);
	pkt_free(l->core->arena, p);
	if (l->impair[DIR_OUT]) {
		pump_out(l, now);
		arm(l);
	}
	room_again(l, now);
}

/* --- up --- */

static void up(struct link *l, struct frame *f, nsec now)
{
	if (l->capture)
		capture_frame(l->capture, f, now);
	link_deliver(l->ip, f, now);
}

/* @p carries a frame: its only piece. */
static struct frame *unwrap(struct link *l, struct pkt *p)
{
	struct frame *f = container_of(p->v[0].b, struct frame, b);

	frame_get(f);
	pkt_free(l->core->arena, p);
	return f;
}

static unsigned pump_in(struct link *l, unsigned budget, nsec now)
{
	struct impair *im = l->impair[DIR_IN];
	struct pkt *p;
	unsigned num = 0;

	while (im && num < budget && (p = impair_take(im, now))) {
		up(l, unwrap(l, p), now);
		num++;
	}
	return num;
}

static void rx_wire(struct link *l, struct frame *f, nsec now)
{
	struct pkt *p;

	if (!l->impair[DIR_IN]) {
		up(l, f, now);
		return;
	}
	p = pkt_new(l->core->arena);
	if (p) {
		p->link = f->link;
		p->flags = f->flags;
		pkt_add(p, &f->b, f->data, f->len);
		impair_put(l->impair[DIR_IN], p, now);
	} else {
		drop(l->core, DROP_NO_MEM);
	}
	frame_put(l->core->arena, f); /* @p holds it */
}

static void rx_cut(struct link *l, struct frame *f, nsec now)
{
	struct offload_view w;
	struct iovec payload;
	unsigned num = offload_frame_view(f, &w, &payload);

	if (!num)
		drop(l->core, DROP_TOO_SHORT);
	for (unsigned i = 0; i < num; i++) {
		struct frame *s =
			offload_frame_segment(l->core->arena, f, &w, i);

		if (s)
			rx_wire(l, s, now);
		else
			drop(l->core, DROP_NO_MEM);
	}
	frame_put(l->core->arena, f);
}

void link_rx(struct link *l, struct frame *f, nsec now)
{
	stat_inc(l->core, STAT_LinkRxPackets);
	stat_add(l->core, STAT_LinkRxBytes, f->len);
	if (!l->impair[DIR_IN] && !l->capture) {
		link_deliver(l->ip, f, now);
		return;
	}
	if (f->gso) {
		rx_cut(l, f, now);
	} else {
		offload_csum_frame(f);
		rx_wire(l, f, now);
	}
	if (l->impair[DIR_IN]) {
		free_lost(l, l->impair[DIR_IN], now);
		pump_in(l, RX_BUDGET, now);
		arm(l);
	}
}

/* --- what comes by itself --- */

static unsigned deliver_looped(struct link *l, unsigned budget, nsec now)
{
	unsigned num = 0;
	struct list *n;

	while (num < budget && (n = list_pop(&l->loq))) {
		struct looped *lo = list_entry(n, struct looped, node);
		struct looped was = *lo;

		l->num_loq--;
		num++;
		arena_free(l->core->arena, lo);
		link_deliver(l->ip, was.f, now);
		if (was.cookie)
			link_tx_done(l->ip, was.cookie, was.charge, 0, now);
	}
	return num;
}

unsigned link_tick(struct link *l, unsigned budget, nsec now)
{
	unsigned num = deliver_looped(l, budget, now);

	if (l->impair[DIR_IN] || l->impair[DIR_OUT]) {
		pump_out(l, now);
		num += pump_in(l, budget - num, now);
		arm(l);
	}
	room_again(l, now);
	return num;
}

void link_timer(struct link *l, nsec now)
{
	link_tick(l, RX_BUDGET, now);
}

size_t link_capture_drain(struct link *l, uint8_t *out, size_t room)
{
	return l->capture ? capture_drain(l->capture, out, room) : 0;
}

/* --- after a death under the lock --- */

static bool keep_pkt(struct rebuild *rb, void *obj, void *arg)
{
	struct pkt *p = obj;
	struct link *l = arg;

	if (!rebuild_pkt(rb, p))
		return false;
	link_charge(l->ip, p->cookie, p->charge);
	return true;
}

static bool keep_looped(struct rebuild *rb, void *obj, void *arg)
{
	struct looped *lo = obj;
	struct link *l = arg;

	if (!rebuild_buf(rb, &lo->f->b))
		return false;
	link_charge(l->ip, lo->cookie, lo->charge);
	return true;
}

void link_find(struct link *l, struct rebuild *rb)
{
	timer_init(&l->timer, TIMER_LINK);
	l->num_inflight = 0;
	l->num_txq = REBUILD_LIST(rb, &l->txq, struct pkt, node, keep_pkt, l);
	l->num_loq =
		REBUILD_LIST(rb, &l->loq, struct looped, node, keep_looped, l);
	for (unsigned d = 0; d < 2; d++)
		if (l->impair[d])
			impair_find(l->impair[d], rb, keep_pkt, l);
	if (l->capture)
		capture_find(l->capture, rb);
	l->tx_starved = true; /* perhaps */
}

void link_refill(struct link *l)
{
	if (l->impair[DIR_IN] || l->impair[DIR_OUT])
		arm(l);
}
