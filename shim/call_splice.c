/* SPDX-License-Identifier: MIT
 *
 * call_splice.c - sendfile and splice: files and pipes into sockets, and back
 *
 * The bytes go through a buffer here, since the socket's memory is not the
 * kernel's. None may get lost there: a file is told how far it was read, and of
 * a pipe no more is taken than the socket has room for.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block.h"
#include "real.h"
#include "sys.h"

#define FILE_STEP 65536

/* What was read and could not be sent is not lost: the offset says how far. A
 * file without an offset argument is put back with lseek(). */
static ssize_t send_file(struct file *f, int in, off64_t *off, size_t len)
{
	char buf[FILE_STEP];
	off64_t pos = off ? *off : lseek64(in, 0, SEEK_CUR);
	size_t done = 0;
	ssize_t r = 0;

	if (pos < 0)
		return -EINVAL;
	len = MIN(len, MAX_IO);
	while (done < len) {
		struct iovec v = {buf, MIN(len - done, sizeof(buf))};
		ssize_t n = sys(pread64, in, buf, v.iov_len, pos);

		if (n <= 0) {
			r = n;
			break;
		}
		v.iov_len = (size_t)n;
		r = io_send(f, &v, 1, 0, NULL);
		if (r < 0)
			break;
		pos += r;
		done += (size_t)r;
		if (r < n)
			break;
	}
	if (off)
		*off = pos;
	else
		lseek64(in, pos, SEEK_SET);
	return done ? (ssize_t)done : r;
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *off, size_t len)
{
	struct file *f = fd_sock(out);
	char c;
	int cancel;
	ssize_t r;

	if (fd_sock(in)) /* can't be read at an offset, nor without */
		return shim_ret(off ? -ESPIPE : -EINVAL);
	if (!f)
		return real.sendfile64(out, in, off, len);
	if ((sys(fcntl, in, F_GETFL) & O_ACCMODE) == O_WRONLY)
		return shim_ret(-EBADF);
	r = sys(pread64, in, &c, 0, 0);
	if (r == -ESPIPE)
		return shim_ret(off ? r : -EINVAL);
	if (r == -EBADF)
		return shim_ret(r);
	/* in libc, too, no cancellation point */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	r = send_file(f, in, off, len);
	pthread_setcancelstate(cancel, NULL);
	return shim_ret(r);
}

EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t len)
{
	_Static_assert(sizeof(off_t) == sizeof(off64_t), "64-bit off_t");
	return sendfile64(out, in, (off64_t *)off, len);
}

/* How much of @want a send would take now, at least. > 0 or -errno. */
static int send_room(struct file *f, size_t want)
{
	struct span sp;
	struct stack *st;
	int res;

	signal_hold();
	st = host_lock(OP_SEND, f->s);
	res = sock_send_begin(st, f->s, want, 0, NULL, &sp, host_now());
	if (res >= 0 && (sp.num_v || sp.pin))
		sock_send_commit(st, f->s, &sp, 0, 0, host_now());
	host_unlock();
	signal_release();
	return res;
}

/* Until the pipe has something, or never will: how much, or -errno. */
static int wait_pipe(int in, unsigned flags)
{
	bool nonblock = flags & SPLICE_F_NONBLOCK ||
			sys(fcntl, in, F_GETFL, 0) & O_NONBLOCK;
	struct pollfd p = {in, POLLIN, 0};
	struct timespec zero = {0};
	uint32_t num_eintr;
	int num = 0, r;

	do {
		num_eintr = signal_num_eintr;
		r = sys_ppoll(&p, 1, nonblock ? &zero : NULL, NULL);
	} while (r == -EINTR && num_eintr == signal_num_eintr);
	if (r <= 0)
		return r ? r : -EAGAIN;
	r = (int)sys(ioctl, in, FIONREAD, &num);
	return r < 0 ? r : num;
}

/* All of it: the pipe has it no more. Only if somebody else has sent since we
 * asked for room does this wait. */
static ssize_t send_taken(struct file *f, struct iovec v, int flags)
{
	ssize_t done = 0, r;

	do {
		r = io_send(f, &v, 1, flags, NULL);
		if (r == -EAGAIN || r == -EINTR) {
			block_on(f, EPOLLOUT, NULL, TIME_NEVER, false);
			continue;
		}
		if (r > 0) {
			done += r;
			v.iov_base = (char *)v.iov_base + r;
			v.iov_len -= (size_t)r;
		}
	} while (r >= 0 && v.iov_len);
	return done ? done : r;
}

/* Pipe to socket: what is taken from the pipe must fit, so room is asked for
 * first; socket to pipe: only as much as the pipe takes without blocking. */
static ssize_t splice_out(struct file *f, int in, size_t len, unsigned flags)
{
	char buf[FILE_STEP];
	struct iovec v = {buf, 0};
	struct block b;
	ssize_t n;
	int res = wait_pipe(in, flags);

	if (res <= 0)
		return res;
	len = MIN(MIN(len, sizeof(buf)), (size_t)res);
	block_begin(&b, f, true, 0);
	do
		res = send_room(f, len);
	while (res == -EAGAIN && (res = block_again(&b, EPOLLOUT)) == 1);
	block_end(&b);
	if (res <= 0)
		return io_send_result(f, 0, res, 0);
	n = sys(read, in, buf, MIN(len, (size_t)res));
	if (n <= 0)
		return n;
	v.iov_len = (size_t)n;
	return send_taken(f, v, flags & SPLICE_F_MORE ? MSG_MORE : 0);
}

static ssize_t splice_in(struct file *f, int out, size_t len, unsigned flags)
{
	char buf[FILE_STEP];
	struct iovec v = {buf, MIN(len, sizeof(buf))};
	struct pollfd full = {out, POLLOUT, 0};
	struct timespec zero = {0};
	ssize_t n, done = 0;

	/* the flag is about the pipe; the socket has O_NONBLOCK */
	if (flags & SPLICE_F_NONBLOCK && sys_ppoll(&full, 1, &zero, NULL) == 0)
		return -EAGAIN;
	n = io_recv(f, &v, 1, 0, NULL);
	while (n > done) {
		ssize_t w = sys(write, out, buf + done, (size_t)(n - done));

		if (w < 0 && w != -EAGAIN)
			return done ? done : w;
		if (w == -EAGAIN) {
			struct pollfd p = {out, POLLOUT, 0};

			sys_ppoll(&p, 1, NULL, NULL);
			continue;
		}
		done += w;
	}
	return n < 0 ? n : done;
}

#define SPLICE_F_ALL \
	(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

/* @other: the one that is no socket of ours; it must be a pipe. */
static int splice_check(int in, int out, int other, unsigned flags)
{
	int in_fl = (int)sys(fcntl, in, F_GETFL, 0);
	int out_fl = (int)sys(fcntl, out, F_GETFL, 0);
	struct stat st;

	if (flags & ~SPLICE_F_ALL)
		return -EINVAL;
	if (in_fl < 0 || out_fl < 0 || (in_fl & O_ACCMODE) == O_WRONLY ||
	    (out_fl & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	return sys(fstat, other, &st) || !S_ISFIFO(st.st_mode) ? -EINVAL : 0;
}

EXPORT ssize_t splice(int in, off64_t *off_in, int out, off64_t *off_out,
		      size_t len, unsigned flags)
{
	struct file *fi = fd_sock(in), *fo = fd_sock(out);
	int r;

	if (!fi && !fo)
		return real.splice(in, off_in, out, off_out, len, flags);
	if (!len)
		return 0;
	r = splice_check(in, out, fi ? out : in, flags);
	if (r < 0)
		return shim_ret(r);
	if (fi && fo)
		return shim_ret(-EINVAL);
	if ((fi && off_out) || (fo && off_in))
		return shim_ret(-ESPIPE); /* the pipe's */
	if (off_in || off_out)
		return shim_ret(-EINVAL);
	return shim_ret(fo ? splice_out(fo, in, len, flags)
			   : splice_in(fi, out, len, flags));
}
