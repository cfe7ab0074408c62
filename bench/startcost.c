/* SPDX-License-Identifier: MIT
 *
 * startcost.c - what a preload adds to the start of a program
 *
 * startcost [--extra] LIBRARY: runs `true` with and without LIBRARY in
 * LD_PRELOAD, alternately, and prints medians in microseconds; with --extra
 * only their difference. An empty LIBRARY measures the noise.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS 101

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double run(char *const env[])
{
	char *argv[] = {"true", NULL};
	double begin = now_us();
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, "true", NULL, NULL, argv, env) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "startcost: true failed\n");
		exit(1);
	}
	return now_us() - begin;
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
	static char preload[4096];
	int extra = argc == 3 && strcmp(argv[1], "--extra") == 0;
	char *without[] = {NULL};
	char *with[] = {preload, NULL};

	if (argc != 2 + extra) {
		fprintf(stderr, "usage: startcost [--extra] LIBRARY\n");
		return 2;
	}
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", argv[argc - 1]);
	for (int i = 0; i < ROUNDS; i++) {
		plain[i] = run(without);
		loaded[i] = run(with);
	}
	double a = median(plain, ROUNDS), b = median(loaded, ROUNDS);

	if (extra)
		printf("%.1f\n", b - a);
	else
		printf("true %.1f us, preloaded %.1f us, %.1f more\n", a, b,
		       b - a);
	return 0;
}
