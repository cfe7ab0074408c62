/* SPDX-License-Identifier: MIT
 *
 * exec.c - runs programs: the two ends, threads, and waiting for quiet
 *
 * One process runs our end, another one the peer's, with the same operations.
 * They are joined by an AF_UNIX socket for lines to execute and by a pair of
 * UDP sockets for the datagram that says that all before it has arrived.
 *
 * No operation blocks for longer than GUARD_MS: a signal ends it with EINTR,
 * and that is what the transcript says then.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define GUARD_MS 150
#define PEER_DELAY_MS 4 /* of a line with p+ */
#define PATIENCE_MS 8000
#define HIGH_FD 200 /* own fds, out of the way of the program's numbers */
#define FIRST_PORT 10000
#define NUM_PORTS 20000
#define PORTS_EACH 4
#define MAX_LABELS 64

int slots[NUM_SLOTS];
int port_base = FIRST_PORT;

static int ctl = -1, marker = -1;
static __thread struct ctx *current;

static void die(const char *what)
{
	perror(what);
	fflush(stdout);
	_exit(3);
}

static int raised(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);

	if (fd < 0 || high < 0)
		die("own descriptor");
	close(fd);
	return high;
}

/* --- transcripts --- */

void out(struct ctx *c, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(c->out + c->used, MAX_OUT - c->used, fmt, ap);
	va_end(ap);
	c->used += (unsigned)n;
	if (c->used >= MAX_OUT)
		c->used = MAX_OUT - 1;
}

long out_ret(struct ctx *c, long ret)
{
	if (ret >= 0)
		out(c, " = %ld", ret);
	else
		out(c, " = -1 %s", strerrorname_np(errno));
	if (c->got_pipe)
		out(c, " SIGPIPE");
	c->got_pipe = 0;
	return ret;
}

void out_data(struct ctx *c, const void *buf, long ret)
{
	const uint8_t *p = buf;
	uint32_t h = 2166136261u; /* FNV-1a */

	if (ret <= 0)
		return;
	for (long i = 0; i < ret; i++)
		h = (h ^ p[i]) * 16777619u;
	out(c, " data %08x", h);
}

void out_hex(struct ctx *c, const void *p, size_t len)
{
	const uint8_t *b = p;

	out(c, " ");
	for (size_t i = 0; i < len && i < 64; i++)
		out(c, "%02x", b[i]);
}

static const char *ip_name(const struct sockaddr_storage *ss, char *buf,
			   socklen_t len)
{
	const struct sockaddr_in6 *in6 = (const void *)ss;
	const struct sockaddr_in *in = (const void *)ss;

	if (ss->ss_family == AF_INET)
		inet_ntop(AF_INET, &in->sin_addr, buf, len);
	else
		inet_ntop(AF_INET6, &in6->sin6_addr, buf, len);
	for (unsigned i = 0; i < num_addr_kinds; i++)
		if (addr_kinds[i].ip && !strcmp(addr_kinds[i].ip, buf))
			return addr_kinds[i].name;
	return buf;
}

void out_addr(struct ctx *c, const struct sockaddr_storage *ss, socklen_t len,
	      socklen_t room)
{
	const struct sockaddr_in *in = (const void *)ss;
	char buf[INET6_ADDRSTRLEN];

	out(c, " len %u", len);
	if ((ss->ss_family == AF_INET && room >= sizeof(*in)) ||
	    (ss->ss_family == AF_INET6 && room >= sizeof(struct sockaddr_in6)))
		out(c, " %s:#%u", ip_name(ss, buf, sizeof(buf)),
		    ntohs(in->sin_port));
	else if (room >= 2)
		out(c, " family %u", ss->ss_family);
	if (ss->ss_family == AF_INET6 && room >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in6 = (const void *)ss;

		if (in6->sin6_flowinfo || in6->sin6_scope_id)
			out(c, " flow %x scope %s", ntohl(in6->sin6_flowinfo),
			    in6->sin6_scope_id ? "some" : "0");
	}
}

/* Numbers of ports become labels: P0, e1, e2 in order of appearance. */
static unsigned labels[MAX_LABELS], num_labels;

static void put_port(unsigned port, bool is_peers, FILE *to)
{
	unsigned key = port | (is_peers ? 0x10000u : 0), i;

	if (port < 1024) {
		fprintf(to, "%u", port);
		return;
	}
	if (port - (unsigned)port_base < PORTS_EACH) {
		fprintf(to, "P%u", port - (unsigned)port_base);
		return;
	}
	for (i = 0; i < num_labels; i++)
		if (labels[i] == key)
			break;
	if (i == num_labels && num_labels < MAX_LABELS)
		labels[num_labels++] = key;
	fprintf(to, "e%u", i + 1);
}

static void put_labelled(const char *s, FILE *to)
{
	bool is_peers = false;

	for (; *s; s++) {
		char *end;

		if (*s == ' ')
			is_peers = strstr(s, "peer") == s + 1 ||
				   strstr(s, "map_peer") == s + 1;

		if (*s != '#') {
			fputc(*s, to);
			continue;
		}
		/* the peer has a port space of its own */
		put_port((unsigned)strtoul(s + 1, &end, 10), is_peers, to);
		s = end - 1;
	}
}

/* --- arguments --- */

bool has_arg(struct ctx *c, unsigned i)
{
	return i < c->num && strcmp(c->word[i], "-") != 0;
}

long arg(struct ctx *c, unsigned i)
{
	long v = 0;

	if (i < c->num && !word_parse(c->word[i], &v))
		out(c, " (what is %s?)", c->word[i]);
	return v;
}

unsigned arg_slot(struct ctx *c, unsigned i)
{
	if (i >= c->num || c->word[i][0] != 's')
		return 0;
	return (unsigned)atoi(c->word[i] + 1) % NUM_SLOTS;
}

int arg_fd(struct ctx *c, unsigned i)
{
	return slots[arg_slot(c, i)];
}

/* KIND:PORT or KIND:PORT/LENGTH; - for none */
void arg_addr(struct ctx *c, unsigned i, struct addr *a)
{
	struct sockaddr_in6 *in6 = (void *)&a->ss;
	struct sockaddr_in *in = (void *)&a->ss;
	char *colon, *slash;
	uint16_t port;

	memset(a, 0, sizeof(*a));
	if (!has_arg(c, i) || !(colon = strchr(c->word[i], ':')))
		return;
	a->sa = (struct sockaddr *)&a->ss;
	slash = strchr(colon, '/');
	port = htons((uint16_t)atoi(colon + 1 + (colon[1] == '#')));
	for (unsigned k = 0; k < num_addr_kinds; k++) {
		const struct addr_kind *ak = &addr_kinds[k];
		size_t len = strlen(ak->name);

		if (len != (size_t)(colon - c->word[i]) ||
		    strncmp(ak->name, c->word[i], len))
			continue;
		a->ss.ss_family = (sa_family_t)ak->family;
		if (ak->family == AF_INET6)
			inet_pton(AF_INET6, ak->ip, &in6->sin6_addr);
		else if (ak->ip)
			inet_pton(AF_INET, ak->ip, &in->sin_addr);
		a->len = ak->family == AF_INET6 ? sizeof(*in6) : sizeof(*in);
	}
	in->sin_port = port; /* at the same place in both */
	if (slash)
		a->len = (socklen_t)atoi(slash + 1);
}

void fill(struct ctx *c, void *buf, size_t len)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(c->ord * 31 + i);
}

void put_slot(unsigned slot, int fd)
{
	int old = slots[slot];

	if (fd < 0)
		return;
	slots[slot] = fd;
	if (old >= 0 && old != fd)
		close(old);
}

int slot_of(int fd)
{
	for (int i = 0; i < NUM_SLOTS; i++)
		if (fd >= 0 && slots[i] == fd)
			return i;
	return -1;
}

/* --- one operation --- */

static void on_pipe(int sig)
{
	if (current)
		current->got_pipe = 1;
}

static void on_guard(int sig)
{
}

static timer_t guard_new(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID,
			      .sigev_signo = SIGALRM};
	timer_t t;

	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &ev, &t))
		die("timer_create");
	return t;
}

static void guard_set(timer_t t, long ms)
{
	struct itimerspec it = {{0, ms * 1000000}, {0, ms * 1000000}};

	timer_settime(t, 0, &it, NULL);
}

static void split(struct ctx *c)
{
	char *save = NULL;

	c->num = 0;
	for (char *w = strtok_r(c->line, " ", &save); w && c->num < MAX_WORDS;
	     w = strtok_r(NULL, " ", &save))
		c->word[c->num++] = w;
}

/* Executes @c->line; its result is in @c->out. */
static void exec_op(struct ctx *c, timer_t guard)
{
	static const struct {
		const char *name;
		void (*fn)(struct ctx *c);
	} ops[] = {
#define OP(name) {#name, op_##name},
#include "ops.def"
#undef OP
	};

	c->used = 0;
	c->out[0] = 0;
	split(c);
	current = c;
	for (unsigned i = 0; c->num && i < ARRAY_LEN(ops); i++) {
		if (strcmp(c->word[0], ops[i].name))
			continue;
		guard_set(guard, GUARD_MS);
		errno = 0;
		ops[i].fn(c);
		guard_set(guard, 0);
		current = NULL;
		return;
	}
	out(c, " (no such operation)");
}

/* --- the peer: executes lines that it is told --- */

static void close_slots(void)
{
	struct linger l = {.l_onoff = 1};

	for (unsigned i = 0; i < NUM_SLOTS; i++) {
		if (slots[i] < 0)
			continue;
		setsockopt(slots[i], SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		close(slots[i]);
		slots[i] = -1;
	}
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len))
		return 0;
	return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

static int marker_new(const char *ip)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	int fd = raised(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	inet_pton(AF_INET, ip, &in.sin_addr);
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)))
		die("bind of the marker");
	return fd;
}

static void peer_marker(void)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[64];
	ssize_t n = recvfrom(marker, buf, sizeof(buf), MSG_DONTWAIT,
			     (struct sockaddr *)&from, &len);

	if (n > 0)
		sendto(marker, buf, (size_t)n, 0, (struct sockaddr *)&from,
		       len);
}

static void peer_line(struct ctx *c, char *line, timer_t guard)
{
	if (!strcmp(line, "reset")) {
		close_slots();
		c->ord = 100;
	} else if (!strcmp(line, "hello")) {
		out(c, "%u", port_of(marker));
	} else if (!strncmp(line, "port ", 5)) {
		out(c, "%u", port_of(slots[atoi(line + 6) % NUM_SLOTS]));
	} else {
		if (!strncmp(line, "+ ", 2)) {
			poll(NULL, 0, PEER_DELAY_MS);
			line += 2;
		}
		c->ord++;
		snprintf(c->line, sizeof(c->line), "%s", line);
		exec_op(c, guard);
	}
	if (send(ctl, c->out, c->used, MSG_NOSIGNAL) < 0)
		die("answer");
}

static void on_signals(void)
{
	struct sigaction sa = {.sa_handler = on_guard};

	sigaction(SIGALRM, &sa, NULL);
	sa.sa_handler = on_pipe;
	sigaction(SIGPIPE, &sa, NULL);
	for (unsigned i = 0; i < NUM_SLOTS; i++)
		slots[i] = -1;
}

static int unix_socket(const char *path, struct sockaddr_un *un)
{
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "%s", path);
	return raised(socket(AF_UNIX, SOCK_SEQPACKET, 0));
}

static void peer_serve(timer_t guard)
{
	static struct ctx c;
	char line[MAX_LINE];

	for (;;) {
		struct pollfd p[2] = {{.fd = ctl, .events = POLLIN},
				      {.fd = marker, .events = POLLIN}};

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents)
			peer_marker();
		if (p[0].revents) {
			ssize_t n = recv(ctl, line, sizeof(line) - 1, 0);

			if (n <= 0)
				return;
			line[n] = 0;
			c.used = 0;
			peer_line(&c, line, guard);
		}
	}
}

int exec_peer(const char *path)
{
	struct sockaddr_un un = {0};
	int lfd;
	timer_t guard;

	on_signals();
	guard = guard_new();
	lfd = unix_socket(path, &un);
	if (bind(lfd, (struct sockaddr *)&un, sizeof(un)) || listen(lfd, 5))
		die(path);
	marker = marker_new("10.77.0.1");
	puts("ready");
	fflush(stdout);
	for (;;) {
		ctl = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
		if (ctl < 0)
			continue;
		ctl = raised(ctl);
		peer_serve(guard);
		close(ctl);
		close_slots();
	}
}

/* --- our end --- */

struct line {
	char text[MAX_LINE]; /* as in the program */
	struct ctx c;
	enum { AT_US, AT_PEER, AT_PEER_LATER } where;
	unsigned thread; /* 0: the main one */
	bool together;
	const char *op; /* behind the prefix */
};

static struct line prog[MAX_OPS];
static unsigned num_lines;
static int later = -1; /* a line that the peer still works on */

static ssize_t ctl_read(char *buf, size_t len)
{
	ssize_t n;

	do
		n = recv(ctl, buf, len - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		die("peer");
	buf[n] = 0;
	return n;
}

static void peer_collect(void)
{
	struct ctx *c = later >= 0 ? &prog[later].c : NULL;

	if (!c)
		return;
	c->used = (unsigned)ctl_read(c->out, MAX_OUT);
	later = -1;
}

static void peer_tell(const char *line)
{
	peer_collect();
	if (send(ctl, line, strlen(line), MSG_NOSIGNAL) < 0)
		die("peer");
}

static long peer_ask(const char *line)
{
	char buf[64];

	peer_tell(line);
	ctl_read(buf, sizeof(buf));
	return atol(buf);
}

/* Until what was under way has arrived, and what it caused as well. */
static void quiet(void)
{
	static uint32_t seq;

	peer_collect();
	for (int i = 0; i < 2; i++) {
		struct pollfd p = {.fd = marker, .events = POLLIN};
		uint32_t got = 0;

		seq++;
		if (send(marker, &seq, sizeof(seq), 0) < 0)
			die("marker");
		while (got != seq) {
			int r = poll(&p, 1, PATIENCE_MS);

			if (r == 0) {
				fputs("the marker is lost\n", stderr);
				fflush(stdout);
				_exit(4);
			}
			if (r > 0 && recv(marker, &got, sizeof(got), 0) < 0)
				die("marker back");
		}
	}
}

/* Ports by name become numbers. */
static void substitute(const char *from, char *to, size_t room)
{
	size_t used = 0;

	while (*from && used + 12 < room) {
		unsigned port, slot;
		char cmd[32];

		if (from[0] == '@' && (from[1] == 's' || from[1] == 'q')) {
			bool is_ours = from[1] == 's';

			slot = (unsigned)strtoul(from + 2, (char **)&from, 10);
			snprintf(cmd, sizeof(cmd), "port s%u", slot);
			port = is_ours ? port_of(slots[slot % NUM_SLOTS])
				       : (unsigned)peer_ask(cmd);
		} else if (from[0] == ':' && from[1] == 'P') {
			to[used++] = ':';
			port = (unsigned)(port_base + (from[2] & 3));
			from += 3;
		} else {
			to[used++] = *from++;
			continue;
		}
		used += (size_t)snprintf(to + used, room - used, "#%u", port);
	}
	to[used] = 0;
}

static void parse_line(struct line *l)
{
	const char *s = l->text;

	l->where = AT_US;
	l->thread = 0;
	l->together = false;
	if (s[0] == 'p' && (s[1] == ' ' || s[1] == '+')) {
		l->where = s[1] == '+' ? AT_PEER_LATER : AT_PEER;
		s += s[1] == '+' ? 3 : 2;
	} else if (s[0] == 't' && (s[1] == '1' || s[1] == '2')) {
		l->thread = (unsigned)(s[1] - '0');
		l->together = s[2] == '~';
		s += l->together ? 4 : 3;
	}
	l->op = s;
}

/* --- threads --- */

static struct worker {
	pthread_t tid;
	pthread_mutex_t m;
	pthread_cond_t cv;
	unsigned first, end; /* lines to do, of this thread */
	bool has_work, is_over, is_there;
} workers[3];

static void *work(void *arg)
{
	struct worker *w = arg;
	timer_t guard = guard_new();

	pthread_mutex_lock(&w->m);
	for (;;) {
		while (!w->has_work && !w->is_over)
			pthread_cond_wait(&w->cv, &w->m);
		if (w->is_over)
			break;
		pthread_mutex_unlock(&w->m);
		for (unsigned i = w->first; i < w->end; i++)
			if (prog[i].thread == (unsigned)(w - workers))
				exec_op(&prog[i].c, guard);
		pthread_mutex_lock(&w->m);
		w->has_work = false;
		pthread_cond_broadcast(&w->cv);
	}
	pthread_mutex_unlock(&w->m);
	timer_delete(guard);
	return NULL;
}

static void worker_start(unsigned t, unsigned first, unsigned end)
{
	struct worker *w = &workers[t];

	if (!w->is_there) {
		*w = (struct worker){.is_there = true};
		pthread_mutex_init(&w->m, NULL);
		pthread_cond_init(&w->cv, NULL);
		if (pthread_create(&w->tid, NULL, work, w))
			die("pthread_create");
	}
	pthread_mutex_lock(&w->m);
	w->first = first;
	w->end = end;
	w->has_work = true;
	pthread_cond_broadcast(&w->cv);
	pthread_mutex_unlock(&w->m);
}

static void worker_wait(unsigned t)
{
	struct worker *w = &workers[t];

	if (!w->is_there)
		return;
	pthread_mutex_lock(&w->m);
	while (w->has_work)
		pthread_cond_wait(&w->cv, &w->m);
	pthread_mutex_unlock(&w->m);
}

static void workers_end(void)
{
	for (unsigned t = 1; t < ARRAY_LEN(workers); t++) {
		struct worker *w = &workers[t];

		if (!w->is_there)
			continue;
		pthread_mutex_lock(&w->m);
		w->is_over = true;
		pthread_cond_broadcast(&w->cv);
		pthread_mutex_unlock(&w->m);
		pthread_join(w->tid, NULL);
		w->is_there = false;
	}
}

/* --- a program --- */

/* Runs line @i, and its neighbours that run at the same time. */
static unsigned run_line(unsigned i, timer_t guard)
{
	struct line *l = &prog[i];
	unsigned end = i + 1;

	while (l->together && end < num_lines && prog[end].together)
		end++;
	for (unsigned k = i; k < end; k++) {
		prog[k].c.ord = k;
		prog[k].c.used = 0;
		substitute(prog[k].op, prog[k].c.line, MAX_LINE);
	}
	if (l->where != AT_US) {
		char line[MAX_LINE + 8];

		snprintf(line, sizeof(line), "%s%s",
			 l->where == AT_PEER_LATER ? "+ " : "", l->c.line);
		peer_tell(line);
		later = (int)i;
		return end;
	}
	if (!l->thread) {
		exec_op(&l->c, guard);
		return end;
	}
	for (unsigned t = 1; t < ARRAY_LEN(workers); t++)
		if (l->together || t == l->thread)
			worker_start(t, i, end);
	for (unsigned t = 1; t < ARRAY_LEN(workers); t++)
		worker_wait(t);
	return end;
}

static void run_program(timer_t guard)
{
	unsigned shown = 0;

	num_labels = 0;
	peer_ask("reset");
	for (unsigned i = 0; i < num_lines;) {
		i = run_line(i, guard);
		if (prog[i - 1].where != AT_PEER_LATER)
			quiet();
		for (; shown < i && (later < 0 || shown < (unsigned)later);
		     shown++) {
			printf("%u %s =>", shown, prog[shown].text);
			put_labelled(prog[shown].c.out, stdout);
			putchar('\n');
		}
		fflush(stdout);
	}
	peer_collect();
	for (; shown < num_lines; shown++) {
		printf("%u %s =>", shown, prog[shown].text);
		put_labelled(prog[shown].c.out, stdout);
		putchar('\n');
	}
	workers_end();
	close_slots();
	peer_ask("reset");
	quiet();
	port_base += PORTS_EACH;
	if (port_base >= FIRST_PORT + NUM_PORTS)
		port_base = FIRST_PORT;
}

static void connect_peer(const char *path)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_un un = {0};

	ctl = unix_socket(path, &un);
	if (connect(ctl, (struct sockaddr *)&un, sizeof(un)))
		die(path);
	marker = marker_new("10.77.0.2");
	inet_pton(AF_INET, "10.77.0.1", &in.sin_addr);
	in.sin_port = htons((uint16_t)peer_ask("hello"));
	if (connect(marker, (struct sockaddr *)&in, sizeof(in)))
		die("connect of the marker");
}

int exec_programs(const char *peer_path)
{
	char line[MAX_LINE];
	timer_t guard;

	on_signals();
	guard = guard_new();
	connect_peer(peer_path);
	quiet();
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, ".")) {
			run_program(guard);
			puts(".");
			fflush(stdout);
			num_lines = 0;
		} else if (line[0] && line[0] != '#' && num_lines < MAX_OPS) {
			struct line *l = &prog[num_lines++];

			snprintf(l->text, sizeof(l->text), "%s", line);
			parse_line(l);
		}
	}
	return 0;
}
