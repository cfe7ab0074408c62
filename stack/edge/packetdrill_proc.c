/* SPDX-License-Identifier: MIT
 *
 * packetdrill_proc.c - /proc/net of the stack under test, for a script's
 *		      commands
 *
 * The library is preloaded, so that it is in whatever a script runs, too. There
 * it opens /proc/net/tcp and the files of counters from what the stack says;
 * everything else, and these where no stack is asked for, is the kernel's.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "packetdrill_ask.h"

/* By their plain names, which large files would make others. */
#define VISIBLE __attribute__((visibility("default")))

VISIBLE int pd_open(const char *path, int flags, ...) __asm__("open");
VISIBLE int pd_open64(const char *path, int flags, ...) __asm__("open64");
VISIBLE int pd_openat(int at, const char *path, int flags,
		      ...) __asm__("openat");
VISIBLE int pd_openat64(int at, const char *path, int flags,
			...) __asm__("openat64");
VISIBLE int pd_open_2(const char *path, int flags) __asm__("__open_2");
VISIBLE int pd_open64_2(const char *path, int flags) __asm__("__open64_2");
VISIBLE int pd_openat_2(int at, const char *path,
			int flags) __asm__("__openat_2");
VISIBLE int pd_openat64_2(int at, const char *path,
			  int flags) __asm__("__openat64_2");
VISIBLE FILE *pd_fopen(const char *path, const char *mode) __asm__("fopen");
VISIBLE FILE *pd_fopen64(const char *path, const char *mode) __asm__("fopen64");

/* What the stack says of it, as a file; -1: it is not about this one. */
static int ours(const char *path)
{
	static const char *const names[] = {"tcp", "tcp6", "snmp", "snmp6",
					    "netstat"};
	char what[32], buf[4096];
	const char *name = NULL;
	int from, fd;
	ssize_t n;

	if (strncmp(path, "/proc/net/", 10))
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(path + 10, names[i]) == 0)
			name = names[i];
	if (!name)
		return -1;
	snprintf(what, sizeof(what), "proc\n%s", name);
	from = pd_ask_open(what);
	if (from < 0)
		return -1;
	fd = memfd_create(name, MFD_CLOEXEC);
	while (fd >= 0 && (n = read(from, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			break;
	close(from);
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	return fd;
}

static int real_openat(int at, const char *path, int flags, mode_t mode)
{
	static int (*real)(int, const char *, int, ...);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "openat");
	return real(at, path, flags, mode);
}

static int do_open(int at, const char *path, int flags, mode_t mode)
{
	int fd = ours(path);

	return fd >= 0 ? fd : real_openat(at, path, flags, mode);
}

#define MODE_OF(flags, mode)                                   \
	do {                                                   \
		va_list ap;                                    \
		va_start(ap, flags);                           \
		if ((flags) & (O_CREAT | __O_TMPFILE))         \
			(mode) = (mode_t)va_arg(ap, unsigned); \
		va_end(ap);                                    \
	} while (0)

int pd_open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return do_open(AT_FDCWD, path, flags, mode);
}

int pd_open64(const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return do_open(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int pd_openat(int at, const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return do_open(at, path, flags, mode);
}

int pd_openat64(int at, const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return do_open(at, path, flags | O_LARGEFILE, mode);
}

int pd_open_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

int pd_open64_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}

int pd_openat_2(int at, const char *path, int flags)
{
	return do_open(at, path, flags, 0);
}

int pd_openat64_2(int at, const char *path, int flags)
{
	return do_open(at, path, flags | O_LARGEFILE, 0);
}

FILE *pd_fopen(const char *path, const char *mode)
{
	static FILE *(*real)(const char *, const char *);
	int fd = ours(path);

	if (fd >= 0)
		return fdopen(fd, mode);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fopen64");
	return real(path, mode);
}

FILE *pd_fopen64(const char *path, const char *mode)
{
	return pd_fopen(path, mode);
}
