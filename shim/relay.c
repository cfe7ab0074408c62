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
 *
 * The keeper may be killed between any two instructions, and the next one goes
 * on: no byte may be moved twice, or lost. So what is under way is written down
 * where that one finds it, and the kernel itself writes down how much it has
 * taken or given (sendmmsg() and recvmmsg() store it, in the same call, which a
 * kill does not interrupt). The other half is told by the socket: nobody else
 * uses it, so how far it was written and read says what was done.
 *
 *	out: @out_at is where ->buf belongs in what the socket is to send, and
 *	     ->out.msg_len is how much is in it. What is left of it follows
 *	     from how far the socket was written.
 *	in:  ->in.msg_len bytes from @in_at have been given to the far end. If
 *	     the socket was not read so far, it still has to be told.
 *
 * Before either is used anew the length is set to 0, which makes the other
 * number mean nothing.
 */
#include "relay.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "host_priv.h"
#include "sys.h"

#define MEMORY_TRIES 4
#define ROUND 65536 /* bytes in one direction before others get a look */
#define MAX_RELAYS 1024

/* In memory that the next keeper has, too. */
struct relay {
	char buf[ROUND];
	struct relay *next;
	uint64_t cookie; /* 0: free */
	int far;
	sockid s;
	bool has_news, is_known;  /* to this process */
	bool in_ended, out_ended; /* from the network; from the program */
	uint32_t in_at, out_at;
	struct mmsghdr in, out;
	struct iovec out_v;
} __attribute__((aligned(4096)));

static struct relay *table, *all;

int relay_init(void)
{
	long p = sys(mmap, NULL, MAX_RELAYS * sizeof(*table),
		     PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p < 0 && p >= -4095)
		return (int)p;
	table = (struct relay *)p;
	return 0;
}

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

/* One that was made before us, or a free one. */
static struct relay *place_for(int far, uint64_t cookie)
{
	struct relay *r = NULL;

	for (unsigned i = 0; i < MAX_RELAYS; i++) {
		if (table[i].cookie == cookie && table[i].far == far)
			return &table[i];
		if (!r && !table[i].cookie)
			r = &table[i];
	}
	if (!r)
		return NULL;
	/* present, since the kernel is to write to it whatever happens */
	sys(madvise, r, sizeof(*r), MADV_POPULATE_WRITE);
	r->in_ended = r->out_ended = false;
	r->in.msg_len = r->out.msg_len = 0;
	r->far = far;
	atomic_signal_fence(memory_order_release);
	r->cookie = cookie;
	return r;
}

/* Its memory is not needed any more, but for the last page. */
static void put_place(struct relay *r)
{
	r->cookie = 0;
	sys(madvise, r->buf, ROUND, MADV_REMOVE);
}

struct relay *relay_new(int far, uint64_t cookie)
{
	struct relay *r = place_for(far, cookie);
	unsigned num_tries = 0;
	int err = -ENOMEM;

	if (!r)
		return NULL;
	do
		err = watch(&r->s, cookie);
	while (err == -ENOBUFS && num_tries++ < MEMORY_TRIES &&
	       host_more_memory());
	if (err) {
		put_place(r);
		return NULL;
	}
	r->has_news = r->is_known = true;
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
	put_place(r);
}

void relay_forget_all(void)
{
	all = NULL;
	for (unsigned i = 0; i < MAX_RELAYS; i++)
		if (table[i].cookie)
			table[i].is_known = false;
}

void relay_forget_rest(void)
{
	for (unsigned i = 0; i < MAX_RELAYS; i++)
		if (table[i].cookie && !table[i].is_known)
			put_place(&table[i]);
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

bool relay_has_news(void)
{
	for (const struct relay *r = all; r; r = r->next)
		if (r->has_news)
			return true;
	return false;
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

/* --- from the network to the program --- */

/* What the socket has to give, at most: borrowed, until given back. @at: where
 * that begins. */
static int lend(struct relay *r, struct span *sp, uint32_t *at)
{
	struct sock_facts facts = {0};
	int n;

	host_lock(OP_RECV, r->s);
	sock_facts(host.st, r->s, &facts);
	*at = facts.read;
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

/* Of the @n bytes at @at: given by the keeper before us, who did not get to say
 * so. */
static uint32_t given_before(const struct relay *r, uint32_t at, uint32_t n)
{
	uint32_t taken = at - r->in_at;

	return taken < r->in.msg_len ? MIN(r->in.msg_len - taken, n) : 0;
}

/* Bytes, or -errno. */
static long give(struct relay *r, struct span *sp, uint32_t at)
{
	long w;

	r->in.msg_len = 0;
	atomic_signal_fence(memory_order_seq_cst);
	r->in_at = at;
	r->in.msg_hdr =
		(struct msghdr){.msg_iov = sp->v, .msg_iovlen = sp->num_v};
	w = sys(sendmmsg, r->far, &r->in, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	return w < 0 ? w : (long)r->in.msg_len;
}

/* True: the far end is full. */
static bool pump_in(struct relay *r)
{
	for (unsigned sum = 0; !r->in_ended && sum < ROUND;) {
		struct span sp = {0};
		uint32_t at;
		int n = lend(r, &sp, &at);
		long w = 0;

		if (n == -EAGAIN)
			return false;
		if (n > 0) {
			w = given_before(r, at, (uint32_t)n);
			if (!w)
				w = give(r, &sp, at);
		}
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

/* --- from the program to the network --- */

static uint32_t written(const struct relay *r)
{
	struct sock_facts facts = {0};

	host_lock(OP_SEND, r->s);
	sock_facts(host.st, r->s, &facts);
	host_unlock();
	return facts.written;
}

static uint32_t left_at(const struct relay *r, uint32_t at)
{
	uint32_t done = at - r->out_at;

	return done < r->out.msg_len ? r->out.msg_len - done : 0;
}

bool relay_has_left(const struct relay *r)
{
	return !r->out_ended && left_at(r, written(r));
}

/* More from the program: bytes, 0 at its end, or -errno. */
static long fill(struct relay *r, uint32_t at)
{
	long n;

	r->out.msg_len = 0;
	atomic_signal_fence(memory_order_seq_cst);
	r->out_at = at;
	r->out_v = (struct iovec){r->buf, sizeof(r->buf)};
	r->out.msg_hdr = (struct msghdr){.msg_iov = &r->out_v, .msg_iovlen = 1};
	n = sys(recvmmsg, r->far, &r->out, 1, MSG_DONTWAIT, NULL);
	return n < 0 ? n : (long)r->out.msg_len;
}

/* The last @left bytes of what is in ->buf: how many, or -errno. */
static long send_left(struct relay *r, uint32_t left)
{
	const char *from = r->buf + r->out.msg_len - left;
	struct span sp = {0};
	size_t done = 0;
	int room;

	host_lock(OP_SEND, r->s);
	room = sock_send_begin(host.st, r->s, left, MSG_DONTWAIT, NULL, &sp,
			       host_now());
	host_unlock();
	for (unsigned i = 0; room > 0 && i < sp.num_v && done < left; i++) {
		size_t len = MIN(sp.v[i].iov_len, left - done);

		memcpy(sp.v[i].iov_base, from + done, len);
		done += len;
	}
	if (sp.num_v || sp.pin) {
		host_lock(OP_SEND, r->s);
		sock_send_commit(host.st, r->s, &sp, done, 0, host_now());
		host_unlock();
	}
	if (room >= 0 && !done)
		return -EAGAIN;
	return room < 0 ? room : (long)done;
}

static void shut_socket(struct relay *r)
{
	r->out_ended = true;
	host_lock(OP_SHUTDOWN, r->s);
	sock_shutdown(host.st, r->s, SHUT_WR, host_now());
	host_unlock();
}

/* True: the socket takes no more now. */
static bool pump_out(struct relay *r)
{
	for (unsigned sum = 0; sum < ROUND;) {
		uint32_t at = written(r), left = left_at(r, at);
		long n;

		if (!left) {
			n = fill(r, at);
			if (n == -EAGAIN)
				return false;
			if (n <= 0) {
				shut_socket(r);
				return false;
			}
			continue;
		}
		n = send_left(r, left);
		if (n == -EAGAIN)
			return true;
		if (n < 0) { /* reset: the program's writes fail, too */
			r->out_ended = r->in_ended = true;
			sys(shutdown, r->far, SHUT_RDWR);
			return false;
		}
		sum += (unsigned)n;
	}
	r->has_news = true; /* there may be more */
	return false;
}

uint32_t relay_pump(struct relay *r)
{
	bool is_full = pump_in(r), waits = r->out_ended || pump_out(r);

	return EPOLLRDHUP | (is_full ? EPOLLOUT : 0) | (waits ? 0 : EPOLLIN);
}
