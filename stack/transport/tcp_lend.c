/* SPDX-License-Identifier: MIT
 *
 * tcp_lend.c - memory with a caller, between begin and commit
 *
 * The caller may take its time, or die, between the two. So what is lent hangs
 * on struct tcp, not on the connection, and outlives it.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

struct tcp_lend *tcp_lend_new(struct tcp_conn *c, bool is_recv)
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

void tcp_lend_free(struct tcp *t, struct tcp_lend *l)
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
		tcp_lend_free(t, list_first(&t->lends, struct tcp_lend, link));
}

bool tcp_lend_look(struct tcp_lend *l, struct span *sp, struct buf *b,
		   uint8_t *p, uint32_t len)
{
	uint32_t n;

	if (l->bytes == l->want || l->num == SPAN_MAX_V)
		return false;
	if (l->skip >= len) {
		l->skip -= len;
		return true;
	}
	n = MIN(l->want - l->bytes, len - l->skip);
	buf_get(b);
	/* pinned as a buffer; frames and chunks begin with one */
	l->c[l->num++] = (struct chunk *)(void *)b;
	sp->v[sp->num_v++] = (struct iovec){p + l->skip, n};
	l->bytes += n;
	l->skip = 0;
	return true;
}
