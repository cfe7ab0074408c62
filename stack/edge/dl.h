/* SPDX-License-Identifier: MIT
 *
 * dl.h - a library opened when it is first needed
 *
 * Privately (RTLD_LOCAL), so that a program that brings its own copy never
 * meets ours, and deep-bound (dlopen(3)), so that the library's close() and
 * write() are libc's and not our hooks. Sanitizers interpose libc themselves
 * and can't have that: there sys_is_own lets its calls through.
 */
#ifndef TCPSHIM_EDGE_DL_H
#define TCPSHIM_EDGE_DL_H

#include <stddef.h>

struct dl_lib {
	const char *name; /* as its file is called */
	const char *also; /* the same under another system's name, or NULL */
	const char *cure; /* "libuv.so.1 not found; install libuv1" */
	const char *const
		*fn; /* its functions that are wanted, ends with NULL */
};

/* Puts the addresses of @l's functions into @to, which is a struct of pointers
 * to functions in the same order. 0, or -ENOENT with cause and cure in @why.
 * Not under the lock; the library stays open. */
int dl_open(const struct dl_lib *l, void *to, char *why, size_t len);

#endif
