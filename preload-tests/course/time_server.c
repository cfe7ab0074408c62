/* SPDX-License-Identifier: MIT
 *
 * time_server ADDRESS PORT - tells the time, one datagram for each it gets
 *
 * One socket serves everybody: a datagram comes with the address of its
 * sender, and that is where the answer goes.
 */
#include <endian.h>
#include <time.h>

#include "course.h"
#include "time_protocol.h"

static void answer(int fd, const struct time_request *request,
		   const struct sockaddr_in *client)
{
	struct time_reply reply = {.magic = htonl(TIME_MAGIC),
				   .number = request->number};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	reply.seconds = htobe64((uint64_t)now.tv_sec);
	reply.nanoseconds = htobe64((uint64_t)now.tv_nsec);
	if (sendto(fd, &reply, sizeof(reply), 0,
		   (const struct sockaddr *)client, sizeof(*client)) < 0)
		perror("sendto");
}

int main(int argc, char **argv)
{
	struct sockaddr_in address;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: time_server ADDRESS PORT\n");
		return EXIT_FAILURE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	address = make_address(argv[1], argv[2]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		fail("socket");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("bind");
	printf("serving on %s\n", show_address(&address));

	for (;;) {
		struct time_request request;
		struct sockaddr_in client;
		socklen_t len = sizeof(client);
		ssize_t n = recvfrom(fd, &request, sizeof(request), 0,
				     (struct sockaddr *)&client, &len);

		if (n < 0)
			fail("recvfrom");
		/* anybody can send us anything */
		if (n != sizeof(request) ||
		    request.magic != htonl(TIME_MAGIC)) {
			printf("nonsense from %s\n", show_address(&client));
			continue;
		}
		printf("request %u from %s\n", ntohl(request.number),
		       show_address(&client));
		answer(fd, &request, &client);
	}
}
