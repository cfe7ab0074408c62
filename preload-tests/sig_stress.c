/* SPDX-License-Identifier: MIT
 *
 * sig_stress.c - a thousand signals a second while threads move bytes
 *
 * The handler itself sends, receives, polls, and opens and closes sockets, in
 * whatever thread it finds, wherever that thread is. One thread is left by
 * siglongjmp() all the time. Every byte must come back, and nobody may hang.
 * Bounded by bytes, not by time.
 */
#include "t.h"
#include <setjmp.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define BYTES (4 << 20)
#define NUM_MOVERS 3
#define NUM_JUMPS 400

static const struct t_fam *fam;
static int side[2]; /* the handler's: a connection that is echoed, a listener */
static int jump_fd;
static _Atomic long num_ticks, num_back;
static _Atomic bool has_wrong;
static __thread sigjmp_buf out;
static __thread volatile bool may_jump;
static __thread volatile int depth;

static void on_tick(int sig)
{
	struct pollfd p[2] = {{side[0], POLLIN | POLLOUT, 0},
			      {side[1], POLLIN, 0}};
	int saved = errno;
	long n = num_ticks++;
	char buf[64];
	ssize_t got;
	int fd;

	if (depth++) { /* handlers may be in several threads, not in a row */
		depth--;
		return;
	}
	switch (n % 5) {
	case 0:
		send(side[0], "tick", 4, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case 1:
		got = recv(side[0], buf, sizeof(buf), MSG_DONTWAIT);
		if (got > 0)
			num_back += got;
		break;
	case 2:
		poll(p, 2, n % 10 == 2 ? 0 : 1);
		break;
	case 3:
		fd = socket(fam->af, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (fd >= 0)
			close(fd);
		break;
	default:
		fd = dup(side[0]);
		if (fd >= 0)
			close(fd);
		fd = accept(side[1], NULL, NULL);
		if (fd >= 0)
			close(fd);
	}
	depth--;
	errno = saved;
	if (may_jump) {
		may_jump = false;
		siglongjmp(out, 1);
	}
}

static ssize_t again(ssize_t n)
{
	return n < 0 && errno == EINTR ? 0 : n;
}

static void *write_main(void *arg)
{
	int fd = *(int *)arg;
	unsigned char buf[30000];
	long off = 0;

	while (off < BYTES) {
		size_t len = sizeof(buf);
		ssize_t n;

		if ((long)len > BYTES - off)
			len = (size_t)(BYTES - off);
		for (size_t i = 0; i < len; i++)
			buf[i] = (unsigned char)((off + (long)i) % 251);
		n = again(send(fd, buf, len, 0));
		if (n < 0)
			t_die("send");
		off += n;
	}
	MUST(shutdown(fd, SHUT_WR));
	return NULL;
}

/* Reads in a manner of its own. */
static ssize_t read_some(int how, int fd, int ep, void *buf, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct epoll_event e;

	if (how == 1 && poll(&p, 1, -1) < 0 && errno != EINTR)
		t_die("poll");
	if (how == 2 && epoll_wait(ep, &e, 1, -1) < 0 && errno != EINTR)
		t_die("epoll_wait");
	return recv(fd, buf, len, how ? MSG_DONTWAIT : 0);
}

struct mover {
	pthread_t reader, writer;
	int fd, how;
};

static void *read_main(void *arg)
{
	struct mover *m = arg;
	struct epoll_event e = {.events = EPOLLIN};
	int ep = (int)MUST(epoll_create1(0));
	unsigned char buf[20000];
	long off = 0;
	ssize_t n;

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, m->fd, &e));
	while ((n = read_some(m->how, m->fd, ep, buf, sizeof(buf)))) {
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			t_die("recv");
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != (off + i) % 251)
				has_wrong = true;
		off += n > 0 ? n : 0;
	}
	close(ep);
	return (void *)off;
}

/* Leaves a call each time, wherever it is then. */
static void *jump_main(void *arg)
{
	char buf[256];

	for (volatile int i = 0; i < NUM_JUMPS; i++) {
		if (sigsetjmp(out, 1))
			continue;
		may_jump = true;
		for (;;) {
			struct pollfd p = {.fd = jump_fd, .events = POLLIN};

			send(jump_fd, "some bytes of it", 16,
			     MSG_DONTWAIT | MSG_NOSIGNAL);
			recv(jump_fd, buf, sizeof(buf), MSG_DONTWAIT);
			poll(&p, 1, 1);
			recv(jump_fd, buf, 1, 0);
		}
	}
	may_jump = false;
	return NULL;
}

/* Each thread has a timer of its own: the kernel would give most of the
 * process's to one. */
static timer_t start_timer(pid_t tid, long ns)
{
	struct itimerspec t = {{0, ns}, {0, ns}};
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID,
			      .sigev_signo = SIGALRM};
	timer_t id;

	ev._sigev_un._tid = tid;
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &id));
	MUST(timer_settime(id, 0, &t, NULL));
	return id;
}

struct start {
	void *(*fn)(void *);
	void *arg;
};

static void *with_timer(void *arg)
{
	struct start s = *(struct start *)arg;
	timer_t id = start_timer((pid_t)syscall(SYS_gettid), 1000000);
	void *ret = s.fn(s.arg);

	timer_delete(id);
	return ret;
}

static pthread_t run(struct start *s, void *(*fn)(void *), void *arg)
{
	pthread_t t;

	*s = (struct start){fn, arg};
	if (pthread_create(&t, NULL, with_timer, s))
		t_die("pthread_create");
	return t;
}

static void stress(int flags)
{
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = flags};
	struct itimerval every = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
	struct start s[2 * NUM_MOVERS + 1];
	struct mover m[NUM_MOVERS];
	char buf[4096];
	pthread_t jumper;
	bool all = true;

	num_ticks = num_back = 0;
	side[0] = t_connected(fam, 0);
	peer("echo 0");
	side[1] = t_listener(fam, 8);
	MUST(fcntl(side[1], F_SETFL, O_NONBLOCK));
	jump_fd = t_connected(fam, 1);
	peer("echo 1");
	for (int i = 0; i < NUM_MOVERS; i++) {
		m[i] = (struct mover){.fd = t_connected(fam, 2 + i), .how = i};
		peer("echo %d", 2 + i);
	}
	MUST(sigaction(SIGALRM, &sa, NULL));
	MUST(setitimer(ITIMER_REAL, &every, NULL));
	for (int i = 0; i < NUM_MOVERS; i++) {
		m[i].writer = run(&s[2 * i], write_main, &m[i].fd);
		m[i].reader = run(&s[2 * i + 1], read_main, &m[i]);
	}
	jumper = run(&s[2 * NUM_MOVERS], jump_main, NULL);
	pthread_join(jumper, NULL);
	for (int i = 0; i < NUM_MOVERS; i++) {
		void *got;

		pthread_join(m[i].writer, NULL);
		pthread_join(m[i].reader, &got);
		all &= (long)got == BYTES;
		close(m[i].fd);
	}
	MUST(setitimer(ITIMER_REAL, &off, NULL));
	say("every byte came back %d, as it was sent %d", all, !has_wrong);
	say("ticks %d, their echo %d", num_ticks > 100, num_back > 0);
	/* the connections that were used by handlers and left by jumps live */
	for (int i = 0; i < 2; i++) {
		int fd = i ? jump_fd : side[0];
		ssize_t n;

		MUST(fcntl(fd, F_SETFL, 0));
		while (send(fd, "end", 3, MSG_NOSIGNAL) < 0 && errno == EINTR)
			;
		MUST(shutdown(fd, SHUT_WR));
		while ((n = recv(fd, buf, sizeof(buf), 0)) > 0 ||
		       (n < 0 && errno == EINTR))
			;
		say("connection %d ended with %zd", i, n);
		close(fd);
	}
	close(side[1]);
	peer("join");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		fam = &t_fams[i];
		say("-- IPv%d", fam->n);
		stress(i ? 0 : SA_RESTART);
	}
	return 0;
}
