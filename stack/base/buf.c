/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/util.h"

struct frame *frame_new(struct arena *a, uint32_t room)
{
	size_t size = sizeof(struct frame) + room;
	struct frame *f = arena_alloc(a, size);

	if (!f)
		return NULL;
	*f = (struct frame){
		.b = {.ref = 1, .size = (uint32_t)arena_charge(size)},
		.data = (uint8_t *)(f + 1),
		.room = room,
	};
	return f;
}

void frame_put(struct arena *a, struct frame *f)
{
	if (f)
		buf_put(a, &f->b);
}

struct chunk *chunk_new(struct arena *a, uint32_t room)
{
	size_t size = sizeof(struct chunk) + room;
	struct chunk *c = arena_alloc(a, size);

	if (!c)
		return NULL;
	c->b.ref = 1;
	c->b.size = (uint32_t)arena_charge(size);
	c->room = room;
	c->used = 0;
	return c;
}

void buf_put(struct arena *a, struct buf *b)
{
	ASSERT(b->ref > 0);
	if (--b->ref == 0)
		arena_free(a, b);
}
