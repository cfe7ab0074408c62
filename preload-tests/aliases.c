/* SPDX-License-Identifier: MIT
 *
 * aliases.c - the second names that libc exports, and the fortified ones,
 * called by name
 */
#include "lib/pair.h"
#include <dlfcn.h>
#include <sys/select.h>

static void *named(const char *name)
{
	void *p = dlsym(RTLD_DEFAULT, name);

	if (!p)
		say("no %s", name);
	return p;
}

/* The function called @name, with the type of the one that headers declare. */
#define NAMED(name, type)                     \
	__extension__({                       \
		__typeof__(type) *f_;         \
		void *p_ = named(name);       \
		memcpy(&f_, &p_, sizeof(p_)); \
		f_;                           \
	})

static void connected(const struct t_fam *f, int sv[2])
{
	int lfd = t_listener(f, 1);
	struct t_addr a = t_addr(f->us, t_local_port(lfd));

	sv[0] = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	CALL(NAMED("__connect", connect)(sv[0], &a.sa, a.len));
	sv[1] = (int)MUST(accept(lfd, NULL, NULL));
	CALL(NAMED("__close", close)(lfd));
}

static void fortified(int sv[2])
{
	ssize_t (*recv_chk)(int, void *, size_t, size_t, int) =
		NAMED("__recv_chk", *recv_chk);
	ssize_t (*read_chk)(int, void *, size_t, size_t) =
		NAMED("__read_chk", *read_chk);
	ssize_t (*recvfrom_chk)(int, void *, size_t, size_t, int,
				struct sockaddr *, socklen_t *) =
		NAMED("__recvfrom_chk", *recvfrom_chk);
	ssize_t (*pread_chk)(int, void *, size_t, off_t, size_t) =
		NAMED("__pread_chk", *pread_chk);
	ssize_t (*pread64_chk)(int, void *, size_t, off64_t, size_t) =
		NAMED("__pread64_chk", *pread64_chk);
	int (*poll_chk)(struct pollfd *, nfds_t, int, size_t) =
		NAMED("__poll_chk", *poll_chk);
	int (*ppoll_chk)(struct pollfd *, nfds_t, const struct timespec *,
			 const sigset_t *, size_t) =
		NAMED("__ppoll_chk", *ppoll_chk);
	int (*dprintf_chk)(int, int, const char *, ...) =
		NAMED("__dprintf_chk", *dprintf_chk);
	struct pollfd p = {sv[1], POLLIN | POLLOUT, 0};
	struct t_addr a = {.len = sizeof(a.ss)};
	char buf[8] = "";

	CALL(dprintf_chk(sv[0], 1, "%s%d", "abcdefgh", 12345));
	t_wait_bytes(sv[1], 13);
	CALL(poll_chk(&p, 1, 0, sizeof(p)));
	say("%s", t_mask((unsigned)p.revents));
	CALL(ppoll_chk(&p, 1, NULL, NULL, sizeof(p)));
	CALL(recv_chk(sv[1], buf, 3, sizeof(buf), MSG_PEEK));
	CALL(read_chk(sv[1], buf, 3, sizeof(buf)));
	CALL(recv_chk(sv[1], buf + 3, 4, sizeof(buf) - 3, 0));
	say("%s", buf);
	CALL(recvfrom_chk(sv[1], buf, 2, sizeof(buf), 0, &a.sa, &a.len));
	CALL(pread_chk(sv[1], buf, 2, 0, sizeof(buf)));
	CALL(pread64_chk(sv[1], buf, 2, 0, sizeof(buf)));
}

static void plain(int sv[2])
{
	struct pollfd p = {sv[1], POLLIN | POLLOUT, 0};
	struct timeval tv = {0, 0};
	char buf[16] = "";
	fd_set r;

	CALL(NAMED("__send", send)(sv[0], "send", 4, MSG_NOSIGNAL));
	CALL(NAMED("__write", write)(sv[0], "write", 5));
	t_wait_bytes(sv[1], 13); /* and 4 from before */
	CALL(NAMED("__poll", poll)(&p, 1, 0));
	FD_ZERO(&r);
	FD_SET(sv[1], &r);
	CALL(NAMED("__select", select)(sv[1] + 1, &r, NULL, NULL, &tv));
	CALL(NAMED("__read", read)(sv[1], buf, sizeof(buf)));
	say("%s", buf);
	CALL(NAMED("__pread64", pread64)(sv[1], buf, 1, 0));
	CALL(NAMED("__pwrite64", pwrite64)(sv[1], buf, 1, 0));
	CALL(NAMED("__fcntl", fcntl)(sv[0], F_SETFL, O_NONBLOCK));
	CALL(NAMED("fcntl64", fcntl)(sv[0], F_GETFL));
	CALL(NAMED("__read", read)(sv[0], buf, sizeof(buf)));
	CALL(NAMED("__dup2", dup2)(sv[0], 70));
	CALL(NAMED("__close", close)(sv[0]));
	CALL(NAMED("__write", write)(70, "x", 1));
	CALL(NAMED("__close", close)(70));
	CALL(NAMED("__read", read)(sv[1], buf, sizeof(buf)));
	CALL(NAMED("__read", read)(sv[1], buf, sizeof(buf)));
	CALL(NAMED("__close", close)(sv[1]));
	CALL(NAMED("__close", close)(sv[1]));
}

/* A port below 1024, as for rlogin and NFS. */
static void reserved(void)
{
	int (*bindresvport)(int, struct sockaddr_in *) =
		NAMED("bindresvport", *bindresvport);
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct t_addr a = {.len = sizeof(a.ss)};
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), fd2, port;

	CALL(bindresvport(fd, NULL));
	port = t_local_port(fd);
	say("reserved %d", port >= 600 && port < 1024);
	CALL(bindresvport(fd, NULL));
	fd2 = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	CALL(bindresvport(fd2, &in));
	MUST(getsockname(fd2, &a.sa, &a.len));
	say("the one that is told %d", in.sin_port == a.in.sin_port);
	in.sin_family = AF_INET6;
	CALL(bindresvport(fd2, &in));
	CALL(bindresvport(-1, NULL));
	close(fd);
	close(fd2);
}

int main(void)
{
	int sv[2];

	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		connected(&t_fams[i], sv);
		fortified(sv);
		plain(sv);
	}
	reserved();
	return 0;
}
