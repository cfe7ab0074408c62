/* SPDX-License-Identifier: MIT
 *
 * strangers.c - sockets between programs that are not related: each was started
 * by itself, far from the others, and they meet at a path; one passes what it
 * has by SCM_RIGHTS, or has it taken with pidfd_getfd()
 */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "t.h"

extern char **environ;
static char *self;

/* --- numbers that travel --- */

union control {
	char buf[CMSG_SPACE(4 * sizeof(int))];
	struct cmsghdr align;
};

static int give(int via, const int *fds, size_t n)
{
	struct iovec v = {(char[]){(char)n}, 1};
	union control c = {{0}};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = c.buf,
			   .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(h), fds, n * sizeof(int));
	return (int)sendmsg(via, &m, 0);
}

static int take(int via, int *fds, size_t n)
{
	struct iovec v = {(char[1]){0}, 1};
	union control c;
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = c.buf,
			   .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *h;

	if (recvmsg(via, &m, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	h = CMSG_FIRSTHDR(&m);
	if (!h || h->cmsg_len != CMSG_LEN(n * sizeof(int)))
		return -1;
	memcpy(fds, CMSG_DATA(h), n * sizeof(int));
	return 0;
}

/* --- what a stranger does --- */

static int meet(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		_exit(20);
	return fd;
}

static int reach(int family, int port)
{
	struct t_addr a = t_addr(family == 4 ? PEER4 : PEER6, port);
	int fd = socket(a.sa.sa_family, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, &a.sa, a.len) < 0)
		_exit(21);
	return fd;
}

static int echo_all(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		if (send(fd, buf, (size_t)n, 0) != n)
			return 1;
	return n < 0 ? 2 : 0;
}

/* Serves what it is given, having used no socket before. */
static int receiver(int via)
{
	int fd = -1;

	return take(via, &fd, 1) < 0 ? 10 : echo_all(fd);
}

/* Waits for it in the kernel's poll, with one of its own beside it. */
static int poller(int via, int family)
{
	struct t_addr a = t_addr(family == 4 ? US4 : US6, 0);
	int own = socket(a.sa.sa_family, SOCK_DGRAM, 0), fd[2];
	struct pollfd p[3];

	if (bind(own, &a.sa, a.len) < 0 || take(via, fd, 2) < 0)
		return 10;
	p[0] = (struct pollfd){.fd = own, .events = POLLIN};
	p[1] = (struct pollfd){.fd = fd[0], .events = POLLIN};
	p[2] = (struct pollfd){.fd = via, .events = POLLIN};
	if (poll(p, 3, T_PATIENCE) != 1 || !(p[1].revents & POLLIN))
		return 11;
	close(fd[1]);
	return echo_all(fd[0]);
}

static int giver(int via, int family, int port, bool uses_it)
{
	int fd = reach(family, port);

	if (uses_it && send(fd, "\0\1\2", 3, 0) != 3)
		return 11;
	if (give(via, &fd, 1) < 0)
		return 12;
	close(fd);
	/* goes at once: what it gave may be in flight still */
	return 0;
}

/* Makes a connection, tells who it is, and sits there. */
static int holder(int via, int family, int port)
{
	int say[2] = {getpid(), reach(family, port)};

	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (write(via, say, sizeof(say)) != sizeof(say))
		return 13;
	return read(via, say, 1) == 0 ? 0 : 14;
}

static int stranger(char **argv)
{
	const char *what = argv[1];
	int via = meet(argv[2]), family = atoi(argv[3]), port = atoi(argv[4]);

	if (!strcmp(what, "receiver"))
		return receiver(via);
	if (!strcmp(what, "poller"))
		return poller(via, family);
	if (!strcmp(what, "giver"))
		return giver(via, family, port, true);
	if (!strcmp(what, "handler"))
		return giver(via, family, port, false);
	if (!strcmp(what, "holder"))
		return holder(via, family, port);
	return 9;
}

/* --- the place where they meet --- */

static int door = -1;
static struct sockaddr_un door_name = {.sun_family = AF_UNIX};

static void open_door(void)
{
	snprintf(door_name.sun_path, sizeof(door_name.sun_path), "strangers.%d",
		 (int)getpid());
	unlink(door_name.sun_path);
	door = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST(bind(door, (struct sockaddr *)&door_name, sizeof(door_name)));
	MUST(listen(door, 8));
}

/* Starts one, which has nothing of ours and is nobody's child. */
static int call(const char *what, const struct t_fam *f, int port)
{
	char family[12], number[12];

	snprintf(family, sizeof(family), "%d", f->n);
	snprintf(number, sizeof(number), "%d", port);
	fflush(stdout);
	if (MUST(fork()) == 0) {
		closefrom(3);
		if (fork() > 0)
			_exit(0);
		setsid();
		execl(self, self, what, door_name.sun_path, family, number,
		      NULL);
		_exit(127);
	}
	MUST(wait(NULL));
	return (int)MUST(accept4(door, NULL, NULL, SOCK_CLOEXEC));
}

static void gone(int via)
{
	CALL(read(via, (char[1]){0}, 1)); /* 0: it has ended */
	close(via);
}

static void to_strangers(const struct t_fam *f)
{
	int fd, via, udp;

	say("to one that has no socket");
	via = call("receiver", f, 0);
	fd = t_connected(f, 0);
	CALL(give(via, &fd, 1));
	CALL(close(fd));
	t_echoed();
	gone(via);

	say("to one that waits for its own, too");
	via = call("poller", f, 0);
	fd = t_connected(f, 0);
	udp = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	CALL(give(via, (int[]){fd, udp}, 2));
	CALL(close(fd));
	close(udp);
	t_echoed();
	gone(via);

	say("to one that we stop using, but keep");
	via = call("receiver", f, 0);
	fd = t_connected(f, 0);
	CALL(give(via, &fd, 1));
	peer("send 0 500");
	peer("recv 0 500");
	CALL(shutdown(fd, SHUT_WR));
	peer("end 0");
	peer("shut 0 1");
	gone(via);
	t_settle_say("ours", fd, POLLIN | POLLRDHUP | POLLHUP);
	close(fd);
	peer("close 0");
}

static void from_strangers(const struct t_fam *f)
{
	int port = (int)peer_quiet("listen 90 %d", f->n), via, fd = -1;

	say("from one that has gone");
	via = call("giver", f, port);
	peer_quiet("accept 90 0");
	peer("recv 0 3");
	CALL(recv(via, (char[1]){0}, 1, MSG_PEEK));
	CALL(take(via, &fd, 1));
	gone(via);
	CALL(send(fd, "\3\4", 2, 0));
	peer("recv 0 2");
	peer("send 0 4");
	CALL(recv(fd, (char[4]){0}, 4, MSG_WAITALL));
	CALL(close(fd));
	peer("end 0");
	peer("close 0");

	say("handed on from one to another");
	via = call("handler", f, port);
	peer_quiet("accept 90 0");
	CALL(take(via, &fd, 1));
	gone(via);
	via = call("receiver", f, 0);
	CALL(give(via, &fd, 1));
	close(fd);
	t_echoed();
	gone(via);
	peer_quiet("close 90");
}

static void taken(const struct t_fam *f)
{
	int port = (int)peer_quiet("listen 90 %d", f->n), via, fd, pidfd;
	int said[2];

	say("by pidfd_getfd");
	via = call("holder", f, port);
	peer_quiet("accept 90 0");
	MUST(read(via, said, sizeof(said)));
	pidfd = (int)MUST(syscall(SYS_pidfd_open, said[0], 0));
	fd = (int)MUST(syscall(SYS_pidfd_getfd, pidfd, said[1], 0));
	CALL(fcntl(fd, F_GETFD));
	CALL(send(fd, "\0\1", 2, 0));
	peer("recv 0 2");
	MUST(shutdown(via, SHUT_WR)); /* it goes; we have it still */
	gone(via);
	peer("send 0 7");
	CALL(recv(fd, (char[7]){0}, 7, MSG_WAITALL));
	CALL(send(fd, "\2", 1, 0));
	peer("recv 0 1");
	close(fd);
	peer("end 0");
	peer("close 0");
	close(pidfd);

	say("taken from one that is killed then");
	via = call("holder", f, port);
	peer_quiet("accept 90 0");
	MUST(read(via, said, sizeof(said)));
	pidfd = (int)MUST(syscall(SYS_pidfd_open, said[0], 0));
	fd = (int)MUST(syscall(SYS_pidfd_getfd, pidfd, said[1], 0));
	MUST(kill(said[0], SIGKILL));
	gone(via);
	CALL(send(fd, "\0\1", 2, 0));
	peer("recv 0 2");
	t_settle_say("what is left", fd, POLLOUT);
	close(fd);
	peer("end 0");
	peer("close 0");
	peer_quiet("close 90");
	close(pidfd);
}

int main(int argc, char **argv)
{
	if (argc == 5)
		return stranger(argv);
	self = realpath(argv[0], NULL);
	t_init();
	open_door();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		to_strangers(f);
		from_strangers(f);
		taken(f);
	}
	unlink(door_name.sun_path);
	return 0;
}
