/* SPDX-License-Identifier: MIT
 *
 * kills.c - processes that die while others go on
 *
 *	kills echo PORT
 *		on the kernel's side: sends back what it gets, if that is right
 *	kills rounds N SEED ADDR PORT CMD...
 *		keeps four workers (CMD worker ...) at work, ends one N times
 *	kills look
 *		makes a socket and ends
 *
 * Each worker keeps some connections to the echo, and makes new ones now and
 * then. Every byte that comes back is compared. What it sees stands in memory
 * that all share, so that nothing of it is lost with it. Not a test of its own:
 * accept/kill runs it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 4
#define CONNS 6
#define WINDOW 60000u	     /* bytes under way, of one connection */
#define LIFE 1000u	     /* about so many turns, then it is made anew */
#define STAYS_STOPPED 250000 /* microseconds */
#define ECHO_CONNS 256	     /* of the dead, too, for a moment */

struct seen {
	_Atomic uint64_t bytes, wrong, resets, refused, ended, made;
	_Atomic uint64_t stalls, worst; /* hangs; microseconds */
	_Atomic int64_t alive_at;
};

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint8_t byte_of(uint32_t seed, uint64_t i)
{
	uint64_t x = (i / 8 + 1) * 0x9e3779b97f4a7c15u ^ seed * 0x85ebca6bu;

	return (uint8_t)((x ^ x >> 29) >> i % 8 * 8);
}

/* Microseconds without news that are a hang; KILLS_HANG, in ms. */
static int64_t hang_us = 1000000;

static uint32_t rng;
static uint32_t chance(uint32_t below)
{
	rng = rng * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)rng * below >> 32);
}

/* --- the echo --- */

struct echo {
	int fd; /* 0: none */
	uint32_t seed, num_head, num_kept;
	uint64_t got;
	uint8_t kept[65536];
};

static bool echo_in(struct echo *e)
{
	uint8_t buf[16384];
	size_t room = sizeof(e->kept) - e->num_kept;
	ssize_t n = recv(e->fd, buf, room < sizeof(buf) ? room : sizeof(buf),
			 MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	for (ssize_t i = 0; i < n; i++) {
		if (e->num_head < 4) {
			e->seed |= (uint32_t)buf[i] << 8 * e->num_head++;
			continue;
		}
		if (buf[i] != byte_of(e->seed, e->got)) {
			printf("WRONG at the echo, byte %llu\n",
			       (unsigned long long)e->got);
			fflush(stdout);
			return false;
		}
		e->got++;
		e->kept[e->num_kept++] = buf[i];
	}
	return true;
}

static bool echo_out(struct echo *e)
{
	ssize_t n =
		send(e->fd, e->kept, e->num_kept, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN;
	e->num_kept -= (uint32_t)n;
	memmove(e->kept, e->kept + n, e->num_kept);
	return true;
}

static void echo_accept(int l, struct echo *v)
{
	int fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);

	for (int i = 0; i < ECHO_CONNS && fd > 0; i++)
		if (!v[i].fd) {
			memset(&v[i], 0, sizeof(v[i]));
			v[i].fd = fd;
			return;
		}
	if (fd > 0)
		close(fd);
}

static int echo(uint16_t port)
{
	static struct echo v[ECHO_CONNS];
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(port)};
	int l = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(l, (struct sockaddr *)&in, sizeof(in)) || listen(l, 128))
		return 1;
	for (;;) {
		struct pollfd p[ECHO_CONNS + 1] = {{l, POLLIN, 0}};

		for (int i = 0; i < ECHO_CONNS; i++) {
			struct echo *e = &v[i];
			bool has_room = e->num_kept < sizeof(e->kept);

			p[i + 1].fd = e->fd ? e->fd : -1;
			p[i + 1].events = (short)((has_room ? POLLIN : 0) |
						  (e->num_kept ? POLLOUT : 0));
		}
		if (poll(p, ECHO_CONNS + 1, -1) < 0)
			return 1;
		if (p[0].revents)
			echo_accept(l, v);
		for (int i = 0; i < ECHO_CONNS; i++) {
			struct echo *e = &v[i];

			if (!e->fd || p[i + 1].fd != e->fd || !p[i + 1].revents)
				continue;
			if (echo_in(e) && (!e->num_kept || echo_out(e)))
				continue;
			close(e->fd);
			e->fd = 0;
		}
	}
}

/* --- a worker --- */

struct conn {
	int fd;
	bool is_open, is_stalled;
	uint32_t seed, num_head, turns;
	uint64_t sent, received;
	int64_t at; /* when something last came */
};

static struct conn conns[CONNS];
static struct sockaddr_in server;
static struct seen *me;
static bool waits; /* in calls, instead of poll() */

static void conn_make(struct conn *c)
{
	*c = (struct conn){.seed = chance(UINT32_MAX), .at = now_us()};
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd < 0 ||
	    (connect(c->fd, (struct sockaddr *)&server, sizeof(server)) &&
	     errno != EINPROGRESS)) {
		me->refused++;
		close(c->fd);
		c->fd = -1;
		return;
	}
	me->made++;
}

static void conn_end(struct conn *c)
{
	close(c->fd);
	c->fd = -1;
	if (!waits)
		conn_make(c);
}

static void conn_failed(struct conn *c, int err)
{
	if (!c->is_open)
		me->refused++;
	else if (err)
		me->resets++;
	else
		me->ended++;
	conn_end(c);
}

static void conn_write(struct conn *c)
{
	uint8_t buf[4000];
	size_t n = 1 + chance(sizeof(buf) - 1);
	ssize_t r;

	c->is_open = true;
	if (c->num_head < 4) {
		memcpy(buf, &c->seed, 4); /* small enough to go at once */
		r = send(c->fd, buf, 4, MSG_NOSIGNAL);
		if (r == 4)
			c->num_head = 4;
		else if (errno != EAGAIN)
			conn_failed(c, errno);
		return;
	}
	for (size_t i = 0; i < n; i++)
		buf[i] = byte_of(c->seed, c->sent + i);
	r = send(c->fd, buf, n, MSG_NOSIGNAL);
	if (r > 0)
		c->sent += (uint64_t)r;
	else if (errno != EAGAIN)
		conn_failed(c, errno);
}

static void conn_read(struct conn *c)
{
	uint8_t buf[16384];
	ssize_t r = recv(c->fd, buf, 1 + chance(sizeof(buf) - 1), 0);

	if (r <= 0) {
		if (r == 0 || errno != EAGAIN)
			conn_failed(c, r ? errno : 0);
		return;
	}
	for (ssize_t i = 0; i < r; i++)
		if (buf[i] != byte_of(c->seed, c->received + (uint64_t)i)) {
			me->wrong++;
			break;
		}
	c->received += (uint64_t)r;
	me->bytes += (uint64_t)r;
	c->at = now_us();
	c->is_stalled = false;
}

static void conn_look(struct conn *c)
{
	int64_t quiet = now_us() - c->at;

	if (quiet > (int64_t)me->worst)
		me->worst = (uint64_t)quiet;
	if (quiet < hang_us || c->is_stalled)
		return;
	c->is_stalled = true;
	me->stalls++;
}

/* All at once, in one thread. */
static void work_polling(void)
{
	bool is_last = false;

	for (int i = 0; i < CONNS; i++)
		conn_make(&conns[i]);
	while (!is_last) {
		struct pollfd p[CONNS + 1] = {{0, POLLIN, 0}};

		for (int i = 0; i < CONNS; i++) {
			struct conn *c = &conns[i];
			bool may = c->sent - c->received < WINDOW;

			if (c->fd < 0)
				conn_make(c);
			p[i + 1].fd = c->fd;
			p[i + 1].events = (short)(POLLIN | (may ? POLLOUT : 0));
		}
		poll(p, CONNS + 1, 100);
		me->alive_at = now_us();
		is_last = p[0].revents; /* whoever started us has gone */
		for (int i = 0; i < CONNS && !is_last; i++) {
			struct conn *c = &conns[i];

			if (p[i + 1].revents & POLLOUT)
				conn_write(c);
			if (c->fd == p[i + 1].fd &&
			    p[i + 1].revents & (POLLIN | POLLERR | POLLHUP))
				conn_read(c);
			if (chance(LIFE) == 0 && c->received)
				conn_end(c);
			conn_look(c);
		}
	}
}

/* One connection in calls that wait: as much as was sent comes back. */
static void *talk(void *arg)
{
	struct conn *c = arg;

	for (;;) {
		uint64_t sent;

		if (c->fd < 0 || c->turns++ > LIFE) {
			if (c->fd >= 0)
				close(c->fd);
			conn_make(c);
			if (c->fd < 0)
				continue;
			fcntl(c->fd, F_SETFL, 0);
			poll(&(struct pollfd){c->fd, POLLOUT, 0}, 1, -1);
		}
		sent = c->sent;
		conn_write(c);
		if (c->sent == sent)
			continue; /* its head, or it has failed */
		while (c->fd >= 0 && c->received < c->sent)
			conn_read(c);
		c->at = now_us();
	}
	return NULL;
}

static void *serve(void *arg)
{
	int fd = *(int *)arg;
	char buf[16384];

	for (ssize_t n; (n = recv(fd, buf, sizeof(buf), 0)) > 0;)
		for (ssize_t k = 0, m; k < n; k += m) {
			m = send(fd, buf + k, (size_t)(n - k), MSG_NOSIGNAL);
			if (m <= 0)
				break;
		}
	close(fd);
	free(arg);
	return NULL;
}

static void *accept_all(void *arg)
{
	int l = *(int *)arg;
	char head[4];

	for (;;) {
		int *fd = malloc(sizeof(*fd));
		pthread_t t;

		*fd = accept(l, NULL, NULL);
		if (*fd < 0 || recv(*fd, head, 4, MSG_WAITALL) != 4) {
			if (*fd >= 0)
				close(*fd);
			free(fd);
			continue;
		}
		pthread_create(&t, NULL, serve, fd);
		pthread_detach(t);
	}
	return NULL;
}

/* @num connections in a thread each; this one looks after them. */
static void work_waiting(int num)
{
	struct pollfd p = {0, POLLIN, 0};
	pthread_t t;

	waits = true;
	for (int i = 0; i < num; i++) {
		conns[i] = (struct conn){.fd = -1, .at = now_us()};
		pthread_create(&t, NULL, talk, &conns[i]);
	}
	while (poll(&p, 1, 50) == 0) {
		me->alive_at = now_us();
		for (int i = 0; i < num; i++)
			conn_look(&conns[i]);
	}
	_exit(0);
}

/* Children that have their parent's fate, each with a listener's copy. */
static void work_forking(void)
{
	static int l;
	pthread_t t;

	l = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	server.sin_addr.s_addr = INADDR_ANY;
	server.sin_port = htons(7100);
	while (bind(l, (struct sockaddr *)&server, sizeof(server)))
		poll(NULL, 0, 1); /* the one before us is not yet gone */
	inet_pton(AF_INET, "10.77.0.2", &server.sin_addr);
	listen(l, 20);
	for (int i = 0; i < 2; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pthread_create(&t, NULL, accept_all, &l);
			work_waiting(2);
		}
	pthread_create(&t, NULL, accept_all, &l);
	work_waiting(2);
}

static int worker(int argc, char **argv)
{
	struct seen *all;
	int num;

	if (argc < 7)
		return 2;
	all = mmap(NULL, WORKERS * sizeof(*all), PROT_READ | PROT_WRITE,
		   MAP_SHARED, atoi(argv[2]), 0);
	close(atoi(argv[2]));
	num = atoi(argv[3]);
	me = &all[num];
	rng = (uint32_t)atoi(argv[4]);
	server = (struct sockaddr_in){.sin_family = AF_INET,
				      .sin_port =
					      htons((uint16_t)atoi(argv[6]))};
	inet_pton(AF_INET, argv[5], &server.sin_addr);
	if (num == 1)
		work_waiting(CONNS);
	else if (num == 2 && !getenv("KILLS_NO_FORK"))
		work_forking();
	else
		work_polling();
	return 0;
}

/* --- rounds --- */

static struct {
	pid_t pid;
	int64_t began_at;
	int out; /* closing it ends the worker */
} workers[WORKERS];

static void start(int i, char **cmd, int shared, char **where)
{
	char num[16], seed[16], file[16];
	char *argv[64];
	int n = 0, fds[2];

	if (pipe2(fds, O_CLOEXEC))
		exit(2);
	while (cmd[n] && n < 50) {
		argv[n] = cmd[n];
		n++;
	}
	snprintf(num, sizeof(num), "%d", i);
	snprintf(seed, sizeof(seed), "%u", chance(1u << 30));
	argv[n++] = "worker";
	snprintf(file, sizeof(file), "%d", shared);
	argv[n++] = file;
	argv[n++] = num;
	argv[n++] = seed;
	argv[n++] = where[0];
	argv[n++] = where[1];
	argv[n] = NULL;
	workers[i].began_at = now_us();
	workers[i].out = fds[1];
	workers[i].pid = fork();
	if (workers[i].pid == 0) {
		dup2(fds[0], 0);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(fds[0]);
}

/* Is each one at work? */
static int hung(struct seen *all)
{
	int num = 0;

	for (int i = 0; i < WORKERS; i++) {
		int64_t at = all[i].alive_at;

		if (at < workers[i].began_at)
			at = workers[i].began_at + hang_us;
		if (now_us() - at > hang_us) {
			printf("worker %d (%d) hangs\n", i, workers[i].pid);
			num++;
		}
	}
	return num;
}

/* The moment is what is random here: nothing is waited for. */
static void let_pass(uint32_t us)
{
	struct timespec t = {.tv_nsec = us * 1000L};

	ppoll(NULL, 0, &t, NULL);
}

static struct {
	unsigned kills, stops, again;
} struck;

/* Who is stopped in the lock is continued by others, and stops itself again
 * when it is out. If that is after our SIGCONT, it is stopped for good. */
static void go_on(int i, struct seen *s)
{
	int64_t since = now_us();

	kill(workers[i].pid, SIGCONT);
	while (s->alive_at < since && now_us() - since < 2 * STAYS_STOPPED) {
		let_pass(5000);
		if (now_us() - since < STAYS_STOPPED)
			continue;
		struck.again++;
		kill(workers[i].pid, SIGCONT);
		return;
	}
}

/* One of them ends, or stops for a while. */
static void strike(int i, struct seen *s)
{
	static const int ends[] = {SIGKILL, SIGKILL, SIGINT, SIGSEGV, SIGSTOP};
	int sig = ends[chance(5)];

	kill(workers[i].pid, sig);
	if (sig == SIGSTOP) {
		struck.stops++;
		let_pass(1000 + chance(20000));
		go_on(i, s);
		return;
	}
	struck.kills++;
	kill(workers[i].pid, SIGCONT);
	waitpid(workers[i].pid, NULL, 0);
	close(workers[i].out);
	workers[i].pid = 0;
}

static int finish(struct seen *all, unsigned hangs)
{
	struct seen sum = {0};
	int bad = 0;

	for (int i = 0; i < WORKERS; i++) {
		int status = 0;

		close(workers[i].out);
		waitpid(workers[i].pid, &status, 0);
		if (status) {
			printf("worker %d ended with %#x\n", i, status);
			bad++;
		}
		sum.bytes += all[i].bytes;
		sum.wrong += all[i].wrong;
		sum.resets += all[i].resets;
		sum.refused += all[i].refused;
		sum.ended += all[i].ended;
		sum.made += all[i].made;
		sum.stalls += all[i].stalls;
		if (all[i].worst > sum.worst)
			sum.worst = all[i].worst;
	}
	printf("%u killed, %u stopped (%u twice), %llu connections, %llu MB, "
	       "%llu reset, "
	       "%llu refused, %llu ended, %llu wrong, %llu stalled, worst "
	       "%llu ms, %u hung\n",
	       struck.kills, struck.stops, struck.again,
	       (unsigned long long)sum.made,
	       (unsigned long long)sum.bytes >> 20,
	       (unsigned long long)sum.resets, (unsigned long long)sum.refused,
	       (unsigned long long)sum.ended, (unsigned long long)sum.wrong,
	       (unsigned long long)sum.stalls,
	       (unsigned long long)sum.worst / 1000, hangs);
	return bad || sum.wrong || sum.stalls || hangs;
}

static int rounds(int argc, char **argv)
{
	int fd = memfd_create("kills", 0), num; /* the workers have it, too */
	unsigned hangs = 0;
	struct seen *all;

	if (argc < 7 || fd < 0 || ftruncate(fd, WORKERS * sizeof(*all)))
		return 2;
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	num = atoi(argv[2]);
	rng = (uint32_t)atoi(argv[3]);
	all = mmap(NULL, WORKERS * sizeof(*all), PROT_READ | PROT_WRITE,
		   MAP_SHARED, fd, 0);
	for (int i = 0; i < WORKERS; i++)
		start(i, argv + 6, fd, argv + 4);
	while (num-- > 0 && !hangs) {
		int i = (int)chance(WORKERS);

		let_pass(chance(12000));
		strike(i, &all[i]);
		if (!workers[i].pid)
			start(i, argv + 6, fd, argv + 4);
		hangs += (unsigned)hung(all);
	}
	let_pass(200000);
	if (hangs && getenv("KILLS_KEEP")) {
		fflush(stdout);
		pause(); /* to be looked at */
	}
	return finish(all, hangs);
}

int main(int argc, char **argv)
{
	if (getenv("KILLS_HANG"))
		hang_us = atoi(getenv("KILLS_HANG")) * 1000LL;
	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		return echo((uint16_t)atoi(argv[2]));
	if (argc > 1 && strcmp(argv[1], "worker") == 0)
		return worker(argc, argv);
	if (argc > 1 && strcmp(argv[1], "look") == 0) /* TCPSHIM_STATS tells */
		return close(socket(AF_INET, SOCK_DGRAM, 0));
	if (argc > 1 && strcmp(argv[1], "rounds") == 0)
		return rounds(argc, argv);
	return 2;
}
