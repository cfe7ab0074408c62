/* SPDX-License-Identifier: MIT
 *
 * ip_priv.h - what the files of ip/ share, and nobody else sees
 */
#ifndef TCPSHIM_IP_PRIV_H
#define TCPSHIM_IP_PRIV_H

#include "ip/ip.h"
#include "sysctl.h"

struct rebuild;

#define IP_LO_MTU 65536	      /* of the loopback, as Linux's lo */
#define IP4_MAX_TOTAL 65535   /* RFC 791 3.1: total length has 16 bits */
#define IP6_MAX_PAYLOAD 65535 /* RFC 8200 3: no jumbograms */
/* Milliseconds of a clock that is not the time of day, RFC 791 3.1 */
#define IP_OPT_TIME(now) ((uint32_t)((now) / MSEC) | 0x80000000u)

/* Counts in the family's own row: IP_STAT(ip, is4, InReceives). */
#define IP_STAT(ip, is4, what) \
	stat_inc((ip)->core, (is4) ? STAT_Ip##what : STAT_Ip6##what)

/* ip_in.c */
void ip_count_group(struct ip *ip, const struct ip_addr *dst, uint32_t len,
		    bool in);

/* route.c */
int route_init(struct ip *ip);
void route_fini(struct ip *ip);
void route_find(struct ip *ip, struct rebuild *rb);
/* Of what goes by way of @r: the link's, or less. */
uint32_t route_mtu(const struct ip *ip, const struct ip_route *r);
uint32_t route_link_mtu(const struct ip *ip, const struct ip_addr *dst);
/* A router says that packets to @dst must not be longer than @mtu. Bounded,
 * never raised (RFC 1191 3, RFC 8201 4). */
void pmtu_note(struct ip *ip, const struct ip_addr *dst, uint32_t mtu,
	       nsec now);
/* The learned value alone, 0 if there is none. @locked: it lies below what we
 * believe, so packets go without DF (Linux's locked metric). */
uint32_t pmtu_get(struct ip *ip, const struct ip_addr *dst, bool *locked,
		  nsec now);
/* RFC 1191 7.1: a router that reports no MTU. The next plateau under @len. */
uint32_t pmtu_plateau(uint32_t len);
nsec pmtu_next_at(const struct ip *ip);
void pmtu_expire(struct ip *ip, nsec now);

/* reass.c */
struct frag { /* one fragment as it came; pointers into its frame */
	struct ip_addr src, dst;
	uint32_t id;
	uint32_t off, len; /* of the data, in the whole datagram */
	const uint8_t *data;
	const uint8_t *hdr; /* all that is in front of the data */
	uint16_t hdr_len;   /* IPv6: unfragmentable part and fragment header */
	uint16_t next_off;  /* IPv6: the field that names the fragment header */
	uint8_t proto;	    /* IPv4: part of the key; IPv6: what follows */
	uint8_t ecn;
	bool is4, more;
};

struct reass *reass_new(struct ip *ip); /* NULL: no memory */
void reass_free(struct reass *rs);
void reass_find(struct reass *rs, struct rebuild *rb); /* nothing is kept */
/* Takes in @fr, which came in @f. The whole datagram in a frame of its own,
 * which the caller owns, when it is complete; else NULL. */
struct frame *reass_add(struct reass *rs, const struct frag *fr,
			struct frame *f, nsec now);
nsec reass_next_at(const struct reass *rs);
void reass_expire(struct reass *rs, nsec now);
uint32_t reass_num(const struct reass *rs); /* datagrams under way */
size_t reass_used(const struct reass *rs);  /* bytes that they hold */

/* icmp.c */
void icmp_init(struct ip *ip);
void icmp_in(struct ip *ip, const struct ip_rx *rx, nsec now);

/* ip.c */
void ip_timer_rearm(struct ip *ip);

#endif
