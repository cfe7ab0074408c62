/* SPDX-License-Identifier: MIT
 *
 * block.c - turns "not yet" into sleep: timeouts, EINTR, O_NONBLOCK
 *
 * The core says -EAGAIN. A call that may wait sleeps until the socket is ready
 * and tries again; ready is a hint, since another thread may have been quicker.
 *
 * A signal handler ends the sleep. As in Linux, a call without a timeout goes
 * on when the handler was installed with SA_RESTART, and fails with EINTR when
 * not; one with SO_RCVTIMEO or SO_SNDTIMEO always fails.
 */
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "call_priv.h"
#include "sleeper.h"
#include "sys.h"

nsec block_deadline(sockid s, bool send, bool *has_timeout)
{
	struct sock_facts facts = {0};
	struct stack *st = host_lock(OP_WAIT, s);
	nsec t;

	sock_facts(st, s, &facts);
	t = send ? facts.sndtimeo : facts.rcvtimeo;
	*has_timeout = t > 0;
	t = t > 0 ? host_now() + t : TIME_NEVER;
	host_unlock();
	return t;
}

/* At its end block_on() says so in ->own; else it was left. */
static void drop_watch(struct sleeper *sl)
{
	struct file *f = sl->watch.file;

	watch_del(&sl->watch);
	if (f && sl->watch.want & WATCH_ONE && !sl->own)
		watch_left(f);
}

void block_left(struct file *f)
{
	host_lock(OP_WAIT, f->s);
	watch_left(f);
	host_unlock();
}

uint32_t block_seq(struct file *f)
{
	struct watch h = {.file = f};
	struct ready r;

	host_lock(OP_WAIT, f->s);
	watch_look(&h, &r);
	host_unlock();
	return r.in_seq;
}

/* Is there anything that was not there at @seq, or will there be none? */
static bool has_news(struct watch *h, uint32_t seq)
{
	struct ready r;

	if (watch_look(h, &r) == WATCH_GONE)
		return true;
	if (r.bits & SOCK_POLL_NOTE)
		r.bits &= ~(uint32_t)EPOLLERR;
	return r.in_seq != seq || r.bits & (EPOLLERR | EPOLLHUP | EPOLLRDHUP);
}

int block_on(struct file *f, uint32_t want, const uint32_t *seq, nsec deadline,
	     bool has_timeout)
{
	struct sleeper *sl = sleeper_get(drop_watch);
	uint32_t eintrs = signal_num_eintr, bits;
	int r = 1;

	if (!sl)
		return -ENOMEM;
	sl->own = NULL;
	bits = watch_add(&sl->watch, f, want | WATCH_CALL, &sl->w, NULL);
	if (seq && !has_news(&sl->watch, *seq))
		bits = 0;
	host_unlock();
	while (!bits) {
		r = wait_block(&sl->w, NULL, 0, deadline, NULL, NULL, NULL);
		if (r != -EINTR || has_timeout || eintrs != signal_num_eintr)
			break;
	}
	host_lock(OP_WAIT, 0);
	sl->own = sl;
	sleeper_put(sl);
	host_unlock();
	return r;
}

static bool is_flushed(sockid s)
{
	struct sock_facts facts;
	struct stack *st = host_lock(OP_CLOSE, s);
	int left = 0, r;

	r = sock_facts(st, s, &facts);
	if (r == 0)
		r = sock_ioctl(st, s, TIOCOUTQ, &left);
	host_unlock();
	if (r < 0)
		return true;
	return left == 0 && facts.state != TCP_FIN_WAIT1 &&
	       facts.state != TCP_CLOSING && facts.state != TCP_LAST_ACK;
}

void block_linger(struct file *f, nsec linger)
{
	struct stack *st = host_lock(OP_SHUTDOWN, f->s);
	nsec deadline = host_now() + linger;

	sock_shutdown(st, f->s, SHUT_WR, host_now());
	host_unlock();
	/* no event says "acknowledged" by itself: look every few ms */
	while (!is_flushed(f->s) && sys_now() < deadline) {
		nsec until = MIN(sys_now() + 5 * MSEC, deadline);

		if (block_on(f, EPOLLHUP, NULL, until, true) == -EINTR)
			break;
	}
}
