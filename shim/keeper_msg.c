/* SPDX-License-Identifier: MIT
 *
 * keeper_msg.c - names and messages, on both ends alike
 */
#include "keeper.h"
#include "sys.h"

#define FAR_PREFIX "tcpshim-far-"
#define FAR_SECRET 8 /* bytes of the secret in a name: who is whose */

uint64_t keeper_layout(void)
{
	const uint64_t sizes[] = {
		sizeof(struct shared),
		sizeof(struct seat),
		sizeof(struct kit),
		sizeof(struct tx_batch),
		sizeof(struct party),
		sizeof(struct keeper_req),
		sizeof(struct frame),
		stack_layout(),
		offsetof(struct shared, parties),
		offsetof(struct shared, st),
	};
	uint64_t h = 1;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		h = (h ^ sizes[i]) * 0x9e3779b97f4a7c15;
	return h;
}

/* An abstract name: no NUL at the end. */
static socklen_t name_len(const struct sockaddr_un *sa)
{
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   strlen(sa->sun_path + 1));
}

socklen_t keeper_addr(struct sockaddr_un *sa, const char *dev, unsigned uid)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	log_snprintf(sa->sun_path + 1, sizeof(sa->sun_path) - 1,
		     "tcpshim-%s-%u", dev, uid);
	return name_len(sa);
}

socklen_t keeper_far_addr(struct sockaddr_un *sa, const uint8_t secret[16],
			  uint32_t num)
{
	uint64_t part;

	memcpy(&part, secret, FAR_SECRET);
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	log_snprintf(sa->sun_path + 1, sizeof(sa->sun_path) - 1,
		     FAR_PREFIX "%llx-%u", (unsigned long long)part, num);
	return name_len(sa);
}

uint32_t keeper_far_number(const struct sockaddr_un *sa, socklen_t len)
{
	const char *name = sa->sun_path + 1, *p, *end;
	uint32_t num = 0;

	if (len <= offsetof(struct sockaddr_un, sun_path) + 1 ||
	    sa->sun_family != AF_UNIX || sa->sun_path[0])
		return 0;
	end = (const char *)sa + len;
	if ((size_t)(end - name) <= strlen(FAR_PREFIX) ||
	    memcmp(name, FAR_PREFIX, strlen(FAR_PREFIX)))
		return 0;
	p = memchr(name + strlen(FAR_PREFIX), '-',
		   (size_t)(end - name) - strlen(FAR_PREFIX));
	for (; p && ++p < end && *p >= '0' && *p <= '9';)
		num = num * 10 + (uint32_t)(*p - '0');
	return num;
}

union fds_space {
	char buf[CMSG_SPACE(3 * sizeof(int))];
	struct cmsghdr align;
};

long keeper_send(int fd, const void *msg, size_t len, const int *fds,
		 unsigned num_fds)
{
	struct iovec v = {(void *)(uintptr_t)msg, len};
	union fds_space space = {0};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (num_fds) {
		struct cmsghdr *c;

		m.msg_control = space.buf;
		m.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, num_fds * sizeof(int));
	}
	return sys(sendmsg, fd, &m, MSG_NOSIGNAL);
}

long keeper_recv(int fd, void *msg, size_t len, int *fds, unsigned *num_fds)
{
	struct iovec v = {msg, len};
	union fds_space space = {0};
	struct msghdr m = {
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = space.buf,
		.msg_controllen = sizeof(space.buf),
	};
	struct cmsghdr *c;
	long r = sys(recvmsg, fd, &m, MSG_CMSG_CLOEXEC);

	*num_fds = 0;
	if (r < 0)
		return r;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		*num_fds =
			(unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *num_fds * sizeof(int));
	}
	return r;
}
