/* SPDX-License-Identifier: MIT
 *
 * ep.h - endpoints: what an fd names, as far as transports know it
 *
 * One struct for UDP and TCP, so that addresses, ports, buffers, errors and
 * readiness are written once. A sockid is index and generation: outside the
 * lock nobody holds a pointer. sock/ is the face in front of it; the protocol
 * half hangs on ->tcp or lives in the udp fields.
 *
 * Life: ep_new() by sock/ (socket(2)) or by TCP (a child of a listener);
 * refs: one for the owner (the fd, or the accept queue), one for a TCP
 * connection that outlives close(2). Freed with the last.
 */
#ifndef TCPSHIM_EP_H
#define TCPSHIM_EP_H

#include <sys/epoll.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/core.h"
#include "base/htab.h"
#include "base/list.h"

typedef uint64_t sockid; /* generation << 32 | index + 1; 0 is none */

struct transport;
struct tcp_conn;
struct tcp_listen;
struct tcp_auth;

enum ep_kind { EP_UDP, EP_TCP, EP_RAW, EP_PING, EP_NUM_KINDS };

/* What connect(2) answers next: a connection that was made while nobody looked
 * is 0 once and -EISCONN from then on (Linux's SS_CONNECTING). */
enum ep_phase {
	EP_UNCONNECTED,
	EP_CONNECTING,
	EP_CONNECTED,
	EP_DISCONNECTING /* shut down when a connect(2) had failed */
};

/* In readiness bits, beside EPOLLERR: it is there for the error queue alone. A
 * poll hears of it, a call that waits for data or room does not. */
#define SOCK_POLL_NOTE (1u << 26)

#define EP_SHUT_RD 1
#define EP_SHUT_WR 2

/* What an option can say; boolean ones are bits of ->opts. */
/* clang-format off */
#define EP_OPTS(X)                                                             \
	X(REUSEADDR) X(REUSEPORT) X(KEEPALIVE) X(BROADCAST) X(OOBINLINE)       \
	X(DONTROUTE) X(LINGER) X(RCVTIMESTAMP) X(RCVTIMESTAMPNS)               \
	X(TIMESTAMP_NEW) X(NO_CHECK) X(DEBUG) X(RXQ_OVFL) X(RCVMARK)           \
	X(TXREHASH) X(PREFER_BUSY) X(LOCK_FILTER) X(SELECT_ERRQ) X(NOFCS)      \
	X(SNDBUF_LOCK) X(RCVBUF_LOCK) X(BOUND_ADDR) X(BOUND_PORT)              \
	X(BIND_NO_PORT) X(FREEBIND) X(TRANSPARENT) X(PKTINFO) X(RECVTTL)       \
	X(RECVTOS) X(RECVOPTS) X(RETOPTS) X(RECVERR) X(RECVERR_RFC4884)        \
	X(RECVORIGDSTADDR) X(RECVFRAGSIZE) X(CHECKSUM) X(PASSSEC)              \
	X(MCAST_LOOP) X(MCAST_ALL) X(V6ONLY) X(RECVERR6)                       \
	X(RECVERR_RFC4884_6) X(RECVPKTINFO6) X(RECVHOPLIMIT6)                  \
	X(RECVTCLASS6) X(RECVORIGDSTADDR6) X(RECVHOPOPTS6) X(RECVRTHDR6)       \
	X(RECVDSTOPTS6) X(RECVPATHMTU6) X(RECVFLOWINFO6) X(FLOWINFO_SEND6)     \
	X(MCAST_LOOP6) X(MCAST_ALL6) X(DONTFRAG6) X(AUTOFLOWLABEL)             \
	X(NODELAY) X(CORK) X(QUICKACK) X(UDP_CORK) X(GRO)                      \
	X(NO_CHECK6_TX) X(NO_CHECK6_RX) X(TXTIME) X(RCVPRIORITY)               \
	X(PKTINFO2292) X(HOPLIMIT2292) X(ZEROCOPY) X(HDRINCL) X(NODEFRAG)      \
	X(WIFI_STATUS) X(HOPOPTS2292) X(DSTOPTS2292) X(RTHDR2292)              \
	X(RECVFRAGSIZE6) X(RTALERT_ISOLATE)
/* clang-format on */

enum ep_opt {
#define X(n) EP_O_##n,
	EP_OPTS(X)
#undef X
		EP_NUM_OPTS
};

/* Participants: the processes on one host. Which of them calls is said once a
 * lock round, stack_set_party(). */
#define EP_MAX_PARTIES 1024

/* A participant's interest in the readiness of an endpoint. */
struct ep_sub {
	struct list link; /* on its party's queue: something changed */
	struct list node; /* on ep->more */
	struct ep *e;
	uint16_t party;
	/* of these one is told of a connection; it was, and did not come; it
	 * came, and nobody there was waiting */
	bool is_exclusive, is_passed, is_away;
};

#define EP_STAMP_NONE 0	   /* no datagram came */
#define EP_STAMP_UNKNOWN 1 /* one came before the stamp was asked for */

struct ep {
	/* identity */
	struct transport *tp;
	uint32_t index, gen;
	uint32_t refs;
	uint8_t kind;	     /* enum ep_kind */
	uint8_t family;	     /* AF_INET or AF_INET6, as created */
	uint8_t type, proto; /* SOCK_STREAM.., IPPROTO_.. */
	uint8_t shut;	     /* EP_SHUT_* */
	bool is_connected;   /* UDP: has a peer; TCP: past connect */
	bool is_closed;	     /* the owner is gone */
	bool is_child;	     /* waits in an accept queue */
	bool is_broken;	     /* a death has left its connection in pieces */
	bool is_bound;	     /* in the port table */
	bool is_auto;	     /* port picked by connect: others may share it */
	uint8_t phase;	     /* enum ep_phase: connect(2) as Linux tells it */
	struct ep_opts {
		uint64_t w[2]; /* bit of enum ep_opt */
	} opts;

	/* addresses; any until bound or connected */
	struct ip_addr laddr, raddr;
	uint16_t lport, rport;
	uint32_t flowinfo;
	struct hnode bind_node; /* port table, by (kind, port) */
	struct hnode conn_node; /* UDP: connected ones, by 4-tuple */
	bool in_conn;		/* ->conn_node is in its table */
	uint64_t bind_seq;	/* order of binding: the newest wins a tie */

	/* errors */
	int err;      /* SO_ERROR: positive errno, cleared when it is read */
	int err_soft; /* reported only if the connection then fails */
	struct list errq;	  /* struct errq_note: MSG_ERRQUEUE */
	struct ep_filter *filter; /* SO_ATTACH_FILTER; NULL: none */

	/* readiness: EPOLL* bits; a counter per direction, since edge
	 * triggering needs "again" and not only "still" */
	uint32_t bits;
	uint32_t in_seq, out_seq;
	struct ep_sub sub; /* the first to watch; nearly always the only one */
	struct list more;  /* struct ep_sub of the others */
	bool wants_ready;  /* ->sub is in force: else changes are not queued */
	uint16_t slot;	   /* given back by stack_ready() */

	/* whose it is, across processes */
	uint16_t party; /* who made it */
	bool is_shared; /* sock_set_shared() */
	uint64_t tag;	/* the crank's name for it; 0: none */
	struct hnode tag_node;

	/* SOL_SOCKET, IP, IPV6 values */
	uint32_t rcvbuf, sndbuf; /* bytes, as SO_RCVBUF reads back (doubled) */
	uint32_t rcvlowat;
	uint32_t priority, mark, busy_poll, incoming_cpu;
	uint32_t max_pacing_lo;
	uint64_t max_pacing;
	nsec rcvtimeo, sndtimeo; /* 0: for ever */
	nsec linger;
	uint32_t dev_if; /* SO_BINDTODEVICE: interface, or 0 */
	uint8_t tos, tclass;
	int16_t ttl, hops6; /* -1: the default */
	int16_t mc_ttl, mc_hops6;
	uint8_t pmtudisc, pmtudisc6; /* IP_PMTUDISC_* */
	uint8_t min_ttl, min_hops6;
	uint32_t mtu6;		   /* IPV6_MTU */
	uint32_t mc_if, mc_if6;	   /* IP_MULTICAST_IF: index */
	uint32_t uc_if, uc_if6;	   /* IP_UNICAST_IF */
	uint32_t sticky_if6;	   /* IPV6_PKTINFO of setsockopt(2) */
	uint8_t mc_addr[4];	   /* the same by address, network order */
	uint16_t port_lo, port_hi; /* IP_LOCAL_PORT_RANGE, 0: sysctl */
	uint64_t cookie;
	nsec created_at;
	nsec stamp_at;	   /* SIOCGSTAMP: of the last datagram, or EP_STAMP_* */
	bool stamp_wanted; /* somebody has asked for it */
	uint32_t rx_mtu;   /* IPV6_RECVPATHMTU: to be told, 0: nothing */
	struct ip_addr rx_mtu_dst;
	uint32_t tsflags;  /* SO_TIMESTAMPING: SOF_TIMESTAMPING_* */
	uint32_t ts_key;   /* SOF_TIMESTAMPING_OPT_ID counts from here */
	uint32_t zc_key;   /* number of the next MSG_ZEROCOPY send */
	int32_t peek_off;  /* SO_PEEK_OFF, -1: off */
	uint16_t gso_size; /* UDP_SEGMENT */
	uint32_t txtime_clock, txtime_flags;
#define IP_OPTIONS_MAX 40				    /* RFC 791 3.1 */
	uint8_t ip_options[IP_OPTIONS_MAX], num_ip_options; /* IP_OPTIONS */
	uint8_t addr_pref; /* IPV6_ADDR_PREFERENCES: IPV6_PREFER_SRC_* */

	/* memory */
	uint32_t rx_mem; /* true size of what is queued to be read */
	uint32_t tx_mem; /* bytes charged until the device has them (UDP) */

	/* UDP */
	struct list rxq; /* struct dgram */
	uint32_t num_rxq;
	uint32_t rx_drops;
	struct list groups;	 /* memberships, see group.c */
	struct dgram_cork *cork; /* MSG_MORE, UDP_CORK: not yet complete */

	/* raw */
	struct list raw_link;	 /* transport->raws */
	uint32_t icmp_filter[8]; /* ICMP_FILTER, ICMP6_FILTER: blocked types */
	int32_t raw_csum;	 /* IPV6_CHECKSUM: where, or RAW_NO_CSUM */

	/* TCP: one of them, or neither (CLOSED) */
	struct tcp_conn *tcp;
	struct tcp_listen *listen;
	struct tcp_auth *auth; /* keys; NULL: none were ever set */
	/* TCP values set before there is a connection; children inherit them */
	struct ep_tcp_opts {
		uint16_t maxseg;
		uint8_t cc; /* enum of cc.h */
		uint8_t syncnt, keepcnt;
		uint32_t keepidle, keepintvl; /* seconds, 0: sysctl */
		uint32_t user_timeout;	      /* ms */
		int32_t linger2;	      /* seconds, 0: sysctl, <0: none */
		uint32_t defer_accept;
		uint32_t window_clamp;
		uint32_t notsent_lowat;
		uint32_t rto_min_us, rto_max_ms, delack_max_us;
		int32_t fastopen_qlen;
		uint8_t fastopen_connect, fastopen_no_cookie;
		uint8_t num_fo_keys; /* TCP_FASTOPEN_KEY; the second is older */
		uint8_t fo_key[32];
		struct ep_repair { /* TCP_REPAIR */
			bool is_on, has_ts_off;
			uint8_t queue; /* enum tcp_repair_queue */
			uint32_t snd_seq, rcv_seq, ts_off;
		} repair;
		uint8_t thin_linear, save_syn, inq, tx_delay;
	} topt;
};

static inline bool ep_opt(const struct ep *e, enum ep_opt o)
{
	return e->opts.w[o / 64] >> o % 64 & 1;
}

static inline void ep_opt_set(struct ep *e, enum ep_opt o, bool on)
{
	uint64_t bit = 1ull << o % 64, *w = &e->opts.w[o / 64];

	*w = on ? *w | bit : *w & ~bit;
}

_Static_assert(EP_NUM_OPTS <= 128, "struct ep_opts has no more bits");

/* Table of endpoints: slots never move, an index is used again with a new
 * generation. Segments keep every allocation small. */
#define EP_SEG 1024
#define EP_MAX_SEGS 2048

struct ep_slot {
	struct ep *e; /* NULL: free */
	uint32_t gen; /* of @e, or of the last one */
	uint32_t next_free;
};

struct ep_table {
	struct ep_slot **segs; /* EP_MAX_SEGS, filled from the front */
	uint32_t num_segs;
	uint32_t num;	     /* live endpoints */
	uint32_t first_free; /* index + 1, 0: none */
};

int ep_table_init(struct ep_table *t, struct core *c); /* 0 or -ENOMEM */
void ep_table_fini(struct ep_table *t, struct core *c);
/* The next live endpoint at or after index *@pos, which moves behind it. */
struct ep *ep_table_walk(const struct ep_table *t, uint32_t *pos);

struct ep *ep_new(struct transport *tp, enum ep_kind kind, int family,
		  nsec now); /* refs 1; NULL: no memory */
void ep_get(struct ep *e);
void ep_put(struct ep *e);
sockid ep_id(const struct ep *e);
struct ep *ep_find(struct transport *tp, sockid s); /* NULL: gone */

/* The one way up. Recomputes nothing: the caller says what holds now.
 * @edge_in/@edge_out: new data or a new connection, new room (counts as an
 * edge even if the bit was set). Queues the ep for stack_ready() if watched. */
void ep_ready(struct ep *e, uint32_t bits, bool edge_in, bool edge_out);
/* Who watches @e is to look, whether or not anything is new. */
void ep_tell_all(struct ep *e);
/* One of those of which one is enough, if one does not know yet. */
void ep_tell_one(struct ep *e);
/* The calling participant's interest, or NULL. With @make it is made if it is
 * not there; NULL then is out of memory. */
struct ep_sub *ep_sub_of(struct ep *e, uint16_t party, bool make);
void ep_sub_del(struct ep_sub *sub);
void ep_sub_del_all(struct ep *e);
/* Names @e for ep_by_tag(); 0 takes the name off. */
void ep_set_tag(struct ep *e, uint64_t tag);
void ep_tag_refill(struct ep *e); /* the table is new */
struct ep *ep_by_tag(const struct transport *tp, uint64_t tag);
/* Sets SO_ERROR (positive errno) and EPOLLERR. */
void ep_error(struct ep *e, int err);

#endif
