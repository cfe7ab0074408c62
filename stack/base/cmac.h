/* SPDX-License-Identifier: MIT
 *
 * cmac.h - AES-128-CMAC (RFC 4493), for TCP-AO (RFC 5926 3.1.1.2); why it is
 *our own, sha1.h says
 *
 * AES is used forwards only (FIPS 197). The substitution is a table: who shares
 * the processor's cache can learn of the key, as from every AES without
 * instructions of its own.
 */
#ifndef TCPSHIM_CMAC_H
#define TCPSHIM_CMAC_H

#include <stddef.h>
#include <stdint.h>

#define CMAC_LEN 16
#define CMAC_KEY 16

struct cmac {
	uint32_t round[44]; /* keys of the rounds */
	uint32_t x[4];	    /* of the blocks before */
	uint8_t block[CMAC_LEN];
	uint8_t have; /* bytes of the block that may be the last */
};

void cmac_init(struct cmac *m, const uint8_t key[CMAC_KEY]);
void cmac_add(struct cmac *m, const void *data, size_t len);
void cmac_end(struct cmac *m, uint8_t out[CMAC_LEN]);

#endif
