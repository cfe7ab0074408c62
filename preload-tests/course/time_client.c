/* SPDX-License-Identifier: MIT
 *
 * time_client [-u] [-n COUNT] [-t MS] ADDRESS PORT - asks what time it is
 *
 * Asks COUNT times (1), one after the other, and waits at most MS milliseconds
 * (1000) for each answer: a datagram that is lost is lost in silence. The
 * socket is connected, so that it takes answers from the server only, and hears
 * of "port unreachable"; with -u it is not, and hears nothing.
 */
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/time.h>
#include <unistd.h>

#include "course.h"
#include "time_protocol.h"

static bool ask(int fd, uint32_t number, const struct sockaddr_in *server)
{
	struct time_request request = {.magic = htonl(TIME_MAGIC),
				       .number = htonl(number)};
	struct time_reply reply;
	struct sockaddr_in from = {0};
	socklen_t len;
	ssize_t n;

	/* @server is NULL when the socket is connected */
	if (sendto(fd, &request, sizeof(request), 0,
		   (const struct sockaddr *)server,
		   server ? sizeof(*server) : 0) < 0) {
		printf("request %u: send: %s\n", number, strerror(errno));
		return false;
	}
	do {
		len = sizeof(from);
		n = recvfrom(fd, &reply, sizeof(reply), 0,
			     (struct sockaddr *)&from, &len);
	} while (n >= 0 && (n != sizeof(reply) ||
			    reply.number != request.number)); /* came late */
	if (n < 0) {
		printf("request %u: %s\n", number,
		       errno == EAGAIN ? "no answer" : strerror(errno));
		return false;
	}
	printf("request %u: answered by %s, its clock says %llu.%09llu\n",
	       number, show_address(&from),
	       (unsigned long long)be64toh(reply.seconds),
	       (unsigned long long)be64toh(reply.nanoseconds));
	return true;
}

int main(int argc, char **argv)
{
	unsigned count = 1, answered = 0;
	bool connected = true;
	struct sockaddr_in server;
	long ms = 1000;
	int fd, opt;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "un:t:")) != -1)
		switch (opt) {
		case 'u':
			connected = false;
			break;
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
		fprintf(stderr, "usage: time_client [-u] [-n COUNT] [-t MS] "
				"ADDRESS PORT\n");
		return EXIT_FAILURE;
	}
	server = make_address(argv[optind], argv[optind + 1]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		fail("socket");
	if (connected &&
	    connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
		fail("connect");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO,
		       &(struct timeval){.tv_sec = ms / 1000,
					 .tv_usec = ms % 1000 * 1000},
		       sizeof(struct timeval)) < 0)
		fail("setsockopt");
	for (unsigned i = 0; i < count; i++)
		answered += ask(fd, i, connected ? NULL : &server);
	printf("%u of %u answered\n", answered, count);
	close(fd);
	return answered == count ? EXIT_SUCCESS : EXIT_FAILURE;
}
