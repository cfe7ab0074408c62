/* SPDX-License-Identifier: MIT
 *
 * repair.c - TCP_REPAIR: a live connection is taken down without a word and set
 * up again on another socket, in another process, with what was in its queues
 */
#include "t.h"
#include <sys/wait.h>

#ifndef TCP_REPAIR_WINDOW
#define TCP_REPAIR_WINDOW 29
#endif
#define RECV_QUEUE 1
#define SEND_QUEUE 2

struct window {
	uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
};

struct option {
	uint32_t code, value;
};

/* All there is to a connection. */
struct image {
	struct t_addr us, peer;
	uint32_t snd_seq, rcv_seq, stamp, mss;
	uint8_t options, snd_wscale, rcv_wscale;
	struct window win;
	int num_in, num_out;
	char in[4000], out[4000];
};

static int set(int fd, int name, int v)
{
	return setsockopt(fd, IPPROTO_TCP, name, &v, sizeof(v));
}

static int get(int fd, int name)
{
	socklen_t len = sizeof(int);
	int v = -1;

	MUST(getsockopt(fd, IPPROTO_TCP, name, &v, &len));
	return v;
}

static void errors(const struct t_fam *f)
{
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0)), v = 0;
	int lfd = t_listener(f, 1);
	socklen_t len = sizeof(v);
	struct option o = {2, 1000};
	struct window win = {0};

	CALL(set(fd, TCP_REPAIR_QUEUE, SEND_QUEUE));
	CALL(getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &v, &len));
	CALL(set(fd, TCP_QUEUE_SEQ, 7));
	CALL(getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &v, &len));
	CALL(set(fd, TCP_TIMESTAMP, 7));
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, &o, sizeof(o)));
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, sizeof(win)));
	CALL(set(fd, TCP_REPAIR, 2));
	CALL(set(lfd, TCP_REPAIR, 1));
	CALL(set(fd, TCP_REPAIR, 1));
	CALL(get(fd, TCP_REPAIR));
	CALL(get(fd, TCP_REPAIR_QUEUE));
	CALL(set(fd, TCP_REPAIR_QUEUE, 3));
	CALL(set(fd, TCP_QUEUE_SEQ, 7));
	CALL(set(fd, TCP_REPAIR_QUEUE, SEND_QUEUE));
	CALL(set(fd, TCP_QUEUE_SEQ, 7));
	CALL(get(fd, TCP_QUEUE_SEQ));
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, &o, sizeof(o)));
	CALL(getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, &v, &len));
	CALL(set(fd, TCP_REPAIR, -1));
	CALL(get(fd, TCP_REPAIR));
	close(fd);
	close(lfd);
}

static int peek(int fd, int queue, char *buf, size_t len)
{
	ssize_t n;

	MUST(set(fd, TCP_REPAIR_QUEUE, queue));
	n = recv(fd, buf, len, MSG_PEEK | MSG_DONTWAIT);
	return n < 0 && errno == EAGAIN ? 0 : (int)MUST(n);
}

static void take_down(int fd, struct image *im)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	char c;

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	im->options = info.tcpi_options;
	im->snd_wscale = info.tcpi_snd_wscale;
	im->rcv_wscale = info.tcpi_rcv_wscale;
	im->mss = info.tcpi_snd_mss;
	im->us.len = im->peer.len = sizeof(im->us.ss);
	MUST(getsockname(fd, &im->us.sa, &im->us.len));
	MUST(getpeername(fd, &im->peer.sa, &im->peer.len));
	CALL(set(fd, TCP_REPAIR, 1));
	CALL(recv(fd, &c, 1, 0));
	CALL(recv(fd, &c, 1, MSG_PEEK));
	CALL(send(fd, "x", 1, 0));
	CALL(set(fd, TCP_QUEUE_SEQ, 1));
	im->num_in = peek(fd, RECV_QUEUE, im->in, sizeof(im->in));
	im->rcv_seq = (uint32_t)get(fd, TCP_QUEUE_SEQ) - (uint32_t)im->num_in;
	im->num_out = peek(fd, SEND_QUEUE, im->out, sizeof(im->out));
	im->snd_seq = (uint32_t)get(fd, TCP_QUEUE_SEQ) - (uint32_t)im->num_out;
	im->stamp = (uint32_t)get(fd, TCP_TIMESTAMP);
	len = sizeof(im->win);
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &im->win, &len));
	say("%d bytes unread, %d not acknowledged", im->num_in, im->num_out);
	close(fd);
}

static void put(int fd, int queue, const char *buf, int len)
{
	MUST(set(fd, TCP_REPAIR_QUEUE, queue));
	if (len)
		say("put back %zd of %d", send(fd, buf, (size_t)len, 0), len);
}

static int set_up(const struct image *im)
{
	int fd = (int)MUST(socket(im->us.sa.sa_family, SOCK_STREAM, 0));
	struct option o[4];
	int n = 0;

	MUST(set(fd, TCP_REPAIR, 1));
	MUST(set(fd, TCP_REPAIR_QUEUE, SEND_QUEUE));
	MUST(set(fd, TCP_QUEUE_SEQ, (int)im->snd_seq));
	MUST(set(fd, TCP_REPAIR_QUEUE, RECV_QUEUE));
	MUST(set(fd, TCP_QUEUE_SEQ, (int)im->rcv_seq));
	CALL(bind(fd, &im->us.sa, im->us.len));
	CALL(connect(fd, &im->peer.sa, im->peer.len));
	o[n++] = (struct option){2, im->mss};
	if (im->options & TCPI_OPT_WSCALE)
		o[n++] = (struct option){3,
					 im->snd_wscale | im->rcv_wscale << 16};
	if (im->options & TCPI_OPT_SACK)
		o[n++] = (struct option){4, 0};
	if (im->options & TCPI_OPT_TIMESTAMPS)
		o[n++] = (struct option){8, 0};
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, o,
			sizeof(o[0]) * (size_t)n));
	MUST(set(fd, TCP_TIMESTAMP, (int)im->stamp));
	put(fd, RECV_QUEUE, im->in, im->num_in);
	put(fd, SEND_QUEUE, im->out, im->num_out);
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &im->win,
			sizeof(im->win)));
	CALL(set(fd, TCP_REPAIR, 0));
	return fd;
}

/* What the peer sends is the pattern of peer.c. */
static void expect_bytes(int fd, int from, int len)
{
	char buf[4000];
	ssize_t n = recv(fd, buf, (size_t)len, MSG_WAITALL);
	int wrong = 0;

	for (int i = 0; i < n; i++)
		wrong += (uint8_t)buf[i] != (from + i) % 251;
	say("read %zd bytes, %d wrong", n, wrong);
}

static void send_bytes(int fd, int from, int len)
{
	char buf[4000];

	for (int i = 0; i < len; i++)
		buf[i] = (char)((from + i) % 251);
	CALL(send(fd, buf, (size_t)len, 0));
}

static void go_on(const struct image *im)
{
	int fd = set_up(im);
	struct t_addr a = {.len = sizeof(a.ss)};

	MUST(getpeername(fd, &a.sa, &a.len));
	say("the peer is %s",
	    t_port(&a) == t_port(&im->peer) ? "the same" : "another");
	expect_bytes(fd, 100, 900);
	peer("recv 0 650");
	send_bytes(fd, 650, 3000);
	peer("recv 0 3000");
	peer("send 0 2000");
	expect_bytes(fd, 1000, 2000);
	peer("close 0");
	t_settle(fd, POLLIN);
	CALL(recv(fd, &a, 1, 0));
	close(fd);
}

static void t_wait_acked(int fd)
{
	int64_t until = t_now_ms() + T_PATIENCE;
	int left = 1;

	while (left && t_now_ms() < until) {
		MUST(ioctl(fd, TIOCOUTQ, &left));
		if (left)
			poll(NULL, 0, 1);
	}
}

static void move(const struct t_fam *f, bool to_child)
{
	static struct image im;
	int fd = t_connected(f, 0);
	pid_t pid;

	say("--- IPv%d, to %s", f->n, to_child ? "a child" : "a socket");
	send_bytes(fd, 0, 600);
	peer("send 0 1000");
	t_wait_bytes(fd, 1000);
	expect_bytes(fd, 0, 100);
	t_wait_acked(fd);
	MUST(set(fd, TCP_CORK, 1)); /* fifty bytes stay in the queue */
	send_bytes(fd, 600, 50);
	take_down(fd, &im);
	if (!to_child) {
		go_on(&im);
		return;
	}
	pid = (pid_t)MUST(fork());
	if (!pid) {
		go_on(&im);
		exit(0);
	}
	MUST(waitpid(pid, NULL, 0));
}

int main(void)
{
	t_init();
	errors(&t_fams[0]);
	for (int i = 0; i < 2; i++) {
		move(&t_fams[i], false);
		move(&t_fams[i], true);
	}
	return 0;
}
