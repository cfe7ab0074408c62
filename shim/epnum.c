/* SPDX-License-Identifier: MIT
 *
 * epnum.c - which numbers are epoll fds, and which of them are the same one
 *
 * A set without sockets of ours is the kernel's alone, and we know its number
 * at most. When it gets the first socket all its numbers must lead to the new
 * half in user space: those that dup() and its kind made are remembered, and
 * kcmp(2) says which belong together. A number that came another way (over an
 * AF_UNIX socket) is compared when it is used first. Where kcmp() is forbidden
 * such copies see the kernel's half only.
 *
 * A thread that already sleeps in the kernel at that moment would not hear of
 * the socket. Such sleepers are counted; who adds the socket puts a readable
 * eventfd into the set until they are out, and they start again here.
 */
#include <limits.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <string.h>

#include "call_priv.h"
#include "epset_priv.h"
#include "host_priv.h"
#include "mirror.h"
#include "sys.h"

#define NUM_BITS EPNUM_MOST
#define NUM_SLEEPERS 1024 /* counters; numbers beyond share them */
#define MAX_SETS 64	  /* looked at for an unknown number */
#define EVICT_PATIENCE (50 * MSEC)

/* Which numbers were made by epoll_create() or compared already, and which of
 * them were put into another set, or have another in them. May be out of date,
 * which costs needless work. */
_Atomic uint32_t epnum_bits[NUM_BITS / 32];
static _Atomic uint32_t nested_bits[NUM_BITS / 32];
static _Atomic uint32_t outer_bits[NUM_BITS / 32];

/* Threads that sleep in the kernel's epoll_wait(), by the set's number. */
static _Atomic uint32_t sleepers[NUM_SLEEPERS];
static uint64_t evict_tag; /* its address is the eventfd's epoll_data */

static atomic_flag making = ATOMIC_FLAG_INIT; /* epnum_make_set() */

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

int epnum_created(int fd)
{
	if (fd >= 0) {
		bit_put(epnum_bits, fd, true);
		bit_put(nested_bits, fd, false);
		bit_put(outer_bits, fd, false);
	}
	return fd;
}

void epoll_number_copied(int fd, int copy)
{
	bool is_one = bit_test(epnum_bits, fd);

	if (copy < 0)
		return;
	bit_put(epnum_bits, copy, is_one);
	bit_put(nested_bits, copy, is_one && bit_test(nested_bits, fd));
	bit_put(outer_bits, copy, is_one && bit_test(outer_bits, fd));
}

void epoll_number_closed(int fd)
{
	bit_put(epnum_bits, fd, false);
	bit_put(nested_bits, fd, false);
	bit_put(outer_bits, fd, false);
}

void epnum_note_nested(int epfd, int fd)
{
	if (!bit_test(epnum_bits, fd))
		return;
	bit_put(nested_bits, fd, true);
	bit_put(outer_bits, epfd, true);
}

bool epnum_is_outer(int epfd)
{
	return bit_test(outer_bits, epfd) || (unsigned)epfd >= NUM_BITS;
}

static bool is_same(int a, int b)
{
	return sys(kcmp, host.pid, host.pid, KCMP_FILE, a, b) == 0;
}

/* Every other number of @epfd's set leads to its file, too. */
static void share_with_copies(int epfd, struct file *f)
{
	for (int i = 0; i < NUM_BITS / 32; i++)
		for (uint32_t left = epnum_bits[i]; left; left &= left - 1) {
			int fd = i * 32 + __builtin_ctz(left);

			if (fd != epfd && !fd_file(fd) && is_same(fd, epfd))
				fd_share(fd, f);
		}
}

/* Is @epfd, of which we know nothing, a copy of a number that has a set? */
static struct file *find_same(int epfd)
{
	struct file *v[MAX_SETS];
	struct list *l;
	unsigned n = 0;

	host_lock(OP_EPOLL, 0);
	list_for_each (l, &epset_all) {
		struct epset *s = list_entry(l, struct epset, all_link);

		if (s->file && n < MAX_SETS)
			v[n++] = s->file;
	}
	host_unlock();
	while (n--) {
		int fd = file_some_fd(v[n]);

		if (fd >= 0 && fd != epfd && is_same(fd, epfd) &&
		    fd_share(epfd, v[n]) == 0)
			return v[n];
	}
	return NULL;
}

struct file *epnum_file(int epfd)
{
	struct file *f = fd_epoll(epfd);

	if (f || !host_is_up() || bit_test(epnum_bits, epfd) || fd_file(epfd) ||
	    (unsigned)epfd >= NUM_BITS)
		return f;
	f = find_same(epfd);
	bit_put(epnum_bits, epfd, true);
	return f;
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
	fd = epset_eventfd();
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

/* They may sleep under any of its numbers. */
static void evict_all(int epfd, struct file *f)
{
	evict_sleepers(epfd);
	if (atomic_load(&f->refs) == 1)
		return;
	for (int i = 0; i < NUM_BITS / 32; i++)
		for (uint32_t left = epnum_bits[i]; left; left &= left - 1) {
			int fd = i * 32 + __builtin_ctz(left);

			if (fd != epfd && fd_file(fd) == f)
				evict_sleepers(fd);
		}
}

/* The set is there already, or is made. 1: made. */
static int find_or_make(int epfd, struct epset **out)
{
	struct file *f = epnum_file(epfd);
	int r;

	if (f) {
		*out = f->priv;
		return 0;
	}
	r = epset_new(out);
	if (r < 0)
		return r;
	f = (*out)->file;
	r = fd_install(epfd, f);
	if (r < 0) {
		epoll_file_free(f);
		return r;
	}
	share_with_copies(epfd, f);
	return 1;
}

int epnum_make_set(int epfd, struct epset **out)
{
	struct epset *s;
	int r;

	while (atomic_flag_test_and_set(&making))
		sys(sched_yield);
	r = find_or_make(epfd, out);
	atomic_flag_clear(&making);
	if (r <= 0)
		return r;
	s = *out;
	if (kernel_half_used(epfd))
		epset_has_kernel(s);
	evict_all(epfd, s->file);
	return bit_test(nested_bits, epfd) ? epset_nest(s, epfd) : 0;
}

/* --- waits that are the kernel's --- */
int epnum_hide(struct epoll_event *v, int n, const struct epset *s)
{
	int num = 0;

	for (int i = 0; i < n; i++) {
		if (v[i].data.u64 == (uintptr_t)&evict_tag ||
		    (s && v[i].data.u64 == (uintptr_t)&s->nest))
			continue;
		v[num++] = v[i];
	}
	return num;
}

bool epnum_enter(int epfd, bool blocks)
{
	_Atomic uint32_t *num = &sleepers[(unsigned)epfd % NUM_SLEEPERS];

	if (mirror_is_on) {
		mirror_sync();
		return true;
	}
	if (epnum_file(epfd))
		return false;
	if (epnum_is_outer(epfd))
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

int epnum_leave(int epfd, struct epoll_event *v, int r, bool blocks)
{
	_Atomic uint32_t *num = &sleepers[(unsigned)epfd % NUM_SLEEPERS];
	int left = r;

	if (mirror_is_on)
		return r;
	if (blocks)
		atomic_fetch_sub(num, 1);
	if (__builtin_expect(!fd_epoll(epfd), 1))
		return r;
	if (blocks)
		sys_futex_wake((uint32_t *)num, INT_MAX);
	if (r > 0)
		left = epnum_hide(v, r, fd_epoll(epfd)->priv);
	return r > 0 && !left && blocks ? EPNUM_RESTART : left;
}

void epnum_forked(void)
{
	memset((void *)sleepers, 0, sizeof(sleepers));
	atomic_flag_clear(&making);
}
