/* SPDX-License-Identifier: MIT
 *
 * random_server [-d MS] [PORT] - sends as many bytes as a client asks for
 *
 * The client sends a count of 8 bytes, big end first. With -d the server
 * pauses for MS milliseconds after each chunk of 4096.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include "course.h"

#define CHUNK_LEN 4096

/* xorshift: not for secrets, but the same bytes every time. */
static uint8_t next_byte(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return (uint8_t)*state;
}

static void serve(int fd, int delay_ms)
{
	uint8_t chunk[CHUNK_LEN];
	uint64_t count, done = 0;
	uint32_t state = 2463534242u;

	if (recv(fd, &count, sizeof(count), MSG_WAITALL) != sizeof(count)) {
		printf("no count\n");
		return;
	}
	count = be64toh(count);
	printf("asked for %llu bytes\n", (unsigned long long)count);
	while (done < count) {
		size_t len = count - done < sizeof(chunk) ? count - done
							  : sizeof(chunk);
		ssize_t n;

		for (size_t i = 0; i < len; i++)
			chunk[i] = next_byte(&state);
		/* a blocking send waits until it has room for all, but for an
		 * error on the way: then it says how far it came, and the next
		 * one tells of the error */
		n = send(fd, chunk, len, 0);
		if (n < 0) {
			printf("send: %s\n", strerror(errno));
			return;
		}
		done += (size_t)n;
		if (delay_ms)
			poll(NULL, 0, delay_ms);
	}
	printf("sent them all\n");
}

int main(int argc, char **argv)
{
	struct sockaddr_in address;
	int one = 1, delay_ms = 0, opt, fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "d:")) != -1) {
		if (opt != 'd')
			return EXIT_FAILURE;
		delay_ms = atoi(optarg);
	}
	address =
		make_address("0.0.0.0", optind < argc ? argv[optind] : "8086");
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		fail("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		fail("setsockopt");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("bind");
	if (listen(fd, 8) < 0)
		fail("listen");
	printf("serving on %s\n", show_address(&address));
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client < 0)
			fail("accept");
		serve(client, delay_ms);
		close(client);
	}
}
