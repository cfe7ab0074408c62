/* SPDX-License-Identifier: MIT
 *
 * real.h - every interposed name, and the next one in the chain
 *
 * A row of calls.def is a name that we export. real.NAME is the definition
 * that the program would have got without us (libc's, or another preloaded
 * library's): found with dlsym(RTLD_NEXT) on first use. While it can't be
 * looked up (before our constructor, or inside that very dlsym) the raw system
 * call of the row is made instead. What is libc's own work (fdopen, getifaddrs)
 * is looked up even then.
 *
 * The body of a hook is written by hand in one of the call_*.c files:
 *
 *	EXPORT int listen(int fd, int backlog)
 *	{
 *		struct file *f = fd_sock(fd);
 *
 *		if (!f)
 *			return real.listen(fd, backlog);
 *		...
 *		return (int)shim_ret(r);
 *	}
 */
#ifndef TCPSHIM_REAL_H
#define TCPSHIM_REAL_H

#include <glob.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default"), used))

/* What every program runs through lies together: each further page that it
 * touches costs 2 to 3 us, of the few that starting one with us costs. */
#define EVERY_RUN __attribute__((section(".text.startup")))
#define EVERY_RUN_DATA __attribute__((section(".data")))

struct __res_state;		   /* of resolv.h */
typedef void (*real_handler)(int); /* of signal() */

struct termios; /* of forkpty() */

struct real {
#define CALL(ret, name, params, args, raw, meaning) ret(*name) params;
#define CALL_LIBC(ret, name, params, args, fail, meaning) ret(*name) params;
#define CALL_VOID(name, params, args, raw, meaning) void(*name) params;
#include "calls.def"
#undef CALL
#undef CALL_LIBC
#undef CALL_VOID
};
extern struct real real;

/* From the constructor: dlsym may be used from now on. */
void real_init(void);

#endif
