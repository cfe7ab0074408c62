/* SPDX-License-Identifier: MIT
 *
 * rights.c - sockets that travel over an AF_UNIX socket (SCM_RIGHTS): to
 * oneself, to a child that was there before the socket was, and while in flight
 * without another number
 */
#include "lib/pair.h"
#include <sys/wait.h>

union control {
	char buf[CMSG_SPACE(3 * sizeof(int))];
	struct cmsghdr align;
};

static void fill(struct msghdr *m, union control *c, struct iovec *v,
		 const int *fds, size_t n)
{
	struct cmsghdr *h;

	memset(c, 0, sizeof(*c));
	*m = (struct msghdr){.msg_iov = v,
			     .msg_iovlen = 1,
			     .msg_control = c->buf,
			     .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	h = CMSG_FIRSTHDR(m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(h), fds, n * sizeof(int));
}

static void give(int via, const int *fds, size_t n)
{
	struct iovec v = {(char[]){"x"}, 1};
	union control c;
	struct msghdr m;

	fill(&m, &c, &v, fds, n);
	CALL(sendmsg(via, &m, 0));
}

static void take(int via, int *fds, size_t n, int flags)
{
	struct iovec v = {&(char){0}, 1};
	union control c;
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = c.buf,
			   .msg_controllen = sizeof(c.buf)};
	struct cmsghdr *h;

	CALL(recvmsg(via, &m, flags));
	h = CMSG_FIRSTHDR(&m);
	say("%d numbers, flags %#x",
	    h ? (int)((h->cmsg_len - CMSG_LEN(0)) / 4) : 0,
	    (unsigned)m.msg_flags);
	if (h)
		memcpy(fds, CMSG_DATA(h), n * sizeof(int));
}

static void to_myself(const struct t_fam *f)
{
	int via[2], fd = t_connected(f, 0), got[3], udp, p[2];
	char c;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, via));
	give(via[0], &fd, 1);
	take(via[1], got, 1, MSG_CMSG_CLOEXEC);
	CALL(fcntl(got[0], F_GETFD));
	CALL(send(got[0], "\0", 1, 0));
	peer("recv 0 1");
	CALL(close(fd));
	CALL(send(got[0], "\1", 1, 0));
	peer("recv 0 1");
	/* the only one is in flight */
	give(via[0], got, 1);
	CALL(close(got[0]));
	peer("send 0 3");
	take(via[1], got, 1, 0);
	t_wait_bytes(got[0], 3);
	CALL(recv(got[0], &c, 1, 0));
	CALL(send(got[0], "\2", 1, 0));
	peer("recv 0 1");
	/* several, of several kinds */
	udp = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	MUST(pipe(p));
	give(via[0], (int[]){p[1], got[0], udp}, 3);
	close(got[0]);
	close(udp);
	close(p[1]);
	take(via[1], got, 3, 0);
	CALL(write(got[0], "!", 1));
	CALL(read(p[0], &c, 1));
	CALL(send(got[1], "\3", 1, 0));
	peer("recv 0 1");
	CALL(connect(got[2], NULL, 0));
	say_poll("udp", got[2]);
	close(got[0]);
	close(got[1]);
	close(got[2]);
	close(p[0]);
	peer("end 0");
	peer("close 0");
	close(via[0]);
	close(via[1]);
}

/* A worker takes what comes, answers on it and is done. */
static void worker(int via, int go)
{
	int fd;
	char c;

	MUST(read(go, &c, 1));
	take(via, &fd, 1, 0);
	CALL(send(fd, "\0\1\2", 3, 0));
	CALL(close(fd));
	exit(0);
}

static void to_worker(const struct t_fam *f)
{
	int via[2], go[2], fd, status;
	pid_t pid;

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, via));
	MUST(pipe(go));
	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (pid == 0)
		worker(via[1], go[0]);
	fd = t_connected(f, 0);
	give(via[0], &fd, 1);
	CALL(close(fd));
	MUST(write(go[1], "x",
		   1)); /* now there is none but the one in flight */
	MUST(waitpid(pid, &status, 0));
	say("worker: %d", status);
	peer("recv 0 3");
	peer("end 0");
	peer("close 0");
	close(via[0]);
	close(via[1]);
	close(go[0]);
	close(go[1]);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		to_myself(&t_fams[i]);
		to_worker(&t_fams[i]);
	}
	return 0;
}
