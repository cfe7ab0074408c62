/* SPDX-License-Identifier: MIT
 *
 * sha1.h - SHA-1 (RFC 3174) and HMAC with it (RFC 2104), for TCP-AO
 *	    (RFC 5926 3.1.1.1)
 *
 * Our own and not a library's: what is preloaded into every program must need
 * no further library, whose names a program may have in another version, and
 * the core has neither malloc nor anything else that one would bring along.
 */
#ifndef TCPSHIM_SHA1_H
#define TCPSHIM_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_LEN 20
#define SHA1_BLOCK 64

struct sha1 {
	uint32_t s[5];
	uint64_t len; /* bytes so far */
	uint8_t block[SHA1_BLOCK];
};

void sha1_init(struct sha1 *h);
void sha1_add(struct sha1 *h, const void *data, size_t len);
void sha1_end(struct sha1 *h, uint8_t out[SHA1_LEN]);

struct hmac_sha1 {
	struct sha1 in, out;
};

void hmac_sha1_init(struct hmac_sha1 *m, const void *key, size_t len);
void hmac_sha1_add(struct hmac_sha1 *m, const void *data, size_t len);
void hmac_sha1_end(struct hmac_sha1 *m, uint8_t out[SHA1_LEN]);

#endif
