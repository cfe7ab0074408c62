/* SPDX-License-Identifier: MIT
 *
 * list.h - intrusive doubly linked list, circular, with a head
 *
 * At every instruction the chain of ->next is whole: who is put in is linked
 * before anybody links to it, who is taken out is passed by before it is
 * changed. So a list survives whoever dies at it (rebuild.h), which makes
 * ->prev anew. (A release store costs nothing but that order.) list_splice() is
 * not like that.
 */
#ifndef TCPSHIM_LIST_H
#define TCPSHIM_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/util.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert(struct list *n, struct list *prev,
			       struct list *next)
{
	n->prev = prev;
	n->next = next;
	__atomic_store_n(&prev->next, n, __ATOMIC_RELEASE);
	next->prev = n;
}

static inline void list_push(struct list *head, struct list *n) /* at the end */
{
	list_insert(n, head->prev, head);
}

static inline void list_push_front(struct list *head, struct list *n)
{
	list_insert(n, head, head->next);
}

/* Leaves @n pointing at itself, so that removing twice is harmless and
 * list_empty(n) says "not on a list". */
static inline void list_remove(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	__atomic_store_n(&n->next, n, __ATOMIC_RELEASE);
	n->prev = n;
}

static inline struct list *list_pop(struct list *head) /* first, or NULL */
{
	struct list *n = head->next;

	if (n == head)
		return NULL;
	list_remove(n);
	return n;
}

/* Moves everything on @from to the end of @to. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(n, type, member) container_of(n, type, member)
#define list_first(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_last(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->prev, type, member))
#define list_for_each(p, head) \
	for ((p) = (head)->next; (p) != (head); (p) = (p)->next)
#define list_for_each_safe(p, tmp, head)                           \
	for ((p) = (head)->next, (tmp) = (p)->next; (p) != (head); \
	     (p) = (tmp), (tmp) = (p)->next)

#endif
