/* SPDX-License-Identifier: MIT */
#include "cmsg.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* Real time less the stack's clock, which is the monotonic one. */
static nsec wall(void)
{
	struct timespec mono, real_now;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &real_now);
	return (real_now.tv_sec - mono.tv_sec) * SEC + real_now.tv_nsec -
	       mono.tv_nsec;
}

void cmsg_prepare(struct sock_ctl *c)
{
	c->wall = wall();
	c->len = 0;
}

/* put_cmsg() of Linux: one that has no room is cut, the next ones are left
 * out. How much of @room it took. */
static size_t put_one(char *to, size_t room, const struct cmsghdr *from,
		      const uint8_t *data, int *flags)
{
	struct cmsghdr h = *from;
	size_t len = h.cmsg_len - CMSG_LEN(0);

	if (room < sizeof(h)) {
		*flags |= MSG_CTRUNC;
		return 0;
	}
	if (h.cmsg_len > room) {
		*flags |= MSG_CTRUNC;
		h.cmsg_len = room;
	}
	memcpy(to, &h, sizeof(h));
	memcpy(to + sizeof(h), data, h.cmsg_len - sizeof(h));
	return MIN(CMSG_SPACE(len), room);
}

void cmsg_to_program(struct msghdr *h, const struct sock_ctl *c)
{
	size_t room = h->msg_control ? h->msg_controllen : 0, at = 0;
	char *to = h->msg_control;
	struct cmsghdr one;

	for (uint32_t i = 0; i < c->len; i += CMSG_ALIGN(one.cmsg_len)) {
		memcpy(&one, c->b + i, sizeof(one));
		at += put_one(to + at, room - at, &one, c->b + i + CMSG_LEN(0),
			      &h->msg_flags);
	}
	h->msg_controllen = at;
}

int cmsg_from_program(const struct msghdr *h, struct sock_ctl *c)
{
	c->len = 0;
	if (!h->msg_control)
		return 0;
	if (h->msg_controllen > sizeof(c->b))
		return -ENOBUFS; /* Linux has a limit, too: optmem_max */
	memcpy(c->b, h->msg_control, h->msg_controllen);
	c->len = (uint32_t)h->msg_controllen;
	return 0;
}
