/* SPDX-License-Identifier: MIT
 *
 * simple_nc [-i] ADDRESS PORT - what is typed goes into a TCP connection
 *
 * At the end of the input (Ctrl-D) it sends a FIN and waits for the server's:
 * until then the connection is half closed. With -i it ignores SIGPIPE, and a
 * write to a connection that is gone fails instead of killing it.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "course.h"

/* Everything, in as many pieces as the system takes. */
static bool write_all(int fd, const char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, buf + done, len - done);

		if (n < 0) {
			printf("write: %s\n", strerror(errno));
			return false;
		}
		done += (size_t)n;
	}
	printf("wrote %zu bytes\n", len);
	return true;
}

static void wait_for_server(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		printf("got %zd bytes\n", n);
	if (n < 0)
		printf("read: %s\n", strerror(errno));
	else
		printf("the server has closed\n");
}

int main(int argc, char **argv)
{
	bool patient = argc == 4 && strcmp(argv[1], "-i") == 0;
	struct sockaddr_in server;
	char buf[65536];
	ssize_t n;
	int fd;

	if (argc != 3 + patient) {
		fprintf(stderr, "usage: simple_nc [-i] ADDRESS PORT\n");
		return EXIT_FAILURE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (patient)
		signal(SIGPIPE, SIG_IGN);
	server = make_address(argv[1 + patient], argv[2 + patient]);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		fail("socket");
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		fail("connect");
	printf("connected to %s\n", show_address(&server));
	/* an error is told, and the next line is tried all the same: that is
	 * what shows how a dead connection behaves */
	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		write_all(fd, buf, (size_t)n);
	if (shutdown(fd, SHUT_WR) < 0)
		printf("shutdown: %s\n", strerror(errno));
	else
		printf("sent FIN\n");
	wait_for_server(fd);
	close(fd);
	return EXIT_SUCCESS;
}
