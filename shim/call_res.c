/* SPDX-License-Identifier: MIT
 *
 * call_res.c - the resolver's own calls, res_query(3)
 *
 * libc's state (res_ninit, res_init) and its messages (res_mkquery, dn_expand,
 * ns_parserr) stay libc's; only the asking is done here. libc exports each name
 * twice, since <resolv.h> once renamed them.
 */
#include <netdb.h>
#include <resolv.h>
#include <string.h>
#undef MIN /* of sys/param.h, by way of resolv.h */
#undef MAX

#include "aliases.h"
#include "base/util.h"
#include "dns.h"
#include "real.h"
#include "sys.h"

/* The answer to the caller; @herr as h_errno. The length, or -1. */
static int deliver(res_state rs, struct dns_question *q, int herr,
		   unsigned char *answer, int room)
{
	int len = MIN(q->len, room);

	if (q->answer && len > 0)
		memcpy(answer, q->answer, (size_t)len);
	dns_free(q, 1);
	rs->res_h_errno = herr;
	h_errno = herr;
	if (!herr)
		return len;
	if (herr == TRY_AGAIN && q->is_silent)
		errno = ETIMEDOUT;
	return -1;
}

static int refuse(res_state rs)
{
	rs->res_h_errno = TRY_AGAIN;
	h_errno = TRY_AGAIN;
	errno = ENETDOWN;
	return -1;
}

EXPORT int res_nquerydomain(res_state rs, const char *name, const char *domain,
			    int class, int type, unsigned char *answer,
			    int room)
{
	struct dns_question q = {.type = type};
	int herr, on = dns_state();

	if (on <= 0)
		return on ? refuse(rs)
			  : real.res_nquerydomain(rs, name, domain, class, type,
						  answer, room);
	herr = dns_query(rs, name, domain, class, &q, 1);
	return deliver(rs, &q, herr, answer, room);
}

EXPORT int res_nquery(res_state rs, const char *name, int class, int type,
		      unsigned char *answer, int room)
{
	struct dns_question q = {.type = type};
	int herr, on = dns_state();

	if (on <= 0)
		return on ? refuse(rs)
			  : real.res_nquery(rs, name, class, type, answer,
					    room);
	herr = dns_query(rs, name, NULL, class, &q, 1);
	return deliver(rs, &q, herr, answer, room);
}

EXPORT int res_nsearch(res_state rs, const char *name, int class, int type,
		       unsigned char *answer, int room)
{
	struct dns_question q = {.type = type};
	int herr, on = dns_state();

	if (on <= 0)
		return on ? refuse(rs)
			  : real.res_nsearch(rs, name, class, type, answer,
					     room);
	herr = dns_search(rs, name, class, &q, 1);
	return deliver(rs, &q, herr, answer, room);
}

/* Whatever came back is the answer, be it an error. */
EXPORT int res_nsend(res_state rs, const unsigned char *msg, int len,
		     unsigned char *answer, int room)
{
	struct dns_question q = {0};
	int on = dns_state();

	if (on <= 0)
		return on ? refuse(rs)
			  : real.res_nsend(rs, msg, len, answer, room);
	dns_send(rs, &msg, &len, &q, 1);
	return deliver(rs, &q, q.answer ? 0 : TRY_AGAIN, answer, room);
}

/* --- with the thread's own state --- */

EXPORT int res_query(const char *name, int class, int type,
		     unsigned char *answer, int room)
{
	return dns_state()
		       ? res_nquery(dns_res(), name, class, type, answer, room)
		       : real.res_query(name, class, type, answer, room);
}

EXPORT int res_querydomain(const char *name, const char *domain, int class,
			   int type, unsigned char *answer, int room)
{
	return dns_state() ? res_nquerydomain(dns_res(), name, domain, class,
					      type, answer, room)
			   : real.res_querydomain(name, domain, class, type,
						  answer, room);
}

EXPORT int res_search(const char *name, int class, int type,
		      unsigned char *answer, int room)
{
	return dns_state()
		       ? res_nsearch(dns_res(), name, class, type, answer, room)
		       : real.res_search(name, class, type, answer, room);
}

EXPORT int res_send(const unsigned char *msg, int len, unsigned char *answer,
		    int room)
{
	return dns_state() ? res_nsend(dns_res(), msg, len, answer, room)
			   : real.res_send(msg, len, answer, room);
}

/* --- the names of old programs --- */

EXPORT int __res_nquerydomain(res_state rs, const char *name,
			      const char *domain, int class, int type,
			      unsigned char *answer, int room)
{
	return res_nquerydomain(rs, name, domain, class, type, answer, room);
}

EXPORT int __res_nquery(res_state rs, const char *name, int class, int type,
			unsigned char *answer, int room)
{
	return res_nquery(rs, name, class, type, answer, room);
}

EXPORT int __res_nsearch(res_state rs, const char *name, int class, int type,
			 unsigned char *answer, int room)
{
	return res_nsearch(rs, name, class, type, answer, room);
}

EXPORT int __res_nsend(res_state rs, const unsigned char *msg, int len,
		       unsigned char *answer, int room)
{
	return res_nsend(rs, msg, len, answer, room);
}

EXPORT int __res_query(const char *name, int class, int type,
		       unsigned char *answer, int room)
{
	return res_query(name, class, type, answer, room);
}

EXPORT int __res_querydomain(const char *name, const char *domain, int class,
			     int type, unsigned char *answer, int room)
{
	return res_querydomain(name, domain, class, type, answer, room);
}

EXPORT int __res_search(const char *name, int class, int type,
			unsigned char *answer, int room)
{
	return res_search(name, class, type, answer, room);
}

EXPORT int __res_send(const unsigned char *msg, int len, unsigned char *answer,
		      int room)
{
	return res_send(msg, len, answer, room);
}
