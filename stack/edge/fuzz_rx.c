/* SPDX-License-Identifier: MIT
 *
 * fuzz_rx.c - libFuzzer target: frames and calls against a whole stack
 *
 * The input is a program: its first byte chooses the links (impairments,
 * capture, what the device can cut), the rest are steps of one byte and its
 * operands. Steps put in raw frames, or segments that are right for an open
 * connection but for what the input changes, move the clock, and make socket
 * calls. The stack has a TCP listener, an established connection, UDP sockets
 * of both families, one connected, two in groups, a raw and a ping socket. Each
 * object is its own malloc(), so the sanitizers see every overrun, and what is
 * not freed at the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/csum.h"
#include "stack.h"
#include "sysctl.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

#define NUM_SOCKS 8
#define PEER_PORT 4242
#define OUR_PORT 80

struct input {
	const uint8_t *p, *end;
};

struct world {
	struct arena *arena;
	struct stack *st;
	nsec now;
	struct ip_addr us, peer;
	sockid socks[NUM_SOCKS]; /* [0] listens, [1] is the connection */
	/* the peer's view of the connection */
	uint32_t seq, ack;
	bool saw_synack;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t take8(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

static uint16_t take16(struct input *in)
{
	uint16_t hi = take8(in);

	return (uint16_t)(hi << 8 | take8(in));
}

static size_t left(const struct input *in)
{
	return (size_t)(in->end - in->p);
}

/* A length that the input has bytes for, below @max. */
static size_t take_len(struct input *in, size_t max)
{
	size_t len = take16(in) % max;

	return MIN(len, left(in));
}

/* --- packets --- */

/* Follows the sequence numbers of what we send on the connection. */
static void look_at(struct world *w, const struct txv *t)
{
	uint8_t hdr[120];
	struct ip4_repr ip;
	struct tcp_repr tcp;
	size_t n = MIN(t->v[0].iov_len, sizeof(hdr));

	memcpy(hdr, t->v[0].iov_base, n);
	if (n < 40 || ip4_parse(&ip, hdr, t->f.len) ||
	    ip.proto != IPPROTO_TCP ||
	    tcp_parse(&tcp, &ip.src, &ip.dst, hdr + ip.hdr_len, n - ip.hdr_len,
		      CSUM_VALID))
		return;
	if (tcp.dst_port != PEER_PORT)
		return;
	w->ack = tcp.seq + (t->f.len - ip.hdr_len - tcp.hdr_len) +
		 !!(tcp.flags & (TCP_SYN | TCP_FIN));
	if (tcp.flags & TCP_SYN)
		w->saw_synack = true;
}

static void drain(struct world *w, int res)
{
	struct txv v[16];
	int done[16];
	unsigned n;
	static uint8_t sink[4096];

	while ((n = stack_tx(w->st, v, ARRAY_SIZE(v), w->now))) {
		for (unsigned i = 0; i < n; i++) {
			uint32_t sum = 0;

			look_at(w, &v[i]);
			/* every byte must be there to be read */
			for (unsigned k = 0; k < v[i].num_v; k++) {
				size_t len = v[i].v[k].iov_len;

				sum += (uint32_t)len;
				memcpy(sink, v[i].v[k].iov_base,
				       MIN(len, sizeof(sink)));
			}
			ASSERT(sum == v[i].f.len);
			done[i] = res;
		}
		stack_tx_done(w->st, v, done, n, w->now);
	}
}

static struct frame *frame_of(struct world *w, const uint8_t *p, size_t len,
			      uint32_t room)
{
	struct frame *f;

	if (!stack_rx_alloc(w->st, room, &f, 1))
		return NULL;
	memcpy(f->data, p, len);
	f->len = (uint32_t)len;
	f->at = w->now;
	return f;
}

static void give(struct world *w, struct frame *f, bool drained)
{
	if (f)
		stack_rx(w->st, &f, 1, drained, w->now);
}

/* A raw frame, with whatever a device could say about it. */
static void step_raw(struct world *w, struct input *in)
{
	uint8_t meta = take8(in);
	uint16_t gso_size = meta & 1 ? take16(in) : 0;
	size_t len = take_len(in, 65536);
	bool is_large = meta & 0x80 || len > FRAME_SMALL;
	struct frame *f =
		frame_of(w, in->p, len, is_large ? FRAME_LARGE : FRAME_SMALL);

	in->p += len;
	if (!f)
		return;
	f->csum = (meta >> 1) % 3;
	if (meta & 1) {
		static const uint8_t kinds[] = {GSO_TCP4, GSO_TCP6, GSO_UDP};

		f->gso = kinds[(meta >> 3) % 3];
		f->gso_size = gso_size;
		f->hdr_len = take8(in);
		f->csum = CSUM_PARTIAL;
	}
	give(w, f, meta & 0x40);
}

static const uint8_t group4[4] = {239, 1, 1, 1};
static const uint8_t group6[16] = {0xff, 0x15, [15] = 1};

/* What is behind the headers of an IGMP message is checked, too. */
static void fix_igmp(uint8_t *p, size_t len)
{
	uint16_t sum;

	if (len < 4)
		return;
	p[2] = p[3] = 0;
	sum = csum_fold(csum_add(0, p, len));
	memcpy(p + 2, &sum, 2);
}

/* A raw IP packet whose checksums are made right, so that the layers above are
 * reached too: to us, or to a group that we are in. */
static void step_fixed(struct world *w, struct input *in)
{
	uint8_t meta = take8(in);
	size_t len = take_len(in, 1500);
	uint8_t buf[1500];
	struct frame *f;

	memcpy(buf, in->p, len);
	in->p += len;
	if (len >= 20 && meta & 1) {
		uint8_t hlen = (uint8_t)MAX(20, (buf[0] & 15) * 4);

		buf[0] = (uint8_t)(0x40 | hlen / 4);
		put_be16(buf + 2, (uint16_t)len);
		memcpy(buf + 12, w->peer.b + 12, 4);
		memcpy(buf + 16, meta & 2 ? group4 : w->us.b + 12, 4);
		if (buf[9] == IPPROTO_IGMP && hlen <= len)
			fix_igmp(buf + hlen, len - hlen);
		buf[10] = buf[11] = 0;
		if (hlen <= len) {
			uint16_t sum = csum_fold(csum_add(0, buf, hlen));

			memcpy(buf + 10, &sum, 2);
		}
	} else if (len >= 40) {
		buf[0] = 0x60;
		put_be16(buf + 4, (uint16_t)(len - 40));
		memcpy(buf + 24, (uint8_t[16]){0xfd, [15] = 2}, 16);
		if (meta & 2)
			memcpy(buf + 24, group6, 16);
		if (meta & 4) /* a router of the link */
			memcpy(buf + 8, (uint8_t[16]){0xfe, 0x80, [15] = 1},
			       16);
	}
	f = frame_of(w, buf, len, FRAME_SMALL);
	if (f)
		f->csum = CSUM_VALID;
	give(w, f, true);
}

static void send_segment(struct world *w, uint8_t flags, uint32_t seq,
			 uint32_t ack, uint16_t window, const uint8_t *opts,
			 size_t opts_len, const uint8_t *data, size_t len)
{
	uint8_t buf[60 + 60 + 2048] = {0};
	uint8_t *tcp = buf + IP4_HLEN;
	size_t hlen = TCP_HLEN + (opts_len & ~(size_t)3);
	struct ip4_repr ip = {
		.src = w->peer,
		.dst = w->us,
		.hdr_len = IP4_HLEN,
		.ttl = 64,
		.proto = IPPROTO_TCP,
		.total_len = (uint16_t)(IP4_HLEN + hlen + len),
	};
	struct frame *f;

	ip4_emit(&ip, buf);
	put_be16(tcp, PEER_PORT);
	put_be16(tcp + 2, OUR_PORT);
	put_be32(tcp + 4, seq);
	put_be32(tcp + 8, ack);
	tcp[12] = (uint8_t)(hlen / 4 << 4);
	tcp[13] = flags;
	put_be16(tcp + 14, window);
	if (opts_len)
		memcpy(tcp + TCP_HLEN, opts, hlen - TCP_HLEN);
	if (len)
		memcpy(tcp + hlen, data, len);
	f = frame_of(w, buf, ip.total_len, FRAME_LARGE);
	if (f)
		f->csum = CSUM_VALID;
	give(w, f, true);
}

/* A segment of the connection: right, but for what the input shifts. */
static void step_segment(struct world *w, struct input *in)
{
	uint8_t meta = take8(in);
	uint8_t flags = take8(in);
	uint16_t window = take16(in);
	int32_t dseq = meta & 1 ? (int16_t)take16(in) : 0;
	int32_t dack = meta & 2 ? (int16_t)take16(in) : 0;
	size_t opts = MIN((size_t)(meta >> 4) * 4 % 44, left(in));
	const uint8_t *o = in->p;
	size_t len;

	in->p += opts;
	len = meta & 4 ? take_len(in, 1460) : 0;
	send_segment(w, flags, w->seq + (uint32_t)dseq, w->ack + (uint32_t)dack,
		     window, o, opts, in->p, len);
	in->p += len;
	if (!dseq)
		w->seq += (uint32_t)len + !!(flags & (TCP_SYN | TCP_FIN));
}

/* --- calls --- */

static void step_send(struct world *w, sockid s, struct input *in)
{
	uint8_t how = take8(in);
	size_t want = take16(in);
	int flags = how & 1 ? MSG_MORE : how & 2 ? MSG_OOB : 0;
	struct sock_msg m = {0};
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct span sp;
	size_t off = 0;
	int n;

	if (how & 4) {
		memcpy(&to.sin_addr, w->peer.b + 12, 4);
		put_be16(&to.sin_port, take16(in));
		memcpy(&m.name, &to, sizeof(to));
		m.name_len = sizeof(to);
	}
	n = sock_send_begin(w->st, s, want, flags, &m, &sp, w->now);
	if (n < 0)
		return;
	for (unsigned i = 0; i < sp.num_v; i++) {
		memset(sp.v[i].iov_base, how, sp.v[i].iov_len);
		off += sp.v[i].iov_len;
	}
	ASSERT(off == (size_t)n);
	if (how & 8) /* somebody closes meanwhile */
		sock_close(w->st, s, w->now);
	sock_send_commit(w->st, s, &sp, how & 16 ? 0 : (size_t)n, flags,
			 w->now);
}

static void step_recv(struct world *w, sockid s, struct input *in)
{
	static uint8_t sink[65536];
	uint8_t how = take8(in);
	int flags = (how & 1 ? MSG_PEEK : 0) | (how & 2 ? MSG_OOB : 0) |
		    (how & 4 ? MSG_TRUNC : 0) | MSG_DONTWAIT;
	struct sock_msg m = {.ctl = NULL};
	struct span sp;
	int n = sock_recv_begin(w->st, s, take16(in), flags, &m, &sp, w->now);

	if (n < 0)
		return;
	for (unsigned i = 0; i < sp.num_v; i++)
		memcpy(sink, sp.v[i].iov_base,
		       MIN(sp.v[i].iov_len, sizeof(sink)));
	if (how & 8)
		sock_close(w->st, s, w->now);
	sock_recv_commit(w->st, s, &sp,
			 how & 16 && !(flags & MSG_PEEK) ? (size_t)n / 2
							 : (size_t)n,
			 flags, w->now);
}

static void step_option(struct world *w, sockid s, struct input *in)
{
	static const int levels[] = {SOL_SOCKET,     IPPROTO_IP,  IPPROTO_IPV6,
				     IPPROTO_TCP,    IPPROTO_UDP, SOL_RAW,
				     IPPROTO_ICMPV6, IPPROTO_IP};
	uint8_t how = take8(in);
	uint8_t val[15 * 36] = {0};
	int name = take8(in);
	/* groups and their sources are long: 35 to 48 of IP and IPv6 */
	socklen_t unit = name >= 35 && name <= 48 ? 36 : 4;
	socklen_t len = MIN((socklen_t)(how >> 4) * unit, (socklen_t)left(in));

	memcpy(val, in->p, len);
	in->p += len;
	if (how & 8)
		sock_setopt(w->st, s, levels[how % 8], name, val, len, w->now);
	len = unit == 4 ? how >> 4 : len;
	sock_getopt(w->st, s, levels[how % 8], name, val, &len, w->now);
}

static void step_connect(struct world *w, sockid s, struct input *in)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	uint8_t how = take8(in);

	if (how & 1)
		memcpy(&to.sin_addr, w->peer.b + 12, 4);
	else if (how & 2)
		memcpy(&to.sin_addr, w->us.b + 12, 4);
	if (how & 4)
		to.sin_family = AF_UNSPEC;
	put_be16(&to.sin_port, how & 8 ? OUR_PORT : take16(in));
	sock_connect(w->st, s, (struct sockaddr *)&to, sizeof(to), w->now);
}

/* A new socket in the place of an old one. */
static void step_renew(struct world *w, unsigned i, struct input *in)
{
	uint8_t how = take8(in);

	sock_close(w->st, w->socks[i], w->now);
	w->socks[i] = 0;
	if (how & 1 &&
	    sock_accept(w->st, w->socks[0], &w->socks[i], w->now) == 0)
		return;
	if (how & 0x40)
		sock_new(w->st, how & 2 ? AF_INET6 : AF_INET, SOCK_RAW,
			 take8(in), &w->socks[i], w->now);
	else if (how & 0x20)
		sock_new(w->st, how & 2 ? AF_INET6 : AF_INET, SOCK_DGRAM,
			 how & 2 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, &w->socks[i],
			 w->now);
	else
		sock_new(w->st, how & 2 ? AF_INET6 : AF_INET,
			 how & 4 ? SOCK_DGRAM : SOCK_STREAM, 0, &w->socks[i],
			 w->now);
	if (how & 8)
		sock_listen(w->st, w->socks[i], how >> 4, w->now);
}

static void step_call(struct world *w, struct input *in)
{
	uint8_t which = take8(in);
	unsigned i = which % NUM_SOCKS;
	sockid s = w->socks[i];
	struct ready r[4];
	uint32_t bits;
	int v;

	switch (which / NUM_SOCKS % 8) {
	case 0:
		step_send(w, s, in);
		break;
	case 1:
		step_recv(w, s, in);
		break;
	case 2:
		step_option(w, s, in);
		break;
	case 3:
		step_connect(w, s, in);
		break;
	case 4:
		step_renew(w, i, in);
		break;
	case 5:
		sock_shutdown(w->st, s, take8(in) % 3, w->now);
		break;
	case 6:
		sock_watch(w->st, s, (uint16_t)i, &r[0]);
		sock_poll(w->st, s, &bits);
		sock_ioctl(w->st, s, FIONREAD, &v);
		sock_ioctl(w->st, s, TIOCOUTQ, &v);
		break;
	default:
		stack_ready(w->st, r, ARRAY_SIZE(r));
		break;
	}
}

static void step_time(struct world *w, struct input *in)
{
	uint8_t how = take8(in);

	if (how & 1) { /* to the next deadline, but no further than an hour */
		nsec at = stack_next_at(w->st);

		if (at > w->now && at - w->now < 3600 * SEC)
			w->now = at;
	} else {
		w->now += (nsec)(how >> 1) * (nsec)(how >> 1) * MSEC;
	}
	for (unsigned i = 0; i < 100 && stack_tick(w->st, 16, w->now) == 16;)
		i++;
}

/* --- the world --- */

static void set_links(struct stack_cfg *cfg, struct impair_cfg im[2], uint8_t b)
{
	static const char *const texts[] = {
		"loss 10% duplicate 10% corrupt 5%",
		"delay 20ms 10ms reorder 25%",
		"rate 1mbit limit 5",
		"in: corrupt 50%",
	};
	bool has[2] = {false, false};
	const char *bad;

	cfg->link.mtu = b & 1 ? 1280 : 1500;
	cfg->link.can_tso4 = cfg->link.can_tso6 = cfg->link.can_csum = b & 2;
	cfg->link.capture_ring = b & 4 ? 65536 : 0;
	if (!(b & 8))
		return;
	ASSERT(!impair_parse(texts[b >> 4 & 3], &im[0], &has[0], &im[1],
			     &has[1], &bad));
	cfg->link.impair_in = has[0] ? &im[0] : NULL;
	cfg->link.impair_out = has[1] ? &im[1] : NULL;
}

static void bind_any(struct world *w, sockid s, int family, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	put_be16(&in.sin_port, port);
	put_be16(&in6.sin6_port, port);
	if (family == AF_INET)
		sock_bind(w->st, s, (struct sockaddr *)&in, sizeof(in), w->now);
	else
		sock_bind(w->st, s, (struct sockaddr *)&in6, sizeof(in6),
			  w->now);
}

/* The peer opens a connection, if the impaired link lets it. */
static void establish(struct world *w)
{
	static const uint8_t opts[] = {2, 4, 5, 0xb4, 4, 2, 1, 1,
				       3, 3, 7, 1,    0, 0, 0, 0};

	send_segment(w, TCP_SYN, w->seq++, 0, 65535, opts, 12, NULL, 0);
	drain(w, 0);
	if (!w->saw_synack)
		return;
	send_segment(w, TCP_ACK, w->seq, w->ack, 512, NULL, 0, NULL, 0);
	drain(w, 0);
	sock_accept(w->st, w->socks[0], &w->socks[1], w->now);
}

static void join_groups(struct world *w)
{
	struct ip_mreq m4 = {0};
	struct ipv6_mreq m6 = {0};

	memcpy(&m4.imr_multiaddr, group4, sizeof(group4));
	memcpy(&m6.ipv6mr_multiaddr, group6, sizeof(group6));
	sock_setopt(w->st, w->socks[2], IPPROTO_IP, IP_ADD_MEMBERSHIP, &m4,
		    sizeof(m4), w->now);
	sock_setopt(w->st, w->socks[3], IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m6,
		    sizeof(m6), w->now);
}

static bool world_init(struct world *w, uint8_t links)
{
	static const uint8_t us[4] = {10, 0, 0, 2}, peer[4] = {10, 0, 0, 1};
	struct impair_cfg im[2];
	struct stack_cfg cfg = {.num_addrs = 2, .dev_name = "fuzz0"};
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct sysctl_values v = sysctl_defaults;
	uint8_t seed[32] = {links};

	*w = (struct world){.now = SEC, .seq = 1000};
	w->us = ip_addr_v4(us);
	w->peer = ip_addr_v4(peer);
	cfg.addrs[0].addr = w->us;
	cfg.addrs[0].plen = 24;
	cfg.addrs[1].addr = (struct ip_addr){.b = {0xfd, [15] = 2}};
	cfg.addrs[1].plen = 64;
	set_links(&cfg, im, links);
	v.tcp_uto = links >> 6 & 1;
	cfg.sysctl = &v;
	w->arena = arena_new_malloc(32 << 20);
	w->st = stack_new(w->arena, &cfg, seed, w->now);
	if (!w->st)
		return false;
	sock_new(w->st, AF_INET, SOCK_STREAM, 0, &w->socks[0], w->now);
	bind_any(w, w->socks[0], AF_INET, OUR_PORT);
	sock_listen(w->st, w->socks[0], 4, w->now);
	sock_new(w->st, AF_INET, SOCK_DGRAM, 0, &w->socks[2], w->now);
	bind_any(w, w->socks[2], AF_INET, 53);
	sock_new(w->st, AF_INET6, SOCK_DGRAM, 0, &w->socks[3], w->now);
	bind_any(w, w->socks[3], AF_INET6, 54);
	sock_new(w->st, AF_INET, SOCK_DGRAM, 0, &w->socks[4], w->now);
	memcpy(&to.sin_addr, peer, 4);
	put_be16(&to.sin_port, 7);
	sock_connect(w->st, w->socks[4], (struct sockaddr *)&to, sizeof(to),
		     w->now);
	sock_new(w->st, AF_INET, SOCK_STREAM, 0, &w->socks[5], w->now);
	sock_new(w->st, AF_INET, SOCK_RAW, IPPROTO_ICMP, &w->socks[6], w->now);
	sock_new(w->st, AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, &w->socks[7],
		 w->now);
	join_groups(w);
	establish(w);
	return true;
}

static void world_fini(struct world *w)
{
	static uint8_t sink[1 << 16];

	while (stack_capture_drain(w->st, sink, sizeof(sink)))
		;
	stack_free(w->st);
	ASSERT(arena_used(w->arena) == 0);
	arena_destroy_malloc(w->arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	struct world w;

	if (!size || !world_init(&w, take8(&in)))
		return 0;
	while (left(&in)) {
		uint8_t op = take8(&in);

		switch (op % 6) {
		case 0:
			step_raw(&w, &in);
			break;
		case 1:
			step_fixed(&w, &in);
			break;
		case 2:
		case 3:
			step_segment(&w, &in);
			break;
		case 4:
			step_call(&w, &in);
			break;
		default:
			step_time(&w, &in);
			break;
		}
		if (op & 0x40) /* else packets pile up in the queue */
			drain(&w, op & 0x80 ? -EIO : 0);
	}
	world_fini(&w);
	return 0;
}
