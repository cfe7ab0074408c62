/* SPDX-License-Identifier: MIT
 *
 * sock_names.c - bind, listen, accept, connect: their errnos, and the names
 * that getsockname and getpeername give before and after
 */
#include "t.h"

/* Addresses in full, ports only as zero, given or some. */
static void say_names(const char *label, int fd, int given)
{
	for (int peer_side = 0; peer_side < 2; peer_side++) {
		struct t_addr a = {.len = sizeof(a.ss)};
		int ret = peer_side ? getpeername(fd, &a.sa, &a.len)
				    : getsockname(fd, &a.sa, &a.len);
		int port;

		if (ret < 0) {
			say("%s: %s %s", label, peer_side ? "peer" : "sock",
			    t_err(errno));
			continue;
		}
		port = t_port(&a);
		say("%s: %s family %d len %u %s port %s", label,
		    peer_side ? "peer" : "sock", a.sa.sa_family, a.len,
		    t_ip(&a),
		    !port	    ? "zero"
		    : port == given ? "given"
				    : "some");
	}
}

static void short_names(const struct t_fam *f)
{
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	unsigned char buf[64];
	socklen_t len = 4;

	memset(buf, 0xee, sizeof(buf));
	CALL(getsockname(fd, (struct sockaddr *)buf, &len));
	say("len %u, byte 4 is %#x", len, buf[4]);
	len = (socklen_t)-1;
	CALL(getsockname(fd, (struct sockaddr *)buf, &len));
	len = 0;
	CALL(getsockname(fd, NULL, &len));
	say("len %u", len);
	CALL(getsockname(fd, (struct sockaddr *)buf, NULL));
	close(fd);
}

static void binding(const struct t_fam *f)
{
	struct t_addr any = t_addr(f->any, 0), us = t_addr(f->us, 0);
	struct t_addr foreign =
		t_addr(f->n == 4 ? "192.0.2.1" : "2001:db8::1", 0);
	struct t_addr again;
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	int fd2 = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	int port, one = 1;

	say_names("fresh", fd, 0);
	CALL(bind(fd, &foreign.sa, foreign.len));
	CALL(bind(fd, &us.sa, 2));
	CALL(bind(fd, &us.sa, us.len - (f->n == 6 ? 5 : 1)));
	CALL(bind(fd, &us.sa, sizeof(us.ss) + 1));
	CALL(bind(fd, NULL, us.len));
	us.sa.sa_family = AF_UNIX;
	CALL(bind(fd, &us.sa, us.len));
	us.sa.sa_family = (sa_family_t)f->af;
	CALL(bind(fd, &us.sa, us.len));
	port = t_local_port(fd);
	say_names("bound", fd, port);
	CALL(bind(fd, &us.sa, us.len));
	again = t_addr(f->us, port);
	CALL(bind(fd2, &again.sa, again.len));
	again = t_addr(f->any, port);
	CALL(bind(fd2, &again.sa, again.len));
	MUST(setsockopt(fd2, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CALL(bind(fd2, &again.sa, again.len)); /* the other has no REUSEADDR */
	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CALL(bind(fd2, &again.sa, again.len)); /* both have it, none listens */
	say_names("shared", fd2, port);
	CALL(listen(fd, 5));
	CALL(listen(fd2, 5));
	close(fd2);
	fd2 = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	MUST(setsockopt(fd2, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CALL(bind(fd2, &again.sa, again.len)); /* the other listens */
	close(fd2);
	close(fd);
	fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	CALL(bind(fd, &any.sa, any.len));
	say_names("any", fd, 0);
	close(fd);
	fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	again = t_addr(f->us, port);
	CALL(bind(fd, &again.sa, again.len)); /* free again */
	close(fd);
}

static void listening(const struct t_fam *f)
{
	struct t_addr from = {.len = sizeof(from.ss)};
	struct t_addr us;
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	int udp = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	int conn, port, v;
	socklen_t len = sizeof(v);

	CALL(accept(fd, NULL, NULL));
	CALL(accept(udp, NULL, NULL));
	CALL(listen(udp, 1));
	CALL(listen(-1, 1));
	CALL(listen(fd, 0)); /* unbound: takes a port by itself */
	close(fd);
	fd = t_listener(f, 4);
	port = t_local_port(fd);
	say_names("listening", fd, port);
	say_poll("listening", fd);
	MUST(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	say("SO_ACCEPTCONN %d", v);
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	CALL(accept(fd, NULL, NULL));
	CALL(accept4(fd, NULL, NULL, 1));
	us = t_addr(f->peer, 9);
	CALL(connect(fd, &us.sa, us.len));
	CALL(recv(fd, &v, 1, 0));
	CALL(send(fd, &v, 1, MSG_NOSIGNAL));
	CALL(listen(fd, 7));
	peer_quiet("connect 0 %d %d", f->n, port);
	t_settle_say("waiting", fd, POLLIN);
	conn = (int)CALL(
		accept4(fd, &from.sa, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC));
	say("from %s len %u family %d, port %s", t_ip(&from), from.len,
	    from.sa.sa_family, t_port(&from) ? "some" : "zero");
	say("cloexec %d nonblock %d", fcntl(conn, F_GETFD) & FD_CLOEXEC,
	    !!(fcntl(conn, F_GETFL) & O_NONBLOCK));
	say_names("accepted", conn, port);
	say_poll("accepted", conn);
	CALL(listen(conn, 1));
	CALL(accept(conn, NULL, NULL));
	CALL(bind(conn, &us.sa, us.len));
	close(conn);
	peer("end 0");

	/* flags are not inherited by accept() */
	peer_quiet("connect 0 %d %d", f->n, port);
	t_settle(fd, POLLIN);
	conn = (int)CALL(accept(fd, NULL, NULL));
	say("nonblock %d", !!(fcntl(conn, F_GETFL) & O_NONBLOCK));
	close(conn);
	close(fd);
	close(udp);
	peer("close 0");
}

/* A listener that is closed takes what waits in its queue with it. */
static void closed_listener(const struct t_fam *f)
{
	int fd = t_listener(f, 4), port = t_local_port(fd);

	peer_quiet("connect 0 %d %d", f->n, port);
	t_settle(fd, POLLIN);
	close(fd);
	peer("end 0");
	peer("connect 1 %d 1", f->n);
}

static void connecting(const struct t_fam *f)
{
	int port = (int)peer_quiet("listen 1 %d", f->n);
	struct t_addr a = t_addr(f->peer, port), us = t_addr(f->us, 0);
	struct t_addr un = {.sa.sa_family = AF_UNSPEC, .len = sizeof(un.sa)};
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));

	CALL(getpeername(fd, &un.sa, &(socklen_t){sizeof(un.ss)}));
	CALL(connect(fd, &a.sa, 1));
	CALL(connect(fd, &a.sa, 4));
	CALL(connect(fd, NULL, a.len));
	a.sa.sa_family = AF_UNIX;
	CALL(connect(fd, &a.sa, a.len));
	a.sa.sa_family = (sa_family_t)f->af;
	un.sa.sa_family = AF_UNSPEC;
	CALL(connect(fd, &un.sa, un.len));
	MUST(bind(fd, &us.sa, us.len));
	CALL(connect(fd, &a.sa, a.len));
	say_names("connected", fd, port);
	CALL(connect(fd, &a.sa, a.len));
	CALL(listen(fd, 1));
	CALL(accept(fd, NULL, NULL));
	peer("accept 1 2");
	un.sa.sa_family = AF_UNSPEC;
	CALL(connect(fd, &un.sa, un.len)); /* dissolves: a reset */
	peer("end 2");
	/* its own port is no longer its own, though Linux still shows it */
	un.len = sizeof(un.ss);
	CALL(getpeername(fd, &un.sa, &un.len));
	CALL(connect(fd, &a.sa, a.len));
	peer("accept 1 3");
	say_names("again", fd, port);
	close(fd);
	peer("end 3");
	peer("close 1");
	peer("close 2");
	peer("close 3");
	CALL(connect(-1, &a.sa, a.len));
	CALL(connect(fd, &a.sa, a.len));
	CALL(bind(fd, &a.sa, a.len));
	CALL(connect(STDOUT_FILENO, &a.sa, a.len));
	CALL(getsockname(STDOUT_FILENO, &a.sa, &a.len));
}

static void v4_mapped(void)
{
	struct t_addr any = t_addr("::", 0), from = {.len = sizeof(from.ss)};
	struct t_addr a;
	int fd = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	int conn, port, one = 1;

	say("-- mapped");
	MUST(bind(fd, &any.sa, any.len));
	MUST(listen(fd, 4));
	port = t_local_port(fd);
	peer_quiet("connect 0 4 %d", port);
	conn = (int)CALL(accept(fd, &from.sa, &from.len));
	say("from %s", t_ip(&from));
	say_names("mapped", conn, port);
	close(conn);
	close(fd);
	peer("end 0");
	peer("close 0");

	port = (int)peer_quiet("listen 1 4");
	a = t_addr("::ffff:" PEER4, port);
	fd = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	CALL(connect(fd, &a.sa, a.len));
	say_names("to mapped", fd, port);
	close(fd);
	fd = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	CALL(connect(fd, &a.sa, a.len));
	a = t_addr("::ffff:" US4, 0);
	CALL(bind(fd, &a.sa, a.len));
	close(fd);
	peer("close 1");

	/* v4 and v6 wildcard on one port: only with V6ONLY */
	fd = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	MUST(bind(fd, &any.sa, any.len));
	MUST(listen(fd, 1));
	a = t_addr("0.0.0.0", t_local_port(fd));
	conn = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	CALL(bind(conn, &a.sa, a.len));
	close(fd);
	fd = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	CALL(bind(conn, &a.sa, a.len));
	any = t_addr("::", t_port(&a));
	CALL(bind(fd, &any.sa, any.len));
	CALL(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	close(conn);
	close(fd);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		short_names(f);
		binding(f);
		listening(f);
		closed_listener(f);
		connecting(f);
	}
	v4_mapped();
	return 0;
}
