/* SPDX-License-Identifier: MIT
 *
 * children.c - the children of a program are those that it has made: wait() in
 * all its forms, SIGCHLD, a subreaper, and a child that ends while its parent
 * uses the network
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "t.h"

static volatile sig_atomic_t num_sigchld;

static void on_sigchld(int sig)
{
	num_sigchld++;
}

static void nobody(const char *when)
{
	siginfo_t si = {0};

	say("%s", when);
	CALL(wait(NULL));
	CALL(waitpid(-1, NULL, WNOHANG));
	CALL(waitpid(-1, NULL, WNOHANG | __WALL));
	CALL(waitpid(-1, NULL, WNOHANG | __WCLONE));
	CALL(waitpid(0, NULL, WNOHANG));
	CALL(waitid(P_ALL, 0, &si, WEXITED | WSTOPPED | WCONTINUED | WNOHANG));
	CALL(wait3(NULL, WNOHANG, NULL));
	say("signals: %d", (int)num_sigchld);
}

/* Is anybody else in this session or process group? */
static void mine_alone(const struct t_fam *f)
{
	int fd;

	say("a session of its own");
	MUST(setsid());
	fd = t_connected(f, 0);
	CALL(send(fd, "\0", 1, 0));
	peer("recv 0 1");
	signal(SIGTERM, SIG_IGN);
	CALL(kill(0, SIGTERM)); /* the others of the group are nobody */
	CALL(send(fd, "\1", 1, 0));
	peer("recv 0 1");
	close(fd);
	peer("end 0");
	peer("close 0");
}

static void one_child(const struct t_fam *f)
{
	int fd = t_connected(f, 0), status;
	pid_t pid;

	say("a child that uses a socket");
	num_sigchld = 0;
	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (pid == 0)
		_exit(send(fd, "\0\1", 2, 0) == 2 ? 3 : 4);
	CALL(wait(&status) == pid);
	say("status %#x", status);
	peer("recv 0 2");
	nobody("after it");
	num_sigchld = 0;
	close(fd);
	peer("end 0");
	peer("close 0");
}

/* Children that nobody waits for go by themselves. */
static void ignored(const struct t_fam *f)
{
	int fd = t_connected(f, 0);

	say("SIGCHLD ignored");
	signal(SIGCHLD, SIG_IGN);
	fflush(stdout);
	for (int i = 0; i < 3; i++)
		if (MUST(fork()) == 0)
			_exit(send(fd, "x", 1, 0) != 1);
	CALL(wait(NULL)); /* until the last one has gone */
	t_settle(fd, POLLOUT);
	peer("has 0 3");
	signal(SIGCHLD, on_sigchld);
	close(fd);
	peer("drain 0 3");
	peer("close 0");
}

/* Orphans below us become our children; what the library started does not. */
static void subreaper(const struct t_fam *f)
{
	int fd, status;
	int p[2];
	char c;

	say("a subreaper");
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	fd = t_connected(f, 0);
	CALL(waitpid(-1, NULL, WNOHANG | __WALL));
	MUST(pipe(p));
	fflush(stdout);
	if (MUST(fork()) == 0) {
		if (fork() == 0) {
			close(p[1]);
			MUST(read(p[0], &c, 1) == 0 ? 0 : -1);
			_exit(send(fd, "\0", 1, 0) == 1 ? 5 : 6);
		}
		_exit(7);
	}
	CALL(wait(&status) > 0);
	say("status %#x", status);
	close(p[1]);
	CALL(wait(&status) > 0); /* the orphan */
	say("status %#x", status);
	close(p[0]);
	CALL(wait(&status));
	peer("recv 0 1");
	close(fd);
	peer("end 0");
	peer("close 0");
}

/* A handler that reaps while the program is in the network. */
static volatile sig_atomic_t num_reaped;

static void on_reap(int sig)
{
	int saved = errno;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		num_reaped++;
	errno = saved;
}

static void reaped(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	struct sigaction sa = {.sa_handler = on_reap, .sa_flags = SA_RESTART};
	char buf[64];
	ssize_t n = 0, r;

	say("reaped by a handler");
	num_reaped = 0;
	MUST(sigaction(SIGCHLD, &sa, NULL));
	peer_quiet("echo 0");
	fflush(stdout);
	for (int i = 0; i < 8; i++) {
		if (MUST(fork()) == 0)
			_exit(send(fd, "abcd", 4, 0) != 4);
		r = recv(fd, buf, 4, MSG_WAITALL);
		if (r > 0)
			n += r;
	}
	for (int i = 0; i < T_PATIENCE && num_reaped < 8; i++)
		poll(NULL, 0, 1);
	say("%zd bytes, %d children", n, (int)num_reaped);
	nobody("and then");
	signal(SIGCHLD, on_sigchld);
	num_sigchld = 0;
	close(fd);
	peer("join");
}

int main(void)
{
	int is = 0;

	/* before the first socket: the keeper would become our child */
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	signal(SIGCHLD, on_sigchld);
	t_init();
	close((int)MUST(socket(AF_INET, SOCK_STREAM, 0)));
	nobody("after the first socket");
	MUST(prctl(PR_GET_CHILD_SUBREAPER, &is));
	say("a subreaper still: %d", is);
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 0));
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		one_child(f);
		ignored(f);
		reaped(f);
		subreaper(f);
		MUST(prctl(PR_SET_CHILD_SUBREAPER, 0));
	}
	fflush(stdout);
	if (MUST(fork()) == 0) {
		mine_alone(&t_fams[0]);
		fflush(stdout);
		_exit(0);
	}
	CALL(wait(NULL) > 0);
	return 0;
}
