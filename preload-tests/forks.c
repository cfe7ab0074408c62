/* SPDX-License-Identifier: MIT
 *
 * forks.c - sockets in more than one process: a child serves what its parent
 * accepted, several accept from one listener, and a connection ends when its
 * last descriptor anywhere is closed
 */
#include <spawn.h>
#include <sys/wait.h>

#include "t.h"

extern char **environ;

/* Waits for @pid; how it ended. */
static void say_exit(const char *label, pid_t pid)
{
	int status = 0;

	MUST(waitpid(pid, &status, 0));
	if (WIFSIGNALED(status))
		say("%s: signal %d", label, WTERMSIG(status));
	else
		say("%s: exit %d", label, WEXITSTATUS(status));
}

static pid_t fork_child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (!pid)
		close(t_ctl);
	return pid;
}

/* Sends back what comes until the end. Its count, or -1. */
static long echo_all(int fd)
{
	char buf[4096];
	long sum = 0, n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		if (send(fd, buf, (size_t)n, 0) != n)
			return -1;
		sum += n;
	}
	return n < 0 ? -1 : sum;
}

static void fork_server(const struct t_fam *f)
{
	int lfd = t_listener(f, 8);

	say("a child serves, the parent closes");
	for (int i = 0; i < 3; i++) {
		int fd;
		pid_t pid;

		peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
		fd = (int)MUST(accept(lfd, NULL, NULL));
		pid = fork_child();
		if (!pid) {
			close(lfd);
			_exit(echo_all(fd) == 1000 ? 0 : 1);
		}
		close(fd);
		peer("send 0 1000");
		peer("recv 0 1000");
		peer("shut 0 1");
		peer("end 0");
		peer("close 0");
		say_exit("child", pid);
	}
	close(lfd);
}

static void one_listener(const struct t_fam *f)
{
	int lfd = t_listener(f, 8);
	pid_t pid[3];

	say("three children accept");
	for (int i = 0; i < 3; i++) {
		pid[i] = fork_child();
		if (pid[i])
			continue;
		for (;;) {
			int fd = accept(lfd, NULL, NULL);

			if (fd < 0)
				_exit(2);
			if (echo_all(fd) == 7) /* told to go */
				_exit(0);
			close(fd);
		}
	}
	for (int i = 0; i < 12; i++) {
		peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
		peer_quiet("send 0 100");
		peer_quiet("recv 0 100");
		peer_quiet("shut 0 1");
		peer_quiet("end 0");
		peer_quiet("close 0");
	}
	for (int i = 0; i < 3; i++) {
		peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
		peer_quiet("send 0 7");
		peer_quiet("shut 0 1");
		peer_quiet("recv 0 7");
		peer_quiet("end 0");
		peer_quiet("close 0");
	}
	for (int i = 0; i < 3; i++)
		say_exit("acceptor", pid[i]);
	close(lfd);
}

static void last_close(const struct t_fam *f)
{
	int fd = t_connected(f, 0), pipefd[2];
	pid_t pid;
	char c;

	say("the end comes with the last descriptor");
	MUST(pipe(pipefd));
	pid = fork_child();
	if (!pid) {
		close(pipefd[1]);
		if (read(pipefd[0], &c, 1) != 1) /* until the parent closed */
			_exit(1);
		_exit(send(fd, "\0\1\2", 3, 0) == 3 ? 0 : 2);
	}
	CALL(close(fd));
	MUST(write(pipefd[1], "x", 1));
	peer("recv 0 3");
	peer("end 0");
	peer("close 0");
	say_exit("child", pid);

	say("the parent goes on when its child has ended");
	fd = t_connected(f, 0);
	pid = fork_child();
	if (!pid)
		_exit(send(fd, "\0\1\2", 3, 0) == 3 ? 0 : 2);
	say_exit("child", pid);
	peer("recv 0 3");
	peer("send 0 4");
	CALL(recv(fd, (char[4]){0}, 4, MSG_WAITALL));
	CALL(send(fd, "\3\4", 2, 0));
	peer("recv 0 2");
	close(fd);
	peer("end 0");
	peer("close 0");

	say("a killed child closes nothing of its parent's");
	fd = t_connected(f, 0);
	pid = fork_child();
	if (!pid) {
		recv(fd, &c, 1, 0);
		_exit(1);
	}
	MUST(kill(pid, SIGKILL));
	say_exit("child", pid);
	CALL(send(fd, "\0\1", 2, 0));
	peer("recv 0 2");
	close(fd);
	peer("end 0");
	peer("close 0");
	close(pipefd[0]);
	close(pipefd[1]);
}

static void unread_data(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	pid_t pid;

	say("an exit with data unread");
	peer("send 0 10");
	t_wait_bytes(fd, 10);
	pid = fork_child();
	if (!pid)
		_exit(0);
	say_exit("child", pid);
	say_poll("parent", fd);
	close(fd);
	peer("end 0");
	peer("close 0");
}

static void grandchild(const struct t_fam *f)
{
	int lfd = t_listener(f, 8), fd;
	pid_t pid;

	say("a grandchild that outlives its parent");
	peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
	fd = (int)MUST(accept(lfd, NULL, NULL));
	pid = fork_child();
	if (!pid) {
		if (fork() == 0)
			_exit(echo_all(fd) == 500 ? 0 : 1);
		_exit(0);
	}
	close(fd);
	say_exit("child", pid);
	peer("send 0 500");
	peer("recv 0 500");
	peer("shut 0 1");
	peer("end 0");
	peer("close 0");
	/* the address is free at once when the last one has closed it */
	{
		struct t_addr a = t_addr(f->us, t_local_port(lfd));
		int again = (int)MUST(socket(f->af, SOCK_STREAM, 0));

		MUST(setsockopt(again, SOL_SOCKET, SO_REUSEADDR, &(int){1},
				sizeof(int)));
		close(lfd);
		CALL(bind(again, &a.sa, a.len));
		CALL(listen(again, 1));
		close(again);
	}
}

static void by_poll(const struct t_fam *f)
{
	int fd = t_connected(f, 0), ep = (int)MUST(epoll_create1(0));
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 5}, got = {0};
	pid_t pid;

	say("poll and epoll in a child");
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	pid = fork_child();
	if (!pid) {
		if (epoll_wait(ep, &got, 1, 5000) != 1 || got.data.u32 != 5)
			_exit(1);
		if (recv(fd, (char[3]){0}, 3, 0) != 3)
			_exit(2);
		if (t_settle(fd, POLLIN | POLLRDHUP) == 0)
			_exit(3);
		_exit(0);
	}
	peer("send 0 3");
	/* the parent leaves it to its child */
	for (int i = 0; i < T_PATIENCE && t_poll_now(fd, POLLIN) & POLLIN; i++)
		poll(NULL, 0, 1);
	peer("shut 0 1");
	say_exit("child", pid);
	t_settle_say("parent", fd, POLLIN | POLLRDHUP);
	close(ep);
	close(fd);
	peer("close 0");
}

static void udp(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->us, 0);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	char buf[100];
	pid_t pid;

	say("datagrams for whoever reads");
	MUST(bind(fd, &a.sa, a.len));
	peer_quiet("udp 1 %d 0", f->n);
	pid = fork_child();
	if (!pid)
		_exit(recv(fd, buf, sizeof(buf), 0) == 20 ? 0 : 1);
	peer_quiet("sendto 1 %d %d 20", f->n, t_local_port(fd));
	say_exit("child", pid);
	peer_quiet("sendto 1 %d %d 30", f->n, t_local_port(fd));
	CALL(recv(fd, buf, sizeof(buf), 0));
	close(fd);
	peer("close 1");
}

static void programs(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	char *argv[] = {"sh", "-c", "echo $((6 * 7))", NULL};
	char line[16] = "";
	pid_t pid;
	FILE *p;

	say("programs beside it");
	fflush(stdout);
	CALL(system("exit 3") >> 8);
	p = popen("echo out", "r");
	if (p && fgets(line, sizeof(line), p))
		say("popen: %s", strtok(line, "\n"));
	CALL(pclose(p));
	fflush(stdout);
	MUST(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ));
	say_exit("spawned", pid);
	fflush(stdout);
	pid = vfork();
	if (!pid) {
		close(fd);
		execlp("true", "true", NULL);
		_exit(127);
	}
	say_exit("vforked", pid);
	CALL(waitpid(-1, NULL, WNOHANG));
	CALL(send(fd, "\0\1", 2, 0));
	peer("recv 0 2");
	close(fd);
	peer("end 0");
	peer("close 0");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		fork_server(f);
		one_listener(f);
		last_close(f);
		unread_data(f);
		grandchild(f);
		by_poll(f);
		udp(f);
		programs(f);
	}
	return 0;
}
