/* SPDX-License-Identifier: MIT
 *
 * user.h - the program's memory: EFAULT for what can't be a pointer
 *
 * The kernel survives any pointer. We don't, as no other function of libc
 * does, but the ones that programs really pass (NULL, a small number, a
 * negative number in a pointer's clothes) are told apart by one comparison and
 * answered as the kernel does. To be as good for unmapped and read-only memory
 * in between would take a handler for SIGSEGV, which is the program's, or a
 * system call for each copy.
 */
#ifndef TCPSHIM_USER_H
#define TCPSHIM_USER_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define USER_FIRST 65536u /* vm.mmap_min_addr */
#define USER_END                                                    \
	(1ull << 47) /* x86-64, without 5-level addresses asked for \
		      */

/* @len bytes at @p can't be the program's. None are always fine. */
static inline bool user_is_bad(const void *p, size_t len)
{
	return len && (uintptr_t)p - USER_FIRST >= USER_END - USER_FIRST;
}

/* Not even the kernel's access_ok() lets this pass: refused before the socket
 * is looked at. */
static inline bool user_is_kernels(const void *p, size_t len)
{
	return len > USER_END || (uintptr_t)p > USER_END - len;
}

static inline int user_in(void *to, const void *from, size_t len)
{
	if (user_is_bad(from, len))
		return -EFAULT;
	if (len)
		memcpy(to, from, len);
	return 0;
}

static inline int user_out(void *to, const void *from, size_t len)
{
	if (user_is_bad(to, len))
		return -EFAULT;
	if (len)
		memcpy(to, from, len);
	return 0;
}

#endif
