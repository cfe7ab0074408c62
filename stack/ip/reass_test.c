/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "ip/ip_world.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

TestSuite(reass, .init = world_init, .fini = world_fini);

static uint8_t udp[70000], pkt[70000], out[70000];
static uint32_t udp_len;

static void make(bool is4, uint32_t len)
{
	udp_len = build_udp(is4, len, udp);
}

/* Bytes [@off, @off + @len) of the datagram come as a fragment. */
static void frag_id(bool is4, uint32_t id, uint32_t off, uint32_t len,
		    bool more, uint8_t tos)
{
	struct build b = {
		.dst = is4 ? "10.77.0.2" : "fd77::2",
		.proto = IPPROTO_UDP,
		.id = id,
		.tos = tos,
		.is_frag = true,
		.frag_off = off,
		.more = more,
		.body = udp + off,
		.len = len,
	};

	world_in(pkt, build(&b, pkt));
}

static void frag(bool is4, uint32_t off, uint32_t len)
{
	frag_id(is4, 99, off, len, off + len < udp_len, 0);
}

static void expect_whole(void)
{
	cr_assert_eq(w.num_rx, 1);
	cr_assert_eq(w.l4_len, udp_len);
	cr_assert_eq(memcmp(w.l4, udp, udp_len), 0);
	cr_assert(w.rx.was_fragmented);
	cr_assert_eq(w.rx.csum, CSUM_NONE);
	cr_assert_eq(reass_num(w.ip.reass), 0);
	cr_assert_eq(reass_used(w.ip.reass), 0);
	cr_assert_eq(w.ip.timer.at, TIME_NEVER);
	w.num_rx = 0;
}

Test(reass, any_order_makes_it_whole)
{
	static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	static const uint32_t at[4] = {0, 1480, 2960, 4008};

	for (int is4 = 0; is4 < 2; is4++) {
		make(is4, 4000);
		for (int i = 0; i < 6; i++) {
			for (int k = 0; k < 3; k++) {
				int n = orders[i][k];

				frag(is4, at[n], at[n + 1] - at[n]);
			}
			expect_whole();
		}
	}
	cr_assert_eq(w.core.stats.v[STAT_IpReasmOKs], 6);
	cr_assert_eq(w.core.stats.v[STAT_Ip6ReasmOKs], 6);
	cr_assert_eq(w.core.stats.v[STAT_IpReasmReqds], 18);
}

Test(reass, shuffled_eights)
{
	for (int is4 = 0; is4 < 2; is4++) {
		uint32_t num;

		make(is4, 9013);
		num = DIV_ROUND_UP(udp_len, 8);
		/* 7 has no common factor with the count: each piece once */
		cr_assert_neq(num % 7, 0);
		for (uint32_t i = 0; i < num; i++) {
			uint32_t off = i * 7 % num * 8;

			frag(is4, off, MIN(8u, udp_len - off));
		}
		expect_whole();
	}
}

Test(reass, the_longest_there_is)
{
	for (int is4 = 0; is4 < 2; is4++) {
		make(is4, is4 ? 65507 : 65527);
		for (uint32_t off = 0; off < udp_len; off += 1448)
			frag(is4, off, MIN(1448u, udp_len - off));
		expect_whole();
	}
}

Test(reass, one_byte_more_is_refused)
{
	make(true, 65507);
	for (uint32_t off = 0; off < 65512; off += 1448)
		frag_id(true, 99, off, MIN(1448u, 65512 - off), true, 0);
	frag_id(true, 99, 65512, 8, false, 0); /* 20 + 65520 > 65535 */
	cr_assert_eq(w.num_rx, 0);
	cr_assert_eq(reass_num(w.ip.reass), 0);
	cr_assert_gt(w.core.stats.drop[DROP_FRAG_MALFORMED], 0);
	frag_id(true, 98, 65528, 16, false, 0);
	cr_assert_eq(reass_num(w.ip.reass), 0);
}

Test(reass, overlap_kills_the_datagram)
{
	static const uint32_t bad[][2] = {
		{496, 16}, {984, 512}, {0, 1000}, {400, 800}, {1000, 504}};

	make(true, 1992);
	for (int is4 = 0; is4 < 2; is4++)
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			uint64_t before = w.core.stats.drop[DROP_FRAG_OVERLAP];

			frag(is4, 0, 504);
			frag(is4, 1000, 496);
			cr_assert_eq(reass_num(w.ip.reass), 1);
			frag(is4, bad[i][0], bad[i][1]);
			cr_assert_eq(w.core.stats.drop[DROP_FRAG_OVERLAP],
				     before + 1, "case %zu", i);
			cr_assert_eq(reass_num(w.ip.reass), 0);
		}
	cr_assert_eq(w.num_rx, 0);
}

Test(reass, duplicates_are_ignored)
{
	for (int is4 = 0; is4 < 2; is4++) {
		make(is4, 1992);
		frag(is4, 0, 504);
		frag(is4, 0, 504);
		frag(is4, 8, 16); /* all of it is here */
		frag(is4, 1000, 1000);
		frag(is4, 1000, 1000);
		frag(is4, 504, 496);
		expect_whole();
	}
	cr_assert_eq(w.core.stats.drop[DROP_FRAG_OVERLAP], 0);
}

Test(reass, lengths_that_contradict)
{
	make(true, 1992);
	for (int is4 = 0; is4 < 2; is4++) {
		frag_id(is4, 1, 1000, 100, false, 0); /* ends at 1100 */
		frag_id(is4, 1, 1200, 8, true, 0);    /* behind the end */
		cr_assert_eq(reass_num(w.ip.reass), 0);
		frag_id(is4, 1, 1000, 100, false, 0);
		frag_id(is4, 1, 992, 16, false, 0); /* another end */
		cr_assert_eq(reass_num(w.ip.reass), 0);
		frag_id(is4, 1, 8, 0, true, 0); /* nothing in it */
		cr_assert_eq(reass_num(w.ip.reass), 0);
	}
}

Test(reass, odd_middle)
{
	make(false, 1992);
	frag_id(false, 1, 0, 1001, true, 0);
	cr_assert_eq(reass_num(w.ip.reass), 0);
	cr_assert_gt(world_out(out), 48); /* RFC 8200 4.5 */
	cr_assert_eq(out[40], ICMP6_PARAM_PROBLEM);
	cr_assert_eq(get_be32(out + 44), 4);

	make(true, 1992); /* IPv4: the tail that has no offset is not there */
	frag_id(true, 99, 0, 1003, true, 0);
	frag(true, 1000, 1000);
	expect_whole();
}

Test(reass, timeout_is_told_if_fragment_zero_came)
{
	make(true, 1992);
	frag(true, 0, 504);
	frag_id(true, 1, 504, 496, true, 0);
	frag(false, 0, 504);
	cr_assert_eq(w.ip.timer.at, w.now + 30 * SEC);
	w.now += 30 * SEC - 1;
	ip_timer(&w.ip, w.now);
	cr_assert_eq(reass_num(w.ip.reass), 3);
	w.now += 1;
	ip_timer(&w.ip, w.now);
	cr_assert_eq(reass_num(w.ip.reass), 1);
	cr_assert_eq(w.core.stats.v[STAT_IpReasmTimeout], 2);
	cr_assert_eq(w.core.stats.v[STAT_IpReasmFails], 2);
	cr_assert_eq(world_num_out(), 1);
	cr_assert_eq(world_out(out), 20 + 8 + 20 + 504);
	cr_assert_eq(out[20], ICMP4_TIME_EXCEEDED);
	cr_assert_eq(out[21], 1);
	cr_assert_eq(get_be16(out + 28 + 6), 0x2000, "quoted as it came");
	cr_assert_eq(memcmp(out + 48, udp, 504), 0);

	cr_assert_eq(w.ip.timer.at, w.now + 30 * SEC); /* ip6frag_time: 60 */
	w.now += 30 * SEC;
	ip_timer(&w.ip, w.now);
	cr_assert_eq(world_out(out), 40 + 8 + 48 + 504);
	cr_assert_eq(out[40], ICMP6_TIME_EXCEEDED);
	cr_assert_eq(out[41], 1);
	cr_assert_eq(w.ip.timer.at, TIME_NEVER);
}

Test(reass, a_late_fragment_begins_anew)
{
	make(true, 1992);
	frag(true, 0, 1000);
	w.now += 31 * SEC;
	frag(true, 1000, 1000);
	cr_assert_eq(w.num_rx, 0);
	cr_assert_eq(reass_num(w.ip.reass), 1);
}

Test(reass, oldest_goes_when_memory_is_short)
{
	w.sysctl.ipfrag_high_thresh = 1 << 20;
	make(true, 60000);
	for (uint32_t id = 0; id < 100; id++) {
		frag_id(true, id, 59000 & ~7u, 800, true, 0);
		cr_assert_leq(reass_used(w.ip.reass), 1u << 20);
	}
	cr_assert_gt(reass_num(w.ip.reass), 10);
	cr_assert_eq(reass_num(w.ip.reass) + w.core.stats.drop[DROP_FRAG_MEM],
		     100);
	/* the newest is still there: its rest completes it */
	frag_id(true, 99, 0, 59000 & ~7u, true, 0);
	frag_id(true, 99, 59800, udp_len - 59800, false, 0);
	cr_assert_eq(w.num_rx, 1);
	cr_assert_eq(w.l4_len, udp_len);
	cr_assert_eq(memcmp(w.l4, udp, udp_len), 0);
}

Test(reass, ecn)
{
	static const struct {
		uint8_t a, b;
		int joint;
	} rows[] = {{0, 0, 0}, {2, 3, 3},  {1, 3, 3}, {3, 3, 3},
		    {2, 2, 2}, {0, 3, -1}, {0, 2, -1}};

	for (int is4 = 0; is4 < 2; is4++)
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			make(is4, 1992);
			w.num_rx = 0;
			frag_id(is4, 5, 0, 1000, true, rows[i].a);
			frag_id(is4, 5, 1000, 1000, false, rows[i].b);
			cr_assert_eq(w.num_rx, rows[i].joint >= 0);
			if (rows[i].joint >= 0)
				cr_assert_eq(w.rx.tos, rows[i].joint);
			cr_assert_eq(reass_num(w.ip.reass), 0);
		}
}

Test(reass, atomic_fragment_is_whole)
{
	make(false, 100);
	frag_id(false, 5, 0, 504, true, 0); /* of the same identifier */
	frag_id(false, 5, 0, udp_len, false, 0);
	cr_assert_eq(w.num_rx, 1);
	cr_assert_eq(w.l4_len, udp_len);
	cr_assert_eq(reass_num(w.ip.reass), 1); /* RFC 6946 4 */
}

Test(reass, headers_in_front_are_kept)
{
	/* destination options in front of the fragment header */
	static const uint8_t opts[8] = {IPPROTO_FRAGMENT, 0, 1, 4};
	struct build b = {.dst = "fd77::2",
			  .proto = IPPROTO_DSTOPTS,
			  .body = pkt,
			  .len = 0};

	make(false, 1000);
	for (int i = 0; i < 2; i++) {
		uint32_t off = i ? 504 : 0, len = i ? udp_len - 504 : 504;
		static uint8_t body[2000];

		memcpy(body, opts, 8);
		ip6_frag_emit(IPPROTO_UDP, (uint16_t)off, !i, 5, body + 8);
		memcpy(body + 16, udp + off, len);
		b.body = body;
		b.len = 16 + len;
		world_in(pkt, build(&b, pkt));
	}
	expect_whole();
}

Test(reass, fragment_zero_without_its_header)
{
	make(false, 1000);
	frag_id(false, 5, 0, 0, true, 0);
	cr_assert_gt(world_out(out), 48);
	cr_assert_eq(out[40], ICMP6_PARAM_PROBLEM);
	cr_assert_eq(out[41], 3); /* RFC 7112 */
	cr_assert_eq(reass_num(w.ip.reass), 0);
}

Test(reass, more_than_the_threshold)
{
	w.sysctl.ipfrag_high_thresh = 65536;
	make(true, 65000);
	frag_id(true, 1, 64000, 800, true, 0);
	cr_assert_eq(reass_num(w.ip.reass), 0);
	cr_assert_eq(w.core.stats.drop[DROP_FRAG_MEM], 1);
}
