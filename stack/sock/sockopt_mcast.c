/* SPDX-License-Identifier: MIT
 *
 * sockopt_mcast.c - groups and the interface to send to them, of both families
 */
#include "sock/sockopt_priv.h"

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

static bool is_own_if(struct opt_call *c, const struct ip_mreqn *m)
{
	struct ip_addr a = ip_addr_v4(&m->imr_address);

	if (m->imr_ifindex)
		return opt_dev_of(c->st, m->imr_ifindex) != NULL;
	return ip_addr_is_any(&a) || stack_is_local(c->st, &a);
}

int opt_set_mc_if(struct opt_call *c, const void *val, socklen_t len)
{
	struct ip_mreqn m = {0};

	if (c->e->kind == EP_TCP || len < sizeof(struct in_addr))
		return -EINVAL;
	if (len < sizeof(struct ip_mreq))
		memcpy(&m.imr_address, val, sizeof(m.imr_address));
	else if (parse_mreq(val, len, &m))
		return -EINVAL;
	if (!is_own_if(c, &m))
		return -EADDRNOTAVAIL;
	c->e->mc_if = (uint32_t)m.imr_ifindex;
	memcpy(c->e->mc_addr, &m.imr_address, 4);
	return 0;
}

int opt_get_mc_if(struct opt_call *c, void *val, socklen_t *len)
{
	return opt_give(val, len, c->e->mc_addr, 4);
}

/* Groups are for datagram sockets: ip_mc_join_group() says EPROTO else. */
static int group_change(struct opt_call *c, const struct ip_addr *group,
			uint32_t ifindex, bool join)
{
	if (c->e->kind == EP_TCP)
		return -EPROTO;
	if (!join)
		return udp_group_leave(c->e, group);
	if (ifindex && !opt_dev_of(c->st, (int)ifindex))
		return -ENODEV;
	return udp_group_join(c->e, group, ifindex);
}

static int change4(struct opt_call *c, const void *val, socklen_t len,
		   bool join)
{
	struct ip_mreqn m;
	struct ip_addr group;

	if (c->e->kind == EP_TCP)
		return -EPROTO;
	if (parse_mreq(val, len, &m))
		return -EINVAL;
	if (!is_own_if(c, &m))
		return -ENODEV;
	group = ip_addr_v4(&m.imr_multiaddr);
	return group_change(c, &group, (uint32_t)m.imr_ifindex, join);
}

int opt_set_join(struct opt_call *c, const void *val, socklen_t len)
{
	return change4(c, val, len, true);
}

int opt_set_leave(struct opt_call *c, const void *val, socklen_t len)
{
	return change4(c, val, len, false);
}

static int change6(struct opt_call *c, const void *val, socklen_t len,
		   bool join)
{
	struct ipv6_mreq m;
	struct ip_addr group;

	if (c->e->kind == EP_TCP)
		return -EPROTO;
	if (len < sizeof(m))
		return -EINVAL;
	memcpy(&m, val, sizeof(m));
	group = ip_addr_v6(&m.ipv6mr_multiaddr);
	if (ip_addr_is4(&group))
		return -EINVAL;
	return group_change(c, &group, (uint32_t)m.ipv6mr_interface, join);
}

int opt_set_join6(struct opt_call *c, const void *val, socklen_t len)
{
	return change6(c, val, len, true);
}

int opt_set_leave6(struct opt_call *c, const void *val, socklen_t len)
{
	return change6(c, val, len, false);
}

static int change_req(struct opt_call *c, const void *val, socklen_t len,
		      bool join)
{
	struct group_req r;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct ip_addr group;

	if (len < sizeof(r))
		return -EINVAL;
	memcpy(&r, val, sizeof(r));
	if (r.gr_group.ss_family == AF_INET) {
		memcpy(&in, &r.gr_group, sizeof(in));
		group = ip_addr_v4(&in.sin_addr);
	} else if (r.gr_group.ss_family == AF_INET6) {
		memcpy(&in6, &r.gr_group, sizeof(in6));
		group = ip_addr_v6(&in6.sin6_addr);
	} else {
		return -EINVAL;
	}
	return group_change(c, &group, r.gr_interface, join);
}

int opt_set_group_join(struct opt_call *c, const void *val, socklen_t len)
{
	return change_req(c, val, len, true);
}

int opt_set_group_leave(struct opt_call *c, const void *val, socklen_t len)
{
	return change_req(c, val, len, false);
}
