/* SPDX-License-Identifier: MIT
 *
 * tcp_options.c - each option of IPPROTO_TCP in each state of a socket: values
 * in and out of bounds, odd lengths, and what is read back
 *
 * optwalk.c gives the same values to every number there is; these are the ones
 * at the bounds of each. AO, MD5 and repair have tests of their own.
 */
#include "t.h"

/* Not all are in libc's header. */
#define MAXSEG 2
#define SAVED_SYN 28
#define RTO_MAX_MS 44
#define RTO_MIN_US 45
#define DELACK_MAX_US 46

enum state {
	FRESH,
	BOUND,
	LISTENING,
	CONNECTED,
	HALF,
	SHUT,
	RESET,
	NUM_STATES
};

static const char *const states[] = {"fresh", "bound", "listening", "connected",
				     "half",  "shut",  "reset"};

static const struct opt {
	int name;
	const char *text;
	int v[10]; /* up to the first 0 that is not the first */
} opts[] = {
	{1, "NODELAY", {1, 2, -1}},
	{2, "MAXSEG", {1000, 87, 88, 32767, 32768, -1, 536}},
	{3, "CORK", {1, 2, -1}},
	{4, "KEEPIDLE", {1, 32767, 32768, -1}},
	{5, "KEEPINTVL", {1, 32767, 32768, -1}},
	{6, "KEEPCNT", {1, 127, 128, -1}},
	{7, "SYNCNT", {1, 127, 128, -1}},
	{8, "LINGER2", {1, 119, 120, 121, -1, -2, 60}},
	{9, "DEFER_ACCEPT", {1, 2, 3, 4, 7, 8, 1000, -1}},
	{10, "WINDOW_CLAMP", {1, 1152, 1153, 100000, -1}},
	{12, "QUICKACK", {1, 3, -1}},
	{16, "THIN_LINEAR", {1, 2, -1}},
	{17, "THIN_DUPACK", {1, 2, -1}},
	{18, "USER_TIMEOUT", {1, 5000, 0x7fffffff, -1}},
	{23, "FASTOPEN", {1, 5000, -1}},
	{25, "NOTSENT_LOWAT", {1, -1, 0x7fffffff}},
	{27, "SAVE_SYN", {1, 2, 3, -1}},
	{30, "FASTOPEN_CONNECT", {1, 2, -1}},
	{34, "FASTOPEN_NO_COOKIE", {1, 2, -1}},
	{36, "INQ", {1, 2, -1}},
	{RTO_MAX_MS, "RTO_MAX_MS", {999, 1000, 1001, 120000, 120001, -1}},
	{RTO_MIN_US, "RTO_MIN_US", {1, 4000, 8000, 8001, 200000, 200001, -1}},
	{DELACK_MAX_US, "DELACK_MAX_US", {1, 8000, 8001, 200000, 200001, -1}},
};

static int make(const struct t_fam *f, enum state s)
{
	struct t_addr a = t_addr(f->us, 0);
	int fd;

	switch (s) {
	case LISTENING:
		return t_listener(f, 5);
	case CONNECTED:
		return t_connected(f, 0);
	case HALF: /* the peer has closed its side */
		fd = t_connected(f, 0);
		peer_quiet("shut 0 1");
		t_settle(fd, POLLRDHUP);
		return fd;
	case SHUT: /* both have */
		fd = t_connected(f, 0);
		peer_quiet("shut 0 1");
		t_settle(fd, POLLRDHUP);
		MUST(shutdown(fd, SHUT_RDWR));
		t_settle(fd, POLLHUP);
		return fd;
	case RESET:
		fd = t_connected(f, 0);
		peer_quiet("rst 0");
		t_settle(fd, POLLHUP);
		return fd;
	default:
		fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
		if (s == BOUND)
			MUST(bind(fd, &a.sa, a.len));
		return fd;
	}
}

static void done(int fd, enum state s)
{
	close(fd);
	if (s == CONNECTED || s == HALF || s == SHUT)
		peer_quiet("close 0");
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

static void add_value(int fd, int name)
{
	int v = 0x5a5a5a5a;
	socklen_t len = sizeof(v);

	if (getsockopt(fd, IPPROTO_TCP, name, &v, &len) < 0)
		add(" %s", t_err(errno));
	else
		add(" %d%s", v, len == sizeof(v) ? "" : "?");
}

static void set_all(int fd, const struct opt *o)
{
	for (size_t i = 0; i < sizeof(o->v) / sizeof(o->v[0]); i++) {
		int v = o->v[i];

		if (i && !v)
			v = 0;
		errno = 0;
		setsockopt(fd, IPPROTO_TCP, o->name, &v, sizeof(v));
		add(" %d:%s", v, t_err(errno));
		add_value(fd, o->name);
		if (!v)
			return;
	}
}

/* A length that is short, or longer than there is need for. */
static void lengths(int fd, const struct opt *o)
{
	long long v = o->v[0];

	for (unsigned len = 0; len <= 8; len += len == 4 ? 4 : 1) {
		errno = 0;
		setsockopt(fd, IPPROTO_TCP, o->name, &v, len);
		add(" %u:%s", len, t_err(errno));
	}
	add(" null:");
	errno = 0;
	setsockopt(fd, IPPROTO_TCP, o->name, NULL, 4);
	add("%s", t_err(errno));
}

static void numbers(const struct t_fam *f, enum state s)
{
	say("-- %d %s", f->n, states[s]);
	for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
		int fd = make(f, s);

		used = 0;
		add_value(fd, opts[i].name);
		add(";");
		set_all(fd, &opts[i]);
		if (s == FRESH || s == CONNECTED) {
			add(";");
			lengths(fd, &opts[i]);
		}
		say("%s%s", opts[i].text, line);
		done(fd, s);
	}
}

/* --- what is no number --- */

static void names(const struct t_fam *f, enum state s)
{
	static const struct {
		const char *text;
		unsigned len;
	} v[] = {{"reno", 4},	  {"reno", 5},
		 {"renox", 4},	  {"cubic\0junk", 10},
		 {"cub", 3},	  {"", 1},
		 {"nonesuch", 8}, {"reno", 0},
		 {"cubic", 16},	  {"abcdefghijklmnopqrst", 20}};
	static const int which[] = {TCP_CONGESTION, TCP_ULP};
	char room[32];

	for (size_t k = 0; k < 2; k++) {
		int fd = make(f, s);

		used = 0;
		for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
			char text[32] = {0};

			memcpy(text, v[i].text,
			       v[i].len < 20 ? strlen(v[i].text) : 20);
			errno = 0;
			setsockopt(fd, IPPROTO_TCP, which[k], text, v[i].len);
			add(" %s", t_err(errno));
		}
		for (unsigned n = 0; n <= 20; n += 4) {
			socklen_t len = n;

			memset(room, '.', sizeof(room));
			errno = 0;
			getsockopt(fd, IPPROTO_TCP, which[k], room, &len);
			add(" %u:%s:%u:%.*s", n, t_err(errno), len, (int)len,
			    errno ? "" : room);
		}
		say("%s %s%s", states[s], k ? "ULP" : "CONGESTION", line);
		done(fd, s);
	}
}

static void others(const struct t_fam *f, enum state s)
{
	static const struct {
		int name;
		const char *text;
	} v[] = {{TCP_INFO, "INFO"},
		 {TCP_CC_INFO, "CC_INFO"},
		 {SAVED_SYN, "SAVED_SYN"},
		 {33, "FASTOPEN_KEY"},
		 {15, "COOKIE_TRANSACTIONS"},
		 {24, "TIMESTAMP"},
		 {43, "IS_MPTCP"},
		 {47, "47"},
		 {-1, "-1"}};
	int fd = make(f, s);

	MUST(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char room[512] = {0};

		used = 0;
		for (int n = -1; n <= 32; n = n < 0 ? 0 : n ? n * 2 : 1) {
			socklen_t len = (socklen_t)n;
			int r;

			errno = 0;
			r = getsockopt(fd, IPPROTO_TCP, v[i].name, room, &len);
			add(" %d:%s", n, t_err(errno));
			if (!r)
				add(":%u", len);
		}
		add(" set");
		for (unsigned len = 0; len <= 64; len = len ? len * 4 : 1) {
			memset(room, 0, sizeof(room));
			errno = 0;
			setsockopt(fd, IPPROTO_TCP, v[i].name, room, len);
			add(" %u:%s", len, t_err(errno));
		}
		say("%s %s%s", states[s], v[i].text, line);
	}
	done(fd, s);
}

int main(void)
{
	t_init();
	for (int s = 0; s < NUM_STATES; s++) {
		numbers(&t_fams[0], (enum state)s);
		names(&t_fams[0], (enum state)s);
		others(&t_fams[0], (enum state)s);
	}
	numbers(&t_fams[1], CONNECTED);
	return 0;
}
