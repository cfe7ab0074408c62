/* SPDX-License-Identifier: MIT
 *
 * tcp.h - the TCP header and its options (RFC 9293 3.1, 7323, 2018)
 */
#ifndef TCPSHIM_WIRE_TCP_H
#define TCPSHIM_WIRE_TCP_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/stats.h"

#define TCP_HLEN 20
#define TCP_MAX_OPTS 40
#define TCP_MAX_SACK 4

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	TCP_ECE = 0x40,
	TCP_CWR = 0x80,
};

struct tcp_sack_block {
	uint32_t start, end;
};

/* RFC 7413 4.1.1: nothing of it, a request (no bytes), or a cookie */
#define TCP_FO_MAX 16
struct tcp_fo_cookie {
	bool is_there;
	bool exp;    /* in the experimental format (RFC 6994, magic 0xf989) */
	uint8_t len; /* 0, or 4 to 16 and even */
	uint8_t v[TCP_FO_MAX];
};

/* RFC 9768 3.2.3: how many bytes came with each codepoint, the 24 lowest bits
 * of each counter. In its order 0 the fields are ECT(0), CE, ECT(1), in order 1
 * the other way round; those at the end may be left out. */
#define TCP_ACCECN_FIELDS 3
struct tcp_accecn_opt {
	bool is_there;
	uint8_t order, num;
	uint32_t v[TCP_ACCECN_FIELDS];
};

struct tcp_repr {
	uint16_t src_port, dst_port;
	uint32_t seq, ack;
	uint16_t window; /* as on the wire, unscaled */
	uint16_t urg;
	uint16_t csum; /* emit: stored as it is */
	uint8_t flags;
	uint8_t ns;	 /* the AE bit (RFC 9768) */
	uint8_t hdr_len; /* parse: found; emit: filled in by tcp_emit() */

	/* options; has_x says whether it is there */
	bool has_ts, has_mss, has_wscale, sack_ok;
	uint8_t wscale; /* as on the wire; RFC 7323 2.3 caps it at 14 */
	uint8_t num_sack;
	uint16_t mss;
	uint32_t ts_val, ts_ecr;
	struct tcp_sack_block sack[TCP_MAX_SACK];
	struct tcp_fo_cookie fo; /* SYNs only */
	struct tcp_accecn_opt accecn;
	/* RFC 5482 3.3: seconds, or 0x8000 and minutes; 0: not there */
	uint16_t uto;

	/* signatures. Emit: room for them, zeroed, in front of the others; both
	 * then say where in the header it is. 0: not there. */
	bool has_md5;
	uint8_t md5_at; /* of the 16 bytes of the digest (RFC 2385 3.0) */
	uint8_t ao_len; /* all of the option (RFC 5925 2.2) */
	uint8_t ao_at, ao_key, ao_rnext;
	bool auth_bad; /* parse: twice, or both, or too short */
};

/* Checks lengths and, when @state is CSUM_NONE, the checksum. Options that are
 * malformed end option parsing (as Linux), they don't drop the segment. */
enum drop tcp_parse(struct tcp_repr *r, const struct ip_addr *src,
		    const struct ip_addr *dst, const uint8_t *p, size_t len,
		    enum csum_state state);
/* Puts as many of @r->accecn's fields beside its other options as there is room
 * for, at the cost of a third SACK block if @least fields do not fit else.
 * False: they don't at all, and nothing has changed. */
bool tcp_fit_accecn(struct tcp_repr *r, unsigned least);
/* Bytes that tcp_emit() will write: 20 + options, a multiple of 4, <= 60. */
unsigned tcp_emit_len(const struct tcp_repr *r);
void tcp_emit(struct tcp_repr *r, uint8_t *p);
/* "Flags [S.], seq 1, ack 2, win 3, options [mss 1460,...], length n" */
size_t tcp_print(const struct tcp_repr *r, uint32_t payload, char *out,
		 size_t len);

#endif
