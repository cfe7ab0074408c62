/* SPDX-License-Identifier: MIT
 *
 * splice.c - a pipe into a socket that has no room: no byte is lost
 */
#include "t.h"

#define STEP 65536

static unsigned long num_written;

/* What the peer will look for. */
static void fill(int fd)
{
	static unsigned char buf[STEP];
	unsigned long at = num_written;
	ssize_t n;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (unsigned char)((at + i) % 251);
	n = write(fd, buf, sizeof(buf));
	if (n > 0)
		num_written += (unsigned long)n;
}

static long left_in(int fd)
{
	int n = 0;

	MUST(ioctl(fd, FIONREAD, &n));
	return n;
}

static void to_stream(const struct t_fam *f)
{
	int fd = t_connected(f, 0), p[2];
	long sum = 0, n;

	num_written = 0;
	MUST(pipe2(p, O_NONBLOCK));
	MUST(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
	do { /* until the peer, which does not read, takes no more */
		fill(p[1]);
		n = splice(p[0], NULL, fd, NULL, STEP, 0);
		if (n > 0)
			sum += n;
	} while (n > 0);
	say("full: %s", t_err(errno));
	say("nothing lost: %d", (long)num_written - left_in(p[0]) == sum);
	peer_quiet("recv 0 %ld", sum);
	while (left_in(p[0]) > 0) {
		struct pollfd o = {fd, POLLOUT, 0};

		poll(&o, 1, T_PATIENCE);
		n = splice(p[0], NULL, fd, NULL, STEP, 0);
		if (n <= 0)
			break;
		sum += n;
		peer_quiet("recv 0 %ld", n);
	}
	say("all came: %d", (long)num_written == sum);
	CALL(splice(p[0], NULL, fd, NULL, STEP, 0));
	close(p[1]);
	CALL(splice(p[0], NULL, fd, NULL, STEP, 0));
	close(p[0]);
	close(fd);
	peer("end 0");
	peer("close 0");
}

static void to_closed(const struct t_fam *f)
{
	int fd = t_connected(f, 0), p[2];

	MUST(pipe(p));
	MUST(write(p[1], "12345", 5));
	signal(SIGPIPE, SIG_IGN);
	CALL(shutdown(fd, SHUT_WR));
	CALL(splice(p[0], NULL, fd, NULL, 5, 0));
	say("left: %ld", left_in(p[0]));
	close(p[0]);
	close(p[1]);
	close(fd);
	peer("end 0");
	peer("close 0");
}

static void to_datagrams(const struct t_fam *f)
{
	struct t_addr a;
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0)), p[2];

	say("datagrams");
	a = t_addr(f->peer, (int)peer_quiet("udp 1 %d 0", f->n));
	MUST(pipe(p));
	MUST(write(p[1], "123456789", 9));
	CALL(splice(p[0], NULL, fd, NULL, 4, 0));
	say("left: %ld", left_in(p[0]));
	MUST(connect(fd, &a.sa, a.len));
	CALL(splice(p[0], NULL, fd, NULL, 4, 0));
	say("left: %ld", left_in(p[0]));
	peer("recvfrom 1 100");
	close(p[0]);
	close(p[1]);
	close(fd);
	peer("close 1");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		to_stream(f);
		to_closed(f);
		to_datagrams(f);
	}
	return 0;
}
