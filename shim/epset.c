/* SPDX-License-Identifier: MIT
 *
 * epset.c - the half of an epoll set that holds sockets of ours
 *
 * The number that the program holds is a kernel epoll fd, and what it adds of
 * the kernel's goes into that. At the first socket of ours the set gets a
 * second half in user space: one item per (number, file), a watch on the
 * socket, and a list of the items that may be ready.
 *
 * Readiness works as in the kernel. A watch that fires puts its item on the
 * ready list. epoll_wait() takes items off the list, looks what holds now, and
 * puts level-triggered ones back at the end. An edge-triggered item comes back
 * only with the next event: new bits, or a step of the socket's counter for a
 * direction that the item asks for. So a wait costs what is ready, not what is
 * registered.
 *
 * Order is the kernel's: of the items of one socket the latest hears first,
 * then the exclusive ones in the order of their adding, until one of those has
 * woken a thread.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "epset_priv.h"

#include "call_priv.h"
#include "sys.h"

/* How an item waits, not what for (EP_PRIVATE_BITS of the kernel). */
#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
#define IN_BITS (EPOLLIN | EPOLLRDNORM | EPOLLPRI | EPOLLRDBAND)
#define OUT_BITS (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)

#define BATCH 32 /* events taken per hold of the lock */
#define SLAB_BYTES 16384
#define MAX_STALE 64

struct epitem {
	struct watch watch;
	struct list link;	/* on set->items, or the free list */
	struct list ready_link; /* on set->ready */
	struct epset *set;
	struct file *file;
	int fd;
	uint32_t events;
	epoll_data_t data;
	uint32_t bits, in_seq, out_seq; /* at the last event */
	uint32_t scan;
};

/* Guarded by the stack lock. */
struct list epset_all = {&epset_all, &epset_all};
static struct list free_sets = {&free_sets, &free_sets};
static struct list free_items = {&free_items, &free_items};
static struct {
	int v[MAX_STALE];
	unsigned num;
} stale;

/* --- memory: slabs that are never given back --- */
static void *map_slab(void)
{
	long r = sys(mmap, NULL, SLAB_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return r < 0 && r >= -4095 ? NULL : (void *)r;
}

/* More free items, if there are none. No lock held. */
static int items_refill(void)
{
	struct epitem *v = map_slab();

	if (!v)
		return -ENOMEM;
	host_lock(OP_EPOLL, 0);
	for (size_t i = 0; i < SLAB_BYTES / sizeof(*v); i++)
		list_push(&free_items, &v[i].link);
	host_unlock();
	return 0;
}

static struct epset *set_alloc(void)
{
	struct list *l;
	struct epset *v;

	host_lock(OP_EPOLL, 0);
	l = list_pop(&free_sets);
	host_unlock();
	if (l)
		return list_entry(l, struct epset, all_link);
	v = map_slab();
	if (!v)
		return NULL;
	host_lock(OP_EPOLL, 0);
	for (size_t i = 1; i < SLAB_BYTES / sizeof(*v); i++)
		list_push(&free_sets, &v[i].all_link);
	host_unlock();
	return v;
}

int epset_new(struct epset **out)
{
	struct epset *s = set_alloc();
	struct file *f = s ? file_new(FILE_EPOLL) : NULL;

	if (!f) {
		if (s) {
			host_lock(OP_EPOLL, 0);
			list_push(&free_sets, &s->all_link);
			host_unlock();
		}
		return -ENOMEM;
	}
	*s = (struct epset){.file = f, .last_fd = -1, .nest_fd = -1};
	list_init(&s->items);
	list_init(&s->ready);
	list_init(&s->waiters);
	f->priv = s;
	host_lock(OP_EPOLL, 0);
	list_push(&epset_all, &s->all_link);
	host_unlock();
	*out = s;
	return 0;
}

int epset_eventfd(void)
{
	return fd_internal_eventfd();
}

static void put_stale(int fd)
{
	if (fd >= 0 && stale.num < MAX_STALE)
		stale.v[stale.num++] = fd;
}

void epset_close_stale(void)
{
	int fd;

	do {
		host_lock(OP_EPOLL, 0);
		fd = stale.num ? stale.v[--stale.num] : -1;
		host_unlock();
		if (fd >= 0)
			fd_close_internal(fd);
	} while (fd >= 0);
}

/* --- the ready list; the stack lock is held --- */
static bool is_marked(const struct waiter *w)
{
	return w->word != 0;
}

/* Everyone who polls @s, and one more of those who wait for it. Was there
 * one? */
static bool wake_waiters(struct epset *s)
{
	struct list *l;
	bool woke_one = false;

	list_for_each (l, &s->waiters) {
		struct epset_watch *h = list_entry(l, struct epset_watch, node);

		if (h->is_exclusive && (woke_one || is_marked(h->waiter)))
			continue;
		woke_one |= h->is_exclusive;
		waiter_mark(h->waiter);
	}
	return woke_one;
}

void epset_wake(struct epset *s)
{
	wake_waiters(s);
}

/* An event for @it. Unless something @holds, nobody is woken to find nothing;
 * an outer set has its edge all the same. */
static bool item_ready(struct epitem *it, bool holds)
{
	struct epset *s = it->set;

	if (list_empty(&it->ready_link))
		list_push(&s->ready, &it->ready_link);
	if (s->nest_fd >= 0)
		waiter_mark(&s->nest);
	return holds && wake_waiters(s);
}

static void item_free(struct epitem *it)
{
	watch_del(&it->watch);
	list_remove(&it->ready_link);
	list_remove(&it->link);
	it->set = NULL;
	list_push_front(&free_items, &it->link);
}

static uint32_t item_wants(const struct epitem *it)
{
	return it->events & ~PRIVATE_BITS;
}

/* What the kernel would tell its waiters now, which is more than what has come:
 * they look for themselves. 0 when bits have only gone. */
static uint32_t event_key(const struct epitem *it, const struct ready *r)
{
	uint32_t key = 0;

	if (r->in_seq != it->in_seq)
		key |= IN_BITS;
	if (r->out_seq != it->out_seq)
		key |= OUT_BITS;
	/* a change of state */
	if (r->bits & ~it->bits & ~(IN_BITS | OUT_BITS) ||
	    key == (IN_BITS | OUT_BITS))
		return ~0u;
	return key;
}

/* True: a thread was woken, which is enough for an exclusive item. */
static bool item_on_ready(struct watch *h, const struct ready *r)
{
	struct epitem *it = container_of(h, struct epitem, watch);
	uint32_t key;

	if (r->bits & WATCH_GONE) {
		item_free(it);
		return false;
	}
	key = event_key(it, r);
	it->bits = r->bits;
	it->in_seq = r->in_seq;
	it->out_seq = r->out_seq;
	return key & item_wants(it) && item_ready(it, r->bits & item_wants(it));
}

/* What holds of what @it wants; remembers where the counters are. */
static uint32_t item_look(struct epitem *it)
{
	struct ready r = {0};

	watch_look(&it->watch, &r);
	if (r.bits & WATCH_GONE)
		return 0;
	it->bits = r.bits;
	it->in_seq = r.in_seq;
	it->out_seq = r.out_seq;
	return r.bits & item_wants(it);
}

/* Takes up to @n events of our sockets; @scan is this call's number, so that a
 * level-triggered item is not seen twice. */
static int take_batch(struct epset *s, struct epoll_event *v, int n,
		      uint32_t scan)
{
	int num = 0;

	while (num < n && !list_empty(&s->ready)) {
		struct epitem *it =
			list_entry(s->ready.next, struct epitem, ready_link);
		uint32_t bits;

		if (it->scan == scan)
			break;
		list_remove(&it->ready_link);
		bits = item_look(it);
		if (!bits)
			continue;
		v[num].events = bits;
		v[num++].data = it->data;
		it->scan = scan;
		if (it->events & EPOLLONESHOT)
			it->events &= PRIVATE_BITS;
		else if (!(it->events & EPOLLET))
			list_push(&s->ready, &it->ready_link);
	}
	return num;
}

int epset_take(struct epset *s, struct epoll_event *v, int n, uint32_t *scan)
{
	int num = 0, got;

	do {
		struct epoll_event batch[BATCH];
		int room = n - num < BATCH ? n - num : BATCH;

		host_lock(OP_EPOLL, 0);
		if (!*scan)
			*scan = ++s->scan;
		got = take_batch(s, batch, room, *scan);
		host_unlock();
		memcpy(v + num, batch, (size_t)got * sizeof(*v));
		num += got;
	} while (got == BATCH && num < n);
	return num;
}

bool epset_look(struct epset *s)
{
	struct list *l;

	list_for_each (l, &s->ready)
		if (item_look(list_entry(l, struct epitem, ready_link)))
			return true;
	return false;
}

bool epset_drop_look(struct epset *s)
{
	while (!list_empty(&s->ready)) {
		struct epitem *it =
			list_entry(s->ready.next, struct epitem, ready_link);

		if (item_look(it))
			return true;
		list_remove(&it->ready_link);
	}
	return false;
}

/* --- who waits --- */
bool epset_ready(struct file *f)
{
	return f->kind == FILE_EPOLL && f->priv && epset_drop_look(f->priv);
}

void epset_watch_add(struct epset_watch *h, struct file *f, struct waiter *w)
{
	h->waiter = w;
	h->is_exclusive = false;
	h->set = f->kind == FILE_EPOLL ? f->priv : NULL;
	list_init(&h->node);
	if (!h->set)
		return;
	epset_get(h->set);
	list_push(&h->set->waiters, &h->node);
}

void epset_watch_del(struct epset_watch *h)
{
	list_remove(&h->node);
	if (h->set)
		epset_put(h->set);
	h->set = NULL;
}

/* Its last number is closed, and nobody waits for it. The stack lock is held.
 */
static void take_apart(struct epset *s)
{
	struct list *l;

	while ((l = list_pop(&s->items))) /* item_free() takes it off again */
		item_free(list_entry(l, struct epitem, link));
	list_remove(&s->all_link);
	put_stale(epset_nest_fini(s));
	put_stale(s->last_fd);
	s->last_fd = -1;
	list_push(&free_sets, &s->all_link);
}

void epset_get(struct epset *s)
{
	s->num_users++;
}

void epset_put(struct epset *s)
{
	if (!--s->num_users && !s->file)
		take_apart(s);
}

/* --- changes --- */
void epset_has_kernel(struct epset *s)
{
	struct list *l;

	host_lock(OP_EPOLL, 0);
	if (!s->has_kernel) {
		s->has_kernel = true;
		list_for_each (l, &s->waiters)
			waiter_mark(list_entry(l, struct epset_watch, node)
					    ->waiter);
	}
	host_unlock();
}

/* The item of number @fd, which names @f, in @s. A socket is in few sets. */
static struct epitem *item_find(struct epset *s, struct file *f, int fd)
{
	struct list *l;

	list_for_each (l, &f->watches) {
		struct watch *h = list_entry(l, struct watch, node);
		struct epitem *it = container_of(h, struct epitem, watch);

		if (h->on_ready == item_on_ready && it->set == s &&
		    it->fd == fd)
			return it;
	}
	return NULL;
}

#define NUM_TRIES 4 /* of a call that fails for want of memory */

/* The stack lock is held, a free item is there. */
static int item_add(struct epset *s, struct file *f, int fd,
		    const struct epoll_event *ev)
{
	struct list *l = list_pop(&free_items);
	struct epitem *it = list_entry(l, struct epitem, link);
	uint32_t bits;

	*it = (struct epitem){.set = s, .file = f, .fd = fd};
	list_init(&it->ready_link);
	it->events = ev->events | EPOLLERR | EPOLLHUP;
	it->data = ev->data;
	bits = watch_add(&it->watch, f, WATCH_ALL, NULL, item_on_ready);
	if (bits & WATCH_GONE) {
		list_push_front(&free_items, &it->link);
		/* another process's watch of the same socket takes memory */
		return host_wants_memory() ? -ENOMEM : -EBADF;
	}
	it->watch.is_exclusive = ev->events & EPOLLEXCLUSIVE;
	if (!it->watch.is_exclusive) { /* in front of all others */
		list_remove(&it->watch.node);
		list_push_front(&f->watches, &it->watch.node);
	}
	watch_one(f);
	list_push(&s->items, &it->link);
	if (item_look(it))
		item_ready(it, true);
	return 0;
}

static int item_modify(struct epitem *it, const struct epoll_event *ev)
{
	if (it->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	it->events = ev->events | EPOLLERR | EPOLLHUP;
	it->data = ev->data;
	if (item_look(it) && list_empty(&it->ready_link))
		item_ready(it, true);
	return 0;
}

static int locked_ctl(struct epset *s, int op, struct file *f, int fd,
		      const struct epoll_event *ev)
{
	struct epitem *it = item_find(s, f, fd);

	if (!s->file)
		return -EBADF;
	switch (op) {
	case EPOLL_CTL_ADD:
		return it ? -EEXIST : item_add(s, f, fd, ev);
	case EPOLL_CTL_MOD:
		return it ? item_modify(it, ev) : -ENOENT;
	default:
		if (!it)
			return -ENOENT;
		item_free(it);
		return 0;
	}
}

int epset_ctl(struct epset *s, int op, struct file *f, int fd,
	      const struct epoll_event *ev)
{
	unsigned num_tries = 0;

	for (;;) {
		bool is_empty;
		int r;

		host_lock(OP_EPOLL, f->s);
		is_empty = op == EPOLL_CTL_ADD && list_empty(&free_items);
		r = is_empty ? 0 : locked_ctl(s, op, f, fd, ev);
		host_unlock();
		if (is_empty) {
			r = items_refill();
			if (r < 0)
				return r;
		} else if (r != -ENOMEM || num_tries++ == NUM_TRIES ||
			   !host_more_memory()) {
			return r;
		}
	}
}

/* --- what fdtab.h asks for --- */
void epoll_number_goes(struct file *f, int fd)
{
	struct epset *s;
	bool is_needed;
	int copy;

	host_lock(OP_EPOLL, 0);
	s = f->priv;
	is_needed = s && s->num_users && s->last_fd < 0;
	host_unlock();
	if (!is_needed)
		return;
	copy = (int)sys(fcntl, fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0)
		copy = fd_make_internal(copy);
	host_lock(OP_EPOLL, 0);
	if (s->num_users && s->last_fd < 0)
		s->last_fd = copy;
	else
		put_stale(copy);
	host_unlock();
}

void epoll_file_free(struct file *f)
{
	struct epset *s = f->priv;

	if (!s)
		return;
	host_lock(OP_EPOLL, 0);
	f->priv = NULL;
	s->file = NULL;
	if (!s->num_users)
		take_apart(s);
	host_unlock();
	epset_close_stale();
}

/* Takes an item of number @fd, which names @f, out of its set. */
static struct epset *pop_item(struct file *f, int fd, struct epoll_event *ev)
{
	struct list *l;

	list_for_each (l, &f->watches) {
		struct watch *h = list_entry(l, struct watch, node);
		struct epitem *it = container_of(h, struct epitem, watch);
		struct epset *s = it->set;

		if (h->on_ready != item_on_ready || it->fd != fd)
			continue;
		ev->events = it->events;
		ev->data = it->data;
		item_free(it);
		return s;
	}
	return NULL;
}

void epoll_file_handed_over(struct file *f, int fd)
{
	for (;;) {
		struct epoll_event ev = {0};
		struct file *ef = NULL;
		struct epset *s;
		int epfd;

		host_lock(OP_EPOLL, f->s);
		s = pop_item(f, fd, &ev);
		if (s)
			ef = s->file;
		host_unlock();
		if (!s)
			return;
		epfd = ef ? file_some_fd(ef) : -1;
		if (epfd < 0)
			continue;
		epset_has_kernel(s);
		sys(epoll_ctl, epfd, EPOLL_CTL_ADD, fd, &ev);
	}
}

void epoll_forked(bool has_keeper)
{
	struct list *l, *next, *i;

	list_for_each_safe (l, next, &epset_all) {
		struct epset *s = list_entry(l, struct epset, all_link);

		s->nest_fd = -1; /* closed with the other internal ones */
		s->last_fd = -1;
		s->num_users = 0;
		list_init(&s->waiters);
		if (has_keeper)
			continue;
		while ((i = list_pop(&s->items)))
			list_push_front(&free_items, i);
		list_remove(l);
		list_push(&free_sets, l);
	}
	stale.num = 0;
	epset_nest_forked();
	epnum_forked();
}
