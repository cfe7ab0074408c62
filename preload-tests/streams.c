/* SPDX-License-Identifier: MIT
 *
 * streams.c - FILE streams on sockets: all of stdio on both ends of a
 * connection, and dprintf(); built fortified
 */
#include "lib/pair.h"
#include <stdio_ext.h>
#include <sys/uio.h>

FILE *_IO_fdopen(int fd, const char *mode);

/* Variadic calls whose format the compiler can't see through. */
static const char *volatile fmt_line = "%s %d\n";

static void say_stream(const char *what, FILE *fp)
{
	say("%s: eof %d error %d", what, !!feof(fp), !!ferror(fp));
}

static void modes(int fd)
{
	static const char *const names[] = {"",	   "q",	 "r",  "w",  "a",
					    "r+",  "w+", "rb", "wb", "r+b",
					    "rb+", "re", "rw", "+r"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int copy = (int)MUST(dup(fd));
		FILE *fp;

		errno = 0;
		fp = fdopen(copy, names[i]);
		if (!fp) {
			say("fdopen %s: %s", names[i], t_err(errno));
			close(copy);
			continue;
		}
		say("fdopen %s: reads %d writes %d", names[i],
		    !!__freadable(fp), !!__fwritable(fp));
		say("fileno %d %d, append %d", fileno(fp) == copy,
		    fileno_unlocked(fp) == copy,
		    !!(fcntl(copy, F_GETFL) & O_APPEND));
		CALL(fclose(fp));
		CALL(fcntl(copy, F_GETFD) < 0);
		MUST(fcntl(fd, F_SETFL, 0));
	}
	CALL(fdopen(-1, "r") != NULL);
}

static void lines(int sv[2])
{
	FILE *a = fdopen(sv[0], "r+"), *b = fdopen(sv[1], "r+");
	char buf[64], *line = NULL;
	size_t room = 0;
	int n = 0;

	CALL(fprintf(a, fmt_line, "number", 17));
	CALL(fputs("second\n", a));
	CALL(fputc('x', a));
	CALL(fwrite("yz\n", 1, 3, a));
	say("pending %d", (int)__fpending(a));
	CALL(fflush(a));
	say("%s", fgets(buf, sizeof(buf), b));
	CALL(fscanf(b, "%6s", buf));
	say("%s", buf);
	CALL(fgetc(b));
	CALL(ungetc('u', b));
	CALL(getline(&line, &room, b));
	say("%s", line);
	say_stream("so far", b);
	CALL(ftell(b));
	CALL(fseek(b, 0, SEEK_SET));
	CALL(fseeko(b, 5, SEEK_CUR));
	say("rewind");
	errno = 0;
	rewind(b);
	/* now the other way, on the same streams */
	CALL(fprintf(b, "%s\n", "answer"));
	CALL(fflush(b));
	CALL(fscanf(a, "%63s%n", buf, &n));
	say("%s %d", buf, n);
	/* line buffering, none, and a buffer of the program's */
	CALL(setvbuf(b, NULL, _IOLBF, 0));
	CALL(fputs("line\nrest", b));
	say("pending %d", (int)__fpending(b));
	CALL(fgetc(a));
	say("%s", fgets(buf, sizeof(buf), a));
	CALL(fflush(b));
	CALL(setvbuf(b, NULL, _IONBF, 0));
	CALL(fputs("!", b));
	say("pending %d", (int)__fpending(b));
	CALL(fread(buf, 1, 5, a));
	say("%.5s", buf);
	CALL(shutdown(fileno(b), SHUT_WR));
	CALL(fgetc(a));
	say_stream("the end", a);
	clearerr(a);
	CALL(fgetc(a));
	free(line);
	CALL(fclose(a));
	CALL(fclose(b));
}

/* How much goes out by itself is what a buffer of 4096 makes. */
static void sizes(const struct t_fam *f)
{
	static char big[10000];
	int sv[2];
	FILE *a;

	t_pair(f, sv);
	a = fdopen(sv[0], "w");
	memset(big, 'b', sizeof(big));
	CALL(fwrite(big, 1, 4000, a));
	say("pending %d", (int)__fpending(a));
	CALL(fwrite(big, 1, 200, a));
	say("pending %d", (int)__fpending(a));
	CALL(fwrite(big, 1, sizeof(big), a));
	say("pending %d", (int)__fpending(a));
	say("buffer %d", (int)__fbufsize(a));
	CALL(fclose(a));
	t_settle(sv[1], POLLRDHUP);
	CALL(recv(sv[1], big, sizeof(big), MSG_WAITALL));
	CALL(recv(sv[1], big, sizeof(big), MSG_WAITALL));
	CALL(recv(sv[1], big, sizeof(big), MSG_WAITALL));
	close(sv[1]);
}

static void errors(const struct t_fam *f)
{
	char buf[16];
	int sv[2];
	FILE *a, *b;

	t_pair(f, sv);
	a = fdopen(sv[0], "r");
	b = _IO_fdopen(sv[1], "w");
	CALL(fputs("no", a));
	CALL(fgetc(b));
	CALL(fcntl(sv[0], F_SETFL, O_NONBLOCK));
	CALL(fgetc(a));
	say_stream("nothing yet", a);
	clearerr(a);
	CALL(fputs("abc", b));
	CALL(fflush(NULL));
	t_settle(sv[0], POLLIN);
	CALL(fread(buf, 1, sizeof(buf), a));
	say_stream("less than asked", a);
	CALL(fclose(a));
	t_settle(sv[1], POLLRDHUP);
	signal(SIGPIPE, SIG_IGN);
	clearerr(b);
	CALL(fputs("abc", b));
	CALL(fflush(b));
	t_settle(sv[1], POLLHUP);
	CALL(fputs("abc", b));
	CALL(fflush(b));
	say_stream("a reset", b);
	CALL(fclose(b));
}

static void formatted(const struct t_fam *f)
{
	char buf[64] = "";
	int sv[2];

	t_pair(f, sv);
	CALL(dprintf(sv[0], fmt_line, "dprintf", 1));
	CALL(dprintf(sv[0], "%s", ""));
	t_wait_bytes(sv[1], 10);
	CALL(read(sv[1], buf, sizeof(buf)));
	say("%s", buf);
	signal(SIGPIPE, SIG_IGN);
	CALL(shutdown(sv[0], SHUT_WR));
	CALL(dprintf(sv[0], "%d", 1));
	CALL(dprintf(-1, "%d", 1));
	t_close_pair(sv);
}

/* Copies of a stream's number, and the number taken away under it. */
static void copies(const struct t_fam *f)
{
	int sv[2], copy;
	FILE *a;

	t_pair(f, sv);
	a = fdopen(sv[0], "w");
	copy = (int)MUST(dup(fileno(a)));
	CALL(fputs("one", a));
	CALL(fclose(a));
	CALL(send(copy, "two", 3, 0));
	t_wait_bytes(sv[1], 6);
	a = fdopen(copy, "w");
	CALL(fputs("lost", a));
	CALL(close(copy));
	t_settle(sv[1], POLLRDHUP);
	CALL(fflush(a));
	CALL(fclose(a));
	close(sv[1]);
}

/* The same FILE, another file. Its number too. */
static void reopened(const struct t_fam *f)
{
	char buf[64];
	int sv[2], fd;
	FILE *a, *b;

	t_pair(f, sv);
	a = fdopen(sv[0], "w");
	CALL(fputs("before", a));
	say("same %d", freopen("streams.tmp", "w+", a) == a);
	say("same number %d", fileno(a) == sv[0]);
	t_settle(sv[1], POLLRDHUP);
	CALL(recv(sv[1], buf, sizeof(buf), MSG_WAITALL));
	CALL(fputs("into a file\n", a));
	CALL(fseek(a, 5, SEEK_SET));
	CALL(ftell(a));
	say("%s", fgets(buf, sizeof(buf), a));
	CALL(send(fileno(a), "x", 1, 0));
	CALL(fclose(a));
	b = fdopen(sv[1], "r");
	CALL(freopen("streams.none", "r", b) != NULL);
	CALL(fcntl(sv[1], F_GETFD) < 0);
	/* a stream of a file whose number became a socket's */
	a = fopen("streams.tmp", "r");
	t_pair(f, sv);
	fd = fileno(a);
	MUST(dup2(sv[0], fd));
	CALL(send(fd, "x", 1, 0));
	say("same %d", freopen("streams.tmp", "r", a) == a);
	CALL(send(fileno(a), "x", 1, 0));
	say("%s", fgets(buf, sizeof(buf), a));
	CALL(fclose(a));
	/* and one that is closed */
	a = fopen("streams.tmp", "r");
	fd = fileno(a);
	MUST(dup2(sv[0], fd));
	CALL(fclose(a));
	CALL(send(fd, "x", 1, 0));
	say("the number is free: %d", open("/dev/null", O_RDONLY) == fd);
	CALL(send(fd, "x", 1, 0));
	CALL(close(fd));
	unlink("streams.tmp");
	t_close_pair(sv);
}

/* What is left in a stream goes out at exit, after the handlers. */
static FILE *last;

static void at_end(void)
{
	fputs("from a handler", last);
}

static void left_at_exit(const struct t_fam *f)
{
	int fd = t_connected(f, 0);

	last = fdopen(fd, "w");
	fwrite("\0\1\2", 1, 3, last);
	CALL(fflush(last));
	peer("recv 0 3");
	atexit(at_end);
}

int main(void)
{
	int sv[2];

	t_init();
	for (int i = 0; i < 2; i++) {
		say("-- IPv%d", t_fams[i].n);
		t_pair(&t_fams[i], sv);
		modes(sv[0]);
		lines(sv);
		sizes(&t_fams[i]);
		errors(&t_fams[i]);
		formatted(&t_fams[i]);
		copies(&t_fams[i]);
		reopened(&t_fams[i]);
	}
	left_at_exit(&t_fams[0]);
	return 0;
}
