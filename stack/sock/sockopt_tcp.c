/* SPDX-License-Identifier: MIT
 *
 * sockopt_tcp.c - options of IPPROTO_TCP
 */
#include "sock/sockopt_priv.h"
#include "transport/tcp_info.h"
#include "transport/tcp_repair.h"

#define MAX_MSS 32767 /* MAX_TCP_WINDOW */
#define MIN_MSS 88    /* TCP_MIN_MSS */

static int set_maxseg(struct opt_call *c, int v)
{
	if (v && (v < MIN_MSS || v > MAX_MSS))
		return -EINVAL;
	c->e->topt.maxseg = (uint16_t)v;
	return 0;
}

static int get_maxseg(struct opt_call *c, int *v)
{
	if (c->e->topt.maxseg && opt_tcp_is_idle(c->e))
		*v = c->e->topt.maxseg;
	else
		*v = tcp_mss_now(c->e);
	return 0;
}

/* A number of the connection, or the host's where it was not set. */
#define TUNED(id, field, row, lo, hi)                               \
	static int set_##id(struct opt_call *c, int v)              \
	{                                                           \
		if (v < (lo) || v > (hi))                           \
			return -EINVAL;                             \
		c->e->topt.field = (__typeof__(c->e->topt.field))v; \
		return 0;                                           \
	}                                                           \
	static int get_##id(struct opt_call *c, int *v)             \
	{                                                           \
		*v = c->e->topt.field ? (int)c->e->topt.field       \
				      : (int)c->st->sysctl.row;     \
		return 0;                                           \
	}
TUNED(keepidle, keepidle, tcp_keepalive_time, 1, 32767)
TUNED(keepintvl, keepintvl, tcp_keepalive_intvl, 1, 32767)
TUNED(keepcnt, keepcnt, tcp_keepalive_probes, 1, 127)
TUNED(syncnt, syncnt, tcp_syn_retries, 1, 127)
#undef TUNED

static int set_linger2(struct opt_call *c, int v)
{
	c->e->topt.linger2 = v < 0 ? -1 : MIN(v, 120); /* TCP_FIN_TIMEOUT_MAX */
	return 0;
}

static int get_linger2(struct opt_call *c, int *v)
{
	*v = c->e->topt.linger2 ? c->e->topt.linger2
				: (int)c->st->sysctl.tcp_fin_timeout;
	return 0;
}

/* Kept as the time of so many SYN-ACKs: secs_to_retrans() and back. */
static int set_defer(struct opt_call *c, int v)
{
	int period = 1, timeout = 1;

	for (int n = 1; v > period && n < 255; n++) {
		timeout = MIN(timeout * 2, 120); /* TCP_RTO_MAX */
		period += timeout;
	}
	c->e->topt.defer_accept = v > 0 ? (uint32_t)period : 0;
	return 0;
}

static int get_defer(struct opt_call *c, int *v)
{
	*v = (int)c->e->topt.defer_accept;
	return 0;
}

static int set_clamp(struct opt_call *c, int v)
{
	if (!v && (c->e->listen || !opt_tcp_is_idle(c->e)))
		return -EINVAL;
	c->e->topt.window_clamp = v ? (uint32_t)MAX(v, OPT_MIN_RCVBUF / 2) : 0;
	return 0;
}

static int get_clamp(struct opt_call *c, int *v)
{
	*v = (int)tcp_window_clamp(c->e);
	return 0;
}

static int set_quickack(struct opt_call *c, int v)
{
	ep_opt_set(c->e, EP_O_QUICKACK, v);
	return 0;
}

static int get_quickack(struct opt_call *c, int *v)
{
	*v = tcp_is_quick(c->e);
	return 0;
}

static int set_thin_dupack(struct opt_call *c, int v)
{
	return v < 0 || v > 1 ? -EINVAL : 0;
}

static int set_fastopen(struct opt_call *c, int v)
{
	if (v < 0 || !opt_tcp_is_idle(c->e))
		return -EINVAL;
	c->e->topt.fastopen_qlen = (int)MIN(v, c->st->sysctl.somaxconn);
	return 0;
}

static int get_fastopen(struct opt_call *c, int *v)
{
	*v = c->e->topt.fastopen_qlen;
	return 0;
}

static int set_no_cookie(struct opt_call *c, int v)
{
	if (v < 0 || v > 1 || !opt_tcp_is_idle(c->e))
		return -EINVAL;
	c->e->topt.fastopen_no_cookie = (uint8_t)v;
	return 0;
}

static int get_no_cookie(struct opt_call *c, int *v)
{
	*v = c->e->topt.fastopen_no_cookie;
	return 0;
}

static int set_fastopen_connect(struct opt_call *c, int v)
{
	if (v >= 0 && v <= 1 && tcp_state(c->e) != OPT_STATE_CLOSE)
		return -EINVAL;
	if (v < 0 || v > 1)
		return -EINVAL;
	if (!(c->st->sysctl.tcp_fastopen & 1)) /* TFO_CLIENT_ENABLE */
		return -EOPNOTSUPP;
	c->e->topt.fastopen_connect = (uint8_t)v;
	return 0;
}

static int get_fastopen_connect(struct opt_call *c, int *v)
{
	*v = c->e->topt.fastopen_connect;
	return 0;
}

#define FO_KEY_LEN 16

static int set_fastopen_key(struct opt_call *c, const void *val, socklen_t len)
{
	if (len != FO_KEY_LEN && len != 2 * FO_KEY_LEN)
		return -EINVAL;
	memcpy(c->e->topt.fo_key, val, len);
	c->e->topt.num_fo_keys = (uint8_t)(len / FO_KEY_LEN);
	return 0;
}

static int get_fastopen_key(struct opt_call *c, void *val, socklen_t *len)
{
	return opt_give(val, len, c->e->topt.fo_key,
			c->e->topt.num_fo_keys * FO_KEY_LEN);
}

static int set_queue_seq(struct opt_call *c, int v)
{
	return tcp_repair_set_seq(c->e, (uint32_t)v);
}

static int get_queue_seq(struct opt_call *c, int *v)
{
	uint32_t seq = 0;
	int err = tcp_repair_get_seq(c->e, &seq);

	*v = (int)seq;
	return err;
}

static int set_repair(struct opt_call *c, int v)
{
	return tcp_repair_set(c->e, v, c->now);
}

static int get_repair(struct opt_call *c, int *v)
{
	*v = tcp_in_repair(c->e);
	return 0;
}

static int set_repair_queue(struct opt_call *c, int v)
{
	if (!tcp_in_repair(c->e))
		return -EPERM;
	if (v < 0 || v >= TCP_REPAIR_NUM_QUEUES)
		return -EINVAL;
	c->e->topt.repair.queue = (uint8_t)v;
	return 0;
}

static int get_repair_queue(struct opt_call *c, int *v)
{
	*v = c->e->topt.repair.queue;
	return tcp_in_repair(c->e) ? 0 : -EINVAL;
}

/* An array of struct tcp_repair_opt. */
static int set_repair_options(struct opt_call *c, const void *val,
			      socklen_t len)
{
	const uint8_t *p = val;
	uint32_t o[2];
	int err;

	if (len < sizeof(int) || !tcp_in_repair(c->e))
		return -EINVAL;
	if (tcp_state(c->e) != OPT_STATE_ESTABLISHED)
		return -EPERM;
	for (; len >= sizeof(o); len -= sizeof(o), p += sizeof(o)) {
		memcpy(o, p, sizeof(o));
		err = tcp_repair_option(c->e, o[0], o[1], c->now);
		if (err)
			return err;
	}
	return 0;
}

static int set_repair_window(struct opt_call *c, const void *val, socklen_t len)
{
	struct tcp_repair_win w;

	if (len < sizeof(int))
		return -EINVAL;
	if (!tcp_in_repair(c->e))
		return -EPERM;
	if (len != sizeof(w))
		return -EINVAL;
	memcpy(&w, val, sizeof(w));
	return tcp_repair_set_win(c->e, &w);
}

static int get_repair_window(struct opt_call *c, void *val, socklen_t *len)
{
	struct tcp_repair_win w;
	int err;

	if (*len != sizeof(w))
		return -EINVAL;
	err = tcp_repair_get_win(c->e, &w);
	return err ? err : opt_give(val, len, &w, sizeof(w));
}

static int set_timestamp(struct opt_call *c, int v)
{
	if (!tcp_in_repair(c->e))
		return -EPERM;
	tcp_repair_set_stamp(c->e, (uint32_t)v, c->now);
	return 0;
}

static int get_timestamp(struct opt_call *c, int *v)
{
	*v = (int)tcp_repair_get_stamp(c->e, c->now);
	return 0;
}

static int set_tx_delay(struct opt_call *c, int v)
{
	if (v)
		stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return v < 0 ? -EINVAL : v ? -EOPNOTSUPP : 0;
}

static int set_rto_max(struct opt_call *c, int v)
{
	if (v < 1000 || v > 120000)
		return -EINVAL;
	c->e->topt.rto_max_ms = ALIGN_UP((uint32_t)v, OPT_JIFFY_US / 1000);
	return 0;
}

static int get_rto_max(struct opt_call *c, int *v)
{
	*v = c->e->topt.rto_max_ms ? (int)c->e->topt.rto_max_ms
				   : (int)c->st->sysctl.tcp_rto_max_ms;
	return 0;
}

/* Between two ticks and 200 ms, in whole ticks. */
static int parse_us(int v, uint32_t *out)
{
	uint32_t us;

	if (v <= 0 || v > 200000)
		return -EINVAL;
	us = DIV_ROUND_UP((uint32_t)v, OPT_JIFFY_US) * OPT_JIFFY_US;
	if (us < 2 * OPT_JIFFY_US)
		return -EINVAL;
	*out = us;
	return 0;
}

static int set_rto_min(struct opt_call *c, int v)
{
	return parse_us(v, &c->e->topt.rto_min_us);
}

static int get_rto_min(struct opt_call *c, int *v)
{
	*v = c->e->topt.rto_min_us ? (int)c->e->topt.rto_min_us
				   : (int)c->st->sysctl.tcp_rto_min_us;
	return 0;
}

static int set_delack_max(struct opt_call *c, int v)
{
	return parse_us(v, &c->e->topt.delack_max_us);
}

static int get_delack_max(struct opt_call *c, int *v)
{
	uint32_t us = c->e->topt.delack_max_us;

	*v = us ? (int)us : 200000; /* TCP_DELACK_MAX */
	return 0;
}

static int get_tcp_info(struct opt_call *c, void *val, socklen_t *len)
{
	struct tcp_info_all info;

	tcp_get_info(c->e, &info, c->now);
	return opt_give(val, len, &info, sizeof(info));
}

static int get_cc_info(struct opt_call *c, void *val, socklen_t *len)
{
	uint32_t v[CC_INFO_WORDS];
	unsigned n = tcp_get_cc_info(c->e, v);

	return opt_give(val, len, v, n);
}

static int cc_named(const void *val, socklen_t len)
{
	char name[16] = {0}; /* TCP_CA_NAME_MAX */

	memcpy(name, val, MIN(len, sizeof(name) - 1));
	return tcp_cc_find(name);
}

static int set_congestion(struct opt_call *c, const void *val, socklen_t len)
{
	int id;

	if (len < 1)
		return -EINVAL;
	id = cc_named(val, len);
	if (tcp_cc_is_locked(c->e))
		return -EPERM;
	if (id < 0)
		return -ENOENT;
	c->e->topt.cc = (uint8_t)id;
	return 0;
}

bool sock_may_choose_cc(struct stack *st, sockid s, const void *name,
			socklen_t len)
{
	const struct ep *e = sock_find(st, s);
	int id = len < 1 ? -EINVAL : cc_named(name, len);

	/* what is wrong for another reason is said to be */
	return id < 0 || !e || e->kind != EP_TCP || e->topt.cc == id ||
	       st->sysctl.tcp_allowed_cc >> id & 1;
}

static int get_congestion(struct opt_call *c, void *val, socklen_t *len)
{
	const char *found = tcp_cc_name(c->e->topt.cc);
	char name[16] = {0};

	if (found)
		memcpy(name, found, MIN(strlen(found), sizeof(name) - 1));
	return opt_give(val, len, name, sizeof(name));
}

/* There is no such module here, says Linux then. */
static int set_ulp(struct opt_call *c, const void *val, socklen_t len)
{
	if (len < 1)
		return -EINVAL;
	stat_inc(&c->st->core, STAT_SockUnsupportedOpt);
	return -ENOENT;
}

const struct opt_row sockopt_tcp[] = {
#include "sock/sockopt_tcp.def"
};
const size_t sockopt_num_tcp = ARRAY_SIZE(sockopt_tcp);
