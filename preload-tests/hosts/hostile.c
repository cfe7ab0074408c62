/* SPDX-License-Identifier: MIT
 *
 * hostile.c - a program that does to its process what shells, daemons and
 * sandboxes do, and uses the network in between
 *
 * hostile ADDRESS PORT WORD...: the words are done in order:
 *
 *	fetch		GET / and print the status line and how many bytes came
 *	hold, use	connect and keep it; GET over what is kept
 *	loop, range, from, cloexec
 *			close all numbers from 3 on: one by one, by
 *			close_range(), by closefrom(); or mark them CLOEXEC
 *	std		0, 1 and 2 become /dev/null; what is printed goes to
 *where 2 was nofile=N	RLIMIT_NOFILE
 *	sockets		as many as there may be; prints whether more than a few
 *	chroot=DIR, nobody
 *			leave the file system; become the user with the least
 *	fork		goes on in a child, and ends as it does
 *	daemon		goes on in a child of its own session; 0, 1 and 2 become
 *			/dev/null, the working directory the root
 *	threads=N	that many threads, each of which fetches
 *	list		prints how many numbers from 3 to 1023 the program has
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_THREADS 16
#define MAX_SOCKETS 4096

static struct sockaddr_in server;
static int held = -1, out = 1;

static void say(const char *what, const char *detail)
{
	dprintf(out, "%s: %s\n", what, detail);
}

static int fail(const char *what)
{
	say(what, strerrorname_np(errno));
	return -1;
}

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return fail("socket");
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0) {
		fail("connect");
		close(fd);
		return -1;
	}
	return fd;
}

static int get(int fd)
{
	static const char ask[] = "GET / HTTP/1.0\r\n\r\n";
	char buf[4096], line[256] = "", text[300];
	size_t sum = 0;
	ssize_t n;

	if (write(fd, ask, sizeof(ask) - 1) < 0)
		return fail("write");
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (!sum)
			snprintf(line, sizeof(line), "%.*s",
				 (int)strcspn(buf, "\r\n"), buf);
		sum += (size_t)n;
	}
	if (n < 0)
		return fail("read");
	snprintf(text, sizeof(text), "%s, %s", line,
		 sum > 1000 ? "all" : "too little");
	say("got", text);
	return 0;
}

static int fetch(void)
{
	int fd = dial(), r;

	if (fd < 0)
		return -1;
	r = get(fd);
	close(fd);
	return r;
}

static void *fetcher(void *arg)
{
	return fetch() < 0 ? arg : NULL;
}

static int threads(int n)
{
	pthread_t v[MAX_THREADS];
	int bad = 0;
	void *r;

	for (int i = 0; i < n && i < MAX_THREADS; i++)
		bad |= pthread_create(&v[i], NULL, fetcher, &server);
	for (int i = 0; i < n && i < MAX_THREADS; i++) {
		pthread_join(v[i], &r);
		bad |= r != NULL;
	}
	return bad ? -1 : 0;
}

static int close_all(const char *how)
{
	struct rlimit lim;

	if (strcmp(how, "range") == 0)
		return close_range(3, ~0u, 0);
	if (strcmp(how, "cloexec") == 0)
		return close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	if (strcmp(how, "from") == 0) {
		closefrom(3);
		return 0;
	}
	getrlimit(RLIMIT_NOFILE, &lim);
	for (int fd = 3; fd < (int)lim.rlim_cur && fd < 70000; fd++)
		close(fd);
	return 0;
}

static int to_null(void)
{
	int null = open("/dev/null", O_RDWR);

	out = fcntl(1, F_DUPFD_CLOEXEC, 3);
	if (null < 0 || out < 0)
		return fail("std");
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	close(null);
	return 0;
}

static int set_nofile(int n)
{
	struct rlimit lim = {(rlim_t)n, (rlim_t)n};

	return setrlimit(RLIMIT_NOFILE, &lim) < 0 ? fail("nofile") : 0;
}

static int many_sockets(void)
{
	static int v[MAX_SOCKETS];
	int n = 0, err;

	while (n < MAX_SOCKETS && (v[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
		n++;
	err = errno;
	for (int i = 0; i < n; i++)
		close(v[i]);
	say("sockets", n < 4 ? "too few" : strerrorname_np(err));
	return 0;
}

static int leave(const char *dir)
{
	return chroot(dir) < 0 || chdir("/") < 0 ? fail("chroot") : 0;
}

static int become_nobody(void)
{
	if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
		return fail("setuid");
	return 0;
}

static int list(void)
{
	int n = 0;

	for (int fd = 3; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	say("numbers", n == (out > 2) ? "none of the program's" : "some");
	return 0;
}

static int go_on_in_child(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return fail("fork");
	if (pid == 0)
		return 0;
	if (waitpid(pid, &status, 0) < 0)
		return fail("waitpid");
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
}

static int become_daemon(void)
{
	out = fcntl(1, F_DUPFD_CLOEXEC, 3);
	return daemon(0, 0) < 0 ? fail("daemon") : 0;
}

static int use(void)
{
	int r = get(held);

	close(held);
	held = -1;
	return r;
}

static int with_number(const char *word)
{
	const char *arg = strchr(word, '=');

	if (!arg)
		return fail(word);
	if (strncmp(word, "nofile=", 7) == 0)
		return set_nofile(atoi(arg + 1));
	if (strncmp(word, "threads=", 8) == 0)
		return threads(atoi(arg + 1));
	if (strncmp(word, "chroot=", 7) == 0)
		return leave(arg + 1);
	return fail(word);
}

static int run(const char *word)
{
	if (strcmp(word, "fetch") == 0)
		return fetch();
	if (strcmp(word, "hold") == 0)
		return held = dial();
	if (strcmp(word, "use") == 0)
		return use();
	if (strcmp(word, "loop") == 0 || strcmp(word, "range") == 0 ||
	    strcmp(word, "from") == 0 || strcmp(word, "cloexec") == 0)
		return close_all(word);
	if (strcmp(word, "std") == 0)
		return to_null();
	if (strcmp(word, "sockets") == 0)
		return many_sockets();
	if (strcmp(word, "nobody") == 0)
		return become_nobody();
	if (strcmp(word, "list") == 0)
		return list();
	if (strcmp(word, "fork") == 0)
		return go_on_in_child();
	if (strcmp(word, "daemon") == 0)
		return become_daemon();
	return with_number(word);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[1], &server.sin_addr);
	for (int i = 3; i < argc; i++)
		if (run(argv[i]) < 0)
			return 1;
	return 0;
}
