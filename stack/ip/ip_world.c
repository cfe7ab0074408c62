/* SPDX-License-Identifier: MIT */
#include "ip/ip_world.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "base/csum.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

struct world w;

/* --- the link and the transport --- */

int link_tx(struct link *l, struct pkt *p, nsec now)
{
	if (l->num_txq == LINK_TXQ_MAX) {
		pkt_free(w.arena, p);
		l->tx_starved = true;
		return -ENOBUFS;
	}
	list_push(&l->txq, &p->node);
	l->num_txq++;
	return 0;
}

unsigned link_tx_room(const struct link *l)
{
	return LINK_TXQ_MAX - l->num_txq;
}

bool ip_deliver_raw(struct transport *tp, const struct ip_rx *rx, nsec now)
{
	return false;
}

void link_tx_stamp(struct ip *ip, const struct pkt *p, uint32_t type, nsec now)
{
}

void link_tx_done(struct ip *ip, uint64_t cookie, uint32_t charge, int res,
		  nsec now)
{
}

enum ip_verdict ip_deliver(struct transport *tp, const struct ip_rx *rx,
			   nsec now)
{
	w.num_rx++;
	w.rx = *rx;
	w.l4_len = rx->l4_len;
	memcpy(w.l4, rx->l4, rx->l4_len);
	return rx->proto == IPPROTO_UDP || rx->proto == IPPROTO_TCP
		       ? w.verdict
		       : IP_NO_PROTO;
}

void ip_deliver_error(struct transport *tp, const struct ip_error *e, nsec now)
{
	w.num_errors++;
	w.error = *e;
}

/* --- life --- */

/* Not those of sysctl.c: it knows of layers above. */
static const struct sysctl_values defaults = {
#define SYSCTL(id, name, def, lo, hi, text) .id = def,
#include "sysctl.def"
#undef SYSCTL
};

struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	cr_assert_eq(ip_addr_parse(text, &a), 0, "%s", text);
	return a;
}

void world_init(void)
{
	static const uint8_t seed[32] = {7};
	struct ip_addr any4 = addr("0.0.0.0"), any6 = addr("::");
	struct ip_addr gw4 = addr("10.77.0.1"), gw6 = addr("fd77::1");
	struct ip_addr own4 = addr("10.77.0.2"), own6 = addr("fd77::2");

	memset(&w, 0, sizeof(w));
	w.arena = arena_new_malloc(64u << 20);
	w.now = 1000 * SEC;
	w.sysctl = defaults;
	w.core.arena = w.arena;
	w.core.sysctl = &w.sysctl;
	timers_init(&w.core.timers, w.arena);
	rng_init(&w.core.rng, seed, 1);
	rng_key(&w.core.rng, &w.core.hash_key);
	log_init(&w.core.log, LOG_OFF);
	w.link.core = &w.core;
	w.link.ip = &w.ip;
	w.link.mtu = 1500;
	list_init(&w.link.txq);
	cr_assert_eq(ip_init(&w.ip, &w.core, &w.link, NULL), 0);
	cr_assert_eq(ip_addr_add(&w.ip, &own4, 24), 0);
	cr_assert_eq(ip_addr_add(&w.ip, &own6, 64), 0);
	cr_assert_eq(ip_route_add(&w.ip, &any4, 0, &gw4), 0);
	cr_assert_eq(ip_route_add(&w.ip, &any6, 0, &gw6), 0);
}

void world_fini(void)
{
	struct pkt *p;

	while ((p = list_first(&w.link.txq, struct pkt, node))) {
		list_remove(&p->node);
		pkt_free(w.arena, p);
	}
	ip_fini(&w.ip);
	timers_fini(&w.core.timers);
	cr_assert_eq(arena_used(w.arena), 0, "leaked %zu bytes",
		     arena_used(w.arena));
	arena_destroy_malloc(w.arena);
}

/* --- packets --- */

void world_in_flags(const uint8_t *p, uint32_t len, uint8_t csum, uint8_t flags)
{
	struct frame *f = frame_new(w.arena, len);

	cr_assert(f);
	memcpy(f->data, p, len);
	f->len = len;
	f->csum = csum;
	f->flags = flags;
	link_deliver(&w.ip, f, w.now);
}

void world_in(const uint8_t *p, uint32_t len)
{
	world_in_flags(p, len, CSUM_NONE, 0);
}

unsigned world_num_out(void)
{
	return w.link.num_txq;
}

uint32_t world_out(uint8_t *p)
{
	struct list *n = list_pop(&w.link.txq);
	struct pkt *pkt;
	uint32_t len;

	if (!n)
		return 0;
	w.link.num_txq--;
	pkt = list_entry(n, struct pkt, node);
	pkt_copy_out(pkt, p);
	len = pkt->len;
	if (p[0] >> 4 == 4) {
		cr_assert_eq(csum_fold(csum_add(0, p, (p[0] & 0xfu) * 4)), 0);
		cr_assert_eq(get_be16(p + 2), len);
	} else {
		cr_assert_eq(get_be16(p + 4) + IP6_HLEN, len);
	}
	pkt_free(w.arena, pkt);
	return len;
}

uint32_t world_out_whole(uint8_t *p)
{
	static uint8_t one[70000];
	uint32_t len, total = 0, end = 0, l3 = 0;

	while ((len = world_out(one))) {
		bool is4 = one[0] >> 4 == 4;
		bool is_frag6 = !is4 && one[6] == IPPROTO_FRAGMENT;
		uint32_t hdr = is4 ? IP4_HLEN : IP6_HLEN;
		uint32_t skip = hdr + (is_frag6 ? IP6_FRAG_HLEN : 0);
		uint32_t off = 0;
		bool more = false;

		cr_assert_leq(len, w.link.mtu);
		if (is4) {
			off = (get_be16(one + 6) & 0x1fffu) * 8;
			more = one[6] & 0x20;
		} else if (is_frag6) {
			off = get_be16(one + hdr + 2) & 0xfff8u;
			more = one[hdr + 3] & 1;
		}
		if (off == 0) {
			memcpy(p, one, hdr);
			if (is_frag6)
				p[6] = one[hdr];
		}
		memcpy(p + hdr + off, one + skip, len - skip);
		total += len - skip;
		l3 = hdr;
		if (!more) {
			end = off + len - skip;
			break;
		}
	}
	cr_assert_eq(total, end);
	return l3 + total;
}

uint32_t build(const struct build *b, uint8_t *p)
{
	struct ip_addr dst = addr(b->dst ? b->dst : "10.77.0.2");
	bool is4 = ip_addr_is4(&dst);
	struct ip_addr src = addr(b->src ? b->src
				  : is4	 ? "10.77.0.1"
					 : "fd77::1");
	struct ip4_repr r4 = {
		.src = src,
		.dst = dst,
		.total_len = (uint16_t)(IP4_HLEN + b->len),
		.id = (uint16_t)b->id,
		.frag_off = (uint16_t)b->frag_off,
		.hdr_len = IP4_HLEN,
		.tos = b->tos,
		.ttl = b->ttl ? b->ttl : 64,
		.proto = b->proto,
		.mf = b->more,
	};
	struct ip6_repr r6 = {
		.src = src,
		.dst = dst,
		.payload_len = (uint16_t)(b->len + (b->is_frag ? 8 : 0)),
		.tclass = b->tos,
		.hop_limit = b->ttl ? b->ttl : 64,
		.next = b->is_frag ? IPPROTO_FRAGMENT : b->proto,
	};
	uint32_t hdr = is4 ? IP4_HLEN : IP6_HLEN;

	if (is4) {
		ip4_emit(&r4, p);
	} else {
		ip6_emit(&r6, p);
		if (b->is_frag) {
			ip6_frag_emit(b->proto, (uint16_t)b->frag_off, b->more,
				      b->id, p + hdr);
			hdr += IP6_FRAG_HLEN;
		}
	}
	memcpy(p + hdr, b->body, b->len);
	return hdr + b->len;
}

static void pattern(uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8));
}

uint32_t build_echo(bool is4, uint32_t len, uint8_t *icmp)
{
	struct ip_addr src = addr(is4 ? "10.77.0.1" : "fd77::1");
	struct ip_addr dst = addr(is4 ? "10.77.0.2" : "fd77::2");
	struct icmp_repr r = {
		.type = is4 ? ICMP4_ECHO : ICMP6_ECHO,
		.rest = 0x12345678,
		.body_len = len,
	};

	pattern(icmp + ICMP_HLEN, len);
	icmp_emit(&r, &src, &dst, csum_add(0, icmp + ICMP_HLEN, len), icmp);
	return ICMP_HLEN + len;
}

uint32_t build_udp(bool is4, uint32_t len, uint8_t *udp)
{
	struct ip_addr src = addr(is4 ? "10.77.0.1" : "fd77::1");
	struct ip_addr dst = addr(is4 ? "10.77.0.2" : "fd77::2");
	uint16_t csum;

	put_be16(udp, 4242);
	put_be16(udp + 2, WORLD_PORT);
	put_be16(udp + 4, (uint16_t)(8 + len));
	put_be16(udp + 6, 0);
	pattern(udp + 8, len);
	csum = csum_fold(csum_add(csum_pseudo(&src, &dst, IPPROTO_UDP, 8 + len),
				  udp, 8 + len));
	memcpy(udp + 6, &csum, sizeof(csum));
	return 8 + len;
}
