/* SPDX-License-Identifier: MIT
 *
 * impair.c - netem's decisions, in netem's order
 *
 * As sch_netem does: duplicate is drawn first, then loss (which cancels the
 * copy, if there is one), then corrupt; the copy goes through all of it again,
 * but makes no copies. A packet is then either sent ahead of the queue
 * (reorder) or given its time: now, plus delay and jitter, plus its length at
 * the rate behind the packet that leaves last. The queue is sorted by time,
 * equal times in order of arrival.
 *
 * The numbers come from a generator of our own, keyed by the stack's seed and
 * the purpose: what others draw does not change what happens here.
 */
#include "link/impair.h"

#include <errno.h>

#include "base/util.h"
#include "wire/wire.h"

#define DEFAULT_LIMIT 1000 /* tc-netem(8) */

struct impair {
	struct core *core;
	struct impair_cfg cfg;
	struct rng rng;
	struct list queue; /* by ->at */
	struct list lost;
	uint32_t num;	  /* in queue */
	uint32_t counter; /* since the last reordered one, for gap */
	/* the last draw of each kind, for correlation */
	double last_loss, last_dup, last_corrupt, last_reorder, last_delay;
};

struct impair *impair_new(struct core *c, const struct impair_cfg *cfg,
			  uint32_t purpose)
{
	struct impair *im = arena_zalloc(c->arena, sizeof(*im));
	uint8_t seed[32] = {0};

	if (!im)
		return NULL;
	memcpy(seed, &c->hash_key, sizeof(c->hash_key));
	im->core = c;
	im->cfg = *cfg;
	if (!im->cfg.limit)
		im->cfg.limit = DEFAULT_LIMIT;
	if (!im->cfg.gap)
		im->cfg.gap = 1;
	rng_init(&im->rng, seed, purpose);
	im->last_loss = rng_unit(&im->rng);
	im->last_dup = rng_unit(&im->rng);
	im->last_corrupt = rng_unit(&im->rng);
	im->last_reorder = rng_unit(&im->rng);
	im->last_delay = cfg->normal ? 0 : rng_unit(&im->rng);
	list_init(&im->queue);
	list_init(&im->lost);
	return im;
}

static void free_all(struct impair *im, struct list *l)
{
	struct list *n;

	while ((n = list_pop(l)))
		pkt_free(im->core->arena, list_entry(n, struct pkt, node));
}

void impair_free(struct impair *im)
{
	if (!im)
		return;
	free_all(im, &im->queue);
	free_all(im, &im->lost);
	arena_free(im->core->arena, im);
}

/* --- chance --- */

/* Uniform in [0, 1), leaning on the last one by @corr. */
static double draw(struct impair *im, double corr, double *last)
{
	double v = rng_unit(&im->rng);

	if (corr > 0)
		v = v * (1 - corr) + *last * corr;
	*last = v;
	return v;
}

static bool happens(struct impair *im, double chance, double corr, double *last)
{
	return chance > 0 && draw(im, corr, last) < chance;
}

/* A normal variable: twelve uniform ones have variance one together. */
static double draw_normal(struct impair *im)
{
	double corr = im->cfg.delay_corr, sum = -6;

	for (int i = 0; i < 12; i++)
		sum += rng_unit(&im->rng);
	sum = sum * (1 - corr) + im->last_delay * corr;
	im->last_delay = sum;
	return sum;
}

static nsec draw_delay(struct impair *im)
{
	const struct impair_cfg *g = &im->cfg;
	double jitter = (double)g->jitter;
	nsec d = g->delay;

	if (g->jitter && g->normal)
		d += (nsec)(jitter * draw_normal(im));
	else if (g->jitter)
		d += (nsec)(jitter *
			    (2 * draw(im, g->delay_corr, &im->last_delay) - 1));
	return MAX(d, 0);
}

/* --- packets --- */

static void lose(struct impair *im, struct pkt *p, enum drop why)
{
	drop(im->core, why);
	list_push(&im->lost, &p->node);
}

/* A packet of its own with the same bytes, contiguous, so that changing them
 * changes no other copy. Its cookie is 0. */
static struct pkt *copy(struct impair *im, const struct pkt *p)
{
	struct frame *f = frame_new(im->core->arena, MAX(p->len, 1u));
	struct pkt *q;

	if (!f)
		return NULL;
	q = pkt_new(im->core->arena);
	if (q) {
		pkt_copy_out(p, f->data);
		f->len = p->len;
		f->link = p->link;
		f->flags = p->flags;
		f->csum = CSUM_NONE;
		q->link = p->link;
		q->flags = p->flags;
		pkt_add(q, &f->b, f->data, f->len);
	}
	frame_put(im->core->arena, f); /* @q holds it */
	return q;
}

/* True: it is, and goes on. */
static bool mark(struct impair *im, struct pkt *p)
{
	uint32_t len = pkt_head_len(p);
	uint8_t *ip = len ? pkt_head(p) : p->v[0].p;

	if (!wire_mark_ce(ip, len ? len : p->v[0].len))
		return false;
	stat_inc(im->core, STAT_ImpairMarked);
	return true;
}

/* The same packet with a bit flipped; the old one when memory is short. */
static struct pkt *corrupt(struct impair *im, struct pkt *p)
{
	struct pkt *q = p->len ? copy(im, p) : NULL;
	uint32_t bit;

	if (!q)
		return p;
	bit = rng_below(&im->rng, q->len * 8);
	q->v[0].p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	q->cookie = p->cookie;
	q->charge = p->charge;
	q->stamp = p->stamp;
	q->stamp_id = p->stamp_id;
	pkt_free(im->core->arena, p);
	stat_inc(im->core, STAT_ImpairCorrupted);
	return q;
}

/* By time; behind those that leave at the same. */
static void queue_sorted(struct impair *im, struct pkt *p)
{
	struct list *at = im->queue.prev;

	while (at != &im->queue && list_entry(at, struct pkt, node)->at > p->at)
		at = at->prev;
	list_insert(&p->node, at, at->next);
}

/* How long @len bytes take at the configured rate. */
static nsec serialisation(const struct impair *im, uint32_t len)
{
	return (nsec)((double)len * 8 * SEC / (double)im->cfg.rate);
}

static nsec leaves_at(struct impair *im, uint32_t len, nsec now)
{
	nsec delay = draw_delay(im);

	if (!im->cfg.rate)
		return now + delay;
	if (!list_empty(&im->queue)) {
		struct pkt *last = list_entry(im->queue.prev, struct pkt, node);

		/* the delay runs while it waits for its turn */
		delay = MAX(delay - (last->at - now), 0);
		now = last->at;
	}
	return now + delay + serialisation(im, len);
}

static void enqueue(struct impair *im, struct pkt *p, nsec now)
{
	const struct impair_cfg *g = &im->cfg;

	if (im->num >= g->limit) {
		lose(im, p, DROP_IMPAIR_LIMIT);
		return;
	}
	im->num++;
	if (im->counter >= g->gap - 1 &&
	    happens(im, g->reorder, g->reorder_corr, &im->last_reorder)) {
		im->counter = 0;
		p->at = now;
		list_push_front(&im->queue, &p->node);
		stat_inc(im->core, STAT_ImpairReordered);
		return;
	}
	im->counter++;
	p->at = leaves_at(im, p->len, now);
	if (g->ce_threshold && g->rate &&
	    p->at - now - g->delay - serialisation(im, p->len) >
		    g->ce_threshold)
		mark(im, p);
	queue_sorted(im, p);
}

static void put(struct impair *im, struct pkt *p, bool may_double, nsec now)
{
	const struct impair_cfg *g = &im->cfg;
	struct pkt *twin = NULL;
	bool is_double = may_double &&
			 happens(im, g->duplicate, g->dup_corr, &im->last_dup);

	if (happens(im, g->loss, g->loss_corr, &im->last_loss) &&
	    !(g->ecn && mark(im, p))) {
		stat_inc(im->core, STAT_ImpairLost);
		if (!is_double) {
			lose(im, p, DROP_IMPAIR_LOSS);
			return;
		}
		drop(im->core, DROP_IMPAIR_LOSS); /* one of the two */
		is_double = false;
	}
	if (is_double)
		twin = copy(im, p);
	if (happens(im, g->corrupt, g->corrupt_corr, &im->last_corrupt))
		p = corrupt(im, p);
	if (twin) {
		stat_inc(im->core, STAT_ImpairDuplicated);
		put(im, twin, false, now);
	}
	enqueue(im, p, now);
}

void impair_put(struct impair *im, struct pkt *p, nsec now)
{
	put(im, p, true, now);
}

struct pkt *impair_take(struct impair *im, nsec now)
{
	if (impair_next_at(im) > now || list_empty(&im->queue))
		return NULL;
	im->num--;
	return list_entry(list_pop(&im->queue), struct pkt, node);
}

struct pkt *impair_take_lost(struct impair *im)
{
	struct list *n = list_pop(&im->lost);

	return n ? list_entry(n, struct pkt, node) : NULL;
}

nsec impair_next_at(const struct impair *im)
{
	if (list_empty(&im->queue))
		return TIME_NEVER;
	return list_entry(im->queue.next, struct pkt, node)->at;
}

/* After a death under the lock: packets on the way are kept. */
void impair_find(struct impair *im, struct rebuild *rb, rebuild_keep keep,
		 void *arg)
{
	rebuild_own(rb, im, sizeof(*im));
	im->num = REBUILD_LIST(rb, &im->queue, struct pkt, node, keep, arg);
	REBUILD_LIST(rb, &im->lost, struct pkt, node, keep, arg);
}
