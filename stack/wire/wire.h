/* SPDX-License-Identifier: MIT
 *
 * wire.h - a whole IP packet as one line of text, for logs and traces
 */
#ifndef TCPSHIM_WIRE_H
#define TCPSHIM_WIRE_H

#include <stddef.h>
#include <stdint.h>

/* As tcpdump -n would say it; never fails, "?" for what it can't read. */
size_t wire_print(const uint8_t *ip_packet, size_t len, char *out, size_t room);

#endif
