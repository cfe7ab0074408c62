/* SPDX-License-Identifier: MIT
 *
 * impair_parse.c - the words of tc-netem(8)
 *
 * A row of `words` each, with the function that reads its arguments. Which
 * arguments follow is seen by their first character: values begin with a
 * digit, words do not.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "link/impair.h"

#define TOKEN_MAX 32

struct parser {
	const char *at;	   /* what has not been read */
	const char *token; /* the last word in the text, for complaints */
	char word[TOKEN_MAX];
	/* whom the current group is for, NULL: not this direction */
	struct impair_cfg *to[2];
};

/* --- words --- */

static bool next_word(struct parser *ps)
{
	size_t n = 0;

	while (*ps->at == ' ' || *ps->at == '\t' || *ps->at == ',')
		ps->at++;
	ps->token = ps->at;
	while (*ps->at && !strchr(" \t,", *ps->at)) {
		if (n < TOKEN_MAX - 1)
			ps->word[n++] = *ps->at;
		ps->at++;
		/* "in:loss" is two words */
		if (ps->at[-1] == ':')
			break;
	}
	ps->word[n] = '\0';
	return n > 0;
}

static bool value_follows(const struct parser *ps)
{
	const char *p = ps->at;

	while (*p == ' ' || *p == '\t')
		p++;
	return isdigit((unsigned char)*p) || *p == '.';
}

/* Digits with at most one point; where they end in @end. */
static int get_number(const char *s, double *out, const char **end)
{
	double v = 0, unit = 1;
	unsigned digits = 0;

	for (; isdigit((unsigned char)*s); s++, digits++)
		v = v * 10 + (*s - '0');
	if (*s == '.')
		for (s++; isdigit((unsigned char)*s); s++, digits++) {
			unit /= 10;
			v += unit * (*s - '0');
		}
	*out = v;
	*end = s;
	return digits ? 0 : -EINVAL;
}

struct unit {
	const char *name;
	double factor;
};

static const struct unit percents[] = {{"%", 0.01}, {"", 0.01}, {NULL, 0}};

static const struct unit times[] = {
	/* in nanoseconds; tc: plain is us */
	{"", 1e3},     {"s", 1e9},     {"sec", 1e9},   {"secs", 1e9},
	{"ms", 1e6},   {"msec", 1e6},  {"msecs", 1e6}, {"us", 1e3},
	{"usec", 1e3}, {"usecs", 1e3}, {"ns", 1},      {"nsec", 1},
	{"nsecs", 1},  {NULL, 0},
};

static const struct unit rates[] = {
	/* in bits a second; bps is bytes */
	{"", 1},
	{"bit", 1},
	{"kbit", 1e3},
	{"mbit", 1e6},
	{"gbit", 1e9},
	{"tbit", 1e12},
	{"bps", 8},
	{"kbps", 8e3},
	{"mbps", 8e6},
	{"gbps", 8e9},
	{"tbps", 8e12},
	{"kibit", 1024},
	{"mibit", 1048576.0},
	{"gibit", 1073741824.0},
	{NULL, 0},
};

static const struct unit counts[] = {{"", 1}, {NULL, 0}};

/* The next word as a number of @units up to @max. */
static int get_value(struct parser *ps, const struct unit *units, double max,
		     double *out)
{
	const char *rest;
	double v;

	if (!next_word(ps) || get_number(ps->word, &v, &rest))
		return -EINVAL;
	for (; units->name; units++)
		if (strcasecmp(units->name, rest) == 0) {
			*out = v * units->factor;
			return *out <= max ? 0 : -EINVAL;
		}
	return -EINVAL;
}

static int get_share(struct parser *ps, double *out)
{
	return get_value(ps, percents, 1, out);
}

/* A share, and how much it leans on the one before, if said. */
static int get_share_corr(struct parser *ps, double *share, double *corr)
{
	*corr = 0;
	if (get_share(ps, share))
		return -EINVAL;
	return value_follows(ps) ? get_share(ps, corr) : 0;
}

/* --- what the words set --- */

#define DELAY_MAX 1e12 /* ns */

static int set_loss(struct parser *ps, struct impair_cfg *g)
{
	struct parser ahead = *ps;

	if (next_word(&ahead) && strcmp(ahead.word, "random") == 0)
		*ps = ahead;
	return get_share_corr(ps, &g->loss, &g->loss_corr);
}

static int set_duplicate(struct parser *ps, struct impair_cfg *g)
{
	return get_share_corr(ps, &g->duplicate, &g->dup_corr);
}

static int set_corrupt(struct parser *ps, struct impair_cfg *g)
{
	return get_share_corr(ps, &g->corrupt, &g->corrupt_corr);
}

static int set_reorder(struct parser *ps, struct impair_cfg *g)
{
	return get_share_corr(ps, &g->reorder, &g->reorder_corr);
}

static int set_gap(struct parser *ps, struct impair_cfg *g)
{
	double v;

	if (get_value(ps, counts, 1e9, &v))
		return -EINVAL;
	g->gap = (uint32_t)v;
	return 0;
}

static int set_delay(struct parser *ps, struct impair_cfg *g)
{
	double delay, jitter = 0;

	g->delay_corr = 0;
	if (get_value(ps, times, DELAY_MAX, &delay))
		return -EINVAL;
	if (value_follows(ps)) {
		if (get_value(ps, times, DELAY_MAX, &jitter))
			return -EINVAL;
		if (value_follows(ps) && get_share(ps, &g->delay_corr))
			return -EINVAL;
	}
	g->delay = (nsec)delay;
	g->jitter = (nsec)jitter;
	return 0;
}

static int set_distribution(struct parser *ps, struct impair_cfg *g)
{
	if (!next_word(ps))
		return -EINVAL;
	g->normal = strcmp(ps->word, "normal") == 0;
	return g->normal || strcmp(ps->word, "uniform") == 0 ? 0 : -EINVAL;
}

static int set_rate(struct parser *ps, struct impair_cfg *g)
{
	double v;

	if (get_value(ps, rates, 1e15, &v) || v < 1)
		return -EINVAL;
	g->rate = (uint64_t)v;
	return 0;
}

static int set_limit(struct parser *ps, struct impair_cfg *g)
{
	double v;

	if (get_value(ps, counts, 1e9, &v) || v < 1)
		return -EINVAL;
	g->limit = (uint32_t)v;
	return 0;
}

static int set_ecn(struct parser *ps, struct impair_cfg *g)
{
	g->ecn = true;
	return 0;
}

static int set_ce_threshold(struct parser *ps, struct impair_cfg *g)
{
	double v;

	if (get_value(ps, times, DELAY_MAX, &v))
		return -EINVAL;
	g->ce_threshold = MAX((nsec)v, 1);
	return 0;
}

static const struct {
	const char *name;
	int (*set)(struct parser *ps, struct impair_cfg *g);
} words[] = {
	{"loss", set_loss},
	{"drop", set_loss},
	{"delay", set_delay},
	{"latency", set_delay},
	{"distribution", set_distribution},
	{"reorder", set_reorder},
	{"gap", set_gap},
	{"duplicate", set_duplicate},
	{"corrupt", set_corrupt},
	{"rate", set_rate},
	{"limit", set_limit},
	{"ecn", set_ecn},
	{"ce_threshold", set_ce_threshold},
};

static int one_word(struct parser *ps, struct impair_cfg *cfg, bool *has)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct parser again = *ps;

		if (strcmp(words[i].name, ps->word) != 0)
			continue;
		for (int d = 0; d < 2; d++) {
			if (!ps->to[d])
				continue;
			again.at = ps->at;
			if (words[i].set(&again, &cfg[d])) {
				ps->token = again.token;
				return -EINVAL;
			}
			has[d] = true;
		}
		ps->at = again.at;
		return 0;
	}
	return -EINVAL;
}

int impair_parse(const char *text, struct impair_cfg *in, bool *has_in,
		 struct impair_cfg *out, bool *has_out, const char **bad)
{
	struct impair_cfg cfg[2] = {{.limit = 1000}, {.limit = 1000}};
	struct parser ps = {.at = text, .to = {&cfg[0], &cfg[1]}};
	bool has[2] = {false, false};

	*bad = NULL;
	while (next_word(&ps)) {
		bool is_in = strcmp(ps.word, "in:") == 0;

		if (is_in || strcmp(ps.word, "out:") == 0) {
			ps.to[0] = is_in ? &cfg[0] : NULL;
			ps.to[1] = is_in ? NULL : &cfg[1];
		} else if (one_word(&ps, cfg, has)) {
			*bad = ps.token;
			return -EINVAL;
		}
	}
	for (int d = 0; d < 2; d++) {
		/* as tc: what is sent ahead must have something to pass */
		if (cfg[d].reorder > 0 && !cfg[d].delay) {
			*bad = text;
			return -EINVAL;
		}
	}
	*in = cfg[0];
	*out = cfg[1];
	*has_in = has[0];
	*has_out = has[1];
	return 0;
}
