/* SPDX-License-Identifier: MIT */
#include "link/link.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "base/csum.h"
#include "link/offload.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

static struct core core;
static struct link l;

/* --- what is above: remembers what it was told --- */

#define MAX_UP 4096

static struct frame *got[MAX_UP];
static unsigned num_got, num_room_again, num_done;
static uint64_t done_cookie;
static uint32_t done_charge;
static int done_res;

void link_deliver(struct ip *ip, struct frame *f, nsec now)
{
	cr_assert_lt(num_got, MAX_UP);
	got[num_got++] = f;
}

void link_tx_room_again(struct ip *ip, nsec now)
{
	num_room_again++;
}

void link_tx_stamp(struct ip *ip, const struct pkt *p, uint32_t type, nsec now)
{
}

void link_charge(struct ip *ip, uint64_t cookie, uint32_t charge)
{
}

void link_tx_done(struct ip *ip, uint64_t cookie, uint32_t charge, int res,
		  nsec now)
{
	num_done++;
	done_cookie = cookie;
	done_charge = charge;
	done_res = res;
}

/* --- set up --- */

static struct link_cfg cfg;
static struct impair_cfg impair_cfg[2];

static void setup(void)
{
	static const uint8_t seed[32] = {9};

	core.arena = arena_new_malloc((size_t)256 << 20);
	timers_init(&core.timers, core.arena);
	rng_init(&core.rng, seed, 0);
	rng_key(&core.rng, &core.hash_key);
	log_init(&core.log, LOG_OFF);
	cfg = (struct link_cfg){.mtu = 1500};
}

static void start(const char *impair, uint32_t capture)
{
	bool has_in = false, has_out = false;
	const char *bad;

	if (impair)
		cr_assert_eq(impair_parse(impair, &impair_cfg[0], &has_in,
					  &impair_cfg[1], &has_out, &bad),
			     0);
	cfg.impair_in = has_in ? &impair_cfg[0] : NULL;
	cfg.impair_out = has_out ? &impair_cfg[1] : NULL;
	cfg.capture_ring = capture;
	cr_assert_eq(link_init(&l, &core, NULL, &cfg), 0);
}

static void forget(void)
{
	while (num_got)
		frame_put(core.arena, got[--num_got]);
}

static void teardown(void)
{
	forget();
	link_fini(&l);
	cr_assert_eq(timers_num_armed(&core.timers), 0);
	timers_fini(&core.timers);
	cr_assert_eq(arena_used(core.arena), 0);
	arena_destroy_malloc(core.arena);
}

TestSuite(link, .init = setup, .fini = teardown);

/* --- packets --- */

static struct ip_addr addr(const char *s)
{
	struct ip_addr a;

	cr_assert_eq(ip_addr_parse(s, &a), 0);
	return a;
}

struct want {
	bool is6;
	uint8_t proto;
	uint32_t payload;
	uint16_t gso_size; /* 0: an ordinary packet */
	uint8_t flags;
};

static uint8_t pattern(uint32_t i)
{
	return (uint8_t)(i * 31 + (i >> 8));
}

static void add_payload(struct pkt *p, uint32_t len)
{
	uint32_t done = 0;

	/* pieces of odd lengths */
	while (done < len) {
		uint32_t n = MIN(len - done, 16001u);
		struct chunk *c = chunk_new(core.arena, n);

		for (uint32_t i = 0; i < n; i++)
			c->data[i] = pattern(done + i);
		cr_assert_eq(pkt_add(p, &c->b, c->data, n), 0);
		buf_put(core.arena, &c->b);
		done += n;
	}
}

static void push_l4(struct pkt *p, const struct want *w, uint64_t pseudo)
{
	uint16_t seed = csum_fold_raw(pseudo);

	if (w->proto == IPPROTO_TCP) {
		struct tcp_repr r = {.src_port = 4242,
				     .dst_port = 80,
				     .seq = 1000,
				     .ack = 7,
				     .window = 500,
				     .flags = w->flags,
				     .has_ts = true,
				     .ts_val = 99,
				     .csum = seed};

		tcp_emit(&r, pkt_push(p, tcp_emit_len(&r)));
	} else {
		struct udp_repr r = {.src_port = 53,
				     .dst_port = 4000,
				     .len = (uint16_t)(p->len + UDP_HLEN),
				     .csum = seed};

		udp_emit(&r, pkt_push(p, UDP_HLEN));
	}
}

static void push_l3(struct pkt *p, const struct want *w)
{
	if (w->is6) {
		struct ip6_repr r = {.src = addr("fd77::2"),
				     .dst = addr("fd77::1"),
				     .payload_len = (uint16_t)p->len,
				     .hop_limit = 64,
				     .next = w->proto};

		ip6_emit(&r, pkt_push(p, IP6_HLEN));
	} else {
		struct ip4_repr r = {.src = addr("10.77.0.2"),
				     .dst = addr("10.77.0.1"),
				     .total_len = (uint16_t)(p->len + 20),
				     .id = 0xfffe,
				     .hdr_len = 20,
				     .ttl = 64,
				     .df = true,
				     .proto = w->proto};

		ip4_emit(&r, pkt_push(p, IP4_HLEN));
	}
}

static struct pkt *make(const struct want *w)
{
	struct ip_addr src = addr(w->is6 ? "fd77::2" : "10.77.0.2");
	struct ip_addr dst = addr(w->is6 ? "fd77::1" : "10.77.0.1");
	struct pkt *p = pkt_new(core.arena);
	uint32_t l4 = w->proto == IPPROTO_TCP ? 32 : 8;

	add_payload(p, w->payload);
	push_l4(p, w, csum_pseudo(&src, &dst, w->proto, w->payload + l4));
	push_l3(p, w);
	p->l4_off = w->is6 ? 40 : 20;
	p->hdr_len = (uint16_t)(p->l4_off + l4);
	p->csum = CSUM_PARTIAL;
	p->link = LINK_DEV;
	if (w->gso_size) {
		p->gso = w->proto == IPPROTO_UDP ? GSO_UDP
			 : w->is6		 ? GSO_TCP6
						 : GSO_TCP4;
		p->gso_size = w->gso_size;
		p->gso_segs = (uint16_t)DIV_ROUND_UP(w->payload, w->gso_size);
	}
	return p;
}

static struct pkt *small(uint32_t payload)
{
	return make(&(struct want){.proto = IPPROTO_UDP, .payload = payload});
}

static struct frame *frame_of(struct pkt *p) /* frees @p */
{
	struct frame *f = frame_new(core.arena, p->len);

	pkt_copy_out(p, f->data);
	f->len = p->len;
	f->csum = p->csum;
	f->gso = p->gso;
	f->gso_size = p->gso_size;
	if (p->csum == CSUM_PARTIAL)
		f->l4_off = p->l4_off;
	pkt_free(core.arena, p);
	return f;
}

/* --- checking what goes over a wire --- */

/* Segment @i of what @w was: checksums right, its bytes, its numbers. */
static void check_wire(const uint8_t *p, size_t len, const struct want *w,
		       unsigned i)
{
	uint32_t off = i * (uint32_t)w->gso_size, payload;
	struct ip_addr src, dst;
	const uint8_t *l4, *data;
	size_t l4_len;

	if (w->is6) {
		struct ip6_repr r;

		cr_assert_eq(ip6_parse(&r, p, len), DROP_NONE);
		cr_assert_eq((size_t)r.payload_len + 40, len);
		src = r.src;
		dst = r.dst;
		l4 = p + 40;
	} else {
		struct ip4_repr r;

		cr_assert_eq(ip4_parse(&r, p, len), DROP_NONE);
		cr_assert_eq(r.total_len, len);
		cr_assert_eq(r.id, (uint16_t)(0xfffe + i));
		src = r.src;
		dst = r.dst;
		l4 = p + 20;
	}
	l4_len = len - (size_t)(l4 - p);
	if (w->proto == IPPROTO_TCP) {
		struct tcp_repr r;
		uint8_t flags = w->flags;

		cr_assert_eq(tcp_parse(&r, &src, &dst, l4, l4_len, CSUM_NONE),
			     DROP_NONE);
		payload = (uint32_t)l4_len - r.hdr_len;
		if (i)
			flags &= (uint8_t)~TCP_CWR;
		if (off + payload < w->payload)
			flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		cr_assert_eq(r.flags, flags);
		cr_assert_eq(r.seq, 1000 + off);
		data = l4 + r.hdr_len;
	} else {
		struct udp_repr r;

		cr_assert_eq(udp_parse(&r, &src, &dst, l4, l4_len, CSUM_NONE),
			     DROP_NONE);
		cr_assert_neq(r.csum, 0);
		payload = r.len - 8u;
		data = l4 + 8;
	}
	cr_assert_eq(payload,
		     w->gso_size ? MIN((uint32_t)w->gso_size, w->payload - off)
				 : w->payload);
	for (uint32_t k = 0; k < payload; k++)
		cr_assert_eq(data[k], pattern(off + k));
}

static void check_pkt(const struct pkt *p, const struct want *w, unsigned i)
{
	uint8_t *flat = malloc(p->len);

	pkt_copy_out(p, flat);
	check_wire(flat, p->len, w, i);
	free(flat);
}

static const struct want wants[] = {
	{.proto = IPPROTO_TCP,
	 .payload = 60000,
	 .gso_size = 1448,
	 .flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR},
	{.is6 = true,
	 .proto = IPPROTO_TCP,
	 .payload = 40001,
	 .gso_size = 1427,
	 .flags = TCP_ACK | TCP_PSH},
	{.proto = IPPROTO_UDP, .payload = 5000, .gso_size = 999},
	{.is6 = true, .proto = IPPROTO_UDP, .payload = 4000, .gso_size = 1000},
	{.proto = IPPROTO_TCP,
	 .payload = 100,
	 .gso_size = 1448,
	 .flags = TCP_ACK | TCP_FIN},
};

static const struct want singles[] = {
	{.proto = IPPROTO_TCP, .payload = 1001, .flags = TCP_ACK},
	{.is6 = true, .proto = IPPROTO_TCP, .payload = 0, .flags = TCP_SYN},
	{.proto = IPPROTO_UDP, .payload = 0},
	{.is6 = true, .proto = IPPROTO_UDP, .payload = 17000},
};

/* --- offload --- */

Test(link, cut_makes_what_hardware_makes)
{
	start(NULL, 0);
	for (size_t t = 0; t < ARRAY_SIZE(wants); t++) {
		struct pkt *p = make(&wants[t]);
		unsigned segs = p->gso_segs, i = 0;
		struct list out, *n;

		p->cookie = 5;
		p->charge = 100;
		list_init(&out);
		cr_assert_eq(offload_cut(core.arena, p, &out), 0);
		while ((n = list_pop(&out))) {
			struct pkt *q = list_entry(n, struct pkt, node);

			check_pkt(q, &wants[t], i++);
			cr_assert_eq(q->cookie, i == segs ? 5u : 0u);
			cr_assert_eq(q->gso, GSO_NONE);
			cr_assert_eq(q->csum, CSUM_NONE);
			pkt_free(core.arena, q);
		}
		cr_assert_eq(i, segs);
	}
}

Test(link, checksums_are_completed)
{
	start(NULL, 0);
	for (size_t t = 0; t < ARRAY_SIZE(singles); t++) {
		struct pkt *p = make(&singles[t]);
		struct frame *f = frame_of(make(&singles[t]));

		offload_csum(p);
		offload_csum(p); /* once is enough */
		check_pkt(p, &singles[t], 0);
		pkt_free(core.arena, p);
		offload_csum_frame(f);
		cr_assert_eq(f->csum, CSUM_VALID);
		check_wire(f->data, f->len, &singles[t], 0);
		frame_put(core.arena, f);
	}
}

/* the edge's way: headers and iovecs, outside the lock */
static void segment(const struct want *w)
{
	struct pkt *p = make(w);
	struct iovec v[PKT_MAX_V], out[PKT_MAX_V];
	struct offload_view view = {
		.hdr = pkt_head(p),
		.l4_off = p->l4_off,
		.hdr_len = p->hdr_len,
		.gso_size = p->gso_size,
		.gso_segs = p->gso ? p->gso_segs : 1,
		.gso = p->gso,
		.csum = p->csum,
		.v = v,
		.num_v = p->num_v,
		.payload_len = p->len - p->hdr_len,
	};

	for (unsigned k = 0; k < p->num_v; k++)
		v[k] = (struct iovec){p->v[k].p, p->v[k].len};
	for (unsigned i = 0; i < view.gso_segs; i++) {
		static uint8_t flat[65536];
		size_t len = view.hdr_len;
		unsigned n = offload_segment(&view, i, flat, out, PKT_MAX_V);

		for (unsigned k = 0; k < n; k++) {
			memcpy(flat + len, out[k].iov_base, out[k].iov_len);
			len += out[k].iov_len;
		}
		check_wire(flat, len, w, i);
	}
	pkt_free(core.arena, p);
}

Test(link, segments_for_the_edge)
{
	start(NULL, 0);
	for (size_t t = 0; t < ARRAY_SIZE(wants); t++)
		segment(&wants[t]);
	for (size_t t = 0; t < ARRAY_SIZE(singles); t++)
		segment(&singles[t]);
}

/* --- the queue --- */

Test(link, goes_through_as_it_is)
{
	struct pkt *p = make(&wants[0]), *q;

	start(NULL, 0);
	p->cookie = 77;
	p->charge = 123;
	cr_assert_eq(link_tx(&l, p, 0), 0);
	q = link_take(&l, 0);
	cr_assert_eq(q, p);
	cr_assert_eq(q->gso, GSO_TCP4);
	cr_assert_null(link_take(&l, 0));
	link_taken_done(&l, q, 60052, 0);
	cr_assert_eq(num_done, 1);
	cr_assert_eq(done_cookie, 77);
	cr_assert_eq(done_charge, 123);
	cr_assert_eq(done_res, 60052);
	cr_assert_eq(core.stats.v[STAT_LinkTxPackets], 1);
	cr_assert_eq(link_next_at(&l), TIME_NEVER);
}

Test(link, refused_by_the_device)
{
	start(NULL, 0);
	link_tx(&l, small(10), 0);
	link_taken_done(&l, link_take(&l, 0), -EIO, 0);
	cr_assert_eq(core.stats.v[STAT_LinkTxErrors], 1);
	cr_assert_eq(core.stats.drop[DROP_LINK_DOWN], 1);
	cr_assert_eq(num_done, 0); /* no cookie */
}

Test(link, full_queue_refuses_and_tells_when_there_is_room)
{
	start(NULL, 0);
	cr_assert_eq(link_tx_room(&l), LINK_TXQ_MAX);
	for (int i = 0; i < LINK_TXQ_MAX; i++)
		cr_assert_eq(link_tx(&l, small(10), 0), 0);
	cr_assert_eq(link_tx_room(&l), 0);
	cr_assert_eq(link_tx(&l, small(10), 0), -ENOBUFS);
	cr_assert_eq(core.stats.drop[DROP_TXQ_FULL], 1);
	for (int i = 0; i < LINK_TXQ_MAX / 2; i++) {
		cr_assert_eq(num_room_again, 0);
		link_taken_done(&l, link_take(&l, 0), 0, 0);
	}
	cr_assert_eq(num_room_again, 1);
	cr_assert_eq(link_tx_room(&l), LINK_TXQ_MAX / 2);
}

/* --- loopback --- */

Test(link, loops_back_later_and_whole)
{
	struct pkt *p = make(&wants[0]);

	start(NULL, 0);
	p->link = LINK_LO;
	p->cookie = 5;
	cr_assert_eq(link_tx(&l, p, 3), 0);
	cr_assert_eq(num_got, 0);
	cr_assert_eq(num_done, 0);
	cr_assert_eq(link_next_at(&l), 0);
	cr_assert_eq(link_tick(&l, 10, 4), 1);
	cr_assert_eq(num_got, 1);
	cr_assert_eq(num_done, 1);
	cr_assert_eq(got[0]->len, 60052);
	cr_assert_eq(got[0]->gso, GSO_TCP4);
	cr_assert_eq(got[0]->gso_size, 1448);
	cr_assert_eq(got[0]->csum, CSUM_PARTIAL);
	cr_assert_eq(got[0]->link, LINK_LO);
	cr_assert(got[0]->flags & FRAME_F_LOOP);
	cr_assert_eq(link_next_at(&l), TIME_NEVER);
	cr_assert_null(link_take(&l, 4));
}

Test(link, loop_is_bounded)
{
	unsigned n = 0;
	int err;

	start(NULL, 0);
	do {
		struct pkt *p = small(1);

		p->link = LINK_LO;
		err = link_tx(&l, p, 0);
		n++;
	} while (!err);
	cr_assert_eq(err, -ENOBUFS);
	cr_assert_eq(n, 1025);
	cr_assert_eq(link_tick(&l, 100, 0), 100);
	cr_assert_eq(num_room_again, 0);
	while (link_tick(&l, 100, 0))
		;
	cr_assert_eq(num_got, 1024);
	cr_assert_eq(num_room_again, 1);
}

/* --- up --- */

Test(link, frames_go_up_untouched)
{
	struct frame *f = frame_of(make(&wants[0]));

	start(NULL, 0);
	link_rx(&l, f, 0);
	cr_assert_eq(num_got, 1);
	cr_assert_eq(got[0], f);
	cr_assert_eq(got[0]->csum, CSUM_PARTIAL);
	cr_assert_eq(core.stats.v[STAT_LinkRxPackets], 1);
	cr_assert_eq(core.stats.v[STAT_LinkRxBytes], 60052);
}

/* under impair everything is cut to what a wire carries, both ways */
Test(link, wire_sized_under_impair)
{
	start("limit 1000", 0);
	for (size_t t = 0; t < ARRAY_SIZE(wants); t++) {
		struct frame *f = frame_of(make(&wants[t]));
		struct pkt *p = make(&wants[t]), *q;
		unsigned segs = p->gso_segs, i = 0;

		link_rx(&l, f, 0);
		while (num_got < segs && link_tick(&l, 64, 0))
			;
		cr_assert_eq(num_got, segs);
		for (unsigned k = 0; k < num_got; k++) {
			check_wire(got[k]->data, got[k]->len, &wants[t], k);
			cr_assert_eq(got[k]->csum, CSUM_VALID);
			cr_assert_eq(got[k]->gso, GSO_NONE);
		}
		forget();
		cr_assert_eq(link_tx(&l, p, 0), 0);
		while ((q = link_take(&l, 0))) {
			check_pkt(q, &wants[t], i++);
			link_taken_done(&l, q, 0, 0);
		}
		cr_assert_eq(i, segs);
	}
}

Test(link, lying_gso_frames_are_dropped)
{
	struct frame *f;

	start("limit 1000", 0);
	for (uint32_t len = 0; len < 60; len++) {
		f = frame_of(make(&wants[0]));
		f->len = len;
		link_rx(&l, f, 0);
	}
	f = frame_of(make(&wants[0]));
	f->gso_size = 0;
	link_rx(&l, f, 0);
	f = frame_of(make(&wants[0]));
	f->data[32] = 0xf0; /* TCP header longer than it is: still inside */
	f->len = 70;
	link_rx(&l, f, 0);
	f = frame_of(small(10));
	f->l4_off = 60000; /* a checksum beyond the end */
	link_rx(&l, f, 0);
	link_tick(&l, 64, 0);
	cr_assert_eq(core.stats.drop[DROP_TOO_SHORT], 54);
}

/* --- impair through the link --- */

Test(link, delay_holds_back_and_the_timer_lets_go)
{
	struct pkt *p;

	start("out: delay 10ms", 0);
	link_tx(&l, small(1), 5 * MSEC);
	cr_assert_null(link_take(&l, 5 * MSEC));
	cr_assert_eq(link_next_at(&l), 15 * MSEC);
	cr_assert_eq(timers_next_at(&core.timers), 15 * MSEC);
	cr_assert_null(timers_pop(&core.timers, 15 * MSEC - 1));
	cr_assert_eq(timers_pop(&core.timers, 15 * MSEC), &l.timer);
	link_timer(&l, 15 * MSEC);
	p = link_take(&l, 15 * MSEC);
	cr_assert(p);
	link_taken_done(&l, p, 0, 15 * MSEC);
	cr_assert_eq(timers_num_armed(&core.timers), 0);
	link_rx(&l, frame_of(small(1)), 0); /* the other way is free */
	cr_assert_eq(num_got, 1);
}

Test(link, lost_packets_are_told_of)
{
	struct pkt *p = small(1);

	start("out: loss 100%", 0);
	p->cookie = 9;
	p->charge = 11;
	cr_assert_eq(link_tx(&l, p, 0), 0); /* as the kernel's: it was sent */
	cr_assert_null(link_take(&l, 0));
	cr_assert_eq(num_done, 1);
	cr_assert_eq(done_cookie, 9);
	cr_assert_eq(done_charge, 11);
	cr_assert_eq(done_res, -ENOBUFS);
}

Test(link, impaired_wait_for_room_in_the_queue)
{
	start("out: delay 1ms limit 2000", 0);
	for (int i = 0; i < 600; i++)
		cr_assert_eq(link_tx(&l, small(1), 0), 0);
	cr_assert_eq(link_tick(&l, 64, MSEC), 0);
	cr_assert_eq(link_tx_room(&l), 0);
	cr_assert_eq(link_next_at(&l), TIME_NEVER); /* until one is taken */
	for (int i = 0; i < 600; i++) {
		struct pkt *p = link_take(&l, MSEC);

		cr_assert(p);
		link_taken_done(&l, p, 0, MSEC);
	}
	cr_assert_null(link_take(&l, MSEC));
}

Test(link, what_is_left_is_freed)
{
	struct pkt *p = small(3);

	start("delay 1s", 4096);
	link_tx(&l, small(1), 0);
	link_rx(&l, frame_of(small(2)), 0);
	p->link = LINK_LO;
	link_tx(&l, p, 0);
	cr_assert_eq(num_got, 0);
}

/* --- capture --- */

Test(link, capture_sees_wire_packets_both_ways)
{
	static uint8_t out[65536 * 2];
	struct capture_rec rec;
	size_t n, at = 0;
	unsigned segs = (unsigned)DIV_ROUND_UP(60000, 1448);
	struct pkt *q;

	start(NULL, 256 << 10);
	link_tx(&l, make(&wants[0]), 77);
	while ((q = link_take(&l, 77)))
		link_taken_done(&l, q, 0, 77);
	link_rx(&l, frame_of(make(&singles[0])), 78);
	n = link_capture_drain(&l, out, sizeof(out));
	for (unsigned i = 0; i <= segs; i++) {
		bool is_last = i == segs;

		memcpy(&rec, out + at, sizeof(rec));
		at += sizeof(rec);
		cr_assert_eq(rec.at, is_last ? 78 : 77);
		cr_assert_eq(rec.len, rec.orig);
		check_wire(out + at, rec.len, is_last ? &singles[0] : &wants[0],
			   is_last ? 0 : i);
		at += rec.len;
	}
	cr_assert_eq(at, n);
	cr_assert_eq(link_capture_drain(&l, out, sizeof(out)), 0);
}

Test(link, capture_ring_loses_whole_records)
{
	static uint8_t out[4096];
	unsigned seen = 0;

	start(NULL, 4096);
	for (int round = 0; round < 20; round++) {
		size_t n, at = 0;

		for (int i = 0; i < 5; i++)
			link_rx(&l, frame_of(small(1000)), round);
		/* a small buffer takes what fits */
		while ((n = link_capture_drain(&l, out, 1100))) {
			struct capture_rec rec;

			memcpy(&rec, out, sizeof(rec));
			cr_assert_eq(n, sizeof(rec) + rec.len);
			cr_assert_eq(rec.len, 1028);
			at += n;
			seen++;
		}
		cr_assert_gt(at, 0);
		forget();
	}
	cr_assert_eq(seen + core.stats.v[STAT_CaptureLost], 100);
	cr_assert_eq(seen, 60);
}
