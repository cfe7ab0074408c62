/* SPDX-License-Identifier: MIT
 *
 * call_epoll.c - epoll_create, epoll_ctl, epoll_wait and their kind
 *
 * A set without our sockets goes straight to the kernel. One that has some is
 * in two halves, the kernel's and ours (epset.c); a wait sleeps in
 * wait_block(), on the kernel's half (if there is anything in it) and on our
 * own. Of the threads that wait for one set one is woken by each event; it
 * wakes the next if it leaves something.
 *
 * As in Linux a wait goes on although another thread closes the set's number.
 *
 * What the kernel can't see by itself: nested sets (epset_nest.c), numbers that
 * are copies and threads that sleep already (epnum.c), and a socket that is
 * given to the kernel, whose items become registrations with the kernel
 * (epset.c).
 */
#include <limits.h>
#include <pthread.h>

#include "epset_priv.h"
#include "mirror.h"
#include "real.h"
#include "sleeper.h"
#include "sys.h"

/* What may stand beside EPOLLEXCLUSIVE, epoll_ctl(2). */
#define EXCLUSIVE_OK                                                        \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | \
	 EPOLLEXCLUSIVE)

/* --- epoll_create, epoll_ctl --- */
EXPORT int epoll_create(int size)
{
	return epnum_created(real.epoll_create(size));
}

EXPORT int epoll_create1(int flags)
{
	return epnum_created(real.epoll_create1(flags));
}

/* @fd is not a socket of ours; it may be a set. */
static int kernel_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct file *outer = epnum_file(epfd), *inner;
	int r;

	if (fdtab_num && (fd_is_internal(fd) || fd_is_internal(epfd)))
		return (int)shim_ret(-EBADF);
	if (op != EPOLL_CTL_ADD)
		return real.epoll_ctl(epfd, op, fd, ev);
	inner = epnum_file(fd);
	epnum_note_nested(epfd, fd);
	if (outer && !((struct epset *)outer->priv)->has_kernel)
		epset_has_kernel(outer->priv);
	if (inner && inner->kind == FILE_EPOLL) {
		r = epset_nest(inner->priv, fd);
		if (r < 0)
			return (int)shim_ret(r);
	}
	r = real.epoll_ctl(epfd, op, fd, ev);
	if (!outer && (outer = fd_epoll(epfd))) /* got a socket meanwhile */
		epset_has_kernel(outer->priv);
	return r;
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
	struct file *ef = epnum_file(epfd);
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
		r = epnum_make_set(epfd, &s);
		if (r < 0)
			return r;
	}
	return s ? epset_ctl(s, op, f, fd, &ev) : -EBADF;
}

/* The near end is in the kernel's set itself. An AF_UNIX socket that is
 * writable has WRBAND, a TCP socket never. */
static int mirror_ctl(int epfd, int op, struct file *f, int fd,
		      const struct epoll_event *user_ev)
{
	struct epoll_event ev;

	mirror_sync();
	if (!user_ev)
		return kernel_ctl(epfd, op, fd, NULL);
	ev = *user_ev;
	if (f && f->type == SOCK_STREAM)
		ev.events &= ~(uint32_t)EPOLLWRBAND;
	return kernel_ctl(epfd, op, fd, &ev);
}

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct file *f = fd_sock(fd);

	if (mirror_is_on)
		return mirror_ctl(epfd, op, f, fd, ev);
	if (!f)
		return kernel_ctl(epfd, op, fd, ev);
	return (int)shim_ret(sock_ctl(epfd, op, f, fd, ev));
}

/* --- epoll_wait --- */
/* A number for the kernel's half: the program's may have been closed. */
static int half_of(struct epset *s, int epfd)
{
	int fd = atomic_load(&s->last_fd);

	return fd >= 0 ? fd : epfd;
}

static int take_kernel(struct epset *s, int epfd, struct epoll_event *v, int n)
{
	long r;

	if (!s->has_kernel)
		return 0;
	r = sys(epoll_pwait, half_of(s, epfd), v, n, 0, NULL,
		SYS_KERNEL_SIGSET);
	return r <= 0 ? (int)r : epnum_hide(v, (int)r, s);
}

/* Events of both halves; they take turns in being first. */
static int take_both(struct epset *s, int epfd, struct epoll_event *v, int n,
		     uint32_t *scan)
{
	bool kernel_first = s->kernel_first;
	int a, b = 0;

	s->kernel_first = !kernel_first;
	a = kernel_first ? take_kernel(s, epfd, v, n)
			 : epset_take(s, v, n, scan);
	if (a >= 0 && a < n)
		b = kernel_first ? epset_take(s, v + a, n - a, scan)
				 : take_kernel(s, epfd, v + a, n - a);
	if (a < 0 || (b < 0 && !a))
		return a < 0 ? a : b;
	return a + (b > 0 ? b : 0);
}

static bool is_ready(void *arg)
{
	return epset_look(arg);
}

/* Sleeps until there is something in @s. 1, 0 at the deadline, -EINTR. */
static int set_sleep(struct epset *s, int epfd, struct waiter *w, nsec deadline,
		     const sigset_t *mask)
{
	struct pollfd p = {.fd = half_of(s, epfd), .events = POLLIN};
	bool has_kernel;

	host_lock(OP_EPOLL, 0);
	waiter_clear(w);
	has_kernel = s->has_kernel;
	host_unlock();
	return wait_block(w, has_kernel ? &p : NULL, has_kernel, deadline, mask,
			  is_ready, s);
}

/* Nobody waits here any more; if something is left, somebody else's turn. The
 * stack lock is held. */
static void stop_waiting(struct sleeper *sl)
{
	struct epset *s = sl->set_watch.set;

	if (!s)
		return;
	list_remove(&sl->set_watch.node);
	if (epset_look(s))
		epset_wake(s);
	epset_watch_del(&sl->set_watch);
}

/* @deadline is not over: what is ready, or a sleep until something is. */
static int set_wait(struct file *f, int epfd, struct epoll_event *v, int n,
		    nsec deadline, const sigset_t *mask)
{
	struct sleeper *sl = sleeper_get(stop_waiting);
	struct epset *s;
	uint32_t scan = 0;
	int r = 1, num;

	if (!sl)
		return -ENOMEM;
	epset_watch_add(&sl->set_watch, f, &sl->w);
	sl->set_watch.is_exclusive = true;
	s = sl->set_watch.set;
	host_unlock();
	num = s ? take_both(s, epfd, v, n, &scan) : -EBADF;
	while (!num && r > 0) {
		r = set_sleep(s, epfd, &sl->w, deadline, mask);
		num = take_both(s, epfd, v, n, &scan);
	}
	host_lock(OP_EPOLL, 0);
	sleeper_put(sl);
	host_unlock();
	epset_close_stale();
	return num ? num : r;
}

/* What is ready now; unless it @may_sleep for more, what the device holds
 * counts too. */
static int set_look(struct epset *s, int epfd, struct epoll_event *v, int n,
		    bool may_sleep)
{
	uint32_t scan = 0;
	int num = take_both(s, epfd, v, n, &scan);

	if (num < 0 || num == n || (!num && may_sleep))
		return num;
	if (host_drive_once() || !num)
		num += epset_take(s, v + num, n - num, &scan);
	return num;
}

/* @deadline 0: don't wait. */
static int own_wait(int epfd, struct epoll_event *v, int n, nsec deadline,
		    const sigset_t *mask)
{
	struct file *f = fd_epoll(epfd);
	struct epset *s = f ? f->priv : NULL;
	int r;

	pthread_testcancel();
	if (n <= 0 || n > INT_MAX / (int)sizeof(*v))
		return -EINVAL;
	if (!s)
		return -EBADF;
	if (epnum_is_outer(epfd))
		epset_refresh_nested();
	r = set_look(s, epfd, v, n, deadline != 0);
	if (!r && deadline)
		r = set_wait(f, epfd, v, n, deadline, mask);
	if (s->nest_fd >= 0)
		epset_nest_refresh(s);
	return r;
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
	if (epnum_enter(epfd, ms != 0)) {
		int r = real.epoll_wait(epfd, v, n, ms);

		r = epnum_leave(epfd, v, r, ms != 0);
		if (r != EPNUM_RESTART)
			return r;
	}
	return (int)shim_ret(own_wait(epfd, v, n, deadline_of_ms(ms), NULL));
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *v, int n, int ms,
		       const sigset_t *mask)
{
	if (epnum_enter(epfd, ms != 0)) {
		int r = real.epoll_pwait(epfd, v, n, ms, mask);

		r = epnum_leave(epfd, v, r, ms != 0);
		if (r != EPNUM_RESTART)
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

	if (epnum_enter(epfd, blocks)) {
		r = real.epoll_pwait2(epfd, v, n, t, mask);
		r = epnum_leave(epfd, v, r, blocks);
		if (r != EPNUM_RESTART)
			return r;
	}
	r = deadline_of_timespec(t, &deadline);
	if (!r)
		r = own_wait(epfd, v, n, deadline, mask);
	return (int)shim_ret(r);
}
