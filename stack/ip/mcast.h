/* SPDX-License-Identifier: MIT
 *
 * mcast.h - the groups that this host listens to, and telling routers of them
 *
 * A socket is in a group on an interface with a filter: all sources but some
 * (EXCLUDE), or only some (INCLUDE). The interface hears what any of its
 * members hears (RFC 3376 3.2, RFC 3810 4.2).
 */
#ifndef TCPSHIM_MCAST_H
#define TCPSHIM_MCAST_H

#include "ip/ip.h"

#define MCAST_MAX_SRC 64 /* that a filter names: mld_max_msf of Linux */

struct mcast_filter {
	bool is_exclude;
	uint16_t num;
	struct ip_addr src[MCAST_MAX_SRC];
};

/* One membership; its memory is its owner's. */
struct mcast_member {
	struct list link; /* of its group */
	struct ip_addr group;
	uint32_t ifindex;
	struct mcast_filter f;
};

/* Enters @m, whose group, ifindex and filter are set. 0 or -ENOBUFS. */
int mcast_join(struct ip *ip, struct mcast_member *m, nsec now);
void mcast_leave(struct ip *ip, struct mcast_member *m, nsec now);
/* @m's filter was changed by its owner. */
void mcast_changed(struct ip *ip, const struct mcast_member *m, nsec now);
/* Does @f let @src through? */
bool mcast_passes(const struct mcast_filter *f, const struct ip_addr *src);
int mcast_find_src(const struct mcast_filter *f, const struct ip_addr *src);
/* Is what @src sends to @group by interface @ifindex for some member? IGMP
 * itself is, whatever the filters. */
bool mcast_hears(const struct ip *ip, uint32_t ifindex,
		 const struct ip_addr *group, const struct ip_addr *src,
		 uint8_t proto);

/* After a death under the lock: @m is a member, but its group has forgotten. */
void mcast_refill(struct ip *ip, struct mcast_member *m);

/* For the files of ip/. */
struct group_query;
struct rebuild;
void mcast_find(struct ip *ip, struct rebuild *rb);
/* All members are there again. */
void mcast_revive(struct ip *ip, nsec now);
struct mcast *mcast_new(struct ip *ip); /* NULL: no memory */
void mcast_free(struct ip *ip);
nsec mcast_next_at(const struct ip *ip);
void mcast_expire(struct ip *ip, nsec now);
void mcast_query(struct ip *ip, bool is4, const struct group_query *q,
		 nsec now);
/* Another host has answered an old querier for @group: we need not. */
void mcast_heard_report(struct ip *ip, const struct ip_addr *group, nsec now);

/* igmp.c, mld.c: messages. A report's records are the @len bytes in @c. */
void igmp_in(struct ip *ip, const struct ip_rx *rx, nsec now);
void igmp_send_report(struct ip *ip, struct chunk *c, uint32_t len,
		      uint16_t num, nsec now);
void igmp_send_old(struct ip *ip, const struct ip_addr *group, uint8_t type,
		   nsec now);
bool mld_in(struct ip *ip, const struct ip_rx *rx, nsec now); /* was it MLD? */
void mld_send_report(struct ip *ip, struct chunk *c, uint32_t len, uint16_t num,
		     nsec now);
void mld_send_old(struct ip *ip, const struct ip_addr *group, uint8_t type,
		  nsec now);

#endif
