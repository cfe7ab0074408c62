/* SPDX-License-Identifier: MIT */
#include "wire/tcp.h"

#include "base/csum.h"
#include "base/log.h"

enum { /* option kinds */
       OPT_END = 0,
       OPT_NOP = 1,
       OPT_MSS = 2,	/* RFC 9293 3.7.1 */
       OPT_WSCALE = 3,	/* RFC 7323 2 */
       OPT_SACK_OK = 4, /* RFC 2018 2 */
       OPT_SACK = 5,	/* RFC 2018 3 */
       OPT_TS = 8,	/* RFC 7323 3 */
       OPT_FO = 34,	/* RFC 7413 4.1.1 */
       OPT_EXP = 254,	/* RFC 6994; Fast Open before it had a number */
};

enum { /* their lengths */
       LEN_MSS = 4,
       LEN_WSCALE = 3,
       LEN_SACK_OK = 2,
       LEN_SACK_BASE = 2,
       LEN_SACK_BLOCK = 8,
       LEN_TS = 10,
       LEN_FO_BASE = 2,
       LEN_EXP_BASE = 4,
};

#define EXP_FO 0xf989 /* RFC 7413 4.1.1 */
#define FO_MIN 4

static void parse_sack(struct tcp_repr *r, const uint8_t *p, unsigned len)
{
	unsigned num = (len - LEN_SACK_BASE) / LEN_SACK_BLOCK;

	if (!num || (len - LEN_SACK_BASE) % LEN_SACK_BLOCK)
		return;
	r->num_sack = (uint8_t)MIN(num, TCP_MAX_SACK);
	for (unsigned i = 0; i < r->num_sack; i++) {
		const uint8_t *b = p + LEN_SACK_BASE + i * LEN_SACK_BLOCK;

		r->sack[i].start = get_be32(b);
		r->sack[i].end = get_be32(b + 4);
	}
}

static void parse_fo(struct tcp_repr *r, const uint8_t *p, unsigned len,
		     bool exp)
{
	if (len && (len < FO_MIN || len > TCP_FO_MAX || len & 1))
		return;
	r->fo.is_there = true;
	r->fo.exp = exp;
	r->fo.len = (uint8_t)len;
	memcpy(r->fo.v, p, len);
}

/* An option of a wrong length is passed over, as Linux does. */
static void parse_option(struct tcp_repr *r, const uint8_t *p, unsigned len)
{
	bool is_syn = r->flags & TCP_SYN;

	switch (p[0]) {
	case OPT_MSS:
		if (is_syn && len == LEN_MSS && get_be16(p + 2)) {
			r->has_mss = true;
			r->mss = get_be16(p + 2);
		}
		break;
	case OPT_WSCALE:
		if (is_syn && len == LEN_WSCALE) {
			r->has_wscale = true;
			r->wscale = p[2];
		}
		break;
	case OPT_SACK_OK:
		if (is_syn && len == LEN_SACK_OK)
			r->sack_ok = true;
		break;
	case OPT_SACK:
		parse_sack(r, p, len);
		break;
	case OPT_TS:
		if (len == LEN_TS) {
			r->has_ts = true;
			r->ts_val = get_be32(p + 2);
			r->ts_ecr = get_be32(p + 6);
		}
		break;
	case OPT_FO:
		if (is_syn)
			parse_fo(r, p + LEN_FO_BASE, len - LEN_FO_BASE, false);
		break;
	case OPT_EXP:
		if (is_syn && len >= LEN_EXP_BASE && get_be16(p + 2) == EXP_FO)
			parse_fo(r, p + LEN_EXP_BASE, len - LEN_EXP_BASE, true);
		break;
	}
}

static void parse_options(struct tcp_repr *r, const uint8_t *p, unsigned left)
{
	while (left) {
		unsigned len = 1;

		if (p[0] == OPT_END)
			return;
		if (p[0] != OPT_NOP) {
			if (left < 2 || p[1] < 2 || p[1] > left)
				return;
			len = p[1];
			parse_option(r, p, len);
		}
		p += len;
		left -= len;
	}
}

enum drop tcp_parse(struct tcp_repr *r, const struct ip_addr *src,
		    const struct ip_addr *dst, const uint8_t *p, size_t len,
		    enum csum_state state)
{
	*r = (struct tcp_repr){0};
	if (len < TCP_HLEN)
		return DROP_TCP_MALFORMED;
	r->hdr_len = (uint8_t)((p[12] >> 4) * 4);
	if (r->hdr_len < TCP_HLEN || r->hdr_len > len)
		return DROP_TCP_MALFORMED;
	if (state == CSUM_NONE) {
		uint64_t sum =
			csum_pseudo(src, dst, IPPROTO_TCP, (uint32_t)len);

		if (csum_fold(csum_add(sum, p, len)) != 0)
			return DROP_TCP_CSUM;
	}
	r->src_port = get_be16(p);
	r->dst_port = get_be16(p + 2);
	r->seq = get_be32(p + 4);
	r->ack = get_be32(p + 8);
	r->ns = p[12] & 1;
	r->flags = p[13];
	r->window = get_be16(p + 14);
	memcpy(&r->csum, p + 16, 2);
	r->urg = get_be16(p + 18);
	parse_options(r, p + TCP_HLEN, r->hdr_len - TCP_HLEN);
	return DROP_NONE;
}

/* With its padding; 0 where it does not fit behind @before bytes. */
static unsigned fo_len(const struct tcp_repr *r, unsigned before)
{
	unsigned n = r->fo.exp ? LEN_EXP_BASE : LEN_FO_BASE;

	if (!r->fo.is_there)
		return 0;
	n = (n + r->fo.len + 3u) & ~3u;
	return before + n <= TCP_HLEN + TCP_MAX_OPTS ? n : 0;
}

/* Bytes before the SACK blocks. Every option is padded in front to 4, the
 * layout that Linux uses and that middleboxes know. */
static unsigned fixed_len(const struct tcp_repr *r)
{
	unsigned n = TCP_HLEN;

	n += r->has_mss ? LEN_MSS : 0;
	if (r->has_ts)
		n += 2 + LEN_TS; /* two NOPs, or SACK-permitted */
	else if (r->sack_ok)
		n += 2 + LEN_SACK_OK;
	n += r->has_wscale ? 1 + LEN_WSCALE : 0;
	return n + fo_len(r, n);
}

static unsigned num_sack_fit(const struct tcp_repr *r)
{
	unsigned room = TCP_HLEN + TCP_MAX_OPTS - fixed_len(r);

	if (room < 2 + LEN_SACK_BASE)
		return 0;
	room = (room - 2 - LEN_SACK_BASE) / LEN_SACK_BLOCK;
	return MIN(MIN(room, r->num_sack), TCP_MAX_SACK);
}

unsigned tcp_emit_len(const struct tcp_repr *r)
{
	unsigned num = num_sack_fit(r);

	return fixed_len(r) +
	       (num ? 2 + LEN_SACK_BASE + num * LEN_SACK_BLOCK : 0);
}

static uint8_t *emit_sack(const struct tcp_repr *r, uint8_t *p)
{
	unsigned num = num_sack_fit(r);

	if (!num)
		return p;
	*p++ = OPT_NOP;
	*p++ = OPT_NOP;
	*p++ = OPT_SACK;
	*p++ = (uint8_t)(LEN_SACK_BASE + num * LEN_SACK_BLOCK);
	for (unsigned i = 0; i < num; i++, p += LEN_SACK_BLOCK) {
		put_be32(p, r->sack[i].start);
		put_be32(p + 4, r->sack[i].end);
	}
	return p;
}

static uint8_t *emit_fo(const struct tcp_repr *r, uint8_t *p, unsigned room)
{
	uint8_t *end = p + room;

	if (!room)
		return p;
	*p++ = r->fo.exp ? OPT_EXP : OPT_FO;
	*p++ = (uint8_t)((r->fo.exp ? LEN_EXP_BASE : LEN_FO_BASE) + r->fo.len);
	if (r->fo.exp) {
		put_be16(p, EXP_FO);
		p += 2;
	}
	memcpy(p, r->fo.v, r->fo.len);
	p += r->fo.len;
	while (p < end)
		*p++ = OPT_NOP;
	return p;
}

static uint8_t *emit_options(const struct tcp_repr *r, uint8_t *p)
{
	uint8_t *begin = p;

	if (r->has_mss) {
		*p++ = OPT_MSS;
		*p++ = LEN_MSS;
		put_be16(p, r->mss);
		p += 2;
	}
	if (r->has_ts || r->sack_ok) {
		bool ok_last = r->sack_ok && !r->has_ts;

		*p++ = r->sack_ok && !ok_last ? OPT_SACK_OK : OPT_NOP;
		*p++ = r->sack_ok && !ok_last ? LEN_SACK_OK : OPT_NOP;
		*p++ = ok_last ? OPT_SACK_OK : OPT_TS;
		*p++ = ok_last ? LEN_SACK_OK : LEN_TS;
	}
	if (r->has_ts) {
		put_be32(p, r->ts_val);
		put_be32(p + 4, r->ts_ecr);
		p += 8;
	}
	if (r->has_wscale) {
		*p++ = OPT_NOP;
		*p++ = OPT_WSCALE;
		*p++ = LEN_WSCALE;
		*p++ = r->wscale;
	}
	p = emit_fo(r, p, fo_len(r, (unsigned)(p - begin) + TCP_HLEN));
	return emit_sack(r, p);
}

void tcp_emit(struct tcp_repr *r, uint8_t *p)
{
	r->hdr_len = (uint8_t)tcp_emit_len(r);
	put_be16(p, r->src_port);
	put_be16(p + 2, r->dst_port);
	put_be32(p + 4, r->seq);
	put_be32(p + 8, r->ack);
	p[12] = (uint8_t)(r->hdr_len / 4 << 4 | (r->ns & 1));
	p[13] = r->flags;
	put_be16(p + 14, r->window);
	memcpy(p + 16, &r->csum, 2);
	put_be16(p + 18, r->urg);
	emit_options(r, p + TCP_HLEN);
}

struct text {
	char *out;
	size_t len, room;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *t,
						      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += log_format(t->out + t->len, t->room - t->len, fmt, ap);
	va_end(ap);
}

static void print_flags(const struct tcp_repr *r, struct text *t)
{
	static const char letters[] = "FSRP.UEW"; /* by bit, as tcpdump */

	say(t, "Flags [");
	for (unsigned i = 0; i < 8; i++)
		if (r->flags & 1u << i)
			say(t, "%c", letters[i]);
	if (r->ns)
		say(t, "e");
	say(t, r->flags || r->ns ? "]" : "none]");
}

static void print_options(const struct tcp_repr *r, struct text *t)
{
	const char *sep = "";

	if (!(r->has_mss || r->has_ts || r->has_wscale || r->sack_ok ||
	      r->num_sack))
		return;
	say(t, ", options [");
	if (r->has_mss) {
		say(t, "mss %u", r->mss);
		sep = ",";
	}
	if (r->sack_ok) {
		say(t, "%ssackOK", sep);
		sep = ",";
	}
	if (r->has_ts) {
		say(t, "%sTS val %u ecr %u", sep, r->ts_val, r->ts_ecr);
		sep = ",";
	}
	if (r->has_wscale) {
		say(t, "%swscale %u", sep, r->wscale);
		sep = ",";
	}
	if (r->num_sack)
		say(t, "%ssack %u ", sep, r->num_sack);
	for (unsigned i = 0; i < r->num_sack; i++)
		say(t, "{%u:%u}", r->sack[i].start, r->sack[i].end);
	say(t, "]");
}

size_t tcp_print(const struct tcp_repr *r, uint32_t payload, char *out,
		 size_t len)
{
	struct text t = {.out = out, .room = len};

	print_flags(r, &t);
	if (payload)
		say(&t, ", seq %u:%u", r->seq, r->seq + payload);
	else if (r->flags & (TCP_SYN | TCP_FIN | TCP_RST))
		say(&t, ", seq %u", r->seq);
	if (r->flags & TCP_ACK)
		say(&t, ", ack %u", r->ack);
	say(&t, ", win %u", r->window);
	if (r->flags & TCP_URG)
		say(&t, ", urg %u", r->urg);
	print_options(r, &t);
	say(&t, ", length %u", payload);
	return t.len;
}
