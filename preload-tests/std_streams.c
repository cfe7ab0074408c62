/* SPDX-License-Identifier: MIT
 *
 * std_streams.c - stdin, stdout and stderr when their numbers are sockets
 *
 * The streams are made before the program has a say, and what they hold when
 * a number changes hands goes to, or comes before, what is behind it next.
 */
#include "lib/pair.h"

static const char *got(int fd)
{
	static char buf[256];
	ssize_t n;

	t_settle(fd, POLLIN);
	n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	buf[n > 0 ? n : 0] = 0;
	for (char *p = buf; *p; p++)
		if (*p == '\n')
			*p = '/';
	return buf;
}

static void output(const struct t_fam *f)
{
	int sv[2], save = (int)MUST(dup(1));

	t_pair(f, sv);
	printf("before, ");
	MUST(dup2(sv[0], 1));
	printf("number %d\n", 5);
	puts("a line");
	putchar('x');
	fflush(stdout);
	printf("for the file that comes back: ");
	MUST(dup2(save, 1));
	say("heard %s", got(sv[1]));
	MUST(dup2(sv[0], 1));
	printf("again");
	fflush(stdout);
	MUST(dup2(save, 1));
	say("heard %s", got(sv[1]));
	say("fileno %d", fileno(stdout));

	MUST(dup2(2, save));
	MUST(dup2(sv[0], 2));
	fprintf(stderr, "no %s\n", "buffer");
	say("heard %s", got(sv[1]));
	errno = EINTR;
	perror("perror");
	say("heard %s", got(sv[1]));
	MUST(dup2(save, 2));
	close(save);
	close(sv[0]);
	close(sv[1]);
}

static void input(const struct t_fam *f)
{
	int sv[2], p[2], save = (int)MUST(dup(0)), n = 0;
	char buf[64];

	t_pair(f, sv);
	MUST(pipe(p));
	MUST(dup2(p[0], 0));
	MUST(write(p[1], "one\ntwo\n", 8));
	say("gets %s", fgets(buf, sizeof(buf), stdin));
	MUST(dup2(sv[0], 0));
	MUST(send(sv[1], "three 4 five\nsix\n", 17, 0));
	say("gets %s", fgets(buf, sizeof(buf), stdin));
	CALL(scanf("%63s %d", buf, &n));
	say("%s %d", buf, n);
	CALL(getchar());
	say("gets %s", fgets(buf, sizeof(buf), stdin));
	MUST(shutdown(sv[1], SHUT_WR));
	say("gets %s", fgets(buf, sizeof(buf), stdin));
	CALL(getchar());
	CALL(feof(stdin) != 0);
	clearerr(stdin);
	/* something else again */
	MUST(dup2(p[0], 0));
	MUST(write(p[1], "seven\n", 6));
	say("gets %s", fgets(buf, sizeof(buf), stdin));
	close(sv[0]);
	close(sv[1]);

	/* a number of 0 by close() and dup(), as old servers do it */
	t_pair(f, sv);
	close(0);
	CALL(dup(sv[0]));
	MUST(send(sv[1], "eight\n", 6, 0));
	say("gets %s", fgets(buf, sizeof(buf), stdin));
	close(sv[0]);
	close(sv[1]);

	/* ... and by accept() */
	close(0);
	t_pair(f, sv);
	say("one of them is 0: %d", sv[0] == 0 || sv[1] == 0);
	MUST(send(sv[0] ? sv[0] : sv[1], "nine\n", 5, 0));
	say("gets %s", fgets(buf, sizeof(buf), stdin));
	close(sv[0]);
	close(sv[1]);
	MUST(dup2(save, 0));
	close(save);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		say("IPv%d", t_fams[i].n);
		output(&t_fams[i]);
		input(&t_fams[i]);
	}
	return 0;
}
