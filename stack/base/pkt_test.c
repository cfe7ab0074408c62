/* SPDX-License-Identifier: MIT */
#include "base/pkt.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/csum.h"

static struct arena *a;

static void setup(void)
{
	a = arena_new_malloc((size_t)1 << 20);
}

static void teardown(void)
{
	cr_assert_eq(arena_used(a), 0);
	arena_destroy_malloc(a);
}

TestSuite(pkt, .init = setup, .fini = teardown);

Test(pkt, frames_and_chunks)
{
	struct frame *f = frame_new(a, FRAME_SMALL);
	struct chunk *c = chunk_new(a, CHUNK_SIZE);

	cr_assert_eq(f->room, FRAME_SMALL);
	cr_assert_eq((uintptr_t)f->data % 16, 0);
	cr_assert_eq(f->len, 0);
	cr_assert_eq(f->csum, CSUM_NONE);
	cr_assert_eq(f->b.size, arena_charge(FRAME_SMALL + sizeof(*f)));
	memset(f->data, 1, f->room);
	cr_assert_eq(c->room, CHUNK_SIZE);
	cr_assert_eq(c->used, 0);
	memset(c->data, 1, c->room);
	cr_assert_eq(arena_used(a), f->b.size + c->b.size);
	frame_get(f);
	frame_put(a, f);
	cr_assert_eq(f->b.ref, 1);
	frame_put(a, f);
	frame_put(a, NULL);
	buf_put(a, &c->b);
	cr_assert_null(frame_new(a, 2 << 20));
	cr_assert_null(chunk_new(a, 2 << 20));
}

Test(pkt, headers_grow_to_the_front)
{
	struct pkt *p = pkt_new(a);
	uint8_t out[PKT_ROOM];

	cr_assert_eq(pkt_head_len(p), 0);
	memcpy(pkt_push(p, 3), "tcp", 3);
	memcpy(pkt_push(p, 2), "ip", 2);
	cr_assert_eq(p->len, 5);
	cr_assert_eq(pkt_head_len(p), 5);
	pkt_copy_out(p, out);
	cr_assert_arr_eq(out, "iptcp", 5);
	cr_assert_null(pkt_push(p, PKT_ROOM - 4));
	cr_assert_eq(p->len, 5);
	cr_assert(pkt_push(p, PKT_ROOM - 5));
	cr_assert_null(pkt_push(p, 1));
	pkt_free(a, p);
}

Test(pkt, payload_is_referred_to)
{
	struct pkt *p = pkt_new(a);
	struct chunk *c = chunk_new(a, 100), *d = chunk_new(a, 100);
	uint8_t out[64];

	for (int i = 0; i < 100; i++)
		c->data[i] = d->data[i] = (uint8_t)(i * 7);
	memcpy(pkt_push(p, 4), "head", 4);
	cr_assert_eq(pkt_add(p, &c->b, c->data, 5), 0);
	cr_assert_eq(pkt_add(p, &c->b, c->data + 5, 6), 0); /* goes on */
	cr_assert_eq(p->num_v, 1);
	cr_assert_eq(c->b.ref, 2);
	cr_assert_eq(pkt_add(p, &d->b, d->data + 11, 9), 0);
	cr_assert_eq(p->num_v, 2);
	cr_assert_eq(p->len, 24);
	pkt_copy_out(p, out);
	cr_assert_arr_eq(out, "head", 4);
	cr_assert_arr_eq(out + 4, c->data, 20);
	cr_assert_eq(csum_fold(pkt_payload_csum(p, 0)),
		     csum_fold(csum_add(0, c->data, 20)));
	buf_put(a, &c->b);
	cr_assert_eq(c->b.ref, 1); /* pinned by the packet */
	pkt_free(a, p);
	cr_assert_eq(d->b.ref, 1);
	buf_put(a, &d->b);
}

Test(pkt, full_is_refused)
{
	struct pkt *p = pkt_new(a);
	struct chunk *c = chunk_new(a, 100);

	for (int i = 0; i < PKT_MAX_V; i++)
		cr_assert_eq(pkt_add(p, &c->b, c->data + 10 * i, 5), 0);
	cr_assert_eq(pkt_add(p, &c->b, c->data + 90, 5), -ENOBUFS);
	cr_assert_eq(c->b.ref, 1 + PKT_MAX_V);
	cr_assert_eq(p->len, 5 * PKT_MAX_V);
	pkt_free(a, p);
	cr_assert_eq(c->b.ref, 1);
	buf_put(a, &c->b);
}
