/* SPDX-License-Identifier: MIT
 *
 * route_parse.c - a route in the words of ip-route(8)
 *
 *	PREFIX [via GATEWAY] [src ADDRESS] [NAME [lock] VALUE]...
 *
 * A name is a row of `metrics`. What Linux's routes have besides (weights,
 * tables, a device) makes no sense where there is one device.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "ip/ip.h"

#define WORD_MAX 64

struct parser {
	const char *at;	   /* what has not been read */
	const char *token; /* the last word in the text, for complaints */
	char word[WORD_MAX];
	struct ip_route *r;
};

static bool next_word(struct parser *ps)
{
	size_t n = 0;

	ps->at += strspn(ps->at, " \t");
	ps->token = ps->at;
	for (; *ps->at && *ps->at != ' ' && *ps->at != '\t'; ps->at++)
		if (n < WORD_MAX - 1)
			ps->word[n++] = *ps->at;
	ps->word[n] = '\0';
	return n;
}

/* --- values --- */

static bool number(const char *s, uint32_t lo, uint32_t hi, uint32_t *out)
{
	unsigned long v;
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	v = strtoul(s, &end, 10);
	*out = (uint32_t)v;
	return !*end && v >= lo && v <= hi;
}

/* Milliseconds, or with a unit: "50", "50ms", "0.2s". */
static bool duration(const char *s, uint32_t lo, uint32_t hi, uint32_t *out)
{
	static const struct {
		const char *name;
		uint32_t ms;
	} units[] = {{"", 1},	  {"ms", 1},	 {"msec", 1},	{"msecs", 1},
		     {"s", 1000}, {"sec", 1000}, {"secs", 1000}};
	uint64_t v = 0, part = 1;
	bool fraction = false;
	const char *p = s;

	for (; (*p >= '0' && *p <= '9') || (*p == '.' && !fraction); p++) {
		fraction |= *p == '.';
		if (*p == '.' || v > UINT32_MAX || part >= 1000000)
			continue;
		v = v * 10 + (uint64_t)(*p - '0');
		part *= fraction ? 10 : 1;
	}
	if (p == s)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(p, units[i].name) != 0)
			continue;
		v = v * units[i].ms / part;
		*out = (uint32_t)v;
		return v >= lo && v <= hi;
	}
	return false;
}

/* --- what is set --- */

static const struct metric {
	char name[12]; /* no pointer: it would have to be relocated */
	bool (*parse)(const char *s, uint32_t lo, uint32_t hi, uint32_t *out);
	size_t off, lock; /* in struct ip_metrics; 0: can't be locked */
	uint32_t lo, hi;
} metrics[] = {
#define M(name, fn, lo, hi) \
	{#name, fn, offsetof(struct ip_metrics, name), 0, lo, hi},
	{"mtu", number, offsetof(struct ip_metrics, mtu),
	 offsetof(struct ip_metrics, mtu_lock), 68, 65535},
	M(advmss, number, 1, 65535)	/* the MSS that we tell */
	M(initcwnd, number, 1, 65535)	/* first window, segments */
	M(initrwnd, number, 1, 65535)	/* first window told, segments */
	M(rto_min, duration, 1, 120000) /* of a retransmission timeout */
	M(hoplimit, number, 1, 255)	/* if the socket says nothing */
	M(quickack, number, 0, 1)	/* never delay an ACK */
#undef M
};

static bool set_metric(struct parser *ps, const struct metric *row)
{
	uint8_t *m = (uint8_t *)&ps->r->m;
	bool lock = true;
	uint32_t v;

	if (!next_word(ps))
		return false;
	if (row->lock && strcmp(ps->word, "lock") == 0) {
		memcpy(m + row->lock, &lock, sizeof(lock));
		if (!next_word(ps))
			return false;
	}
	if (!row->parse(ps->word, row->lo, row->hi, &v))
		return false;
	memcpy(m + row->off, &v, sizeof(v));
	return true;
}

static bool set_congctl(struct parser *ps)
{
	struct ip_metrics *m = &ps->r->m;

	if (!next_word(ps))
		return false;
	if (strcmp(ps->word, "lock") == 0) {
		m->cc_lock = true;
		if (!next_word(ps))
			return false;
	}
	if (strlen(ps->word) >= sizeof(m->congctl))
		return false;
	memcpy(m->congctl, ps->word, strlen(ps->word) + 1);
	return true;
}

static bool set_addr(struct parser *ps, struct ip_addr *to)
{
	return next_word(ps) && ip_addr_parse(ps->word, to) == 0 &&
	       ip_addr_is4(to) == ip_addr_is4(&ps->r->dst);
}

static bool set_word(struct parser *ps)
{
	if (strcmp(ps->word, "via") == 0)
		return set_addr(ps, &ps->r->gw);
	if (strcmp(ps->word, "src") == 0)
		return set_addr(ps, &ps->r->src);
	if (strcmp(ps->word, "congctl") == 0)
		return set_congctl(ps);
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++)
		if (strcmp(ps->word, metrics[i].name) == 0)
			return set_metric(ps, &metrics[i]);
	return false;
}

/* "10.0.0.0/8"; without a length it is one address. */
static bool set_prefix(struct parser *ps)
{
	struct ip_route *r = ps->r;
	char *slash = strchr(ps->word, '/');
	uint32_t plen, max;

	if (slash)
		*slash++ = '\0';
	if (ip_addr_parse(ps->word, &r->dst) < 0)
		return false;
	plen = max = ip_addr_is4(&r->dst) ? 32 : 128;
	if (slash && !number(slash, 0, max, &plen))
		return false;
	r->plen = (uint8_t)plen;
	r->gw = ip_addr_is4(&r->dst) ? ip_addr_v4(&(uint32_t){0})
				     : (struct ip_addr){0};
	return true;
}

int ip_route_parse(const char *text, struct ip_route *r, const char **bad)
{
	struct parser ps = {.at = text, .r = r};

	*r = (struct ip_route){.link = LINK_DEV};
	if (!next_word(&ps) || !set_prefix(&ps)) {
		*bad = ps.token;
		return -EINVAL;
	}
	while (next_word(&ps)) {
		*bad = ps.token;
		if (!set_word(&ps))
			return -EINVAL;
	}
	*bad = NULL;
	return 0;
}
