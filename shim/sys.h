/* SPDX-License-Identifier: MIT
 *
 * sys.h - raw system calls, and the one place where errno is set
 *
 * Inside the library everything returns a value >= 0 or a negative errno, and
 * a hooked name returns shim_ret() of it. System calls of our own are written
 * sys(read, fd, buf, len), see edge/sys.h: never the libc name, which would
 * come back to our own hook.
 */
#ifndef TCPSHIM_SHIM_SYS_H
#define TCPSHIM_SHIM_SYS_H

#include "edge/sys.h"

/* -errno to errno and -1; everything else as it is. */
static inline long shim_ret(long r)
{
	if (__builtin_expect(r < 0 && r >= -4095, 0)) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

#endif
