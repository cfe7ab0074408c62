/* SPDX-License-Identifier: MIT
 *
 * packetdrill_ask.c - what a script's commands ask of the stack under test
 *
 * Scripts run `ip`, `tc`, `nstat` and `grep` in their namespace, and mean the
 * stack that they test. So it listens there under an abstract name, which only
 * that namespace sees. A request is words with newlines between, ended by a
 * shutdown; the answer a sign and text: '+' it was for us and is done, '-' it
 * was not. bench/packetdrill-tool.c asks in the name of `ip` and `tc`;
 * packetdrill_proc.c for whoever opens a file of /proc/net.
 */
#include "packetdrill_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "edge/procnet.h"
#include "packetdrill.h"
#include "transport/row.h"

#define MAX_WORDS 32
#define MAX_REQUEST 2048
#define MAX_ANSWER 65536

struct answer {
	char *text;
	size_t len;
};

static struct pd_route { /* set before there is a stack */
	struct ip_addr dst, gw;
	unsigned plen;
	struct ip_metrics m;
} early[8];
static unsigned num_early;
static bool is_refusing, is_pacing;

/* --- /proc/net --- */

static struct stack *stack_of_script(void)
{
	/* requests are served under pd.lock */
	return pd.is_up ? pd.st : NULL;
}

static void stay_locked(void)
{
}

static nsec time_of_script(void)
{
	return pd.now;
}

static unsigned long no_inode(const struct sock_row *r)
{
	return 0;
}

static int append(void *arg, const char *text, size_t len)
{
	struct answer *a = arg;

	if (len >= MAX_ANSWER - a->len)
		return -ENOSPC;
	memcpy(a->text + a->len, text, len);
	a->len += len;
	return 0;
}

static bool ask_proc(char *const w[], unsigned n, struct answer *a)
{
	const struct procnet h = {
		.lock = stack_of_script,
		.unlock = stay_locked,
		.now = time_of_script,
		.inode = no_inode,
		.write = append,
		.arg = a,
	};

	return n >= 2 && procnet_has(w[1]) && procnet_print(&h, w[1]) == 0;
}

/* --- ip --- */

static bool parse_prefix(const char *s, struct ip_addr *dst, unsigned *plen)
{
	char text[64], *slash;

	log_snprintf(text, sizeof(text), "%s", s);
	slash = strchr(text, '/');
	if (slash)
		*slash = 0;
	if (ip_addr_parse(text, dst) < 0)
		return false;
	*plen = slash ? (unsigned)atoi(slash + 1) : ip_addr_is4(dst) ? 32 : 128;
	return true;
}

/* Words behind the verb: PREFIX via ADDRESS mtu [lock] N advmss N initcwnd N */
static bool parse_route(char *const w[], unsigned n, struct pd_route *r)
{
	*r = (struct pd_route){0};
	if (!n || !parse_prefix(w[0], &r->dst, &r->plen))
		return false;
	memset(&r->gw, 0, sizeof(r->gw));
	if (ip_addr_is4(&r->dst))
		ip_addr_parse("0.0.0.0", &r->gw);
	for (unsigned i = 1; i + 1 < n; i++) {
		if (strcmp(w[i], "via") == 0) {
			if (ip_addr_parse(w[++i], &r->gw) < 0)
				return false;
		} else if (strcmp(w[i], "mtu") == 0) {
			r->m.mtu_lock = strcmp(w[i + 1], "lock") == 0;
			if (r->m.mtu_lock && i + 2 < n)
				i++;
			r->m.mtu = (uint32_t)atoi(w[++i]);
		} else if (strcmp(w[i], "advmss") == 0) {
			r->m.advmss = (uint16_t)atoi(w[++i]);
		} else if (strcmp(w[i], "initcwnd") == 0) {
			r->m.initcwnd = (uint32_t)atoi(w[++i]);
		}
	}
	return true;
}

static bool set_route(const struct pd_route *r)
{
	if (pd.is_up)
		return stack_route_set(pd.st, &r->dst, r->plen, &r->gw,
				       &r->m) == 0;
	if (num_early == ARRAY_SIZE(early))
		return false;
	early[num_early++] = *r;
	return true;
}

static bool ask_ip(char *const w[], unsigned n)
{
	struct pd_route r;
	unsigned at = 1;

	while (at < n && w[at][0] == '-')
		at++;
	if (n - at < 2)
		return false;
	if (strcmp(w[at], "tcp_metrics") == 0 &&
	    strcmp(w[at + 1], "flush") == 0) {
		if (pd.is_up)
			stack_forget_cookies(pd.st);
		return true;
	}
	if (strcmp(w[at], "route") ||
	    (strcmp(w[at + 1], "add") && strcmp(w[at + 1], "change") &&
	     strcmp(w[at + 1], "replace")))
		return false;
	return parse_route(w + at + 2, n - at - 2, &r) && set_route(&r);
}

/* --- tc --- */

static void apply_qdisc(void)
{
	stack_set_refusing(pd.st, is_refusing);
	stack_sysctl_set(pd.st, "net.core.default_qdisc",
			 is_pacing ? "fq" : "pfifo_fast");
}

/* Of queueing disciplines it only matters whether they let anything out, and
 * whether they pace. */
static bool ask_tc(char *const w[], unsigned n)
{
	bool is_gone = n > 2 && strncmp(w[2], "del", 3) == 0;

	if (n < 4 || strcmp(w[1], "qdisc"))
		return false;
	is_refusing = is_pacing = false;
	for (unsigned i = 3; i < n && !is_gone; i++) {
		is_pacing |= strcmp(w[i], "fq") == 0;
		if (i + 2 < n && strcmp(w[i], "pfifo") == 0 &&
		    strcmp(w[i + 1], "limit") == 0)
			is_refusing = atoi(w[i + 2]) == 0;
	}
	if (pd.is_up)
		apply_qdisc();
	return is_pacing; /* else the namespace's device may have it, too */
}

void pd_ask_come_up(void)
{
	for (unsigned i = 0; i < num_early; i++)
		set_route(&early[i]);
	apply_qdisc();
}

/* --- requests --- */

static bool serve_words(char *const w[], unsigned n, struct answer *a)
{
	bool ok = false;

	pthread_mutex_lock(&pd.lock);
	if (n && strcmp(w[0], "proc") == 0)
		ok = ask_proc(w, n, a);
	else if (n && strcmp(w[0], "ip") == 0)
		ok = ask_ip(w, n);
	else if (n && strcmp(w[0], "tc") == 0)
		ok = ask_tc(w, n);
	else if (n == 2 && strcmp(w[0], "sysctl") == 0)
		ok = pd_knows_sysctl(w[1]);
	pthread_mutex_unlock(&pd.lock);
	return ok;
}

static void serve(int fd, char *buf)
{
	char *words[MAX_WORDS], *save = NULL, request[MAX_REQUEST];
	struct answer a = {.text = buf, .len = 1};
	size_t len = 0;
	unsigned n = 0;
	ssize_t r;

	while (len < sizeof(request) - 1 &&
	       (r = read(fd, request + len, sizeof(request) - 1 - len)) > 0)
		len += (size_t)r;
	request[len] = 0;
	for (char *w = strtok_r(request, "\n", &save); w && n < MAX_WORDS;
	     w = strtok_r(NULL, "\n", &save))
		words[n++] = w;
	buf[0] = serve_words(words, n, &a) ? '+' : '-';
	for (size_t at = 0; at < a.len; at += (size_t)r) {
		r = send(fd, buf + at, a.len - at, MSG_NOSIGNAL);
		if (r <= 0)
			break;
	}
}

static void *serve_all(void *arg)
{
	static char buf[MAX_ANSWER];
	int fd = (int)(intptr_t)arg, one;

	while ((one = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		serve(one, buf);
		close(one);
	}
	return NULL;
}

static struct sockaddr_un name(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	memcpy(sun.sun_path + 1, PD_ASK_NAME, sizeof(PD_ASK_NAME) - 1);
	return sun;
}

#define NAME_LEN (offsetof(struct sockaddr_un, sun_path) + sizeof(PD_ASK_NAME))

void pd_ask_init(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sun = name();
	pthread_attr_t attr;
	pthread_t t;

	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, NAME_LEN) ||
	    listen(fd, 8)) {
		perror("tcpshim-packetdrill: ip, tc and /proc are the "
		       "kernel's");
		if (fd >= 0)
			close(fd);
		return;
	}
	/* memory is locked, and the caller may have real-time priority */
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	if (pthread_create(&t, &attr, serve_all, (void *)(intptr_t)fd))
		close(fd);
	pthread_attr_destroy(&attr);
}

int pd_ask_open(const char *what)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sun = name();
	char sign;

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, NAME_LEN) == 0 &&
	    send(fd, what, strlen(what), MSG_NOSIGNAL) ==
		    (ssize_t)strlen(what) &&
	    shutdown(fd, SHUT_WR) == 0 && read(fd, &sign, 1) == 1 &&
	    sign == '+')
		return fd;
	close(fd);
	return -1;
}
