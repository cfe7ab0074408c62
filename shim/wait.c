/* SPDX-License-Identifier: MIT
 *
 * wait.c - the one place that sleeps, and the waiter drives
 *
 * A packet that came in has to wake the thread that waits for it. Waking the
 * other, idle core costs 33 us, so a thread of ours that reads the device and
 * wakes the program's would make each round trip several times as long. Here
 * the thread that waits reads the device itself: it holds the lease. One waiter
 * has it at a time; the others sleep on their own word and are woken when their
 * sockets are ready, or when the lease is handed to them.
 *
 * One turn of a driver:
 *	1. read without asking first, up to 64 packets, no lock held
 *	2. lock; give them to the stack; run what is due (input before timers,
 *or our own delays would look like losses)
 *	3. is what I wait for true now? Then hand the lease over, unlock, return
 *	4. unlock: others are woken, packets are written
 *	5. device not empty: again from 1. Else ppoll() on the device, on my
 *wake fd, and on the program's own fds, until the next deadline
 *
 * A driver that is stopped, or that computes, stalls nobody: the stack thread
 * looks at the epoch, see sentinel.c. A driver that lost the lease notices
 *under the lock.
 *
 * A mark between unlock and sleep is never lost: the futex word has changed by
 * then, and a datagram stays.
 */
#include "wait.h"

#include <sys/mman.h>
#include <sys/un.h>

#include "call_priv.h"
#include "host_priv.h"
#include "sleeper.h"
#include "sys.h"

#define TICK_BUDGET 64
#define FEW_FDS 30
#define CONFINED_NAP (2 * MSEC)
#define OWN_FDS 3 /* beside the program's */
#define KEEPER_PATIENCE (1 * SEC)

/* Sockets to be woken by that nobody uses now; never closed, so a late wake
 * does no harm. */
static struct {
	struct {
		int fd;
		struct bell bell;
	} v[256];
	unsigned num;
} wake_fds;

/* --- watches --- */

void waiter_init(struct waiter *w)
{
	*w = (struct waiter){.wake_fd = -1};
	list_init(&w->wake_link);
}

void waiter_init_fd(struct waiter *w, int fd)
{
	waiter_init(w);
	w->wake_fd = fd;
	w->sleep = SLEEP_ALWAYS;
}

void waiter_fini(struct waiter *w)
{
	bool was_nudged = w->seat && seat_woke(w->seat);

	/* left by longjmp() while it drove */
	if (w->kit) {
		kit_process(w->kit);
		kit_give(w->kit);
	}
	w->kit = NULL;
	wait_give_up(w);
	list_remove(&w->wake_link);
	if (w->seat)
		seat_put(w->seat);
	if (was_nudged && !host.sh->driver)
		seat_hand_over();
	w->seat = NULL;
	if (w->wake_fd >= 0 && w->sleep != SLEEP_ALWAYS &&
	    wake_fds.num < ARRAY_SIZE(wake_fds.v)) {
		wake_fds.v[wake_fds.num].fd = w->wake_fd;
		wake_fds.v[wake_fds.num++].bell = w->bell;
	}
	w->wake_fd = -1;
}

static void waiter_wake(struct waiter *w, uint32_t bit)
{
	w->word |= bit;
	if (w->sleep == SLEEP_ALWAYS) {
		if (list_empty(&w->wake_link))
			list_push(&host.wakes, &w->wake_link);
	} else if (w->sleep != AWAKE) {
		seat_wake(w->seat, bit);
	}
}

void waiter_mark(struct waiter *w)
{
	waiter_wake(w, WORD_MARKED);
}

void waiter_clear(struct waiter *w)
{
	w->word &= ~WORD_MARKED;
}

/* In a signal handler, of the thread that waits, which may be about to sleep:
 * the word has changed then, or the datagram is there. */
void waiter_interrupt(struct waiter *w)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = w->wake_fd;

	w->is_interrupted = true;
	if (w->seat)
		atomic_fetch_or((_Atomic uint32_t *)&w->seat->word,
				WORD_SIGNAL);
	memcpy(to.sun_path, w->bell.name, BELL_NAME);
	if (fd >= 0)
		sys(sendto, fd, "", 1, MSG_DONTWAIT, &to,
		    offsetof(struct sockaddr_un, sun_path) + w->bell.len);
}

/* Those of @bits that @h hears of. */
static uint32_t heard(const struct watch *h, uint32_t bits)
{
	uint32_t want = h->want | EPOLLERR | EPOLLHUP;

	if (bits & SOCK_POLL_NOTE && h->want & WATCH_CALL)
		want &= ~(uint32_t)EPOLLERR;
	return bits & want & ~SOCK_POLL_NOTE;
}

static bool are_all_one(const struct file *f)
{
	struct list *l;

	list_for_each (l, &f->watches)
		if (!list_entry(l, struct watch, node)->is_exclusive)
			return false;
	return true;
}

void watch_one(struct file *f)
{
	if (!list_empty(&f->watches) && are_all_one(f))
		sock_watch_exclusive(host.st, f->s);
}

uint32_t watch_look(struct watch *h, struct ready *out)
{
	*out = (struct ready){0};
	if (!h->file)
		return out->bits = WATCH_GONE;
	if (sock_watch(host.st, h->file->s, 0, out) < 0)
		return out->bits = WATCH_GONE;
	h->file->flags |= FILE_WATCHED;
	if (h->is_exclusive)
		watch_one(h->file);
	return out->bits;
}

uint32_t watch_add(struct watch *h, struct file *f, uint32_t want,
		   struct waiter *w, watch_fn fn)
{
	struct ready r;

	*h = (struct watch){.want = want, .waiter = w, .on_ready = fn};
	list_init(&h->node);
	h->file = f;
	if (f->kind != FILE_SOCK || watch_look(h, &r) == WATCH_GONE) {
		h->file = NULL;
		return WATCH_GONE;
	}
	list_push(&f->watches, &h->node);
	h->is_exclusive = want & WATCH_ONE;
	if (h->is_exclusive)
		watch_one(f);
	return heard(h, r.bits);
}

void watch_left(struct file *f)
{
	if (f->kind != FILE_SOCK)
		return;
	if (!list_empty(&f->watches)) {
		sock_pass_on(host.st, f->s);
		return;
	}
	f->flags &= ~FILE_WATCHED;
	sock_unwatch(host.st, f->s);
}

void watch_del(struct watch *h)
{
	list_remove(&h->node);
	h->file = NULL;
}

/* True: a thread was woken. */
static bool watch_tell(struct watch *h, const struct ready *r, uint32_t bits)
{
	h->got |= bits;
	if (h->on_ready)
		return h->on_ready(h, r);
	if (h->waiter)
		waiter_mark(h->waiter);
	return h->waiter;
}

void watch_news(struct file *f, const struct ready *r)
{
	struct ready told = *r;
	struct list *l, *next;
	bool woke_one = false, is_away = false,
	     for_all = r->bits & (EPOLLERR | EPOLLHUP | EPOLLRDHUP);

	if (list_empty(&f->watches)) {
		f->flags &= ~FILE_WATCHED;
		sock_unwatch(host.st, f->s);
		return;
	}
	told.bits &= ~SOCK_POLL_NOTE; /* which is between us and the core */
	for (l = f->watches.next; l != &f->watches; l = next) {
		struct watch *h = container_of(l, struct watch, node);

		bool is_exclusive = h->is_exclusive, woke;

		next = l->next;
		if (is_exclusive && woke_one && !for_all)
			continue;
		/* who wants all hears also of what is no more */
		if (!heard(h, r->bits) && h->want != WATCH_ALL)
			continue;
		woke = watch_tell(h, &told, heard(h, r->bits));
		woke_one |= is_exclusive && woke;
		/* it is for it, and nobody waits there; not: it is gone */
		is_away |= is_exclusive && heard(h, r->bits);
	}
	if (is_away && !woke_one && !for_all)
		sock_pass_by(host.st, f->s);
}

void wait_dispatch(void)
{
	struct ready v[32];
	unsigned n;

	while ((n = stack_ready(host.st, v, ARRAY_SIZE(v))) > 0)
		for (unsigned i = 0; i < n; i++) {
			struct file *f = file_of_sock(v[i].s);

			if (f)
				watch_news(f, &v[i]);
		}
}

void watch_gone(struct file *f)
{
	struct ready r = {.s = f->s, .bits = WATCH_GONE};
	struct list *l;

	while ((l = list_pop(&f->watches))) {
		struct watch *h = container_of(l, struct watch, node);

		list_init(l);
		h->file = NULL;
		watch_tell(h, &r, WATCH_GONE);
	}
}

/* --- the lease --- */

void wait_give_up(struct waiter *w)
{
	w->is_driver = false;
	if (!w->seat || host.sh->driver != w->seat)
		return;
	host.sh->driver = NULL;
	host.sh->epoch++;
	seat_hand_over();
}

static _Atomic bool has_ear; /* see wait_listen() */

void wait_forked(void)
{
	wake_fds.num = 0;
	atomic_store(&has_ear, false);
}

/* --- sleeping --- */

struct block {
	struct waiter *w;
	struct pollfd *kernel;
	nfds_t num_kernel;
	nsec deadline, until; /* of the call; of this sleep */
	const sigset_t *mask;
	bool (*done)(void *arg);
	void *arg;
	struct pollfd *v; /* device, wake fd, the program's, the keeper */
	bool is_kernel_ready, has_polled;
	bool is_unsure;	 /* whether there is a keeper */
	bool was_nudged; /* the lease was for us */
};

enum next { NEXT_RETURN, NEXT_READ, NEXT_SLEEP, NEXT_NAP, NEXT_MAKE_FD };

static void woke_up(struct block *b)
{
	struct waiter *w = b->w;

	b->was_nudged = seat_woke(w->seat);
	w->sleep = AWAKE;
}

/* What was read before is processed, whoever drives now. */
static void process(struct waiter *w)
{
	if (w->is_driver && host.sh->driver != w->seat)
		w->is_driver = false;
	if (!w->kit)
		return;
	kit_process(w->kit);
	if (stack_next_at(host.st) <= host_now())
		stack_tick(host.st, TICK_BUDGET, host_now());
	if (!w->is_driver) {
		kit_give(w->kit);
		w->kit = NULL;
	} else {
		/* own readiness, before it is looked at */
		wait_dispatch();
	}
}

static bool is_done(const struct block *b)
{
	return b->done ? b->done(b->arg) : b->w->word & WORD_MARKED;
}

static bool take_lease(struct waiter *w)
{
	if (host.sh->driver || host.tun.fd < 0 || host.is_confined)
		return false;
	if (!w->seat)
		w->seat = seat_get();
	w->kit = w->seat ? kit_take() : NULL;
	if (!w->kit)
		return false;
	host.sh->driver = w->seat;
	w->is_driver = true;
	host.sh->epoch++;
	return true;
}

static void give_lease(struct waiter *w)
{
	if (w->kit)
		kit_give(w->kit);
	w->kit = NULL;
	wait_give_up(w);
}

/* Under the lock, with nothing more to do but to sleep. */
static enum next prepare_sleep(struct block *b)
{
	struct waiter *w = b->w;
	bool needs_fd = w->is_driver || b->num_kernel || b->mask;

	if (host.is_confined)
		needs_fd = false;
	if (needs_fd && w->wake_fd < 0) {
		if (!wake_fds.num)
			return NEXT_MAKE_FD;
		w->wake_fd = wake_fds.v[--wake_fds.num].fd;
		w->bell = wake_fds.v[wake_fds.num].bell;
	}
	if (!w->seat)
		w->seat = seat_get();
	if (!w->seat) /* no memory: in short pieces rather than fail */
		return NEXT_NAP;
	b->until = b->deadline;
	if (w->is_driver) {
		nsec at = stack_next_at(host.st);

		if (!w->kit->is_drained)
			b->until = 0; /* a look at the program's fds */
		b->until = MIN(b->until, at);
	}
	/* it has the lease for a moment only, unless it is dead */
	b->is_unsure = host.sh->driver && !w->is_driver &&
		       host.sh->driver->party == PARTY_KEEPER &&
		       host.has_keeper;
	if (b->is_unsure)
		b->until = MIN(b->until, host_now() + KEEPER_PATIENCE);
	w->word = 0;
	w->sleep = needs_fd ? SLEEP_FD : SLEEP_FUTEX;
	w->seat->bell = w->bell;
	seat_sleep(w->seat, w->sleep, !w->is_driver && !host.is_confined);
	return NEXT_SLEEP;
}

static enum next turn(struct block *b, int *ret)
{
	struct waiter *w = b->w;
	enum next next = NEXT_RETURN;
	bool is_new;

	if (b->is_unsure || host_has_new_keeper())
		host_regain();
	b->is_unsure = false;
	host_lock(OP_WAIT, 0);
	b->was_nudged = false;
	if (w->sleep != AWAKE)
		woke_up(b);
	process(w);
	*ret = 1;
	if (is_done(b) || b->is_kernel_ready)
		goto out;
	*ret = -EINTR;
	if (w->is_interrupted) {
		w->is_interrupted = false;
		goto out;
	}
	is_new = !w->is_driver && take_lease(w);
	if (is_new || (w->is_driver && !w->kit->is_drained && !b->num_kernel &&
		       host_now() < b->deadline)) {
		host_unlock();
		return NEXT_READ;
	}
	*ret = 0;
	if (host_now() >= b->deadline && (!b->num_kernel || b->has_polled))
		goto out;
	next = prepare_sleep(b);
out:
	if (next == NEXT_RETURN) {
		/* we don't want it now: the next one */
		if (b->was_nudged && !host.sh->driver)
			seat_hand_over();
		give_lease(w);
	}
	host_unlock();
	return next;
}

static void sleep_futex(struct block *b)
{
	nsec left = b->until - sys_now();
	struct timespec t = sys_timespec(MAX(left, 0));

	int r;

	cancel_open();
	r = sys_futex_wait_shared(&b->w->seat->word, 0,
				  b->until == TIME_NEVER ? NULL : &t);
	cancel_close();
	if (r == -EINTR)
		b->w->is_interrupted = true;
}

static void sleep_poll(struct block *b)
{
	struct waiter *w = b->w;
	nsec left = b->until - sys_now();
	struct timespec t = sys_timespec(MAX(left, 0));
	nfds_t num = b->num_kernel + 2;
	char byte;
	int r;

	b->v[0] = (struct pollfd){
		.fd = w->is_driver && w->kit->num_large ? host.tun.fd : -1,
		.events = POLLIN,
	};
	b->v[1] = (struct pollfd){.fd = w->wake_fd, .events = POLLIN};
	for (nfds_t i = 0; i < b->num_kernel; i++)
		b->v[2 + i] = (struct pollfd){
			.fd = b->kernel[i].fd,
			.events = b->kernel[i].events,
		};
	/* that it is gone somebody has to see; nobody else may have a number
	 * less to poll */
	if (w->is_driver && host.control_fd >= 0)
		b->v[num++] = (struct pollfd){.fd = host.control_fd};
	cancel_open();
	r = sys_ppoll(b->v, num, b->until == TIME_NEVER ? NULL : &t, b->mask);
	cancel_close();
	b->has_polled = true;
	if (r == -EINTR)
		b->w->is_interrupted = true;
	if (r <= 0)
		return;
	if (b->v[1].revents)
		sys(read, w->wake_fd, &byte, 1);
	for (nfds_t i = 0; i < b->num_kernel; i++) {
		b->kernel[i].revents = b->v[2 + i].revents;
		if (b->kernel[i].revents)
			b->is_kernel_ready = true;
	}
	if (b->v[0].revents)
		kit_read(w->kit);
	if (num > b->num_kernel + 2 && b->v[num - 1].revents)
		host_regain();
}

/* Behind a filter, for the program's own fds and ours: looks at both in turn.
 * As many fds as the program asks for, since it may be allowed no more. */
static void sleep_confined(struct block *b)
{
	nsec left = MIN(b->until - sys_now(), CONFINED_NAP);
	struct timespec t = sys_timespec(MAX(left, 0));
	int r = sys_ppoll(b->kernel, b->num_kernel, &t, b->mask);

	b->has_polled = true;
	b->is_kernel_ready = r > 0;
	if (r == -EINTR)
		b->w->is_interrupted = true;
}

/* A datagram socket with a name of the kernel's choice: whoever knows it, in
 * whatever process, can wake us. */
static void make_wake_fd(struct waiter *w)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(name);
	int fd = fd_internal_socket(SOCK_DGRAM | SOCK_NONBLOCK);

	if (fd >= 0 && (sys(bind, fd, &name, sizeof(name.sun_family)) < 0 ||
			sys(getsockname, fd, &name, &len) < 0)) {
		fd_close_internal(fd);
		fd = -1;
	}
	w->wake_fd = fd;
	if (fd < 0) { /* none left: sleep in short pieces rather than fail */
		sys(nanosleep, &(struct timespec){.tv_nsec = MSEC}, NULL);
		return;
	}
	w->bell.len = (uint8_t)(len - offsetof(struct sockaddr_un, sun_path));
	memcpy(w->bell.name, name.sun_path, BELL_NAME);
}

static long map_fds(nfds_t n)
{
	return sys(mmap, NULL, n * sizeof(struct pollfd),
		   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int wait_block(struct waiter *w, struct pollfd *kernel, nfds_t num_kernel,
	       nsec deadline, const sigset_t *mask, bool (*done)(void *arg),
	       void *arg)
{
	struct pollfd few[FEW_FDS + OWN_FDS];
	struct block b = {
		.w = w,
		.kernel = kernel,
		.num_kernel = num_kernel,
		.deadline = deadline,
		.mask = mask,
		.done = done,
		.arg = arg,
		.v = few,
	};
	enum next next;
	int ret;

	for (nfds_t i = 0; i < num_kernel; i++)
		kernel[i].revents = 0;
	if (num_kernel > FEW_FDS) {
		long p = map_fds(num_kernel + OWN_FDS);

		if (p < 0)
			return (int)p;
		b.v = (struct pollfd *)p;
	}
	while ((next = turn(&b, &ret)) != NEXT_RETURN)
		if (next == NEXT_READ)
			kit_read(w->kit);
		else if (next == NEXT_MAKE_FD)
			make_wake_fd(w);
		else if (next == NEXT_NAP)
			sys(nanosleep, &(struct timespec){.tv_nsec = MSEC},
			    NULL);
		else if (host.is_confined && (num_kernel || mask))
			sleep_confined(&b);
		else if (w->sleep == SLEEP_FD)
			sleep_poll(&b);
		else
			sleep_futex(&b);
	if (b.v != few)
		sys(munmap, b.v,
		    (num_kernel + OWN_FDS) * sizeof(struct pollfd));
	return ret;
}

/* --- the ear ---
 * News for a process is dealt with by those of its threads that sleep here or
 * take the lock. A thread that sleeps in the kernel, for an epoll set with one
 * of ours inside, does neither; then a thread of our own listens. */

static void *listen_to_news(void *arg)
{
	struct seat *s = NULL;

	host_lock(OP_WAIT, 0);
	while (!s && !(s = seat_get())) {
		host_unlock();
		sys(nanosleep, &(struct timespec){.tv_nsec = MSEC}, NULL);
		host_lock(OP_WAIT, 0);
	}
	s->is_ear = true;
	for (;;) { /* what is new is dealt with when the lock is taken */
		seat_woke(s);
		seat_sleep(s, SLEEP_FUTEX, false);
		host_unlock();
		sys_futex_wait_shared(&s->word, 0, NULL);
		host_lock(OP_WAIT, 0);
	}
	return NULL;
}

void wait_listen(void)
{
	sigset_t all, old;
	pthread_t thread;

	if (!host.has_keeper || atomic_exchange(&has_ear, true))
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&thread, NULL, listen_to_news, NULL))
		atomic_store(&has_ear, false);
	else
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void drop_nothing(struct sleeper *sl)
{
}

unsigned host_drive_once(void)
{
	struct sleeper *sl = sleeper_get(drop_nothing);
	uint64_t before;
	bool is_due;

	if (!sl)
		return 0;
	before = host.sh->epoch;
	is_due = stack_next_at(host.st) <= host_now();
	if (take_lease(&sl->w)) {
		host_unlock();
		kit_read(sl->w.kit);
		host_lock(OP_WAIT, 0);
		process(&sl->w);
		give_lease(&sl->w);
	}
	before = host.sh->epoch - before;
	sleeper_put(sl);
	host_unlock();
	/* two steps are the lease's own */
	return before > 2 || (is_due && before);
}
