/* SPDX-License-Identifier: MIT
 *
 * dns.c - asks name servers, with c-ares, through the stack
 *
 * c-ares does what is hard about asking: servers in turn, timeouts, answers
 * that belong to the question, TCP when an answer was cut. It is opened when
 * the first name is asked for, privately as libuv is, since programs bring
 * c-ares along themselves. All its sockets are made by our own hooks, so they
 * are the stack's. A channel lives for one lookup: nothing is shared between
 * threads or with a forked child.
 *
 * libc goes on doing what isn't DNS: DNS and its kin are taken out of the list
 * of services that nsswitch.conf has for `hosts`, in this process, and what
 * libc doesn't find then is asked for here.
 */
#include <ares.h>
#include <ctype.h>
#include <fcntl.h>
#include <netdb.h>
#include <nss.h>
#include <poll.h>
#include <pthread.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#undef MIN /* of sys/param.h, by way of resolv.h */
#undef MAX

#include "base/log.h"
#include "base/util.h"
#include "dns.h"
#include "edge/dl.h"
#include "host.h"
#include "knobs.h"
#include "sys.h"

#define ARES_CALLS(X)                \
	X(ares_library_init)         \
	X(ares_init_options)         \
	X(ares_destroy)              \
	X(ares_set_servers)          \
	X(ares_set_socket_functions) \
	X(ares_send)                 \
	X(ares_getsock)              \
	X(ares_timeout)              \
	X(ares_process_fd)

#define MOST ARES_GETSOCK_MAXNUM /* sockets of a channel */
#define HEADER_LEN 12		 /* of a DNS message, RFC 1035 4.1.1 */

static struct {
#define X(name) __typeof__(&name) name;
	ARES_CALLS(X)
#undef X
} lib;

struct dns_order dns_order;

static const char *const lib_names[] = {
#define X(name) #name,
	ARES_CALLS(X)
#undef X
		NULL,
};

static const struct dl_lib lib_file = {
	.name = "libcares.so.2",
	.cure = "TCPSHIM_DNS needs libcares.so.2; install libc-ares2",
	.fn = lib_names,
};

static int open_lib(char *why, size_t len)
{
	int r = dl_open(&lib_file, &lib, why, len);

	if (r < 0)
		return r;
	return lib.ares_library_init(ARES_LIB_INIT_ALL) ? -ENOMEM : 0;
}

/* --- what libc still does --- */

/* Services that ask a network, over the kernel. */
static bool is_network_service(const char *s)
{
	static const char *const names[] = {"dns",  "resolve", "wins",
					    "mdns", "nis",     "ldap"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp(s, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* Does "[NOTFOUND=return]" or the like end the list for a name that is not
 * there? */
static bool ends_list(const char *action)
{
	return strcasestr(action, "=return") &&
	       (strcasestr(action, "[NOTFOUND=") ||
		strcasestr(action, " NOTFOUND=") || strchr(action, '!'));
}

struct hosts_line {
	char kept[512]; /* what libc is left with */
	char last[64];	/* the service before an action */
	bool is_cut;	/* an action ends the list before dns */
};

/* One service or action of the line. */
static void take_word(struct hosts_line *l, const char *word)
{
	size_t used = strlen(l->kept);
	bool is_action = *word == '[';

	if (!is_action)
		log_snprintf(l->last, sizeof(l->last), "%s", word);
	if (is_action && ends_list(word)) {
		if (strcmp(l->last, "dns") == 0)
			dns_order.is_last = true;
		else if (!is_network_service(l->last))
			l->is_cut = true;
	}
	if (strcmp(word, "dns") == 0 && !l->is_cut) {
		dns_order.is_there = true;
		dns_order.is_first = !used;
	}
	if (!is_network_service(l->last))
		log_snprintf(l->kept + used, sizeof(l->kept) - used, "%s%s",
			     used ? " " : "", word);
}

/* The line of `hosts`, or what libc takes without one. */
static void read_hosts_line(char *line, size_t len)
{
	char text[8192], *at = text, *end;
	long fd = sys(openat, AT_FDCWD, "/etc/nsswitch.conf",
		      O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? 0 : sys(read, fd, text, sizeof(text) - 1);

	if (fd >= 0)
		sys(close, fd);
	text[MAX(n, 0l)] = '\0';
	log_snprintf(line, len, "files dns");
	while (*at) {
		end = strchrnul(at, '\n');
		if (*end)
			*end++ = '\0';
		at += strspn(at, " \t");
		if (strncmp(at, "hosts:", 6) == 0) {
			at[strcspn(at, "#")] = '\0';
			log_snprintf(line, len, "%s", at + 6);
		}
		at = end;
	}
}

static void configure_libc(void)
{
	char line[512], word[128];
	struct hosts_line l = {0};
	const char *at = line;
	size_t n;

	read_hosts_line(line, sizeof(line));
	for (;;) {
		at += strspn(at, " \t");
		if (!*at)
			break;
		n = *at == '[' ? strcspn(at, "]") + 1 : strcspn(at, " \t[");
		n = MIN(n, MIN(strlen(at), sizeof(word) - 1));
		memcpy(word, at, n);
		word[n] = '\0';
		at += n;
		take_word(&l, word);
	}
	__nss_configure_lookup("hosts", *l.kept ? l.kept : "files");
}

/* --- is it us? --- */

static int state;

static void find_state(void)
{
	char why[256] = "";

	if (knobs_load(why, sizeof(why)) < 0) {
		state = knobs_on_error_kernel() ? 0 : host_up();
		return;
	}
	if (!knobs.num_dns)
		return;
	if (open_lib(why, sizeof(why)) < 0) {
		sys_say("%s; %s", why,
			knobs.to_kernel ? "names are asked for by libc"
					: "no names for this program");
		state = knobs.to_kernel ? 0 : -ENETDOWN;
		return;
	}
	configure_libc();
	state = 1;
}

int dns_state(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int saved = errno;

	pthread_once(&once, find_state);
	errno = saved;
	return state;
}

res_state dns_res(void)
{
	res_state rs = &_res;

	if (!(rs->options & RES_INIT))
		res_ninit(rs);
	return rs;
}

/* --- sockets of c-ares: our own hooks --- */

static ares_socket_t on_socket(int domain, int type, int proto, void *arg)
{
	return socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
}

static int on_close(ares_socket_t fd, void *arg)
{
	return close(fd);
}

static int on_connect(ares_socket_t fd, const struct sockaddr *sa,
		      ares_socklen_t len, void *arg)
{
	return connect(fd, sa, len);
}

static ares_ssize_t on_recv(ares_socket_t fd, void *buf, size_t len, int flags,
			    struct sockaddr *sa, ares_socklen_t *sa_len,
			    void *arg)
{
	return recvfrom(fd, buf, len, flags, sa, sa_len);
}

static ares_ssize_t on_send(ares_socket_t fd, const struct iovec *v, int n,
			    void *arg)
{
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v,
			   .msg_iovlen = (size_t)n};

	return sendmsg(fd, &m, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = {
	on_socket, on_close, on_connect, on_recv, on_send};

/* --- asking --- */

static int set_servers(ares_channel ch)
{
	struct ares_addr_node v[KNOB_MAX_DNS] = {0};

	for (unsigned i = 0; i < knobs.num_dns; i++) {
		const struct ip_addr *a = &knobs.dns[i];

		v[i].next = i + 1 < knobs.num_dns ? &v[i + 1] : NULL;
		if (ip_addr_is4(a)) {
			v[i].family = AF_INET;
			memcpy(&v[i].addr.addr4, a->b + 12, 4);
		} else {
			v[i].family = AF_INET6;
			memcpy(&v[i].addr.addr6, a->b, 16);
		}
	}
	return lib.ares_set_servers(ch, v);
}

static ares_channel channel_new(res_state rs)
{
	struct ares_options o = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
		.timeout = MAX(rs->retrans, 1) * 1000,
		.tries = MAX(rs->retry, 1),
		.ndots = 1,
		.lookups = (char[]){"b"},
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
		   ARES_OPT_NDOTS | ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS;
	ares_channel ch;

	if (rs->options & RES_USEVC)
		o.flags |= ARES_FLAG_USEVC;
	if (rs->options & RES_IGNTC)
		o.flags |= ARES_FLAG_IGNTC;
	mask |= rs->options & RES_ROTATE ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE;
	if (lib.ares_init_options(&ch, &o, mask))
		return NULL;
	lib.ares_set_socket_functions(ch, &socket_functions, NULL);
	if (set_servers(ch)) {
		lib.ares_destroy(ch);
		return NULL;
	}
	return ch;
}

/* What the resolver of libc makes of an answer's header. */
static int herr_of(const uint8_t *msg, int len)
{
	if (len < HEADER_LEN)
		return NO_RECOVERY;
	switch (msg[3] & 15) {
	case NOERROR:
		return msg[6] | msg[7] ? 0 : NO_DATA;
	case NXDOMAIN:
		return HOST_NOT_FOUND;
	case SERVFAIL:
		return TRY_AGAIN;
	default:
		return NO_RECOVERY;
	}
}

struct pending {
	struct dns_question *q;
	unsigned *num_left;
};

static void on_answer(void *arg, int status, int timeouts, unsigned char *msg,
		      int len)
{
	struct pending *p = arg;

	--*p->num_left;
	p->q->is_silent = status == ARES_ETIMEOUT;
	p->q->herr = TRY_AGAIN;
	if (status || !msg)
		return;
	p->q->answer = malloc((size_t)len);
	if (!p->q->answer) {
		p->q->herr = NO_RECOVERY;
		return;
	}
	memcpy(p->q->answer, msg, (size_t)len);
	p->q->len = len;
	p->q->herr = herr_of(msg, len);
}

static void run(ares_channel ch, const unsigned *num_left)
{
	ares_socket_t socks[MOST];
	struct pollfd v[MOST];

	while (*num_left) {
		/* one bit to read and one to write: its macros shift an int */
		unsigned bits = (unsigned)lib.ares_getsock(ch, socks, MOST);
		struct timeval tv, *t = lib.ares_timeout(ch, NULL, &tv);
		int ms = t ? (int)(t->tv_sec * 1000 + t->tv_usec / 1000) : -1;
		nfds_t num = 0;

		for (unsigned i = 0; i < MOST; i++) {
			short ev = (bits >> i & 1 ? POLLIN : 0) |
				   (bits >> (i + MOST) & 1 ? POLLOUT : 0);

			if (ev)
				v[num++] = (struct pollfd){socks[i], ev, 0};
		}
		if (!num && ms < 0)
			return;
		/* a millisecond more, or its last part would be a spin */
		if (poll(v, num, ms < 0 ? ms : ms + 1) <= 0)
			lib.ares_process_fd(ch, ARES_SOCKET_BAD,
					    ARES_SOCKET_BAD);
		for (nfds_t i = 0; i < num; i++)
			if (v[i].revents)
				lib.ares_process_fd(ch,
						    v[i].revents & ~POLLOUT
							    ? v[i].fd
							    : ARES_SOCKET_BAD,
						    v[i].revents & POLLOUT
							    ? v[i].fd
							    : ARES_SOCKET_BAD);
	}
}

void dns_send(res_state rs, const uint8_t *const msg[], const int len[],
	      struct dns_question *q, unsigned num)
{
	struct pending p[2];
	unsigned num_left = num;
	ares_channel ch;
	int cancel;

	ASSERT(num <= ARRAY_SIZE(p));
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	ch = channel_new(rs);
	for (unsigned i = 0; i < num; i++) {
		q[i] = (struct dns_question){.type = q[i].type,
					     .herr = TRY_AGAIN};
		p[i] = (struct pending){&q[i], &num_left};
		if (ch)
			lib.ares_send(ch, msg[i], len[i], on_answer, &p[i]);
	}
	if (ch) {
		run(ch, &num_left);
		lib.ares_destroy(ch);
	}
	pthread_setcancelstate(cancel, NULL);
}

void dns_free(struct dns_question *q, unsigned num)
{
	for (unsigned i = 0; i < num; i++) {
		free(q[i].answer);
		q[i].answer = NULL;
		q[i].len = 0;
	}
}
