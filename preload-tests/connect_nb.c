/* SPDX-License-Identifier: MIT
 *
 * connect_nb.c - non-blocking connect: success, refusal, and what poll and
 * SO_ERROR say on the way; the blocking forms beside it
 */
#include "t.h"

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	return err;
}

static void success(const struct t_fam *f)
{
	int port = (int)peer_quiet("listen 0 %d", f->n);
	struct t_addr a = t_addr(f->peer, port);
	int fd = (int)MUST(socket(f->af, SOCK_STREAM | SOCK_NONBLOCK, 0));
	int ret;

	say_poll("before connect", fd);
	ret = connect(fd, &a.sa, a.len);
	say("connect = %d %s", ret, ret ? t_err(errno) : "");
	t_settle_say("connected", fd, POLLOUT);
	say("SO_ERROR %s", t_err(so_error(fd)));
	CALL(connect(fd, &a.sa, a.len));
	CALL(connect(fd, &a.sa, a.len));
	peer("accept 0 1");
	CALL(send(fd, "\0\1\2", 3, 0));
	peer("recv 1 3");
	peer("send 1 2");
	t_settle_say("data", fd, POLLIN);
	close(fd);
	peer("recv 1 1");
	peer("close 1");
}

static void refused(const struct t_fam *f)
{
	int port = (int)peer_quiet("refuse 2 %d", f->n);
	struct t_addr a = t_addr(f->peer, port);
	int fd = (int)MUST(socket(f->af, SOCK_STREAM | SOCK_NONBLOCK, 0));
	char c;

	CALL(connect(fd, &a.sa, a.len));
	t_settle_say("refused", fd, POLLERR);
	say("SO_ERROR %s", t_err(so_error(fd)));
	say("SO_ERROR again %s", t_err(so_error(fd)));
	say_poll("after SO_ERROR", fd);
	CALL(send(fd, "x", 1, MSG_NOSIGNAL));
	CALL(recv(fd, &c, 1, 0));
	CALL(getpeername(fd, &(struct sockaddr){0}, &(socklen_t){0}));
	say("the same socket again");
	CALL(connect(fd, &a.sa, a.len)); /* once says that the last failed */
	CALL(connect(fd, &a.sa, a.len));
	t_settle(fd, POLLERR);
	CALL(connect(fd, &a.sa, a.len)); /* gives the error, consumes it */
	CALL(connect(fd, &a.sa, a.len));
	close(fd);

	fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	CALL(connect(fd, &a.sa, a.len));
	say("SO_ERROR %s", t_err(so_error(fd)));
	say_poll("blocking refused", fd);
	CALL(connect(fd, &a.sa, a.len));
	close(fd);

	fd = (int)MUST(socket(f->af, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CALL(connect(fd, &a.sa, a.len));
	t_settle(fd, POLLERR);
	CALL(recv(fd, &c, 1, 0)); /* a read consumes it too */
	say("SO_ERROR %s", t_err(so_error(fd)));
	close(fd);
	peer("close 2");
}

static void refused_then_good(const struct t_fam *f)
{
	int bad = (int)peer_quiet("refuse 3 %d", f->n);
	int good = (int)peer_quiet("listen 4 %d", f->n);
	struct t_addr a = t_addr(f->peer, bad), b = t_addr(f->peer, good);
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

	CALL(connect(fd, &a.sa, a.len));
	CALL(connect(fd, &b.sa, b.len));
	peer("accept 4 5");
	say_poll("second try", fd);
	close(fd);
	peer("close 3");
	peer("close 4");
	peer("close 5");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		success(&t_fams[i]);
		refused(&t_fams[i]);
		refused_then_good(&t_fams[i]);
	}
	return 0;
}
