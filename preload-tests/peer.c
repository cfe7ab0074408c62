/* SPDX-License-Identifier: MIT
 *
 * peer.c - the other end of a preload test: a kernel process that obeys
 *
 * Listens on the AF_UNIX SEQPACKET path given as argument and forks for every
 * test that connects. A command is one packet of words, its answer one packet:
 * "ok", "ok N", or the name of an errno. Commands run to their end before they
 * are answered, so a test knows what the peer has done; bulk work (echo, sink,
 * source, serve, dial) runs in threads, and "join" waits for all of them and
 * tells how many found something wrong.
 *
 * Sockets are named by slot numbers. Bytes sent are a pattern of their offset
 * in the connection, which the receiving side checks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NUM_SLOTS 100
#define PATIENCE 10 /* seconds until a receive is given up */

struct slot {
	int fd;
	uint64_t tx_off, rx_off;
};

struct job {
	pthread_t tid;
	int fd;
	int family, port;
	long count, len;
	long wrong;
};

static struct slot slots[NUM_SLOTS];
static struct job *jobs[4096];
static unsigned num_jobs;

static uint8_t pattern(uint64_t off)
{
	return (uint8_t)(off % 251);
}

static socklen_t make_addr(struct sockaddr_storage *ss, int family, int port,
			   bool ours)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (family == 6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, ours ? "fd77::1" : "fd77::2",
			  &in6->sin6_addr);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, ours ? "10.77.0.1" : "10.77.0.2", &in->sin_addr);
	return sizeof(*in);
}

static int port_of(const struct sockaddr_storage *ss)
{
	return ntohs(ss->ss_family == AF_INET6
			     ? ((const struct sockaddr_in6 *)ss)->sin6_port
			     : ((const struct sockaddr_in *)ss)->sin_port);
}

/* A socket of @family bound to the peer's address, with patience. */
static int bound_socket(int family, int type, int port)
{
	struct timeval tv = {.tv_sec = PATIENCE};
	struct sockaddr_storage ss;
	socklen_t len = make_addr(&ss, family, port < 0 ? 0 : port, true);
	int fd = socket(family == 6 ? AF_INET6 : AF_INET, type, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (port < 0) /* chosen by connect(), which knows the remote end */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1},
			   sizeof(int));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

static int local_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	return port_of(&ss);
}

static void put_slot(long s, int fd)
{
	if (slots[s].fd >= 0)
		close(slots[s].fd);
	slots[s] = (struct slot){.fd = fd};
}

static long send_all(int fd, uint64_t *off, long n)
{
	uint8_t buf[16384];
	long done = 0;

	while (done < n) {
		size_t len = n - done < (long)sizeof(buf) ? (size_t)(n - done)
							  : sizeof(buf);
		ssize_t ret;

		for (size_t i = 0; i < len; i++)
			buf[i] = pattern(*off + i);
		ret = send(fd, buf, len, MSG_NOSIGNAL);
		if (ret < 0)
			return -errno;
		done += ret;
		*off += (uint64_t)ret;
	}
	return done;
}

/* Up to @n bytes, fewer at the end of the stream; -EILSEQ: wrong bytes. */
static long recv_all(int fd, uint64_t *off, long n)
{
	uint8_t buf[16384];
	long done = 0;

	while (done < n) {
		size_t len = n - done < (long)sizeof(buf) ? (size_t)(n - done)
							  : sizeof(buf);
		ssize_t ret = recv(fd, buf, len, 0);

		if (ret < 0)
			return -errno;
		if (ret == 0)
			break;
		for (ssize_t i = 0; i < ret; i++)
			if (buf[i] != pattern(*off + (uint64_t)i))
				return -EILSEQ;
		done += ret;
		*off += (uint64_t)ret;
	}
	return done;
}

/* --- commands: a[] are the numbers after the word --- */
static long do_listen(const long *a)
{
	int fd = bound_socket((int)a[1], SOCK_STREAM, 0);

	if (fd < 0)
		return fd;
	if (listen(fd, a[2] ? (int)a[2] : 128) < 0)
		return -errno;
	put_slot(a[0], fd);
	return local_port(fd);
}

static long do_accept(const long *a)
{
	struct timeval tv = {.tv_sec = PATIENCE};
	int fd = accept(slots[a[0]].fd, NULL, NULL);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	put_slot(a[1], fd);
	return 0;
}

static long do_connect(const long *a)
{
	int fd = bound_socket((int)a[1], SOCK_STREAM, -1);
	struct sockaddr_storage ss;
	socklen_t len = make_addr(&ss, (int)a[1], (int)a[2], false);

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&ss, len) < 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	put_slot(a[0], fd);
	return 0;
}

/* Connects a socket that "refuse" has made. */
static long do_open(const long *a)
{
	struct sockaddr_storage ss;
	socklen_t len = make_addr(&ss, (int)a[1], (int)a[2], false);

	if (connect(slots[a[0]].fd, (struct sockaddr *)&ss, len) < 0)
		return -errno;
	return 0;
}

/* Signs what a slot sends to the program (RFC 2385): the key is text; 0 is
 * none. */
static long do_md5(const long *a)
{
	struct tcp_md5sig m = {0};

	make_addr((struct sockaddr_storage *)&m.tcpm_addr, (int)a[1], 0, false);
	if (a[2])
		m.tcpm_keylen =
			(uint16_t)snprintf((char *)m.tcpm_key,
					   sizeof(m.tcpm_key), "key %ld", a[2]);
	if (setsockopt(slots[a[0]].fd, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof(m)))
		return -errno;
	return 0;
}

/* A TCP port that stays bound and refuses. */
static long do_refuse(const long *a)
{
	int fd = bound_socket((int)a[1], SOCK_STREAM, 0);

	if (fd < 0)
		return fd;
	put_slot(a[0], fd);
	return local_port(fd);
}

static long do_send(const long *a)
{
	return send_all(slots[a[0]].fd, &slots[a[0]].tx_off, a[1]);
}

static long do_recv(const long *a)
{
	return recv_all(slots[a[0]].fd, &slots[a[0]].rx_off, a[1]);
}

/* Reads without minding what the bytes are. */
static long do_drain(const long *a)
{
	char buf[16384];
	long done = 0;

	for (;;) {
		ssize_t n = recv(slots[a[0]].fd, buf, sizeof(buf), 0);

		if (n < 0)
			return -errno;
		if (n == 0)
			return done;
		done += n;
	}
}

/* has SLOT: bytes that can be read now */
static long do_has(const long *a)
{
	int n = 0;

	return ioctl(slots[a[0]].fd, FIONREAD, &n) < 0 ? -errno : n;
}

static long do_oob(const long *a)
{
	char c = (char)a[1];

	return send(slots[a[0]].fd, &c, 1, MSG_OOB | MSG_NOSIGNAL) < 0 ? -errno
								       : 0;
}

static long do_recv_oob(const long *a)
{
	struct pollfd p = {.fd = slots[a[0]].fd, .events = POLLPRI};
	char c;

	if (poll(&p, 1, PATIENCE * 1000) != 1)
		return -ETIMEDOUT;
	if (recv(p.fd, &c, 1, MSG_OOB) < 0)
		return -errno;
	return (unsigned char)c;
}

static long do_shut(const long *a)
{
	return shutdown(slots[a[0]].fd, (int)a[1]) < 0 ? -errno : 0;
}

static long do_close(const long *a)
{
	put_slot(a[0], -1);
	return 0;
}

static long do_rst(const long *a)
{
	struct linger l = {.l_onoff = 1};

	setsockopt(slots[a[0]].fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	put_slot(a[0], -1);
	return 0;
}

/* Waits for the connection's end: 0 FIN, or the error that came instead. */
static long do_end(const long *a)
{
	struct pollfd p = {.fd = slots[a[0]].fd, .events = POLLRDHUP};
	socklen_t len = sizeof(int);
	int err = 0;

	if (poll(&p, 1, PATIENCE * 1000) != 1)
		return -ETIMEDOUT;
	getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return -err;
}

static long do_rcvbuf(const long *a)
{
	int v = (int)a[1];

	return setsockopt(slots[a[0]].fd, SOL_SOCKET, SO_RCVBUF, &v,
			  sizeof(v)) < 0
		       ? -errno
		       : 0;
}

/* Waits until all that was sent is acknowledged. */
static long do_flushed(const long *a)
{
	for (int i = 0; i < PATIENCE * 1000; i++) {
		int left = 0;

		if (ioctl(slots[a[0]].fd, TIOCOUTQ, &left) < 0)
			return -errno;
		if (!left)
			return 0;
		poll(NULL, 0, 1);
	}
	return -ETIMEDOUT;
}

static long do_udp(const long *a)
{
	int fd = bound_socket((int)a[1], SOCK_DGRAM, 0);

	if (fd < 0)
		return fd;
	put_slot(a[0], fd);
	return local_port(fd);
}

/* sendto SLOT FAMILY PORT LEN */
static long do_sendto(const long *a)
{
	static uint8_t buf[65536];
	struct sockaddr_storage ss;
	socklen_t len = make_addr(&ss, (int)a[1], (int)a[2], false);

	for (long i = 0; i < a[3]; i++)
		buf[i] = pattern((uint64_t)i);
	if (sendto(slots[a[0]].fd, buf, (size_t)a[3], 0, (struct sockaddr *)&ss,
		   len) < 0)
		return -errno;
	return a[3];
}

/* sendgso SLOT FAMILY PORT LEN SIZE: one send, cut into datagrams of SIZE */
static long do_sendgso(const long *a)
{
	int fd = slots[a[0]].fd, size = (int)a[4], zero = 0;
	long ret;

	if (setsockopt(fd, IPPROTO_UDP, 103 /* UDP_SEGMENT */, &size,
		       sizeof(size)) < 0)
		return -errno;
	ret = do_sendto(a);
	setsockopt(fd, IPPROTO_UDP, 103, &zero, sizeof(zero));
	return ret;
}

/* recvfrom SLOT: the length; its sender becomes the one "reply" answers */
static struct sockaddr_storage last_from;
static socklen_t last_from_len;

static long do_recvfrom(const long *a)
{
	static uint8_t buf[65536];
	ssize_t n;

	last_from_len = sizeof(last_from);
	n = recvfrom(slots[a[0]].fd, buf, sizeof(buf), 0,
		     (struct sockaddr *)&last_from, &last_from_len);
	if (n < 0)
		return -errno;
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] != pattern((uint64_t)i))
			return -EILSEQ;
	return n;
}

static long do_reply(const long *a)
{
	static uint8_t buf[65536];

	for (long i = 0; i < a[1]; i++)
		buf[i] = pattern((uint64_t)i);
	if (sendto(slots[a[0]].fd, buf, (size_t)a[1], 0,
		   (struct sockaddr *)&last_from, last_from_len) < 0)
		return -errno;
	return a[1];
}

/* --- to many at once --- */
static const char *const many[] = {
	"239.1.2.3",   "ff15::1234",	  "224.0.0.199", "ff02::1234",
	"10.77.0.255", "255.255.255.255", "239.1.2.4",
};

static socklen_t many_addr(struct sockaddr_storage *ss, long which, long port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, many[which], &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		return sizeof(*in);
	}
	inet_pton(AF_INET6, many[which], &in6->sin6_addr);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)port);
	return sizeof(*in6);
}

/* The interface that has 10.77.0.1. */
static unsigned our_if(char name[IF_NAMESIZE])
{
	struct ifaddrs *list, *i;
	unsigned index = 0;

	if (getifaddrs(&list))
		return 0;
	for (i = list; i; i = i->ifa_next) {
		struct sockaddr_in *in = (struct sockaddr_in *)i->ifa_addr;

		if (in && in->sin_family == AF_INET &&
		    in->sin_addr.s_addr == htonl(0x0a4d0001)) {
			snprintf(name, IF_NAMESIZE, "%s", i->ifa_name);
			index = if_nametoindex(i->ifa_name);
		}
	}
	freeifaddrs(list);
	return index;
}

static int many_socket(int family, long port)
{
	struct timeval tv = {.tv_sec = PATIENCE};
	struct sockaddr_in6 any = {.sin6_family = (sa_family_t)family,
				   .sin6_port = htons((uint16_t)port)};
	int fd = socket(family, SOCK_DGRAM, 0), one = 1;
	char name[IF_NAMESIZE];
	unsigned index = our_if(name);
	struct ip_mreqn m = {.imr_ifindex = (int)index};

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, IF_NAMESIZE);
	setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof(m));
	setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* member SLOT WHICH PORT: hears what is sent to many[WHICH] at PORT */
static long do_member(const long *a)
{
	struct group_req r = {0};
	struct sockaddr_storage ss;
	char name[IF_NAMESIZE];
	int fd;

	many_addr(&ss, a[1], a[2]);
	fd = many_socket(ss.ss_family, a[2]);
	if (fd < 0)
		return fd;
	put_slot(a[0], fd);
	r.gr_interface = our_if(name);
	r.gr_group = ss;
	if (many[a[1]][0] != '1' && many[a[1]][2] != '5' &&
	    setsockopt(fd, ss.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
		       MCAST_JOIN_GROUP, &r, sizeof(r)) < 0)
		return -errno;
	return 0;
}

/* tomany SLOT WHICH PORT LEN */
static long do_tomany(const long *a)
{
	static uint8_t buf[65536];
	struct sockaddr_storage ss;
	socklen_t len = many_addr(&ss, a[1], a[2]);

	for (long i = 0; i < a[3]; i++)
		buf[i] = pattern((uint64_t)i);
	if (sendto(slots[a[0]].fd, buf, (size_t)a[3], 0, (struct sockaddr *)&ss,
		   len) < 0)
		return -errno;
	return a[3];
}

/* --- bulk work in threads --- */
static void *echo_main(void *arg)
{
	struct job *j = arg;
	uint8_t buf[65536];
	ssize_t n;

	while ((n = recv(j->fd, buf, sizeof(buf), 0)) > 0) {
		for (ssize_t done = 0; done < n;) {
			ssize_t ret = send(j->fd, buf + done,
					   (size_t)(n - done), MSG_NOSIGNAL);

			if (ret < 0) {
				j->wrong++;
				goto out;
			}
			done += ret;
		}
	}
	if (n < 0)
		j->wrong++;
out:
	close(j->fd);
	return NULL;
}

static void *sink_main(void *arg)
{
	struct job *j = arg;
	uint64_t off = 0;
	char buf[65536];

	if (j->len < 0) /* whatever comes */
		while (recv(j->fd, buf, sizeof(buf), 0) > 0)
			;
	else if (recv_all(j->fd, &off, INT64_MAX) != j->len)
		j->wrong++;
	close(j->fd);
	return NULL;
}

static void *source_main(void *arg)
{
	struct job *j = arg;
	uint64_t off = 0;

	if (send_all(j->fd, &off, j->len) != j->len)
		j->wrong++;
	close(j->fd);
	return NULL;
}

/* Accepts @count connections, each echoed in a thread. */
static void *serve_main(void *arg)
{
	struct job *j = arg;

	for (long i = 0; i < j->count; i++) {
		struct job *c = calloc(1, sizeof(*c));

		c->fd = accept(j->fd, NULL, NULL);
		if (c->fd < 0) {
			j->wrong++;
			free(c);
			break;
		}
		if (pthread_create(&c->tid, NULL, echo_main, c)) {
			j->wrong++;
			break;
		}
		pthread_detach(c->tid);
	}
	close(j->fd);
	return NULL;
}

/* Makes @count connections in a row: sends @len bytes, wants them back. */
static void *dial_main(void *arg)
{
	struct job *j = arg;

	for (long i = 0; i < j->count; i++) {
		int fd = bound_socket(j->family, SOCK_STREAM, -1);
		struct sockaddr_storage ss;
		socklen_t len = make_addr(&ss, j->family, j->port, false);
		uint64_t tx = 0, rx = 0;

		if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len) < 0 ||
		    send_all(fd, &tx, j->len) != j->len ||
		    shutdown(fd, SHUT_WR) < 0 ||
		    recv_all(fd, &rx, INT64_MAX) != j->len)
			j->wrong++;
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static long start(struct job j, void *(*fn)(void *))
{
	struct job *p;
	int err;

	if (num_jobs == sizeof(jobs) / sizeof(jobs[0]))
		return -EAGAIN;
	p = malloc(sizeof(*p));
	*p = j;
	err = pthread_create(&p->tid, NULL, fn, p);
	if (err)
		return -err;
	jobs[num_jobs++] = p;
	return 0;
}

/* The thread takes the socket over. */
static int take_slot(long s)
{
	int fd = slots[s].fd;
	struct timeval tv = {.tv_sec = 60};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	slots[s].fd = -1;
	return fd;
}

static long do_echo(const long *a)
{
	return start((struct job){.fd = take_slot(a[0])}, echo_main);
}

static long do_sink(const long *a)
{
	return start((struct job){.fd = take_slot(a[0]), .len = a[1]},
		     sink_main);
}

static long do_source(const long *a)
{
	return start((struct job){.fd = take_slot(a[0]), .len = a[1]},
		     source_main);
}

static long do_serve(const long *a)
{
	return start((struct job){.fd = take_slot(a[0]), .count = a[1]},
		     serve_main);
}

static long do_dial(const long *a)
{
	return start((struct job){.family = (int)a[0],
				  .port = (int)a[1],
				  .count = a[2],
				  .len = a[3]},
		     dial_main);
}

static long do_join(const long *a)
{
	long wrong = 0;

	for (unsigned i = 0; i < num_jobs; i++) {
		pthread_join(jobs[i]->tid, NULL);
		wrong += jobs[i]->wrong;
		free(jobs[i]);
	}
	num_jobs = 0;
	return wrong;
}

static const struct command {
	const char *name;
	long (*fn)(const long *a);
	bool has_value; /* the answer carries the result */
} commands[] = {
	{"listen", do_listen, true},	{"accept", do_accept, false},
	{"connect", do_connect, false}, {"refuse", do_refuse, true},
	{"send", do_send, true},	{"recv", do_recv, true},
	{"has", do_has, true},		{"drain", do_drain, true},
	{"oob", do_oob, false},		{"recv_oob", do_recv_oob, true},
	{"shut", do_shut, false},	{"close", do_close, false},
	{"rst", do_rst, false},		{"end", do_end, false},
	{"rcvbuf", do_rcvbuf, false},	{"flushed", do_flushed, false},
	{"udp", do_udp, true},		{"sendto", do_sendto, true},
	{"sendgso", do_sendgso, true},	{"recvfrom", do_recvfrom, true},
	{"reply", do_reply, true},	{"echo", do_echo, false},
	{"sink", do_sink, false},	{"source", do_source, false},
	{"serve", do_serve, false},	{"member", do_member, false},
	{"tomany", do_tomany, true},	{"dial", do_dial, false},
	{"join", do_join, true},	{"open", do_open, false},
	{"md5", do_md5, false},
};

static void obey(char *line, char *reply, size_t len)
{
	char *save, *word = strtok_r(line, " ", &save);
	long a[8] = {0};
	unsigned n = 0;

	for (char *w; n < 8 && (w = strtok_r(NULL, " ", &save));)
		a[n++] = atol(w);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *c = &commands[i];
		long ret;

		if (!word || strcmp(word, c->name))
			continue;
		ret = c->fn(a);
		if (ret < 0)
			snprintf(reply, len, "%s", strerrorname_np((int)-ret));
		else if (c->has_value)
			snprintf(reply, len, "ok %ld", ret);
		else
			snprintf(reply, len, "ok");
		return;
	}
	snprintf(reply, len, "unknown command");
}

static void serve_test(int ctl)
{
	char line[256], reply[256];
	ssize_t n;

	for (int i = 0; i < NUM_SLOTS; i++)
		slots[i].fd = -1;
	while ((n = recv(ctl, line, sizeof(line) - 1, 0)) > 0) {
		line[n] = 0;
		obey(line, reply, sizeof(reply));
		if (send(ctl, reply, strlen(reply), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: peer PATH\n");
		return 2;
	}
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", argv[1]);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
	    listen(fd, 16) < 0) {
		perror(argv[1]);
		return 1;
	}
	for (;;) {
		int ctl = accept(fd, NULL, NULL);

		if (ctl < 0)
			continue;
		if (fork() == 0) {
			close(fd);
			serve_test(ctl);
		}
		close(ctl);
	}
}
