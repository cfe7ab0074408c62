/* SPDX-License-Identifier: MIT
 *
 * threads.c - several threads on one socket: both directions at once, blocked
 * calls that shutdown and close of another thread concern, shared accepts
 */
#include "t.h"
#include <sys/syscall.h>

#define BULK (8 << 20)

static const struct t_fam *fam;
static int the_fd;
static volatile pid_t blocked_tid;

struct blocked {
	long (*call)(void);
	long ret;
	int err;
	pthread_t t;
};

static void *blocked_main(void *arg)
{
	struct blocked *b = arg;

	blocked_tid = (pid_t)syscall(SYS_gettid);
	errno = 0;
	b->ret = b->call();
	b->err = errno;
	return NULL;
}

static void block_in(struct blocked *b, long (*call)(void))
{
	blocked_tid = 0;
	b->call = call;
	if (pthread_create(&b->t, NULL, blocked_main, b))
		t_die("pthread_create");
	t_wait_asleep(&blocked_tid);
}

static void unblocked(const char *label, struct blocked *b)
{
	pthread_join(b->t, NULL);
	say("%s: %ld %s", label, b->ret, t_err(b->err));
}

static long in_recv(void)
{
	char buf[16];

	return recv(the_fd, buf, sizeof(buf), 0);
}

static long in_accept(void)
{
	int fd = accept(the_fd, NULL, NULL);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 1;
}

static long in_poll(void)
{
	struct pollfd p = {.fd = the_fd, .events = POLLIN};
	int n = poll(&p, 1, -1);

	return n < 0 ? -1 : p.revents;
}

static long in_send(void)
{
	static char buf[BULK];

	return send(the_fd, buf, sizeof(buf), 0) < 0 ? -1 : 1;
}

static long in_connect(void)
{
	struct t_addr a = t_addr("10.77.0.99", 9);

	return connect(the_fd, &a.sa, a.len);
}

static void shutdown_wakes(void)
{
	struct blocked b;

	the_fd = t_connected(fam, 0);
	block_in(&b, in_recv);
	CALL(shutdown(the_fd, SHUT_RD));
	unblocked("recv, SHUT_RD", &b);
	close(the_fd);
	peer("close 0");

	the_fd = t_connected(fam, 0);
	block_in(&b, in_recv);
	CALL(shutdown(the_fd, SHUT_RDWR));
	unblocked("recv, SHUT_RDWR", &b);
	close(the_fd);
	peer("close 0");

	the_fd = t_connected(fam, 0);
	block_in(&b, in_poll);
	CALL(shutdown(the_fd, SHUT_RD));
	pthread_join(b.t, NULL);
	say("poll, SHUT_RD: %s", t_mask((unsigned)b.ret));
	close(the_fd);
	peer("close 0");

	the_fd = t_listener(fam, 1);
	block_in(&b, in_accept);
	CALL(shutdown(the_fd, SHUT_RD));
	unblocked("accept, SHUT_RD", &b);
	close(the_fd);

	signal(SIGPIPE, SIG_IGN);
	the_fd = t_connected(fam, 0);
	block_in(&b, in_send);
	CALL(shutdown(the_fd, SHUT_WR));
	pthread_join(b.t, NULL);
	say("send, SHUT_WR: %s", b.ret < 0 ? t_err(b.err) : "a part was sent");
	close(the_fd);
	peer("close 0");

	if (fam->n == 4) {
		the_fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
		block_in(&b, in_connect);
		CALL(shutdown(the_fd, SHUT_RDWR));
		unblocked("connect, SHUT_RDWR", &b);
		close(the_fd);
	}
}

/* A call that is under way goes on with the socket when its number is closed.
 */
static void close_lets_go_on(void)
{
	struct blocked b;

	the_fd = t_connected(fam, 0);
	block_in(&b, in_recv);
	CALL(close(the_fd));
	peer("send 0 5");
	unblocked("recv, closed meanwhile", &b);
	peer("end 0");
	peer("close 0");
}

static void accept_shared(void)
{
	struct blocked b[3];

	the_fd = t_listener(fam, 8);
	for (int i = 0; i < 3; i++)
		block_in(&b[i], in_accept);
	for (int i = 0; i < 3; i++)
		peer_quiet("connect %d %d %d", i, fam->n, t_local_port(the_fd));
	for (int i = 0; i < 3; i++)
		unblocked("accept", &b[i]);
	for (int i = 0; i < 3; i++)
		peer("end %d", i);
	close(the_fd);
	for (int i = 0; i < 3; i++)
		peer("close %d", i);
}

/* Both directions at once, a thread each. */
static void *send_bulk(void *arg)
{
	static unsigned char buf[65536];
	uint64_t off = 0;

	while (off < BULK) {
		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = (unsigned char)((off + i) % 251);
		size_t done = 0;

		while (done < sizeof(buf))
			done += (size_t)MUST(send(the_fd, buf + done,
						  sizeof(buf) - done, 0));
		off += sizeof(buf);
	}
	MUST(shutdown(the_fd, SHUT_WR));
	return NULL;
}

static void both_ways(void)
{
	static unsigned char buf[65536];
	uint64_t off = 0;
	bool is_equal = true;
	pthread_t t;
	ssize_t n;

	the_fd = t_connected(fam, 0);
	peer("echo 0");
	pthread_create(&t, NULL, send_bulk, NULL);
	while ((n = recv(the_fd, buf, sizeof(buf), 0)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			is_equal &= buf[i] == (off + (uint64_t)i) % 251;
		off += (uint64_t)n;
	}
	pthread_join(t, NULL);
	say("echoed %ld bytes, equal %d", (long)off, is_equal);
	close(the_fd);
	peer("join");
}

/* Two readers: every byte to one of them. */
static void *read_some(void *arg)
{
	char buf[1000];
	long sum = 0;
	ssize_t n;

	while ((n = recv(the_fd, buf, sizeof(buf), 0)) > 0)
		sum += n;
	return (void *)sum;
}

static void two_readers(void)
{
	pthread_t t[2];
	long sum = 0;

	the_fd = t_connected(fam, 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, read_some, NULL);
	peer("source 0 1000000");
	for (int i = 0; i < 2; i++) {
		void *got;

		pthread_join(t[i], &got);
		sum += (long)got;
	}
	say("two readers: %ld", sum);
	close(the_fd);
	peer("join");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		fam = &t_fams[i];
		say("-- IPv%d", fam->n);
		shutdown_wakes();
		close_lets_go_on();
		accept_shared();
		both_ways();
		two_readers();
	}
	return 0;
}
