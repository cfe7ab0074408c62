/* SPDX-License-Identifier: MIT
 *
 * sockopt_socket.c - options of SOL_SOCKET
 */
#include "sock/sockopt_priv.h"
#include "transport/filter.h"

#include <linux/net_tstamp.h>

#define DEV_NAME_LEN 16 /* IFNAMSIZ of Linux */
#define MIN_SNDBUF 4608 /* SOCK_MIN_SNDBUF of Linux on 64-bit machines */

static int get_type(struct opt_call *c, int *v)
{
	*v = c->e->type;
	return 0;
}

static int get_proto(struct opt_call *c, int *v)
{
	*v = c->e->proto;
	return 0;
}

static int get_domain(struct opt_call *c, int *v)
{
	*v = c->e->family;
	return 0;
}

static int get_error(struct opt_call *c, int *v)
{
	*v = sock_take_error(c->e);
	return 0;
}

static int get_acceptconn(struct opt_call *c, int *v)
{
	*v = c->e->listen != NULL;
	return 0;
}

static int get_bpf_ext(struct opt_call *c, int *v)
{
	*v = 64; /* SKF_AD_MAX of Linux */
	return 0;
}

/* Linux doubles what was asked, for its own overhead, and reads that back. */
static uint32_t doubled(uint32_t v, uint32_t min)
{
	return MAX(MIN(v, (uint32_t)INT32_MAX / 2) * 2, min);
}

static int set_peek_off(struct opt_call *c, int v)
{
	if (c->e->kind == EP_RAW)
		return -EOPNOTSUPP;
	c->e->peek_off = v;
	return 0;
}

static int get_peek_off(struct opt_call *c, int *v)
{
	if (c->e->kind == EP_RAW)
		return -EOPNOTSUPP;
	*v = c->e->peek_off;
	return 0;
}

/* A larger buffer may be one that there is room in: sk_write_space(). */
static void room_event(struct ep *e)
{
	uint32_t bits = sock_bits(e);

	ep_ready(e, bits, false, bits & EPOLLOUT);
}

static int set_sndbuf(struct opt_call *c, int v)
{
	uint32_t max = (uint32_t)c->st->sysctl.wmem_max;

	c->e->sndbuf = doubled(MIN((uint32_t)v, max), MIN_SNDBUF);
	ep_opt_set(c->e, EP_O_SNDBUF_LOCK, true);
	room_event(c->e);
	return 0;
}

static int set_rcvbuf(struct opt_call *c, int v)
{
	uint32_t max = (uint32_t)c->st->sysctl.rmem_max;

	c->e->rcvbuf = doubled(MIN((uint32_t)v, max), OPT_MIN_RCVBUF);
	ep_opt_set(c->e, EP_O_RCVBUF_LOCK, true);
	return 0;
}

static int set_sndbufforce(struct opt_call *c, int v)
{
	c->e->sndbuf = doubled((uint32_t)MAX(v, 0), MIN_SNDBUF);
	ep_opt_set(c->e, EP_O_SNDBUF_LOCK, true);
	room_event(c->e);
	return 0;
}

static int set_rcvbufforce(struct opt_call *c, int v)
{
	c->e->rcvbuf = doubled((uint32_t)MAX(v, 0), OPT_MIN_RCVBUF);
	ep_opt_set(c->e, EP_O_RCVBUF_LOCK, true);
	return 0;
}

static int get_sndbuf(struct opt_call *c, int *v)
{
	*v = (int)c->e->sndbuf;
	return 0;
}

static int get_rcvbuf(struct opt_call *c, int *v)
{
	*v = (int)c->e->rcvbuf;
	return 0;
}

static int set_buflock(struct opt_call *c, int v)
{
	if (v & ~(SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK))
		return -EINVAL;
	ep_opt_set(c->e, EP_O_SNDBUF_LOCK, v & SOCK_SNDBUF_LOCK);
	ep_opt_set(c->e, EP_O_RCVBUF_LOCK, v & SOCK_RCVBUF_LOCK);
	return 0;
}

static int get_buflock(struct opt_call *c, int *v)
{
	*v = (ep_opt(c->e, EP_O_SNDBUF_LOCK) ? SOCK_SNDBUF_LOCK : 0) |
	     (ep_opt(c->e, EP_O_RCVBUF_LOCK) ? SOCK_RCVBUF_LOCK : 0);
	return 0;
}

static int set_reserve(struct opt_call *c, int v)
{
	return v < 0 ? -EINVAL : -EOPNOTSUPP; /* as without memory cgroups */
}

static int set_txrehash(struct opt_call *c, int v)
{
	if (c->e->kind != EP_TCP)
		return -EOPNOTSUPP;
	if (v < -1 || v > 1)
		return -EINVAL;
	ep_opt_set(c->e, EP_O_TXREHASH, v != 0); /* -1: the default, on */
	return 0;
}

static int get_txrehash(struct opt_call *c, int *v)
{
	if (c->e->kind != EP_TCP)
		return -EOPNOTSUPP;
	*v = ep_opt(c->e, EP_O_TXREHASH);
	return 0;
}

/* TCP: no more than half of what the receive buffer may grow to. */
static int set_rcvlowat(struct opt_call *c, int v)
{
	int64_t max = c->st->sysctl.tcp_rmem_max;

	if (v < 0)
		v = INT32_MAX;
	if (ep_opt(c->e, EP_O_RCVBUF_LOCK))
		max = c->e->rcvbuf;
	if (c->e->kind == EP_TCP)
		v = (int)MIN(v, max / 2);
	c->e->rcvlowat = v ? (uint32_t)v : 1;
	return 0;
}

static int get_rcvlowat(struct opt_call *c, int *v)
{
	*v = (int)c->e->rcvlowat;
	return 0;
}

static int set_unix_only(struct opt_call *c, int v)
{
	return -EOPNOTSUPP;
}

static int get_unix_only(struct opt_call *c, int *v)
{
	return -EOPNOTSUPP;
}

/* One switch, two resolutions, two layouts: the last one that was set on. */
static int set_stamp(struct opt_call *c, int v, bool is_new, bool is_ns)
{
	ep_opt_set(c->e, EP_O_RCVTIMESTAMP, v != 0);
	ep_opt_set(c->e, EP_O_RCVTIMESTAMPNS, v && is_ns);
	ep_opt_set(c->e, EP_O_TIMESTAMP_NEW, v && is_new);
	return 0;
}

static int get_stamp(struct opt_call *c, int *v, bool is_new, bool is_ns)
{
	*v = ep_opt(c->e, EP_O_RCVTIMESTAMP) &&
	     ep_opt(c->e, EP_O_RCVTIMESTAMPNS) == is_ns &&
	     ep_opt(c->e, EP_O_TIMESTAMP_NEW) == is_new;
	return 0;
}

#define STAMP(id, is_new, is_ns)                        \
	static int set_##id(struct opt_call *c, int v)  \
	{                                               \
		return set_stamp(c, v, is_new, is_ns);  \
	}                                               \
	static int get_##id(struct opt_call *c, int *v) \
	{                                               \
		return get_stamp(c, v, is_new, is_ns);  \
	}
STAMP(stamp_old, false, false)
STAMP(stamp_new, true, false)
STAMP(stampns_old, false, true)
STAMP(stampns_new, true, true)
#undef STAMP

/* --- SO_TIMESTAMPING --- */

/* sock_set_timestamping(): what one flag asks of the others. */
static int check_stamping(const struct ep *e, uint32_t f)
{
	bool id = f & SOF_TIMESTAMPING_OPT_ID;

	if (f & ~STAMP_MASK || (f & STAMP_OPT_ID_TCP && !id))
		return -EINVAL;
	if (id && !(e->tsflags & SOF_TIMESTAMPING_OPT_ID) &&
	    e->kind == EP_TCP && opt_tcp_is_idle(e))
		return -EINVAL;
	if (f & SOF_TIMESTAMPING_OPT_STATS &&
	    !(f & SOF_TIMESTAMPING_OPT_TSONLY))
		return -EINVAL;
	return f & SOF_TIMESTAMPING_BIND_PHC ? -EINVAL : 0; /* no such clock */
}

/* An int, or a struct so_timestamping: flags and a hardware clock. */
static int set_stamping(struct opt_call *c, const void *val, socklen_t len,
			bool is_new)
{
	uint32_t f;
	int err;

	if (len < sizeof(f))
		return -EINVAL;
	memcpy(&f, val, sizeof(f));
	err = check_stamping(c->e, f);
	if (err)
		return err;
	if (f & SOF_TIMESTAMPING_OPT_ID &&
	    !(c->e->tsflags & SOF_TIMESTAMPING_OPT_ID))
		c->e->ts_key =
			c->e->kind != EP_TCP
				? 0
				: tcp_stamp_key(c->e, f & STAMP_OPT_ID_TCP);
	c->e->tsflags = f;
	ep_opt_set(c->e, EP_O_TIMESTAMP_NEW, is_new);
	return 0;
}

static int get_stamping(struct opt_call *c, void *val, socklen_t *len,
			bool is_new)
{
	uint32_t v[2] = {0};

	if (!is_new || ep_opt(c->e, EP_O_TIMESTAMP_NEW))
		v[0] = c->e->tsflags;
	return opt_give(val, len, v, sizeof(v));
}

static int set_stamping_old(struct opt_call *c, const void *val, socklen_t len)
{
	return set_stamping(c, val, len, false);
}

static int set_stamping_new(struct opt_call *c, const void *val, socklen_t len)
{
	return set_stamping(c, val, len, true);
}

static int get_stamping_old(struct opt_call *c, void *val, socklen_t *len)
{
	return get_stamping(c, val, len, false);
}

static int get_stamping_new(struct opt_call *c, void *val, socklen_t *len)
{
	return get_stamping(c, val, len, true);
}

/* --- zerocopy, filters, pacing by the packet --- */

/* TCP and UDP copy: the notes say so. */
static int set_zerocopy(struct opt_call *c, int v)
{
	if (c->e->kind != EP_TCP && c->e->kind != EP_UDP)
		return -EOPNOTSUPP;
	if (v < 0 || v > 1)
		return -EINVAL;
	ep_opt_set(c->e, EP_O_ZEROCOPY, v);
	return 0;
}

static int get_zerocopy(struct opt_call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_ZEROCOPY);
	return 0;
}

/* Once locked, always locked. */
static int set_lock_filter(struct opt_call *c, int v)
{
	if (ep_opt(c->e, EP_O_LOCK_FILTER) && !v)
		return -EPERM;
	ep_opt_set(c->e, EP_O_LOCK_FILTER, v);
	return 0;
}

static int get_lock_filter(struct opt_call *c, int *v)
{
	*v = ep_opt(c->e, EP_O_LOCK_FILTER);
	return 0;
}

static int set_detach(struct opt_call *c, int v)
{
	if (ep_opt(c->e, EP_O_LOCK_FILTER))
		return -EPERM;
	if (!c->e->filter)
		return -ENOENT;
	filter_detach(c->e);
	return 0;
}

/* Here both are the instructions alone; struct sock_fprog and a length that
 * counts them are the shim's. */
static int set_filter(struct opt_call *c, const void *val, socklen_t len)
{
	if (!len || len % sizeof(struct sock_filter))
		return -EINVAL;
	if (ep_opt(c->e, EP_O_LOCK_FILTER))
		return -EPERM;
	return filter_attach(c->e, val, len / sizeof(struct sock_filter));
}

static int get_filter(struct opt_call *c, void *val, socklen_t *len)
{
	const struct ep_filter *f = c->e->filter;

	if (!f)
		return opt_get_nothing(c, val, len);
	return opt_give(val, len, f->v, f->num * sizeof(f->v[0]));
}

static int set_poll_budget(struct opt_call *c, int v)
{
	return v < 0 || v > UINT16_MAX ? -EINVAL : 0; /* we have no device */
}

/* No memory of a device is ever handed out: none of it comes back. */
static int set_dontneed(struct opt_call *c, const void *val, socklen_t len)
{
	if (len < sizeof(int))
		return -EINVAL;
	if (c->e->kind != EP_TCP)
		return -EBADF;
	return len % 8 ? -EINVAL : 0;
}

/* struct sock_txtime: clock and flags. Nothing here delays single packets, and
 * a device without a clock of its own sends at once, too. */
static int set_txtime(struct opt_call *c, const void *val, socklen_t len)
{
	uint32_t v[2];

	if (len != sizeof(v))
		return -EINVAL;
	memcpy(v, val, sizeof(v));
	if (v[1] &
	    ~(uint32_t)(SOF_TXTIME_DEADLINE_MODE | SOF_TXTIME_REPORT_ERRORS))
		return -EINVAL;
	ep_opt_set(c->e, EP_O_TXTIME, true);
	c->e->txtime_clock = v[0];
	c->e->txtime_flags = v[1];
	return 0;
}

static int get_txtime(struct opt_call *c, void *val, socklen_t *len)
{
	uint32_t v[2] = {c->e->txtime_clock, c->e->txtime_flags};

	return opt_give(val, len, v, sizeof(v));
}

static int set_bindtodev(struct opt_call *c, const void *val, socklen_t len)
{
	char name[DEV_NAME_LEN] = {0};

	memcpy(name, val, MIN(len, sizeof(name) - 1));
	if (!name[0])
		c->e->dev_if = 0;
	else if (strcmp(name, "lo") == 0)
		c->e->dev_if = IP_IF_LO;
	else if (strcmp(name, c->st->dev_name) == 0)
		c->e->dev_if = IP_IF_DEV;
	else
		return -ENODEV;
	return 0;
}

static int get_bindtodev(struct opt_call *c, void *val, socklen_t *len)
{
	const char *name = opt_dev_of(c->st, (int)c->e->dev_if);

	if (!c->e->dev_if)
		return opt_get_nothing(c, val, len);
	if (*len < DEV_NAME_LEN)
		return -EINVAL;
	if (!name)
		return -ENODEV;
	return opt_give(val, len, name, strlen(name) + 1);
}

static int set_bindtoif(struct opt_call *c, int v)
{
	if (v < 0)
		return -EINVAL;
	c->e->dev_if = (uint32_t)v; /* there need not be such an interface */
	return 0;
}

static int get_bindtoif(struct opt_call *c, int *v)
{
	*v = (int)c->e->dev_if;
	return 0;
}

static int set_linger(struct opt_call *c, const void *val, socklen_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return -EINVAL;
	memcpy(&l, val, sizeof(l));
	ep_opt_set(c->e, EP_O_LINGER, l.l_onoff != 0);
	if (l.l_onoff)
		c->e->linger = (nsec)(uint32_t)l.l_linger * SEC;
	return 0;
}

static int get_linger(struct opt_call *c, void *val, socklen_t *len)
{
	struct linger l = {
		.l_onoff = ep_opt(c->e, EP_O_LINGER),
		.l_linger = (int)(MAX(c->e->linger, 0) / SEC),
	};

	return opt_give(val, len, &l, sizeof(l));
}

/* struct timeval and __kernel_sock_timeval are the same on 64-bit machines.
 * Rounded up to ticks; a negative one does not wait at all. */
static int parse_timeo(const void *val, socklen_t len, nsec *out)
{
	int64_t tv[2], ticks;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(tv, val, sizeof(tv));
	if (tv[1] < 0 || tv[1] >= 1000000)
		return -EDOM;
	ticks = DIV_ROUND_UP(tv[1], OPT_JIFFY_US);
	if (tv[0] < 0)
		*out = 1;
	else if (tv[0] >= INT64_MAX / SEC - 1)
		*out = 0;
	else
		*out = tv[0] * SEC + ticks * OPT_JIFFY_US * USEC;
	return 0;
}

static int give_timeo(nsec timeo, void *val, socklen_t *len)
{
	int64_t tv[2] = {timeo / SEC, timeo % SEC / USEC};

	return opt_give(val, len, tv, sizeof(tv));
}

static int set_rcvtimeo(struct opt_call *c, const void *val, socklen_t len)
{
	return parse_timeo(val, len, &c->e->rcvtimeo);
}

static int get_rcvtimeo(struct opt_call *c, void *val, socklen_t *len)
{
	return give_timeo(c->e->rcvtimeo, val, len);
}

static int set_sndtimeo(struct opt_call *c, const void *val, socklen_t len)
{
	return parse_timeo(val, len, &c->e->sndtimeo);
}

static int get_sndtimeo(struct opt_call *c, void *val, socklen_t *len)
{
	return give_timeo(c->e->sndtimeo, val, len);
}

static int set_pacing(struct opt_call *c, const void *val, socklen_t len)
{
	uint32_t v;

	if (len < sizeof(v))
		return -EINVAL;
	if (len == sizeof(c->e->max_pacing)) {
		memcpy(&c->e->max_pacing, val, sizeof(c->e->max_pacing));
		return 0;
	}
	memcpy(&v, val, sizeof(v));
	c->e->max_pacing = v == ~0u ? ~0ull : v;
	return 0;
}

static int get_pacing(struct opt_call *c, void *val, socklen_t *len)
{
	uint32_t v = (uint32_t)MIN(c->e->max_pacing, (uint64_t)~0u);

	if (*len >= sizeof(c->e->max_pacing))
		return opt_give(val, len, &c->e->max_pacing, 8);
	return opt_give(val, len, &v, sizeof(v));
}

static int get_peercred(struct opt_call *c, void *val, socklen_t *len)
{
	const int32_t nobody[3] = {0, -1, -1}; /* struct ucred */

	return opt_give(val, len, nobody, sizeof(nobody));
}

static int get_peergroups(struct opt_call *c, void *val, socklen_t *len)
{
	return -ENODATA;
}

static int get_peername(struct opt_call *c, void *val, socklen_t *len)
{
	struct sockaddr_storage ss;
	socklen_t n;

	if (sock_name(c->st, ep_id(c->e), true, &ss, &n))
		return -ENOTCONN;
	if (n < *len)
		return -EINVAL;
	return opt_give(val, len, &ss, n);
}

static int get_cookie(struct opt_call *c, void *val, socklen_t *len)
{
	if (*len < sizeof(c->e->cookie))
		return -EINVAL;
	return opt_give(val, len, &c->e->cookie, sizeof(c->e->cookie));
}

static int get_netns(struct opt_call *c, void *val, socklen_t *len)
{
	uint64_t one = 1; /* the first network namespace of a Linux host */

	return *len == sizeof(one) ? opt_give(val, len, &one, sizeof(one))
				   : -EINVAL;
}

/* SK_MEMINFO_*: rmem, rcvbuf, wmem, sndbuf, forward, queued, optmem, backlog,
 * drops */
static int get_meminfo(struct opt_call *c, void *val, socklen_t *len)
{
	const struct ep *e = c->e;
	uint32_t queued = e->kind == EP_TCP ? tcp_wmem_queued(e) : 0;
	uint32_t v[9] = {e->rx_mem, e->rcvbuf, e->tx_mem, e->sndbuf,  0,
			 queued,    0,	       0,	  e->rx_drops};

	return opt_give(val, len, v, sizeof(v));
}

const struct opt_row sockopt_socket[] = {
#include "sock/sockopt_socket.def"
};
const size_t sockopt_num_socket = ARRAY_SIZE(sockopt_socket);
