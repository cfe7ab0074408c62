/* SPDX-License-Identifier: MIT
 *
 * impair.h - netem in user space: what tc-netem(8) does to a packet, seeded
 *
 * The text form is that of tc: `loss 5% delay 20ms 5ms reorder 25% duplicate
 * 1% corrupt 0.1% rate 100mbit limit 1000`; `in:` or `out:` in front of a group
 * limits it to one direction, otherwise it holds for both. `loss 1% ecn` marks
 * what it would lose; `ce_threshold 1ms`, which is tc-fq_codel(8)'s word, marks
 * what has to wait so long for the rate. Sees wire-sized, checksummed packets
 * only.
 */
#ifndef TCPSHIM_IMPAIR_H
#define TCPSHIM_IMPAIR_H

#include <stdbool.h>

#include "base/core.h"
#include "base/rebuild.h"

struct impair_cfg {
	double loss, loss_corr; /* 0..1 */
	double duplicate, dup_corr;
	double corrupt, corrupt_corr;
	double reorder, reorder_corr; /* share sent at once, past the delay */
	uint32_t gap;		      /* reorder every gap-th; 0: 1 */
	nsec delay, jitter;
	double delay_corr;
	bool normal;	   /* jitter is normally distributed, else uniform */
	uint64_t rate;	   /* bits a second, 0: no limit */
	uint32_t limit;	   /* packets held, default 1000 */
	bool ecn;	   /* what would be lost is marked if it may be */
	nsec ce_threshold; /* what waits longer for @rate is marked; 0: never */
};

/* Parses @text into one config a direction; @has_in/@has_out say which were
 * set. 0, or -EINVAL with @bad at the word that was not understood. */
int impair_parse(const char *text, struct impair_cfg *in, bool *has_in,
		 struct impair_cfg *out, bool *has_out, const char **bad);

struct impair;
struct impair *impair_new(struct core *c, const struct impair_cfg *cfg,
			  uint32_t purpose); /* NULL: -ENOMEM */
void impair_free(struct impair *im);
/* Takes @p, which must be a whole wire packet with a complete checksum. */
void impair_put(struct impair *im, struct pkt *p, nsec now);
struct pkt *impair_take(struct impair *im, nsec now); /* one that is due */
/* One that was lost, for the caller to free: whom its cookie names must hear
 * of it. NULL: no more. */
struct pkt *impair_take_lost(struct impair *im);
/* After a death under the lock: @keep for each packet. */
void impair_find(struct impair *im, struct rebuild *rb, rebuild_keep keep,
		 void *arg);
nsec impair_next_at(const struct impair *im);

#endif
