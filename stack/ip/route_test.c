/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>

#include "ip/ip_world.h"

TestSuite(route, .init = world_init, .fini = world_fini);

static int add(const char *dst, unsigned plen, const char *gw)
{
	struct ip_addr d = addr(dst), g = addr(gw);

	return ip_route_add(&w.ip, &d, plen, &g);
}

/* The gateway of the route to @dst, "" when there is no route. */
static const char *via(const char *dst)
{
	static char text[IP_ADDR_STRLEN];
	struct ip_addr d = addr(dst);
	const struct ip_route *r = ip_route_lookup(&w.ip, &d);

	if (!r)
		return "";
	return r->link == LINK_LO ? "lo" : ip_addr_str(&r->gw, text);
}

static const char *source(const char *dst)
{
	static char text[IP_ADDR_STRLEN];
	struct ip_addr d = addr(dst), s;

	return ip_source(&w.ip, &d, &s) ? "" : ip_addr_str(&s, text);
}

Test(route, longest_prefix)
{
	cr_assert_eq(add("10.8.0.0", 16, "10.77.0.5"), 0);
	cr_assert_eq(add("10.8.1.0", 24, "10.77.0.6"), 0);
	cr_assert_eq(add("10.8.1.9", 32, "10.77.0.7"), 0);
	cr_assert_eq(add("10.0.0.0", 8, "10.77.0.8"), 0);
	cr_assert_eq(add("fd80::", 32, "fd77::5"), 0);
	cr_assert_eq(add("fd80:0:1::", 48, "fd77::6"), 0);
	cr_assert_str_eq(via("10.8.2.2"), "10.77.0.5");
	cr_assert_str_eq(via("10.8.1.2"), "10.77.0.6");
	cr_assert_str_eq(via("10.8.1.9"), "10.77.0.7");
	cr_assert_str_eq(via("10.9.1.9"), "10.77.0.8");
	cr_assert_str_eq(via("11.9.1.9"), "10.77.0.1");
	cr_assert_str_eq(via("10.77.0.9"), "0.0.0.0");
	cr_assert_str_eq(via("fd80::1"), "fd77::5");
	cr_assert_str_eq(via("fd80:0:1::1"), "fd77::6");
	cr_assert_str_eq(via("2001:db8::1"), "fd77::1");
	cr_assert_str_eq(via("fd77::9"), "::");
	cr_assert_str_eq(via("10.77.0.2"), "lo");
	cr_assert_str_eq(via("127.3.2.1"), "lo");
	cr_assert_str_eq(via("::1"), "lo");
}

Test(route, what_can_not_be_added)
{
	struct ip_addr a = addr("10.77.0.2"), mc = addr("224.0.0.5");
	struct ip_addr lo = addr("127.0.0.1"), next = addr("10.77.0.3");

	cr_assert_eq(add("0.0.0.0", 0, "10.77.0.9"), -EEXIST);
	cr_assert_eq(add("10.77.0.9", 24, "10.77.0.9"), -EEXIST);
	cr_assert_eq(add("10.1.0.0", 33, "10.77.0.9"), -EINVAL);
	cr_assert_eq(add("10.1.0.0", 16, "fd77::1"), -EINVAL);
	cr_assert_eq(ip_addr_add(&w.ip, &a, 24), -EEXIST);
	cr_assert_eq(ip_addr_add(&w.ip, &mc, 24), -EINVAL);
	cr_assert_eq(ip_addr_add(&w.ip, &a, 33), -EINVAL);
	cr_assert_eq(ip_addr_add(&w.ip, &lo, 8), 0);
	cr_assert_eq(ip_addr_add(&w.ip, &next, 24), 0);
	for (int i = 0; i < IP_MAX_ROUTES; i++) {
		char dst[32];

		log_snprintf(dst, sizeof(dst), "10.5.%d.0", i);
		if (add(dst, 24, "10.77.0.1"))
			break;
	}
	cr_assert_eq(add("10.6.0.0", 24, "10.77.0.1"), -ENOSPC);
}

Test(route, nowhere_to_go)
{
	struct ip_addr d = addr("10.1.1.1"), s;

	w.ip.num_routes = 0;
	cr_assert_str_eq(via("10.1.1.1"), "");
	cr_assert_eq(ip_source(&w.ip, &d, &s), -ENETUNREACH);
	cr_assert_str_eq(via("255.255.255.255"), "::", "the one device");
	cr_assert_str_eq(via("ff02::1"), "::");
	add("0.0.0.0", 0, "10.77.0.1");
	w.ip.num_addrs = 0;
	cr_assert_eq(ip_source(&w.ip, &d, &s), -EADDRNOTAVAIL);
}

Test(route, scope)
{
	static const struct {
		const char *a;
		enum ip_scope s;
	} rows[] = {
		{"10.77.0.2", IP_SCOPE_LOCAL},
		{"127.9.9.9", IP_SCOPE_LOCAL},
		{"10.77.0.255", IP_SCOPE_BCAST},
		{"255.255.255.255", IP_SCOPE_BCAST},
		{"10.77.0.0", IP_SCOPE_NONE},
		{"10.77.1.255", IP_SCOPE_NONE},
		{"10.77.0.3", IP_SCOPE_NONE},
		{"224.0.0.251", IP_SCOPE_MCAST},
		{"fd77::2", IP_SCOPE_LOCAL},
		{"::1", IP_SCOPE_LOCAL},
		{"ff02::fb", IP_SCOPE_MCAST},
		{"fd77::3", IP_SCOPE_NONE},
		{"::", IP_SCOPE_NONE},
		{"0.0.0.0", IP_SCOPE_NONE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ip_addr a = addr(rows[i].a);

		cr_assert_eq(ip_scope(&w.ip, &a), rows[i].s, "%s", rows[i].a);
	}
}

Test(route, source_v4)
{
	struct ip_addr a = addr("192.168.5.1"), b = addr("192.168.5.130");

	cr_assert_eq(ip_addr_add(&w.ip, &a, 24), 0);
	cr_assert_eq(ip_addr_add(&w.ip, &b, 25), 0);
	cr_assert_eq(add("172.16.0.0", 12, "192.168.5.9"), 0);
	cr_assert_str_eq(source("10.77.0.1"), "10.77.0.2");
	cr_assert_str_eq(source("8.8.8.8"), "10.77.0.2");
	cr_assert_str_eq(source("172.16.1.1"), "192.168.5.1");
	cr_assert_str_eq(source("192.168.5.200"), "192.168.5.130");
	cr_assert_str_eq(source("192.168.5.1"), "192.168.5.1");
	cr_assert_str_eq(source("127.0.0.1"), "127.0.0.1");
	cr_assert_str_eq(source("127.0.0.9"), "127.0.0.1");
	cr_assert_str_eq(source("255.255.255.255"), "10.77.0.2");
}

Test(route, source_v6)
{
	struct ip_addr ll = addr("fe80::2"), g1 = addr("2001:db8:1::2");
	struct ip_addr g2 = addr("2001:db8:2::2");

	cr_assert_eq(ip_addr_add(&w.ip, &ll, 64), 0);
	cr_assert_eq(ip_addr_add(&w.ip, &g1, 64), 0);
	cr_assert_eq(ip_addr_add(&w.ip, &g2, 64), 0);
	cr_assert_str_eq(source("fd77::1"), "fd77::2");
	cr_assert_str_eq(source("fd00::1"), "fd77::2", "same label");
	cr_assert_str_eq(source("2001:db8:2:9::9"), "2001:db8:2::2");
	cr_assert_str_eq(source("2001:db8:1:9::9"), "2001:db8:1::2");
	cr_assert_str_eq(source("fe80::1"), "fe80::2");
	cr_assert_str_eq(source("ff02::1"), "fe80::2");
	cr_assert_str_eq(source("::1"), "::1");
	cr_assert_str_eq(source("fd77::2"), "fd77::2");
}

Test(route, path_mtu_expires)
{
	struct ip_addr d = addr("10.9.9.9"), d2 = addr("10.9.9.8");

	pmtu_note(&w.ip, &d, 1400, w.now);
	cr_assert_eq(w.ip.timer.at, w.now + 600 * SEC);
	w.now += 100 * SEC;
	pmtu_note(&w.ip, &d2, 1300, w.now);
	cr_assert_eq(ip_mtu(&w.ip, &d, w.now), 1400);
	w.now += 500 * SEC;
	/* also before its timer has run */
	cr_assert_eq(ip_mtu(&w.ip, &d, w.now), 1500);
	cr_assert_eq(ip_mtu(&w.ip, &d2, w.now), 1300);
	ip_timer(&w.ip, w.now);
	cr_assert_eq(w.ip.num_pmtu, 1);
	w.now += 100 * SEC;
	ip_timer(&w.ip, w.now);
	cr_assert_eq(w.ip.num_pmtu, 0);
	cr_assert_eq(w.ip.timer.at, TIME_NEVER);
}

Test(route, path_mtu_bounds)
{
	struct ip_addr d4 = addr("10.9.9.9"), d6 = addr("fd99::9");
	struct ip_addr lo = addr("127.0.0.1"), lo6 = addr("::1");
	bool locked = false;

	pmtu_note(&w.ip, &d4, 1500, w.now); /* nothing new */
	pmtu_note(&w.ip, &d4, 9000, w.now);
	cr_assert_eq(w.ip.num_pmtu, 0);
	pmtu_note(&w.ip, &d4, 1000, w.now);
	pmtu_note(&w.ip, &d4, 1200, w.now); /* never raised */
	cr_assert_eq(ip_mtu(&w.ip, &d4, w.now), 1000);
	cr_assert_eq(pmtu_get(&w.ip, &d4, &locked, w.now), 1000);
	cr_assert(!locked);
	pmtu_note(&w.ip, &d4, 68, w.now);
	cr_assert_eq(pmtu_get(&w.ip, &d4, &locked, w.now), 552);
	cr_assert(locked);
	pmtu_note(&w.ip, &d6, 0, w.now);
	cr_assert_eq(ip_mtu(&w.ip, &d6, w.now), 1280);
	cr_assert_eq(ip_mtu(&w.ip, &lo, w.now), 65535);
	cr_assert_eq(ip_mtu(&w.ip, &lo6, w.now), 65536);
}

Test(route, path_mtu_cache_is_bounded)
{
	for (int i = 0; i < 3000; i++) {
		uint8_t b[4] = {11, 0, (uint8_t)(i >> 8), (uint8_t)i};
		struct ip_addr d = ip_addr_v4(b);

		w.now += MSEC;
		pmtu_note(&w.ip, &d, 1400, w.now);
		cr_assert_leq(w.ip.num_pmtu, 1024);
		cr_assert_eq(ip_mtu(&w.ip, &d, w.now), 1400);
	}
}

Test(route, plateaus)
{
	cr_assert_eq(pmtu_plateau(1500), 1492);
	cr_assert_eq(pmtu_plateau(1492), 1006);
	cr_assert_eq(pmtu_plateau(65535), 32000);
	cr_assert_eq(pmtu_plateau(60), 68);
}

/* --- the words of ip-route(8) --- */

static int parse(const char *text, struct ip_route *r)
{
	const char *bad;

	return ip_route_parse(text, r, &bad);
}

Test(route, all_that_a_route_can_say)
{
	struct ip_route r;
	struct ip_metrics *m = &r.m;

	cr_assert_eq(parse("10.9.0.0/16 via 10.77.0.1 src 10.77.0.2 "
			   "mtu lock 1400 advmss 1000 initcwnd 20 initrwnd 5 "
			   "rto_min 50ms hoplimit 9 quickack 1 "
			   "congctl lock bbr",
			   &r),
		     0);
	cr_assert(r.plen == 16 && m->mtu == 1400 && m->mtu_lock);
	cr_assert(m->advmss == 1000 && m->initcwnd == 20 && m->initrwnd == 5);
	cr_assert(m->rto_min == 50 && m->hoplimit == 9 && m->quickack == 1);
	cr_assert_str_eq(m->congctl, "bbr");
	cr_assert(m->cc_lock);
	cr_assert_eq(ip_route_tell(&w.ip, &r), 0);
	cr_assert_str_eq(via("10.9.1.1"), "10.77.0.1");
	cr_assert_eq(parse("fd90::/32 via fd77::1  initcwnd 3", &r), 0);
	cr_assert(r.plen == 32 && m->initcwnd == 3);
	cr_assert_eq(parse("10.9.9.9", &r), 0);
	cr_assert(r.plen == 32 && ip_addr_is_any(&r.gw) && ip_addr_is4(&r.gw));
}

Test(route, times_have_units)
{
	static const struct {
		const char *text;
		uint32_t ms;
	} rows[] = {{"50", 50},	     {"50ms", 50},    {"7msecs", 7},
		    {"2s", 2000},    {"0.2s", 200},   {"1.5secs", 1500},
		    {"0.0625s", 62}, {"120s", 120000}};
	struct ip_route r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[64];

		log_snprintf(text, sizeof(text), "10.0.0.0/8 rto_min %s",
			     rows[i].text);
		cr_assert_eq(parse(text, &r), 0, "%s", text);
		cr_assert_eq(r.m.rto_min, rows[i].ms, "%s: %u", text,
			     r.m.rto_min);
	}
}

Test(route, what_it_can_not_say)
{
	static const struct {
		const char *text, *at;
	} rows[] = {
		{"", ""},
		{"10.0.0.0/33", "10.0.0.0/33"},
		{"somewhere via 10.77.0.1", "somewhere via 10.77.0.1"},
		{"10.0.0.0/8 via fd77::1", "via fd77::1"},
		{"10.0.0.0/8 via", "via"},
		{"10.0.0.0/8 initcwnd", "initcwnd"},
		{"10.0.0.0/8 initcwnd 0", "initcwnd 0"},
		{"10.0.0.0/8 initcwnd 70000", "initcwnd 70000"},
		{"10.0.0.0/8 initcwnd lock 5", "initcwnd lock 5"},
		{"10.0.0.0/8 mtu 67", "mtu 67"},
		{"10.0.0.0/8 rto_min 1h", "rto_min 1h"},
		{"10.0.0.0/8 rto_min .", "rto_min ."},
		{"10.0.0.0/8 rto_min 99999999999999999999s",
		 "rto_min 99999999999999999999s"},
		{"10.0.0.0/8 dev eth0 initcwnd 5", "dev eth0 initcwnd 5"},
		{"10.0.0.0/8 congctl abcdefghijklmnopq",
		 "congctl abcdefghijklmnopq"},
	};
	struct ip_route r;
	const char *bad;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bad = NULL;
		cr_assert_eq(ip_route_parse(rows[i].text, &r, &bad), -EINVAL,
			     "%s", rows[i].text);
		cr_assert_str_eq(bad, rows[i].at);
	}
}

/* A route that is there is told more; another gateway is another route. */
Test(route, metrics_for_what_is_there)
{
	struct ip_addr d = addr("10.77.0.9"), far = addr("11.1.1.1");
	struct ip_route r;

	parse("10.77.0.0/24 initcwnd 40", &r);
	cr_assert_eq(ip_route_tell(&w.ip, &r), 0);
	cr_assert_eq(ip_metrics_via(&w.ip, &d, 0)->initcwnd, 40);
	parse("0.0.0.0/0 via 10.77.0.1 initcwnd 4", &r);
	cr_assert_eq(ip_route_tell(&w.ip, &r), 0);
	cr_assert_eq(ip_metrics_via(&w.ip, &far, 0)->initcwnd, 4);
	parse("0.0.0.0/0 via 10.77.0.7 initcwnd 4", &r);
	cr_assert_eq(ip_route_tell(&w.ip, &r), -EEXIST);
	parse("0.0.0.0/0 via 10.77.0.1", &r);
	cr_assert_eq(ip_route_tell(&w.ip, &r), -EEXIST);
}

Test(route, a_source_that_it_prefers)
{
	struct ip_addr other = addr("10.77.0.77");
	struct ip_route r;

	cr_assert_eq(ip_addr_add(&w.ip, &other, 24), 0);
	cr_assert_str_eq(source("12.1.1.1"), "10.77.0.2");
	parse("12.0.0.0/8 via 10.77.0.1 src 10.77.0.77", &r);
	ip_route_tell(&w.ip, &r);
	cr_assert_str_eq(source("12.1.1.1"), "10.77.0.77");
}

/* ip-route(8): lock, and no path MTU discovery is tried */
Test(route, an_mtu_may_be_locked)
{
	struct ip_addr d = addr("12.1.1.1"), free = addr("13.1.1.1");
	struct ip_route r;

	parse("12.0.0.0/8 via 10.77.0.1 mtu lock 1300", &r);
	ip_route_tell(&w.ip, &r);
	parse("13.0.0.0/8 via 10.77.0.1 mtu 1300", &r);
	ip_route_tell(&w.ip, &r);
	cr_assert_eq(ip_mtu(&w.ip, &d, w.now), 1300);
	cr_assert_eq(ip_mtu(&w.ip, &free, w.now), 1300);
	cr_assert_eq(ip_mtu_told(&w.ip, &d, 1000, w.now), 1300);
	cr_assert_eq(ip_mtu_told(&w.ip, &free, 1000, w.now), 1000);
}
