/* SPDX-License-Identifier: MIT
 *
 * sock_create.c - socket(2): what can be made, what cannot, and its errno
 */
#include "t.h"

static void try_one(int af, int type, int proto)
{
	int fd = socket(af, type, proto);
	int v = -1;
	socklen_t len = sizeof(v);

	if (fd < 0) {
		say("socket(%d, %#x, %d) %s", af, type, proto, t_err(errno));
		return;
	}
	printf("socket(%d, %#x, %d) ok", af, type, proto);
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len);
	printf(" type %d", v);
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &len);
	printf(" domain %d", v);
	getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &len);
	printf(" proto %d", v);
	printf(" cloexec %d nonblock %d", fcntl(fd, F_GETFD) & FD_CLOEXEC,
	       !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	say(" %s", t_mask(t_poll_now(fd, T_ALL)));
	close(fd);
}

int main(void)
{
	static const int afs[] = {AF_INET, AF_INET6};

	t_init();
	for (int i = 0; i < 2; i++) {
		int af = afs[i];

		try_one(af, SOCK_STREAM, 0);
		try_one(af, SOCK_STREAM, IPPROTO_TCP);
		try_one(af, SOCK_STREAM, IPPROTO_UDP);
		try_one(af, SOCK_DGRAM, 0);
		try_one(af, SOCK_DGRAM, IPPROTO_UDP);
		try_one(af, SOCK_DGRAM, IPPROTO_TCP);
		try_one(af, SOCK_STREAM | SOCK_NONBLOCK, 0);
		try_one(af, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		try_one(af, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		try_one(af, SOCK_STREAM | 0x100, 0);
		try_one(af, 0, 0);
		try_one(af, 11, 0);
		try_one(af, SOCK_RDM, 0);
		try_one(af, SOCK_STREAM, 255);
		try_one(af, SOCK_STREAM, -1);
		try_one(af, SOCK_STREAM, 10000);
		try_one(af, SOCK_DGRAM, 200);
	}
	try_one(-1, SOCK_STREAM, 0);
	try_one(200, SOCK_STREAM, 0);
	try_one(AF_UNIX, SOCK_STREAM, 0);
	try_one(AF_UNIX, SOCK_DGRAM, 0);
	CALL(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0, 0}));
	CALL(socketpair(AF_INET6, SOCK_DGRAM, 0, (int[2]){0, 0}));
	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0, 0}));
	return 0;
}
