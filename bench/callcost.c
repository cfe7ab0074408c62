/* SPDX-License-Identifier: MIT
 *
 * callcost.c - what a preload adds to a read or write of a file
 *
 * callcost [--extra] read|write LIBRARY: runs itself with and without LIBRARY
 * in LD_PRELOAD, alternately, and prints medians in nanoseconds a call; with
 * --extra only their difference. The file is memory, and one byte moves, so
 * that the path into the kernel is nearly all there is to see.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 21
#define CALLS 100000

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int measure(const char *call)
{
	bool is_read = strcmp(call, "read") == 0;
	int fd = memfd_create("callcost", MFD_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, "x", 1);
	double begin = now_ns();
	char c = 0;

	/* at the end of the file a read gives 0, which costs as much */
	for (int i = 0; i < CALLS && n >= 0; i++)
		n = is_read ? read(fd, &c, 1) : write(fd, &c, 0);
	if (n < 0) {
		perror("callcost");
		return 1;
	}
	printf("%.2f\n", (now_ns() - begin) / CALLS);
	return 0;
}

/* One process a measurement: where things land in memory differs from run to
 * run, and the median is over that as well. */
static double run(const char *self, const char *call, const char *library)
{
	char cmd[9000], line[64];
	double got = -1;
	FILE *p;

	snprintf(cmd, sizeof(cmd), "LD_PRELOAD='%s' exec '%s' --measure %s",
		 library, self, call);
	p = popen(cmd, "r");
	if (p && fgets(line, sizeof(line), p))
		got = strtod(line, NULL);
	if (!p || pclose(p) != 0 || got <= 0) {
		fprintf(stderr, "callcost: a round failed\n");
		exit(1);
	}
	return got;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

int main(int argc, char **argv)
{
	static double plain[ROUNDS], loaded[ROUNDS];
	bool extra = argc == 4 && strcmp(argv[1], "--extra") == 0;
	const char *call = argc > 2 ? argv[argc - 2] : "";

	if (argc == 3 && strcmp(argv[1], "--measure") == 0)
		return measure(argv[2]);
	if (argc != 3 + extra ||
	    (strcmp(call, "read") != 0 && strcmp(call, "write") != 0)) {
		fprintf(stderr,
			"usage: callcost [--extra] read|write LIBRARY\n");
		return 2;
	}
	for (int i = 0; i < ROUNDS; i++) {
		plain[i] = run(argv[0], call, "");
		loaded[i] = run(argv[0], call, argv[argc - 1]);
	}
	double a = median(plain, ROUNDS), b = median(loaded, ROUNDS);

	if (extra)
		printf("%.2f\n", b - a);
	else
		printf("%s %.1f ns, preloaded %.1f ns, %.2f more\n", call, a, b,
		       b - a);
	return 0;
}
