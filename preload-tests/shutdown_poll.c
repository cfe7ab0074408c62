/* SPDX-License-Identifier: MIT
 *
 * shutdown_poll.c - what poll says at every stage of a connection's end, from
 * either side and in either order, and what reads and writes give there
 */
#include "t.h"

static void try_io(int fd)
{
	char c;

	CALL(recv(fd, &c, 1, MSG_DONTWAIT));
	CALL(send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static void not_connected(const struct t_fam *f)
{
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	int lfd = t_listener(f, 1);

	CALL(shutdown(fd, SHUT_RD));
	CALL(shutdown(fd, SHUT_WR));
	CALL(shutdown(fd, SHUT_RDWR));
	CALL(shutdown(fd, 3));
	CALL(shutdown(-1, SHUT_RD));
	CALL(shutdown(lfd, SHUT_WR));
	say_poll("listener, SHUT_WR", lfd);
	CALL(shutdown(lfd, SHUT_RD));
	say_poll("listener, SHUT_RD", lfd);
	CALL(accept4(lfd, NULL, NULL, SOCK_NONBLOCK));
	close(fd);
	close(lfd);
}

static void we_first(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	char buf[16];

	say("we end first");
	CALL(shutdown(fd, SHUT_WR));
	say_poll("SHUT_WR", fd);
	try_io(fd);
	peer("end 0");
	peer("send 0 5"); /* the other half still works */
	t_settle_say("data after SHUT_WR", fd, POLLIN);
	CALL(recv(fd, buf, sizeof(buf), 0));
	CALL(shutdown(fd, SHUT_WR));
	peer("close 0");
	t_settle_say("both ends", fd, POLLHUP);
	try_io(fd);
	CALL(shutdown(fd, SHUT_WR));
	CALL(shutdown(fd, SHUT_RD));
	close(fd);
}

static void peer_first(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	char buf[16];

	say("the peer ends first");
	peer("send 0 5");
	peer("shut 0 1");
	t_settle_say("data and FIN", fd, POLLRDHUP | POLLIN);
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_poll("data read", fd);
	CALL(recv(fd, buf, sizeof(buf), 0));
	CALL(recv(fd, buf, sizeof(buf), 0));
	say_poll("end read", fd);
	CALL(send(fd, "\0\1\2", 3, 0));
	peer("recv 0 3");
	CALL(shutdown(fd, SHUT_WR));
	t_settle_say("both ends", fd, POLLHUP);
	try_io(fd);
	peer("end 0");
	close(fd);
	peer("close 0");
}

static void reading_off(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	char buf[16];

	say("SHUT_RD");
	CALL(shutdown(fd, SHUT_RD));
	say_poll("SHUT_RD", fd);
	CALL(recv(fd, buf, sizeof(buf), 0));
	peer("send 0 5"); /* arrives all the same */
	t_wait_bytes(fd, 5);
	say_poll("data after SHUT_RD", fd);
	CALL(recv(fd, buf, sizeof(buf), 0));
	CALL(recv(fd, buf, sizeof(buf), 0));
	CALL(send(fd, "\0", 1, 0));
	peer("recv 0 1");
	close(fd);
	peer("close 0");

	fd = t_connected(f, 0);
	say("SHUT_RDWR");
	CALL(shutdown(fd, SHUT_RDWR));
	say_poll("SHUT_RDWR", fd);
	try_io(fd);
	peer("end 0");
	peer("close 0");
	say_poll("SHUT_RDWR, peer closed", fd);
	close(fd);
}

/* Written data arrives although close follows at once. */
static void written_then_closed(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	static char buf[100000];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i % 251);
	CALL(send(fd, buf, sizeof(buf), 0));
	CALL(close(fd));
	peer("recv 0 100001");
	peer("close 0");
}

static void accepted_side(const struct t_fam *f)
{
	int fd = t_accepted(f, 0);
	char buf[16];

	say("the accepted side");
	say_poll("fresh", fd);
	peer("send 0 4");
	peer("close 0");
	t_settle_say("data and FIN", fd, POLLIN | POLLRDHUP);
	CALL(recv(fd, buf, sizeof(buf), 0));
	CALL(recv(fd, buf, sizeof(buf), 0));
	CALL(send(fd, "x", 1, MSG_NOSIGNAL)); /* it is closed: a reset comes */
	t_settle_say("reset", fd, POLLHUP);
	try_io(fd);
	try_io(fd);
	close(fd);
}

/* Only what was asked for is said, but for ERR, HUP and NVAL. */
static void what_was_asked(const struct t_fam *f)
{
	int fd = t_connected(f, 0);

	peer("send 0 1");
	peer("close 0");
	t_settle(fd, POLLRDHUP | POLLIN);
	say("nothing: %s", t_mask(t_poll_now(fd, 0)));
	say("RDNORM: %s", t_mask(t_poll_now(fd, POLLRDNORM)));
	say("RDBAND: %s", t_mask(t_poll_now(fd, POLLRDBAND)));
	say("WRNORM: %s", t_mask(t_poll_now(fd, POLLWRNORM)));
	say("WRBAND: %s", t_mask(t_poll_now(fd, POLLWRBAND)));
	say("HUP: %s", t_mask(t_poll_now(fd, POLLHUP)));
	close(fd);
	say("closed: %s", t_mask(t_poll_now(fd, POLLIN)));
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		not_connected(&t_fams[i]);
		we_first(&t_fams[i]);
		peer_first(&t_fams[i]);
		reading_off(&t_fams[i]);
		written_then_closed(&t_fams[i]);
		accepted_side(&t_fams[i]);
		what_was_asked(&t_fams[i]);
	}
	return 0;
}
