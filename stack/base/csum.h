/* SPDX-License-Identifier: MIT
 *
 * csum.h - the Internet checksum (RFC 1071)
 *
 * Sums are kept unfolded and uncomplemented in 64 bits, in network byte order
 * as loaded from memory; csum_fold() gives the 16 bits to store with memcpy.
 */
#ifndef TCPSHIM_CSUM_H
#define TCPSHIM_CSUM_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

uint64_t csum_add(uint64_t sum, const void *p, size_t len); /* even offset */
/* As csum_add(), for a piece that starts at an odd offset of the whole. */
uint64_t csum_add_odd(uint64_t sum, const void *p, size_t len);
uint16_t csum_fold(uint64_t sum); /* folded, complemented, ready to store */
/* Pseudo header of RFC 9293 3.1 / RFC 8200 8.1, uncomplemented. The family is
 * that of @src: v4-mapped means the IPv4 form. @len: all of the L4 packet. */
uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst,
		     uint8_t proto, uint32_t len);
uint16_t csum_fold_raw(uint64_t sum); /* folded, not complemented */

#endif
