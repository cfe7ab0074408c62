/* SPDX-License-Identifier: MIT */
#include "sock/sock_world.h"

#include <criterion/criterion.h>

struct netsim *world;

void world_init(void)
{
	struct netsim_host_cfg cfg = {
		.delay = MSEC,
		.route = "239.0.0.0", /* multicast needs a route, too */
		.route_plen = 8,
	};

	world = netsim_new(1, true);
	cfg.addr4 = "10.0.0.1";
	cfg.addr6 = "fd00::1";
	cr_assert(netsim_add_host(world, &cfg) == 0);
	cfg.addr4 = "10.0.0.2";
	cfg.addr6 = "fd00::2";
	cr_assert(netsim_add_host(world, &cfg) == 1);
}

void world_fini(void)
{
	netsim_free(world);
}

struct stack *host(int i)
{
	return netsim_stack(world, i);
}

nsec now(void)
{
	return netsim_now(world);
}

void settle(void)
{
	netsim_run(world, now() + SEC, NULL, NULL);
}

sockid open_sock(int h, int family, int type)
{
	sockid s = 0;

	cr_assert(sock_new(host(h), family, type, 0, &s, now()) == 0);
	return s;
}

int bind_to(int h, sockid s, const char *addr, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = netsim_addr(addr, port, &ss);

	return sock_bind(host(h), s, (struct sockaddr *)&ss, len, now());
}

int connect_to(int h, sockid s, const char *addr, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = netsim_addr(addr, port, &ss);

	return sock_connect(host(h), s, (struct sockaddr *)&ss, len, now());
}

int set_int(int h, sockid s, int level, int name, int v)
{
	return sock_setopt(host(h), s, level, name, &v, sizeof(v), now());
}

int get_int(int h, sockid s, int level, int name)
{
	socklen_t len = sizeof(int);
	int v = 0;
	int err = sock_getopt(host(h), s, level, name, &v, &len, now());

	return err ? err : v;
}

int send_to(int h, sockid s, const void *p, size_t len, int flags,
	    const char *addr, uint16_t port)
{
	struct sock_msg m = {0};
	struct span sp;
	const uint8_t *from = p;
	int res;

	if (addr)
		m.name_len = netsim_addr(addr, port, &m.name);
	res = sock_send_begin(host(h), s, len, flags, &m, &sp, now());
	if (res < 0)
		return res;
	for (unsigned i = 0; i < sp.num_v; i++) {
		if (sp.v[i].iov_len)
			memcpy(sp.v[i].iov_base, from, sp.v[i].iov_len);
		from += sp.v[i].iov_len;
	}
	return sock_send_commit(host(h), s, &sp, (size_t)res, flags, now());
}

int recv_from(int h, sockid s, void *p, size_t len, int flags,
	      struct sock_msg *m)
{
	struct sock_msg own = {.ctl = NULL};
	struct span sp;
	uint8_t *to = p;
	int res = sock_recv_begin(host(h), s, len, flags, m ? m : &own, &sp,
				  now());

	if (res < 0)
		return res;
	for (unsigned i = 0; i < sp.num_v; i++) {
		memcpy(to, sp.v[i].iov_base, sp.v[i].iov_len);
		to += sp.v[i].iov_len;
	}
	sock_recv_commit(host(h), s, &sp, (size_t)res, flags, now());
	return res;
}

uint32_t poll_of(int h, sockid s)
{
	uint32_t bits = 0;

	cr_assert(sock_poll(host(h), s, &bits) == 0);
	return bits;
}

uint16_t port_of(int h, sockid s)
{
	struct sockaddr_storage ss;
	struct sockaddr_in6 in6;
	socklen_t len;

	cr_assert(sock_name(host(h), s, false, &ss, &len) == 0);
	memcpy(&in6, &ss, sizeof(in6)); /* the port is where v4 has it */
	return get_be16(&in6.sin6_port);
}
