/* SPDX-License-Identifier: MIT
 *
 * netsim.h - the other crank: a network of stacks on a virtual clock
 *
 * N stacks hang on one cloud; each has a way out with a delay, a rate and a
 * queue of bytes. Nothing waits and nothing is random but by the seed: time
 * jumps to the next thing that happens, so the same seed gives the same
 * packets at the same instants, and a minute of network takes as long as its
 * packets take to compute. Applications are driven by stack_ready() alone: a
 * wake-up that the core forgets is a transfer that never ends.
 */
#ifndef TCPSHIM_NETSIM_H
#define TCPSHIM_NETSIM_H

#include <stdio.h>

#include "stack.h"

#define NETSIM_MAX_HOSTS 16

struct netsim;

struct netsim_host_cfg {
	const char *addr4, *addr6; /* without prefix: /24 and /64; or NULL */
	const char *route; /* one more prefix that is on link; or NULL */
	unsigned route_plen;
	uint32_t mtu;	    /* 0: 1500 */
	const char *impair; /* as impair.h has it; NULL: none */
	bool offload;	/* gso packets cross whole, checksums stay partial */
	nsec delay;	/* of the way out */
	uint64_t rate;	/* bits a second, 0: no limit */
	uint32_t queue; /* bytes that wait for the rate, 0: no limit */
	uint32_t mark; /* ECT behind more than so many bytes is marked; 0: no */
	/* A router's port in front of the host, which all that comes shares. */
	uint64_t in_rate;  /* bits a second, 0: there is none */
	uint32_t in_queue; /* bytes that wait there, 0: no limit */
	uint32_t in_mark;  /* what comes when so many wait is marked CE, 0: not
			      (RFC 3168 5) */
	uint32_t hole; /* longer packets vanish on the way out, 0: none do */
	const struct sysctl_values *sysctl; /* NULL: defaults */
	uint32_t capture_ring;
	size_t arena; /* bytes that the stack may use; 0: plenty */
};

/* @use_malloc: each object of an arena from malloc(), for the sanitizers. */
struct netsim *netsim_new(uint64_t seed, bool use_malloc);
void netsim_free(struct netsim *ns);
/* Index of the new host, or -errno. */
int netsim_add_host(struct netsim *ns, const struct netsim_host_cfg *cfg);
struct stack *netsim_stack(struct netsim *ns, int host);
nsec netsim_now(const struct netsim *ns);
/* Every packet that leaves a host is one line of text on @f. */
void netsim_trace(struct netsim *ns, FILE *f);
/* Of all packets so far: when, whose, which bytes. */
uint64_t netsim_hash(const struct netsim *ns);
uint64_t netsim_num_packets(const struct netsim *ns);
/* For long contests: bytes are not compared, packets not hashed. To be said
 * before the first host. */
void netsim_be_quick(struct netsim *ns);

#define NETSIM_BIN (100 * USEC)
#define NETSIM_BINS 20000

/* What came by the port in front of a host. */
struct netsim_port {
	uint64_t passed, dropped, marked; /* packets */
	uint32_t waited[NETSIM_BINS];	  /* so many, for so long */
};
/* NULL if it has none. */
struct netsim_port *netsim_port(struct netsim *ns, int host);

enum netsim_end {
	NETSIM_IDLE, /* nothing will happen any more */
	NETSIM_TIME, /* @until is reached */
	NETSIM_DONE, /* @done said so */
};
/* Runs until the first of these; @done may be NULL. */
enum netsim_end netsim_run(struct netsim *ns, nsec until, bool (*done)(void *),
			   void *arg);

/* --- applications: byte streams that check themselves --- */

struct netsim_stream_cfg {
	uint64_t seed;
	uint64_t to_server, to_client; /* bytes */
	uint32_t sndbuf, rcvbuf;       /* as asked for; 0: the defaults */
	/* of a new socket, before it listens or connects; or NULL */
	void (*set_up)(struct stack *st, sockid s, nsec now);
};

/* One end of a connection. It sends its bytes, shuts down writing, reads to
 * the end and closes. */
struct netsim_stream {
	int host;
	sockid s;
	bool is_server, is_open, has_shut, has_eof, is_closed;
	bool is_wrong; /* a byte was not what it should be */
	int err;       /* positive errno that ended it */
	uint64_t sent, to_send, received, to_receive;
	nsec done_at; /* all bytes received */
	struct netsim_stream_cfg cfg;
};

/* Everything accepted becomes a stream. 0 or -errno. */
int netsim_listen(struct netsim *ns, int host, const char *addr, uint16_t port,
		  const struct netsim_stream_cfg *cfg);
void netsim_unlisten(struct netsim *ns, int host);
/* 0 or -errno; the stream shows up as the next of netsim_streams(). */
int netsim_connect(struct netsim *ns, int host, const char *addr, uint16_t port,
		   const struct netsim_stream_cfg *cfg);
unsigned netsim_num_streams(const struct netsim *ns);
const struct netsim_stream *netsim_stream(const struct netsim *ns, unsigned i);
/* All streams are closed, and each had all its bytes, right ones. */
bool netsim_all_well(const struct netsim *ns);
bool netsim_all_closed(void *ns);

/* A sockaddr of "10.0.0.1" or "fd00::1" and a port; its length. */
socklen_t netsim_addr(const char *addr, uint16_t port,
		      struct sockaddr_storage *ss);

#endif
