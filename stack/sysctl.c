/* SPDX-License-Identifier: MIT */
#include "sysctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

const struct sysctl_values sysctl_defaults = {
#define SYSCTL(id, name, def, lo, hi, text) .id = def,
#include "sysctl.def"
#undef SYSCTL
};

static const struct row {
	const char *name;
	size_t off;
	int64_t lo, hi;
} rows[] = {
#define SYSCTL(id, name, def, lo, hi, text)                                    \
	{name, offsetof(struct sysctl_values, id), lo, hi},
#include "sysctl.def"
#undef SYSCTL
};

static const struct row *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

int sysctl_set(struct sysctl_values *v, const char *name, const char *value)
{
	const struct row *r = find(name);
	char *end;
	int64_t n;

	if (!r)
		return -ENOENT;
	errno = 0;
	n = strtoll(value, &end, 10);
	if (end == value || *end || errno || n < r->lo || n > r->hi)
		return -EINVAL;
	memcpy((char *)v + r->off, &n, sizeof(n));
	return 0;
}

int sysctl_get(const struct sysctl_values *v, const char *name, int64_t *out)
{
	const struct row *r = find(name);

	if (!r)
		return -ENOENT;
	memcpy(out, (const char *)v + r->off, sizeof(*out));
	return 0;
}
