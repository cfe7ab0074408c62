/* SPDX-License-Identifier: MIT
 *
 * atfork.c - handlers of pthread_atfork() that use sockets: before the fork, in
 * the parent, in the child, one that makes its first socket there
 */
#include <sys/wait.h>

#include "t.h"

static int fd = -1;
static const struct t_fam *fam;
static long said[6];
static bool is_asking;

static long ask(int s)
{
	char c = 0;

	if (send(s, "?", 1, 0) != 1 || recv(s, &c, 1, MSG_WAITALL) != 1)
		return -errno;
	return c;
}

static void before(void)
{
	struct t_addr a = t_addr(fam->us, 0);
	int s;

	if (!is_asking)
		return;
	said[0] = ask(fd);
	s = socket(fam->af, SOCK_DGRAM, 0);
	said[1] = bind(s, &a.sa, a.len);
	close(s);
}

static void in_parent(void)
{
	if (is_asking)
		said[2] = ask(fd);
}

static void in_child(void)
{
	int s;

	if (!is_asking)
		return;
	said[3] = ask(fd);
	s = socket(fam->af, SOCK_STREAM, 0);
	said[4] = s < 0 ? -errno : 0;
	said[5] = fcntl(s, F_GETFD);
	close(s);
}

static void *other_main(void *arg)
{
	_Atomic bool *stop = arg;
	int s = socket(fam->af, SOCK_DGRAM, 0);

	while (!*stop) {
		struct pollfd p = {.fd = s, .events = POLLIN};

		poll(&p, 1, 1);
	}
	close(s);
	return NULL;
}

static void forked(const char *label, pid_t (*fn)(void))
{
	int status;
	pid_t pid;

	say("%s", label);
	memset(said, 0, sizeof(said));
	fflush(stdout);
	pid = (pid_t)MUST(fn());
	if (pid == 0) {
		say("child: before %ld %ld, after %ld %ld %ld", said[0],
		    said[1], said[3], said[4], said[5]);
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	say("parent: before %ld %ld, after %ld; child %#x", said[0], said[1],
	    said[2], status);
}

int main(void)
{
	_Atomic bool stop = false;
	pthread_t t;

	t_init();
	MUST(pthread_atfork(before, in_parent, in_child));
	for (int i = 0; i < 2; i++) {
		fam = &t_fams[i];
		say("-- IPv%d", fam->n);
		fd = t_connected(fam, 0);
		peer_quiet("echo 0");
		is_asking = true;
		forked("fork", fork);
		stop = false;
		pthread_create(&t, NULL, other_main, &stop);
		forked("fork, with another thread", fork);
		forked("once more", fork);
		forked("_Fork has no handlers", _Fork);
		is_asking = false;
		stop = true;
		pthread_join(t, NULL);
		close(fd);
		peer("join");
	}
	return 0;
}
