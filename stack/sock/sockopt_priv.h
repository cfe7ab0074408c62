/* SPDX-License-Identifier: MIT
 *
 * sockopt_priv.h - what the files of the options share: rows and their parts
 *
 * Each level is a file, sockopt_X.c, with its rows in sockopt_X.def:
 *
 * BIT(level, name, who, bit)	     a boolean of ep->opts; any value but 0 sets
 * FLAG(level, name, who, bit)	     the same, but only 0 and 1 are taken
 * NUM(level, name, who, field, lo, hi)  a number of struct ep, -EINVAL outside
 * INT(level, name, who, set, get)   an int through functions
 * RAW(level, name, who, set, get)   its own layout and length
 *
 * @who: ANY, TCP, UDP; a function may be opt_no_set or opt_no_get
 * (-ENOPROTOOPT).
 * Levels are checked before: IPPROTO_IPV6 has only IPv6 sockets, and so on.
 * What Linux has and we don't is not here: it is -ENOPROTOOPT and counted.
 */
#ifndef TCPSHIM_SOCKOPT_PRIV_H
#define TCPSHIM_SOCKOPT_PRIV_H

#include "sock/sock.h" /* libc's in.h must come before linux/in6.h */

#include <asm/socket.h>
#include <errno.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "sock/uapi.h"

/* Of netinet/tcp.h, which can't be had beside linux/tcp.h. */
#define OPT_STATE_ESTABLISHED 1
#define OPT_STATE_CLOSE 7

#define OPT_MIN_RCVBUF 2304 /* SOCK_MIN_RCVBUF of Linux */
#define OPT_JIFFY_US 4000   /* times read back in ticks of HZ 250 */

/* One getsockopt(2) or setsockopt(2). */
struct opt_call {
	struct stack *st;
	struct ep *e;
	nsec now;
	int level;
};

typedef int opt_set_int_fn(struct opt_call *c, int v);
typedef int opt_get_int_fn(struct opt_call *c, int *v);
typedef int opt_set_raw_fn(struct opt_call *c, const void *val, socklen_t len);
typedef int opt_get_raw_fn(struct opt_call *c, void *val, socklen_t *len);

enum opt_kind { OPT_BIT, OPT_FLAG, OPT_NUM, OPT_INT, OPT_RAW };
enum opt_who { OPT_WHO_ANY, OPT_WHO_TCP, OPT_WHO_UDP };

/* What a short value means, beside the rule of its level. */
#define OPT_SHORT_NEEDS_1 1 /* IP: no byte at all is an error */
#define OPT_SHORT_IS_0 2    /* IPv6: less than an int is 0 */

struct opt_row {
	int level, name;
	uint8_t kind, who, flags, size;
	uint16_t off; /* bit, or offset in struct ep */
	int64_t lo, hi;
	opt_set_int_fn *set;
	opt_get_int_fn *get;
	opt_set_raw_fn *set_raw;
	opt_get_raw_fn *get_raw;
};

/* clang-format off */
#define BITS(l, n, w, bit, k, f) \
	{.level = l,             \
	 .name = n,              \
	 .kind = k,              \
	 .who = OPT_WHO_##w,         \
	 .flags = f,             \
	 .off = EP_O_##bit},
#define NUMS(l, n, w, field, min, max, f)         \
	{.level = l,                              \
	 .name = n,                               \
	 .kind = OPT_NUM,                        \
	 .who = OPT_WHO_##w,                          \
	 .flags = f,                              \
	 .size = sizeof(((struct ep *)0)->field), \
	 .off = offsetof(struct ep, field),       \
	 .lo = min,                               \
	 .hi = max},
#define INTS(l, n, w, s, g, f) \
	{.level = l,           \
	 .name = n,            \
	 .kind = OPT_INT,     \
	 .who = OPT_WHO_##w,       \
	 .flags = f,           \
	 .set = s,             \
	 .get = g},
#define BIT(l, n, w, bit) BITS(l, n, w, bit, OPT_BIT, 0)
#define BIT0(l, n, w, bit) BITS(l, n, w, bit, OPT_BIT, OPT_SHORT_IS_0)
#define BIT1(l, n, w, bit) BITS(l, n, w, bit, OPT_BIT, OPT_SHORT_NEEDS_1)
#define FLAG(l, n, w, bit) BITS(l, n, w, bit, OPT_FLAG, 0)
#define FLAG1(l, n, w, bit) BITS(l, n, w, bit, OPT_FLAG, OPT_SHORT_NEEDS_1)
#define NUM(l, n, w, field, min, max) NUMS(l, n, w, field, min, max, 0)
#define NUM1(l, n, w, field, min, max) \
	NUMS(l, n, w, field, min, max, OPT_SHORT_NEEDS_1)
#define INT(l, n, w, s, g) INTS(l, n, w, s, g, 0)
#define INT1(l, n, w, s, g) INTS(l, n, w, s, g, OPT_SHORT_NEEDS_1)
#define RAW(l, n, w, s, g) \
	{.level = l,       \
	 .name = n,        \
	 .kind = OPT_RAW, \
	 .who = OPT_WHO_##w,   \
	 .set_raw = s,     \
	 .get_raw = g},
/* clang-format on */

/* The rows of one level. */
#define OPT_TABLE(X)                               \
	extern const struct opt_row sockopt_##X[]; \
	extern const size_t sockopt_num_##X;
OPT_TABLE(socket)
OPT_TABLE(ip)
OPT_TABLE(ip6)
OPT_TABLE(tcp)
OPT_TABLE(udp)
OPT_TABLE(raw)
OPT_TABLE(icmp6)
#undef OPT_TABLE

/* For rows of several levels. */
int opt_no_set(struct opt_call *c, int v);
int opt_no_get(struct opt_call *c, int *v);
int opt_raw_no_set(struct opt_call *c, const void *val, socklen_t len);
int opt_raw_no_get(struct opt_call *c, void *val, socklen_t *len);
int opt_raw_set_invalid(struct opt_call *c, const void *val, socklen_t len);
int opt_raw_get_invalid(struct opt_call *c, void *val, socklen_t *len);
int opt_set_invalid(struct opt_call *c, int v);
int opt_set_ignored(struct opt_call *c, int v);
int opt_set_not_permitted(struct opt_call *c, int v);
/* Off is what we are; on we are not. */
int opt_set_unsupported_flag(struct opt_call *c, int v);
int opt_get_zero(struct opt_call *c, int *v);
int opt_get_one(struct opt_call *c, int *v);
/* @n bytes at @from, cut to what the caller has room for. */
int opt_give(void *val, socklen_t *len, const void *from, size_t n);
int opt_get_zero_raw(struct opt_call *c, void *val, socklen_t *len);
int opt_get_nothing(struct opt_call *c, void *val, socklen_t *len);
/* Name of an interface; NULL: there is none. */
const char *opt_dev_of(const struct stack *st, int ifindex);
/* Is the way to the peer known? */
bool opt_has_route(const struct ep *e);

/* A TCP socket that is closed or listens. */
bool opt_tcp_is_idle(const struct ep *e);

/* Of several levels: sockopt_mcast.c, sockopt_raw.c. */
opt_set_raw_fn opt_set_unicast_if, opt_set_unicast_if6, opt_set_mc_if;
opt_set_raw_fn opt_set_pktinfo6;
opt_get_raw_fn opt_get_unicast_if, opt_get_unicast_if6, opt_get_mc_if;
opt_set_raw_fn opt_set_join, opt_set_leave, opt_set_join6, opt_set_leave6;
opt_set_raw_fn opt_set_group_join, opt_set_group_leave;
opt_set_raw_fn opt_set_group_join6, opt_set_group_leave6;
#define OPT_SOURCE(id) \
	opt_set_raw_fn opt_set_##id, opt_set_##id##_req, opt_set_##id##_req6;
OPT_SOURCE(block)
OPT_SOURCE(unblock)
OPT_SOURCE(add_source)
OPT_SOURCE(drop_source)
#undef OPT_SOURCE
opt_set_raw_fn opt_set_msfilter, opt_set_group_filter, opt_set_group_filter6;
opt_get_raw_fn opt_get_msfilter, opt_get_group_filter;
opt_set_int_fn opt_set_raw_csum, opt_set_hdrincl, opt_set_hdrincl6;
opt_get_int_fn opt_get_raw_csum, opt_get_hdrincl, opt_get_hdrincl6;
opt_set_int_fn opt_set_nodefrag;
opt_get_int_fn opt_get_nodefrag;
opt_get_int_fn opt_get_mtu;
/* sockopt_auth.c */
opt_set_raw_fn opt_set_md5, opt_set_md5_ext;
/* sockopt_ao.c */
opt_set_raw_fn opt_add_ao_key, opt_del_ao_key;
opt_set_raw_fn opt_set_ao_info, opt_set_ao_repair;
opt_get_raw_fn opt_get_ao_info, opt_get_ao_keys, opt_get_ao_repair;

#endif
