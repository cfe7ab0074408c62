/* SPDX-License-Identifier: MIT
 *
 * heirs.c - what a program does first with a socket that it inherited
 *
 * Whoever started it closes its own number at once. The program may do nothing
 * with the socket, or anything; as long as it has it the connection lives.
 */
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "t.h"

extern char **environ;
static char *self;

/* --- the program that inherits --- */

static int echo_all(int fd)
{
	return t_echo_all(fd, fd);
}

static int do_idle(int fd)
{
	struct stat st;
	char byte;

	while (read(0, &byte, 1) > 0)
		;
	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? 0 : 1;
}

static int do_dup(int fd)
{
	int copy = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 50);

	close(fd);
	close(high);
	return echo_all(copy);
}

static int do_fork(int fd)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(echo_all(fd));
	close(fd);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static int do_both(int fd)
{
	char buf[300];
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(recv(fd, buf, 300, MSG_WAITALL) == 300 &&
				      send(fd, buf, 300, 0) == 300
			      ? 0
			      : 1);
	waitpid(pid, &status, 0);
	if (recv(fd, buf, 300, MSG_WAITALL) != 300)
		return 2;
	return WEXITSTATUS(status);
}

static int do_poll(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	return poll(&p, 1, T_PATIENCE) == 1 && p.revents & POLLIN ? echo_all(fd)
								  : 3;
}

static int do_epoll(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0);

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		return 4;
	return epoll_wait(ep, &ev, 1, T_PATIENCE) == 1 ? echo_all(fd) : 5;
}

static int do_nonblock(int fd)
{
	char buf[600];
	int r = fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);

	/* nothing has come: the peer is told to send by what we write */
	if (r < 0 || read(fd, buf, 1) >= 0 || errno != EAGAIN)
		return 6;
	if (write(fd, "\0", 1) != 1 || fcntl(fd, F_SETFL, O_RDWR) < 0)
		return 7;
	if (recv(fd, buf, 600, MSG_WAITALL) != 600)
		return 8;
	return write(fd, buf + 1, 599) == 599 ? 0 : 9;
}

static int do_exec(int fd)
{
	char number[12];

	snprintf(number, sizeof(number), "%d", fd);
	execl(self, self, "poll", number, NULL);
	return 8;
}

static int do_name(int fd)
{
	struct t_addr a = {.len = sizeof(a.ss)};
	int type = 0;
	socklen_t len = sizeof(type);

	if (getpeername(fd, &a.sa, &a.len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return 9;
	return type == SOCK_STREAM && a.sa.sa_family != AF_UNIX ? echo_all(fd)
								: 10;
}

/* Another file gets the number. */
static int do_over(int fd)
{
	int null = open("/dev/null", O_RDWR);

	if (dup2(null, fd) != fd || write(fd, "x", 1) != 1 ||
	    read(fd, (char[1]){0}, 1) != 0)
		return 11;
	return close(null);
}

static int do_again(int fd)
{
	close(fd);
	return open("/dev/null", O_RDWR) == fd && write(fd, "x", 1) == 1 ? 0
									 : 12;
}

static int do_closed(int fd)
{
	closefrom(3);
	return fcntl(fd, F_GETFD) < 0 && errno == EBADF ? 0 : 13;
}

static const struct {
	const char *name;
	int (*run)(int fd);
} programs[] = {
	{"echo", echo_all},	   {"dup", do_dup},	  {"fork", do_fork},
	{"both", do_both},	   {"poll", do_poll},	  {"epoll", do_epoll},
	{"exec", do_exec},	   {"name", do_name},	  {"over", do_over},
	{"again", do_again},	   {"closed", do_closed}, {"idle", do_idle},
	{"nonblock", do_nonblock},
};

static int other_program(const char *what, int fd)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
		if (!strcmp(programs[i].name, what))
			return programs[i].run(fd);
	return 99;
}

/* --- who starts it --- */

/* Its standard input is @in. */
static pid_t start(const char *what, int fd, int in)
{
	char number[12], how[16];
	char *argv[] = {self, how, number, NULL};
	posix_spawn_file_actions_t a;
	pid_t pid;

	snprintf(how, sizeof(how), "%s", what);
	snprintf(number, sizeof(number), "%d", fd);
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, in, 0);
	fflush(stdout);
	errno = posix_spawn(&pid, self, &a, NULL, argv, environ);
	if (errno)
		t_die("posix_spawn");
	posix_spawn_file_actions_destroy(&a);
	return pid;
}

static void say_exit(const char *label, pid_t pid)
{
	int status = 0;

	MUST(waitpid(pid, &status, 0));
	say("%s: %s %d", label, WIFSIGNALED(status) ? "signal" : "exit",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void used(const struct t_fam *f, const char *what)
{
	int null = open("/dev/null", O_RDONLY), fd = t_connected(f, 0);
	pid_t pid = start(what, fd, null);

	say("first: %s", what);
	close(null);
	close(fd);
	if (!strcmp(what, "nonblock"))
		peer("recv 0 1");
	peer("send 0 600");
	peer("recv 0 %d", !strcmp(what, "both")	      ? 300
			  : !strcmp(what, "nonblock") ? 599
						      : 600);
	peer("shut 0 1");
	say_exit(what, pid);
	peer("end 0");
	peer("close 0");
}

/* It takes the connection along when it is gone, not before. */
static void left(const struct t_fam *f, const char *what)
{
	int fd = t_connected(f, 0), pipefd[2];
	pid_t pid;

	say("only: %s", what);
	MUST(pipe2(pipefd, O_CLOEXEC));
	pid = start(what, fd, pipefd[0]);
	close(fd);
	if (!strcmp(what, "idle"))
		peer("send 0 10");
	close(pipefd[0]);
	close(pipefd[1]);
	say_exit(what, pid);
	peer("end 0");
	peer("close 0");
}

int main(int argc, char **argv)
{
	static const char *const uses[] = {
		"dup",	    "fork", "both", "poll", "epoll",
		"nonblock", "exec", "name", "echo",
	};
	static const char *const none[] = {"idle", "over", "again", "closed"};

	self = realpath(argv[0], NULL);
	if (argc == 3)
		return other_program(argv[1], atoi(argv[2]));
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		for (size_t u = 0; u < sizeof(uses) / sizeof(*uses); u++)
			used(f, uses[u]);
		for (size_t n = 0; n < sizeof(none) / sizeof(*none); n++)
			left(f, none[n]);
	}
	return 0;
}
