/* SPDX-License-Identifier: MIT
 *
 * threads_more.c - two writers, two who accept, a number that is taken away
 * while a thread is blocked in it, threads that come and go with their sockets
 */
#include "blocking.h"

static struct {
	pthread_t t;
	volatile pid_t tid;
	long (*call)(void);
	long ret;
	int err;
	volatile bool is_back;
} victim;

static void *victim_main(void *arg)
{
	victim.tid = (pid_t)syscall(SYS_gettid);
	errno = 0;
	victim.ret = victim.call();
	victim.err = errno;
	victim.is_back = true;
	return NULL;
}

static void settle(void)
{
	int seen = 0;

	for (int i = 0; i < T_PATIENCE && seen < 5; i++) {
		seen = victim.is_back || (t_sleeps(victim.tid)) ? seen + 1 : 0;
		poll(NULL, 0, 1);
	}
}

/* The number becomes another socket, or nothing; the call goes on with what it
 * began with. */
static void taken_away(size_t i, bool by_dup2)
{
	char cmd[64] = "";
	int other = (int)MUST(socket(fam->af, SOCK_DGRAM, 0)), old;
	bool is_back;

	if (calls[i].kind == CONNECTING || calls[i].kind == FULL ||
	    calls[i].kind == PART)
		goto out;
	/* a set forgets a socket that is closed; a poll that finds another
	 * under the number waits for that */
	if (!calls[i].timeo &&
	    (by_dup2 || !strstr("poll ppoll select pselect", calls[i].name)))
		goto out;
	set_up(calls[i].kind);
	if (calls[i].kind == LISTENER)
		snprintf(cmd, sizeof(cmd), "connect 0 %d %d", fam->n,
			 t_local_port(the_fd));
	else if (calls[i].kind == DATAGRAM)
		snprintf(cmd, sizeof(cmd), "sendto 0 %d %d 4", fam->n,
			 udp_port);
	else
		snprintf(cmd, sizeof(cmd), "send 0 8");
	victim.tid = 0;
	victim.is_back = false;
	victim.call = calls[i].call;
	if (pthread_create(&victim.t, NULL, victim_main, NULL))
		t_die("pthread_create");
	settle();
	old = the_fd;
	if (by_dup2)
		MUST(dup2(other, the_fd));
	else
		MUST(close(the_fd));
	settle();
	is_back = victim.is_back;
	peer_quiet("%s", cmd);
	pthread_join(victim.t, NULL);
	say("%s, %s: %s %ld %s", calls[i].name, by_dup2 ? "replaced" : "closed",
	    is_back ? "is back:" : "goes on:", victim.ret,
	    t_err(victim.ret < 0 ? victim.err : 0));
	if (by_dup2)
		close(old);
	if (calls[i].kind == DATA)
		peer("end 0");
	close(the_ep);
	peer_quiet("close 0");
out:
	close(other);
}

/* --- writers --- */
#define RECORD 1000
#define NUM_RECORDS 2000

/* Every byte goes, whoever waits for room. */
static void *write_records(void *arg)
{
	char rec[RECORD];

	memset(rec, *(char *)arg, sizeof(rec));
	for (int i = 0; i < NUM_RECORDS; i++)
		if (send(the_fd, rec, sizeof(rec), 0) != sizeof(rec))
			t_die("send");
	return NULL;
}

static void two_writers(void)
{
	static char got[2 * RECORD * NUM_RECORDS];
	char names[2] = {'a', 'b'};
	long sum = 0, num[2] = {0, 0};
	pthread_t t[2];
	ssize_t n;

	the_fd = t_connected(fam, 0);
	peer("echo 0");
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, write_records, &names[i]);
	while (sum < (long)sizeof(got) &&
	       (n = recv(the_fd, got + sum, sizeof(got) - (size_t)sum, 0)) > 0)
		sum += n;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (long at = 0; at < sum; at++)
		num[got[at] == 'b']++;
	say("two writers: %ld and %ld bytes", num[0], num[1]);
	close(the_fd);
	peer("join");
}

/* --- many --- */
#define NUM_THREADS 16
#define NUM_ROUNDS 40

static int serve_port;

/* Sockets of all kinds, each round, some of them closed by the thread's end. */
static void *live_and_die(void *arg)
{
	struct t_addr a = t_addr(fam->peer, serve_port);
	struct epoll_event e = {.events = EPOLLIN};
	char back[32];
	int fd = socket(fam->af, SOCK_STREAM, 0), u, ep;

	if (fd < 0 || connect(fd, &a.sa, a.len) < 0)
		return (void *)1;
	ep = epoll_create1(0);
	u = socket(fam->af, SOCK_DGRAM, 0);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	epoll_ctl(ep, EPOLL_CTL_ADD, u, &e);
	if (send(fd, "hello", 5, 0) != 5 ||
	    epoll_wait(ep, &e, 1, T_PATIENCE) != 1 ||
	    recv(fd, back, 5, MSG_WAITALL) != 5)
		return (void *)2;
	close(u);
	close(ep);
	close(fd);
	return NULL;
}

static void come_and_go(void)
{
	long num_wrong = 0;
	int first, last;

	serve_port = (int)peer_quiet("listen 5 %d", fam->n);
	peer_quiet("serve 5 %d", NUM_THREADS * NUM_ROUNDS);
	first = (int)MUST(dup(0));
	close(first);
	for (int r = 0; r < NUM_ROUNDS; r++) {
		pthread_t t[NUM_THREADS];

		for (int i = 0; i < NUM_THREADS; i++)
			pthread_create(&t[i], NULL, live_and_die, NULL);
		for (int i = 0; i < NUM_THREADS; i++) {
			void *ret;

			pthread_join(t[i], &ret);
			num_wrong += ret != NULL;
		}
	}
	last = (int)MUST(dup(0));
	close(last);
	say("threads that came and went: %ld wrong, %d numbers more", num_wrong,
	    last - first);
	peer("join");
}

int main(void)
{
	t_init();
	calls_init();
	for (int f = 0; f < 2; f++) {
		fam = &t_fams[f];
		say("-- IPv%d", fam->n);
		for (size_t i = 0; i < NUM_CALLS; i++) {
			if (f && i % 3)
				continue;
			taken_away(i, false);
			taken_away(i, true);
		}
		two_writers();
		come_and_go();
	}
	return 0;
}
