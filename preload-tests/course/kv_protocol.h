/* SPDX-License-Identifier: MIT
 *
 * kv_protocol.h - a store of keys and values, over a stream
 *
 *	request                                  reply
 *	+----+---------+-----------+-----+-----+  +--------+-----------+-----+
 *	| op | key_len | value_len | key |value|  | status | value_len |value|
 *	+----+---------+-----------+-----+-----+  +--------+-----------+-----+
 *	  1       1      2, big end                   1      2, big end
 *
 * A stream has no message boundaries, so each message says how long it is.
 */
#ifndef KV_PROTOCOL_H
#define KV_PROTOCOL_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define KV_PORT "8085"
#define KV_REQUEST_LEN 4 /* without key and value */
#define KV_REPLY_LEN 3	 /* without value */
#define KV_MAX_KEY 32
#define KV_MAX_VALUE 256

enum kv_op { KV_GET = 'g', KV_SET = 's', KV_DEL = 'd' };
enum kv_status { KV_OK = '+', KV_NO_SUCH_KEY = '-', KV_FULL = '!' };

static inline void kv_put16(uint8_t *p, size_t n)
{
	uint16_t be = htons((uint16_t)n);

	memcpy(p, &be, sizeof(be));
}

static inline size_t kv_get16(const uint8_t *p)
{
	uint16_t be;

	memcpy(&be, p, sizeof(be));
	return ntohs(be);
}

/* All @len bytes, however many pieces they come in; false when the stream ends
 * or fails before that. */
static inline bool kv_recv(int fd, void *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

#endif
