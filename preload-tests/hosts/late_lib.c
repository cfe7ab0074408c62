/* SPDX-License-Identifier: MIT
 *
 * late_lib.c - a library that still uses the network when the program is over
 *
 * Its constructor runs before that of a preloaded library, so what it registers
 * with atexit() is called after everything else, and its destructor late.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "late_lib.h"

static int fd = -1;

void late_use(int number)
{
	fd = number;
}

static void put(const char *text, size_t len)
{
	if (fd >= 0 && write(fd, text, len) != (ssize_t)len)
		perror(text);
}

static void last(void)
{
	put("the first handler\n", 18);
}

__attribute__((constructor)) static void begin(void)
{
	atexit(last);
}

__attribute__((destructor)) static void end(void)
{
	put("destructor\n", 11);
}
