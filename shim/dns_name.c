/* SPDX-License-Identifier: MIT
 *
 * dns_name.c - from what a program calls a name to what a server is asked
 *
 * resolv.conf's search list, ndots and HOSTALIASES as libc's resolver has them:
 * a name with enough dots is tried as it stands first, then with each domain,
 * and last as it stands if it was not yet. Which of several failures is told
 * follows res_search(3), too: what the name by itself got, then "no data" of
 * some domain, then a failure of some server.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#undef MIN /* of sys/param.h, by way of resolv.h */
#undef MAX

#include "base/log.h"
#include "base/util.h"
#include "dns.h"

#define MAX_QUERY 512
#define MAX_QUESTIONS 2

/* The name in full; false: it is too long. */
static bool put_together(char *out, size_t room, const char *name,
			 const char *domain)
{
	size_t n = strlen(name), d = domain ? strlen(domain) : 0;

	if (n + d + 2 > room)
		return false;
	if (!domain && n && name[n - 1] == '.' &&
	    (n < 2 || name[n - 2] != '\\'))
		n--;
	memcpy(out, name, n);
	out[n] = '\0';
	if (domain)
		log_snprintf(out + n, room - n, ".%s", domain);
	return true;
}

/* What several questions about one name come to: res_query() of libc. */
static int sum_up(const struct dns_question *q, unsigned num)
{
	const struct dns_question *told = &q[0];

	for (unsigned i = 0; i < num; i++)
		if (!q[i].herr)
			return 0;
	/* a server that fails for one family and has nothing of the other */
	for (unsigned i = 0; i < num; i++)
		if (q[i].herr == NO_DATA && q[num - 1 - i].herr == TRY_AGAIN &&
		    !q[num - 1 - i].is_silent)
			return NO_DATA;
	for (unsigned i = 0; i < num; i++)
		if (q[i].herr == TRY_AGAIN)
			return TRY_AGAIN;
	if (num > 1 && told->herr == NO_DATA && q[1].herr != NO_DATA)
		told = &q[1];
	return told->herr;
}

int dns_query(res_state rs, const char *name, const char *domain, int class,
	      struct dns_question *q, unsigned num)
{
	uint8_t buf[MAX_QUESTIONS][MAX_QUERY];
	const uint8_t *msg[MAX_QUESTIONS];
	int len[MAX_QUESTIONS];
	char full[MAXDNAME];

	ASSERT(num <= MAX_QUESTIONS);
	if (!put_together(full, sizeof(full), name, domain))
		return NO_RECOVERY;
	for (unsigned i = 0; i < num; i++) {
		len[i] = res_nmkquery(rs, QUERY, full, class, q[i].type, NULL,
				      0, NULL, buf[i], MAX_QUERY);
		if (len[i] <= 0)
			return NO_RECOVERY;
		msg[i] = buf[i];
	}
	dns_send(rs, msg, len, q, num);
	return sum_up(q, num);
}

/* A line `ALIAS NAME` of the file that HOSTALIASES names. */
static bool find_alias(res_state rs, const char *name, char *out, size_t room)
{
	const char *path = getenv("HOSTALIASES");
	char line[1024], from[256], to[256];
	bool found = false;
	FILE *f;

	if (rs->options & RES_NOALIASES || !path || !(f = fopen(path, "rce")))
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%255s %255s", from, to) == 2 &&
			strcasecmp(from, name) == 0;
	fclose(f);
	if (found)
		log_snprintf(out, room, "%s", to);
	return found;
}

struct search {
	res_state rs;
	const char *name;
	int class;
	struct dns_question *q;
	unsigned num;
	bool has_no_data, has_servfail, is_over;
};

/* With @domain behind it. True when there is an answer, or nothing more is to
 * be tried (->is_over). */
static bool try_domain(struct search *s, const char *domain, int *herr)
{
	dns_free(s->q, s->num);
	*herr = dns_query(s->rs, s->name, domain, s->class, s->q, s->num);
	switch (*herr) {
	case 0:
		return true;
	case NO_DATA:
		s->has_no_data = true;
		return false;
	case HOST_NOT_FOUND:
		return false;
	case TRY_AGAIN:
		s->has_servfail = true;
		if (!s->q[0].is_silent && !s->q[s->num - 1].is_silent)
			return false;
		break;
	default:
		break;
	}
	s->is_over = true;
	return false;
}

static bool try_list(struct search *s, bool *had_root, int *herr)
{
	for (int i = 0; i < MAXDNSRCH && s->rs->dnsrch[i] && !s->is_over; i++) {
		const char *domain = s->rs->dnsrch[i];

		if (domain[0] == '.')
			domain++;
		if (!*domain)
			*had_root = true;
		if (try_domain(s, *domain ? domain : NULL, herr))
			return true;
		if (!(s->rs->options & RES_DNSRCH))
			break;
	}
	return false;
}

int dns_search(res_state rs, const char *name, int class,
	       struct dns_question *q, unsigned num)
{
	struct search s = {rs, name, class, q, num, false, false, false};
	size_t len = strlen(name);
	bool trailing = len && name[len - 1] == '.', as_is = false;
	unsigned dots = 0;
	int herr = HOST_NOT_FOUND, first = -1;
	char alias[MAXDNAME];

	for (const char *p = name; *p; p++)
		dots += *p == '.';
	if (!dots && find_alias(rs, name, alias, sizeof(alias)))
		return dns_query(rs, alias, NULL, class, q, num);
	if (dots >= rs->ndots || trailing) {
		first = dns_query(rs, name, NULL, class, q, num);
		if (!first || trailing)
			return first;
		as_is = true;
	}
	if ((!dots && rs->options & RES_DEFNAMES) ||
	    (dots && !trailing && rs->options & RES_DNSRCH))
		if (try_list(&s, &as_is, &herr))
			return 0;
	if (!as_is && !s.is_over && (dots || !(rs->options & RES_NOTLDQUERY))) {
		dns_free(q, num);
		herr = dns_query(rs, name, NULL, class, q, num);
		if (!herr)
			return 0;
	}
	if (first >= 0)
		return first;
	if (s.has_no_data)
		return NO_DATA;
	return s.has_servfail ? TRY_AGAIN : herr;
}

void dns_reverse_name(const void *addr, int family, char out[80])
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = addr;

	if (family == AF_INET) {
		log_snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2],
			     b[1], b[0]);
		return;
	}
	for (int i = 15; i >= 0; i--) {
		*out++ = digits[b[i] & 15];
		*out++ = '.';
		*out++ = digits[b[i] >> 4];
		*out++ = '.';
	}
	strcpy(out, "ip6.arpa");
}

bool dns_is_number(const char *name)
{
	static const char digits[] = "0123456789.";
	static const char hex[] = "0123456789abcdefABCDEF:.";
	size_t len = strlen(name);

	if (!len || name[len - 1] == '.')
		return false;
	return strspn(name, digits) == len ||
	       (strchr(name, ':') && strspn(name, hex) == len);
}
