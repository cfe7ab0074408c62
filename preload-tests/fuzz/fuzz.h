/* SPDX-License-Identifier: MIT
 *
 * fuzz.h - programs of socket calls: made from a seed, run, written down
 *
 * A program is text, one operation a line:
 *
 *	socket s0 AF_INET SOCK_STREAM 0
 *	p listen s1 5			at the peer, a kernel process
 *	p+ send s1 100 0		the same, a moment later: we go on
 *	t1 recv s0 100 0		in our thread 1; the next line waits
 *	t1~ recv s0 100 0		neighbours with ~ run at the same time
 *
 * s0 to s15 are slots that hold an fd; the peer has slots of its own. @s1 is
 * the port of our slot 1, @q1 of the peer's, P0 to P3 are ports that no other
 * program uses. The same words stand in programs and in transcripts.
 *
 * An operation's transcript is its text, its result, errno, and what it gave.
 * Numbers that differ from run to run (ports) are replaced by labels in order
 * of appearance. After each operation a datagram goes to the peer and back,
 * twice: whatever was under way before it has arrived then, so that the next
 * operation finds the same on every run, and nothing has to sleep.
 */
#ifndef TCPSHIM_FUZZ_H
#define TCPSHIM_FUZZ_H

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NUM_SLOTS 16
#define MAX_WORDS 12
#define MAX_LINE 256
#define MAX_OPS 400
#define MAX_OUT 8192
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* --- words.c: constants by name --- */
enum word_kind {
	W_DOMAIN,
	W_TYPE,
	W_TYPEFLAG,
	W_PROTO,
	W_MSG,
	W_HOW,
	W_POLL,
	W_EPOLL,
	W_EPOP,
	W_FCNTL,
	W_OFLAG,
	W_IOCTL,
	W_PTR,
	NUM_WORD_KINDS
};

struct word {
	enum word_kind kind;
	const char *name;
	long val;
};

extern const struct word words[];
extern const unsigned num_words;
/* "A|B|0x4": names of any kind, and numbers. false: not understood */
bool word_parse(const char *s, long *val);
/* The names of @kind in @val, with what is left in hex. */
void word_print(enum word_kind kind, unsigned long val, char *buf, size_t len);

/* How an option's value is made up and printed. */
enum opt_kind {
	O_BOOL,
	O_INT,
	O_BYTE,	  /* an int that the kernel also takes as one byte */
	O_BUF,	  /* a buffer size */
	O_LINGER, /* struct linger */
	O_TIME,	  /* struct timeval */
	O_STR,	  /* text */
	O_MREQ,
	O_MREQ6,
	O_GROUP,
	O_RAW,	/* bytes */
	O_BLIND /* what it gives differs from run to run: only the length */
};

struct opt {
	const char *level_name, *name;
	int level, val;
	enum opt_kind kind;
};

extern const struct opt opts[];
extern const unsigned num_opts;
/* "SOL_SOCKET.SO_TYPE" or "6.99"; @o->kind is O_RAW for a number. */
bool opt_parse(const char *s, struct opt *o);

/* Kinds of addresses: "us4", "lo6", ... */
struct addr_kind {
	const char *name;
	int family;
	const char *ip;
};

extern const struct addr_kind addr_kinds[];
extern const unsigned num_addr_kinds;

/* --- gen.c --- */
void gen(uint64_t seed, FILE *to);

/* --- exec.c: what an operation has at hand --- */
struct ctx {
	char line[MAX_LINE];
	char *word[MAX_WORDS];
	unsigned num;
	char out[MAX_OUT];
	unsigned used;
	unsigned ord; /* which operation of the program */
	volatile int got_pipe;
};

extern int slots[NUM_SLOTS];
extern int port_base; /* P0 */

void out(struct ctx *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* "= -1 EBADF", with the errno that is set now */
long out_ret(struct ctx *c, long ret);
/* "len 5 data 1a2b3c4d": @ret bytes of @buf */
void out_data(struct ctx *c, const void *buf, long ret);
void out_addr(struct ctx *c, const struct sockaddr_storage *ss, socklen_t len,
	      socklen_t room);
void out_hex(struct ctx *c, const void *p, size_t len);

/* Word @i as a number, a slot's number, the fd in a slot. */
long arg(struct ctx *c, unsigned i);
unsigned arg_slot(struct ctx *c, unsigned i);
int arg_fd(struct ctx *c, unsigned i);
bool has_arg(struct ctx *c, unsigned i);

struct addr {
	struct sockaddr_storage ss;
	struct sockaddr *sa; /* NULL for "-" */
	socklen_t len;
};
void arg_addr(struct ctx *c, unsigned i, struct addr *a);
/* Bytes that belong to this operation. */
void fill(struct ctx *c, void *buf, size_t len);
/* Puts @fd into a slot; what was in it is closed. */
void put_slot(unsigned slot, int fd);
/* Which slot @fd is in, or -1 */
int slot_of(int fd);

#define OP(name) void op_##name(struct ctx *c);
#include "ops.def"
#undef OP

int exec_programs(const char *peer_path);
int exec_peer(const char *path);

#endif
