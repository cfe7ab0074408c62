/* SPDX-License-Identifier: MIT
 *
 * group.c - IP_ADD_MEMBERSHIP and its relatives, of both families
 *
 * Results and their order are those of ip_mc_join_group(), ip_mc_source(),
 * ip_mc_msfilter() and their IPv6 twins in Linux. What the host makes of all
 * its sockets' filters is ip/mcast.c's.
 */
#include "transport/group.h"

#include <errno.h>

#include "sysctl.h"
#include "transport/rebuild.h"

/* What Linux's default optmem_max has room for, about. */
#define MAX_GROUPS6 2000

struct membership {
	struct list node; /* ep->groups */
	struct mcast_member m;
	bool has_list; /* a source was named once: the mode is fixed */
};

static struct membership *entry(struct list *n)
{
	return list_entry(n, struct membership, node);
}

static struct membership *find(const struct ep *e, const struct group_where *r)
{
	struct list *n;

	list_for_each (n, &e->groups) {
		struct membership *g = entry(n);

		if (ip_addr_eq(&g->m.group, &r->group) &&
		    g->m.ifindex == r->ifindex)
			return g;
	}
	return NULL;
}

static int num_groups(const struct ep *e, bool is4)
{
	struct list *n;
	int num = 0;

	list_for_each (n, &e->groups)
		num += ip_addr_is4(&entry(n)->m.group) == is4;
	return num;
}

int group_join(struct ep *e, const struct group_where *r, bool is_ssm, nsec now)
{
	const struct sysctl_values *sys = e->tp->core->sysctl;
	bool is4 = ip_addr_is4(&r->group);
	struct membership *g;
	int err;

	if (!ip_addr_is_multicast(&r->group))
		return -EINVAL;
	if (find(e, r))
		return -EADDRINUSE;
	/* IPv4 counts them, IPv6 the memory that they take */
	if (is4 && num_groups(e, true) >= sys->igmp_max_memberships)
		return -ENOBUFS;
	if (!is4 && num_groups(e, false) >= MAX_GROUPS6)
		return -ENOMEM;
	g = arena_zalloc(e->tp->core->arena, sizeof(*g));
	if (!g)
		return -ENOBUFS;
	g->m.group = r->group;
	g->m.ifindex = r->ifindex;
	g->m.f.is_exclude = !is_ssm;
	err = mcast_join(e->tp->ip, &g->m, now);
	if (err) {
		arena_free(e->tp->core->arena, g);
		return err;
	}
	list_push(&e->groups, &g->node);
	return 0;
}

static void drop_membership(struct ep *e, struct membership *g, nsec now)
{
	list_remove(&g->node);
	mcast_leave(e->tp->ip, &g->m, now);
	arena_free(e->tp->core->arena, g);
}

int group_leave(struct ep *e, const struct group_where *r, nsec now)
{
	struct membership *g = find(e, r);

	if (!g)
		return -EADDRNOTAVAIL;
	drop_membership(e, g, now);
	return 0;
}

void group_leave_all(struct ep *e, nsec now)
{
	while (!list_empty(&e->groups))
		drop_membership(e, entry(e->groups.next), now);
}

static int max_sources(const struct ep *e, bool is4)
{
	const struct sysctl_values *sys = e->tp->core->sysctl;

	return (int)(is4 ? sys->igmp_max_msf : sys->mld_max_msf);
}

static int add_source(struct ep *e, struct membership *g,
		      const struct ip_addr *src)
{
	struct mcast_filter *f = &g->m.f;

	if (f->num >= max_sources(e, ip_addr_is4(src)))
		return -ENOBUFS;
	if (mcast_find_src(f, src) >= 0)
		return -EADDRNOTAVAIL;
	f->src[f->num++] = *src;
	g->has_list = true;
	return 0;
}

int group_source(struct ep *e, const struct group_where *r, bool exclude,
		 bool add, nsec now)
{
	struct membership *g = find(e, r);
	struct mcast_filter *f;
	int err = 0, i;

	if (!ip_addr_is_multicast(&r->group) || !g)
		return -EINVAL;
	f = &g->m.f;
	if (f->is_exclude != exclude) {
		if (g->has_list)
			return -EINVAL;
		f->is_exclude = exclude;
	}
	i = mcast_find_src(f, &r->src);
	if (add) {
		err = add_source(e, g, &r->src);
	} else if (i < 0) {
		err = -EADDRNOTAVAIL;
	} else if (f->num == 1 && !exclude) { /* from nobody: left */
		drop_membership(e, g, now);
		return 0;
	} else {
		f->src[i] = f->src[--f->num];
	}
	mcast_changed(e->tp->ip, &g->m, now);
	return err;
}

int group_set_filter(struct ep *e, const struct group_where *r,
		     const struct mcast_filter *f, nsec now)
{
	struct membership *g = find(e, r);

	if (!ip_addr_is_multicast(&r->group))
		return -EINVAL;
	if (!f->is_exclude && !f->num)
		return group_leave(e, r, now);
	if (!g)
		return -EINVAL;
	g->m.f = *f;
	g->has_list = f->num > 0;
	mcast_changed(e->tp->ip, &g->m, now);
	return 0;
}

const struct mcast_filter *group_get_filter(const struct ep *e,
					    const struct group_where *r)
{
	struct membership *g = find(e, r);

	return g ? &g->m.f : NULL;
}

/* ip_mc_sf_allow() and inet6_mc_check(): who is not in the group hears what
 * others joined, unless IP_MULTICAST_ALL is 0. */
bool group_hears(const struct ep *e, const struct ip_addr *group,
		 const struct ip_addr *src, uint32_t ifindex)
{
	const struct group_where r = {.group = *group, .ifindex = ifindex};
	struct membership *g = find(e, &r);

	if (g)
		return mcast_passes(&g->m.f, src);
	return ep_opt(e, ip_addr_is4(group) ? EP_O_MCAST_ALL : EP_O_MCAST_ALL6);
}

/* --- after a death under the lock --- */

void group_find(struct ep *e, struct rebuild *rb)
{
	REBUILD_LIST(rb, &e->groups, struct membership, node, NULL, NULL);
}

void group_refill(struct ep *e)
{
	struct list *n;

	list_for_each (n, &e->groups)
		mcast_refill(e->tp->ip, &entry(n)->m);
}
