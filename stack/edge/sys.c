/* SPDX-License-Identifier: MIT
 *
 * sys.c - the per-thread mark, and one line to stderr
 */
#include "edge/sys.h"

#include <stdarg.h>

#include "base/log.h"

__thread volatile bool sys_forbidden;
__thread bool sys_is_own;

void sys_say(const char *fmt, ...)
{
	char line[512] = "tcpshim: ";
	size_t n = strlen(line);
	va_list ap;

	va_start(ap, fmt);
	n += log_format(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	n = MIN(n, sizeof(line) - 2);
	line[n++] = '\n';
	sys(write, 2, line, n);
}
