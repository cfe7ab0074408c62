/* SPDX-License-Identifier: MIT
 *
 * bulk.c - one TCP stream for some seconds, and how much of it arrived
 *
 *	bulk recv PORT SECONDS               "bytes B secs S", from the accept
 *on bulk send ADDR PORT CC SECONDS [STEP]
 *
 * The sender says what TCP_INFO knew at the end; with STEP (milliseconds) a
 * line so often, on standard error: time, cwnd, ssthresh, round trip, resent,
 * in flight, what was acknowledged, pacing rate, delivery rate, state.
 * SECONDS bound everything; the receiver's end ends the sender.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUF (256 << 10)

static char buf[BUF];

static double now_is(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int die(const char *what)
{
	fprintf(stderr, "bulk: %s: %s\n", what, strerror(errno));
	return 1;
}

static struct sockaddr_in address(const char *addr, const char *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(port))};

	inet_pton(AF_INET, addr, &in.sin_addr);
	return in;
}

static int receive(const char *port, double secs)
{
	struct sockaddr_in in = address("0.0.0.0", port);
	struct timeval step = {.tv_usec = 20000};
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1, c;
	long long sum = 0;
	double start;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&in, sizeof(in)) || listen(s, 1))
		return die("listen");
	alarm((unsigned)secs + 30);
	c = accept(s, NULL, NULL);
	if (c < 0)
		return die("accept");
	setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &step, sizeof(step));
	start = now_is();
	while (now_is() - start < secs) {
		ssize_t n = recv(c, buf, BUF, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		sum += n > 0 ? n : 0;
	}
	printf("bytes %lld secs %.3f\n", sum, now_is() - start);
	return 0;
}

static void tell(int s, double t)
{
	struct tcp_info i = {0};
	socklen_t len = sizeof(i);

	if (getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &len))
		return;
	fprintf(stderr,
		"%.3f cwnd %u ssthresh %d rtt %u resent %u out %u acked %llu "
		"pace %lld rate %llu ca %u\n",
		t, i.tcpi_snd_cwnd, (int)i.tcpi_snd_ssthresh, i.tcpi_rtt,
		i.tcpi_total_retrans, i.tcpi_unacked,
		(unsigned long long)i.tcpi_bytes_acked,
		(long long)i.tcpi_pacing_rate,
		(unsigned long long)i.tcpi_delivery_rate, i.tcpi_ca_state);
}

static int send_all(char **argv, double secs, double every)
{
	struct sockaddr_in in = address(argv[0], argv[1]);
	struct timeval step = {.tv_usec = 10000};
	int s = socket(AF_INET, SOCK_STREAM, 0);
	struct tcp_info i = {0};
	socklen_t len = sizeof(i);
	double start, next = 0;

	if (setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, argv[2],
		       (socklen_t)strlen(argv[2])))
		return die(argv[2]);
	alarm((unsigned)secs + 30);
	if (connect(s, (struct sockaddr *)&in, sizeof(in)))
		return die("connect");
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &step, sizeof(step));
	start = now_is();
	while (now_is() - start < secs) {
		if (send(s, buf, BUF, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
		if (every > 0 && now_is() - start >= next) {
			tell(s, now_is() - start);
			next = now_is() - start + every;
		}
	}
	if (!getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &len))
		printf("resent %u sent %llu\n", i.tcpi_total_retrans,
		       (unsigned long long)i.tcpi_bytes_sent);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "recv") == 0)
		return receive(argv[2], atof(argv[3]));
	if (argc >= 6 && strcmp(argv[1], "send") == 0)
		return send_all(argv + 2, atof(argv[5]),
				argc > 6 ? atof(argv[6]) / 1000 : 0);
	fprintf(stderr, "usage: bulk recv PORT SECONDS | "
			"send ADDR PORT CC SECONDS [STEP]\n");
	return 2;
}
