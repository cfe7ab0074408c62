/* SPDX-License-Identifier: MIT */
#include "link/capture.h"

#include "base/rebuild.h"
#include "base/util.h"
#include "link/link.h"

/* ->head and ->tail count bytes for ever; the ring has those between. Behind
 * ->head, up to ->next, a record is being written. */
struct capture {
	struct core *core;
	uint64_t head, tail, next;
	uint32_t size;
	uint8_t ring[];
};

struct capture *capture_new(struct core *c, uint32_t size)
{
	struct capture *cap;

	size = MIN(size, (uint32_t)(ARENA_MAX_OBJ - sizeof(*cap)));
	cap = arena_alloc(c->arena, sizeof(*cap) + size);
	if (!cap)
		return NULL;
	cap->core = c;
	cap->head = cap->tail = 0;
	cap->size = size;
	return cap;
}

void capture_free(struct capture *cap)
{
	if (cap)
		arena_free(cap->core->arena, cap);
}

static void put(struct capture *cap, const void *p, uint32_t len)
{
	uint32_t at = (uint32_t)(cap->next % cap->size);
	uint32_t part = MIN(len, cap->size - at);

	memcpy(cap->ring + at, p, part);
	memcpy(cap->ring, (const uint8_t *)p + part, len - part);
	cap->next += len;
}

/* Now, whole, it is there. */
static void end(struct capture *cap)
{
	__atomic_store_n(&cap->head, cap->next, __ATOMIC_RELEASE);
}

static void get(const struct capture *cap, void *p, uint32_t len)
{
	uint32_t at = (uint32_t)(cap->tail % cap->size);
	uint32_t part = MIN(len, cap->size - at);

	memcpy(p, cap->ring + at, part);
	memcpy((uint8_t *)p + part, cap->ring, len - part);
}

/* Room for a record of @len bytes, its head written. */
static bool begin(struct capture *cap, uint32_t len, nsec now)
{
	struct capture_rec rec = {.at = now, .len = len, .orig = len};

	if (cap->size - (cap->head - cap->tail) < sizeof(rec) + len) {
		stat_inc(cap->core, STAT_CaptureLost);
		return false;
	}
	cap->next = cap->head;
	put(cap, &rec, sizeof(rec));
	return true;
}

void capture_pkt(struct capture *cap, const struct pkt *p, nsec now)
{
	if (!begin(cap, p->len, now))
		return;
	put(cap, p->room + p->head, pkt_head_len(p));
	for (unsigned i = 0; i < p->num_v; i++)
		put(cap, p->v[i].p, p->v[i].len);
	end(cap);
}

void capture_frame(struct capture *cap, const struct frame *f, nsec now)
{
	if (!begin(cap, f->len, now))
		return;
	put(cap, f->data, f->len);
	end(cap);
}

size_t capture_drain(struct capture *cap, uint8_t *out, size_t room)
{
	size_t n = 0;

	while (cap->head != cap->tail) {
		struct capture_rec rec;
		uint32_t len;

		get(cap, &rec, sizeof(rec));
		len = (uint32_t)sizeof(rec) + rec.len;
		if (len > room - n)
			break;
		get(cap, out + n, len);
		cap->tail += len;
		n += len;
	}
	return n;
}

void capture_find(struct capture *cap, struct rebuild *rb)
{
	rebuild_own(rb, cap, sizeof(*cap) + cap->size);
}
