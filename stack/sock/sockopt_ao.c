/* SPDX-License-Identifier: MIT
 *
 * sockopt_ao.c - TCP-AO as programs see it: master keys, which of them are in
 *		  use, what was counted (Linux 6.7 and later)
 *
 * Errors and their order are those of tcp_ao_add_cmd() and its neighbours in
 * Linux. There are no domains (VRF) that a key could be for.
 */
#include "sock/sockopt_priv.h"
#include "transport/tcp_ao.h"
#include "transport/tcp_repair.h"

#define V4_BITS 96 /* of an IPv4 address before its own */

static const struct alg {
	const char *name;
	const char *shown; /* as the kernel's own list has it */
	uint8_t id;
	uint8_t keylen; /* 0: any, RFC 5926 3.1.1.2 */
} algs[] = {
	{"hmac(sha1)", "hmac(sha1)", TCP_AO_HMAC_SHA1, 0},
	{"cmac(aes128)", "cmac(aes)", TCP_AO_AES_CMAC, 0},
	{"cmac(aes)", "cmac(aes)", TCP_AO_AES_CMAC, 16},
};

/* --- structs that grow --- */

/* copy_struct_from_sockptr() of Linux: what we don't know of must be 0. */
static int take(void *to, size_t size, const void *val, socklen_t len)
{
	const uint8_t *p = val;

	memset(to, 0, size);
	memcpy(to, val, MIN(size, (size_t)len));
	for (size_t i = size; i < len; i++)
		if (p[i])
			return -E2BIG;
	return 0;
}

static int take_whole(void *to, size_t size, const void *val, socklen_t len)
{
	return len < size ? -EINVAL : take(to, size, val, len);
}

/* May this be the first such option of a socket? */
static int check_state(const struct ep *e)
{
	if (opt_tcp_is_idle(e) || tcp_ao_of(e) || tcp_in_repair(e))
		return 0;
	return -EISCONN;
}

/* --- whom a key is for --- */

struct peer {
	struct ip_addr addr;
	uint16_t port;
	bool is_any;
	bool is4;
};

/* As an address of @family; a mapped one is an IPv4 address. */
static struct peer peer_of(int family, const struct sockaddr_storage *ss)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;
	struct peer p = {.is4 = family == AF_INET};

	memcpy(&in, ss, sizeof(in));
	memcpy(&in6, ss, sizeof(in6));
	p.port = in.sin_port;
	p.addr = p.is4 ? ip_addr_v4(&in.sin_addr) : ip_addr_v6(&in6.sin6_addr);
	p.is4 = ip_addr_is4(&p.addr);
	p.is_any = ip_addr_is_any(&p.addr);
	return p;
}

static bool has_more_bits(const struct tcp_key_id *id)
{
	for (unsigned i = id->prefix; i < 128; i++)
		if (id->addr.b[i / 8] & 0x80 >> i % 8)
			return true;
	return false;
}

/* tcp_ao_verify_ipv4(), tcp_ao_verify_ipv6() */
static int check_peer(const struct peer *p, uint8_t prefix,
		      struct tcp_key_id *id)
{
	if (!prefix && !p->is_any)
		return -EINVAL;
	if (prefix && (p->is_any || prefix > (p->is4 ? 32 : 128)))
		return -EINVAL;
	id->addr = p->addr;
	id->prefix = (uint8_t)(prefix + (p->is4 ? V4_BITS : 0));
	return has_more_bits(id) ? -EINVAL : 0;
}

static int parse_peer(const struct ep *e, const struct sockaddr_storage *ss,
		      uint8_t prefix, struct tcp_key_id *id)
{
	struct peer p;
	int err;

	if (ss->ss_family != e->family)
		return -EINVAL;
	p = peer_of(e->family, ss);
	/* ::ffff:0.0.0.0 is not :: */
	if (p.port || (e->family == AF_INET6 && p.is4 && !prefix))
		return -EINVAL;
	err = check_peer(&p, prefix, id);
	if (err)
		return err;
	if (e->rport && prefix && !tcp_key_id_fits(id, &e->raddr))
		return -EINVAL;
	return 0;
}

/* --- TCP_AO_ADD_KEY --- */

static int parse_alg(struct uapi_ao_add *cmd, struct tcp_ao_key *k)
{
	const struct alg *a = NULL;

	cmd->alg_name[UAPI_AO_ALG - 1] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(algs); i++)
		if (!strcmp(algs[i].name, cmd->alg_name))
			a = &algs[i];
	if (!a)
		return -ENOENT;
	k->alg = a->id;
	k->maclen = cmd->maclen ? cmd->maclen : TCP_AO_MAC_DEF;
	if (k->maclen > TCP_AO_MAC_MAX)
		return -EMSGSIZE;
	if (a->keylen && a->keylen != cmd->keylen)
		return -EINVAL;
	k->len = cmd->keylen;
	memcpy(k->v, cmd->key, k->len);
	tcp_ao_fold_key(k);
	return 0;
}

/* All of @cmd but the key proper. */
static int check_add(const struct ep *e, const struct uapi_ao_add *cmd,
		     struct tcp_ao_key *k)
{
	int err;

	if (cmd->keylen > UAPI_AO_KEY || cmd->reserved || cmd->reserved2)
		return -EINVAL;
	err = parse_peer(e, &cmd->addr, cmd->prefix, &k->id);
	if (err)
		return err;
	if (cmd->keyflags & ~(TCP_AO_F_IFINDEX | TCP_AO_F_NO_OPTS) ||
	    cmd->ifindex)
		return -EINVAL;
	if ((cmd->set_current || cmd->set_rnext) && e->listen)
		return -EINVAL;
	k->id.by_if = cmd->keyflags & TCP_AO_F_IFINDEX;
	k->flags = cmd->keyflags;
	k->sndid = cmd->sndid;
	k->rcvid = cmd->rcvid;
	return tcp_ao_may_add(e, k);
}

int opt_add_ao_key(struct opt_call *c, const void *val, socklen_t len)
{
	struct tcp_ao_key k = {0};
	struct uapi_ao_add cmd;
	int err = check_state(c->e);

	if (!err)
		err = take_whole(&cmd, sizeof(cmd), val, len);
	if (!err)
		err = check_add(c->e, &cmd, &k);
	if (!err)
		err = parse_alg(&cmd, &k);
	if (!err)
		err = tcp_ao_add(c->e, &k, cmd.set_current, cmd.set_rnext);
	memset(&k, 0, sizeof(k));
	return err;
}

/* --- TCP_AO_DEL_KEY --- */

/* Keys to change to, by their IDs. */
struct choice {
	struct tcp_ao_key *current, *rnext;
};

static int choose(const struct tcp_ao *ao, int sndid, int rcvid,
		  struct choice *ch)
{
	*ch = (struct choice){0};
	if (sndid >= 0) {
		ch->current = ao ? tcp_ao_pick(ao, sndid, TCP_AO_ANY) : NULL;
		if (!ch->current)
			return -ENOENT;
	}
	if (rcvid >= 0) {
		ch->rnext = ao ? tcp_ao_pick(ao, TCP_AO_ANY, rcvid) : NULL;
		if (!ch->rnext)
			return -ENOENT;
	}
	return 0;
}

static int check_del(const struct ep *e, const struct uapi_ao_del *cmd)
{
	if (cmd->reserved || cmd->reserved2)
		return -EINVAL;
	if ((cmd->set_current || cmd->set_rnext) && e->listen)
		return -EINVAL;
	if (cmd->keyflags & ~TCP_AO_F_IFINDEX)
		return -EINVAL;
	if (cmd->ifindex && !(cmd->keyflags & TCP_AO_F_IFINDEX))
		return -EINVAL;
	return tcp_ao_of(e) ? 0 : -ENOENT;
}

int opt_del_ao_key(struct opt_call *c, const void *val, socklen_t len)
{
	struct tcp_ao_key like = {0};
	struct uapi_ao_del cmd;
	struct choice ch;
	struct peer p;
	int err = check_state(c->e);

	if (!err)
		err = take_whole(&cmd, sizeof(cmd), val, len);
	if (!err)
		err = check_del(c->e, &cmd);
	if (!err)
		err = choose(tcp_ao_of(c->e),
			     cmd.set_current ? cmd.current_key : TCP_AO_ANY,
			     cmd.set_rnext ? cmd.rnext : TCP_AO_ANY, &ch);
	if (err)
		return err;
	p = peer_of(c->e->family, &cmd.addr);
	if ((cmd.del_async && !c->e->listen) || p.port)
		return -EINVAL;
	if (cmd.prefix > (p.is4 ? 32 : 128) || cmd.ifindex)
		return -ENOENT;
	like.id.addr = p.addr;
	like.id.prefix = (uint8_t)(cmd.prefix + (p.is4 ? V4_BITS : 0));
	like.id.by_if = cmd.keyflags & TCP_AO_F_IFINDEX;
	like.sndid = cmd.sndid;
	like.rcvid = cmd.rcvid;
	return tcp_ao_del(c->e, &like, ch.current, ch.rnext);
}

/* --- TCP_AO_INFO --- */

static void set_counts(struct tcp_ao *ao, const struct uapi_ao_info *cmd)
{
	ao->num = (struct tcp_ao_counts){
		.good = cmd->pkt_good,
		.bad = cmd->pkt_bad,
		.no_key = cmd->pkt_key_not_found,
		.required = cmd->pkt_ao_required,
		.icmps = cmd->pkt_dropped_icmp,
	};
}

int opt_set_ao_info(struct opt_call *c, const void *val, socklen_t len)
{
	struct uapi_ao_info cmd;
	struct tcp_ao *ao;
	struct choice ch;
	int err = check_state(c->e);

	if (!err)
		err = take_whole(&cmd, sizeof(cmd), val, len);
	if (err)
		return err;
	if (((cmd.set_current || cmd.set_rnext) && c->e->listen) ||
	    cmd.reserved || cmd.reserved2)
		return -EINVAL;
	if (!tcp_ao_of(c->e) && !opt_tcp_is_idle(c->e))
		return -EINVAL;
	if (cmd.ao_required && c->e->auth && !list_empty(&c->e->auth->md5))
		return -EKEYREJECTED;
	err = choose(tcp_ao_of(c->e),
		     cmd.set_current ? cmd.current_key : TCP_AO_ANY,
		     cmd.set_rnext ? cmd.rnext : TCP_AO_ANY, &ch);
	if (err)
		return err;
	ao = tcp_ao_need(c->e);
	if (!ao)
		return -ENOMEM;
	if (cmd.set_counters)
		set_counts(ao, &cmd);
	ao->required = cmd.ao_required;
	ao->accept_icmps = cmd.accept_icmps;
	tcp_ao_choose(c->e, ch.current, ch.rnext);
	return 0;
}

int opt_get_ao_info(struct opt_call *c, void *val, socklen_t *len)
{
	const struct tcp_ao *ao = tcp_ao_of(c->e);
	struct uapi_ao_info in, out = {0};
	int err = *len ? take(&in, sizeof(in), val, *len) : -EINVAL;

	if (err)
		return err;
	if (in.reserved || in.reserved2)
		return -EINVAL;
	if (!ao)
		return -ENOENT;
	out.ao_required = ao->required;
	out.accept_icmps = ao->accept_icmps;
	out.pkt_good = ao->num.good;
	out.pkt_bad = ao->num.bad;
	out.pkt_key_not_found = ao->num.no_key;
	out.pkt_ao_required = ao->num.required;
	out.pkt_dropped_icmp = ao->num.icmps;
	out.set_current = ao->current != NULL;
	out.set_rnext = ao->rnext != NULL;
	out.current_key = ao->current ? ao->current->sndid : 0;
	out.rnext = ao->rnext ? ao->rnext->rcvid : 0;
	memcpy(val, &out, MIN((size_t)*len, sizeof(out)));
	return 0;
}

/* --- TCP_AO_GET_KEYS --- */

static void show(const struct tcp_ao *ao, const struct tcp_ao_key *k,
		 struct uapi_ao_get *out)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	bool is4 = ip_addr_is4(&k->id.addr);

	*out = (struct uapi_ao_get){
		.is_current = k == ao->current,
		.is_rnext = k == ao->rnext,
		.sndid = k->sndid,
		.rcvid = k->rcvid,
		.prefix = (uint8_t)(k->id.prefix - (is4 ? V4_BITS : 0)),
		.maclen = k->maclen,
		.keyflags = k->flags,
		.keylen = k->len,
		.pkt_good = k->num_good,
		.pkt_bad = k->num_bad,
	};
	memcpy(&in.sin_addr, k->id.addr.b + 12, 4);
	memcpy(&in6.sin6_addr, k->id.addr.b, 16);
	if (is4)
		memcpy(&out->addr, &in, sizeof(in));
	else
		memcpy(&out->addr, &in6, sizeof(in6));
	memcpy(out->key, k->v, k->len);
	for (size_t i = ARRAY_SIZE(algs); i-- > 0;)
		if (algs[i].id == k->alg)
			strcpy(out->alg_name, algs[i].shown);
}

/* What of @in is no question; @id: whom it is about, if anybody. */
static int check_get(const struct uapi_ao_get *in, struct tcp_key_id *id)
{
	bool by_addr = !in->get_all && !in->is_current && !in->is_rnext;
	int family = in->addr.ss_family;
	struct peer p;

	if (in->pkt_good || in->pkt_bad || in->reserved ||
	    in->keyflags & ~TCP_AO_F_IFINDEX ||
	    (in->ifindex && !(in->keyflags & TCP_AO_F_IFINDEX)))
		return -EINVAL;
	if (in->get_all && (in->is_current || in->is_rnext))
		return -EINVAL;
	if (!family && !by_addr)
		return in->prefix || in->sndid || in->rcvid ? -EINVAL : 0;
	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	p = peer_of(family, &in->addr);
	if (family == AF_INET6 && p.is4 && !in->prefix)
		return -EINVAL;
	/* everybody is any IPv4 address, with no bits of it */
	return check_peer(&p, in->prefix, id) || !by_addr ? -EINVAL : 0;
}

/* tcp_ao_key_cmp() of Linux: in so many bits as were asked for. */
static bool is_about(const struct tcp_key_id *id, const struct tcp_key_id *key)
{
	return tcp_key_id_fits(id, &key->addr) ||
	       (ip_addr_is_any(&key->addr) &&
		ip_addr_is4(&key->addr) == ip_addr_is4(&id->addr));
}

static bool is_asked(const struct tcp_ao *ao, const struct tcp_ao_key *k,
		     const struct uapi_ao_get *in, const struct tcp_key_id *id)
{
	if (in->get_all)
		return true;
	if (in->is_current || in->is_rnext)
		return (in->is_current && k == ao->current) ||
		       (in->is_rnext && k == ao->rnext);
	return k->sndid == in->sndid && k->rcvid == in->rcvid &&
	       is_about(id, &k->id);
}

static int find_nth(struct ep *e, const void *val, socklen_t len, unsigned nth,
		    struct uapi_ao_get *out)
{
	const struct tcp_ao *ao = tcp_ao_of(e);
	struct tcp_key_id id = {0};
	struct uapi_ao_get in;
	unsigned num = 0;
	struct list *n;
	int err;

	if (!ao)
		return -ENOENT;
	if (!len)
		return -EINVAL;
	err = take(&in, sizeof(in), val, len);
	if (!err)
		err = check_get(&in, &id);
	if (err)
		return err;
	list_for_each (n, &ao->keys) {
		const struct tcp_ao_key *k =
			list_entry(n, struct tcp_ao_key, node);

		if (is_asked(ao, k, &in, &id) && num++ == nth)
			show(ao, k, out);
	}
	return (int)num;
}

int sock_ao_key(struct stack *st, sockid s, const void *in, socklen_t len,
		unsigned nth, struct uapi_ao_get *out)
{
	struct ep *e = sock_see(st, s);

	return e ? find_nth(e, in, len, nth, out) : -EBADF;
}

/* Only the first: sock_ao_key() is for more. */
int opt_get_ao_keys(struct opt_call *c, void *val, socklen_t *len)
{
	struct uapi_ao_get out = {0};
	int n = find_nth(c->e, val, *len, 0, &out);

	if (n < 0)
		return n;
	out.nkeys = (uint32_t)n;
	memcpy(val, &out, MIN((size_t)*len, sizeof(out)));
	*len = sizeof(out);
	return 0;
}

/* --- TCP_AO_REPAIR --- */

int opt_set_ao_repair(struct opt_call *c, const void *val, socklen_t len)
{
	struct tcp_ao_repair_state r;
	struct uapi_ao_repair cmd;
	int err = c->e->listen ? -EPERM : 0;

	if (!err)
		err = take_whole(&cmd, sizeof(cmd), val, len);
	if (err)
		return err;
	if (!tcp_in_repair(c->e))
		return -EPERM;
	if (!tcp_ao_of(c->e))
		return -ENOENT;
	r = (struct tcp_ao_repair_state){ntohl(cmd.snt_isn), ntohl(cmd.rcv_isn),
					 cmd.snd_sne, cmd.rcv_sne};
	tcp_ao_set_repair(c->e, &r);
	return 0;
}

int opt_get_ao_repair(struct opt_call *c, void *val, socklen_t *len)
{
	struct tcp_ao_repair_state r;
	struct uapi_ao_repair out;

	if (c->e->listen)
		return -EPERM;
	if (!*len)
		return -EINVAL;
	if (!tcp_in_repair(c->e))
		return -EPERM;
	if (!tcp_ao_of(c->e))
		return -ENOENT;
	tcp_ao_get_repair(c->e, &r);
	out = (struct uapi_ao_repair){htonl(r.lisn), htonl(r.risn), r.snd_sne,
				      r.rcv_sne};
	memcpy(val, &out, MIN((size_t)*len, sizeof(out)));
	return 0;
}
