/* SPDX-License-Identifier: MIT
 *
 * rights.c - sockets of ours that travel over an AF_UNIX socket
 *
 * What is sent is the near end, by the kernel. Here it is only noted that there
 * is a copy which we don't see, so that the socket does not go with our last
 * number of it; and a number that comes is looked at, since it may be a near
 * end of this host.
 */
#include "rights.h"

#include "call_priv.h"
#include "user.h"

static const int *next_fds(const struct msghdr *h, struct cmsghdr **c,
			   size_t *num)
{
	struct msghdr copy = *h; /* CMSG_NXTHDR() takes no const */

	for (*c = *c ? CMSG_NXTHDR(&copy, *c) : CMSG_FIRSTHDR(&copy); *c;
	     *c = CMSG_NXTHDR(&copy, *c)) {
		if ((*c)->cmsg_level != SOL_SOCKET ||
		    (*c)->cmsg_type != SCM_RIGHTS ||
		    (*c)->cmsg_len < CMSG_LEN(0))
			continue;
		*num = ((*c)->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		return (const int *)(const void *)CMSG_DATA(*c);
	}
	return NULL;
}

static bool has_control(const struct msghdr *h)
{
	return !user_is_bad(h, sizeof(*h)) && h->msg_control &&
	       h->msg_controllen >= sizeof(struct cmsghdr) &&
	       !user_is_bad(h->msg_control, h->msg_controllen);
}

void rights_go(const struct msghdr *h)
{
	struct cmsghdr *c = NULL;
	const int *fds;
	size_t n;

	if (!fdtab_num || !has_control(h))
		return;
	while ((fds = next_fds(h, &c, &n)))
		for (size_t i = 0; i < n; i++) {
			struct file *f = fd_sock(fds[i]);

			if (f)
				atomic_fetch_or(&f->flags, FILE_SHARED);
		}
}

void rights_came(const struct msghdr *h)
{
	struct cmsghdr *c = NULL;
	const int *fds;
	size_t n;

	if (!has_control(h))
		return;
	while ((fds = next_fds(h, &c, &n)))
		for (size_t i = 0; i < n; i++)
			fd_adopt(fds[i]);
}
