/* SPDX-License-Identifier: MIT
 *
 * tcp_conn.h - what a TCP connection looks like inside; private to this folder
 *
 * Windows of congestion are in segments, everything else in bytes. Sequence
 * numbers compare through seq.h only. A connection owns one reference of its
 * endpoint, and the endpoint points back until the connection is freed.
 *
 *	snd_una     snd_nxt    write_seq	rcv: copied_seq  rcv_nxt
 *	   |  records  |  unsent  |		    |  rcvq  |  ofo
 */
#ifndef TCPSHIM_TCP_CONN_H
#define TCPSHIM_TCP_CONN_H

#include <errno.h>

#include "base/seq.h"
#include "sysctl.h"
#include "transport/cc.h"
#include "transport/tcp.h"
#include "transport/tcp_ao.h"
#include "transport/tcp_auth.h"
#include "transport/tcp_repair.h"
#include "wire/tcp.h"

/* Values are those of netinet/tcp.h, which TCP_INFO shows. */
/* clang-format off */
#define TCP_STATES(X)                                                          \
	X(ESTABLISHED, 1) /* data both ways */                                 \
	X(SYN_SENT, 2)	  /* our SYN is out; data may be written later */      \
	X(SYN_RCVD, 3)	  /* both SYNs are out; ours is not acknowledged */    \
	X(FIN_WAIT1, 4)	  /* we closed; our FIN is queued or sent */           \
	X(FIN_WAIT2, 5)	  /* our FIN is acknowledged; peer may send */         \
	X(TIME_WAIT, 6)	  /* only records are in this state, tcp_tw.c */       \
	X(CLOSED, 7)	  /* over; received data may still be read */          \
	X(CLOSE_WAIT, 8)  /* peer closed; we may send */                       \
	X(LAST_ACK, 9)	  /* both closed, peer first; our FIN not acked */     \
	X(LISTEN, 10)	  /* endpoints only, never a connection */             \
	X(CLOSING, 11)	  /* both closed at once; our FIN not acked */
/* clang-format on */

enum tcp_state {
#define X(name, v) TCPS_##name = v,
	TCP_STATES(X)
#undef X
};
#define TCPS_IN(c, mask) ((1u << (c)->state) & (mask))
#define TCPS_BIT(s) (1u << TCPS_##s)
#define TCPS_CAN_SEND                                                         \
	(TCPS_BIT(ESTABLISHED) | TCPS_BIT(CLOSE_WAIT) | TCPS_BIT(FIN_WAIT1) | \
	 TCPS_BIT(CLOSING) | TCPS_BIT(LAST_ACK))
#define TCPS_CAN_RECV \
	(TCPS_BIT(ESTABLISHED) | TCPS_BIT(FIN_WAIT1) | TCPS_BIT(FIN_WAIT2))

#define TCP_DEF_MSS 536u    /* RFC 9293 3.7.1 */
#define TCP_DEF_MSS_6 1220u /* the same, of IPv6 */
#define TCP_MIN_MSS 88u	    /* Linux's TCP_MIN_MSS */
#define TCP_TS_OPT_LEN 12u  /* two NOPs and the option */
#define TCP_MAX_WSCALE 14u  /* RFC 7323 2.3 */
#define TCP_MAX_SEGS 64u    /* of one record: the width of its masks */
#define TCP_MAX_PIECES 6u   /* slices of one frame */
#define TCP_OUT_BUDGET 32u  /* frames queued by one call */
#define TCP_TXQ_SPARE 32u   /* places in the txq that data leaves to ACKs */
#define TCP_DUP_THRESH 3u   /* RFC 6675 2 */
#define TCP_RTO_INIT SEC    /* RFC 6298 2.1 */
#define TCP_TIMEOUT_MIN (2 * MSEC)	/* Linux: TCP_TIMEOUT_MIN_US */
#define TCP_RTO_FALLBACK (3 * SEC)	/* RFC 6298 5.7 */
#define TCP_DELACK_MIN (40 * MSEC)	/* Linux; RFC 9293 3.8.6.3 */
#define TCP_RESOURCE_RETRY (500 * MSEC) /* TCP_RESOURCE_PROBE_INTERVAL */
#define TCP_DELACK_MAX (200 * MSEC)	/* Linux; RFC 9293 3.8.6.3: 500 ms */
#define TCP_TW_LEN (60 * SEC)	/* Linux: TCP_TIMEWAIT_LEN; RFC 9293 3.6 */
#define TCP_TW_KILLED (4 * SEC) /* Linux: counted as TWKilled */
#define TCP_MAX_QUICKACKS 16u	/* Linux: TCP_MAX_QUICKACKS */
#define TCP_OFO_MAX 65536u	/* slices out of order, whatever their size */
#define TCP_MIN_SNDBUF 4608u	/* SOCK_MIN_SNDBUF of Linux */
#define TCP_COPY_MAX 256u	/* copied under the lock at most */
#define TCP_SLICE_COST 64u	/* what a slice costs beside its bytes */
#define TCP_SKB_COST 832u	/* Linux 6.18: an skb's, beside its bytes */
#define TCP_RTT_NONE ((nsec)-1)

/* Every deadline that a connection can have. */
/* clang-format off */
#define TCP_TIMERS(X)                                                          \
	X(RTX, "retransmit")	/* oldest unacked byte, RFC 6298 */            \
	X(TLP, "loss-probe")	/* the tail may be lost, RFC 8985 7 */         \
	X(REO, "reordering")	/* not yet lost, RFC 8985 6.2 step 5 */        \
	X(PROBE, "probe")	/* nothing in flight, data waits: persist */   \
	X(DELACK, "delayed-ack") /* RFC 1122 4.2.3.2 */                        \
	X(KEEP, "keepalive")	/* RFC 1122 4.2.3.6 */                         \
	X(FIN2, "fin-wait-2")	/* an orphan's patience */                     \
	X(OUT, "output")	/* more to send than one call may */           \
	X(PACE, "pacing")	/* the next frame may leave */                 \
	X(COMP, "compressed")	/* ACKs of out-of-order data were held back */
/* clang-format on */

enum tcp_timer {
#define X(id, name) TCP_T_##id,
	TCP_TIMERS(X)
#undef X
		TCP_NUM_TIMERS
};

/* --- the table of tuples --- */

struct tcp_key {
	struct ip_addr laddr, raddr;
	uint16_t lport, rport;
	uint32_t tag; /* struct tcp_node's; not part of the name */
};
#define TCP_KEY_LEN offsetof(struct tcp_key, tag)

enum tcp_node_kind { TCP_NODE_CONN, TCP_NODE_SYN, TCP_NODE_TW };

struct tcp_node {
	struct hnode h;
	union {
		struct tcp_key key;
		struct {
			uint8_t name[36];
			uint8_t kind;	 /* enum tcp_node_kind */
			uint8_t bits;	 /* TCP_SYN_*, TCP_TW_* */
			uint8_t retries; /* SYN record: SYN-ACKs sent again */
			uint8_t scales;	 /* shifts: peer's << 4 | ours */
		};
	};
};
_Static_assert(offsetof(struct tcp_node, kind) ==
		       offsetof(struct tcp_node, key) + TCP_KEY_LEN,
	       "kind and its like lie in the tag");

/* Deadlines in records: 2^14 ns in 32 bits, compared as sequence numbers. */
static inline uint32_t tcp_stamp(nsec t)
{
	return (uint32_t)((uint64_t)t >> 14);
}

#define TCP_SYN_TS 1
#define TCP_SYN_SACK 2
#define TCP_SYN_WSCALE 4
#define TCP_SYN_ECN 16
#define TCP_SYN_COOKIE 32  /* never in a table: nothing is kept */
#define TCP_SYN_ACKED 8	   /* the handshake is over but nobody took it */
#define TCP_SYN_ACCECN 64  /* beside TCP_SYN_ECN: RFC 9768 */
#define TCP_SYN_NO_ECT 128 /* and it came again without: send nothing ECT */

struct tcp_syn {
	struct tcp_node n;
	struct list link;	  /* tcp->synq[], by deadline */
	uint32_t listener : 22;	  /* index of its endpoint */
	uint32_t ect : 2;	  /* codepoint that the SYN came with */
	uint32_t num_synacks : 2; /* sent; 3 and more */
	uint32_t has_ao : 1;	  /* the SYN had it: a struct tcp_syn_ao */
	uint32_t iss, irs;
	uint32_t ts_recent;
	uint32_t due; /* tcp_stamp() */
	uint16_t mss; /* the peer's */
	uint16_t uto; /* the peer's, as on the wire */
};
_Static_assert(EP_SEG *EP_MAX_SEGS <= 1 << 22, "struct tcp_syn's listener");
_Static_assert(sizeof(struct tcp_syn) <= 96, "design: SYN record");

/* When a SYN record last answered what is none of its handshake. They have no
 * room for it; who takes another's place gives that one an answer more. */
#define TCP_NUM_ANSWERS 64u
struct tcp_syn_answer {
	uint32_t iss; /* of the record */
	uint32_t at;  /* tcp_stamp() */
};

struct tcp_syn_ao {
	struct tcp_syn q;
	uint8_t keyid, rnext; /* of the SYN (RFC 5925 2.2) */
};

#define TCP_TW_TS 1
#define TCP_TW_REUSEADDR 2
#define TCP_TW_REUSEPORT 4
#define TCP_TW_MD5 8 /* it is a struct tcp_tw_md5 */
#define TCP_TW_AO 16 /* it is a struct tcp_tw_ao */

struct tcp_tw {
	struct tcp_node n;
	struct list link; /* tcp->tw, by deadline */
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent;
	uint32_t began;	 /* tcp_stamp() */
	uint32_t due;	 /* tcp_stamp() */
	uint16_t window; /* as on the wire */
	uint8_t tos;
	uint8_t oow; /* when the last answer was given, in 268 ms */
};
_Static_assert(sizeof(struct tcp_tw) <= 96, "design: TIME-WAIT record");

struct tcp_tw_md5 {
	struct tcp_tw w;
	struct tcp_md5_key key; /* its answers are signed with */
};

struct tcp_tw_ao {
	struct tcp_tw w;
	struct tcp_ao_key key;
	uint8_t rnext;
	bool accept_icmps;
	uint32_t snd_sne; /* of snd_nxt */
};

/* Who holds a local port without being in the port table: children of
 * listeners and TIME-WAIT records. bind(2) wants to know. */
struct tcp_port {
	uint32_t all;
	uint32_t no_addr, no_port; /* without SO_REUSEADDR, SO_REUSEPORT */
	bool is_mixed;		   /* they have had several local addresses */
	struct ip_addr laddr;	   /* or this one */
};
struct tcp_port_page {
	uint32_t used;
	struct tcp_port v[1024];
};

struct tcp_fo_cache;

/* Of all connections, tcp_mem.c. */
struct tcp_mem {
	uint64_t held; /* bytes of payload and what it costs */
	bool is_pressed;
	nsec pressed_at;
	nsec now; /* of the last call that told */
	uint32_t num_orphans;
};

#define TCP_NUM_SYNQ 8 /* by SYN-ACKs sent; the last keeps its interval */

struct tcp {
	struct transport *tp;
	struct core *core;
	struct htab tuples;  /* struct tcp_node */
	struct list conns;   /* every struct tcp_conn */
	struct list listens; /* every struct tcp_listen */
	struct list owed;    /* connections to look at as the batch ends */
	struct list wait;    /* connections that the txq had no room for */
	struct list lends;   /* struct tcp_lend: memory with the caller */
	struct list synq[TCP_NUM_SYNQ];
	struct list tw;
	uint32_t num_tw;
	struct tcp_port_page *ports[64]; /* by local port; NULL: nobody there */
	struct timer timer;		 /* TIMER_TCP_TABLE */
	struct tcp_fo_cache *fo_cache;
	nsec fo_off_at;		   /* Fast Open was switched off, */
	uint32_t fo_off_times;	   /* so many times since it worked */
	struct sip_key fo_key;	   /* of cookies, when none is given */
	struct sip_key cookie_key; /* of SYN cookies */
	nsec challenge_at;	   /* RFC 5961 7: this second's allowance */
	uint32_t challenge_left;
	struct tcp_syn_answer answers[TCP_NUM_ANSWERS];
	struct tcp_mem mem;
};

struct tcp_listen {
	struct list link; /* tcp->listens */
	struct ep *ep;
	nsec cookie_at;	     /* when a cookie was last sent; 0: never */
	struct list acceptq; /* tcp_conn.accept_link, in order of arrival */
	uint32_t num_accept, backlog;
	uint32_t num_syn;
};

/* --- send side --- */

/* Bytes of the stream: part of one chunk. */
struct tcp_slice {
	struct list node; /* conn->stream */
	struct chunk *c;  /* holds a reference */
	uint8_t *p;
	uint32_t seq, len;
	bool eor;  /* MSG_EOR: a frame ends with it */
	bool push; /* a write ended with it: PSH */
};

struct tcp_mark {
	struct list node; /* conn->marks, in order of @end */
	uint32_t end;	  /* sequence number behind the byte */
	uint32_t want; /* SOF_TIMESTAMPING_TX_*; a bit goes when it is told */
};

/* One frame that was sent: at most 64 segments of mss bytes each. */
struct tcp_rec {
	struct list node;     /* conn->recs: by sequence number */
	struct list sent;     /* conn->sent: by time of the last transmission */
	struct tcp_slice *sl; /* where its first byte is; NULL without data */
	uint32_t seq, len;    /* payload bytes; SYN and FIN count besides */
	uint16_t mss;
	uint8_t flags;	/* TCP_SYN, TCP_FIN, TCP_PSH */
	uint8_t num_tx; /* times sent, saturating */
	uint8_t num_segs;
	uint16_t cut; /* bytes acked off a lone segment's front */
	bool is_rtx;  /* sent again, and that copy may be in flight */
	bool app_limited;
	uint64_t sacked, lost; /* one bit a segment */
	nsec first_at, last_at;
	/* as this was sent (draft-cheng-iccrg-delivery-rate-estimation) */
	uint64_t delivered;
	nsec delivered_at, first_tx_at;
	uint32_t tx_in_flight; /* with it */
	uint32_t lost_before;  /* tcp_conn.lost */
};

static inline uint32_t rec_end(const struct tcp_rec *r)
{
	return r->seq + r->len + !!(r->flags & TCP_SYN) +
	       !!(r->flags & TCP_FIN);
}

/* Memory with a caller between begin and commit. */
struct tcp_rslice;
struct tcp_lend {
	struct list link;	     /* tcp->lends */
	struct tcp_conn *conn;	     /* NULL: it died meanwhile */
	struct chunk *c[SPAN_MAX_V]; /* sending: one a vector */
	uint32_t num, bytes;
	uint32_t skip, want; /* peeking: not these, and no more than that */
	bool has_tail;	     /* c[0] is the tail that others may not extend */
	bool is_recv, is_peek;
	struct list
		slices; /* receiving: struct tcp_rslice taken off the queue */
};

/* --- receive side --- */

/* Received bytes, in a frame or, gathered, in a chunk. */
struct tcp_rslice {
	struct list node; /* conn->rcvq, conn->ofo, lend->slices */
	struct buf *b;	  /* holds a reference */
	uint8_t *p;
	uint32_t seq, len;
	uint32_t charge; /* to ep->rx_mem */
	bool fin;	 /* ofo: a FIN follows the bytes */
	nsec at;	 /* when its last byte came */
	bool is_gather;	 /* @b is a chunk that small payloads are copied to */
	uint32_t chance; /* ofo: see tcp_ofo.c */
	struct tcp_rslice *left, *right;
};

/* What of an ACK is owed. */
#define TCP_OWE_ACK 1	  /* something came: delayed or by count */
#define TCP_OWE_NOW 2	  /* at once */
#define TCP_OWE_PUSHED 4  /* when the user has read it all; ends a write */
#define TCP_OWE_PUSHED2 8 /* the same twice */
#define TCP_OWE_NOMEM 16  /* data was refused: the window closes */

/* As in Linux, the first of them is everything that is not the others. */
enum tcp_chrono { CHRONO_IDLE, CHRONO_BUSY, CHRONO_RWND, CHRONO_SNDBUF };

#define TCP_CA_IN(c, mask) ((1u << (c)->ca) & (mask))

struct tcp_rate {	    /* of the last sample taken */
	uint32_t delivered; /* segments */
	nsec interval;	    /* over this time; 0: none */
	bool app_limited;
};

/* RFC 8985 5.2; times are of the last transmission */
struct tcp_rack {
	nsec sent_at;	  /* of the last sent segment that was delivered */
	uint32_t end_seq; /* and its end */
	nsec rtt;	  /* its round trip */
	uint8_t reo_wnd_steps, reo_wnd_persist;
	bool advanced; /* since losses were last looked for */
	bool dsack_seen;
	uint32_t reord_seen;	 /* times that reordering was seen */
	uint64_t last_delivered; /* as reo_wnd_steps was raised */
};

/* What a wrong reduction of the window is undone with: RFC 3522, 4015, 3708 */
struct tcp_undo {
	bool armed;
	uint32_t marker; /* snd_una as the window was reduced */
	int32_t retrans; /* resent segments that no D-SACK told of; -1: none */
	uint32_t prior_ssthresh; /* 0: must not go back */
	nsec resent_at;		 /* the first resend since; 0: none */
};

/* Values are those of TCP_INFO since Linux 7.0. */
enum tcp_ecn_mode {
	ECN_OFF,
	ECN_CLASSIC,  /* RFC 3168: one echo for all marks of a window */
	ECN_ACCURATE, /* RFC 9768: marks are counted */
};

/* What was found not to work, bits of tcp_ecn.fail */
#define ECN_FAIL_ACE_RCV 2 /* we get wrong ACE fields: send nothing ECT */
#define ECN_FAIL_OPT_SND 4 /* what has our option is lost */
#define ECN_FAIL_OPT_RCV 8 /* the peer's option is changed on its way */

enum { ECN_OPT_UNSEEN, ECN_OPT_EMPTY, ECN_OPT_SEEN, ECN_OPT_BROKEN };

struct tcp_ecn {
	uint8_t mode;	   /* enum tcp_ecn_mode */
	uint8_t asks;	   /* the same: what our SYN asks for */
	bool syn_is_plain; /* but not when it is sent again */
	bool cwr;	   /* RFC 3168: data says that the window was reduced */
	bool demand;	   /* a mark came: every ACK says so until CWR does */
	bool seen;	   /* the peer does mark what it sends as capable */
	bool ce_state;	   /* RFC 8257 3.2: the last data came marked */
	/* RFC 9768; counters by codepoint */
	uint8_t fail;
	uint8_t opt_seen;	  /* ECN_OPT_* of the peer's */
	uint8_t opt_demand;	  /* so many ACKs must have ours */
	bool opt_with_dsack;	  /* the last of ours went with a D-SACK */
	uint8_t least;		  /* fields of it that have changed */
	bool ack_soon;		  /* the next data is acknowledged at once */
	bool reflect;		  /* an ACK tells how the SYN-ACK came */
	uint8_t syn_snt, syn_rcv; /* codepoint of SYN or SYN-ACK */
	uint8_t last_rcv;
	uint8_t guess; /* what came without the option, came so; 0: unknown */
	uint8_t ce_pending; /* marks that the peer has not been told of */
	uint32_t received_ce, delivered_ce; /* packets */
	uint32_t received[4], delivered[4]; /* bytes */
	uint32_t acked_avg;		    /* segments an ACK, 1/64 */
	nsec opt_at;			    /* our last option */
};

/* The search for the path's MTU (RFC 4821 5.2); sizes are of IP packets */
struct tcp_mtup {
	bool is_on;
	uint32_t high, low;
	uint32_t size;	     /* of the probe that is out; 0: none */
	uint32_t start, end; /* its bytes */
	nsec at;	     /* when the search began */
};

/* RFC 7661: was the window of use? */
struct tcp_cwv {
	uint32_t end_seq; /* of the round trip that is measured */
	uint64_t delivered;
	uint32_t pipe[2]; /* most segments of one: last period, this */
	bool has_sample;
	nsec period_at;
	nsec since; /* not validated; 0: it is */
};

/* The user timeout option, RFC 5482 */
struct tcp_uto {
	bool is_owed; /* the next segment that has room tells it */
	bool has_seq;
	uint32_t seq;	 /* the byte that it went with */
	uint16_t remote; /* the peer's, as on the wire; 0: not heard */
};

/* What an earlier connection to the peer has left; 0: nothing */
struct tcp_metrics {
	nsec rtt, rttvar;
	uint32_t ssthresh, reordering;
};

/* What the route to the peer says, of struct ip_metrics */
struct tcp_route {
	nsec rto_min;
	uint32_t initcwnd;
	bool quickack, cc_lock;
};

/* Values of tcpi_fastopen_client_fail */
enum { FO_FAIL_NONE, FO_FAIL_NO_COOKIE, FO_FAIL_NOT_ACKED, FO_FAIL_SYN_AGAIN };

struct tcp_conn {
	struct tcp_node node; /* tcp->tuples; key is the connection's name */
	struct tcp *t;
	struct ep *ep;
	struct timer timer; /* TIMER_TCP_CONN: the earliest of @at */
	nsec at[TCP_NUM_TIMERS];
	struct list link;	   /* tcp->conns */
	struct list owed_link;	   /* tcp->owed */
	struct list wait_link;	   /* tcp->wait */
	struct list accept_link;   /* listen->acceptq */
	struct tcp_listen *parent; /* while on its acceptq */

	uint8_t state; /* enum tcp_state; tcp_set_state() alone writes it */
	bool in_table;
	bool is_orphan;	 /* no owner left */
	bool fin_rcvd;	 /* peer's FIN is in sequence */
	bool fin_queued; /* ours stands at write_seq */
	bool fin_sent;
	bool is_reset; /* peer's RST, or given up: why it is CLOSED */
	bool tw_counted;
	bool was_established;
	bool is_passive;
	bool holds_port; /* counted in tcp->ports */
	uint32_t flow;	 /* IPv6 flow label */

	/* options agreed in the SYNs */
	bool ts_ok, sack_ok, wscale_ok;
	struct tcp_fo_cookie fo; /* what our SYN says */
	bool fo_deferred;	 /* SYN-SENT, but the SYN waits for data */
	bool fo_asked;		 /* our SYN had the option */
	bool fo_tries;		 /* the first after it was switched off */
	uint8_t fo_fail;	 /* FO_FAIL_* */
	bool fo_data;		 /* our SYN had data that may be acknowledged */
	bool fo_acked; /* the data of a SYN was taken, theirs or ours */
	bool is_tfo;   /* made by a SYN, not by the ACK of our SYN-ACK */
	uint8_t snd_wscale, rcv_wscale;
	uint16_t mss_clamp; /* peer's MSS option */
	uint16_t advmss;    /* ours */
	uint16_t mss_cache; /* payload of a segment, options but SACK off */
	uint32_t pmtu;
	uint32_t route_gen; /* ip->gen that it is of */
	struct tcp_mtup mtup;

	/* send sequence */
	uint32_t iss, snd_una, snd_nxt, write_seq;
	uint32_t snd_wnd, snd_wl1, max_window;
	uint32_t snd_up;      /* urgent data ends here; == snd_una: none */
	uint32_t pushed_seq;  /* end of the last write that was pushed */
	uint32_t snd_sml;     /* end of the last small segment (Minshall) */
	bool more_coming;     /* this commit said MSG_MORE */
	bool is_rwnd_limited; /* the peer's window stopped the last frame */

	/* send buffer */
	struct list stream;	  /* struct tcp_slice */
	struct list marks;	  /* struct tcp_mark: SO_TIMESTAMPING */
	struct tcp_slice *snd_sl; /* where snd_nxt is; NULL: at the end */
	struct chunk *tail;	  /* may be extended; holds a reference */
	bool tail_lent;
	uint32_t snd_mem;     /* bytes held or lent, charged to ep->sndbuf */
	uint64_t mem_counted; /* of this and ep->rx_mem, in tcp->mem */
	bool is_counted;      /* as an orphan, there too */
	bool no_memory;	      /* for a writer; the output timer tries again */
	uint32_t snd_fill;    /* of them in the last skb, as Linux would cut */
	bool nospace;	      /* a writer was refused: tell it */

	/* transmit records */
	struct list recs, sent;
	struct tcp_rec *hint_sack; /* last block of a scan ended here */
	struct tcp_rec *hint_lost; /* everything before it is judged */
	struct tcp_rec *hint_rtx;  /* nothing to resend before it */
	uint32_t packets_out, sacked_out, lost_out, retrans_out;
	uint32_t num_recs;
	uint32_t lost; /* ever judged so */

	/* congestion and recovery */
	struct cc cc;
	uint8_t ca; /* enum tcp_ca */
	bool is_cwnd_limited;
	uint32_t high_seq;    /* snd_nxt as recovery began */
	uint32_t high_sacked; /* end of the highest SACK */
	uint32_t max_packets_out, max_packets_seq;
	uint32_t reordering; /* how far apart segments were seen to come */
	struct tcp_rack rack;
	struct tcp_undo undo;
	/* proportional rate reduction, RFC 6937 */
	uint32_t prior_cwnd, prr_delivered, prr_out;
	uint32_t tlp_high_seq; /* snd_nxt at the loss probe, while it is out */
	bool tlp_out, tlp_is_rtx;
	struct tcp_ecn ecn;
	struct tcp_cwv cwv;
	struct tcp_uto uto;
	struct tcp_route route;
	bool frto;	  /* the timeout may be spurious, RFC 5682 */
	bool frto_new;	  /* send what is new before what is lost */
	bool hold_resend; /* this ACK casts doubt on what counts as lost */
	struct tcp_sack_block sack_seen[TCP_MAX_SACK];
	uint8_t num_sack_seen;
	bool sack_reneged; /* the peer threw away what it had sacked */
	nsec newest_at;	   /* sent_at of the last sent one that arrived */
	uint64_t delivered;
	nsec delivered_at, first_tx_at;
	uint64_t app_limited; /* delivered when the limit is over; 0: none */
	struct tcp_rate rate;
	nsec last_sent_at; /* data */

	/* round trip and retransmission, RFC 6298 */
	nsec srtt, mdev, mdev_max, rttvar, rto;
	uint32_t rtt_seq;
	nsec min_rtt, min_rtt_at;
	uint8_t backoff;
	uint8_t retransmits; /* timeouts in a row */
	uint16_t total_rto;
	uint16_t rto_recoveries;
	nsec rto_at, rto_time; /* of this row of timeouts; of all */
	uint8_t probes_out, keep_probes;
	nsec retrans_at;  /* first resend of what is not acked; 0: none */
	nsec probes_at;	  /* first unanswered probe */
	bool write_waits; /* a writer sleeps until it is ESTABLISHED */
	nsec syn_at;	  /* our first SYN or SYN-ACK */

	/* receive sequence */
	uint32_t irs, rcv_nxt, rcv_wup, rcv_wnd, copied_seq;
	uint32_t window_clamp, rcv_ssthresh;
	uint32_t rcv_mss; /* guess at the peer's segment size */
	struct list rcvq, ofo;
	uint32_t num_ofo;
	struct tcp_rslice *ofo_root;		   /* the tree over ofo */
	struct tcp_sack_block sacks[TCP_MAX_SACK]; /* newest first */
	uint8_t num_sacks;
	bool has_dsack;
	struct tcp_sack_block dsack;
	uint32_t ts_recent;
	nsec ts_recent_at;
	uint32_t ts_off;
	uint8_t urg_state; /* 0 or TCP_URG_* */
	uint8_t urg_byte;
	uint32_t urg_seq;
	uint32_t win_ratio; /* payload per true size, in 1/256 */

	/* acknowledging */
	uint8_t owe;	      /* TCP_OWE_* */
	uint8_t quick;	      /* ACKs to send without delay */
	uint8_t pingpong;     /* times that the user has answered soon */
	uint32_t owed_frames; /* with data, since the last ACK */
	nsec ato;
	nsec last_rcv_at;      /* data */
	nsec heard_at;	       /* anything acceptable */
	uint8_t comp_held;     /* ACKs that were not sent */
	uint8_t comp_dups;     /* sent since rcv_nxt last moved, */
	uint32_t comp_rcv_nxt; /* here */
	nsec oow_at;	       /* last ACK sent for something unacceptable */

	/* receive buffer autotuning */
	nsec rcv_rtt;
	nsec rcvq_at;
	uint32_t rcvq_seq, rcvq_space;
	uint32_t rcv_rtt_ecr, rcv_rtt_seq;
	nsec rcv_rtt_at; /* 0: not begun */

	/* bytes a second, which size frames; ~0: not known yet */
	uint64_t pacing_rate;
	bool is_paced;	 /* and which frames keep to */
	bool pace_waits; /* nothing else holds the next frame */
	nsec pace_at;	 /* when it may leave */

	/* what sending waits for, and for how long it has */
	uint8_t chrono; /* enum tcp_chrono */
	nsec chrono_at, chrono_sum[3];

	/* counters for TCP_INFO */
	uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retrans;
	uint32_t segs_in, segs_out, data_segs_in, data_segs_out;
	uint32_t total_retrans, dsack_dups, num_ooo;
	nsec ack_rcvd_at;
};

#define TCP_URG_NOTYET 1
#define TCP_URG_VALID 2
#define TCP_URG_READ 3

static inline const struct sysctl_values *tcp_sysctl(const struct tcp_conn *c)
{
	return c->t->core->sysctl;
}

/* tcp_init_cwnd() of Linux */
static inline uint32_t tcp_initial_cwnd(const struct tcp_conn *c)
{
	return c->route.initcwnd ? c->route.initcwnd
				 : (uint32_t)tcp_sysctl(c)->tcp_init_cwnd;
}

/* Stream bytes not yet sent. */
static inline uint32_t tcp_unsent(const struct tcp_conn *c)
{
	return c->fin_sent ? 0 : c->write_seq - c->snd_nxt;
}

/* Sequence numbers not yet acknowledged, a queued FIN among them. */
static inline uint32_t tcp_unacked(const struct tcp_conn *c)
{
	return c->write_seq + c->fin_queued - c->snd_una;
}

static inline struct arena *tcp_arena(const struct tcp_conn *c)
{
	return c->t->core->arena;
}

/* A segment that has been parsed. */
struct tcp_seg {
	const struct ip_rx *rx;
	struct tcp_repr r;
	const uint8_t *data;
	uint32_t seq, end; /* SYN and FIN count */
	uint32_t len;	   /* payload */
	uint32_t segs;	   /* as sent by the peer, before they were joined */
	uint32_t iss;	   /* a SYN over a TIME-WAIT: begin beyond it; else 0 */
	bool gone;	   /* the connection was freed on the way */
	bool ts_advanced;  /* its timestamp is newer than all before */
	nsec now;
};

/* --- tcp.c: life --- */
void tcp_set_state(struct tcp_conn *c, enum tcp_state s);
struct tcp_conn *tcp_conn_new(struct ep *e, nsec now); /* or NULL */
/* Before a SYN or SYN-ACK: MSS, window and buffers from the endpoint. */
void tcp_conn_setup(struct tcp_conn *c, nsec now);
/* After the options are agreed: IW, buffers, MSS. */
void tcp_conn_established(struct tcp_conn *c, nsec now);
/* CLOSED now; frees it if nobody owns it. @err: positive errno for the owner,
 * 0 for a clean end. True: it is gone. */
bool tcp_done(struct tcp_conn *c, int err, nsec now);
void tcp_conn_free(struct tcp_conn *c);
/* RST if the peer knows of it, then tcp_done(). */
void tcp_conn_abort(struct tcp_conn *c, int err, nsec now);
void tcp_ready(struct tcp_conn *c, bool edge_in, bool edge_out);
int tcp_tuple_insert(struct tcp *t, struct tcp_node *n);
void tcp_tuple_remove(struct tcp *t, struct tcp_node *n);
struct tcp_node *tcp_tuple_find(struct tcp *t, const struct tcp_key *k);
/* @d +1 or -1: @n, with its TCP_TW_REUSE* bits, holds its port or no longer. */
void tcp_port_count(struct tcp *t, const struct tcp_node *n, int d);
unsigned tcp_reuse_bits(const struct ep *e);
uint32_t tcp_iss(struct tcp *t, const struct tcp_key *k, nsec now);
uint32_t tcp_ts_off(struct tcp *t, const struct tcp_key *k);
static inline uint32_t tcp_ts_now(uint32_t off, nsec now)
{
	return (uint32_t)(now / MSEC) + off;
}
void tcp_table_rearm(struct tcp *t, nsec now);
#ifdef TCPSHIM_DEBUG_CHECKS
void tcp_check(const struct tcp_conn *c);
#else
static inline void tcp_check(const struct tcp_conn *c)
{
}
#endif

/* The user answers what he reads: an ACK can wait for that. */
static inline bool tcp_is_pingpong(const struct tcp_conn *c)
{
	return c->pingpong >= tcp_sysctl(c)->tcp_pingpong_thresh;
}

static inline void tcp_set_pingpong(struct tcp_conn *c, bool on)
{
	c->pingpong = on ? (uint8_t)tcp_sysctl(c)->tcp_pingpong_thresh : 0;
}

/* --- tcp_in.c --- */
/* The segment that completes a handshake, for a child just made. */
void tcp_conn_in(struct tcp_conn *c, struct tcp_seg *s);
void tcp_be_quick(struct tcp_conn *c); /* the next ACKs are not delayed */
void tcp_challenge_ack(struct tcp_conn *c, nsec now);

/* --- tcp_ack.c: what an ACK does to the send side --- */
/* False: the segment is to be dropped. */
bool tcp_ack(struct tcp_conn *c, struct tcp_seg *s);
/* Is @win, which @s offers, news? */
bool tcp_may_update_window(const struct tcp_conn *c, const struct tcp_seg *s,
			   uint32_t win);

/* What one ACK has told, gathered on its way. */
struct tcp_acked {
	const struct tcp_seg *s;
	nsec now;
	uint32_t prior_una, prior_in_flight, prior_packets, prior_sacked;
	uint32_t prior_lost, prior_high_sacked;
	uint64_t prior_delivered;
	uint32_t segs, bytes; /* by the cumulative ACK */
	uint32_t sacked;      /* segments newly sacked */
	uint32_t num_dup;     /* a duplicate ACK, RFC 5681 2 */
	bool resent;	      /* some of it was sent more than once */
	bool orig;	      /* some below high_seq was sent only once */
	bool is_dsack, tlp_dsack;
	bool ece;	 /* a mark was echoed */
	bool lost_rtx;	 /* a resend was found lost */
	bool keep_timer; /* the timeout was set on purpose */
	bool reneged;	 /* tcp_conn.sack_reneged before this ACK */
	uint32_t reord;	 /* lowest delivered below what was sacked before */
	bool has_reord;
	nsec oldest_at; /* first_at of the oldest acked one sent once; 0 */
	nsec rtt_at;	/* the same of the last sent of them */
	nsec newest_at; /* when the last sent of them was sent */
	/* snapshot of the last sent of what was delivered */
	bool has_rate, app_limited;
	uint64_t rate_delivered;
	uint32_t rate_in_flight, rate_lost;
	nsec rate_at, rate_tx_at, sent_at;
};

static inline uint32_t tcp_in_flight(const struct tcp_conn *c)
{
	return c->packets_out - c->sacked_out - c->lost_out + c->retrans_out;
}

/* --- tcp_recover.c: the states of congestion and loss --- */
void tcp_recover(struct tcp_conn *c, struct tcp_acked *a);
/* The window while it is being reduced: RFC 6937. */
static inline bool tcp_is_reducing(const struct tcp_conn *c)
{
	return TCP_CA_IN(c, (1u << CA_CWR) | (1u << CA_RECOVERY));
}
void tcp_reduce(struct tcp_conn *c, const struct tcp_acked *a);
void tcp_enter_recovery(struct tcp_conn *c, bool ece);
void tcp_enter_loss(struct tcp_conn *c, nsec now);
void tcp_reno_acked(struct tcp_conn *c, uint32_t segs); /* without SACK */
void tcp_enter_cwr(struct tcp_conn *c, bool by_mark);
/* A loss that the probe repaired: the window falls, once. */
void tcp_reduce_once(struct tcp_conn *c);
void tcp_simple_retransmit(struct tcp_conn *c, nsec now);
/* All in flight goes again, which says nothing of congestion. */
void tcp_resend_all(struct tcp_conn *c, nsec now);
/* @dups segments came twice, the last ending at @end: were resends needless? */
void tcp_undo_dsack(struct tcp_conn *c, uint32_t end, uint32_t dups);

/* --- tcp_ecn.c: agreeing on it, and RFC 3168 --- */
static inline bool tcp_ecn_is_classic(const struct tcp_conn *c)
{
	return c->ecn.mode == ECN_CLASSIC;
}
static inline bool tcp_ecn_is_accurate(const struct tcp_conn *c)
{
	return c->ecn.mode == ECN_ACCURATE;
}
void tcp_ecn_begin(struct tcp_conn *c); /* before our SYN */
void tcp_ecn_syn_again(struct tcp_conn *c);
void tcp_ecn_synack_in(struct tcp_conn *c, const struct tcp_seg *s);
void tcp_ecn_syn_in(struct tcp_conn *c,
		    const struct tcp_seg *s); /* both open */
/* The peer sends again what it had: is our ACK lost for its option's sake? */
void tcp_accecn_duplicate(struct tcp_conn *c);
/* A listener: what @q, for the SYN @s, agrees to; what its SYN-ACK says; the
 * child; the ACK that makes it. */
void tcp_ecn_request(const struct tcp_listen *l, struct tcp_syn *q,
		     const struct tcp_seg *s);
void tcp_ecn_request_again(struct tcp_syn *q, const struct tcp_seg *s);
void tcp_ecn_synack_out(const struct tcp_listen *l, struct tcp_syn *q,
			struct tcp_repr *r, uint8_t *tos);
void tcp_ecn_child(struct tcp_conn *c, const struct tcp_syn *q);
void tcp_ecn_third_ack(struct tcp_conn *c, const struct tcp_seg *s);
void tcp_ecn_heard(struct tcp_conn *c, const struct tcp_seg *s); /* any */
void tcp_ecn_in(struct tcp_conn *c, const struct tcp_seg *s);	 /* has data */
/* What goes into a segment's header; marks the packet's TOS. */
void tcp_ecn_out(struct tcp_conn *c, struct tcp_repr *r, bool is_new_data,
		 uint8_t *tos);
/* An ACK: does it tell of marks? */
bool tcp_ecn_ack(struct tcp_conn *c, const struct tcp_seg *s,
		 const struct tcp_acked *a);

#define TCP_ACE_INIT 5u /* RFC 9768 3.2.1 */
/* --- tcp_cwv.c: a window that was not filled (RFC 7661) --- */
void tcp_cwv_acked(struct tcp_conn *c, nsec now);
bool tcp_cwv_is_paced(const struct tcp_conn *c);
bool tcp_cwv_may_grow(const struct tcp_conn *c, bool linux_says);
/* After an idle time. True: that is all, no slow start. */
bool tcp_cwv_restart(struct tcp_conn *c, nsec now);
void tcp_cwv_reduce(struct tcp_conn *c); /* before the window falls */

/* --- tcp_uto.c: the user timeout option (RFC 5482) --- */
#define TCP_UTO_LEN 4u
/* An acceptable segment has come. */
void tcp_uto_heard(struct tcp_conn *c, const struct tcp_repr *r);
/* The user timeout that the peer has asked for, within our limits; 0: it has
 * not, or the application has set one. */
nsec tcp_uto_adopted(const struct tcp_conn *c);
uint32_t tcp_uto_room(const struct tcp_conn *c); /* of the next segment */
/* Adds the option to a segment of @len bytes at @seq, which has @room left. */
void tcp_uto_add(struct tcp_conn *c, struct tcp_repr *r, uint32_t seq,
		 uint32_t len, uint32_t room);
void tcp_uto_synack(const struct ep *e, struct tcp_repr *r);
void tcp_uto_sent(struct tcp_conn *c, const struct tcp_repr *r, uint32_t len);

/* --- tcp_accecn.c: accurate feedback (RFC 9768) --- */
static inline uint8_t tcp_ace(const struct tcp_repr *r)
{
	return (uint8_t)((r->ns & 1) << 2 | (r->flags & TCP_CWR ? 2 : 0) |
			 (r->flags & TCP_ECE ? 1 : 0));
}
void tcp_set_ace(struct tcp_repr *r, uint32_t ace);
uint8_t tcp_ace_reflecting(uint8_t ect); /* RFC 9768 3.1.1, table 2 */
/* False: the SYN or SYN-ACK that we sent as @sent can't have come so. */
bool tcp_accecn_reflection_ok(struct tcp_conn *c, uint8_t ace);
bool tcp_accecn_is_reflection(uint8_t ace, uint8_t ect);
void tcp_accecn_heard(struct tcp_conn *c, const struct tcp_seg *s);
void tcp_accecn_saw_opt(struct tcp_conn *c, const struct tcp_accecn_opt *o);
/* Marks that @s tells of. */
uint32_t tcp_accecn_ack(struct tcp_conn *c, const struct tcp_seg *s,
			const struct tcp_acked *a);
/* Adds the option to @r if it is time for it and it takes no more than @room
 * bytes. */
void tcp_accecn_add_opt(struct tcp_conn *c, struct tcp_repr *r, uint32_t room,
			nsec now);
/* What it takes of a data segment beside @num_sack blocks. */
uint32_t tcp_accecn_room(const struct tcp_conn *c, unsigned num_sack);
/* The option of a SYN-ACK. */
void tcp_accecn_syn_opt(struct tcp_repr *r);
/* Would a frame that the device cuts lose a bit of ACE in all but its first
 * segment? */
static inline bool tcp_accecn_no_gso(const struct tcp_conn *c)
{
	return tcp_ecn_is_accurate(c) &&
	       (c->ecn.received_ce + TCP_ACE_INIT) & 2;
}

/* --- tcp_rack.c: loss by time, and the tail (RFC 8985) --- */
void tcp_rack_init(struct tcp_conn *c);
void tcp_rack_note(struct tcp_conn *c, const struct tcp_acked *a,
		   const struct tcp_rec *r, uint32_t end);
void tcp_rack_mark_lost(struct tcp_conn *c, nsec now);
void tcp_rack_update_wnd(struct tcp_conn *c, const struct tcp_acked *a);
void tcp_rack_timer(struct tcp_conn *c, nsec now);
/* Arms the loss probe instead of the timeout at @deadline. False: not now. */
bool tcp_tlp_arm(struct tcp_conn *c, nsec deadline, nsec now);
void tcp_tlp_timer(struct tcp_conn *c, nsec now);
void tcp_tlp_ack(struct tcp_conn *c, const struct tcp_acked *a);

/* --- tcp_syn.c --- */
/* The window of a SYN, and the shift that it will need (Linux's
 * tcp_select_initial_window()). @clamp: what it may ever grow to. */
uint32_t tcp_initial_window(const struct ep *e, const struct ip_metrics *m,
			    uint32_t mss, uint8_t *wscale, uint32_t *clamp);
/* What the peer's SYN asks us to shift by. */
uint8_t tcp_peer_wscale(struct core *core, const struct tcp_repr *r);
void tcp_listen_in(struct tcp_listen *l, struct tcp_seg *s);
void tcp_syn_in(struct tcp *t, struct tcp_syn *q, struct tcp_seg *s);
void tcp_syn_error(struct tcp *t, struct tcp_syn *q, const struct ip_error *e,
		   uint32_t seq);
void tcp_syn_forget(struct tcp *t, struct tcp_syn *q);
void tcp_syn_timer(struct tcp *t, nsec now);
nsec tcp_syn_next_at(const struct tcp *t, nsec now);
struct tcp_listen *tcp_syn_listener(struct tcp *t, const struct tcp_syn *q);

/* Made by its SYN, and not yet confirmed: may send and receive. */
static inline bool tcp_is_early(const struct tcp_conn *c)
{
	return c->is_tfo && c->state == TCPS_SYN_RCVD;
}

/* --- tcp_syncookie.c --- */
/* The sequence number of a SYN-ACK that keeps nothing; @q's MSS is rounded. */
uint32_t tcp_cookie_make(struct tcp *t, struct tcp_syn *q, nsec now);
/* Its timestamp, offset not yet added: options are in it. */
uint32_t tcp_cookie_stamp(const struct tcp_syn *q, uint32_t ts_now);
/* Is @s the ACK of such a SYN-ACK? Then @q, which has the key, is filled. */
bool tcp_cookie_check(struct tcp *t, struct tcp_syn *q, const struct tcp_seg *s,
		      uint8_t our_scale);

/* --- tcp_fastopen.c --- */
#define TFO_CLIENT_ENABLE 1 /* bits of net.ipv4.tcp_fastopen */
#define TFO_SERVER_ENABLE 2
#define TFO_CLIENT_NO_COOKIE 4
#define TFO_SERVER_COOKIE_NOT_REQD 0x200
#define TFO_SERVER_WO_SOCKOPT1 0x400
/* Before the SYN: true if it waits for data, else it asks for a cookie. */
bool tcp_fo_prepare(struct tcp_conn *c, nsec now);
/* Signs of a black hole: a timeout is about to count, or ends it; a RST comes
 * that can't be right; it is over. */
void tcp_fo_timeout(struct tcp_conn *c, bool gives_up, nsec now);
void tcp_fo_odd_rst(struct tcp_conn *c, nsec now);
void tcp_fo_end(struct tcp_conn *c, nsec now);
uint32_t tcp_fo_space(const struct tcp_conn *c);
bool tcp_fo_synack(struct tcp_conn *c, const struct tcp_seg *s);
/* A SYN at a listener: true if it may open a connection at once; @answer goes
 * into the SYN-ACK. */
bool tcp_fo_try(struct tcp_listen *l, const struct tcp_seg *s,
		struct tcp_fo_cookie *answer);
/* It did, or there was no memory. */
void tcp_fo_opened(struct tcp *t, const struct tcp_fo_cookie *answer, bool ok);
void tcp_fo_fini(struct tcp *t);

/* --- tcp_tw.c --- */
/* The connection goes on as a record; the caller then ends it. */
void tcp_tw_enter(struct tcp_conn *c, nsec now);
/* True: the segment is a SYN that may open the tuple anew; the record is gone
 * and @iss is beyond what it used. */
bool tcp_tw_in(struct tcp *t, struct tcp_tw *w, struct tcp_seg *s,
	       uint32_t *iss);
void tcp_tw_free(struct tcp *t, struct tcp_tw *w);
bool tcp_tw_may_reuse(const struct tcp *t, const struct tcp_tw *w, nsec now);
void tcp_tw_timer(struct tcp *t, nsec now);
nsec tcp_tw_next_at(const struct tcp *t, nsec now);
void tcp_tw_fini(struct tcp *t);

/* --- tcp_out.c --- */
/* What became of a segment: nothing has moved. -ENOBUFS: there was no room and
 * tcp_tx_room() will try again; -EBUSY: the device took it not, and nobody
 * tells when it will; -EMSGSIZE: it is too long. */
static inline bool tcp_is_unsent(int err)
{
	return err == -ENOBUFS || err == -EBUSY || err == -EMSGSIZE;
}
/* Sends what may be sent now. */
void tcp_out(struct tcp_conn *c, nsec now);
/* The same with Nagle and cork off for what is queued. */
void tcp_out_push(struct tcp_conn *c, nsec now);
int tcp_send_syn(struct tcp_conn *c, nsec now);	 /* with what is queued */
void tcp_send_fin(struct tcp_conn *c, nsec now); /* queues it, and sends */
/* Persist: a piece of data if the window has any room, else a probe. */
int tcp_send_wakeup(struct tcp_conn *c, nsec now);
/* One segment whatever the window: a new one, else the last one again. */
int tcp_send_tail(struct tcp_conn *c, bool *is_rtx, nsec now);

/* --- tcp_resend.c --- */
/* Resends the first record that is not acked, at once. 0 or -errno. */
int tcp_resend_head(struct tcp_conn *c, nsec now);

/* --- tcp_xmit.c --- */
int tcp_send_ack(struct tcp_conn *c, nsec now);
void tcp_send_rst(struct tcp_conn *c, nsec now);
/* Window probe or keepalive: an old sequence number, no data. */
int tcp_send_probe(struct tcp_conn *c, nsec now);
uint32_t tcp_out_mss(const struct tcp_conn *c); /* of a data segment now */
/* What a signature takes of each header; Linux's mss_cache is with it. */
unsigned tcp_auth_len(const struct tcp_conn *c);
uint32_t tcp_hdr_len(const struct tcp_key *k); /* IP and TCP, no options */
uint32_t tcp_mss_of_mtu(const struct tcp_key *k, uint32_t mtu);
/* The window to advertise, unscaled; may raise rcv_wnd when it is sent. */
uint32_t tcp_select_window(const struct tcp_conn *c);
/* A segment that belongs to no connection: RST, TIME-WAIT's ACK, SYN-ACK. */
void tcp_send_bare(struct tcp *t, const struct tcp_key *k, struct tcp_repr *r,
		   const struct tcp_sig *sig, uint8_t tos, uint8_t ttl,
		   nsec now);
/* RFC 9293 3.10.7.1: the RST that answers @s. */
void tcp_answer_rst(struct tcp *t, const struct tcp_seg *s);
struct tcp_key tcp_seg_key(const struct tcp_seg *s);

/* --- tcp_mem.c --- */
/* An entry point ends: what the connection holds is counted. */
/* --- tcp_metrics.c --- */

void tcp_metrics_save(const struct tcp_conn *c);
void tcp_metrics_load(struct tcp_conn *c);
/* Of @peer; NULL: nothing is known, or with @make no memory. */
struct tcp_metrics *tcp_fo_metrics(struct tcp *t, const struct ip_addr *peer,
				   bool make);

/* --- tcp_count.c: before anything of the segment has an effect --- */

void tcp_count_ack(const struct tcp_conn *c, const struct tcp_seg *s);
void tcp_count_dsack(const struct tcp_conn *c, const struct tcp_sack_block *b);
void tcp_count_hystart(struct tcp_conn *c);
void tcp_count_window(const struct tcp_conn *c, uint32_t win);
void tcp_count_tw(struct tcp_conn *c, nsec len);

void tcp_mem_sync(struct tcp_conn *c);
void tcp_mem_forget(struct tcp_conn *c);
void tcp_mem_recount(struct tcp *t);
static inline bool tcp_mem_is_short(const struct tcp_conn *c)
{
	return c->t->mem.is_pressed;
}
/* More than the least that each connection may hold? */
bool tcp_mem_may_send(const struct tcp_conn *c);
/* The same while @lent bytes are with a writer already. */
bool tcp_mem_may_lend(const struct tcp_conn *c, uint32_t lent);
bool tcp_mem_may_recv(const struct tcp_conn *c);
/* Nobody owns it any more, and nothing has come of it in a while. True: there
 * are too many such, or there is no memory, and it is gone. */
bool tcp_mem_orphaned(struct tcp_conn *c, nsec now);
bool tcp_mem_orphan_waits(struct tcp_conn *c, bool reset, nsec now);

/* --- tcp_repair.c --- */
void tcp_repair_connect(struct tcp_conn *c, nsec now);
/* Which of its queues is a call of a socket in repair about? 0 or -errno. */
int tcp_repair_may_send(const struct ep *e);
int tcp_repair_may_recv(const struct ep *e, int flags);

/* --- tcp_mtu.c --- */
#define TCP_MTU_NOT_NOW (-1)
#define TCP_MTU_WAIT 0 /* with everything: there will be room for a probe */
/* The MSS follows @pmtu and what is known of the path. */
void tcp_mss_sync(struct tcp_conn *c, uint32_t pmtu);
void tcp_mtu_init(struct tcp_conn *c, nsec now); /* options are agreed on */
/* Bytes of the probe that is to go now, or one of the above. */
int tcp_mtu_probe_len(struct tcp_conn *c, nsec now);
void tcp_mtu_too_long(struct tcp_conn *c, nsec now); /* it can't leave */
void tcp_mtu_sent(struct tcp_conn *c, uint32_t seq, uint32_t len);
void tcp_mtu_acked(struct tcp_conn *c); /* snd_una has moved */
/* Something is lost: was it a probe? Then that is seen to. */
bool tcp_mtu_lost(struct tcp_conn *c, nsec now);
void tcp_mtu_black_hole(struct tcp_conn *c, nsec now);

/* --- tcp_rec.c --- */
struct tcp_rec *tcp_rec_new(struct tcp_conn *c, nsec now); /* not on a list */
void tcp_rec_sent(struct tcp_conn *c, struct tcp_rec *r, bool again, nsec now);
void tcp_rec_free(struct tcp_conn *c, struct tcp_rec *r);
/* Cuts at @seq, which is on a segment boundary: the second part, or NULL. */
struct tcp_rec *tcp_rec_split(struct tcp_conn *c, struct tcp_rec *r,
			      uint32_t seq);
/* Joins @r with sacked neighbours. */
void tcp_rec_merge(struct tcp_conn *c, struct tcp_rec *r);
/* Bytes before @una are gone: @r begins there now. Segments acked. */
uint32_t tcp_rec_trim(struct tcp_conn *c, struct tcp_rec *r, uint32_t una);
void tcp_rec_resegment(struct tcp_conn *c, struct tcp_rec *r, uint16_t mss);
void tcp_rec_set_lost(struct tcp_conn *c, struct tcp_rec *r, uint64_t mask);
void tcp_rec_clear_rtx(struct tcp_conn *c, struct tcp_rec *r);
/* The same, and it is known not to have arrived. */
void tcp_rec_lost_again(struct tcp_conn *c, struct tcp_rec *r);
void tcp_recs_free(struct tcp_conn *c);
static inline uint64_t rec_all(const struct tcp_rec *r)
{
	return r->num_segs >= 64 ? ~0ull : (1ull << r->num_segs) - 1;
}
static inline uint32_t rec_count(uint64_t mask)
{
	return (uint32_t)__builtin_popcountll(mask);
}
static inline struct tcp_rec *rec_next(const struct tcp_conn *c,
				       const struct tcp_rec *r)
{
	return r->node.next == &c->recs
		       ? NULL
		       : list_entry(r->node.next, struct tcp_rec, node);
}
static inline struct tcp_rec *rec_prev(const struct tcp_conn *c,
				       const struct tcp_rec *r)
{
	return r->node.prev == &c->recs
		       ? NULL
		       : list_entry(r->node.prev, struct tcp_rec, node);
}

/* --- tcp_sack.c --- */
/* One record, up to @end, is newly delivered. */
void tcp_sack_note(struct tcp_conn *c, struct tcp_acked *a,
		   const struct tcp_rec *r, uint32_t end);
/* Marks what the peer has. */
void tcp_sack_in(struct tcp_conn *c, const struct tcp_seg *s,
		 struct tcp_acked *a);
void tcp_sack_note_order(struct tcp_acked *a, uint32_t low);
/* Delivery was out of order from @low on: how far is measured. */
void tcp_sack_reordered(struct tcp_conn *c, uint32_t low, bool by_time);
/* The segments of @r that lie wholly within [@start, @end). */
uint64_t tcp_rec_covered(const struct tcp_rec *r, uint32_t start, uint32_t end);
/* RFC 6675 IsLost(): marks what has enough sacked above it. */
void tcp_sack_mark_lost(struct tcp_conn *c);
/* Copies sent again, overtaken by what was sent later: lost too. */
void tcp_sack_mark_rtx_lost(struct tcp_conn *c);
void tcp_sack_forget(struct tcp_conn *c); /* the peer has reneged */
/* Receiver: the blocks that it tells of. */
void tcp_sacks_add(struct tcp_conn *c, uint32_t start, uint32_t end);
void tcp_sacks_below(struct tcp_conn *c, uint32_t seq); /* forgets them */

/* --- tcp_ofo.c --- */
/* The tree anew, from the list. */
void tcp_ofo_index(struct tcp_conn *c);
/* Queues @s out of order. True: taken. */
bool tcp_ofo_insert(struct tcp_conn *c, struct tcp_seg *s);
/* Moves what has become contiguous to the receive queue; true: a FIN too. */
bool tcp_ofo_drain(struct tcp_conn *c);
void tcp_ofo_free(struct tcp_conn *c);
bool tcp_ofo_prune(struct tcp_conn *c); /* drops the highest; true: some */
void tcp_dsack_set(struct tcp_conn *c, uint32_t start, uint32_t end);
void tcp_dsack_extend(struct tcp_conn *c, uint32_t start, uint32_t end);
/* Blocks for an ACK, D-SACK first; how many of at most @max. */
unsigned tcp_sack_blocks(const struct tcp_conn *c, struct tcp_sack_block *b,
			 unsigned max);

/* --- tcp_rtt.c --- */
void tcp_rtt_sample(struct tcp_conn *c, nsec rtt, nsec now);
nsec tcp_rto_min(const struct tcp_conn *c);
nsec tcp_rto_max(const struct tcp_conn *c);
void tcp_rto_update(struct tcp_conn *c); /* from srtt and rttvar */
void tcp_rtt_init(struct tcp_conn *c);	 /* a handshake is over */
/* How long @retries doublings from @base last, as Linux counts. */
nsec tcp_model_timeout(const struct tcp_conn *c, unsigned retries, nsec base);
void tcp_pacing_update(struct tcp_conn *c);
void tcp_rate_sent(struct tcp_conn *c, struct tcp_rec *r, nsec now);

/* --- tcp_pace.c --- */
void tcp_pace_enable(struct tcp_conn *c); /* for good, as in Linux */
/* The next frame has to wait; a timer will call tcp_out(). */
bool tcp_pace_holds(struct tcp_conn *c, nsec now);
void tcp_pace_sent(struct tcp_conn *c, uint32_t len, nsec now);
nsec tcp_pace_delay(const struct tcp_conn *c, nsec now);
/* The controller's callbacks, with what it sees brought up to date. */
void tcp_cc_init(struct tcp_conn *c, enum cc_id id, nsec now);
void tcp_cc_acked(struct tcp_conn *c, nsec now);
void tcp_cc_event(struct tcp_conn *c, enum cc_event ev, nsec idle, nsec now);
/* @segs of @r are lost, and counted so already. */
void tcp_cc_lost(struct tcp_conn *c, const struct tcp_rec *r, uint32_t segs);
void tcp_cc_control(struct tcp_conn *c, const struct tcp_acked *a);
static inline bool tcp_cc_has_control(const struct tcp_conn *c)
{
	return cc_ops(&c->cc)->control;
}

/* --- tcp_timer.c --- */
void tcp_timer_set(struct tcp_conn *c, enum tcp_timer t, nsec at);
static inline void tcp_timer_stop(struct tcp_conn *c, enum tcp_timer t)
{
	c->at[t] = TIME_NEVER;
}
void tcp_timer_sync(struct tcp_conn *c); /* the heap follows @at */
void tcp_timer_rtx_restart(struct tcp_conn *c, nsec now);
void tcp_timer_keep_changed(struct tcp_conn *c, nsec now);
void tcp_timer_delack(struct tcp_conn *c, nsec now);
/* ICMP says that @seq has no way to go. */
void tcp_timer_revert(struct tcp_conn *c, uint32_t seq, nsec now);
/* __tcp_ack_snd_check() of Linux: the peer knows enough, so the ACK of what
 * came out of order may wait for more. */
bool tcp_ack_may_wait(struct tcp_conn *c, nsec now);
nsec tcp_keep_idle(const struct tcp_conn *c);
nsec tcp_fin2_len(const struct tcp_conn *c);

/* --- tcp_sndbuf.c --- */
uint32_t tcp_snd_used(const struct tcp_conn *c); /* of ep->sndbuf */
/* What is acked and sent may have made room for a writer who waits. */
void tcp_snd_check_space(struct tcp_conn *c);
bool tcp_snd_is_writeable(const struct tcp_conn *c);
void tcp_snd_acked(struct tcp_conn *c); /* frees the stream below snd_una */
void tcp_snd_free(struct tcp_conn *c);
void tcp_mark_push(struct tcp_conn *c);
void tcp_sndbuf_grow(struct tcp_conn *c);
/* As much of the stream as Linux gathers in one skb: whole segments. */
uint32_t tcp_size_goal(const struct tcp_conn *c);
struct tcp_slice *tcp_slice_next(const struct tcp_conn *c,
				 const struct tcp_slice *s);
/* Repair: lends what is not acknowledged, to look at. Bytes, or -errno. */
int tcp_snd_peek(struct tcp_conn *c, struct span *sp, uint32_t skip,
		 uint32_t want);

/* --- tcp_rcvbuf.c --- */
/* Repair: @n bytes at @p, in @k, as if the peer had sent them. */
bool tcp_rcv_append(struct tcp_conn *c, struct chunk *k, uint8_t *p, uint32_t n,
		    nsec now);
/* Queues bytes [@seq, @seq + @len) of @s in order. False: no room. */
bool tcp_rcv_queue(struct tcp_conn *c, struct tcp_seg *s);
struct tcp_rslice *tcp_rslice_new(struct tcp_conn *c, struct tcp_seg *s,
				  uint32_t seq, uint32_t len);
void tcp_rslice_free(struct tcp_conn *c, struct tcp_rslice *r);
/* tcp_collapse.c: what @len bytes that are charged @charge come to, if need be.
 */
uint32_t tcp_rslice_held(uint32_t charge, uint32_t len);
/* @r has just been queued, behind @before or nothing: when memory is short they
 * are moved to where they fit. */
void tcp_rslice_tighten(struct tcp_conn *c, struct tcp_rslice *r,
			struct tcp_rslice *before);
void tcp_rcv_free(struct tcp_conn *c);
uint32_t tcp_rcv_avail(const struct tcp_conn *c); /* readable now */
bool tcp_rcv_has_room(const struct tcp_conn *c);
/* An urgent byte that would be read next, but for another one behind it. */
void tcp_rcv_drop_urgent(struct tcp_conn *c);
uint32_t tcp_win_from_space(const struct tcp_conn *c, uint32_t space);
/* tcp_drs.c: how large buffer and window should be. In order data came; it was
 * read; data came out of order and is queued. */
void tcp_rcv_rtt(struct tcp_conn *c, const struct tcp_seg *s);
void tcp_rcv_space_adjust(struct tcp_conn *c, nsec now);
void tcp_rcv_ofo_grow(struct tcp_conn *c, uint32_t len);
void tcp_rcv_grow_window(struct tcp_conn *c, uint32_t len);
/* tcp_info.c: looks at what sending waits for, after anything that changed. */
void tcp_chrono_update(struct tcp_conn *c, nsec now);

/* --- tcp_lend.c --- */
struct tcp_lend *tcp_lend_new(struct tcp_conn *c, bool is_recv); /* or NULL */
void tcp_lend_free(struct tcp *t, struct tcp_lend *l);
static inline struct tcp_lend *tcp_lend_of(const struct span *sp)
{
	return (struct tcp_lend *)(uintptr_t)sp->pin;
}
/* A piece of either queue, to look at: what of it lies behind @l->skip, up to
 * @l->want. False: no more of them. */
bool tcp_lend_look(struct tcp_lend *l, struct span *sp, struct buf *b,
		   uint8_t *p, uint32_t len);
void tcp_lend_orphan(struct tcp_conn *c);
void tcp_lends_free(struct tcp *t);

/* --- tcp_stamp.c --- */

/* The last byte of the stream is one that SOF_TIMESTAMPING_TX_* asks about. */
void tcp_mark_add(struct tcp_conn *c, uint32_t stamp);
/* Does @p carry such a byte? Then it says so when it leaves. */
void tcp_mark_pkt(const struct tcp_conn *c, struct pkt *p, uint32_t seq,
		  uint32_t len);
void tcp_mark_acked(struct tcp_conn *c, nsec now);
void tcp_marks_free(struct tcp_conn *c);

#endif
