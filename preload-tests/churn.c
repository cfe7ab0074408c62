/* SPDX-License-Identifier: MIT
 *
 * churn.c - 20 threads times 500 short connections, made by us and accepted by
 * us: no byte lost, no number lost, and memory stays where it was
 *
 * CHURN_THREADS and CHURN_COUNT in the environment change the amounts.
 */
#include "t.h"
#include <dirent.h>
#include <sys/stat.h>

#define LEN 300
#define STEADY (4 << 20) /* TIME-WAIT of a round, and a margin */

static int num_threads = 20, num_each = 500;
static const struct t_fam *fam;
static int the_port, the_listener;
static _Atomic long num_good, num_bad, num_accepted;

/* Numbers in use below the control socket's. */
static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < T_CTL_FD; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* What the library holds, if there is one; 0 on the kernel. */
static long count_memory(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	long sum = 0;

	while (d && (e = readdir(d))) {
		char path[300], target[300];
		struct stat st;
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = 0;
		if (strncmp(target, "/memfd:", 7) == 0 && !stat(path, &st))
			sum += st.st_size;
	}
	if (d)
		closedir(d);
	return sum;
}

static void fill(unsigned char *buf)
{
	for (int i = 0; i < LEN; i++)
		buf[i] = (unsigned char)(i % 251);
}

static bool send_whole(int fd, const unsigned char *buf, size_t len)
{
	while (len) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		buf += n;
		len -= (size_t)n;
	}
	return true;
}

/* Sends, ends, wants the same back and then the end. */
static bool one_connection(void)
{
	struct t_addr a = t_addr(fam->peer, the_port);
	unsigned char out[LEN], in[LEN + 1];
	int fd = socket(fam->af, SOCK_STREAM, 0);
	size_t got = 0;
	ssize_t n = -1;

	fill(out);
	if (fd < 0)
		return false;
	if (connect(fd, &a.sa, a.len) == 0 && send_whole(fd, out, LEN) &&
	    shutdown(fd, SHUT_WR) == 0)
		while (got < sizeof(in) &&
		       (n = recv(fd, in + got, sizeof(in) - got, 0)) > 0)
			got += (size_t)n;
	close(fd);
	return n == 0 && got == LEN && !memcmp(in, out, LEN);
}

static void *connect_main(void *arg)
{
	for (int i = 0; i < num_each; i++) {
		if (one_connection())
			num_good++;
		else
			num_bad++;
	}
	return NULL;
}

static void *accept_main(void *arg)
{
	unsigned char buf[LEN];

	while (num_accepted++ < (long)num_threads * num_each) {
		int fd = accept(the_listener, NULL, NULL);
		ssize_t n = -1;
		bool ok = fd >= 0;

		while (ok && (n = recv(fd, buf, sizeof(buf), 0)) > 0)
			ok = send_whole(fd, buf, (size_t)n);
		if (ok && n == 0)
			num_good++;
		else
			num_bad++;
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void run_threads(void *(*fn)(void *))
{
	pthread_t t[256];

	num_good = num_bad = num_accepted = 0;
	for (int i = 0; i < num_threads; i++)
		if (pthread_create(&t[i], NULL, fn, NULL))
			t_die("pthread_create");
	for (int i = 0; i < num_threads; i++)
		pthread_join(t[i], NULL);
}

static void connect_round(void)
{
	the_port = (int)peer_quiet("listen 0 %d 1024", fam->n);
	peer_quiet("serve 0 %ld", (long)num_threads * num_each);
	run_threads(connect_main);
	say("connected: %ld good, %ld bad", num_good, num_bad);
	peer("join");
}

static void accept_round(void)
{
	the_listener = t_listener(fam, 1024);
	for (int i = 0; i < num_threads; i++)
		peer_quiet("dial %d %d %d %d", fam->n,
			   t_local_port(the_listener), num_each, LEN);
	run_threads(accept_main);
	say("accepted: %ld good, %ld bad", num_good, num_bad);
	peer("join");
	close(the_listener);
}

int main(void)
{
	long memory = 0;
	int fds;

	t_init();
	if (getenv("CHURN_THREADS"))
		num_threads = atoi(getenv("CHURN_THREADS"));
	if (getenv("CHURN_COUNT"))
		num_each = atoi(getenv("CHURN_COUNT"));
	if (num_threads > 256)
		num_threads = 256;
	fds = count_fds();
	for (int i = 0; i < 4; i++) {
		fam = &t_fams[i % 2];
		say("-- IPv%d, round %d", fam->n, i / 2);
		connect_round();
		accept_round();
		say("numbers in use: %d more", count_fds() - fds);
		if (i == 1)
			memory = count_memory();
	}
	memory = count_memory() - memory;
	say("memory %s", memory <= STEADY ? "steady" : "grows");
	if (memory > STEADY)
		say("by %ld", memory);
	return 0;
}
