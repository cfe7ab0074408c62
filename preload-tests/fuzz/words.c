/* SPDX-License-Identifier: MIT
 *
 * words.c - constants by name: for the generator to choose from, for programs
 * to be read with, for transcripts to be written with
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "fuzz.h"

#define W(kind, name)             \
	{                         \
		kind, #name, name \
	}

const struct word words[] = {
	W(W_DOMAIN, AF_INET),
	W(W_DOMAIN, AF_INET6),
	W(W_DOMAIN, AF_UNIX),
	W(W_DOMAIN, AF_UNSPEC),
	W(W_TYPE, SOCK_STREAM),
	W(W_TYPE, SOCK_DGRAM),
	W(W_TYPE, SOCK_SEQPACKET),
	W(W_TYPE, SOCK_RAW),
	W(W_TYPE, SOCK_RDM),
	W(W_TYPEFLAG, SOCK_NONBLOCK),
	W(W_TYPEFLAG, SOCK_CLOEXEC),
	W(W_PROTO, IPPROTO_TCP),
	W(W_PROTO, IPPROTO_UDP),
	W(W_PROTO, IPPROTO_ICMP),
	W(W_PROTO, IPPROTO_IGMP),
	W(W_MSG, MSG_OOB),
	W(W_MSG, MSG_PEEK),
	W(W_MSG, MSG_DONTROUTE),
	W(W_MSG, MSG_CTRUNC),
	W(W_MSG, MSG_TRUNC),
	W(W_MSG, MSG_DONTWAIT),
	W(W_MSG, MSG_EOR),
	W(W_MSG, MSG_WAITALL),
	W(W_MSG, MSG_CONFIRM),
	W(W_MSG, MSG_ERRQUEUE),
	W(W_MSG, MSG_NOSIGNAL),
	W(W_MSG, MSG_MORE),
	W(W_MSG, MSG_WAITFORONE),
	W(W_MSG, MSG_CMSG_CLOEXEC),
	W(W_MSG, MSG_ZEROCOPY),
	W(W_HOW, SHUT_RD),
	W(W_HOW, SHUT_WR),
	W(W_HOW, SHUT_RDWR),
	{W_POLL, "IN", POLLIN},
	{W_POLL, "PRI", POLLPRI},
	{W_POLL, "OUT", POLLOUT},
	{W_POLL, "ERR", POLLERR},
	{W_POLL, "HUP", POLLHUP},
	{W_POLL, "NVAL", POLLNVAL},
	{W_POLL, "RDNORM", POLLRDNORM},
	{W_POLL, "RDBAND", POLLRDBAND},
	{W_POLL, "WRNORM", POLLWRNORM},
	{W_POLL, "WRBAND", POLLWRBAND},
	{W_POLL, "MSG", POLLMSG},
	{W_POLL, "RDHUP", POLLRDHUP},
	{W_EPOLL, "ET", (long)EPOLLET},
	{W_EPOLL, "ONESHOT", EPOLLONESHOT},
	{W_EPOLL, "EXCLUSIVE", EPOLLEXCLUSIVE},
	{W_EPOLL, "WAKEUP", EPOLLWAKEUP},
	{W_EPOP, "ADD", EPOLL_CTL_ADD},
	{W_EPOP, "MOD", EPOLL_CTL_MOD},
	{W_EPOP, "DEL", EPOLL_CTL_DEL},
	W(W_FCNTL, F_DUPFD),
	W(W_FCNTL, F_DUPFD_CLOEXEC),
	W(W_FCNTL, F_GETFD),
	W(W_FCNTL, F_SETFD),
	W(W_FCNTL, F_GETFL),
	W(W_FCNTL, F_SETFL),
	W(W_FCNTL, F_GETOWN),
	W(W_FCNTL, F_GETSIG),
	W(W_FCNTL, F_GETPIPE_SZ),
	W(W_FCNTL, F_GET_SEALS),
	W(W_OFLAG, O_NONBLOCK),
	W(W_OFLAG, O_APPEND),
	W(W_OFLAG, O_ASYNC),
	W(W_OFLAG, O_RDWR),
	W(W_OFLAG, O_CLOEXEC),
	W(W_IOCTL, FIONREAD),
	W(W_IOCTL, SIOCATMARK),
	W(W_IOCTL, FIONBIO),
	W(W_IOCTL, FIOASYNC),
	W(W_IOCTL, FIOCLEX),
	W(W_IOCTL, FIONCLEX),
	W(W_IOCTL, TIOCGWINSZ),
	W(W_IOCTL, TCGETS),
	W(W_IOCTL, FIOQSIZE),
	{W_PTR, "null", 0},
	{W_PTR, "nowhere", 1},
	{W_PTR, "readonly", 2},
	{W_PTR, "edge", 3},
	{W_PTR, "minus", 4},
};
const unsigned num_words = ARRAY_LEN(words);

static const struct word *find(const char *s, size_t len)
{
	for (unsigned i = 0; i < num_words; i++)
		if (strlen(words[i].name) == len &&
		    strncmp(words[i].name, s, len) == 0)
			return &words[i];
	return NULL;
}

bool word_parse(const char *s, long *val)
{
	*val = 0;
	while (*s) {
		size_t len = strcspn(s, "|");
		const struct word *w = find(s, len);
		char *end = NULL;

		if (w)
			*val |= w->val;
		else
			*val |= strtol(s, &end, 0);
		if (!w && end != s + len)
			return false;
		s += len + (s[len] == '|');
	}
	return true;
}

void word_print(enum word_kind kind, unsigned long val, char *buf, size_t len)
{
	size_t used = 0;

	snprintf(buf, len, "0");
	for (unsigned i = 0; i < num_words; i++) {
		unsigned long v = (unsigned long)words[i].val;

		if (words[i].kind != kind || !v || (val & v) != v)
			continue;
		used += (size_t)snprintf(buf + used, len - used, "%s%s",
					 used ? "|" : "", words[i].name);
		val &= ~v;
	}
	if (val)
		snprintf(buf + used, len - used, "%s%#lx", used ? "|" : "",
			 val);
}

/* --- options --- */
#define O(level, name, kind)                     \
	{                                        \
#level, #name, level, name, kind \
	}

const struct opt opts[] = {
	O(SOL_SOCKET, SO_DEBUG, O_BOOL),
	O(SOL_SOCKET, SO_REUSEADDR, O_BOOL),
	O(SOL_SOCKET, SO_REUSEPORT, O_BOOL),
	O(SOL_SOCKET, SO_DONTROUTE, O_BOOL),
	O(SOL_SOCKET, SO_BROADCAST, O_BOOL),
	O(SOL_SOCKET, SO_KEEPALIVE, O_BOOL),
	O(SOL_SOCKET, SO_OOBINLINE, O_BOOL),
	O(SOL_SOCKET, SO_NO_CHECK, O_BOOL),
	O(SOL_SOCKET, SO_TYPE, O_INT),
	O(SOL_SOCKET, SO_PROTOCOL, O_INT),
	O(SOL_SOCKET, SO_DOMAIN, O_INT),
	O(SOL_SOCKET, SO_ERROR, O_INT),
	O(SOL_SOCKET, SO_ACCEPTCONN, O_INT),
	O(SOL_SOCKET, SO_SNDBUF, O_BUF),
	O(SOL_SOCKET, SO_RCVBUF, O_BUF),
	O(SOL_SOCKET, SO_SNDBUFFORCE, O_BUF),
	O(SOL_SOCKET, SO_RCVBUFFORCE, O_BUF),
	O(SOL_SOCKET, SO_PRIORITY, O_INT),
	O(SOL_SOCKET, SO_MARK, O_INT),
	O(SOL_SOCKET, SO_LINGER, O_LINGER),
	O(SOL_SOCKET, SO_RCVLOWAT, O_INT),
	O(SOL_SOCKET, SO_SNDLOWAT, O_INT),
	O(SOL_SOCKET, SO_RCVTIMEO, O_TIME),
	O(SOL_SOCKET, SO_SNDTIMEO, O_TIME),
	O(SOL_SOCKET, SO_PASSCRED, O_BOOL),
	O(SOL_SOCKET, SO_PEERCRED, O_RAW),
	O(SOL_SOCKET, SO_TIMESTAMP, O_BOOL),
	O(SOL_SOCKET, SO_TIMESTAMPNS, O_BOOL),
	O(SOL_SOCKET, SO_BINDTODEVICE, O_BLIND),
	O(SOL_SOCKET, SO_BUSY_POLL, O_INT),
	O(SOL_SOCKET, SO_COOKIE, O_BLIND),
	O(SOL_SOCKET, SO_INCOMING_CPU, O_BLIND),
	O(SOL_SOCKET, SO_MEMINFO, O_BLIND),
	O(SOL_SOCKET, SO_RXQ_OVFL, O_BOOL),
	O(SOL_SOCKET, SO_LOCK_FILTER, O_BOOL),
	O(SOL_SOCKET, SO_PEEK_OFF, O_INT),
	O(SOL_SOCKET, SO_SELECT_ERR_QUEUE, O_BOOL),
	O(SOL_SOCKET, SO_MAX_PACING_RATE, O_INT),
	O(SOL_SOCKET, SO_ZEROCOPY, O_BOOL),
	O(SOL_SOCKET, SO_DETACH_FILTER, O_INT),
	O(IPPROTO_IP, IP_TOS, O_BYTE),
	O(IPPROTO_IP, IP_TTL, O_BYTE),
	O(IPPROTO_IP, IP_OPTIONS, O_RAW),
	O(IPPROTO_IP, IP_RECVOPTS, O_BOOL),
	O(IPPROTO_IP, IP_RETOPTS, O_BOOL),
	O(IPPROTO_IP, IP_PKTINFO, O_BYTE),
	O(IPPROTO_IP, IP_MTU_DISCOVER, O_BYTE),
	O(IPPROTO_IP, IP_RECVERR, O_BYTE),
	O(IPPROTO_IP, IP_RECVTTL, O_BYTE),
	O(IPPROTO_IP, IP_RECVTOS, O_BYTE),
	O(IPPROTO_IP, IP_MTU, O_INT),
	O(IPPROTO_IP, IP_FREEBIND, O_BYTE),
	O(IPPROTO_IP, IP_TRANSPARENT, O_BYTE),
	O(IPPROTO_IP, IP_ORIGDSTADDR, O_BYTE),
	O(IPPROTO_IP, IP_MINTTL, O_BYTE),
	O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, O_BOOL),
	O(IPPROTO_IP, IP_HDRINCL, O_BOOL),
	O(IPPROTO_IP, IP_NODEFRAG, O_BOOL),
	O(IPPROTO_IP, IP_CHECKSUM, O_BOOL),
	O(IPPROTO_IP, IP_MULTICAST_TTL, O_BYTE),
	O(IPPROTO_IP, IP_MULTICAST_LOOP, O_BYTE),
	O(IPPROTO_IP, IP_MULTICAST_ALL, O_BOOL),
	O(IPPROTO_IP, IP_MULTICAST_IF, O_INT),
	O(IPPROTO_IP, IP_ADD_MEMBERSHIP, O_MREQ),
	O(IPPROTO_IP, IP_DROP_MEMBERSHIP, O_MREQ),
	O(IPPROTO_IP, MCAST_JOIN_GROUP, O_GROUP),
	O(IPPROTO_IP, MCAST_LEAVE_GROUP, O_GROUP),
	O(IPPROTO_IP, IP_UNICAST_IF, O_INT),
	O(IPPROTO_IP, IP_ROUTER_ALERT, O_BOOL),
	O(IPPROTO_IPV6, IPV6_V6ONLY, O_BOOL),
	O(IPPROTO_IPV6, IPV6_UNICAST_HOPS, O_INT),
	O(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, O_INT),
	O(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, O_BOOL),
	O(IPPROTO_IPV6, IPV6_MULTICAST_IF, O_INT),
	O(IPPROTO_IPV6, IPV6_MTU_DISCOVER, O_INT),
	O(IPPROTO_IPV6, IPV6_MTU, O_INT),
	O(IPPROTO_IPV6, IPV6_RECVERR, O_BOOL),
	O(IPPROTO_IPV6, IPV6_RECVPKTINFO, O_BOOL),
	O(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, O_BOOL),
	O(IPPROTO_IPV6, IPV6_RECVTCLASS, O_BOOL),
	O(IPPROTO_IPV6, IPV6_TCLASS, O_INT),
	O(IPPROTO_IPV6, IPV6_DONTFRAG, O_BOOL),
	O(IPPROTO_IPV6, IPV6_ADDRFORM, O_INT),
	O(IPPROTO_IPV6, IPV6_RECVPATHMTU, O_BOOL),
	O(IPPROTO_IPV6, IPV6_JOIN_GROUP, O_MREQ6),
	O(IPPROTO_IPV6, IPV6_LEAVE_GROUP, O_MREQ6),
	O(IPPROTO_IPV6, IPV6_RTHDR, O_RAW),
	O(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, O_BOOL),
	O(IPPROTO_TCP, TCP_NODELAY, O_BOOL),
	O(IPPROTO_TCP, TCP_MAXSEG, O_INT),
	O(IPPROTO_TCP, TCP_CORK, O_BOOL),
	O(IPPROTO_TCP, TCP_KEEPIDLE, O_INT),
	O(IPPROTO_TCP, TCP_KEEPINTVL, O_INT),
	O(IPPROTO_TCP, TCP_KEEPCNT, O_INT),
	O(IPPROTO_TCP, TCP_SYNCNT, O_INT),
	O(IPPROTO_TCP, TCP_LINGER2, O_INT),
	O(IPPROTO_TCP, TCP_DEFER_ACCEPT, O_INT),
	O(IPPROTO_TCP, TCP_WINDOW_CLAMP, O_BUF),
	O(IPPROTO_TCP, TCP_INFO, O_BLIND),
	O(IPPROTO_TCP, TCP_QUICKACK, O_BLIND),
	O(IPPROTO_TCP, TCP_CONGESTION, O_STR),
	O(IPPROTO_TCP, TCP_USER_TIMEOUT, O_INT),
	O(IPPROTO_TCP, TCP_NOTSENT_LOWAT, O_INT),
	O(IPPROTO_TCP, TCP_FASTOPEN, O_INT),
	O(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, O_BOOL),
	O(IPPROTO_TCP, TCP_TIMESTAMP, O_BLIND),
	O(IPPROTO_TCP, TCP_SAVE_SYN, O_INT),
	O(IPPROTO_TCP, TCP_SAVED_SYN, O_BLIND),
	O(IPPROTO_TCP, TCP_REPAIR, O_INT),
	O(IPPROTO_TCP, TCP_ULP, O_STR),
	O(IPPROTO_TCP, TCP_THIN_DUPACK, O_BOOL),
	O(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, O_BOOL),
	O(IPPROTO_TCP, TCP_CC_INFO, O_BLIND),
	{"IPPROTO_UDP", "UDP_CORK", IPPROTO_UDP, 1, O_BOOL},
	{"IPPROTO_UDP", "UDP_ENCAP", IPPROTO_UDP, 100, O_INT},
	{"IPPROTO_UDP", "UDP_NO_CHECK6_TX", IPPROTO_UDP, 101, O_BOOL},
	{"IPPROTO_UDP", "UDP_NO_CHECK6_RX", IPPROTO_UDP, 102, O_BOOL},
	{"IPPROTO_UDP", "UDP_SEGMENT", IPPROTO_UDP, 103, O_INT},
	{"IPPROTO_UDP", "UDP_GRO", IPPROTO_UDP, 104, O_BOOL},
};
const unsigned num_opts = ARRAY_LEN(opts);

bool opt_parse(const char *s, struct opt *o)
{
	const char *dot = strchr(s, '.');

	if (!dot)
		return false;
	for (unsigned i = 0; i < num_opts; i++) {
		size_t len = strlen(opts[i].level_name);

		if (len == (size_t)(dot - s) &&
		    strncmp(s, opts[i].level_name, len) == 0 &&
		    strcmp(dot + 1, opts[i].name) == 0) {
			*o = opts[i];
			return true;
		}
	}
	*o = (struct opt){
		.level = atoi(s), .val = atoi(dot + 1), .kind = O_RAW};
	return true;
}

/* --- addresses --- */
const struct addr_kind addr_kinds[] = {
	{"us4", AF_INET, "10.77.0.2"},
	{"peer4", AF_INET, "10.77.0.1"},
	{"any4", AF_INET, "0.0.0.0"},
	{"lo4", AF_INET, "127.0.0.1"},
	{"no4", AF_INET, "10.99.0.9"},
	{"mc4", AF_INET, "239.1.2.3"},
	{"bc4", AF_INET, "255.255.255.255"},
	{"us6", AF_INET6, "fd77::2"},
	{"peer6", AF_INET6, "fd77::1"},
	{"any6", AF_INET6, "::"},
	{"lo6", AF_INET6, "::1"},
	{"no6", AF_INET6, "fd99::9"},
	{"mc6", AF_INET6, "ff05::1:3"},
	{"map_us", AF_INET6, "::ffff:10.77.0.2"},
	{"map_peer", AF_INET6, "::ffff:10.77.0.1"},
	{"map_any", AF_INET6, "::ffff:0.0.0.0"},
	{"map_lo", AF_INET6, "::ffff:127.0.0.1"},
	{"unspec", AF_UNSPEC, NULL},
	{"badfam", 77, NULL},
};
const unsigned num_addr_kinds = ARRAY_LEN(addr_kinds);
