/* SPDX-License-Identifier: MIT
 *
 * op_wait.c - poll, select, epoll
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

#include "fuzz.h"

/* "s3:IN|OUT" in word @i */
static int pair(struct ctx *c, unsigned i, unsigned *slot, long *mask)
{
	const char *colon = strchr(c->word[i], ':');

	*mask = 0;
	*slot = arg_slot(c, i);
	if (colon)
		word_parse(colon + 1, mask);
	return slots[*slot];
}

static void out_mask(struct ctx *c, unsigned slot, unsigned mask)
{
	char buf[128];

	word_print(W_POLL, mask, buf, sizeof(buf));
	out(c, " s%u:%s", slot, buf);
}

void op_poll(struct ctx *c)
{
	struct timespec ts = {0};
	struct pollfd p[MAX_WORDS];
	unsigned slot[MAX_WORDS], n = 0;
	long mask;
	int r;

	for (unsigned i = 2; i < c->num; i++, n++) {
		p[n].fd = pair(c, i, &slot[n], &mask);
		p[n].events = (short)mask;
		p[n].revents = 0x5555;
	}
	ts.tv_nsec = arg(c, 1) * 1000000;
	/* the same question in two forms */
	r = (int)out_ret(c, c->ord & 1 ? ppoll(p, n, &ts, NULL)
				       : poll(p, n, (int)arg(c, 1)));
	for (unsigned i = 0; i < n && r >= 0; i++)
		out_mask(c, slot[i], (unsigned short)p[i].revents);
}

void op_select(struct ctx *c)
{
	struct timeval tv = {.tv_usec = arg(c, 1) * 1000};
	struct timespec ts = {.tv_nsec = arg(c, 1) * 1000000};
	fd_set set[3];
	int r, fd, max = -1;
	unsigned slot;
	long mask;

	memset(set, 0, sizeof(set));
	for (unsigned i = 2; i < c->num; i++) {
		fd = pair(c, i, &slot, &mask);
		if (fd < 0 || fd >= FD_SETSIZE)
			continue;
		max = fd > max ? fd : max;
		if (mask & POLLIN)
			FD_SET(fd, &set[0]);
		if (mask & POLLOUT)
			FD_SET(fd, &set[1]);
		if (mask & POLLPRI)
			FD_SET(fd, &set[2]);
	}
	r = (int)out_ret(c, c->ord & 1 ? pselect(max + 1, &set[0], &set[1],
						 &set[2], &ts, NULL)
				       : select(max + 1, &set[0], &set[1],
						&set[2], &tv));
	for (unsigned i = 2; i < c->num && r >= 0; i++) {
		fd = pair(c, i, &slot, &mask);
		if (fd < 0 || fd >= FD_SETSIZE)
			continue;
		out_mask(c, slot,
			 (FD_ISSET(fd, &set[0]) ? POLLIN : 0u) |
				 (FD_ISSET(fd, &set[1]) ? POLLOUT : 0u) |
				 (FD_ISSET(fd, &set[2]) ? POLLPRI : 0u));
	}
}

void op_epoll(struct ctx *c)
{
	unsigned slot = arg_slot(c, 1);
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		out_ret(c, fd);
	else
		out(c, " = s%u", slot);
	put_slot(slot, fd);
}

void op_epoll_ctl(struct ctx *c)
{
	struct epoll_event ev = {.events = (uint32_t)arg(c, 4)};

	ev.data.u64 = 0xdad0000000000000u + arg_slot(c, 3);
	out_ret(c, epoll_ctl(arg_fd(c, 1), (int)arg(c, 2), arg_fd(c, 3), &ev));
}

/* In which order events are given is nobody's business. */
static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	return (x->data.u64 > y->data.u64) - (x->data.u64 < y->data.u64);
}

void op_epoll_wait(struct ctx *c)
{
	struct epoll_event ev[NUM_SLOTS];
	struct timespec ts = {0};
	int n = (int)arg(c, 2), r;

	memset(ev, 0, sizeof(ev));
	if (n > NUM_SLOTS)
		n = NUM_SLOTS;
	ts.tv_nsec = arg(c, 3) * 1000000;
	r = (int)out_ret(
		c, c->ord & 1
			   ? epoll_pwait2(arg_fd(c, 1), ev, n, &ts, NULL)
			   : epoll_wait(arg_fd(c, 1), ev, n, (int)arg(c, 3)));
	if (r > 1)
		qsort(ev, (size_t)r, sizeof(*ev), by_data);
	for (int i = 0; i < r; i++)
		out_mask(c, (unsigned)(ev[i].data.u64 & 0xffff), ev[i].events);
}
