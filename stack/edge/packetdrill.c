/* SPDX-License-Identifier: MIT
 *
 * packetdrill.c - the core under packetdrill's --so_filename
 *
 * packetdrill (Google's script-driven TCP tester) can load a stack from a
 * shared object: it gives calls and packets, takes packets, and leaves time to
 * the object. Here time is virtual: nothing happens unless somebody asks for
 * the time, sleeps or waits for a packet, and then timers fire at exactly
 * their deadlines. A script of 1,000 s runs in a moment and always the same.
 *
 * Threads: packetdrill runs a call that may block on a second thread and looks
 * for 'S' in /proc, so such a call really sleeps (on cond). Whoever moves time
 * wakes it after every step in which something happened, and waits until it
 * has gone back to sleep, or has returned and asked for the time: the clock
 * stands still in between, or the call would seem to end late.
 *
 * Its code blocks ask TCP_INFO of the fd through libc, so the object is also
 * given to LD_PRELOAD: getsockopt() of our numbers is answered here. Numbers
 * are real (copies of one AF_UNIX socket), so none collides.
 *
 * --so_flags: "local=ADDR[,mtu=N]".
 */
#include "packetdrill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/csum.h"
#include "link/offload.h"
#include "packetdrill_ask.h"

void packetdrill_interface_init(const char *flags,
				struct packetdrill_interface *ifc);

#define MAX_WAIT (3600 * SEC) /* a packet that never comes */

struct out { /* a packet that has left */
	struct list node;
	nsec at;
	uint32_t len;
	uint8_t data[];
};

struct pd pd = {.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER};

int pd_ret(int r)
{
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

/* --- the crank --- */

static void queue_out(const uint8_t *hdr, uint32_t hdr_len,
		      const struct iovec *v, unsigned n)
{
	uint32_t len = hdr_len;
	struct out *o;

	for (unsigned i = 0; i < n; i++)
		len += (uint32_t)v[i].iov_len;
	o = malloc(sizeof(*o) + len);
	if (!o)
		abort();
	o->at = pd.now;
	o->len = hdr_len;
	memcpy(o->data, hdr, hdr_len);
	for (unsigned i = 0; i < n; i++) {
		memcpy(o->data + o->len, v[i].iov_base, v[i].iov_len);
		o->len += (uint32_t)v[i].iov_len;
	}
	list_push(&pd.outq, &o->node);
}

/* A TUN without offloads: each segment is a packet, as scripts expect it. */
static void cut(const struct txv *t)
{
	struct offload_view w = {
		.hdr = t->f.data,
		.l4_off = t->f.l4_off,
		.hdr_len = t->f.hdr_len,
		.gso_size = t->f.gso_size,
		.gso_segs = t->f.gso_segs,
		.gso = t->f.gso,
		.csum = t->f.csum,
		.flags = t->f.flags,
		.v = t->v + 1,
		.num_v = t->num_v - 1u,
		.payload_len = t->f.len - t->f.hdr_len,
	};
	uint8_t hdr[PKT_ROOM];
	struct iovec v[ARRAY_SIZE(t->v) + 1];

	for (unsigned i = 0; i < w.gso_segs; i++) {
		unsigned n = offload_segment(&w, i, hdr, v, ARRAY_SIZE(v));

		queue_out(hdr, w.hdr_len, v, n);
	}
}

static void collect(void)
{
	struct txv t;
	int res = 0;

	while (stack_tx(pd.st, &t, 1, pd.now) == 1) {
		if (t.f.gso)
			cut(&t);
		else
			queue_out(t.v[0].iov_base, (uint32_t)t.v[0].iov_len,
				  t.v + 1, t.num_v - 1u);
		stack_tx_done(pd.st, &t, &res, 1, pd.now);
	}
}

/* Lets every sleeping call look whether it can go on. Caller holds the lock. */
static void let_sleepers_look(void)
{
	if (!pd.num_blocked)
		return;
	pd.num_to_look = pd.num_blocked;
	pd.epoch++;
	pthread_cond_broadcast(&pd.cond);
	while (pd.num_to_look || pd.is_held)
		pthread_cond_wait(&pd.cond, &pd.lock);
}

void pd_turn(void)
{
	struct ready r[16];
	unsigned n;

	while (stack_tick(pd.st, 64, pd.now) == 64)
		;
	collect();
	do {
		n = stack_ready(pd.st, r, ARRAY_SIZE(r));
		for (unsigned i = 0; i < n; i++) {
			pd.fds[r[i].slot].in_seq = r[i].in_seq;
			pd.fds[r[i].slot].out_seq = r[i].out_seq;
		}
	} while (n == ARRAY_SIZE(r));
}

/* Moves the clock to @to, firing what is due on the way at its own time; stops
 * early when a packet has come out and @stop is set. */
static void advance(nsec to, bool stop)
{
	while (pd.is_up) {
		nsec next = stack_next_at(pd.st);

		if (next > to)
			break;
		pd.now = MAX(pd.now, next);
		pd_turn();
		let_sleepers_look();
		if (stop && !list_empty(&pd.outq))
			return;
	}
	pd.now = MAX(pd.now, to);
}

void pd_enter(void)
{
	pthread_mutex_lock(&pd.lock);
	pd.now += USEC;
}

int pd_leave(int r)
{
	if (pd.is_up) {
		pd_turn();
		let_sleepers_look();
	}
	pthread_mutex_unlock(&pd.lock);
	return pd_ret(r);
}

/* This thread was woken, but is not through with its call. */
static void let_clock_go(void)
{
	if (!pd.is_held || !pthread_equal(pd.held_for, pthread_self()))
		return;
	pd.is_held = false;
	pthread_cond_broadcast(&pd.cond);
}

/* Sleeps until something happened; the caller then tries again. */
void pd_sleep_a_turn(void)
{
	unsigned seen = pd.epoch;

	pd_turn();
	let_clock_go();
	pd.num_blocked++;
	while (pd.epoch == seen)
		pthread_cond_wait(&pd.cond, &pd.lock);
	pd.num_blocked--;
}

void pd_looked(bool is_done)
{
	if (is_done) {
		pd.has_left = true;
		pd.is_held = true;
		pd.held_for = pthread_self();
	}
	pd.num_to_look--;
	pthread_cond_broadcast(&pd.cond);
}

/* --- coming up --- */

#define CC_SYSCTL "net.ipv4.tcp_congestion_control"

static bool proc_value(const char *dotted, char *val, size_t size)
{
	const char *dir = getenv("TCPSHIM_SYSCTL_DIR");
	char path[128] = "/proc/sys/";
	FILE *f = NULL;
	bool ok;

	/* what this kernel doesn't take stands there, under its dotted name */
	if (dir) {
		char file[256];

		log_snprintf(file, sizeof(file), "%s/%s", dir, dotted);
		f = fopen(file, "re");
	}
	for (size_t i = 0, n = strlen(path); dotted[i]; i++) {
		path[n + i] = dotted[i] == '.' ? '/' : dotted[i];
		path[n + i + 1] = 0;
	}
	if (!f)
		f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(val, (int)size, f);
	fclose(f);
	if (ok)
		val[strcspn(val, "\n")] = 0;
	return ok;
}

/* The machine's own choice of congestion control is no wish of the script's;
 * where it may not choose CUBIC, what it got is ours. */
static void read_sysctl(const char *dotted)
{
	char val[128];

	if (!proc_value(dotted, val, sizeof(val)))
		return;
	if (strcmp(dotted, CC_SYSCTL) == 0 && strcmp(val, pd.born_cc) == 0)
		return;
	if (strcmp(dotted, "net.core.default_qdisc") == 0)
		return; /* the device's is tc's: packetdrill_ask.c */
	stack_sysctl_set(pd.st, dotted, val);
}

static const char *const sysctl_names[] = {
#define SYSCTL(id, name, def, lo, hi, text) name,
#include "sysctl.def"
#undef SYSCTL
	"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
	"net.ipv4.ip_local_port_range", "net.ipv4.tcp_fastopen_key"};

bool pd_knows_sysctl(const char *dotted)
{
	for (size_t i = 0; i < ARRAY_SIZE(sysctl_names); i++)
		if (strcmp(sysctl_names[i], dotted) == 0)
			return true;
	return false;
}

/* The script's own settings are in its namespace; it changes them between its
 * connections. */
void pd_read_sysctls(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sysctl_names); i++)
		read_sysctl(sysctl_names[i]);
}

int pd_come_up(void)
{
	static const uint8_t seed[32] = {1};
	struct stack_cfg cfg = {.link = {.mtu = pd.mtu,
					 .can_tso4 = true,
					 .can_tso6 = true,
					 .can_csum = true},
				.log = getenv("TCPSHIM_LOG") ? LOG_DEBUG
							     : LOG_OFF};
	const char *any[2] = {"0.0.0.0", "::"};

	cfg.addrs[0].addr = pd.local;
	cfg.addrs[0].plen = ip_addr_is4(&pd.local) ? 16 : 48;
	cfg.num_addrs = 1;
	if (ip_addr_is4(&pd.local)) {
		/* for the scripts that mix families */
		ip_addr_parse("fd3d:fa7b:d17d::1", &cfg.addrs[1].addr);
		cfg.addrs[1].plen = 48;
		cfg.num_addrs = 2;
	}
	for (int i = 0; i < 2; i++) {
		ip_addr_parse(any[i], &cfg.routes[i].dst);
		cfg.routes[i].gw = cfg.routes[i].dst;
	}
	cfg.num_routes = 2;
	pd.arena = arena_new_malloc((size_t)256 << 20);
	pd.st = pd.arena ? stack_new(pd.arena, &cfg, seed, pd.now) : NULL;
	if (!pd.st)
		return -ENOMEM;
	pd.unix_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pd.is_up = true;
	pd_ask_come_up();
	return 0;
}

int pd_give(sockid s)
{
	int fd = dup(pd.unix_fd);

	if (fd < 0 || fd >= PD_MAX_FD)
		return -EMFILE;
	pd.fds[fd].s = s;
	pd.fds[fd].nonblock = false;
	return fd;
}

sockid pd_sock(int fd)
{
	return fd >= 0 && fd < PD_MAX_FD ? pd.fds[fd].s : 0;
}

/* --- packets and time --- */

static int on_netdev_send(void *u, const void *buf, size_t count)
{
	struct frame *f;

	pd_enter();
	if (!pd.is_up || stack_rx_alloc(pd.st, (uint32_t)count, &f, 1) != 1)
		return pd_leave(-ENOBUFS);
	memcpy(f->data, buf, count);
	f->len = (uint32_t)count;
	f->at = pd.now;
	f->csum = CSUM_NONE;
	stack_rx(pd.st, &f, 1, true, pd.now);
	return pd_leave(0);
}

static void finish_csums(struct out *o)
{
	bool is4 = o->data[0] >> 4 == 4;
	uint32_t hl = is4 ? (o->data[0] & 15u) * 4 : 40;
	uint8_t proto = o->data[is4 ? 9 : 6];
	struct ip_addr src =
		is4 ? ip_addr_v4(o->data + 12) : ip_addr_v6(o->data + 8);
	struct ip_addr dst =
		is4 ? ip_addr_v4(o->data + 16) : ip_addr_v6(o->data + 24);
	uint16_t sum, zero = 0;
	uint32_t at = hl + (proto == IPPROTO_TCP ? 16 : 6);

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return;
	memcpy(o->data + at, &zero, 2);
	sum = csum_fold(csum_add(csum_pseudo(&src, &dst, proto, o->len - hl),
				 o->data + hl, o->len - hl));
	memcpy(o->data + at, &sum, 2);
}

static int on_netdev_receive(void *u, void *buf, size_t *count,
			     long long *time_usecs)
{
	struct out *o;

	pthread_mutex_lock(&pd.lock);
	if (list_empty(&pd.outq))
		advance(pd.now + MAX_WAIT, true);
	o = list_first(&pd.outq, struct out, node);
	if (!o) {
		*count = 0;
		pthread_mutex_unlock(&pd.lock);
		return 0;
	}
	list_remove(&o->node);
	finish_csums(o);
	*count = MIN(*count, o->len);
	memcpy(buf, o->data, *count);
	*time_usecs = PD_EPOCH_SECS * 1000000ll + o->at / USEC;
	free(o);
	pthread_mutex_unlock(&pd.lock);
	return 0;
}

/* packetdrill's other thread has returned from its call, but what it does with
 * the result takes real time. */
static void let_it_finish(void)
{
	bool has_left = pd.has_left;

	pd.has_left = false;
	if (!has_left)
		return;
	pthread_mutex_unlock(&pd.lock);
	usleep(2000);
	pthread_mutex_lock(&pd.lock);
}

static int on_usleep(void *u, useconds_t usec)
{
	pthread_mutex_lock(&pd.lock);
	let_it_finish();
	advance(pd.now + usec * USEC, false);
	let_it_finish();
	pthread_mutex_unlock(&pd.lock);
	return 0;
}

static int on_gettimeofday(void *u, struct timeval *tv, struct timezone *tz)
{
	pthread_mutex_lock(&pd.lock);
	if (pd.is_held)
		let_clock_go();
	else
		advance(pd.now + USEC, false);
	tv->tv_sec = PD_EPOCH_SECS + pd.now / SEC;
	tv->tv_usec = pd.now % SEC / USEC;
	pthread_mutex_unlock(&pd.lock);
	return 0;
}

/* What bench/counters compares with the kernel's. */
static void write_stats(const char *path)
{
	const struct stats *s = stack_stats(pd.st);
	FILE *f = path ? fopen(path, "we") : NULL;

	for (unsigned i = 0; f && i < STAT_NUM; i++)
		fprintf(f, "%s %llu\n", stat_name((enum stat_id)i),
			(unsigned long long)s->v[i]);
	if (f)
		fclose(f);
}

static void on_free(void *u)
{
	pthread_mutex_lock(&pd.lock);
	if (pd.is_up) {
		write_stats(getenv("TCPSHIM_STATS"));
		stack_free(pd.st);
		arena_destroy_malloc(pd.arena);
		pd.is_up = false;
	}
	pthread_mutex_unlock(&pd.lock);
}

static void parse_flags(const char *flags)
{
	char text[256], *save = NULL;

	ip_addr_parse("192.168.0.1", &pd.local);
	pd.mtu = 1500;
	snprintf(text, sizeof(text), "%s", flags ? flags : "");
	for (char *w = strtok_r(text, ",", &save); w;
	     w = strtok_r(NULL, ",", &save)) {
		if (strncmp(w, "local=", 6) == 0)
			ip_addr_parse(w + 6, &pd.local);
		else if (strncmp(w, "mtu=", 4) == 0)
			pd.mtu = (uint32_t)atoi(w + 4);
		else
			fprintf(stderr, "tcpshim-packetdrill: flag? %s\n", w);
	}
}

__attribute__((visibility("default"))) void packetdrill_interface_init(
	const char *flags, struct packetdrill_interface *ifc)
{
	parse_flags(flags);
	proc_value(CC_SYSCTL, pd.born_cc, sizeof(pd.born_cc));
	list_init(&pd.outq);
	pd.now = SEC;
	*ifc = (struct packetdrill_interface){
		.free = on_free,
		.netdev_send = on_netdev_send,
		.netdev_receive = on_netdev_receive,
		.usleep = on_usleep,
		.gettimeofday = on_gettimeofday,
	};
	pd_calls_fill(ifc);
	pd_io_fill(ifc);
	pd_ask_init();
}
