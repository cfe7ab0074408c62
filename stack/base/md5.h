/* SPDX-License-Identifier: MIT
 *
 * md5.h - MD5 (RFC 1321), for TCP's signature option and nothing else: it
 *	   proves little today
 */
#ifndef TCPSHIM_MD5_H
#define TCPSHIM_MD5_H

#include <stddef.h>
#include <stdint.h>

#define MD5_LEN 16

struct md5 {
	uint32_t s[4];
	uint64_t len; /* bytes so far */
	uint8_t block[64];
};

void md5_init(struct md5 *m);
void md5_add(struct md5 *m, const void *data, size_t len);
void md5_end(struct md5 *m, uint8_t out[MD5_LEN]);

#endif
