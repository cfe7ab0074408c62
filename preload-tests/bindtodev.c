/* SPDX-License-Identifier: MIT
 *
 * bindtodev.c - SO_BINDTODEVICE, IP_UNICAST_IF: which way out, what comes in
 */
#include "t.h"
#include <net/if.h>

static unsigned char buf[100];

static int to_dev(int fd, const char *name)
{
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name,
			  (socklen_t)strlen(name));
}

static void naming(int af, int type)
{
	int fd = (int)MUST(socket(af, type, 0)), v = 99;
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);

	CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	say("len %u", len);
	CALL(to_dev(fd, "nosuch"));
	CALL(to_dev(fd, t_dev()));
	len = 4;
	CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	len = sizeof(name);
	CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	say("same %d, len %zu", strcmp(name, t_dev()) == 0, len - strlen(name));
	CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &v, sizeof(v)));
	len = sizeof(name);
	CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	v = 1;
	CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &v, sizeof(v)));
	len = sizeof(v);
	CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &v, &len));
	say("index %d", v);
	v = -1;
	CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &v, sizeof(v)));
	CALL(to_dev(fd, ""));
	len = sizeof(name);
	CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	say("len %u", len);
	close(fd);
}

static int bound(const struct t_fam *f, int port, const char *dev)
{
	struct t_addr a = t_addr(f->any, port);
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0)), one = 1;

	MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	if (dev)
		MUST(to_dev(fd, dev));
	MUST(bind(fd, &a.sa, a.len));
	return fd;
}

/* Who is bound to the device hears, rather than who is bound to none, and never
 * who is bound to the loopback: also from ourselves, as the address is the
 * device's. */
static void datagrams(const struct t_fam *f)
{
	int any = bound(f, 5500, NULL), dev = bound(f, 5500, t_dev());
	int lo = bound(f, 5500, "lo");
	int out = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	struct t_addr us = t_addr(f->us, 5500);

	peer_quiet("udp 0 %d", f->n);
	peer("sendto 0 %d 5500 10", f->n);
	t_settle(dev, POLLIN);
	CALL(recv(dev, buf, sizeof(buf), 0));
	CALL(sendto(out, buf, 11, 0, &us.sa, us.len));
	t_settle(dev, POLLIN);
	CALL(recv(dev, buf, sizeof(buf), 0));
	close(dev);
	peer("sendto 0 %d 5500 12", f->n);
	t_settle(any, POLLIN);
	CALL(recv(any, buf, sizeof(buf), 0));
	say_poll("lo", lo);
	close(any);
	close(lo);
	close(out);
	peer("close 0");
}

static void connections(const struct t_fam *f)
{
	struct t_addr a = t_addr(f->any, 5510 + f->n);
	int dev = (int)MUST(socket(f->af, SOCK_STREAM, 0)), fd;
	int lo = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);

	/* two listeners of one port: on different devices there is no clash */
	MUST(to_dev(dev, t_dev()));
	MUST(to_dev(lo, "lo"));
	CALL(bind(dev, &a.sa, a.len));
	CALL(bind(lo, &a.sa, a.len));
	CALL(listen(dev, 5));
	CALL(listen(lo, 5));
	peer("connect 0 %d %d", f->n, 5510 + f->n);
	t_settle(dev, POLLIN);
	say_poll("lo", lo);
	fd = (int)MUST(accept(dev, NULL, NULL));
	MUST(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	say("child is bound: %d", strcmp(name, t_dev()) == 0);
	close(fd);
	close(dev);
	peer("close 0");
	/* only the loopback's is left: refused */
	fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	MUST(to_dev(fd, t_dev()));
	a = t_addr(f->peer, (int)peer_quiet("listen 1 %d", f->n));
	CALL(connect(fd, &a.sa, a.len));
	close(fd);
	if (f->n == 6) {
		fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
		MUST(to_dev(fd, "lo"));
		CALL(connect(fd, &a.sa, a.len));
		close(fd);
	}
	peer("close 1");
	peer("connect 0 %d %d", f->n, 5510 + f->n);
	close(lo);
}

static void ways(const struct t_fam *f)
{
	int level = f->n == 4 ? SOL_IP : SOL_IPV6;
	int name = f->n == 4 ? IP_UNICAST_IF : IPV6_UNICAST_IF;
	int fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0)), v = 0;
	struct t_addr p = t_addr(f->peer, (int)peer_quiet("udp 0 %d", f->n));
	socklen_t len = sizeof(v);
	uint32_t i;

	memset(buf, 0, sizeof(buf));
	CALL(getsockopt(fd, level, name, &v, &len));
	say("%u", ntohl((uint32_t)v));
	i = htonl(99);
	CALL(setsockopt(fd, level, name, &i, sizeof(i)));
	CALL(setsockopt(fd, level, name, &i, 2));
	i = htonl(if_nametoindex(t_dev()));
	CALL(setsockopt(fd, level, name, &i, sizeof(i)));
	len = sizeof(v);
	CALL(getsockopt(fd, level, name, &v, &len));
	say("same %d", (uint32_t)v == i);
	CALL(sendto(fd, buf, 1, 0, &p.sa, p.len));
	peer("recvfrom 0");
	CALL(to_dev(fd, "lo"));
	CALL(setsockopt(fd, level, name, &i, sizeof(i)));
	CALL(to_dev(fd, t_dev()));
	CALL(sendto(fd, buf, 1, 0, &p.sa, p.len));
	peer("recvfrom 0");
	if (f->n == 6) {
		struct in6_pktinfo info = {.ipi6_ifindex = 1};

		CALL(setsockopt(fd, level, IPV6_PKTINFO, &info, sizeof(info)));
		CALL(to_dev(fd, "lo"));
		CALL(sendto(fd, buf, 1, 0, &p.sa, p.len));
		CALL(to_dev(fd, ""));
		CALL(setsockopt(fd, level, IPV6_PKTINFO, &info, sizeof(info)));
		CALL(setsockopt(fd, level, IPV6_PKTINFO, &info, 19));
		CALL(sendto(fd, buf, 1, 0, &p.sa, p.len));
		info.ipi6_ifindex = if_nametoindex(t_dev());
		CALL(setsockopt(fd, level, IPV6_PKTINFO, &info, sizeof(info)));
		CALL(sendto(fd, buf, 1, 0, &p.sa, p.len));
		peer("recvfrom 0");
		len = sizeof(info);
		CALL(getsockopt(fd, level, IPV6_PKTINFO, &info, &len));
	}
	close(fd);
	peer("close 0");
}

/* Addresses of one link want to know which. */
static void scopes(void)
{
	struct t_addr a = t_addr("fe80::1", 5502);
	int fd = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)), v = 0;
	int tcp = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0));
	socklen_t len = sizeof(v);

	CALL(bind(fd, &a.sa, a.len));
	CALL(connect(fd, &a.sa, a.len));
	say("has a port: %d", t_local_port(fd) != 0);
	close(fd);
	fd = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	CALL(connect(tcp, &a.sa, a.len));
	a.in6.sin6_scope_id = 99;
	CALL(bind(fd, &a.sa, a.len));
	a.in6.sin6_scope_id = if_nametoindex(t_dev());
	CALL(bind(fd, &a.sa, a.len)); /* not ours */
	CALL(connect(fd, &a.sa, a.len));
	CALL(getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &v, &len));
	say("bound to it: %d", v == (int)a.in6.sin6_scope_id);
	a.len = sizeof(a.ss);
	a.in6.sin6_scope_id = 0;
	CALL(getpeername(fd, &a.sa, &a.len));
	say("scope told: %d", a.in6.sin6_scope_id == (unsigned)v);
	close(fd);
	close(tcp);
}

int main(void)
{
	t_init();
	naming(AF_INET, SOCK_DGRAM);
	naming(AF_INET6, SOCK_STREAM);
	for (int i = 0; i < 2; i++) {
		datagrams(&t_fams[i]);
		connections(&t_fams[i]);
		ways(&t_fams[i]);
	}
	scopes();
	return 0;
}
