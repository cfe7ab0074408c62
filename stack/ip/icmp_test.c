/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/csum.h"
#include "ip/ip_world.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

TestSuite(icmp, .init = world_init, .fini = world_fini);

static uint8_t msg[70000], pkt[70000], out[70000];

static uint64_t stat_of(enum stat_id id)
{
	return w.core.stats.v[id];
}

static uint16_t icmp_sum(const uint8_t *p, uint32_t len)
{
	struct ip_addr src, dst;

	if (p[0] >> 4 == 4)
		return csum_fold(csum_add(0, p + IP4_HLEN, len - IP4_HLEN));
	src = ip_addr_v6(p + 8);
	dst = ip_addr_v6(p + 24);
	return csum_fold(csum_add(
		csum_pseudo(&src, &dst, IPPROTO_ICMPV6, len - IP6_HLEN),
		p + IP6_HLEN, len - IP6_HLEN));
}

/* @len bytes of L4 in @body come to @dst, cut to the MTU. */
static void in(const char *dst, uint8_t proto, const uint8_t *body,
	       uint32_t len, uint8_t tos)
{
	struct ip_addr a = addr(dst);
	uint32_t step = 1448;

	for (uint32_t off = 0; off < len; off += step) {
		struct build b = {
			.dst = dst,
			.proto = proto,
			.id = 7,
			.tos = tos,
			.is_frag = len > step && !ip_addr_is4(&a),
			.frag_off = off,
			.more = off + step < len,
			.body = body + off,
			.len = MIN(step, len - off),
		};

		world_in(pkt, build(&b, pkt));
	}
}

static void ping(bool is4, uint32_t len)
{
	uint32_t hdr = is4 ? IP4_HLEN : IP6_HLEN;
	uint32_t n = build_echo(is4, len, msg);
	uint32_t got;

	in(is4 ? "10.77.0.2" : "fd77::2", is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
	   msg, n, 0x10);
	got = world_out_whole(out);
	cr_assert_eq(got, hdr + n, "%u bytes: %u", len, got);
	cr_assert_eq(out[hdr], is4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY);
	cr_assert_eq(memcmp(out + hdr + 4, msg + 4, n - 4), 0);
	if (!is4) /* the pseudo header wants the whole length */
		put_be16(out + 4, (uint16_t)n);
	cr_assert_eq(icmp_sum(out, got), 0);
	if (is4)
		cr_assert_eq(out[1], 0x10);
	else
		cr_assert_eq(get_be32(out) >> 20 & 0xff, 0x10);
	cr_assert_eq(world_num_out(), 0);
}

Test(icmp, echo_of_every_size)
{
	static const uint32_t sizes[] = {0,    1,    8,	    56,	  1440,
					 1441, 1471, 1472,  1473, 1481,
					 2953, 9001, 60000, 65507};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ping(true, sizes[i]);
		ping(false, sizes[i]);
	}
	cr_assert_eq(stat_of(STAT_IcmpInEchos), ARRAY_SIZE(sizes));
	cr_assert_eq(stat_of(STAT_Icmp6OutEchoReplies), ARRAY_SIZE(sizes));
	cr_assert_eq(reass_num(w.ip.reass), 0);
}

Test(icmp, echoes_are_not_limited)
{
	for (int i = 0; i < 500; i++)
		ping(true, 10);
}

Test(icmp, broken_echo_is_not_answered)
{
	uint32_t n = build_echo(true, 56, msg);

	msg[20] ^= 1;
	in("10.77.0.2", IPPROTO_ICMP, msg, n, 0);
	n = build_echo(false, 56, msg);
	msg[20] ^= 1;
	in("fd77::2", IPPROTO_ICMPV6, msg, n, 0);
	in("10.77.0.2", IPPROTO_ICMP, msg, 7, 0);
	cr_assert_eq(world_num_out(), 0);
	cr_assert_eq(stat_of(STAT_IcmpInCsumErrors), 1);
	cr_assert_eq(stat_of(STAT_Icmp6InCsumErrors), 1);
	cr_assert_eq(stat_of(STAT_IcmpInErrors), 2);
}

Test(icmp, echo_to_a_group)
{
	uint32_t n = build_echo(true, 8, msg);

	in("10.77.0.255", IPPROTO_ICMP, msg, n, 0);
	in("224.0.0.1", IPPROTO_ICMP, msg, n, 0);
	cr_assert_eq(world_num_out(), 0);
	w.sysctl.icmp_echo_ignore_broadcasts = 0;
	in("10.77.0.255", IPPROTO_ICMP, msg, n, 0);
	cr_assert_gt(world_out(out), 0);
	cr_assert_eq(get_be32(out + 12), 0x0a4d0002, "our own address");
	w.sysctl.icmp_echo_ignore_all = 1;
	in("10.77.0.2", IPPROTO_ICMP, msg, n, 0);
	cr_assert_eq(world_num_out(), 0);
}

Test(icmp, neighbour_messages_are_ignored)
{
	uint64_t before = w.core.stats.drop[DROP_ICMP_IGNORED];
	struct ip_addr src = addr("fd77::1"), dst = addr("fd77::2");

	for (uint8_t type = 133; type <= 137; type++) {
		struct icmp_repr r = {.type = type};

		icmp_emit(&r, &src, &dst, 0, msg);
		in("fd77::2", IPPROTO_ICMPV6, msg, 8, 0);
	}
	cr_assert_eq(w.core.stats.drop[DROP_ICMP_IGNORED], before + 5);
	cr_assert_eq(world_num_out(), 0);
}

/* --- errors that come in --- */

/* An error about @len bytes of a packet of ours to 10.9.9.9 or fd99::9. */
static void error_in(bool is4, uint8_t type, uint8_t code, uint32_t rest,
		     uint16_t quoted_len, uint32_t len, uint8_t proto)
{
	static uint8_t l4[2000] = {0x10, 0x92, 0, 80, 1, 2, 3, 4};
	struct ip_addr src = addr(is4 ? "10.77.0.1" : "fd77::1");
	struct ip_addr dst = addr(is4 ? "10.77.0.2" : "fd77::2");
	uint32_t hdr = is4 ? IP4_HLEN : IP6_HLEN;
	struct icmp_repr r = {.type = type, .code = code, .rest = rest};
	struct build quoted = {
		.src = is4 ? "10.77.0.2" : "fd77::2",
		.dst = is4 ? "10.9.9.9" : "fd99::9",
		.proto = proto,
		.body = l4,
		.len = len > hdr ? len - hdr : 0,
	};

	build(&quoted, msg + 8);
	put_be16(msg + 8 + (is4 ? 2 : 4),
		 (uint16_t)(is4 ? quoted_len : quoted_len - IP6_HLEN));
	r.body_len = len;
	icmp_emit(&r, &src, &dst, csum_add(0, msg + 8, len), msg);
	in(is4 ? "10.77.0.2" : "fd77::2", is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
	   msg, 8 + len, 0);
}

Test(icmp, errors_become_errno)
{
	static const struct {
		bool is4;
		uint8_t type, code;
		int err;
		bool fatal;
	} rows[] = {
		{true, 3, 0, ENETUNREACH, false},
		{true, 3, 1, EHOSTUNREACH, false},
		{true, 3, 2, ENOPROTOOPT, true},
		{true, 3, 3, ECONNREFUSED, true},
		{true, 3, 5, EOPNOTSUPP, false},
		{true, 3, 6, ENETUNREACH, true},
		{true, 3, 7, EHOSTDOWN, true},
		{true, 3, 8, ENONET, true},
		{true, 3, 9, ENETUNREACH, true},
		{true, 3, 10, EHOSTUNREACH, true},
		{true, 3, 11, ENETUNREACH, false},
		{true, 3, 12, EHOSTUNREACH, false},
		{true, 3, 13, EHOSTUNREACH, true},
		{true, 3, 15, EHOSTUNREACH, true},
		{true, 11, 0, EHOSTUNREACH, false},
		{true, 12, 0, EPROTO, true},
		{false, 1, 0, ENETUNREACH, false},
		{false, 1, 1, EACCES, true},
		{false, 1, 2, EHOSTUNREACH, false},
		{false, 1, 3, EHOSTUNREACH, false},
		{false, 1, 4, ECONNREFUSED, true},
		{false, 1, 5, EACCES, true},
		{false, 1, 6, EACCES, true},
		{false, 1, 7, EPROTO, true},
		{false, 3, 0, EHOSTUNREACH, false},
		{false, 4, 1, EPROTO, true},
		{false, 100, 0, EPROTO, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool is4 = rows[i].is4;
		uint32_t hdr = is4 ? IP4_HLEN : IP6_HLEN;
		struct ip_addr us = addr(is4 ? "10.77.0.2" : "fd77::2");
		struct ip_addr peer = addr(is4 ? "10.9.9.9" : "fd99::9");
		struct ip_addr router = addr(is4 ? "10.77.0.1" : "fd77::1");

		w.num_errors = 0;
		error_in(is4, rows[i].type, rows[i].code, 0, 1500, hdr + 8,
			 IPPROTO_TCP);
		cr_assert_eq(w.num_errors, 1, "row %zu", i);
		cr_assert_eq(w.error.err, rows[i].err, "row %zu", i);
		cr_assert_eq(w.error.fatal, rows[i].fatal, "row %zu", i);
		cr_assert_eq(w.error.is4, is4);
		cr_assert_eq(w.error.proto, IPPROTO_TCP);
		cr_assert_eq(w.error.l4_len, 8);
		cr_assert(ip_addr_eq(&w.error.local, &us));
		cr_assert(ip_addr_eq(&w.error.remote, &peer));
		cr_assert(ip_addr_eq(&w.error.offender, &router));
	}
	cr_assert_eq(stat_of(STAT_IcmpInDestUnreachs), 14);
}

Test(icmp, errors_that_say_nothing)
{
	for (uint32_t len = 0; len < 28; len++)
		error_in(true, 3, 3, 0, 1500, len, IPPROTO_UDP);
	for (uint32_t len = 0; len < 48; len++)
		error_in(false, 1, 4, 0, 1500, len, IPPROTO_UDP);
	error_in(true, 3, 16, 0, 1500, 40, IPPROTO_UDP);
	error_in(true, 4, 0, 0, 1500, 40, IPPROTO_UDP); /* source quench */
	error_in(true, 5, 0, 0, 1500, 40, IPPROTO_UDP); /* redirect */
	cr_assert_eq(w.num_errors, 0);
	cr_assert_eq(world_num_out(), 0);
}

Test(icmp, too_big_lowers_the_path_mtu)
{
	struct ip_addr p4 = addr("10.9.9.9"), p6 = addr("fd99::9");
	struct ip_addr other = addr("10.9.9.8");

	error_in(true, 3, 4, 1400, 1500, 100, IPPROTO_UDP);
	cr_assert_eq(w.error.err, EMSGSIZE);
	cr_assert_eq(w.error.mtu, 1400);
	cr_assert_eq(ip_mtu(&w.ip, &p4, w.now), 1400);
	cr_assert_eq(ip_mtu(&w.ip, &other, w.now), 1500);
	error_in(false, 2, 0, 1300, 1500, 100, IPPROTO_UDP);
	cr_assert_eq(w.error.mtu, 1300);
	cr_assert_eq(ip_mtu(&w.ip, &p6, w.now), 1300);
	error_in(false, 2, 0, 600, 1500, 100, IPPROTO_UDP);
	cr_assert_eq(ip_mtu(&w.ip, &p6, w.now), 1280);
	cr_assert_eq(w.num_errors, 3);

	/* our packet would have fitted: a lie */
	error_in(true, 3, 4, 1300, 1200, 100, IPPROTO_UDP);
	cr_assert_eq(w.num_errors, 3);
	cr_assert_eq(ip_mtu(&w.ip, &p4, w.now), 1400);

	/* an old router: the plateau below what we sent, RFC 1191 7.1 */
	error_in(true, 3, 4, 0, 1400, 100, IPPROTO_UDP);
	cr_assert_eq(ip_mtu(&w.ip, &p4, w.now), 1006);
	error_in(true, 3, 4, 100, 1400, 100, IPPROTO_UDP);
	cr_assert_eq(ip_mtu(&w.ip, &p4, w.now), 552);
}

/* Its sequence number has to be looked at first. */
Test(icmp, too_big_is_for_tcp_to_believe)
{
	struct ip_addr p4 = addr("10.9.9.9");

	error_in(true, 3, 4, 800, 40, 100, IPPROTO_TCP);
	cr_assert_eq(w.error.err, EMSGSIZE);
	cr_assert_eq(w.error.mtu, 800);
	cr_assert_eq(ip_mtu(&w.ip, &p4, w.now), 1500);
	cr_assert_eq(ip_mtu_told(&w.ip, &p4, 800, w.now), 800);
	cr_assert_eq(ip_mtu(&w.ip, &p4, w.now), 800);
}

/* --- errors that go out --- */

static void udp_to(const char *src, const char *dst, uint32_t len)
{
	struct ip_addr a = addr(dst);
	struct build b = {
		.src = src,
		.dst = dst,
		.proto = IPPROTO_UDP,
		.body = msg,
		.len = build_udp(ip_addr_is4(&a), len, msg),
	};

	world_in(pkt, build(&b, pkt));
}

Test(icmp, port_unreachable)
{
	w.verdict = IP_NO_PORT;
	udp_to("10.77.0.1", "10.77.0.2", 1000);
	cr_assert_eq(world_out(out), 576);
	cr_assert_eq(out[20], ICMP4_UNREACH);
	cr_assert_eq(out[21], ICMP4_UNREACH_PORT);
	cr_assert_eq(out[1], 0xc0);
	cr_assert_eq(memcmp(out + 28, pkt, 548), 0);
	cr_assert_eq(icmp_sum(out, 576), 0);
	cr_assert_eq(get_be32(out + 12), 0x0a4d0002);

	udp_to("fd77::1", "fd77::2", 1400);
	cr_assert_eq(world_out(out), 1280);
	cr_assert_eq(out[40], ICMP6_UNREACH);
	cr_assert_eq(out[41], ICMP6_UNREACH_PORT);
	cr_assert_eq(memcmp(out + 48, pkt, 1232), 0);
	cr_assert_eq(icmp_sum(out, 1280), 0);
}

Test(icmp, unknown_protocol)
{
	struct build b = {.proto = 200, .body = msg, .len = 20};

	world_in(pkt, build(&b, pkt));
	cr_assert_gt(world_out(out), 0);
	cr_assert_eq(out[20], ICMP4_UNREACH);
	cr_assert_eq(out[21], ICMP4_UNREACH_PROTO);
	b.dst = "fd77::2";
	world_in(pkt, build(&b, pkt));
	cr_assert_gt(world_out(out), 0);
	cr_assert_eq(out[40], ICMP6_PARAM_PROBLEM);
	cr_assert_eq(out[41], 1);
	cr_assert_eq(get_be32(out + 44), 6);
	cr_assert_eq(stat_of(STAT_IpInUnknownProtos), 1);
	cr_assert_eq(stat_of(STAT_Ip6InUnknownProtos), 1);
}

Test(icmp, no_error_about_a_group_or_from_nobody)
{
	w.verdict = IP_NO_PORT;
	udp_to("10.77.0.1", "10.77.0.255", 8);
	udp_to("10.77.0.1", "255.255.255.255", 8);
	udp_to("0.0.0.0", "255.255.255.255", 8);
	udp_to("10.77.0.1", "224.0.0.1", 8);
	udp_to("fd77::1", "ff02::1", 8);
	cr_assert_eq(w.num_rx, 5);
	cr_assert_eq(world_num_out(), 0);
}

/* Errors are never answered with errors, whatever is in front of them. */
Test(icmp, no_error_about_an_error)
{
	static const uint8_t bad_opt[8] = {IPPROTO_ICMPV6, 0, 0xc7, 4};
	struct build b = {.dst = "fd77::2",
			  .proto = IPPROTO_DSTOPTS,
			  .body = msg,
			  .len = 8 + 60};
	struct frame *f = frame_new(w.arena, 100);

	memset(msg, 0, sizeof(msg));
	memcpy(msg, bad_opt, 8);
	msg[8] = ICMP6_UNREACH;
	world_in(pkt, build(&b, pkt));
	cr_assert_eq(world_num_out(), 0);
	msg[8] = ICMP6_ECHO;
	world_in(pkt, build(&b, pkt));
	cr_assert_eq(world_num_out(), 1);
	cr_assert_gt(world_out(out), 0);
	cr_assert_eq(get_be32(out + 44), 42);

	for (int type = 0; type < 256; type++) {
		bool is_query = type <= 18 && type != 3 && type != 4 &&
				type != 5 && type != 11 && type != 12;
		struct build b4 = {
			.proto = IPPROTO_ICMP, .body = msg, .len = 20};

		msg[0] = (uint8_t)type;
		f->len = build(&b4, f->data);
		w.now += 10 * SEC;
		icmp_send_error(&w.ip, f, ICMP4_UNREACH, 2, 0, w.now);
		cr_assert_eq(world_num_out(), is_query, "type %d", type);
		world_out(out);
	}
	frame_put(w.arena, f);
}

Test(icmp, no_error_about_a_later_fragment)
{
	struct build b = {
		.proto = IPPROTO_UDP, .frag_off = 8, .body = msg, .len = 20};
	struct frame *f = frame_new(w.arena, 100);

	f->len = build(&b, f->data);
	icmp_send_error(&w.ip, f, ICMP4_PARAM_PROBLEM, 0, 0, w.now);
	cr_assert_eq(world_num_out(), 0);
	b.frag_off = 0;
	b.more = true;
	f->len = build(&b, f->data);
	icmp_send_error(&w.ip, f, ICMP4_PARAM_PROBLEM, 0, 0, w.now);
	cr_assert_eq(world_num_out(), 1);
	frame_put(w.arena, f);
}

Test(icmp, host_limit)
{
	w.verdict = IP_NO_PORT;
	for (int fam = 0; fam < 2; fam++) {
		const char *src = fam ? "fd77::1" : "10.77.0.1";
		const char *dst = fam ? "fd77::2" : "10.77.0.2";

		for (int i = 0; i < 20; i++)
			udp_to(src, dst, 8);
		cr_assert_eq(world_num_out(), 6);
		while (world_out(out))
			;
		w.now += SEC; /* icmp_ratelimit */
		for (int i = 0; i < 20; i++)
			udp_to(src, dst, 8);
		cr_assert_eq(world_num_out(), 1);
		udp_to(fam ? "fd77::9" : "10.77.0.9", dst, 8);
		cr_assert_eq(world_num_out(), 2, "another host");
		while (world_out(out))
			;
	}
	cr_assert_eq(stat_of(STAT_IcmpOutRateLimitHost), 33);
	cr_assert_eq(stat_of(STAT_Icmp6OutRateLimitHost), 33);
}

Test(icmp, global_limit)
{
	char src[32];

	w.verdict = IP_NO_PORT;
	w.sysctl.icmp_ratelimit = 0;
	for (int i = 0; i < 120; i++) {
		log_snprintf(src, sizeof(src), "10.77.0.%d", 10 + i);
		udp_to(src, "10.77.0.2", 8);
	}
	cr_assert_eq(world_num_out(), 50); /* icmp_msgs_burst */
	while (world_out(out))
		;
	w.now += 10 * MSEC; /* 1000 a second */
	for (int i = 0; i < 120; i++)
		udp_to("10.77.0.1", "10.77.0.2", 8);
	cr_assert_eq(world_num_out(), 10);
	cr_assert_eq(stat_of(STAT_IcmpOutRateLimitGlobal), 180);
}
