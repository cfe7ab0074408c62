/* SPDX-License-Identifier: MIT
 *
 * procnet.c - the stack's counters and sockets as /proc/net has them
 *
 * Lists are read from the stack a piece at a time; in between the lock is free.
 * Formats are those of 6.18's seq_show functions, to the column.
 */
#include "edge/procnet.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "base/stats.h"
#include "base/time.h"

struct text {
	const struct procnet *h;
	const struct stats *stats; /* the host's, in memory that stays */
	int err;
	size_t num, line; /* bytes in @buf; where its last line begins */
	char buf[4096];
};

static void flush(struct text *t)
{
	if (!t->err && t->num)
		t->err = t->h->write(t->h->arg, t->buf, t->num);
	t->num = 0;
}

#define LONGEST_PIECE 512

/* One line, or a piece of one. */
#define PRINT(t, ...)                                                 \
	do {                                                          \
		if ((t)->num + LONGEST_PIECE > sizeof((t)->buf))      \
			flush(t);                                     \
		(t)->num += log_snprintf((t)->buf + (t)->num,         \
					 sizeof((t)->buf) - (t)->num, \
					 __VA_ARGS__);                \
	} while (0)

/* Capital digits, which Linux has for addresses and ports. */
static const char *hex(char out[9], uint32_t v, unsigned digits)
{
	out[digits] = '\0';
	while (digits--) {
		out[digits] = "0123456789ABCDEF"[v & 15];
		v >>= 4;
	}
	return out;
}

static void print_hex(struct text *t, uint32_t v, unsigned digits)
{
	char s[9];

	PRINT(t, "%s", hex(s, v, digits));
}

/* seq_setwidth() and seq_pad() */
static void begin_line(struct text *t)
{
	if (t->num + LONGEST_PIECE > sizeof(t->buf))
		flush(t);
	t->line = t->num;
}

static void end_line(struct text *t, size_t width)
{
	while (t->num - t->line < width)
		t->buf[t->num++] = ' ';
	t->buf[t->num++] = '\n';
}

/* --- counters --- */

/* The part of a counter's name behind the group's, or NULL: it is of another.
 * "Ip" is not the group of IpExtInOctets or Ip6InReceives. */
static const char *name_in(const char *name, const char *group)
{
	size_t n = strlen(group);

	if (strncmp(name, group, n) != 0)
		return NULL;
	name += n;
	return *name == '6' || strncmp(name, "Ext", 3) == 0 ? NULL : name;
}

static unsigned long long counter(const struct text *t, unsigned i)
{
	return __atomic_load_n(&t->stats->v[i], __ATOMIC_RELAXED);
}

/* As Linux writes snmp and netstat: names, then values. @front goes first:
 * what is no counter. */
static void print_group(struct text *t, const char *group,
			const char *front_names, const char *front)
{
	const char *name;

	PRINT(t, "%s:%s", group, front_names);
	for (unsigned i = 0; i < STAT_NUM; i++)
		if ((name = name_in(stat_name((enum stat_id)i), group)))
			PRINT(t, " %s", name);
	PRINT(t, "\n%s:%s", group, front);
	for (unsigned i = 0; i < STAT_NUM; i++)
		if (name_in(stat_name((enum stat_id)i), group))
			PRINT(t, " %llu", counter(t, i));
	PRINT(t, "\n");
}

/* --- sockets --- */

#define NUM_ROWS 32

typedef void each_row(struct text *t, const struct sock_row *r, void *arg);

static void for_each_row(struct text *t, enum ep_kind kind, each_row *f,
			 void *arg)
{
	struct sock_row rows[NUM_ROWS];
	struct sock_cursor cur = {0};
	unsigned n;

	do {
		struct stack *st = t->h->lock();

		n = st ? stack_list(st, kind, &cur, rows, NUM_ROWS, t->h->now())
		       : 0;
		t->h->unlock();
		for (unsigned i = 0; i < n; i++)
			f(t, &rows[i], arg);
	} while (n);
}

struct table {
	const char *name;
	enum ep_kind kind;
	int family;
	unsigned width; /* lines are filled up to it */
	uint32_t num;
};

static void print_addr(struct text *t, const struct table *tab,
		       const struct ip_addr *a, uint16_t port)
{
	uint32_t w;

	for (unsigned i = tab->family == AF_INET ? 12 : 0; i < 16; i += 4) {
		memcpy(&w, a->b + i, sizeof(w)); /* as the machine reads it */
		print_hex(t, w, 8);
	}
	PRINT(t, ":");
	print_hex(t, port, 4);
}

/* USER_HZ */
static uint64_t ticks(nsec t)
{
	return t > 0 ? (uint64_t)t / (SEC / 100) : 0;
}

static void print_ends(struct text *t, const struct table *tab,
		       const struct sock_row *r)
{
	bool is_listener = r->state == TCP_LISTEN;

	print_addr(t, tab, &r->laddr, r->lport);
	PRINT(t, " ");
	print_addr(t, tab, &r->raddr, r->rport);
	PRINT(t, " ");
	print_hex(t, r->state, 2);
	PRINT(t, " ");
	print_hex(t, is_listener ? 0 : r->send_q, 8);
	PRINT(t, ":");
	print_hex(t, r->recv_q, 8);
	PRINT(t, " ");
	print_hex(t, r->timer, 2);
	PRINT(t, ":");
}

static void tcp_line(struct text *t, const struct sock_row *r, void *arg)
{
	struct table *tab = arg;
	bool is_short = r->state == TCP_TIME_WAIT || r->state == TCP_SYN_RECV;
	nsec now = r->timer ? t->h->now() : 0;

	if (r->family != tab->family)
		return;
	begin_line(t);
	PRINT(t, "%4u: ", (unsigned)tab->num++);
	print_ends(t, tab, r);
	print_hex(t, r->timer ? (uint32_t)ticks(r->due - now) : 0, 8);
	PRINT(t, " ");
	print_hex(t, r->retransmits, 8);
	PRINT(t, " %5u %8d %lu %d %016x", (unsigned)(is_short ? 0 : t->h->uid),
	      r->probes, t->h->inode(r), is_short ? 1 : 2, 0);
	if (r->state == TCP_LISTEN)
		PRINT(t, " 100 0 0 10 0");
	else if (!is_short)
		PRINT(t, " %llu %llu %u %u %d",
		      (unsigned long long)ticks(r->rto),
		      (unsigned long long)ticks(r->ato), r->is_pingpong,
		      (unsigned)r->cwnd,
		      r->ssthresh < INT32_MAX ? (int)r->ssthresh : -1);
	end_line(t, tab->width);
}

static void dgram_line(struct text *t, const struct sock_row *r, void *arg)
{
	struct table *tab = arg;

	if (r->family != tab->family)
		return;
	begin_line(t);
	PRINT(t,
	      tab->kind == EP_RAW && tab->family == AF_INET ? "%4u: " : "%5u: ",
	      (unsigned)tab->num++);
	print_ends(t, tab, r);
	PRINT(t, "00000000 00000000 %5u %8d %lu %d %016x %u",
	      (unsigned)t->h->uid, 0, t->h->inode(r), 2, 0, (unsigned)r->drops);
	end_line(t, tab->width);
}

/* The widths are those of tcp4_seq_show() and its like. */
#define COLUMNS "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
#define ENDS4 "sl  local_address rem_address   "
#define ENDS6                                        \
	"sl  local_address                         " \
	"remote_address                        "

static void print_table(struct text *t, struct table *tab)
{
	bool is_tcp = tab->kind == EP_TCP, is4 = tab->family == AF_INET;

	begin_line(t);
	PRINT(t, "%s%s%s%s", tab->kind == EP_UDP && is4 ? "   " : "  ",
	      is4 ? ENDS4 : ENDS6, COLUMNS, is_tcp ? "" : " ref pointer drops");
	end_line(t, tab->width);
	for_each_row(t, tab->kind, is_tcp ? tcp_line : dgram_line, tab);
}

/* --- sums --- */

struct sums {
	unsigned in_use[2], orphans, time_wait, open; /* [is IPv6] */
};

static void add_row(struct text *t, const struct sock_row *r, void *arg)
{
	struct sums *s = arg;

	(void)t;
	if (r->state == TCP_TIME_WAIT) {
		s->time_wait++;
		return;
	}
	s->in_use[r->family == AF_INET6]++;
	s->orphans += r->state != TCP_SYN_RECV && !r->s;
	s->open += r->state == TCP_ESTABLISHED || r->state == TCP_CLOSE_WAIT;
}

static struct sums sum_of(struct text *t, enum ep_kind kind)
{
	struct sums s = {{0}};

	for_each_row(t, kind, add_row, &s);
	return s;
}

static void print_sockstat(struct text *t)
{
	struct stack *st = t->h->lock();
	unsigned all = st ? stack_num_sockets(st) : 0;
	uint64_t mem = st ? stack_tcp_memory(st) : 0;
	struct sums tcp, udp, raw;

	t->h->unlock();
	tcp = sum_of(t, EP_TCP);
	udp = sum_of(t, EP_UDP);
	raw = sum_of(t, EP_RAW);
	PRINT(t, "sockets: used %u\n", all);
	PRINT(t, "TCP: inuse %u orphan %u tw %u alloc %u mem %llu\n",
	      tcp.in_use[0], tcp.orphans, tcp.time_wait,
	      tcp.in_use[0] + tcp.in_use[1],
	      (unsigned long long)((mem + 4095) / 4096));
	PRINT(t, "UDP: inuse %u mem 0\nUDPLITE: inuse 0\n", udp.in_use[0]);
	PRINT(t, "RAW: inuse %u\nFRAG: inuse 0 memory 0\n", raw.in_use[0]);
}

static void print_sockstat6(struct text *t)
{
	PRINT(t, "TCP6: inuse %u\n", sum_of(t, EP_TCP).in_use[1]);
	PRINT(t, "UDP6: inuse %u\nUDPLITE6: inuse 0\n",
	      sum_of(t, EP_UDP).in_use[1]);
	PRINT(t, "RAW6: inuse %u\nFRAG6: inuse 0 memory 0\n",
	      sum_of(t, EP_RAW).in_use[1]);
}

/* --- files --- */

static void print_snmp(struct text *t)
{
	struct stack *st = t->h->lock();
	char front[64];
	int64_t ttl = 0;

	if (st)
		stack_sysctl_get(st, "net.ipv4.ip_default_ttl", &ttl);
	t->h->unlock();
	/* 2: does not forward (RFC 4293) */
	log_snprintf(front, sizeof(front), " 2 %d", (int)ttl);
	print_group(t, "Ip", " Forwarding DefaultTTL", front);
	print_group(t, "Icmp", "", "");
	log_snprintf(front, sizeof(front), " 1 200 120000 -1 %u",
		     sum_of(t, EP_TCP).open);
	/* RtoAlgorithm 1: other; MaxConn -1: dynamic (RFC 4022) */
	print_group(t, "Tcp", " RtoAlgorithm RtoMin RtoMax MaxConn CurrEstab",
		    front);
	print_group(t, "Udp", "", "");
}

static void print_netstat(struct text *t)
{
	print_group(t, "TcpExt", "", "");
	print_group(t, "IpExt", "", "");
}

static void print_snmp6(struct text *t)
{
	static const char *const groups[] = {"Ip6", "Icmp6", "Udp6"};

	for (unsigned g = 0; g < ARRAY_SIZE(groups); g++)
		for (unsigned i = 0; i < STAT_NUM; i++) {
			const char *name = stat_name((enum stat_id)i);

			if (name_in(name, groups[g]))
				PRINT(t, "%-32s\t%llu\n", name, counter(t, i));
		}
}

static const struct table tables[] = {
	{"tcp", EP_TCP, AF_INET, 149, 0},   {"tcp6", EP_TCP, AF_INET6, 0, 0},
	{"udp", EP_UDP, AF_INET, 127, 0},   {"udp6", EP_UDP, AF_INET6, 0, 0},
	{"raw", EP_RAW, AF_INET, 0, 0},	    {"raw6", EP_RAW, AF_INET6, 0, 0},
	{"icmp", EP_PING, AF_INET, 127, 0}, {"icmp6", EP_PING, AF_INET6, 0, 0},
};

static const struct {
	const char *name;
	void (*print)(struct text *t);
} sheets[] = {
	{"snmp", print_snmp},		{"netstat", print_netstat},
	{"snmp6", print_snmp6},		{"sockstat", print_sockstat},
	{"sockstat6", print_sockstat6},
};

bool procnet_has(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
		if (strcmp(tables[i].name, name) == 0)
			return true;
	for (unsigned i = 0; i < ARRAY_SIZE(sheets); i++)
		if (strcmp(sheets[i].name, name) == 0)
			return true;
	return false;
}

int procnet_print(const struct procnet *h, const char *name)
{
	static const struct stats none;
	struct text t = {.h = h};
	const struct stack *st;

	st = h->lock();
	t.stats = st ? stack_stats(st) : &none;
	h->unlock();
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
		if (strcmp(tables[i].name, name) == 0) {
			struct table tab = tables[i];

			print_table(&t, &tab);
		}
	for (unsigned i = 0; i < ARRAY_SIZE(sheets); i++)
		if (strcmp(sheets[i].name, name) == 0)
			sheets[i].print(&t);
	flush(&t);
	return t.err;
}
