/* SPDX-License-Identifier: MIT
 *
 * fdtab.c - fd to struct file; the near and far end behind each number
 *
 * The number that the program holds for a socket is a kernel fd made for it:
 * the near end, an AF_UNIX socket (STREAM for TCP, SEQPACKET for UDP; DGRAM
 * never hangs up) connected to a listener of this process, with an identity as
 * its first 8 bytes. The far end waits in the listener's backlog, unaccepted:
 * nothing has to be held open for it, and it hangs up when the last copy of the
 * near end anywhere is closed. So numbers never collide with the kernel's, and
 * dup, CLOEXEC, fork, exec, SCM_RIGHTS and RLIMIT_NOFILE are the kernel's.
 *
 * Making such a pair costs 4 to 5 us, so closed ones are kept, under a high
 * number, and handed out again; but only when no copy of it can exist that we
 * don't see (no fork in its life), and only after SO_COOKIE says that the
 * number still is what we think. A listener whose backlog is full is followed
 * by another; it goes when the last near end connected to it went.
 *
 * Our own fds sit just above 1000 (a high number makes every fork dearer), or
 * lower under a small RLIMIT_NOFILE. close, close_range, closefrom and dup2 of
 * the program leave them alone.
 *
 * An entry of the table is a cache of what the kernel knows. It is taken out
 * before the number is closed and put in after the number was made, so a number
 * that another thread gets in between is never taken for ours.
 */
#include "fdtab.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "call_priv.h"
#include "host_priv.h"
#include "join.h"
#include "mirror.h"
#include "sleeper.h"
#include "sigio.h"
#include "sys.h"

#define FD_MAX (1u << 20)
#define SOCK_MAX (1u << 20)
#define INTERNAL_FROM 1001
#define INTERNAL_MOST 1024 /* the limit is raised to that many more */
#define INTERNAL_ROOM 16   /* the least that we need, libuv's among them */
#define POOL_MAX 128
#define FILES_STEP 128 /* struct file made at a time */
#define LISTENERS_MAX 4096
#define BACKLOG 4096
#define MEMORY_TRIES 4
#define RELAY_LOOK 255u /* numbers, at least */

_Atomic(struct file *) *fdtab_v;
unsigned fdtab_num;

enum { NEAR_STREAM, NEAR_PACKET, NUM_NEAR };

#define LISTENER_GONE (-1)
#define LISTENER_KEPT (-2)
#define NO_LISTENER UINT32_MAX /* of a near end that another process made */

struct listener {
	int fd;	      /* LISTENER_GONE, or the keeper has it */
	uint32_t num; /* its number at the keeper's */
	socklen_t addr_len;
	struct sockaddr_un addr;
	uint32_t num_live; /* near ends connected to it */
	bool is_current;
};

static struct {
	_Atomic(struct file *) *by_sock; /* by index of the sockid */
	_Atomic uint8_t *internal;	 /* a byte a number */
	_Atomic unsigned highest;	 /* number in the table, ever */
	unsigned internal_from;
	_Atomic unsigned internal_highest;
	/* moves with everything that copies descriptors: a socket older than
	 * that may have copies; one older than the process has */
	_Atomic uint32_t fork_epoch;
	uint32_t born_epoch;
	_Atomic bool may_hand_down; /* some number had no FD_CLOEXEC */
	int low_dup;  /* fills the holes below, see fdtab_fill_low() */
	uint64_t had; /* numbers from internal_from on that were there then */

	/* stack lock, once there is one */
	struct file *free_files;
	struct listener listeners[LISTENERS_MAX];
	uint32_t num_listeners;
	_Atomic uint32_t current[NUM_NEAR]; /* + 1 */
	struct near pool[NUM_NEAR][POOL_MAX];
	unsigned num_pool[NUM_NEAR];
	pthread_mutex_t listen_lock; /* making a listener */
} tab = {.listen_lock = PTHREAD_MUTEX_INITIALIZER};

/* --- numbers of our own --- */

bool fd_is_internal(int fd)
{
	return tab.internal && (unsigned)fd < FD_MAX && !sys_is_own &&
	       atomic_load(&tab.internal[fd]);
}

int fd_next_internal(int from)
{
	unsigned most = atomic_load(&tab.internal_highest);

	for (unsigned fd = (unsigned)MAX(from, 0); tab.internal && fd <= most;
	     fd++)
		if (atomic_load(&tab.internal[fd]))
			return (int)fd;
	return -1;
}

void fd_note_internal(int fd)
{
	unsigned most = atomic_load(&tab.internal_highest);

	if (!tab.internal || (unsigned)fd >= FD_MAX)
		return;
	atomic_store(&tab.internal[fd], 1);
	while ((unsigned)fd > most &&
	       !atomic_compare_exchange_weak(&tab.internal_highest, &most,
					     (unsigned)fd))
		;
}

/* A small RLIMIT_NOFILE is the program's to use up: ours go above it, by
 * raising it for a moment. What is open over a limit stays. */
bool fdtab_raise_limit(struct rlimit *was)
{
	struct rlimit r;

	if (sys(prlimit64, 0, RLIMIT_NOFILE, NULL, was) < 0 ||
	    was->rlim_cur >= INTERNAL_FROM + INTERNAL_MOST)
		return false;
	r.rlim_cur = INTERNAL_FROM + INTERNAL_MOST;
	r.rlim_max = MAX(was->rlim_max, r.rlim_cur); /* more: root may */
	if (sys(prlimit64, 0, RLIMIT_NOFILE, &r, NULL) == 0)
		return true;
	r.rlim_cur = r.rlim_max = was->rlim_max;
	return was->rlim_cur < was->rlim_max &&
	       sys(prlimit64, 0, RLIMIT_NOFILE, &r, NULL) == 0;
}

void fdtab_restore_limit(const struct rlimit *was)
{
	sys(prlimit64, 0, RLIMIT_NOFILE, was, NULL);
}

static int dup_high(int fd)
{
	struct rlimit was;
	int high = (int)sys(fcntl, fd, F_DUPFD_CLOEXEC, tab.internal_from);

	if ((high != -EINVAL && high != -EMFILE) || !fdtab_raise_limit(&was))
		return high;
	high = (int)sys(fcntl, fd, F_DUPFD_CLOEXEC, tab.internal_from);
	fdtab_restore_limit(&was);
	return high;
}

static int eventfd_or_socket(int type)
{
	return type ? (int)sys(socket, AF_UNIX, type | SOCK_CLOEXEC, 0)
		    : (int)sys(eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static int internal(int type)
{
	int fd = eventfd_or_socket(type);
	struct rlimit was;

	if (fd == -EMFILE && fdtab_raise_limit(&was)) {
		fd = eventfd_or_socket(type);
		fdtab_restore_limit(&was);
	}
	return fd < 0 ? fd : fd_make_internal(fd);
}

int fd_internal_socket(int type)
{
	return internal(type);
}

int fd_internal_eventfd(void)
{
	return internal(0);
}

/* @fd gets number @high instead, if that is one. */
static int internal_now(int fd, int high)
{
	sys(close, fd);
	if (high >= 0)
		fd_note_internal(high);
	return high;
}

int fd_make_internal(int fd)
{
	unsigned from = tab.internal_from;
	int high = dup_high(fd);

	while (high == -EINVAL && from > 3) { /* over RLIMIT_NOFILE */
		from /= 2;
		high = (int)sys(fcntl, fd, F_DUPFD_CLOEXEC, from);
	}
	return internal_now(fd, high);
}

/* The same for what we can do without: only where it costs nobody a number. */
static int make_internal_if_easy(int fd)
{
	return internal_now(
		fd, (int)sys(fcntl, fd, F_DUPFD_CLOEXEC, tab.internal_from));
}

void fd_close_internal(int fd)
{
	if ((unsigned)fd < FD_MAX)
		atomic_store(&tab.internal[fd], 0);
	sys(close, fd);
}

/* A library that opens fds (libuv) can't be told where: every hole below is
 * filled while it does. */
void fdtab_fill_low(void)
{
	int fd, src = tab.low_dup;

	tab.had = 0;
	for (unsigned i = 0; i < 64; i++)
		if (sys(fcntl, tab.internal_from + i, F_GETFD) >= 0)
			tab.had |= 1ull << i;
	while ((fd = (int)sys(fcntl, src, F_DUPFD_CLOEXEC, 0)) >= 0 &&
	       (unsigned)fd < tab.internal_from)
		atomic_store(&tab.internal[fd], 2);
	if (fd >= 0)
		sys(close, fd);
}

void fdtab_free_low(void)
{
	for (unsigned fd = 0; fd < tab.internal_from; fd++) {
		unsigned first = fd;

		while (fd < tab.internal_from &&
		       atomic_load(&tab.internal[fd]) == 2)
			atomic_store(&tab.internal[fd++], 0);
		if (fd > first)
			sys(close_range, first, fd - 1, 0);
	}
	/* what was opened meanwhile is just above */
	for (unsigned i = 0; i < 64; i++)
		if (!(tab.had >> i & 1) &&
		    sys(fcntl, tab.internal_from + i, F_GETFD) >= 0)
			fd_note_internal((int)(tab.internal_from + i));
}

static void *reserve(size_t len)
{
	long p = sys(mmap, NULL, len, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p < 0 ? NULL : (void *)p;
}

size_t fdtab_reserved(void)
{
	return FD_MAX + SOCK_MAX * sizeof(*tab.by_sock) +
	       FD_MAX * sizeof(*fdtab_v);
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

void fdtab_copied(void)
{
	tab.fork_epoch++;
}

static void on_fork_before(void)
{
	signal_hold();
	fdtab_copied();
	host_fork_wait();
	pthread_mutex_lock(&tab.listen_lock);
	host_fork_before();
}

static void on_fork_parent(void)
{
	host_fork_parent();
	pthread_mutex_unlock(&tab.listen_lock);
	fdtab_copied();
	signal_release();
}

static void on_fork_child(void)
{
	pthread_mutex_init(&tab.listen_lock, NULL);
	host_forked();
	signal_release();
}

/* Before there is a host: one thread may make it while another one forks. */
void fdtab_early(void)
{
	pthread_atfork(on_fork_before, on_fork_parent, on_fork_child);
}

int fdtab_init(void)
{
	struct rlimit r = {0};
	int fd;

	tab.internal_from = INTERNAL_FROM;
	/* host_up() has raised it as far as it may */
	if (sys(prlimit64, 0, RLIMIT_NOFILE, NULL, &r) == 0 &&
	    r.rlim_cur < INTERNAL_FROM + 100)
		tab.internal_from = (unsigned)(r.rlim_cur - MAX(r.rlim_cur / 4,
								INTERNAL_ROOM));
	if (r.rlim_cur < INTERNAL_ROOM + 12)
		return -EMFILE;
	tab.internal = reserve(FD_MAX);
	tab.by_sock = reserve(SOCK_MAX * sizeof(*tab.by_sock));
	fdtab_v = reserve(FD_MAX * sizeof(*fdtab_v));
	if (!tab.internal || !tab.by_sock || !fdtab_v)
		return -ENOMEM;
	fd = (int)sys(socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	tab.low_dup = fd_make_internal(fd);
	if (tab.low_dup < 0)
		return tab.low_dup;
	fdtab_num = FD_MAX;
	return 0;
}

/* The child has copies of everything. What is the parent's own is closed: its
 * connection to the keeper, near ends in the pool, sockets to be woken by. */
void fdtab_forked(bool has_keeper)
{
	unsigned most = atomic_load(&tab.internal_highest);

	pthread_mutex_init(&tab.listen_lock, NULL);
	tab.born_epoch = ++tab.fork_epoch;
	if (!has_keeper)
		fdtab_num = 0;
	epoll_forked(has_keeper);
	sigio_forked();
	for (unsigned fd = 0; fd <= most; fd++)
		if (atomic_load(&tab.internal[fd]) && (int)fd != host.log_fd &&
		    (int)fd != tab.low_dup) {
			atomic_store(&tab.internal[fd], 0);
			sys(close, fd);
		}
	memset(tab.num_pool, 0, sizeof(tab.num_pool));
	memset(tab.current, 0, sizeof(tab.current));
	tab.num_listeners = 0;
}

/* Sleeping threads of the parent don't exist here. */
static void drop_waiters(struct file *f)
{
	struct list *l, *next;

	list_for_each_safe (l, next, &f->watches) {
		struct watch *h = list_entry(l, struct watch, node);

		if (h->waiter)
			watch_del(h);
	}
}

/* False: there is no memory for it yet. */
static bool watch_again(struct file *f)
{
	struct ready r;
	int err = 0;

	host_lock(OP_WAIT, f->s);
	drop_waiters(f);
	if (!list_empty(&f->watches))
		err = sock_watch(host.st, f->s, 0, &r);
	/* what came since the fork is news */
	if (!list_empty(&f->watches) && !err)
		watch_news(f, &r);
	host_unlock();
	return err != -ENOBUFS;
}

void fdtab_watch_again(void)
{
	unsigned most = fd_highest();

	for (unsigned fd = 0; fd <= most; fd++) {
		struct file *f = fd_sock((int)fd);
		unsigned num_tries = 0;

		if (!f || list_empty(&f->watches))
			continue;
		while (!watch_again(f) && num_tries++ < MEMORY_TRIES &&
		       host_more_memory())
			;
	}
}

/* --- struct file --- */

/* The options lie apart: a fork copies a page table entry for each page that
 * was ever written. */
static struct file *more_files(void)
{
	const size_t opts_len = FILE_MAX_OPTS * sizeof(struct file_opt);
	struct file *v = reserve(FILES_STEP * (sizeof(*v) + opts_len));
	struct file_opt *opts = (struct file_opt *)(v + FILES_STEP);

	for (unsigned i = 0; v && i < FILES_STEP; i++) {
		list_init(&v[i].watches);
		v[i].opts = &opts[i * FILE_MAX_OPTS];
		v[i].next = i + 1 < FILES_STEP ? &v[i + 1] : NULL;
	}
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
	atomic_store(&f->flags, 0);
	atomic_store(&f->s, 0);
	atomic_store(&f->refs, 1);
	f->num_opts = 0;
	f->priv = NULL;
	f->sigio = NULL;
	f->mirror = NULL;
	f->fork_epoch = tab.fork_epoch;
	atomic_store(&f->kind, kind);
	return f;
}

/* Caller holds the stack lock. */
static void file_free(struct file *f)
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
	atomic_store(&fdtab_v[fd], f);
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
		if (atomic_load(&fdtab_v[fd]) == f)
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
	f = atomic_load(&tab.by_sock[sock_index(s)]);
	return f && f->s == s && f->kind == FILE_SOCK ? f : NULL;
}

/* --- near ends --- */

static int near_kind(int type)
{
	return type == SOCK_STREAM ? NEAR_STREAM : NEAR_PACKET;
}

static int near_type(int kind)
{
	return kind == NEAR_STREAM ? SOCK_STREAM : SOCK_SEQPACKET;
}

/* The keeper takes @l over: it listens there when we are dead. */
static int give_listener(struct listener *l)
{
	struct keeper_req req = {.type = KEEPER_LISTENER, .arg = l->num};
	long r = join_tell(&req, l->fd);

	fd_close_internal(l->fd);
	l->fd = LISTENER_KEPT;
	return r < 0 ? (int)r : 0;
}

static int open_listener(struct listener *l, int kind)
{
	struct sockaddr_un any = {.sun_family = AF_UNIX};
	socklen_t any_len = sizeof(any.sun_family);
	int fd = (int)sys(socket, AF_UNIX, near_type(kind) | SOCK_CLOEXEC, 0);
	long r;

	if (fd < 0)
		return fd;
	fd = fd_make_internal(fd);
	if (fd < 0)
		return fd;
	l->addr_len = sizeof(l->addr);
	/* without a name the kernel picks an abstract one that is free */
	if (host.has_keeper) {
		l->num = atomic_fetch_add(&host.sh->num_listeners, 1) + 1;
		any_len = keeper_far_addr(&any, host.sh->secret, l->num);
	}
	r = sys(bind, fd, &any, any_len);
	if (r >= 0)
		r = sys(listen, fd, BACKLOG);
	if (r >= 0)
		r = sys(getsockname, fd, &l->addr, &l->addr_len);
	if (r < 0) {
		fd_close_internal(fd);
		return (int)r;
	}
	l->fd = fd;
	l->is_current = true;
	return host.has_keeper ? give_listener(l) : 0;
}

/* A place for a listener: one that is gone, or a new one. listen_lock held. */
static struct listener *listener_place(void)
{
	for (uint32_t i = 0; i < tab.num_listeners; i++)
		if (tab.listeners[i].fd == LISTENER_GONE)
			return &tab.listeners[i];
	return tab.num_listeners < LISTENERS_MAX
		       ? &tab.listeners[tab.num_listeners]
		       : NULL;
}

/* A listener after @full (0: none yet). Its number + 1, or -errno. */
static int next_listener(int kind, uint32_t full)
{
	struct listener *l;
	uint32_t idx;
	int r = 0;

	pthread_mutex_lock(&tab.listen_lock);
	if (tab.current[kind] == full) {
		struct listener made = {0};

		l = listener_place();
		r = l ? open_listener(&made, kind) : -ENFILE;
		if (r == 0) {
			*l = made;
			idx = (uint32_t)(l - tab.listeners);
			if (idx == tab.num_listeners)
				tab.num_listeners++;
			if (full)
				tab.listeners[full - 1].is_current = false;
			tab.current[kind] = idx + 1;
		}
	}
	if (r == 0)
		r = (int)tab.current[kind];
	pthread_mutex_unlock(&tab.listen_lock);
	return r;
}

/* A near end on listener @idx is no more. */
static void listener_put(uint32_t idx)
{
	struct keeper_req req = {.type = KEEPER_LISTENER_DONE};
	struct listener *l;
	int gone = LISTENER_GONE;

	if (idx == NO_LISTENER)
		return;
	l = &tab.listeners[idx];
	pthread_mutex_lock(&tab.listen_lock);
	if (--l->num_live == 0 && !l->is_current) {
		gone = l->fd;
		req.arg = l->num;
		l->fd = LISTENER_GONE;
	}
	pthread_mutex_unlock(&tab.listen_lock);
	if (gone >= 0)
		fd_close_internal(gone);
	else if (gone == LISTENER_KEPT)
		join_tell(&req, -1);
}

static uint64_t cookie_of(int fd)
{
	uint64_t c = 0;
	socklen_t len = sizeof(c);

	sys(getsockopt, fd, SOL_SOCKET, SO_COOKIE, &c, &len);
	return c;
}

static void set_nonblock(struct near *n, bool on)
{
	if (n->is_nonblock == on)
		return;
	sys(fcntl, n->fd, F_SETFL, on ? O_RDWR | O_NONBLOCK : O_RDWR);
	n->is_nonblock = on;
}

static int connect_near(struct near *n, int kind)
{
	uint32_t full = 0;
	int cur;
	long r;

	for (;;) {
		cur = (int)tab.current[kind];
		if (!cur || full == (uint32_t)cur)
			cur = next_listener(kind, full);
		if (cur < 0)
			return cur;
		n->listener = (uint32_t)cur - 1;
		r = sys(connect, n->fd, &tab.listeners[cur - 1].addr,
			tab.listeners[cur - 1].addr_len);
		if (r != -EAGAIN)
			break;
		full = (uint32_t)cur;
	}
	if (r < 0)
		return (int)r;
	pthread_mutex_lock(&tab.listen_lock);
	tab.listeners[n->listener].num_live++;
	pthread_mutex_unlock(&tab.listen_lock);
	return 0;
}

/* One that shows readiness: whom it is connected to is mirror.c's. */
static int near_mirror(int kind, int flags, struct near *n)
{
	n->fd = mirror_near(kind == NEAR_STREAM ? SOCK_STREAM : SOCK_DGRAM,
			    flags);
	n->is_nonblock = flags & SOCK_NONBLOCK;
	n->listener = NO_LISTENER;
	n->cookie = n->fd < 0 ? 0 : cookie_of(n->fd);
	return n->fd < 0 ? n->fd : 0;
}

static int near_make(int kind, int flags, struct near *n)
{
	int cancel, r;

	if (mirror_is_on)
		return near_mirror(kind, flags, n);

	if (!(flags & SOCK_CLOEXEC))
		fdtab_hands_down();
	n->fd = (int)sys(
		socket, AF_UNIX,
		near_type(kind) | (flags & SOCK_CLOEXEC) | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		return n->fd;
	n->is_nonblock = true;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	r = connect_near(n, kind);
	pthread_setcancelstate(cancel, NULL);
	if (r < 0) {
		sys(close, n->fd);
		return r;
	}
	n->cookie = cookie_of(n->fd);
	sys(write, n->fd, &n->cookie, sizeof(n->cookie));
	set_nonblock(n, flags & SOCK_NONBLOCK);
	return 0;
}

int near_get(int type, int flags, struct near *out)
{
	int kind = near_kind(type), high;
	bool found;

	host_lock(OP_NEW, 0);
	found = tab.num_pool[kind] > 0;
	if (found)
		*out = tab.pool[kind][--tab.num_pool[kind]];
	host_unlock();
	if (!found)
		return near_make(kind, flags, out);
	if (!(flags & SOCK_CLOEXEC))
		fdtab_hands_down();
	high = out->fd;
	out->fd = (int)sys(fcntl, high,
			   flags & SOCK_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	if (out->fd < 0) {
		int r = out->fd;

		out->fd = high;
		host_lock(OP_NEW, 0);
		if (tab.num_pool[kind] < POOL_MAX)
			tab.pool[kind][tab.num_pool[kind]++] = *out;
		host_unlock();
		return r;
	}
	fd_close_internal(high);
	set_nonblock(out, flags & SOCK_NONBLOCK);
	return 0;
}

void near_put(struct near *n, int type)
{
	int kind = near_kind(type);
	bool kept = false, room;

	host_lock(OP_NEW, 0);
	room = tab.num_pool[kind] < POOL_MAX && !mirror_is_on;
	host_unlock();
	if (room)
		n->fd = make_internal_if_easy(n->fd);
	else
		sys(close, n->fd);
	if (room && n->fd >= 0 && cookie_of(n->fd) == n->cookie) {
		host_lock(OP_NEW, 0);
		kept = tab.num_pool[kind] < POOL_MAX;
		if (kept)
			tab.pool[kind][tab.num_pool[kind]++] = *n;
		host_unlock();
	}
	if (kept)
		return;
	if (room && n->fd >= 0)
		fd_close_internal(n->fd);
	listener_put(n->listener);
}

/* Puts @n, which is @s, into the table as @f. 0 or -errno. */
static int near_file(struct file *f, const struct near *n, sockid s, int family,
		     int type, int proto)
{
	int r;

	if (sock_index(s) >= SOCK_MAX)
		return -ENFILE;
	f->family = (uint8_t)family;
	f->type = (uint8_t)type;
	f->proto = proto;
	f->listener = n->listener;
	f->cookie = n->cookie;
	atomic_store(&f->flags, n->is_nonblock ? FILE_NONBLOCK : 0);
	atomic_store(&f->s, s);
	atomic_store(&f->kind, FILE_SOCK);
	r = fd_install(n->fd, f);
	if (r == 0)
		atomic_store(&tab.by_sock[sock_index(s)], f);
	return r;
}

int near_install(struct near *n, sockid s, int family, int type, int proto)
{
	struct file *f = file_new(FILE_FREE);
	int r = f ? near_file(f, n, s, family, type, proto) : -ENOMEM;

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
	return f->fork_epoch != tab.fork_epoch || file_has(f, FILE_SHARED);
}

/* Did this process make it? Then it tells the keeper when it lets go, which
 * looks from then on whether somebody else holds it. */
static bool is_maker(const struct file *f)
{
	return f->fork_epoch >= tab.born_epoch && f->listener != NO_LISTENER;
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
	atomic_store(&tab.by_sock[sock_index(f->s)], NULL);
	file_free(f);
	host_unlock();
	if (out->told)
		out->told_num = tab.listeners[out->n.listener].num;
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
	listener_put(rel->n.listener);
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
		f = atomic_exchange(&fdtab_v[fd], NULL);
	if (!f)
		return;
	if (f->kind == FILE_EPOLL)
		epoll_number_goes(f, fd);
	file_drop(f);
}

void fd_recheck(int fd)
{
	struct file *f = fd_sock(fd);

	if (f && cookie_of(fd) != f->cookie)
		fd_dropped(fd);
}

/* In a vfork child the table is its parent's: the kernel is asked. */
void fdtab_relay(void)
{
	unsigned most = MAX(fd_highest(), RELAY_LOOK);

	if (!host_is_up() || !host.has_keeper)
		return;
	for (unsigned fd = 0; fd <= most; fd++) {
		struct keeper_req req = {.type = KEEPER_RELAY};
		struct sockaddr_un far = {.sun_family = AF_UNSPEC};
		socklen_t len = sizeof(far);

		if ((sys(fcntl, fd, F_GETFD) & FD_CLOEXEC) ||
		    sys(getpeername, fd, &far, &len) < 0)
			continue;
		req.arg = keeper_far_number(&far, MIN(len, sizeof(far)));
		req.cookie = req.arg ? cookie_of((int)fd) : 0;
		if (req.cookie)
			join_tell_anew(&req);
	}
}

bool fd_is_handed_down(int fd)
{
	struct sockaddr_un far = {.sun_family = AF_UNSPEC};
	socklen_t len = sizeof(far);

	return sys(getpeername, fd, &far, &len) == 0 &&
	       keeper_far_number(&far, MIN(len, sizeof(far)));
}

/* @fd is a near end that another process of the host made, or that this one
 * made before it became this program. */
static int adopt_foreign(int fd, uint64_t cookie)
{
	struct near n = {.fd = fd, .cookie = cookie, .listener = NO_LISTENER};
	struct sock_facts facts;
	struct file *f;
	sockid s;
	int r = -ENOENT;

	host_lock(OP_NEW, 0);
	s = sock_by_tag(host.st, cookie);
	if (s)
		r = sock_facts(host.st, s, &facts);
	/* pidfd_getfd() has told its maker nothing */
	sock_set_shared(host.st, s);
	host_unlock();
	f = r == 0 ? file_new(FILE_FREE) : NULL;
	if (!f)
		return r;
	n.is_nonblock = sys(fcntl, fd, F_GETFL) & O_NONBLOCK;
	r = near_file(f, &n, s, facts.family, facts.type, facts.proto);
	if (r < 0) {
		host_lock(OP_CLOSE, 0);
		file_free(f);
		host_unlock();
		return r;
	}
	atomic_fetch_or(&f->flags,
			FILE_SHARED | (facts.listening ? FILE_LISTENING : 0));
	stdio_take(fd);
	return 0;
}

int fd_adopt(int fd)
{
	unsigned most = fd_highest();
	uint64_t c;
	int r;

	if (!fdtab_num && (!fd_is_handed_down(fd) || host_up() < 0))
		return 0;
	if (!fdtab_num || fd_is_internal(fd))
		return 0;
	if (fd_sock(fd) && fd_sock(fd)->cookie == cookie_of(fd))
		return 0;
	fd_dropped(fd);
	c = cookie_of(fd);
	for (unsigned i = 0; c && i <= most; i++) {
		struct file *f = fd_sock((int)i);

		if (!f || f->cookie != c)
			continue;
		r = fd_share(fd, f);
		if (r == 0)
			stdio_take(fd);
		return r;
	}
	if (c && host.has_keeper && fd_is_handed_down(fd))
		adopt_foreign(fd, c);
	return 0;
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
	f = atomic_exchange(&fdtab_v[fd], NULL);
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

	atomic_store(&fdtab_v[fd], NULL);
	sys(dup3, k, fd, flags > 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0);
	epoll_file_handed_over(f, fd);
}

int file_hand_over(struct file *f)
{
	unsigned most = fd_highest();
	struct released rel;
	int k = (int)sys(socket, f->family, f->type | SOCK_CLOEXEC, f->proto);

	if (k < 0)
		return k;
	k = fd_make_internal(k);
	if (k < 0)
		return k;
	opt_replay(f, k);
	if (file_has(f, FILE_NONBLOCK))
		sys(fcntl, k, F_SETFL, O_RDWR | O_NONBLOCK);
	for (unsigned fd = 0; fd <= most; fd++)
		if (atomic_load(&fdtab_v[fd]) == f)
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
