/* SPDX-License-Identifier: MIT
 *
 * arena.h - the one mapping that holds all stack state, and its allocator
 *
 * The arena is given a piece of memory and never asks for more itself: the
 * core makes no system call. Whoever turns the crank looks at arena_wants()
 * while not holding the lock, makes more memory present, and then calls
 * arena_extend() under the lock. An allocation that does not fit gives NULL;
 * every caller turns that into a drop by name or -ENOBUFS.
 *
 * Inside an arena pointers are ordinary pointers: every participant maps it at
 * the same address. No pointer to a function, to libc's heap or to a thread
 * ever goes into it.
 *
 * Locks: the caller holds the stack lock for everything but arena_wants().
 */
#ifndef TCPSHIM_ARENA_H
#define TCPSHIM_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

/* Makes an arena in @mem: @len bytes are usable now, up to @max later. @mem is
 * borrowed, zeroed by the caller, aligned to 64 KiB. NULL if @len is too small.
 */
struct arena *arena_init(void *mem, size_t len, size_t max);
/* Other processes will use it too: free memory is not marked for the address
 * sanitizer any more, which keeps its marks for each process alone. */
void arena_share(struct arena *a);

/* For unit tests, the simulator under sanitizers and fuzzers: an arena that
 * takes each object from malloc(), so that every overrun and leak is seen.
 * @max bounds what may be in use. Freed with arena_destroy_malloc(). */
struct arena *arena_new_malloc(size_t max);
void arena_destroy_malloc(struct arena *a);

/* 64-byte aligned for sizes of 64 and up, 16-byte below; contents are not
 * defined. Largest single object: ARENA_MAX_OBJ. */
#define ARENA_MAX_OBJ ((size_t)1 << 20)
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
void arena_free(struct arena *a, void *p); /* NULL is fine */
/* What an object of @size costs: its slab class. The same in both modes. */
size_t arena_charge(size_t size);

/* Bytes in live objects, as charged (rounded up to their slab class). */
size_t arena_used(const struct arena *a);
/* Bytes that could be had without growing, an under-estimate; any thread. */
size_t arena_room(const struct arena *a);
/* Bytes that can ever be in use, and how many of them are not yet. */
size_t arena_max(const struct arena *a);
size_t arena_left(const struct arena *a);
/* How many bytes the mapping should be grown by, 0 when there is headroom;
 * reads one word, safe without the lock. */
size_t arena_wants(const struct arena *a);
/* @len bytes from the start are present now. */
void arena_extend(struct arena *a, size_t len);
size_t arena_len(const struct arena *a);

/* After a death under the lock (rebuild.h): what is still in use is marked, in
 * memory of the caller's own, and everything else becomes free. Trusted is only
 * how the runs that hold marked objects were cut. */
struct arena_marks {
	struct arena *a;
	uint64_t *bits;
};

enum arena_mark {
	ARENA_BAD, /* no object that could have been allocated */
	ARENA_NEW,
	ARENA_AGAIN, /* was marked before */
};

/* Bytes that the marks of an arena of @len bytes take. */
#define ARENA_MARKS_SIZE(len) ((len) / 128)
/* @mem: ARENA_MARKS_SIZE(arena_len()) bytes at least. */
void arena_marks_init(struct arena_marks *m, struct arena *a, void *mem);
/* Marks the object at @p, of @size bytes at least. */
enum arena_mark arena_mark(struct arena_marks *m, const void *p, size_t size);
/* The same, but marks nothing. */
enum arena_mark arena_look(const struct arena_marks *m, const void *p,
			   size_t size);
/* What the object at @p takes; it was marked. */
size_t arena_size_of(const struct arena_marks *m, const void *p);
/* Makes free whatever is not marked. */
void arena_sweep(const struct arena_marks *m);
/* Counts, lists and spans are what the objects say. For tests; slow. */
bool arena_is_sound(const struct arena *a);

/* A place to find the root object of whatever lives in the arena. */
void arena_set_root(struct arena *a, void *root);
void *arena_root(const struct arena *a);

#endif
