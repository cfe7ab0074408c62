/* SPDX-License-Identifier: MIT
 *
 * op_opt.c - setsockopt and getsockopt
 *
 * A value is written i:5 (an int), l:1:0 (linger), t:0:5000 (timeval), x:TEXT,
 * m:ADDR:ADDR (ip_mreq), 6:ADDR (ipv6_mreq), g:ADDR (group_req), r:N (N bytes
 * of 1), n (no pointer); /LEN behind it is another length.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "fuzz.h"

#define ROOM 256

static const char *ip_of(const char *kind, size_t len)
{
	for (unsigned i = 0; i < num_addr_kinds; i++)
		if (strlen(addr_kinds[i].name) == len &&
		    !strncmp(addr_kinds[i].name, kind, len))
			return addr_kinds[i].ip;
	return NULL;
}

static size_t make_group(char what, const char *s, void *to)
{
	size_t len = strcspn(s, ":/");
	const char *ip = ip_of(s, len);
	const char *second = s[len] == ':' ? s + len + 1 : "any4";
	struct ip_mreq *m = to;
	struct ipv6_mreq *m6 = to;
	struct group_req *g = to;
	struct sockaddr_in *in = (void *)&g->gr_group;
	struct sockaddr_in6 *in6 = (void *)&g->gr_group;
	bool is6 = ip && strchr(ip, ':');

	if (!ip)
		return 0;
	if (what == 'm' && !is6) {
		inet_pton(AF_INET, ip, &m->imr_multiaddr);
		ip = ip_of(second, strcspn(second, "/"));
		inet_pton(AF_INET, ip ? ip : "0.0.0.0", &m->imr_interface);
	} else if (what == '6') {
		if (is6)
			inet_pton(AF_INET6, ip, &m6->ipv6mr_multiaddr);
		return sizeof(*m6);
	} else if (what == 'g') {
		g->gr_group.ss_family = is6 ? AF_INET6 : AF_INET;
		inet_pton(is6 ? AF_INET6 : AF_INET, ip,
			  is6 ? (void *)&in6->sin6_addr
			      : (void *)&in->sin_addr);
		return sizeof(*g);
	}
	return sizeof(*m);
}

/* The value of word @s at @to. Its length, the natural or the given one. */
static socklen_t make_value(const char *s, void *to)
{
	const char *slash = strchr(s, '/'), *colon = strchr(s + 1, ':');
	long first = colon ? atol(colon + 1) : 0;
	const char *next = colon ? strchr(colon + 1, ':') : NULL;
	long second = next ? atol(next + 1) : 0;
	size_t len = sizeof(int);

	memset(to, 0, ROOM);
	switch (s[0]) {
	case 'l':
		*(struct linger *)to = (struct linger){(int)first, (int)second};
		len = sizeof(struct linger);
		break;
	case 't':
		*(struct timeval *)to = (struct timeval){first, second};
		len = sizeof(struct timeval);
		break;
	case 'x':
		len = strcspn(s + 2, "/");
		memcpy(to, s + 2, len);
		break;
	case 'r':
		len = (size_t)first < ROOM ? (size_t)first : ROOM;
		memset(to, 1, len);
		break;
	case 'm':
	case '6':
	case 'g':
		len = make_group(s[0], s + 2, to);
		break;
	default:
		*(int *)to = (int)first;
	}
	return (socklen_t)(slash ? atol(slash + 1) : (long)len);
}

void op_setsockopt(struct ctx *c)
{
	union {
		char b[ROOM];
		long align;
	} room;
	const char *value = c->num > 3 ? c->word[3] : "n";
	struct opt o = {0};
	socklen_t len = make_value(value, &room);

	if (c->num > 2 && !opt_parse(c->word[2], &o))
		out(c, " (what option?)");
	out_ret(c, setsockopt(arg_fd(c, 1), o.level, o.val,
			      value[0] == 'n' ? NULL : &room, len));
}

void op_getsockopt(struct ctx *c)
{
	uint8_t room[ROOM];
	struct opt o = {0};
	socklen_t len = (socklen_t)arg(c, 3);

	if (c->num > 2 && !opt_parse(c->word[2], &o))
		out(c, " (what option?)");
	memset(room, 0xee, sizeof(room));
	if (len > ROOM && (int)len > 0)
		len = ROOM;
	if (out_ret(c, getsockopt(arg_fd(c, 1), o.level, o.val, room, &len)))
		return;
	out(c, " len %u", len);
	if (o.kind != O_BLIND)
		out_hex(c, room, len < 4 ? 4 : len);
}
