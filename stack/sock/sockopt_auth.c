/* SPDX-License-Identifier: MIT
 *
 * sockopt_auth.c - keys of signed TCP segments, as programs give them
 */
#include "sock/sockopt_priv.h"
#include "transport/tcp_auth.h"

/* Does @ss hold an address of the socket's family? With @prefix, or a whole one
 * if that is negative. */
static int parse_addr(const struct ep *e, const void *ss, int prefix,
		      struct tcp_key_id *id)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;
	int most;

	memcpy(&in, ss, sizeof(in));
	memcpy(&in6, ss, sizeof(in6));
	if (in.sin_family != e->family)
		return -EINVAL;
	id->addr = e->family == AF_INET ? ip_addr_v4(&in.sin_addr)
					: ip_addr_v6(&in6.sin6_addr);
	most = ip_addr_is4(&id->addr) ? 32 : 128;
	if (prefix > most)
		return -EINVAL;
	id->prefix = (uint8_t)(128 - most + (prefix < 0 ? most : prefix));
	return 0;
}

/* tcp_v4_parse_md5_keys(): there are no domains (VRF) here that an interface
 * could be the master of. */
static int set_md5(struct opt_call *c, const void *val, socklen_t len, bool ext)
{
	struct tcp_key_id id = {0};
	struct tcp_md5sig m;
	int prefix = -1, err;

	if (len < sizeof(m))
		return -EINVAL;
	memcpy(&m, val, sizeof(m));
	if (ext && m.tcpm_flags & TCP_MD5SIG_FLAG_PREFIX)
		prefix = m.tcpm_prefixlen;
	err = parse_addr(c->e, &m.tcpm_addr, prefix, &id);
	if (err)
		return err;
	id.by_if = m.tcpm_flags & TCP_MD5SIG_FLAG_IFINDEX;
	if (ext && id.by_if && m.tcpm_ifindex)
		return -EINVAL;
	if (!m.tcpm_keylen)
		return tcp_md5_del(c->e, &id);
	if (m.tcpm_keylen > TCP_MD5SIG_MAXKEYLEN)
		return -EINVAL;
	return tcp_md5_add(c->e, &id, m.tcpm_key, m.tcpm_keylen);
}

int opt_set_md5(struct opt_call *c, const void *val, socklen_t len)
{
	return set_md5(c, val, len, false);
}

int opt_set_md5_ext(struct opt_call *c, const void *val, socklen_t len)
{
	return set_md5(c, val, len, true);
}

int sock_md5_key(struct stack *st, sockid s, unsigned nth,
		 struct tcp_md5sig *out)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	const struct ep *e = sock_see(st, s);
	const struct tcp_md5_key *k;
	struct list *n;

	if (!e)
		return -EBADF;
	if (!e->auth)
		return 0;
	list_for_each (n, &e->auth->md5) {
		if (nth--)
			continue;
		k = list_entry(n, struct tcp_md5_key, node);
		*out = (struct tcp_md5sig){
			.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX,
			.tcpm_keylen = k->len,
		};
		if (k->id.by_if)
			out->tcpm_flags |= TCP_MD5SIG_FLAG_IFINDEX;
		out->tcpm_prefixlen = k->id.prefix;
		if (ip_addr_is4(&k->id.addr))
			out->tcpm_prefixlen = (uint8_t)(k->id.prefix - 96);
		memcpy(&in.sin_addr, k->id.addr.b + 12, 4);
		memcpy(&in6.sin6_addr, k->id.addr.b, 16);
		if (e->family == AF_INET)
			memcpy(&out->tcpm_addr, &in, sizeof(in));
		else
			memcpy(&out->tcpm_addr, &in6, sizeof(in6));
		memcpy(out->tcpm_key, k->v, k->len);
		return 1;
	}
	return 0;
}
