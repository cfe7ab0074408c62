/* SPDX-License-Identifier: MIT
 *
 * core.h - the host in this process, and a thread that stands for its keeper
 */
#ifndef TCPSHIM_TSAN_CORE_H
#define TCPSHIM_TSAN_CORE_H

struct shared;

/* The mapping, or NULL with the cause said. */
struct shared *core_up(void);
/* How often the lease moved or a batch was read, and packets were written by
 * somebody anew. */
void core_count(unsigned long *batches, unsigned long *writers);

#endif
