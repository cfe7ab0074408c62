/* SPDX-License-Identifier: MIT
 *
 * netsim.c - the loop: packets, deadlines, applications, until nothing is left
 *
 * A turn: while anything happens at this instant, every host sends what it
 * has, runs what is due and its applications do what they are told they can.
 * Then the clock moves to the next arrival or deadline. Packets of one way out
 * arrive in order, as delays are constant; reordering is impair's business.
 */
#include "edge/netsim.h"

#include <errno.h>
#include <stdlib.h>

#include "base/csum.h"
#include "base/siphash.h"
#include "link/offload.h"
#include "wire/wire.h"

#define ARENA_MAX ((size_t)1 << 30)
#define BATCH 64
#define MAX_STREAMS 4096
#define LISTEN_SLOT 0xffff
#define STEP_BYTES 65536 /* an application's buffer */

struct packet {
	struct list node;
	nsec arrives_at;
	struct frame f; /* its fields; data is bytes[] */
	uint8_t bytes[];
};

struct host {
	struct arena *arena;
	void *mem; /* NULL: malloc mode */
	struct stack *st;
	struct netsim_host_cfg cfg;
	struct ip_addr addrs[2];
	unsigned num_addrs;
	struct list out; /* struct packet, by arrival */
	nsec out_free_at;
	struct list in; /* what waits at the port, by arrival */
	nsec in_free_at;
	struct netsim_port *port;
	struct packet *rx[BATCH];
	unsigned num_rx;
	sockid listener;
	struct netsim_stream_cfg listen_cfg;
};

struct netsim {
	struct host hosts[NETSIM_MAX_HOSTS];
	int num_hosts;
	nsec now;
	struct rng rng;
	bool use_malloc;
	bool is_quick;
	FILE *trace;
	uint64_t hash, num_packets;
	struct netsim_stream *streams[MAX_STREAMS];
	unsigned num_streams;
};

/* --- making --- */

struct netsim *netsim_new(uint64_t seed, bool use_malloc)
{
	struct netsim *ns = calloc(1, sizeof(*ns));
	uint8_t bytes[32] = {0};

	if (!ns)
		return NULL;
	memcpy(bytes, &seed, sizeof(seed));
	rng_init(&ns->rng, bytes, 0);
	ns->now = SEC; /* an instant of 0 means "now" to some */
	ns->use_malloc = use_malloc;
	ns->hash = 0xcbf29ce484222325u;
	return ns;
}

static struct arena *new_arena(struct netsim *ns, struct host *h)
{
	if (ns->use_malloc || h->cfg.arena)
		return arena_new_malloc(h->cfg.arena ? h->cfg.arena
						     : ARENA_MAX);
	h->mem = aligned_alloc(65536, ARENA_MAX / 8);
	if (!h->mem)
		return NULL;
	memset(h->mem, 0, 1 << 20); /* the rest is fresh from the system */
	return arena_init(h->mem, ARENA_MAX / 8, ARENA_MAX / 8);
}

static int add_addr(struct host *h, struct stack_cfg *sc, const char *text,
		    unsigned plen)
{
	struct ip_addr *a = &h->addrs[h->num_addrs];

	if (!text)
		return 0;
	if (ip_addr_parse(text, a))
		return -EINVAL;
	sc->addrs[sc->num_addrs].addr = *a;
	sc->addrs[sc->num_addrs++].plen = plen;
	h->num_addrs++;
	return 0;
}

static int set_impair(struct stack_cfg *sc, const char *text,
		      struct impair_cfg *in, struct impair_cfg *out)
{
	bool has_in = false, has_out = false;
	const char *bad;

	if (!text || !*text)
		return 0;
	if (impair_parse(text, in, &has_in, out, &has_out, &bad))
		return -EINVAL;
	sc->link.impair_in = has_in ? in : NULL;
	sc->link.impair_out = has_out ? out : NULL;
	return 0;
}

int netsim_add_host(struct netsim *ns, const struct netsim_host_cfg *cfg)
{
	struct host *h = &ns->hosts[ns->num_hosts];
	struct impair_cfg in, out;
	struct stack_cfg sc = {
		.link = {.mtu = cfg->mtu ? cfg->mtu : 1500,
			 .can_tso4 = cfg->offload,
			 .can_tso6 = cfg->offload,
			 .can_csum = cfg->offload,
			 .capture_ring = cfg->capture_ring},
		.sysctl = cfg->sysctl,
		.dev_name = "sim0",
	};
	uint8_t seed[32];

	if (ns->num_hosts == NETSIM_MAX_HOSTS)
		return -ENOSPC;
	h->cfg = *cfg;
	list_init(&h->out);
	list_init(&h->in);
	if (cfg->in_rate)
		h->port = calloc(1, sizeof(*h->port));
	if (cfg->route) {
		if (ip_addr_parse(cfg->route, &sc.routes[0].dst))
			return -EINVAL;
		if (ip_addr_is4(&sc.routes[0].dst))
			sc.routes[0].gw = ip_addr_v4(&(uint32_t){0});
		sc.routes[0].plen = cfg->route_plen;
		sc.num_routes = 1;
	}
	if (add_addr(h, &sc, cfg->addr4, 24) ||
	    add_addr(h, &sc, cfg->addr6, 64) ||
	    set_impair(&sc, cfg->impair, &in, &out))
		return -EINVAL;
	for (unsigned i = 0; i < sizeof(seed); i++)
		seed[i] = (uint8_t)rng_u32(&ns->rng);
	sc.num_parties = 3; /* as if several processes shared it */
	h->arena = new_arena(ns, h);
	h->st = h->arena ? stack_new(h->arena, &sc, seed, ns->now) : NULL;
	if (!h->st) {
		free(h->mem);
		return -ENOMEM;
	}
	return ns->num_hosts++;
}

void netsim_free(struct netsim *ns)
{
	if (!ns)
		return;
	for (int i = 0; i < ns->num_hosts; i++) {
		struct host *h = &ns->hosts[i];
		struct list *n;

		stack_free(h->st);
		if (h->mem)
			free(h->mem);
		else
			arena_destroy_malloc(h->arena);
		while ((n = list_pop(&h->out)))
			free(list_entry(n, struct packet, node));
		while ((n = list_pop(&h->in)))
			free(list_entry(n, struct packet, node));
		free(h->port);
	}
	for (unsigned i = 0; i < ns->num_streams; i++)
		free(ns->streams[i]);
	free(ns);
}

struct stack *netsim_stack(struct netsim *ns, int host)
{
	return ns->hosts[host].st;
}

nsec netsim_now(const struct netsim *ns)
{
	return ns->now;
}

void netsim_trace(struct netsim *ns, FILE *f)
{
	ns->trace = f;
}

uint64_t netsim_hash(const struct netsim *ns)
{
	return ns->hash;
}

uint64_t netsim_num_packets(const struct netsim *ns)
{
	return ns->num_packets;
}

void netsim_be_quick(struct netsim *ns)
{
	ns->is_quick = true;
}

struct netsim_port *netsim_port(struct netsim *ns, int host)
{
	return ns->hosts[host].port;
}

/* --- out --- */

static void mix(struct netsim *ns, uint64_t v)
{
	ns->hash = (ns->hash ^ v) * 0x100000001b3u; /* FNV-1a, wide */
	ns->hash ^= ns->hash >> 29;
}

static void note(struct netsim *ns, const struct host *h,
		 const struct packet *p)
{
	char line[400];
	uint64_t word;
	uint32_t i = 0;

	ns->num_packets++;
	if (ns->is_quick)
		goto trace;
	mix(ns, (uint64_t)ns->now);
	mix(ns, (uint64_t)(h - ns->hosts) << 32 | p->f.len);
	for (; i + 8 <= p->f.len; i += 8) {
		memcpy(&word, p->bytes + i, 8);
		mix(ns, word);
	}
	for (; i < p->f.len; i++)
		mix(ns, p->bytes[i]);
trace:
	if (!ns->trace)
		return;
	wire_print(p->bytes, p->f.len, line, sizeof(line));
	fprintf(ns->trace, "%lld.%09lld %d %s\n", (long long)(ns->now / SEC),
		(long long)(ns->now % SEC), (int)(h - ns->hosts), line);
}

/* Room in the way out's queue, then behind what is being sent. */
static void put_on_wire(struct netsim *ns, struct host *h, struct packet *p)
{
	uint64_t rate = h->cfg.rate;
	nsec start = MAX(ns->now, h->out_free_at);

	uint64_t waits = (uint64_t)(start - ns->now) * rate / 8 / (uint64_t)SEC;

	if (rate && h->cfg.queue && waits + p->f.len > h->cfg.queue) {
		free(p);
		return;
	}
	if (h->cfg.mark && waits > h->cfg.mark)
		wire_mark_ce(p->bytes, p->f.len);
	note(ns, h, p);
	if (rate)
		start += (nsec)((uint64_t)p->f.len * 8 * (uint64_t)SEC / rate);
	h->out_free_at = start;
	p->arrives_at = start + h->cfg.delay;
	list_push(&h->out, &p->node);
}

static struct packet *packet_new(uint32_t len)
{
	struct packet *p = malloc(sizeof(*p) + len);

	ASSERT(p);
	memset(p, 0, sizeof(*p));
	p->f.data = p->bytes;
	p->f.len = p->f.room = len;
	return p;
}

static struct packet *gather(const struct iovec *v, unsigned num, uint32_t len)
{
	struct packet *p = packet_new(len);
	uint32_t off = 0;

	for (unsigned i = 0; i < num; i++) {
		memcpy(p->bytes + off, v[i].iov_base, v[i].iov_len);
		off += (uint32_t)v[i].iov_len;
	}
	ASSERT(off == len);
	return p;
}

/* As an edge without offload does: one packet a segment. */
static void send_cut(struct netsim *ns, struct host *h, const struct txv *t)
{
	struct offload_view w = {
		.hdr = t->v[0].iov_base,
		.l4_off = t->f.l4_off,
		.hdr_len = t->f.hdr_len,
		.gso_size = t->f.gso_size,
		.gso_segs = t->f.gso_segs,
		.gso = t->f.gso,
		.csum = t->f.csum,
		.flags = t->f.flags,
		.v = t->v + 1,
		.num_v = t->num_v - 1u,
		.payload_len = t->f.len - t->f.hdr_len,
	};

	for (unsigned i = 0; i < t->f.gso_segs; i++) {
		uint8_t hdr[256];
		struct iovec v[9] = {{hdr, w.hdr_len}};
		unsigned num = offload_segment(&w, i, hdr, v + 1, 8);
		uint32_t len = w.hdr_len;

		for (unsigned k = 1; k <= num; k++)
			len += (uint32_t)v[k].iov_len;
		put_on_wire(ns, h, gather(v, num + 1, len));
	}
}

static void send_one(struct netsim *ns, struct host *h, const struct txv *t)
{
	struct packet *p;

	if (t->f.gso && !h->cfg.offload) {
		send_cut(ns, h, t);
		return;
	}
	p = gather(t->v, t->num_v, t->f.len);
	p->f.l4_off = t->f.l4_off;
	p->f.hdr_len = t->f.hdr_len;
	p->f.gso = t->f.gso;
	p->f.gso_size = t->f.gso_size;
	p->f.gso_segs = t->f.gso_segs;
	p->f.csum = t->f.csum;
	p->f.flags = t->f.flags;
	if (!h->cfg.offload)
		offload_csum_frame(&p->f);
	put_on_wire(ns, h, p);
}

static bool send_all(struct netsim *ns, struct host *h)
{
	struct txv v[BATCH];
	int res[BATCH];
	unsigned n;
	bool any = false;

	while ((n = stack_tx(h->st, v, BATCH, ns->now))) {
		for (unsigned i = 0; i < n; i++) {
			send_one(ns, h, &v[i]);
			res[i] = (int)v[i].f.len;
		}
		stack_tx_done(h->st, v, res, n, ns->now);
		any = true;
	}
	return any;
}

/* --- in --- */

static void flush_rx(struct netsim *ns, struct host *h, bool drained)
{
	struct frame *v[BATCH];
	unsigned num = 0;

	for (unsigned i = 0; i < h->num_rx; i++) {
		struct packet *p = h->rx[i];
		uint32_t room =
			p->f.len <= FRAME_SMALL ? FRAME_SMALL : FRAME_LARGE;
		struct frame *f;

		if (stack_rx_alloc(h->st, room, &f, 1)) {
			memcpy(f->data, p->bytes, p->f.len);
			f->len = p->f.len;
			f->at = ns->now;
			f->l4_off = p->f.l4_off;
			f->hdr_len = p->f.hdr_len;
			f->gso = p->f.gso;
			f->gso_size = p->f.gso_size;
			f->gso_segs = p->f.gso_segs;
			f->csum = p->f.csum;
			f->flags = p->f.flags;
			v[num++] = f;
		}
		free(p);
	}
	h->num_rx = 0;
	stack_rx(h->st, v, num, drained, ns->now);
}

static void rx_push(struct netsim *ns, struct host *h, struct packet *p)
{
	if (h->num_rx == BATCH)
		flush_rx(ns, h, false);
	h->rx[h->num_rx++] = p;
}

static bool packet_dst(const struct packet *p, struct ip_addr *dst)
{
	if (p->f.len >= 20 && p->bytes[0] >> 4 == 4)
		*dst = ip_addr_v4(p->bytes + 16);
	else if (p->f.len >= 40 && p->bytes[0] >> 4 == 6)
		*dst = ip_addr_v6(p->bytes + 24);
	else
		return false;
	return true;
}

static bool is_for(const struct host *h, const struct ip_addr *dst)
{
	for (unsigned i = 0; i < h->num_addrs; i++)
		if (ip_addr_eq(&h->addrs[i], dst))
			return true;
	return false;
}

static struct packet *packet_copy(const struct packet *p)
{
	struct packet *q = packet_new(p->f.len);

	memcpy(q->bytes, p->bytes, p->f.len);
	q->f = p->f;
	q->f.data = q->bytes;
	return q;
}

/* Behind what waits at the port of @h already, or dropped there. */
static void enter_port(struct netsim *ns, struct host *h, struct packet *p)
{
	uint64_t rate = h->cfg.in_rate, bin;
	nsec start = MAX(ns->now, h->in_free_at);
	uint64_t waits = (uint64_t)(start - ns->now) * rate / 8 / (uint64_t)SEC;

	if (h->cfg.in_queue && waits + p->f.len > h->cfg.in_queue) {
		h->port->dropped++;
		free(p);
		return;
	}
	if (h->cfg.in_mark && waits >= h->cfg.in_mark &&
	    wire_mark_ce(p->bytes, p->f.len))
		h->port->marked++;
	bin = (uint64_t)((start - ns->now) / NETSIM_BIN);
	h->port->waited[MIN(bin, NETSIM_BINS - 1u)]++;
	h->port->passed++;
	start += (nsec)((uint64_t)p->f.len * 8 * (uint64_t)SEC / rate);
	h->in_free_at = p->arrives_at = start;
	list_push(&h->in, &p->node);
}

/* To the host whose address it is; to all others if it is nobody's. */
static void arrive(struct netsim *ns, struct host *from, struct packet *p)
{
	struct ip_addr dst;

	if (!packet_dst(p, &dst) ||
	    (from->cfg.hole && p->f.len > from->cfg.hole)) {
		free(p);
		return;
	}
	for (int i = 0; i < ns->num_hosts; i++) {
		if (is_for(&ns->hosts[i], &dst)) {
			if (ns->hosts[i].port)
				enter_port(ns, &ns->hosts[i], p);
			else
				rx_push(ns, &ns->hosts[i], p);
			return;
		}
	}
	for (int i = 0; i < ns->num_hosts; i++)
		if (&ns->hosts[i] != from)
			rx_push(ns, &ns->hosts[i], packet_copy(p));
	free(p);
}

/* The first of @l if it is due, taken off. */
static struct packet *take_due(struct netsim *ns, struct list *l)
{
	struct packet *p = list_first(l, struct packet, node);

	if (!p || p->arrives_at > ns->now)
		return NULL;
	list_remove(&p->node);
	return p;
}

static bool deliver_due(struct netsim *ns)
{
	struct packet *p;
	bool any = false;

	for (int i = 0; i < ns->num_hosts; i++) {
		struct host *h = &ns->hosts[i];

		while ((p = take_due(ns, &h->out))) {
			arrive(ns, h, p);
			any = true;
		}
	}
	for (int i = 0; i < ns->num_hosts; i++) {
		struct host *h = &ns->hosts[i];

		while ((p = take_due(ns, &h->in))) {
			rx_push(ns, h, p);
			any = true;
		}
	}
	for (int i = 0; i < ns->num_hosts; i++)
		if (ns->hosts[i].num_rx)
			flush_rx(ns, &ns->hosts[i], true);
	return any;
}

/* --- applications --- */

socklen_t netsim_addr(const char *addr, uint16_t port,
		      struct sockaddr_storage *ss)
{
	struct ip_addr a;

	memset(ss, 0, sizeof(*ss));
	ASSERT(!ip_addr_parse(addr, &a));
	if (ip_addr_is4(&a)) {
		struct sockaddr_in in = {.sin_family = AF_INET};

		put_be16(&in.sin_port, port);
		memcpy(&in.sin_addr, a.b + 12, 4);
		memcpy(ss, &in, sizeof(in));
		return sizeof(in);
	}
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	put_be16(&in6.sin6_port, port);
	memcpy(&in6.sin6_addr, a.b, 16);
	memcpy(ss, &in6, sizeof(in6));
	return sizeof(in6);
}

/* Byte @pos of the stream that @s sends (or, from its peer, receives). */
static uint64_t word_at(const struct netsim_stream *s, bool to_server,
			uint64_t pos)
{
	uint64_t x = s->cfg.seed * 2 + to_server + pos / 8 * 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9; /* splitmix64 */
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* Fills, or with @check compares, bytes [@pos, @pos + @len). */
static bool stream_bytes(const struct netsim_stream *s, bool to_server,
			 uint64_t pos, uint8_t *p, size_t len, bool check)
{
	while (len) {
		uint64_t word = word_at(s, to_server, pos);
		unsigned off = pos & 7;
		size_t n = MIN(len, 8u - off);
		const uint8_t *from = (const uint8_t *)&word + off;

		if (check && memcmp(p, from, n) != 0)
			return false;
		if (!check)
			memcpy(p, from, n);
		p += n;
		pos += n;
		len -= n;
	}
	return true;
}

static void stream_close(struct netsim *ns, struct netsim_stream *s)
{
	if (s->is_closed)
		return;
	sock_close(netsim_stack(ns, s->host), s->s, ns->now);
	s->is_closed = true;
}

static void stream_fail(struct netsim *ns, struct netsim_stream *s, int err)
{
	s->err = err;
	stream_close(ns, s);
}

static void stream_read(struct netsim *ns, struct netsim_stream *s)
{
	struct stack *st = netsim_stack(ns, s->host);

	while (!s->has_eof && !s->is_closed) {
		struct span sp;
		struct sock_msg m = {.ctl = NULL};
		int res = sock_recv_begin(st, s->s, STEP_BYTES, 0, &m, &sp,
					  ns->now);

		if (res == -EAGAIN)
			return;
		if (res < 0) {
			stream_fail(ns, s, -res);
			return;
		}
		s->has_eof = res == 0;
		for (unsigned i = 0; i < sp.num_v; i++) {
			if (!ns->is_quick &&
			    !stream_bytes(s, s->is_server, s->received,
					  sp.v[i].iov_base, sp.v[i].iov_len,
					  true))
				s->is_wrong = true;
			s->received += sp.v[i].iov_len;
		}
		sock_recv_commit(st, s->s, &sp, (size_t)res, 0, ns->now);
		if (s->received == s->to_receive && !s->done_at)
			s->done_at = ns->now;
	}
}

static void stream_write(struct netsim *ns, struct netsim_stream *s)
{
	struct stack *st = netsim_stack(ns, s->host);

	while (s->sent < s->to_send && !s->is_closed) {
		size_t want = MIN(s->to_send - s->sent, (uint64_t)STEP_BYTES);
		struct span sp;
		int res =
			sock_send_begin(st, s->s, want, 0, NULL, &sp, ns->now);
		uint64_t at = s->sent;

		if (res == -EAGAIN)
			return;
		if (res < 0) {
			stream_fail(ns, s, -res);
			return;
		}
		for (unsigned i = 0; i < sp.num_v; i++) {
			if (!ns->is_quick)
				stream_bytes(s, !s->is_server, at,
					     sp.v[i].iov_base, sp.v[i].iov_len,
					     false);
			at += sp.v[i].iov_len;
		}
		res = sock_send_commit(st, s->s, &sp, (size_t)res, 0, ns->now);
		if (res < 0) {
			stream_fail(ns, s, -res);
			return;
		}
		s->sent += (uint64_t)res;
	}
	if (!s->has_shut && !s->is_closed) {
		s->has_shut = true;
		sock_shutdown(st, s->s, SHUT_WR, ns->now);
	}
}

static void stream_step(struct netsim *ns, struct netsim_stream *s,
			uint32_t bits)
{
	struct stack *st = netsim_stack(ns, s->host);
	int err = 0;
	socklen_t len = sizeof(err);

	if (s->is_closed)
		return;
	if (!s->is_open) {
		if (!(bits & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			return;
		sock_getopt(st, s->s, SOL_SOCKET, SO_ERROR, &err, &len,
			    ns->now);
		if (err) {
			stream_fail(ns, s, err);
			return;
		}
		s->is_open = true;
	}
	stream_read(ns, s);
	stream_write(ns, s);
	if (s->has_eof && s->has_shut)
		stream_close(ns, s);
}

static struct netsim_stream *stream_new(struct netsim *ns, int host, sockid id,
					const struct netsim_stream_cfg *cfg,
					bool is_server)
{
	struct netsim_stream *s = calloc(1, sizeof(*s));

	ASSERT(s && ns->num_streams < MAX_STREAMS);
	s->host = host;
	s->s = id;
	s->cfg = *cfg;
	s->is_server = is_server;
	s->is_open = is_server;
	s->to_send = is_server ? cfg->to_client : cfg->to_server;
	s->to_receive = is_server ? cfg->to_server : cfg->to_client;
	ns->streams[ns->num_streams++] = s;
	return s;
}

static void stream_watch(struct netsim *ns, struct netsim_stream *s)
{
	struct ready r;

	sock_watch(netsim_stack(ns, s->host), s->s,
		   (uint16_t)(ns->num_streams - 1), &r);
	stream_step(ns, s, r.bits);
}

static void accept_all(struct netsim *ns, int host)
{
	struct host *h = &ns->hosts[host];
	sockid id;

	while (h->listener && !sock_accept(h->st, h->listener, &id, ns->now))
		stream_watch(ns,
			     stream_new(ns, host, id, &h->listen_cfg, true));
}

static int set_buffers(struct netsim *ns, struct stack *st, sockid s,
		       const struct netsim_stream_cfg *cfg)
{
	int err = 0;

	if (cfg->sndbuf)
		err = sock_setopt(st, s, SOL_SOCKET, SO_SNDBUF, &cfg->sndbuf,
				  sizeof(cfg->sndbuf), ns->now);
	if (cfg->rcvbuf && !err)
		err = sock_setopt(st, s, SOL_SOCKET, SO_RCVBUF, &cfg->rcvbuf,
				  sizeof(cfg->rcvbuf), ns->now);
	return err;
}

static int new_socket(struct netsim *ns, int host, int family,
		      const struct netsim_stream_cfg *cfg, sockid *s)
{
	struct stack *st = netsim_stack(ns, host);
	int err = sock_new(st, family, SOCK_STREAM, 0, s, ns->now);

	if (!err && cfg->set_up)
		cfg->set_up(st, *s, ns->now);
	return err ? err : set_buffers(ns, st, *s, cfg);
}

int netsim_listen(struct netsim *ns, int host, const char *addr, uint16_t port,
		  const struct netsim_stream_cfg *cfg)
{
	struct host *h = &ns->hosts[host];
	struct sockaddr_storage ss;
	socklen_t len = netsim_addr(addr, port, &ss);
	struct ready r;
	int err = new_socket(ns, host, ss.ss_family, cfg, &h->listener);

	if (!err)
		err = sock_bind(h->st, h->listener, (struct sockaddr *)&ss, len,
				ns->now);
	if (!err)
		err = sock_listen(h->st, h->listener, 128, ns->now);
	h->listen_cfg = *cfg;
	if (!err)
		err = sock_watch(h->st, h->listener, LISTEN_SLOT, &r);
	return err;
}

void netsim_unlisten(struct netsim *ns, int host)
{
	struct host *h = &ns->hosts[host];

	sock_close(h->st, h->listener, ns->now);
	h->listener = 0;
}

int netsim_connect(struct netsim *ns, int host, const char *addr, uint16_t port,
		   const struct netsim_stream_cfg *cfg)
{
	struct stack *st = netsim_stack(ns, host);
	struct sockaddr_storage ss;
	socklen_t len = netsim_addr(addr, port, &ss);
	sockid s;
	int err = new_socket(ns, host, ss.ss_family, cfg, &s);

	if (!err)
		err = sock_connect(st, s, (struct sockaddr *)&ss, len, ns->now);
	if (err && err != -EINPROGRESS)
		return err;
	stream_watch(ns, stream_new(ns, host, s, cfg, false));
	return 0;
}

unsigned netsim_num_streams(const struct netsim *ns)
{
	return ns->num_streams;
}

const struct netsim_stream *netsim_stream(const struct netsim *ns, unsigned i)
{
	return ns->streams[i];
}

bool netsim_all_closed(void *arg)
{
	const struct netsim *ns = arg;

	for (unsigned i = 0; i < ns->num_streams; i++)
		if (!ns->streams[i]->is_closed)
			return false;
	return true;
}

bool netsim_all_well(const struct netsim *ns)
{
	for (unsigned i = 0; i < ns->num_streams; i++) {
		const struct netsim_stream *s = ns->streams[i];

		if (!s->is_closed || s->err || s->is_wrong ||
		    s->received != s->to_receive || s->sent != s->to_send)
			return false;
	}
	return true;
}

static bool run_apps(struct netsim *ns, int host)
{
	struct stack *st = netsim_stack(ns, host);
	struct ready v[BATCH];
	unsigned n = stack_ready(st, v, BATCH);

	for (unsigned i = 0; i < n; i++) {
		if (v[i].slot == LISTEN_SLOT)
			accept_all(ns, host);
		else if (v[i].slot < ns->num_streams)
			stream_step(ns, ns->streams[v[i].slot], v[i].bits);
	}
	return n > 0;
}

/* --- the loop --- */

static bool turn(struct netsim *ns, int host)
{
	struct host *h = &ns->hosts[host];
	bool any = false, again;

	do {
		again = send_all(ns, h);
		if (stack_next_at(h->st) <= ns->now)
			again |= stack_tick(h->st, BATCH, ns->now) > 0;
		again |= run_apps(ns, host);
		any |= again;
	} while (again);
	return any;
}

static nsec next_at(struct netsim *ns)
{
	nsec at = TIME_NEVER;

	for (int i = 0; i < ns->num_hosts; i++) {
		struct host *h = &ns->hosts[i];
		struct packet *p = list_first(&h->out, struct packet, node);

		if (p)
			at = MIN(at, p->arrives_at);
		p = list_first(&h->in, struct packet, node);
		if (p)
			at = MIN(at, p->arrives_at);
		at = MIN(at, stack_next_at(h->st));
	}
	return at;
}

enum netsim_end netsim_run(struct netsim *ns, nsec until, bool (*done)(void *),
			   void *arg)
{
	for (;;) {
		bool any = deliver_due(ns);
		nsec at;

		for (int i = 0; i < ns->num_hosts; i++)
			any |= turn(ns, i);
		if (done && done(arg))
			return NETSIM_DONE;
		if (any)
			continue;
		at = next_at(ns);
		if (at == TIME_NEVER)
			return NETSIM_IDLE;
		if (at > until) {
			ns->now = MAX(ns->now, until);
			return NETSIM_TIME;
		}
		ASSERT(at > ns->now); /* else nothing would ever move */
		ns->now = at;
	}
}
