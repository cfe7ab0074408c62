/* SPDX-License-Identifier: MIT
 *
 * call_opt.c - getsockopt and setsockopt
 *
 * What was set is remembered, so that it can be set again when the socket is
 * handed over to the kernel.
 */
#include <limits.h>
#include <linux/capability.h>
#include <netinet/tcp.h>

#include "base/bpf.h"
#include "call_priv.h"
#include "real.h"
#include "sock/uapi.h"
#include "sys.h"
#include "user.h"

#define MAX_OPT 8448 /* most that one takes: group_filter, 64 sources */

static void remember(struct file *f, int level, int name, const void *val,
		     socklen_t len)
{
	struct file_opt *o = NULL;

	if (len > sizeof(o->val))
		return;
	for (unsigned i = 0; i < f->num_opts; i++)
		if (f->opts[i].level == level && f->opts[i].name == name)
			o = &f->opts[i];
	if (!o && f->num_opts == FILE_MAX_OPTS)
		return;
	if (!o)
		o = &f->opts[f->num_opts++];
	o->level = (int16_t)level;
	o->name = (int16_t)name;
	o->len = (uint8_t)len;
	memcpy(o->val, val, len);
}

void opt_replay(struct file *f, int k)
{
	for (unsigned i = 0; i < f->num_opts; i++)
		sys(setsockopt, k, f->opts[i].level, f->opts[i].name,
		    f->opts[i].val, f->opts[i].len);
}

static int replay_md5(struct file *f, int k)
{
	struct tcp_md5sig sig;
	struct stack *st;
	int r;

	for (unsigned i = 0;; i++) {
		st = host_lock(OP_OPTION, f->s);
		r = sock_md5_key(st, f->s, i, &sig);
		host_unlock();
		if (r <= 0)
			return r;
		r = (int)sys(setsockopt, k, IPPROTO_TCP, TCP_MD5SIG_EXT, &sig,
			     sizeof(sig));
		if (r < 0)
			return r;
	}
}

static int replay_ao_key(int k, const struct uapi_ao_get *from)
{
	struct uapi_ao_add to = {
		.addr = from->addr,
		.set_current = from->is_current,
		.set_rnext = from->is_rnext,
		.prefix = from->prefix,
		.sndid = from->sndid,
		.rcvid = from->rcvid,
		.maclen = from->maclen,
		.keyflags = from->keyflags,
		.keylen = from->keylen,
	};

	memcpy(to.alg_name, from->alg_name, sizeof(to.alg_name));
	memcpy(to.key, from->key, sizeof(to.key));
	return (int)sys(setsockopt, k, IPPROTO_TCP, TCP_AO_ADD_KEY, &to,
			sizeof(to));
}

/* The oldest first, as they came. */
static int replay_ao(struct file *f, int k)
{
	struct uapi_ao_get all = {.get_all = 1}, key;
	struct uapi_ao_info info = {0};
	socklen_t len = sizeof(info);
	struct stack *st = host_lock(OP_OPTION, f->s);
	int r = sock_getopt(st, f->s, IPPROTO_TCP, TCP_AO_INFO, &info, &len,
			    host_now());
	int num = sock_ao_key(st, f->s, &all, sizeof(all), UINT_MAX, &key);

	host_unlock();
	if (r == -ENOENT)
		return 0;
	while (num-- > 0) {
		st = host_lock(OP_OPTION, f->s);
		sock_ao_key(st, f->s, &all, sizeof(all), (unsigned)num, &key);
		host_unlock();
		r = replay_ao_key(k, &key);
		if (r < 0)
			return r;
	}
	info.set_current = info.set_rnext = 0;
	return (int)sys(setsockopt, k, IPPROTO_TCP, TCP_AO_INFO, &info,
			sizeof(info));
}

int opt_replay_keys(struct file *f, int k)
{
	int r = f->type == SOCK_STREAM ? replay_md5(f, k) : 0;

	return r < 0 || f->type != SOCK_STREAM ? r : replay_ao(f, k);
}

/* Options of another protocol's are refused before they are looked at. */
static bool has_level(const struct file *f, int level)
{
	return level == SOL_SOCKET ||
	       (level == IPPROTO_IP &&
		(f->type != SOCK_RAW || f->family == AF_INET)) ||
	       (level == IPPROTO_IPV6 && f->family == AF_INET6) ||
	       (level == IPPROTO_TCP && f->type == SOCK_STREAM) ||
	       (level == IPPROTO_UDP && f->type == SOCK_DGRAM);
}

/* SO_ATTACH_FILTER points to its program, SO_GET_FILTER counts instructions:
 * the core has neither. */
static int set_filter(struct file *f, const void *val, socklen_t len)
{
	struct sock_filter v[BPF_MAX_LEN];
	struct sock_fprog p;
	struct stack *st;
	int r;

	if (len != sizeof(p))
		return -EINVAL;
	if (user_in(&p, val, sizeof(p)))
		return -EFAULT;
	if (!p.filter || !p.len || p.len > BPF_MAX_LEN)
		return -EINVAL;
	if (user_in(v, p.filter, p.len * sizeof(v[0])))
		return -EFAULT;
	st = host_lock(OP_OPTION, f->s);
	r = sock_setopt(st, f->s, SOL_SOCKET, SO_ATTACH_FILTER, v,
			(socklen_t)(p.len * sizeof(v[0])), host_now());
	host_unlock();
	return r;
}

static int get_filter(struct file *f, void *val, socklen_t *len)
{
	struct sock_filter v[BPF_MAX_LEN];
	socklen_t n = sizeof(v), num;
	struct stack *st = host_lock(OP_OPTION, f->s);
	int r = sock_getopt(st, f->s, SOL_SOCKET, SO_GET_FILTER, v, &n,
			    host_now());

	host_unlock();
	if (r < 0)
		return r;
	num = n / (socklen_t)sizeof(v[0]);
	if (*len && *len < num)
		return -EINVAL;
	if (*len && user_out(val, v, n))
		return -EFAULT;
	*len = num;
	return 0;
}

/* The array of TCP_AO_GET_KEYS is longer than @len, which is that of one. */
static int get_ao_keys(struct file *f, void *val, socklen_t *len)
{
	struct uapi_ao_get in = {0}, out;
	socklen_t n = MIN(*len, sizeof(in));
	uint8_t *to = val;
	int num = 0, r = 0;
	struct stack *st;

	if ((int)*len <= 0)
		return -EINVAL;
	if (user_in(&in, val, n))
		return -EFAULT;
	for (socklen_t i = n; i < *len; i++) {
		uint8_t unknown;

		if (user_in(&unknown, to + i, 1))
			return -EFAULT;
		if (unknown)
			return -E2BIG;
	}
	do {
		st = host_lock(OP_OPTION, f->s);
		r = sock_ao_key(st, f->s, &in, sizeof(in), (unsigned)num, &out);
		host_unlock();
		if (r <= num || (uint32_t)num >= in.nkeys)
			break;
		if (user_out(to + (size_t)num * *len, &out, n))
			return -EFAULT;
	} while (++num < r);
	if (r < 0)
		return r;
	in.nkeys = (uint32_t)r;
	if (user_out(to + offsetof(struct uapi_ao_get, nkeys), &in.nkeys,
		     sizeof(in.nkeys)))
		return -EFAULT;
	*len = sizeof(in);
	return 0;
}

/* net.ipv4.tcp_allowed_congestion_control is for those without privilege. */
static bool may_choose(struct file *f, const char *cc, socklen_t len)
{
	struct stack *st;
	bool ok;

	if (call_may(CAP_NET_ADMIN))
		return true;
	st = host_lock(OP_OPTION, f->s);
	ok = sock_may_choose_cc(st, f->s, cc, len);
	host_unlock();
	return ok;
}

static int do_set(struct file *f, int level, int name, const void *val,
		  socklen_t len)
{
	char copy[MAX_OPT];
	unsigned num_tries = 0;
	struct stack *st;
	int r;

	if (level == SOL_SOCKET && name == SO_ATTACH_FILTER)
		return set_filter(f, val, len);
	if ((int)len < 0)
		return -EINVAL;
	len = MIN(len, sizeof(copy));
	if (!val && level == IPPROTO_IPV6) /* no pointer is 0 there */
		memset(copy, 0, len);
	else if (user_in(copy, val, len))
		return has_level(f, level) ? -EFAULT : -ENOPROTOOPT;
	if (level == IPPROTO_TCP && name == TCP_REPAIR && len >= sizeof(int) &&
	    !call_may(CAP_NET_ADMIN))
		return -EPERM;
	if (level == IPPROTO_TCP && name == TCP_CONGESTION &&
	    !may_choose(f, copy, len))
		return -EPERM;
	do {
		st = host_lock(OP_OPTION, f->s);
		r = sock_setopt(st, f->s, level, name, copy, len, host_now());
		host_unlock();
	} while ((r == -ENOMEM || r == -ENOBUFS) && num_tries++ < 4 &&
		 host_more_memory());
	if (!r)
		remember(f, level, name, copy, len);
	return r;
}

EXPORT int setsockopt(int fd, int level, int name, const void *val,
		      socklen_t len)
{
	struct file *f = fd_sock(fd);

	if (!f)
		return real.setsockopt(fd, level, name, val, len);
	return (int)shim_ret(do_set(f, level, name, val, len));
}

static int do_get(struct file *f, int level, int name, void *val,
		  socklen_t *len)
{
	char copy[MAX_OPT];
	struct stack *st;
	socklen_t n;
	int r;

	if (user_is_bad(len, sizeof(*len)))
		return -EFAULT;
	/* unsigned in IPv6's, not looked at for a level that nobody has */
	if ((int)*len < 0 && level != IPPROTO_IPV6 && has_level(f, level))
		return -EINVAL;
	if (level == SOL_SOCKET && name == SO_GET_FILTER)
		return get_filter(f, val, len);
	if (level == IPPROTO_TCP && name == TCP_AO_GET_KEYS &&
	    has_level(f, level))
		return get_ao_keys(f, val, len);
	n = (int)*len < 0 ? sizeof(int) : MIN(*len, sizeof(copy));
	if (val) /* some options read their argument */
		user_in(copy, val, n);
	st = host_lock(OP_OPTION, f->s);
	r = sock_getopt(st, f->s, level, name, copy, &n, host_now());
	host_unlock();
	if (r < 0)
		return r;
	if (user_out(val, copy, n))
		return -EFAULT;
	*len = n;
	return 0;
}

EXPORT int getsockopt(int fd, int level, int name, void *restrict val,
		      socklen_t *restrict len)
{
	struct file *f = fd_sock(fd);

	if (!f)
		return real.getsockopt(fd, level, name, val, len);
	return (int)shim_ret(do_get(f, level, name, val, len));
}
