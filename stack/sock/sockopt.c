/* SPDX-License-Identifier: MIT
 *
 * sockopt.c - socket options: one generic get and set over the rows
 *
 * How long a value may be and what a short one means depends on the level
 * (sk_setsockopt(), do_ip_setsockopt(), do_ipv6_setsockopt(),
 * do_tcp_setsockopt() of Linux), so that is written once here: SOL_SOCKET,
 * TCP and UDP want an int; IP takes a single byte too, and gives one back when
 * asked for less than an int; IPv6 wants an int. Bounds, clamps and read-back
 * values were compared with the kernel's, option by option.
 */
#include "sock/sockopt_priv.h"

/* --- for several rows --- */

int opt_no_set(struct opt_call *c, int v)
{
	return -ENOPROTOOPT;
}

int opt_no_get(struct opt_call *c, int *v)
{
	return -ENOPROTOOPT;
}

int opt_raw_no_set(struct opt_call *c, const void *val, socklen_t len)
{
	return -ENOPROTOOPT;
}

int opt_raw_no_get(struct opt_call *c, void *val, socklen_t *len)
{
	return -ENOPROTOOPT;
}

int opt_raw_set_invalid(struct opt_call *c, const void *val, socklen_t len)
{
	return -EINVAL;
}

int opt_raw_get_invalid(struct opt_call *c, void *val, socklen_t *len)
{
	return -EINVAL;
}

int opt_set_invalid(struct opt_call *c, int v)
{
	return -EINVAL;
}

int opt_set_ignored(struct opt_call *c, int v)
{
	return 0;
}

int opt_set_not_permitted(struct opt_call *c, int v)
{
	return -EPERM;
}

/* Off is what we are; on we are not. */
int opt_set_unsupported_flag(struct opt_call *c, int v)
{
	if (v < 0 || v > 1)
		return -EINVAL;
	if (v)
		stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return v ? -EOPNOTSUPP : 0;
}

int opt_get_zero(struct opt_call *c, int *v)
{
	*v = 0;
	return 0;
}

int opt_get_one(struct opt_call *c, int *v)
{
	*v = 1;
	return 0;
}

/* @n bytes at @from, cut to what the caller has room for. */
int opt_give(void *val, socklen_t *len, const void *from, size_t n)
{
	*len = (socklen_t)MIN((size_t)*len, n);
	memcpy(val, from, *len);
	return 0;
}

int opt_get_zero_raw(struct opt_call *c, void *val, socklen_t *len)
{
	int zero = 0;

	return opt_give(val, len, &zero,
			*len < sizeof(zero) ? 1 : sizeof(zero));
}

int opt_get_nothing(struct opt_call *c, void *val, socklen_t *len)
{
	*len = 0;
	return 0;
}

const char *opt_dev_of(const struct stack *st, int ifindex)
{
	if (ifindex == IP_IF_LO)
		return "lo";
	return ifindex == IP_IF_DEV && st->dev_name[0] ? st->dev_name : NULL;
}

bool opt_has_route(const struct ep *e)
{
	return dgram_is(e) ? e->is_connected : e->rport != 0;
}

bool opt_tcp_is_idle(const struct ep *e)
{
	return e->listen || tcp_state(e) == 7; /* TCP_CLOSE */
}

/* --- the tables --- */

static size_t rows_of(int level, const struct opt_row **rows)
{
	switch (level) {
#define LEVEL(id, name)                 \
	case id:                        \
		*rows = sockopt_##name; \
		return sockopt_num_##name;
		LEVEL(SOL_SOCKET, socket)
		LEVEL(IPPROTO_IP, ip)
		LEVEL(IPPROTO_IPV6, ip6)
		LEVEL(IPPROTO_TCP, tcp)
		LEVEL(IPPROTO_UDP, udp)
		LEVEL(SOL_RAW, raw)
		LEVEL(IPPROTO_ICMPV6, icmp6)
		LEVEL(IPPROTO_UDPLITE, udp)
#undef LEVEL
	default:
		return 0;
	}
}

/* Whose levels a socket has: IPv6 sockets have the IPv4 one too. */
static bool has_level(const struct ep *e, int level)
{
	switch (level) {
	case SOL_SOCKET:
	case IPPROTO_IP: /* rawv6_setsockopt() has none of these */
		return level == SOL_SOCKET || e->kind != EP_RAW ||
		       e->family == AF_INET;
	case IPPROTO_IPV6:
		return e->family == AF_INET6;
	case IPPROTO_TCP:
		return e->kind == EP_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return e->kind == EP_UDP;
	case SOL_RAW:
		return e->kind == EP_RAW;
	case IPPROTO_ICMPV6:
		return e->kind == EP_RAW && e->family == AF_INET6;
	default:
		return false;
	}
}

static const struct opt_row *find(const struct ep *e, int level, int name)
{
	const struct opt_row *rows;
	size_t num = rows_of(level, &rows);

	for (size_t i = 0; i < num; i++)
		if (rows[i].name == name)
			return &rows[i];
	return NULL;
}

static int unknown(struct opt_call *c, int err)
{
	stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return err;
}

/* MRT_BASE to MRT_MAX, and the same numbers for IPv6: multicast routing, for
 * raw IGMP sockets only. */
static bool is_mroute(int level, int name)
{
	return (level == IPPROTO_IP || level == IPPROTO_IPV6) && name >= 200 &&
	       name <= 212;
}

static bool wants_whole_int(int level)
{
	return level == SOL_SOCKET || level == IPPROTO_TCP ||
	       level == IPPROTO_UDP || level == IPPROTO_UDPLITE;
}

/* --- set --- */

static int read_int(const struct opt_row *r, const void *val, socklen_t len,
		    int *v)
{
	*v = 0;
	if (len >= sizeof(*v)) {
		memcpy(v, val, sizeof(*v));
		return 0;
	}
	if (r->level != IPPROTO_IP)
		return r->flags & OPT_SHORT_IS_0 ? 0 : -EINVAL;
	if (len >= 1)
		*v = *(const uint8_t *)val;
	return !len && r->flags & OPT_SHORT_NEEDS_1 ? -EINVAL : 0;
}

static int set_num(struct ep *e, const struct opt_row *r, int v)
{
	uint8_t *p = (uint8_t *)e + r->off;

	if (v < r->lo || v > r->hi)
		return -EINVAL;
	ASSERT(r->size == 1 || r->size == 4);
	if (r->size == 1)
		*p = (uint8_t)v;
	else
		memcpy(p, &v, sizeof(v));
	return 0;
}

static int set_by_kind(struct opt_call *c, const struct opt_row *r, int v)
{
	switch ((enum opt_kind)r->kind) {
	case OPT_FLAG:
		if (v < 0 || v > 1)
			return -EINVAL;
		/* fallthrough */
	case OPT_BIT:
		ep_opt_set(c->e, (enum ep_opt)r->off, v != 0);
		return 0;
	case OPT_NUM:
		return set_num(c->e, r, v);
	default:
		return r->set(c, v);
	}
}

/* do_ipv6_setsockopt() of Linux: whatever the length. */
static bool is_not_streams(const struct opt_call *c, int name)
{
	return c->level == IPPROTO_IPV6 && c->e->kind == EP_TCP &&
	       (name == IPV6_MULTICAST_HOPS || name == IPV6_MULTICAST_IF);
}

int sock_setopt(struct stack *st, sockid s, int level, int name,
		const void *val, socklen_t len, nsec now)
{
	struct opt_call c = {st, sock_find(st, s), now, level};
	const struct opt_row *r;
	int v = 0, err;

	if (!c.e)
		return -EBADF;
	if (!has_level(c.e, level))
		return unknown(&c, -ENOPROTOOPT);
	r = find(c.e, level, name);
	if (wants_whole_int(level) && len < sizeof(v) &&
	    (!r || r->kind != OPT_RAW))
		return -EINVAL;
	if (!r)
		return unknown(&c, is_mroute(level, name) ? -EOPNOTSUPP
							  : -ENOPROTOOPT);
	if (r->kind == OPT_RAW) {
		err = r->set_raw(&c, val, len);
		if (err == -ENOPROTOOPT && level != IPPROTO_IPV6 && len < 4)
			err = -EINVAL;
	} else {
		err = read_int(r, val, len, &v);
		/* what cannot be set is so whatever its length, but for IP */
		if (r->kind == OPT_INT && r->set == opt_no_set)
			err = -ENOPROTOOPT;
		else if (err && is_not_streams(&c, name))
			err = -ENOPROTOOPT;
		else if (!err)
			err = set_by_kind(&c, r, v);
	}
	if (!err && c.e->kind == EP_TCP)
		tcp_opt_changed(c.e, level, name, now);
	return err;
}

/* --- get --- */

static int get_num(const struct ep *e, const struct opt_row *r)
{
	const uint8_t *p = (const uint8_t *)e + r->off;
	int v;

	if (r->size == 1)
		return *p;
	memcpy(&v, p, sizeof(v));
	return v;
}

static int get_by_kind(struct opt_call *c, const struct opt_row *r, int *v)
{
	switch ((enum opt_kind)r->kind) {
	case OPT_FLAG:
	case OPT_BIT:
		*v = ep_opt(c->e, (enum ep_opt)r->off);
		return 0;
	case OPT_NUM:
		*v = get_num(c->e, r);
		return 0;
	default:
		return r->get(c, v);
	}
}

/* IP answers with one byte where an int has no room (RFC-less, old BSD). */
static int give_int(int level, int v, void *val, socklen_t *len)
{
	uint8_t byte = (uint8_t)v;

	if (level == IPPROTO_IP && *len > 0 && *len < sizeof(v) && v >= 0 &&
	    v <= 255)
		return opt_give(val, len, &byte, 1);
	return opt_give(val, len, &v, sizeof(v));
}

int sock_getopt(struct stack *st, sockid s, int level, int name, void *val,
		socklen_t *len, nsec now)
{
	struct opt_call c = {st, sock_see(st, s), now, level};
	const struct opt_row *r;
	int v, err;

	if (!c.e)
		return -EBADF;
	if ((int)*len < 0)
		return -EINVAL;
	/* a level that nobody has: ip_getsockopt() differs from ipv6's */
	if (!has_level(c.e, level))
		return unknown(&c, c.e->family == AF_INET ? -EOPNOTSUPP
							  : -ENOPROTOOPT);
	r = find(c.e, level, name);
	if (!r)
		return unknown(&c, is_mroute(level, name) ? -EOPNOTSUPP
							  : -ENOPROTOOPT);
	if (r->kind == OPT_RAW)
		return r->get_raw(&c, val, len);
	err = get_by_kind(&c, r, &v);
	return err ? err : give_int(level, v, val, len);
}
