/* SPDX-License-Identifier: MIT
 *
 * gen.c - a program from a seed
 *
 * Calls at random on sockets at random would mostly say EINVAL and ENOTCONN. So
 * a program begins with a few scenes, which bring sockets into states worth
 * trying (connected to the peer, accepted, two of our own, UDP, listening, a
 * refused connect), and goes on with operations that mostly fit what is in the
 * slot, and sometimes don't.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>

#include "fuzz.h"

enum what { NOTHING, FRESH, LISTENER, STREAM, DGRAM, EPOLL, OTHER };

static struct gen {
	uint64_t rng;
	FILE *to;
	struct {
		enum what what;
		bool is6, nonblock;
		int peer; /* slot of its other end at the peer, or -1 */
		int own;  /* slot of its other end here, or -1 */
	} slot[NUM_SLOTS];
	unsigned next, next_peer; /* free slots */
	unsigned threads;	  /* in percent */
	unsigned lines;
} g;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = (g.rng += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static unsigned upto(unsigned n) /* 0 to n - 1 */
{
	return (unsigned)(next_random() % n);
}

static bool chance(unsigned percent)
{
	return upto(100) < percent;
}

#define PICK(...)                                \
	pick((const char *const[]){__VA_ARGS__}, \
	     sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define PICK_NUM(...)                         \
	pick_num((const long[]){__VA_ARGS__}, \
		 sizeof((const long[]){__VA_ARGS__}) / sizeof(long))

static const char *pick(const char *const *v, size_t n)
{
	return v[upto((unsigned)n)];
}

static long pick_num(const long *v, size_t n)
{
	return v[upto((unsigned)n)];
}

static void emit(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void emit(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(g.to, fmt, ap);
	va_end(ap);
	fputc('\n', g.to);
	g.lines++;
}

/* --- words --- */

static const char *text(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static const char *text(const char *fmt, ...)
{
	static char bufs[16][128];
	static unsigned next;
	char *s = bufs[next++ % 16];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s, sizeof(bufs[0]), fmt, ap);
	va_end(ap);
	return s;
}

static const struct word *word_of(enum word_kind kind)
{
	const struct word *w;

	do
		w = &words[upto(num_words)];
	while (w->kind != kind);
	return w;
}

static unsigned new_slot(enum what what, bool is6)
{
	unsigned s = g.next++ % NUM_SLOTS;

	g.slot[s].what = what;
	g.slot[s].is6 = is6;
	g.slot[s].nonblock = true;
	g.slot[s].peer = g.slot[s].own = -1;
	return s;
}

static unsigned any_slot(void)
{
	unsigned n = g.next < NUM_SLOTS ? g.next : NUM_SLOTS;

	return n && !chance(4) ? upto(n) : upto(NUM_SLOTS);
}

/* Mostly one that has @what in it. */
static unsigned slot_with(enum what what)
{
	unsigned s = any_slot();

	for (int i = 0; i < 20 && g.slot[s].what != what; i++)
		s = any_slot();
	return s;
}

static unsigned len_of_data(void)
{
	if (chance(6))
		return (unsigned)PICK_NUM(0, 1472, 1473, 9000, 65507, 65508,
					  66000);
	if (chance(15))
		return upto(6000);
	return (unsigned)PICK_NUM(0, 1, 1, 2, 10, 64, 100, 100, 500, 1000,
				  1460);
}

static const char *msg_flags(bool send)
{
	if (chance(55))
		return "0";
	if (chance(10))
		return text("%s|%s", word_of(W_MSG)->name,
			    word_of(W_MSG)->name);
	if (chance(10))
		return word_of(W_MSG)->name;
	if (send)
		return PICK("MSG_NOSIGNAL", "MSG_DONTWAIT", "MSG_MORE",
			    "MSG_OOB", "MSG_DONTWAIT|MSG_NOSIGNAL");
	return PICK("MSG_PEEK", "MSG_DONTWAIT", "MSG_WAITALL", "MSG_TRUNC",
		    "MSG_OOB", "MSG_PEEK|MSG_TRUNC", "MSG_ERRQUEUE",
		    "MSG_PEEK|MSG_DONTWAIT", "MSG_DONTWAIT|MSG_WAITALL");
}

static const char *vec(void)
{
	if (chance(8))
		return PICK("v:null", "v:many1024", "v:many1025", "v:neg",
			    "v:", "v:0,0,0", "v:many16");
	switch (upto(3)) {
	case 0:
		return text("v:%u", len_of_data() % 3000);
	case 1:
		return text("v:%u,%u", upto(20), len_of_data() % 3000);
	default:
		return text("v:%u,0,%u,%u", upto(200), upto(2), upto(600));
	}
}

static const char *port(void)
{
	if (g.next && chance(30))
		return text("@s%u", any_slot());
	if (g.next_peer && chance(40))
		return text("@q%u", upto(g.next_peer));
	return PICK("0", "P0", "P0", "P1", "P2", "1", "7");
}

static const char *addr_len(void)
{
	return chance(93) ? ""
			  : PICK("/0", "/1", "/2", "/8", "/15", "/16", "/24",
				 "/28", "/100", "/128", "/200", "/-1");
}

static const char *bind_addr(bool is6)
{
	const char *host;

	if (chance(12))
		host = addr_kinds[upto(num_addr_kinds)].name;
	else if (is6)
		host = PICK("us6", "any6", "us6", "any6", "map_us", "map_any",
			    "lo6", "no6");
	else
		host = PICK("us4", "any4", "us4", "any4", "us4", "lo4", "no4");
	return text("%s:%s%s", host, port(), addr_len());
}

/* Where somebody may answer. Not what nobody has: that would take seconds. */
static const char *dest_addr(bool is6)
{
	const char *host;

	if (chance(8))
		return text("%s:0%s", PICK("unspec", "badfam"), addr_len());
	if (chance(8))
		is6 = !is6;
	if (is6)
		host = PICK("us6", "peer6", "peer6", "any6", "lo6", "map_peer",
			    "map_us");
	else
		host = PICK("us4", "peer4", "peer4", "peer4", "any4", "lo4");
	return text("%s:%s%s", host, port(), addr_len());
}

static const char *name_len(void)
{
	return chance(80)
		       ? "128"
		       : PICK("0", "1", "2", "8", "15", "16", "17", "28", "-1");
}

static const char *poll_mask(void)
{
	if (chance(40))
		return "IN|PRI|OUT|RDHUP";
	if (chance(20))
		return "0";
	if (chance(40))
		return word_of(W_POLL)->name;
	return text("%s|%s|%s", word_of(W_POLL)->name, word_of(W_POLL)->name,
		    word_of(W_POLL)->name);
}

static long edge_value(void)
{
	return PICK_NUM(0L, 1L, 1L, 2L, 3L, 5L, 7L, 10L, 60L, 100L, 127L, 128L,
			255L, 256L, 500L, 1000L, 1460L, 4096L, 32767L, 32768L,
			65535L, 65536L, 100000L, 1000000L, 2147483647L,
			-2147483648L, -1L, -2L);
}

static const char *opt_len(void)
{
	return chance(88) ? ""
			  : PICK("/0", "/1", "/2", "/3", "/5", "/8", "/16",
				 "/20", "/-1", "/100");
}

static const char *opt_value(const struct opt *o)
{
	const char *group = PICK("mc4", "mc6", "mc4", "mc6", "us4", "us6");

	if (chance(3) && o->kind != O_MREQ && o->kind != O_MREQ6 &&
	    o->kind != O_GROUP)
		return "n";
	switch (o->kind) {
	case O_BOOL:
		return text("i:%ld%s",
			    chance(80) ? (long)upto(2) : edge_value(),
			    opt_len());
	case O_BUF: /* not so little that nothing arrives */
		return text(
			"i:%ld%s",
			PICK_NUM(20000L, 65536L, 100000L, 300000L, 1000000L),
			chance(95) ? "" : "/3");
	case O_LINGER:
		return text("l:%u:%u%s", upto(2), upto(3), opt_len());
	case O_TIME:
		return text("t:%ld:%ld%s", PICK_NUM(0, 0, 0, -1, 1),
			    PICK_NUM(0, 5000, 20000, 999999, 1000000, -1),
			    opt_len());
	case O_STR:
		return text("x:%s%s", PICK("cubic", "reno", "none", "", "tls"),
			    opt_len());
	case O_MREQ:
		return text("m:%s:%s%s", group, PICK("any4", "us4", "no4"),
			    opt_len());
	case O_MREQ6:
		return text("6:%s%s", group, opt_len());
	case O_GROUP:
		return text("g:%s%s", group, opt_len());
	case O_RAW:
		return text("r:%u%s", upto(40), opt_len());
	default:
		return text("i:%ld%s", edge_value(), opt_len());
	}
}

/* Mostly one that fits the socket. */
static const struct opt *some_opt(unsigned s)
{
	const struct opt *o;

	for (int i = 0; i < 20; i++) {
		o = &opts[upto(num_opts)];
		if (chance(8) || o->level == SOL_SOCKET)
			break;
		if (o->level == IPPROTO_TCP && g.slot[s].what == DGRAM)
			continue;
		if (o->level == IPPROTO_UDP && g.slot[s].what != DGRAM)
			continue;
		if (o->level == IPPROTO_IPV6 && !g.slot[s].is6)
			continue;
		break;
	}
	return o;
}

static const char *opt_name(const struct opt *o)
{
	if (chance(2))
		return text("%ld.%ld", PICK_NUM(0, 1, 6, 17, 41, 255, 999, -1),
			    PICK_NUM(0, 21, 77, 200, 9999, -1));
	return text("%s.%s", o->level_name, o->name);
}

/* --- scenes --- */

static const char *family(bool is6)
{
	return is6 ? "AF_INET6" : "AF_INET";
}

static unsigned stream(bool is6, bool nonblock)
{
	unsigned s = new_slot(STREAM, is6);

	g.slot[s].nonblock = nonblock;
	emit("socket s%u %s SOCK_STREAM%s 0", s, family(is6),
	     nonblock ? "|SOCK_NONBLOCK" : "");
	if (chance(85))
		emit("setsockopt s%u IPPROTO_TCP.TCP_NODELAY i:1", s);
	return s;
}

static unsigned listener(bool is6)
{
	unsigned s = new_slot(LISTENER, is6);
	const char *any = is6 ? "any6" : "any4", *us = is6 ? "us6" : "us4";

	emit("socket s%u %s SOCK_STREAM%s 0", s, family(is6),
	     chance(90) ? "|SOCK_NONBLOCK" : "");
	if (chance(20))
		emit("setsockopt s%u %s %s", s, "SOL_SOCKET.SO_REUSEADDR",
		     "i:1");
	emit("bind s%u %s:%s", s, chance(40) ? any : us,
	     chance(60) ? "0" : PICK("P0", "P1"));
	emit("listen s%u %ld", s, PICK_NUM(0, 1, 5, 5, 128, -1));
	return s;
}

/* We connect to the peer. */
static void scene_out(void)
{
	bool is6 = chance(45), nonblock = chance(70);
	unsigned l = g.next_peer++, q = g.next_peer++, s;
	const char *peer = is6 ? "peer6" : "peer4";

	emit("p socket s%u %s SOCK_STREAM 0", l, family(is6));
	emit("p bind s%u %s:0", l, peer);
	emit("p listen s%u 5", l);
	s = stream(is6, nonblock);
	emit("connect s%u %s:@q%u", s, peer, l);
	emit("p accept s%u s%u SOCK_NONBLOCK 128", l, q);
	emit("p setsockopt s%u IPPROTO_TCP.TCP_NODELAY i:1", q);
	g.slot[s].peer = (int)q;
}

/* The peer connects to us. */
static void scene_in(void)
{
	bool is6 = chance(45);
	unsigned q = g.next_peer++, l = listener(is6), s;

	emit("p socket s%u %s SOCK_STREAM|SOCK_NONBLOCK 0", q, family(is6));
	emit("p setsockopt s%u IPPROTO_TCP.TCP_NODELAY i:1", q);
	emit("p connect s%u %s:@s%u", q, is6 ? "us6" : "us4", l);
	if (chance(30)) /* data that waits for accept */
		emit("p send s%u %u 0", q, len_of_data() % 2000);
	s = new_slot(STREAM, is6);
	g.slot[s].nonblock = chance(70);
	emit("accept s%u s%u %s %s", l, s,
	     g.slot[s].nonblock ? "SOCK_NONBLOCK" : "SOCK_CLOEXEC",
	     chance(70) ? "128" : "-");
	g.slot[s].peer = (int)q;
}

/* Two of ours, over the host's own address. */
static void scene_own(void)
{
	bool is6 = chance(40);
	unsigned l = listener(is6), a = stream(is6, true), b;

	emit("connect s%u %s:@s%u", a, is6 ? "us6" : "us4", l);
	b = new_slot(STREAM, is6);
	emit("accept s%u s%u SOCK_NONBLOCK 128", l, b);
	g.slot[a].own = (int)b;
	g.slot[b].own = (int)a;
}

static void scene_udp(void)
{
	bool is6 = chance(45);
	unsigned q = g.next_peer++, s = new_slot(DGRAM, is6);
	const char *peer = is6 ? "peer6" : "peer4", *us = is6 ? "us6" : "us4";

	emit("p socket s%u %s SOCK_DGRAM|SOCK_NONBLOCK 0", q, family(is6));
	emit("p bind s%u %s:0", q, peer);
	emit("socket s%u %s SOCK_DGRAM%s 0", s, family(is6),
	     chance(80) ? "|SOCK_NONBLOCK" : "");
	if (chance(70))
		emit("bind s%u %s:%s", s,
		     chance(40) ? (is6 ? "any6" : "any4") : us,
		     chance(70) ? "0" : "P2");
	if (chance(50))
		emit("connect s%u %s:@q%u", s, peer, q);
	if (chance(50))
		emit("send s%u 20 0", s);
	if (chance(60))
		emit("p sendto s%u %u 0 %s:@s%u", q, len_of_data() % 1400, us,
		     s);
	g.slot[s].peer = (int)q;
}

/* Two datagram sockets of ours. */
static void scene_udp_own(void)
{
	bool is6 = chance(40);
	unsigned a = new_slot(DGRAM, is6), b = new_slot(DGRAM, is6);
	const char *us = is6 ? "us6" : "us4";

	for (unsigned i = 0; i < 2; i++) {
		emit("socket s%u %s SOCK_DGRAM|SOCK_NONBLOCK 0", i ? b : a,
		     family(is6));
		emit("bind s%u %s:0", i ? b : a, us);
	}
	emit("connect s%u %s:@s%u", a, us, b);
	if (chance(50))
		emit("connect s%u %s:@s%u", b, us, a);
	g.slot[a].own = (int)b;
	g.slot[b].own = (int)a;
}

/* Nobody listens. */
static void scene_refused(void)
{
	bool is6 = chance(40);
	unsigned s = stream(is6, chance(60));

	emit("connect s%u %s:1", s,
	     is6 ? PICK("peer6", "us6", "map_peer") : PICK("peer4", "us4"));
}

static void scene_fresh(void)
{
	bool is6 = chance(45);
	unsigned s = new_slot(FRESH, is6);
	const struct word *domain = word_of(W_DOMAIN), *type = word_of(W_TYPE);

	if (chance(50)) {
		emit("socket s%u %s %s%s 0", s, family(is6),
		     PICK("SOCK_STREAM", "SOCK_DGRAM"),
		     PICK("", "|SOCK_NONBLOCK", "|SOCK_CLOEXEC"));
		return;
	}
	emit("socket s%u %s %s%s %s", s,
	     chance(70) ? family(is6) : domain->name,
	     chance(85) ? type->name : PICK("0", "10", "3|0x10", "-1"),
	     chance(90) ? "" : PICK("|SOCK_NONBLOCK", "|0x100000"),
	     PICK("0", "0", "0", "IPPROTO_TCP", "IPPROTO_UDP", "-1", "300"));
}

/* A protocol of nobody's, over IPv6: there the header is not seen. */
static void scene_raw(void)
{
	unsigned q = g.next_peer++, s = new_slot(DGRAM, true);

	emit("p socket s%u AF_INET6 SOCK_RAW|SOCK_NONBLOCK 253", q);
	emit("socket s%u AF_INET6 SOCK_RAW|SOCK_NONBLOCK 253", s);
	if (chance(50))
		emit("bind s%u us6:0", s);
	if (chance(50))
		emit("connect s%u peer6:0", s);
	emit("p sendto s%u %u 0 us6:0", q, len_of_data() % 1400);
	emit("sendto s%u %u 0 peer6:0", s, len_of_data() % 1400);
	g.slot[s].peer = (int)q;
}

static void scene_listener(void)
{
	listener(chance(45));
}

static void scene_epoll(void)
{
	unsigned ep = new_slot(EPOLL, false), n = 1 + upto(3);

	emit("epoll s%u", ep);
	for (unsigned i = 0; i < n; i++)
		emit("epoll_ctl s%u ADD s%u IN|OUT|RDHUP%s", ep, any_slot(),
		     PICK("", "", "|ET", "|ONESHOT", "|ET|ONESHOT"));
}

static void scene_files(void)
{
	unsigned r, w;

	if (chance(50)) {
		emit("file s%u", new_slot(OTHER, false));
		return;
	}
	r = new_slot(OTHER, false);
	w = new_slot(OTHER, false);
	emit("pipe s%u s%u", r, w);
}

/* --- operations --- */

static const char *thread(void)
{
	return chance(g.threads) ? PICK("t1 ", "t2 ") : "";
}

static unsigned data_slot(void)
{
	if (chance(12))
		return any_slot();
	return slot_with(chance(60) ? STREAM : DGRAM);
}

static void op_out(unsigned s)
{
	const char *t = thread();

	switch (upto(7)) {
	case 0:
		emit("%swrite s%u %u", t, s, len_of_data());
		break;
	case 1:
		emit("%swritev s%u %s", t, s, vec());
		break;
	case 2:
		emit("%ssendto s%u %u %s %s", t, s, len_of_data(),
		     msg_flags(true),
		     chance(70) ? dest_addr(g.slot[s].is6) : "-");
		break;
	case 3:
		emit("%ssendmsg s%u %s %s %s %s", t, s, vec(), msg_flags(true),
		     chance(30) ? dest_addr(g.slot[s].is6) : "-",
		     chance(70)
			     ? "-"
			     : PICK("ttl64", "ttl0", "ttl256", "tos8", "pkt",
				    "short", "rights", "odd", "hop9", "tcl32",
				    "pkt6", "ttl3,tos16", "hop-1", "hop300"));
		break;
	case 4:
		emit("%ssendmmsg s%u %u %u %s %s", t, s, upto(5), upto(1000),
		     msg_flags(true),
		     chance(30) ? dest_addr(g.slot[s].is6) : "-");
		break;
	default:
		emit("%ssend s%u %u %s", t, s, len_of_data(), msg_flags(true));
	}
}

static void op_in(unsigned s)
{
	const char *t = thread();

	switch (upto(7)) {
	case 0:
		emit("%sread s%u %u", t, s, len_of_data());
		break;
	case 1:
		emit("%sreadv s%u %s", t, s, vec());
		break;
	case 2:
		emit("%srecvfrom s%u %u %s %s", t, s, len_of_data(),
		     msg_flags(false), name_len());
		break;
	case 3:
		emit("%srecvmsg s%u %s %s %s %ld", t, s, vec(),
		     msg_flags(false), chance(70) ? name_len() : "-",
		     PICK_NUM(0, 0, 256, 256, 16, 20, 40));
		break;
	case 4:
		emit("%srecvmmsg s%u %u %u %s|MSG_DONTWAIT", t, s, upto(5),
		     upto(1000), msg_flags(false));
		break;
	case 5:
		emit("%sdrain s%u", t, s);
		break;
	default:
		emit("%srecv s%u %u %s", t, s, len_of_data(), msg_flags(false));
	}
}

/* The peer does something to the other end of @s. */
static void op_peer(unsigned s)
{
	int q = g.slot[s].peer;
	const char *us = g.slot[s].is6 ? "us6" : "us4";

	if (q < 0)
		return;
	if (g.slot[s].what == DGRAM && chance(70)) {
		emit("p sendto s%d %u 0 %s:@s%u", q, len_of_data(), us, s);
		return;
	}
	switch (upto(12)) {
	case 0:
		emit("p shutdown s%d %s", q,
		     PICK("SHUT_WR", "SHUT_WR", "SHUT_RDWR", "SHUT_RD"));
		break;
	case 1:
		emit("p close s%d", q);
		break;
	case 2:
		emit("p setsockopt s%d SOL_SOCKET.SO_LINGER l:1:0", q);
		emit("p close s%d", q);
		break;
	case 3:
		emit("p send s%d 1 MSG_OOB", q);
		break;
	case 4:
	case 5:
	case 6:
		emit("p drain s%d", q);
		break;
	case 7:
		emit("p recv s%d 100 MSG_OOB", q);
		break;
	default:
		emit("p send s%d %u MSG_NOSIGNAL", q, len_of_data());
	}
}

/* We wait for what comes a moment later. */
static void op_later(unsigned s)
{
	int q = g.slot[s].peer;

	if (q < 0 || g.slot[s].what != STREAM)
		return;
	if (chance(70))
		emit("p+ send s%d %u MSG_NOSIGNAL", q, 1 + upto(1000));
	else
		emit("p+ shutdown s%d SHUT_WR", q);
	if (!g.slot[s].nonblock && chance(60))
		emit("%srecv s%u %u %s", thread(), s, 1 + upto(1000),
		     PICK("0", "MSG_WAITALL", "MSG_PEEK"));
	else
		emit("%spoll 30 s%u:%s", thread(), s,
		     PICK("IN", "IN|RDHUP", "RDHUP"));
	if (chance(50))
		emit("drain s%u", s);
}

static void op_name(unsigned s)
{
	const char *t = thread();

	switch (upto(6)) {
	case 0:
		emit("%sgetpeername s%u %s", t, s, name_len());
		break;
	case 1:
		emit("%sgetsockname s%u %s", t, s, name_len());
		break;
	case 2:
		emit("%sbind s%u %s", t, s, bind_addr(g.slot[s].is6));
		break;
	case 3:
		emit("%slisten s%u %ld", t, s, PICK_NUM(0, 1, 5, -1, 1000000));
		break;
	default:
		emit("%sconnect s%u %s", t, s, dest_addr(g.slot[s].is6));
	}
}

static void op_accepting(void)
{
	unsigned l = slot_with(LISTENER), s;
	bool is6 = g.slot[l].is6;

	if (g.slot[l].what == LISTENER && chance(50)) {
		unsigned q = g.next_peer++;

		emit("p socket s%u %s SOCK_STREAM|SOCK_NONBLOCK 0", q,
		     family(is6));
		emit("p connect s%u %s:@s%u", q, is6 ? "us6" : "us4", l);
	}
	if (chance(20))
		return;
	s = new_slot(STREAM, is6);
	emit("%saccept s%u s%u %s %s", thread(), l, s,
	     chance(90) ? "SOCK_NONBLOCK" : PICK("0", "SOCK_CLOEXEC", "0x100"),
	     chance(70) ? "128" : PICK("-", "0", "8", "16", "-1"));
}

static void op_options(unsigned s)
{
	const struct opt *o = some_opt(s);
	const char *name = opt_name(o), *t = thread();

	if (chance(60)) /* what is unknown is asked for before it is read */
		emit("%ssetsockopt s%u %s %s", t, s, name,
		     name[0] > '9' ? opt_value(o) : "i:1");
	if (chance(70))
		emit("%sgetsockopt s%u %s %s", t, s, name,
		     chance(85) ? PICK("4", "8", "16", "64")
				: PICK("0", "1", "2", "3", "5", "-1"));
}

static void op_fds(unsigned s)
{
	const char *t = thread();
	unsigned to;

	switch (upto(12)) {
	case 0:
		to = new_slot(g.slot[s].what, g.slot[s].is6);
		g.slot[to].peer = g.slot[s].peer;
		emit("%sdup s%u s%u", t, s, to);
		break;
	case 1:
		emit("%sdup2 s%u s%u", t, s, any_slot());
		break;
	case 2:
		emit("%sdup3 s%u s%u %s", t, s, any_slot(),
		     PICK("0", "O_CLOEXEC", "1"));
		break;
	case 3:
		emit("%sfstat s%u", t, s);
		break;
	case 4:
		emit("%s%s s%u", t,
		     PICK("lseek", "fsync", "isatty", "ftruncate"), s);
		break;
	case 5:
		emit("%s%s s%u 10", t, PICK("pread", "pwrite"), s);
		break;
	case 6:
	case 7:
		emit("%sfcntl s%u %s %s", t, s, word_of(W_FCNTL)->name,
		     PICK("0", "1", "O_NONBLOCK", "O_NONBLOCK", "100", "-1",
			  "O_APPEND|O_NONBLOCK"));
		break;
	case 8:
		emit("%sclose s%u", t, s);
		break;
	default:
		emit("%sioctl s%u %s %ld", t, s,
		     chance(50) ? "FIONREAD" : word_of(W_IOCTL)->name,
		     PICK_NUM(0, 1, 1, -1));
	}
}

static void op_waiting(void)
{
	const char *t = thread();
	unsigned ep = slot_with(EPOLL);

	if (g.slot[ep].what == EPOLL && chance(60)) {
		if (chance(45))
			emit("%sepoll_ctl s%u %s s%u %s%s", t, ep,
			     PICK("ADD", "MOD", "MOD", "DEL", "7"), any_slot(),
			     poll_mask(),
			     PICK("", "", "|ET", "|ONESHOT", "|EXCLUSIVE",
				  "|ET|ONESHOT", "|WAKEUP"));
		emit("%sepoll_wait s%u %ld %ld", t, ep,
		     chance(92) ? 16 : PICK_NUM(0, 1, -1),
		     PICK_NUM(0, 0, 0, 3));
		return;
	}
	emit("%s%s %ld s%u:%s s%u:%s", t, chance(75) ? "poll" : "select",
	     PICK_NUM(0, 0, 0, 3), any_slot(), poll_mask(), any_slot(),
	     poll_mask());
}

static void op_files(unsigned s)
{
	unsigned f = slot_with(OTHER);

	switch (upto(3)) {
	case 0:
		emit("sendfile s%u s%u %u", s, f, len_of_data());
		break;
	case 1:
		emit("splice s%u s%u %u 2", s, f, len_of_data());
		break;
	default:
		emit("splice s%u s%u %u 2", f, s, len_of_data());
	}
}

static void op_bad(unsigned s)
{
	emit("badptr s%u %s %s", s,
	     PICK("send", "recv", "wv", "wb", "rv", "sm", "rm", "ri", "rf",
		  "bind", "co", "na", "nl", "so", "go", "gl"),
	     PICK("null", "nowhere", "minus"));
}

static void op_shut(unsigned s)
{
	emit("%sshutdown s%u %s", thread(), s,
	     chance(90) ? word_of(W_HOW)->name : PICK("3", "-1"));
}

/* At the same time, each thread on a socket of its own, or one that waits and
 * one that makes it happen: the order must not matter. */
static void op_together(void)
{
	unsigned a = slot_with(STREAM), b = data_slot();
	int own = g.slot[a].own;

	if (!g.slot[a].nonblock && g.slot[a].peer >= 0 && chance(70)) {
		emit("t1~ %s s%u 10 0", PICK("recv", "recv", "recvfrom"), a);
		emit("t2~ shutdown s%u SHUT_RD", a);
		return;
	}
	if (own >= 0 && chance(30)) {
		emit("t1~ poll 50 s%u:IN", a);
		emit("t2~ send s%d %u MSG_NOSIGNAL", own, 1 + upto(500));
		return;
	}
	if (own >= 0 && chance(70)) {
		emit("t1~ poll 50 s%u:%s", a, PICK("RDHUP", "RDHUP|HUP"));
		emit("t2~ %s s%d SHUT_WR", "shutdown", own);
		return;
	}
	if (a == b || own == (int)b)
		return;
	for (unsigned i = 0; i < 2 + upto(4); i++) {
		unsigned t = 1 + upto(2), s = t == 1 ? a : b;

		switch (upto(5)) {
		case 0:
			emit("t%u~ getsockname s%u 128", t, s);
			break;
		case 1:
			emit("t%u~ poll 0 s%u:IN|PRI", t, s);
			break;
		case 2:
			emit("t%u~ getsockopt s%u SOL_SOCKET.SO_TYPE 4", t, s);
			break;
		case 3: /* an ICMP error may come before the next one */
			if (g.slot[s].what == DGRAM)
				break;
			emit("t%u~ send s%u %u MSG_NOSIGNAL|MSG_DONTWAIT", t, s,
			     1 + upto(100));
			break;
		default:
			emit("t%u~ recv s%u 64 MSG_DONTWAIT", t, s);
		}
	}
}

static void some_op(void)
{
	unsigned s = data_slot(), k = upto(100);

	if (k < 16)
		op_out(s);
	else if (k < 34)
		op_in(s);
	else if (k < 47)
		op_peer(s);
	else if (k < 51)
		op_later(s);
	else if (k < 58)
		op_name(any_slot());
	else if (k < 62)
		op_accepting();
	else if (k < 73)
		op_options(chance(50) ? s : any_slot());
	else if (k < 80)
		op_fds(any_slot());
	else if (k < 91)
		op_waiting();
	else if (k < 93)
		op_files(s);
	else if (k < 95)
		op_shut(s);
	else if (k < 97)
		op_bad(s);
	else if (g.threads)
		op_together();
}

void gen(uint64_t seed, FILE *to)
{
	static void (*const scenes[])(void) = {
		scene_out,   scene_out,	     scene_in,	    scene_in,
		scene_own,   scene_udp,	     scene_udp,	    scene_udp_own,
		scene_fresh, scene_listener, scene_refused, scene_epoll,
		scene_fresh, scene_files,    scene_raw,
	};
	unsigned n;

	g = (struct gen){.rng = seed, .to = to};
	next_random();
	g.threads = chance(35) ? 20 + upto(60) : 0;
	fprintf(to, "# seed %llu\n", (unsigned long long)seed);
	for (n = 1 + upto(4); n; n--)
		scenes[upto(ARRAY_LEN(scenes))]();
	if (chance(35))
		scene_epoll();
	for (n = 5 + upto(30); n && g.lines < MAX_OPS - 20; n--)
		some_op();
	for (unsigned s = 0; s < g.next && s < NUM_SLOTS; s++)
		if (chance(60))
			emit("poll 0 s%u:IN|PRI|OUT|RDHUP", s);
}
