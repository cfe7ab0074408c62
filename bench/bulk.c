/* SPDX-License-Identifier: MIT
 *
 * bulk.c - one TCP stream for some seconds, and how much of it arrived
 *
 *	bulk recv PORT SECONDS [END]         "bytes B secs S", from the accept
 *	bulk send ADDR PORT CC SECONDS [STEP [START]]
 *
 * START and END, on the monotonic clock, are for several that are to begin and
 * to end together: who begins first has most of a queue for long. What came in
 * the last half of SECONDS is told as "last B".
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

static int receive(const char *port, double secs, double end)
{
	struct sockaddr_in in = address("0.0.0.0", port);
	struct timeval step = {.tv_usec = 20000};
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1, c;
	long long sum = 0, last = 0;
	double start, t;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&in, sizeof(in)) || listen(s, 1))
		return die("listen");
	alarm((unsigned)secs + 30);
	c = accept(s, NULL, NULL);
	if (c < 0)
		return die("accept");
	setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &step, sizeof(step));
	start = now_is();
	end = end > 0 ? end : start + secs;
	while ((t = now_is()) < end) {
		ssize_t n = recv(c, buf, BUF, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		sum += n > 0 ? n : 0;
		if (t > end - secs / 2)
			last += n > 0 ? n : 0;
	}
	printf("bytes %lld secs %.3f last %lld\n", sum, now_is() - start, last);
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

static void wait_for(double t)
{
	struct timespec ts = {(time_t)t, (long)((t - (double)(time_t)t) * 1e9)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static int send_all(char **argv, double secs, double every, double at)
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
	wait_for(at);
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
	if (argc >= 4 && strcmp(argv[1], "recv") == 0)
		return receive(argv[2], atof(argv[3]),
			       argc > 4 ? atof(argv[4]) : 0);
	if (argc >= 6 && strcmp(argv[1], "send") == 0)
		return send_all(argv + 2, atof(argv[5]),
				argc > 6 ? atof(argv[6]) / 1000 : 0,
				argc > 7 ? atof(argv[7]) : 0);
	fprintf(stderr, "usage: bulk recv PORT SECONDS [END] | "
			"send ADDR PORT CC SECONDS [STEP [START]]\n");
	return 2;
}
