/* SPDX-License-Identifier: MIT */
#include "packetdrill_epoll.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/util.h"

#define MAX_SETS 8
#define MAX_ITEMS 32

struct item {
	int fd; /* -1: free */
	struct epoll_event ev;
	bool is_off; /* EPOLLONESHOT, and told */
	bool told;   /* of what holds since these: */
	struct pd_state seen;
};

static struct set {
	int fd; /* 0: free */
	struct item items[MAX_ITEMS];
} sets[MAX_SETS];

static struct set *find_set(int fd)
{
	for (unsigned i = 0; i < MAX_SETS; i++)
		if (sets[i].fd == fd)
			return &sets[i];
	return NULL;
}

static struct item *find_item(struct set *s, int fd)
{
	for (unsigned i = 0; i < MAX_ITEMS; i++)
		if (s->items[i].fd == fd)
			return &s->items[i];
	return NULL;
}

int pd_epoll_new(void)
{
	struct set *s = find_set(0);

	if (!s)
		return -EMFILE;
	s->fd = eventfd(0, EFD_CLOEXEC); /* a number that nobody else has */
	for (unsigned i = 0; i < MAX_ITEMS; i++)
		s->items[i].fd = -1;
	return s->fd;
}

int pd_epoll_ctl(int epfd, int op, int fd, const struct epoll_event *ev)
{
	struct set *s = find_set(epfd);
	struct item *it = s ? find_item(s, fd) : NULL;

	if (!s)
		return -EBADF;
	if (op == EPOLL_CTL_ADD) {
		if (it)
			return -EEXIST;
		it = find_item(s, -1);
		if (!it)
			return -ENOSPC;
	} else if (!it) {
		return -ENOENT;
	}
	*it = (struct item){.fd = op == EPOLL_CTL_DEL ? -1 : fd};
	if (op != EPOLL_CTL_DEL)
		it->ev = *ev;
	return 0;
}

/* Edge triggered: only what became so since it was last told. */
static bool is_news(const struct item *it, const struct pd_state *now)
{
	if (!(it->ev.events & EPOLLET) || !it->told)
		return true;
	return now->in_seq != it->seen.in_seq ||
	       now->out_seq != it->seen.out_seq || now->bits & ~it->seen.bits;
}

int pd_epoll_look(int epfd, struct epoll_event *ev, int max, pd_state_fn state)
{
	struct set *s = find_set(epfd);
	int n = 0;

	if (!s)
		return -EBADF;
	for (unsigned i = 0; i < MAX_ITEMS && n < max; i++) {
		struct item *it = &s->items[i];
		struct pd_state now;
		uint32_t bits;

		if (it->fd < 0 || it->is_off)
			continue;
		now = state(it->fd);
		bits = now.bits & (it->ev.events | EPOLLERR | EPOLLHUP);
		if (bits && is_news(it, &now)) {
			ev[n] = it->ev;
			ev[n++].events = bits;
			it->told = true;
			it->is_off = it->ev.events & EPOLLONESHOT;
		}
		it->seen = now;
	}
	return n ? n : -EAGAIN;
}

void pd_epoll_close(int fd)
{
	struct set *s = find_set(fd);

	if (s)
		s->fd = 0;
	for (unsigned i = 0; i < MAX_SETS; i++) {
		struct item *it = sets[i].fd ? find_item(&sets[i], fd) : NULL;

		if (it)
			it->fd = -1;
	}
}
