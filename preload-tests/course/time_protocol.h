/* SPDX-License-Identifier: MIT
 *
 * time_protocol.h - asking another host what time it is, in two datagrams
 *
 *	request                       reply
 *	+--------+--------+           +--------+--------+
 *	| magic  | number |           | magic  | number |
 *	+--------+--------+           +--------+--------+-----------------+
 *	                              | nanoseconds     | seconds         |
 *	                              +-----------------+-----------------+
 *
 * Every field is in network byte order. The reply has the number of its
 * request: a datagram may be lost, doubled or overtaken, so a client can't know
 * in any other way which question is being answered.
 */
#ifndef TIME_PROTOCOL_H
#define TIME_PROTOCOL_H

#include <stdint.h>

#define TIME_MAGIC 0x54494d45u /* "TIME" */

struct time_request {
	uint32_t magic;
	uint32_t number;
};

struct time_reply {
	uint32_t magic;
	uint32_t number;
	uint64_t nanoseconds; /* below 1,000,000,000 */
	uint64_t seconds;     /* since 1970 */
};

#endif
