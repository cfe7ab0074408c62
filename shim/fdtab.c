/* SPDX-License-Identifier: MIT
 *
 * fdtab.c - fd to struct file
 *
 * An entry of the table is a cache of what the kernel knows. It is taken out
 * before the number is closed and put in after the number was made, so a number
 * that another thread gets in between is never taken for ours.
 *
 * What is behind a number is in near.c; our own numbers are fdnum.c's; those
 * that come from elsewhere adopt.c's.
 */
#include "fdtab.h"

#include <pthread.h>
#include <sys/mman.h>

#include "fdtab_priv.h"
#include "forks.h"
#include "host_priv.h"
#include "join.h"
#include "mirror.h"
#include "real.h"
#include "sigio.h"
#include "sleeper.h"
#include "sys.h"

#define SOCK_MAX FD_MAX /* one table for both */
#define FILES_STEP 128	/* struct file made at a time */
#define FILES_FEW 256u	/* in the first piece of memory */
#define HUGE_PAGE (2u << 20)

struct fdtab_slot *fdtab_v EVERY_RUN_DATA;
unsigned fdtab_num EVERY_RUN_DATA;

static struct {
	_Atomic unsigned highest;   /* number in the table, ever */
	_Atomic bool may_hand_down; /* some number had no FD_CLOEXEC */
	struct file *free_files;    /* stack lock */
	/* what no struct file was made of yet; fork_page->files_lock */
	struct file *fresh;
	struct file_opt *fresh_opts;
	size_t num_fresh;
} tab;

void *fdtab_reserve(size_t len)
{
	long p = sys(mmap, NULL, len, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p < 0 && p >= -4095 ? NULL : (void *)p;
}

/* All tables are in one piece, what is used first of each in one piece of 2
 * MiB: each piece that has anything costs a fork 2 us. */
struct tables {
	_Atomic uint8_t is_internal[FD_MAX];
	struct file few[FILES_FEW];
	struct fdtab_slot slots[FD_MAX];
	struct file_opt few_opts[FILES_FEW][FILE_MAX_OPTS];
};

size_t fdtab_reserved(void)
{
	return sizeof(struct tables) + HUGE_PAGE;
}

void fdtab_hands_down(void)
{
	if (!atomic_load_explicit(&tab.may_hand_down, memory_order_relaxed))
		atomic_store(&tab.may_hand_down, true);
}

bool fdtab_may_hand_down(void)
{
	return atomic_load(&tab.may_hand_down);
}

int fdtab_tables(void)
{
	uintptr_t p;
	struct tables *v;

	if (fdtab_num)
		return 0;
	p = (uintptr_t)fdtab_reserve(fdtab_reserved());
	if (!p)
		return -ENOMEM;
	v = (struct tables *)ALIGN_UP(p, (uintptr_t)HUGE_PAGE);
	fdnum_table(v->is_internal);
	tab.fresh = v->few;
	tab.fresh_opts = v->few_opts[0];
	tab.num_fresh = FILES_FEW;
	fdtab_v = v->slots;
	fdtab_num = FD_MAX;
	return 0;
}

int fdtab_init(void)
{
	int r = fdtab_tables();

	return r < 0 ? r : fdnum_init();
}

/* --- struct file --- */

/* A fork copies a page table entry for each page that was ever written; so
 * options, which few sockets have, lie apart, and many files are in a page of
 * 2 MiB, if the kernel has one. fork_page->files_lock is held. */
static bool fresh_files(void)
{
	size_t num = HUGE_PAGE / sizeof(*tab.fresh), opts_len;
	uintptr_t p, at;
	void *opts;

	opts_len = num * FILE_MAX_OPTS * sizeof(*tab.fresh_opts);
	p = (uintptr_t)fdtab_reserve(2 * HUGE_PAGE);
	opts = fdtab_reserve(opts_len);
	if (!p || !opts)
		return false;
	at = ALIGN_UP(p, (uintptr_t)HUGE_PAGE);
	if (at > p)
		sys(munmap, p, at - p);
	sys(munmap, at + HUGE_PAGE, p + HUGE_PAGE - at);
	sys(madvise, at, HUGE_PAGE, MADV_HUGEPAGE);
	tab.fresh = (struct file *)at;
	tab.fresh_opts = opts;
	tab.num_fresh = num / FILES_STEP * FILES_STEP;
	return true;
}

/* FILES_STEP files, linked; or NULL. */
static struct file *more_files(void)
{
	struct file *v = NULL;
	struct file_opt *opts = NULL;

	signal_hold();
	pthread_mutex_lock(&fork_page->files_lock);
	if (tab.num_fresh || fresh_files()) {
		v = tab.fresh;
		opts = tab.fresh_opts;
		tab.fresh += FILES_STEP;
		tab.fresh_opts += FILES_STEP * FILE_MAX_OPTS;
		tab.num_fresh -= FILES_STEP;
	}
	pthread_mutex_unlock(&fork_page->files_lock);
	for (unsigned i = 0; v && i < FILES_STEP; i++) {
		list_init(&v[i].watches);
		v[i].opts = &opts[i * FILE_MAX_OPTS];
		v[i].next = i + 1 < FILES_STEP ? &v[i + 1] : NULL;
	}
	signal_release();
	return v;
}

/* Caller holds the stack lock. */
static struct file *pop_file(void)
{
	struct file *f = tab.free_files;

	if (f)
		tab.free_files = f->next;
	return f;
}

static void push_files(struct file *first)
{
	struct file *last = first;

	while (last->next)
		last = last->next;
	last->next = tab.free_files;
	tab.free_files = first;
}

static struct file *file_begin(struct file *f, enum file_kind kind)
{
	atomic_store(&f->flags, 0);
	atomic_store(&f->s, 0);
	atomic_store(&f->refs, 1);
	f->num_opts = 0;
	f->priv = NULL;
	f->sigio = NULL;
	f->mirror = NULL;
	f->fork_epoch = fork_epoch();
	atomic_store(&f->kind, kind);
	return f;
}

struct file *file_new_early(enum file_kind kind)
{
	struct file *f = pop_file(), *more;

	if (!f) {
		more = more_files();
		if (!more)
			return NULL;
		push_files(more);
		f = pop_file();
	}
	return file_begin(f, kind);
}

struct file *file_new(enum file_kind kind)
{
	struct file *f, *more;

	host_lock(OP_NEW, 0);
	f = pop_file();
	host_unlock();
	if (!f) {
		more = more_files();
		if (!more)
			return NULL;
		host_lock(OP_NEW, 0);
		push_files(more);
		f = pop_file();
		host_unlock();
	}
	return file_begin(f, kind);
}

void file_free(struct file *f)
{
	atomic_store(&f->kind, FILE_FREE);
	f->next = NULL;
	push_files(f);
}

int fd_install(int fd, struct file *f)
{
	unsigned most = atomic_load(&tab.highest);

	if ((unsigned)fd >= FD_MAX)
		return -EMFILE;
	while ((unsigned)fd > most &&
	       !atomic_compare_exchange_weak(&tab.highest, &most, (unsigned)fd))
		;
	/* an entry that is still there is of a number closed behind our back */
	fd_dropped(fd);
	atomic_store(&fdtab_v[fd].by_fd, f);
	return 0;
}

int fd_share(int fd, struct file *f)
{
	int r;

	fdtab_hands_down(); /* dup() clears FD_CLOEXEC */
	atomic_fetch_add(&f->refs, 1);
	r = fd_install(fd, f);
	if (r < 0)
		atomic_fetch_sub(&f->refs, 1);
	return r;
}

unsigned fd_highest(void)
{
	return fdtab_num ? atomic_load(&tab.highest) : 0;
}

int file_some_fd(struct file *f)
{
	unsigned most = fd_highest();

	for (unsigned fd = 0; fdtab_num && fd <= most; fd++)
		if (atomic_load(&fdtab_v[fd].by_fd) == f)
			return (int)fd;
	return -1;
}

static uint32_t sock_index(sockid s)
{
	return (uint32_t)s - 1;
}

struct file *file_of_sock(sockid s)
{
	struct file *f;

	if (sock_index(s) >= SOCK_MAX)
		return NULL;
	f = atomic_load(&fdtab_v[sock_index(s)].by_sock);
	return f && f->s == s && f->kind == FILE_SOCK ? f : NULL;
}

int file_become(struct file *f, const struct near *n, sockid s,
		const struct sock_facts *facts, uint32_t flags)
{
	if (sock_index(s) >= SOCK_MAX)
		return -ENFILE;
	f->family = (uint8_t)facts->family;
	f->type = (uint8_t)facts->type;
	f->proto = facts->proto;
	f->listener = n->listener;
	f->cookie = n->cookie;
	atomic_store(&f->flags, flags | (n->is_nonblock ? FILE_NONBLOCK : 0));
	atomic_store(&f->s, s);
	atomic_store(&fdtab_v[sock_index(s)].by_sock, f);
	atomic_store(&f->kind, FILE_SOCK); /* last: an heir is looked at */
	return 0;
}

int near_install(struct near *n, sockid s, int family, int type, int proto)
{
	struct file *f = file_new(FILE_FREE);
	const struct sock_facts facts = {
		.family = family,
		.type = type,
		.proto = proto,
	};
	int r = f ? file_become(f, n, s, &facts, 0) : -ENOMEM;

	if (r == 0)
		r = fd_install(n->fd, f);
	host_lock(OP_CLOSE, s);
	if (r == 0) {
		sock_set_tag(host.st, s, n->cookie);
		host_unlock();
		if (mirror_is_on)
			mirror_attach(f, n->fd);
		stdio_take(n->fd);
		return n->fd;
	}
	sock_close(host.st, s, host_now());
	if (f)
		file_free(f);
	host_unlock();
	near_put(n, type);
	return r;
}

/* --- closing --- */

/* May there be copies of @f's near end that we don't see? */
static bool may_be_shared(const struct file *f)
{
	return f->fork_epoch != fork_epoch() || file_has(f, FILE_SHARED);
}

/* Did this process make it? Then it tells the keeper when it lets go, which
 * looks from then on whether somebody else holds it. */
static bool is_maker(const struct file *f)
{
	return f->fork_epoch >= fork_born() && f->listener != NO_LISTENER;
}

static bool is_taken(sockid s)
{
	struct sock_facts facts;

	return sock_facts(host.st, s, &facts) == 0 && facts.shared;
}

/* Whose address may be wanted again at once waits until it is free. */
static bool wants_reply(sockid s)
{
	struct sock_facts facts;

	return sock_facts(host.st, s, &facts) == 0 &&
	       (facts.type != SOCK_STREAM || facts.listening);
}

struct released {
	struct near n;
	bool reusable;	   /* no copy of the near end can exist */
	uint32_t told;	   /* KEEPER_DROPPED..., or 0: nobody is to be told */
	uint32_t told_num; /* the listener's */
};

/* The last number of @f went. The socket goes with it, unless there may be
 * copies: then it goes with the last of them, which the keeper sees. */
static void file_release(struct file *f, struct released *out)
{
	bool is_sock = f->kind == FILE_SOCK, shared;

	*out = (struct released){.n.listener = NO_LISTENER};
	if (f->kind == FILE_HEIR) { /* not given back: there may be no host */
		atomic_store(&f->kind, FILE_FREE);
		return;
	}
	if (!is_sock) {
		epoll_file_free(f);
		host_lock(OP_CLOSE, 0);
		file_free(f);
		host_unlock();
		return;
	}
	out->n.listener = is_maker(f) ? f->listener : NO_LISTENER;
	out->n.cookie = f->cookie;
	out->n.is_nonblock = file_has(f, FILE_NONBLOCK);
	host_lock(OP_CLOSE, f->s);
	shared = may_be_shared(f) || is_taken(f->s);
	out->reusable = !shared && !file_has(f, FILE_OWNED);
	if (!shared || !host.has_keeper) {
		sock_close(host.st, f->s, host_now());
	} else {
		sock_unwatch(host.st, f->s);
		if (is_maker(f))
			out->told = wants_reply(f->s) ? KEEPER_DROPPED_REPLY
						      : KEEPER_DROPPED;
	}
	watch_gone(f);
	atomic_store(&fdtab_v[sock_index(f->s)].by_sock, NULL);
	file_free(f);
	host_unlock();
	if (out->told)
		out->told_num = near_listener_num(out->n.listener);
}

/* The number itself is closed. */
static void released_done(const struct released *rel)
{
	struct keeper_req req = {
		.type = rel->told,
		.arg = rel->told_num,
		.cookie = rel->n.cookie,
	};

	if (rel->told)
		join_tell(&req, -1);
	near_listener_put(rel->n.listener);
}

bool file_hold(struct file *f)
{
	uint32_t refs = atomic_load(&f->refs);

	while (refs)
		if (atomic_compare_exchange_weak(&f->refs, &refs, refs + 1))
			return true;
	return false;
}

void file_drop(struct file *f)
{
	struct released rel;

	if (atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	signal_hold();
	file_release(f, &rel);
	released_done(&rel);
	signal_release();
}

void fd_dropped(int fd)
{
	struct file *f = fd_file(fd);

	/* mostly nothing is there: no need to write */
	if (f)
		f = atomic_exchange(&fdtab_v[fd].by_fd, NULL);
	if (!f)
		return;
	if (f->kind == FILE_EPOLL)
		epoll_number_goes(f, fd);
	file_drop(f);
}

void fd_recheck(int fd)
{
	struct file *f = fd_file(fd);

	if (f && (f->kind == FILE_SOCK || f->kind == FILE_HEIR) &&
	    near_cookie(fd) != f->cookie)
		fd_dropped(fd);
}

static void linger(struct file *f)
{
	struct sock_facts facts;
	int r;

	host_lock(OP_CLOSE, f->s);
	r = sock_facts(host.st, f->s, &facts);
	host_unlock();
	if (r == 0 && facts.linger > 0 && facts.type == SOCK_STREAM &&
	    !facts.listening)
		block_linger(f, facts.linger);
}

static int close_number(int fd)
{
	struct released rel;
	struct file *f;
	int type;

	sleeper_tidy();
	if ((unsigned)fd >= fdtab_num)
		return (int)sys(close, fd);
	if (fd_is_internal(fd))
		return -EBADF;
	f = atomic_exchange(&fdtab_v[fd].by_fd, NULL);
	if (!f)
		return (int)sys(close, fd);
	if (f->kind == FILE_EPOLL) {
		epoll_number_closed(fd);
		epoll_number_goes(f, fd);
	}
	if (atomic_fetch_sub(&f->refs, 1) != 1)
		return (int)sys(close, fd);
	type = f->type;
	if (f->kind == FILE_SOCK && type == SOCK_STREAM && !may_be_shared(f))
		linger(f);
	signal_hold(); /* a handler that closes would wait for our locks */
	file_release(f, &rel);
	if (rel.reusable) {
		rel.n.fd = fd;
		near_put(&rel.n, type);
	} else {
		sys(close, fd);
		released_done(&rel);
	}
	signal_release();
	return 0;
}

int fd_close(int fd)
{
	int r;

	mirror_lock();
	r = close_number(fd);
	mirror_unlock();
	mirror_flush();
	return r;
}

/* --- to the kernel --- */

/* @fd, a number of @f, becomes a copy of kernel socket @k. */
static void replace(int fd, struct file *f, int k)
{
	long flags = sys(fcntl, fd, F_GETFD);

	atomic_store(&fdtab_v[fd].by_fd, NULL);
	sys(dup3, k, fd, flags > 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0);
	epoll_file_handed_over(f, fd);
}

int file_hand_over(struct file *f)
{
	unsigned most = fd_highest();
	struct released rel;
	int k = (int)sys(socket, f->family, f->type | SOCK_CLOEXEC, f->proto);
	int err;

	if (k < 0)
		return k;
	k = fd_make_internal(k);
	if (k < 0)
		return k;
	opt_replay(f, k);
	err = opt_replay_keys(f, k);
	if (err) {
		fd_close_internal(k);
		return err;
	}
	if (file_has(f, FILE_NONBLOCK))
		sys(fcntl, k, F_SETFL, O_RDWR | O_NONBLOCK);
	for (unsigned fd = 0; fd <= most; fd++)
		if (atomic_load(&fdtab_v[fd].by_fd) == f)
			replace((int)fd, f, k);
	sigio_handed_over(f);
	host_lock(OP_CLOSE, f->s);
	sock_close(host.st, f->s, host_now());
	host_unlock();
	file_release(f, &rel);
	released_done(&rel);
	fd_close_internal(k);
	return 0;
}
