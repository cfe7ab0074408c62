/* SPDX-License-Identifier: MIT
 *
 * connrate.c - connections a second: connect, one byte each way, close
 *
 * connrate serve ADDRESS PORT		answers until it is killed
 * connrate run ADDRESS PORT SECONDS	prints connections a second
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};

	sa.sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, host, &sa.sin_addr) != 1) {
		fprintf(stderr, "connrate: bad address %s\n", host);
		exit(2);
	}
	return sa;
}

static _Noreturn void serve(const struct sockaddr_in *sa)
{
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (l < 0 || bind(l, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ||
	    listen(l, 1024) < 0)
		die("connrate: serve");
	for (;;) {
		int s = accept(l, NULL, NULL);
		char c;

		if (s < 0)
			die("connrate: accept");
		if (read(s, &c, 1) == 1 && write(s, &c, 1) != 1)
			die("connrate: write");
		while (read(s, &c, 1) > 0)
			;
		close(s);
	}
}

/* Closed with a reset: otherwise the client's ports would all be in TIME-WAIT
 * before a run is over. */
static void one(const struct sockaddr_in *sa)
{
	struct linger l = {.l_onoff = 1, .l_linger = 0};
	int s = socket(AF_INET, SOCK_STREAM, 0);
	char c = 'x';

	if (s < 0 || connect(s, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
		die("connrate: connect");
	if (write(s, &c, 1) != 1 || read(s, &c, 1) != 1)
		die("connrate: echo");
	setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(s);
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa;
	unsigned n = 0;
	double begin, seconds;

	if (argc == 4 && strcmp(argv[1], "serve") == 0) {
		sa = address(argv[2], argv[3]);
		serve(&sa);
	}
	if (argc != 5 || strcmp(argv[1], "run") != 0) {
		fprintf(stderr, "usage: connrate serve ADDRESS PORT\n"
				"       connrate run ADDRESS PORT SECONDS\n");
		return 2;
	}
	sa = address(argv[2], argv[3]);
	seconds = atof(argv[4]);
	begin = now();
	do {
		for (int i = 0; i < 20; i++, n++)
			one(&sa);
	} while (now() - begin < seconds);
	printf("%.0f\n", n / (now() - begin));
	return 0;
}
