/* SPDX-License-Identifier: MIT
 *
 * Known packets, every truncation of them, round trips, and noise.
 */
#include "wire/wire.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/csum.h"
#include "base/siphash.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

static struct ip_addr addr(const char *s)
{
	struct ip_addr a;

	cr_assert_eq(ip_addr_parse(s, &a), 0);
	return a;
}

/* A copy that ends where its allocation ends: an overrun is caught. */
static uint8_t *exact(const void *p, size_t len)
{
	uint8_t *c = malloc(len ? len : 1);

	if (len)
		memcpy(c, p, len);
	return c;
}

/* --- IPv4 --- */

/* the example of Wikipedia's "IPv4 header checksum": 0xb861 */
static const uint8_t ip4_known[] = {
	0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
	0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7,
};

static struct ip4_repr some_ip4(void)
{
	static const uint8_t opts[8] = {0x94, 4, 0, 0, 1, 1, 1, 0};

	return (struct ip4_repr){
		.src = addr("10.77.0.1"),
		.dst = addr("10.77.0.2"),
		.total_len = 60,
		.id = 0x1234,
		.frag_off = 1480,
		.hdr_len = 28,
		.tos = 0x12,
		.ttl = 64,
		.proto = 17,
		.mf = true,
		.opts = opts,
	};
}

Test(ip4, known_header)
{
	uint8_t p[0x73] = {0};
	struct ip4_repr r;

	memcpy(p, ip4_known, sizeof(ip4_known));
	cr_assert_eq(ip4_parse(&r, p, sizeof(p)), DROP_NONE);
	cr_assert_eq(r.total_len, 0x73);
	cr_assert_eq(r.hdr_len, 20);
	cr_assert(r.df);
	cr_assert_not(r.mf);
	cr_assert_eq(r.frag_off, 0);
	cr_assert_eq(r.ttl, 64);
	cr_assert_eq(r.proto, 17);
	cr_assert_eq(ip_addr_be32(&r.dst), 0xc0a800c7);
	memset(p, 0, 20);
	ip4_emit(&r, p);
	cr_assert_arr_eq(p, ip4_known, 20);
}

Test(ip4, round_trip_with_options)
{
	struct ip4_repr r = some_ip4(), got;
	uint8_t p[60] = {0};

	ip4_emit(&r, p);
	cr_assert_eq(ip4_parse(&got, p, sizeof(p)), DROP_NONE);
	cr_assert(ip_addr_eq(&got.src, &r.src));
	cr_assert(ip_addr_eq(&got.dst, &r.dst));
	cr_assert_eq(got.total_len, r.total_len);
	cr_assert_eq(got.id, r.id);
	cr_assert_eq(got.frag_off, 1480);
	cr_assert_eq(got.hdr_len, 28);
	cr_assert_eq(got.tos, 0x12);
	cr_assert(got.mf);
	cr_assert_not(got.df);
	cr_assert_arr_eq(got.opts, r.opts, 8);
}

Test(ip4, every_truncation_is_dropped)
{
	struct ip4_repr r = some_ip4(), got;
	uint8_t p[60] = {0};

	ip4_emit(&r, p);
	for (size_t len = 0; len < sizeof(p); len++) {
		uint8_t *c = exact(p, len);

		cr_assert_neq(ip4_parse(&got, c, len), DROP_NONE);
		free(c);
	}
}

Test(ip4, lies_are_dropped_by_name)
{
	struct ip4_repr r = some_ip4(), got;
	uint8_t good[60] = {0}, p[60];

	ip4_emit(&r, good);
	memcpy(p, good, 60);
	p[0] = 0x67;
	cr_assert_eq(ip4_parse(&got, p, 60), DROP_IP_VERSION);
	memcpy(p, good, 60);
	p[0] = 0x44; /* 16 bytes of header */
	cr_assert_eq(ip4_parse(&got, p, 60), DROP_IP4_HDR);
	memcpy(p, good, 60);
	put_be16(p + 2, 27); /* shorter than its header */
	cr_assert_eq(ip4_parse(&got, p, 60), DROP_IP4_HDR);
	memcpy(p, good, 60);
	put_be16(p + 2, 61);
	cr_assert_eq(ip4_parse(&got, p, 60), DROP_TOO_SHORT);
	for (int bit = 64; bit < 28 * 8; bit++) {
		memcpy(p, good, 60);
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_eq(ip4_parse(&got, p, 60), DROP_IP4_CSUM);
	}
}

/* --- IPv6 --- */

#define PKT6_MAX 512

struct pkt6 {
	uint8_t p[PKT6_MAX];
	size_t len;
};

static void start6(struct pkt6 *k, uint8_t next)
{
	struct ip6_repr r = {
		.src = addr("fd77::1"),
		.dst = addr("fd77::2"),
		.flow = 0xabcde,
		.tclass = 0x2e,
		.hop_limit = 63,
		.next = next,
	};

	ip6_emit(&r, k->p);
	k->len = 40;
}

static void add6(struct pkt6 *k, const void *bytes, size_t len)
{
	memcpy(k->p + k->len, bytes, len);
	k->len += len;
	put_be16(k->p + 4, (uint16_t)(k->len - 40));
}

static enum drop walk6(struct ip6_chain *c, const struct pkt6 *k)
{
	uint8_t *p = exact(k->p, k->len);
	enum drop d = ip6_walk(c, p, k->len);

	free(p);
	return d;
}

Test(ip6, round_trip)
{
	struct ip6_repr got;
	struct pkt6 k;
	uint8_t again[40];

	start6(&k, 6);
	add6(&k, "12345678", 8);
	cr_assert_eq(ip6_parse(&got, k.p, k.len), DROP_NONE);
	cr_assert_eq(got.flow, 0xabcde);
	cr_assert_eq(got.tclass, 0x2e);
	cr_assert_eq(got.hop_limit, 63);
	cr_assert_eq(got.next, 6);
	cr_assert_eq(got.payload_len, 8);
	ip6_emit(&got, again);
	cr_assert_arr_eq(again, k.p, 40);
	for (size_t len = 0; len < k.len; len++) {
		uint8_t *c = exact(k.p, len);

		cr_assert_neq(ip6_parse(&got, c, len), DROP_NONE);
		free(c);
	}
}

Test(ip6, mapped_addresses_are_not_for_the_wire)
{
	struct ip6_repr got;
	struct pkt6 k;
	struct ip_addr a = addr("10.0.0.1");

	start6(&k, 6);
	memcpy(k.p + 8, a.b, 16);
	cr_assert_eq(ip6_parse(&got, k.p, k.len), DROP_IP_SRC_ADDR);
}

Test(ip6, no_extensions)
{
	struct ip6_chain c;
	struct pkt6 k;

	start6(&k, 17);
	add6(&k, "12345678", 8);
	cr_assert_eq(walk6(&c, &k), DROP_NONE);
	cr_assert_eq(c.proto, 17);
	cr_assert_eq(c.off, 40);
	cr_assert_eq(c.proto_off, 6);
	cr_assert_not(c.is_frag);
}

/* hop-by-hop with router alert, destination, spent routing, fragment, TCP */
static void long_chain(struct pkt6 *k, uint16_t frag_off, bool more)
{
	uint8_t frag[8];

	start6(k, 0);
	add6(k, (uint8_t[]){60, 0, 5, 2, 0, 0, 1, 0}, 8);
	add6(k, (uint8_t[]){43, 1, 1, 4, 0, 0, 0, 0, 0x1e, 6, 1, 2, 3, 4, 5, 6},
	     16);
	add6(k, (uint8_t[]){44, 0, 0, 0, 0, 0, 0, 0}, 8);
	ip6_frag_emit(6, frag_off, more, 0xdeadbeef, frag);
	add6(k, frag, 8);
	add6(k, "abcdefghijklmnopqrst", 20);
}

Test(ip6, long_chain)
{
	struct ip6_chain c;
	struct pkt6 k;

	long_chain(&k, 0, true);
	cr_assert_eq(walk6(&c, &k), DROP_NONE);
	cr_assert_eq(c.proto, 6);
	cr_assert_eq(c.off, 80);
	cr_assert_eq(c.unfrag_off, 72);
	cr_assert_eq(c.next_off, 64);
	cr_assert_eq(c.proto_off, 72);
	cr_assert(c.is_frag);
	cr_assert(c.more);
	cr_assert_eq(c.frag_id, 0xdeadbeef);
	for (size_t len = 0; len < 80; len++) {
		uint8_t *p = exact(k.p, len);

		cr_assert_neq(ip6_walk(&c, p, len), DROP_NONE);
		free(p);
	}
}

Test(ip6, later_fragment_stops_the_walk)
{
	struct ip6_chain c;
	struct pkt6 k;
	uint8_t frag[8];

	start6(&k, 44);
	ip6_frag_emit(60, 1448, false, 7, frag);
	add6(&k, frag, 8);
	add6(&k, "\377\377\377\377", 4); /* would be no destination header */
	cr_assert_eq(walk6(&c, &k), DROP_NONE);
	cr_assert_eq(c.frag_off, 1448);
	cr_assert_not(c.more);
	cr_assert_eq(c.proto, 60);
	cr_assert_eq(c.off, 48);
}

/* The action bits of RFC 8200 4.2. */
Test(ip6, unknown_options)
{
	static const struct {
		uint8_t type;
		enum drop d;
		uint32_t at;
	} rows[] = {
		{0x1e, DROP_NONE, 0},
		{0x5e, DROP_IP6_EXT, 0},
		{0x9e, DROP_IP6_EXT, 42},
		{0xde, DROP_IP6_EXT, 42},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ip6_chain c;
		struct pkt6 k;

		start6(&k, 60);
		add6(&k, (uint8_t[]){59, 0, rows[i].type, 4, 1, 2, 3, 4}, 8);
		cr_assert_eq(walk6(&c, &k), rows[i].d);
		cr_assert_eq(c.problem_at, rows[i].at);
		if (rows[i].at)
			cr_assert_eq(c.problem_code, 2);
		k.p[24] = 0xff; /* to a group: only 10 reports */
		cr_assert_eq(walk6(&c, &k), rows[i].d);
		cr_assert_eq(c.problem_at, rows[i].type == 0x9e ? 42u : 0u);
	}
}

Test(ip6, routing_with_segments_left)
{
	struct ip6_chain c;
	struct pkt6 k;

	start6(&k, 43);
	add6(&k, (uint8_t[]){59, 0, 0, 1, 0, 0, 0, 0}, 8);
	cr_assert_eq(walk6(&c, &k), DROP_IP6_EXT);
	cr_assert_eq(c.problem_code, 0);
	cr_assert_eq(c.problem_at, 42);
}

Test(ip6, hop_by_hop_only_at_the_front)
{
	struct ip6_chain c;
	struct pkt6 k;

	start6(&k, 60);
	add6(&k, (uint8_t[]){0, 0, 1, 4, 0, 0, 0, 0}, 8);
	add6(&k, (uint8_t[]){6, 0, 1, 4, 0, 0, 0, 0}, 8);
	cr_assert_eq(walk6(&c, &k), DROP_NONE);
	cr_assert_eq(c.proto, 0); /* unknown there: nobody's protocol */
	cr_assert_eq(c.proto_off, 40);
}

Test(ip6, malformed_chains)
{
	struct ip6_chain c;
	struct pkt6 k;

	start6(&k, 60); /* option longer than its header */
	add6(&k, (uint8_t[]){59, 0, 0x1e, 5, 0, 0, 0, 0}, 8);
	cr_assert_eq(walk6(&c, &k), DROP_IP6_EXT);
	start6(&k, 60); /* header longer than the packet */
	add6(&k, (uint8_t[]){59, 1, 1, 4, 0, 0, 0, 0}, 8);
	cr_assert_eq(walk6(&c, &k), DROP_IP6_EXT);
	start6(&k, 60); /* more padding than alignment can need */
	add6(&k, (uint8_t[]){59, 1, 1, 6, [15] = 0}, 16);
	cr_assert_eq(walk6(&c, &k), DROP_IP6_EXT);
	start6(&k, 60); /* without end */
	for (int i = 0; i < 20; i++)
		add6(&k, (uint8_t[]){60, 0, 1, 4, 0, 0, 0, 0}, 8);
	cr_assert_eq(walk6(&c, &k), DROP_IP6_EXT);
	start6(&k, 44); /* a fragment of a fragment */
	add6(&k, (uint8_t[]){44, 0, 0, 0, 0, 0, 0, 0}, 8);
	add6(&k, (uint8_t[]){6, 0, 0, 0, 0, 0, 0, 0}, 8);
	cr_assert_eq(walk6(&c, &k), DROP_IP6_EXT);
}

/* --- ICMP --- */

static void icmp_round_trip(const char *from, const char *to, uint8_t type)
{
	struct ip_addr src = addr(from), dst = addr(to);
	static const uint8_t body[31] = "an odd number of payload bytes!";
	struct icmp_repr r = {.type = type,
			      .code = 3,
			      .rest = 0x12345678,
			      .body_len = sizeof(body)},
			 got;
	uint8_t p[8 + sizeof(body)];

	memcpy(p + 8, body, sizeof(body));
	icmp_emit(&r, &src, &dst, csum_add(0, body, sizeof(body)), p);
	cr_assert_eq(icmp_parse(&got, &src, &dst, p, sizeof(p), 0), DROP_NONE);
	cr_assert_eq(got.type, type);
	cr_assert_eq(got.code, 3);
	cr_assert_eq(got.rest, 0x12345678);
	cr_assert_eq(got.body_len, sizeof(body));
	cr_assert_eq(got.body, p + 8);
	for (size_t len = 0; len < sizeof(p); len++) {
		uint8_t *c = exact(p, len);

		cr_assert_neq(icmp_parse(&got, &src, &dst, c, len, 0),
			      DROP_NONE);
		free(c);
	}
	p[20] ^= 4;
	cr_assert_eq(icmp_parse(&got, &src, &dst, p, sizeof(p), 0),
		     DROP_ICMP_CSUM);
	cr_assert_eq(icmp_parse(&got, &src, &dst, p, sizeof(p), 1), DROP_NONE);
}

Test(icmp, round_trips)
{
	icmp_round_trip("10.0.0.1", "10.0.0.2", ICMP4_ECHO);
	icmp_round_trip("fe80::1", "ff02::1", ICMP6_ECHO);
}

/* --- UDP --- */

static void udp_case(const char *from, const char *to)
{
	struct ip_addr src = addr(from), dst = addr(to);
	struct udp_repr r = {.src_port = 53, .dst_port = 40000, .len = 13}, got;
	uint8_t p[13] = "........hello";
	uint64_t sum = csum_pseudo(&src, &dst, 17, 13);
	bool is4 = ip_addr_is4(&src);

	udp_emit(&r, p);
	r.csum = csum_fold(csum_add(sum, p, 13));
	udp_emit(&r, p);
	cr_assert_eq(udp_parse(&got, &src, &dst, p, 13, CSUM_NONE), DROP_NONE);
	cr_assert_eq(got.src_port, 53);
	cr_assert_eq(got.dst_port, 40000);
	cr_assert_eq(got.len, 13);
	for (size_t len = 0; len < 13; len++) {
		uint8_t *c = exact(p, len);

		cr_assert_eq(udp_parse(&got, &src, &dst, c, len, CSUM_NONE),
			     DROP_UDP_MALFORMED);
		free(c);
	}
	p[12] ^= 1;
	cr_assert_eq(udp_parse(&got, &src, &dst, p, 13, CSUM_NONE),
		     DROP_UDP_CSUM);
	cr_assert_eq(udp_parse(&got, &src, &dst, p, 13, CSUM_VALID), DROP_NONE);
	cr_assert_eq(udp_parse(&got, &src, &dst, p, 13, CSUM_PARTIAL),
		     DROP_NONE);
	put_be16(p + 6, 0);
	cr_assert_eq(udp_parse(&got, &src, &dst, p, 13, CSUM_NONE),
		     is4 ? DROP_NONE : DROP_UDP_CSUM);
	put_be16(p + 4, 7);
	cr_assert_eq(udp_parse(&got, &src, &dst, p, 13, CSUM_VALID),
		     DROP_UDP_MALFORMED);
}

Test(udp, both_families)
{
	udp_case("10.0.0.1", "10.0.0.2");
	udp_case("fd00::1", "fd00::2");
}

/* --- TCP --- */

static void tcp_sum(uint8_t *p, size_t len, const struct ip_addr *src,
		    const struct ip_addr *dst)
{
	uint16_t c;

	put_be16(p + 16, 0);
	c = csum_fold(
		csum_add(csum_pseudo(src, dst, 6, (uint32_t)len), p, len));
	memcpy(p + 16, &c, 2);
}

/* a SYN as Linux sends it */
Test(tcp_wire, syn_bytes)
{
	static const uint8_t want[] = {
		2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0,
		0, 1, 0,    0,	  0, 0, 1, 3,  3, 7,
	};
	struct tcp_repr r = {.flags = TCP_SYN,
			     .has_mss = true,
			     .mss = 1460,
			     .sack_ok = true,
			     .has_ts = true,
			     .ts_val = 1,
			     .has_wscale = true,
			     .wscale = 7};
	uint8_t p[60];

	cr_assert_eq(tcp_emit_len(&r), 40);
	tcp_emit(&r, p);
	cr_assert_eq(r.hdr_len, 40);
	cr_assert_arr_eq(p + 20, want, sizeof(want));
}

Test(tcp_wire, never_over_60_bytes)
{
	struct tcp_repr r = {.flags = TCP_ACK, .has_ts = true, .num_sack = 4};
	uint8_t p[60];

	cr_assert_eq(tcp_emit_len(&r), 60); /* three blocks beside the stamp */
	tcp_emit(&r, p);
	cr_assert_eq(p[34 - 0], 5);
	cr_assert_eq(p[35], 26);
	r.has_ts = false;
	cr_assert_eq(tcp_emit_len(&r), 56);
}

/* The counters of RFC 9768 in what other options leave, as Linux has them. */
Test(tcp_wire, accecn_takes_the_place_of_padding)
{
	static const uint8_t three[] = {174, 11, 0, 0, 1, 0, 0, 2, 0, 0, 3, 1};
	static const uint8_t two[] = {174, 8, 0, 0, 1, 0, 0, 2, 1, 1, 5, 18};
	static const uint8_t one[] = {174, 5, 0, 0, 1, 3, 3, 7};
	static const uint8_t none[] = {174, 2, 4, 2};
	struct tcp_repr r = {.flags = TCP_ACK, .accecn.order = 1};
	uint8_t p[60];

	r.accecn.v[0] = 1;
	r.accecn.v[1] = 2;
	r.accecn.v[2] = 3;
	cr_assert(tcp_fit_accecn(&r, 0));
	cr_assert(tcp_emit_len(&r) == 32);
	tcp_emit(&r, p);
	cr_assert_arr_eq(p + 20, three, sizeof(three));
	/* beside the stamp and three blocks, of which one gives way */
	r.has_ts = true;
	r.num_sack = 3;
	cr_assert_not(tcp_fit_accecn(&r, 3));
	cr_assert(r.num_sack == 3 && !r.accecn.is_there);
	cr_assert(tcp_fit_accecn(&r, 1));
	cr_assert(r.num_sack == 2 && r.accecn.num == 2);
	cr_assert(tcp_emit_len(&r) == 60);
	tcp_emit(&r, p);
	cr_assert_arr_eq(p + 32, two, sizeof(two));
	/* in the place of one NOP and of two */
	r = (struct tcp_repr){.flags = TCP_SYN | TCP_ACK,
			      .has_wscale = true,
			      .wscale = 7,
			      .accecn = {.is_there = true, .order = 1}};
	r.accecn.v[0] = r.accecn.num = 1;
	cr_assert(tcp_emit_len(&r) == 28);
	tcp_emit(&r, p);
	cr_assert_arr_eq(p + 20, one, sizeof(one));
	r.has_wscale = false;
	r.sack_ok = true;
	r.accecn.num = 0;
	cr_assert(tcp_emit_len(&r) == 24);
	tcp_emit(&r, p);
	cr_assert_arr_eq(p + 20, none, sizeof(none));
}

static struct tcp_repr random_repr(struct rng *g)
{
	uint32_t bits = rng_u32(g);
	struct tcp_repr r = {
		.src_port = (uint16_t)rng_u32(g),
		.dst_port = (uint16_t)rng_u32(g),
		.seq = rng_u32(g),
		.ack = rng_u32(g),
		.window = (uint16_t)rng_u32(g),
		.urg = (uint16_t)rng_u32(g),
		.flags = (uint8_t)rng_u32(g),
		.ns = bits & 1,
		.has_ts = bits & 2,
	};

	if (r.has_ts) {
		r.ts_val = rng_u32(g);
		r.ts_ecr = rng_u32(g);
	}
	if (r.flags & TCP_SYN) {
		r.has_mss = bits & 4;
		r.mss = r.has_mss ? (uint16_t)(1 + rng_below(g, 65535)) : 0;
		r.has_wscale = bits & 8;
		r.wscale = r.has_wscale ? (uint8_t)rng_below(g, 15) : 0;
		r.sack_ok = bits & 16;
	} else {
		r.num_sack = (uint8_t)rng_below(g, r.has_ts ? 4 : 5);
		for (int i = 0; i < r.num_sack; i++) {
			r.sack[i].start = rng_u32(g);
			r.sack[i].end = rng_u32(g);
		}
	}
	if (bits & 1024 && tcp_emit_len(&r) + 4 <= 60)
		r.uto = (uint16_t)rng_u32(g) | 1;
	if (bits & 32) {
		r.accecn.order = bits >> 6 & 1;
		if (tcp_fit_accecn(&r, bits >> 7 & 3))
			for (int i = 0; i < r.accecn.num; i++)
				r.accecn.v[i] = rng_u32(g) & 0xffffff;
		else
			r.accecn.order = 0;
		for (int i = r.num_sack; i < TCP_MAX_SACK; i++)
			r.sack[i] = (struct tcp_sack_block){0};
	}
	return r;
}

Test(tcp_wire, round_trips_and_truncations)
{
	static const uint8_t seed[32] = {4};
	struct ip_addr src = addr("10.0.0.1"), dst = addr("10.0.0.2");
	struct rng g;

	rng_init(&g, seed, 0);
	for (int i = 0; i < 2000; i++) {
		struct tcp_repr r = random_repr(&g), got;
		size_t len = tcp_emit_len(&r) + 5;
		uint8_t p[70] = {0};

		tcp_emit(&r, p);
		tcp_sum(p, len, &src, &dst);
		memcpy(&r.csum, p + 16, 2);
		cr_assert_eq(tcp_parse(&got, &src, &dst, p, len, CSUM_NONE),
			     DROP_NONE);
		cr_assert_arr_eq(&got, &r, sizeof(r));
		for (size_t cut = 0; cut < len; cut += 1 + cut / 24) {
			uint8_t *c = exact(p, cut);
			enum drop d;

			d = tcp_parse(&got, &src, &dst, c, cut, CSUM_VALID);
			cr_assert_eq(d, cut < len - 5 ? DROP_TCP_MALFORMED
						      : DROP_NONE);
			free(c);
		}
		p[rng_below(&g, (uint32_t)len)] ^= 0x10;
		cr_assert_neq(tcp_parse(&got, &src, &dst, p, len, CSUM_NONE),
			      DROP_NONE);
	}
}

/* what Linux does with each: pass over a wrong length, end at a torn one */
Test(tcp_wire, odd_options)
{
	struct ip_addr src = addr("10.0.0.1"), dst = addr("10.0.0.2");
	struct tcp_repr r;
	uint8_t p[40] = {[12] = 10 << 4, [13] = TCP_SYN};

	memcpy(p + 20, (uint8_t[]){2, 3, 9, 3, 3, 7, 1, 200, 4, 1, 2, 0}, 12);
	tcp_parse(&r, &src, &dst, p, 40, CSUM_VALID);
	cr_assert_not(r.has_mss);
	cr_assert(r.has_wscale);
	memset(p + 20, 1, 20);
	memcpy(p + 20, (uint8_t[]){8, 0, 3, 3, 7}, 5); /* no progress: stop */
	tcp_parse(&r, &src, &dst, p, 40, CSUM_VALID);
	cr_assert_not(r.has_wscale);
	memset(p + 20, 1, 20);
	memcpy(p + 34, (uint8_t[]){3, 3, 7, 2, 4, 5}, 6); /* torn at the end */
	tcp_parse(&r, &src, &dst, p, 40, CSUM_VALID);
	cr_assert(r.has_wscale);
	cr_assert_not(r.has_mss);
	memset(p + 20, 1, 20);
	p[39] = 2; /* a kind without a length */
	cr_assert_eq(tcp_parse(&r, &src, &dst, p, 40, CSUM_VALID), DROP_NONE);
	p[13] = TCP_ACK; /* not in a SYN */
	memcpy(p + 20, (uint8_t[]){2, 4, 5, 180, 3, 3, 7, 4, 2, 5, 9, 0}, 12);
	tcp_parse(&r, &src, &dst, p, 40, CSUM_VALID);
	cr_assert_not(r.has_mss || r.has_wscale || r.sack_ok || r.num_sack);
}

/* --- printing --- */

static const char *printed(const uint8_t *p, size_t len)
{
	static char line[256];

	wire_print(p, len, line, sizeof(line));
	return line;
}

static size_t make_tcp4(uint8_t *p, struct tcp_repr *r, size_t payload)
{
	struct ip4_repr ip = {.src = addr("10.77.0.2"),
			      .dst = addr("10.77.0.1"),
			      .hdr_len = 20,
			      .ttl = 64,
			      .proto = 6};

	ip.total_len = (uint16_t)(20 + tcp_emit_len(r) + payload);
	ip4_emit(&ip, p);
	tcp_emit(r, p + 20);
	return ip.total_len;
}

Test(wire, prints_as_tcpdump)
{
	uint8_t p[128] = {0};
	struct tcp_repr r = {.src_port = 4242,
			     .dst_port = 80,
			     .flags = TCP_SYN,
			     .seq = 1,
			     .window = 64240,
			     .has_mss = true,
			     .mss = 1460,
			     .sack_ok = true};
	struct ip6_repr ip6 = {.src = addr("fd77::2"),
			       .dst = addr("fd77::1"),
			       .next = 17,
			       .payload_len = 12};
	struct udp_repr u = {.src_port = 1, .dst_port = 2, .len = 12};

	cr_assert_str_eq(printed(p, make_tcp4(p, &r, 0)),
			 "IP 10.77.0.2.4242 > 10.77.0.1.80: Flags [S], seq 1, "
			 "win 64240, options [mss 1460,sackOK], length 0");
	r = (struct tcp_repr){.src_port = 4242,
			      .dst_port = 80,
			      .flags = TCP_ACK | TCP_PSH,
			      .seq = 2,
			      .ack = 9,
			      .num_sack = 1,
			      .sack = {{20, 30}}};
	cr_assert_str_eq(printed(p, make_tcp4(p, &r, 10)),
			 "IP 10.77.0.2.4242 > 10.77.0.1.80: Flags [P.], seq "
			 "2:12, ack 9, win 0, options [sack 1 {20:30}], length "
			 "10");
	ip6_emit(&ip6, p);
	udp_emit(&u, p + 40);
	cr_assert_str_eq(printed(p, 52),
			 "IP6 fd77::2.1 > fd77::1.2: UDP, length 4");
	memcpy(p + 40, (uint8_t[]){128, 0, 0, 0, 0, 7, 0, 1}, 8);
	p[6] = 58;
	cr_assert_str_eq(
		printed(p, 52),
		"IP6 fd77::2 > fd77::1: ICMP6 echo request, id 7, seq 1, "
		"length 12");
	cr_assert_str_eq(printed(p, 51), "IP6 ?, length 51");
	cr_assert_str_eq(printed(p, 0), "IP ?, length 0");
}

Test(wire, noise_is_survived)
{
	static const uint8_t seed[32] = {5};
	static const uint8_t nexts[] = {0, 6, 17, 43, 44, 58, 60, 1};
	char line[64];
	struct rng g;

	rng_init(&g, seed, 0);
	for (int i = 0; i < 100000; i++) {
		size_t len = rng_below(&g, 120);
		uint8_t raw[120], *p;

		for (size_t k = 0; k < sizeof(raw); k++)
			raw[k] = (uint8_t)rng_below(&g,
						    rng_below(&g, 2) ? 256 : 8);
		raw[0] = i & 1 ? 0x60 : 0x45 + (uint8_t)rng_below(&g, 3);
		put_be16(raw + 2, (uint16_t)len);
		if (i & 1) {
			put_be16(raw + 4, (uint16_t)(MAX(len, 40) - 40));
			raw[6] = nexts[rng_below(&g, sizeof(nexts))];
			raw[40] = nexts[rng_below(&g, sizeof(nexts))];
		} else {
			uint16_t c;

			raw[9] = nexts[rng_below(&g, sizeof(nexts))];
			put_be16(raw + 10, 0);
			c = csum_fold(csum_add(0, raw, (raw[0] & 15) * 4));
			memcpy(raw + 10, &c, 2);
		}
		p = exact(raw, len);
		cr_assert_lt(wire_print(p, len, line, rng_below(&g, 64)), 64);
		free(p);
	}
}
