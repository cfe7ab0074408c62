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
 * Standard streams are made before we can know: when a number from 0 to 2 comes
 * to be a socket, the stream is exchanged for one of ours (stdio_take()), and
 * stays that, since it works on whatever is behind the number. Who has a copy
 * of the old pointer goes past us.
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
	char *left; /* what the stream before this one had read already */
	size_t left_len, left_at;
	char buf[STREAM_BUF];
};

static struct {
	pthread_mutex_t lock;
	struct list all;
} streams = {PTHREAD_MUTEX_INITIALIZER, {&streams.all, &streams.all}};

static ssize_t stream_read(void *cookie, char *buf, size_t len)
{
	struct stream *s = cookie;
	size_t n = MIN(len, s->left_len - s->left_at);

	if (!n)
		return read(s->fd, buf, len);
	memcpy(buf, s->left + s->left_at, n);
	s->left_at += n;
	return (ssize_t)n;
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

/* After freopen() there may be a file behind it. */
static int stream_seek(void *cookie, off64_t *off, int whence)
{
	struct stream *s = cookie;
	off64_t at = -1;

	if (fd_sock(s->fd))
		errno = ESPIPE;
	else
		at = lseek64(s->fd, *off, whence);
	if (at < 0)
		return -1;
	*off = at;
	return 0;
}

static int stream_close(void *cookie)
{
	struct stream *s = cookie;
	int fd = s->fd;

	pthread_mutex_lock(&streams.lock);
	list_remove(&s->node);
	pthread_mutex_unlock(&streams.lock);
	free(s->left);
	free(s);
	return close(fd);
}

/* In a forked child: whoever had it is not there. */
static void free_lock(void)
{
	pthread_mutex_init(&streams.lock, NULL);
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, free_lock);
}

static FILE *open_stream(int fd, const char *mode)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	cookie_io_functions_t io = {
		.read = stream_read,
		.write = stream_write,
		.seek = stream_seek,
		.close = stream_close,
	};
	struct stream *s = calloc(1, sizeof(*s));
	FILE *fp = s ? fopencookie(s, mode, io) : NULL;

	if (!fp) {
		free(s);
		return NULL;
	}
	pthread_once(&once, watch_forks);
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
	return fd_sock(fd) || fd_text(fd) ? open_stream(fd, mode)
					  : real.fdopen(fd, mode);
}

EXPORT FILE *_IO_fdopen(int fd, const char *mode)
{
	return fd_sock(fd) || fd_text(fd) ? open_stream(fd, mode)
					  : real._IO_fdopen(fd, mode);
}

static struct stream *stream_of(FILE *fp)
{
	struct stream *found = NULL;
	struct list *l;

	pthread_mutex_lock(&streams.lock);
	list_for_each (l, &streams.all)
		if (list_entry(l, struct stream, node)->fp == fp)
			found = list_entry(l, struct stream, node);
	pthread_mutex_unlock(&streams.lock);
	return found;
}

/* --- the standard streams --- */

/* What @old holds, read but not taken or written but not sent, is @fp's now. */
static void move_buffers(FILE *old, FILE *fp, struct stream *s)
{
	size_t n = (size_t)(old->_IO_read_end - old->_IO_read_ptr);

	if (fp == stdin && n && (s->left = malloc(n))) {
		memcpy(s->left, old->_IO_read_ptr, n);
		s->left_len = n;
	}
	if (__flbf(old))
		setvbuf(fp, s->buf, _IOLBF, sizeof(s->buf));
	if (fp == stderr)
		setvbuf(fp, NULL, _IONBF, 0);
	n = __fpending(old);
	if (n)
		fwrite_unlocked(old->_IO_write_base, 1, n, fp);
	__fpurge(old);
}

void stdio_take(int fd)
{
	FILE **const std[] = {&stdin, &stdout, &stderr};
	FILE *old, *fp;
	int err = errno;

	if (fd < 0 || fd > 2)
		return;
	old = *std[fd];
	if (old && fileno(old) == fd && !stream_of(old)) {
		fp = open_stream(fd, fd == 0 ? "r" : "w");
		if (fp) {
			*std[fd] = fp;
			move_buffers(old, fp, stream_of(fp));
		}
	}
	errno = err;
}

/* --- fclose ---
 * A file's stream whose number has become a socket's. Ours end in close(). */

EXPORT int fclose(FILE *fp)
{
	int fd = fp ? fp->_fileno : -1, r = real.fclose(fp);

	fd_recheck(fd);
	return r;
}

EXPORT int _IO_fclose(FILE *fp)
{
	return fclose(fp);
}

/* --- freopen ---
 * libc's would leave our stream half its own kind and half a file's, and fall
 * over that. Ours keeps its functions and gets the number of the new file. */

#define STREAM_MODE                                              \
	0x100cu /* _IO_NO_READS, _IO_NO_WRITES, _IO_IS_APPENDING \
		 */

static FILE *reopen_stream(struct stream *s, FILE *from)
{
	FILE *fp = s->fp;
	int err = errno;

	flockfile(fp);
	fflush_unlocked(fp);
	__fpurge(fp);
	if (!from) {
		funlockfile(fp);
		fclose(fp);
		errno = err;
		return NULL;
	}
	dup2(fileno(from), s->fd);
	fp->_flags = (int)(((unsigned)fp->_flags & ~STREAM_MODE) |
			   ((unsigned)from->_flags & STREAM_MODE));
	clearerr_unlocked(fp);
	funlockfile(fp);
	fclose(from);
	return fp;
}

#define HOOK_FREOPEN(name, open)                                              \
	EXPORT FILE *name(const char *restrict path,                          \
			  const char *restrict mode, FILE *restrict fp)       \
	{                                                                     \
		struct stream *s = stream_of(fp);                             \
		int fd;                                                       \
                                                                              \
		if (s) {                                                      \
			errno = ENXIO; /* a socket can't be opened again */   \
			return reopen_stream(s,                               \
					     path ? open(path, mode) : NULL); \
		}                                                             \
		fd = fileno(fp);                                              \
		fp = real.name(path, mode, fp);                               \
		fd_recheck(fd);                                               \
		return fp;                                                    \
	}
HOOK_FREOPEN(freopen, fopen)
HOOK_FREOPEN(freopen64, fopen64)

EVERY_RUN void stdio_flush(void)
{
	struct list *l;

	pthread_mutex_lock(&streams.lock);
	list_for_each (l, &streams.all) {
		struct stream *s = list_entry(l, struct stream, node);
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
