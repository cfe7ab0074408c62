/* SPDX-License-Identifier: MIT
 *
 * ip.h - IPv4 and IPv6: check and deliver, route, fragment, send
 */
#ifndef TCPSHIM_IP_H
#define TCPSHIM_IP_H

#include "base/addr.h"
#include "base/core.h"
#include "base/htab.h"
#include "link/link.h"

struct transport; /* whom ip delivers to */
struct mcast;	  /* mcast.c */
struct reass;	  /* reass.c */
struct pmtu;	  /* route.c */

/* RFC 3168 5: the codepoints, two bits of the TOS byte or traffic class */
#define IP_ECN_MASK 3u
enum { IP_NOT_ECT, IP_ECT1, IP_ECT0, IP_CE };

#define IP_MAX_ADDRS 16
#define IP_MAX_ROUTES 64
#define IP_NUM_IDS 64 /* counters of packet identifiers, RFC 7739 5.3 */
#define ICMP_NUM_HOSTS 64

/* The two interfaces that a host has, as if_nametoindex(3) numbers them. */
#define IP_IF_LO 1
#define IP_IF_DEV 2

struct ip_ifaddr {
	struct ip_addr addr;
	uint8_t plen;
};

/* What the user knows of a way, as ip-route(8) has it; 0: nothing. */
struct ip_metrics {
	uint32_t mtu, advmss, hoplimit;
	uint32_t initcwnd, initrwnd; /* segments */
	uint32_t rto_min;	     /* ms */
	uint32_t quickack;
	bool mtu_lock; /* whatever routers say; they may fragment */
	bool cc_lock;  /* TCP_CONGESTION can't change it */
	char congctl[16];
};

struct ip_route {
	struct ip_addr dst; /* its family is the route's */
	struct ip_addr gw;  /* any: on link */
	struct ip_addr src; /* preferred source, any: choose */
	struct ip_metrics m;
	uint8_t plen;
	uint8_t link; /* enum link_id */
};

/* ICMP error token bucket, RFC 4443 2.4(f); per host and whole stack. */
struct icmp_limit {
	nsec refilled_at;
	uint32_t tokens;
	struct {
		uint32_t hash;
		nsec next_at; /* when its bucket is full again */
	} host[ICMP_NUM_HOSTS];
};

struct ip {
	struct core *core;
	struct link *link;
	struct transport *tp;
	struct ip_ifaddr addrs[IP_MAX_ADDRS];
	unsigned num_addrs;
	struct ip_route routes[IP_MAX_ROUTES]; /* longest prefix first */
	unsigned num_routes;
	struct ip_route to_self;  /* what a lookup of a local address gives */
	struct ip_route to_group; /* broadcast and multicast without a route */
	struct reass *reass;
	struct mcast *mcast;
	struct htab pmtu;     /* destination -> struct pmtu */
	struct list pmtu_age; /* the same, first to expire first */
	uint32_t num_pmtu;
	uint32_t gen;	    /* changes when a route or a path MTU does */
	struct timer timer; /* TIMER_IP: reassembly and path MTU expiry */
	struct icmp_limit icmp_limit[2]; /* v4, v6 */
	struct sip_key id_key;
	uint32_t ids[IP_NUM_IDS];
};

int ip_init(struct ip *ip, struct core *c, struct link *l,
	    struct transport *tp);
void ip_fini(struct ip *ip);
void ip_timer(struct ip *ip, nsec now);
/* After a death under the lock, see base/rebuild.h: what is kept; sockets know
 * their groups again. */
struct rebuild;
void ip_find(struct ip *ip, struct rebuild *rb);
void ip_revive(struct ip *ip, nsec now);

/* Adds an address and its on-link route. 0, -EEXIST, -ENOSPC, -EINVAL when no
 * host can have it. The loopback addresses are always there: nothing to add. */
int ip_addr_add(struct ip *ip, const struct ip_addr *a, unsigned plen);
/* 0, -EEXIST, -ENOSPC, -EINVAL: the families differ, @plen is too long. */
int ip_route_add(struct ip *ip, const struct ip_addr *dst, unsigned plen,
		 const struct ip_addr *gw);
/* The same of all that a route is, in place of the one that there is. */
int ip_route_set(struct ip *ip, const struct ip_route *r);
/* Adds it, or its metrics and source to one with the same gateway. */
int ip_route_tell(struct ip *ip, const struct ip_route *r);
/* "10.0.0.0/8 via 10.77.0.1 initcwnd 20": 0, or -EINVAL and *bad is where. */
int ip_route_parse(const char *text, struct ip_route *r, const char **bad);

enum ip_scope {			/* what an address is to this host */
		IP_SCOPE_NONE,	/* somebody else's unicast */
		IP_SCOPE_LOCAL, /* ours, loopback included */
		IP_SCOPE_BCAST, /* limited or directed broadcast */
		IP_SCOPE_MCAST,
};
enum ip_scope ip_scope(const struct ip *ip, const struct ip_addr *a);

/* Route to @dst, or NULL (-ENETUNREACH). A local address goes to LINK_LO. */
const struct ip_route *ip_route_lookup(const struct ip *ip,
				       const struct ip_addr *dst);
/* The same by way of interface @oif, 0 for any (SO_BINDTODEVICE,
 * IP_UNICAST_IF, a scope id). */
const struct ip_route *ip_route_via(const struct ip *ip,
				    const struct ip_addr *dst, uint32_t oif);
/* Its metrics; all zero where nothing is known. */
const struct ip_metrics *ip_metrics_via(const struct ip *ip,
					const struct ip_addr *dst,
					uint32_t oif);
/* Source address for @dst (RFC 6724 rules that apply; RFC 1122 3.3.4.3).
 * 0, -ENETUNREACH, -EADDRNOTAVAIL. */
int ip_source(const struct ip *ip, const struct ip_addr *dst,
	      struct ip_addr *src);
int ip_source_via(const struct ip *ip, const struct ip_addr *dst, uint32_t oif,
		  struct ip_addr *src);
/* Path MTU to @dst now: the learned one until it expires, else the link's. */
uint32_t ip_mtu(struct ip *ip, const struct ip_addr *dst, nsec now);
/* A router says @mtu; the path MTU then. */
uint32_t ip_mtu_told(struct ip *ip, const struct ip_addr *dst, uint32_t mtu,
		     nsec now);

/* What a transport asks for. */
struct ip_tx {
	struct ip_addr src, dst;
	uint32_t flow; /* IPv6 flow label */
	uint8_t proto;
	uint8_t ttl;	/* 0: the default */
	uint8_t tos;	/* or traffic class */
	bool df;	/* -EMSGSIZE rather than fragment; sets DF on IPv4 */
	bool df_always; /* IP_PMTUDISC_DO: whatever the route says */
	bool dont_fragment_local; /* IP_PMTUDISC_PROBE: ignore learned MTU */
	const uint8_t *opts;	  /* IPv4 options, whole words, or NULL */
	uint8_t num_opts;	  /* bytes of them */
	bool loop;	/* to a group or broadcast: hear it at home, too */
	bool host_only; /* to a group with TTL 0: at home alone */
	bool any_src;	/* the unspecified address is the source (RFC 3810) */
	uint32_t oif;	/* IP_IF_*: by way of; 0: as routes say */
	uint16_t mtu; /* fragments no longer than that; 0: as the path has it */
};

/* Takes @p, whose headers begin with the L4 header. gso packets must have
 * hdr_len = L4 header length; ip adds its own. A PARTIAL checksum is completed
 * here when the packet has to be fragmented. 0, -ENETUNREACH, -EMSGSIZE,
 * -ENOBUFS; @p is gone in every case. */
int ip_out(struct ip *ip, struct pkt *p, const struct ip_tx *tx, nsec now);

/* The same for a packet with an L3 header of its own, which lies in @p's room
 * (IP_HDRINCL). Of @tx only ends and way count. IPv4: the length and checksum
 * are filled in, identifier and source when they are zero; never fragmented. */
int ip_out_own(struct ip *ip, struct pkt *p, const struct ip_tx *tx, nsec now);

/* A datagram for a transport: the L4 packet, contiguous, checksum not yet
 * looked at (see csum). @f is borrowed; frame_get() it to keep the bytes. */
struct ip_rx {
	struct frame *f;
	const uint8_t *l4; /* inside f->data */
	uint32_t l4_len;
	struct ip_addr src, dst;
	uint32_t flow;
	uint8_t proto, ttl, tos;
	uint8_t csum;  /* enum csum_state */
	uint8_t scope; /* enum ip_scope of dst */
	uint8_t link;  /* enum link_id */
	bool was_fragmented;
};

static inline uint32_t ip_dif(const struct ip_rx *rx) /* by which it came */
{
	return rx->link == LINK_LO ? IP_IF_LO : IP_IF_DEV;
}

enum ip_verdict { IP_TAKEN, IP_NO_PROTO, IP_NO_PORT };
/* Defined by transport/demux.c. IP_NO_PORT and IP_NO_PROTO make ip send the
 * unreachable error (unless gated). */
enum ip_verdict ip_deliver(struct transport *tp, const struct ip_rx *rx,
			   nsec now);

/* Defined by transport/demux.c: before anybody else, raw sockets get a copy.
 * True if one did: then nobody is told that the protocol is unknown. */
bool ip_deliver_raw(struct transport *tp, const struct ip_rx *rx, nsec now);

/* An ICMP error about a packet we sent, delivered to the transport whose
 * header is quoted. */
struct ip_error {
	struct ip_addr local, remote; /* as in the packet that we sent */
	struct ip_addr offender;      /* who complained */
	uint8_t proto;
	uint8_t type, code; /* as on the wire */
	uint8_t is4;
	int err;       /* errno that Linux maps it to: ECONNREFUSED, ... */
	bool fatal;    /* Linux's icmp_err_convert[].fatal */
	uint32_t mtu;  /* EMSGSIZE: the new path MTU, already noted; of TCP's
			* what the router says, for ip_mtu_told() */
	uint32_t info; /* EMSGSIZE: the MTU as told; else a pointer, or 0 */
	const uint8_t *l4; /* quoted L4 bytes, at least 8 */
	uint32_t l4_len;
	const struct ip_rx *rx; /* the ICMP message; borrowed, as @l4 is */
};
/* Defined by transport/demux.c. */
void ip_deliver_error(struct transport *tp, const struct ip_error *e, nsec now);

/* icmp.c: an error about @f (the packet as received, trimmed to its length),
 * gated and rate limited per RFC 1122 3.2.2 and RFC 4443 2.4(e). @rest: bytes 4
 * to 7 of the message, host order: MTU, or pointer (IPv4: pointer << 24). The
 * quote refers to @f, which is kept until the error has left. */
void icmp_send_error(struct ip *ip, struct frame *f, uint8_t type, uint8_t code,
		     uint32_t rest, nsec now);

#endif
