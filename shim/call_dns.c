/* SPDX-License-Identifier: MIT
 *
 * call_dns.c - getaddrinfo and getnameinfo, when TCPSHIM_DNS has servers
 *
 * libc is asked first, with DNS taken out of its list of services: it knows
 * numbers, /etc/hosts, services, flags and all errors about them. What it
 * doesn't find is asked for through the stack, and libc then makes the result
 * out of the addresses as text, so a list that we return is libc's own, down to
 * freeaddrinfo(). gethostbyname and its kin are in call_hostent.c.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#undef MIN /* of sys/param.h, by way of resolv.h */
#undef MAX

#include "aliases.h"
#include "base/util.h"
#include "dns.h"
#include "knobs.h"
#include "real.h"
#include "sys.h"

/* Flags that are done with when the addresses are known. */
#define OURS (AI_CANONNAME | AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL)

/* --- getaddrinfo --- */

struct dests {
	struct dns_dest *v;
	size_t num;
	char *canon; /* strdup()ed, or NULL */
};

static void dests_free(struct dests *d)
{
	free(d->v);
	free(d->canon);
}

static bool add_hosts(struct dests *d, const struct hostent *h, int family)
{
	size_t n = 0;
	struct dns_dest *v;

	if (!h)
		return true;
	while (h->h_addr_list[n])
		n++;
	v = realloc(d->v, (d->num + n) * sizeof(*v));
	if (!v)
		return false;
	d->v = v;
	for (size_t i = 0; i < n; i++) {
		const char *a = h->h_addr_list[i];

		v[d->num + i].addr = h->h_addrtype == AF_INET ? ip_addr_v4(a)
							      : ip_addr_v6(a);
		v[d->num + i].family = family;
	}
	d->num += n;
	if (!d->canon)
		d->canon = strdup(h->h_name);
	return true;
}

/* An h_errno as EAI_*: which of them a name without addresses gets. */
static int eai_of(int herr)
{
	switch (herr) {
	case TRY_AGAIN:
		return EAI_AGAIN;
	case NO_DATA:
		return EAI_NODATA;
	default:
		return EAI_NONAME;
	}
}

/* The addresses of one or both families; @as is the family of the result. */
static int ask(const char *node, const int *types, unsigned num, int as,
	       struct dests *d, int *last)
{
	struct dns_question q[2] = {0};
	size_t before = d->num;
	int herr, r = 0;

	for (unsigned i = 0; i < num; i++)
		q[i].type = types[i];
	herr = dns_search(dns_res(), node, C_IN, q, num);
	*last = q[0].herr;
	for (unsigned i = 0; i < num && !herr && !r; i++) {
		struct hostent *h = dns_hosts(&q[i]);
		int own = q[i].type == T_A ? AF_INET : AF_INET6;

		if (!add_hosts(d, h, as == AF_UNSPEC ? own : as))
			r = EAI_MEMORY;
		dns_hosts_free(h);
	}
	dns_free(q, num);
	if (r)
		return r;
	if (herr)
		return eai_of(herr);
	return d->num > before ? 0 : EAI_NONAME; /* an alias to nowhere */
}

/* Inside libc, getaddrinfo() is made of functions that differ: for IPv4 alone
 * it is gethostbyname2_r(), and names that no host can have are refused by all
 * but the one that also finds the canonical name of a single family. */
static int find(const char *node, const struct addrinfo *hints, struct dests *d)
{
	static const int both[] = {T_A, T_AAAA};
	bool wants_canon = hints->ai_flags & AI_CANONNAME;
	int family = hints->ai_family, last, r;

	if (!(wants_canon && family != AF_UNSPEC) && !res_hnok(node))
		return EAI_NONAME;
	if (family == AF_UNSPEC)
		return ask(node, both, 2, AF_UNSPEC, d, &last);
	if (family == AF_INET) {
		if (!wants_canon && dns_is_number(node))
			return EAI_NONAME;
		r = ask(node, both, 1, AF_INET, d, &last);
		return r == EAI_AGAIN && !wants_canon && last != TRY_AGAIN
			       ? EAI_NONAME
			       : r;
	}
	r = ask(node, both + 1, 1, AF_INET6, d, &last);
	if (hints->ai_flags & AI_V4MAPPED && (r || hints->ai_flags & AI_ALL)) {
		int r4 = ask(node, both, 1, AF_INET6, d, &last);

		r = r && r4 ? (r == EAI_NONAME ? r4 : r) : 0;
	}
	return r;
}

/* One address, made into results by libc, at the end of the list. */
static int append(struct addrinfo **tail, const struct dns_dest *d,
		  const char *service, const struct addrinfo *hints)
{
	struct addrinfo h = *hints;
	char text[INET6_ADDRSTRLEN];

	h.ai_family = d->family;
	h.ai_flags = (h.ai_flags & ~OURS) | AI_NUMERICHOST;
	if (d->family == AF_INET)
		inet_ntop(AF_INET, d->addr.b + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, d->addr.b, text, sizeof(text));
	return real.getaddrinfo(text, service, &h, tail);
}

static int build(struct dests *d, const char *service,
		 const struct addrinfo *hints, struct addrinfo **res)
{
	struct addrinfo *list = NULL, **tail = &list;
	int r = 0;

	dns_sort(d->v, d->num);
	for (size_t i = 0; i < d->num && !r; i++) {
		r = append(tail, &d->v[i], service, hints);
		while (!r && *tail)
			tail = &(*tail)->ai_next;
	}
	if (r) {
		*tail = NULL;
		if (list)
			freeaddrinfo(list);
		return r;
	}
	if (hints->ai_flags & AI_CANONNAME) {
		list->ai_canonname = d->canon;
		d->canon = NULL;
	}
	*res = list;
	return 0;
}

/* AI_ADDRCONFIG, of the stack's host and not of the kernel's. */
static int apply_addrconfig(struct addrinfo *h)
{
	bool four = false, six = false;

	if (!(h->ai_flags & AI_ADDRCONFIG))
		return 0;
	h->ai_flags &= ~AI_ADDRCONFIG;
	for (unsigned i = 0; i < knobs.cfg.num_addrs; i++)
		if (ip_addr_is4(&knobs.cfg.addrs[i].addr))
			four = true;
		else
			six = true;
	if (h->ai_family == AF_UNSPEC && four != six)
		h->ai_family = four ? AF_INET : AF_INET6;
	if ((h->ai_family == AF_INET && !four) ||
	    (h->ai_family == AF_INET6 && !six))
		return EAI_NONAME;
	return 0;
}

/* All but DNS. EAI_NONAME: it may be asked. */
static int ask_libc(const char *node, const char *service,
		    const struct addrinfo *hints, struct addrinfo **res)
{
	struct addrinfo h = *hints;

	if (dns_order.is_first)
		h.ai_flags |= AI_NUMERICHOST;
	return real.getaddrinfo(node, service, &h, res);
}

/* Results tell the flags that the caller gave. */
static int with_flags(int r, struct addrinfo *list, int flags)
{
	for (; !r && list; list = list->ai_next)
		list->ai_flags = flags;
	return r;
}

/* Not in libc's hands: the stack's servers. */
static int by_dns(const char *node, const char *service,
		  const struct addrinfo *hints, struct addrinfo **res)
{
	struct dests d = {0};
	int r = find(node, hints, &d);

	if (!r)
		r = build(&d, service, hints, res);
	else if (dns_order.is_first && (r == EAI_AGAIN || !dns_order.is_last))
		r = real.getaddrinfo(node, service, hints, res) ? r : 0;
	dests_free(&d);
	return r;
}

EXPORT int getaddrinfo(const char *node, const char *service,
		       const struct addrinfo *hints, struct addrinfo **res)
{
	struct addrinfo h = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
	int r, flags, on = dns_state();

	if (hints)
		h = *hints;
	flags = h.ai_flags;
	if (!on || !node || flags & AI_NUMERICHOST)
		return real.getaddrinfo(node, service, hints, res);
	if (on < 0) {
		h.ai_flags |= AI_NUMERICHOST;
		r = real.getaddrinfo(node, service, &h, res);
		errno = ENETDOWN;
		return r == EAI_NONAME ? EAI_SYSTEM
				       : with_flags(r, r ? NULL : *res, flags);
	}
	r = apply_addrconfig(&h);
	if (r)
		return r;
	r = ask_libc(node, service, &h, res);
	if (r == EAI_NONAME && dns_order.is_there)
		r = by_dns(node, service, &h, res);
	return with_flags(r, r ? NULL : *res, flags);
}

/* --- getnameinfo --- */

/* The address of a socket address; NULL: of no family that DNS has. */
static const void *addr_in(const struct sockaddr *sa, socklen_t len,
			   socklen_t *addr_len)
{
	if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		*addr_len = 4;
		return &((const struct sockaddr_in *)sa)->sin_addr;
	}
	if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		*addr_len = 16;
		return &((const struct sockaddr_in6 *)sa)->sin6_addr;
	}
	return NULL;
}

/* NI_NOFQDN: without the domain of this host. */
static void cut_domain(char *name, int flags)
{
	char host[256], *dot;

	if (!(flags & NI_NOFQDN) || gethostname(host, sizeof(host)) < 0)
		return;
	dot = strchr(host, '.');
	if (dot && strlen(name) > strlen(dot) &&
	    strcasecmp(name + strlen(name) - strlen(dot), dot) == 0)
		name[strlen(name) - strlen(dot)] = '\0';
}

/* The name by DNS into @host. 0, EAI_NONAME: it has none; EAI_OVERFLOW. */
static int name_by_dns(const struct sockaddr *sa, socklen_t len, char *host,
		       socklen_t host_len, int flags)
{
	struct dns_question q = {.type = T_PTR};
	char name[80], found[NI_MAXHOST];
	socklen_t addr_len = 0;
	const void *addr = addr_in(sa, len, &addr_len);
	struct hostent *h = NULL;

	if (!addr || !dns_order.is_there)
		return EAI_NONAME;
	dns_reverse_name(addr, sa->sa_family, name);
	if (!dns_query(dns_res(), name, NULL, C_IN, &q, 1))
		h = dns_pointer(&q, addr, (int)addr_len, sa->sa_family);
	dns_free(&q, 1);
	if (!h)
		return EAI_NONAME;
	log_snprintf(found, sizeof(found), "%s", h->h_name);
	dns_hosts_free(h);
	cut_domain(found, flags);
	if (strlen(found) >= host_len)
		return EAI_OVERFLOW;
	strcpy(host, found);
	return 0;
}

EXPORT int getnameinfo(const struct sockaddr *sa, socklen_t len, char *host,
		       socklen_t host_len, char *serv, socklen_t serv_len,
		       int flags)
{
	int r, on = dns_state();

	if (!on || !host || !host_len || flags & NI_NUMERICHOST)
		return real.getnameinfo(sa, len, host, host_len, serv, serv_len,
					flags);
	r = real.getnameinfo(sa, len, host, host_len, serv, serv_len,
			     flags | NI_NAMEREQD);
	if (r != EAI_NONAME)
		return r;
	r = on < 0 ? EAI_NONAME : name_by_dns(sa, len, host, host_len, flags);
	if (r == EAI_OVERFLOW)
		return r;
	if (r)
		return flags & NI_NAMEREQD
			       ? EAI_NONAME
			       : real.getnameinfo(sa, len, host, host_len, serv,
						  serv_len,
						  flags | NI_NUMERICHOST);
	if (!serv || !serv_len)
		return 0;
	return real.getnameinfo(sa, len, NULL, 0, serv, serv_len,
				flags & ~NI_NAMEREQD);
}
