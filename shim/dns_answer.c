/* SPDX-License-Identifier: MIT
 *
 * dns_answer.c - what an answer says of a host
 *
 * Of the records those count that continue from the name that was asked for: an
 * alias leads to another name, and addresses are those of the last one. Names
 * are expanded by libc (dn_expand), and no program is shown one with characters
 * that no host name has. An answer with a record that makes no sense is none.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#undef MIN /* of sys/param.h, by way of resolv.h */
#undef MAX

#include "base/util.h"
#include "dns.h"

#define NAME_LEN (MAXDNAME + 1)
#define RECORD_LEN 10 /* type, class, TTL, length: RFC 1035 4.1.3 */

/* A host being put together, in one piece of memory. */
struct maker {
	struct hostent h; /* first: what the caller frees */
	const uint8_t *msg, *at, *end;
	unsigned num_left; /* records */
	bool is_broken;	   /* the message makes no sense */
	unsigned num_aliases, num_addrs;
	char *addrs; /* where the next one goes */
	char *names; /* and the next name */
	char *last;  /* the name that counts now */
};

struct record {
	char name[NAME_LEN];
	unsigned type, class, len;
	const uint8_t *data;
};

static bool expand(struct maker *m, const uint8_t *at, char name[NAME_LEN],
		   int *len)
{
	*len = dn_expand(m->msg, m->end, at, name, NAME_LEN);
	return *len >= 0;
}

static char *keep(struct maker *m, const char *name)
{
	char *p = m->names;

	strcpy(p, name);
	m->names += strlen(p) + 1;
	return p;
}

/* The next record; false at the end, or where the message makes no sense. */
static bool next_record(struct maker *m, struct record *r)
{
	int n;

	if (!m->num_left)
		return false;
	m->is_broken = true;
	m->num_left--;
	if (!expand(m, m->at, r->name, &n))
		return false;
	m->at += n;
	if (m->end - m->at < RECORD_LEN)
		return false;
	r->type = get_be16(m->at);
	r->class = get_be16(m->at + 2);
	r->len = get_be16(m->at + 8);
	r->data = m->at + RECORD_LEN;
	if ((size_t)(m->end - r->data) < r->len)
		return false;
	m->at = r->data + r->len;
	m->is_broken = false;
	return true;
}

/* Room for everything that @q can hold. The question's name is ->last. */
static struct maker *maker_new(const struct dns_question *q)
{
	unsigned num = q->len >= HFIXEDSZ ? get_be16(q->answer + 6) : 0;
	size_t lists = 2 * (num + 2) * sizeof(char *);
	size_t addrs = (num + 1) * sizeof(struct in6_addr);
	struct maker *m;
	char name[NAME_LEN];
	int n;

	errno = EMSGSIZE;
	if (!num || get_be16(q->answer + 4) != 1)
		return NULL;
	m = calloc(1, sizeof(*m) + lists + addrs + 2 * (num + 1) * NAME_LEN);
	if (!m)
		return NULL;
	m->msg = q->answer;
	m->end = q->answer + q->len;
	m->at = q->answer + HFIXEDSZ;
	m->num_left = num;
	m->h.h_addr_list = (char **)(m + 1);
	m->h.h_aliases = m->h.h_addr_list + num + 2;
	m->addrs = (char *)(m->h.h_aliases + num + 2);
	m->names = m->addrs + addrs;
	if (!expand(m, m->at, name, &n) || m->end - m->at < n + QFIXEDSZ) {
		free(m);
		return NULL;
	}
	m->at += n + QFIXEDSZ;
	m->last = keep(m, name);
	return m;
}

static void add_addr(struct maker *m, const void *addr, int len)
{
	m->h.h_addr_list[m->num_addrs++] = memcpy(m->addrs, addr, (size_t)len);
	m->addrs += sizeof(struct in6_addr);
}

static void add_alias(struct maker *m, char *name)
{
	m->h.h_aliases[m->num_aliases++] = name;
}

/* Its names and addresses are complete. NULL when there was none; errno says
 * why, as libc has it. */
static struct hostent *finish(struct maker *m)
{
	if (m->num_addrs && m->h.h_name && !m->is_broken)
		return &m->h;
	errno = m->is_broken ? EMSGSIZE : EAGAIN;
	free(m);
	return NULL;
}

struct hostent *dns_hosts(const struct dns_question *q)
{
	struct maker *m = q->herr ? NULL : maker_new(q);
	struct record r;
	char target[NAME_LEN];
	int n;

	if (!m)
		return NULL;
	m->h.h_addrtype = q->type == T_AAAA ? AF_INET6 : AF_INET;
	m->h.h_length = q->type == T_AAAA ? 16 : 4;
	m->h.h_name = m->last;
	while (next_record(m, &r)) {
		if (r.class != C_IN)
			continue;
		if (r.type == T_CNAME && !m->num_addrs) {
			if (!expand(m, r.data, target, &n))
				continue;
			m->last = keep(m, target);
			if (!res_hnok(target))
				continue;
			add_alias(m, keep(m, r.name));
			m->h.h_name = m->last;
		} else if ((int)r.type == q->type &&
			   strcasecmp(r.name, m->last) == 0 &&
			   r.len == (unsigned)m->h.h_length) {
			add_addr(m, r.data, (int)r.len);
		}
	}
	return finish(m);
}

struct hostent *dns_pointer(const struct dns_question *q, const void *addr,
			    int len, int family)
{
	struct maker *m = q->herr ? NULL : maker_new(q);
	struct record r;
	char target[NAME_LEN];
	int n;

	if (!m)
		return NULL;
	m->h.h_addrtype = family;
	m->h.h_length = len;
	add_addr(m, addr, len);
	while (next_record(m, &r)) {
		if (r.class != C_IN || !expand(m, r.data, target, &n) ||
		    strcasecmp(r.name, m->last) != 0)
			continue;
		if (r.type == T_CNAME)
			m->last = keep(m, target);
		else if (r.type != T_PTR || !res_hnok(target))
			continue;
		else if (!m->h.h_name)
			m->h.h_name = keep(m, target);
		else
			add_alias(m, keep(m, target));
	}
	return finish(m);
}

void dns_hosts_free(struct hostent *h)
{
	free(h);
}
