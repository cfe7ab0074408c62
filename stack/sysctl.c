/* SPDX-License-Identifier: MIT
 *
 * sysctl.c - tunables by name: numbers, groups of numbers, words
 *
 * Linux writes some rows together: "net.ipv4.tcp_rmem" is three of ours, in
 * one string. Either all of a group is set or none.
 */
#include "sysctl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/tcp.h"

#define MAX_GROUP 3
#define MAX_NAME 80
#define FASTOPEN_KEY "net.ipv4.tcp_fastopen_key"
#define DEFAULT_CC "net.ipv4.tcp_congestion_control"
#define ALLOWED_CC "net.ipv4.tcp_allowed_congestion_control"
#define AVAILABLE_CC "net.ipv4.tcp_available_congestion_control"
#define DEFAULT_QDISC "net.core.default_qdisc"
#define PING_RANGE "net.ipv4.ping_group_range"

const struct sysctl_values sysctl_defaults = {
#define SYSCTL(id, name, def, lo, hi, text) .id = def,
#include "sysctl.def"
#undef SYSCTL
};

static const struct row {
	char name[64]; /* no pointer: it would have to be relocated */
	size_t off;
	int64_t lo, hi;
} rows[] = {
#define SYSCTL(id, name, def, lo, hi, text) \
	{name, offsetof(struct sysctl_values, id), lo, hi},
#include "sysctl.def"
#undef SYSCTL
};

/* What Linux writes as one line, and our rows for its numbers. */
static const struct group {
	const char *name;
	const char *members[MAX_GROUP];
} groups[] = {
	{"net.ipv4.tcp_rmem", {"min", "default", "max"}},
	{"net.ipv4.tcp_wmem", {"min", "default", "max"}},
	{"net.ipv4.tcp_mem", {"min", "pressure", "max"}},
	{"net.ipv4.ip_local_port_range", {"low", "high"}},
	{PING_RANGE, {"low", "high"}}, /* "1 0": nobody */
};

/* There is one queue, and what matters of Linux's is whether they pace. */
static const char *const qdiscs[] = {"pfifo_fast", "fq",  "pfifo",  "bfifo",
				     "fq_codel",   "sfq", "fq_pie", "cake"};

static int qdisc_find(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(qdiscs); i++)
		if (strcmp(qdiscs[i], word) == 0)
			return i == QDISC_FQ ? QDISC_FQ : 0;
	return -ENOENT;
}

static const char *qdisc_name(unsigned value)
{
	return qdiscs[value == QDISC_FQ];
}

/* Values that are words: the row, and what a word stands for. */
static const struct words {
	const char *name;
	int (*find)(const char *word); /* or -ENOENT */
	const char *(*word)(unsigned value);
} words[] = {
	{DEFAULT_CC, tcp_cc_find, tcp_cc_name},
	{DEFAULT_QDISC, qdisc_find, qdisc_name},
};

static const struct row *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static const struct group *find_group(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (strcmp(groups[i].name, name) == 0)
			return &groups[i];
	return NULL;
}

static void store(struct sysctl_values *v, const struct row *r, int64_t n)
{
	memcpy((char *)v + r->off, &n, sizeof(n));
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* One number at *@s, which moves behind it and the space that follows. */
static int number(const char **s, const struct row *r, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(*s, &end, 10);
	if (end == *s || errno || (*end && !is_space(*end)))
		return -EINVAL;
	while (is_space(*end))
		end++;
	*s = end;
	return *out < r->lo || *out > r->hi ? -EINVAL : 0;
}

static int set_group(struct sysctl_values *v, const struct group *g,
		     const char *value)
{
	struct sysctl_values next = *v;
	char name[MAX_NAME];
	int64_t n, last = INT64_MIN;

	for (unsigned i = 0; i < MAX_GROUP && g->members[i]; i++) {
		const struct row *r;

		log_snprintf(name, sizeof(name), "%s.%s", g->name,
			     g->members[i]);
		r = find(name);
		ASSERT(r);
		if (number(&value, r, &n))
			return -EINVAL;
		if (n < last && strcmp(g->name, PING_RANGE) != 0)
			return -EINVAL;
		store(&next, r, n);
		last = n;
	}
	if (*value)
		return -EINVAL;
	*v = next;
	return 0;
}

static int set_word(struct sysctl_values *v, const char *name,
		    const char *value, bool *done)
{
	int n;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].name, name) != 0)
			continue;
		*done = true;
		n = words[i].find(value);
		if (n >= 0)
			store(v, find(name), n);
		return MIN(n, 0);
	}
	return 0;
}

/* "xxxxxxxx-xxxxxxxx-xxxxxxxx-xxxxxxxx", as Linux writes it */
static int set_fastopen_key(struct sysctl_values *v, const char *value)
{
	int64_t part[4];

	for (unsigned i = 0; i < ARRAY_SIZE(part); i++) {
		char *end;

		errno = 0;
		part[i] = strtoll(value, &end, 16);
		if (end == value || errno || part[i] < 0 ||
		    part[i] > UINT32_MAX)
			return -EINVAL;
		if (i < 3 && *end != '-')
			return -EINVAL;
		value = end + 1;
		if (i == 3 && *end && !is_space(*end) && *end != ',')
			return -EINVAL;
	}
	v->tcp_fastopen_key0 = part[0];
	v->tcp_fastopen_key1 = part[1];
	v->tcp_fastopen_key2 = part[2];
	v->tcp_fastopen_key3 = part[3];
	return 0;
}

/* "reno cubic": all of them or none is taken. */
static int set_allowed_cc(struct sysctl_values *v, const char *value)
{
	char word[MAX_NAME];
	int64_t set = 0;

	while (*value) {
		size_t n = 0;
		int id;

		while (is_space(*value))
			value++;
		for (; *value && !is_space(*value); value++)
			if (n < sizeof(word) - 1)
				word[n++] = *value;
		word[n] = '\0';
		id = n ? tcp_cc_find(word) : 0;
		if (id < 0)
			return -EINVAL;
		set |= n ? 1ll << id : 0;
	}
	if (!set)
		return -EINVAL;
	v->tcp_allowed_cc = set | 1ll << v->tcp_congestion_control;
	return 0;
}

int sysctl_set(struct sysctl_values *v, const char *name, const char *value)
{
	const struct group *g = find_group(name);
	const struct row *r = find(name);
	bool done = false;
	int64_t n;
	int err;

	if (strcmp(name, FASTOPEN_KEY) == 0)
		return set_fastopen_key(v, value);
	if (strcmp(name, ALLOWED_CC) == 0)
		return set_allowed_cc(v, value);
	if (strcmp(name, AVAILABLE_CC) == 0)
		return -EPERM; /* to be read only */
	if (g)
		return set_group(v, g, value);
	if (!r)
		return -ENOENT;
	err = set_word(v, name, value, &done);
	if (done && !err && strcmp(name, DEFAULT_CC) == 0)
		v->tcp_allowed_cc |= 1ll << v->tcp_congestion_control;
	if (done)
		return err == -ENOENT ? -EINVAL : err;
	if (number(&value, r, &n) || *value)
		return -EINVAL;
	store(v, r, n);
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

static int64_t load(const struct sysctl_values *v, const struct row *r)
{
	int64_t n;

	memcpy(&n, (const char *)v + r->off, sizeof(n));
	return n;
}

static size_t text_group(const struct sysctl_values *v, const struct group *g,
			 char *out, size_t len)
{
	char name[MAX_NAME];
	size_t n = 0;

	for (unsigned i = 0; i < MAX_GROUP && g->members[i]; i++) {
		log_snprintf(name, sizeof(name), "%s.%s", g->name,
			     g->members[i]);
		n += log_snprintf(out + n, len - n, i ? "\t%lld" : "%lld",
				  (long long)load(v, find(name)));
	}
	return n;
}

/* The names of those in @set, a bit each. */
static size_t text_cc(int64_t set, char *out, size_t len)
{
	const char *name;
	size_t n = 0;

	for (unsigned i = 0; (name = tcp_cc_name(i)); i++)
		if (set >> i & 1)
			n += log_snprintf(out + n, len - n, n ? " %s" : "%s",
					  name);
	return n;
}

static size_t text_row(const struct sysctl_values *v, const struct row *r,
		       char *out, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].name, r->name) == 0)
			return log_snprintf(
				out, len, "%s",
				words[i].word((unsigned)load(v, r)));
	return log_snprintf(out, len, "%lld", (long long)load(v, r));
}

int sysctl_text(const struct sysctl_values *v, const char *name, char *out,
		size_t len)
{
	const struct group *g = find_group(name);
	const struct row *r = find(name);

	if (strcmp(name, FASTOPEN_KEY) == 0) /* one of its own: zeroes */
		return (int)log_snprintf(
			out, len, "%08x-%08x-%08x-%08x",
			(unsigned)MAX(v->tcp_fastopen_key0, 0ll),
			(unsigned)v->tcp_fastopen_key1,
			(unsigned)v->tcp_fastopen_key2,
			(unsigned)v->tcp_fastopen_key3);
	if (strcmp(name, AVAILABLE_CC) == 0)
		return (int)text_cc(~0ll, out, len);
	if (strcmp(name, ALLOWED_CC) == 0)
		return (int)text_cc(v->tcp_allowed_cc, out, len);
	if (g)
		return (int)text_group(v, g, out, len);
	return r ? (int)text_row(v, r, out, len) : -ENOENT;
}
