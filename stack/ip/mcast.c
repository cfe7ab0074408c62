/* SPDX-License-Identifier: MIT
 *
 * mcast.c - groups of the host: who is in them, and what routers are told
 *
 * The listener's half of IGMPv3 (RFC 3376 5, 6, 7) and MLDv2 (RFC 3810 6, 8),
 * which differ only in how messages look (igmp.c, mld.c):
 *
 * A group's filter is the merge of its members'. When it changes, the change is
 * reported at once and again within the unsolicited report interval, as often
 * as the robustness variable says: as a new mode with its whole list, or as the
 * sources that came and went. A query is answered after a random part of the
 * time that it grants. While an old querier is around (v1, v2, MLDv1), groups
 * are reported one by one and without sources, and not if a neighbour has
 * just done so.
 *
 * Nothing is reported of the loopback, of the group of all hosts, nor of IPv6
 * scopes that never leave the node (RFC 3376 6, RFC 3810 6).
 */
#include "ip/mcast.h"

#include <errno.h>

#include "base/buf.h"
#include "base/rebuild.h"
#include "ip/ip_priv.h"
#include "wire/igmp.h"

#define MAX_CHANGES (2 * MCAST_MAX_SRC)
#define QUERY_INTERVAL (125 * SEC) /* RFC 3376 8.2 */
#define QUERY_RESPONSE (10 * SEC)  /* RFC 3376 8.3 */

struct change { /* of one source, to be reported @left more times */
	struct ip_addr src;
	uint8_t left;
};

struct group {
	struct list node;    /* mcast->groups */
	struct list members; /* struct mcast_member */
	struct ip_addr addr;
	uint32_t ifindex;
	struct mcast_filter f; /* the merge */
	uint8_t mode_left;     /* times that its mode is yet to be reported */
	uint16_t num_changes;
	struct change changes[MAX_CHANGES];
	nsec answer_at; /* to a query for this group */
	uint16_t num_asked;
	struct ip_addr asked[MCAST_MAX_SRC]; /* sources; none: the group */
	bool was_reporter; /* old querier: it was us who reported last */
};

/* One protocol on the device. */
struct family {
	nsec change_at, general_at;
	nsec v1_until, v2_until; /* an old querier was heard */
	uint8_t qrv;		 /* robustness, as the querier has it; 0 */
};

struct mcast {
	struct list groups;
	struct family fam[2]; /* MLD, IGMP */
};

/* Records on their way into packets. */
struct report {
	struct ip *ip;
	bool is4;
	nsec now;
	struct chunk *c; /* NULL: nothing yet */
	uint32_t len, room;
	uint16_t num;
};

struct mcast *mcast_new(struct ip *ip)
{
	struct mcast *mc = arena_zalloc(ip->core->arena, sizeof(*mc));

	if (!mc)
		return NULL;
	list_init(&mc->groups);
	for (int i = 0; i < 2; i++)
		mc->fam[i].change_at = mc->fam[i].general_at = TIME_NEVER;
	return mc;
}

/* Members are gone before: sockets go before the host. */
void mcast_free(struct ip *ip)
{
	struct list *n;

	while ((n = list_pop(&ip->mcast->groups)))
		arena_free(ip->core->arena, list_entry(n, struct group, node));
	arena_free(ip->core->arena, ip->mcast);
	ip->mcast = NULL;
}

/* --- filters --- */

int mcast_find_src(const struct mcast_filter *f, const struct ip_addr *src)
{
	for (unsigned i = 0; i < f->num; i++)
		if (ip_addr_eq(&f->src[i], src))
			return (int)i;
	return -1;
}

bool mcast_passes(const struct mcast_filter *f, const struct ip_addr *src)
{
	return (mcast_find_src(f, src) >= 0) != f->is_exclude;
}

static bool is_nothing(const struct mcast_filter *f)
{
	return !f->is_exclude && !f->num;
}

static void add_src(struct mcast_filter *f, const struct ip_addr *src)
{
	if (mcast_find_src(f, src) < 0 && f->num < MCAST_MAX_SRC)
		f->src[f->num++] = *src;
}

static struct mcast_member *member_of(struct list *n)
{
	return list_entry(n, struct mcast_member, link);
}

/* Do all members keep @src out, so that the interface may? */
static bool is_kept_out(const struct group *g, const struct ip_addr *src)
{
	struct list *n;

	list_for_each (n, &g->members)
		if (mcast_passes(&member_of(n)->f, src))
			return false;
	return true;
}

/* RFC 3376 3.2. Too many sources to name: too much is heard, never less. */
static void merge(const struct group *g, struct mcast_filter *f)
{
	struct list *n;
	unsigned total = 0;

	*f = (struct mcast_filter){0};
	list_for_each (n, &g->members) {
		f->is_exclude |= member_of(n)->f.is_exclude;
		total += member_of(n)->f.num;
	}
	if (!f->is_exclude && total > MCAST_MAX_SRC)
		f->is_exclude = true;
	list_for_each (n, &g->members) {
		const struct mcast_filter *m = &member_of(n)->f;

		if (m->is_exclude != f->is_exclude)
			continue;
		for (unsigned i = 0; i < m->num; i++)
			if (!f->is_exclude || is_kept_out(g, &m->src[i]))
				add_src(f, &m->src[i]);
	}
}

/* --- what is to be told --- */

static const struct sysctl_values *sysctl_of(const struct ip *ip)
{
	return ip->core->sysctl;
}

static struct family *family_of(struct ip *ip, const struct group *g)
{
	return &ip->mcast->fam[ip_addr_is4(&g->addr)];
}

/* 1, 2 or 3 as IGMP counts: the version that the querier understands. */
static unsigned version(const struct ip *ip, bool is4, nsec now)
{
	const struct family *f = &ip->mcast->fam[is4];
	int64_t forced = is4 ? sysctl_of(ip)->force_igmp_version
			     : sysctl_of(ip)->force_mld_version;

	if (forced)
		return (unsigned)forced + !is4;
	if (f->v1_until > now)
		return 1;
	return f->v2_until > now ? 2 : 3;
}

static uint8_t robustness(const struct ip *ip, bool is4)
{
	const struct family *f = &ip->mcast->fam[is4];

	if (f->qrv)
		return f->qrv;
	return (uint8_t)(is4 ? sysctl_of(ip)->igmp_qrv
			     : sysctl_of(ip)->mld_qrv);
}

static bool is_reported(const struct ip *ip, const struct group *g)
{
	const uint8_t *b = g->addr.b;

	if (g->ifindex != IP_IF_DEV)
		return false;
	if (!ip_addr_is4(&g->addr)) /* ff02::1, and below link scope */
		return (b[1] & 0xf) >= 2 &&
		       memcmp(b, (uint8_t[16]){0xff, 2, [15] = 1}, 16) != 0;
	if (ip_addr_be32(&g->addr) == 0xe0000001) /* 224.0.0.1 */
		return false;
	return ip_addr_be32(&g->addr) >> 8 != 0xe00000 ||
	       sysctl_of(ip)->igmp_link_local_mcast_reports;
}

static void forget_changes(struct group *g)
{
	g->mode_left = 0;
	g->num_changes = 0;
}

static void note_change(struct group *g, const struct ip_addr *src,
			uint8_t left)
{
	for (unsigned i = 0; i < g->num_changes; i++) {
		if (ip_addr_eq(&g->changes[i].src, src)) {
			g->changes[i].left = left;
			return;
		}
	}
	if (g->num_changes < MAX_CHANGES)
		g->changes[g->num_changes++] = (struct change){*src, left};
}

/* From @old to what is now: RFC 3376 5.1. */
static void note_changes(struct ip *ip, struct group *g,
			 const struct mcast_filter *old, nsec now)
{
	bool is4 = ip_addr_is4(&g->addr);
	uint8_t left = robustness(ip, is4);

	if (!is_reported(ip, g))
		return;
	if (version(ip, is4, now) < 3) {
		if (is_nothing(old) == is_nothing(&g->f))
			return;
		g->mode_left = is_nothing(&g->f) ? 1 : left;
	} else if (old->is_exclude != g->f.is_exclude) {
		g->num_changes = 0;
		g->mode_left = left;
	} else {
		for (unsigned i = 0; i < old->num; i++)
			if (mcast_find_src(&g->f, &old->src[i]) < 0)
				note_change(g, &old->src[i], left);
		for (unsigned i = 0; i < g->f.num; i++)
			if (mcast_find_src(old, &g->f.src[i]) < 0)
				note_change(g, &g->f.src[i], left);
	}
	if (g->mode_left || g->num_changes)
		family_of(ip, g)->change_at = now;
}

/* --- members --- */

static struct group *group_of(struct list *n)
{
	return list_entry(n, struct group, node);
}

static struct group *find(const struct ip *ip, uint32_t ifindex,
			  const struct ip_addr *a)
{
	struct list *n;

	list_for_each (n, &ip->mcast->groups) {
		struct group *g = group_of(n);

		if (g->ifindex == ifindex && ip_addr_eq(&g->addr, a))
			return g;
	}
	return NULL;
}

bool mcast_hears(const struct ip *ip, uint32_t ifindex,
		 const struct ip_addr *group, const struct ip_addr *src,
		 uint8_t proto)
{
	const struct group *g = find(ip, ifindex, group);

	if (!g || is_nothing(&g->f))
		return false;
	return proto == IPPROTO_IGMP || ip_addr_is_any(src) ||
	       mcast_passes(&g->f, src);
}

static void free_if_done(struct ip *ip, struct group *g)
{
	if (!list_empty(&g->members) || g->mode_left || g->num_changes)
		return;
	list_remove(&g->node);
	arena_free(ip->core->arena, g);
}

static void refresh(struct ip *ip, struct group *g, nsec now)
{
	struct mcast_filter old = g->f;

	merge(g, &g->f);
	note_changes(ip, g, &old, now);
	free_if_done(ip, g);
	ip_timer_rearm(ip);
}

int mcast_join(struct ip *ip, struct mcast_member *m, nsec now)
{
	struct group *g = find(ip, m->ifindex, &m->group);

	if (!g) {
		g = arena_zalloc(ip->core->arena, sizeof(*g));
		if (!g)
			return -ENOBUFS;
		g->addr = m->group;
		g->ifindex = m->ifindex;
		g->answer_at = TIME_NEVER;
		list_init(&g->members);
		list_push(&ip->mcast->groups, &g->node);
	}
	list_push(&g->members, &m->link);
	refresh(ip, g, now);
	return 0;
}

void mcast_leave(struct ip *ip, struct mcast_member *m, nsec now)
{
	struct group *g = find(ip, m->ifindex, &m->group);

	list_remove(&m->link);
	if (g)
		refresh(ip, g, now);
}

void mcast_changed(struct ip *ip, const struct mcast_member *m, nsec now)
{
	struct group *g = find(ip, m->ifindex, &m->group);

	ASSERT(g);
	refresh(ip, g, now);
}

/* --- reports --- */

static void flush(struct report *r)
{
	if (!r->c)
		return;
	if (r->is4)
		igmp_send_report(r->ip, r->c, r->len, r->num, r->now);
	else
		mld_send_report(r->ip, r->c, r->len, r->num, r->now);
	buf_put(r->ip->core->arena, &r->c->b);
	r->c = NULL;
}

static bool has_room(struct report *r, uint32_t need)
{
	if (r->c && r->len + need > r->room)
		flush(r);
	if (r->c)
		return need <= r->room;
	/* 40 + 8 + 8: IPv6, router alert, what precedes the records */
	r->room = MIN(r->ip->link->mtu, 1500u) - 56;
	r->len = 0;
	r->num = 0;
	r->c = chunk_new(r->ip->core->arena, r->room);
	return r->c && need <= r->room;
}

/* Sources that do not fit are left out (RFC 3376 4.2.16 would split). */
static void add_record(struct report *r, enum group_record type,
		       const struct group *g, const struct ip_addr *src,
		       unsigned num)
{
	uint8_t *p;

	if (!has_room(r, group_record_len(r->is4, num)))
		return;
	p = r->c->data + r->len;
	r->len += group_record_len(r->is4, num);
	r->num++;
	p = group_record_emit(type, &g->addr, (uint16_t)num, p);
	for (unsigned i = 0; i < num; i++)
		p = group_addr_emit(&src[i], p);
}

/* Sources that came or went, as the mode has it. */
static void add_changes(struct report *r, const struct group *g, bool allow)
{
	struct ip_addr src[MAX_CHANGES];
	unsigned num = 0;

	for (unsigned i = 0; i < g->num_changes; i++)
		if (mcast_passes(&g->f, &g->changes[i].src) == allow)
			src[num++] = g->changes[i].src;
	if (num)
		add_record(r, allow ? GROUP_ALLOW_NEW : GROUP_BLOCK_OLD, g, src,
			   num);
}

static void count_down(struct group *g)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < g->num_changes; i++) {
		struct change c = g->changes[i];

		if (--c.left)
			g->changes[kept++] = c;
	}
	g->num_changes = (uint16_t)kept;
	if (g->mode_left)
		g->mode_left--;
}

static void report_old(struct ip *ip, struct group *g, unsigned v, nsec now)
{
	bool is4 = ip_addr_is4(&g->addr), leaves = is_nothing(&g->f);
	uint8_t type;

	if (leaves && (!g->was_reporter || v == 1))
		return;
	if (is4)
		type = leaves	? IGMP_V2_LEAVE
		       : v == 1 ? IGMP_V1_REPORT
				: IGMP_V2_REPORT;
	else
		type = leaves ? MLD_V1_DONE : MLD_V1_REPORT;
	if (is4)
		igmp_send_old(ip, &g->addr, type, now);
	else
		mld_send_old(ip, &g->addr, type, now);
	g->was_reporter = !leaves;
}

static nsec random_within(struct ip *ip, nsec most)
{
	uint32_t ms = (uint32_t)(most / MSEC);

	return (rng_below(&ip->core->rng, MAX(ms, 1u)) + 1) * MSEC;
}

static nsec unsolicited(const struct ip *ip, bool is4, unsigned v)
{
	const struct sysctl_values *s = sysctl_of(ip);

	if (is4)
		return MSEC * (v < 3 ? s->igmpv2_unsolicited_report_interval
				     : s->igmpv3_unsolicited_report_interval);
	return MSEC * (v < 3 ? s->mldv1_unsolicited_report_interval
			     : s->mldv2_unsolicited_report_interval);
}

static void tell_changes(struct ip *ip, bool is4, nsec now)
{
	struct report r = {.ip = ip, .is4 = is4, .now = now};
	struct family *f = &ip->mcast->fam[is4];
	unsigned v = version(ip, is4, now);
	struct list *n, *tmp;
	bool more = false;

	list_for_each_safe (n, tmp, &ip->mcast->groups) {
		struct group *g = group_of(n);

		if (ip_addr_is4(&g->addr) != is4 ||
		    (!g->mode_left && !g->num_changes))
			continue;
		if (v < 3) {
			report_old(ip, g, v, now);
		} else if (g->mode_left) {
			add_record(&r,
				   g->f.is_exclude ? GROUP_TO_EXCLUDE
						   : GROUP_TO_INCLUDE,
				   g, g->f.src, g->f.num);
		} else {
			add_changes(&r, g, true);
			add_changes(&r, g, false);
		}
		count_down(g);
		more |= g->mode_left || g->num_changes;
		free_if_done(ip, g);
	}
	flush(&r);
	f->change_at = more ? now + random_within(ip, unsolicited(ip, is4, v))
			    : TIME_NEVER;
}

/* --- queries --- */

static void add_state(struct report *r, const struct group *g)
{
	struct ip_addr src[MCAST_MAX_SRC];
	unsigned num = 0;

	if (!g->num_asked) {
		add_record(r,
			   g->f.is_exclude ? GROUP_IS_EXCLUDE
					   : GROUP_IS_INCLUDE,
			   g, g->f.src, g->f.num);
		return;
	}
	/* RFC 3376 5.2: those asked for that are heard */
	for (unsigned i = 0; i < g->num_asked; i++)
		if (mcast_passes(&g->f, &g->asked[i]))
			src[num++] = g->asked[i];
	if (num)
		add_record(r, GROUP_IS_INCLUDE, g, src, num);
}

/* Answers what is due: all groups, or those that were asked for. */
static void answer(struct ip *ip, bool is4, bool all, nsec now)
{
	struct report r = {.ip = ip, .is4 = is4, .now = now};
	unsigned v = version(ip, is4, now);
	struct list *n;
	bool tells;

	list_for_each (n, &ip->mcast->groups) {
		struct group *g = group_of(n);

		if (ip_addr_is4(&g->addr) != is4 ||
		    (!all && g->answer_at > now))
			continue;
		if (all)
			g->num_asked = 0;
		tells = !is_nothing(&g->f) && is_reported(ip, g);
		if (tells && v < 3)
			report_old(ip, g, v, now);
		else if (tells)
			add_state(&r, g);
		g->answer_at = TIME_NEVER;
		g->num_asked = 0;
	}
	flush(&r);
}

static void ask(struct ip *ip, struct group *g, const struct group_query *q,
		nsec now)
{
	bool is4 = ip_addr_is4(&g->addr), was_asked = g->answer_at < TIME_NEVER;
	nsec at = now + random_within(ip, q->max_resp);

	if (!q->num_src || (was_asked && !g->num_asked))
		g->num_asked = 0;
	else
		for (unsigned i = 0;
		     i < q->num_src && g->num_asked < MCAST_MAX_SRC; i++)
			g->asked[g->num_asked++] = group_query_src(q, i, is4);
	g->answer_at = MIN(g->answer_at, at);
}

/* An old querier: RFC 3376 7.2.1, RFC 3810 8.2.1. */
static void heard_old(struct ip *ip, bool is4, unsigned v, nsec now)
{
	struct family *f = &ip->mcast->fam[is4];
	nsec until =
		now + robustness(ip, is4) * QUERY_INTERVAL + QUERY_RESPONSE;
	struct list *n, *tmp;

	if (v == 1)
		f->v1_until = until;
	else
		f->v2_until = until;
	f->change_at = f->general_at = TIME_NEVER;
	list_for_each_safe (n, tmp, &ip->mcast->groups) {
		struct group *g = group_of(n);

		if (ip_addr_is4(&g->addr) != is4)
			continue;
		forget_changes(g);
		free_if_done(ip, g);
	}
}

void mcast_query(struct ip *ip, bool is4, const struct group_query *q, nsec now)
{
	struct family *f = &ip->mcast->fam[is4];
	bool is_general = ip_addr_is_any(&q->group);
	struct list *n;

	if (q->version < 3)
		heard_old(ip, is4, q->version, now);
	else if (q->qrv)
		f->qrv = q->qrv;
	if (q->version == 3 && is_general && version(ip, is4, now) == 3) {
		nsec at = now + random_within(ip, q->max_resp);

		if (!q->num_src) /* RFC 3376 4.1.9: a general query has none */
			f->general_at = MIN(f->general_at, at);
		ip_timer_rearm(ip);
		return;
	}
	list_for_each (n, &ip->mcast->groups) {
		struct group *g = group_of(n);

		if (g->ifindex == IP_IF_DEV && ip_addr_is4(&g->addr) == is4 &&
		    (is_general || ip_addr_eq(&g->addr, &q->group)))
			ask(ip, g, q, now);
	}
	ip_timer_rearm(ip);
}

void mcast_heard_report(struct ip *ip, const struct ip_addr *group, nsec now)
{
	struct group *g = find(ip, IP_IF_DEV, group);

	if (!g || version(ip, ip_addr_is4(group), now) == 3)
		return;
	g->answer_at = TIME_NEVER;
	g->was_reporter = false;
	forget_changes(g);
	free_if_done(ip, g);
}

/* --- time --- */

nsec mcast_next_at(const struct ip *ip)
{
	nsec at = TIME_NEVER;
	struct list *n;

	for (int i = 0; i < 2; i++) {
		at = MIN(at, ip->mcast->fam[i].change_at);
		at = MIN(at, ip->mcast->fam[i].general_at);
	}
	list_for_each (n, &ip->mcast->groups)
		at = MIN(at, group_of(n)->answer_at);
	return at;
}

void mcast_expire(struct ip *ip, nsec now)
{
	for (int is4 = 0; is4 < 2; is4++) {
		struct family *f = &ip->mcast->fam[is4];

		if (f->change_at <= now)
			tell_changes(ip, is4, now);
		answer(ip, is4, f->general_at <= now, now);
		if (f->general_at <= now)
			f->general_at = TIME_NEVER;
	}
}

/* --- after a death under the lock --- */

static bool keep_group(struct rebuild *rb, void *obj, void *arg)
{
	struct group *g = obj;

	list_init(&g->members);
	g->num_changes = MIN(g->num_changes, (uint16_t)MAX_CHANGES);
	g->num_asked = MIN(g->num_asked, (uint16_t)MCAST_MAX_SRC);
	g->f.num = MIN(g->f.num, (uint16_t)MCAST_MAX_SRC);
	return true;
}

void mcast_find(struct ip *ip, struct rebuild *rb)
{
	rebuild_own(rb, ip->mcast, sizeof(*ip->mcast));
	REBUILD_LIST(rb, &ip->mcast->groups, struct group, node, keep_group,
		     NULL);
}

/* Without a group it was about to join, or leave. */
void mcast_refill(struct ip *ip, struct mcast_member *m)
{
	struct group *g = find(ip, m->ifindex, &m->group);

	if (g)
		list_push(&g->members, &m->link);
	else
		list_init(&m->link);
}

void mcast_revive(struct ip *ip, nsec now)
{
	struct list *n, *tmp;

	list_for_each_safe (n, tmp, &ip->mcast->groups)
		refresh(ip, group_of(n), now);
}
