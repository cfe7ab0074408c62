/* SPDX-License-Identifier: MIT
 *
 * random_client ADDRESS COUNT [PORT] - asks for bytes, and prints them
 *
 * Reads no faster than its output takes them: behind a slow reader
 *
 *	random_client 10.0.1.1 10000000 | pv -qL 4k
 *
 * its receive buffer fills, then the server's send buffer, then the server
 * waits. That is flow control.
 */
#include <endian.h>
#include <unistd.h>

#include "course.h"

int main(int argc, char **argv)
{
	struct sockaddr_in server;
	uint64_t count;
	char buf[4096];
	ssize_t n;
	int fd;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: random_client ADDRESS COUNT [PORT]\n");
		return EXIT_FAILURE;
	}
	server = make_address(argv[1], argc == 4 ? argv[3] : "8086");
	count = htobe64(strtoull(argv[2], NULL, 10));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		fail("socket");
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		fail("connect");
	if (send(fd, &count, sizeof(count), 0) < 0)
		fail("send");
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		for (ssize_t done = 0, m; done < n; done += m) {
			m = write(STDOUT_FILENO, buf + done,
				  (size_t)(n - done));
			if (m < 0)
				fail("write");
		}
	if (n < 0)
		fail("recv");
	close(fd);
	return EXIT_SUCCESS;
}
