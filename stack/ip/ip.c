/* SPDX-License-Identifier: MIT
 *
 * ip.c - life and addresses of the internet layer
 */
#include "ip/ip.h"

#include <errno.h>

#include "ip/ip_priv.h"
#include "ip/mcast.h"

int ip_init(struct ip *ip, struct core *c, struct link *l, struct transport *tp)
{
	int err;

	memset(ip, 0, sizeof(*ip));
	ip->core = c;
	ip->link = l;
	ip->tp = tp;
	timer_init(&ip->timer, TIMER_IP);
	rng_key(&c->rng, &ip->id_key);
	icmp_init(ip);
	err = route_init(ip);
	if (err)
		return err;
	ip->reass = reass_new(ip);
	ip->mcast = mcast_new(ip);
	if (!ip->reass || !ip->mcast) {
		ip_fini(ip);
		return -ENOMEM;
	}
	return 0;
}

void ip_fini(struct ip *ip)
{
	timer_remove(&ip->core->timers, &ip->timer);
	if (ip->reass)
		reass_free(ip->reass);
	ip->reass = NULL;
	if (ip->mcast)
		mcast_free(ip);
	route_fini(ip);
}

void ip_timer_rearm(struct ip *ip)
{
	nsec at = MIN(reass_next_at(ip->reass), pmtu_next_at(ip));

	at = MIN(at, mcast_next_at(ip));

	/* A heap that can't grow costs punctuality, not memory: both caches
	 * are bounded, and whoever looks at an entry looks at its time. */
	if (at != ip->timer.at)
		timer_arm(&ip->core->timers, &ip->timer, at);
}

void ip_timer(struct ip *ip, nsec now)
{
	reass_expire(ip->reass, now);
	pmtu_expire(ip, now);
	mcast_expire(ip, now);
	ip_timer_rearm(ip);
}

void ip_find(struct ip *ip, struct rebuild *rb)
{
	timer_init(&ip->timer, TIMER_IP);
	route_find(ip, rb);
	reass_find(ip->reass, rb);
	mcast_find(ip, rb);
}

void ip_revive(struct ip *ip, nsec now)
{
	mcast_revive(ip, now);
	ip_timer_rearm(ip);
}

static bool can_be_ours(const struct ip_addr *a, unsigned plen)
{
	unsigned bits = ip_addr_is4(a) ? 32 : 128;

	return plen <= bits && !ip_addr_is_any(a) && !ip_addr_is_multicast(a) &&
	       !ip_addr_is_limited_bcast(a);
}

int ip_addr_add(struct ip *ip, const struct ip_addr *a, unsigned plen)
{
	static const struct ip_addr on_link_v6;
	static const struct ip_addr on_link_v4 = {
		.b = {[10] = 0xff, [11] = 0xff}};
	int err;

	if (!can_be_ours(a, plen))
		return -EINVAL;
	if (ip_addr_is_loopback(a))
		return 0;
	for (unsigned i = 0; i < ip->num_addrs; i++)
		if (ip_addr_eq(&ip->addrs[i].addr, a))
			return -EEXIST;
	if (ip->num_addrs == IP_MAX_ADDRS)
		return -ENOSPC;
	err = ip_route_add(ip, a, plen,
			   ip_addr_is4(a) ? &on_link_v4 : &on_link_v6);
	if (err && err != -EEXIST) /* two addresses of one subnet */
		return err;
	ip->addrs[ip->num_addrs].addr = *a;
	ip->addrs[ip->num_addrs].plen = (uint8_t)plen;
	ip->num_addrs++;
	return 0;
}

/* The last address of a subnet of ours, RFC 922 7. /31 and /32 have none (RFC
 * 3021 2.2). The first is unicast, as in Linux since 5.14. */
static bool is_directed_bcast(const struct ip_ifaddr *mine,
			      const struct ip_addr *a)
{
	if (!ip_addr_is4(&mine->addr) || mine->plen > 30)
		return false;
	return ip_addr_be32(a) ==
	       (ip_addr_be32(&mine->addr) | UINT32_MAX >> mine->plen);
}

enum ip_scope ip_scope(const struct ip *ip, const struct ip_addr *a)
{
	bool is4 = ip_addr_is4(a);

	for (unsigned i = 0; i < ip->num_addrs; i++)
		if (ip_addr_eq(&ip->addrs[i].addr, a))
			return IP_SCOPE_LOCAL;
	if (ip_addr_is_loopback(a))
		return IP_SCOPE_LOCAL;
	if (ip_addr_is_multicast(a))
		return IP_SCOPE_MCAST;
	if (!is4)
		return IP_SCOPE_NONE;
	if (ip_addr_is_limited_bcast(a))
		return IP_SCOPE_BCAST;
	for (unsigned i = 0; i < ip->num_addrs; i++)
		if (is_directed_bcast(&ip->addrs[i], a))
			return IP_SCOPE_BCAST;
	return IP_SCOPE_NONE;
}
