/* SPDX-License-Identifier: MIT
 *
 * rebind.c - binding to a port that connections or TIME-WAIT still hold: what
 * counts is the address, too
 */
#include "t.h"

static void try(const char *what, int af, const char *addr, int port,
		bool reuse, bool v6only)
{
	struct t_addr a = t_addr(addr, port);
	int fd = (int)MUST(socket(af, SOCK_STREAM, 0)), one = 1;
	int r;

	if (reuse)
		MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
				sizeof(one)));
	if (af == AF_INET6)
		MUST(setsockopt(fd, SOL_IPV6, IPV6_V6ONLY,
				v6only ? &one : &(int){0}, sizeof(one)));
	r = bind(fd, &a.sa, a.len);
	say("%s: bind to %s%s%s: %s", what, addr, reuse ? ", reuse" : "",
	    v6only ? ", v6only" : "", r ? t_err(errno) : "0");
	if (!r && reuse) {
		r = listen(fd, 1);
		say("  listen: %s", r ? t_err(errno) : "0");
	}
	close(fd);
}

static void all(const char *what, int port)
{
	for (int reuse = 0; reuse < 2; reuse++) {
		try(what, AF_INET, "0.0.0.0", port, reuse, false);
		try(what, AF_INET, US4, port, reuse, false);
		try(what, AF_INET6, "::", port, reuse, false);
		try(what, AF_INET6, "::", port, reuse, true);
		try(what, AF_INET6, US6, port, reuse, false);
		try(what, AF_INET6, "::ffff:" US4, port, reuse, false);
	}
}

/* A connection to us, whose listener is gone. */
static int orphan(const struct t_fam *f, bool reuse, int *port)
{
	struct t_addr a = t_addr(f->us, 0);
	int lfd = (int)MUST(socket(f->af, SOCK_STREAM, 0)), one = 1, fd;

	if (reuse)
		MUST(setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &one,
				sizeof(one)));
	MUST(bind(lfd, &a.sa, a.len));
	MUST(listen(lfd, 1));
	*port = t_local_port(lfd);
	peer_quiet("connect 0 %d %d", f->n, *port);
	fd = (int)MUST(accept(lfd, NULL, NULL));
	close(lfd);
	return fd;
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		for (int reuse = 0; reuse < 2; reuse++) {
			int port, fd = orphan(f, reuse, &port);
			char byte;

			say("IPv%d, %s", f->n, reuse ? "reuse" : "no reuse");
			all("open", port);
			MUST(shutdown(fd, SHUT_WR));
			peer_quiet("close 0");
			/* the peer's FIN has come: TIME-WAIT is next */
			MUST(recv(fd, &byte, 1, 0));
			close(fd);
			all("TIME-WAIT", port);
		}
	}
	return 0;
}
