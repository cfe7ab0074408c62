/* SPDX-License-Identifier: MIT
 *
 * echo_server [ADDRESS [PORT]] - sends back each datagram, or what it has of it
 *
 * Its buffer is small on purpose. A datagram is received as a whole or cut:
 * what does not fit is gone, and the next receive gives the next datagram. With
 * MSG_TRUNC the call tells how long the datagram was.
 */
#include "course.h"

#define BUFFER_LEN 16

int main(int argc, char **argv)
{
	struct sockaddr_in address = make_address(
		argc > 1 ? argv[1] : "0.0.0.0", argc > 2 ? argv[2] : "5678");
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (fd < 0)
		fail("socket");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("bind");
	printf("echoing on %s\n", show_address(&address));

	for (;;) {
		char buf[BUFFER_LEN];
		struct sockaddr_in client;
		socklen_t len = sizeof(client);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_TRUNC,
				     (struct sockaddr *)&client, &len);
		size_t kept;

		if (n < 0)
			fail("recvfrom");
		kept = (size_t)n < sizeof(buf) ? (size_t)n : sizeof(buf);
		printf("%zd bytes from %s, kept %zu\n", n,
		       show_address(&client), kept);
		if (sendto(fd, buf, kept, 0, (struct sockaddr *)&client, len) <
		    0)
			perror("sendto");
	}
}
