/* SPDX-License-Identifier: MIT
 *
 * reset.c - RST in both directions: ECONNRESET once, then EPIPE and SIGPIPE;
 * close with unread data resets; SO_LINGER of zero resets
 */
#include "t.h"

static volatile sig_atomic_t num_pipe;

static void on_pipe(int sig)
{
	num_pipe++;
}

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	return err;
}

static void by_read(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	char c;

	peer("rst 0");
	t_settle_say("reset", fd, POLLERR | POLLHUP);
	CALL(recv(fd, &c, 1, 0));
	CALL(recv(fd, &c, 1, 0));
	say_poll("after read", fd);
	num_pipe = 0;
	CALL(send(fd, "x", 1, 0));
	CALL(write(fd, "x", 1));
	CALL(send(fd, "x", 1, MSG_NOSIGNAL));
	say("SIGPIPE %d times", (int)num_pipe);
	CALL(getpeername(fd, &(struct sockaddr){0}, &(socklen_t){0}));
	CALL(shutdown(fd, SHUT_WR));
	close(fd);
}

static void by_write(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	char c;

	peer("rst 0");
	t_settle(fd, POLLERR);
	num_pipe = 0;
	CALL(send(fd, "x", 1, 0));
	CALL(send(fd, "x", 1, 0));
	say("SIGPIPE %d times", (int)num_pipe);
	CALL(recv(fd, &c, 1, 0));
	close(fd);
}

static void by_so_error(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	char c;

	peer("rst 0");
	t_settle(fd, POLLERR);
	say("SO_ERROR %s, then %s", t_err(so_error(fd)), t_err(so_error(fd)));
	CALL(recv(fd, &c, 1, 0));
	close(fd);
}

/* What was received before the reset. */
static void data_first(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	char buf[16];

	peer("send 0 4");
	t_wait_bytes(fd, 4);
	peer("rst 0");
	t_settle_say("data and reset", fd, POLLERR);
	CALL(recv(fd, buf, 2, 0));
	CALL(recv(fd, buf, sizeof(buf), 0));
	CALL(recv(fd, buf, sizeof(buf), 0));
	close(fd);
}

static void after_half_close(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	char c;

	peer("shut 0 1");
	t_settle(fd, POLLRDHUP);
	peer("rst 0");
	t_settle_say("reset in CLOSE-WAIT", fd, POLLERR);
	say("SO_ERROR %s", t_err(so_error(fd)));
	CALL(recv(fd, &c, 1, 0));
	close(fd);
}

static void ours(const struct t_fam *f)
{
	struct linger l = {.l_onoff = 1};
	int fd = t_connected(f, 0);
	char c;

	/* unread data */
	peer("send 0 100");
	t_settle(fd, POLLIN);
	CALL(recv(fd, &c, 1, 0));
	close(fd);
	peer("end 0");
	peer("close 0");

	/* all read: an orderly end */
	fd = t_connected(f, 0);
	peer("send 0 1");
	CALL(recv(fd, &c, 1, 0));
	close(fd);
	peer("end 0");
	peer("close 0");

	fd = t_connected(f, 0);
	MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	close(fd);
	peer("end 0");
	peer("close 0");

	/* data that comes after close */
	fd = t_connected(f, 0);
	close(fd);
	peer("end 0");
	peer("send 0 1");
	peer("drain 0");
	peer("close 0");
}

/* Linger with a time: close waits for the peer to have it all. */
static void lingering(const struct t_fam *f)
{
	struct linger l = {.l_onoff = 1, .l_linger = 5};
	int fd = t_connected(f, 0);

	MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	CALL(send(fd, "\0\1\2\3", 4, 0));
	CALL(close(fd));
	peer("recv 0 10");
	peer("close 0");
}

int main(void)
{
	struct sigaction sa = {.sa_handler = on_pipe};

	t_init();
	MUST(sigaction(SIGPIPE, &sa, NULL));
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		by_read(&t_fams[i]);
		by_write(&t_fams[i]);
		by_so_error(&t_fams[i]);
		data_first(&t_fams[i]);
		after_half_close(&t_fams[i]);
		ours(&t_fams[i]);
		lingering(&t_fams[i]);
	}
	return 0;
}
