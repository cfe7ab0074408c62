/* SPDX-License-Identifier: MIT
 *
 * mirror.c - TCPSHIM_EPOLL=mirror: near ends show what their sockets are ready
 * for, and poll, select and epoll are the kernel's
 *
 * The oracle for our own epoll (epset.c): the same tests are run with the
 * kernel's. What happens to a socket is done to its near end from the other
 * side, so that its readiness, and each event of it, is that of the socket:
 *
 *	fresh		the near end is unconnected: OUT and HUP, as in TCP
 *	listening	it listens; somebody to accept knocks there
 *	readable	its far end has sent a byte; all are read when it is
 *			readable no more
 *	not writable	its send buffer is full; the far end empties it
 *	the end		the far end shuts down
 *	error		the far end is closed with something unread
 *
 * A datagram socket has a datagram pair: an error there is a far end that turns
 * away with something unread, and comes back.
 *
 * What a near end can't show: a stream that begins again after its end (connect
 * after a failed one), an error that ends nothing (an ICMP note, the error
 * queue) on a stream, urgent data that is not also readable, an event after the
 * end. docs/testing.md lists the tests.
 *
 * Nothing is fast here. There is one process on the host and no keeper; whoever
 * changes something looks at the socket after the unlock, and before each wait
 * all that is pending is done.
 */
#include "mirror.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "call_priv.h"
#include "host_priv.h"
#include "sys.h"

#define SLAB_BYTES 65536
#define JUNK_LEN 2000
#define MAX_FILL 16
#define SHOWS_END (EPOLLRDHUP | EPOLLHUP)

struct near_addr {
	struct sockaddr_un sun;
	socklen_t len;
};

struct mirror {
	struct watch watch;
	struct list link; /* free, pending or gone */
	struct file *file;
	bool is_gone;
	/* of who has the mirror lock */
	enum { FRESH, LISTENS, PAIRED, ENDED } state;
	int far; /* -1: none */
	struct near_addr addr;
	uint32_t in_seq, out_seq;
	bool is_in, is_full, is_err, is_pri, is_shut;
};

bool mirror_is_on;

/* Stack lock. */
static struct list free_ones = {&free_ones, &free_ones};
static struct list pending = {&pending, &pending};
static struct list gone = {&gone, &gone};

static pthread_mutex_t lock;
static __thread unsigned depth __attribute__((tls_model("initial-exec")));
static int listener = -1; /* near ends of streams connect to it */
static struct near_addr listener_addr;

void mirror_lock(void)
{
	if (!mirror_is_on)
		return;
	signal_hold();
	if (!depth++)
		pthread_mutex_lock(&lock);
}

void mirror_unlock(void)
{
	if (!mirror_is_on)
		return;
	if (!--depth)
		pthread_mutex_unlock(&lock);
	signal_release();
}

/* --- news; the stack lock is held --- */
static void put_pending(struct mirror *m)
{
	if (list_empty(&m->link))
		list_push(&pending, &m->link);
	host.has_news = true;
}

static bool on_ready(struct watch *h, const struct ready *r)
{
	struct mirror *m = container_of(h, struct mirror, watch);

	if (r->bits & WATCH_GONE) { /* its near end is about to be closed */
		m->is_gone = true;
		m->file = NULL;
		list_remove(&m->link);
		list_push(&gone, &m->link);
	} else {
		put_pending(m);
	}
	return false;
}

/* A call was made on @s: it may be less ready now, which nobody tells. */
static void touched(sockid s)
{
	struct file *f = file_of_sock(s);

	if (f && f->mirror)
		put_pending(f->mirror);
}

/* --- what is done to near ends --- */
static void name_it(int fd, struct near_addr *a)
{
	struct sockaddr_un any = {.sun_family = AF_UNIX};

	a->len = sizeof(a->sun);
	sys(bind, fd, &any, sizeof(any.sun_family));
	sys(getsockname, fd, &a->sun, &a->len);
}

static void empty(int fd)
{
	char buf[4096];

	while (sys(recvfrom, fd, buf, sizeof(buf), MSG_DONTWAIT, NULL, NULL) >
	       0)
		;
}

static long send_byte(int fd, int flags)
{
	return sys(sendto, fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL | flags, NULL,
		   0);
}

static void fill(int fd)
{
	static const char junk[JUNK_LEN];

	for (int i = 0; i < MAX_FILL; i++)
		if (sys(sendto, fd, junk, JUNK_LEN, MSG_DONTWAIT | MSG_NOSIGNAL,
			NULL, 0) < 0)
			break;
}

static void least_buffer(int fd)
{
	int least = 1;

	sys(setsockopt, fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
}

static void clear_error(int fd)
{
	socklen_t len = sizeof(int);
	int err;

	sys(getsockopt, fd, SOL_SOCKET, SO_ERROR, &err, &len);
}

static bool has_error(int fd)
{
	struct pollfd p = {.fd = fd};
	struct timespec zero = {0};

	return sys_ppoll(&p, 1, &zero, NULL) > 0 && p.revents & POLLERR;
}

static void pair_stream(struct mirror *m, int fd)
{
	long flags = sys(fcntl, fd, F_GETFL);

	least_buffer(fd);
	sys(fcntl, fd, F_SETFL, flags & ~O_NONBLOCK);
	sys(connect, fd, &listener_addr.sun, listener_addr.len);
	sys(fcntl, fd, F_SETFL, flags);
	m->far = (int)sys(accept4, listener, NULL, NULL,
			  SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (m->far >= 0)
		m->far = fd_make_internal(m->far);
	m->state = PAIRED;
}

static void pair_dgram(struct mirror *m, int fd)
{
	struct near_addr far_addr;
	int far = (int)sys(socket, AF_UNIX,
			   SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	m->far = far < 0 ? -1 : fd_make_internal(far);
	m->state = PAIRED;
	name_it(fd, &m->addr);
	name_it(m->far, &far_addr);
	least_buffer(fd);
	sys(connect, fd, &far_addr.sun, far_addr.len);
	sys(connect, m->far, &m->addr.sun, m->addr.len);
}

static void show_listener(struct mirror *m, int fd, uint32_t bits, bool in)
{
	long k, flags;

	if (bits & EPOLLIN && (in || !m->is_in)) {
		k = sys(socket, AF_UNIX,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		sys(connect, k, &m->addr.sun, m->addr.len);
		sys(close, k);
	}
	flags = sys(fcntl, fd, F_GETFL);
	sys(fcntl, fd, F_SETFL, flags | O_NONBLOCK);
	while (!(bits & EPOLLIN) &&
	       (k = sys(accept4, fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		sys(close, k);
	sys(fcntl, fd, F_SETFL, flags);
	m->is_in = bits & EPOLLIN;
}

/* An event is a byte more; what is not readable is emptied. */
static void show_in(struct mirror *m, int fd, uint32_t bits, bool in)
{
	if (bits & EPOLLPRI && !m->is_pri)
		send_byte(m->far, MSG_OOB);
	else if (bits & EPOLLIN && (in || !m->is_in) &&
		 send_byte(m->far, 0) == -EAGAIN) {
		empty(fd);
		send_byte(m->far, 0);
	}
	if (!(bits & EPOLLPRI) && m->is_pri) {
		char c;

		sys(recvfrom, fd, &c, 1, MSG_OOB | MSG_DONTWAIT, NULL, NULL);
	}
	if (!(bits & (EPOLLIN | EPOLLPRI)) && (m->is_in || m->is_pri))
		empty(fd);
	m->is_in = bits & EPOLLIN;
	m->is_pri = bits & EPOLLPRI;
}

static void show_out(struct mirror *m, int fd, uint32_t bits, bool out)
{
	bool is_event = bits & EPOLLOUT && (m->is_full || out);

	if (!m->is_full && (is_event || !(bits & EPOLLOUT)))
		fill(fd);
	if (is_event)
		empty(m->far);
	m->is_full = !(bits & EPOLLOUT);
}

/* Both ways: the far end goes, with something unread if it is an error. */
static void show_end(struct mirror *m, int fd, uint32_t bits)
{
	empty(m->far);
	if (bits & EPOLLERR)
		send_byte(fd, 0);
	m->is_err = bits & EPOLLERR;
	fd_close_internal(m->far);
	m->far = -1;
	m->state = ENDED;
}

static void show_stream(struct mirror *m, int fd, const struct ready *r,
			const struct sock_facts *facts)
{
	bool in = r->in_seq != m->in_seq, out = r->out_seq != m->out_seq;

	if (m->state == FRESH && facts->listening) {
		name_it(fd, &m->addr);
		sys(listen, fd, 4096);
		m->state = LISTENS;
	} else if (m->state == FRESH && (facts->state != TCP_CLOSE ||
					 r->bits & (EPOLLERR | EPOLLRDHUP))) {
		pair_stream(m, fd);
	}
	if (m->state == LISTENS && !facts->listening) {
		sys(shutdown, fd, SHUT_RDWR);
		m->state = ENDED;
	}
	if (m->state == LISTENS)
		show_listener(m, fd, r->bits, in);
	if (m->state == ENDED && m->is_err && !(r->bits & EPOLLERR)) {
		clear_error(fd);
		m->is_err = false;
	}
	if (m->state != PAIRED)
		return;
	if (r->bits & (EPOLLERR | EPOLLHUP)) {
		show_end(m, fd, r->bits);
		return;
	}
	show_out(m, fd, r->bits, out);
	if (!m->is_shut)
		show_in(m, fd, r->bits, in);
	if (r->bits & EPOLLRDHUP && !m->is_shut) {
		sys(shutdown, m->far, SHUT_WR);
		m->is_shut = true;
	}
}

static void show_dgram(struct mirror *m, int fd, const struct ready *r)
{
	bool in = r->in_seq != m->in_seq, out = r->out_seq != m->out_seq;
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	if (m->state == FRESH)
		pair_dgram(m, fd);
	show_out(m, fd, r->bits, out && m->is_full);
	show_in(m, fd, r->bits & ~(uint32_t)EPOLLPRI, in);
	if (r->bits & EPOLLERR && !has_error(fd)) { /* a read takes it, too */
		send_byte(fd, 0);
		sys(connect, m->far, &nobody, sizeof(nobody));
		sys(connect, m->far, &m->addr.sun, m->addr.len);
	} else if (!(r->bits & EPOLLERR)) {
		clear_error(fd);
	}
	if (r->bits & SHOWS_END)
		sys(shutdown, fd, r->bits & EPOLLHUP ? SHUT_RDWR : SHUT_RD);
}

/* --- whose turn it is --- */
static struct mirror *next_pending(struct ready *r, struct sock_facts *facts)
{
	struct mirror *m = NULL;
	struct list *l;

	host_lock(OP_WAIT, 0);
	while ((l = list_pop(&pending))) {
		m = list_entry(l, struct mirror, link);
		if (!(watch_look(&m->watch, r) & WATCH_GONE) &&
		    sock_facts(host.st, m->file->s, facts) == 0)
			break;
	}
	if (!l)
		host.has_news = false;
	host_unlock();
	return l ? m : NULL;
}

static void show_pending(void)
{
	struct sock_facts facts;
	struct mirror *m;
	struct ready r;

	while ((m = next_pending(&r, &facts))) {
		struct file *f = m->file;
		int fd = f ? file_some_fd(f) : -1;

		if (fd < 0)
			continue;
		if (facts.type == SOCK_STREAM)
			show_stream(m, fd, &r, &facts);
		else
			show_dgram(m, fd, &r);
		m->in_seq = r.in_seq;
		m->out_seq = r.out_seq;
	}
}

/* Near ends that are closed by now: their far ends can go unseen. */
static void put_gone(void)
{
	struct mirror *m;
	struct list *l;

	do {
		host_lock(OP_WAIT, 0);
		l = list_pop(&gone);
		host_unlock();
		if (!l)
			return;
		m = list_entry(l, struct mirror, link);
		if (m->far >= 0)
			fd_close_internal(m->far);
		m->far = -1;
		host_lock(OP_WAIT, 0);
		list_push(&free_ones, &m->link);
		host_unlock();
	} while (true);
}

void mirror_flush(void)
{
	if (!mirror_is_on || depth)
		return; /* who is at it looks again */
	mirror_lock();
	show_pending();
	mirror_unlock();
}

void mirror_sync(void)
{
	host_drive_once();
	mirror_lock();
	put_gone();
	show_pending();
	mirror_unlock();
}

/* --- sockets come --- */
int mirror_init(void)
{
	listener = (int)sys(socket, AF_UNIX,
			    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener >= 0)
		listener = fd_make_internal(listener);
	if (listener < 0)
		return listener;
	name_it(listener, &listener_addr);
	sys(listen, listener, 4096);
	pthread_mutex_init(&lock, NULL);
	host.touched = touched;
	mirror_is_on = true;
	return 0;
}

int mirror_near(int type, int flags)
{
	return (int)sys(socket, AF_UNIX,
			(type == SOCK_STREAM ? SOCK_STREAM : SOCK_DGRAM) |
				(flags & (SOCK_CLOEXEC | SOCK_NONBLOCK)),
			0);
}

static struct mirror *get_free(void)
{
	struct mirror *v;
	struct list *l;
	long p;

	host_lock(OP_NEW, 0);
	l = list_pop(&free_ones);
	host_unlock();
	if (l)
		return list_entry(l, struct mirror, link);
	p = sys(mmap, NULL, SLAB_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p >= -4095)
		return NULL;
	v = (struct mirror *)p;
	host_lock(OP_NEW, 0);
	for (size_t i = 1; i < SLAB_BYTES / sizeof(*v); i++)
		list_push(&free_ones, &v[i].link);
	host_unlock();
	return v;
}

void mirror_attach(struct file *f, int fd)
{
	struct mirror *m = get_free();

	if (!m)
		return;
	mirror_lock();
	host_lock(OP_NEW, f->s);
	*m = (struct mirror){.file = f, .far = -1};
	list_init(&m->link);
	f->mirror = m;
	/* no other socket's near end */
	atomic_fetch_or(&f->flags, FILE_OWNED);
	watch_add(&m->watch, f, WATCH_ALL, NULL, on_ready);
	put_pending(m);
	host_unlock();
	show_pending();
	mirror_unlock();
}
