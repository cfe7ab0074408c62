/* SPDX-License-Identifier: MIT
 *
 * log.h - one line an event, to a sink that the edge supplies
 *
 * No stdio, no malloc. The core formats into a small ring in its own state;
 * the crank drains it with log_drain() outside the lock and writes it where
 * TCPSHIM_LOG says. Silent by default: when the level is off a call costs one
 * comparison.
 */
#ifndef TCPSHIM_LOG_H
#define TCPSHIM_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

#define LOG_RING 16384

struct log {
	uint8_t level; /* what is kept */
	uint32_t head, tail;
	uint32_t lost; /* lines that did not fit */
	char ring[LOG_RING];
};

void log_init(struct log *l, enum log_level level);
/* %s %d %u %x %c %ld %lu %lld %llu %zu %p %%, with width and 0; no floats. */
void log_line(struct log *l, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define log_at(l, lvl, ...)                            \
	do {                                           \
		if ((lvl) <= (l)->level)               \
			log_line(l, lvl, __VA_ARGS__); \
	} while (0)
/* Moves up to @len bytes of whole lines to @out; how many were moved. */
size_t log_drain(struct log *l, char *out, size_t len);

/* vsnprintf() with the formats above; usable everywhere, signal handlers too.
 */
size_t log_format(char *out, size_t len, const char *fmt, va_list ap);
size_t log_snprintf(char *out, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Where assert_failed() says its last words before it traps: set once by the
 * edge (a raw write to stderr), process-local. NULL: silent. */
void log_set_panic(void (*say)(const char *line, size_t len));

#endif
