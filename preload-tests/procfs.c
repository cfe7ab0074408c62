/* SPDX-License-Identifier: MIT
 *
 * procfs.c - sysctls, counters and tables of sockets in /proc: read, written,
 * and true of the sockets that there are
 */
#include <sys/stat.h>

#include "t.h"

#define IPV4 "/proc/sys/net/ipv4/"

static void say_file(const char *path)
{
	char line[256];
	FILE *fp = fopen(path, "r");

	if (!fp) {
		say("%s: %s", path, t_err(errno));
		return;
	}
	while (fgets(line, sizeof(line), fp))
		printf("%s: %s", path, line);
	CALL(fclose(fp));
}

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0) {
		say("%s: %s", path, t_err(errno));
		return;
	}
	say("%s = %s", path, value);
	CALL(write(fd, value, strlen(value)));
	close(fd);
}

/* The host is not ours alone: what is set here is set back in the end. */
static struct {
	const char *path;
	char value[256];
} kept[] = {
	{IPV4 "tcp_retries2", ""},	     {IPV4 "tcp_rmem", ""},
	{IPV4 "tcp_congestion_control", ""}, {IPV4 "tcp_keepalive_time", ""},
	{IPV4 "ip_local_port_range", ""},
};
#define NUM_KEPT (sizeof(kept) / sizeof(kept[0]))

static void keep(void)
{
	for (unsigned i = 0; i < NUM_KEPT; i++) {
		FILE *fp = fopen(kept[i].path, "r");

		if (!fp || !fgets(kept[i].value, sizeof(kept[i].value), fp))
			t_die(kept[i].path);
		fclose(fp);
	}
}

static void put_back(void)
{
	for (unsigned i = 0; i < NUM_KEPT; i++) {
		FILE *fp = fopen(kept[i].path, "w");

		if (!fp || fputs(kept[i].value, fp) < 0 || fclose(fp))
			t_die(kept[i].path);
	}
}

/* Numbers, groups, words; what is no value of theirs. */
static void sysctls(void)
{
	static const char *const same[] = {
		"tcp_retries2",	   "tcp_keepalive_time",
		"tcp_syn_retries", "tcp_fin_timeout",
		"tcp_sack",	   "tcp_congestion_control"};

	set(IPV4 "tcp_congestion_control", "reno\n");
	for (unsigned i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), IPV4 "%s", same[i]);
		say_file(path);
	}
	set(IPV4 "tcp_retries2", "9");
	say_file(IPV4 "tcp_retries2");
	set(IPV4 "tcp_retries2", "  11 \n");
	say_file(IPV4 "tcp_retries2");
	set(IPV4 "tcp_retries2", "many");
	set(IPV4 "tcp_retries2", "0");
	say_file(IPV4 "tcp_retries2");
	set(IPV4 "tcp_rmem", "4096 100000 200000");
	say_file(IPV4 "tcp_rmem");
	set(IPV4 "tcp_congestion_control", "no_such\n");
	set(IPV4 "tcp_no_such", "1");
	set(IPV4 "ip_local_port_range", "40000 50000\n");
	say_file(IPV4 "ip_local_port_range");
}

/* What is set is what new sockets have. */
static void live(void)
{
	int fd, v = 0;
	socklen_t len = sizeof(v);
	char cc[16] = "";
	socklen_t cc_len = sizeof(cc);

	set(IPV4 "tcp_keepalive_time", "77");
	fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len));
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, &cc_len));
	say("TCP_KEEPIDLE %d, TCP_CONGESTION %s", v, cc);
	close(fd);
}

/* The ways to open one, and to get at what was opened. */
static void ways(void)
{
	char buf[64] = "";
	struct stat st;
	FILE *fp;
	int fd, dup_fd;

	fd = (int)MUST(openat(AT_FDCWD, IPV4 "tcp_retries2", O_RDONLY));
	CALL(read(fd, buf, sizeof(buf)));
	CALL(read(fd, buf + 8, 8));
	CALL(lseek(fd, 0, SEEK_SET));
	CALL(pread(fd, buf + 16, 2, 0));
	say("%.2s%.2s", buf, buf + 16);
	close(fd);

	fp = fopen(IPV4 "tcp_retries2", "w");
	if (!fp)
		t_die("fopen");
	CALL(fprintf(fp, "%d\n", 13));
	CALL(fclose(fp));
	say_file(IPV4 "tcp_retries2");

	fd = (int)MUST(open(IPV4 "tcp_retries2", O_WRONLY | O_TRUNC));
	dup_fd = (int)MUST(dup(fd));
	close(fd);
	CALL(write(dup_fd, "14", 2));
	CALL(write(dup_fd, "", 0));
	CALL(close(dup_fd));
	CALL(write(dup_fd, "15", 2));
	say_file("/proc/sys/net/ipv4/tcp_retries2");

	CALL(open(IPV4 "tcp_retries2", O_RDONLY | O_DIRECTORY));
	CALL(stat(IPV4 "tcp_retries2", &st));
	say("%o", st.st_mode);
	CALL(access(IPV4 "tcp_retries2", R_OK));
	CALL(access(IPV4 "tcp_no_such", F_OK));
}

/* The line of @table whose local port is @port: state, queues, timer; and
 * whether the inode is what fstat() says of @fd. */
static void say_line(const char *table, unsigned port, int fd)
{
	char path[64], line[512], laddr[40], raddr[40];
	unsigned lport, rport, st, tx, rx, tr, when, retr, uid, probes;
	unsigned long ino;
	struct stat s;
	FILE *fp;

	snprintf(path, sizeof(path), "/proc/net/%s", table);
	fp = fopen(path, "r");
	if (!fp || !fgets(line, sizeof(line), fp))
		t_die(path);
	line[strcspn(line, "\n")] = 0;
	say("%s|", line);
	MUST(fstat(fd, &s));
	while (fgets(line, sizeof(line), fp)) {
		if (sscanf(line,
			   "%*u: %39[0-9A-F]:%x %39[0-9A-F]:%x %x %x:%x %x:%x "
			   "%x %u %u %lu",
			   laddr, &lport, raddr, &rport, &st, &tx, &rx, &tr,
			   &when, &retr, &uid, &probes, &ino) != 13) {
			say("bad line: %s", line);
			continue;
		}
		/* those of earlier tests may be there in TIME-WAIT */
		if (lport == port && st != TCP_TIME_WAIT)
			say("%s %s %s %02X tx %u rx %u tr %u retr %u uid %u "
			    "probes %u inode %s, %zu columns",
			    table, laddr, raddr, st, tx, rx, tr, retr, uid,
			    probes, ino == s.st_ino ? "is its" : "is another's",
			    table[3] ? 0 : strlen(line));
	}
	fclose(fp);
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	MUST(getsockname(fd, (struct sockaddr *)&ss, &len));
	return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

static void tables(const struct t_fam *f)
{
	const char *tcp = f->af == AF_INET ? "tcp" : "tcp6";
	const char *udp = f->af == AF_INET ? "udp" : "udp6";
	struct sockaddr_storage any = {.ss_family = (sa_family_t)f->af};
	int fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
	socklen_t len = f->af == AF_INET ? sizeof(struct sockaddr_in)
					 : sizeof(struct sockaddr_in6);

	MUST(bind(fd, (struct sockaddr *)&any, len));
	MUST(listen(fd, 5));
	say_line(tcp, port_of(fd), fd);
	close(fd);

	fd = t_connected(f, 0);
	peer("send 0 5");
	t_settle(fd, POLLIN);
	say_line(tcp, port_of(fd), fd);
	close(fd);

	fd = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
	MUST(bind(fd, (struct sockaddr *)&any, len));
	say_line(udp, port_of(fd), fd);
	close(fd);
}

/* The value of @name in the group that @prefix begins. */
static long counter(const char *path, const char *prefix, const char *name)
{
	char names[8192], values[8192], *s, *v, *save_s, *save_v;
	FILE *fp = fopen(path, "r");
	long ret = -1;

	if (!fp)
		return -1;
	while (fgets(names, sizeof(names), fp) &&
	       fgets(values, sizeof(values), fp)) {
		if (strncmp(names, prefix, strlen(prefix)) != 0)
			continue;
		s = strtok_r(names, " \n", &save_s);
		v = strtok_r(values, " \n", &save_v);
		for (; s && v; s = strtok_r(NULL, " \n", &save_s),
			       v = strtok_r(NULL, " \n", &save_v))
			if (strcmp(s, name) == 0)
				ret = atol(v);
	}
	fclose(fp);
	return ret;
}

static void counters(void)
{
	static const struct {
		const char *path, *prefix, *name;
	} c[] = {
		{"/proc/net/snmp", "Tcp:", "ActiveOpens"},
		{"/proc/self/net/snmp", "Tcp:", "OutRsts"},
		{"/proc/net/snmp", "Udp:", "OutDatagrams"},
		{"/proc/net/netstat", "TcpExt:", "TCPAbortOnClose"},
	};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	long before[4];
	int fd, u;

	inet_pton(AF_INET, PEER4, &to.sin_addr);
	for (unsigned i = 0; i < 4; i++)
		before[i] = counter(c[i].path, c[i].prefix, c[i].name);
	fd = t_connected(&t_fams[0], 0);
	say("CurrEstab more than 0: %d",
	    counter("/proc/net/snmp", "Tcp:", "CurrEstab") > 0);
	u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	CALL(sendto(u, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)));
	peer("send 0 5");
	t_settle(fd, POLLIN);
	close(fd); /* with unread data: a reset */
	close(u);
	for (unsigned i = 0; i < 4; i++)
		say("%s%s +%ld", c[i].prefix, c[i].name,
		    counter(c[i].path, c[i].prefix, c[i].name) - before[i]);
}

int main(void)
{
	t_init();
	keep();
	sysctls();
	live();
	ways();
	for (int i = 0; i < 2; i++)
		tables(&t_fams[i]);
	counters();
	put_back();
	return 0;
}
