/* SPDX-License-Identifier: MIT
 *
 * fork_threads.c - a program of several threads forks while they send, receive
 * and wait: the child has one thread and every socket, the parent goes on
 */
#include <sys/syscall.h>
#include <sys/wait.h>

#include "t.h"

#define NUM_BUSY 3
#define NUM_CHILDREN 12
#define NUM_FORKERS 4

static _Atomic bool is_over;
static int echo_port;

/* --- a server of the peer's that sends back what comes --- */

static void echo_up(const struct t_fam *f, int connections)
{
	echo_port = (int)peer_quiet("listen 80 %d", f->n);
	peer_quiet("serve 80 %d", connections);
}

static int dial(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->peer, echo_port);
	int fd = socket(f->af, SOCK_STREAM, 0);

	if (fd >= 0 && connect(fd, &a.sa, a.len) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* @len bytes there and back; the number of what went wrong, or 0. */
static int round_trip(int fd, size_t len)
{
	char out[2000], in[2000];

	for (size_t i = 0; i < len; i++)
		out[i] = (char)(i * 7 + (size_t)fd);
	if (send(fd, out, len, MSG_NOSIGNAL) != (ssize_t)len)
		return 1;
	if (recv(fd, in, len, MSG_WAITALL) != (ssize_t)len)
		return 2;
	return memcmp(in, out, len) ? 3 : 0;
}

static int ended(pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 1000 + WTERMSIG(status);
}

/* --- threads that are busy --- */

struct busy {
	const struct t_fam *f;
	pthread_t tid;
	int how;
	long wrong;
};

static void *busy_main(void *arg)
{
	struct busy *b = arg;
	struct epoll_event ev = {.events = EPOLLIN}, got;
	int fd = dial(b->f), ep = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		b->wrong++;
	while (!b->wrong && !is_over) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (send(fd, "abc", 3, 0) != 3)
			b->wrong++;
		if (b->how == 1 && poll(&p, 1, T_PATIENCE) != 1)
			b->wrong++;
		if (b->how == 2 && epoll_wait(ep, &got, 1, T_PATIENCE) != 1)
			b->wrong++;
		if (recv(fd, (char[3]){0}, 3, MSG_WAITALL) != 3)
			b->wrong++;
	}
	close(ep);
	close(fd);
	return NULL;
}

/* What a child does, which other threads are in the middle of something. */
static int child(const struct t_fam *f, int inherited, int i)
{
	struct pollfd p = {.fd = inherited, .events = POLLIN | POLLOUT};
	int fd, r;

	if (i % 3 == 0 && poll(&p, 1, T_PATIENCE) != 1)
		return 10;
	r = round_trip(inherited, 500);
	if (r)
		return r;
	fd = dial(f);
	if (fd < 0)
		return 20;
	r = round_trip(fd, 1000);
	if (r)
		return 20 + r;
	if (i % 2)
		close(fd);
	return 0;
}

static void while_busy(const struct t_fam *f)
{
	struct busy v[NUM_BUSY];
	int fd;

	say("children of a busy program");
	echo_up(f, NUM_BUSY + 1 + NUM_CHILDREN);
	is_over = false;
	fd = dial(f);
	for (int i = 0; i < NUM_BUSY; i++) {
		v[i] = (struct busy){.f = f, .how = i};
		pthread_create(&v[i].tid, NULL, busy_main, &v[i]);
	}
	fflush(stdout);
	for (int i = 0; i < NUM_CHILDREN; i++) {
		pid_t pid = (pid_t)MUST(i % 4 == 3 ? _Fork() : fork());

		if (pid == 0)
			_exit(child(f, fd, i));
		say("child %d: %d", i, ended(pid));
	}
	say("the parent: %d", round_trip(fd, 700));
	is_over = true;
	for (int i = 0; i < NUM_BUSY; i++) {
		pthread_join(v[i].tid, NULL);
		say("busy %d: %ld wrong", i, v[i].wrong);
	}
	close(fd);
	peer("join");
}

/* --- every thread forks --- */

struct forker {
	const struct t_fam *f;
	pthread_t tid;
	int sum;
};

static void *forker_main(void *arg)
{
	struct forker *me = arg;
	int fd = dial(me->f);

	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(round_trip(fd, 300));
		me->sum += ended(pid);
		me->sum += round_trip(fd, 200);
	}
	close(fd);
	return NULL;
}

static void all_fork(const struct t_fam *f)
{
	struct forker v[NUM_FORKERS];

	say("threads that fork");
	fflush(stdout);
	echo_up(f, NUM_FORKERS);
	for (int i = 0; i < NUM_FORKERS; i++) {
		v[i] = (struct forker){.f = f};
		pthread_create(&v[i].tid, NULL, forker_main, &v[i]);
	}
	for (int i = 0; i < NUM_FORKERS; i++) {
		pthread_join(v[i].tid, NULL);
		say("forker %d: %d", i, v[i].sum);
	}
	peer("join");
}

/* --- a thread sleeps in a call when its process forks --- */

struct sleeper {
	pthread_t tid;
	int fd;
	volatile pid_t tid_kernel;
	long got;
};

static void *receiver_main(void *arg)
{
	struct sleeper *s = arg;
	char buf[100];

	s->tid_kernel = (int)syscall(SYS_gettid);
	s->got = recv(s->fd, buf, sizeof(buf), 0);
	return NULL;
}

static void *accepter_main(void *arg)
{
	struct sleeper *s = arg;

	s->tid_kernel = (int)syscall(SYS_gettid);
	s->got = accept(s->fd, NULL, NULL);
	return NULL;
}

static void asleep(const struct t_fam *f)
{
	struct sleeper s = {.fd = t_connected(f, 0)};
	pid_t pid;

	say("a thread sleeps in recv, a child sends");
	pthread_create(&s.tid, NULL, receiver_main, &s);
	t_wait_asleep(&s.tid_kernel);
	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (pid == 0)
		_exit(send(s.fd, "\0\1\2", 3, 0) == 3 ? 0 : 1);
	say("child: %d", ended(pid));
	peer("recv 0 3");
	peer("send 0 5");
	pthread_join(s.tid, NULL);
	say("the thread got %ld", s.got);
	close(s.fd);
	peer("end 0");
	peer("close 0");

	say("a thread and a child wait for the same");
	s = (struct sleeper){.fd = t_listener(f, 4)};
	pthread_create(&s.tid, NULL, accepter_main, &s);
	t_wait_asleep(&s.tid_kernel);
	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (pid == 0) {
		int fd = accept(s.fd, NULL, NULL);

		_exit(fd < 0 ? 1 : send(fd, "\0\1", 2, 0) != 2);
	}
	peer_quiet("connect 1 %d %d", f->n, t_local_port(s.fd));
	peer_quiet("connect 2 %d %d", f->n, t_local_port(s.fd));
	pthread_join(s.tid, NULL);
	say("child: %d", ended(pid));
	say("the thread has one: %d", s.got >= 0);
	MUST(send((int)s.got, "\0\1", 2, 0));
	peer("recv 1 2");
	peer("recv 2 2");
	close((int)s.got);
	close(s.fd);
	peer("end 1");
	peer("end 2");
	peer("close 1");
	peer("close 2");
}

/* --- a child of several threads, a grandchild of one of them --- */

struct in_child {
	pthread_t tid;
	int fd, result;
};

static void *in_child_main(void *arg)
{
	struct in_child *c = arg;
	pid_t pid;

	c->result = round_trip(c->fd, 400);
	pid = fork();
	if (pid == 0)
		_exit(round_trip(c->fd, 100));
	c->result += ended(pid);
	c->result += round_trip(c->fd, 50);
	return NULL;
}

static void threads_of_child(const struct t_fam *f)
{
	struct in_child v[3];
	pid_t pid;

	say("threads of a child");
	echo_up(f, 3);
	for (int i = 0; i < 3; i++)
		v[i] = (struct in_child){.fd = dial(f)};
	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (pid == 0) {
		int sum = 0;

		for (int i = 0; i < 3; i++)
			pthread_create(&v[i].tid, NULL, in_child_main, &v[i]);
		for (int i = 0; i < 3; i++) {
			pthread_join(v[i].tid, NULL);
			sum += v[i].result;
		}
		_exit(sum);
	}
	say("child: %d", ended(pid));
	for (int i = 0; i < 3; i++) {
		say("the parent: %d", round_trip(v[i].fd, 10));
		close(v[i].fd);
	}
	peer("join");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		while_busy(&t_fams[i]);
		all_fork(&t_fams[i]);
		asleep(&t_fams[i]);
		threads_of_child(&t_fams[i]);
	}
	return 0;
}
