/* SPDX-License-Identifier: MIT
 *
 * sigio.c - SIGIO and SIGURG for who has asked with F_SETOWN and O_ASYNC
 *
 * Such a signal says who sent it and why (SI_KERNEL, POLL_IN, si_band, si_fd),
 * goes to a thread, a process or a group, and may be read from a signalfd. Only
 * the kernel can do all that. So it does: beside the socket there is a pair of
 * AF_UNIX sockets with the same owner and signal. What happens to the socket is
 * done to the pair, and the kernel sends what it sends for that:
 *
 *	something to read	a datagram comes, and is read at once
 *	room again		it was full, and is emptied
 *	an error		(a pair for once) the peer turns away with a
 *				datagram unread
 *	the end, both ways	(a stream pair for once) the peer shuts down
 *	urgent data		(likewise) a byte with MSG_OOB comes
 *
 * si_fd is the number under which O_ASYNC was asked for, and the kernel notes
 *it then. The pair has numbers of its own; so a thread with a table of fds of
 *its own puts the pair under the program's number, there, and asks.
 *
 * Who finds the event holds the stack lock; the signal is sent after the
 *unlock.
 */
#include "sigio.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "call_priv.h"
#include "host_priv.h"
#include "sys.h"

#define SLAB_BYTES 16384
#define FILL_LEN 2000 /* the smallest send buffer holds two such datagrams */
#define MAX_FILL 16

/* What a signal is sent for. */
#define WHY_IN 1u
#define WHY_OUT 2u
#define WHY_ERR 4u
#define WHY_HUP 8u
#define WHY_PRI 16u

struct how {
	struct f_owner_ex owner;
	int sig;
	bool is_async;
};

struct sigio {
	struct watch watch;
	struct list link;      /* free, or pending */
	struct list live_link; /* on live */
	int fd;		       /* the program's, as it asked */
	uint32_t bits, in_seq, out_seq;
	uint32_t todo; /* WHY_* */
	bool is_gone;
	/* of who has sending_lock */
	struct how how;
	int pair[2]; /* -1: none */
};

/* Stack lock. */
static struct list free_ones = {&free_ones, &free_ones};
static struct list pending = {&pending, &pending};
static struct list live = {&live, &live};

/* Pairs are made, used and closed by one thread at a time. */
static pthread_mutex_t sending_lock = PTHREAD_MUTEX_INITIALIZER;

/* --- what happens to the socket; the stack lock is held --- */
static uint32_t why(const struct sigio *g, const struct ready *r)
{
	uint32_t news = r->bits & ~g->bits, w = 0;
	bool in = r->in_seq != g->in_seq, out = r->out_seq != g->out_seq;

	if (news & EPOLLERR)
		return WHY_ERR;
	if (news & EPOLLPRI)
		w |= WHY_PRI;
	if (news & EPOLLHUP && news & EPOLLRDHUP)
		return w | WHY_HUP;
	/* both at once and nothing new: a change of state that is no event */
	if (in && r->bits & EPOLLIN && (!out || news & (EPOLLIN | EPOLLRDHUP)))
		w |= WHY_IN;
	/* a stream's counter steps when there is room again after there was
	 * none; that it was full we may not have been told */
	if (news & EPOLLOUT ||
	    (out && !in && g->watch.file->type == SOCK_STREAM))
		w |= WHY_OUT;
	return w;
}

static void put_pending(struct sigio *g)
{
	if (list_empty(&g->link))
		list_push(&pending, &g->link);
	host.has_signals = true;
}

static bool on_ready(struct watch *h, const struct ready *r)
{
	struct sigio *g = container_of(h, struct sigio, watch);

	if (r->bits & WATCH_GONE) {
		g->is_gone = true;
		put_pending(g);
		return false;
	}
	g->todo |= why(g, r);
	g->bits = r->bits;
	g->in_seq = r->in_seq;
	g->out_seq = r->out_seq;
	if (g->todo)
		put_pending(g);
	return false;
}

static void look(struct sigio *g)
{
	struct ready r;

	if (watch_look(&g->watch, &r) & WATCH_GONE)
		return;
	g->bits = r.bits;
	g->in_seq = r.in_seq;
	g->out_seq = r.out_seq;
}

void sigio_look(struct file *f)
{
	if (f->sigio)
		look(f->sigio);
}

/* --- pairs --- */
struct ask {
	int x, fd;
};

/* In a thread that may do with numbers what it likes. */
static void *ask_main(void *arg)
{
	const struct ask *a = arg;
	int fd = a->x;

	bool is_private = sys(unshare, CLONE_FILES) == 0;

	if (is_private && sys(dup3, a->x, a->fd, 0) >= 0)
		fd = a->fd;
	sys(fcntl, fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC);
	if (is_private) /* before somebody waits for their last close */
		sys(close_range, 0, ~0u, 0);
	return NULL;
}

static void ask_as(int x, int fd)
{
	struct ask a = {x, fd};
	sigset_t all, old;
	pthread_t t;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&t, NULL, ask_main, &a) == 0)
		pthread_join(t, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void pair_close(int v[2])
{
	if (v[0] >= 0) /* what comes of the close is no event */
		sys(fcntl, v[0], F_SETFL, O_RDWR | O_NONBLOCK);
	for (int i = 0; i < 2; i++) {
		if (v[i] >= 0)
			fd_close_internal(v[i]);
		v[i] = -1;
	}
}

/* A pair that is asked about as @g says. */
static int pair_make(const struct sigio *g, int type, int v[2])
{
	int r = (int)sys(socketpair, AF_UNIX,
			 type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, v);

	if (r < 0) {
		v[0] = v[1] = -1;
		return r;
	}
	v[0] = fd_make_internal(v[0]);
	v[1] = fd_make_internal(v[1]);
	if (v[0] < 0 || v[1] < 0) {
		pair_close(v);
		return -EMFILE;
	}
	sys(fcntl, v[0], F_SETOWN_EX, &g->how.owner);
	sys(fcntl, v[0], F_SETSIG, g->how.sig);
	if (g->how.is_async)
		ask_as(v[0], g->fd);
	return 0;
}

/* Full: when it is emptied, that is an event. */
static void fill(int x)
{
	static const char junk[FILL_LEN];

	for (int i = 0; i < MAX_FILL; i++)
		if (sys(sendto, x, junk, FILL_LEN, MSG_DONTWAIT, NULL, 0) < 0)
			break;
}

static void empty(int fd)
{
	char buf[16];

	while (sys(recvfrom, fd, buf, sizeof(buf), MSG_DONTWAIT, NULL, NULL) >=
	       0)
		;
}

static void pair_open(struct sigio *g)
{
	int least = 1;

	if (!g->how.is_async || pair_make(g, SOCK_DGRAM, g->pair) < 0)
		return;
	sys(setsockopt, g->pair[0], SOL_SOCKET, SO_SNDBUF, &least,
	    sizeof(least));
	fill(g->pair[0]);
}

/* Rare events, with a pair for each. */
static void once(const struct sigio *g, uint32_t what)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int v[2];

	if (pair_make(g, what == WHY_ERR ? SOCK_DGRAM : SOCK_STREAM, v) < 0)
		return;
	if (what == WHY_PRI) {
		sys(sendto, v[1], "", 1, MSG_OOB | MSG_DONTWAIT, NULL, 0);
	} else if (what == WHY_HUP) {
		sys(shutdown, v[1], SHUT_RDWR);
	} else {
		sys(sendto, v[0], "", 1, MSG_DONTWAIT, NULL, 0);
		sys(connect, v[1], &nobody, sizeof(nobody));
	}
	pair_close(v);
}

static void do_to_pair(struct sigio *g, uint32_t todo)
{
	if (todo & WHY_PRI)
		once(g, WHY_PRI);
	if (g->pair[0] < 0)
		return;
	if (todo & WHY_ERR)
		once(g, WHY_ERR);
	if (todo & WHY_HUP)
		once(g, WHY_HUP);
	if (todo & WHY_IN && !(todo & WHY_PRI)) { /* urgent data is data */
		sys(sendto, g->pair[1], "", 1, MSG_DONTWAIT, NULL, 0);
		empty(g->pair[0]);
	}
	if (todo & WHY_OUT) {
		empty(g->pair[1]);
		fill(g->pair[0]);
	}
}

/* The next that something is to be done for; it stays ours until the next call,
 * since who wants to use it again needs the sending lock. */
static struct sigio *next_pending(uint32_t *todo, bool *is_gone)
{
	struct sigio *g;
	struct list *l;

	host_lock(OP_WAIT, 0);
	l = list_pop(&pending);
	g = l ? list_entry(l, struct sigio, link) : NULL;
	if (g) {
		*todo = g->todo;
		*is_gone = g->is_gone;
		g->todo = 0;
	} else {
		host.has_signals = false;
	}
	host_unlock();
	return g;
}

static void put_back(struct sigio *g)
{
	pair_close(g->pair);
	host_lock(OP_WAIT, 0);
	list_remove(&g->live_link);
	list_push(&free_ones, &g->link);
	host_unlock();
}

/* After an unlock, handlers wait. Whoever is at it already looks again. */
void sigio_send(void)
{
	static _Atomic bool is_busy;
	struct sigio *g;
	uint32_t todo;
	bool is_gone;

	do {
		if (atomic_exchange(&is_busy, true))
			return;
		pthread_mutex_lock(&sending_lock);
		while ((g = next_pending(&todo, &is_gone))) {
			do_to_pair(g, todo);
			if (is_gone)
				put_back(g);
		}
		pthread_mutex_unlock(&sending_lock);
		atomic_store(&is_busy, false);
	} while (host.has_signals);
}

/* --- changes --- */
static struct sigio *get_free(void)
{
	struct sigio *v;
	struct list *l;
	long p;

	host_lock(OP_OPTION, 0);
	l = list_pop(&free_ones);
	host_unlock();
	if (l)
		return list_entry(l, struct sigio, link);
	p = sys(mmap, NULL, SLAB_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p >= -4095)
		return NULL;
	v = (struct sigio *)p;
	host_lock(OP_OPTION, 0);
	for (size_t i = 1; i < SLAB_BYTES / sizeof(*v); i++)
		list_push(&free_ones, &v[i].link);
	host_unlock();
	return v;
}

static void attach(struct file *f)
{
	struct sigio *g = get_free();

	if (!g)
		return;
	wait_listen();
	host_lock(OP_OPTION, f->s);
	*g = (struct sigio){.pair = {-1, -1}};
	list_init(&g->link);
	list_init(&g->live_link);
	if (watch_add(&g->watch, f, WATCH_ALL, NULL, on_ready) & WATCH_GONE) {
		list_push(&free_ones, &g->link);
	} else {
		f->sigio = g;
		atomic_fetch_or(&f->flags, FILE_OWNED);
		list_push(&live, &g->live_link);
		look(g);
	}
	host_unlock();
}

static struct how how_of(int fd)
{
	long flags = sys(fcntl, fd, F_GETFL);
	struct how h = {0};

	if (sys(fcntl, fd, F_GETOWN_EX, &h.owner) < 0)
		h.owner.pid = 0;
	h.sig = (int)sys(fcntl, fd, F_GETSIG);
	h.is_async = flags > 0 && flags & O_ASYNC;
	return h;
}

void sigio_changed(int fd, struct file *f)
{
	struct how h = how_of(fd);
	struct sigio *g;

	if (!f->sigio && !h.owner.pid)
		return;
	signal_hold();
	pthread_mutex_lock(&sending_lock);
	if (!f->sigio)
		attach(f);
	g = f->sigio;
	if (g && memcmp(&g->how, &h, sizeof(h)) != 0) {
		if (h.is_async && !g->how.is_async)
			g->fd = fd;
		g->how = h;
		pair_close(g->pair);
		if (h.owner.pid)
			pair_open(g);
	}
	pthread_mutex_unlock(&sending_lock);
	signal_release();
}

void sigio_handed_over(struct file *f)
{
	struct sigio *g = f->sigio;
	long flags;

	if (!g)
		return;
	sys(fcntl, g->fd, F_SETOWN_EX, &g->how.owner);
	sys(fcntl, g->fd, F_SETSIG, g->how.sig);
	flags = sys(fcntl, g->fd, F_GETFL);
	if (g->how.is_async && flags >= 0)
		sys(fcntl, g->fd, F_SETFL, flags | O_ASYNC);
}

void sigio_forked(void)
{
	struct list *l;

	pthread_mutex_init(&sending_lock, NULL);
	while ((l = list_pop(&live))) {
		struct sigio *g = list_entry(l, struct sigio, live_link);

		if (g->watch.file)
			g->watch.file->sigio = NULL;
		list_remove(&g->watch.node);
		list_remove(&g->link);
		pair_close(g->pair);
		list_push(&free_ones, &g->link);
	}
	host.has_signals = false;
}
