/* SPDX-License-Identifier: MIT
 *
 * group.h - the groups that a socket is in, and from whom it wants to hear
 */
#ifndef TCPSHIM_TRANSPORT_GROUP_H
#define TCPSHIM_TRANSPORT_GROUP_H

#include "ip/mcast.h"
#include "transport/transport.h"

/* A group on an interface, and a source there. */
struct group_where {
	struct ip_addr group, src;
	uint32_t ifindex; /* IP_IF_* */
};

/* @is_ssm: with a filter that lets nobody through yet. 0, -EINVAL: no group,
 * -EADDRINUSE: is in it, -ENOBUFS: in too many. */
int group_join(struct ep *e, const struct group_where *r, bool is_ssm,
	       nsec now);
int group_leave(struct ep *e, const struct group_where *r,
		nsec now); /* -EADDRNOTAVAIL */
/* One source more or less in the list of those kept out (@exclude) or let
 * through; ip_mc_source() of Linux. */
int group_source(struct ep *e, const struct group_where *r, bool exclude,
		 bool add, nsec now);
/* A whole filter; ip_mc_msfilter() and ip_mc_msfget(). */
int group_set_filter(struct ep *e, const struct group_where *r,
		     const struct mcast_filter *f, nsec now);
const struct mcast_filter *group_get_filter(const struct ep *e,
					    const struct group_where *r);
/* The socket goes: so do its memberships. */
void group_leave_all(struct ep *e, nsec now);
/* Does @e want to hear what @src sends to @group, which came by @ifindex? */
bool group_hears(const struct ep *e, const struct ip_addr *group,
		 const struct ip_addr *src, uint32_t ifindex);

#endif
