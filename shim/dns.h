/* SPDX-License-Identifier: MIT
 *
 * dns.h - names that are asked for through the stack
 *
 * With TCPSHIM_DNS the servers named there are asked in place of those that
 * libc would ask over the kernel's network. dns.c asks, with c-ares; dns_name.c
 * knows what to ask for, dns_answer.c what an answer says, dns_sort.c which
 * address is best; call_dns.c, call_hostent.c and call_res.c have the bodies of
 * the calls.
 */
#ifndef TCPSHIM_DNS_H
#define TCPSHIM_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct __res_state; /* of resolv.h */
struct hostent;

/* Who finds names? 1: we do; 0: libc; -ENETDOWN when the settings are wrong or
 * c-ares is missing, after a line that says so. The first call takes DNS out
 * of what libc does for `hosts`. */
int dns_state(void);

/* Where `dns` stands among the services of nsswitch.conf's `hosts`. */
struct dns_order {
	bool is_there;
	bool is_first; /* before files */
	bool is_last;  /* what it says is final, for all but failures */
};
extern struct dns_order dns_order;

/* A question and what came back: the whole message, or NULL and an h_errno. */
struct dns_question {
	int type;
	uint8_t *answer; /* malloc()ed */
	int len;
	int herr;	/* 0: there are records */
	bool is_silent; /* nobody answered at all */
};

/* The thread's resolver state, as libc keeps it: resolv.conf, RES_OPTIONS. */
struct __res_state *dns_res(void);

/* Sends the messages @msg of @len, waits for all answers. h_errno values. */
void dns_send(struct __res_state *rs, const uint8_t *const msg[],
	      const int len[], struct dns_question *q, unsigned num);
/* Asks for @name as it stands. @name + "." + @domain with a @domain. 0, or an
 * h_errno: 0 when any of the questions has records. */
int dns_query(struct __res_state *rs, const char *name, const char *domain,
	      int class, struct dns_question *q, unsigned num);
/* The same with the search list, res_search(3). */
int dns_search(struct __res_state *rs, const char *name, int class,
	       struct dns_question *q, unsigned num);
void dns_free(struct dns_question *q, unsigned num);

/* What an answer says of hosts. NULL when it says nothing: errno is EAGAIN, or
 * EMSGSIZE for an answer that makes no sense. */
struct hostent *dns_hosts(const struct dns_question *q);
struct hostent *dns_pointer(const struct dns_question *q, const void *addr,
			    int len, int family);
void dns_hosts_free(struct hostent *h);

/* Does gethostbyname() of libc take it for a number, be it right or not, and
 * ask nobody? */
bool dns_is_number(const char *name);

/* "1.0.77.10.in-addr.arpa" */
void dns_reverse_name(const void *addr, int family, char out[80]);

struct dns_dest {
	struct ip_addr addr;
	int family; /* AF_INET6 for mapped IPv4, too */
};
/* RFC 6724, with the tables that libc has. */
void dns_sort(struct dns_dest *v, size_t num);

#endif
