/* SPDX-License-Identifier: MIT
 *
 * call_stdio.c - FILE streams on our sockets
 *
 * A stream's own reads and writes stay inside libc, where no hook sees them, so
 * a stream on a socket of ours is one with functions of its own
 * (fopencookie(3)), which call our read() and write() on the number. It looks
 * like any other: the number is put where fileno() finds it, and the buffer has
 * the size that libc gives to a socket's. One thing it can't: wide characters.
 *
 * libc writes out what is left in streams after every handler of exit(), when
 * our sockets are closed already; so stdio_flush() does it before they are.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <unistd.h>

#include "aliases.h"
#include "call_priv.h"
#include "real.h"
#include "sys.h"

#define STREAM_BUF 4096 /* st_blksize of a socket */

struct stream {
	struct list node;
	FILE *fp;
	int fd;
	char buf[STREAM_BUF];
};

static struct {
	pthread_mutex_t lock;
	struct list all;
} streams = {PTHREAD_MUTEX_INITIALIZER, {&streams.all, &streams.all}};

static ssize_t stream_read(void *cookie, char *buf, size_t len)
{
	struct stream *s = cookie;

	return read(s->fd, buf, len);
}

/* All of it or an error: libc takes less for the end of the world. */
static ssize_t stream_write(void *cookie, const char *buf, size_t len)
{
	struct stream *s = cookie;
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(s->fd, buf + done, len - done);

		if (n < 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done; /* 0 is this callback's -1 */
}

static int stream_seek(void *cookie, off64_t *off, int whence)
{
	errno = ESPIPE;
	return -1;
}

static int stream_close(void *cookie)
{
	struct stream *s = cookie;
	int fd = s->fd;

	pthread_mutex_lock(&streams.lock);
	list_remove(&s->node);
	pthread_mutex_unlock(&streams.lock);
	free(s);
	return close(fd);
}

static FILE *open_stream(int fd, const char *mode)
{
	cookie_io_functions_t io = {
		.read = stream_read,
		.write = stream_write,
		.seek = stream_seek,
		.close = stream_close,
	};
	struct stream *s = malloc(sizeof(*s));
	FILE *fp = s ? fopencookie(s, mode, io) : NULL;

	if (!fp) {
		free(s);
		return NULL;
	}
	s->fd = fd;
	s->fp = fp;
	fp->_fileno = fd;
	setvbuf(fp, s->buf, _IOFBF, sizeof(s->buf));
	if (*mode == 'a')
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_APPEND);
	pthread_mutex_lock(&streams.lock);
	list_push(&streams.all, &s->node);
	pthread_mutex_unlock(&streams.lock);
	return fp;
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
	return fd_sock(fd) ? open_stream(fd, mode) : real.fdopen(fd, mode);
}

EXPORT FILE *_IO_fdopen(int fd, const char *mode)
{
	return fd_sock(fd) ? open_stream(fd, mode) : real._IO_fdopen(fd, mode);
}

void stdio_flush(void)
{
	struct list *l;

	pthread_mutex_lock(&streams.lock);
	for (l = streams.all.next; l != &streams.all; l = l->next) {
		struct stream *s = container_of(l, struct stream, node);
		/* who holds the stream may wait in a read for ever; libc, at
		 * exit, does not ask either */
		bool is_mine = ftrylockfile(s->fp) == 0;

		if (__fpending(s->fp))
			fflush_unlocked(s->fp);
		if (is_mine)
			funlockfile(s->fp);
	}
	pthread_mutex_unlock(&streams.lock);
}

/* --- dprintf --- */

static int put_text(int fd, char *text, int len)
{
	int done = 0;

	while (done < len) {
		ssize_t n = write(fd, text + done, (size_t)(len - done));

		if (n < 0)
			break;
		done += (int)n;
	}
	free(text);
	return done < len ? -1 : len;
}

EXPORT int vdprintf(int fd, const char *restrict fmt, va_list ap)
{
	char *text;
	int len;

	if (!fd_sock(fd))
		return real.vdprintf(fd, fmt, ap);
	len = vasprintf(&text, fmt, ap);
	return len < 0 ? -1 : put_text(fd, text, len);
}

EXPORT int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap)
{
	char *text;
	int len;

	if (!fd_sock(fd))
		return real.__vdprintf_chk(fd, flag, fmt, ap);
	len = __vasprintf_chk(&text, flag, fmt, ap);
	return len < 0 ? -1 : put_text(fd, text, len);
}

EXPORT int dprintf(int fd, const char *restrict fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vdprintf(fd, fmt, ap);
	va_end(ap);
	return r;
}

EXPORT int __dprintf_chk(int fd, int flag, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = __vdprintf_chk(fd, flag, fmt, ap);
	va_end(ap);
	return r;
}
