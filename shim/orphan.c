/* SPDX-License-Identifier: MIT
 *
 * orphan.c - sockets without a far end
 *
 * With the keeper and its spare all far ends were lost, and with them the way
 * to hear that the last descriptor of a socket is closed. A far end can't be
 * made again. But the near end is there as long as anybody has it, in a table
 * or under way in a message; the kernel lists what there is (sock_diag(7)),
 * with the cookie that is the socket's tag. So a keeper that comes after that
 * looks whenever somebody has ended or dropped something, and each second,
 * as long as there is such a socket.
 *
 * Near ends that are made in another network namespace are on no list of ours.
 * If somebody is in one, only what was seen once is missed.
 */
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "host_priv.h"
#include "keeper_priv.h"
#include "sys.h"

#define PERIOD (1 * SEC)
#define TAGS 64 /* in one hold of the lock */

struct orphan {
	uint64_t cookie;
	bool was_seen, is_here;
};

static int order(const void *a, const void *b)
{
	uint64_t x = ((const struct orphan *)a)->cookie;
	uint64_t y = ((const struct orphan *)b)->cookie;

	return x < y ? -1 : x > y;
}

/* --- the kernel's list --- */

static void mark(uint64_t cookie)
{
	struct orphan key = {.cookie = cookie}, *o;

	o = bsearch(&key, me->orphans, me->num_orphans, sizeof(key), order);
	if (o)
		o->is_here = true;
}

/* > 0: there is more; 0: that was all; -errno: what was said is worth nothing.
 */
static int take_part(const char *buf, long n)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)buf;

	for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		const struct unix_diag_msg *m = NLMSG_DATA(h);

		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EAGAIN;
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
			return -EOPNOTSUPP;
		mark(m->udiag_cookie[0] | (uint64_t)m->udiag_cookie[1] << 32);
	}
	return 1;
}

/* Sets ->is_here. False: the kernel doesn't say. */
static bool look(void)
{
	static char buf[32768] __attribute__((aligned(8)));
	struct {
		struct nlmsghdr h;
		struct unix_diag_req r;
	} ask = {
		.h = {.nlmsg_len = sizeof(ask),
		      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.r = {.sdiag_family = AF_UNIX,
		      .udiag_states = ~0u,
		      .udiag_cookie = {~0u, ~0u}},
	};
	int fd = (int)sys(socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			  NETLINK_SOCK_DIAG);
	long n;
	int r = fd;

	for (unsigned i = 0; i < me->num_orphans; i++)
		me->orphans[i].is_here = false;
	if (fd >= 0)
		r = (int)sys(sendto, fd, &ask, sizeof(ask), 0, NULL, 0);
	while (r > 0) {
		n = sys(recvfrom, fd, buf, sizeof(buf), 0, NULL, NULL);
		r = n > 0 ? take_part(buf, n) : -EIO;
	}
	if (fd >= 0)
		sys(close, fd);
	return r == 0;
}

/* --- what becomes of them --- */

static bool has_socket(uint64_t cookie)
{
	bool has;

	host_lock(OP_CLOSE, 0);
	has = sock_by_tag(host.st, cookie) != 0;
	host_unlock();
	return has;
}

/* Is it to be looked at again? */
static bool judge(struct orphan *o, bool is_known)
{
	bool is_gone =
		is_known ? !o->is_here && (o->was_seen || !me->has_foreign)
			 : !me->num_members;

	if (far_find(o->cookie) || !has_socket(o->cookie))
		return false;
	o->was_seen |= o->is_here;
	if (is_gone)
		far_close_socket(o->cookie);
	return !is_gone;
}

void orphans_look(void)
{
	bool is_known = look();
	unsigned num = 0;

	for (unsigned i = 0; i < me->num_orphans; i++)
		if (judge(&me->orphans[i], is_known))
			me->orphans[num++] = me->orphans[i];
	me->num_orphans = num;
	me->look_at = sys_now() + PERIOD;
}

/* Tags are written to @v, if it is not NULL, at most @most. How many. */
static unsigned list_tags(struct orphan *v, unsigned most)
{
	unsigned num = 0, n;
	uint64_t tags[TAGS];
	uint32_t pos = 0;

	do {
		host_lock(OP_CLOSE, 0);
		n = stack_tags(host.st, &pos, tags, TAGS);
		host_unlock();
		for (unsigned i = 0; v && i < n && num + i < most; i++)
			v[num + i] = (struct orphan){.cookie = tags[i]};
		num += n;
	} while (n);
	return v ? MIN(num, most) : num;
}

void orphans_begin(void)
{
	unsigned most = list_tags(NULL, 0);
	long p;

	if (!most)
		return;
	p = sys(mmap, NULL, most * sizeof(struct orphan),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p >= -4095)
		return;
	me->orphans = (struct orphan *)p;
	most = list_tags(me->orphans, most);
	qsort(me->orphans, most, sizeof(struct orphan), order);
	me->num_orphans = most;
	me->look_at = 0;
}
