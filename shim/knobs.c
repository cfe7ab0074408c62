/* SPDX-License-Identifier: MIT
 *
 * knobs.c - what the user has set
 *
 * Read at the first routed socket, not at load: a program without sockets pays
 * nothing. A value that makes no sense is an error that names the variable; a
 * name that we don't know is one warning.
 */
#include "knobs.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sys.h"

#define PREFIX "TCPSHIM_"

extern char **environ;

struct knobs knobs;

enum knob {
#define KNOB(name, def, text) KNOB_##name,
#include "knobs.def"
#undef KNOB
	NUM_KNOBS
};

static const struct row {
	const char *name, *def;
} rows[NUM_KNOBS] = {
#define KNOB(name, def, text) {PREFIX #name, def},
#include "knobs.def"
#undef KNOB
};

static char from_file[NUM_KNOBS][KNOB_PATH];

/* The next word of a comma separated list into @out; false at the end. */
static bool next_item(const char **s, char *out, size_t len)
{
	size_t n;

	*s += strspn(*s, ", \t");
	n = strcspn(*s, ",");
	if (!n)
		return false;
	if (n >= len)
		n = len - 1;
	memcpy(out, *s, n);
	*s += strcspn(*s, ",");
	while (n && (out[n - 1] == ' ' || out[n - 1] == '\t'))
		n--;
	out[n] = '\0';
	return true;
}

static bool parse_number(const char *s, uint64_t lo, uint64_t hi, uint64_t *out)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*out = strtoull(s, &end, 0);
	return !*end && !errno && *out >= lo && *out <= hi;
}

/* "10.0.0.0/8"; without a length it is one address. */
static bool parse_prefix(const char *s, struct prefix *out)
{
	char text[IP_ADDR_STRLEN + 8];
	uint64_t plen;
	char *slash;

	log_snprintf(text, sizeof(text), "%s", s);
	slash = strchr(text, '/');
	if (slash)
		*slash = '\0';
	if (ip_addr_parse(text, &out->net) < 0)
		return false;
	out->plen = ip_addr_is4(&out->net) ? 32 : 128;
	if (!slash)
		return true;
	if (!parse_number(slash + 1, 0, out->plen, &plen))
		return false;
	out->plen = (unsigned)plen;
	return true;
}

static const char *parse_DEV(const char *s)
{
	if (strncmp(s, "tap:", 4) == 0)
		return "TAP devices are not available yet; use tun:NAME";
	if (strncmp(s, "tun:", 4) == 0)
		s += 4;
	if (!*s || strlen(s) >= IFNAMSIZ || strpbrk(s, "/ :%"))
		return "should be tun:NAME, the name of a device";
	log_snprintf(knobs.dev, sizeof(knobs.dev), "%s", s);
	return NULL;
}

static const char *parse_ADDR(const char *s)
{
	struct stack_cfg *cfg = &knobs.cfg;
	char item[64];
	struct prefix p;

	while (next_item(&s, item, sizeof(item))) {
		if (!strchr(item, '/') || !parse_prefix(item, &p))
			return "should be ADDRESS/LENGTH, comma between";
		if (ip_addr_is_any(&p.net) || ip_addr_is_multicast(&p.net) ||
		    ip_addr_is_loopback(&p.net))
			return "is no address that a host can have";
		if (cfg->num_addrs == IP_MAX_ADDRS)
			return "has too many addresses";
		cfg->addrs[cfg->num_addrs].addr = p.net;
		cfg->addrs[cfg->num_addrs++].plen = p.plen;
	}
	return cfg->num_addrs ? NULL : "should name an address";
}

static const char *add_route(const struct ip_route *r)
{
	struct stack_cfg *cfg = &knobs.cfg;

	if (cfg->num_routes == IP_MAX_ROUTES)
		return "has too many routes";
	cfg->routes[cfg->num_routes++] = *r;
	return NULL;
}

/* Is @a a neighbour, by one of our own prefixes? Its length, or -1. */
static int on_link(const struct ip_addr *a)
{
	const struct stack_cfg *cfg = &knobs.cfg;

	for (unsigned i = 0; i < cfg->num_addrs; i++)
		if (ip_addr_in_prefix(a, &cfg->addrs[i].addr,
				      cfg->addrs[i].plen))
			return (int)cfg->addrs[i].plen;
	return -1;
}

static bool is_set(enum knob k);

static const char *parse_GATEWAY(const char *s)
{
	char item[64];
	struct prefix p;
	struct ip_route all = {0};
	const char *bad = NULL;

	while (!bad && next_item(&s, item, sizeof(item))) {
		if (ip_addr_parse(item, &p.net) < 0)
			return "should be an address of each family, comma "
			       "between";
		if (on_link(&p.net) < 0) {
			/* the default one makes no sense for other addresses */
			if (!is_set(KNOB_GATEWAY))
				continue;
			return "is not in a prefix of TCPSHIM_ADDR";
		}
		if (knobs.num_gateways == IP_MAX_ADDRS)
			return "has too many addresses";
		knobs.gateways[knobs.num_gateways++] = p.net;
		all.dst = all.gw = p.net;
		memset(all.dst.b + (ip_addr_is4(&p.net) ? 12 : 0), 0,
		       ip_addr_is4(&p.net) ? 4 : 16);
		bad = add_route(&all);
	}
	return bad;
}

static const char *parse_ROUTES(const char *s)
{
	static char complaint[160];
	char item[256];
	struct ip_route r;
	const char *bad = NULL;

	while (!bad && next_item(&s, item, sizeof(item))) {
		if (ip_route_parse(item, &r, &bad)) {
			log_snprintf(complaint, sizeof(complaint),
				     "should be `PREFIX via GATEWAY` and "
				     "metrics of ip-route(8), comma between; "
				     "not `%s`",
				     bad);
			return complaint;
		}
		if (*r.m.congctl && tcp_cc_find(r.m.congctl) < 0)
			return "names no congestion control in a congctl";
		bad = add_route(&r);
	}
	return bad;
}

static const char *parse_MTU(const char *s)
{
	uint64_t n = 0;

	if (*s && !parse_number(s, 576, 65535, &n))
		return "should be a number from 576 to 65535";
	knobs.mtu = (uint32_t)n;
	return NULL;
}

static const char *parse_LOOPBACK(const char *s)
{
	static const char *const words[] = {"auto", "kernel", "stack"};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(s, words[i]) == 0) {
			knobs.loopback = (enum knob_loopback)i;
			return NULL;
		}
	return "should be auto, kernel or stack";
}

static const char *parse_BYPASS(const char *s)
{
	char item[64];

	while (next_item(&s, item, sizeof(item))) {
		if (knobs.num_bypass == KNOB_MAX_PREFIXES)
			return "has too many prefixes";
		if (!parse_prefix(item, &knobs.bypass[knobs.num_bypass]))
			return "should be prefixes, comma between";
		knobs.num_bypass++;
	}
	return NULL;
}

static const char *parse_DNS(const char *s)
{
	char item[64];

	if (strcmp(s, "libc") == 0)
		return NULL;
	while (next_item(&s, item, sizeof(item))) {
		if (knobs.num_dns == KNOB_MAX_DNS)
			return "has too many servers";
		if (ip_addr_parse(item, &knobs.dns[knobs.num_dns]) < 0)
			return "should be libc, or addresses of name servers, "
			       "comma between";
		knobs.num_dns++;
	}
	return knobs.num_dns ? NULL : "should be libc, or name servers";
}

static const char *parse_IMPAIR(const char *s)
{
	struct link_cfg *l = &knobs.cfg.link;
	bool has_in = false, has_out = false;
	const char *bad;

	if (!*s)
		return NULL;
	if (impair_parse(s, &knobs.impair_in, &has_in, &knobs.impair_out,
			 &has_out, &bad) < 0)
		return "should be as tc netem has it: loss 5% delay 20ms 5ms "
		       "reorder 25% duplicate 1% corrupt 0.1% rate 100mbit";
	l->impair_in = has_in ? &knobs.impair_in : NULL;
	l->impair_out = has_out ? &knobs.impair_out : NULL;
	return NULL;
}

static const char *parse_SEED(const char *s)
{
	if (!*s)
		return NULL;
	if (!parse_number(s, 0, UINT64_MAX, &knobs.seed))
		return "should be a number";
	knobs.has_seed = true;
	return NULL;
}

static const char *keep_path(const char *s, char *out)
{
	if (strlen(s) >= KNOB_PATH)
		return "is too long";
	log_snprintf(out, KNOB_PATH, "%s", s);
	return NULL;
}

static const char *parse_PCAP(const char *s)
{
	return keep_path(s, knobs.pcap);
}

/* net.ipv4.tcp_sack and tcp_sack are the same. */
static int set_sysctl(const char *name, const char *value)
{
	char full[128];
	int r = sysctl_set(&knobs.sysctl, name, value);

	if (r != -ENOENT)
		return r;
	log_snprintf(full, sizeof(full), "net.ipv4.%s", name);
	return sysctl_set(&knobs.sysctl, full, value);
}

static const char *parse_SYSCTL(const char *s)
{
	char item[128];
	char *eq;
	int r;

	knobs.sysctl = sysctl_defaults;
	while (next_item(&s, item, sizeof(item))) {
		eq = strchr(item, '=');
		if (!eq)
			return "should be name=value, comma between";
		*eq = '\0';
		r = set_sysctl(item, eq + 1);
		if (r == -ENOENT)
			return "names a sysctl that does not exist";
		if (r < 0)
			return "has a value out of its bounds";
	}
	return NULL;
}

static const char *parse_LOG(const char *s)
{
	static const char *const words[] = {"off", "error", "warn", "info",
					    "debug"};
	size_t n = strcspn(s, ":");

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == n && strncmp(s, words[i], n) == 0) {
			knobs.cfg.log = (enum log_level)i;
			return s[n] ? keep_path(s + n + 1, knobs.log_file)
				    : NULL;
		}
	return "should be off, error, warn, info or debug, with :FILE behind";
}

static const char *parse_switch(const char *s, bool *out)
{
	*out = strcmp(s, "on") == 0;
	return *out || strcmp(s, "off") == 0 ? NULL : "should be on or off";
}

static const char *parse_OFFLOAD(const char *s)
{
	return parse_switch(s, &knobs.offload);
}

static const char *parse_KEEPER(const char *s)
{
	return parse_switch(s, &knobs.keeper);
}

static const char *parse_EPOLL(const char *s)
{
	knobs.is_mirror = strcmp(s, "mirror") == 0;
	return knobs.is_mirror || strcmp(s, "fast") == 0
		       ? NULL
		       : "should be fast or mirror";
}

static const char *parse_GRACE(const char *s)
{
	uint64_t ms;

	if (!parse_number(s, 0, 3600000, &ms))
		return "should be a number of milliseconds, at most an hour";
	knobs.grace = (nsec)ms * MSEC;
	return NULL;
}

static const char *parse_ON_ERROR(const char *s)
{
	knobs.to_kernel = strcmp(s, "kernel") == 0;
	return knobs.to_kernel || strcmp(s, "fail") == 0
		       ? NULL
		       : "should be fail or kernel";
}

static const char *parse_STATS(const char *s)
{
	return keep_path(s, knobs.stats);
}

static const char *parse_PROC(const char *s)
{
	knobs.proc_of_kernel = strcmp(s, "kernel") == 0;
	return knobs.proc_of_kernel || strcmp(s, "stack") == 0
		       ? NULL
		       : "should be stack or kernel";
}

static const char *(*const parsers[NUM_KNOBS])(const char *) = {
#define KNOB(name, def, text) parse_##name,
#include "knobs.def"
#undef KNOB
};

static bool is_set(enum knob k)
{
	return getenv(rows[k].name) || from_file[k][0];
}

static const char *value_of(enum knob k)
{
	const char *v = getenv(rows[k].name);

	if (v)
		return v;
	return from_file[k][0] ? from_file[k] : rows[k].def;
}

/* The knob called @name, of @len characters, with or without the prefix. */
static int find(const char *name, size_t len)
{
	for (int i = 0; i < NUM_KNOBS; i++) {
		const char *full = rows[i].name;
		const char *part = full + strlen(PREFIX);

		if ((strlen(full) == len && !strncasecmp(full, name, len)) ||
		    (strlen(part) == len && !strncasecmp(part, name, len)))
			return i;
	}
	return -1;
}

static void warn_unknown(void)
{
	for (char **e = environ; e && *e; e++) {
		size_t n = strcspn(*e, "=");
		char name[64];

		if (strncmp(*e, PREFIX, strlen(PREFIX)) || n >= sizeof(name))
			continue;
		memcpy(name, *e, n);
		name[n] = '\0';
		if (strcmp(name, PREFIX "CONFIG") && find(name, n) < 0)
			sys_say("%s is not a variable that I know", name);
	}
}

/* inih's callback: 1 to go on, 0 for a line that is wrong. */
static int on_key(void *user, const char *section, const char *name,
		  const char *value)
{
	int k = find(name, strlen(name));

	if (k < 0) {
		sys_say("%s in the configuration file is not a key that I know",
			name);
		return 1;
	}
	log_snprintf(from_file[k], KNOB_PATH, "%s", value);
	return 1;
}

static int load_file(const char *path, char *why, size_t len)
{
	int (*ini_parse)(
		const char *,
		int (*)(void *, const char *, const char *, const char *),
		void *);
	void *so = dlopen("libinih.so.1", RTLD_NOW | RTLD_LOCAL);
	void *p = so ? dlsym(so, "ini_parse") : NULL;
	int r;

	if (!p) {
		log_snprintf(why, len,
			     PREFIX "CONFIG needs libinih.so.1; install "
				    "libinih1");
		return -EINVAL;
	}
	memcpy(&ini_parse, &p, sizeof(p));
	r = ini_parse(path, on_key, NULL);
	dlclose(so);
	if (r == 0)
		return 0;
	log_snprintf(why, len, PREFIX "CONFIG: %s %s %d", path,
		     r < 0 ? "cannot be read, error" : "is wrong in line", r);
	return -EINVAL;
}

/* The knobs that make a host what it is; the others are a process's own. */
static const enum knob of_host[] = {
	KNOB_DEV,    KNOB_ADDR,	  KNOB_GATEWAY, KNOB_ROUTES,
	KNOB_MTU,    KNOB_IMPAIR, KNOB_SEED,	KNOB_PCAP,
	KNOB_SYSCTL, KNOB_LOG,	  KNOB_OFFLOAD,
};

uint64_t knobs_host_hash(void)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

	for (size_t i = 0; i < ARRAY_SIZE(of_host); i++) {
		const char *v = value_of(of_host[i]);

		do
			h = (h ^ (uint8_t)*v) * 0x100000001b3;
		while (*v++);
	}
	return h;
}

bool knobs_on_error_kernel(void)
{
	return knobs.to_kernel ||
	       strcmp(value_of(KNOB_ON_ERROR), "kernel") == 0;
}

bool knobs_proc_of_kernel(void)
{
	return knobs.proc_of_kernel ||
	       strcmp(value_of(KNOB_PROC), "kernel") == 0;
}

static int load(char *why, size_t len)
{
	const char *path = getenv(PREFIX "CONFIG");
	const char *bad;
	int r;

	if (path && *path) {
		r = load_file(path, why, len);
		if (r < 0)
			return r;
	}
	warn_unknown();
	for (int i = 0; i < NUM_KNOBS; i++) {
		bad = parsers[i](value_of((enum knob)i));
		if (bad) {
			log_snprintf(why, len, "%s=%s: %s", rows[i].name,
				     value_of((enum knob)i), bad);
			return -EINVAL;
		}
	}
	knobs.cfg.sysctl = &knobs.sysctl;
	return 0;
}

int knobs_load(char *why, size_t len)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static char said[256];
	static bool is_loaded;
	static int result;

	pthread_mutex_lock(&lock);
	if (!is_loaded)
		result = load(said, sizeof(said));
	is_loaded = true;
	pthread_mutex_unlock(&lock);
	log_snprintf(why, len, "%s", said);
	return result;
}
