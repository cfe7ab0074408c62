/* SPDX-License-Identifier: MIT */
#include "wire/wire.h"

#include "base/csum.h"
#include "base/log.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

struct text {
	char *out;
	size_t len, room;
};

struct packet {
	const char *name; /* IP or IP6 */
	struct ip_addr src, dst;
	uint8_t proto;
	bool is_later; /* a fragment that is not the first */
	unsigned frag_off;
	bool more;
	const uint8_t *l4;
	uint32_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *t,
						      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += log_format(t->out + t->len, t->room - t->len, fmt, ap);
	va_end(ap);
}

static bool read_ip4(struct packet *k, const uint8_t *p, size_t len)
{
	struct ip4_repr r;

	if (ip4_parse(&r, p, len))
		return false;
	*k = (struct packet){
		.name = "IP",
		.src = r.src,
		.dst = r.dst,
		.proto = r.proto,
		.is_later = r.frag_off > 0,
		.frag_off = r.frag_off,
		.more = r.mf,
		.l4 = p + r.hdr_len,
		.len = (uint32_t)(r.total_len - r.hdr_len),
	};
	return true;
}

static bool read_ip6(struct packet *k, const uint8_t *p, size_t len)
{
	struct ip6_repr r;
	struct ip6_chain c;

	if (ip6_parse(&r, p, len) || ip6_walk(&c, p, len))
		return false;
	*k = (struct packet){
		.name = "IP6",
		.src = r.src,
		.dst = r.dst,
		.proto = c.proto,
		.is_later = c.frag_off > 0,
		.frag_off = c.frag_off,
		.more = c.more,
		.l4 = p + c.off,
		.len = (uint32_t)IP6_HLEN + r.payload_len - c.off,
	};
	return true;
}

static void say_ends(struct text *t, const struct packet *k, bool has_ports)
{
	char src[IP_ADDR_STRLEN], dst[IP_ADDR_STRLEN];

	ip_addr_str(&k->src, src);
	ip_addr_str(&k->dst, dst);
	if (has_ports)
		say(t, "%s %s.%u > %s.%u: ", k->name, src, get_be16(k->l4), dst,
		    get_be16(k->l4 + 2));
	else
		say(t, "%s %s > %s: ", k->name, src, dst);
}

static void say_tcp(struct text *t, const struct packet *k)
{
	struct tcp_repr r;

	if (tcp_parse(&r, &k->src, &k->dst, k->l4, k->len, CSUM_VALID))
		say(t, "tcp ?");
	else
		t->len += tcp_print(&r, k->len - r.hdr_len, t->out + t->len,
				    t->room - t->len);
}

static void say_udp(struct text *t, const struct packet *k)
{
	struct udp_repr r;

	/* PARTIAL: nothing to be said about the checksum; a first fragment is
	 * shorter than its length field */
	if (udp_parse(&r, &k->src, &k->dst, k->l4,
		      k->more ? MAX(k->len, get_be16(k->l4 + 4)) : k->len,
		      CSUM_PARTIAL))
		say(t, "udp ?");
	else
		t->len += udp_print(&r, t->out + t->len, t->room - t->len);
}

static void say_icmp(struct text *t, const struct packet *k)
{
	struct icmp_repr r;

	if (icmp_parse(&r, &k->src, &k->dst, k->l4, k->len, 1))
		say(t, "icmp ?");
	else
		t->len += icmp_print(&r, ip_addr_is4(&k->src), t->out + t->len,
				     t->room - t->len);
}

static void say_l4(struct text *t, const struct packet *k)
{
	bool has_ports = (k->proto == IPPROTO_TCP || k->proto == IPPROTO_UDP) &&
			 !k->is_later && k->len >= UDP_HLEN;
	bool is4 = ip_addr_is4(&k->src);

	say_ends(t, k, has_ports);
	if (k->is_later)
		say(t, "ip-proto-%u, length %u", k->proto, k->len);
	else if (has_ports && k->proto == IPPROTO_TCP)
		say_tcp(t, k);
	else if (has_ports)
		say_udp(t, k);
	else if (k->proto == (is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		say_icmp(t, k);
	else
		say(t, "ip-proto-%u, length %u", k->proto, k->len);
	if (k->is_later || k->more)
		say(t, " (frag %u%s)", k->frag_off, k->more ? "+" : "");
}

size_t wire_print(const uint8_t *p, size_t len, char *out, size_t room)
{
	struct text t = {.out = out, .room = room};
	struct packet k;
	bool is6 = len && p[0] >> 4 == 6;

	if (is6 ? read_ip6(&k, p, len) : read_ip4(&k, p, len))
		say_l4(&t, &k);
	else
		say(&t, "%s ?, length %u", is6 ? "IP6" : "IP", (unsigned)len);
	return t.len;
}

/* --- marking --- */

#define CE 3u

static void mark4(uint8_t *ip)
{
	size_t hlen = (ip[0] & 15u) * 4;
	uint16_t sum;

	ip[1] |= CE;
	put_be16(ip + 10, 0);
	sum = csum_fold(csum_add(0, ip, hlen));
	memcpy(ip + 10, &sum, 2);
}

bool wire_mark_ce(uint8_t *ip, size_t len)
{
	if (len >= IP4_HLEN && ip[0] >> 4 == 4) {
		if (!(ip[1] & CE) || (ip[0] & 15u) * 4u > len)
			return false;
		mark4(ip);
		return true;
	}
	/* the traffic class lies across bytes 0 and 1 */
	if (len < IP6_HLEN || ip[0] >> 4 != 6 || !(ip[1] >> 4 & CE))
		return false;
	ip[1] |= CE << 4;
	return true;
}
