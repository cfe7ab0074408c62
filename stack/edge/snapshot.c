/* SPDX-License-Identifier: MIT
 *
 * snapshot.c - see snapshot.h
 */
#include "edge/snapshot.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define LINE 300

struct rows {
	char **v; /* the heading above, then the row */
	size_t num;
};

static void read_rows(struct rows *r, FILE *f)
{
	char line[LINE], heading[LINE] = "";

	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#')
			memcpy(heading, line, sizeof(line));
		if (line[0] != '|')
			continue;
		r->v = realloc(r->v, (r->num + 1) * sizeof(r->v[0]));
		ASSERT(r->v);
		ASSERT(asprintf(&r->v[r->num++], "%s%s", heading, line) > 0);
	}
}

static void free_rows(struct rows *r)
{
	for (size_t i = 0; i < r->num; i++)
		free(r->v[i]);
	free(r->v);
}

static bool has(const struct rows *r, const char *row)
{
	for (size_t i = 0; i < r->num; i++)
		if (strcmp(r->v[i], row) == 0)
			return true;
	return false;
}

int snapshot_compare(const char *path, FILE *now)
{
	struct rows a = {0}, b = {0};
	FILE *then = fopen(path, "r");
	int differ = 0;

	if (!then) {
		perror(path);
		return -1;
	}
	read_rows(&a, then);
	fclose(then);
	rewind(now);
	read_rows(&b, now);
	for (size_t i = 0; i < b.num; i++) {
		if (has(&a, b.v[i]))
			continue;
		printf("not in %s: %s", path, b.v[i]);
		differ++;
	}
	printf("%zu rows passed, %d failed\n", b.num - (size_t)differ, differ);
	differ = b.num ? differ : -1;
	free_rows(&a);
	free_rows(&b);
	return differ;
}
