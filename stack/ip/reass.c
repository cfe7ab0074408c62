/* SPDX-License-Identifier: MIT
 *
 * reass.c - fragments become datagrams again
 *
 * One buffer a datagram, into which a fragment's bytes are copied when it
 * comes: a small fragment never pins the frame that it came in. The buffer
 * grows by classes. What is missing is a list of holes (RFC 815) that live in
 * the holes themselves; there is always room, since every hole between
 * fragments is a multiple of eight bytes. Behind the last byte so far is no
 * hole, it is the end that grows.
 *
 * In front of the data there is room for the headers of fragment zero, kept as
 * they came until the datagram is complete: a timeout quotes them.
 *
 * What overlaps kills the whole datagram, in both families (RFC 5722 and its
 * erratum 3089; Linux does so for IPv4 too); a fragment of which every byte is
 * here already is a duplicate and ignored. A datagram that was killed may begin
 * anew with the next fragment, as in Linux. Atomic fragments don't come here
 * (RFC 6946).
 *
 * Memory: all buffers together stay under ipfrag_high_thresh; the oldest
 * datagram goes first. Time: ipfrag_time and ip6frag_time from the first
 * fragment that came, so a list a family is in order of expiry.
 */
#include "ip/ip_priv.h"

#include "base/csum.h"
#include "base/rebuild.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#define HEAD_ROOM 256 /* headers in front; the rest of FRAME_LARGE is data */
#define NO_HOLE 0xffff

/* Data bytes of a buffer: it moves to the next class when one is full. */
static const uint32_t classes[] = {FRAME_SMALL - HEAD_ROOM, 8192, 24576,
				   FRAME_LARGE - HEAD_ROOM};

/* A hole, at its own first byte. All in units of eight bytes. */
struct hole {
	uint16_t end, next;
};

struct dgram {
	struct hnode node;
	struct list age;
	struct ip_addr src, dst;
	nsec expires_at;
	struct frame *f; /* data at HEAD_ROOM, while it is put together */
	uint32_t id;
	uint32_t end;	    /* of the furthest byte */
	uint32_t first_len; /* data bytes of fragment zero */
	uint16_t hdr_len;   /* of fragment zero, 0 until it is here */
	uint16_t next_off;
	uint16_t holes; /* first one, or NO_HOLE */
	uint8_t proto;
	uint8_t next;	  /* IPv6: what follows, says fragment zero */
	uint8_t ecn_seen; /* 1 << codepoint */
	bool is4, has_last;
};

struct reass {
	struct ip *ip;
	struct htab tab;
	struct list age[2]; /* IPv6, IPv4: oldest first */
	size_t used;
};

struct reass *reass_new(struct ip *ip)
{
	struct reass *rs = arena_zalloc(ip->core->arena, sizeof(*rs));

	if (!rs)
		return NULL;
	if (htab_init(&rs->tab, ip->core->arena)) {
		arena_free(ip->core->arena, rs);
		return NULL;
	}
	rs->ip = ip;
	list_init(&rs->age[0]);
	list_init(&rs->age[1]);
	return rs;
}

static void dgram_free(struct reass *rs, struct dgram *d)
{
	struct arena *a = rs->ip->core->arena;

	htab_remove(&rs->tab, &d->node);
	list_remove(&d->age);
	rs->used -= sizeof(*d);
	if (d->f)
		rs->used -= d->f->b.size;
	frame_put(a, d->f);
	arena_free(a, d);
}

void reass_free(struct reass *rs)
{
	struct dgram *d;

	if (!rs)
		return;
	for (int fam = 0; fam < 2; fam++)
		while ((d = list_first(&rs->age[fam], struct dgram, age)))
			dgram_free(rs, d);
	htab_fini(&rs->tab);
	arena_free(rs->ip->core->arena, rs);
}

uint32_t reass_num(const struct reass *rs)
{
	return rs->tab.num;
}

size_t reass_used(const struct reass *rs)
{
	return rs->used;
}

/* Gives up on @d: the reason is @why. */
static void fail(struct reass *rs, struct dgram *d, enum drop why)
{
	IP_STAT(rs->ip, d->is4, ReasmFails);
	drop(rs->ip->core, why);
	dgram_free(rs, d);
}

/* RFC 791 3.2: source, destination, identifier and protocol; RFC 8200 4.5: no
 * protocol, each fragment could name another. */
static uint32_t key_hash(const struct reass *rs, const struct frag *fr)
{
	struct {
		struct ip_addr src, dst;
		uint32_t id, proto;
	} key = {fr->src, fr->dst, fr->id, fr->is4 ? fr->proto : 256};

	return (uint32_t)sip_hash(&rs->ip->core->hash_key, &key, sizeof(key));
}

static struct dgram *lookup(const struct reass *rs, const struct frag *fr,
			    uint32_t hash)
{
	struct hnode *n;

	for (n = htab_first(&rs->tab, hash); n; n = htab_next(n)) {
		struct dgram *d = container_of(n, struct dgram, node);

		if (d->id == fr->id && ip_addr_eq(&d->src, &fr->src) &&
		    ip_addr_eq(&d->dst, &fr->dst) &&
		    (!fr->is4 || d->proto == fr->proto))
			return d;
	}
	return NULL;
}

static struct dgram *oldest(const struct reass *rs)
{
	struct dgram *a = list_first(&rs->age[0], struct dgram, age);
	struct dgram *b = list_first(&rs->age[1], struct dgram, age);

	if (!a || !b)
		return a ? a : b;
	return a->expires_at < b->expires_at ? a : b;
}

/* Makes room for @size bytes more, at the cost of anything but @keep. */
static bool make_room(struct reass *rs, size_t size, const struct dgram *keep)
{
	size_t limit = (size_t)rs->ip->core->sysctl->ipfrag_high_thresh;
	struct dgram *d;

	while (rs->used + size > limit) {
		d = oldest(rs);
		if (!d || d == keep)
			return false;
		fail(rs, d, DROP_FRAG_MEM);
	}
	return true;
}

static struct dgram *dgram_new(struct reass *rs, const struct frag *fr,
			       uint32_t hash, nsec now)
{
	const struct sysctl_values *sys = rs->ip->core->sysctl;
	struct dgram *d;

	if (!make_room(rs, sizeof(*d), NULL))
		return NULL;
	d = arena_zalloc(rs->ip->core->arena, sizeof(*d));
	if (!d)
		return NULL;
	d->src = fr->src;
	d->dst = fr->dst;
	d->id = fr->id;
	d->proto = fr->proto;
	d->is4 = fr->is4;
	d->holes = NO_HOLE;
	d->expires_at =
		now + (fr->is4 ? sys->ipfrag_time : sys->ip6frag_time) * SEC;
	list_push(&rs->age[fr->is4], &d->age);
	htab_insert(&rs->tab, &d->node, hash);
	rs->used += sizeof(*d);
	ip_timer_rearm(rs->ip);
	return d;
}

static uint8_t *data_at(const struct dgram *d, uint32_t off)
{
	return d->f->data + HEAD_ROOM + off;
}

/* Grows the buffer so that it holds @end bytes of data. */
static bool grow(struct reass *rs, struct dgram *d, uint32_t end)
{
	struct frame *old = d->f, *f;
	size_t i = 0;

	/* data in front of a hole's descriptor needs no more than itself */
	if (old && old->room >= HEAD_ROOM + end)
		return true;
	while (i < ARRAY_SIZE(classes) - 1 && classes[i] < end)
		i++;
	if (classes[i] < end)
		return false;
	if (!make_room(rs, sizeof(*f) + HEAD_ROOM + classes[i], d))
		return false;
	f = frame_new(rs->ip->core->arena, HEAD_ROOM + classes[i]);
	if (!f)
		return false;
	rs->used += f->b.size;
	if (old) {
		memcpy(f->data, old->data, HEAD_ROOM + d->end);
		rs->used -= old->b.size;
		frame_put(rs->ip->core->arena, old);
	}
	d->f = f;
	return true;
}

static struct hole hole_get(const struct dgram *d, uint16_t at)
{
	struct hole h;

	memcpy(&h, data_at(d, at * 8u), sizeof(h));
	return h;
}

/* Links the hole [@start, @end), in units of eight, in front of @next. */
static uint16_t hole_put(struct dgram *d, uint32_t start, uint32_t end,
			 uint16_t next)
{
	struct hole h = {(uint16_t)end, next};

	memcpy(data_at(d, start * 8), &h, sizeof(h));
	return (uint16_t)start;
}

/* Where bytes [@off, @end) stand to those that are here. */
enum fit { FIT_OK, FIT_DUP, FIT_OVERLAP };

/* Takes [@off, @end) out of the hole that it lies in. */
static enum fit fill_hole(struct dgram *d, uint32_t off, uint32_t end)
{
	uint16_t prev = NO_HOLE, at, next;
	struct hole h = {0, 0};

	for (at = d->holes; at != NO_HOLE; prev = at, at = h.next) {
		h = hole_get(d, at);
		if (end > at * 8u && off < h.end * 8u)
			break;
	}
	if (at == NO_HOLE)
		return FIT_DUP;
	if (off < at * 8u || end > h.end * 8u)
		return FIT_OVERLAP;
	next = h.next;
	if (end < h.end * 8u) /* not the last byte: @end is a multiple of 8 */
		next = hole_put(d, end / 8, h.end, next);
	if (off > at * 8u)
		next = hole_put(d, at, off / 8, next);
	if (prev == NO_HOLE)
		d->holes = next;
	else
		hole_put(d, prev, hole_get(d, prev).end, next);
	return FIT_OK;
}

static enum fit place(struct dgram *d, uint32_t off, uint32_t end)
{
	if (off < d->end)
		return end > d->end ? FIT_OVERLAP : fill_hole(d, off, end);
	if (off > d->end)
		d->holes = hole_put(d, d->end / 8, off / 8, d->holes);
	d->end = end;
	return FIT_OK;
}

/* Lengths that contradict one another, as Linux's ip_frag_queue(). */
static bool is_consistent(const struct dgram *d, const struct frag *fr)
{
	uint32_t end = fr->off + fr->len;

	if (!fr->more)
		return end >= d->end && (!d->has_last || end == d->end);
	return !d->has_last || end <= d->end;
}

static void keep_headers(struct dgram *d, const struct frag *fr)
{
	d->hdr_len = fr->hdr_len;
	d->next_off = fr->next_off;
	d->next = fr->proto;
	d->first_len = fr->len;
	memcpy(d->f->data + HEAD_ROOM - fr->hdr_len, fr->hdr, fr->hdr_len);
}

/* RFC 3168 5.3: CE on one is CE on all; what to set in the joint header. A mix
 * with Not-ECT makes no sense and could hide a mark: -1, as Linux's
 * ip_frag_ecn_table. */
static int joint_ecn(uint8_t seen)
{
	const uint8_t not_ect = 1 << 0, ce = 1 << 3;

	if (seen & not_ect)
		return seen == not_ect ? 0 : -1;
	return seen & ce ? 3 : 0;
}

static void move_front(struct dgram *d, uint32_t hdr_len)
{
	struct frame *f = d->f;
	uint32_t skip = HEAD_ROOM - hdr_len;

	f->data += skip;
	f->room -= skip;
	f->len = hdr_len + d->end;
}

static bool finish4(struct dgram *d, int ecn)
{
	uint32_t len = d->hdr_len + d->end;
	uint8_t *h = d->f->data + HEAD_ROOM - d->hdr_len;
	uint16_t sum;

	if (len > IP4_MAX_TOTAL)
		return false;
	h[1] |= (uint8_t)ecn;
	put_be16(h + 2, (uint16_t)len);
	put_be16(h + 6, 0);
	put_be16(h + 10, 0);
	sum = csum_fold(csum_add(0, h, d->hdr_len));
	memcpy(h + 10, &sum, sizeof(sum));
	move_front(d, d->hdr_len);
	return true;
}

/* RFC 8200 4.5: the fragment header goes, the header in front of it names what
 * followed it in fragment zero. */
static bool finish6(struct dgram *d, int ecn)
{
	uint32_t hdr_len = d->hdr_len - IP6_FRAG_HLEN;
	uint8_t *from = d->f->data + HEAD_ROOM - d->hdr_len;
	uint8_t *h = from + IP6_FRAG_HLEN;
	uint32_t payload = hdr_len - IP6_HLEN + d->end;

	if (payload > IP6_MAX_PAYLOAD)
		return false;
	memmove(h, from, hdr_len);
	h[d->next_off] = d->next;
	/* the traffic class lies across bytes 0 and 1: ECN is bits 5 and 4 */
	h[1] |= (uint8_t)(ecn << 4);
	put_be16(h + 4, (uint16_t)payload);
	move_front(d, hdr_len);
	return true;
}

static struct frame *finish(struct reass *rs, struct dgram *d,
			    const struct frame *last)
{
	int ecn = joint_ecn(d->ecn_seen);
	struct frame *f;

	if (ecn < 0 || !(d->is4 ? finish4(d, ecn) : finish6(d, ecn))) {
		fail(rs, d, DROP_FRAG_MALFORMED);
		return NULL;
	}
	IP_STAT(rs->ip, d->is4, ReasmOKs);
	f = d->f;
	f->at = last->at;
	f->link = last->link;
	f->flags = last->flags & FRAME_F_LOOP;
	f->csum = CSUM_NONE;
	rs->used -= f->b.size;
	d->f = NULL;
	dgram_free(rs, d);
	ip_timer_rearm(rs->ip);
	return f;
}

/* Copies @fr into @d. DROP_NONE, or why the whole of @d must go. */
static enum drop take(struct reass *rs, struct dgram *d, const struct frag *fr)
{
	uint32_t end = fr->off + fr->len;

	if (!fr->len || !is_consistent(d, fr))
		return DROP_FRAG_MALFORMED;
	if (!grow(rs, d, end))
		return DROP_FRAG_MEM;
	if (!fr->more)
		d->has_last = true;
	switch (place(d, fr->off, end)) {
	case FIT_OVERLAP:
		if (fr->is4) /* IPv6 has no such counter */
			stat_inc(rs->ip->core, STAT_IpExtReasmOverlaps);
		return DROP_FRAG_OVERLAP;
	case FIT_DUP:
		return DROP_NONE;
	case FIT_OK:
		break;
	}
	d->ecn_seen |= (uint8_t)(1 << fr->ecn);
	memcpy(data_at(d, fr->off), fr->data, fr->len);
	if (fr->off == 0)
		keep_headers(d, fr);
	return DROP_NONE;
}

struct frame *reass_add(struct reass *rs, const struct frag *fr,
			struct frame *f, nsec now)
{
	struct core *c = rs->ip->core;
	uint32_t hash = key_hash(rs, fr);
	struct dgram *d;
	enum drop why;

	IP_STAT(rs->ip, fr->is4, ReasmReqds);
	/* no datagram is longer; a header is never so long in a sane one */
	if (fr->off + fr->len > 65535 || fr->hdr_len > HEAD_ROOM) {
		IP_STAT(rs->ip, fr->is4, ReasmFails);
		drop(c, DROP_FRAG_MALFORMED);
		return NULL;
	}
	d = lookup(rs, fr, hash);
	if (d && d->expires_at <= now) { /* its timer is late */
		reass_expire(rs, now);
		d = lookup(rs, fr, hash);
	}
	if (!d)
		d = dgram_new(rs, fr, hash, now);
	if (!d) {
		IP_STAT(rs->ip, fr->is4, ReasmFails);
		drop(c, DROP_FRAG_MEM);
		return NULL;
	}
	why = take(rs, d, fr);
	if (why) {
		fail(rs, d, why);
		ip_timer_rearm(rs->ip);
		return NULL;
	}
	if (d->has_last && d->hdr_len && d->holes == NO_HOLE)
		return finish(rs, d, f);
	return NULL;
}

nsec reass_next_at(const struct reass *rs)
{
	struct dgram *d = oldest(rs);

	return d ? d->expires_at : TIME_NEVER;
}

/* RFC 792 and RFC 4443 3.3: told only if fragment zero has come, which is what
 * is quoted, as it came. */
static void tell_timeout(struct reass *rs, struct dgram *d, nsec now)
{
	struct frame *f = d->f;
	uint32_t skip;

	if (!d->hdr_len)
		return;
	skip = HEAD_ROOM - d->hdr_len;
	f->data += skip;
	f->room -= skip;
	f->len = d->hdr_len + d->first_len;
	icmp_send_error(rs->ip, f,
			d->is4 ? ICMP4_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED,
			1 /* reassembly time exceeded */, 0, now);
}

void reass_expire(struct reass *rs, nsec now)
{
	struct dgram *d;

	while ((d = oldest(rs)) && d->expires_at <= now) {
		IP_STAT(rs->ip, d->is4, ReasmTimeout);
		tell_timeout(rs, d, now);
		fail(rs, d, DROP_FRAG_TIMEOUT);
	}
}

/* Fragments are sent for nobody twice: who lost some loses the datagram. */
void reass_find(struct reass *rs, struct rebuild *rb)
{
	rebuild_own(rb, rs, sizeof(*rs));
	rebuild_htab(rb, &rs->tab);
	list_init(&rs->age[0]);
	list_init(&rs->age[1]);
	rs->used = 0;
}
