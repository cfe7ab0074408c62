/* SPDX-License-Identifier: MIT
 *
 * target.c - can a program be preloaded at all?
 *
 * Two kinds can't. A static program has no dynamic linker to do it. One that
 * gets rights from its file (setuid, setgid, capabilities) has one that leaves
 * out a preload with a slash in its name, and says nothing. Neither can be
 * helped from inside, and the program itself has no part of ours in it that
 * could speak; so whoever executes it says it, once, before. A script is what
 * its interpreter is.
 */
#include "target.h"

#include <elf.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdtab.h"
#include "sys.h"

#define MAX_HEADERS 32

static bool is_static(int fd, const Elf64_Ehdr *h)
{
	Elf64_Phdr p[MAX_HEADERS];
	unsigned n = MIN(h->e_phnum, MAX_HEADERS);
	long got;

	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_phentsize != sizeof(*p))
		return false; /* not for us to say */
	got = sys(pread64, fd, p, n * sizeof(*p), h->e_phoff);
	for (unsigned i = 0; i < n; i++)
		if (got < (long)((i + 1) * sizeof(*p)) ||
		    p[i].p_type == PT_INTERP)
			return false;
	return true;
}

/* The dynamic linker, named as a program: it has no interpreter of its own, and
 * preloads all the same. */
static bool is_linker(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	return strncmp(base, "ld", 2) == 0 && strstr(base, ".so");
}

/* Does the file give rights that who runs it does not have? */
static bool has_rights(int fd)
{
	struct stat st;
	uid_t uid = (uid_t)sys(getuid);

	if (sys(newfstatat, fd, "", &st, AT_EMPTY_PATH) < 0 ||
	    !(st.st_mode & 0111))
		return false;
	if ((st.st_mode & S_ISUID) && st.st_uid != uid)
		return true;
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) &&
	    st.st_gid != (gid_t)sys(getgid))
		return true;
	return uid != 0 &&
	       sys(fgetxattr, fd, "security.capability", NULL, 0) > 0;
}

/* The interpreter in a first line of "#! /bin/sh -e", in place. */
static char *interpreter(char *line, size_t len)
{
	char *p = line + 2;

	line[len] = '\0';
	p += strspn(p, " \t");
	p[strcspn(p, " \t\r\n")] = '\0';
	return *p == '/' ? p : NULL;
}

static const char *why_not(const char *path, char next[256])
{
	int fd = (int)sys(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	const char *why = NULL;
	union {
		Elf64_Ehdr h;
		char c[256];
	} b;
	long n;

	next[0] = '\0';
	if (fd < 0)
		return NULL;
	n = sys(pread64, fd, b.c, sizeof(b.c) - 1, 0);
	if (n >= (long)sizeof(b.h) && memcmp(b.c, ELFMAG, SELFMAG) == 0) {
		if (is_static(fd, &b.h) && !is_linker(path))
			why = "is a static program";
		else if (has_rights(fd))
			why = "gets rights from its file";
	} else if (n > 2 && memcmp(b.c, "#!", 2) == 0) {
		const char *p = interpreter(b.c, (size_t)n);

		if (p)
			memcpy(next, p, strlen(p) + 1);
	}
	sys(close, fd);
	return why;
}

void target_warn(const char *path)
{
	char next[256], again[256];
	const char *why = why_not(path, next);

	if (!why && next[0]) {
		path = next;
		why = why_not(path, again);
	}
	if (!why)
		return;
	if (!fd_is_handed_down(2)) /* what is said there, its peer hears */
		sys_say("%s %s: it cannot be preloaded, and its sockets are "
			"the kernel's",
			path, why);
	fdtab_relay(); /* but for those that it is given */
}

void target_warn_file(const char *file)
{
	const char *dirs = getenv("PATH");
	size_t len = strlen(file), n;
	char path[PATH_MAX];

	if (strchr(file, '/')) {
		target_warn(file);
		return;
	}
	for (; dirs && *dirs; dirs += n + (dirs[n] == ':')) {
		n = strcspn(dirs, ":");
		if (n + len + 2 > sizeof(path))
			continue;
		memcpy(path, dirs, n);
		path[n] = '/';
		memcpy(path + n + 1, file, len + 1);
		if (n && sys(faccessat, AT_FDCWD, path, X_OK) == 0) {
			target_warn(path);
			return;
		}
	}
}
