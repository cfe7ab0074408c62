/* SPDX-License-Identifier: MIT
 *
 * near.c - the near and far end behind each number
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
 */
#include <pthread.h>
#include <sys/un.h>

#include "call_priv.h"
#include "fdtab_priv.h"
#include "forks.h"
#include "host_priv.h"
#include "join.h"
#include "mirror.h"
#include "sys.h"

#define POOL_MAX 128
#define LISTENERS_MAX 4096
#define BACKLOG 4096

enum { NEAR_STREAM, NEAR_PACKET, NUM_NEAR };

#define LISTENER_GONE (-1)
#define LISTENER_KEPT (-2)

struct listener {
	int fd;	      /* LISTENER_GONE, or the keeper has it */
	uint32_t num; /* its number at the keeper's */
	socklen_t addr_len;
	struct sockaddr_un addr;
	uint32_t num_live;   /* near ends connected to it */
	uint32_t num_keeper; /* who has it, of those that the host had */
	bool is_current;
};

/* Listeners: fork_page->listen_lock. The pool: the stack lock. */
static struct {
	unsigned num_pool[NUM_NEAR];
	uint32_t num_listeners;
	_Atomic uint32_t current[NUM_NEAR]; /* + 1 */
	struct near pool[NUM_NEAR][POOL_MAX];
	struct listener listeners[LISTENERS_MAX];
} tab;

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
	l->num_keeper = host.num_keepers;
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

	pthread_mutex_lock(&fork_page->listen_lock);
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
	pthread_mutex_unlock(&fork_page->listen_lock);
	return r;
}

/* A near end on listener @idx is no more. */
void near_listener_put(uint32_t idx)
{
	struct keeper_req req = {.type = KEEPER_LISTENER_DONE};
	struct listener *l;
	int gone = LISTENER_GONE;

	if (idx == NO_LISTENER)
		return;
	l = &tab.listeners[idx];
	pthread_mutex_lock(&fork_page->listen_lock);
	if (--l->num_live == 0 && !l->is_current) {
		gone = l->fd;
		req.arg = l->num;
		l->fd = LISTENER_GONE;
	}
	pthread_mutex_unlock(&fork_page->listen_lock);
	if (gone >= 0)
		fd_close_internal(gone);
	else if (gone == LISTENER_KEPT)
		join_tell(&req, -1);
}

uint64_t near_cookie(int fd)
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
		/* full; or who had it is gone */
		if (r != -EAGAIN && r != -ECONNREFUSED)
			break;
		full = (uint32_t)cur;
	}
	if (r < 0)
		return (int)r;
	pthread_mutex_lock(&fork_page->listen_lock);
	tab.listeners[n->listener].num_live++;
	pthread_mutex_unlock(&fork_page->listen_lock);
	return 0;
}

/* One that shows readiness: whom it is connected to is mirror.c's. */
static int near_mirror(int kind, int flags, struct near *n)
{
	n->fd = mirror_near(kind == NEAR_STREAM ? SOCK_STREAM : SOCK_DGRAM,
			    flags);
	n->is_nonblock = flags & SOCK_NONBLOCK;
	n->listener = NO_LISTENER;
	n->cookie = n->fd < 0 ? 0 : near_cookie(n->fd);
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
	n->cookie = near_cookie(n->fd);
	sys(write, n->fd, &n->cookie, sizeof(n->cookie));
	set_nonblock(n, flags & SOCK_NONBLOCK);
	return 0;
}

/* The far ends of those that a keeper before had are gone. */
static bool is_cut_off(const struct near *n)
{
	return n->listener != NO_LISTENER && host.has_keeper &&
	       tab.listeners[n->listener].num_keeper != host.num_keepers;
}

static bool take_pooled(int kind, struct near *out)
{
	bool found;

	if (host_has_new_keeper())
		host_regain();
	do {
		host_lock(OP_NEW, 0);
		found = tab.num_pool[kind] > 0;
		if (found)
			*out = tab.pool[kind][--tab.num_pool[kind]];
		host_unlock();
		if (!found || !is_cut_off(out))
			return found;
		fd_close_internal(out->fd);
		near_listener_put(out->listener);
	} while (true);
}

int near_get(int type, int flags, struct near *out)
{
	int kind = near_kind(type), high;
	bool found;

	found = take_pooled(kind, out);
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
		n->fd = fdnum_make_if_easy(n->fd);
	else
		sys(close, n->fd);
	if (room && n->fd >= 0 && near_cookie(n->fd) == n->cookie) {
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
	near_listener_put(n->listener);
}

uint32_t near_listener_num(uint32_t idx)
{
	return tab.listeners[idx].num;
}

void near_forked(void)
{
	/* mostly nothing is there: no need to write */
	for (unsigned i = 0; i < NUM_NEAR; i++) {
		if (tab.num_pool[i])
			tab.num_pool[i] = 0;
		if (tab.current[i])
			tab.current[i] = 0;
	}
	if (tab.num_listeners)
		tab.num_listeners = 0;
}
