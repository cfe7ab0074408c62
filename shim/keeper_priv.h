/* SPDX-License-Identifier: MIT
 *
 * keeper_priv.h - what the keeper knows, in memory that its spare has too
 */
#ifndef TCPSHIM_KEEPER_PRIV_H
#define TCPSHIM_KEEPER_PRIV_H

#include "keeper.h"

#define MAX_FDS (1u << 20)
#define NUM_BUCKETS 4096

struct relay;

enum kind {
	NONE,
	DOOR,
	KICK,
	DEVICE,
	MEMBER,
	PIDFD,
	LISTENER,
	FAR,
	SPARE,
	LONER /* a pidfd of who has a place and no connection */
};

/* What an fd of ours is, by number. Links are fds, 0 is none. */
struct item {
	uint8_t kind;
	bool is_known;	 /* MEMBER: said hello */
	bool is_relayed; /* FAR: its socket is pumped */
	uint16_t party;	 /* MEMBER, LONER */
	int32_t pid;	 /* MEMBER, LONER */
	int32_t other;	 /* MEMBER: its pidfd; PIDFD, LISTENER: the member */
	int32_t next;	 /* MEMBER: first listener; LISTENER: the next one */
	int32_t hash;	 /* FAR: next in its bucket */
	uint32_t num;	 /* LISTENER */
	uint64_t cookie; /* FAR; 0: not read yet */
	struct relay *relay; /* FAR, of this process; NULL: none yet */
};

struct keeper {
	struct item *items;
	int32_t buckets[NUM_BUCKETS];
	int epoll, door, kick;
	int self;      /* a pidfd of who is the keeper */
	int spare;     /* a pidfd; 0: none */
	int spare_pid; /* a child of ours */
	nsec spare_at; /* not before this another one is made */
	unsigned num_members, num_far, num_joined, highest;
	nsec deadline; /* the sentinel's */
	nsec end_at;   /* TIME_NEVER: somebody is there */
	uint64_t config;
	bool is_ending;
	/* orphan.c */
	struct orphan *orphans;
	unsigned num_orphans;
	nsec look_at;
	bool has_foreign; /* somebody is in another network namespace */
	/* the request under way, from @doing_fd; 0: none. Read right into
	 * here, so who comes after us knows it */
	int doing_fd;
	struct keeper_req doing;
};
extern struct keeper *me;

/* keeper.c: in a spare that is the keeper now. */
void keeper_take_over(void);
/* keeper.c: an fd that came, and was not noted any more. */
struct item *keeper_add(int fd, enum kind kind, uint32_t events);
void keeper_forget(int fd);

/* keeper.c: what a participant who is no more had. */
void keeper_party_gone(uint16_t party);
/* keeper.c: has this process the host's memory? */
bool keeper_has_mapping(int pid);

/* again.c, in a keeper of a host that was there: */
/* takes what its maker brings. 0 or -errno. */
int again_take(void);
/* goes on where the last keeper was; tells everybody. */
void again_begin(void);
void again_announce(void);
/* its process has ended; */
void loner_gone(int fd);
/* it says who it is. Its place, or 0. */
uint16_t loner_comes(uint16_t party, int pid);

/* orphan.c: all sockets that there are may have lost their far ends. */
void orphans_begin(void);
/* Closes those that nobody has any more. */
void orphans_look(void);

/* far.c: by the tag of its socket; 0: none. */
int far_find(uint64_t cookie);
/* Its tag is known. */
void far_note(int fd);
/* Its socket is pumped from now on. */
void far_relay(int fd);
/* It was accepted, or has news. */
void far_look(int fd);
/* That nobody has any more. */
void far_close_socket(uint64_t cookie);
/* All that wait at @listener. */
void far_accept(int listener);

/* spare.c: makes one if there is none. Returns in the spare too, when it has
 * become the keeper. */
void spare_make(void);
/* Its pidfd says that it is gone. */
void spare_gone(void);
/* We end, it too. */
void spare_end(void);

#endif
