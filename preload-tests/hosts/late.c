/* SPDX-License-Identifier: MIT
 *
 * late.c - the network is used while the process ends: by a handler of exit(),
 * by a destructor, by a handler that was registered before all others, and by
 * libc, which writes out what is left in a stream
 *
 * late ADDRESS PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "late_lib.h"

static int fd;

static void handler(void)
{
	if (write(fd, "handler\n", 8) != 8)
		perror("handler");
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	FILE *fp;

	if (argc != 3)
		return 2;
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("connect");
		return 1;
	}
	late_use(fd);
	atexit(handler);
	fp = fdopen(fd, "w");
	fputs("main\n", fp);
	fflush(fp);
	fputs("left in a stream\n", fp);
	return 0;
}
