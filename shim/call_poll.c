/* SPDX-License-Identifier: MIT
 *
 * call_poll.c - poll and select, also over sets that mix our sockets with the
 * kernel's fds
 *
 * A set without a number of ours goes to the kernel as it is, after one scan.
 * Else it is split: our sockets are looked at under the stack lock, the rest
 * becomes one array for the kernel, and a wait sleeps on both at once in
 * wait_block(). An epoll set with sockets of ours in it is in both halves.
 *
 * select is poll in another notation; what its sets mean in poll bits is the
 * kernel's fs/select.c interface as select(2) documents it.
 */
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "call_priv.h"
#include "host_priv.h"
#include "mirror.h"
#include "real.h"
#include "sleeper.h"
#include "sys.h"

#define ON_STACK 32 /* numbers that need no memory of their own */
#define PER_HOLD 64 /* sockets looked at in one hold of the lock */
#define ALWAYS (POLLERR | POLLHUP)
#define RESTS (EPOLLIN | EPOLLRDNORM) /* what an epoll set can be */

/* What the three sets of select(2) mean. */
#define SELECT_IN \
	(POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR | POLLNVAL)
#define SELECT_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR | POLLNVAL)
#define SELECT_EX (POLLPRI | POLLNVAL)

/* A number of ours in the program's set. */
struct own {
	struct pollfd *p;
	struct file *file;
	bool is_set; /* an epoll set; the kernel is asked too */
	bool is_watching;
	bool is_held; /* as in Linux the call has a reference while it sleeps */
	union {
		struct watch watch;
		struct epset_watch set_watch;
	};
};

_Static_assert(ON_STACK * sizeof(struct own) <= SLEEPER_ROOM,
	       "what is on the stack has room in a sleeper");

struct split {
	struct pollfd *v; /* the program's */
	nfds_t n;
	struct own *own;
	unsigned num_own;
	bool has_slept;
	bool has_set; /* epoll fds, which may be nested or have others inside */
	struct pollfd *kernel;
	nfds_t *kernel_at; /* where in @v each of @kernel is */
	nfds_t num_kernel;
	void *map; /* when it doesn't fit on the stack */
	size_t map_len;
	struct own own_room[ON_STACK];
	struct pollfd kernel_room[ON_STACK];
	nfds_t at_room[ON_STACK];
};

/* Else the wait is the kernel's; one for a set of the kernel's alone may be for
 * one of ours inside it. */
static bool has_ours(struct pollfd *v, nfds_t n)
{
	bool has_set = false;

	if (__builtin_expect(!fdtab_num, 1) || !v)
		return false;
	if (mirror_is_on) {
		mirror_sync();
		return false;
	}
	for (nfds_t i = 0; i < n; i++) {
		if (fd_any(v[i].fd))
			return true;
		has_set |= epoll_is_number(v[i].fd);
	}
	if (has_set)
		epset_refresh_nested();
	return false;
}

/* Memory for larger sets is kept for the next call: a mapping, its page faults
 * and its end cost more than a poll of a hundred sockets. Taken and put back by
 * one atomic exchange, so a signal handler may poll as well. */
#define SPARE_LEN 65536
static _Atomic(void *) spares[4];

static long map_get(struct split *s)
{
	if (s->map_len > SPARE_LEN)
		return sys(mmap, NULL, s->map_len, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->map_len = SPARE_LEN;
	for (unsigned i = 0; i < ARRAY_SIZE(spares); i++) {
		void *p = atomic_exchange(&spares[i], NULL);

		if (p)
			return (long)p;
	}
	return sys(mmap, NULL, s->map_len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void map_put(struct split *s)
{
	for (unsigned i = 0; i < ARRAY_SIZE(spares); i++) {
		void *none = NULL;

		if (s->map_len == SPARE_LEN &&
		    atomic_compare_exchange_strong(&spares[i], &none, s->map))
			return;
	}
	sys(munmap, s->map, s->map_len);
}

/* Room for @s->n numbers of either kind. */
static int split_room(struct split *s)
{
	size_t each =
		sizeof(*s->own) + sizeof(*s->kernel) + sizeof(*s->kernel_at);
	struct rlimit lim;
	long r;

	s->own = s->own_room;
	s->kernel = s->kernel_room;
	s->kernel_at = s->at_room;
	/* a filter kills who asks */
	if ((s->n > ON_STACK || fdnum_is_short) && !host.is_confined &&
	    sys(prlimit64, 0, RLIMIT_NOFILE, NULL, &lim) == 0 &&
	    s->n > lim.rlim_cur)
		return -EINVAL;
	if (s->n <= ON_STACK)
		return 0;
	s->map_len = s->n * each;
	r = map_get(s);
	if (r < 0 && r >= -4095)
		return -ENOMEM;
	s->map = (void *)r;
	s->own = s->map;
	s->kernel_at = (nfds_t *)(s->own + s->n);
	s->kernel = (struct pollfd *)(s->kernel_at + s->n);
	return 0;
}

static void split_free(struct split *s)
{
	if (s->map)
		map_put(s);
}

static int split_init(struct split *s, struct pollfd *v, nfds_t n)
{
	int r;

	s->v = v;
	s->n = n;
	s->num_own = 0;
	s->num_kernel = 0;
	s->has_set = false;
	s->has_slept = false;
	s->map = NULL;
	r = split_room(s);
	if (r < 0)
		return r;
	for (nfds_t i = 0; i < n; i++) {
		struct file *f = fd_any(v[i].fd);
		bool is_set = f && f->kind == FILE_EPOLL;

		s->has_set |= is_set || epoll_is_number(v[i].fd);
		if (f && (is_set || f->kind == FILE_SOCK)) {
			struct own *o = &s->own[s->num_own++];

			o->p = &v[i];
			o->file = f;
			o->is_set = is_set;
			o->is_watching = false;
			o->is_held = false;
		}
		if (v[i].fd >= 0 && (!f || is_set)) {
			s->kernel[s->num_kernel] = v[i];
			if (fd_is_internal(v[i].fd)) /* answers POLLNVAL */
				s->kernel[s->num_kernel].fd = INT_MAX;
			s->kernel[s->num_kernel].revents = 0;
			s->kernel_at[s->num_kernel++] = i;
		}
	}
	return 0;
}

/* What @o has of what is asked of it. The stack lock is held. */
static uint32_t own_bits(struct stack *st, struct own *o)
{
	uint32_t bits = 0;

	if (o->is_set)
		return epset_ready(o->file) ? RESTS : 0;
	if (o->is_watching) {
		struct ready r = {0};

		watch_look(&o->watch, &r);
		return r.bits & WATCH_GONE ? 0 : r.bits;
	}
	return sock_poll(st, o->file->s, &bits) < 0 ? POLLNVAL : bits;
}

/* The number has become another file, or nothing, while the call slept: what it
 * is now counts. */
static uint32_t renewed_bits(const struct pollfd *p)
{
	static const struct timespec zero;
	struct pollfd k = {.fd = p->fd, .events = p->events};
	struct file *f = fd_sock(p->fd);
	struct stack *st;
	uint32_t bits = 0;

	if (!f)
		return sys_ppoll(&k, 1, &zero, NULL) > 0
			       ? (unsigned short)k.revents
			       : 0;
	st = host_lock(OP_POLL, f->s);
	if (sock_poll(st, f->s, &bits) < 0)
		bits = POLLNVAL;
	host_unlock();
	return bits;
}

/* Writes every revents anew; how many are not zero. */
static int collect(struct split *s)
{
	int num = 0;

	for (nfds_t i = 0; i < s->n; i++)
		s->v[i].revents = 0;
	for (nfds_t i = 0; i < s->num_kernel; i++)
		s->v[s->kernel_at[i]].revents = s->kernel[i].revents;
	for (unsigned i = 0; i < s->num_own;) {
		uint32_t bits[PER_HOLD];
		unsigned from = i, k = 0;
		struct stack *st = host_lock(OP_POLL, 0);

		for (; k < PER_HOLD && i < s->num_own; k++, i++)
			bits[k] = own_bits(st, &s->own[i]);
		host_unlock();
		for (unsigned j = 0; j < k; j++) {
			struct own *o = &s->own[from + j];
			struct pollfd *p = o->p;

			if (o->is_held && fd_file(p->fd) != o->file)
				bits[j] = renewed_bits(p);
			bits[j] &=
				(unsigned short)p->events | ALWAYS | POLLNVAL;
			p->revents =
				(short)((unsigned short)p->revents | bits[j]);
		}
	}
	for (nfds_t i = 0; i < s->n; i++)
		num += s->v[i].revents != 0;
	return num;
}

static int ask_kernel(struct split *s)
{
	static const struct timespec zero;

	return s->num_kernel ? sys_ppoll(s->kernel, s->num_kernel, &zero, NULL)
			     : 0;
}

/* Looks at everything without waiting. */
static int look_once(struct split *s)
{
	int r = ask_kernel(s);

	return r < 0 ? r : collect(s);
}

static void start_watching(struct split *s, struct waiter *w)
{
	for (unsigned i = 0; i < s->num_own;) {
		host_lock(OP_POLL, 0);
		for (unsigned k = 0; k < PER_HOLD && i < s->num_own; k++, i++) {
			struct own *o = &s->own[i];
			uint32_t want = 0, bits;

			if (o->is_set) {
				epset_watch_add(&o->set_watch, o->file, w);
				if (epset_ready(o->file))
					waiter_mark(w);
				o->is_watching = true;
				continue;
			}
			want = (unsigned short)o->p->events | ALWAYS;
			bits = watch_add(&o->watch, o->file, want, w, NULL);
			o->is_watching = !(bits & WATCH_GONE);
			o->is_held = file_hold(o->file);
			if (bits)
				waiter_mark(w);
		}
		host_unlock();
	}
}

/* Caller holds the stack lock. */
static void drop_watches(struct sleeper *sl)
{
	struct own *v = sl->own;

	for (unsigned i = 0; i < sl->num_own; i++) {
		if (!v[i].is_watching)
			continue;
		if (v[i].is_set)
			epset_watch_del(&v[i].set_watch);
		else
			watch_del(&v[i].watch);
		v[i].is_watching = false;
	}
}

/* No lock held. */
static void drop_files(struct sleeper *sl)
{
	struct own *v = sl->own;

	signal_hold(); /* one that left in the middle would drop some twice */
	for (unsigned i = 0; i < sl->num_own; i++) {
		if (v[i].is_held)
			file_drop(v[i].file);
		v[i].is_held = false;
	}
	signal_release();
}

static void clear_mark(struct waiter *w)
{
	host_lock(OP_POLL, 0);
	waiter_clear(w);
	host_unlock();
}

/* Nothing is ready: sleeps until something is. */
static int sleep_until(struct split *s, nsec deadline, const sigset_t *mask)
{
	struct sleeper *sl = sleeper_get(drop_watches);
	int r, num;

	if (!sl)
		return -ENOMEM;
	host_unlock();
	if (s->own == s->own_room) { /* off the stack */
		memcpy(sl->room, s->own, s->num_own * sizeof(*s->own));
		s->own = (struct own *)(void *)sl->room;
	}
	sl->own = s->own;
	sl->num_own = s->num_own;
	sl->drop = drop_files;
	s->has_slept = true;
	start_watching(s, &sl->w);
	do {
		r = wait_block(&sl->w, s->num_kernel ? s->kernel : NULL,
			       s->num_kernel, deadline, mask, NULL, NULL);
		clear_mark(&sl->w);
		num = collect(s); /* the kernel's were asked in the wait */
	} while (!num && r > 0);
	drop_files(sl);
	host_lock(OP_POLL, 0);
	sleeper_put(sl);
	host_unlock();
	return num ? num : r;
}

/* A signal that is pending and that @mask lets in is handled, even by a poll
 * that doesn't wait. 0 or -EINTR. */
static int let_in(const sigset_t *mask)
{
	static const struct timespec zero;

	return sys_ppoll(NULL, 0, &zero, mask);
}

#define DRIVE_AGAIN (5 * USEC) /* less than a peer takes to answer */

/* @deadline 0: don't wait. */
static int poll_split(struct split *s, nsec deadline, const sigset_t *mask)
{
	static __thread nsec drove_at
		__attribute__((tls_model("initial-exec")));
	int num;

	if (s->has_set)
		epset_refresh_nested();
	num = look_once(s);
	if (num < 0)
		return num;
	if (!num && deadline)
		return sleep_until(s, deadline, mask);
	/* what the device holds counts too; who has got something is told of
	 * more a moment later, or each poll would read the device */
	if (num && sys_now() - drove_at < DRIVE_AGAIN)
		return num;
	drove_at = sys_now();
	if (host_drive_once() || !num)
		num = collect(s);
	/* what was there may have gone with it: room, when what is sent is cut
	 * into more frames, each with a cost of its own */
	if (!num && deadline)
		return sleep_until(s, deadline, mask);
	return num || !mask ? num : let_in(mask);
}

/* @has_slept may be NULL. */
static int own_poll(struct pollfd *v, nfds_t n, nsec deadline,
		    const sigset_t *mask, bool *has_slept)
{
	struct split s;
	int r;

	pthread_testcancel();
	r = split_init(&s, v, n);
	if (r < 0)
		return r;
	r = poll_split(&s, deadline, mask);
	if (has_slept)
		*has_slept = s.has_slept;
	split_free(&s);
	return r;
}

static nsec deadline_after(int64_t sec, int64_t ns)
{
	if (!sec && !ns)
		return 0;
	return sec > INT_MAX ? TIME_NEVER : sys_now() + sec * SEC + ns;
}

EXPORT int poll(struct pollfd *v, nfds_t n, int ms)
{
	if (!has_ours(v, n))
		return real.poll(v, n, ms);
	return (int)shim_ret(own_poll(
		v, n, ms < 0 ? TIME_NEVER : deadline_after(0, ms * MSEC), NULL,
		NULL));
}

EXPORT int ppoll(struct pollfd *v, nfds_t n, const struct timespec *t,
		 const sigset_t *mask)
{
	if (!has_ours(v, n))
		return real.ppoll(v, n, t, mask);
	if (t && (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec >= SEC))
		return (int)shim_ret(-EINVAL);
	return (int)shim_ret(own_poll(
		v, n, t ? deadline_after(t->tv_sec, t->tv_nsec) : TIME_NEVER,
		mask, NULL));
}

int __poll(struct pollfd *v, nfds_t n, int ms);
int __poll_chk(struct pollfd *v, nfds_t n, int ms, size_t room);
int __ppoll_chk(struct pollfd *v, nfds_t n, const struct timespec *t,
		const sigset_t *mask, size_t room);
int __select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *tv);

EXPORT int __poll(struct pollfd *v, nfds_t n, int ms)
{
	return poll(v, n, ms);
}

/* The fortified forms: an array too small is libc's to complain about. */
EXPORT int __poll_chk(struct pollfd *v, nfds_t n, int ms, size_t room)
{
	if (room / sizeof(*v) < n)
		return real.__poll_chk(v, n, ms, room);
	return poll(v, n, ms);
}

EXPORT int __ppoll_chk(struct pollfd *v, nfds_t n, const struct timespec *t,
		       const sigset_t *mask, size_t room)
{
	if (room / sizeof(*v) < n)
		return real.__ppoll_chk(v, n, t, mask, room);
	return ppoll(v, n, t, mask);
}

/* --- select --- */
typedef unsigned long set_word;
#define WORD_BITS ((int)(8 * sizeof(set_word)))

static set_word word_of(const fd_set *set, int i)
{
	return set ? ((const set_word *)set->fds_bits)[i] : 0;
}

/* Calls for each fd below @n that is in one of the sets; stops when it
 * gives non-zero. */
static bool select_has_ours(int n, const fd_set *r, const fd_set *w,
			    const fd_set *x)
{
	bool has_set = false;

	if (__builtin_expect(!fdtab_num, 1))
		return false;
	if (mirror_is_on) {
		mirror_sync();
		return false;
	}
	for (int i = 0; i * WORD_BITS < n; i++) {
		set_word bits = word_of(r, i) | word_of(w, i) | word_of(x, i);

		for (; bits; bits &= bits - 1) {
			int fd = i * WORD_BITS + __builtin_ctzl(bits);

			if (fd < n && fd_any(fd))
				return true;
			has_set |= epoll_is_number(fd);
		}
	}
	if (has_set)
		epset_refresh_nested();
	return false;
}

static bool set_has(const fd_set *set, int fd)
{
	return word_of(set, fd / WORD_BITS) >> (fd % WORD_BITS) & 1;
}

static void set_put(fd_set *set, int fd)
{
	((set_word *)set->fds_bits)[fd / WORD_BITS] |= 1ul << (fd % WORD_BITS);
}

static void set_clear(fd_set *set, int n)
{
	if (set)
		memset(set, 0,
		       (size_t)((n + WORD_BITS - 1) / WORD_BITS) *
			       sizeof(set_word));
}

/* The sets as an array for poll; how many, or how many there would be. */
static nfds_t select_to_poll(struct pollfd *v, int n, const fd_set *r,
			     const fd_set *w, const fd_set *x)
{
	nfds_t num = 0;

	for (int i = 0; i * WORD_BITS < n; i++) {
		set_word bits = word_of(r, i) | word_of(w, i) | word_of(x, i);

		for (; bits; bits &= bits - 1) {
			int fd = i * WORD_BITS + __builtin_ctzl(bits);
			unsigned ev = 0;

			if (fd >= n)
				break;
			if (!v) {
				num++;
				continue;
			}
			if (set_has(r, fd))
				ev |= SELECT_IN;
			if (set_has(w, fd))
				ev |= SELECT_OUT;
			if (set_has(x, fd))
				ev |= SELECT_EX;
			v[num++] =
				(struct pollfd){.fd = fd, .events = (short)ev};
		}
	}
	return num;
}

/* One direction's result into @set: those of @v that it asked for. */
static int poll_to_set(fd_set *set, const struct pollfd *v, nfds_t num,
		       unsigned asked, unsigned mask)
{
	int count = 0;

	for (nfds_t i = 0; set && i < num; i++) {
		if (!((unsigned short)v[i].events & asked) ||
		    !((unsigned short)v[i].revents & mask))
			continue;
		set_put(set, v[i].fd);
		count++;
	}
	return count;
}

/* A number that is bad from the start is an error; one that was closed while
 * the call slept is ready, as in Linux.
 *
 * SELECT_IN and SELECT_OUT share POLLERR: a direction was asked for if the bit
 * that is its alone is there. */
static int poll_to_select(const struct pollfd *v, nfds_t num, int n,
			  bool has_slept, fd_set *r, fd_set *w, fd_set *x)
{
	int count = 0;

	for (nfds_t i = 0; i < num; i++)
		if (v[i].revents & POLLNVAL && !has_slept)
			return -EBADF;
	/* one after the other: they may be the same */
	set_clear(r, n);
	count += poll_to_set(r, v, num, POLLIN, SELECT_IN);
	set_clear(w, n);
	count += poll_to_set(w, v, num, POLLOUT, SELECT_OUT);
	set_clear(x, n);
	count += poll_to_set(x, v, num, POLLPRI, SELECT_EX);
	return count;
}

static int own_select(int n, fd_set *r, fd_set *w, fd_set *x, nsec deadline,
		      const sigset_t *mask)
{
	struct pollfd room[ON_STACK], *v = room;
	nfds_t num = select_to_poll(NULL, n, r, w, x);
	size_t len = num * sizeof(*v);
	bool has_slept = false;
	int ret;

	if (num > ON_STACK) {
		long p = sys(mmap, NULL, len, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p < 0 && p >= -4095)
			return -ENOMEM;
		v = (struct pollfd *)p;
	}
	select_to_poll(v, n, r, w, x);
	ret = own_poll(v, num, deadline, mask, &has_slept);
	if (ret >= 0)
		ret = poll_to_select(v, num, n, has_slept, r, w, x);
	if (v != room)
		sys(munmap, v, len);
	return ret;
}

EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *tv)
{
	nsec deadline = TIME_NEVER;
	int ret;

	if (!select_has_ours(n, r, w, x))
		return real.select(n, r, w, x, tv);
	if (tv) {
		if (tv->tv_sec < 0 || tv->tv_usec < 0 ||
		    tv->tv_sec > LONG_MAX - tv->tv_usec / 1000000)
			return (int)shim_ret(-EINVAL);
		deadline = deadline_after(tv->tv_sec + tv->tv_usec / 1000000,
					  tv->tv_usec % 1000000 * 1000);
	}
	ret = own_select(n, r, w, x, deadline, NULL);
	if (tv && deadline != TIME_NEVER) { /* Linux writes what is left */
		nsec left = deadline ? deadline - sys_now() : 0;

		if (left < 0)
			left = 0;
		tv->tv_sec = left / SEC;
		tv->tv_usec = left % SEC / 1000;
	}
	return (int)shim_ret(ret);
}

EXPORT int __select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *tv)
{
	return select(n, r, w, x, tv);
}

EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *x,
		   const struct timespec *t, const sigset_t *mask)
{
	if (!select_has_ours(n, r, w, x))
		return real.pselect(n, r, w, x, t, mask);
	if (t && (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec >= SEC))
		return (int)shim_ret(-EINVAL);
	return (int)shim_ret(own_select(
		n, r, w, x,
		t ? deadline_after(t->tv_sec, t->tv_nsec) : TIME_NEVER, mask));
}
