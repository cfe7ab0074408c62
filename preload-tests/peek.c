/* SPDX-License-Identifier: MIT
 *
 * peek.c - MSG_PEEK and SO_PEEK_OFF on datagrams and streams, with MSG_TRUNC,
 * MSG_WAITALL and reads in between
 */
#include "msg.h"

static int off(int fd)
{
	return m_get(fd, SOL_SOCKET, SO_PEEK_OFF);
}

static void peek(int fd, size_t len, int flags)
{
	unsigned char buf[70000];
	ssize_t n = recv(fd, buf, len, flags | MSG_PEEK | MSG_DONTWAIT);

	say("peek %zu %#x: %zd %s first %d, off %d", len, (unsigned)flags, n,
	    n < 0 ? t_err(errno) : "", n > 0 ? buf[0] : -1, off(fd));
}

static void take(int fd, size_t len, int flags)
{
	unsigned char buf[70000];
	ssize_t n = recv(fd, buf, len, flags | MSG_DONTWAIT);

	say("read %zu %#x: %zd %s first %d, off %d", len, (unsigned)flags, n,
	    n < 0 ? t_err(errno) : "", n > 0 ? buf[0] : -1, off(fd));
}

static void datagrams(const struct t_fam *f)
{
	struct t_addr any = t_addr(f->any, 0);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	static const int lens[] = {10, 20, 0, 5};

	say("- UDP");
	MUST(bind(fd, &any.sa, any.len));
	peer_quiet("udp 0 %d", f->n);
	for (int i = 0; i < 4; i++)
		peer_quiet("sendto 0 %d %d %d", f->n, t_local_port(fd),
			   lens[i]);
	t_wait_bytes(fd, 1);
	peek(fd, 4, 0);
	peek(fd, 4, 0);
	m_set(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
	peek(fd, 4, 0);
	peek(fd, 4, MSG_TRUNC);
	m_recv_room(fd, MSG_PEEK, 100, 0);
	peek(fd, 100, 0);
	peek(fd, 100, 0);
	peek(fd, 100, 0);
	peek(fd, 100, 0);
	peek(fd, 100, 0);
	m_set(fd, SOL_SOCKET, SO_PEEK_OFF, 12);
	peek(fd, 3, 0);
	take(fd, 3, 0);
	peek(fd, 3, 0);
	take(fd, 100, 0);
	m_set(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
	peek(fd, 100, 0);
	take(fd, 100, 0);
	take(fd, 100, 0);
	take(fd, 100, 0);
	close(fd);
	peer_quiet("close 0");
}

static void stream(const struct t_fam *f)
{
	int fd = t_connected(f, 0);

	say("- TCP");
	for (int i = 0; i < 30; i++)
		peer_quiet("send 0 10");
	t_wait_bytes(fd, 300);
	peek(fd, 1000, 0); /* everything, however many segments it came in */
	peek(fd, 250, 0);
	peek(fd, 40, MSG_WAITALL);
	m_set(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
	peek(fd, 100, 0);
	peek(fd, 100, 0);
	take(fd, 50, 0);
	peek(fd, 30, 0);
	peek(fd, 1000, 0);
	peek(fd, 10, 0);
	peer_quiet("send 0 7");
	t_wait_bytes(fd, 257);
	peek(fd, 10, 0);
	m_set(fd, SOL_SOCKET, SO_PEEK_OFF, 1000);
	peek(fd, 10, 0);
	take(fd, 1000, 0);
	peek(fd, 10, 0);
	m_set(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
	peer_quiet("send 0 7");
	t_wait_bytes(fd, 7);
	peek(fd, 10, 0);
	take(fd, 3, MSG_TRUNC);
	take(fd, 10, 0);
	peer_quiet("shut 0 1");
	t_settle(fd, POLLRDHUP);
	peek(fd, 10, 0);
	close(fd);
	peer_quiet("close 0");
}

static void *later(void *arg)
{
	for (int i = 0; i < 3; i++)
		peer_quiet("send 0 10");
	return arg;
}

static void wait_all(const struct t_fam *f)
{
	int fd = t_connected(f, 0);
	unsigned char buf[100];
	pthread_t t;

	say("- all of it");
	for (int peeking = 1; peeking >= 0; peeking--) {
		if (peeking)
			pthread_create(&t, NULL, later, NULL);
		CALL(recv(fd, buf, 30, MSG_WAITALL | (peeking ? MSG_PEEK : 0)));
		if (peeking)
			pthread_join(t, NULL);
	}
	peer_quiet("send 0 10");
	peer_quiet("shut 0 1");
	CALL(recv(fd, buf, 30, MSG_PEEK | MSG_WAITALL));
	CALL(recv(fd, buf, 30, MSG_WAITALL));
	close(fd);
	peer_quiet("close 0");
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		datagrams(&t_fams[i]);
		stream(&t_fams[i]);
		wait_all(&t_fams[i]);
	}
	return 0;
}
