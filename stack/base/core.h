/* SPDX-License-Identifier: MIT
 *
 * core.h - what every layer of the stack leans on, and nothing of any layer
 */
#ifndef TCPSHIM_CORE_H
#define TCPSHIM_CORE_H

#include "base/arena.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/siphash.h"
#include "base/stats.h"

struct sysctl_values; /* sysctl.h */

struct core {
	struct arena *arena;
	struct timers timers;
	struct stats stats;
	struct rng rng;		 /* ports, identifiers, jitter */
	struct sip_key hash_key; /* tables */
	struct sip_key iss_key;	 /* RFC 6528 */
	struct sip_key port_key; /* RFC 6056 */
	struct sysctl_values *sysctl;
	struct log log;
};

static inline void stat_inc(struct core *c, enum stat_id s)
{
	c->stats.v[s]++;
}

static inline void stat_add(struct core *c, enum stat_id s, uint64_t n)
{
	c->stats.v[s] += n;
}

/* Counts and names the drop; returns its argument, so that a caller can say
 * `return drop(core, DROP_X);`. The packet itself is the caller's to free. */
static inline enum drop drop(struct core *c, enum drop d)
{
	c->stats.drop[d]++;
	log_at(&c->log, LOG_DEBUG, "drop %s", drop_name(d));
	return d;
}

#endif
