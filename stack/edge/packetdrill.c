/* SPDX-License-Identifier: MIT
 *
 * packetdrill.c - the core under packetdrill's --so_filename
 *
 * packetdrill (Google's script-driven TCP tester) can load a stack from a
 * shared object: it gives calls and packets, takes packets, and leaves time to
 * the object. Here time is virtual: nothing happens unless somebody asks for
 * the time, sleeps or waits for a packet, and then timers fire at exactly
 * their deadlines. A script of 1,000 s runs in a moment and always the same.
 *
 * Threads: packetdrill runs a call that may block on a second thread and looks
 * for 'S' in /proc, so such a call really sleeps (on cond). Whoever moves time
 * wakes it after every step in which something happened, and waits until it
 * has gone back to sleep, or has returned and asked for the time: the clock
 * stands still in between, or the call would seem to end late.
 *
 * Its code blocks ask TCP_INFO of the fd through libc, so the object is also
 * given to LD_PRELOAD: getsockopt() of our numbers is answered here. Numbers
 * are real (copies of one AF_UNIX socket), so none collides.
 *
 * --so_flags: "local=ADDR[,mtu=N]".
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/csum.h"
#include "link/offload.h"
#include "packetdrill_epoll.h"
#include "stack.h"

/* Members in the order that packetdrill documents (so_testing). */
struct packetdrill_interface {
	void *userdata;
	void (*free)(void *u);
	int (*socket)(void *u, int domain, int type, int protocol);
	int (*bind)(void *u, int fd, const struct sockaddr *sa, socklen_t len);
	int (*listen)(void *u, int fd, int backlog);
	int (*accept)(void *u, int fd, struct sockaddr *sa, socklen_t *len);
	int (*connect)(void *u, int fd, const struct sockaddr *sa,
		       socklen_t len);
	ssize_t (*read)(void *u, int fd, void *buf, size_t n);
	ssize_t (*readv)(void *u, int fd, const struct iovec *v, int n);
	ssize_t (*recv)(void *u, int fd, void *buf, size_t n, int flags);
	ssize_t (*recvfrom)(void *u, int fd, void *buf, size_t n, int flags,
			    struct sockaddr *sa, socklen_t *len);
	ssize_t (*recvmsg)(void *u, int fd, struct msghdr *m, int flags);
	ssize_t (*write)(void *u, int fd, const void *buf, size_t n);
	ssize_t (*writev)(void *u, int fd, const struct iovec *v, int n);
	ssize_t (*send)(void *u, int fd, const void *buf, size_t n, int flags);
	ssize_t (*sendto)(void *u, int fd, const void *buf, size_t n, int flags,
			  const struct sockaddr *sa, socklen_t len);
	ssize_t (*sendmsg)(void *u, int fd, const struct msghdr *m, int flags);
	int (*fcntl)(void *u, int fd, int cmd, ...);
	int (*ioctl)(void *u, int fd, unsigned long request, ...);
	int (*close)(void *u, int fd);
	int (*shutdown)(void *u, int fd, int how);
	int (*getsockopt)(void *u, int fd, int level, int name, void *val,
			  socklen_t *len);
	int (*setsockopt)(void *u, int fd, int level, int name, const void *val,
			  socklen_t len);
	int (*poll)(void *u, struct pollfd *fds, nfds_t n, int timeout);
	int (*netdev_send)(void *u, const void *buf, size_t count);
	int (*netdev_receive)(void *u, void *buf, size_t *count,
			      long long *time_usecs);
	int (*usleep)(void *u, useconds_t usec);
	int (*gettimeofday)(void *u, struct timeval *tv, struct timezone *tz);
	int (*epoll_create)(void *u, int size);
	int (*epoll_ctl)(void *u, int epfd, int op, int fd,
			 struct epoll_event *ev);
	int (*epoll_wait)(void *u, int epfd, struct epoll_event *ev, int max,
			  int timeout);
	int (*pipe)(void *u, int fds[2]);
	int (*splice)(void *u, int in, loff_t *off_in, int out, loff_t *off_out,
		      size_t len, unsigned flags);
};

void packetdrill_interface_init(const char *flags,
				struct packetdrill_interface *ifc);

#define MAX_FD 1024
#define EPOCH_SECS 1700000000 /* what gettimeofday() starts from */
#define MAX_WAIT (3600 * SEC) /* a packet that never comes */

struct out { /* a packet that has left */
	struct list node;
	nsec at;
	uint32_t len;
	uint8_t data[];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct stack *st;
	struct arena *arena;
	struct ip_addr local;
	uint32_t mtu;
	int unix_fd;
	nsec now;
	struct list outq;
	struct {
		sockid s;
		bool nonblock;
		uint32_t in_seq, out_seq;
	} fds[MAX_FD];
	unsigned num_blocked, num_to_look, epoch;
	bool is_held; /* the clock stands until this thread asks */
	pthread_t held_for;
	bool is_up;
	char born_cc[32]; /* tcp_congestion_control as the namespace came */
} pd = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static int ret(int r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

/* --- the crank --- */

static void queue_out(const uint8_t *hdr, uint32_t hdr_len,
		      const struct iovec *v, unsigned n)
{
	uint32_t len = hdr_len;
	struct out *o;

	for (unsigned i = 0; i < n; i++)
		len += (uint32_t)v[i].iov_len;
	o = malloc(sizeof(*o) + len);
	if (!o)
		abort();
	o->at = pd.now;
	o->len = hdr_len;
	memcpy(o->data, hdr, hdr_len);
	for (unsigned i = 0; i < n; i++) {
		memcpy(o->data + o->len, v[i].iov_base, v[i].iov_len);
		o->len += (uint32_t)v[i].iov_len;
	}
	list_push(&pd.outq, &o->node);
}

/* A TUN without offloads: each segment is a packet, as scripts expect it. */
static void cut(const struct txv *t)
{
	struct offload_view w = {
		.hdr = t->f.data,
		.l4_off = t->f.l4_off,
		.hdr_len = t->f.hdr_len,
		.gso_size = t->f.gso_size,
		.gso_segs = t->f.gso_segs,
		.gso = t->f.gso,
		.csum = t->f.csum,
		.flags = t->f.flags,
		.v = t->v + 1,
		.num_v = t->num_v - 1u,
		.payload_len = t->f.len - t->f.hdr_len,
	};
	uint8_t hdr[PKT_ROOM];
	struct iovec v[ARRAY_SIZE(t->v) + 1];

	for (unsigned i = 0; i < w.gso_segs; i++) {
		unsigned n = offload_segment(&w, i, hdr, v, ARRAY_SIZE(v));

		queue_out(hdr, w.hdr_len, v, n);
	}
}

static void collect(void)
{
	struct txv t;
	int res = 0;

	while (stack_tx(pd.st, &t, 1, pd.now) == 1) {
		if (t.f.gso)
			cut(&t);
		else
			queue_out(t.v[0].iov_base, (uint32_t)t.v[0].iov_len,
				  t.v + 1, t.num_v - 1u);
		stack_tx_done(pd.st, &t, &res, 1, pd.now);
	}
}

/* Lets every sleeping call look whether it can go on. Caller holds the lock. */
static void let_sleepers_look(void)
{
	if (!pd.num_blocked)
		return;
	pd.num_to_look = pd.num_blocked;
	pd.epoch++;
	pthread_cond_broadcast(&pd.cond);
	while (pd.num_to_look || pd.is_held)
		pthread_cond_wait(&pd.cond, &pd.lock);
}

static void turn(void)
{
	struct ready r[16];
	unsigned n;

	while (stack_tick(pd.st, 64, pd.now) == 64)
		;
	collect();
	do {
		n = stack_ready(pd.st, r, ARRAY_SIZE(r));
		for (unsigned i = 0; i < n; i++) {
			pd.fds[r[i].slot].in_seq = r[i].in_seq;
			pd.fds[r[i].slot].out_seq = r[i].out_seq;
		}
	} while (n == ARRAY_SIZE(r));
}

/* Moves the clock to @to, firing what is due on the way at its own time; stops
 * early when a packet has come out and @stop is set. */
static void advance(nsec to, bool stop)
{
	while (pd.is_up) {
		nsec next = stack_next_at(pd.st);

		if (next > to)
			break;
		pd.now = MAX(pd.now, next);
		turn();
		let_sleepers_look();
		if (stop && !list_empty(&pd.outq))
			return;
	}
	pd.now = MAX(pd.now, to);
}

static void enter(void)
{
	pthread_mutex_lock(&pd.lock);
	pd.now += USEC;
}

static int leave(int r)
{
	if (pd.is_up) {
		turn();
		let_sleepers_look();
	}
	pthread_mutex_unlock(&pd.lock);
	return ret(r);
}

/* This thread was woken, but is not through with its call. */
static void let_clock_go(void)
{
	if (!pd.is_held || !pthread_equal(pd.held_for, pthread_self()))
		return;
	pd.is_held = false;
	pthread_cond_broadcast(&pd.cond);
}

/* Sleeps until something happened; the caller then tries again. */
static void sleep_a_turn(void)
{
	unsigned seen = pd.epoch;

	turn();
	let_clock_go();
	pd.num_blocked++;
	while (pd.epoch == seen)
		pthread_cond_wait(&pd.cond, &pd.lock);
	pd.num_blocked--;
}

static void looked(bool is_done)
{
	if (is_done) {
		pd.is_held = true;
		pd.held_for = pthread_self();
	}
	pd.num_to_look--;
	pthread_cond_broadcast(&pd.cond);
}

/* Runs @op until it is not -EAGAIN, or once if @nonblock. */
#define WAIT_FOR(r, nonblock, op)                         \
	do {                                              \
		bool slept = false;                       \
		for (;;) {                                \
			(r) = (op);                       \
			if (slept)                        \
				looked((r) != -EAGAIN);   \
			if ((r) != -EAGAIN || (nonblock)) \
				break;                    \
			slept = true;                     \
			sleep_a_turn();                   \
		}                                         \
	} while (0)

/* --- coming up --- */

#define CC_SYSCTL "net.ipv4.tcp_congestion_control"

static bool proc_value(const char *dotted, char *val, size_t size)
{
	const char *dir = getenv("TCPSHIM_SYSCTL_DIR");
	char path[128] = "/proc/sys/";
	FILE *f = NULL;
	bool ok;

	/* what this kernel doesn't take stands there, under its dotted name */
	if (dir) {
		char file[256];

		log_snprintf(file, sizeof(file), "%s/%s", dir, dotted);
		f = fopen(file, "re");
	}
	for (size_t i = 0, n = strlen(path); dotted[i]; i++) {
		path[n + i] = dotted[i] == '.' ? '/' : dotted[i];
		path[n + i + 1] = 0;
	}
	if (!f)
		f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(val, (int)size, f);
	fclose(f);
	if (ok)
		val[strcspn(val, "\n")] = 0;
	return ok;
}

/* The machine's own choice of congestion control is no wish of the script's;
 * where it may not choose CUBIC, what it got is ours. */
static void read_sysctl(const char *dotted)
{
	char val[128];

	if (!proc_value(dotted, val, sizeof(val)))
		return;
	if (strcmp(dotted, CC_SYSCTL) == 0 && strcmp(val, pd.born_cc) == 0)
		return;
	stack_sysctl_set(pd.st, dotted, val);
}

/* The script's own settings are in its namespace; it changes them between its
 * connections. */
static void read_sysctls(void)
{
	static const char *const names[] = {
#define SYSCTL(id, name, def, lo, hi, text) name,
#include "sysctl.def"
#undef SYSCTL
		"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
		"net.ipv4.ip_local_port_range", "net.ipv4.tcp_fastopen_key"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		read_sysctl(names[i]);
}

static int come_up(void)
{
	static const uint8_t seed[32] = {1};
	struct stack_cfg cfg = {.link = {.mtu = pd.mtu,
					 .can_tso4 = true,
					 .can_tso6 = true,
					 .can_csum = true},
				.log = getenv("TCPSHIM_LOG") ? LOG_DEBUG
							     : LOG_OFF};
	const char *any[2] = {"0.0.0.0", "::"};

	cfg.addrs[0].addr = pd.local;
	cfg.addrs[0].plen = ip_addr_is4(&pd.local) ? 16 : 48;
	cfg.num_addrs = 1;
	if (ip_addr_is4(&pd.local)) {
		/* for the scripts that mix families */
		ip_addr_parse("fd3d:fa7b:d17d::1", &cfg.addrs[1].addr);
		cfg.addrs[1].plen = 48;
		cfg.num_addrs = 2;
	}
	for (int i = 0; i < 2; i++) {
		ip_addr_parse(any[i], &cfg.routes[i].dst);
		cfg.routes[i].gw = cfg.routes[i].dst;
	}
	cfg.num_routes = 2;
	pd.arena = arena_new_malloc((size_t)256 << 20);
	pd.st = pd.arena ? stack_new(pd.arena, &cfg, seed, pd.now) : NULL;
	if (!pd.st)
		return -ENOMEM;
	pd.unix_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pd.is_up = true;
	return 0;
}

static int fd_give(sockid s)
{
	int fd = dup(pd.unix_fd);

	if (fd < 0 || fd >= MAX_FD)
		return -EMFILE;
	pd.fds[fd].s = s;
	pd.fds[fd].nonblock = false;
	return fd;
}

static sockid fd_sock(int fd)
{
	return fd >= 0 && fd < MAX_FD ? pd.fds[fd].s : 0;
}

/* --- calls --- */

static int on_socket(void *u, int domain, int type, int protocol)
{
	sockid s = 0;
	int r = 0;

	enter();
	if (!pd.is_up)
		r = come_up();
	if (!r) {
		read_sysctls();
		r = sock_new(pd.st, domain,
			     type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol,
			     &s, pd.now);
	}
	if (!r)
		r = fd_give(s);
	if (r >= 0)
		pd.fds[r].nonblock = type & SOCK_NONBLOCK;
	return leave(r);
}

static int on_bind(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
	enter();
	return leave(sock_bind(pd.st, fd_sock(fd), sa, len, pd.now));
}

static int on_listen(void *u, int fd, int backlog)
{
	enter();
	return leave(sock_listen(pd.st, fd_sock(fd), backlog, pd.now));
}

static int on_accept(void *u, int fd, struct sockaddr *sa, socklen_t *len)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	sockid child = 0;
	int r;

	enter();
	WAIT_FOR(r, pd.fds[fd].nonblock,
		 sock_accept(pd.st, fd_sock(fd), &child, pd.now));
	if (!r && sa) {
		sock_accepted(pd.st, child, &ss, &ss_len);
		memcpy(sa, &ss, MIN(*len, ss_len));
		*len = ss_len;
	}
	return leave(r ? r : fd_give(child));
}

static int connect_done(sockid s)
{
	struct sock_facts f;
	uint32_t bits = 0;
	int err = 0;
	socklen_t len = sizeof(err);

	sock_poll(pd.st, s, &bits);
	if (!(bits & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return -EAGAIN;
	sock_getopt(pd.st, s, SOL_SOCKET, SO_ERROR, &err, &len, pd.now);
	if (err)
		return -err;
	return sock_facts(pd.st, s, &f);
}

static int connected(sockid s)
{
	int r = connect_done(s);

	return r ? r : 1;
}

static int on_connect(void *u, int fd, const struct sockaddr *sa, socklen_t len)
{
	int r;

	enter();
	if (pd.is_up)
		read_sysctls();
	r = sock_connect(pd.st, fd_sock(fd), sa, len, pd.now);
	if (r == -EINPROGRESS && !pd.fds[fd].nonblock)
		WAIT_FOR(r, false, connect_done(fd_sock(fd)));
	return leave(r);
}

static size_t iov_copy(const struct iovec *v, int n, size_t skip, void *buf,
		       size_t len, bool from_v)
{
	size_t done = 0;

	for (int i = 0; i < n && done < len; i++) {
		size_t m;

		if (skip >= v[i].iov_len) {
			skip -= v[i].iov_len;
			continue;
		}
		m = MIN(v[i].iov_len - skip, len - done);
		if (from_v)
			memcpy((char *)buf + done, (char *)v[i].iov_base + skip,
			       m);
		else
			memcpy((char *)v[i].iov_base + skip, (char *)buf + done,
			       m);
		done += m;
		skip = 0;
	}
	return done;
}

static int recv_once(sockid s, const struct iovec *v, int n, size_t skip,
		     size_t want, int flags, struct sock_msg *m)
{
	struct span sp;
	size_t done = 0;
	int r = sock_recv_begin(pd.st, s, want, flags, m, &sp, pd.now);

	if (r <= 0)
		return r;
	if (flags & MSG_TRUNC && sp.num_v == 0)
		done = (size_t)r; /* discarded */
	for (unsigned i = 0; i < sp.num_v; i++)
		done += iov_copy(v, n, skip + done, sp.v[i].iov_base,
				 sp.v[i].iov_len, false);
	sock_recv_commit(pd.st, s, &sp, done, flags, pd.now);
	return (int)done;
}

static ssize_t do_recv(int fd, const struct iovec *v, int n, int flags,
		       struct sock_msg *m)
{
	sockid s = fd_sock(fd);
	size_t want = 0, done = 0;
	bool nonblock = pd.fds[fd].nonblock || flags & MSG_DONTWAIT;
	int r, left = 0;

	for (int i = 0; i < n; i++)
		want += v[i].iov_len;
	enter();
	do {
		WAIT_FOR(r, nonblock || (done && !(flags & MSG_WAITALL)),
			 recv_once(s, v, n, done, want - done, flags, m));
		if (r > 0)
			done += (size_t)r;
		/* an error behind the data is the next call's */
		if (r > 0 && !(flags & MSG_WAITALL) &&
		    (sock_ioctl(pd.st, s, FIONREAD, &left) || !left))
			break;
	} while (r > 0 && done < want && !(flags & (MSG_PEEK | MSG_OOB)));
	return leave(done ? (int)done : r);
}

static int send_once(sockid s, const struct iovec *v, int n, size_t skip,
		     size_t want, int flags, const struct sock_msg *m,
		     bool is_woken, bool *is_syn)
{
	struct span sp;
	size_t done = 0;
	uint32_t bits = 0;
	int r;

	/* a writer that sleeps is only woken when a third is free */
	sock_poll(pd.st, s, &bits);
	if (is_woken && !(bits & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return -EAGAIN;
	r = sock_send_begin(pd.st, s, want, flags, m, &sp, pd.now);

	if (r < 0)
		return r;
	*is_syn |= sp.is_syn;
	for (unsigned i = 0; i < sp.num_v; i++)
		done += iov_copy(v, n, skip + done, sp.v[i].iov_base,
				 sp.v[i].iov_len, true);
	r = sock_send_commit(pd.st, s, &sp, done, flags, pd.now);
	turn();
	return r < 0 ? r : (int)done;
}

static ssize_t do_send(int fd, const struct iovec *v, int n, int flags,
		       const struct sock_msg *m)
{
	sockid s = fd_sock(fd);
	size_t want = 0, done = 0;
	bool nonblock = pd.fds[fd].nonblock || flags & MSG_DONTWAIT;
	bool is_syn = false;
	int r;

	for (int i = 0; i < n; i++)
		want += v[i].iov_len;
	enter();
	if (pd.is_up)
		read_sysctls();
	if (!nonblock)
		flags |= SOCK_WAITS;
	do {
		WAIT_FOR(r, nonblock,
			 send_once(s, v, n, done, want - done,
				   done ? flags | SOCK_GOES_ON : flags, m,
				   slept, &is_syn));
		if ((r == -EINPROGRESS || r == -EALREADY) && !nonblock)
			WAIT_FOR(r, false, connected(s));
		else if (r > 0)
			done += (size_t)r;
		if (r > 0 && is_syn && !nonblock) {
			is_syn = false;
			WAIT_FOR(r, false, connected(s));
			if (r < 0)
				return leave(r);
		}
	} while (r > 0 && done < want);
	return leave(done ? (int)done : r);
}

static ssize_t on_read(void *u, int fd, void *buf, size_t n)
{
	struct iovec v = {buf, n};

	return do_recv(fd, &v, 1, 0, NULL);
}

static ssize_t on_readv(void *u, int fd, const struct iovec *v, int n)
{
	return do_recv(fd, v, n, 0, NULL);
}

static ssize_t on_recv(void *u, int fd, void *buf, size_t n, int flags)
{
	struct iovec v = {buf, n};

	return do_recv(fd, &v, 1, flags, NULL);
}

static ssize_t on_recvfrom(void *u, int fd, void *buf, size_t n, int flags,
			   struct sockaddr *sa, socklen_t *len)
{
	struct iovec v = {buf, n};
	struct sock_msg m = {0};
	ssize_t r = do_recv(fd, &v, 1, flags, &m);

	if (r >= 0 && sa && len) {
		memcpy(sa, &m.name, MIN(*len, m.name_len));
		*len = m.name_len;
	}
	return r;
}

static ssize_t on_recvmsg(void *u, int fd, struct msghdr *h, int flags)
{
	struct sock_msg m = {0};
	ssize_t r = do_recv(fd, h->msg_iov, (int)h->msg_iovlen, flags, &m);

	if (r >= 0) {
		h->msg_flags = m.flags;
		h->msg_controllen = 0;
	}
	return r;
}

static ssize_t on_write(void *u, int fd, const void *buf, size_t n)
{
	struct iovec v = {(void *)(uintptr_t)buf, n};

	return do_send(fd, &v, 1, 0, NULL);
}

static ssize_t on_writev(void *u, int fd, const struct iovec *v, int n)
{
	return do_send(fd, v, n, 0, NULL);
}

static ssize_t on_send(void *u, int fd, const void *buf, size_t n, int flags)
{
	struct iovec v = {(void *)(uintptr_t)buf, n};

	return do_send(fd, &v, 1, flags, NULL);
}

static ssize_t on_sendto(void *u, int fd, const void *buf, size_t n, int flags,
			 const struct sockaddr *sa, socklen_t len)
{
	struct iovec v = {(void *)(uintptr_t)buf, n};
	struct sock_msg m = {0};

	if (sa && len <= sizeof(m.name)) {
		memcpy(&m.name, sa, len);
		m.name_len = len;
	}
	return do_send(fd, &v, 1, flags, &m);
}

static ssize_t on_sendmsg(void *u, int fd, const struct msghdr *h, int flags)
{
	struct sock_msg m = {0};

	if (h->msg_name && h->msg_namelen <= sizeof(m.name)) {
		memcpy(&m.name, h->msg_name, h->msg_namelen);
		m.name_len = h->msg_namelen;
	}
	return do_send(fd, h->msg_iov, (int)h->msg_iovlen, flags, &m);
}

static int on_fcntl(void *u, int fd, int cmd, ...)
{
	va_list ap;
	long arg;
	int r = 0;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	enter();
	if (cmd == F_GETFL)
		r = O_RDWR | (pd.fds[fd].nonblock ? O_NONBLOCK : 0);
	else if (cmd == F_SETFL)
		pd.fds[fd].nonblock = arg & O_NONBLOCK;
	else
		r = -EINVAL;
	return leave(r);
}

static int on_ioctl(void *u, int fd, unsigned long request, ...)
{
	va_list ap;
	int *val;

	va_start(ap, request);
	val = va_arg(ap, int *);
	va_end(ap);
	enter();
	return leave(sock_ioctl(pd.st, fd_sock(fd), request, val));
}

static int on_close(void *u, int fd)
{
	int r = -EBADF;

	enter();
	if (fd_sock(fd)) {
		sock_close(pd.st, pd.fds[fd].s, pd.now);
		pd.fds[fd].s = 0;
		pd_epoll_close(fd);
		r = close(fd) ? -errno : 0;
	} else {
		pd_epoll_close(fd); /* a set, or nothing of ours */
		r = close(fd) ? -errno : 0;
	}
	return leave(r);
}

static int on_shutdown(void *u, int fd, int how)
{
	enter();
	return leave(sock_shutdown(pd.st, fd_sock(fd), how, pd.now));
}

static int on_getsockopt(void *u, int fd, int level, int name, void *val,
			 socklen_t *len)
{
	enter();
	return leave(
		sock_getopt(pd.st, fd_sock(fd), level, name, val, len, pd.now));
}

static int on_setsockopt(void *u, int fd, int level, int name, const void *val,
			 socklen_t len)
{
	enter();
	if (pd.is_up)
		read_sysctls();
	return leave(
		sock_setopt(pd.st, fd_sock(fd), level, name, val, len, pd.now));
}

/* The code blocks' way in: libc's name, our numbers. */
__attribute__((visibility("default"))) int getsockopt(int fd, int level,
						      int name,
						      void *restrict val,
						      socklen_t *restrict len)
{
	int (*real)(int, int, int, void *, socklen_t *);

	if (fd_sock(fd))
		return on_getsockopt(NULL, fd, level, name, val, len);
	*(void **)&real = dlsym(RTLD_NEXT, "getsockopt");
	return real(fd, level, name, val, len);
}

static int poll_once(struct pollfd *fds, nfds_t n)
{
	int num = 0;

	for (nfds_t i = 0; i < n; i++) {
		uint32_t bits = 0;

		sock_poll(pd.st, fd_sock(fds[i].fd), &bits);
		fds[i].revents =
			(short)(bits & ((uint32_t)(uint16_t)fds[i].events |
					EPOLLERR | EPOLLHUP));
		num += fds[i].revents != 0;
	}
	return num ? num : -EAGAIN;
}

static int on_poll(void *u, struct pollfd *fds, nfds_t n, int timeout)
{
	nsec until;
	int r;

	enter();
	until = timeout < 0 ? TIME_NEVER : pd.now + timeout * MSEC;
	WAIT_FOR(r, timeout == 0 || pd.now >= until, poll_once(fds, n));
	return leave(r == -EAGAIN ? 0 : r);
}

static int on_netdev_send(void *u, const void *buf, size_t count)
{
	struct frame *f;

	enter();
	if (!pd.is_up || stack_rx_alloc(pd.st, (uint32_t)count, &f, 1) != 1)
		return leave(-ENOBUFS);
	memcpy(f->data, buf, count);
	f->len = (uint32_t)count;
	f->at = pd.now;
	f->csum = CSUM_NONE;
	stack_rx(pd.st, &f, 1, true, pd.now);
	return leave(0);
}

static void finish_csums(struct out *o)
{
	bool is4 = o->data[0] >> 4 == 4;
	uint32_t hl = is4 ? (o->data[0] & 15u) * 4 : 40;
	uint8_t proto = o->data[is4 ? 9 : 6];
	struct ip_addr src =
		is4 ? ip_addr_v4(o->data + 12) : ip_addr_v6(o->data + 8);
	struct ip_addr dst =
		is4 ? ip_addr_v4(o->data + 16) : ip_addr_v6(o->data + 24);
	uint16_t sum, zero = 0;
	uint32_t at = hl + (proto == IPPROTO_TCP ? 16 : 6);

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return;
	memcpy(o->data + at, &zero, 2);
	sum = csum_fold(csum_add(csum_pseudo(&src, &dst, proto, o->len - hl),
				 o->data + hl, o->len - hl));
	memcpy(o->data + at, &sum, 2);
}

static int on_netdev_receive(void *u, void *buf, size_t *count,
			     long long *time_usecs)
{
	struct out *o;

	pthread_mutex_lock(&pd.lock);
	if (list_empty(&pd.outq))
		advance(pd.now + MAX_WAIT, true);
	o = list_first(&pd.outq, struct out, node);
	if (!o) {
		*count = 0;
		pthread_mutex_unlock(&pd.lock);
		return 0;
	}
	list_remove(&o->node);
	finish_csums(o);
	*count = MIN(*count, o->len);
	memcpy(buf, o->data, *count);
	*time_usecs = EPOCH_SECS * 1000000ll + o->at / USEC;
	free(o);
	pthread_mutex_unlock(&pd.lock);
	return 0;
}

static int on_usleep(void *u, useconds_t usec)
{
	pthread_mutex_lock(&pd.lock);
	advance(pd.now + usec * USEC, false);
	pthread_mutex_unlock(&pd.lock);
	return 0;
}

static int on_gettimeofday(void *u, struct timeval *tv, struct timezone *tz)
{
	pthread_mutex_lock(&pd.lock);
	if (pd.is_held)
		let_clock_go();
	else
		advance(pd.now + USEC, false);
	tv->tv_sec = EPOCH_SECS + pd.now / SEC;
	tv->tv_usec = pd.now % SEC / USEC;
	pthread_mutex_unlock(&pd.lock);
	return 0;
}

static int on_epoll_create(void *u, int size)
{
	return ret(pd_epoll_new());
}

static int on_epoll_ctl(void *u, int epfd, int op, int fd,
			struct epoll_event *ev)
{
	struct ready r;

	enter();
	if (op == EPOLL_CTL_ADD && fd_sock(fd))
		sock_watch(pd.st, fd_sock(fd), (uint16_t)fd, &r);
	return leave(pd_epoll_ctl(epfd, op, fd, ev));
}

static struct pd_state fd_state(int fd)
{
	struct pd_state now = {.in_seq = pd.fds[fd].in_seq,
			       .out_seq = pd.fds[fd].out_seq};

	sock_poll(pd.st, fd_sock(fd), &now.bits);
	return now;
}

static int on_epoll_wait(void *u, int epfd, struct epoll_event *ev, int max,
			 int timeout)
{
	nsec until;
	int r;

	enter();
	until = timeout < 0 ? TIME_NEVER : pd.now + timeout * MSEC;
	WAIT_FOR(r, timeout == 0 || pd.now >= until,
		 pd_epoll_look(epfd, ev, max, fd_state));
	return leave(r == -EAGAIN ? 0 : r);
}

static int on_pipe(void *u, int fds[2])
{
	return pipe(fds);
}

/* Between a pipe and a socket, a buffer's worth at a time. */
static int on_splice(void *u, int in, loff_t *off_in, int out, loff_t *off_out,
		     size_t len, unsigned flags)
{
	uint8_t buf[65536];
	struct iovec v = {buf, MIN(len, sizeof(buf))};
	int nonblock = flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0;
	ssize_t n;

	if (fd_sock(in)) {
		n = do_recv(in, &v, 1, nonblock, NULL);
		return n > 0 ? (int)write(out, buf, (size_t)n) : (int)n;
	}
	n = read(in, buf, v.iov_len);
	if (n <= 0)
		return (int)n;
	v.iov_len = (size_t)n;
	return (int)do_send(out, &v, 1, nonblock, NULL);
}

static void on_free(void *u)
{
	pthread_mutex_lock(&pd.lock);
	if (pd.is_up) {
		stack_free(pd.st);
		arena_destroy_malloc(pd.arena);
		pd.is_up = false;
	}
	pthread_mutex_unlock(&pd.lock);
}

static void parse_flags(const char *flags)
{
	char text[256], *save = NULL;

	ip_addr_parse("192.168.0.1", &pd.local);
	pd.mtu = 1500;
	snprintf(text, sizeof(text), "%s", flags ? flags : "");
	for (char *w = strtok_r(text, ",", &save); w;
	     w = strtok_r(NULL, ",", &save)) {
		if (strncmp(w, "local=", 6) == 0)
			ip_addr_parse(w + 6, &pd.local);
		else if (strncmp(w, "mtu=", 4) == 0)
			pd.mtu = (uint32_t)atoi(w + 4);
		else
			fprintf(stderr, "tcpshim-packetdrill: flag? %s\n", w);
	}
}

__attribute__((visibility("default"))) void packetdrill_interface_init(
	const char *flags, struct packetdrill_interface *ifc)
{
	parse_flags(flags);
	proc_value(CC_SYSCTL, pd.born_cc, sizeof(pd.born_cc));
	list_init(&pd.outq);
	pd.now = SEC;
	*ifc = (struct packetdrill_interface){
		.free = on_free,
		.socket = on_socket,
		.bind = on_bind,
		.listen = on_listen,
		.accept = on_accept,
		.connect = on_connect,
		.read = on_read,
		.readv = on_readv,
		.recv = on_recv,
		.recvfrom = on_recvfrom,
		.recvmsg = on_recvmsg,
		.write = on_write,
		.writev = on_writev,
		.send = on_send,
		.sendto = on_sendto,
		.sendmsg = on_sendmsg,
		.fcntl = on_fcntl,
		.ioctl = on_ioctl,
		.close = on_close,
		.shutdown = on_shutdown,
		.getsockopt = on_getsockopt,
		.setsockopt = on_setsockopt,
		.poll = on_poll,
		.netdev_send = on_netdev_send,
		.netdev_receive = on_netdev_receive,
		.usleep = on_usleep,
		.gettimeofday = on_gettimeofday,
		.epoll_create = on_epoll_create,
		.epoll_ctl = on_epoll_ctl,
		.epoll_wait = on_epoll_wait,
		.pipe = on_pipe,
		.splice = on_splice,
	};
}
