/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "base/csum.h"
#include "ip/ip_world.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

TestSuite(ip_in, .init = world_init, .fini = world_fini);

static uint8_t msg[70000], pkt[70000], out[70000];

static uint32_t make(const char *src, const char *dst)
{
	struct ip_addr a = addr(dst);
	struct build b = {
		.src = src,
		.dst = dst,
		.proto = IPPROTO_UDP,
		.ttl = 33,
		.tos = 0x21,
		.body = msg,
		.len = build_udp(ip_addr_is4(&a), 30, msg),
	};

	return build(&b, pkt);
}

static uint64_t dropped(enum drop d)
{
	return w.core.stats.drop[d];
}

Test(ip_in, what_a_transport_is_told)
{
	struct ip_addr src = addr("10.77.0.1"), dst = addr("10.77.0.2");
	uint32_t len = make("10.77.0.1", "10.77.0.2");

	memset(pkt + len, 0xaa, 18); /* padded to the least Ethernet frame */
	world_in_flags(pkt, len + 18, CSUM_PARTIAL, 0);
	cr_assert_eq(w.num_rx, 1);
	cr_assert_eq(w.l4_len, 38);
	cr_assert_eq(memcmp(w.l4, msg, 38), 0);
	cr_assert(ip_addr_eq(&w.rx.src, &src));
	cr_assert(ip_addr_eq(&w.rx.dst, &dst));
	cr_assert_eq(w.rx.ttl, 33);
	cr_assert_eq(w.rx.tos, 0x21);
	cr_assert_eq(w.rx.csum, CSUM_PARTIAL);
	cr_assert_eq(w.rx.scope, IP_SCOPE_LOCAL);
	cr_assert(!w.rx.was_fragmented);
	len = make("fd77::1", "fd77::2");
	pkt[2] = 0x12;
	pkt[3] = 0x34;
	pkt[1] |= 5;
	world_in(pkt, len);
	cr_assert_eq(w.num_rx, 2);
	cr_assert_eq(w.rx.flow, 0x51234);
	cr_assert_eq(w.rx.tos, 0x21);
	cr_assert_eq(w.rx.csum, CSUM_NONE);
	cr_assert_eq(w.core.stats.v[STAT_IpInDelivers], 1);
	cr_assert_eq(w.core.stats.v[STAT_Ip6InDelivers], 1);
}

Test(ip_in, who_may_talk_to_whom)
{
	static const struct {
		const char *src, *dst;
		enum drop d;
	} rows[] = {
		{"10.77.0.1", "10.77.0.2", DROP_NONE},
		{"10.77.0.1", "10.77.0.255", DROP_NONE},
		{"10.77.0.1", "255.255.255.255", DROP_NONE},
		{"0.0.0.0", "255.255.255.255", DROP_NONE},
		{"10.77.0.1", "224.0.0.1", DROP_NONE},
		{"10.77.0.1", "224.0.0.251", DROP_IP_NOT_OURS},
		{"10.77.0.1", "10.77.0.3", DROP_IP_NOT_OURS},
		{"10.77.0.1", "127.0.0.1", DROP_IP_NOT_OURS},
		{"0.0.0.0", "10.77.0.2", DROP_IP_SRC_ADDR},
		{"0.1.2.3", "10.77.0.2", DROP_IP_SRC_ADDR},
		{"127.0.0.1", "10.77.0.2", DROP_IP_SRC_ADDR},
		{"224.0.0.1", "10.77.0.2", DROP_IP_SRC_ADDR},
		{"255.255.255.255", "10.77.0.2", DROP_IP_SRC_ADDR},
		{"10.77.0.255", "10.77.0.2", DROP_IP_SRC_ADDR},
		{"10.77.0.2", "10.77.0.2", DROP_IP_SRC_ADDR},
		{"8.8.8.8", "10.77.0.2", DROP_NONE},
		{"fd77::1", "fd77::2", DROP_NONE},
		{"fd77::1", "ff02::1", DROP_NONE},
		{"fd77::1", "ff02::1:ff00:2", DROP_NONE},
		{"fd77::1", "ff02::1:ff00:3", DROP_IP_NOT_OURS},
		{"fd77::1", "ff02::fb", DROP_IP_NOT_OURS},
		{"fd77::1", "fd77::3", DROP_IP_NOT_OURS},
		{"fd77::1", "::1", DROP_IP_NOT_OURS},
		{"::1", "fd77::2", DROP_IP_SRC_ADDR},
		{"::", "fd77::2", DROP_IP_SRC_ADDR},
		{"ff02::1", "fd77::2", DROP_IP_SRC_ADDR},
		{"fd77::2", "fd77::2", DROP_IP_SRC_ADDR},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = dropped(rows[i].d);
		unsigned rx = w.num_rx;

		world_in(pkt, make(rows[i].src, rows[i].dst));
		cr_assert_eq(w.num_rx - rx, rows[i].d == DROP_NONE, "%s > %s",
			     rows[i].src, rows[i].dst);
		if (rows[i].d)
			cr_assert_eq(dropped(rows[i].d), before + 1, "%s > %s",
				     rows[i].src, rows[i].dst);
	}
	cr_assert_eq(world_num_out(), 0);
}

Test(ip_in, looped_frames_are_not_questioned)
{
	world_in_flags(pkt, make("127.0.0.1", "127.0.0.1"), CSUM_PARTIAL,
		       FRAME_F_LOOP);
	world_in_flags(pkt, make("10.77.0.2", "10.77.0.2"), CSUM_PARTIAL,
		       FRAME_F_LOOP);
	world_in_flags(pkt, make("::1", "::1"), CSUM_PARTIAL, FRAME_F_LOOP);
	cr_assert_eq(w.num_rx, 3);
}

Test(ip_in, headers_that_lie)
{
	uint32_t len = make("10.77.0.1", "10.77.0.2");

	pkt[10] ^= 1;
	world_in(pkt, len);
	cr_assert_eq(dropped(DROP_IP4_CSUM), 1);
	pkt[0] = 0x75;
	world_in(pkt, len);
	cr_assert_eq(dropped(DROP_IP_VERSION), 1);
	world_in(pkt, 0);
	cr_assert_eq(dropped(DROP_IP_VERSION), 2);
	cr_assert_eq(w.num_rx, 0);
	cr_assert_eq(w.core.stats.v[STAT_IpInHdrErrors], 1);
}

/* A v4-mapped address on the wire must not become an IPv4 packet. */
Test(ip_in, disguised_addresses)
{
	uint32_t len = make("fd77::1", "fd77::2");
	struct ip_addr mapped = addr("10.77.0.1");

	memcpy(pkt + 8, mapped.b, 16);
	world_in(pkt, len);
	mapped = addr("10.77.0.2");
	len = make("fd77::1", "fd77::2");
	memcpy(pkt + 24, mapped.b, 16);
	world_in(pkt, len);
	cr_assert_eq(w.num_rx, 0);
	cr_assert_eq(dropped(DROP_IP_SRC_ADDR), 2);
}

/* A UDP packet with @n bytes of options. */
static uint32_t with_options(const uint8_t *opts, uint8_t n)
{
	uint32_t len = build_udp(true, 30, msg);
	struct ip4_repr r = {
		.src = addr("10.77.0.1"),
		.dst = addr("10.77.0.2"),
		.hdr_len = (uint8_t)(IP4_HLEN + n),
		.total_len = (uint16_t)(IP4_HLEN + n + len),
		.ttl = 64,
		.proto = IPPROTO_UDP,
		.opts = opts,
	};

	ip4_emit(&r, pkt);
	memcpy(pkt + r.hdr_len, msg, len);
	return r.total_len;
}

Test(ip_in, options)
{
	static const uint8_t alert[4] = {148, 4, 0, 0};
	static const uint8_t rr[8] = {1, 7, 7, 4, 0, 0, 0, 0};
	static const uint8_t lsrr[8] = {131, 7, 4, 1, 2, 3, 4, 0};
	static const uint8_t too_long[4] = {1, 148, 4, 0};
	static const uint8_t no_len[4] = {1, 1, 1, 148};
	static const uint8_t zero_len[4] = {148, 0, 0, 0};
	static const uint8_t end[4] = {0, 131, 0, 0};

	world_in(pkt, with_options(alert, 4));
	world_in(pkt, with_options(rr, 8));
	world_in(pkt, with_options(end, 4));
	cr_assert_eq(w.num_rx, 3);
	cr_assert_eq(w.l4_len, 38);
	world_in(pkt, with_options(lsrr, 8));
	cr_assert_eq(world_num_out(), 0);
	world_in(pkt, with_options(too_long, 4));
	world_in(pkt, with_options(no_len, 4));
	world_in(pkt, with_options(zero_len, 4));
	cr_assert_eq(w.num_rx, 3);
	cr_assert_eq(dropped(DROP_IP4_OPTION), 4);
	cr_assert_eq(world_num_out(), 3);
	world_out(out);
	cr_assert_eq(out[20], ICMP4_PARAM_PROBLEM);
	cr_assert_eq(out[24], 21);
}

/* An IPv6 UDP packet behind eight bytes of @type. */
static uint32_t with_ext(const char *dst, uint8_t type, const uint8_t ext[8])
{
	struct build b = {.dst = dst, .proto = type, .body = msg};

	b.len = 8 + build_udp(false, 30, msg + 8);
	memcpy(msg, ext, 8);
	return build(&b, pkt);
}

/* What came back: code and pointer of the parameter problem, -1 if nothing. */
static int64_t problem(void)
{
	if (!world_out(out))
		return -1;
	cr_assert_eq(out[40], ICMP6_PARAM_PROBLEM);
	return (int64_t)out[41] << 32 | get_be32(out + 44);
}

Test(ip_in, option_actions)
{
	static const struct {
		uint8_t opt;
		bool is_ok;
		bool told, told_group;
	} rows[] = {
		{0x1e, true, false, false},  /* 00: skip */
		{0x5e, false, false, false}, /* 01: discard */
		{0x9e, false, true, true},   /* 10: and tell */
		{0xde, false, true, false},  /* 11: unless to a group */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t ext[8] = {IPPROTO_UDP, 0, rows[i].opt, 4};
		unsigned rx = w.num_rx;

		w.now += 10 * SEC;
		world_in(pkt, with_ext("fd77::2", IPPROTO_DSTOPTS, ext));
		cr_assert_eq(w.num_rx - rx, rows[i].is_ok);
		cr_assert_eq(problem(), rows[i].told ? 2LL << 32 | 42 : -1);
		rx = w.num_rx;
		world_in(pkt, with_ext("ff02::1", IPPROTO_HOPOPTS, ext));
		cr_assert_eq(w.num_rx - rx, rows[i].is_ok);
		cr_assert_eq(problem(),
			     rows[i].told_group ? 2LL << 32 | 42 : -1);
	}
}

Test(ip_in, unknown_header_behind_known_ones)
{
	uint8_t ext[8] = {222, 0, 1, 4};
	uint8_t rh[8] = {IPPROTO_UDP, 0, 3, 1};
	uint8_t none[8] = {IPPROTO_NONE, 0, 1, 4};

	world_in(pkt, with_ext("fd77::2", IPPROTO_DSTOPTS, ext));
	cr_assert_eq(problem(), 1LL << 32 | 40);
	world_in(pkt, with_ext("fd77::2", IPPROTO_ROUTING, rh));
	cr_assert_eq(problem(), 42); /* RFC 8200 4.4 */
	world_in(pkt, with_ext("fd77::2", IPPROTO_DSTOPTS, none));
	cr_assert_eq(problem(), -1);
}

/* Every beginning of every packet: no crash, and no answer to most. */
Test(ip_in, truncations)
{
	static const uint8_t ext[8] = {IPPROTO_UDP, 0, 1, 4};
	static const uint8_t alert[4] = {148, 4, 0, 0};
	struct build frag4 = {.proto = IPPROTO_UDP,
			      .more = true,
			      .id = 1,
			      .body = msg,
			      .len = 64};
	struct build frag6 = {.dst = "fd77::2",
			      .proto = IPPROTO_UDP,
			      .is_frag = true,
			      .more = true,
			      .id = 1,
			      .body = msg,
			      .len = 64};

	for (int kind = 0; kind < 8; kind++) {
		struct build echo = {.body = msg};
		uint32_t len = 0;

		switch (kind) {
		case 0:
			len = make("10.77.0.1", "10.77.0.2");
			break;
		case 1:
			len = make("fd77::1", "fd77::2");
			break;
		case 2:
			len = with_options(alert, 4);
			break;
		case 3:
			len = with_ext("fd77::2", IPPROTO_HOPOPTS, ext);
			break;
		case 4:
			len = build(&frag4, pkt);
			break;
		case 5:
			len = build(&frag6, pkt);
			break;
		default:
			echo.dst = kind == 6 ? "10.77.0.2" : "fd77::2";
			echo.proto = kind == 6 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
			echo.len = build_echo(kind == 6, 40, msg);
			len = build(&echo, pkt);
		}
		for (uint32_t n = 0; n < len; n++) {
			unsigned rx = w.num_rx;

			world_in(pkt, n);
			cr_assert_eq(w.num_rx, rx);
		}
		cr_assert_eq(world_num_out(), 0);
	}
}

/* The same with lengths that fit, so that what is inside is cut off. */
Test(ip_in, truncations_that_fit)
{
	static const uint8_t ext[8] = {IPPROTO_ICMPV6, 0, 1, 4};
	struct build b = {
		.dst = "fd77::2", .proto = IPPROTO_HOPOPTS, .body = msg};
	uint8_t type = 0;

	for (uint32_t n = 0; n < 100; n++) {
		memcpy(msg, ext, 8);
		msg[8] = type++;
		b.len = n;
		world_in(pkt, build(&b, pkt));
		b.is_frag = n & 1;
		b.more = n & 2;
		b.id = n;
	}
	while (world_out(out))
		;
}

/* Noise behind a good first byte, seeded. */
Test(ip_in, noise)
{
	for (int i = 0; i < 20000; i++) {
		uint32_t len = 20 + rng_below(&w.core.rng, 120);
		uint16_t sum;

		for (uint32_t k = 0; k < len; k++)
			pkt[k] = (uint8_t)rng_u32(&w.core.rng);
		if (i & 1) {
			struct ip_addr dst = addr("10.77.0.2");

			pkt[0] = (uint8_t)(0x45 + (i >> 3) % 4);
			len = MAX(len, 32u);
			put_be16(pkt + 2, (uint16_t)len);
			memcpy(pkt + 16, dst.b + 12, 4);
			pkt[9] = i & 2 ? IPPROTO_ICMP : pkt[9];
			pkt[6] &= 0x20;
			pkt[7] = i & 64 ? 0 : pkt[7];
			put_be16(pkt + 10, 0);
			sum = csum_fold(csum_add(0, pkt, (pkt[0] & 15u) * 4));
			memcpy(pkt + 10, &sum, 2);
		} else {
			static const uint8_t next[] = {0, 43, 44, 58, 60, 17};
			struct ip_addr dst = addr("fd77::2");

			len = MAX(len, 48u);
			pkt[0] = 0x60;
			put_be16(pkt + 4, (uint16_t)(len - 40));
			memcpy(pkt + 24, dst.b, 16);
			pkt[6] = next[(i >> 1) % 6];
			pkt[40] = next[(i >> 3) % 6];
			pkt[41] &= 3;
		}
		/* VALID: let it through to what reads the inside */
		world_in_flags(pkt, len, CSUM_VALID, 0);
		w.now += MSEC;
		ip_timer(&w.ip, w.now);
		while (world_out(out))
			;
	}
	cr_assert_gt(w.num_rx, 0);
	cr_assert_gt(w.core.stats.v[STAT_IcmpInMsgs], 0);
	cr_assert_gt(w.core.stats.v[STAT_Icmp6InMsgs], 0);
}

Test(ip_in, icmp_of_the_other_family)
{
	struct build b = {.proto = IPPROTO_ICMPV6,
			  .body = msg,
			  .len = build_echo(false, 8, msg)};

	world_in(pkt, build(&b, pkt));
	cr_assert_gt(world_out(out), 0);
	cr_assert_eq(out[20], ICMP4_UNREACH);
	cr_assert_eq(out[21], ICMP4_UNREACH_PROTO);
	cr_assert_eq(w.core.stats.v[STAT_IcmpInMsgs], 0);
}

/* --- options that record --- */

Test(ip_in, an_echo_brings_back_who_was_there)
{
	uint8_t opt_pkt[20 + 12 + 8] = {0x48, [3] = 40, [8] = 64, [9] = 1};
	uint8_t rr[12] = {7, 11, 8, 10, 77, 0, 1};
	uint8_t reply[100];
	uint16_t csum;

	memcpy(opt_pkt + 12, (uint8_t[8]){10, 77, 0, 1, 10, 77, 0, 2}, 8);
	memcpy(opt_pkt + 20, rr, 12);
	opt_pkt[32] = 8; /* echo request */
	csum = csum_fold(csum_add(0, opt_pkt + 32, 8));
	memcpy(opt_pkt + 34, &csum, 2);
	csum = csum_fold(csum_add(0, opt_pkt, 32));
	memcpy(opt_pkt + 10, &csum, 2);
	world_in(opt_pkt, sizeof(opt_pkt));
	cr_assert_eq(world_out(reply), sizeof(opt_pkt));
	cr_assert_eq(reply[0], 0x48);
	cr_assert_eq(reply[22], 12, "full: two slots are taken");
	cr_assert_eq(get_be32(reply + 23), 0x0a4d0001, "the sender");
	cr_assert_eq(get_be32(reply + 27), 0x0a4d0002, "we, on the way in");
	cr_assert_eq(reply[32], 0);
}

Test(ip_in, an_option_that_cannot_record_is_a_problem)
{
	static const uint8_t bad[][4] = {
		{7, 3, 2, 0},	  /* pointer into the option's head */
		{7, 4, 4, 0},	  /* no whole slot */
		{68, 4, 5, 0xf0}, /* overflow counted out */
	};
	uint8_t opt_pkt[24 + 8] = {0x46, [3] = 32, [8] = 64, [9] = 17};
	uint8_t reply[100];

	memcpy(opt_pkt + 12, (uint8_t[8]){10, 77, 0, 1, 10, 77, 0, 2}, 8);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint16_t csum;

		memcpy(opt_pkt + 20, bad[i], 4);
		put_be16(opt_pkt + 10, 0);
		csum = csum_fold(csum_add(0, opt_pkt, 24));
		memcpy(opt_pkt + 10, &csum, 2);
		world_in(opt_pkt, sizeof(opt_pkt));
		cr_assert_gt(world_out(reply), 28);
		cr_assert_eq(reply[20], 12, "parameter problem");
		cr_assert_eq(reply[24], 20, "at the option");
	}
}
