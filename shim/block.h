/* SPDX-License-Identifier: MIT
 *
 * block.h - one call that may have to sleep
 *
 *	block_begin(&b, f, false, flags);
 *	do
 *		r = try(...);
 *	while (r == -EAGAIN && (r = block_again(&b, EPOLLIN)) == 1);
 *	block_end(&b);
 *
 * A non-blocking call that finds nothing looks at the device once before it
 * says so, or a program that polls with recv() would not see its packet until
 * the stack thread's grace has passed.
 *
 * A call that sleeps holds its file: as in Linux, it goes on although another
 * thread closes the number, and the socket goes when it returns.
 */
#ifndef TCPSHIM_BLOCK_H
#define TCPSHIM_BLOCK_H

#include <errno.h>
#include <pthread.h>

#include "call_priv.h"
#include "sleeper.h"

struct block {
	struct file *f;
	nsec deadline;
	bool is_send, nonblock, has_looked, has_deadline, has_timeout, is_held;
	bool has_part;	/* some was moved: a handler ends the call anyway */
	bool takes_one; /* of several that wait, one is woken */
	/* what there is will not do: wait for more than at this count */
	bool wants_news;
	uint32_t in_seq;
};

/* @flags: MSG_DONTWAIT counts as O_NONBLOCK. */
static inline void block_begin(struct block *b, struct file *f, bool send,
			       int flags)
{
	pthread_testcancel();
	*b = (struct block){.f = f, .is_send = send};
	b->nonblock = file_has(f, FILE_NONBLOCK) || flags & MSG_DONTWAIT;
}

/* 1: try again. -EAGAIN: non-blocking, or SO_RCVTIMEO (SO_SNDTIMEO) is over.
 * -EINTR. No lock held. */
static inline int block_again(struct block *b, uint32_t want)
{
	int r;

	if (b->nonblock) {
		if (b->has_looked)
			return -EAGAIN;
		b->has_looked = true;
		/* no room may mean no memory yet, which no kernel answers */
		if (b->is_send && host_wants_memory() && host_more_memory())
			return 1;
		return host_drive_once() ? 1 : -EAGAIN;
	}
	if (!b->is_held && !sleeper_hold(b->f))
		return -EBADF;
	b->is_held = true;
	if (!b->has_deadline) {
		b->deadline =
			block_deadline(b->f->s, b->is_send, &b->has_timeout);
		b->has_deadline = true;
	}
	if (b->takes_one)
		want |= WATCH_ONE;
	r = block_on(b->f, want, b->wants_news ? &b->in_seq : NULL, b->deadline,
		     b->has_timeout || b->has_part);
	return r == 0 ? -EAGAIN : r;
}

static inline void block_end(struct block *b)
{
	if (b->is_held && b->takes_one)
		block_left(b->f);
	if (b->is_held)
		sleeper_unhold(b->f);
}

/* call_socket.c: is this address the kernel's to serve (loopback, bypass)? */
bool addr_is_kernels(struct file *f, const struct sockaddr_storage *ss,
		     socklen_t len, bool is_dest);

#define MAX_IO 0x7ffff000u /* most that one call moves, read(2) */

/* call_io.c: send and recv with their waiting. Bytes or -errno; io_send(): or
 * -EXDEV, if @m names one who is the kernel's. */
ssize_t io_send(struct file *f, const struct iovec *v, size_t n, int flags,
		const struct sock_msg *m);
ssize_t io_recv(struct file *f, const struct iovec *v, size_t n, int flags,
		struct sock_msg *m);
/* What a send says that ends with @res after @done bytes; may raise SIGPIPE. */
ssize_t io_send_result(struct file *f, ssize_t done, int res, int flags);

#endif
