/* SPDX-License-Identifier: MIT
 *
 * log.c - lines into a ring, and the formatter that makes them
 *
 * ->head and ->tail count bytes for ever, the ring holds those between. A line
 * that does not fit whole is lost and counted, and the count becomes a line
 * of its own once there is room again.
 */
#include "base/log.h"

#include <stdbool.h>
#include <string.h>

#include "base/util.h"

#define LINE_MAX_LEN 512

/* Process-local on purpose: the arena holds no function pointer. */
static void (*panic_say)(const char *line, size_t len);

static const char *const level_name[] = {
	[LOG_OFF] = "",	 [LOG_ERROR] = "error: ", [LOG_WARN] = "warn: ",
	[LOG_INFO] = "", [LOG_DEBUG] = "",
};

/* --- the formatter --- */

struct out {
	char *p;
	size_t len, room; /* room without the closing 0 */
};

struct spec {
	unsigned width;
	int precision; /* -1: none */
	bool zero, left, alt, plus;
	uint8_t size; /* bytes of an integer */
};

static void put(struct out *o, char c)
{
	if (o->len < o->room)
		o->p[o->len++] = c;
}

static void put_n(struct out *o, char c, size_t n)
{
	while (n--)
		put(o, c);
}

static void put_padded(struct out *o, const struct spec *f, const char *s,
		       size_t len)
{
	size_t pad = f->width > len ? f->width - len : 0;

	if (!f->left)
		put_n(o, ' ', pad);
	for (size_t i = 0; i < len; i++)
		put(o, s[i]);
	if (f->left)
		put_n(o, ' ', pad);
}

static void put_number(struct out *o, const struct spec *f, const char *sign,
		       uint64_t v, unsigned base)
{
	char digits[24], text[80];
	size_t n = 0, len = 0, want;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	want = f->precision > 0 ? (size_t)f->precision : 0;
	if (f->zero && !f->left && f->precision < 0)
		want = MAX(f->width, strlen(sign)) - strlen(sign);
	want = MIN(want, sizeof(text) - 8);
	for (; *sign; sign++)
		text[len++] = *sign;
	for (; want > n; want--)
		text[len++] = '0';
	while (n)
		text[len++] = digits[--n];
	put_padded(o, f, text, len);
}

static void put_string(struct out *o, const struct spec *f, const char *s)
{
	size_t max = f->precision < 0 ? SIZE_MAX : (size_t)f->precision;
	size_t len = 0;

	if (!s)
		s = "(null)";
	while (len < max && s[len])
		len++;
	put_padded(o, f, s, len);
}

/* Flags, width, precision, size; the conversion character is left. */
static const char *parse_spec(const char *s, struct spec *f)
{
	*f = (struct spec){.precision = -1, .size = sizeof(int)};
	for (;; s++) {
		if (*s == '0')
			f->zero = true;
		else if (*s == '-')
			f->left = true;
		else if (*s == '#')
			f->alt = true;
		else if (*s == '+')
			f->plus = true;
		else
			break;
	}
	for (; *s >= '0' && *s <= '9'; s++)
		f->width = MIN(f->width * 10 + (unsigned)(*s - '0'), 999);
	if (*s == '.') {
		f->precision = 0;
		for (s++; *s >= '0' && *s <= '9'; s++)
			f->precision = MIN(f->precision * 10 + (*s - '0'), 999);
	}
	for (;; s++) {
		if (*s == 'l' || *s == 'z' || *s == 'j' || *s == 't')
			f->size = 8;
		else if (*s == 'h')
			f->size = f->size == 2 ? 1 : 2;
		else
			return s;
	}
}

_Static_assert(sizeof(long) == 8 && sizeof(size_t) == 8, "LP64");

static uint64_t get_unsigned(va_list *ap, const struct spec *f)
{
	unsigned v;

	if (f->size == 8)
		return va_arg(*ap, unsigned long);
	v = va_arg(*ap, unsigned);
	return f->size == 1 ? (uint8_t)v : f->size == 2 ? (uint16_t)v : v;
}

static int64_t get_signed(va_list *ap, const struct spec *f)
{
	int v;

	if (f->size == 8)
		return va_arg(*ap, long);
	v = va_arg(*ap, int);
	return f->size == 1 ? (int8_t)v : f->size == 2 ? (int16_t)v : v;
}

/* Conversions of one character; false for one that we don't know. */
static bool convert(struct out *o, struct spec *f, char c, va_list *ap)
{
	char one;
	int64_t d;

	switch (c) {
	case 'd':
	case 'i':
		d = get_signed(ap, f);
		put_number(o, f,
			   d < 0     ? "-"
			   : f->plus ? "+"
				     : "",
			   d < 0 ? 0 - (uint64_t)d : (uint64_t)d, 10);
		return true;
	case 'u':
		put_number(o, f, "", get_unsigned(ap, f), 10);
		return true;
	case 'x':
		put_number(o, f, f->alt ? "0x" : "", get_unsigned(ap, f), 16);
		return true;
	case 'p':
		put_number(o, f, "0x", (uintptr_t)va_arg(*ap, void *), 16);
		return true;
	case 's':
		put_string(o, f, va_arg(*ap, const char *));
		return true;
	case 'c':
		one = (char)va_arg(*ap, int);
		put_padded(o, f, &one, 1);
		return true;
	case '%':
		put(o, '%');
		return true;
	}
	return false;
}

size_t log_format(char *out, size_t len, const char *fmt, va_list args)
{
	struct out o = {.p = out, .room = len ? len - 1 : 0};
	va_list ap;

	va_copy(ap, args);
	while (*fmt) {
		struct spec f;
		const char *conv;

		if (*fmt != '%') {
			put(&o, *fmt++);
			continue;
		}
		conv = parse_spec(fmt + 1, &f);
		/* what was not understood has an argument of unknown size */
		if (!*conv || !convert(&o, &f, *conv, &ap))
			break;
		fmt = conv + 1;
	}
	va_end(ap);
	if (len)
		out[o.len] = '\0';
	return o.len;
}

size_t log_snprintf(char *out, size_t len, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = log_format(out, len, fmt, ap);
	va_end(ap);
	return n;
}

/* --- the ring --- */

void log_init(struct log *l, enum log_level level)
{
	l->level = (uint8_t)level;
	l->head = l->tail = l->lost = 0;
}

static bool ring_put(struct log *l, const char *line, uint32_t len)
{
	uint32_t at = l->head % LOG_RING, part = MIN(len, LOG_RING - at);

	if (LOG_RING - (l->head - l->tail) < len)
		return false;
	memcpy(l->ring + at, line, part);
	memcpy(l->ring, line + part, len - part);
	l->head += len;
	return true;
}

void log_line(struct log *l, enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_LEN];
	size_t n;
	va_list ap;

	if (level == LOG_OFF || level > l->level)
		return;
	if (l->lost) {
		n = log_snprintf(line, sizeof(line), "log: %u lines lost\n",
				 l->lost);
		if (!ring_put(l, line, (uint32_t)n)) {
			l->lost++;
			return;
		}
		l->lost = 0;
	}
	n = log_snprintf(line, sizeof(line) - 1, "%s", level_name[level]);
	va_start(ap, fmt);
	n += log_format(line + n, sizeof(line) - 1 - n, fmt, ap);
	va_end(ap);
	line[n++] = '\n';
	if (!ring_put(l, line, (uint32_t)n))
		l->lost++;
}

size_t log_drain(struct log *l, char *out, size_t len)
{
	uint32_t n = (uint32_t)MIN(len, l->head - l->tail), at, part;

	/* back to the end of a line */
	while (n && l->ring[(l->tail + n - 1) % LOG_RING] != '\n')
		n--;
	at = l->tail % LOG_RING;
	part = MIN(n, LOG_RING - at);
	memcpy(out, l->ring + at, part);
	memcpy(out + part, l->ring, n - part);
	l->tail += n;
	return n;
}

/* --- last words --- */

void log_set_panic(void (*say)(const char *line, size_t len))
{
	panic_say = say;
}

void assert_failed(const char *file, int line, const char *cond)
{
	char text[256];
	size_t n;

	if (panic_say) {
		n = log_snprintf(text, sizeof(text),
				 "tcpshim: bug at %s:%d: %s is false\n", file,
				 line, cond);
		panic_say(text, n);
	}
	__builtin_trap();
}
