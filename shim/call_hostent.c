/* SPDX-License-Identifier: MIT
 *
 * call_hostent.c - gethostbyname, gethostbyaddr and their kin
 *
 * libc first, as in call_dns.c, and DNS for what it doesn't find. The forms
 * without _r keep their result in memory that the next call overwrites.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#undef MIN /* of sys/param.h, by way of resolv.h */
#undef MAX

#include "base/util.h"
#include "dns.h"
#include "real.h"
#include "sys.h"

/* --- a struct hostent in the caller's memory --- */

struct room {
	char *at;
	size_t left;
};

static void *take(struct room *m, size_t len, size_t align)
{
	size_t pad = -(uintptr_t)m->at & (align - 1);
	char *p = m->at + pad;

	if (m->left < pad || m->left - pad < len)
		return NULL;
	m->at = p + len;
	m->left -= pad + len;
	return p;
}

static char *take_copy(struct room *m, const void *from, size_t len)
{
	char *p = take(m, len, 1);

	return p ? memcpy(p, from, len) : NULL;
}

static size_t count(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

/* Strings when @len is 0. */
static char **take_list(struct room *m, char *const *v, size_t len)
{
	size_t n = count(v);
	char **out = take(m, (n + 1) * sizeof(*out), sizeof(*out));

	for (size_t i = 0; out && i < n; i++) {
		out[i] = take_copy(m, v[i], len ? len : strlen(v[i]) + 1);
		if (!out[i])
			return NULL;
	}
	if (out)
		out[n] = NULL;
	return out;
}

/* 0, or ERANGE. */
static int copy_host(const struct hostent *h, struct hostent *out, char *buf,
		     size_t len)
{
	struct room m = {buf, len};

	*out = (struct hostent){.h_addrtype = h->h_addrtype,
				.h_length = h->h_length};
	/* pointers first, then what needs no alignment; addresses before names
	 * as they are read as numbers */
	out->h_addr_list = take_list(&m, h->h_addr_list, (size_t)h->h_length);
	out->h_aliases = take_list(&m, h->h_aliases, 0);
	out->h_name = take_copy(&m, h->h_name, strlen(h->h_name) + 1);
	return out->h_addr_list && out->h_aliases && out->h_name ? 0 : ERANGE;
}

/* What a function with _r returns for @herr: that of the name, when @q is the
 * question that was asked last (nss_dns and getXXbyYY_r.c of glibc). */
static int failed(int herr, const struct dns_question *q, int *h_errnop)
{
	if (!herr) { /* there were records, and none of use */
		*h_errnop = NO_RECOVERY;
		return errno;
	}
	*h_errnop = herr;
	return herr == TRY_AGAIN && q->herr == TRY_AGAIN ? EAGAIN : 0;
}

static int refused(int *h_errnop)
{
	*h_errnop = NETDB_INTERNAL;
	errno = ENETDOWN;
	return ENETDOWN;
}

static int deliver(const struct hostent *h, struct hostent *out, char *buf,
		   size_t len, struct hostent **result, int *h_errnop)
{
	int r = copy_host(h, out, buf, len);

	if (r) {
		*h_errnop = NETDB_INTERNAL;
		errno = r;
		return r;
	}
	*h_errnop = 0;
	*result = out;
	return 0;
}

/* --- by name --- */

static int name_by_dns(const char *name, int family, struct hostent *out,
		       char *buf, size_t len, struct hostent **result,
		       int *h_errnop)
{
	struct dns_question q = {.type = family == AF_INET6 ? T_AAAA : T_A};
	struct hostent *h = NULL;
	int r, herr = HOST_NOT_FOUND;

	if (!*name)
		herr = NO_RECOVERY;
	else if (res_hnok(name))
		herr = dns_search(dns_res(), name, C_IN, &q, 1);
	if (!herr)
		h = dns_hosts(&q);
	dns_free(&q, 1); /* keeps errno */
	if (!h)
		return failed(herr, &q, h_errnop);
	r = deliver(h, out, buf, len, result, h_errnop);
	dns_hosts_free(h);
	return r;
}

/* Is it for DNS to say, and libc only after it? */
static bool is_dns_first(int on, const char *name)
{
	return on > 0 && dns_order.is_there && dns_order.is_first &&
	       !(name && dns_is_number(name));
}

/* After DNS came first and said @herr: may libc look elsewhere? */
static bool goes_on(int herr)
{
	return herr && (!dns_order.is_last || herr == TRY_AGAIN);
}

EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *out,
			    char *buf, size_t len, struct hostent **result,
			    int *h_errnop)
{
	int r, on = dns_state();

	*result = NULL;
	if (is_dns_first(on, name)) {
		r = name_by_dns(name, family, out, buf, len, result, h_errnop);
		if (*result || r == ERANGE || !goes_on(*h_errnop))
			return r;
	}
	r = real.gethostbyname2_r(name, family, out, buf, len, result,
				  h_errnop);
	if (!on || *result || r == ERANGE || r == EINVAL || dns_is_number(name))
		return r;
	if (on < 0)
		return refused(h_errnop);
	if (!dns_order.is_there || dns_order.is_first ||
	    (family != AF_INET && family != AF_INET6))
		return r;
	*result = NULL;
	return name_by_dns(name, family, out, buf, len, result, h_errnop);
}

EXPORT int gethostbyname_r(const char *name, struct hostent *out, char *buf,
			   size_t len, struct hostent **result, int *h_errnop)
{
	if (!dns_state())
		return real.gethostbyname_r(name, out, buf, len, result,
					    h_errnop);
	return gethostbyname2_r(name, AF_INET, out, buf, len, result, h_errnop);
}

/* --- by address --- */

static int addr_by_dns(const void *addr, socklen_t addr_len, int family,
		       struct hostent *out, char *buf, size_t len,
		       struct hostent **result, int *h_errnop)
{
	struct dns_question q = {.type = T_PTR};
	struct hostent *h = NULL;
	char name[80];
	int herr, r;

	dns_reverse_name(addr, family, name);
	herr = dns_query(dns_res(), name, NULL, C_IN, &q, 1);
	if (!herr)
		h = dns_pointer(&q, addr, (int)addr_len, family);
	dns_free(&q, 1); /* keeps errno */
	if (!h)
		return failed(herr, &q, h_errnop);
	r = deliver(h, out, buf, len, result, h_errnop);
	dns_hosts_free(h);
	return r;
}

EXPORT int gethostbyaddr_r(const void *addr, socklen_t addr_len, int family,
			   struct hostent *out, char *buf, size_t len,
			   struct hostent **result, int *h_errnop)
{
	bool is_addr = (family == AF_INET && addr_len == 4) ||
		       (family == AF_INET6 && addr_len == 16);
	int r, on = dns_state();

	*result = NULL;
	if (is_addr && is_dns_first(on, NULL)) {
		r = addr_by_dns(addr, addr_len, family, out, buf, len, result,
				h_errnop);
		if (*result || r == ERANGE || !goes_on(*h_errnop))
			return r;
	}
	r = real.gethostbyaddr_r(addr, addr_len, family, out, buf, len, result,
				 h_errnop);
	if (!on || *result || r == ERANGE || !is_addr)
		return r;
	if (on < 0)
		return refused(h_errnop);
	if (!dns_order.is_there || dns_order.is_first)
		return r;
	return addr_by_dns(addr, addr_len, family, out, buf, len, result,
			   h_errnop);
}

/* --- without _r --- */

static struct {
	pthread_mutex_t lock; /* against harm; the result is anybody's */
	struct hostent host;
	char *buf;
	size_t len;
} mine = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool grow(void)
{
	size_t len = mine.len ? 2 * mine.len : 1024;
	char *p = realloc(mine.buf, len);

	if (!p)
		return false;
	mine.buf = p;
	mine.len = len;
	return true;
}

/* Runs @expr with ->buf as large as it has to be. */
#define WITH_ROOM(result, expr)                                   \
	do {                                                      \
		int r_ = ERANGE, herr_ = NETDB_INTERNAL;          \
                                                                  \
		pthread_mutex_lock(&mine.lock);                   \
		result = NULL;                                    \
		if (mine.buf || grow())                           \
			while ((r_ = (expr)) == ERANGE && grow()) \
				continue;                         \
		pthread_mutex_unlock(&mine.lock);                 \
		if (!(result))                                    \
			h_errno = herr_;                          \
	} while (0)

EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
	struct hostent *result;

	if (!dns_state())
		return real.gethostbyname2(name, family);
	WITH_ROOM(result, gethostbyname2_r(name, family, &mine.host, mine.buf,
					   mine.len, &result, &herr_));
	return result;
}

EXPORT struct hostent *gethostbyname(const char *name)
{
	return dns_state() ? gethostbyname2(name, AF_INET)
			   : real.gethostbyname(name);
}

EXPORT struct hostent *gethostbyaddr(const void *addr, socklen_t len,
				     int family)
{
	struct hostent *result;

	if (!dns_state())
		return real.gethostbyaddr(addr, len, family);
	WITH_ROOM(result, gethostbyaddr_r(addr, len, family, &mine.host,
					  mine.buf, mine.len, &result, &herr_));
	return result;
}
