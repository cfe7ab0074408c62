/* SPDX-License-Identifier: MIT
 *
 * relay.c - sockets of programs that we are not in
 *
 * A program that is static, or that runs with more rights than its user, loads
 * no library of ours. If it is handed a socket it reads and writes the near
 * end, an AF_UNIX stream. The keeper has the other end of that, and moves bytes
 * between it and the socket, both ways, with the ends in their order: an end of
 * file from the network is a shutdown of the far end, a shutdown of the near
 * end is one of the socket. What is left over when the near end is closed is
 * sent before the socket is.
 *
 * Never more than what one side takes is taken from the other, so the windows
 * are the program's own reading and the peer's.
 */
#include "relay.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "host_priv.h"
#include "sys.h"

#define MEMORY_TRIES 4
#define ROUND 65536 /* bytes in one direction before others get a look */

struct relay {
	struct relay *next;
	int far;
	sockid s;
	bool has_news;
	bool in_ended, out_ended; /* from the network; from the program */
};

static struct relay *all;

static int watch(sockid *s, uint64_t cookie)
{
	struct sock_facts facts = {0};
	struct ready ready;
	int err;

	host_lock(OP_NEW, 0);
	*s = sock_by_tag(host.st, cookie);
	err = sock_facts(host.st, *s, &facts);
	if (!err && (facts.type != SOCK_STREAM || facts.listening))
		err = -EOPNOTSUPP;
	if (!err)
		err = sock_watch(host.st, *s, 0, &ready);
	host_unlock();
	return err;
}

struct relay *relay_new(int far, uint64_t cookie)
{
	struct relay *r = calloc(1, sizeof(*r));
	unsigned num_tries = 0;
	int err = -ENOMEM;

	if (r)
		do
			err = watch(&r->s, cookie);
		while (err == -ENOBUFS && num_tries++ < MEMORY_TRIES &&
		       host_more_memory());
	if (err) {
		free(r);
		return NULL;
	}
	r->far = far;
	r->has_news = true;
	r->next = all;
	all = r;
	return r;
}

void relay_free(struct relay *r)
{
	struct relay **p = &all;

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	free(r);
}

void relay_forget_all(void)
{
	all = NULL;
}

void relay_news(void)
{
	struct ready v[32];
	unsigned n;

	while ((n = stack_ready(host.st, v, ARRAY_SIZE(v))) > 0)
		for (unsigned i = 0; i < n; i++)
			for (struct relay *r = all; r; r = r->next)
				if (r->s == v[i].s)
					r->has_news = true;
}

struct relay *relay_next(int *far)
{
	struct relay *r = all;

	while (r && !r->has_news)
		r = r->next;
	if (!r)
		return NULL;
	r->has_news = false;
	*far = r->far;
	return r;
}

/* What the socket has to give, at most: borrowed, until given back. */
static int lend(struct relay *r, struct span *sp)
{
	int n;

	host_lock(OP_RECV, r->s);
	n = sock_recv_begin(host.st, r->s, ROUND, 0, NULL, sp, host_now());
	host_unlock();
	return n;
}

static void take(struct relay *r, struct span *sp, size_t used)
{
	host_lock(OP_RECV, r->s);
	sock_recv_commit(host.st, r->s, sp, used, 0, host_now());
	host_unlock();
}

/* From the network to the program. True: the far end is full. */
static bool pump_in(struct relay *r)
{
	for (unsigned sum = 0; !r->in_ended && sum < ROUND;) {
		struct span sp = {0};
		int n = lend(r, &sp);
		long w = 0;

		if (n == -EAGAIN)
			return false;
		if (n > 0)
			w = sys(writev, r->far, sp.v, sp.num_v);
		if (sp.num_v || sp.pin)
			take(r, &sp, w > 0 ? (size_t)w : 0);
		if (n <= 0 || (w < 0 && w != -EAGAIN)) {
			r->in_ended = true;
			sys(shutdown, r->far, SHUT_WR);
			return false;
		}
		if (w == -EAGAIN)
			return true;
		sum += (unsigned)w;
	}
	r->has_news |= !r->in_ended; /* there is more */
	return false;
}

static void shut_socket(struct relay *r)
{
	r->out_ended = true;
	host_lock(OP_SHUTDOWN, r->s);
	sock_shutdown(host.st, r->s, SHUT_WR, host_now());
	host_unlock();
}

/* From the program to the network. True: the socket takes no more now. */
static bool pump_out(struct relay *r)
{
	static char
		buf[ROUND]; /* what was peeked at is taken when it is sent */
	struct span sp = {0};
	long n = sys(recvfrom, r->far, buf, sizeof(buf), MSG_PEEK, NULL, NULL);
	size_t done = 0;
	int room;

	if (n == -EAGAIN)
		return false;
	if (n <= 0) {
		shut_socket(r);
		return false;
	}
	host_lock(OP_SEND, r->s);
	room = sock_send_begin(host.st, r->s, (size_t)n, MSG_DONTWAIT, NULL,
			       &sp, host_now());
	host_unlock();
	for (unsigned i = 0; room > 0 && i < sp.num_v && done < (size_t)n;
	     i++) {
		size_t len = MIN(sp.v[i].iov_len, (size_t)n - done);

		memcpy(sp.v[i].iov_base, buf + done, len);
		done += len;
	}
	if (sp.num_v || sp.pin) {
		host_lock(OP_SEND, r->s);
		sock_send_commit(host.st, r->s, &sp, done, 0, host_now());
		host_unlock();
	}
	if (room == -EAGAIN)
		return true;
	if (room < 0) { /* reset: the program's writes fail, as they would */
		r->out_ended = r->in_ended = true;
		sys(shutdown, r->far, SHUT_RDWR);
		return false;
	}
	sys(recvfrom, r->far, buf, done, 0, NULL, NULL);
	return false;
}

uint32_t relay_pump(struct relay *r)
{
	bool is_full = pump_in(r), waits = r->out_ended || pump_out(r);

	return EPOLLRDHUP | (is_full ? EPOLLOUT : 0) | (waits ? 0 : EPOLLIN);
}
