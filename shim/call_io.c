/* SPDX-License-Identifier: MIT
 *
 * call_io.c - read, write, send, recv and their v, msg, mmsg and _chk forms
 *
 * Two shapes carry everything. recv: the core lends the queued bytes, they are
 * copied to the program without the lock, and given back. send: the core lends
 * send-buffer memory, it is filled without the lock, and committed. A fault, a
 * signal that jumps away or a kill in the middle of a copy hurts nobody else.
 */
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include "aliases.h"
#include "block.h"
#include "cmsg.h"
#include "real.h"
#include "rights.h"
#include "sys.h"
#include "user.h"

/* --- vectors of the program --- */

struct cursor { /* where we are in the program's memory */
	const struct iovec *v;
	size_t num, off;
};

static ssize_t vec_len(const struct iovec *v, size_t n)
{
	size_t sum = 0;

	if (n > IOV_MAX)
		return -EMSGSIZE;
	if (user_is_bad(v, n * sizeof(*v)))
		return -EFAULT;
	for (size_t i = 0; i < n; i++) {
		if (v[i].iov_len > SSIZE_MAX - sum)
			return -EINVAL;
		if (user_is_kernels(v[i].iov_base, v[i].iov_len))
			return -EFAULT;
		sum += v[i].iov_len;
	}
	return (ssize_t)MIN(sum, MAX_IO);
}

/* Ends early where the program has no memory. */
static size_t cursor_copy(struct cursor *c, char *p, size_t len, bool to_prog)
{
	size_t done = 0;

	ASSERT(!sys_forbidden); /* no byte of the program's under the lock */
	while (done < len && c->num) {
		size_t n = MIN(c->v->iov_len - c->off, len - done);
		char *q = (char *)c->v->iov_base + c->off;

		if (user_is_bad(q, n))
			break;
		if (n)
			memcpy(to_prog ? q : p + done, to_prog ? p + done : q,
			       n);
		done += n;
		c->off += n;
		if (c->off == c->v->iov_len) {
			c->v++;
			c->num--;
			c->off = 0;
		}
	}
	return done;
}

static void cursor_skip(struct cursor *c, size_t len)
{
	while (len && c->num) {
		size_t n = MIN(c->v->iov_len - c->off, len);

		len -= n;
		c->off += n;
		if (c->off == c->v->iov_len) {
			c->v++;
			c->num--;
			c->off = 0;
		}
	}
}

/* --- receiving --- */

struct recv {
	struct file *f;
	struct cursor to;
	size_t want;
	int flags;
	struct sock_msg *m;
	bool was_full; /* the last loan: more may be behind it */
};

static int recv_loan(struct recv *r, size_t want)
{
	struct span sp;
	size_t used = 0;
	int res;
	struct stack *st = host_lock(OP_RECV, r->f->s);

	res = sock_recv_begin(st, r->f->s, want, r->flags, r->m, &sp,
			      host_now());
	host_unlock();
	r->was_full = false;
	if (res < 0 || (sp.num_v == 0 && !sp.pin))
		return res;
	r->was_full = sp.num_v == SPAN_MAX_V;
	if (!sp.num_v || (r->flags & MSG_TRUNC && !(r->flags & MSG_ERRQUEUE) &&
			  r->f->type == SOCK_STREAM))
		used = (size_t)res; /* thrown away: MSG_TRUNC on a stream */
	else
		for (unsigned i = 0; i < sp.num_v; i++)
			used += cursor_copy(&r->to, sp.v[i].iov_base,
					    sp.v[i].iov_len, true);
	st = host_lock(OP_RECV, r->f->s);
	sock_recv_commit(st, r->f->s, &sp, used, r->flags, host_now());
	host_unlock();
	if (used >= (size_t)res)
		return res;
	/* a datagram is lost with its first byte that can't be copied */
	return used && r->f->type == SOCK_STREAM ? (int)used : -EFAULT;
}

/* Takes what is there, at most one loan. > 0, 0 at end of file, -errno. */
static int recv_once(struct recv *r, size_t want)
{
	int res;

	signal_hold();
	res = recv_loan(r, want);
	signal_release();
	return res;
}

/* An error or the end, but not a note of the error queue. */
static bool ends_call(uint32_t bits)
{
	if (bits & SOCK_POLL_NOTE)
		bits &= ~(uint32_t)EPOLLERR;
	return bits & (EPOLLERR | EPOLLHUP | EPOLLRDHUP);
}

/* Is there more to be read right now? Asked before going on with what was read
 * already: an error or the end is the next call's to tell. */
static bool has_more(struct file *f, bool *is_over)
{
	uint32_t bits = 0;
	int num = 0, at_mark = 0;
	struct stack *st = host_lock(OP_RECV, f->s);

	if (sock_ioctl(st, f->s, FIONREAD, &num) < 0 ||
	    sock_ioctl(st, f->s, SIOCATMARK, &at_mark) < 0 || at_mark)
		num = 0; /* no read goes across the urgent mark */
	*is_over = !num && (at_mark || sock_poll(st, f->s, &bits) < 0 ||
			    ends_call(bits));
	host_unlock();
	return num > 0;
}

/* As many as SO_RCVLOWAT wants: sock_rcvlowat() of Linux. */
static bool is_enough(const struct recv *r, ssize_t done)
{
	return (size_t)done >= MIN(r->want, (size_t)r->m->lowat);
}

static bool has_ended(struct file *f)
{
	uint32_t bits = 0;
	struct stack *st = host_lock(OP_RECV, f->s);
	bool is_over = sock_poll(st, f->s, &bits) < 0 || ends_call(bits);

	host_unlock();
	return is_over;
}

/* All that can be seen, in as many loans as it takes; what is there is asked
 * for anew after a wait, for SO_RCVLOWAT or (MSG_WAITALL) for more. */
static ssize_t peek_stream(struct recv *r, struct block *b)
{
	bool all = r->flags & MSG_WAITALL, has_waited = false;
	const struct cursor start = r->to;
	ssize_t done;
	int res;

	for (;;) {
		done = 0;
		r->to = start;
		if (all)
			b->in_seq = block_seq(r->f);
		do {
			r->m->skip = (uint32_t)done;
			res = recv_once(r, r->want - (size_t)done);
			if (res > 0)
				done += res;
		} while (res > 0 && r->was_full && (size_t)done < r->want);
		if (done && (!all || (size_t)done == r->want) &&
		    (has_waited || is_enough(r, done)))
			return done;
		if (done && all && has_ended(r->f))
			return done;
		if (!done && res != -EAGAIN)
			return res;
		b->wants_news = done && all;
		res = block_again(b, EPOLLIN);
		if (res != 1)
			return done ? done : res;
		has_waited = true;
	}
}

/* A stream goes on as long as there is something: the lent vectors are few. */
static ssize_t recv_stream(struct recv *r, struct block *b)
{
	bool all = r->flags & MSG_WAITALL, is_over;
	ssize_t done = 0;
	int res;

	for (;;) {
		res = recv_once(r, r->want - (size_t)done);
		if (res > 0) {
			done += res;
			if ((size_t)done >= r->want || r->flags & MSG_OOB)
				return done;
			if (!all && !r->was_full && is_enough(r, done))
				return done;
			if (has_more(r->f, &is_over))
				continue;
			if ((!all && is_enough(r, done)) || is_over)
				return done;
			res = -EAGAIN;
		}
		if (res != -EAGAIN || (!all && done && is_enough(r, done)))
			break;
		b->has_part = done > 0;
		res = block_again(b, r->flags & MSG_OOB ? EPOLLPRI : EPOLLIN);
		if (res != 1)
			break;
		if (done && !has_more(r->f, &is_over) && is_over)
			break;
	}
	return done ? done : res;
}

/* recv(2) for no bytes waits for one, and leaves it; read(2) gives 0. However
 * the wait ends, tcp_recvmsg() of Linux finds that it has all it wanted. */
static ssize_t recv_nothing(struct recv *r, struct block *b)
{
	int res;

	r->flags |= MSG_PEEK | MSG_TRUNC;
	do
		res = recv_once(r, 1);
	while (res == -EAGAIN && (res = block_again(b, EPOLLIN)) == 1);
	if (res == -EINTR || (res == -EAGAIN && !b->nonblock))
		return 0;
	return MIN(res, 0);
}

static ssize_t recv_with(struct recv *r, struct block *b)
{
	bool is_stream =
		r->f->type == SOCK_STREAM && !(r->flags & MSG_ERRQUEUE);
	int res;

	if (is_stream && !r->want && !(r->flags & MSG_OOB))
		return recv_nothing(r, b);
	if (is_stream && r->flags & MSG_PEEK && !(r->flags & MSG_OOB))
		return peek_stream(r, b);
	if (is_stream)
		return recv_stream(r, b);
	if (b->nonblock)
		r->flags |= MSG_DONTWAIT;
	/* of several that wait for a datagram one gets it */
	b->takes_one = !(r->flags & MSG_PEEK);
	do
		res = recv_once(r, r->want);
	while (res == -EAGAIN && (res = block_again(b, EPOLLIN)) == 1);
	return res;
}

ssize_t io_recv(struct file *f, const struct iovec *v, size_t n, int flags,
		struct sock_msg *m)
{
	ssize_t want = vec_len(v, n);
	struct sock_msg own = {.ctl = NULL};
	struct recv r = {f, {v, n, 0}, 0, flags, m ? m : &own, false};
	struct block b;
	ssize_t res;

	if (want < 0)
		return want;
	r.want = (size_t)want;
	/* the error queue is not waited for, and of no socket's type */
	block_begin(&b, f, false,
		    flags & MSG_ERRQUEUE ? flags | MSG_DONTWAIT : flags);
	res = recv_with(&r, &b);
	block_end(&b);
	if (res >= 0 && m && flags & MSG_TRUNC && f->type != SOCK_STREAM)
		res = m->real_len;
	return res;
}

/* --- sending --- */

static int send_loan(struct file *f, struct cursor *from, size_t want,
		     int flags, const struct sock_msg *m, bool *is_syn)
{
	const struct cursor begin = *from;
	struct span sp;
	size_t len = 0;
	unsigned num_tries = 0;
	struct stack *st;
	bool is_short;
	int res;

	do { /* a datagram finds no memory where there is more to be had */
		st = host_lock(OP_SEND, f->s);
		res = sock_send_begin(st, f->s, want, flags, m, &sp,
				      host_now());
		host_unlock();
	} while (res == -ENOBUFS && num_tries++ < 4 && host_wants_memory() &&
		 host_more_memory());
	if (res < 0 || (sp.num_v == 0 && !sp.pin))
		return res;
	*is_syn = sp.is_syn;
	for (unsigned i = 0; i < sp.num_v && len < want; i++)
		len += cursor_copy(from, sp.v[i].iov_base,
				   MIN(sp.v[i].iov_len, want - len), false);
	is_short = len < MIN((size_t)res, want);
	if (is_short && f->type != SOCK_STREAM)
		len = 0; /* gives back */
	st = host_lock(OP_SEND, f->s);
	res = sock_send_commit(st, f->s, &sp, len, flags, host_now());
	host_unlock();
	if (is_short && !len)
		return -EFAULT;
	if (res < 0)
		len = 0;
	else if (f->type == SOCK_STREAM)
		len = (size_t)res;
	/* what memory was too short for is copied again; the call may be, too
	 */
	*from = begin;
	cursor_skip(from, len);
	return res < 0 ? res : (int)len;
}

static int send_once(struct file *f, struct cursor *from, size_t want,
		     int flags, const struct sock_msg *m, bool *is_syn)
{
	int res;

	signal_hold();
	res = send_loan(f, from, want, flags, m, is_syn);
	signal_release();
	return res;
}

/* To this thread, as the kernel does it. */
static void raise_pipe(void)
{
	long pid = sys(getpid), tid = sys(gettid);

	sys(tgkill, pid, tid, SIGPIPE);
}

ssize_t io_send_result(struct file *f, ssize_t done, int res, int flags)
{
	if (done)
		return done;
	if (res == -EPIPE && f->type == SOCK_STREAM && !(flags & MSG_NOSIGNAL))
		raise_pipe();
	return res;
}

/* The SYN took data along (MSG_FASTOPEN): a call that waits does so until the
 * handshake is over, and is told if it fails. 1: it is. */
static int wait_for_open(struct file *f, struct block *b)
{
	struct cursor none = {NULL, 0, 0};
	bool is_syn;
	int res = block_again(b, EPOLLOUT);

	if (res > 0)
		res = send_once(f, &none, 0, 0, NULL, &is_syn);
	return res < 0 ? res : 1;
}

static ssize_t send_stream(struct file *f, struct cursor *from, size_t want,
			   int flags, const struct sock_msg *m)
{
	bool is_syn = false;
	struct block b;
	size_t done = 0;
	int res;

	block_begin(&b, f, true, flags);
	if (!b.nonblock)
		flags |= SOCK_WAITS;
	do {
		/* PSH and Nagle see that more of the same call follows */
		res = send_once(f, from, want - done,
				done ? flags | SOCK_GOES_ON : flags, m,
				&is_syn);
		if (res > 0)
			done += (size_t)res;
		if (res > 0 && is_syn && !b.nonblock) {
			res = wait_for_open(f, &b);
			if (res < 0)
				done = 0;
		} else if (res == -EAGAIN ||
			   ((res == -EINPROGRESS || res == -EALREADY) &&
			    !b.nonblock)) {
			b.has_part = done > 0;
			res = block_again(&b, EPOLLOUT);
			flags &= ~MSG_FASTOPEN;
		}
	} while (res > 0 && done < want);
	if (done && done < want) {
		sock_send_end(host_lock(OP_SEND, f->s), f->s, flags);
		host_unlock();
	}
	block_end(&b);
	return io_send_result(f, (ssize_t)done, res, flags);
}

static bool is_unnamed(struct file *f)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct stack *st = host_lock(OP_NAME, f->s);
	int r = sock_name(st, f->s, false, &ss, &len);
	uint16_t port;

	host_unlock();
	memcpy(&port, (char *)&ss + 2, sizeof(port));
	return !r && (!port || f->type == SOCK_RAW);
}

/* -EXDEV: the socket is the kernel's now, make the call again there. */
ssize_t io_send(struct file *f, const struct iovec *v, size_t n, int flags,
		const struct sock_msg *m)
{
	ssize_t want = vec_len(v, n);
	struct cursor from = {v, n, 0};
	bool is_syn;
	struct block b;
	int res;

	if (want < 0)
		return want;
	if (f->type == SOCK_STREAM && want > 0 && !(flags & MSG_FASTOPEN))
		return send_stream(f, &from, (size_t)want, flags, m);
	if ((f->type != SOCK_STREAM || flags & MSG_FASTOPEN) && m &&
	    m->name_len && addr_is_kernels(f, &m->name, m->name_len, true) &&
	    is_unnamed(f)) {
		res = file_hand_over(f);
		return res < 0 ? res : -EXDEV;
	}
	if (f->type == SOCK_STREAM && want > 0)
		return send_stream(f, &from, (size_t)want, flags, m);
	block_begin(&b, f, true, flags);
	do
		res = send_once(f, &from, (size_t)want, flags, m, &is_syn);
	while (res == -EAGAIN && (res = block_again(&b, EPOLLOUT)) == 1);
	block_end(&b);
	return io_send_result(f, 0, res, flags);
}

static int msg_to(struct sock_msg *m, const struct sockaddr *sa, socklen_t len)
{
	if (len > sizeof(m->name))
		return -EINVAL;
	m->name_len = len;
	return user_in(&m->name, sa, len);
}

/* --- the names: receiving --- */

EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	struct file *f = fd_sock(fd);
	struct iovec v = {buf, len};
	struct sock_msg m = {.ctl = NULL};
	ssize_t r;

	if (!f)
		return real.recv(fd, buf, len, flags);
	r = io_recv(f, &v, 1, flags, &m);
	return shim_ret(r);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags)
{
	if (!fd_sock(fd))
		return real.__recv_chk(fd, buf, len, room, flags);
	if (len > room)
		__builtin_trap();
	return recv(fd, buf, len, flags);
}

EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	if (!fd_sock(fd))
		return real.read(fd, buf, len);
	return len ? recv(fd, buf, len, 0) : 0;
}

EXPORT ssize_t __read(int fd, void *buf, size_t len)
{
	return read(fd, buf, len);
}

EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
	if (!fd_sock(fd))
		return real.__read_chk(fd, buf, len, room);
	return __recv_chk(fd, buf, len, room, 0);
}

/* readv(2) and writev(2) of no bytes come to their end before the socket hears
 * of them. */
static bool vec_is_nothing(const struct iovec *v, int n, ssize_t *r)
{
	*r = n < 0 || n > IOV_MAX ? -EINVAL : vec_len(v, (size_t)n);
	return *r <= 0;
}

EXPORT ssize_t readv(int fd, const struct iovec *v, int n)
{
	struct file *f = fd_sock(fd);
	ssize_t r;

	if (!f)
		return real.readv(fd, v, n);
	return vec_is_nothing(v, n, &r)
		       ? shim_ret(r)
		       : shim_ret(io_recv(f, v, (size_t)n, 0, NULL));
}

/* By the time that this fails what was received is gone, as in Linux. */
static ssize_t give_sender(const struct sock_msg *m, struct sockaddr *sa,
			   socklen_t *len, ssize_t r)
{
	if (user_is_bad(len, sizeof(*len)))
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	if (user_out(sa, &m->name, MIN(*len, m->name_len)))
		return -EFAULT;
	*len = m->name_len;
	return r;
}

EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags,
			struct sockaddr *restrict sa,
			socklen_t *restrict sa_len)
{
	struct file *f = fd_sock(fd);
	struct iovec v = {buf, len};
	struct sock_msg m = {.ctl = NULL};
	ssize_t r;

	if (!f)
		return real.recvfrom(fd, buf, len, flags, sa, sa_len);
	r = io_recv(f, &v, 1, flags, &m);
	if (r >= 0 && sa)
		r = give_sender(&m, sa, sa_len, r);
	return shim_ret(r);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len,
			      size_t room, int flags,
			      struct sockaddr *restrict sa,
			      socklen_t *restrict sa_len)
{
	if (!fd_sock(fd))
		return real.__recvfrom_chk(fd, buf, len, room, flags, sa,
					   sa_len);
	if (len > room)
		__builtin_trap();
	return recvfrom(fd, buf, len, flags, sa, sa_len);
}

static int header_check(const struct msghdr *h)
{
	if (user_is_bad(h, sizeof(*h)))
		return -EFAULT;
	return h->msg_name && (int)h->msg_namelen < 0 ? -EINVAL : 0;
}

#define MSG_TOLD (MSG_TRUNC | MSG_OOB | MSG_ERRQUEUE)

static ssize_t do_recvmsg(struct file *f, struct msghdr *h, int flags)
{
	struct sock_ctl ctl;
	struct sock_msg m = {.ctl = &ctl};
	ssize_t r;

	r = header_check(h);
	if (r < 0)
		return r;
	ctl.len = 0;
	ctl.wall = 0;
	if (h->msg_control && h->msg_controllen) /* else nobody sees a stamp */
		cmsg_prepare(&ctl);
	r = io_recv(f, h->msg_iov, h->msg_iovlen, flags, &m);
	if (r < 0)
		return r;
	h->msg_flags = (m.flags & MSG_TOLD) | (flags & MSG_CMSG_CLOEXEC);
	if (h->msg_name) {
		if (user_out(h->msg_name, &m.name,
			     MIN(h->msg_namelen, m.name_len)))
			return -EFAULT;
		h->msg_namelen = m.name_len;
	}
	cmsg_to_program(h, &ctl);
	return r;
}

/* Among what a socket of the kernel's brings there may be one of ours. */
static ssize_t recvmsg_kernel(int fd, struct msghdr *h, int flags)
{
	ssize_t r = real.recvmsg(fd, h, flags);

	if (r >= 0 && h->msg_control)
		rights_came(h);
	return r;
}

static int recvmmsg_kernel(int fd, struct mmsghdr *v, unsigned n, int flags,
			   struct timespec *t)
{
	int r = real.recvmmsg(fd, v, n, flags, t);

	for (int i = 0; i < r; i++)
		if (v[i].msg_hdr.msg_control)
			rights_came(&v[i].msg_hdr);
	return r;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *h, int flags)
{
	struct file *f = fd_sock(fd);

	if (!f)
		return recvmsg_kernel(fd, h, flags);
	return shim_ret(do_recvmsg(f, h, flags));
}

/* recvmmsg(2) begins with what has gone wrong before. */
static int take_error(struct file *f)
{
	socklen_t len = sizeof(int);
	int err = 0;
	struct stack *st = host_lock(OP_RECV, f->s);

	sock_getopt(st, f->s, SOL_SOCKET, SO_ERROR, &err, &len, host_now());
	host_unlock();
	return -err;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags,
		    struct timespec *t)
{
	struct file *f = fd_sock(fd);
	struct timespec now;
	nsec until = TIME_NEVER;
	unsigned i;
	ssize_t r = 0;

	if (!f)
		return recvmmsg_kernel(fd, v, n, flags, t);
	if (t) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		until = now.tv_sec * SEC + now.tv_nsec + t->tv_sec * SEC +
			t->tv_nsec;
	}
	if (!(flags & MSG_ERRQUEUE))
		r = take_error(f);
	for (i = 0; i < n && r >= 0; i++) {
		r = do_recvmsg(f, &v[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (r < 0)
			break;
		v[i].msg_len = (unsigned)r;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (t) { /* looked at only between datagrams, recvmmsg(2) */
			clock_gettime(CLOCK_MONOTONIC, &now);
			if (now.tv_sec * SEC + now.tv_nsec >= until) {
				i++;
				break;
			}
		}
	}
	return (int)shim_ret(i ? (ssize_t)i : r);
}

/* --- the names: sending --- */

EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	struct file *f = fd_sock(fd);
	struct iovec v = {(void *)(uintptr_t)buf, len};

	if (!f)
		return real.send(fd, buf, len, flags);
	return shim_ret(io_send(f, &v, 1, flags, NULL));
}

EXPORT ssize_t __send(int fd, const void *buf, size_t len, int flags)
{
	return send(fd, buf, len, flags);
}

EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	struct file *f;

	if (fd_sock(fd))
		return send(fd, buf, len, 0);
	f = fd_text(fd);
	return f ? shim_ret(text_write(fd, f, buf, len))
		 : real.write(fd, buf, len);
}

EXPORT ssize_t __write(int fd, const void *buf, size_t len)
{
	return write(fd, buf, len);
}

EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
	struct file *f = fd_sock(fd);
	ssize_t r;

	if (!f && fd_text(fd) && n > 0) /* as much as one write would take */
		return write(fd, v[0].iov_base, v[0].iov_len);
	if (!f)
		return real.writev(fd, v, n);
	return vec_is_nothing(v, n, &r)
		       ? shim_ret(r)
		       : shim_ret(io_send(f, v, (size_t)n, 0, NULL));
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags,
		      const struct sockaddr *sa, socklen_t sa_len)
{
	struct file *f = fd_sock(fd);
	struct iovec v = {(void *)(uintptr_t)buf, len};
	struct sock_msg m = {0};
	ssize_t r;

	if (!f)
		return real.sendto(fd, buf, len, flags, sa, sa_len);
	if (sa && !sa_len && f->type != SOCK_STREAM)
		return shim_ret(-EINVAL); /* a name, but no family in it */
	r = sa ? msg_to(&m, sa, sa_len) : 0;
	if (!r)
		r = io_send(f, &v, 1, flags, &m);
	if (r == -EXDEV)
		return real.sendto(fd, buf, len, flags, sa, sa_len);
	return shim_ret(r);
}

static ssize_t do_sendmsg(struct file *f, const struct msghdr *h, int flags)
{
	struct sock_ctl ctl;
	struct sock_msg m = {.ctl = NULL};
	ssize_t r = header_check(h);

	if (!r && h->msg_name)
		r = msg_to(&m, h->msg_name,
			   MIN(h->msg_namelen, sizeof(m.name)));
	if (!r && h->msg_control && h->msg_controllen) {
		r = cmsg_from_program(h, &ctl);
		m.ctl = &ctl;
	}
	return r ? r : io_send(f, h->msg_iov, h->msg_iovlen, flags, &m);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *h, int flags)
{
	struct file *f = fd_sock(fd);
	ssize_t r;

	if (!f) {
		rights_go(h);
		return real.sendmsg(fd, h, flags);
	}
	r = do_sendmsg(f, h, flags);
	if (r == -EXDEV)
		return real.sendmsg(fd, h, flags);
	return shim_ret(r);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	struct file *f = fd_sock(fd);
	unsigned i;
	ssize_t r = 0;

	if (!f) {
		for (i = 0; fdtab_num && v && i < n; i++)
			rights_go(&v[i].msg_hdr);
		return real.sendmmsg(fd, v, n, flags);
	}
	for (i = 0; i < n; i++) {
		r = do_sendmsg(f, &v[i].msg_hdr, flags);
		if (r == -EXDEV && i == 0)
			return real.sendmmsg(fd, v, n, flags);
		if (r < 0)
			break;
		v[i].msg_len = (unsigned)r;
	}
	return (int)shim_ret(i ? (ssize_t)i : r);
}
