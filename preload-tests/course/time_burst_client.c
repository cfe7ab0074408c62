/* SPDX-License-Identifier: MIT
 *
 * time_burst_client [-n COUNT] [-t MS] ADDRESS PORT - many questions at once
 *
 * Sends COUNT requests (20) without waiting, then takes the answers in the
 * order in which they come, until none came for MS milliseconds (2000).
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/time.h>
#include <unistd.h>

#include "course.h"
#include "time_protocol.h"

static void send_burst(int fd, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct time_request request = {.magic = htonl(TIME_MAGIC),
					       .number = htonl(i)};

		if (send(fd, &request, sizeof(request), 0) < 0)
			fail("send");
	}
}

/* How many answers came; @in_order says whether each was later than the last */
static unsigned take_answers(int fd, unsigned count, bool *in_order)
{
	unsigned received = 0, number;
	long last = -1;

	*in_order = true;
	while (received < count) {
		struct time_reply reply;
		ssize_t n = recv(fd, &reply, sizeof(reply), 0);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			fail("recv");
		if (n != sizeof(reply))
			continue;
		number = ntohl(reply.number);
		printf("reply %u\n", number);
		if ((long)number < last)
			*in_order = false;
		last = number;
		received++;
	}
	return received;
}

int main(int argc, char **argv)
{
	struct sockaddr_in server;
	unsigned count = 20, received;
	long ms = 2000;
	bool in_order;
	int fd, opt;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "n:t:")) != -1)
		switch (opt) {
		case 'n':
			count = (unsigned)atoi(optarg);
			break;
		case 't':
			ms = atol(optarg);
			break;
		default:
			return EXIT_FAILURE;
		}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: time_burst_client [-n COUNT] [-t MS] "
				"ADDRESS PORT\n");
		return EXIT_FAILURE;
	}
	server = make_address(argv[optind], argv[optind + 1]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		fail("socket");
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		fail("connect");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO,
		       &(struct timeval){.tv_sec = ms / 1000,
					 .tv_usec = ms % 1000 * 1000},
		       sizeof(struct timeval)) < 0)
		fail("setsockopt");
	send_burst(fd, count);
	received = take_answers(fd, count, &in_order);
	printf("%u sent, %u answered, %s\n", count, received,
	       in_order ? "in order" : "out of order");
	close(fd);
	return received == count ? EXIT_SUCCESS : EXIT_FAILURE;
}
