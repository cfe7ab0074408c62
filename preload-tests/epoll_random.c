/* SPDX-License-Identifier: MIT
 *
 * epoll_random.c - a seeded walk over everything that changes what epoll says
 *
 * The kernel is the model: it makes the same walk, and no event may be lost or
 * come twice. After each step that makes packets the sockets are waited for
 * (poll takes no events), so that what epoll_wait() says is certain.
 *
 * Set 0 has sockets only: the order of its events counts, and few are taken at
 * a time. Set 1 has pipes too, set 2 has the other two sets in it; there, only
 * what is ready counts.
 */
#include "t.h"

#define NUM_CONNS 5
#define NUM_COPIES 3
#define NUM_PIPES 2
#define NUM_FDS (NUM_CONNS + NUM_COPIES + NUM_PIPES + 1)
#define NUM_SETS 3
#define NUM_STEPS 500
#define NUM_SEEDS 6

static uint32_t rng;
static const struct t_fam *fam;

static struct {
	int fd; /* or -1 */
	int of; /* a copy: of which connection, or -1 */
} v[NUM_FDS];

static struct {
	bool is_ended, is_shut; /* by the peer; by us */
} conns[NUM_CONNS];

static int sets[NUM_SETS], write_ends[NUM_PIPES];

static unsigned pick(unsigned n)
{
	rng = rng * 1664525 + 1013904223;
	return (rng >> 8) % n;
}

static uint32_t some_events(bool is_exclusive_fine)
{
	static const uint32_t bits[] = {EPOLLIN,     EPOLLOUT,	 EPOLLRDHUP,
					EPOLLPRI,    EPOLLET,	 EPOLLONESHOT,
					EPOLLRDNORM, EPOLLWRNORM};
	uint32_t e = 0;

	if (is_exclusive_fine && pick(16) == 0)
		return EPOLLIN | EPOLLEXCLUSIVE | (pick(2) ? EPOLLET : 0u);
	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++)
		if (pick(i < 2 ? 2 : 4) == 0)
			e |= bits[i];
	return e;
}

static int any_fd(void)
{
	return (int)pick(NUM_FDS);
}

static bool is_pipe(int i)
{
	return i >= NUM_CONNS + NUM_COPIES && i < NUM_FDS - 1;
}

static void do_ctl(void)
{
	static const int ops[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD,
				  EPOLL_CTL_MOD, EPOLL_CTL_DEL};
	int i = any_fd(), op = ops[pick(5)], set = (int)pick(NUM_SETS);
	struct epoll_event e = {.events = some_events(op == EPOLL_CTL_ADD)};
	long r;

	if (set == 0 && is_pipe(i))
		return;
	e.data.u64 = (uint64_t)(i * 1000 + (int)pick(1000));
	errno = 0;
	r = epoll_ctl(sets[set], op, v[i].fd, &e);
	say("set %d op %d fd %d events %#x: %ld %s", set, op, i, e.events, r,
	    t_err(errno));
}

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	if (x->data.u64 != y->data.u64)
		return x->data.u64 < y->data.u64 ? -1 : 1;
	return x->events < y->events ? -1 : x->events > y->events;
}

static void do_wait(void)
{
	struct epoll_event e[64];
	int set = (int)pick(NUM_SETS);
	int most = set == 0 ? (int)pick(4) + 1 : 64, n;

	n = epoll_wait(sets[set], e, most, 0);
	if (set)
		qsort(e, (size_t)n, sizeof(*e), by_data);
	say("wait for set %d, %d at most: %d", set, most, n);
	for (int i = 0; i < n; i++)
		say("  %llu: %s", (unsigned long long)e[i].data.u64,
		    t_mask(e[i].events));
}

static void do_send(void)
{
	int i = (int)pick(NUM_CONNS), have = 0, n = (int)pick(30) + 1;

	if (v[i].fd < 0 || conns[i].is_ended)
		return;
	ioctl(v[i].fd, FIONREAD, &have);
	peer_quiet("send %d %d", i, n);
	t_wait_bytes(v[i].fd, have + n);
	say("%d bytes for %d", n, i);
}

static void do_recv(void)
{
	int i = (int)pick(NUM_CONNS);
	char buf[64];
	ssize_t n;

	if (v[i].fd < 0)
		return;
	errno = 0;
	n = recv(v[i].fd, buf, pick(2) ? 7 : sizeof(buf), MSG_DONTWAIT);
	say("recv from %d: %zd %s", i, n, t_err(errno));
}

static void do_reply(void)
{
	int i = (int)pick(NUM_CONNS);

	if (v[i].fd < 0 || conns[i].is_shut)
		return;
	MUST(send(v[i].fd, "\0\1\2", 3, MSG_NOSIGNAL));
}

static void do_copy(void)
{
	int i = NUM_CONNS + (int)pick(NUM_COPIES), of = (int)pick(NUM_CONNS);

	if (v[i].fd >= 0) {
		close(v[i].fd);
		v[i].fd = -1;
		say("copy %d of %d closed", i, v[i].of);
	} else if (v[of].fd >= 0) {
		v[i].fd = (int)MUST(dup(v[of].fd));
		v[i].of = of;
		say("copy %d of %d", i, of);
	}
}

static void connect_one(int i)
{
	v[i].fd = t_connected(fam, i);
	conns[i].is_ended = conns[i].is_shut = false;
}

/* Closed but for its copies, which go with it: the peer's end is used anew. */
static void do_reopen(void)
{
	int i = (int)pick(NUM_CONNS);

	if (v[i].fd < 0)
		return;
	close(v[i].fd);
	v[i].fd = -1;
	do_wait();
	for (int k = NUM_CONNS; k < NUM_CONNS + NUM_COPIES; k++)
		if (v[k].fd >= 0 && v[k].of == i) {
			close(v[k].fd);
			v[k].fd = -1;
		}
	peer_quiet("close %d", i);
	connect_one(i);
	say("%d opened anew", i);
}

/* The acknowledgment of our FIN is an event of its own. */
static void wait_acked(int fd)
{
	int64_t until = t_now_ms() + T_PATIENCE;
	struct tcp_info info;
	socklen_t len;

	do {
		poll(NULL, 0, 1);
		len = sizeof(info);
		MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	} while ((info.tcpi_state == TCP_FIN_WAIT1 ||
		  info.tcpi_state == TCP_CLOSING ||
		  info.tcpi_state == TCP_LAST_ACK) &&
		 t_now_ms() < until);
}

static void do_end(void)
{
	int i = (int)pick(NUM_CONNS), how = (int)pick(4);

	if (how == 0 && !conns[i].is_ended && v[i].fd >= 0) {
		peer_quiet("shut %d 1", i);
		t_settle(v[i].fd, POLLRDHUP);
		conns[i].is_ended = true;
		say("%d ended", i);
	} else if (how == 1 && !conns[i].is_shut && v[i].fd >= 0) {
		MUST(shutdown(v[i].fd, SHUT_WR));
		wait_acked(v[i].fd);
		conns[i].is_shut = true;
		say("%d shut", i);
	} else if (how == 2 && !conns[i].is_ended && v[i].fd >= 0) {
		peer_quiet("rst %d", i);
		t_settle(v[i].fd, POLLERR);
		conns[i].is_ended = conns[i].is_shut = true;
		say("%d reset", i);
	}
}

static void do_pipe(void)
{
	int i = (int)pick(NUM_PIPES);
	char buf[8];

	if (pick(2))
		MUST(write(write_ends[i], "x", 1));
	else
		say("pipe %d: %zd", i,
		    read(v[NUM_CONNS + NUM_COPIES + i].fd, buf, sizeof(buf)));
}

static void do_poll(void)
{
	struct pollfd p[NUM_SETS + NUM_CONNS];
	char line[128];
	size_t used = 0;

	for (int i = 0; i < NUM_SETS + NUM_CONNS; i++)
		p[i] = (struct pollfd){.fd = i < NUM_SETS ? sets[i]
							  : v[i - NUM_SETS].fd,
				       .events = POLLIN};
	MUST(poll(p, NUM_SETS + NUM_CONNS, 0));
	for (int i = 0; i < NUM_SETS + NUM_CONNS; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used,
					 " %x", (unsigned)p[i].revents);
	say("poll%s", line);
}

static void setup(void)
{
	for (int i = 0; i < NUM_FDS; i++)
		v[i].fd = v[i].of = -1;
	for (int i = 0; i < NUM_SETS; i++)
		sets[i] = (int)MUST(epoll_create1(0));
	for (int i = 0; i < NUM_CONNS; i++)
		connect_one(i);
	for (int i = 0; i < NUM_PIPES; i++) {
		int p[2];

		MUST(pipe2(p, O_NONBLOCK));
		v[NUM_CONNS + NUM_COPIES + i].fd = p[0];
		write_ends[i] = p[1];
	}
	v[NUM_FDS - 1].fd = (int)MUST(socket(fam->af, SOCK_DGRAM, 0));
	for (int i = 0; i < 2; i++) {
		struct epoll_event e = {.events = EPOLLIN};

		if (pick(2))
			e.events |= EPOLLET;
		e.data.u64 = (uint64_t)i + 100000;
		MUST(epoll_ctl(sets[2], EPOLL_CTL_ADD, sets[i], &e));
	}
}

static void teardown(void)
{
	for (int i = 0; i < NUM_FDS; i++)
		if (v[i].fd >= 0)
			close(v[i].fd);
	for (int i = 0; i < NUM_CONNS; i++)
		peer_quiet("close %d", i);
	for (int i = 0; i < NUM_PIPES; i++)
		close(write_ends[i]);
	for (int i = 0; i < NUM_SETS; i++) {
		struct epoll_event e;

		/* set 2 may hold the others, which are closed */
		say("left in set %d: %d", i, epoll_wait(sets[i], &e, 1, 0));
		close(sets[i]);
	}
}

static uint32_t number_of(const char *name, uint32_t otherwise)
{
	const char *s = getenv(name);

	return s ? (uint32_t)atoi(s) : otherwise;
}

int main(void)
{
	static void (*const steps[])(void) = {
		do_ctl,	 do_ctl,  do_ctl,  do_wait, do_wait,   do_wait,
		do_send, do_send, do_recv, do_recv, do_reply,  do_copy,
		do_end,	 do_pipe, do_poll, do_wait, do_reopen,
	};
	uint32_t first = number_of("T_SEED", 1);
	uint32_t num = number_of("T_NUM_SEEDS", NUM_SEEDS);

	t_init();
	signal(SIGPIPE, SIG_IGN);
	for (uint32_t seed = first; seed < first + num; seed++) {
		rng = seed * 2654435761u;
		fam = &t_fams[seed % 2];
		say("-- seed %u", seed);
		setup();
		for (int i = 0; i < NUM_STEPS; i++)
			steps[pick(sizeof(steps) / sizeof(*steps))]();
		teardown();
	}
	return 0;
}
