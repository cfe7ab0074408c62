/* SPDX-License-Identifier: MIT
 *
 * stack.h - the core's face: everything that turns the crank uses this
 *
 * The shim, the simulator, the fuzzers (and later a packetdrill adapter, and
 * record and replay) give the core frames, calls and @now, and take from it
 * frames, results, readiness and the next deadline. The core itself makes no
 * system call, reads no clock, draws no randomness and starts no thread: all
 * of that comes in here, so one seed replays everything.
 *
 * Threads: every function needs the stack lock, which belongs to the crank
 * (one stack, one lock). @now is read after taking it and never runs back.
 * Under it no application memory is touched: addresses and option values are
 * copied to and from the caller's own small structs before and after, payload
 * is copied between begin and commit without the lock.
 *
 * Errors are negative errno values, as Linux's system calls would give.
 */
#ifndef TCPSHIM_STACK_H
#define TCPSHIM_STACK_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/stats.h"
#include "base/time.h"
#include "link/link.h"
#include "sysctl.h"
#include "transport/tcp.h"

struct stack;

struct stack_cfg {
	struct link_cfg link;
	struct {
		struct ip_addr addr;
		unsigned plen;
	} addrs[IP_MAX_ADDRS];
	unsigned num_addrs;
	struct ip_route routes[IP_MAX_ROUTES]; /* default and further ones */
	unsigned num_routes;
	const struct sysctl_values *sysctl; /* NULL: defaults */
	char dev_name[16]; /* interface 2; "lo" is 1 (SO_BINDTODEVICE) */
	enum log_level log;
	unsigned num_parties; /* processes on this host, at most; 0: one */
};

/* 127.0.0.1/8 and ::1/128 are always there. NULL: the arena is too small or an
 * address or route makes no sense. Becomes the arena's root. */
struct stack *stack_new(struct arena *a, const struct stack_cfg *cfg,
			const uint8_t seed[32], nsec now);
/* Changes when what lies in the arena is laid out otherwise. */
uint64_t stack_layout(void);
/* Frees everything, sockets included, silently: nothing is sent. */
void stack_free(struct stack *st);

/* --- packets ---
 * A transmit: headers first (v[0]), then pinned payload; f.len covers all of
 * it. Valid, readable without the lock, until stack_tx_done(). */
struct txv {
	struct frame f; /* data and len of the headers are v[0]; len is all */
	struct iovec v[8];
	uint8_t num_v;
	uint64_t cookie;
};

/* Empty frames to read into, outside the lock: ->data has ->room bytes. The
 * caller owns them until it passes them to stack_rx() or stack_rx_free(). Last
 * freed, first handed out (a cold buffer costs four times a hot one). How many.
 */
unsigned stack_rx_alloc(struct stack *st, uint32_t room, struct frame *v[],
			unsigned n);
void stack_rx_free(struct stack *st, struct frame *const v[], unsigned n);
/* Takes @v. @drained: the device had nothing more, so owed ACKs go out now.
 * Input comes before timers: don't tick while input waits. Returns n. */
unsigned stack_rx(struct stack *st, struct frame *const v[], unsigned n,
		  bool drained, nsec now);
/* Up to @n packets to write, in order. */
unsigned stack_tx(struct stack *st, struct txv v[], unsigned n, nsec now);
bool stack_tx_pending(const struct stack *st);
/* Written (res >= 0), or refused (-errno): unpins. */
void stack_tx_done(struct stack *st, const struct txv v[], const int res[],
		   unsigned n, nsec now);
/* Runs what is due: timers, looped back and impaired packets, at most @budget
 * of them; how many ran (== budget: call again). */
unsigned stack_tick(struct stack *st, unsigned budget, nsec now);
/* The next deadline: <= now when something is due, TIME_NEVER when idle. */
nsec stack_next_at(struct stack *st);

/* --- readiness --- */
struct ready {
	sockid s;
	uint32_t bits; /* EPOLL* that hold now */
	uint32_t in_seq, out_seq;
	uint16_t slot;
};
/* Sockets whose readiness changed since they were last returned; how many. */
unsigned stack_ready(struct stack *st, struct ready v[], unsigned n);

/* --- participants: the processes that share a stack ---
 * Who calls is said once a lock round; alone it is 0. What is watched, and what
 * stack_ready() returns, is that participant's. */
#define STACK_MAX_PARTIES EP_MAX_PARTIES
void stack_set_party(struct stack *st, uint16_t party);
bool stack_has_ready(const struct stack *st);
/* A participant for whom there is something new since it was last returned
 * here, or -1: somebody should tell it to fetch it. */
int stack_next_news(struct stack *st);
/* A participant is no more: takes back what it watched, and closes what it made
 * and never named by a tag. @budget endpoints at a time from *@pos; true: done.
 */
bool stack_forget_party(struct stack *st, uint16_t party, uint32_t *pos,
			unsigned budget, nsec now);
/* The tags of sockets, at most @n from *@pos on (0: the first); 0: no more. */
unsigned stack_tags(const struct stack *st, uint32_t *pos, uint64_t v[],
		    unsigned n);
/* Other processes may have it: its maker doesn't close it alone. */
void sock_set_shared(struct stack *st, sockid s);
/* A name for a socket that outlives processes; 0: none. */
int sock_set_tag(struct stack *st, sockid s, uint64_t tag);
sockid sock_by_tag(const struct stack *st, uint64_t tag); /* 0: nobody has it */

/* --- sockets: what an fd names; no call here ever waits ---
 * An unknown sockid is -EBADF. */
int sock_new(struct stack *st, int family, int type, int proto, sockid *out,
	     nsec now); /* -EAFNOSUPPORT, -ESOCKTNOSUPPORT, -EPROTONOSUPPORT */
void sock_close(struct stack *st, sockid s, nsec now);
int sock_bind(struct stack *st, sockid s, const struct sockaddr *sa,
	      socklen_t len, nsec now);
int sock_connect(struct stack *st, sockid s, const struct sockaddr *sa,
		 socklen_t len, nsec now); /* 0, -EINPROGRESS, -EALREADY, ... */
int sock_listen(struct stack *st, sockid s, int backlog, nsec now);
int sock_accept(struct stack *st, sockid s, sockid *out,
		nsec now); /* -EAGAIN */
/* The peer of who has just been accepted, also if it is gone already. */
void sock_accepted(struct stack *st, sockid s, struct sockaddr_storage *sa,
		   socklen_t *len);
int sock_shutdown(struct stack *st, sockid s, int how, nsec now);
int sock_name(struct stack *st, sockid s, bool peer,
	      struct sockaddr_storage *sa, socklen_t *len);

/* connect: after -EINPROGRESS wait for EPOLLOUT, then ask SO_ERROR; or call
 * sock_connect() again: -EALREADY while it goes on, 0 once when it is made and
 * -EISCONN from then on, or the error that ended it (-ECONNABORTED if SO_ERROR
 * was read meanwhile), after which it may be tried anew.
 *
 * Every begin that lends something (sp->num_v or sp->pin not 0) is followed by
 * one commit, also when the socket was closed in between. A datagram of no
 * bytes lends a pin. Who does not want to wait says so with MSG_DONTWAIT: it
 * matters for a datagram socket after shutdown(SHUT_RD).
 *
 * What travels beside the bytes. In: where to and with what; out: where from.
 * Control data are whole cmsghdrs, in memory of the caller's own: the bytes
 * that sendmsg(2) was given, or those that recvmsg(2) gives if it has room.
 */
#define SOCK_CTL_MAX 1024
struct sock_ctl {
	nsec wall;    /* recv, in: real time less the stack's clock */
	uint32_t len; /* of @b */
	_Alignas(8) uint8_t b[SOCK_CTL_MAX];
};

struct sock_msg {
	struct sockaddr_storage name;
	socklen_t name_len;   /* 0: none */
	int flags;	      /* recv: MSG_TRUNC, MSG_OOB, MSG_ERRQUEUE */
	uint32_t real_len;    /* recv: length of the whole datagram */
	uint32_t skip;	      /* recv, in: MSG_PEEK goes on behind these */
	uint32_t lowat;	      /* recv from a stream, out: SO_RCVLOWAT */
	struct sock_ctl *ctl; /* NULL: none given, none wanted */
};

/* @want: bytes the caller has. TCP may lend less; a datagram is all or nothing
 * (-EMSGSIZE). @m may be NULL. >= 0, or -EAGAIN (blocked, or arena short),
 * -EPIPE (the shim raises SIGPIPE), -EDESTADDRREQ, -ENETUNREACH, ...
 * MSG_ERRQUEUE takes a note off the error queue; it never waits. */
int sock_send_begin(struct stack *st, sockid s, size_t want, int flags,
		    const struct sock_msg *m, struct span *sp, nsec now);
int sock_send_commit(struct stack *st, sockid s, struct span *sp, size_t len,
		     int flags, nsec now); /* 0 gives back; bytes or -errno */
/* A send to a stream ends although more was wanted, of which some was taken. */
void sock_send_end(struct stack *st, sockid s, int flags);
int sock_recv_begin(struct stack *st, sockid s, size_t want, int flags,
		    struct sock_msg *m, struct span *sp, nsec now);
int sock_recv_commit(struct stack *st, sockid s, struct span *sp, size_t used,
		     int flags, nsec now);

/* Values are in the caller's own buffer (at most 1024 bytes), not the
 * application's. get: *len in and out as getsockopt(2). */
/* TCP_CONGESTION: false if that takes privilege. */
bool sock_may_choose_cc(struct stack *st, sockid s, const void *name,
			socklen_t len);
int sock_setopt(struct stack *st, sockid s, int level, int name,
		const void *val, socklen_t len, nsec now);
int sock_getopt(struct stack *st, sockid s, int level, int name, void *val,
		socklen_t *len, nsec now);
/* Key number @nth of TCP-MD5 as TCP_MD5SIG_EXT takes it: 1, or 0 if there are
 * not so many, or -errno. */
struct tcp_md5sig; /* linux/tcp.h */
int sock_md5_key(struct stack *st, sockid s, unsigned nth,
		 struct tcp_md5sig *out);
/* TCP_AO_GET_KEYS, whose array is longer than its length says: the match number
 * @nth of what @in (of @len bytes) asks for, if there are so many. How many
 * there are, or -errno. */
struct uapi_ao_get; /* sock/uapi.h */
int sock_ao_key(struct stack *st, sockid s, const void *in, socklen_t len,
		unsigned nth, struct uapi_ao_get *out);
/* FIONREAD, TIOCOUTQ, SIOCOUTQNSD, SIOCATMARK. 0 or -errno. */
int sock_ioctl(struct stack *st, sockid s, unsigned long req, int *val);
/* SIOCGSTAMP: when the last datagram that was read came, on the stack's clock.
 * The first who asks is told @now, and stamps are kept from then on. -ENOENT:
 * none was read. */
int sock_stamp(struct stack *st, sockid s, nsec *at, nsec now);

/* EPOLL* bits that hold now, and the edge counters; registers interest: from
 * now on changes of this socket come through stack_ready() with @slot, whatever
 * that means to the caller. -EBADF, -ENOBUFS. */
int sock_watch(struct stack *st, sockid s, uint16_t slot, struct ready *out);
void sock_unwatch(struct stack *st, sockid s);
/* This participant watches @s in order to take one connection: of all that do
 * so one is told of each. Until the next sock_watch(); who stops waiting says
 * sock_unwatch() or sock_pass_on(), so that another is told in its place. */
void sock_watch_exclusive(struct stack *st, sockid s);
void sock_pass_on(struct stack *st, sockid s);
/* It was told, and none of its threads waits: another participant's may. It
 * looks by itself before one does. */
void sock_pass_by(struct stack *st, sockid s);
/* Who was told of a connection and has not come since is left out, once. */
void stack_pass_on(struct stack *st);
/* The bits alone; EPOLLNVAL-like -EBADF when gone. */
int sock_poll(struct stack *st, sockid s, uint32_t *bits);
/* What blocks need to know, one call: type, timeouts, low-water mark. */
struct sock_facts {
	int family, type, proto;
	nsec rcvtimeo, sndtimeo; /* 0: for ever */
	nsec linger;		 /* < 0: off */
	uint32_t rcvlowat;
	bool listening;
	bool shared;   /* sock_set_shared() */
	uint8_t state; /* TCP_ESTABLISHED ... of netinet/tcp.h; 0 for UDP */
	/* TCP: how far its user is, modulo 2^32; what is lent counts as read */
	uint32_t written, read;
};
int sock_facts(struct stack *st, sockid s, struct sock_facts *out);

/* --- after a death of who held the lock (base/rebuild.h) ---
 * Everything that can't be told from the sockets and from what callers have is
 * dropped; the one connection that he was at is reset. The crank has the lock,
 * calls begin, tells what threads have that don't hold the lock, and calls end.
 * @scratch: ARENA_MARKS_SIZE(arena_len()) bytes, until then. */
struct rebuild;
void stack_rebuild_begin(struct stack *st, struct rebuild *rb, void *scratch,
			 nsec now);
/* A frame of stack_rx_alloc(), not yet given back. False: it is none. */
bool stack_rebuild_frame(struct rebuild *rb, struct frame *f);
/* A packet of stack_tx(), not yet done. False: it is none. */
bool stack_rebuild_tx(struct stack *st, struct rebuild *rb,
		      const struct txv *v);
/* Connections that were reset. */
unsigned stack_rebuild_end(struct stack *st, struct rebuild *rb);

/* --- the host --- */
/* Is @a one of the stack's own addresses (loopback included)? */
bool stack_is_local(const struct stack *st, const struct ip_addr *a);
/* Has the stack a listener (TCP) or bound socket (UDP) that a packet to @a,
 * @port would reach? For loopback hand-over. */
bool stack_has_listener(struct stack *st, int type, const struct ip_addr *a,
			uint16_t port);
/* Adds a route, or changes it; like those of stack_cfg. 0, -ENOSPC, -EINVAL. */
int stack_route_set(struct stack *st, const struct ip_addr *dst, unsigned plen,
		    const struct ip_addr *gw, const struct ip_metrics *m);
/* Fast Open's cookies of other hosts: `ip tcp_metrics flush`. */
void stack_forget_cookies(struct stack *st);
/* A device that takes nothing: what is sent is refused, as by a full queueing
 * discipline, and its sender knows. */
void stack_set_refusing(struct stack *st, bool on);
bool stack_route_known(const struct stack *st, const struct ip_addr *dst);
/* Connections with unacknowledged data or FIN: what exit waits for. */
unsigned stack_num_unfinished(const struct stack *st);
/* Endpoints, those that finish by themselves among them; bytes in use, but for
 * frames kept for the next read. */
unsigned stack_num_sockets(const struct stack *st);
size_t stack_memory(const struct stack *st);
/* Sends RST for every open connection (exit's bound is over). */
void stack_abort_all(struct stack *st, nsec now);
const struct stats *stack_stats(const struct stack *st);
struct arena *stack_arena(const struct stack *st);
uint32_t stack_timers_armed(const struct stack *st);
size_t stack_log_drain(struct stack *st, char *out, size_t len);
size_t stack_capture_drain(struct stack *st, uint8_t *out, size_t len);
uint64_t stack_tcp_memory(const struct stack *st);
/* The next @n (16 or more) sockets of a kind at most, 0 at the end. @cur is
 * zero at first; the lock may be let go in between. */
unsigned stack_list(const struct stack *st, enum ep_kind kind,
		    struct sock_cursor *cur, struct sock_row *rows, unsigned n,
		    nsec now);
int stack_sysctl_set(struct stack *st, const char *name, const char *value);
int stack_sysctl_get(const struct stack *st, const char *name, int64_t *out);
int stack_sysctl_text(const struct stack *st, const char *name, char *out,
		      size_t len); /* see sysctl_text() */

#endif
