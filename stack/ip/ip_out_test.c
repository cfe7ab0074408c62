/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/csum.h"
#include "ip/ip_world.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

TestSuite(ip_out, .init = world_init, .fini = world_fini);

static uint8_t out[70000], bytes[70000];

/* A UDP packet with @len payload bytes in pieces of 10,000 and a PARTIAL
 * checksum, as transport/ makes it. */
static struct pkt *udp(const struct ip_tx *tx, uint32_t len)
{
	struct pkt *p = pkt_new(w.arena);
	uint16_t sum;
	uint8_t *h;

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 13 + (i >> 8));
	for (uint32_t off = 0; off < len; off += 10000) {
		uint32_t n = MIN(10000u, len - off);
		struct chunk *c = chunk_new(w.arena, n);

		memcpy(c->data, bytes + off, n);
		cr_assert_eq(pkt_add(p, &c->b, c->data, n), 0);
		buf_put(w.arena, &c->b);
	}
	h = pkt_push(p, 8);
	put_be16(h, 1000);
	put_be16(h + 2, 2000);
	put_be16(h + 4, (uint16_t)(8 + len));
	sum = csum_fold_raw(
		csum_pseudo(&tx->src, &tx->dst, IPPROTO_UDP, 8 + len));
	memcpy(h + 6, &sum, 2);
	p->csum = CSUM_PARTIAL;
	p->hdr_len = 8;
	return p;
}

static struct ip_tx to(const char *dst)
{
	struct ip_tx tx = {.dst = addr(dst), .proto = IPPROTO_UDP};

	ip_source(&w.ip, &tx.dst, &tx.src);
	return tx;
}

static int send_udp(const struct ip_tx *tx, uint32_t len)
{
	return ip_out(&w.ip, udp(tx, len), tx, w.now);
}

static struct pkt *last(void)
{
	return list_last(&w.link.txq, struct pkt, node);
}

Test(ip_out, a_whole_packet)
{
	struct ip_tx tx = to("10.9.9.9");

	tx.df = true;
	tx.tos = 0x12;
	tx.ttl = 9;
	cr_assert_eq(send_udp(&tx, 1472), 0);
	cr_assert_eq(last()->l4_off, 20);
	cr_assert_eq(last()->hdr_len, 28);
	cr_assert_eq(last()->csum, CSUM_PARTIAL);
	cr_assert_eq(last()->link, LINK_DEV);
	cr_assert_eq(world_out(out), 1500);
	cr_assert_eq(out[1], 0x12);
	cr_assert_eq(out[6], 0x40);
	cr_assert_eq(out[8], 9);
	cr_assert_eq(out[9], IPPROTO_UDP);
	cr_assert_eq(get_be32(out + 12), 0x0a4d0002);
	cr_assert_eq(get_be32(out + 16), 0x0a090909);

	tx = to("fd99::9");
	tx.flow = 0xabcde;
	tx.tos = 0x12;
	cr_assert_eq(send_udp(&tx, 1452), 0);
	cr_assert_eq(last()->l4_off, 40);
	cr_assert_eq(last()->hdr_len, 48);
	cr_assert_eq(world_out(out), 1500);
	cr_assert_eq(get_be32(out), 0x612abcde);
	cr_assert_eq(out[6], IPPROTO_UDP);
	cr_assert_eq(out[7], 64);
}

Test(ip_out, source_and_ttl_are_chosen)
{
	struct ip_tx tx = to("224.0.0.9");

	tx.src = addr("0.0.0.0");
	cr_assert_eq(send_udp(&tx, 10), 0);
	cr_assert_eq(world_out(out), 38);
	cr_assert_eq(get_be32(out + 12), 0x0a4d0002);
	cr_assert_eq(out[8], 1);
}

Test(ip_out, fragments_have_a_complete_checksum)
{
	static const uint32_t lens[] = {1453, 1473,  1480, 3000,
					9999, 20001, 65507};

	for (int is4 = 0; is4 < 2; is4++)
		for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
			struct ip_tx tx = to(is4 ? "10.9.9.9" : "fd99::9");
			uint32_t len = lens[i], hdr = is4 ? 20 : 40;
			uint64_t sum;

			if (is4 && len < 1473)
				continue;
			cr_assert_eq(send_udp(&tx, len), 0);
			cr_assert_gt(world_num_out(), 1);
			cr_assert_eq(world_out_whole(out), hdr + 8 + len);
			cr_assert_eq(memcmp(out + hdr + 8, bytes, len), 0);
			sum = csum_pseudo(&tx.src, &tx.dst, IPPROTO_UDP,
					  8 + len);
			sum = csum_add(sum, out + hdr, 8 + len);
			cr_assert_eq(csum_fold(sum), 0);
		}
	cr_assert_eq(w.core.stats.v[STAT_IpFragOKs], 6);
	cr_assert_eq(w.core.stats.v[STAT_Ip6FragOKs], 7);
}

Test(ip_out, fragments_of_one_share_an_identifier)
{
	struct ip_tx tx = to("10.9.9.9");
	unsigned last_id = 0;

	for (int i = 0; i < 5; i++) {
		unsigned id, num = 0;

		cr_assert_eq(send_udp(&tx, 4000), 0);
		while (world_out(out)) {
			id = get_be16(out + 4);
			if (!num++)
				cr_assert_neq(id, last_id);
			else
				cr_assert_eq(id, last_id);
			last_id = id;
		}
		cr_assert_eq(num, 3);
	}
}

Test(ip_out, too_long_with_df)
{
	struct ip_tx tx = to("10.9.9.9");

	tx.df = true;
	cr_assert_eq(send_udp(&tx, 1473), -EMSGSIZE);
	pmtu_note(&w.ip, &tx.dst, 1000, w.now);
	cr_assert_eq(send_udp(&tx, 973), -EMSGSIZE);
	cr_assert_eq(send_udp(&tx, 972), 0);
	tx.dont_fragment_local = true; /* a probe knows what it does */
	cr_assert_eq(send_udp(&tx, 1472), 0);
	cr_assert_eq(send_udp(&tx, 1473), -EMSGSIZE);
	tx = to("fd99::9");
	tx.df = true;
	cr_assert_eq(send_udp(&tx, 1453), -EMSGSIZE);
	tx.df = false;
	cr_assert_eq(send_udp(&tx, 65528), -EMSGSIZE);
	tx = to("10.9.9.9");
	cr_assert_eq(send_udp(&tx, 65508), -EMSGSIZE);
	cr_assert_eq(world_num_out(), 2);
	cr_assert_eq(w.core.stats.v[STAT_IpFragFails], 4);
}

Test(ip_out, learned_mtu_makes_smaller_fragments)
{
	struct ip_tx tx = to("fd99::9");

	pmtu_note(&w.ip, &tx.dst, 1280, w.now);
	cr_assert_eq(send_udp(&tx, 1400), 0);
	cr_assert_eq(world_out(out), 1280);
	cr_assert_eq(out[6], IPPROTO_FRAGMENT);
	world_out(out);
}

Test(ip_out, below_the_lowest_mtu_df_is_off)
{
	struct ip_tx tx = to("10.9.9.9");

	tx.df = true;
	pmtu_note(&w.ip, &tx.dst, 300, w.now);
	cr_assert_eq(send_udp(&tx, 500), 0);
	cr_assert_eq(world_out(out), 528);
	cr_assert_eq(out[6], 0);
	cr_assert_eq(send_udp(&tx, 1000), 0);
	cr_assert_eq(world_num_out(), 2);
}

Test(ip_out, local_goes_to_the_loopback)
{
	struct ip_tx tx = to("10.77.0.2");

	cr_assert_eq(send_udp(&tx, 65507), 0);
	cr_assert_eq(last()->link, LINK_LO);
	cr_assert_eq(last()->csum, CSUM_PARTIAL);
	world_out(out);
	tx = to("::1");
	cr_assert_eq(send_udp(&tx, 1000), 0);
	cr_assert_eq(last()->link, LINK_LO);
}

Test(ip_out, no_route)
{
	struct ip_tx tx = to("10.9.9.9");

	w.ip.num_routes = 0;
	cr_assert_eq(send_udp(&tx, 10), -ENETUNREACH);
	cr_assert_eq(w.core.stats.v[STAT_IpOutNoRoutes], 1);
}

Test(ip_out, all_fragments_or_none)
{
	struct ip_tx tx = to("10.9.9.9");

	for (int i = 0; i < LINK_TXQ_MAX - 10; i++)
		cr_assert_eq(send_udp(&tx, 10), 0);
	cr_assert_eq(send_udp(&tx, 60000), -ENOBUFS);
	cr_assert_eq(world_num_out(), LINK_TXQ_MAX - 10);
	cr_assert(w.link.tx_starved);
	cr_assert_eq(send_udp(&tx, 10000), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(send_udp(&tx, 10), 0);
	cr_assert_eq(send_udp(&tx, 10), -ENOBUFS);
	cr_assert_eq(w.core.stats.v[STAT_IpOutDiscards], 2);
}

static struct pkt *gso(const struct ip_tx *tx, uint32_t len, uint16_t size)
{
	struct pkt *p = udp(tx, len);

	p->gso = GSO_UDP;
	p->gso_size = size;
	p->gso_segs = (uint16_t)DIV_ROUND_UP(len, size);
	return p;
}

Test(ip_out, gso_counts_identifiers)
{
	struct ip_tx tx = to("10.9.9.9");
	unsigned id;

	tx.df = true;
	cr_assert_eq(ip_out(&w.ip, gso(&tx, 14000, 1400), &tx, w.now), 0);
	cr_assert_eq(last()->gso, GSO_UDP);
	cr_assert_eq(last()->hdr_len, 28);
	cr_assert_eq(world_out(out), 14028);
	id = get_be16(out + 4);
	cr_assert_eq(ip_out(&w.ip, gso(&tx, 14000, 1400), &tx, w.now), 0);
	world_out(out);
	cr_assert_eq((uint16_t)(get_be16(out + 4) - id), 10);
	cr_assert_eq(ip_out(&w.ip, gso(&tx, 14000, 1473), &tx, w.now),
		     -EMSGSIZE);
}

/* Cuts that don't fit the path are fragmented, each with its own identifier. */
Test(ip_out, gso_over_a_narrow_path)
{
	for (int is4 = 0; is4 < 2; is4++) {
		struct ip_tx tx = to(is4 ? "10.9.9.9" : "fd99::9");
		uint32_t hdr = is4 ? 20 : 40, ids[4] = {0};

		pmtu_note(&w.ip, &tx.dst, 1280, w.now);
		cr_assert_eq(ip_out(&w.ip, gso(&tx, 4000, 1400), &tx, w.now),
			     0);
		cr_assert_eq(world_num_out(), 5);
		for (uint32_t i = 0; i < 3; i++) {
			uint32_t n = i < 2 ? 1400 : 1200, len;
			uint64_t sum;

			if (i == 2) { /* no fragment header if it fits */
				cr_assert_eq(world_num_out(), 1);
				cr_assert_eq(world_out(out), hdr + 8 + n);
				cr_assert_eq(out[is4 ? 9 : 6], IPPROTO_UDP);
				len = hdr + 8 + n;
			} else {
				len = world_out_whole(out);
			}
			cr_assert_eq(len, hdr + 8 + n);
			cr_assert_eq(memcmp(out + hdr + 8, bytes + i * 1400, n),
				     0);
			ids[i] = get_be16(out + 4);
			sum = csum_pseudo(&tx.src, &tx.dst, IPPROTO_UDP, 8 + n);
			sum = csum_add(sum, out + hdr, 8 + n);
			cr_assert_eq(csum_fold(sum), 0);
			if (is4 && i)
				cr_assert_eq((uint16_t)(ids[i] - ids[i - 1]),
					     1);
		}
	}
}

Test(ip_out, the_cookie_travels_with_the_last_fragment)
{
	struct ip_tx tx = to("fd99::9");
	struct pkt *p = udp(&tx, 3000);
	unsigned num = 0;

	p->cookie = 77;
	p->charge = 4000;
	cr_assert_eq(ip_out(&w.ip, p, &tx, w.now), 0);
	for (struct list *n = w.link.txq.next; n != &w.link.txq; n = n->next) {
		struct pkt *q = list_entry(n, struct pkt, node);
		bool is_last = n->next == &w.link.txq;

		num++;
		cr_assert_eq(q->cookie, is_last ? 77u : 0u);
		cr_assert_eq(q->charge, is_last ? 4000u : 0u);
		cr_assert_eq(q->l4_off, 48);
	}
	cr_assert_eq(num, 3);
}
