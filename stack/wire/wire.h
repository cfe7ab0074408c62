/* SPDX-License-Identifier: MIT
 *
 * wire.h - a whole IP packet of either family: as one line of text, for logs
 *	and traces; and marked
 */
#ifndef TCPSHIM_WIRE_H
#define TCPSHIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As tcpdump -n would say it; never fails, "?" for what it can't read. */
size_t wire_print(const uint8_t *ip_packet, size_t len, char *out, size_t room);
/* Congestion experienced (RFC 3168 5), in the packet that begins at @ip. False:
 * its sender can't be told so. */
bool wire_mark_ce(uint8_t *ip, size_t len);

#endif
