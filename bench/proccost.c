/* SPDX-License-Identifier: MIT
 *
 * proccost.c - what processes cost a program that has sockets
 *
 * proccost fork N | spawn | heir | vfork: opens N sockets (one for the others),
 * makes some children one after the other and prints the median in
 * microseconds: of fork() until it returns, the child leaving at once; of
 * `true` from its start to its end, which as an heir has the socket too.
 * proccost socket: of the first socket() and bind() of this process, which is
 * when a preload comes up. proccost hold: has a socket until its input ends;
 * says so by a line.
 */
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 41

extern char **environ;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void open_sockets(unsigned n, int flags)
{
	struct rlimit lim = {n + 1000, n + 1000};

	if (n > 1000 && setrlimit(RLIMIT_NOFILE, &lim))
		die("setrlimit");
	while (n--)
		if (socket(AF_INET, SOCK_STREAM | flags, 0) < 0)
			die("socket");
}

static void reap(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		die("child");
}

static double cost_fork(void)
{
	double begin = now_us(), took;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	took = now_us() - begin;
	reap(pid);
	return took;
}

static double cost_spawn(void)
{
	char name[] = "true", *argv[] = {name, NULL};
	double begin = now_us();
	pid_t pid;

	if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ))
		die("posix_spawn");
	reap(pid);
	return now_us() - begin;
}

static double cost_vfork(void)
{
	char name[] = "true", *argv[] = {name, NULL};
	double begin = now_us();
	pid_t pid = vfork();

	if (pid == 0) {
		execve("/bin/true", argv, environ);
		_exit(127);
	}
	reap(pid);
	return now_us() - begin;
}

static void first_socket(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	double begin = now_us();
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)))
		die("socket");
	printf("%.1f\n", now_us() - begin);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void rounds(unsigned num, int flags, double (*cost)(void))
{
	double v[ROUNDS];

	open_sockets(num, flags);
	for (int i = 0; i < ROUNDS; i++)
		v[i] = cost();
	qsort(v, ROUNDS, sizeof(*v), by_value);
	printf("%.1f\n", v[ROUNDS / 2]);
}

static void hold(void)
{
	char byte;

	open_sockets(1, 0);
	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "fork") && argc == 3)
		rounds((unsigned)atoi(argv[2]), 0, cost_fork);
	else if (!strcmp(what, "spawn"))
		rounds(1, SOCK_CLOEXEC, cost_spawn);
	else if (!strcmp(what, "heir"))
		rounds(1, 0, cost_spawn);
	else if (!strcmp(what, "vfork"))
		rounds(1, SOCK_CLOEXEC, cost_vfork);
	else if (!strcmp(what, "socket"))
		first_socket();
	else if (!strcmp(what, "hold"))
		hold();
	else
		return 2;
	return 0;
}
