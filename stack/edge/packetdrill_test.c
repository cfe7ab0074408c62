/* SPDX-License-Identifier: MIT
 *
 * packetdrill_test.c - the adapter without packetdrill: what a script's
 *		        commands do to the stack under test
 *
 *	packetdrill_test LIBRARY TOOL
 *
 * In a network namespace of its own, which takes root; without it is skipped.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "packetdrill.h"

#define SKIPPED 77 /* meson */

static struct packetdrill_interface ifc;
static char dir[256];
static int num_checks, num_failed;

static void check(bool ok, const char *what)
{
	printf("%s %s\n", ok ? "ok  " : "FAIL", what);
	fflush(stdout);
	num_checks++;
	num_failed += !ok;
}

/* As a script does it. */
static void runs(const char *line, bool well)
{
	check((system(line) == 0) == well, line);
}

static void make_commands(const char *tool)
{
	static const char *const names[] = {"ip", "tc", "sysctl"};
	char path[4096], file[512];

	snprintf(path, sizeof(path), "%s:%s", dir, getenv("PATH"));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, names[i]);
		check(symlink(tool, file) == 0, file);
	}
	setenv("PATH", path, 1);
	setenv("TCPSHIM_SYSCTL_DIR", dir, 1);
	snprintf(file, sizeof(file), "%s/history", dir);
	setenv("NSTAT_HISTORY", file, 1);
}

static void remove_commands(void)
{
	char line[512];

	unsetenv("LD_PRELOAD");
	snprintf(line, sizeof(line), "rm -r %s", dir);
	check(system(line) == 0, line);
}

static struct sockaddr_in sin_of(const char *ip, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(port)};

	inet_pton(AF_INET, ip, &sin.sin_addr);
	return sin;
}

static void listens(void)
{
	struct sockaddr_in sin = sin_of("0.0.0.0", 8080);
	int fd = ifc.socket(NULL, AF_INET, SOCK_STREAM, 0);

	check(fd >= 0 && !ifc.bind(NULL, fd, (void *)&sin, sizeof(sin)) &&
		      !ifc.listen(NULL, fd, 1),
	      "a listener");
	runs("grep -q ' 00000000:1F90 00000000:0000 0A ' /proc/net/tcp", true);
	runs("grep -q ':1F91 ' /proc/net/tcp", false);
	runs("grep -q ':1F90 ' /proc/net/tcp6", false);
}

static void connects(const char *ip)
{
	struct sockaddr_in sin = sin_of(ip, 80);
	int fd = ifc.socket(NULL, AF_INET, SOCK_STREAM, 0);

	ifc.fcntl(NULL, fd, F_SETFL, O_NONBLOCK);
	check(ifc.connect(NULL, fd, (void *)&sin, sizeof(sin)) == -1 &&
		      errno == EINPROGRESS,
	      ip);
}

/* The MSS option of the SYN that leaves next; it is the first of them. */
static unsigned syn_mss(void)
{
	uint8_t p[2048] = {0};
	size_t len = sizeof(p);
	long long at;

	ifc.netdev_receive(NULL, p, &len, &at);
	if (len < 44 || p[40] != 2 || p[41] != 4)
		return 0;
	return (unsigned)p[42] << 8 | p[43];
}

static void routes(void)
{
	connects("192.0.2.7");
	check(syn_mss() == 1460, "the device's MSS");
	runs("ip route change 192.0.2.1 via 192.168.0.2 dev tun0 advmss 600 "
	     "mtu lock 640",
	     true);
	connects("192.0.2.1");
	check(syn_mss() == 600, "the route's MSS");
	runs("ip tcp_metrics flush all", true);
	runs("ip route change 192.0.2.1 via nobody", false);
}

static void refuses(void)
{
	/* the namespace has no such device, for which tc is not to blame */
	runs("tc qdisc add dev tun0 root pfifo limit 0 2>&1 | grep -q tun0",
	     true);
	connects("192.0.2.8");
	runs("nstat -asz TcpExtTCPRetransFail | grep -q 'Fail  *0 '", true);
	ifc.usleep(NULL, 1100000);
	runs("nstat -asz TcpExtTCPRetransFail | grep -q 'Fail  *[1-9]'", true);
	runs("grep -q '^Tcp: [0-9]' /proc/net/snmp", true);
	runs("grep -q '^Ip6InReceives' /proc/net/snmp6", true);
}

static void keeps_sysctls(void)
{
	runs("sysctl -q net.ipv4.tcp_tick_us=4000", true);
	runs("grep -qx 4000 $TCPSHIM_SYSCTL_DIR/net.ipv4.tcp_tick_us", true);
	runs("sysctl -q net.ipv4.tcp_nonsense=1", false);
	runs("sysctl -q net/ipv4/tcp_syn_retries=3", true);
	runs("grep -qx 3 /proc/sys/net/ipv4/tcp_syn_retries", true);
}

int main(int argc, char **argv)
{
	void (*init)(const char *, struct packetdrill_interface *);
	char *so = argc == 3 ? realpath(argv[1], NULL) : NULL;
	char *tool = argc == 3 ? realpath(argv[2], NULL) : NULL;
	void *lib;

	if (!so || !tool)
		return 2;
	if (unshare(CLONE_NEWNET))
		return SKIPPED;
	lib = dlopen(so, RTLD_NOW | RTLD_LOCAL);
	snprintf(dir, sizeof(dir), "%s/packetdrill-test-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : P_tmpdir);
	if (!lib || !mkdtemp(dir)) {
		fprintf(stderr, "%s\n", lib ? dir : dlerror());
		return 1;
	}
	*(void **)&init = dlsym(lib, "packetdrill_interface_init");
	init("local=192.168.0.1", &ifc);
	make_commands(tool);
	setenv("LD_PRELOAD", so, 1);
	listens();
	routes();
	refuses();
	keeps_sysctls();
	remove_commands();
	ifc.free(ifc.userdata);
	free(so);
	free(tool);
	printf("%d passed, %d failed\n", num_checks - num_failed, num_failed);
	return num_failed != 0;
}
