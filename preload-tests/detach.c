/* SPDX-License-Identifier: MIT
 *
 * detach.c - libc replaces 0, 1 and 2 by itself, and one of them is a socket:
 * daemon(), login_tty(), forkpty()
 */
#include "t.h"
#include <pty.h>
#include <sys/wait.h>
#include <utmp.h>

#define OUT_FD 100

/* Runs @fn in a child, and waits until everything that came of it is gone. */
static void apart(void (*fn)(const struct t_fam *), const struct t_fam *f)
{
	int p[2];
	char c;

	MUST(pipe(p));
	fflush(stdout);
	if (MUST(fork()) == 0) {
		close(p[0]);
		MUST(fcntl(1, F_DUPFD, OUT_FD));
		fn(f);
		fflush(stdout);
		_exit(0);
	}
	close(p[1]);
	while (read(p[0], &c, 1) > 0)
		;
	close(p[0]);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void connected_to_0(const struct t_fam *f)
{
	int fd = t_connected(f, 0);

	MUST(dup2(fd, 0));
	close(fd);
	CALL(send(0, "\0", 1, 0));
	peer("recv 0 1");
}

static void replaced(void)
{
	CALL(send(0, "x", 1, 0));
	peer("end 0");
	peer("close 0");
}

static void in_daemon(const struct t_fam *f)
{
	int r;

	connected_to_0(f);
	fflush(stdout);
	r = daemon(1, 0);
	MUST(dup2(OUT_FD, 1));
	say("daemon = %d", r);
	replaced();
}

static void in_login(const struct t_fam *f)
{
	int master, slave, r;

	connected_to_0(f);
	fflush(stdout);
	MUST(setsid());
	MUST(openpty(&master, &slave, NULL, NULL, NULL));
	r = login_tty(slave);
	MUST(dup2(OUT_FD, 1));
	say("login_tty = %d, a terminal: %d", r, isatty(0));
	replaced();
	signal(SIGHUP, SIG_IGN);
}

static void in_pty(const struct t_fam *f)
{
	int master, status;
	pid_t pid;

	connected_to_0(f);
	fflush(stdout);
	pid = (pid_t)MUST(forkpty(&master, NULL, NULL, NULL));
	if (pid == 0) {
		signal(SIGHUP, SIG_IGN);
		MUST(dup2(OUT_FD, 1));
		say("a terminal: %d", isatty(0));
		CALL(send(0, "x", 1, 0));
		fflush(stdout);
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	CALL(send(0, "\1", 1, 0)); /* the parent still has it */
	peer("recv 0 1");
	close(0);
	peer("end 0");
	peer("close 0");
	close(master);
}

int main(void)
{
	t_init();
	signal(SIGHUP, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		apart(in_daemon, &t_fams[i]);
		apart(in_login, &t_fams[i]);
		apart(in_pty, &t_fams[i]);
	}
	return 0;
}
