/* SPDX-License-Identifier: MIT
 *
 * tcp_ofo.c - what came before its turn
 *
 * Slices without overlap, as a list by sequence number and, to find a place in
 * it, a tree over the same slices: many holes far apart are the ordinary state
 * of a fast long path, and what an attacker would make. The tree is a treap: a
 * search tree by sequence number, a heap by a number that hangs on a secret, so
 * that nobody outside can make it deep (Aragon and Seidel, "Randomized search
 * trees", 1989). It holds nothing that the list does not, and can be made anew
 * from it.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

/* --- the tree --- */

static uint32_t chance(const struct tcp_conn *c, uint32_t seq)
{
	uint64_t x = (seq ^ c->t->core->hash_key.k0) * 0x9e3779b97f4a7c15;

	x = (x ^ x >> 32 ^ c->t->core->hash_key.k1) * 0xbf58476d1ce4e5b9;
	return (uint32_t)(x >> 32);
}

/* A FIN without bytes may be where other bytes begin: it is before them. */
static bool is_before(const struct tcp_rslice *a, const struct tcp_rslice *b)
{
	return seq_lt(a->seq, b->seq) ||
	       (a->seq == b->seq && !a->len && b->len);
}

/* Those before @r go to @low, the others to @high. */
static void split(struct tcp_rslice *n, const struct tcp_rslice *r,
		  struct tcp_rslice **low, struct tcp_rslice **high)
{
	while (n) {
		if (is_before(n, r)) {
			*low = n;
			low = &n->right;
			n = n->right;
		} else {
			*high = n;
			high = &n->left;
			n = n->left;
		}
	}
	*low = *high = NULL;
}

/* All of @low are below all of @high. */
static struct tcp_rslice *join(struct tcp_rslice *low, struct tcp_rslice *high)
{
	struct tcp_rslice *root = NULL, **to = &root;

	while (low && high) {
		if (low->chance >= high->chance) {
			*to = low;
			to = &low->right;
			low = low->right;
		} else {
			*to = high;
			to = &high->left;
			high = high->left;
		}
	}
	*to = low ? low : high;
	return root;
}

static void tree_add(struct tcp_conn *c, struct tcp_rslice *r)
{
	struct tcp_rslice **at = &c->ofo_root;

	r->chance = chance(c, r->seq);
	while (*at && (*at)->chance >= r->chance)
		at = is_before(*at, r) ? &(*at)->right : &(*at)->left;
	split(*at, r, &r->left, &r->right);
	*at = r;
}

/* Before anything changes @r->seq. */
static void tree_remove(struct tcp_conn *c, struct tcp_rslice *r)
{
	struct tcp_rslice **at = &c->ofo_root;

	while (*at != r) {
		ASSERT(*at);
		at = is_before(*at, r) ? &(*at)->right : &(*at)->left;
	}
	*at = join(r->left, r->right);
}

void tcp_ofo_index(struct tcp_conn *c)
{
	struct list *p;

	c->ofo_root = NULL;
	list_for_each (p, &c->ofo)
		tree_add(c, list_entry(p, struct tcp_rslice, node));
}

/* The last one that begins at @seq or before; the list's head if none does. */
static struct list *ofo_before(struct tcp_conn *c, uint32_t seq)
{
	struct tcp_rslice *last = list_last(&c->ofo, struct tcp_rslice, node);
	struct tcp_rslice *n = c->ofo_root, *best = NULL;

	if (last && seq_leq(last->seq, seq)) /* mostly */
		return &last->node;
	while (n) {
		if (seq_leq(n->seq, seq)) {
			best = n;
			n = n->right;
		} else {
			n = n->left;
		}
	}
	return best ? &best->node : &c->ofo;
}

/* --- the queue --- */

static void ofo_remove(struct tcp_conn *c, struct tcp_rslice *r)
{
	tree_remove(c, r);
	c->num_ofo--;
	tcp_rslice_free(c, r);
}

/* Later slices give way to what has just come: it is as good, and whole. */
static void trim_after(struct tcp_conn *c, struct tcp_rslice *r)
{
	uint32_t end = r->seq + r->len;

	while (r->node.next != &c->ofo) {
		struct tcp_rslice *n =
			list_entry(r->node.next, struct tcp_rslice, node);
		uint32_t over = end - n->seq;

		if (seq_geq(n->seq, end))
			break;
		if (over < n->len) {
			tcp_dsack_extend(c, n->seq, end);
			n->seq += over;
			n->p += over;
			n->len -= over;
			break;
		}
		tcp_dsack_extend(c, n->seq, n->seq + n->len);
		r->fin |= n->fin && n->seq + n->len == end;
		ofo_remove(c, n);
		stat_inc(c->t->core, STAT_TcpExtTCPOFOMerge);
	}
}

bool tcp_ofo_prune(struct tcp_conn *c)
{
	struct tcp_rslice *r = list_last(&c->ofo, struct tcp_rslice, node);
	unsigned n = 0;

	if (!r)
		return false;
	/* an eighth of it at a time, from the far end; RFC 2018 8 allows it */
	for (uint32_t k = c->num_ofo / 8 + 1; k && r; k--) {
		ofo_remove(c, r);
		r = list_last(&c->ofo, struct tcp_rslice, node);
	}
	for (unsigned i = 0; i < c->num_sacks; i++) {
		uint32_t end = r ? r->seq + r->len : c->rcv_nxt;

		if (seq_lt(c->sacks[i].start, end)) {
			c->sacks[n] = c->sacks[i];
			c->sacks[n].end = seq_min(c->sacks[n].end, end);
			n++;
		}
	}
	c->num_sacks = (uint8_t)n;
	stat_inc(c->t->core, STAT_TcpExtOfoPruned);
	return true;
}

void tcp_ofo_free(struct tcp_conn *c)
{
	while (!list_empty(&c->ofo))
		ofo_remove(c, list_first(&c->ofo, struct tcp_rslice, node));
	c->num_sacks = 0;
}

bool tcp_ofo_insert(struct tcp_conn *c, struct tcp_seg *s)
{
	uint32_t seq = s->seq, end = s->seq + s->len;
	bool fin = s->r.flags & TCP_FIN;
	struct list *at = ofo_before(c, seq);
	struct tcp_rslice *r;

	if (at != &c->ofo) {
		struct tcp_rslice *prev =
			list_entry(at, struct tcp_rslice, node);
		uint32_t prev_end = prev->seq + prev->len;

		if (seq_geq(prev_end, end)) { /* nothing new */
			prev->fin |= fin && prev_end == end;
			tcp_dsack_set(c, seq, end);
			tcp_sacks_add(c, seq, end);
			stat_inc(c->t->core, STAT_TcpExtTCPOFOQueue);
			stat_inc(c->t->core, STAT_TcpExtTCPOFOMerge);
			return true;
		}
		if (seq_gt(prev_end, seq)) {
			tcp_dsack_set(c, seq, prev_end);
			seq = prev_end;
		}
	}
	if (c->ep->rx_mem > c->ep->rcvbuf || c->num_ofo >= TCP_OFO_MAX)
		return false;
	r = tcp_rslice_new(c, s, seq, end - seq);
	if (!r)
		return false;
	r->fin = fin;
	list_insert(&r->node, at, at->next);
	c->num_ofo++;
	c->num_ooo++;
	tcp_rslice_tighten(c, r, NULL);
	trim_after(c, r);
	tree_add(c, r); /* only now does no other begin where it does */
	tcp_sacks_add(c, s->seq, end + fin);
	stat_inc(c->t->core, STAT_TcpExtTCPOFOQueue);
	return true;
}

bool tcp_ofo_drain(struct tcp_conn *c)
{
	struct tcp_rslice *r;
	bool fin = false;

	while ((r = list_first(&c->ofo, struct tcp_rslice, node))) {
		uint32_t over = c->rcv_nxt - r->seq;

		if (seq_gt(r->seq, c->rcv_nxt))
			break;
		if (over)
			tcp_dsack_extend(c, r->seq,
					 seq_min(c->rcv_nxt, r->seq + r->len));
		if (over > r->len || (over == r->len && !r->fin)) {
			ofo_remove(c, r);
			continue;
		}
		fin = r->fin;
		tree_remove(c, r);
		r->seq += over;
		r->p += over;
		r->len -= over;
		c->rcv_nxt += r->len;
		c->bytes_received += r->len;
		c->num_ofo--;
		list_remove(&r->node);
		if (r->len) {
			list_push(&c->rcvq, &r->node);
		} else {
			list_init(&r->node);
			tcp_rslice_free(c, r);
		}
		if (fin)
			break;
	}
	if (fin)
		tcp_ofo_free(c);
	tcp_sacks_below(c, c->rcv_nxt);
	return fin;
}
