/* SPDX-License-Identifier: MIT */
#include "base/addr.h"

#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <errno.h>

#include "base/siphash.h"

static struct ip_addr addr(const char *s)
{
	struct ip_addr a;

	cr_assert_eq(ip_addr_parse(s, &a), 0, "%s", s);
	return a;
}

Test(addr, prints_as_rfc_5952)
{
	static const char *const rows[][2] = {
		{"10.77.0.2", "10.77.0.2"},
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"FD77:0:0::2", "fd77::2"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"2001:db8::1:0:0:1", "2001:db8::1:0:0:1"},
		{"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
		{"::ffff:10.0.0.1", "10.0.0.1"},
		{"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
		{"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ip_addr a = addr(rows[i][0]);
		char buf[IP_ADDR_STRLEN];

		cr_assert_str_eq(ip_addr_str(&a, buf), rows[i][1]);
	}
}

Test(addr, what_is_none)
{
	static const char *const rows[] = {
		"",
		"1.2.3",
		"1.2.3.4.5",
		"256.1.1.1",
		"1.2.3.04",
		"1.2.3.4 ",
		"a.b.c.d",
		":",
		":::",
		"1:2",
		"1::2::3",
		"12345::",
		"::g",
		":1::2",
		"1:2:3:4:5:6:7:8:9",
		"::1%eth0",
		"1.2.3.-4",
		"::1.2.3",
		"1:2:3:4:5:6:7:1.2.3.4",
		"1:2:3:4:5:6:7:8::",
		"1:",
		"fd00::1:",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ip_addr a;

		cr_assert_eq(ip_addr_parse(rows[i], &a), -EINVAL, "'%s'",
			     rows[i]);
	}
}

/* libc's inet_pton() and inet_ntop() are the oracle */
Test(addr, agrees_with_libc)
{
	static const uint8_t seed[32] = {6};
	struct rng g;

	rng_init(&g, seed, 0);
	for (int i = 0; i < 20000; i++) {
		char text[24], buf[IP_ADDR_STRLEN], want[IP_ADDR_STRLEN];
		static const char set[] = "0123af:.:::.f01";
		size_t len = rng_below(&g, sizeof(text));
		struct ip_addr a;
		uint8_t b[16];
		bool ok;

		for (size_t k = 0; k < len; k++)
			text[k] = set[rng_below(&g, sizeof(set) - 1)];
		text[len] = '\0';
		ok = inet_pton(AF_INET6, text, b) == 1 ||
		     inet_pton(AF_INET, text, b) == 1;
		cr_assert_eq(ip_addr_parse(text, &a) == 0, ok, "'%s'", text);

		for (int k = 0; k < 16; k++)
			b[k] = rng_below(&g, 3) ? 0 : (uint8_t)rng_u32(&g);
		b[0] |= 0x20;
		a = ip_addr_v6(b);
		inet_ntop(AF_INET6, b, want, sizeof(want));
		cr_assert_str_eq(ip_addr_str(&a, buf), want);
		a = addr(want);
		cr_assert_arr_eq(a.b, b, 16);
	}
}

Test(addr, kinds)
{
	struct ip_addr a;

	cr_assert((a = addr("0.0.0.0"), ip_addr_is_any(&a)));
	cr_assert((a = addr("::"), ip_addr_is_any(&a)));
	cr_assert_not((a = addr("::1"), ip_addr_is_any(&a)));
	cr_assert((a = addr("127.9.9.9"), ip_addr_is_loopback(&a)));
	cr_assert((a = addr("::1"), ip_addr_is_loopback(&a)));
	cr_assert((a = addr("224.0.0.1"), ip_addr_is_multicast(&a)));
	cr_assert((a = addr("239.255.255.255"), ip_addr_is_multicast(&a)));
	cr_assert_not((a = addr("240.0.0.1"), ip_addr_is_multicast(&a)));
	cr_assert((a = addr("ff02::1"), ip_addr_is_multicast(&a)));
	cr_assert((a = addr("169.254.3.4"), ip_addr_is_linklocal(&a)));
	cr_assert((a = addr("febf::1"), ip_addr_is_linklocal(&a)));
	cr_assert_not((a = addr("fec0::1"), ip_addr_is_linklocal(&a)));
	cr_assert((a = addr("255.255.255.255"), ip_addr_is_limited_bcast(&a)));
	cr_assert(
		ip_addr_is4(&(struct ip_addr){.b = {[10] = 255, [11] = 255}}));
}

static bool in_prefix(const char *a, const char *net, unsigned plen)
{
	struct ip_addr x = addr(a), n = addr(net);

	return ip_addr_in_prefix(&x, &n, plen);
}

Test(addr, prefixes)
{
	cr_assert(in_prefix("10.77.0.200", "10.77.0.0", 24));
	cr_assert_not(in_prefix("10.77.1.0", "10.77.0.0", 24));
	cr_assert(in_prefix("10.77.1.0", "10.77.0.0", 23));
	cr_assert(in_prefix("1.2.3.4", "0.0.0.0", 0));
	cr_assert(in_prefix("1.2.3.4", "1.2.3.4", 32));
	cr_assert_not(in_prefix("1.2.3.5", "1.2.3.4", 32));
	cr_assert(in_prefix("fd77::2", "fd77::", 64));
	cr_assert_not(in_prefix("fd78::2", "fd77::", 16));
	cr_assert(in_prefix("fd78::2", "fd77::", 12));
	cr_assert(in_prefix("::1", "::1", 128));
	cr_assert_not(in_prefix("1.2.3.4", "::", 0));
	cr_assert_not(in_prefix("fd77::2", "0.0.0.0", 0));
}
