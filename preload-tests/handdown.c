/* SPDX-License-Identifier: MIT
 *
 * handdown.c - sockets that reach other programs: over exec, by SCM_RIGHTS, by
 * pidfd_getfd, as standard input and output
 */
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "t.h"

extern char **environ;
static char *self;

/* --- what this program is when it is started as another one --- */

static int receive_fd(int sock)
{
	char byte, space[CMSG_SPACE(sizeof(int))];
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = space,
			   .msg_controllen = sizeof(space)};
	int fd = -1;

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static void send_fd(int sock, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {"x", 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = space,
			   .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	MUST(sendmsg(sock, &m, 0));
}

static int echo_all(int fd)
{
	return t_echo_all(fd, fd);
}

static int accept_one(int fd)
{
	int one = accept(fd, NULL, NULL);

	return one < 0 ? 3 : echo_all(one);
}

static int other_program(const char *what, int fd)
{
	struct stat st;

	if (!strcmp(what, "echo"))
		return echo_all(fd);
	if (!strcmp(what, "accept"))
		return accept_one(fd);
	if (!strcmp(what, "receive"))
		return echo_all(receive_fd(fd));
	if (!strcmp(what, "closed"))
		return fstat(fd, &st) < 0 && errno == EBADF ? 0 : 4;
	if (!strcmp(what, "line")) { /* libc's streams */
		char line[100];

		if (!fgets(line, sizeof(line), stdin))
			return 5;
		printf("%zu", strlen(line));
		return 0;
	}
	return 9;
}

/* --- tests --- */

static pid_t start(const char *what, int fd)
{
	char number[12], how[16];
	char *argv[] = {self, how, number, NULL};
	pid_t pid;

	snprintf(how, sizeof(how), "%s", what);
	snprintf(number, sizeof(number), "%d", fd);
	fflush(stdout);
	errno = posix_spawn(&pid, self, NULL, NULL, argv, environ);
	if (errno)
		t_die("posix_spawn");
	return pid;
}

static void say_exit(const char *label, pid_t pid)
{
	int status = 0;

	MUST(waitpid(pid, &status, 0));
	say("%s: %s %d", label, WIFSIGNALED(status) ? "signal" : "exit",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void over_exec(const struct t_fam *f)
{
	int fd = t_connected(f, 0), lfd;
	pid_t pid;

	say("a connection");
	pid = start("echo", fd);
	close(fd);
	t_echoed();
	say_exit("program", pid);

	say("a listener");
	lfd = t_listener(f, 8);
	pid = start("accept", lfd);
	peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
	t_echoed();
	say_exit("program", pid);
	close(lfd);

	say("close-on-exec");
	fd = t_connected(f, 0);
	MUST(fcntl(fd, F_SETFD, FD_CLOEXEC));
	say_exit("program", start("closed", fd));
	CALL(send(fd, "\0", 1, 0));
	peer("recv 0 1");
	close(fd);
	peer("end 0");
	peer("close 0");

	say("fork and exec, with an environment of its own");
	fd = t_connected(f, 0);
	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (!pid) {
		char number[12];
		char *none[] = {"PATH=/usr/bin:/bin", NULL};

		snprintf(number, sizeof(number), "%d", fd);
		execle(self, self, "echo", number, NULL, none);
		_exit(127);
	}
	close(fd);
	t_echoed();
	say_exit("program", pid);
}

static void standard_streams(const struct t_fam *f)
{
	posix_spawn_file_actions_t a;
	char *argv[] = {self, "line", "0", NULL};
	int fd = t_connected(f, 0);
	pid_t pid;

	say("as standard input and output");
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, fd, 0);
	posix_spawn_file_actions_adddup2(&a, fd, 1);
	posix_spawn_file_actions_addclose(&a, fd);
	fflush(stdout);
	errno = posix_spawn(&pid, self, &a, NULL, argv, environ);
	if (errno)
		t_die("posix_spawn");
	posix_spawn_file_actions_destroy(&a);
	close(fd);
	peer("send 0 20");
	peer("shut 0 1");
	say_exit("program", pid);
	peer("end 0");
	peer("close 0");
}

static void passed(const struct t_fam *f)
{
	int sv[2], fd = t_connected(f, 0), got;
	pid_t pid;

	say("by SCM_RIGHTS");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = start("receive", sv[1]);
	send_fd(sv[0], fd);
	close(fd);
	t_echoed();
	say_exit("program", pid);

	say("back and forth to ourselves");
	fd = t_connected(f, 0);
	send_fd(sv[0], fd);
	close(fd);
	got = receive_fd(sv[1]);
	CALL(send(got, "\0\1\2", 3, 0));
	peer("recv 0 3");
	close(got);
	peer("end 0");
	peer("close 0");
	close(sv[0]);
	close(sv[1]);
}

static void taken(const struct t_fam *f)
{
	int fd = t_connected(f, 0), pidfd, got, pipefd[2];
	pid_t pid;
	char c;

	say("by pidfd_getfd");
	MUST(pipe(pipefd));
	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (!pid) { /* has made a socket of its own under the same number */
		struct t_addr a = t_addr(f->us, 0);

		close(fd);
		if (socket(f->af, SOCK_DGRAM, 0) != fd ||
		    bind(fd, &a.sa, a.len) < 0)
			_exit(1);
		MUST(write(pipefd[1], "x", 1));
		pause();
		_exit(0);
	}
	MUST(read(pipefd[0], &c, 1));
	pidfd = (int)MUST(syscall(SYS_pidfd_open, pid, 0));
	got = (int)MUST(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
	kill(pid, SIGKILL);
	say_exit("child", pid);
	peer_quiet("udp 1 %d 0", f->n);
	peer_quiet("sendto 1 %d %d 33", f->n, t_local_port(got));
	CALL(recv(got, (char[64]){0}, 64, 0));
	peer("close 1");
	close(got);
	close(pidfd);
	close(fd);
	peer("end 0");
	peer("close 0");
	close(pipefd[0]);
	close(pipefd[1]);
}

int main(int argc, char **argv)
{
	if (argc == 3)
		return other_program(argv[1], atoi(argv[2]));
	self = realpath(argv[0], NULL);
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		over_exec(f);
		standard_streams(f);
		passed(f);
		taken(f);
	}
	return 0;
}
