/* SPDX-License-Identifier: MIT
 *
 * Traffic keys and MACs of TCP-AO, byte for byte those of RFC 9235: both
 * algorithms, both families, with other options covered and without.
 */
#include <criterion/criterion.h>

#include "transport/tcp_ao.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"

static const struct vector {
	const char *section;
	uint8_t alg, flags;
	uint32_t sisn, disn;
	const char *traffic, *packet;
} vectors[] = {
#define V(...) {__VA_ARGS__},
#include "transport/tcp_ao_vectors.def"
#undef V
};

static unsigned from_hex(const char *text, uint8_t *out)
{
	unsigned n = 0;

	for (; text[2 * n]; n++) {
		char two[3] = {text[2 * n], text[2 * n + 1], 0};

		out[n] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

static struct tcp_ao_key master_key(const struct vector *v)
{
	struct tcp_ao_key k = {
		.alg = v->alg, .flags = v->flags, .maclen = 12, .len = 10};

	memcpy(k.v, "testvector", 10); /* RFC 9235 3.1.1 */
	tcp_ao_fold_key(&k);
	return k;
}

static void look(const struct vector *v)
{
	uint8_t bytes[200], want[TCP_AO_TRAFFIC], got[TCP_AO_TRAFFIC];
	unsigned len = from_hex(v->packet, bytes), off;
	struct tcp_ao_key k = master_key(v);
	struct tcp_ao_ends ends = {.sisn = v->sisn, .disn = v->disn};
	struct tcp_ao_text t = {.src = &ends.src, .dst = &ends.dst};
	struct tcp_repr r;

	if (bytes[0] >> 4 == 4) {
		ends.src = ip_addr_v4(bytes + 12);
		ends.dst = ip_addr_v4(bytes + 16);
		off = IP4_HLEN;
	} else {
		ends.src = ip_addr_v6(bytes + 8);
		ends.dst = ip_addr_v6(bytes + 24);
		off = IP6_HLEN;
	}
	cr_assert(tcp_parse(&r, &ends.src, &ends.dst, bytes + off, len - off,
			    CSUM_VALID) == DROP_NONE);
	cr_assert(r.ao_len == 16 && r.ao_key + r.ao_rnext == 61 + 84);
	ends.sport = r.src_port;
	ends.dport = r.dst_port;
	tcp_ao_derive(&k, &ends, got);
	cr_assert(from_hex(v->traffic, want) == tcp_ao_traffic_len(&k));
	cr_assert(!memcmp(got, want, tcp_ao_traffic_len(&k)), "key of %s",
		  v->section);
	t.head = bytes + off;
	t.hdr_len = r.hdr_len;
	t.at = r.ao_at;
	t.len = len - off;
	t.data = t.head + r.hdr_len;
	tcp_ao_mac(&k, want, &t, got);
	cr_assert(!memcmp(got, t.head + r.ao_at + 4, 12), "MAC of %s",
		  v->section);
	/* every bit counts */
	t.sne = 1;
	tcp_ao_mac(&k, want, &t, got);
	cr_assert(memcmp(got, t.head + r.ao_at + 4, 12));
}

Test(tcp_ao_mac, vectors_of_rfc_9235)
{
	cr_assert(sizeof(vectors) / sizeof(vectors[0]) == 32);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		look(&vectors[i]);
}

/* RFC 5925 6.2 */
Test(tcp_ao_mac, numbers_are_extended)
{
	cr_assert(tcp_ao_sne(0, 100, 100) == 0);
	cr_assert(tcp_ao_sne(0, 0xfffffff0, 0x10) == 1);
	cr_assert(tcp_ao_sne(1, 0x10, 0xfffffff0) == 0);
	cr_assert(tcp_ao_sne(7, 0x7fffffff, 0x80000000) == 7);
	cr_assert(tcp_ao_sne(7, 0xffffffff, 0) == 8);
	cr_assert(tcp_ao_sne(0, 0, 0xffffffff) == UINT32_MAX);
}
