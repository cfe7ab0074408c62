/* SPDX-License-Identifier: MIT
 *
 * dns_sort.c - which address of a name is tried first: RFC 6724
 *
 * As getaddrinfo(3) of glibc does it: the tables are those of RFC 3484 with
 * labels for unique local and Teredo addresses, gai.conf may change them, and
 * for IPv4 the length of a common prefix counts only inside a subnet. Where we
 * would send from is asked of the stack, by connecting a datagram socket.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "dns.h"
#include "knobs.h"

#define SCOPE_LINK 2
#define SCOPE_SITE 5
#define SCOPE_GLOBAL 14
#define MAX_ROWS 32

struct row {
	struct ip_addr net; /* mapped for IPv4 */
	unsigned plen;	    /* of 128 */
	int value;
};

static struct table {
	struct row v[MAX_ROWS];
	unsigned num;
} labels, precedences, scopes4;

struct item {
	struct dns_dest dest;
	struct ip_addr src;
	bool has_src;
	unsigned src_plen;
	unsigned pos;
};

/* --- tables --- */

static void add_row(struct table *t, const char *net, unsigned plen, int value)
{
	struct row *r = &t->v[t->num];
	struct in6_addr six;

	if (t->num == MAX_ROWS || inet_pton(AF_INET6, net, &six) != 1)
		return;
	t->num++;
	*r = (struct row){ip_addr_v6(&six), plen, value};
}

static bool is_in(const struct ip_addr *a, const struct row *r)
{
	unsigned whole = r->plen / 8, rest = r->plen % 8;

	return memcmp(a->b, r->net.b, whole) == 0 &&
	       (!rest || (a->b[whole] ^ r->net.b[whole]) >> (8 - rest) == 0);
}

/* Of the longest prefix that matches. */
static int look_up(const struct table *t, const struct ip_addr *a, int none)
{
	const struct row *best = NULL;

	for (unsigned i = 0; i < t->num; i++)
		if (is_in(a, &t->v[i]) && (!best || t->v[i].plen > best->plen))
			best = &t->v[i];
	return best ? best->value : none;
}

/* A row of a table in gai.conf takes the place of the whole default table. */
static void read_gai_conf(void)
{
	char line[256], what[32], net[64];
	FILE *f = fopen("/etc/gai.conf", "rce");
	unsigned plen;
	int value;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "#")] = '\0';
		if (sscanf(line, "%31s %63[^/ \t]/%u %d", what, net, &plen,
			   &value) != 4 ||
		    plen > 128)
			continue;
		if (strcmp(what, "label") == 0)
			add_row(&labels, net, plen, value);
		else if (strcmp(what, "precedence") == 0)
			add_row(&precedences, net, plen, value);
		else if (strcmp(what, "scopev4") == 0 && plen >= 96)
			add_row(&scopes4, net, plen, value);
	}
	if (f)
		fclose(f);
}

static void make_tables(void)
{
	read_gai_conf();
	if (!labels.num) {
		add_row(&labels, "::1", 128, 0);
		add_row(&labels, "2002::", 16, 2);
		add_row(&labels, "::", 96, 3);
		add_row(&labels, "::ffff:0:0", 96, 4);
		add_row(&labels, "fec0::", 10, 5);
		add_row(&labels, "fc00::", 7, 6);
		add_row(&labels, "2001:0::", 32, 7);
		add_row(&labels, "::", 0, 1);
	}
	if (!precedences.num) {
		add_row(&precedences, "::1", 128, 50);
		add_row(&precedences, "2002::", 16, 30);
		add_row(&precedences, "::", 96, 20);
		add_row(&precedences, "::ffff:0:0", 96, 10);
		add_row(&precedences, "::", 0, 40);
	}
	if (!scopes4.num) {
		add_row(&scopes4, "::ffff:169.254.0.0", 112, SCOPE_LINK);
		add_row(&scopes4, "::ffff:127.0.0.0", 104, SCOPE_LINK);
		add_row(&scopes4, "::ffff:0.0.0.0", 96, SCOPE_GLOBAL);
	}
}

static int scope_of(const struct ip_addr *a)
{
	const struct in6_addr *six = (const void *)a->b;

	if (ip_addr_is4(a))
		return look_up(&scopes4, a, SCOPE_GLOBAL);
	if (IN6_IS_ADDR_MULTICAST(six))
		return a->b[1] & 15;
	if (IN6_IS_ADDR_LINKLOCAL(six) || IN6_IS_ADDR_LOOPBACK(six))
		return SCOPE_LINK;
	return IN6_IS_ADDR_SITELOCAL(six) ? SCOPE_SITE : SCOPE_GLOBAL;
}

/* --- where we would send from --- */

static void find_source(struct item *it)
{
	bool four = ip_addr_is4(&it->dest.addr);
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u = {.sa.sa_family = four ? AF_INET : AF_INET6};
	socklen_t len = four ? sizeof(u.in) : sizeof(u.in6);
	int fd = socket(u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (four) {
		memcpy(&u.in.sin_addr, it->dest.addr.b + 12, 4);
		u.in.sin_port = htons(9);
	} else {
		memcpy(&u.in6.sin6_addr, it->dest.addr.b, 16);
		u.in6.sin6_port = htons(9);
	}
	it->has_src = fd >= 0 && connect(fd, &u.sa, len) == 0 &&
		      getsockname(fd, &u.sa, &len) == 0;
	if (fd >= 0)
		close(fd);
	if (!it->has_src)
		return;
	it->src = four ? ip_addr_v4(&u.in.sin_addr)
		       : ip_addr_v6(&u.in6.sin6_addr);
	for (unsigned i = 0; i < knobs.cfg.num_addrs; i++)
		if (ip_addr_eq(&knobs.cfg.addrs[i].addr, &it->src))
			it->src_plen = knobs.cfg.addrs[i].plen;
}

/* --- comparing --- */

static int common_bits(const struct ip_addr *a, const struct ip_addr *b)
{
	int n = 0;

	for (unsigned i = 0; i < 16; i++) {
		uint8_t x = a->b[i] ^ b->b[i];

		if (x)
			return n + __builtin_clz(x) - 24;
		n += 8;
	}
	return n;
}

static int matching_bits(const struct item *it)
{
	const struct ip_addr *src = &it->src, *dst = &it->dest.addr;

	if (!it->has_src)
		return 0;
	if (it->dest.family == AF_INET6) /* mapped ones, too */
		return common_bits(src, dst);
	return ip_addr_in_prefix(dst, src, it->src_plen) ? common_bits(src, dst)
							 : 0;
}

static int label_of(const struct ip_addr *a)
{
	return look_up(&labels, a, 1);
}

/* RFC 6724 6, rule by rule; 3, 4 and 7 have nothing to tell apart here. */
static int compare(const void *va, const void *vb)
{
	const struct item *a = va, *b = vb;
	const struct ip_addr *da = &a->dest.addr, *db = &b->dest.addr;
	int x, y;

	if (a->has_src != b->has_src) /* 1: unusable ones last */
		return a->has_src ? -1 : 1;
	if (a->has_src) {
		x = scope_of(da) == scope_of(&a->src); /* 2 */
		y = scope_of(db) == scope_of(&b->src);
		if (x != y)
			return x ? -1 : 1;
		x = label_of(da) == label_of(&a->src); /* 5 */
		y = label_of(db) == label_of(&b->src);
		if (x != y)
			return x ? -1 : 1;
	}
	x = look_up(&precedences, da, 40); /* 6 */
	y = look_up(&precedences, db, 40);
	if (x != y)
		return x > y ? -1 : 1;
	x = scope_of(da); /* 8 */
	y = scope_of(db);
	if (x != y)
		return x < y ? -1 : 1;
	if (a->dest.family == b->dest.family) { /* 9 */
		x = matching_bits(a);
		y = matching_bits(b);
		if (x != y)
			return x > y ? -1 : 1;
	}
	return a->pos < b->pos ? -1 : 1; /* 10 */
}

void dns_sort(struct dns_dest *v, size_t num)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct item *items;

	if (num < 2)
		return;
	pthread_once(&once, make_tables);
	items = calloc(num, sizeof(*items));
	if (!items)
		return; /* unsorted is better than none */
	for (size_t i = 0; i < num; i++) {
		items[i].dest = v[i];
		items[i].pos = (unsigned)i;
		find_source(&items[i]);
	}
	qsort(items, num, sizeof(*items), compare);
	for (size_t i = 0; i < num; i++)
		v[i] = items[i].dest;
	free(items);
}
