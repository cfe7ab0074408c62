/* SPDX-License-Identifier: MIT
 *
 * uapi.h - values of Linux's uapi that are younger than some headers
 */
#ifndef TCPSHIM_SOCK_UAPI_H
#define TCPSHIM_SOCK_UAPI_H

#include <stdint.h>
#include <sys/socket.h>

#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM 73
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IP_PROTOCOL
#define IP_PROTOCOL 52
#endif
#ifndef IP_RECVERR_RFC4884
#define IP_RECVERR_RFC4884 26
#endif
#ifndef IPV6_RECVERR_RFC4884
#define IPV6_RECVERR_RFC4884 31
#endif
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif
#ifndef TCP_AO_ADD_KEY
#define TCP_AO_ADD_KEY 38
#define TCP_AO_DEL_KEY 39
#define TCP_AO_INFO 40
#define TCP_AO_GET_KEYS 41
#define TCP_AO_REPAIR 42
#endif
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SO_DEVMEM_DONTNEED
#define SO_DEVMEM_DONTNEED 80
#endif
#ifndef IPV6_ROUTER_ALERT_ISOLATE
#define IPV6_ROUTER_ALERT_ISOLATE 30
#endif
#ifndef IPV6_RECVFRAGSIZE
#define IPV6_RECVFRAGSIZE 77
#endif
#ifndef SCM_TS_OPT_ID
#define SCM_TS_OPT_ID 81
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#ifndef SO_INQ
#define SO_INQ 84
#endif

/* TCP-AO (Linux 6.7): what its options take and give, under names of our own
 * since only some headers know them. Reserved ones must be 0. */
#define UAPI_AO_ALG 64
#define UAPI_AO_KEY 80

struct uapi_ao_add {		      /* TCP_AO_ADD_KEY */
	struct sockaddr_storage addr; /* of the peer, without a port */
	char alg_name[UAPI_AO_ALG];
	int32_t ifindex;
	uint32_t set_current : 1, set_rnext : 1, reserved : 30;
	uint16_t reserved2;
	uint8_t prefix, sndid, rcvid;
	uint8_t maclen; /* 0: 12 */
	uint8_t keyflags, keylen;
	uint8_t key[UAPI_AO_KEY];
} __attribute__((aligned(8)));

struct uapi_ao_del { /* TCP_AO_DEL_KEY */
	struct sockaddr_storage addr;
	int32_t ifindex;
	uint32_t set_current : 1, set_rnext : 1;
	uint32_t del_async : 1, reserved : 29;
	uint16_t reserved2;
	uint8_t prefix, sndid, rcvid;
	uint8_t current_key, rnext; /* IDs of what is used from now on */
	uint8_t keyflags;
} __attribute__((aligned(8)));

struct uapi_ao_info { /* TCP_AO_INFO, both ways */
	uint32_t set_current : 1, set_rnext : 1, ao_required : 1;
	uint32_t set_counters : 1, accept_icmps : 1, reserved : 27;
	uint16_t reserved2;
	uint8_t current_key, rnext;
	uint64_t pkt_good, pkt_bad, pkt_key_not_found, pkt_ao_required;
	uint64_t pkt_dropped_icmp;
} __attribute__((aligned(8)));

/* TCP_AO_GET_KEYS: the first of an array says what is wanted. */
struct uapi_ao_get {
	struct sockaddr_storage addr;
	char alg_name[UAPI_AO_ALG];
	uint8_t key[UAPI_AO_KEY];
	uint32_t nkeys; /* in: of the array; out: that were found */
	uint16_t is_current : 1, is_rnext : 1, get_all : 1, reserved : 13;
	uint8_t sndid, rcvid, prefix, maclen, keyflags, keylen;
	int32_t ifindex;
	uint64_t pkt_good, pkt_bad;
} __attribute__((aligned(8)));

struct uapi_ao_repair { /* TCP_AO_REPAIR; numbers in network order */
	uint32_t snt_isn, rcv_isn;
	uint32_t snd_sne, rcv_sne; /* these are not */
} __attribute__((aligned(8)));

_Static_assert(sizeof(struct uapi_ao_add) == 288, "layout of Linux");
_Static_assert(sizeof(struct uapi_ao_del) == 144, "layout of Linux");
_Static_assert(sizeof(struct uapi_ao_info) == 48, "layout of Linux");
_Static_assert(sizeof(struct uapi_ao_get) == 304, "layout of Linux");
_Static_assert(sizeof(struct uapi_ao_repair) == 16, "layout of Linux");

/* SOF_TIMESTAMPING_*, an enum where it is known: names of our own. */
#define STAMP_OPT_ID_TCP (1u << 16)
#define STAMP_OPT_RX_FILTER (1u << 17)
#define STAMP_TX_COMPLETION (1u << 18)
#define STAMP_MASK ((1u << 19) - 1)

#endif
