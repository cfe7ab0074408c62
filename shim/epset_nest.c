/* SPDX-License-Identifier: MIT
 *
 * epset_nest.c - sets with sockets of ours inside other sets
 *
 * Who waits for the outer set may wait in the kernel, which sees of the inner
 * one its kernel half only. So while a set is in another one an eventfd of ours
 * is in its kernel half: readable as long as the ready list is not empty,
 * written with each event (an outer set may be edge-triggered), and taken out
 * of results.
 *
 * That an item is ready no more is noticed late: before each wait that may
 * include such a set, all of them are looked at.
 *
 * Known difference: the kernel looks into an inner set only when the outer one
 * has heard of it. So the order in which the inner set gives what is ready can
 * differ, after a wait for the outer one found that some of it was read.
 */
#include "epset_priv.h"
#include "sys.h"

#define BATCH 32

static _Atomic unsigned num_nests;

static void drain(int fd)
{
	uint64_t v;

	sys(read, fd, &v, sizeof(v));
}

void epset_nest_refresh(struct epset *s)
{
	bool is_ready;
	int fd;

	host_lock(OP_EPOLL, 0);
	fd = s->nest_fd;
	is_ready = fd < 0 || epset_drop_look(s);
	if (!is_ready)
		waiter_clear(&s->nest);
	host_unlock();
	if (is_ready)
		return;
	drain(fd);
	/* what came in between may have been drained with it */
	host_lock(OP_EPOLL, 0);
	if (s->nest_fd == fd && !list_empty(&s->ready)) {
		waiter_clear(&s->nest);
		waiter_mark(&s->nest);
	}
	host_unlock();
}

void epset_refresh_nested(void)
{
	struct epset *v[BATCH];
	struct list *l;
	unsigned n = 0;

	if (!atomic_load_explicit(&num_nests, memory_order_relaxed))
		return;
	host_lock(OP_EPOLL, 0);
	list_for_each (l, &epset_all) {
		struct epset *s = list_entry(l, struct epset, all_link);

		if (s->nest_fd >= 0 && n < BATCH)
			v[n++] = s;
	}
	host_unlock();
	while (n)
		epset_nest_refresh(v[--n]); /* sets are never unmapped */
}

int epset_nest(struct epset *s, int epfd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	bool lost;
	int fd;
	long r;

	if (s->nest_fd >= 0)
		return 0;
	fd = epset_eventfd();
	if (fd < 0)
		return fd;
	ev.data.u64 = (uintptr_t)&s->nest;
	r = sys(epoll_ctl, epfd, EPOLL_CTL_ADD, fd, &ev);
	if (r < 0) {
		fd_close_internal(fd);
		return (int)r;
	}
	host_lock(OP_EPOLL, 0);
	lost = s->nest_fd >= 0 || !s->file; /* another thread was faster */
	if (!lost) {
		s->nest_fd = fd;
		waiter_init_fd(&s->nest, fd);
		atomic_fetch_add(&num_nests, 1);
		if (!list_empty(&s->ready))
			waiter_mark(&s->nest);
	}
	host_unlock();
	if (lost)
		fd_close_internal(fd);
	wait_listen();
	return 0;
}

int epset_nest_fini(struct epset *s)
{
	int fd = s->nest_fd;

	if (fd < 0)
		return -1;
	s->nest_fd = -1;
	s->nest.wake_fd = -1; /* closed by who asked */
	waiter_fini(&s->nest);
	atomic_fetch_sub(&num_nests, 1);
	return fd;
}

void epset_nest_forked(void)
{
	atomic_store(&num_nests, 0);
}
