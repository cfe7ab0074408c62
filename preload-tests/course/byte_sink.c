/* SPDX-License-Identifier: MIT
 *
 * byte_sink [-r] [-b BACKLOG] [ADDRESS [PORT]] - a TCP server, step by step
 *
 * Each step waits for Enter, so that there is time to look at ss and tcpdump:
 *
 *	bind -> listen -> accept -> receive, again and again, to the end of file
 *
 * Before Enter a word may be typed:
 *
 *	NUMBER	receive at most so many bytes (16)
 *	show	the state of the socket, and how much can be read
 *	half	send a FIN, and go on receiving: shutdown(SHUT_WR)
 *	close	close the connection, and go back to accept
 *	again	close the listening socket too, and go back to bind
 *	reuse	set SO_REUSEADDR from the next bind on
 *	quit	leave; the system closes everything
 *
 * -r sets SO_REUSEADDR before the first bind.
 */
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "course.h"

#define BUFFER_LEN 65536

static struct sockaddr_in address;
static bool reuse;
static int backlog = 8;

/* What the steps share: -1 is a socket that is not there. */
static int listener = -1, connection = -1;

enum step { BIND, LISTEN, ACCEPT, RECEIVE };

static const char *state_name(int fd)
{
	static const char *const names[] = {[TCP_ESTABLISHED] = "ESTABLISHED",
					    [TCP_SYN_SENT] = "SYN_SENT",
					    [TCP_SYN_RECV] = "SYN_RECV",
					    [TCP_FIN_WAIT1] = "FIN_WAIT1",
					    [TCP_FIN_WAIT2] = "FIN_WAIT2",
					    [TCP_TIME_WAIT] = "TIME_WAIT",
					    [TCP_CLOSE] = "CLOSE",
					    [TCP_CLOSE_WAIT] = "CLOSE_WAIT",
					    [TCP_LAST_ACK] = "LAST_ACK",
					    [TCP_LISTEN] = "LISTEN",
					    [TCP_CLOSING] = "CLOSING"};
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		fail("getsockopt");
	return info.tcpi_state < sizeof(names) / sizeof(names[0])
		       ? names[info.tcpi_state]
		       : "?";
}

static void show(void)
{
	int readable = 0;

	if (connection >= 0) {
		if (ioctl(connection, FIONREAD, &readable) < 0)
			fail("ioctl");
		printf("connection: %s, %d bytes to read\n",
		       state_name(connection), readable);
	} else if (listener >= 0) {
		printf("socket: %s\n", state_name(listener));
	}
}

/* A socket at its address; false when the address is not to be had. */
static bool do_bind(void)
{
	int one = 1;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0)
		fail("socket");
	if (reuse && setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one,
				sizeof(one)) < 0)
		fail("setsockopt");
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("bind");
		close(listener);
		listener = -1;
		return false;
	}
	printf("bound to %s\n", show_address(&address));
	return true;
}

static void do_accept(void)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);

	connection = accept(listener, (struct sockaddr *)&peer, &len);
	if (connection < 0)
		fail("accept");
	printf("accepted %s\n", show_address(&peer));
	show();
}

static void do_receive(size_t most)
{
	static char buf[BUFFER_LEN];
	ssize_t n = recv(connection, buf,
			 most < sizeof(buf) ? most : sizeof(buf), 0);

	if (n < 0)
		perror("recv");
	else if (n == 0)
		printf("end of file\n");
	else
		printf("received %zd bytes\n", n);
	show();
}

static void do_close(int *fd)
{
	if (*fd >= 0 && close(*fd) < 0)
		perror("close");
	*fd = -1;
}

/* Enter: the next step. */
static enum step advance(enum step step, size_t most)
{
	switch (step) {
	case BIND:
		return do_bind() ? LISTEN : BIND;
	case LISTEN:
		if (listen(listener, backlog) < 0)
			fail("listen");
		printf("listening\n");
		return ACCEPT;
	case ACCEPT:
		do_accept();
		return RECEIVE;
	default:
		do_receive(most);
		return RECEIVE;
	}
}

/* A line that was typed, as the table above has it. */
static enum step obey(enum step step, const char *line)
{
	size_t number = strtoul(line, NULL, 10);

	if (strcmp(line, "show") == 0) {
		show();
	} else if (strcmp(line, "half") == 0 && step == RECEIVE) {
		if (shutdown(connection, SHUT_WR) < 0)
			fail("shutdown");
		printf("sent FIN\n");
	} else if (strcmp(line, "close") == 0 && step == RECEIVE) {
		do_close(&connection);
		printf("closed the connection\n");
		return ACCEPT;
	} else if (strcmp(line, "again") == 0) {
		do_close(&connection);
		do_close(&listener);
		printf("closed everything\n");
		return BIND;
	} else if (strcmp(line, "reuse") == 0) {
		reuse = true;
	} else if (!*line || number) {
		return advance(step, number ? number : 16);
	} else {
		printf("not now: %s\n", line);
	}
	return step;
}

int main(int argc, char **argv)
{
	static const char *const prompts[] = {"bind", "listen", "accept",
					      "receive"};
	enum step step = BIND;
	char line[64];
	int opt;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt(argc, argv, "rb:")) != -1)
		switch (opt) {
		case 'r':
			reuse = true;
			break;
		case 'b':
			backlog = atoi(optarg);
			break;
		default:
			return EXIT_FAILURE;
		}
	address = make_address(optind < argc ? argv[optind] : "0.0.0.0",
			       optind + 1 < argc ? argv[optind + 1] : "8080");
	step = advance(step, 0);
	for (;;) {
		printf("Enter: %s\n", prompts[step]);
		if (!fgets(line, sizeof(line), stdin))
			break;
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "quit") == 0)
			break;
		step = obey(step, line);
	}
	return EXIT_SUCCESS;
}
