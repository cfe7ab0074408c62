/* SPDX-License-Identifier: MIT
 *
 * sockopt_mcast.c - groups, sources, and the interface to send by
 *
 * The same things under many names: by address of an interface or by its
 * number, one source or a whole list, IPv4's own structs or those of RFC 3678.
 * All of them end in group.c. Lengths and errors are those of
 * do_ip_setsockopt() and do_ipv6_setsockopt() in Linux.
 */
#include "sock/sockopt_priv.h"

#include "transport/group.h"

/* Interface 0 is the one that the route takes: groups have but the device. */
static uint32_t if_of(uint32_t ifindex)
{
	return ifindex ? ifindex : IP_IF_DEV;
}

static bool has_if(struct opt_call *c, uint32_t ifindex)
{
	return ifindex <= IP_IF_DEV && opt_dev_of(c->st, (int)ifindex);
}

/* Which interface has the address @in4, any: as routes say; 0: none. */
static uint32_t if_by_addr(struct opt_call *c, const void *in4)
{
	struct ip_addr a = ip_addr_v4(in4);

	if (ip_addr_is_any(&a))
		return IP_IF_DEV;
	if (!stack_is_local(c->st, &a))
		return 0;
	return ip_addr_is_loopback(&a) ? IP_IF_LO : IP_IF_DEV;
}

/* --- where to send by --- */

/* struct in_addr, ip_mreq or ip_mreqn: the address of the interface, or its
 * index. */
static int parse_mreq(const void *val, socklen_t len, struct ip_mreqn *m)
{
	*m = (struct ip_mreqn){0};
	if (len >= sizeof(struct ip_mreqn))
		memcpy(m, val, sizeof(struct ip_mreqn));
	else if (len >= sizeof(struct ip_mreq))
		memcpy(m, val, sizeof(struct ip_mreq));
	else
		return -EINVAL;
	return 0;
}

int opt_set_mc_if(struct opt_call *c, const void *val, socklen_t len)
{
	struct ip_mreqn m = {0};
	struct ip_addr a;
	uint32_t ifindex;

	if (c->e->kind == EP_TCP || len < sizeof(struct in_addr))
		return -EINVAL;
	if (len < sizeof(struct ip_mreq))
		memcpy(&m.imr_address, val, sizeof(m.imr_address));
	else if (parse_mreq(val, len, &m))
		return -EINVAL;
	a = ip_addr_v4(&m.imr_address);
	if (!m.imr_ifindex && ip_addr_is_any(&a)) {
		c->e->mc_if = 0;
		memset(c->e->mc_addr, 0, sizeof(c->e->mc_addr));
		return 0;
	}
	ifindex = m.imr_ifindex ? (uint32_t)m.imr_ifindex
				: if_by_addr(c, &m.imr_address);
	if (!ifindex || !has_if(c, ifindex))
		return -EADDRNOTAVAIL;
	if (c->e->dev_if && c->e->dev_if != ifindex)
		return -EINVAL;
	c->e->mc_if = ifindex;
	memcpy(c->e->mc_addr, &m.imr_address, 4);
	return 0;
}

int opt_get_mc_if(struct opt_call *c, void *val, socklen_t *len)
{
	return opt_give(val, len, c->e->mc_addr, 4);
}

static int parse_unicast_if(struct opt_call *c, const void *val, socklen_t len,
			    uint32_t *ifindex)
{
	if (len != sizeof(*ifindex))
		return -EINVAL;
	*ifindex = get_be32(val);
	return *ifindex && !has_if(c, *ifindex) ? -EADDRNOTAVAIL : 0;
}

int opt_set_unicast_if(struct opt_call *c, const void *val, socklen_t len)
{
	uint32_t ifindex;
	int err = parse_unicast_if(c, val, len, &ifindex);

	if (!err && ifindex && c->e->dev_if && c->e->dev_if != ifindex)
		err = -EINVAL;
	if (!err)
		c->e->uc_if = ifindex;
	return err;
}

int opt_get_unicast_if(struct opt_call *c, void *val, socklen_t *len)
{
	uint8_t v[4];

	put_be32(v, c->e->uc_if);
	/* do_ip_getsockopt(): a small value in too little room is one byte */
	return opt_give(val, len, v,
			*len < sizeof(v) && !c->e->uc_if ? 1 : sizeof(v));
}

int opt_set_unicast_if6(struct opt_call *c, const void *val, socklen_t len)
{
	uint32_t ifindex;
	int err = parse_unicast_if(c, val, len, &ifindex);

	if (!err && ifindex && c->e->dev_if)
		err = -EINVAL;
	if (!err)
		c->e->uc_if6 = ifindex;
	return err;
}

int opt_get_unicast_if6(struct opt_call *c, void *val, socklen_t *len)
{
	uint8_t v[4];

	put_be32(v, c->e->uc_if6);
	return opt_give(val, len, v, sizeof(v));
}

/* RFC 3542 6.6: by way of which interface, if nothing else says. Linux keeps
 * the address, too, and makes no use of it. */
int opt_set_pktinfo6(struct opt_call *c, const void *val, socklen_t len)
{
	struct in6_pktinfo p;

	if (len < sizeof(p))
		return -EINVAL;
	memcpy(&p, val, sizeof(p));
	if (c->e->dev_if && p.ipi6_ifindex != c->e->dev_if)
		return -EINVAL;
	c->e->sticky_if6 = p.ipi6_ifindex;
	return 0;
}

/* --- groups by their IPv4 names --- */

static int change4(struct opt_call *c, const void *val, socklen_t len,
		   bool join)
{
	struct ip_mreqn m;
	struct group_where r;

	if (c->e->kind == EP_TCP)
		return -EPROTO;
	if (parse_mreq(val, len, &m))
		return -EINVAL;
	r = (struct group_where){
		.group = ip_addr_v4(&m.imr_multiaddr),
		.ifindex = m.imr_ifindex ? (uint32_t)m.imr_ifindex
					 : if_by_addr(c, &m.imr_address),
	};
	if (!join)
		return group_leave(c->e, &r, c->now);
	if (!ip_addr_is_multicast(&r.group))
		return -EINVAL;
	if (!r.ifindex || !has_if(c, r.ifindex))
		return -ENODEV;
	return group_join(c->e, &r, false, c->now);
}

int opt_set_join(struct opt_call *c, const void *val, socklen_t len)
{
	return change4(c, val, len, true);
}

int opt_set_leave(struct opt_call *c, const void *val, socklen_t len)
{
	return change4(c, val, len, false);
}

/* One source: to be kept out or no longer, to be let in or no longer. */
enum source_op { BLOCK, UNBLOCK, ADD, DROP };

static int change_source(struct opt_call *c, const struct group_where *r,
			 enum source_op op)
{
	bool exclude = op == BLOCK || op == UNBLOCK;
	int err;

	if (!ip_addr_is_multicast(&r->group))
		return -EINVAL;
	if (!r->ifindex || !has_if(c, r->ifindex))
		return -ENODEV;
	if (op == ADD) {
		err = group_join(c->e, r, true, c->now);
		if (err && err != -EADDRINUSE)
			return err;
	}
	return group_source(c->e, r, exclude, op == BLOCK || op == ADD, c->now);
}

static int change_source4(struct opt_call *c, const void *val, socklen_t len,
			  enum source_op op)
{
	struct ip_mreq_source m;
	struct group_where r;

	if (len != sizeof(m))
		return -EINVAL;
	memcpy(&m, val, sizeof(m));
	r = (struct group_where){
		.group = ip_addr_v4(&m.imr_multiaddr),
		.src = ip_addr_v4(&m.imr_sourceaddr),
		.ifindex = if_by_addr(c, &m.imr_interface),
	};
	return change_source(c, &r, op);
}

/* --- groups by the names of RFC 3678 --- */

static bool read_addr(const struct sockaddr_storage *ss, struct ip_addr *a)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (ss->ss_family == AF_INET) {
		memcpy(&in, ss, sizeof(in));
		*a = ip_addr_v4(&in.sin_addr);
	} else if (ss->ss_family == AF_INET6) {
		memcpy(&in6, ss, sizeof(in6));
		*a = ip_addr_v6(&in6.sin6_addr);
	}
	return ss->ss_family == AF_INET || ss->ss_family == AF_INET6;
}

/* The addresses must be of the family that the option's level is of. */
static bool read_addr_of(const struct sockaddr_storage *ss, int family,
			 struct ip_addr *a)
{
	return ss->ss_family == family && read_addr(ss, a);
}

static int change_req(struct opt_call *c, const void *val, socklen_t len,
		      int family, bool join)
{
	struct group_where r = {0};
	struct group_req_arg {
		uint32_t ifindex;
		struct sockaddr_storage group;
	} q;

	_Static_assert(sizeof(q) == 136, "struct group_where of libc");
	if (len < sizeof(q))
		return -EINVAL;
	memcpy(&q, val, sizeof(q));
	if (!read_addr_of(&q.group, family, &r.group))
		return family == AF_INET ? -EINVAL : -EADDRNOTAVAIL;
	if (c->e->kind == EP_TCP && family == AF_INET6)
		return -EPROTO; /* the IPv4 form doesn't ask */
	if (!ip_addr_is_multicast(&r.group))
		return join || family == AF_INET6 ? -EINVAL : -EADDRNOTAVAIL;
	if (join && q.ifindex && !has_if(c, q.ifindex))
		return -ENODEV;
	r.ifindex = if_of(q.ifindex);
	return join ? group_join(c->e, &r, false, c->now)
		    : group_leave(c->e, &r, c->now);
}

static int change_source_req(struct opt_call *c, const void *val, socklen_t len,
			     int family, enum source_op op)
{
	struct group_where r = {0};
	struct group_source_req q;

	if (len < sizeof(q))
		return -EINVAL;
	memcpy(&q, val, sizeof(q));
	if (!read_addr_of(&q.gsr_group, family, &r.group) ||
	    !read_addr_of(&q.gsr_source, family, &r.src))
		return -EADDRNOTAVAIL;
	r.ifindex = if_of(q.gsr_interface);
	return change_source(c, &r, op);
}

#define SOURCE(id, op)                                                       \
	int opt_set_##id(struct opt_call *c, const void *val, socklen_t len) \
	{                                                                    \
		return change_source4(c, val, len, op);                      \
	}                                                                    \
	int opt_set_##id##_req(struct opt_call *c, const void *val,          \
			       socklen_t len)                                \
	{                                                                    \
		return change_source_req(c, val, len, AF_INET, op);          \
	}                                                                    \
	int opt_set_##id##_req6(struct opt_call *c, const void *val,         \
				socklen_t len)                               \
	{                                                                    \
		return change_source_req(c, val, len, AF_INET6, op);         \
	}
SOURCE(block, BLOCK)
SOURCE(unblock, UNBLOCK)
SOURCE(add_source, ADD)
SOURCE(drop_source, DROP)
#undef SOURCE

int opt_set_group_join(struct opt_call *c, const void *val, socklen_t len)
{
	return change_req(c, val, len, AF_INET, true);
}

int opt_set_group_leave(struct opt_call *c, const void *val, socklen_t len)
{
	return change_req(c, val, len, AF_INET, false);
}

int opt_set_group_join6(struct opt_call *c, const void *val, socklen_t len)
{
	return change_req(c, val, len, AF_INET6, true);
}

int opt_set_group_leave6(struct opt_call *c, const void *val, socklen_t len)
{
	return change_req(c, val, len, AF_INET6, false);
}

/* --- groups by their IPv6 names --- */

static int change6(struct opt_call *c, const void *val, socklen_t len,
		   bool join)
{
	struct ipv6_mreq m;
	struct group_where r = {0};

	if (len < sizeof(m))
		return -EINVAL;
	if (c->e->kind == EP_TCP)
		return -EPROTO;
	memcpy(&m, val, sizeof(m));
	r.group = ip_addr_v6(&m.ipv6mr_multiaddr);
	if (ip_addr_is4(&r.group) || !ip_addr_is_multicast(&r.group))
		return -EINVAL;
	if (join && m.ipv6mr_interface && !has_if(c, m.ipv6mr_interface))
		return -ENODEV;
	r.ifindex = if_of(m.ipv6mr_interface);
	return join ? group_join(c->e, &r, false, c->now)
		    : group_leave(c->e, &r, c->now);
}

int opt_set_join6(struct opt_call *c, const void *val, socklen_t len)
{
	return change6(c, val, len, true);
}

int opt_set_leave6(struct opt_call *c, const void *val, socklen_t len)
{
	return change6(c, val, len, false);
}

/* --- whole filters --- */

/* What struct ip_msfilter and group_filter say, but for their sources. */
struct msf {
	struct group_where r;
	uint32_t mode, num;
	size_t at, size; /* of the first source, of each */
};

static int read_ip_msf(struct opt_call *c, const void *val, socklen_t len,
		       struct msf *m)
{
	struct {
		uint8_t group[4], ifaddr[4];
		uint32_t mode, num;
	} q;

	if (len < sizeof(q))
		return -EINVAL;
	memcpy(&q, val, sizeof(q));
	*m = (struct msf){
		.r.group = ip_addr_v4(q.group),
		.r.ifindex = if_by_addr(c, q.ifaddr),
		.mode = q.mode,
		.num = q.num,
		.at = sizeof(q),
		.size = 4,
	};
	return 0;
}

static int read_group_msf(const void *val, socklen_t len, int family,
			  struct msf *m)
{
	struct {
		uint32_t ifindex;
		struct sockaddr_storage group;
		uint32_t mode, num;
	} q;

	_Static_assert(sizeof(q) == 144, "GROUP_FILTER_SIZE(0)");
	if (len < sizeof(q))
		return -EINVAL;
	memcpy(&q, val, sizeof(q));
	*m = (struct msf){
		.r.ifindex = if_of(q.ifindex),
		.mode = q.mode,
		.num = q.num,
		.at = sizeof(q),
		.size = sizeof(struct sockaddr_storage),
	};
	return read_addr_of(&q.group, family, &m->r.group) ? 0 : -EADDRNOTAVAIL;
}

static int read_sources(const uint8_t *p, const struct msf *m, int family,
			struct mcast_filter *f)
{
	struct sockaddr_storage ss;

	for (unsigned i = 0; i < m->num; i++, p += m->size) {
		if (m->size == 4) {
			f->src[i] = ip_addr_v4(p);
			continue;
		}
		memcpy(&ss, p, sizeof(ss));
		if (!read_addr_of(&ss, family, &f->src[i]))
			return -EADDRNOTAVAIL;
	}
	f->num = (uint16_t)m->num;
	return 0;
}

static int set_msf(struct opt_call *c, const void *val, socklen_t len,
		   const struct msf *m, int family)
{
	const struct sysctl_values *sys = &c->st->sysctl;
	int64_t most = family == AF_INET ? sys->igmp_max_msf : sys->mld_max_msf;
	struct mcast_filter f = {.is_exclude = m->mode == MCAST_EXCLUDE};
	int err;

	if (m->num > most)
		return -ENOBUFS;
	if (m->at + m->num * m->size > len)
		return -EINVAL;
	err = read_sources((const uint8_t *)val + m->at, m, family, &f);
	if (err)
		return err;
	if (!ip_addr_is_multicast(&m->r.group) ||
	    (m->mode != MCAST_EXCLUDE && m->mode != MCAST_INCLUDE))
		return -EINVAL;
	if (!m->r.ifindex || !has_if(c, m->r.ifindex))
		return -ENODEV;
	return group_set_filter(c->e, &m->r, &f, c->now);
}

int opt_set_msfilter(struct opt_call *c, const void *val, socklen_t len)
{
	struct msf m;
	int err = read_ip_msf(c, val, len, &m);

	return err ? err : set_msf(c, val, len, &m, AF_INET);
}

static int set_group_msf(struct opt_call *c, const void *val, socklen_t len,
			 int family)
{
	struct msf m;
	int err = read_group_msf(val, len, family, &m);

	return err ? err : set_msf(c, val, len, &m, family);
}

int opt_set_group_filter(struct opt_call *c, const void *val, socklen_t len)
{
	return set_group_msf(c, val, len, AF_INET);
}

int opt_set_group_filter6(struct opt_call *c, const void *val, socklen_t len)
{
	return set_group_msf(c, val, len, AF_INET6);
}

/* How many sources there are is told in any case, as many as fit are given.
 * @val holds the question and gets the answer. */
static int get_msf(struct opt_call *c, void *val, socklen_t *len,
		   const struct msf *m)
{
	const struct mcast_filter *f;
	uint8_t *p = val;
	uint32_t v[2], room;

	if (!ip_addr_is_multicast(&m->r.group))
		return -EINVAL;
	if (!m->r.ifindex || !has_if(c, m->r.ifindex))
		return -ENODEV;
	f = group_get_filter(c->e, &m->r);
	if (!f)
		return -EADDRNOTAVAIL;
	room = MIN(m->num, (uint32_t)((*len - m->at) / m->size));
	room = MIN(room, (uint32_t)f->num);
	v[0] = f->is_exclude ? MCAST_EXCLUDE : MCAST_INCLUDE;
	v[1] = f->num;
	memcpy(p + m->at - sizeof(v), v, sizeof(v));
	p += m->at;
	for (unsigned i = 0; i < room; i++, p += m->size) {
		struct sockaddr_storage ss;
		socklen_t n;

		sock_put_addr(c->e, &f->src[i], 0, &ss, &n);
		if (m->size == 4)
			memcpy(p, f->src[i].b + 12, 4);
		else
			memcpy(p, &ss, sizeof(ss));
	}
	*len = (socklen_t)(m->at + room * m->size);
	return 0;
}

int opt_get_msfilter(struct opt_call *c, void *val, socklen_t *len)
{
	struct msf m;
	int err = read_ip_msf(c, val, *len, &m);

	return err ? err : get_msf(c, val, len, &m);
}

int opt_get_group_filter(struct opt_call *c, void *val, socklen_t *len)
{
	struct msf m;
	int err = read_group_msf(val, *len, c->e->family, &m);

	return err ? err : get_msf(c, val, len, &m);
}
