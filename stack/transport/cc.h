/* SPDX-License-Identifier: MIT
 *
 * cc.h - congestion control: a const table of callbacks, picked by an enum
 *
 * A controller decides two numbers, in segments as TCP_INFO shows them: the
 * window while all goes well and the threshold after a loss. When something is
 * lost, and what is sent when, is not its business. One with control() decides
 * more: the window always, recovery included, and the rate at which frames
 * leave. Its state is a fixed place in the connection; no function pointer
 * lives in the arena.
 *
 * One more is a file, cc_x.c with a const struct cc_ops (and its line in
 * meson.build), and a row of CC_ROWS; if it keeps state, a struct here and a
 * member of the union in struct cc. From the row come its number, its name for
 * TCP_CONGESTION, for the sysctls and for the list of what there is, and its
 * rows in the contests. What it may leave NULL says so; ssthresh and grow, or
 * ssthresh and control, are enough. cc_reno.c is the shortest, cc_model.h is
 * for those that reckon with a bandwidth.
 */
#ifndef TCPSHIM_CC_H
#define TCPSHIM_CC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

/* Values are what the tcp_congestion_control sysctl holds. */
#define CC_ROWS(X)                  \
	X(RENO, "reno", cc_reno)    \
	X(CUBIC, "cubic", cc_cubic) \
	X(BBR, "bbr", cc_bbr)       \
	X(DCTCP, "dctcp", cc_dctcp) \
	X(BBR3, "bbr3", cc_bbr3)

enum cc_id {
#define X(id, name, ops) CC_##id,
	CC_ROWS(X)
#undef X
		CC_NUM
};

#define CC_SSTHRESH_NONE 0x7fffffffu /* slow start has no end yet */

enum tcp_ca { /* as TCP_INFO shows them */
	      CA_OPEN,
	      CA_DISORDER, /* duplicate ACKs, not enough to act on */
	      CA_CWR,
	      CA_RECOVERY, /* fast recovery until @high_seq */
	      CA_LOSS,	   /* after a timeout, until @high_seq */
};

/* Values of net.ipv4.tcp_hystart. */
enum { HYSTART_OFF, HYSTART_LINUX, HYSTART_PLUS_PLUS };

struct hystart {
	uint32_t end_seq; /* of the round */
	uint8_t samples, css_rounds;
	bool found;  /* slow start is over */
	bool in_css; /* RFC 9406: conservative slow start */
	uint32_t css_acked;
	nsec round_at, last_ack_at; /* 0: no round yet */
	nsec curr_min, last_min, css_base;
};

struct cubic {
	uint32_t cnt;	    /* acked segments per segment of growth */
	uint32_t last_max;  /* window before the last reduction */
	uint32_t last_cwnd; /* when @cnt was computed, and for which window */
	uint32_t origin;    /* the plateau of the curve */
	uint32_t k;	    /* 1/1024 s from the epoch to the plateau */
	uint32_t acked;	    /* segments in this epoch, for @reno */
	uint32_t reno;	    /* what Reno would have by now */
	nsec last_at, epoch_at; /* 0: no epoch */
	nsec delay_min;		/* 0: not known */
	struct hystart hystart;
};

#define BBR_BW_ROUNDS 11 /* this one and ten before it */

struct bbr {
	uint32_t bw[BBR_BW_ROUNDS]; /* the highest of each round */
	uint32_t max_bw, bw_round;
	uint32_t rounds;    /* round trips so far */
	uint64_t round_end; /* delivered beyond this: the next one */
	nsec min_rtt;	    /* 0: not known */
	nsec min_rtt_at, probe_done_at, phase_at;
	uint32_t prior_cwnd; /* before a loss or PROBE_RTT */
	uint32_t full_bw;    /* STARTUP measures growth against it */
	uint32_t rand;
	uint16_t pacing_gain, cwnd_gain; /* 1/256 */
	uint8_t mode, phase, full_rounds;
	uint8_t prev_ca; /* enum tcp_ca */
	bool round_start, is_full, has_seen_rtt, idle_restart;
	bool conserve; /* first round of a recovery */
	bool probe_round_done;
	/* what a policer lets through */
	bool lt_use, lt_sampling;
	uint32_t lt_bw, lt_rounds, lt_lost;
	uint64_t lt_delivered;
	nsec lt_at;
	/* ACKs in bunches: of these rounds and of those before */
	uint32_t extra[2], epoch_acked;
	uint8_t extra_now, extra_rounds;
	nsec epoch_at;
};

/* Those with "short" and "long" are bounds, UINT32_MAX: none. */
struct bbr3 {
	uint8_t state, ack_phase, undo_state;
	uint8_t prev_ca;		 /* enum tcp_ca */
	uint16_t pacing_gain, cwnd_gain; /* 1/256 */
	uint8_t full_rounds, up_rounds, loss_events, extra_rounds;
	bool round_start, loss_round_start;
	bool full_now, is_full; /* in this probe; ever */
	bool is_loss_in_round;
	bool is_probe_sample; /* losses are of what was sent as a probe */
	bool was_too_high, was_precautionary; /* the last probe */
	bool idle_restart, has_seen_rtt, probe_round_done;
	uint64_t round_end, loss_round_end; /* delivered beyond this */
	uint32_t rounds, drain_round, rounds_since_up;
	uint32_t bw[2]; /* the highest of the last cycle and of this */
	uint32_t max_bw, bw_short, bw_latest;
	uint32_t full_bw; /* growth is measured against it */
	uint32_t inflight_long, inflight_short, inflight_latest;
	uint32_t undo_bw_short, undo_inflight_short, undo_inflight_long;
	uint32_t up_acked, up_per_inc; /* acked per segment of growth */
	uint32_t prior_cwnd;
	uint32_t extra[2], extra_acked;
	uint32_t rand;
	nsec extra_at;
	nsec min_rtt, min_rtt_at;     /* of 10 s; 0: not known */
	nsec probe_min, probe_min_at; /* since the last PROBE_RTT */
	nsec probe_done_at, cycle_at, probe_wait;
};

struct dctcp {
	uint32_t alpha;	  /* share of marked segments, 1/1024 */
	uint32_t end_seq; /* of the observation window */
	uint64_t delivered;
	uint32_t delivered_ce; /* as it began */
};

/* What a controller may see and set. */
struct cc {
	uint32_t cwnd, ssthresh;
	uint32_t cwnd_cnt; /* segments acked towards the next of growth */
	uint32_t cwnd_clamp;
	uint32_t una, nxt;    /* as this ACK leaves them */
	uint64_t pacing_rate; /* bytes a second, ~0: not known */
	/* as control(), event() and init() find them */
	nsec now, srtt, min_rtt, pace_at, delivered_at;
	uint64_t max_pacing, delivered;
	uint64_t app_limited; /* may be set, too */
	uint32_t in_flight, lost, mss, seed;
	bool is_cwnd_limited, has_sack;
	bool is_paced; /* frames leave in time, not in bursts */
	uint8_t ca;    /* enum tcp_ca */
	uint8_t hystart;
	bool ended_by_train, ended_by_delay; /* told once: counted, cleared */
	bool has_ecn;	       /* as init() and acked() find them */
	bool ce_state;	       /* the last data that came was marked */
	uint32_t delivered_ce; /* segments that came marked to the peer */
	bool by_mark;	       /* ssthresh(): a mark, no loss */
	bool abe;	       /* and marks weigh less: RFC 8511 */
	uint8_t id;	       /* enum cc_id */
	union {
		struct cubic cubic;
		struct bbr bbr;
		struct bbr3 bbr3;
		struct dctcp dctcp;
		uint64_t room[20];
	} u;
};

/* What one ACK has told. */
struct cc_sample {
	uint32_t acked, losses; /* newly delivered, newly found lost */
	uint32_t prior_in_flight;
	/* rate: so many delivered in this time; 0: no sample */
	uint32_t delivered;
	nsec interval;
	uint64_t prior_delivered; /* as the newest of them was sent */
	uint32_t tx_in_flight;	  /* with it */
	uint32_t lost;		  /* since then */
	bool app_limited;
	bool is_ack_delayed; /* perhaps, and so is @rtt */
	nsec rtt;	     /* of the newest; negative: none */
};

/* Part of a frame was judged lost. */
struct cc_loss {
	uint32_t segs;
	uint32_t tx_in_flight; /* as it was sent, itself included */
	uint32_t lost;	       /* since then, itself included */
	bool app_limited;
};

#define CC_INFO_WORDS 5

enum cc_event {
	CC_TIMEOUT, /* a retransmission timeout begins */
	CC_LOSS,    /* everything in flight counts as lost */
	CC_UNDO,    /* the last reduction was wrong */
	CC_RESTART, /* first data after an idle time (RFC 5681 4.1) */
};

struct cc_ops {
	const char *name;
	void (*init)(struct cc *cc);
	/* The window to fall to, called as a loss is found. */
	uint32_t (*ssthresh)(struct cc *cc);
	/* @acked segments are newly acknowledged, and the window was used. */
	void (*grow)(struct cc *cc, uint32_t acked, nsec now);
	/* A round trip was measured; may be NULL. */
	void (*rtt)(struct cc *cc, nsec rtt, nsec now);
	/* May be NULL. @idle: how long nothing was sent (CC_RESTART). */
	void (*event)(struct cc *cc, enum cc_event ev, nsec idle, nsec now);
	/* An ACK came, before anything is made of it; may be NULL. */
	void (*acked)(struct cc *cc);
	/* An ACK came. Sets window and pacing rate, and is asked instead of
	 * grow() and of rate reduction in recovery. May be NULL. */
	void (*control)(struct cc *cc, const struct cc_sample *s, nsec now);
	/* Something is lost, before control() is asked; may be NULL. */
	void (*lost)(struct cc *cc, const struct cc_loss *l);
	/* Segments of a frame at least; NULL: net.ipv4.tcp_min_tso_segs. */
	uint32_t (*min_segs)(const struct cc *cc);
	/* TCP_CC_INFO: its length in bytes. May be NULL. */
	unsigned (*info)(const struct cc *cc, uint32_t v[CC_INFO_WORDS]);
	bool needs_ecn;	       /* asks for marks, and lives on them */
	uint8_t sndbuf_factor; /* windows that the send buffer holds; 0: 2 */
};

#define X(id, name, ops) extern const struct cc_ops ops;
CC_ROWS(X)
#undef X

const struct cc_ops *cc_ops(const struct cc *cc);
/* Takes over @id, keeping the window. */
void cc_switch(struct cc *cc, enum cc_id id);

static inline bool cc_in_slow_start(const struct cc *cc)
{
	return cc->cwnd < cc->ssthresh;
}

/* cc_hystart.c */
void hystart_init(struct hystart *h);
void hystart_rtt(struct cc *cc, struct hystart *h, nsec min_rtt, nsec rtt,
		 nsec now);
/* How many of @acked slow start may grow by. */
uint32_t hystart_growth(struct hystart *h, uint32_t acked);

/* Building blocks: RFC 5681 3.1. What of @acked slow start left over; one
 * segment of growth for every @w acked. */
uint32_t cc_slow_start(struct cc *cc, uint32_t acked);
void cc_grow_reno(struct cc *cc, uint32_t acked, nsec now);
void cc_grow_linear(struct cc *cc, uint32_t w, uint32_t acked);

#endif
