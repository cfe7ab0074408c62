/* SPDX-License-Identifier: MIT
 *
 * call_epoll.c - epoll sets that hold sockets of ours, kernel fds, or both
 *
 * The number that the program holds is a kernel epoll fd, and what it adds of
 * the kernel's goes into that. At the first socket of ours the set gets a
 * second half in user space: one item per (number, file), a watch on the
 * socket, and a list of the items that may be ready. A set without our sockets
 * goes straight to the kernel.
 *
 * Readiness works as in the kernel. A watch that fires puts its item on the
 * ready list. epoll_wait() takes items off the list, looks what holds now, and
 * puts level-triggered ones back at the end. An edge-triggered item comes back
 * only with the next event: new bits, or a step of the socket's counter for a
 * direction that the item asks for. So a wait costs what is ready, not what is
 * registered.
 *
 * A wait sleeps in wait_block(), on the kernel's half (if there is anything in
 * it) and on our own. Of the threads that wait for one set one is woken at a
 * time; it wakes the next if it leaves something.
 *
 * Three things the kernel can't see:
 *  - Nested sets. While a set is in another one an eventfd of ours is in its
 *    kernel half (the mirror), readable as long as the ready list is not empty,
 *    and taken out of results.
 *  - A thread that already sleeps in the kernel when its set gets the first
 *    socket. Such sleepers are counted; who adds the socket puts a readable
 *    eventfd into the set until they are out, and they start again here.
 *  - A socket that is given to the kernel (loopback): its items become
 *    registrations with the kernel.
 *
 * Known difference: a number that was dup'ed from an epoll fd before the set
 * held a socket of ours sees the kernel's half only.
 */
#include "epset.h"

#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "real.h"
#include "sleeper.h"
#include "sys.h"

/* How an item waits, not what for (EP_PRIVATE_BITS of the kernel). */
#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
/* What may stand beside EPOLLEXCLUSIVE, epoll_ctl(2). */
#define EXCLUSIVE_OK                                                        \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | \
	 EPOLLEXCLUSIVE)
#define IN_BITS (EPOLLIN | EPOLLRDNORM | EPOLLPRI | EPOLLRDBAND)
#define OUT_BITS (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)

#define BATCH 32 /* events taken per hold of the lock */
#define SLAB_BYTES 16384
#define NUM_BITS 65536	  /* epoll fds that are remembered by number */
#define NUM_SLEEPERS 1024 /* counters; numbers beyond share them */
#define EVICT_PATIENCE (50 * MSEC)
#define RESTART (-512) /* kernel_leave(): the wait goes on in this file */

struct epset {
	struct list all_link; /* on all_sets, or the free list */
	struct list items, ready;
	struct list waiters; /* struct epset_watch */
	struct file *file;   /* NULL: its last number was closed */
	unsigned num_items;
	unsigned num_users; /* threads inside set_wait() */
	uint32_t scan;	    /* number of the last scan of the ready list */
	bool has_kernel;    /* the kernel's half may not be empty */
	bool kernel_first;  /* whose turn it is to fill the results first */
	int mirror_fd;	    /* -1: not nested */
	struct waiter mirror;
};

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
static struct list all_sets = {&all_sets, &all_sets};
static struct list free_sets = {&free_sets, &free_sets};
static struct list free_items = {&free_items, &free_items};

static _Atomic unsigned num_mirrors;
static atomic_flag making = ATOMIC_FLAG_INIT; /* set_make() */

/* Which numbers were made by epoll_create, and which of them were put into
 * another set. May be out of date, which costs a needless mirror. */
static _Atomic uint32_t epoll_bits[NUM_BITS / 32];
static _Atomic uint32_t nested_bits[NUM_BITS / 32];

/* Threads that sleep in the kernel's epoll_wait(), by the set's number. */
static _Atomic uint32_t sleepers[NUM_SLEEPERS];
static uint64_t evict_tag; /* its address is the eventfd's epoll_data */

static bool bit_test(_Atomic uint32_t *v, int fd)
{
	return (unsigned)fd < NUM_BITS && v[fd / 32] >> (fd % 32) & 1;
}

static void bit_put(_Atomic uint32_t *v, int fd, bool on)
{
	uint32_t bit = 1u << (unsigned)(fd % 32);

	if ((unsigned)fd >= NUM_BITS || bit_test(v, fd) == on)
		return;
	if (on)
		atomic_fetch_or(&v[fd / 32], bit);
	else
		atomic_fetch_and(&v[fd / 32], ~bit);
}

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

/* --- the ready list; the stack lock is held --- */
/* Somebody should look at @s: everyone who polls it, and one who waits. */
static void wake_waiters(struct epset *s)
{
	struct list *l;
	bool woke_one = false;

	list_for_each (l, &s->waiters) {
		struct epset_watch *h = list_entry(l, struct epset_watch, node);

		if (h->is_exclusive && woke_one)
			continue;
		woke_one |= h->is_exclusive;
		waiter_mark(h->waiter);
	}
	if (s->mirror_fd >= 0)
		waiter_mark(&s->mirror);
}

static void item_ready(struct epitem *it)
{
	if (list_empty(&it->ready_link))
		list_push(&it->set->ready, &it->ready_link);
	wake_waiters(it->set);
}

static void item_free(struct epitem *it)
{
	watch_del(&it->watch);
	list_remove(&it->ready_link);
	list_remove(&it->link);
	it->set->num_items--;
	it->set = NULL;
	list_push_front(&free_items, &it->link);
}

static uint32_t item_wants(const struct epitem *it)
{
	return it->events & ~PRIVATE_BITS;
}

static void item_on_ready(struct watch *h, const struct ready *r)
{
	struct epitem *it = container_of(h, struct epitem, watch);
	uint32_t news = r->bits & ~it->bits;

	if (r->bits & WATCH_GONE) {
		item_free(it);
		return;
	}
	if (r->in_seq != it->in_seq)
		news |= IN_BITS;
	if (r->out_seq != it->out_seq)
		news |= OUT_BITS;
	it->bits = r->bits;
	it->in_seq = r->in_seq;
	it->out_seq = r->out_seq;
	if (!(it->events & EPOLLET))
		news = ~0u;
	if (r->bits & news & item_wants(it))
		item_ready(it);
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

/* Drops from the ready list what is not, up to the first that is. */
static bool set_ready(struct epset *s)
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

bool epset_ready(struct file *f)
{
	return f->kind == FILE_EPOLL && f->priv && set_ready(f->priv);
}

void epset_watch_add(struct epset_watch *h, struct file *f, struct waiter *w)
{
	h->waiter = w;
	h->is_exclusive = false;
	list_init(&h->node);
	if (f->kind == FILE_EPOLL && f->priv)
		list_push(&((struct epset *)f->priv)->waiters, &h->node);
}

void epset_watch_del(struct epset_watch *h)
{
	list_remove(&h->node);
}

/* --- the mirror of a nested set --- */
static void drain(int fd)
{
	uint64_t v;

	sys(read, fd, &v, sizeof(v));
}

/* Makes the mirror say what the ready list says. */
static void mirror_refresh(struct epset *s)
{
	bool is_ready;
	int fd;

	host_lock(OP_EPOLL, 0);
	fd = s->mirror_fd;
	is_ready = fd < 0 || set_ready(s);
	if (!is_ready)
		waiter_clear(&s->mirror);
	host_unlock();
	if (is_ready)
		return;
	drain(fd);
	/* what came in between may have been drained with it */
	host_lock(OP_EPOLL, 0);
	if (s->mirror_fd == fd && !list_empty(&s->ready)) {
		waiter_clear(&s->mirror);
		waiter_mark(&s->mirror);
	}
	host_unlock();
}

void epset_refresh_nested(void)
{
	struct epset *v[BATCH];
	struct list *l;
	unsigned n = 0;

	if (!atomic_load_explicit(&num_mirrors, memory_order_relaxed))
		return;
	host_lock(OP_EPOLL, 0);
	list_for_each (l, &all_sets) {
		struct epset *s = list_entry(l, struct epset, all_link);

		if (s->mirror_fd >= 0 && n < BATCH)
			v[n++] = s;
	}
	host_unlock();
	while (n)
		mirror_refresh(v[--n]); /* sets are never unmapped */
}

static int hidden_eventfd(void)
{
	long fd = sys(eventfd2, 0, O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? (int)fd : fd_make_internal((int)fd);
}

/* @s, whose number is @epfd, is nested in another set. */
static int mirror_make(struct epset *s, int epfd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	bool lost;
	int fd;
	long r;

	if (s->mirror_fd >= 0)
		return 0;
	fd = hidden_eventfd();
	if (fd < 0)
		return fd;
	ev.data.u64 = (uintptr_t)&s->mirror;
	r = sys(epoll_ctl, epfd, EPOLL_CTL_ADD, fd, &ev);
	if (r < 0) {
		fd_close_internal(fd);
		return (int)r;
	}
	host_lock(OP_EPOLL, 0);
	lost = s->mirror_fd >= 0 || !s->file; /* another thread was faster */
	if (!lost) {
		s->mirror_fd = fd;
		waiter_init_fd(&s->mirror, fd);
		atomic_fetch_add(&num_mirrors, 1);
		if (!list_empty(&s->ready))
			waiter_mark(&s->mirror);
	}
	host_unlock();
	if (lost)
		fd_close_internal(fd);
	return 0;
}

/* --- a set gets its half in user space --- */
/* Holds the kernel's half of @epfd anything? Asked once per set. */
static bool kernel_half_used(int epfd)
{
	char path[40] = "/proc/self/fdinfo/", digits[12], buf[512];
	size_t len = strlen(path);
	int num = 0;
	long fd, n;

	do
		digits[num++] = (char)('0' + epfd % 10);
	while ((epfd /= 10));
	while (num)
		path[len++] = digits[--num];
	path[len] = 0;
	fd = sys(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return true;
	n = sys(read, fd, buf, sizeof(buf) - 1);
	sys(close, fd);
	if (n <= 0)
		return true;
	buf[n] = 0;
	return strstr(buf, "tfd:") != NULL;
}

/* Threads that sleep in the kernel for @epfd must come out and start again:
 * makes the set readable until they did. Bounded, since one may have left by
 * cancellation or longjmp, uncounted. */
static void evict_sleepers(int epfd)
{
	_Atomic uint32_t *num = &sleepers[(unsigned)epfd % NUM_SLEEPERS];
	struct epoll_event ev = {.events = EPOLLIN};
	nsec until = sys_now() + EVICT_PATIENCE;
	uint64_t one = 1;
	uint32_t n;
	int fd;

	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load(num))
		return;
	fd = hidden_eventfd();
	if (fd < 0)
		return;
	sys(write, fd, &one, sizeof(one));
	ev.data.u64 = (uintptr_t)&evict_tag;
	sys(epoll_ctl, epfd, EPOLL_CTL_ADD, fd, &ev);
	while ((n = atomic_load(num)) && sys_now() < until) {
		struct timespec t = sys_timespec(MSEC);

		sys_futex_wait((uint32_t *)num, n, &t);
	}
	sys(epoll_ctl, epfd, EPOLL_CTL_DEL, fd, NULL);
	fd_close_internal(fd);
}

/* The set behind @epfd, an epoll fd, made if it is not there yet. */
static int set_make(int epfd, struct epset **out)
{
	struct epset *s = NULL;
	struct file *f;
	bool used;
	int r;

	while (atomic_flag_test_and_set(&making))
		sys(sched_yield);
	f = fd_epoll(epfd);
	if (f) {
		*out = f->priv;
		atomic_flag_clear(&making);
		return 0;
	}
	s = set_alloc();
	f = s ? file_new(FILE_EPOLL) : NULL;
	if (!f) {
		atomic_flag_clear(&making);
		return -ENOMEM;
	}
	*s = (struct epset){.file = f, .has_kernel = true, .mirror_fd = -1};
	list_init(&s->items);
	list_init(&s->ready);
	list_init(&s->waiters);
	f->priv = s;
	host_lock(OP_EPOLL, 0);
	list_push(&all_sets, &s->all_link);
	s->has_kernel = false; /* a kernel fd added from now on sets it */
	host_unlock();
	r = fd_install(epfd, f);
	atomic_flag_clear(&making);
	if (r < 0) {
		epoll_file_free(f);
		return r;
	}
	used = kernel_half_used(epfd);
	host_lock(OP_EPOLL, 0);
	s->has_kernel |= used;
	host_unlock();
	evict_sleepers(epfd);
	*out = s;
	return bit_test(nested_bits, epfd) ? mirror_make(s, epfd) : 0;
}

/* --- epoll_create, epoll_ctl --- */
static int created(int fd)
{
	if (fd >= 0) {
		bit_put(epoll_bits, fd, true);
		bit_put(nested_bits, fd, false);
	}
	return fd;
}

EXPORT int epoll_create(int size)
{
	return created(real.epoll_create(size));
}

EXPORT int epoll_create1(int flags)
{
	return created(real.epoll_create1(flags));
}

/* From now on waits for @s look at the kernel's half too. */
static void set_has_kernel(struct epset *s)
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

/* @fd is not a socket of ours; it may be a set. */
static int kernel_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct file *outer = fd_epoll(epfd), *inner = fd_epoll(fd);

	if (fdtab_num && (fd_is_internal(fd) || fd_is_internal(epfd)))
		return (int)shim_ret(-EBADF);
	if (op == EPOLL_CTL_ADD) {
		if (bit_test(epoll_bits, fd))
			bit_put(nested_bits, fd, true);
		if (outer && !((struct epset *)outer->priv)->has_kernel)
			set_has_kernel(outer->priv);
		if (inner) {
			int r = mirror_make(inner->priv, fd);

			if (r < 0)
				return (int)shim_ret(r);
		}
	}
	return real.epoll_ctl(epfd, op, fd, ev);
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
	bits = watch_add(&it->watch, f, item_wants(it), NULL, item_on_ready);
	if (bits & WATCH_GONE) {
		list_push_front(&free_items, &it->link);
		return -EBADF;
	}
	list_push(&s->items, &it->link);
	s->num_items++;
	if (item_look(it))
		item_ready(it);
	return 0;
}

static int item_modify(struct epitem *it, const struct epoll_event *ev)
{
	if (it->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	it->events = ev->events | EPOLLERR | EPOLLHUP;
	it->data = ev->data;
	watch_change(&it->watch, item_wants(it));
	if (item_look(it))
		item_ready(it);
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

/* Is @epfd an epoll fd? The kernel says what is wrong with it in the order of
 * its checks; a near end is never registered, so nothing is removed. */
static int check_epoll_fd(int epfd, int fd)
{
	long r = sys(epoll_ctl, epfd, EPOLL_CTL_DEL, fd, NULL);

	return r == -ENOENT ? 0 : (int)r;
}

static int sock_ctl(int epfd, int op, struct file *f, int fd,
		    const struct epoll_event *user_ev)
{
	struct epoll_event ev = {0};
	struct file *ef = fd_epoll(epfd);
	struct epset *s;
	int r;

	if (op != EPOLL_CTL_DEL) {
		if (!user_ev)
			return -EFAULT;
		ev = *user_ev;
	}
	if (!ef) {
		r = check_epoll_fd(epfd, fd);
		if (r < 0)
			return r;
	}
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
		return -EINVAL;
	if (ev.events & EPOLLEXCLUSIVE &&
	    (op == EPOLL_CTL_MOD || ev.events & ~EXCLUSIVE_OK))
		return -EINVAL;
	if (!ef && op != EPOLL_CTL_ADD)
		return -ENOENT;
	if (ef) {
		s = ef->priv;
	} else {
		r = set_make(epfd, &s);
		if (r < 0)
			return r;
	}
	for (;;) {
		bool is_empty;

		host_lock(OP_EPOLL, f->s);
		is_empty = op == EPOLL_CTL_ADD && list_empty(&free_items);
		r = is_empty ? 0 : locked_ctl(s, op, f, fd, &ev);
		host_unlock();
		if (!is_empty)
			return r;
		r = items_refill();
		if (r < 0)
			return r;
	}
}

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct file *f = fd_sock(fd);

	if (!f)
		return kernel_ctl(epfd, op, fd, ev);
	return (int)shim_ret(sock_ctl(epfd, op, f, fd, ev));
}

/* --- epoll_wait --- */
/* Up to @n events of our sockets into the program's memory. @scan: 0 at the
 * first of several calls for one wait. */
static int take_own(struct epset *s, struct epoll_event *v, int n,
		    uint32_t *scan)
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

/* Takes events with one of our eventfds as their data out of @v. */
static int hide_ours(struct epoll_event *v, int n, const struct epset *s)
{
	int num = 0;

	for (int i = 0; i < n; i++) {
		if (v[i].data.u64 == (uintptr_t)&evict_tag ||
		    (s && v[i].data.u64 == (uintptr_t)&s->mirror))
			continue;
		v[num++] = v[i];
	}
	return num;
}

static int take_kernel(struct epset *s, int epfd, struct epoll_event *v, int n)
{
	long r;

	if (!s->has_kernel)
		return 0;
	r = sys(epoll_pwait, epfd, v, n, 0, NULL, SYS_KERNEL_SIGSET);
	return r <= 0 ? (int)r : hide_ours(v, (int)r, s);
}

/* Events of both halves; they take turns in being first. */
static int take_both(struct epset *s, int epfd, struct epoll_event *v, int n,
		     uint32_t *scan)
{
	bool kernel_first = s->kernel_first;
	int a, b = 0;

	s->kernel_first = !kernel_first;
	a = kernel_first ? take_kernel(s, epfd, v, n) : take_own(s, v, n, scan);
	if (a >= 0 && a < n)
		b = kernel_first ? take_own(s, v + a, n - a, scan)
				 : take_kernel(s, epfd, v + a, n - a);
	if (a < 0 || (b < 0 && !a))
		return a < 0 ? a : b;
	return a + (b > 0 ? b : 0);
}

static bool is_ready(void *arg)
{
	return set_ready(arg);
}

/* Sleeps until there is something in @s. 1, 0 at the deadline, -EINTR. */
static int set_sleep(struct epset *s, int epfd, struct waiter *w, nsec deadline,
		     const sigset_t *mask)
{
	struct pollfd p = {.fd = epfd, .events = POLLIN};
	bool has_kernel;

	host_lock(OP_EPOLL, 0);
	waiter_clear(w);
	has_kernel = s->has_kernel;
	host_unlock();
	return wait_block(w, has_kernel ? &p : NULL, has_kernel, deadline, mask,
			  is_ready, s);
}

/* The set is in use: not recycled although its last number is closed. */
static void set_get(struct epset *s)
{
	s->num_users++;
}

static void set_put(struct epset *s)
{
	if (!--s->num_users && !s->file)
		list_push(&free_sets, &s->all_link);
}

/* Nobody waits here any more; if something is left, somebody else's turn. The
 * stack lock is held. */
static void stop_waiting(struct sleeper *sl)
{
	struct epset *s = sl->set;

	if (!s)
		return;
	list_remove(&sl->set_watch.node);
	if (!list_empty(&s->ready))
		wake_waiters(s);
	set_put(s);
	sl->set = NULL;
}

static int set_wait(struct epset *s, int epfd, struct epoll_event *v, int n,
		    nsec deadline, const sigset_t *mask)
{
	struct sleeper *sl;
	uint32_t scan = 0;
	int r, num;

	num = take_both(s, epfd, v, n, &scan);
	if (num || !deadline) {
		/* what the device holds counts too */
		if (num < 0 || num == n)
			return num;
		if (host_drive_once() || !num)
			num += take_own(s, v + num, n - num, &scan);
		return num;
	}
	sl = sleeper_get(stop_waiting);
	if (!sl)
		return -ENOMEM;
	set_get(s);
	sl->set = s;
	sl->set_watch.waiter = &sl->w;
	sl->set_watch.is_exclusive = true;
	list_push(&s->waiters, &sl->set_watch.node);
	host_unlock();
	do {
		r = set_sleep(s, epfd, &sl->w, deadline, mask);
		num = take_both(s, epfd, v, n, &scan);
	} while (!num && r > 0);
	host_lock(OP_EPOLL, 0);
	sleeper_put(sl);
	host_unlock();
	return num ? num : r;
}

/* @deadline 0: don't wait. */
static int own_wait(int epfd, struct epoll_event *v, int n, nsec deadline,
		    const sigset_t *mask)
{
	struct file *f = fd_epoll(epfd);
	struct epset *s = f ? f->priv : NULL;
	int r;

	if (n <= 0 || n > INT_MAX / (int)sizeof(*v))
		return -EINVAL;
	if (!s)
		return -EBADF;
	epset_refresh_nested();
	r = set_wait(s, epfd, v, n, deadline, mask);
	if (s->mirror_fd >= 0)
		mirror_refresh(s);
	return r;
}

/* May a wait for @epfd go to the kernel as it is? Then it is counted, if it
 * @blocks, until kernel_leave(). */
static bool kernel_enter(int epfd, bool blocks)
{
	_Atomic uint32_t *num = &sleepers[(unsigned)epfd % NUM_SLEEPERS];
	struct file *f = fd_epoll(epfd);

	if (f)
		return false;
	epset_refresh_nested();
	if (!blocks)
		return true;
	atomic_fetch_add(num, 1);
	atomic_thread_fence(memory_order_seq_cst);
	if (!fd_epoll(epfd))
		return true;
	atomic_fetch_sub(num, 1);
	return false;
}

static int kernel_leave(int epfd, struct epoll_event *v, int r, bool blocks)
{
	_Atomic uint32_t *num = &sleepers[(unsigned)epfd % NUM_SLEEPERS];
	int left = r;

	if (blocks)
		atomic_fetch_sub(num, 1);
	if (__builtin_expect(!fd_epoll(epfd), 1))
		return r;
	if (blocks)
		sys_futex_wake((uint32_t *)num, INT_MAX);
	if (r > 0)
		left = hide_ours(v, r, fd_epoll(epfd)->priv);
	return r > 0 && !left && blocks ? RESTART : left;
}

static nsec deadline_of_ms(int ms)
{
	return ms < 0 ? TIME_NEVER : ms ? sys_now() + ms * MSEC : 0;
}

static int deadline_of_timespec(const struct timespec *t, nsec *out)
{
	if (!t) {
		*out = TIME_NEVER;
		return 0;
	}
	if (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec >= SEC)
		return -EINVAL;
	if (!t->tv_sec && !t->tv_nsec)
		*out = 0;
	else if (t->tv_sec > INT_MAX)
		*out = TIME_NEVER;
	else
		*out = sys_now() + t->tv_sec * SEC + t->tv_nsec;
	return 0;
}

EXPORT int epoll_wait(int epfd, struct epoll_event *v, int n, int ms)
{
	if (kernel_enter(epfd, ms != 0)) {
		int r = real.epoll_wait(epfd, v, n, ms);

		r = kernel_leave(epfd, v, r, ms != 0);
		if (r != RESTART)
			return r;
	}
	return (int)shim_ret(own_wait(epfd, v, n, deadline_of_ms(ms), NULL));
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *v, int n, int ms,
		       const sigset_t *mask)
{
	if (kernel_enter(epfd, ms != 0)) {
		int r = real.epoll_pwait(epfd, v, n, ms, mask);

		r = kernel_leave(epfd, v, r, ms != 0);
		if (r != RESTART)
			return r;
	}
	return (int)shim_ret(own_wait(epfd, v, n, deadline_of_ms(ms), mask));
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *v, int n,
			const struct timespec *t, const sigset_t *mask)
{
	bool blocks = !t || t->tv_sec || t->tv_nsec;
	nsec deadline;
	int r;

	if (kernel_enter(epfd, blocks)) {
		r = real.epoll_pwait2(epfd, v, n, t, mask);
		r = kernel_leave(epfd, v, r, blocks);
		if (r != RESTART)
			return r;
	}
	r = deadline_of_timespec(t, &deadline);
	if (!r)
		r = own_wait(epfd, v, n, deadline, mask);
	return (int)shim_ret(r);
}

/* --- what fdtab.h asks for --- */
void epoll_file_free(struct file *f)
{
	struct epset *s = f->priv;
	int mirror_fd;
	struct list *l;

	if (!s)
		return;
	host_lock(OP_EPOLL, 0);
	f->priv = NULL;
	s->file = NULL;
	while ((l = list_pop(&s->items))) /* item_free() takes it off again */
		item_free(list_entry(l, struct epitem, link));
	list_remove(&s->all_link);
	mirror_fd = s->mirror_fd;
	s->mirror_fd = -1;
	if (mirror_fd >= 0) {
		s->mirror.wake_fd = -1; /* ours to close, below */
		waiter_fini(&s->mirror);
	}
	if (!s->num_users)
		list_push(&free_sets, &s->all_link);
	host_unlock();
	if (mirror_fd >= 0) {
		atomic_fetch_sub(&num_mirrors, 1);
		fd_close_internal(mirror_fd);
	}
}

void epoll_file_handed_over(struct file *f, int fd)
{
	for (;;) {
		struct epoll_event ev = {0};
		struct file *ef = NULL;
		struct epset *s = NULL;
		struct list *l;
		int epfd;

		host_lock(OP_EPOLL, f->s);
		list_for_each (l, &f->watches) {
			struct watch *h = list_entry(l, struct watch, node);
			struct epitem *it =
				container_of(h, struct epitem, watch);

			if (h->on_ready != item_on_ready || it->fd != fd)
				continue;
			s = it->set;
			ef = s->file;
			ev.events = it->events;
			ev.data = it->data;
			item_free(it);
			break;
		}
		host_unlock();
		if (!s)
			return;
		epfd = ef ? file_some_fd(ef) : -1;
		if (epfd < 0)
			continue;
		set_has_kernel(s);
		sys(epoll_ctl, epfd, EPOLL_CTL_ADD, fd, &ev);
	}
}

void epoll_forked(void)
{
	struct list *l, *i;

	while ((l = list_pop(&all_sets))) {
		struct epset *s = list_entry(l, struct epset, all_link);

		while ((i = list_pop(&s->items)))
			list_push_front(&free_items, i);
		s->mirror_fd = -1; /* closed with the other internal ones */
		list_push(&free_sets, l);
	}
	memset((void *)sleepers, 0, sizeof(sleepers));
	atomic_store(&num_mirrors, 0);
	atomic_flag_clear(&making);
}
