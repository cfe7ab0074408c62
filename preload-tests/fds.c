/* SPDX-License-Identifier: MIT
 *
 * fds.c - numbers: lowest free, dup and its kin, CLOEXEC, flags that copies
 * share, what is left when one copy is closed, fstat
 */
#include "t.h"
#include <sys/resource.h>
#include <sys/stat.h>

static void numbers(int af)
{
	int a = (int)CALL(socket(af, SOCK_STREAM, 0));
	int b = (int)CALL(socket(af, SOCK_DGRAM, 0));
	int c = (int)CALL(dup(a));
	int d;

	CALL(close(b));
	CALL(socket(af, SOCK_STREAM, 0));
	CALL(close(a));
	d = (int)CALL(open("/dev/null", O_RDONLY)); /* a's number */
	CALL(fcntl(c, F_DUPFD, 50));
	CALL(fcntl(c, F_DUPFD, 50));
	CALL(dup2(c, 70));
	CALL(dup2(c, c));
	CALL(dup3(c, c, 0));
	CALL(dup3(c, 71, O_CLOEXEC));
	CALL(dup3(c, 72, 1));
	CALL(dup2(c, -1));
	CALL(dup2(-1, 5));
	CALL(dup(-1));
	CALL(dup(999));
	CALL(fcntl(c, F_DUPFD, -1));
	CALL(fcntl(c, F_DUPFD_CLOEXEC, 60));
	say("cloexec: %d %d %d %d", (int)fcntl(50, F_GETFD),
	    (int)fcntl(70, F_GETFD), (int)fcntl(71, F_GETFD),
	    (int)fcntl(60, F_GETFD));
	CALL(fcntl(50, F_SETFD, FD_CLOEXEC));
	say("cloexec is each number's own: %d %d", (int)fcntl(50, F_GETFD),
	    (int)fcntl(51, F_GETFD));
	CALL(close(50));
	CALL(close(50));
	CALL(close(51));
	CALL(close(60));
	CALL(close(70));
	CALL(close(71));
	CALL(close(b));
	CALL(close(c));
	CALL(close(d));
	CALL(close(-1));
	CALL(close(c));
	CALL(socket(af, SOCK_STREAM, 0));
	CALL(close(a));
}

static void copies(const struct t_fam *f)
{
	int fd = t_connected(f, 0), fd2 = (int)MUST(dup(fd)), v = 0;
	socklen_t len = sizeof(v);
	char c;

	CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
	say("O_NONBLOCK is shared: %d", !!(fcntl(fd2, F_GETFL) & O_NONBLOCK));
	CALL(recv(fd2, &c, 1, 0));
	CALL(fcntl(fd2, F_SETFL, 0));
	say("F_GETFL %#x %#x", (unsigned)fcntl(fd, F_GETFL),
	    (unsigned)fcntl(fd2, F_GETFL));
	v = 1;
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)));
	v = 0;
	MUST(getsockopt(fd2, IPPROTO_TCP, TCP_NODELAY, &v, &len));
	say("TCP_NODELAY is shared: %d", v);
	CALL(close(fd));
	CALL(send(fd2, "\0", 1, 0));
	peer("recv 0 1");
	CALL(recv(fd, &c, 1, 0));
	CALL(send(fd, "x", 1, 0));
	CALL(write(fd, "x", 1));
	CALL(read(fd, &c, 1));
	say("closed number: %s", t_mask(t_poll_now(fd, POLLIN)));
	CALL(close(fd2)); /* only now is it the end */
	peer("end 0");
	peer("close 0");

	/* dup2 over a socket closes that one */
	fd = t_connected(f, 0);
	fd2 = t_connected(f, 1);
	CALL(dup2(fd, fd2));
	peer("end 1");
	CALL(send(fd2, "\0", 1, 0));
	peer("recv 0 1");
	close(fd);
	close(fd2);
	peer("end 0");
	/* and a file over a socket, a socket over a file */
	fd = t_connected(f, 0);
	fd2 = (int)MUST(open("/dev/null", O_RDWR));
	CALL(dup2(fd2, fd));
	peer("end 0");
	CALL(write(fd, "x", 1));
	CALL(send(fd, "x", 1, 0));
	close(fd);
	fd = t_connected(f, 0);
	CALL(dup2(fd, fd2));
	CALL(write(fd2, "\0\1", 2));
	peer("recv 0 2");
	close(fd);
	close(fd2);
	peer("end 0");
	peer("close 0");
	peer("close 1");
}

/* On 0 and 1 too, as inetd would. */
static void low_numbers(const struct t_fam *f)
{
	int fd = t_connected(f, 0), save = (int)MUST(dup(0));
	char c;

	CALL(dup2(fd, 0));
	close(fd);
	peer("send 0 1");
	CALL(read(0, &c, 1));
	CALL(write(0, "\0", 1));
	peer("recv 0 1");
	CALL(dup2(save, 0));
	peer("end 0");
	close(save);
	peer("close 0");
}

static void metadata(const struct t_fam *f)
{
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0)), fd2;
	struct stat st, st2;

	CALL(fstat(fd, &st));
	say("S_ISSOCK %d", S_ISSOCK(st.st_mode));
	fd2 = (int)MUST(dup(fd));
	MUST(fstat(fd2, &st2));
	say("same inode %d", st.st_ino == st2.st_ino);
	CALL(ftruncate(fd, 0));
	CALL(fsync(fd));
	CALL(fcntl(fd, F_GETOWN));
	CALL(fcntl(fd, 9999));
	CALL(close_range((unsigned)fd, (unsigned)fd + 1, 0));
	CALL(close(fd));
}

/* No number is left: the errno, and nothing leaks. */
static void exhausted(int af)
{
	struct rlimit lim, old;
	struct pollfd v[20];
	int fds[64], n = 0;

	MUST(getrlimit(RLIMIT_NOFILE, &old));
	lim = old;
	lim.rlim_cur = 12;
	MUST(setrlimit(RLIMIT_NOFILE, &lim));
	while (n < 64 && (fds[n] = socket(af, SOCK_STREAM, 0)) >= 0)
		n++;
	say("%d sockets, then %s", n, t_err(errno));
	CALL(dup(fds[0]));
	for (int i = 0; i < 20; i++)
		v[i] = (struct pollfd){fds[0], POLLOUT, 0};
	CALL(poll(v, 12, 0));
	CALL(poll(v, 13, 0));
	while (n)
		close(fds[--n]);
	CALL(socket(af, SOCK_STREAM, 0));
	MUST(setrlimit(RLIMIT_NOFILE, &old));
	close(3);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		numbers(t_fams[i].af);
		copies(&t_fams[i]);
		low_numbers(&t_fams[i]);
		metadata(&t_fams[i]);
	}
	exhausted(AF_INET);
	return 0;
}
