/* SPDX-License-Identifier: MIT
 *
 * optwalk.c - every option number of every level: what getsockopt(2) answers to
 * several lengths, what setsockopt(2) takes and what is read back then
 *
 * One line an option, and none for those that nobody knows. Options whose value
 * depends on the machine or the moment tell their length only. Those about
 * groups and interfaces have tests of their own.
 */
#include "t.h"

struct kind {
	const char *text;
	int af, type;
	int state; /* 0 fresh, 1 connected, 2 listening */
};

static const struct kind kinds[] = {
	{"TCP4", AF_INET, SOCK_STREAM, 0},
	{"TCP6", AF_INET6, SOCK_STREAM, 0},
	{"UDP4", AF_INET, SOCK_DGRAM, 0},
	{"UDP6", AF_INET6, SOCK_DGRAM, 0},
	{"TCP4 connected", AF_INET, SOCK_STREAM, 1},
	{"TCP6 connected", AF_INET6, SOCK_STREAM, 1},
	{"UDP4 connected", AF_INET, SOCK_DGRAM, 1},
	{"UDP6 connected", AF_INET6, SOCK_DGRAM, 1},
	{"TCP4 listening", AF_INET, SOCK_STREAM, 2},
	{"TCP6 listening", AF_INET6, SOCK_STREAM, 2},
};

static const int levels[] = {SOL_SOCKET,  IPPROTO_IP,  IPPROTO_IPV6,
			     IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE,
			     IPPROTO_RAW, 0x107 /* SOL_LLC+.. */};

#define LAST 128 /* names 0..127, and 200..203 */

static int name_at(int i)
{
	return i < LAST ? i : 200 + i - LAST;
}

/* What the machine, the moment or the memory decides. */
static bool varies(int level, int name)
{
	static const int socket_ones[] = {7 /* SNDBUF */,
					  8 /* RCVBUF */,
					  17 /* PEERCRED */,
					  28 /* PEERNAME */,
					  49 /* INCOMING_CPU */,
					  55 /* MEMINFO */,
					  56 /* NAPI_ID */,
					  57 /* COOKIE */,
					  71 /* NETNS_COOKIE */};
	static const int tcp_ones[] = {
		2 /* MAXSEG */,	     10 /* WINDOW_CLAMP */, 11 /* INFO */,
		13 /* CONGESTION */, 24 /* TIMESTAMP */,    26 /* CC_INFO */};

	if (level == IPPROTO_IP && name == 52) /* IP_PROTOCOL: the port */
		return true;
	if (level == SOL_SOCKET)
		for (size_t i = 0; i < sizeof(socket_ones) / sizeof(int); i++)
			if (socket_ones[i] == name)
				return true;
	if (level == IPPROTO_TCP)
		for (size_t i = 0; i < sizeof(tcp_ones) / sizeof(int); i++)
			if (tcp_ones[i] == name)
				return true;
	return false;
}

/* Groups and interfaces have tests of their own; IPsec, netfilter, multicast
 * routing, BPF programs and TCP-AO are what a kernel was built with;
 * TCP_REPAIR takes a connection apart. */
static bool is_left_out(int level, int name)
{
	switch (level) {
	case SOL_SOCKET:
		return name == 25 || name == 62 || name == 50 || name == 52;
	case IPPROTO_IP:
		return name == 16 || name == 17 ||
		       (name >= 32 && name <= 48 && name != 34) || name == 50 ||
		       name >= 64;
	case IPPROTO_IPV6:
		return name == 17 || (name >= 20 && name <= 22) ||
		       (name >= 27 && name <= 28) || name == 34 || name == 35 ||
		       (name >= 42 && name <= 48) ||
		       (name >= 64 && name <= 71) || name == 76 || name >= 80;
	case IPPROTO_TCP:
		return (name >= 19 && name <= 22) || name == 26 || name == 29 ||
		       (name >= 38 && name <= 42);
	default:
		return false;
	}
}

static int make(const struct kind *k)
{
	const struct t_fam *f = &t_fams[k->af == AF_INET6];
	struct t_addr a;
	int fd;

	if (k->type == SOCK_STREAM && k->state == 1)
		return t_connected(f, 0);
	if (k->type == SOCK_STREAM && k->state == 2)
		return t_listener(f, 5);
	fd = (int)MUST(socket(k->af, k->type, 0));
	if (k->state == 1) {
		a = t_addr(f->peer, 9999);
		MUST(connect(fd, &a.sa, a.len));
	}
	return fd;
}

static char line[4096];
static size_t used;

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	used += (size_t)vsnprintf(line + used, sizeof(line) - used, fmt, ap);
	va_end(ap);
}

static const unsigned lens[] = {4, 0, 1, 2, 3, 8, 16, 64, 256, 1000};

/* The answers to all lengths, "=" where one is as that to four bytes. */
static bool get_all(int fd, int level, int name)
{
	char first[300] = "", text[300];
	bool known = false;

	used = 0;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		unsigned char buf[1024];
		socklen_t len = lens[i];
		int n = 0;

		memset(buf, 0xcc, sizeof(buf));
		errno = 0;
		if (getsockopt(fd, level, name, buf, &len) < 0) {
			snprintf(text, sizeof(text), "%s", t_err(errno));
			known |= errno != ENOPROTOOPT && errno != EOPNOTSUPP;
		} else {
			known = true;
			n = snprintf(text, sizeof(text), "%u", len);
			if (!varies(level, name))
				for (unsigned j = 0; j < len && j < 32; j++)
					n += snprintf(text + n,
						      sizeof(text) - (size_t)n,
						      "%s%02x", j ? "" : ":",
						      buf[j]);
		}
		if (i && strcmp(text, first) == 0)
			add(" =");
		else
			add(" %s", text);
		if (!i)
			snprintf(first, sizeof(first), "%s", text);
	}
	return known;
}

static void get_walk(const struct kind *k)
{
	int fd = make(k);

	say("-- %s: get", k->text);
	for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++)
		for (int i = 0; i < LAST + 4; i++) {
			int name = name_at(i);

			if (is_left_out(levels[l], name))
				continue;
			if (get_all(fd, levels[l], name))
				say("%d.%d:%s", levels[l], name, line);
			else if (i == 127 || i == LAST)
				say("%d.%d unknown:%s", levels[l], name, line);
		}
	close(fd);
	if (k->state == 1 && k->type == SOCK_STREAM)
		peer_quiet("close 0");
}

static void read_back(int fd, int level, int name)
{
	unsigned char buf[64];
	socklen_t len = 16;

	memset(buf, 0xcc, sizeof(buf));
	if (getsockopt(fd, level, name, buf, &len) < 0) {
		add("/%s", t_err(errno));
	} else if (varies(level, name)) {
		add("/%u", len);
	} else {
		add("/");
		for (unsigned j = 0; j < len; j++)
			add("%02x", buf[j]);
	}
}

static const struct {
	int64_t v;
	unsigned len;
} sets[] = {
	{0, 4}, {1, 4}, {2, 4}, {-1, 4},	 {7, 4}, {255, 4}, {300, 4},
	{1, 0}, {1, 1}, {1, 2}, {0x7fffffff, 4}, {1, 8}, {0, 16},
};

static bool set_all(int fd, int level, int name)
{
	bool known = false;

	used = 0;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		int64_t v[2] = {sets[i].len == 4 ? sets[i].v & 0xffffffff
						 : sets[i].v,
				0};
		int r = setsockopt(fd, level, name, v, sets[i].len);

		add(" %s", r < 0 ? t_err(errno) : "ok");
		known |= r == 0 || (errno != ENOPROTOOPT && errno != EINVAL);
		if (sets[i].len == 4)
			read_back(fd, level, name);
	}
	return known;
}

static void set_walk(const struct kind *k)
{
	say("-- %s: set", k->text);
	for (size_t l = 0; l < sizeof(levels) / sizeof(levels[0]); l++)
		for (int i = 0; i < LAST + 4; i++) {
			int name = name_at(i), fd;

			if (is_left_out(levels[l], name))
				continue;
			fd = make(k);
			if (set_all(fd, levels[l], name))
				say("%d.%d:%s", levels[l], name, line);
			else if (i == 127 || i == LAST)
				say("%d.%d unknown:%s", levels[l], name, line);
			close(fd);
		}
}

int main(void)
{
	t_init();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		get_walk(&kinds[i]);
		if (!kinds[i].state || kinds[i].state == 2)
			set_walk(&kinds[i]);
	}
	return 0;
}
