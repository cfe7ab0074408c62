/* SPDX-License-Identifier: MIT
 *
 * link.h - what carries IP packets: a device, and the links that wrap it
 *
 * From the device upward: cut (offload), impair, capture, ip. A packet that
 * goes down is a struct pkt, one that comes up a struct frame. The bottom is
 * not a device but a queue, the txq, bounded at LINK_TXQ_MAX: stack_tx() takes
 * from it and the edge writes outside the lock.
 *
 * When nothing needs wire-sized packets (no impairment, no capture) the cut is
 * skipped, and the edge hands gso packets to a device that can cut, or cuts
 * them itself, outside the lock.
 */
#ifndef TCPSHIM_LINK_H
#define TCPSHIM_LINK_H

#include "base/core.h"
#include "base/pkt.h"
#include "link/impair.h"

#define LINK_TXQ_MAX 256

struct ip;

enum link_id { LINK_DEV, LINK_LO, LINK_NUM };

struct link {
	struct core *core;
	struct ip *ip;	 /* whom to deliver to */
	struct list txq; /* struct pkt, in order, ready to be written */
	uint32_t num_txq;
	uint32_t num_inflight; /* taken by stack_tx(), not yet done */
	struct list loq;       /* frames looped back, bounded */
	uint32_t num_loq;
	uint32_t mtu;			   /* of the device */
	bool can_tso4, can_tso6, can_csum; /* what the device cuts for us */
	struct impair *impair[2];	   /* in, out; NULL: none */
	struct capture *capture;	   /* NULL: none */
	struct timer timer; /* TIMER_LINK: impair's next release */
	bool tx_starved;    /* somebody was refused: tell when there is room */
	bool is_refusing;   /* the device takes nothing, room or no room */
};

struct link_cfg {
	uint32_t mtu;
	bool can_tso4, can_tso6, can_csum;
	const struct impair_cfg *impair_in, *impair_out; /* NULL: none */
	uint32_t capture_ring; /* bytes kept for the edge to write, 0: none */
};

int link_init(struct link *l, struct core *c, struct ip *ip,
	      const struct link_cfg *cfg);
void link_fini(struct link *l);

/* After a death under the lock, see base/rebuild.h: the queues. */
struct rebuild;
void link_find(struct link *l, struct rebuild *rb);
void link_refill(struct link *l);
/* Defined by transport/demux.c: a packet that was found is charged. */
void link_charge(struct ip *ip, uint64_t cookie, uint32_t charge);

/* Down. Takes @p. 0, or -ENOBUFS when the queue is full (@p is freed and
 * counted, and tx_starved is set). @p->link says LINK_DEV or LINK_LO. */
int link_tx(struct link *l, struct pkt *p, nsec now);
/* Everything is refused from now on, or nothing. link_tx_room_again() does not
 * tell of its end: who sends has to try again by himself. */
void link_set_refusing(struct link *l, bool on);
/* How many packets may be queued before -ENOBUFS. */
unsigned link_tx_room(const struct link *l);

/* Up: from the edge, through impair and capture, to ip. Takes @f. */
void link_rx(struct link *l, struct frame *f, nsec now);
/* Looped back packets and impaired ones that are due: at most @budget. */
unsigned link_tick(struct link *l, unsigned budget, nsec now);
void link_timer(struct link *l, nsec now);
/* When link_tick() has something to do: 0 for at once. */
nsec link_next_at(const struct link *l);

/* Defined by ip/ip_in.c: the one way up. Takes @f. */
void link_deliver(struct ip *ip, struct frame *f, nsec now);
/* Defined by transport/demux.c: the txq has room again after a refusal. */
void link_tx_room_again(struct ip *ip, nsec now);
/* Defined by transport/demux.c: a packet with a cookie has left, or was lost on
 * the way (@res < 0): its socket is uncharged. Once a packet. */
void link_tx_done(struct ip *ip, uint64_t cookie, uint32_t charge, int res,
		  nsec now);

/* Defined by transport/demux.c: @p, whose ->stamp asks for it, was queued or
 * has left (@type: SCM_TSTAMP_SCHED or SCM_TSTAMP_SND). @p is borrowed. */
void link_tx_stamp(struct ip *ip, const struct pkt *p, uint32_t type, nsec now);

/* The edge's side, called by stack_tx() and stack_tx_done(). */
struct pkt *link_take(struct link *l, nsec now); /* NULL: nothing to write */
void link_taken_done(struct link *l, struct pkt *p, int res, nsec now);

/* Records for the edge to write to a capture file: whole struct capture_rec
 * with its bytes; how many bytes were moved to @out. */
struct capture_rec {
	nsec at;
	uint32_t len;  /* bytes that follow */
	uint32_t orig; /* length on the wire */
};
size_t link_capture_drain(struct link *l, uint8_t *out, size_t room);

#endif
