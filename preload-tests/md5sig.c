/* SPDX-License-Identifier: MIT
 *
 * md5sig.c - TCP_MD5SIG (RFC 2385): keys, errors, both roles against the
 * kernel, and that an end without the key is not heard
 */
#include "t.h"
#include <stddef.h>

#ifndef TCP_MD5SIG_FLAG_IFINDEX /* younger than netinet/tcp.h */
#define TCP_MD5SIG_FLAG_IFINDEX 2
#endif

static void fill(struct tcp_md5sig *m, const char *ip, long key)
{
	struct t_addr a = t_addr(ip, 0);

	memset(m, 0, sizeof(*m));
	memcpy(&m->tcpm_addr, &a.ss, a.len);
	if (key)
		m->tcpm_keylen =
			(uint16_t)snprintf((char *)m->tcpm_key,
					   sizeof(m->tcpm_key), "key %ld", key);
}

static int set_key(int fd, const char *ip, long key)
{
	struct tcp_md5sig m;

	fill(&m, ip, key);
	return setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m));
}

static int set_ext(int fd, const char *ip, long key, int flags, int prefix,
		   int ifindex)
{
	struct tcp_md5sig m;

	fill(&m, ip, key);
	m.tcpm_flags = (uint8_t)flags;
	m.tcpm_prefixlen = (uint8_t)prefix;
	memcpy((char *)&m + offsetof(struct tcp_md5sig, tcpm_key) - 4, &ifindex,
	       4); /* tcpm_ifindex */
	return setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &m, sizeof(m));
}

static void errors(const struct t_fam *f)
{
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0)), v = 0;
	const char *other = f->n == 4 ? PEER6 : PEER4;
	socklen_t len = sizeof(struct tcp_md5sig);
	struct tcp_md5sig m;

	CALL(set_key(fd, f->peer, 0));
	CALL(set_key(fd, f->peer, 1));
	CALL(set_key(fd, f->peer, 2));
	CALL(set_key(fd, other, 1));
	CALL(set_key(fd, f->any, 1));
	CALL(set_key(fd, f->peer, 0));
	CALL(set_key(fd, f->peer, 0));
	fill(&m, f->peer, 1);
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m) - 1));
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &m, 4));
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m) + 8));
	m.tcpm_keylen = 81;
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m)));
	m.tcpm_keylen = 80;
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m)));
	CALL(getsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &m, &len));
	len = sizeof(v);
	CALL(getsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &v, &len));
	CALL(set_ext(fd, f->peer, 1, TCP_MD5SIG_FLAG_PREFIX, 24, 0));
	CALL(set_ext(fd, f->peer, 1, TCP_MD5SIG_FLAG_PREFIX, 33, 0));
	CALL(set_ext(fd, f->peer, 1, TCP_MD5SIG_FLAG_PREFIX, 129, 0));
	CALL(set_ext(fd, f->peer, 0, TCP_MD5SIG_FLAG_PREFIX, 23, 0));
	CALL(set_ext(fd, f->peer, 0, TCP_MD5SIG_FLAG_PREFIX, 24, 0));
	CALL(set_ext(fd, f->peer, 1, TCP_MD5SIG_FLAG_PREFIX, 0, 0));
	CALL(set_ext(fd, f->peer, 1, TCP_MD5SIG_FLAG_IFINDEX, 0, 0));
	CALL(set_ext(fd, f->peer, 1, TCP_MD5SIG_FLAG_IFINDEX, 0, 1));
	CALL(set_ext(fd, f->peer, 1, 0, 0, 1));
	CALL(set_ext(fd, f->peer, 0, TCP_MD5SIG_FLAG_IFINDEX, 0, 0));
	close(fd);
}

static void mapped(void)
{
	int fd = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));

	CALL(set_key(fd, "::ffff:10.77.0.1", 1));
	CALL(set_key(fd, PEER4, 1));
	CALL(set_ext(fd, "::ffff:10.77.0.1", 1, TCP_MD5SIG_FLAG_PREFIX, 33, 0));
	CALL(set_ext(fd, "::ffff:10.77.0.1", 1, TCP_MD5SIG_FLAG_PREFIX, 24, 0));
	CALL(set_key(fd, "::ffff:10.77.0.1", 0));
	close(fd);
}

/* Bytes both ways, then who closes first has a TIME-WAIT to answer from. */
static void talk(int fd, int slot)
{
	static char buf[50000];
	size_t off = 0;
	socklen_t len = sizeof(int);
	ssize_t n = 0;
	int mss;

	MUST(getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &len));
	say("segments of %d", mss);
	for (int i = 0; i < 4; i++) {
		for (size_t k = 0; k < sizeof(buf); k++)
			buf[k] = (char)(off++ % 251);
		MUST(send(fd, buf, sizeof(buf), 0));
		peer("recv %d %zu", slot, sizeof(buf));
		peer("send %d %zu", slot, sizeof(buf));
		for (ssize_t got = 0; got < (ssize_t)sizeof(buf); n += got)
			got += MUST(recv(fd, buf, sizeof(buf), MSG_WAITALL));
	}
	say("%zd bytes came back", n);
}

static void as_client(const struct t_fam *f)
{
	int port = (int)peer_quiet("listen 90 %d", f->n);
	struct t_addr a = t_addr(f->peer, port);
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	char c;

	peer("md5 90 %d 7", f->n);
	MUST(set_key(fd, f->peer, 7));
	CALL(connect(fd, &a.sa, a.len));
	peer_quiet("accept 90 1");
	talk(fd, 1);
	/* a new key, first here: what is sent meanwhile is sent again */
	MUST(set_key(fd, f->peer, 8));
	MUST(send(fd, &(char){(char)(200000 % 251)}, 1, 0));
	peer("md5 1 %d 8", f->n);
	peer("recv 1 1");
	shutdown(fd, SHUT_WR);
	peer("end 1");
	peer("close 1");
	CALL(recv(fd, &c, 1, 0));
	close(fd);
	peer_quiet("close 90");
}

static void as_server(const struct t_fam *f)
{
	int lfd = t_listener(f, 8), fd;
	char c;

	MUST(set_ext(lfd, f->peer, 9, TCP_MD5SIG_FLAG_PREFIX, 8, 0));
	peer_quiet("refuse 2 %d", f->n);
	peer("md5 2 %d 9", f->n);
	peer_quiet("open 2 %d %d", f->n, t_local_port(lfd));
	fd = (int)MUST(accept(lfd, NULL, NULL));
	/* its key is its own, and for this peer alone */
	MUST(set_ext(lfd, f->peer, 0, TCP_MD5SIG_FLAG_PREFIX, 8, 0));
	talk(fd, 2);
	CALL(set_ext(fd, f->peer, 0, TCP_MD5SIG_FLAG_PREFIX, 8, 0));
	peer("rst 2");
	CALL(recv(fd, &c, 1, 0));
	close(fd);
	close(lfd);
}

/* The reset that we send is signed, or the peer would not believe it. */
static void resets(const struct t_fam *f)
{
	int lfd = t_listener(f, 8), fd;
	struct linger l = {1, 0};

	MUST(set_key(lfd, f->peer, 9));
	peer_quiet("refuse 2 %d", f->n);
	peer_quiet("md5 2 %d 9", f->n);
	peer_quiet("open 2 %d %d", f->n, t_local_port(lfd));
	fd = (int)MUST(accept(lfd, NULL, NULL));
	MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	close(fd);
	peer("recv 2 1");
	close(lfd);
}

static void unheard(const struct t_fam *f)
{
	int port = (int)peer_quiet("listen 90 %d", f->n);
	struct timeval tv = {.tv_usec = 60000};
	struct t_addr a = t_addr(f->peer, port);

	peer("md5 90 %d 7", f->n);
	for (int key = 0; key < 2; key++) {
		int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

		MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
		if (key)
			MUST(set_key(fd, f->peer, 6));
		CALL(connect(fd, &a.sa, a.len));
		close(fd);
	}
	peer_quiet("md5 90 %d 0", f->n);
	for (int key = 0; key < 2; key++) {
		int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

		MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
		if (!key)
			MUST(set_key(fd, f->peer, 6));
		CALL(connect(fd, &a.sa, a.len));
		close(fd);
	}
	peer_quiet("close 90");
}

/* The kernel's, also under the shim: keys that were set before it is known
 * whose socket it is are not lost. */
static void on_loopback(void)
{
	int lfd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	struct t_addr a = t_addr("127.0.0.1", 0);
	struct timeval tv = {.tv_usec = 60000};

	MUST(set_ext(lfd, "127.0.0.0", 5, TCP_MD5SIG_FLAG_PREFIX, 8, 0));
	MUST(bind(lfd, &a.sa, a.len));
	MUST(listen(lfd, 5));
	MUST(getsockname(lfd, &a.sa, &a.len));
	for (long key = 4; key < 7; key++) {
		int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

		MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
		MUST(set_key(fd, "127.0.0.1", key));
		CALL(connect(fd, &a.sa, a.len));
		close(fd);
	}
	close(lfd);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("--- IPv%d", t_fams[i].n);
		errors(&t_fams[i]);
		as_client(&t_fams[i]);
		as_server(&t_fams[i]);
		resets(&t_fams[i]);
		unheard(&t_fams[i]);
	}
	mapped();
	on_loopback();
	return 0;
}
