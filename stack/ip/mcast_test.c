/* SPDX-License-Identifier: MIT */
#include "ip/mcast.h"

#include <criterion/criterion.h>

#include "base/csum.h"
#include "ip/ip_world.h"
#include "wire/igmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

TestSuite(mcast, .init = world_init, .fini = world_fini);

static uint8_t out[2000];
static struct mcast_member m4, m6, other;

/* Lets time pass until @until, running what is due. */
static void pass(nsec until)
{
	while (w.ip.timer.at <= until) {
		w.now = w.ip.timer.at > w.now ? w.ip.timer.at : w.now;
		ip_timer(&w.ip, w.now);
	}
	w.now = until;
}

static void join(struct mcast_member *m, const char *group, bool exclude)
{
	*m = (struct mcast_member){
		.group = addr(group),
		.ifindex = IP_IF_DEV,
		.f.is_exclude = exclude,
	};
	cr_assert_eq(mcast_join(&w.ip, m, w.now), 0);
	pass(w.now);
}

static void allow(struct mcast_member *m, const char *src)
{
	m->f.src[m->f.num++] = addr(src);
	mcast_changed(&w.ip, m, w.now);
	pass(w.now);
}

/* The next message that was sent, without its IP header; NULL: none. */
static const uint8_t *sent(uint32_t *len)
{
	uint32_t n = world_out(out), hdr;

	if (!n)
		return NULL;
	hdr = out[0] >> 4 == 4 ? (out[0] & 0xfu) * 4 : IP6_HLEN + 8;
	*len = n - hdr;
	return out + hdr;
}

/* The next message is a report with one record of these. */
static void wants_record(uint8_t type, const char *group, unsigned num)
{
	struct ip_addr g = addr(group);
	bool is4 = ip_addr_is4(&g);
	uint32_t len = 0;
	const uint8_t *p = sent(&len);

	cr_assert(p, "nothing was sent");
	cr_assert_eq(p[0], is4 ? IGMP_V3_REPORT : MLD_V2_REPORT);
	cr_assert_eq(get_be16(p + 6), 1);
	cr_assert_eq(p[8], type, "%u", p[8]);
	cr_assert_eq(get_be16(p + 10), num);
	cr_assert_eq(memcmp(p + 12, is4 ? g.b + 12 : g.b, is4 ? 4 : 16), 0);
	cr_assert_eq(len, 8 + group_record_len(is4, num));
}

/* From a router: an IGMP message, its checksum made. */
static void igmp(const char *src, uint8_t *p, uint32_t len, const char *dst)
{
	struct build b = {.src = src,
			  .dst = dst,
			  .proto = IPPROTO_IGMP,
			  .ttl = 1,
			  .body = p,
			  .len = len};
	uint8_t pkt[200];
	uint16_t csum;

	put_be16(p + 2, 0);
	csum = csum_fold(csum_add(0, p, len));
	memcpy(p + 2, &csum, 2);
	world_in(pkt, build(&b, pkt));
}

static void query4(uint8_t version, uint8_t code, const char *group,
		   const char *src)
{
	uint8_t p[16] = {IGMP_QUERY, code};
	struct ip_addr g = addr(group);

	group_addr_emit(&g, p + 4);
	p[8] = 2; /* robustness */
	if (src) {
		struct ip_addr s = addr(src);

		p[11] = 1;
		group_addr_emit(&s, p + 12);
	}
	igmp("10.77.0.1", p, version < 3 ? 8 : src ? 16 : 12, "224.0.0.1");
}

static void mld(const char *src, uint8_t ttl, uint8_t alert, uint8_t *p,
		uint32_t len)
{
	uint8_t body[100] = {IPPROTO_ICMPV6, 0, alert, 2, 0, 0, 1, 0};
	struct build b = {.src = src,
			  .dst = "ff02::1",
			  .proto = IPPROTO_HOPOPTS,
			  .ttl = ttl,
			  .body = body,
			  .len = 8 + len};
	struct ip_addr s = addr(src), d = addr("ff02::1");
	uint8_t pkt[200];
	uint16_t csum;

	put_be16(p + 2, 0);
	csum = csum_fold(
		csum_add(csum_pseudo(&s, &d, IPPROTO_ICMPV6, len), p, len));
	memcpy(p + 2, &csum, 2);
	memcpy(body + 8, p, len);
	world_in(pkt, build(&b, pkt));
}

Test(mcast, a_join_is_reported_twice_and_a_leave_too)
{
	uint32_t len;

	join(&m4, "239.1.2.3", true);
	wants_record(GROUP_TO_EXCLUDE, "239.1.2.3", 0);
	cr_assert_eq(get_be32(out + 16), 0xe0000016, "224.0.0.22");
	cr_assert_eq(out[8], 1, "TTL");
	cr_assert_eq(out[1], 0xc0, "TOS");
	cr_assert_eq(get_be32(out + 20), 0x94040000, "router alert");
	cr_assert_eq(csum_fold(csum_add(0, out + 24, 16)), 0);
	cr_assert_eq(world_num_out(), 0);
	pass(w.now + SEC);
	wants_record(GROUP_TO_EXCLUDE, "239.1.2.3", 0);
	pass(w.now + 100 * SEC);
	cr_assert(!sent(&len));
	mcast_leave(&w.ip, &m4, w.now);
	pass(w.now);
	wants_record(GROUP_TO_INCLUDE, "239.1.2.3", 0);
	pass(w.now + SEC);
	wants_record(GROUP_TO_INCLUDE, "239.1.2.3", 0);
	pass(w.now + 100 * SEC);
	cr_assert(!sent(&len));
}

Test(mcast, ipv6_reports_come_from_nowhere_without_a_link_local_address)
{
	static const uint8_t any[16];
	struct ip_addr ll = addr("fe80::7");

	join(&m6, "ff15::1", true);
	wants_record(GROUP_TO_EXCLUDE, "ff15::1", 0);
	cr_assert_eq(memcmp(out + 8, any, 16), 0);
	cr_assert_eq(out[7], 1, "hop limit");
	cr_assert_eq(out[6], IPPROTO_HOPOPTS);
	cr_assert_eq(get_be32(out + 42), 0x05020000, "router alert");
	cr_assert_eq(ip_addr_add(&w.ip, &ll, 64), 0);
	pass(w.now + SEC);
	wants_record(GROUP_TO_EXCLUDE, "ff15::1", 0);
	cr_assert_eq(memcmp(out + 8, ll.b, 16), 0);
	mcast_leave(&w.ip, &m6, w.now);
	pass(w.now + 2 * SEC);
	wants_record(GROUP_TO_INCLUDE, "ff15::1", 0);
	wants_record(GROUP_TO_INCLUDE, "ff15::1", 0);
}

Test(mcast, groups_of_all_hosts_and_of_the_loopback_are_not_reported)
{
	uint32_t len;

	join(&m4, "224.0.0.1", true);
	join(&m6, "ff02::1", true);
	other = (struct mcast_member){.group = addr("239.1.1.1"),
				      .ifindex = IP_IF_LO,
				      .f.is_exclude = true};
	cr_assert_eq(mcast_join(&w.ip, &other, w.now), 0);
	pass(w.now + 10 * SEC);
	cr_assert(!sent(&len));
	mcast_leave(&w.ip, &m4, w.now);
	mcast_leave(&w.ip, &m6, w.now);
	mcast_leave(&w.ip, &other, w.now);
	pass(w.now + 10 * SEC);
	cr_assert(!sent(&len));
	w.sysctl.igmp_link_local_mcast_reports = 0;
	join(&m4, "224.0.0.9", true);
	cr_assert(!sent(&len));
	mcast_leave(&w.ip, &m4, w.now);
}

Test(mcast, sources_that_come_and_go_are_told)
{
	join(&m4, "239.1.2.3", false);
	cr_assert_eq(world_num_out(), 0, "nothing is heard yet");
	allow(&m4, "10.1.1.1");
	wants_record(GROUP_ALLOW_NEW, "239.1.2.3", 1);
	allow(&m4, "10.1.1.2");
	wants_record(GROUP_ALLOW_NEW, "239.1.2.3", 2); /* and the first again */
	pass(w.now + 10 * SEC);
	wants_record(GROUP_ALLOW_NEW, "239.1.2.3", 1);
	m4.f.num = 1;
	mcast_changed(&w.ip, &m4, w.now);
	pass(w.now + 10 * SEC);
	wants_record(GROUP_BLOCK_OLD, "239.1.2.3", 1);
	wants_record(GROUP_BLOCK_OLD, "239.1.2.3", 1);
	/* from all but none: the mode changes */
	m4.f = (struct mcast_filter){.is_exclude = true};
	mcast_changed(&w.ip, &m4, w.now);
	pass(w.now + 10 * SEC);
	wants_record(GROUP_TO_EXCLUDE, "239.1.2.3", 0);
	wants_record(GROUP_TO_EXCLUDE, "239.1.2.3", 0);
	mcast_leave(&w.ip, &m4, w.now);
}

Test(mcast, the_interface_hears_what_any_member_hears)
{
	struct ip_addr g = addr("239.1.2.3"), a = addr("10.1.1.1"),
		       b = addr("10.1.1.2"), c = addr("10.1.1.3");

	join(&m4, "239.1.2.3", true);
	allow(&m4, "10.1.1.1"); /* kept out */
	allow(&m4, "10.1.1.2");
	join(&other, "239.1.2.3", false);
	cr_assert(!mcast_hears(&w.ip, IP_IF_DEV, &g, &a, IPPROTO_UDP));
	allow(&other, "10.1.1.1"); /* let in */
	cr_assert(mcast_hears(&w.ip, IP_IF_DEV, &g, &a, IPPROTO_UDP));
	cr_assert(!mcast_hears(&w.ip, IP_IF_DEV, &g, &b, IPPROTO_UDP));
	cr_assert(mcast_hears(&w.ip, IP_IF_DEV, &g, &b, IPPROTO_IGMP));
	cr_assert(mcast_hears(&w.ip, IP_IF_DEV, &g, &c, IPPROTO_UDP));
	cr_assert(!mcast_hears(&w.ip, IP_IF_LO, &g, &c, IPPROTO_UDP));
	mcast_leave(&w.ip, &m4, w.now);
	cr_assert(mcast_hears(&w.ip, IP_IF_DEV, &g, &a, IPPROTO_UDP));
	cr_assert(!mcast_hears(&w.ip, IP_IF_DEV, &g, &c, IPPROTO_UDP));
	mcast_leave(&w.ip, &other, w.now);
	cr_assert(!mcast_hears(&w.ip, IP_IF_DEV, &g, &a, IPPROTO_UDP));
}

static void joined_long_ago(void)
{
	world_init();
	join(&m4, "239.1.2.3", true);
	join(&m6, "ff15::1", true);
	pass(w.now + 100 * SEC);
	while (world_out(out))
		;
}

static void leave_both(void)
{
	mcast_leave(&w.ip, &m4, w.now);
	mcast_leave(&w.ip, &m6, w.now);
	world_fini();
}

TestSuite(query, .init = joined_long_ago, .fini = leave_both);

Test(query, a_general_one_is_answered_within_its_time)
{
	uint32_t len;

	query4(3, 20, "0.0.0.0", NULL); /* two seconds */
	cr_assert_eq(world_num_out(), 0);
	pass(w.now + 2 * SEC);
	wants_record(GROUP_IS_EXCLUDE, "239.1.2.3", 0);
	query4(3, 20, "239.1.2.3", NULL);
	pass(w.now + 2 * SEC);
	wants_record(GROUP_IS_EXCLUDE, "239.1.2.3", 0);
	query4(3, 20, "239.9.9.9", NULL);
	pass(w.now + 20 * SEC);
	cr_assert(!sent(&len));
}

Test(query, one_for_sources_is_answered_with_those_that_are_heard)
{
	uint32_t len;

	query4(3, 20, "239.1.2.3", "10.1.1.1");
	pass(w.now + 2 * SEC);
	wants_record(GROUP_IS_INCLUDE, "239.1.2.3", 1);
	allow(&m4, "10.1.1.1"); /* keeps it out */
	while (sent(&len))
		;
	pass(w.now + 2 * SEC);
	while (sent(&len))
		;
	query4(3, 20, "239.1.2.3", "10.1.1.1");
	pass(w.now + 20 * SEC);
	cr_assert(!sent(&len));
}

Test(query, an_old_querier_gets_old_reports_until_it_is_gone)
{
	uint32_t len = 0;
	const uint8_t *p;

	query4(2, 10, "0.0.0.0", NULL); /* one second */
	pass(w.now + SEC);
	p = sent(&len);
	cr_assert(p && p[0] == IGMP_V2_REPORT && len == 8);
	cr_assert_eq(get_be32(out + 16), 0xef010203, "to the group itself");
	mcast_leave(&w.ip, &m4, w.now);
	pass(w.now);
	p = sent(&len);
	cr_assert(p && p[0] == IGMP_V2_LEAVE);
	cr_assert_eq(get_be32(out + 16), 0xe0000002, "to all routers");
	join(&m4, "239.1.2.3", true);
	p = sent(&len);
	cr_assert(p && p[0] == IGMP_V2_REPORT);
	pass(w.now + 10 * SEC);
	p = sent(&len);
	cr_assert(p && p[0] == IGMP_V2_REPORT, "again");
	query4(1, 0, "0.0.0.0", NULL);
	pass(w.now + 10 * SEC);
	p = sent(&len);
	cr_assert(p && p[0] == IGMP_V1_REPORT);
	pass(w.now + 300 * SEC);
	cr_assert(!sent(&len));
	query4(3, 10, "0.0.0.0", NULL);
	pass(w.now + SEC);
	wants_record(GROUP_IS_EXCLUDE, "239.1.2.3", 0);
}

Test(query, a_neighbours_old_report_saves_ours)
{
	uint8_t p[8] = {IGMP_V2_REPORT, 0, 0, 0, 239, 1, 2, 3};
	uint32_t len;

	query4(2, 100, "0.0.0.0", NULL);
	igmp("10.77.0.9", p, 8, "239.1.2.3");
	pass(w.now + 20 * SEC);
	cr_assert(!sent(&len));
	/* and the neighbour is there still when we go */
	mcast_leave(&w.ip, &m4, w.now);
	pass(w.now + SEC);
	cr_assert(!sent(&len));
	join(&m4, "239.1.2.3", true);
}

Test(query, of_mld_in_both_versions)
{
	uint8_t v2[28] = {MLD_QUERY, 0, 0, 0, 1000 >> 8, 1000 & 0xff};
	uint8_t v1[24] = {MLD_QUERY, 0, 0, 0, 1000 >> 8, 1000 & 0xff};
	uint32_t len = 0;
	const uint8_t *p;

	mld("fe80::1", 1, 5, v2, sizeof(v2));
	pass(w.now + SEC);
	wants_record(GROUP_IS_EXCLUDE, "ff15::1", 0);
	/* not from this link */
	mld("fd77::1", 1, 5, v2, sizeof(v2));
	mld("fe80::1", 64, 5, v2, sizeof(v2));
	mld("fe80::1", 1, 1 /* padding */, v2, sizeof(v2));
	pass(w.now + 20 * SEC);
	cr_assert(!sent(&len));
	mld("fe80::1", 1, 5, v1, sizeof(v1));
	pass(w.now + SEC);
	p = sent(&len);
	cr_assert(p && p[0] == MLD_V1_REPORT && len == 24);
	mcast_leave(&w.ip, &m6, w.now);
	pass(w.now);
	p = sent(&len);
	cr_assert(p && p[0] == MLD_V1_DONE);
	join(&m6, "ff15::1", true);
}

Test(query, malformed_ones_are_dropped)
{
	uint64_t before = w.core.stats.drop[DROP_IGMP_MALFORMED];
	uint8_t p[12] = {IGMP_QUERY, 10};
	uint32_t len;

	p[11] = 5; /* sources that are not there */
	igmp("10.77.0.1", p, sizeof(p), "224.0.0.1");
	igmp("10.77.0.1", p, 10, "224.0.0.1");
	igmp("10.77.0.1", p, 4, "224.0.0.1");
	cr_assert_eq(w.core.stats.drop[DROP_IGMP_MALFORMED], before + 3);
	pass(w.now + 20 * SEC);
	cr_assert(!sent(&len));
}

Test(query, times_above_the_linear_range_are_exponents)
{
	uint8_t p[12] = {IGMP_QUERY, 0xff}, p6[28] = {MLD_QUERY};
	struct group_query q;
	uint16_t csum = csum_fold(csum_add(0, p, sizeof(p)));

	memcpy(p + 2, &csum, 2);
	cr_assert_eq(igmp_query_parse(&q, p, sizeof(p)), DROP_NONE);
	cr_assert_eq(q.max_resp, 31744 * 100 * MSEC); /* 31 << 10 */
	put_be16(p6 + 4, 0xffff);
	cr_assert_eq(mld_query_parse(&q, p6, sizeof(p6)), DROP_NONE);
	cr_assert_eq(q.max_resp, 8387584 * MSEC); /* 8191 << 10 */
}
