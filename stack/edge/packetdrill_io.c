/* SPDX-License-Identifier: MIT
 *
 * packetdrill_io.c - bytes in and out for packetdrill
 *
 * Scripts also give pointers that are none, and expect EFAULT. So the program's
 * memory is copied by the kernel, which says so.
 */
#include "packetdrill.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* The program's, from the first byte that is not done. */
struct bytes {
	const struct iovec *v;
	int n;
	size_t at, want;
};

static struct bytes bytes_of(const struct iovec *v, int n)
{
	struct bytes b = {.v = v, .n = n};

	for (int i = 0; i < n; i++)
		b.want += v[i].iov_len;
	return b;
}

static bool copy(void *ours, void *theirs, size_t n, bool out)
{
	struct iovec a = {ours, n}, b = {theirs, n};
	ssize_t r = out ? process_vm_writev(getpid(), &a, 1, &b, 1, 0)
			: process_vm_readv(getpid(), &a, 1, &b, 1, 0);

	return r == (ssize_t)n;
}

/* To or from @ours; how much of it, or -EFAULT. */
static int move(struct bytes *b, void *ours, size_t len, bool out)
{
	size_t skip = b->at, done = 0;

	for (int i = 0; i < b->n && done < len; i++) {
		size_t n;

		if (skip >= b->v[i].iov_len) {
			skip -= b->v[i].iov_len;
			continue;
		}
		n = MIN(b->v[i].iov_len - skip, len - done);
		if (!copy((char *)ours + done, (char *)b->v[i].iov_base + skip,
			  n, out))
			return done ? (int)done : -EFAULT;
		done += n;
		skip = 0;
	}
	b->at += done;
	return (int)done;
}

/* --- in --- */

static int recv_once(sockid s, struct bytes *b, int flags, struct sock_msg *m)
{
	size_t done = 0;
	struct span sp;
	int r = sock_recv_begin(pd.st, s, b->want - b->at, flags, m, &sp,
				pd.now);

	if (r < 0 || (!sp.num_v && !sp.pin))
		return r;
	if (flags & MSG_TRUNC && sp.num_v == 0)
		done = (size_t)r; /* discarded */
	r = 0;
	for (unsigned i = 0; i < sp.num_v && r >= 0; i++) {
		r = move(b, sp.v[i].iov_base, sp.v[i].iov_len, true);
		done += (size_t)MAX(r, 0);
	}
	sock_recv_commit(pd.st, s, &sp, done, flags, pd.now);
	return done || r >= 0 ? (int)done : r;
}

static ssize_t do_recv(int fd, const struct iovec *v, int n, int flags,
		       struct sock_msg *m)
{
	sockid s = pd_sock(fd);
	bool nonblock = pd.fds[fd].nonblock || flags & MSG_DONTWAIT;
	struct bytes b = bytes_of(v, n);
	size_t done = 0;
	int r, left = 0;

	if (flags & MSG_ERRQUEUE)
		nonblock = true; /* it is not waited for */
	pd_enter();
	do {
		PD_WAIT_FOR(r, nonblock || (done && !(flags & MSG_WAITALL)),
			    recv_once(s, &b, flags, m));
		if (r > 0)
			done += (size_t)r;
		/* an error behind the data is the next call's */
		if (r > 0 && !(flags & MSG_WAITALL) &&
		    (sock_ioctl(pd.st, s, FIONREAD, &left) || !left))
			break;
	} while (r > 0 && done < b.want &&
		 !(flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)));
	return pd_leave(done ? (int)done : r);
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

/* What fits, whole; MSG_CTRUNC tells of the rest. */
static void give_control(struct msghdr *h, const struct sock_ctl *c)
{
	size_t room = h->msg_control ? h->msg_controllen : 0, at = 0;
	struct cmsghdr one;

	for (uint32_t i = 0; i < c->len; i += CMSG_ALIGN(one.cmsg_len)) {
		memcpy(&one, c->b + i, sizeof(one));
		if (room - at < one.cmsg_len) {
			h->msg_flags |= MSG_CTRUNC;
			break;
		}
		memcpy((char *)h->msg_control + at, c->b + i, one.cmsg_len);
		at = MIN(at + CMSG_ALIGN(one.cmsg_len), room);
	}
	h->msg_controllen = at;
}

static ssize_t on_recvmsg(void *u, int fd, struct msghdr *h, int flags)
{
	struct sock_ctl ctl = {.wall = PD_EPOCH_SECS * SEC};
	struct sock_msg m = {.ctl = &ctl};
	ssize_t r = do_recv(fd, h->msg_iov, (int)h->msg_iovlen, flags, &m);

	if (r < 0)
		return r;
	h->msg_flags = m.flags;
	if (h->msg_name) {
		memcpy(h->msg_name, &m.name, MIN(h->msg_namelen, m.name_len));
		h->msg_namelen = m.name_len;
	}
	give_control(h, &ctl);
	return r;
}

/* --- out --- */

static bool is_zerocopy(sockid s)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return !sock_getopt(pd.st, s, SOL_SOCKET, SO_ZEROCOPY, &on, &len,
			    pd.now) &&
	       on;
}

/* Bytes that Linux sends from the program's memory in one skb, by pages; *full:
 * there are more. */
static size_t zerocopy_part(const struct bytes *b, bool *full)
{
	size_t skip = b->at, len = 0;
	unsigned pages = 0;

	for (int i = 0; i < b->n; i++) {
		size_t off = (uintptr_t)b->v[i].iov_base & 4095;
		size_t n = b->v[i].iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		off = (off + skip) & 4095;
		n -= skip;
		skip = 0;
		for (; n && pages < SOCK_SKB_PIECES; pages++) {
			size_t k = MIN(n, 4096 - off);

			len += k;
			n -= k;
			off = 0;
		}
		if (n)
			break;
	}
	*full = b->at + len < b->want;
	return len;
}

static int send_once(sockid s, struct bytes *b, int flags,
		     const struct sock_msg *m, bool is_woken, bool *is_syn)
{
	size_t most = b->want - b->at;
	bool full = false;
	uint32_t bits = 0;
	struct span sp;
	size_t done = 0, at = b->at;
	int r;

	/* a writer that sleeps is only woken when a third is free */
	sock_poll(pd.st, s, &bits);
	if (is_woken && !(bits & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return -EAGAIN;
	r = sock_send_begin(pd.st, s, b->want - b->at, flags, m, &sp, pd.now);
	if (r < 0)
		return r;
	*is_syn |= sp.is_syn;
	r = 0;
	if (flags & MSG_ZEROCOPY && is_zerocopy(s))
		most = zerocopy_part(b, &full);
	for (unsigned i = 0; i < sp.num_v && r >= 0; i++) {
		r = move(b, sp.v[i].iov_base, MIN(sp.v[i].iov_len, most - done),
			 false);
		done += (size_t)MAX(r, 0);
	}
	if (r < 0)
		*is_syn = false;
	b->at = at;
	if (full && done == most)
		flags |= SOCK_SKB_FULL;
	r = MIN(r, 0);
	if (sp.num_v || sp.pin) {
		int k = sock_send_commit(pd.st, s, &sp, done, flags, pd.now);

		done = (size_t)MAX(k, 0);
		r = MIN(r, k);
	}
	b->at += done;
	pd_turn();
	return done ? (int)done : r;
}

static int connected(sockid s)
{
	int r = pd_connect_done(s);

	return r ? r : 1;
}

static ssize_t do_send(int fd, const struct iovec *v, int n, int flags,
		       const struct sock_msg *m)
{
	sockid s = pd_sock(fd);
	bool nonblock = pd.fds[fd].nonblock || flags & MSG_DONTWAIT;
	struct bytes b = bytes_of(v, n);
	bool is_syn = false;
	int r;

	pd_enter();
	if (pd.is_up)
		pd_read_sysctls();
	if (!nonblock)
		flags |= SOCK_WAITS;
	do {
		PD_WAIT_FOR(r, nonblock,
			    send_once(s, &b,
				      b.at ? flags | SOCK_GOES_ON : flags, m,
				      slept, &is_syn));
		if ((r == -EINPROGRESS || r == -EALREADY) && !nonblock)
			PD_WAIT_FOR(r, false, connected(s));
		if (r > 0 && is_syn && !nonblock) {
			is_syn = false;
			PD_WAIT_FOR(r, false, connected(s));
			if (r < 0)
				return pd_leave(r);
		}
	} while (r > 0 && b.at < b.want);
	if (b.at && b.at < b.want)
		sock_send_end(pd.st, s, flags);
	return pd_leave(b.at ? (int)b.at : r);
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
	struct sock_ctl ctl = {0};
	struct sock_msg m = {0};

	if (h->msg_name && h->msg_namelen <= sizeof(m.name)) {
		memcpy(&m.name, h->msg_name, h->msg_namelen);
		m.name_len = h->msg_namelen;
	}
	if (h->msg_control && h->msg_controllen <= sizeof(ctl.b)) {
		memcpy(ctl.b, h->msg_control, h->msg_controllen);
		ctl.len = (uint32_t)h->msg_controllen;
		m.ctl = &ctl;
	}
	return do_send(fd, h->msg_iov, (int)h->msg_iovlen, flags, &m);
}

/* --- from and to other files --- */

static int on_pipe(void *u, int fds[2])
{
	return pipe(fds);
}

/* At the urgent mark there is nothing to splice, nor to wait for. */
static bool is_at_mark(int fd)
{
	uint32_t bits = 0;
	int at = 0;

	sock_poll(pd.st, pd_sock(fd), &bits);
	return bits & EPOLLPRI &&
	       !sock_ioctl(pd.st, pd_sock(fd), SIOCATMARK, &at) && at;
}

/* Between a pipe and a socket, a buffer's worth at a time. */
static int on_splice(void *u, int in, loff_t *off_in, int out, loff_t *off_out,
		     size_t len, unsigned flags)
{
	uint8_t buf[65536];
	struct iovec v = {buf, MIN(len, sizeof(buf))};
	int nonblock = flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0;
	ssize_t n;

	if (pd_sock(in)) {
		if (is_at_mark(in))
			return 0;
		n = do_recv(in, &v, 1, nonblock, NULL);
		return n > 0 ? (int)write(out, buf, (size_t)n) : (int)n;
	}
	n = read(in, buf, v.iov_len);
	if (n <= 0)
		return (int)n;
	v.iov_len = (size_t)n;
	return (int)do_send(out, &v, 1, nonblock, NULL);
}

/* packetdrill calls it in libc: the preload's way in. By its plain name, which
 * large files would make another. */
__attribute__((visibility("default"))) ssize_t pd_sendfile(
	int out, int in, off_t *off, size_t len) __asm__("sendfile");

ssize_t pd_sendfile(int out, int in, off_t *off, size_t len)
{
	uint8_t buf[65536];
	struct iovec v = {buf, MIN(len, sizeof(buf))};
	ssize_t n;

	if (!pd_sock(out)) {
		errno = EINVAL;
		return -1;
	}
	n = off ? pread(in, buf, v.iov_len, *off) : read(in, buf, v.iov_len);
	if (n <= 0)
		return n;
	v.iov_len = (size_t)n;
	n = do_send(out, &v, 1, 0, NULL);
	if (n > 0 && off)
		*off += n;
	return n;
}

void pd_io_fill(struct packetdrill_interface *ifc)
{
	ifc->read = on_read;
	ifc->readv = on_readv;
	ifc->recv = on_recv;
	ifc->recvfrom = on_recvfrom;
	ifc->recvmsg = on_recvmsg;
	ifc->write = on_write;
	ifc->writev = on_writev;
	ifc->send = on_send;
	ifc->sendto = on_sendto;
	ifc->sendmsg = on_sendmsg;
	ifc->pipe = on_pipe;
	ifc->splice = on_splice;
}
