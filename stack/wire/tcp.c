/* SPDX-License-Identifier: MIT */
#include "wire/tcp.h"

#include "base/csum.h"
#include "base/log.h"

enum { /* option kinds */
       OPT_END = 0,
       OPT_NOP = 1,
       OPT_MSS = 2,	  /* RFC 9293 3.7.1 */
       OPT_WSCALE = 3,	  /* RFC 7323 2 */
       OPT_SACK_OK = 4,	  /* RFC 2018 2 */
       OPT_SACK = 5,	  /* RFC 2018 3 */
       OPT_TS = 8,	  /* RFC 7323 3 */
       OPT_MD5 = 19,	  /* RFC 2385 3.0 */
       OPT_UTO = 28,	  /* RFC 5482 3.3 */
       OPT_AO = 29,	  /* RFC 5925 2.2 */
       OPT_FO = 34,	  /* RFC 7413 4.1.1 */
       OPT_ACCECN0 = 172, /* RFC 9768 3.2.3 */
       OPT_ACCECN1 = 174,
       OPT_EXP = 254, /* RFC 6994; Fast Open before it had a number */
};

enum { /* their lengths */
       LEN_MSS = 4,
       LEN_WSCALE = 3,
       LEN_SACK_OK = 2,
       LEN_SACK_BASE = 2,
       LEN_SACK_BLOCK = 8,
       LEN_TS = 10,
       LEN_MD5 = 18,
       LEN_UTO = 4,
       LEN_AO_BASE = 4,
       LEN_FO_BASE = 2,
       LEN_EXP_BASE = 4,
       LEN_ACCECN_BASE = 2,
       LEN_ACCECN_FIELD = 3,
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

static void parse_accecn(struct tcp_repr *r, const uint8_t *p, unsigned len)
{
	struct tcp_accecn_opt *o = &r->accecn;
	unsigned num = (len - LEN_ACCECN_BASE) / LEN_ACCECN_FIELD;

	o->is_there = true;
	o->order = p[0] == OPT_ACCECN1;
	o->num = (uint8_t)MIN(num, TCP_ACCECN_FIELDS);
	p += LEN_ACCECN_BASE;
	for (unsigned i = 0; i < o->num; i++, p += LEN_ACCECN_FIELD)
		o->v[i] = (uint32_t)p[0] << 16 | get_be16(p + 1);
}

/* tcp_parse_auth_options() of Linux: one of them at most. */
static void parse_auth(struct tcp_repr *r, const uint8_t *p, unsigned len,
		       unsigned at)
{
	if (p[0] == OPT_MD5 && len != LEN_MD5)
		return;
	if (r->has_md5 || r->ao_len || (p[0] == OPT_AO && len <= LEN_AO_BASE)) {
		r->auth_bad = true;
		return;
	}
	if (p[0] == OPT_MD5) {
		r->has_md5 = true;
		r->md5_at = (uint8_t)(at + 2);
		return;
	}
	r->ao_at = (uint8_t)at;
	r->ao_len = (uint8_t)len;
	r->ao_key = p[2];
	r->ao_rnext = p[3];
}

/* An option of a wrong length is passed over, as Linux does. @at: where it is
 * in the header. */
static void parse_option(struct tcp_repr *r, const uint8_t *p, unsigned len,
			 unsigned at)
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
	case OPT_MD5:
	case OPT_AO:
		parse_auth(r, p, len, at);
		break;
	case OPT_UTO: /* a time of 0 is reserved, RFC 5482 3.4 */
		if (len == LEN_UTO && get_be16(p + 2) & 0x7fff)
			r->uto = get_be16(p + 2);
		break;
	case OPT_FO:
		if (is_syn)
			parse_fo(r, p + LEN_FO_BASE, len - LEN_FO_BASE, false);
		break;
	case OPT_ACCECN0:
	case OPT_ACCECN1:
		parse_accecn(r, p, len);
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
			parse_option(r, p, len, r->hdr_len - left);
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

static unsigned auth_len(const struct tcp_repr *r)
{
	if (r->has_md5)
		return 2 + LEN_MD5;
	return ALIGN_UP((unsigned)r->ao_len, 4u);
}

/* Bytes of what is always there. Every option is padded in front to 4, the
 * layout that Linux uses and that middleboxes know. */
static unsigned plain_len(const struct tcp_repr *r)
{
	unsigned n = TCP_HLEN + auth_len(r);

	n += r->has_mss ? LEN_MSS : 0;
	if (r->has_ts)
		n += 2 + LEN_TS; /* two NOPs, or SACK-permitted */
	else if (r->sack_ok)
		n += 2 + LEN_SACK_OK;
	return n + (r->has_wscale ? 1 + LEN_WSCALE : 0);
}

static unsigned uto_len(const struct tcp_repr *r, unsigned before)
{
	if (!r->uto || before + LEN_UTO > TCP_HLEN + TCP_MAX_OPTS)
		return 0;
	return LEN_UTO;
}

static unsigned base_len(const struct tcp_repr *r)
{
	unsigned n = plain_len(r);

	n += fo_len(r, n);
	return n + uto_len(r, n);
}

static unsigned sack_len(unsigned num)
{
	return num ? 2 + LEN_SACK_BASE + num * LEN_SACK_BLOCK : 0;
}

/* How many bytes over a multiple of 4 go where another option would have
 * NOPs. */
static unsigned accecn_joins(const struct tcp_repr *r)
{
	if (r->num_sack || (r->sack_ok && !r->has_ts))
		return 2;
	return r->has_wscale;
}

static unsigned accecn_len(const struct tcp_repr *r, unsigned num)
{
	unsigned n = LEN_ACCECN_BASE + num * LEN_ACCECN_FIELD, over = n % 4;

	return over > accecn_joins(r) ? n - over + 4 : n - over;
}

static unsigned fixed_len(const struct tcp_repr *r)
{
	return base_len(r) +
	       (r->accecn.is_there ? accecn_len(r, r->accecn.num) : 0);
}

static unsigned num_sack_fit(const struct tcp_repr *r)
{
	unsigned room = TCP_HLEN + TCP_MAX_OPTS - fixed_len(r);

	if (room < 2 + LEN_SACK_BASE)
		return 0;
	room = (room - 2 - LEN_SACK_BASE) / LEN_SACK_BLOCK;
	return MIN(MIN(room, r->num_sack), TCP_MAX_SACK);
}

/* The order in which Linux tries: all fields, fewer, then fewer blocks. */
bool tcp_fit_accecn(struct tcp_repr *r, unsigned least)
{
	unsigned room = TCP_HLEN + TCP_MAX_OPTS - base_len(r);
	unsigned sacks, num;

	r->accecn.is_there = false;
	for (sacks = num_sack_fit(r);; sacks--) {
		for (num = TCP_ACCECN_FIELDS + 1; num-- > least;) {
			if (accecn_len(r, num) + sack_len(sacks) > room)
				continue;
			r->num_sack = (uint8_t)sacks;
			r->accecn.is_there = true;
			r->accecn.num = (uint8_t)num;
			return true;
		}
		if (sacks <= 2 || !least)
			return false;
	}
}

unsigned tcp_emit_len(const struct tcp_repr *r)
{
	return fixed_len(r) + sack_len(num_sack_fit(r));
}

/* Where options are written, and what of one is still to go where the next has
 * its padding. */
struct opts_out {
	uint8_t *p;
	uint8_t left[2];
	unsigned num_left;
};

/* Two bytes are not torn apart for the sake of one. */
static void put_pad(struct opts_out *o, unsigned num)
{
	unsigned i = 0;

	if (o->num_left <= num) {
		for (; i < o->num_left; i++)
			*o->p++ = o->left[i];
		o->num_left = 0;
	}
	for (; i < num; i++)
		*o->p++ = OPT_NOP;
}

static void emit_accecn(const struct tcp_repr *r, struct opts_out *o)
{
	uint8_t b[LEN_ACCECN_BASE + TCP_ACCECN_FIELDS * LEN_ACCECN_FIELD];
	unsigned n = LEN_ACCECN_BASE, len, now;

	if (!r->accecn.is_there)
		return;
	for (unsigned i = 0; i < r->accecn.num; i++, n += LEN_ACCECN_FIELD) {
		b[n] = (uint8_t)(r->accecn.v[i] >> 16);
		put_be16(b + n + 1, (uint16_t)r->accecn.v[i]);
	}
	b[0] = r->accecn.order ? OPT_ACCECN1 : OPT_ACCECN0;
	b[1] = (uint8_t)n;
	len = accecn_len(r, r->accecn.num);
	now = MIN(n, len);
	memcpy(o->p, b, now);
	o->p += now;
	for (; now < len; now++)
		*o->p++ = OPT_NOP;
	for (; now < n; now++)
		o->left[o->num_left++] = b[now];
}

static void emit_sack(const struct tcp_repr *r, struct opts_out *o)
{
	unsigned num = num_sack_fit(r);

	if (!num)
		return;
	put_pad(o, 2);
	*o->p++ = OPT_SACK;
	*o->p++ = (uint8_t)(LEN_SACK_BASE + num * LEN_SACK_BLOCK);
	for (unsigned i = 0; i < num; i++, o->p += LEN_SACK_BLOCK) {
		put_be32(o->p, r->sack[i].start);
		put_be32(o->p + 4, r->sack[i].end);
	}
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

static uint8_t *emit_auth(struct tcp_repr *r, uint8_t *p)
{
	unsigned n = auth_len(r);

	if (!n)
		return p;
	memset(p, 0, n);
	if (r->has_md5) {
		p[0] = p[1] = OPT_NOP;
		p[2] = OPT_MD5;
		p[3] = LEN_MD5;
		r->md5_at = TCP_HLEN + 4;
		return p + n;
	}
	p[0] = OPT_AO;
	p[1] = r->ao_len;
	p[2] = r->ao_key;
	p[3] = r->ao_rnext;
	memset(p + r->ao_len, OPT_NOP, n - r->ao_len);
	r->ao_at = TCP_HLEN;
	return p + n;
}

static void emit_ts(const struct tcp_repr *r, struct opts_out *o)
{
	*o->p++ = r->sack_ok ? OPT_SACK_OK : OPT_NOP;
	*o->p++ = r->sack_ok ? LEN_SACK_OK : OPT_NOP;
	*o->p++ = OPT_TS;
	*o->p++ = LEN_TS;
	put_be32(o->p, r->ts_val);
	put_be32(o->p + 4, r->ts_ecr);
	o->p += 8;
}

static void emit_options(struct tcp_repr *r, uint8_t *begin)
{
	struct opts_out o = {.p = emit_auth(r, begin)};
	unsigned n;

	if (r->has_mss) {
		*o.p++ = OPT_MSS;
		*o.p++ = LEN_MSS;
		put_be16(o.p, r->mss);
		o.p += 2;
	}
	if (r->has_ts)
		emit_ts(r, &o);
	emit_accecn(r, &o);
	if (r->sack_ok && !r->has_ts) {
		put_pad(&o, 2);
		*o.p++ = OPT_SACK_OK;
		*o.p++ = LEN_SACK_OK;
	}
	if (r->has_wscale) {
		put_pad(&o, 1);
		*o.p++ = OPT_WSCALE;
		*o.p++ = LEN_WSCALE;
		*o.p++ = r->wscale;
	}
	n = plain_len(r);
	o.p = emit_fo(r, o.p, fo_len(r, n));
	emit_sack(r, &o);
	if (uto_len(r, n + fo_len(r, n))) {
		o.p[0] = OPT_UTO;
		o.p[1] = LEN_UTO;
		put_be16(o.p + 2, r->uto);
	}
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
	      r->num_sack || r->accecn.is_there || r->has_md5 || r->ao_len ||
	      r->uto))
		return;
	say(t, ", options [");
	if (r->has_md5 || r->ao_len) {
		say(t, r->has_md5 ? "md5" : "tcp-ao");
		sep = ",";
	}
	if (r->has_mss) {
		say(t, "%smss %u", sep, r->mss);
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
	if (r->accecn.is_there) {
		say(t, "%saccecn%u", sep, r->accecn.order);
		for (unsigned i = 0; i < r->accecn.num; i++)
			say(t, " %u", r->accecn.v[i]);
		sep = ",";
	}
	if (r->uto) {
		say(t, "%suto 0x%x", sep, r->uto); /* as tcpdump */
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
