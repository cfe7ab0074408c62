/* SPDX-License-Identifier: MIT
 *
 * calls.c - what one call costs, in nanoseconds
 *
 * calls serve ADDRESS PORT: the far end, a kernel process. calls run ADDRESS
 * PORT [NAME]: makes each call many times on sockets that are ready for it and
 * prints a line "NAME<tab>NANOSECONDS", the median over batches. bench/run does
 * so in turn on the kernel and under the shim. What has to be there before
 * (queued bytes, waiting connections) is made outside the measured time.
 *
 * The far end does as the first byte of a connection says: 's' is thrown away,
 * 'c' is followed by commands: b N (send N bytes on this connection), u PORT N
 * (N datagrams of 64 bytes to the caller), d PORT N (N connections).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LEN 64
#define BATCHES 9
#define MAX_FDS 1000

static struct sockaddr_in far_end;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int must(int r, const char *what)
{
	if (r < 0)
		die(what);
	return r;
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct sockaddr_in address(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
		fprintf(stderr, "calls: %s is no address\n", ip);
		exit(2);
	}
	return a;
}

/* --- the far end --- */

static void send_bytes(int fd, long n)
{
	static const char buf[65536];

	while (n > 0) {
		ssize_t r =
			send(fd, buf,
			     n < (long)sizeof(buf) ? (size_t)n : sizeof(buf),
			     MSG_NOSIGNAL);

		if (r < 0)
			return;
		n -= r;
	}
}

static void command(int fd, const char *line)
{
	struct sockaddr_in to;
	socklen_t len = sizeof(to);
	static int dialled[MAX_FDS];
	static long num_dialled;
	char what, buf[LEN] = {0};
	int port, s;
	long n;

	if (sscanf(line, "b %ld", &n) == 1) {
		send_bytes(fd, n);
		return;
	}
	if (sscanf(line, "%c %d %ld", &what, &port, &n) != 3 ||
	    getpeername(fd, (struct sockaddr *)&to, &len))
		return;
	to.sin_port = htons((uint16_t)port);
	if (what == 'u') {
		s = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
		for (long i = 0; i < n; i++)
			sendto(s, buf, LEN, 0, (struct sockaddr *)&to, len);
		close(s);
	}
	while (what == 'd' && num_dialled > 0)
		close(dialled[--num_dialled]);
	for (long i = 0; what == 'd' && i < n && i < MAX_FDS; i++) {
		s = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
		if (connect(s, (struct sockaddr *)&to, len) == 0)
			dialled[num_dialled++] = s;
		else
			close(s);
	}
	if (send(fd, "+", 1, MSG_NOSIGNAL) < 0)
		return;
}

static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	static __thread char buf[65536];
	char line[64], c = 0;
	size_t n = 0;

	if (recv(fd, &c, 1, 0) == 1 && c == 's')
		while (recv(fd, buf, sizeof(buf), 0) > 0)
			;
	while (c != 's' && recv(fd, &c, 1, 0) == 1) {
		if (c != '\n' && n < sizeof(line) - 1) {
			line[n++] = c;
			continue;
		}
		line[n] = 0;
		n = 0;
		command(fd, line);
	}
	close(fd);
	return NULL;
}

static _Noreturn void serve(struct sockaddr_in *at)
{
	int lfd = must(socket(AF_INET, SOCK_STREAM, 0), "socket"), one = 1;
	int udp = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	/* is never read: what comes is dropped, and nobody is told */
	must(bind(udp, (struct sockaddr *)at, sizeof(*at)), "bind");
	setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	must(bind(lfd, (struct sockaddr *)at, sizeof(*at)), "bind");
	must(listen(lfd, 128), "listen");
	for (;;) {
		int fd = accept(lfd, NULL, NULL);
		pthread_t t;

		if (fd < 0)
			continue;
		if (pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd))
			die("pthread_create");
		pthread_detach(t);
	}
}

/* --- what the rows have in common --- */

static int dial(char kind)
{
	int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket"), one = 1;

	must(connect(fd, (struct sockaddr *)&far_end, sizeof(far_end)),
	     "connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	must((int)send(fd, &kind, 1, 0), "send");
	return fd;
}

static void tell(int ctl, const char *what, int port, long n, bool answers)
{
	char line[64];

	if (port)
		snprintf(line, sizeof(line), "%s %d %ld\n", what, port, n);
	else
		snprintf(line, sizeof(line), "%s %ld\n", what, n);
	must((int)send(ctl, line, strlen(line), 0), "send");
	if (answers)
		must((int)recv(ctl, line, 1, MSG_WAITALL), "recv");
}

static int bound(int type)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = must(socket(AF_INET, type, 0), "socket");

	must(bind(fd, (struct sockaddr *)&any, sizeof(any)), "bind");
	return fd;
}

static int port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	must(getsockname(fd, (struct sockaddr *)&a, &len), "getsockname");
	return ntohs(a.sin_port);
}

static void wait_for(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	if (poll(&p, 1, 5000) != 1) {
		fprintf(stderr, "calls: nothing comes\n");
		exit(1);
	}
}

static void wait_bytes(int fd, int n)
{
	for (int have = 0; have < n;) {
		wait_for(fd, POLLIN);
		must(ioctl(fd, FIONREAD, &have), "FIONREAD");
	}
}

/* --- rows: one batch each, nanoseconds a call --- */

static int ctl; /* to the far end */

static double send_tcp(int n)
{
	static int fd;
	char buf[LEN] = {0};
	double begin;

	if (!fd)
		fd = dial('s');
	begin = now_ns();
	for (int i = 0; i < n; i++)
		must((int)send(fd, buf, LEN, 0), "send");
	return (now_ns() - begin) / n;
}

static double send_udp(int n)
{
	static int fd;
	char buf[LEN] = {0};
	double begin;

	if (!fd) {
		fd = bound(SOCK_DGRAM);
		must(connect(fd, (struct sockaddr *)&far_end, sizeof(far_end)),
		     "connect");
	}
	begin = now_ns();
	for (int i = 0; i < n; i++)
		must((int)send(fd, buf, LEN, 0), "send");
	return (now_ns() - begin) / n;
}

static double recv_tcp(int n)
{
	char buf[LEN];
	double begin;

	tell(ctl, "b", 0, (long)n * LEN, false);
	wait_bytes(ctl, n * LEN);
	begin = now_ns();
	for (int i = 0; i < n; i++)
		if (recv(ctl, buf, LEN, 0) != LEN)
			die("recv");
	return (now_ns() - begin) / n;
}

static double recv_udp(int n)
{
	static int fd;
	char buf[LEN];
	double begin;

	if (!fd)
		fd = bound(SOCK_DGRAM);
	tell(ctl, "u", port_of(fd), n, true);
	wait_for(fd, POLLIN);
	begin = now_ns();
	for (int i = 0; i < n; i++)
		if (recv(fd, buf, LEN, MSG_DONTWAIT) != LEN)
			die("recv");
	return (now_ns() - begin) / n;
}

/* @num sockets of which the last is readable. */
static int *some_fds(int num)
{
	static int fds[MAX_FDS], have;
	char c;

	while (have < num)
		fds[have++] = bound(SOCK_DGRAM);
	for (int i = 0; i < have; i++)
		while (recv(fds[i], &c, 1, MSG_DONTWAIT) >= 0)
			;
	tell(ctl, "u", port_of(fds[num - 1]), 1, true);
	wait_for(fds[num - 1], POLLIN);
	return fds;
}

static double poll_some(int n, int num)
{
	static struct pollfd p[100];
	int *fds = some_fds(num);
	double begin;

	for (int i = 0; i < num; i++)
		p[i] = (struct pollfd){fds[i], POLLIN, 0};
	begin = now_ns();
	for (int i = 0; i < n; i++)
		if (poll(p, (nfds_t)num, 0) != 1)
			die("poll");
	return (now_ns() - begin) / n;
}

static double poll_1(int n)
{
	return poll_some(n, 1);
}

static double poll_10(int n)
{
	return poll_some(n, 10);
}

static double poll_100(int n)
{
	return poll_some(n, 100);
}

static double epoll_1000(int n)
{
	static int ep;
	int *fds = some_fds(MAX_FDS);
	struct epoll_event ev = {.events = EPOLLIN};
	double begin;

	if (!ep) {
		ep = must(epoll_create1(0), "epoll_create1");
		for (int i = 0; i < MAX_FDS; i++)
			must(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev),
			     "epoll_ctl");
	}
	begin = now_ns();
	for (int i = 0; i < n; i++)
		if (epoll_wait(ep, &ev, 1, 0) != 1)
			die("epoll_wait");
	return (now_ns() - begin) / n;
}

static double set_option(int n)
{
	double begin = now_ns();

	for (int i = 0; i < n; i++) {
		int v = i & 1;

		must(setsockopt(ctl, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)),
		     "setsockopt");
	}
	return (now_ns() - begin) / n;
}

static double get_option(int n)
{
	double begin = now_ns();

	for (int i = 0; i < n; i++) {
		socklen_t len = sizeof(int);
		int v;

		must(getsockopt(ctl, SOL_SOCKET, SO_ERROR, &v, &len),
		     "getsockopt");
	}
	return (now_ns() - begin) / n;
}

static double accept_one(int n)
{
	static int lfd, fds[MAX_FDS];
	double begin, took;

	if (!lfd) {
		lfd = bound(SOCK_STREAM);
		must(listen(lfd, 256), "listen");
	}
	tell(ctl, "d", port_of(lfd), n, true);
	wait_for(lfd, POLLIN);
	begin = now_ns();
	for (int i = 0; i < n; i++)
		fds[i] = must(accept(lfd, NULL, NULL), "accept");
	took = now_ns() - begin;
	for (int i = 0; i < n; i++)
		close(fds[i]);
	return took / n;
}

static double socket_close(int n)
{
	double begin = now_ns();

	for (int i = 0; i < n; i++)
		close(must(socket(AF_INET, SOCK_STREAM, 0), "socket"));
	return (now_ns() - begin) / n;
}

static int file(void)
{
	static int fd;

	if (!fd)
		fd = must(memfd_create("calls", MFD_CLOEXEC), "memfd_create");
	return fd;
}

static double file_read(int n)
{
	int fd = file();
	double begin = now_ns();
	char c;

	for (int i = 0; i < n; i++)
		must((int)read(fd, &c, 1), "read");
	return (now_ns() - begin) / n;
}

static double file_write(int n)
{
	int fd = file();
	double begin = now_ns();
	char c = 0;

	for (int i = 0; i < n; i++)
		must((int)write(fd, &c, 0), "write");
	return (now_ns() - begin) / n;
}

static double file_close(int n)
{
	int fds[200], fd = file();
	double begin;

	for (int i = 0; i < n; i++)
		fds[i] = must(fcntl(fd, F_DUPFD_CLOEXEC, 0), "dup");
	begin = now_ns();
	for (int i = 0; i < n; i++)
		close(fds[i]);
	return (now_ns() - begin) / n;
}

static const struct row {
	const char *name;
	double (*fn)(int n);
	int n; /* calls a batch */
} rows[] = {
	{"send 64 B, TCP", send_tcp, 1000},
	{"recv 64 B, TCP", recv_tcp, 500},
	{"send 64 B, UDP", send_udp, 1000},
	{"recv 64 B, UDP", recv_udp, 200},
	{"poll, 1 socket", poll_1, 2000},
	{"poll, 10 sockets", poll_10, 1000},
	{"poll, 100 sockets", poll_100, 300},
	{"epoll_wait, 1 of 1000", epoll_1000, 2000},
	{"setsockopt", set_option, 2000},
	{"getsockopt", get_option, 2000},
	{"accept", accept_one, 100},
	{"socket and close", socket_close, 500},
	{"read a file", file_read, 5000},
	{"write a file", file_write, 5000},
	{"close a file", file_close, 200},
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int run(const char *only)
{
	struct rlimit many = {4096, 4096};
	double got[BATCHES];

	setrlimit(RLIMIT_NOFILE, &many);
	ctl = dial('c');
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];

		if (only && !strstr(r->name, only))
			continue;
		r->fn(r->n); /* what is cold warms up */
		for (int b = 0; b < BATCHES; b++)
			got[b] = r->fn(r->n);
		qsort(got, BATCHES, sizeof(*got), by_value);
		printf("%s\t%.1f\n", r->name, got[BATCHES / 2]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 4 || (strcmp(argv[1], "run") && strcmp(argv[1], "serve"))) {
		fputs("usage: calls serve|run ADDRESS PORT [NAME]\n", stderr);
		return 2;
	}
	far_end = address(argv[2], atoi(argv[3]));
	if (argv[1][0] == 's')
		serve(&far_end);
	return run(argc > 4 ? argv[4] : NULL);
}
