/* SPDX-License-Identifier: MIT
 *
 * arena.c - slabs by size class, cut from runs of 64 KiB
 *
 * The mapping is a row of runs. A region of REGION_RUNS of them begins with a
 * run that describes all of them (region 0's also holds struct arena), so the
 * descriptors grow with the mapping and cost a thousandth of it.
 *
 * Free runs are kept as spans with their length at both ends, in bins by
 * length: freeing joins neighbours, allocating takes the shortest that fits.
 * A slab is a span of 1 to 16 runs cut into equal objects; as many runs as it
 * takes to waste at most a sixteenth. Objects that fit no class get a span of
 * their own.
 *
 * Freed memory is handed out again last in, first out, since a cold buffer
 * costs four times a hot one: an object goes to the head of its slab's list,
 * its slab to the head of its class. A slab that becomes empty goes back to
 * the spans, unless it is the only one its class has objects in; those are
 * taken back when memory is short.
 *
 * Links between runs are indices, 0 is none (run 0 is a descriptor run).
 */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#ifdef __SANITIZE_ADDRESS__
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#define IS_POISONED(p) __asan_address_is_poisoned(p)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define IS_POISONED(p) 0
#endif

#define RUN ((size_t)65536)
#define REGION_RUNS 1024u
#define SLAB_MAX_RUNS 16u
#define MAX_RUNS (ARENA_MAX_OBJ / RUN)
#define NUM_BINS                                                    \
	(MAX_RUNS + 2) /* by length; the last: longer than any need \
			*/

#define LOW_ROOM ((size_t)1 << 20) /* ask for more below this */
#define GROW_STEP ((size_t)1 << 20)

static const uint32_t
	class_size[] =
		{
			16,    32,    48,    64,    128,   192,	  256,	 320,
			384,   448,   512,   576,   640,   704,	  768,	 832,
			896,   960,   1024,  1152,  1280,  1408,  1536,	 1664,
			1792,  1920,  2048,  2112, /* a FRAME_SMALL frame */
			2304,  2560,  2816,  3072,  3328,  3584,  3840,	 4096,
			4608,  5120,  5632,  6144,  6656,  7168,  7680,	 8192,
			9216,  10240, 11264, 12288, 13312, 14336, 15360, 16384,
			16448, /* a CHUNK_SIZE chunk */
			18432, 20480, 22528, 24576, 26624, 28672, 30720, 32768,
			36864, 40960, 45056, 49152, 53248, 57344, 61440, 65536,
			67584, /* a FRAME_LARGE frame */
};
#define NUM_CLASSES ARRAY_SIZE(class_size)
#define CLASS_MAX 67584u
#define CLASS_64 3u /* index of the class of 64 bytes */

enum run_kind {
	RUN_NONE, /* beyond the end */
	RUN_META, /* descriptors */
	RUN_FREE, /* first or last of a free span */
	RUN_SLAB, /* of a slab; ->back runs after its first */
	RUN_BIG,  /* first of an object with a span of its own */
};

struct run {
	uint8_t kind;
	uint8_t class;
	uint16_t num_live; /* slab: objects handed out */
	uint16_t num_cut;  /* slab: objects that were ever handed out */
	uint16_t back;
	uint32_t len; /* runs; valid at the first, and at the last when free */
	uint32_t next, prev; /* bin, or slabs of the class with free objects */
	void *free;	     /* slab: objects handed back */
};

struct arena {
	size_t len, max;
	size_t used;
	size_t room;  /* bytes in free runs; one word, any thread may read */
	size_t wants; /* the same */
	void *root;
	bool is_malloc, is_shared;
	uint32_t num_runs;
	uint32_t bin[NUM_BINS];
	uint32_t partial[NUM_CLASSES]; /* slabs with something to hand out */
	uint8_t class_of[CLASS_MAX / 64 + 1]; /* by size in units of 64 */
};

#define DESC_OFF (RUN / 2)
_Static_assert(sizeof(struct run) == 32, "1024 fill half a run");
_Static_assert(sizeof(struct arena) <= DESC_OFF, "both fit in run 0");
_Static_assert(REGION_RUNS * sizeof(struct run) <= RUN - DESC_OFF, "fits");

/* The marks are one process's; what others free would stay marked here. */
static void poison(const struct arena *a, void *p, size_t len)
{
	if (!a->is_shared)
		POISON(p, len);
}

static uint8_t *run_addr(const struct arena *a, uint32_t i)
{
	return (uint8_t *)(uintptr_t)a + (size_t)i * RUN;
}

static struct run *run_at(const struct arena *a, uint32_t i)
{
	uint8_t *region = run_addr(a, i & ~(REGION_RUNS - 1));

	return (struct run *)(void *)(region + DESC_OFF) +
	       (i & (REGION_RUNS - 1));
}

static void set_word(size_t *word, size_t v)
{
	__atomic_store_n(word, v, __ATOMIC_RELAXED);
}

static size_t get_word(const size_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* @need: what could not be had, 0 if nothing was refused. Runs may be there
 * and yet not side by side, so a refusal asks for growth whatever the room. */
static void update_wants(struct arena *a, size_t need)
{
	size_t step = MAX(GROW_STEP, MAX(a->len / 8, need));

	step = ALIGN_UP(step, GROW_STEP);
	if (!need && a->room >= LOW_ROOM)
		step = 0;
	set_word(&a->wants, MIN(step, a->max - a->len));
}

/* --- spans --- */

static void link_push(struct arena *a, uint32_t *head, uint32_t i)
{
	struct run *r = run_at(a, i);

	r->prev = 0;
	r->next = *head;
	if (*head)
		run_at(a, *head)->prev = i;
	*head = i;
}

static void link_remove(struct arena *a, uint32_t *head, uint32_t i)
{
	struct run *r = run_at(a, i);

	if (r->next)
		run_at(a, r->next)->prev = r->prev;
	if (r->prev)
		run_at(a, r->prev)->next = r->next;
	else
		*head = r->next;
}

static uint32_t *bin_of(struct arena *a, uint32_t len)
{
	return &a->bin[MIN(len, NUM_BINS - 1)];
}

static void span_insert(struct arena *a, uint32_t i, uint32_t len)
{
	struct run *first = run_at(a, i), *last = run_at(a, i + len - 1);

	first->kind = last->kind = RUN_FREE;
	first->len = last->len = len;
	link_push(a, bin_of(a, len), i);
}

static void span_remove(struct arena *a, uint32_t i)
{
	link_remove(a, bin_of(a, run_at(a, i)->len), i);
}

static void span_free(struct arena *a, uint32_t i, uint32_t len)
{
	uint32_t end = i + len;

	poison(a, run_addr(a, i), len * RUN);
	set_word(&a->room, a->room + len * RUN);
	if (run_at(a, i - 1)->kind == RUN_FREE) {
		i -= run_at(a, i - 1)->len;
		span_remove(a, i);
	}
	if (end < a->num_runs && run_at(a, end)->kind == RUN_FREE) {
		uint32_t more = run_at(a, end)->len;

		span_remove(a, end);
		end += more;
	}
	span_insert(a, i, end - i);
}

/* First run of a span of @len, or 0. */
static uint32_t span_alloc(struct arena *a, uint32_t len)
{
	uint32_t n, i, rest;

	for (n = len; n < NUM_BINS && !a->bin[n];)
		n++;
	if (n == NUM_BINS)
		return 0;
	i = a->bin[n];
	rest = run_at(a, i)->len - len;
	span_remove(a, i);
	if (rest)
		span_insert(a, i + len, rest);
	set_word(&a->room, a->room - len * RUN);
	return i;
}

/* --- slabs --- */

static uint32_t slab_runs(uint32_t size)
{
	uint32_t n = 1;

	while (n < SLAB_MAX_RUNS &&
	       (n * RUN < size || n * RUN % size > n * RUN / 16))
		n *= 2;
	return n;
}

static uint32_t slab_new(struct arena *a, unsigned class)
{
	uint32_t size = class_size[class];
	uint32_t n = slab_runs(size), i = span_alloc(a, n);

	/* no span that long: a shorter one wastes more, but will do */
	while (!i && (n / 2) * RUN >= size) {
		n /= 2;
		i = span_alloc(a, n);
	}
	if (!i)
		return 0;
	for (uint32_t k = 0; k < n; k++) {
		struct run *r = run_at(a, i + k);

		*r = (struct run){.kind = RUN_SLAB,
				  .class = (uint8_t) class,
				  .back = (uint16_t)k,
				  .len = n};
	}
	link_push(a, &a->partial[class], i);
	return i;
}

static uint32_t slab_capacity(const struct run *r)
{
	return (uint32_t)(r->len * RUN / class_size[r->class]);
}

static void slab_release(struct arena *a, uint32_t i)
{
	struct run *r = run_at(a, i);

	link_remove(a, &a->partial[r->class], i);
	span_free(a, i, r->len);
}

/* Gives the empty slabs back that were kept for their class. */
static void reclaim(struct arena *a)
{
	for (unsigned c = 0; c < NUM_CLASSES; c++) {
		uint32_t i = a->partial[c];

		while (i) {
			uint32_t next = run_at(a, i)->next;

			if (run_at(a, i)->num_live == 0)
				slab_release(a, i);
			i = next;
		}
	}
}

static void *slab_alloc(struct arena *a, unsigned class, size_t size)
{
	uint32_t i = a->partial[class];
	struct run *r;
	uint8_t *p;

	if (!i)
		i = slab_new(a, class);
	if (!i) {
		reclaim(a);
		i = slab_new(a, class);
	}
	if (!i)
		return NULL;
	r = run_at(a, i);
	if (r->free) {
		p = r->free;
		UNPOISON(p, sizeof(void *));
		memcpy(&r->free, p, sizeof(void *));
		poison(a, p, sizeof(void *));
	} else {
		p = run_addr(a, i) + (size_t)r->num_cut * class_size[class];
		r->num_cut++;
	}
	UNPOISON(p, size);
	r->num_live++;
	if (!r->free && r->num_cut == slab_capacity(r))
		link_remove(a, &a->partial[class], i);
	a->used += class_size[class];
	return p;
}

static void slab_free(struct arena *a, uint32_t i, uint8_t *p)
{
	struct run *r = run_at(a, i);
	uint32_t *head = &a->partial[r->class];
	size_t off = (size_t)(p - run_addr(a, i));
	bool was_full = !r->free && r->num_cut == slab_capacity(r);

	ASSERT(off % class_size[r->class] == 0 && r->num_live > 0);
	ASSERT(off / class_size[r->class] < r->num_cut);
	ASSERT(!IS_POISONED(p)); /* freed twice */
	UNPOISON(p, sizeof(void *));
	memcpy(p, &r->free, sizeof(void *));
	poison(a, p, class_size[r->class]);
	r->free = p;
	r->num_live--;
	a->used -= class_size[r->class];
	if (was_full) {
		link_push(a, head, i);
	} else if (*head != i) {
		link_remove(a, head, i);
		link_push(a, head, i);
	}
	if (r->num_live == 0 && r->next)
		slab_release(a, i);
}

static void *big_alloc(struct arena *a, size_t size)
{
	uint32_t n = (uint32_t)DIV_ROUND_UP(size, RUN);
	uint32_t i = span_alloc(a, n);

	if (!i) {
		reclaim(a);
		i = span_alloc(a, n);
	}
	if (!i)
		return NULL;
	*run_at(a, i) = (struct run){.kind = RUN_BIG, .len = n};
	run_at(a, i + n - 1)->kind = RUN_BIG;
	UNPOISON(run_addr(a, i), size);
	a->used += n * RUN;
	return run_addr(a, i);
}

/* --- the malloc mode: each object behind a header of 64 bytes --- */

struct malloc_head {
	size_t charge;
	uint8_t pad[64 - sizeof(size_t)];
};

struct arena *arena_new_malloc(size_t max)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->is_malloc = true;
	a->len = a->max = max;
	a->room = max;
	return a;
}

void arena_destroy_malloc(struct arena *a)
{
	free(a);
}

static void *malloc_alloc(struct arena *a, size_t size)
{
	size_t charge = arena_charge(size);
	void *mem;

	if (charge > a->room)
		return NULL;
	if (posix_memalign(&mem, 64, sizeof(struct malloc_head) + size))
		return NULL;
	((struct malloc_head *)mem)->charge = charge;
	a->used += charge;
	set_word(&a->room, a->room - charge);
	return (uint8_t *)mem + sizeof(struct malloc_head);
}

static void malloc_free(struct arena *a, void *p)
{
	struct malloc_head *h = (struct malloc_head *)p - 1;

	a->used -= h->charge;
	set_word(&a->room, a->room + h->charge);
	free(h);
}

/* --- the face --- */

size_t arena_charge(size_t size)
{
	unsigned lo = 0, hi = NUM_CLASSES - 1;

	if (size > CLASS_MAX)
		return ALIGN_UP(size, RUN);
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (class_size[mid] < size)
			lo = mid + 1;
		else
			hi = mid;
	}
	return class_size[lo];
}

struct arena *arena_init(void *mem, size_t len, size_t max)
{
	struct arena *a = mem;
	unsigned c = CLASS_64;

	ASSERT(((uintptr_t)mem & (RUN - 1)) == 0);
	if (len < 4 * RUN || max < len)
		return NULL;
	UNPOISON(mem, len);
	memset(a, 0, sizeof(*a));
	a->max = max & ~(RUN - 1);
	a->len = RUN;
	a->num_runs = 1;
	run_at(a, 0)->kind = RUN_META;
	for (unsigned units = 1; units <= CLASS_MAX / 64; units++) {
		while (class_size[c] < units * 64)
			c++;
		a->class_of[units] = (uint8_t)c;
	}
	arena_extend(a, len);
	return a;
}

void arena_share(struct arena *a)
{
	a->is_shared = true;
	UNPOISON(a, a->len);
}

void arena_extend(struct arena *a, size_t len)
{
	uint32_t end;

	ASSERT(!a->is_malloc);
	len = MIN(len & ~(RUN - 1), a->max);
	end = (uint32_t)(len / RUN);
	while (a->num_runs < end) {
		uint32_t first = a->num_runs;
		uint32_t stop = ALIGN_UP(first + 1, REGION_RUNS);

		if (first % REGION_RUNS == 0) {
			memset(run_at(a, first), 0,
			       REGION_RUNS * sizeof(struct run));
			run_at(a, first)->kind = RUN_META;
			a->num_runs++;
			continue;
		}
		a->num_runs = MIN(stop, end);
		span_free(a, first, a->num_runs - first);
	}
	a->len = (size_t)a->num_runs * RUN;
	update_wants(a, 0);
}

void *arena_alloc(struct arena *a, size_t size)
{
	void *p;

	if (size == 0 || size > ARENA_MAX_OBJ)
		return NULL;
	if (a->is_malloc)
		return malloc_alloc(a, size);
	if (size <= 48)
		p = slab_alloc(a, (unsigned)(size - 1) / 16, size);
	else if (size <= CLASS_MAX)
		p = slab_alloc(a, a->class_of[DIV_ROUND_UP(size, 64)], size);
	else
		p = big_alloc(a, size);
	if (!p || (a->room < LOW_ROOM && !a->wants))
		update_wants(a, p ? 0 : MAX(size, SLAB_MAX_RUNS * RUN));
	return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	void *p = arena_alloc(a, size);

	if (p)
		memset(p, 0, size);
	return p;
}

void arena_free(struct arena *a, void *p)
{
	uint32_t i;
	struct run *r;

	if (!p)
		return;
	if (a->is_malloc) {
		malloc_free(a, p);
		return;
	}
	i = (uint32_t)((size_t)((uint8_t *)p - (uint8_t *)a) / RUN);
	ASSERT(i < a->num_runs);
	r = run_at(a, i);
	if (r->kind == RUN_SLAB) {
		slab_free(a, i - r->back, p);
	} else {
		ASSERT(r->kind == RUN_BIG && p == run_addr(a, i));
		a->used -= r->len * RUN;
		span_free(a, i, r->len);
	}
	if (a->wants && a->room >= LOW_ROOM)
		update_wants(a, 0);
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}

size_t arena_room(const struct arena *a)
{
	return get_word(&a->room);
}

size_t arena_max(const struct arena *a)
{
	return a->max;
}

size_t arena_left(const struct arena *a)
{
	return a->max - MIN(a->max, a->used);
}

size_t arena_wants(const struct arena *a)
{
	return get_word(&a->wants);
}

size_t arena_len(const struct arena *a)
{
	return a->len;
}

void arena_set_root(struct arena *a, void *root)
{
	a->root = root;
}

void *arena_root(const struct arena *a)
{
	return a->root;
}

/* --- after a death under the lock --- */

#define MARK_UNIT 16u /* the smallest object */
#define MARKS_A_RUN (RUN / MARK_UNIT / 64)

void arena_marks_init(struct arena_marks *m, struct arena *a, void *mem)
{
	ASSERT(!a->is_malloc);
	m->a = a;
	m->bits = mem;
	memset(m->bits, 0, (size_t)a->num_runs * MARKS_A_RUN * 8);
}

/* Of the slab that run @i is of; 0: of none. */
static uint32_t slab_head(const struct arena *a, uint32_t i)
{
	const struct run *r = run_at(a, i), *head;

	if (r->kind != RUN_SLAB || r->back >= SLAB_MAX_RUNS || r->back >= i)
		return 0;
	i -= r->back;
	head = run_at(a, i);
	if (head->kind != RUN_SLAB || head->back || head->class != r->class ||
	    head->class >= NUM_CLASSES || head->len <= r->back ||
	    head->len > SLAB_MAX_RUNS || i + head->len > a->num_runs)
		return 0;
	return i;
}

/* Bytes of the object that begins at @off, 0: none does. */
static size_t object_at(const struct arena *a, size_t off)
{
	uint32_t i = (uint32_t)(off / RUN), head;
	const struct run *r;
	size_t size;

	if (off % MARK_UNIT || off >= (size_t)a->num_runs * RUN)
		return 0;
	r = run_at(a, i);
	if (r->kind == RUN_BIG && off % RUN == 0 && r->len &&
	    i + r->len <= a->num_runs)
		return r->len * RUN;
	head = slab_head(a, i);
	if (!head)
		return 0;
	r = run_at(a, head);
	size = class_size[r->class];
	off -= (size_t)head * RUN;
	return off % size == 0 && off / size < slab_capacity(r) ? size : 0;
}

enum arena_mark arena_look(const struct arena_marks *m, const void *p,
			   size_t size)
{
	size_t off = (size_t)((const uint8_t *)p - (const uint8_t *)m->a);
	size_t n = off / MARK_UNIT;

	if (object_at(m->a, off) < size || !size)
		return ARENA_BAD;
	return m->bits[n / 64] >> n % 64 & 1 ? ARENA_AGAIN : ARENA_NEW;
}

enum arena_mark arena_mark(struct arena_marks *m, const void *p, size_t size)
{
	enum arena_mark was = arena_look(m, p, size);
	size_t n = (size_t)((const uint8_t *)p - (const uint8_t *)m->a) /
		   MARK_UNIT;

	if (was == ARENA_NEW)
		m->bits[n / 64] |= 1ull << n % 64;
	return was;
}

size_t arena_size_of(const struct arena_marks *m, const void *p)
{
	return object_at(m->a,
			 (size_t)((const uint8_t *)p - (const uint8_t *)m->a));
}

static bool is_marked(const struct arena_marks *m, size_t off)
{
	size_t n = off / MARK_UNIT;

	return m->bits[n / 64] >> n % 64 & 1;
}

/* Is anything in the @len runs from @i in use? */
static bool has_marks(const struct arena_marks *m, uint32_t i, uint32_t len)
{
	const uint64_t *w = m->bits + (size_t)i * MARKS_A_RUN;

	for (size_t k = 0; k < len * MARKS_A_RUN; k++)
		if (w[k])
			return true;
	return false;
}

/* The slab at @i has objects in use: its lists and counts. */
static void slab_restore(const struct arena_marks *m, uint32_t i)
{
	struct arena *a = m->a;
	struct run *r = run_at(a, i);
	size_t size = class_size[r->class], base = (size_t)i * RUN;
	uint32_t num = slab_capacity(r);

	while (num && !is_marked(m, base + (num - 1) * size))
		num--;
	r->num_cut = (uint16_t)num;
	r->num_live = 0;
	r->free = NULL;
	while (num--) {
		uint8_t *p = run_addr(a, i) + num * size;

		if (is_marked(m, base + num * size)) {
			r->num_live++;
			continue;
		}
		memcpy(p, &r->free, sizeof(void *));
		r->free = p;
	}
	a->used += r->num_live * size;
	if (r->free || r->num_cut < slab_capacity(r))
		link_push(a, &a->partial[r->class], i);
}

/* How many runs from @i belong to something in use; 0: @i is free. */
static uint32_t keep_runs(const struct arena_marks *m, uint32_t i)
{
	struct arena *a = m->a;
	struct run *r = run_at(a, i);

	if (r->kind == RUN_META)
		return 1;
	if (r->kind == RUN_BIG && is_marked(m, (size_t)i * RUN)) {
		a->used += r->len * RUN;
		return r->len;
	}
	if (slab_head(a, i) == i && has_marks(m, i, r->len)) {
		slab_restore(m, i);
		return r->len;
	}
	return 0;
}

void arena_sweep(const struct arena_marks *m)
{
	struct arena *a = m->a;
	uint32_t free = 0; /* runs before @i */

	memset(a->bin, 0, sizeof(a->bin));
	memset(a->partial, 0, sizeof(a->partial));
	a->used = 0;
	set_word(&a->room, 0);
	for (uint32_t i = 0; i <= a->num_runs;) {
		uint32_t kept = i < a->num_runs ? keep_runs(m, i) : 1;

		if (!kept) {
			free++;
			i++;
			continue;
		}
		if (free) {
			span_insert(a, i - free, free);
			set_word(&a->room, a->room + free * RUN);
		}
		free = 0;
		i += kept;
	}
	a->len = (size_t)a->num_runs * RUN;
	update_wants(a, 0);
}

static bool slab_is_sound(const struct arena *a, uint32_t i)
{
	const struct run *r = run_at(a, i);
	const uint8_t *base = run_addr(a, i), *p = r->free;
	size_t size = class_size[r->class];
	uint32_t num = 0;

	for (; p; num++) {
		size_t off = (size_t)(p - base);

		if (off % size || off / size >= r->num_cut || num > r->num_cut)
			return false;
		memcpy(&p, p, sizeof(void *));
	}
	return num + r->num_live == r->num_cut &&
	       r->num_cut <= slab_capacity(r);
}

/* Is @i on the list that begins with @head, once, its neighbours knowing? */
static bool is_linked(const struct arena *a, uint32_t head, uint32_t i)
{
	uint32_t prev = 0, num = 0, found = 0;

	for (; head && num++ <= a->num_runs; head = run_at(a, head)->next) {
		if (run_at(a, head)->prev != prev)
			return false;
		found += head == i;
		prev = head;
	}
	return found == 1;
}

static bool span_is_sound(const struct arena *a, uint32_t i, bool was_free)
{
	const struct run *r = run_at(a, i);

	if (was_free || !r->len || i + r->len > a->num_runs ||
	    run_at(a, i + r->len - 1)->len != r->len ||
	    run_at(a, i + r->len - 1)->kind != RUN_FREE)
		return false;
	return is_linked(a, a->bin[MIN(r->len, NUM_BINS - 1)], i);
}

bool arena_is_sound(const struct arena *a)
{
	size_t used = 0, room = 0;
	bool was_free = false;

	for (uint32_t i = 0; i < a->num_runs;) {
		const struct run *r = run_at(a, i);
		bool ok = true;

		if (r->kind == RUN_FREE) {
			ok = span_is_sound(a, i, was_free);
			room += r->len * RUN;
		} else if (r->kind == RUN_BIG) {
			used += r->len * RUN;
		} else if (r->kind == RUN_SLAB) {
			bool has_room =
				r->free || r->num_cut < slab_capacity(r);

			used += r->num_live * (size_t)class_size[r->class];
			ok = slab_head(a, i) == i && slab_is_sound(a, i) &&
			     is_linked(a, a->partial[r->class], i) == has_room;
		} else if (r->kind != RUN_META) {
			return false;
		}
		if (!ok)
			return false;
		was_free = r->kind == RUN_FREE;
		i += r->kind == RUN_META ? 1 : r->len;
	}
	return used == a->used && room == a->room;
}
