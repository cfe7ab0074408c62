/* SPDX-License-Identifier: MIT
 *
 * parties.c - several participants of one host in one process, so that
 * ThreadSanitizer sees all that they do to each other
 *
 * usage: parties [--spoil] ROUNDS COPY...
 *
 * Each COPY is a copy of the library (under a name of its own, so that it is
 * loaded again) and so a participant: it has its own state, its own connection
 * to the keeper, its own seats. None of them is preloaded: their calls are made
 * through pointers, and the program's own calls are the kernel's. One thread is
 * the keeper (core.c). Each participant has threads that
 *
 *	ask	the kernel's echo server over the device, in several ways of
 *		waiting, and never two times the same sizes
 *	serve	a listener, with epoll
 *	visit	the next participant's listener, connection by connection
 *	tell	the next participant by UDP
 *
 * so that the lease wanders, seats are woken across participants by futex and
 * by bell, and packets are written by whoever has the token. Every byte is
 * compared. --spoil: one of them uses a word of the shared memory without the
 * lock; that must be reported.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core.h"
#include "party.h"

#define US "10.77.0.2"
#define KERNEL "10.77.0.1"
#define ECHO_PORT 7000
#define PARTY_PORT 8000
#define MOST 20000
#define MAX_PARTIES 8
#define MAX_CONNS 64
#define PATIENCE 20000 /* ms */

/* The calls that are made, as fields. */
#define CALLS(X)                                                     \
	X(int, socket, (int, int, int))                              \
	X(int, connect, (int, const struct sockaddr *, socklen_t))   \
	X(int, bind, (int, const struct sockaddr *, socklen_t))      \
	X(int, listen, (int, int))                                   \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int))  \
	X(ssize_t, send, (int, const void *, size_t, int))           \
	X(ssize_t, recv, (int, void *, size_t, int))                 \
	X(ssize_t, sendto,                                           \
	  (int, const void *, size_t, int, const struct sockaddr *,  \
	   socklen_t))                                               \
	X(int, poll, (struct pollfd *, nfds_t, int))                 \
	X(int, epoll_create1, (int))                                 \
	X(int, epoll_ctl, (int, int, int, struct epoll_event *))     \
	X(int, epoll_wait, (int, struct epoll_event *, int, int))    \
	X(int, shutdown, (int, int))                                 \
	X(int, setsockopt, (int, int, int, const void *, socklen_t)) \
	X(int, close, (int))                                         \
	X(void, party_maps, (struct shared *))                       \
	X(bool, party_has_joined, (void))                            \
	X(void, party_spoils, (void))

struct party {
	unsigned num;
#define X(ret, name, args) ret(*name) args;
	CALLS(X)
#undef X
};

static struct party parties[MAX_PARTIES];
static unsigned num_parties;
static long num_rounds;
static bool is_spoiling;
static _Atomic unsigned num_busy, num_wrong;
static _Atomic bool is_over;
static int never[2]; /* a pipe that nobody writes to */

static void wrong(const struct party *p, const char *what)
{
	printf("FAIL participant %u: %s: %s\n", p->num, what,
	       strerrorname_np(errno));
	fflush(stdout);
	num_wrong++;
}

static struct sockaddr_in address(const char *ip, unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port)};

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* --- the kernel's side --- */

static void *echo_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[8192];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	close(fd);
	return NULL;
}

/* A process of its own: ThreadSanitizer takes numbers for memory, and can't see
 * all closes of the library. */
static void echo_main(int lfd, int until)
{
	struct pollfd v[2] = {{lfd, POLLIN, 0}, {until, POLLIN, 0}};

	while (poll(v, 2, -1) > 0 && !v[1].revents) {
		int fd = accept(lfd, NULL, NULL);
		pthread_t t;

		if (fd < 0)
			continue;
		pthread_create(&t, NULL, echo_one, (void *)(intptr_t)fd);
		pthread_detach(t);
	}
	_exit(0);
}

static int echo_up(void)
{
	struct sockaddr_in a = address(KERNEL, ECHO_PORT);
	int fd = socket(AF_INET, SOCK_STREAM, 0), until[2];
	pid_t pid;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(fd, 64) < 0 || pipe(until) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(until[1]);
		echo_main(fd, until[0]); /* until we are gone */
	}
	close(fd);
	close(until[0]);
	return pid < 0 ? -1 : 0;
}

/* --- asking --- */

static int dial(const struct party *p, struct sockaddr_in to)
{
	int fd = p->socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	if (p->connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	p->close(fd);
	return -1;
}

/* Until @fd is readable: with nothing, poll, poll beside a descriptor of the
 * kernel's, epoll. */
static bool wait_for(const struct party *p, int fd, unsigned how)
{
	struct pollfd v[2] = {{fd, POLLIN, 0}, {never[0], POLLIN, 0}};
	struct epoll_event ev = {.events = EPOLLIN}, got;
	bool ok;
	int ep;

	if (how == 0)
		return true;
	if (how < 3)
		return p->poll(v, how, PATIENCE) == 1;
	ep = p->epoll_create1(EPOLL_CLOEXEC);
	ok = p->epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0 &&
	     p->epoll_wait(ep, &got, 1, PATIENCE) == 1;
	p->close(ep);
	return ok;
}

/* @len bytes there and back. */
static bool round_trip(const struct party *p, int fd, size_t len,
		       uint32_t *seed)
{
	char out[MOST], in[MOST];
	size_t done = 0;

	for (size_t i = 0; i < len; i++)
		out[i] = (char)(*seed + i);
	if (p->send(fd, out, len, MSG_NOSIGNAL) != (ssize_t)len)
		return false;
	while (done < len) {
		ssize_t n;

		if (!wait_for(p, fd, next_random(seed) % 4))
			return false;
		n = p->recv(fd, in + done, len - done, 0);
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return memcmp(in, out, len) == 0;
}

static void visit(const struct party *p, struct sockaddr_in to, uint32_t seed,
		  long rounds)
{
	for (long i = 0; i < rounds; i++) {
		unsigned trips = next_random(&seed) % 6 + 1;
		int fd = dial(p, to);
		bool ok = fd >= 0;

		while (ok && trips--) {
			size_t len = next_random(&seed) % 8 ? 100 : MOST;

			ok = round_trip(p, fd, next_random(&seed) % len + 1,
					&seed);
		}
		if (!ok)
			wrong(p, "a round trip");
		if (fd >= 0)
			p->close(fd);
		if (is_spoiling && p->num == 0)
			p->party_spoils();
	}
}

static void *ask_main(void *arg)
{
	const struct party *p = arg;

	visit(p, address(KERNEL, ECHO_PORT), p->num * 77 + 1, num_rounds);
	num_busy--;
	return NULL;
}

static void *visit_main(void *arg)
{
	const struct party *p = arg;
	unsigned next = (p->num + 1) % num_parties;

	visit(p, address(US, PARTY_PORT + next), p->num * 99 + 7, num_rounds);
	num_busy--;
	return NULL;
}

/* --- serving --- */

static bool serve_one(const struct party *p, int fd)
{
	char buf[8192];
	ssize_t n = p->recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	ssize_t done = 0;

	if (n < 0 && errno == EAGAIN)
		return true;
	while (done < n) {
		ssize_t r = p->send(fd, buf + done, (size_t)(n - done),
				    MSG_NOSIGNAL);

		if (r < 0)
			return false;
		done += r;
	}
	return n > 0;
}

static void serve_some(const struct party *p, int ep, int lfd)
{
	struct epoll_event v[16];
	int n = p->epoll_wait(ep, v, 16, 50);

	for (int i = 0; i < n; i++) {
		int fd = v[i].data.fd;

		if (fd != lfd) {
			if (!serve_one(p, fd))
				p->close(fd);
			continue;
		}
		fd = p->accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		v[i] = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
		if (p->epoll_ctl(ep, EPOLL_CTL_ADD, fd, &v[i]) < 0)
			wrong(p, "epoll_ctl");
	}
}

static int listen_at(const struct party *p)
{
	struct sockaddr_in a = address(US, PARTY_PORT + p->num);
	int fd = p->socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || p->bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    p->listen(fd, MAX_CONNS) < 0) {
		wrong(p, "a listener");
		return -1;
	}
	return fd;
}

struct server {
	const struct party *p;
	int lfd;
};

static void *serve_main(void *arg)
{
	const struct server *s = arg;
	const struct party *p = s->p;
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = s->lfd};
	int ep = p->epoll_create1(EPOLL_CLOEXEC);

	if (p->epoll_ctl(ep, EPOLL_CTL_ADD, s->lfd, &ev) < 0)
		wrong(p, "epoll_ctl");
	while (!is_over)
		serve_some(p, ep, s->lfd);
	p->close(ep);
	p->close(s->lfd);
	return NULL;
}

/* --- datagrams --- */

/* To the next one; what comes from the one before must be whole. */
static void *tell_main(void *arg)
{
	const struct party *p = arg;
	struct sockaddr_in here = address(US, PARTY_PORT + p->num);
	struct sockaddr_in to =
		address(US, PARTY_PORT + (p->num + 1) % num_parties);
	int fd = p->socket(AF_INET, SOCK_DGRAM, 0);
	struct timeval tv = {.tv_usec = 2000};
	char buf[256];

	if (p->bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0 ||
	    p->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0)
		wrong(p, "a datagram socket");
	for (unsigned i = 0; !is_over; i++) {
		ssize_t n;

		memset(buf, (int)i, sizeof(buf));
		p->sendto(fd, buf, i % 200 + 1, 0, (struct sockaddr *)&to,
			  sizeof(to));
		n = p->recv(fd, buf, sizeof(buf), 0);
		for (ssize_t k = 1; k < n; k++)
			if (buf[k] != buf[0]) {
				wrong(p, "a datagram");
				break;
			}
	}
	p->close(fd);
	return NULL;
}

/* --- all of them --- */

static bool load(struct party *p, unsigned num, const char *path)
{
	void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	p->num = num;
	if (!h) {
		fprintf(stderr, "%s\n", dlerror());
		return false;
	}
#define X(ret, name, args)                         \
	*(void **)&p->name = dlsym(h, #name);      \
	if (!p->name) {                            \
		fprintf(stderr, "no %s\n", #name); \
		return false;                      \
	}
	CALLS(X)
#undef X
	return true;
}

static bool join_all(struct shared *sh)
{
	for (unsigned i = 0; i < num_parties; i++) {
		struct party *p = &parties[i];
		int fd;

		p->party_maps(sh);
		fd = p->socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0 || !p->party_has_joined()) {
			wrong(p, "joining");
			return false;
		}
		p->close(fd);
	}
	return true;
}

static void run(void)
{
	static struct server servers[MAX_PARTIES];
	static pthread_t tids[MAX_PARTIES][4];

	for (unsigned i = 0; i < num_parties; i++)
		servers[i] =
			(struct server){&parties[i], listen_at(&parties[i])};
	num_busy = 2 * num_parties;
	for (unsigned i = 0; i < num_parties; i++) {
		pthread_create(&tids[i][0], NULL, serve_main, &servers[i]);
		pthread_create(&tids[i][1], NULL, ask_main, &parties[i]);
		pthread_create(&tids[i][2], NULL, visit_main, &parties[i]);
		pthread_create(&tids[i][3], NULL, tell_main, &parties[i]);
	}
	for (unsigned i = 0; i < num_parties; i++) {
		pthread_join(tids[i][1], NULL);
		pthread_join(tids[i][2], NULL);
	}
	is_over = true;
	for (unsigned i = 0; i < num_parties; i++) {
		pthread_join(tids[i][0], NULL);
		pthread_join(tids[i][3], NULL);
	}
}

int main(int argc, char **argv)
{
	unsigned long batches, writers;
	struct shared *sh;

	if (argc > 1 && !strcmp(argv[1], "--spoil")) {
		is_spoiling = true;
		argv++;
		argc--;
	}
	if (argc < 3 || argc - 2 > MAX_PARTIES)
		return 2;
	num_rounds = atol(argv[1]);
	num_parties = (unsigned)(argc - 2);
	for (unsigned i = 0; i < num_parties; i++)
		if (!load(&parties[i], i, argv[2 + i]))
			return 2;
	if (echo_up() < 0 || pipe(never) < 0)
		return 2;
	sh = core_up();
	if (!sh || !join_all(sh))
		return 2;
	run();
	core_count(&batches, &writers);
	printf("%u participants, %lu batches read, %lu times written, "
	       "%u wrong\n",
	       num_parties, batches, writers, num_wrong);
	fflush(stdout);
	_exit(num_wrong > 0);
}
