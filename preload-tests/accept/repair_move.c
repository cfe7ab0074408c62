/* SPDX-License-Identifier: MIT
 *
 * repair_move.c - takes a TCP connection down in one place and sets it up in
 *		   another, as CRIU does, while a stream runs both ways
 *
 *	repair_move connect ADDRESS PORT IN OUT IMAGE
 *	repair_move restore IMAGE IN OUT IMAGE
 *
 * What is received is appended to the file IN, what is sent comes from OUT.
 * Obeys lines on standard input, says "ok" to each:
 *	go		out of repair: the connection is alive again
 *	run IN OUT	receive and send until so many bytes have been, in all,
 *			and what was sent is acknowledged
 *	push BYTES	only send what the buffer takes, not more than that
 *	dump		into IMAGE; the process ends without a word to the peer
 *	end		shut down, read to the end; the process ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TCP_REPAIR_WINDOW
#define TCP_REPAIR_WINDOW 29
#endif
#define NO_QUEUE 0
#define RECV_QUEUE 1
#define SEND_QUEUE 2
#define MAX_QUEUE (8 << 20)

struct window {
	uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
};

struct option {
	uint32_t code, value;
};

static struct image {
	struct sockaddr_in us, peer;
	uint32_t snd_seq, rcv_seq; /* of the first byte of each queue */
	uint32_t stamp, mss;
	uint8_t options, snd_wscale, rcv_wscale;
	struct window win;
	uint32_t num_in, num_out, num_unsent;
	uint64_t total_in, total_out; /* of the files */
	uint8_t in[MAX_QUEUE], out[MAX_QUEUE];
} im;

static int fd, in_file, out_file;

static void die(const char *what)
{
	fprintf(stderr, "repair_move: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long must(long r, const char *what)
{
	if (r < 0)
		die(what);
	return r;
}

#define MUST(x) must((long)(x), #x)

static void set(int name, int v)
{
	if (setsockopt(fd, IPPROTO_TCP, name, &v, sizeof(v))) {
		fprintf(stderr, "option %d to %d: ", name, v);
		die("setsockopt");
	}
}

static uint32_t get(int name)
{
	socklen_t len = sizeof(uint32_t);
	uint32_t v = 0;

	MUST(getsockopt(fd, IPPROTO_TCP, name, &v, &len));
	return v;
}

/* --- down --- */

static uint32_t save_queue(int which, uint8_t *buf, uint32_t len)
{
	ssize_t n = 0;

	set(TCP_REPAIR_QUEUE, which);
	if (len > MAX_QUEUE)
		die("a queue is too long");
	if (len)
		n = MUST(recv(fd, buf, len, MSG_PEEK | MSG_DONTWAIT));
	if (n != (ssize_t)len)
		die("a queue has less than it says");
	return get(TCP_QUEUE_SEQ) - len;
}

static void dump(const char *path)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int f, n;

	set(TCP_REPAIR, 1);
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	im.options = info.tcpi_options;
	im.snd_wscale = info.tcpi_snd_wscale;
	im.rcv_wscale = info.tcpi_rcv_wscale;
	im.mss = get(TCP_MAXSEG);
	im.stamp = get(TCP_TIMESTAMP);
	len = sizeof(im.us);
	MUST(getsockname(fd, (struct sockaddr *)&im.us, &len));
	len = sizeof(im.peer);
	MUST(getpeername(fd, (struct sockaddr *)&im.peer, &len));
	len = sizeof(im.win);
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &im.win, &len));
	MUST(ioctl(fd, SIOCOUTQ, &n));
	im.num_out = (uint32_t)n;
	MUST(ioctl(fd, SIOCOUTQNSD, &n));
	im.num_unsent = (uint32_t)n;
	MUST(ioctl(fd, SIOCINQ, &n));
	im.num_in = (uint32_t)n;
	im.snd_seq = save_queue(SEND_QUEUE, im.out, im.num_out);
	im.rcv_seq = save_queue(RECV_QUEUE, im.in, im.num_in);
	f = (int)MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
	if (write(f, &im, sizeof(im)) != sizeof(im))
		die("write of the image");
	close(f);
	printf("ok unread %u unacked %u unsent %u\n", im.num_in,
	       im.num_out - im.num_unsent, im.num_unsent);
	close(fd);
	exit(0);
}

/* --- up --- */

static void put(const uint8_t *p, uint32_t len)
{
	while (len) {
		ssize_t n = MUST(send(fd, p, len, 0));

		p += n;
		len -= (uint32_t)n;
	}
}

static void restore(const char *path)
{
	struct option o[4];
	int f = (int)MUST(open(path, O_RDONLY)), n = 0, on = 1;
	int snd = 2 * MAX_QUEUE, rcv = 2000000;

	for (size_t k = 0; k < sizeof(im);) {
		ssize_t r = MUST(read(f, (char *)&im + k, sizeof(im) - k));

		if (!r)
			die("a short image");
		k += (size_t)r;
	}
	close(f);
	fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &snd, sizeof(snd));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcv, sizeof(rcv));
	set(TCP_REPAIR, 1);
	set(TCP_REPAIR_QUEUE, SEND_QUEUE);
	set(TCP_QUEUE_SEQ, (int)im.snd_seq);
	set(TCP_REPAIR_QUEUE, RECV_QUEUE);
	set(TCP_QUEUE_SEQ, (int)im.rcv_seq);
	MUST(bind(fd, (struct sockaddr *)&im.us, sizeof(im.us)));
	MUST(connect(fd, (struct sockaddr *)&im.peer, sizeof(im.peer)));
	o[n++] = (struct option){2, im.mss};
	if (im.options & TCPI_OPT_WSCALE)
		o[n++] = (struct option){
			3, im.snd_wscale | (uint32_t)im.rcv_wscale << 16};
	if (im.options & TCPI_OPT_SACK)
		o[n++] = (struct option){4, 0};
	if (im.options & TCPI_OPT_TIMESTAMPS)
		o[n++] = (struct option){8, 0};
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, o,
			sizeof(o[0]) * (size_t)n));
	set(TCP_TIMESTAMP, (int)im.stamp);
	set(TCP_REPAIR_QUEUE, RECV_QUEUE);
	put(im.in, im.num_in);
	/* what was sent counts as sent; the rest was never outside */
	set(TCP_REPAIR_QUEUE, SEND_QUEUE);
	put(im.out, im.num_out - im.num_unsent);
	if (im.num_unsent) {
		set(TCP_REPAIR, -1);
		put(im.out + (im.num_out - im.num_unsent), im.num_unsent);
		set(TCP_REPAIR, 1);
	}
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &im.win,
			sizeof(im.win)));
}

static void open_new(const char *addr, int port)
{
	int rcv = 400000; /* what the peer has left must not fit */

	im.peer.sin_family = AF_INET;
	im.peer.sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, addr, &im.peer.sin_addr);
	fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcv, sizeof(rcv));
	MUST(connect(fd, (struct sockaddr *)&im.peer, sizeof(im.peer)));
}

/* --- the stream --- */

static bool receive_some(uint64_t up_to)
{
	static uint8_t buf[65536];
	uint64_t left = up_to - im.total_in;
	ssize_t n;

	n = MUST(recv(fd, buf, left < sizeof(buf) ? left : sizeof(buf), 0));
	if (write(in_file, buf, (size_t)n) != n)
		die("write of what came");
	im.total_in += (uint64_t)n;
	return n > 0;
}

static bool send_some(uint64_t up_to)
{
	static uint8_t buf[65536];
	uint64_t left = up_to - im.total_out;
	ssize_t n, sent;

	n = MUST(pread(out_file, buf, left < sizeof(buf) ? left : sizeof(buf),
		       (off_t)im.total_out));
	sent = send(fd, buf, (size_t)n, MSG_DONTWAIT);
	if (sent < 0 && errno != EAGAIN)
		die("send");
	if (sent > 0)
		im.total_out += (uint64_t)sent;
	return sent > 0;
}

/* Until the peer has acknowledged all of it. */
static void drain(void)
{
	int left = 1;

	for (int i = 0; left && i < 20000; i++) {
		MUST(ioctl(fd, SIOCOUTQ, &left));
		if (left)
			poll(NULL, 0, 1);
	}
	if (left)
		die("nothing is acknowledged");
}

static void run(uint64_t in, uint64_t out)
{
	while (im.total_in < in || im.total_out < out) {
		struct pollfd p = {.fd = fd};

		if (im.total_in < in)
			p.events |= POLLIN;
		if (im.total_out < out)
			p.events |= POLLOUT;
		if (MUST(poll(&p, 1, 20000)) == 0)
			die("nothing moves");
		if (p.revents & POLLIN && !receive_some(in))
			die("the peer has ended");
		if (p.revents & POLLOUT && im.total_out < out)
			send_some(out);
	}
	drain();
}

static void push(uint64_t bytes)
{
	uint64_t to = im.total_out + bytes;

	while (im.total_out < to && send_some(to))
		;
}

static void obey(const char *line, const char *image)
{
	unsigned long a = 0, b = 0;

	if (strncmp(line, "go", 2) == 0)
		set(TCP_REPAIR, 0);
	else if (sscanf(line, "run %lu %lu", &a, &b) == 2)
		run(a, b);
	else if (sscanf(line, "push %lu", &a) == 1)
		push(a);
	else if (strncmp(line, "dump", 4) == 0)
		dump(image);
	else if (strncmp(line, "end", 3) == 0) {
		MUST(shutdown(fd, SHUT_WR));
		while (receive_some(UINT64_MAX))
			;
	} else
		die("what?");
	printf("ok in %llu out %llu\n", (unsigned long long)im.total_in,
	       (unsigned long long)im.total_out);
}

int main(int argc, char **argv)
{
	char line[100];
	int i = 2;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 7 && strcmp(argv[1], "connect") == 0) {
		open_new(argv[2], atoi(argv[3]));
		i = 4;
	} else if (argc == 6 && strcmp(argv[1], "restore") == 0) {
		restore(argv[i++]);
	} else {
		fprintf(stderr, "usage: see repair_move.c\n");
		return 2;
	}
	in_file = (int)MUST(open(argv[i], O_WRONLY | O_CREAT | O_APPEND, 0600));
	out_file = (int)MUST(open(argv[i + 1], O_RDONLY));
	printf("ok up\n");
	while (fgets(line, sizeof(line), stdin)) {
		obey(line, argv[i + 2]);
		if (strncmp(line, "end", 3) == 0)
			return 0;
	}
	return 0;
}
