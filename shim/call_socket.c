/* SPDX-License-Identifier: MIT
 *
 * call_socket.c - socket to getpeername
 *
 * A socket is ours when its family is AF_INET or AF_INET6 and its type is one
 * that the stack has. Whether it stays ours is decided by the first address
 * that it is given: loopback and TCPSHIM_BYPASS belong to the kernel, and the
 * socket is handed over under the same number (fdtab.c).
 */
#include <limits.h>
#include <linux/capability.h>
#include <netinet/tcp.h>

#include "aliases.h"
#include "block.h"
#include "call_priv.h"
#include "knobs.h"
#include "real.h"
#include "sigio.h"
#include "sys.h"
#include "user.h"

#define TYPE_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

static bool is_routed(int domain, int type)
{
	type &= ~TYPE_FLAGS;
	return (domain == AF_INET || domain == AF_INET6) &&
	       (type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_RAW);
}

static bool is_ping(int type, int proto)
{
	return (type & ~TYPE_FLAGS) == SOCK_DGRAM &&
	       (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6);
}

bool call_may(unsigned cap)
{
	struct __user_cap_header_struct hdr = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	return sys(capget, &hdr, data) == 0 && data[0].effective >> cap & 1;
}

/* Who may ping without that: net.ipv4.ping_group_range of the stack. */
static bool may_ping(void)
{
	gid_t groups[NGROUPS_MAX > 256 ? 256 : NGROUPS_MAX];
	int64_t lo = 0, hi = 0, gid = (int64_t)sys(getegid);
	long num = sys(getgroups, (int)ARRAY_SIZE(groups), groups);
	struct stack *st = host_lock(OP_NEW, 0);

	stack_sysctl_get(st, "net.ipv4.ping_group_range.low", &lo);
	stack_sysctl_get(st, "net.ipv4.ping_group_range.high", &hi);
	host_unlock();
	if (gid >= lo && gid <= hi)
		return true;
	for (long i = 0; i < num; i++)
		if (groups[i] >= lo && groups[i] <= hi)
			return true;
	return false;
}

static int check_permission(int type, int proto)
{
	/* who sees the packets of all */
	if ((type & ~TYPE_FLAGS) == SOCK_RAW && proto && !call_may(CAP_NET_RAW))
		return -EPERM;
	return is_ping(type, proto) && !may_ping() ? -EACCES : 0;
}

/* Is a call to be made again that failed for want of memory? */
#define NUM_TRIES 4

static bool may_try_again(int r, unsigned *num_tries)
{
	return (r == -ENOMEM || r == -ENOBUFS) && (*num_tries)++ < NUM_TRIES &&
	       host_more_memory();
}

static long new_socket(int domain, int type, int proto)
{
	struct near near;
	struct stack *st;
	unsigned num_tries = 0;
	sockid s = 0;
	int r;

	r = near_get(type & ~TYPE_FLAGS, type & TYPE_FLAGS, &near);
	if (r < 0)
		return r;
	do {
		st = host_lock(OP_NEW, 0);
		r = sock_new(st, domain, type & ~TYPE_FLAGS, proto, &s,
			     host_now());
		host_unlock();
	} while (may_try_again(r, &num_tries));
	if (r < 0) {
		near_put(&near, type & ~TYPE_FLAGS);
		return r;
	}
	return near_install(&near, s, domain, type & ~TYPE_FLAGS, proto);
}

/* Transports that the kernel has and the stack has not: they would carry the
 * program's traffic past the stack without a word. */
static bool is_missing(int type, int proto)
{
	if ((type & ~TYPE_FLAGS) == SOCK_RAW) /* carries any */
		return false;
	return proto == IPPROTO_MPTCP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

EXPORT int socket(int domain, int type, int proto)
{
	int fd, r;

	if (domain == AF_PACKET)
		atomic_store(&ifaddr_of_kernel, true);
	if (is_routed(domain, type) && is_missing(type, proto) &&
	    !knobs_on_error_kernel())
		return (int)shim_ret(-EPROTONOSUPPORT);
	if (!is_routed(domain, type)) {
		fd = real.socket(domain, type, proto);
		if (fd >= 0)
			fd_dropped(fd);
		return fd;
	}
	r = host_up();
	if (r < 0 && knobs_on_error_kernel())
		return real.socket(domain, type, proto);
	if (r == 0)
		r = check_permission(type, proto);
	if (r < 0)
		return (int)shim_ret(r);
	signal_hold(); /* a handler that makes one would wait for our locks */
	fd = (int)new_socket(domain, type, proto);
	signal_release();
	return (int)shim_ret(fd);
}

EXPORT int socketpair(int domain, int type, int proto, int sv[2])
{
	int r = real.socketpair(domain, type, proto, sv);

	if (r == 0) {
		fd_dropped(sv[0]);
		fd_dropped(sv[1]);
	}
	return r;
}

/* --- whose is this address? --- */

/* Copies the program's address before any lock is taken. */
static int copy_addr(struct sockaddr_storage *ss, const struct sockaddr *sa,
		     socklen_t len)
{
	if (len > sizeof(*ss))
		return -EINVAL;
	memset(ss, 0, sizeof(*ss));
	return user_in(ss, sa, len);
}

static bool addr_of(const struct sockaddr_storage *ss, socklen_t len,
		    struct ip_addr *a, uint16_t *port)
{
	if (ss->ss_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const void *)ss;

		*a = ip_addr_v4(&in->sin_addr);
		*port = get_be16(&in->sin_port);
		return true;
	}
	if (ss->ss_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in = (const void *)ss;

		*a = ip_addr_v6(&in->sin6_addr);
		*port = get_be16(&in->sin6_port);
		return true;
	}
	return false;
}

static bool is_bypassed(const struct ip_addr *a)
{
	for (unsigned i = 0; i < knobs.num_bypass; i++)
		if (ip_addr_in_prefix(a, &knobs.bypass[i].net,
				      knobs.bypass[i].plen))
			return true;
	return false;
}

/* A listener of the stack takes a loopback connect in `auto`. */
static bool has_listener(struct file *f, const struct ip_addr *a, uint16_t port)
{
	struct stack *st = host_lock(OP_NAME, f->s);
	bool has = stack_has_listener(st, f->type, a, port);

	host_unlock();
	return has;
}

bool addr_is_kernels(struct file *f, const struct sockaddr_storage *ss,
		     socklen_t len, bool is_dest)
{
	struct ip_addr a;
	uint16_t port;

	if (!addr_of(ss, len, &a, &port))
		return false;
	if (is_bypassed(&a))
		return true;
	/* what asks for packets is here to see the stack's */
	if (f->type == SOCK_RAW || is_ping(f->type, f->proto))
		return false;
	/* connecting to 0.0.0.0 is connecting to this host, as Linux does */
	if (!ip_addr_is_loopback(&a) && !(is_dest && ip_addr_is_any(&a)))
		return false;
	if (knobs.loopback == LOOPBACK_STACK)
		return false;
	if (knobs.loopback == LOOPBACK_KERNEL || !is_dest)
		return true;
	return !has_listener(f, &a, port);
}

static bool is_bound(struct file *f)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct ip_addr a;
	uint16_t port = 0;
	struct stack *st = host_lock(OP_NAME, f->s);

	sock_name(st, f->s, false, &ss, &len);
	host_unlock();
	return addr_of(&ss, len, &a, &port) && port;
}

/* --- the calls --- */

/* A low port, and a user who isn't root. */
static bool is_port_denied(struct file *f, const struct sockaddr_storage *ss,
			   socklen_t len)
{
	struct ip_addr a;
	uint16_t port;

	return f->type != SOCK_RAW && !is_ping(f->type, f->proto) &&
	       addr_of(ss, len, &a, &port) && port &&
	       port < knobs.sysctl.ip_unprivileged_port_start &&
	       !call_may(CAP_NET_BIND_SERVICE);
}

static int bind_ours(struct file *f, const struct sockaddr_storage *ss,
		     socklen_t len)
{
	struct stack *st = host_lock(OP_BIND, f->s);
	int r = sock_bind(st, f->s, (const struct sockaddr *)ss, len,
			  host_now());

	host_unlock();
	return r;
}

static bool has_opt(struct file *f, int name)
{
	struct stack *st = host_lock(OP_OPTION, f->s);
	int value = 0;
	socklen_t len = sizeof(value);

	sock_getopt(st, f->s, SOL_SOCKET, name, &value, &len, host_now());
	host_unlock();
	return value;
}

/* A port of loopback that a socket of the stack answers for: its packets would
 * never reach the kernel's. */
static bool is_loopback_taken(struct file *f, const struct sockaddr_storage *ss,
			      socklen_t len)
{
	struct ip_addr a;
	uint16_t port;

	return knobs.loopback == LOOPBACK_AUTO && addr_of(ss, len, &a, &port) &&
	       port && ip_addr_is_loopback(&a) && has_listener(f, &a, port) &&
	       !has_opt(f, SO_REUSEPORT) &&
	       (f->type == SOCK_STREAM || !has_opt(f, SO_REUSEADDR));
}

EXPORT int bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct file *f = fd_sock(fd);
	struct sockaddr_storage ss;
	int r;

	if (!f)
		return real.bind(fd, sa, len);
	r = copy_addr(&ss, sa, len);
	if (r < 0)
		return (int)shim_ret(r);
	if (addr_is_kernels(f, &ss, len, false) && !is_bound(f)) {
		r = is_loopback_taken(f, &ss, len) ? -EADDRINUSE
						   : file_hand_over(f);
		return r < 0 ? (int)shim_ret(r) : real.bind(fd, sa, len);
	}
	if (is_port_denied(f, &ss, len))
		return (int)shim_ret(-EACCES);
	r = bind_ours(f, &ss, len);
	/* what ends the use of a port may lie unread in the device, where the
	 * kernel would have seen it at once */
	if (r == -EADDRINUSE && host_drive_once())
		r = bind_ours(f, &ss, len);
	return (int)shim_ret(r);
}

/* How a connect ended that was waited for. As in Linux, the caller is told of a
 * failure once, and the socket is as it was before. */
static int connect_result(struct file *f, const struct sockaddr_storage *ss,
			  socklen_t ss_len)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int err = 0, r;
	socklen_t len = sizeof(err);
	struct sock_facts facts = {0};
	struct stack *st = host_lock(OP_CONNECT, f->s);

	r = sock_facts(st, f->s, &facts);
	if (r == 0 && facts.state != TCP_CLOSE) {
		r = sock_connect(st, f->s, (const struct sockaddr *)ss, ss_len,
				 host_now());
	} else if (r == 0) {
		sock_getopt(st, f->s, SOL_SOCKET, SO_ERROR, &err, &len,
			    host_now());
		sock_connect(st, f->s, &nobody, sizeof(nobody), host_now());
		r = err ? -err : -ECONNABORTED;
	}
	host_unlock();
	return r == -EISCONN ? 0 : r;
}

static int connect_ours(struct file *f, const struct sockaddr_storage *ss,
			socklen_t len)
{
	bool has_timeout, nonblock = file_has(f, FILE_NONBLOCK);
	unsigned num_tries = 0;
	struct stack *st;
	nsec deadline;
	int r, slept;

	pthread_testcancel();
	do {
		st = host_lock(OP_CONNECT, f->s);
		r = sock_connect(st, f->s, (const struct sockaddr *)ss, len,
				 host_now());
		sigio_look(f);
		host_unlock();
	} while (may_try_again(r, &num_tries));
	if (nonblock || (r != -EINPROGRESS && r != -EALREADY))
		return r;
	deadline = block_deadline(f->s, true, &has_timeout);
	if (!sleeper_hold(f))
		return -EBADF;
	slept = block_on(f, EPOLLOUT, NULL, deadline, has_timeout);
	if (slept < 0)
		r = slept;
	else if (slept > 0)
		r = connect_result(f, ss, len);
	/* else SO_SNDTIMEO is over, and the attempt goes on */
	sleeper_unhold(f);
	return r;
}

/* As libc does it: from a port that depends on the process, upwards. */
#define RESV_FIRST 600
#define RESV_NUM 424

EXPORT int bindresvport(int fd, struct sockaddr_in *sa)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	unsigned at = (unsigned)sys(getpid) % RESV_NUM;
	int r = -1;

	if (!fd_sock(fd))
		return real.bindresvport(fd, sa);
	if (!sa)
		sa = &any;
	if (sa->sin_family != AF_INET)
		return (int)shim_ret(-EAFNOSUPPORT);
	for (unsigned i = 0; i < RESV_NUM; i++) {
		put_be16(&sa->sin_port,
			 (uint16_t)(RESV_FIRST + (at + i) % RESV_NUM));
		r = bind(fd, (struct sockaddr *)sa, sizeof(*sa));
		if (r == 0 || errno != EADDRINUSE)
			break;
	}
	return r;
}

EXPORT int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct file *f = fd_sock(fd);
	struct sockaddr_storage ss;
	int r;

	if (!f)
		return real.connect(fd, sa, len);
	r = copy_addr(&ss, sa, len);
	if (r < 0)
		return (int)shim_ret(r);
	if (addr_is_kernels(f, &ss, len, true) && !is_bound(f)) {
		r = file_hand_over(f);
		return r < 0 ? (int)shim_ret(r) : real.connect(fd, sa, len);
	}
	return (int)shim_ret(connect_ours(f, &ss, len));
}

EXPORT int __connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	return connect(fd, sa, len);
}

EXPORT int listen(int fd, int backlog)
{
	struct file *f = fd_sock(fd);
	unsigned num_tries = 0;
	struct stack *st;
	int r;

	if (!f)
		return real.listen(fd, backlog);
	do {
		st = host_lock(OP_LISTEN, f->s);
		r = sock_listen(st, f->s, backlog, host_now());
		host_unlock();
	} while (may_try_again(r, &num_tries));
	if (r == 0)
		atomic_fetch_or(&f->flags, FILE_LISTENING);
	return (int)shim_ret(r);
}

static int give_name(const struct sockaddr_storage *ss, socklen_t ss_len,
		     struct sockaddr *sa, socklen_t *len)
{
	if (!sa)
		return 0;
	if (user_is_bad(len, sizeof(*len)))
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	if (user_out(sa, ss, MIN(*len, ss_len)))
		return -EFAULT;
	*len = ss_len;
	return 0;
}

static int accept_once(struct file *f, int flags, struct sockaddr_storage *ss,
		       socklen_t *len)
{
	struct near near;
	struct stack *st;
	sockid child = 0;
	int r = near_get(f->type, flags, &near);

	if (r < 0)
		return r;
	st = host_lock(OP_ACCEPT, f->s);
	r = sock_accept(st, f->s, &child, host_now());
	if (!r)
		sock_accepted(st, child, ss, len);
	host_unlock();
	if (r < 0) {
		near_put(&near, f->type);
		return r;
	}
	return near_install(&near, child, f->family, f->type, f->proto);
}

static int accept_held(struct file *f, int flags, struct sockaddr_storage *ss,
		       socklen_t *len)
{
	int r;

	signal_hold();
	r = accept_once(f, flags, ss, len);
	signal_release();
	return r;
}

/* Is there something to accept? Making a near end only to find that there is
 * nothing would cost two system calls each time. */
static int accept_ready(struct file *f)
{
	uint32_t bits = 0;
	struct stack *st = host_lock(OP_ACCEPT, f->s);
	int r = sock_poll(st, f->s, &bits);

	host_unlock();
	if (r < 0)
		return r;
	if (!file_has(f, FILE_LISTENING))
		return f->type == SOCK_STREAM ? -EINVAL : -EOPNOTSUPP;
	return bits ? 1 : -EAGAIN;
}

static int do_accept(struct file *f, struct sockaddr *sa, socklen_t *len,
		     int flags)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	struct block b;
	int r, err;

	if (flags & ~TYPE_FLAGS)
		return -EINVAL;
	block_begin(&b, f, false, 0);
	b.takes_one = true;
	do {
		r = accept_ready(f);
		if (r == 1)
			r = accept_held(f, flags, &ss, &ss_len);
	} while (r == -EAGAIN && (r = block_again(&b, EPOLLIN)) == 1);
	block_end(&b);
	if (r < 0)
		return r;
	/* too late to leave the connection where it was; Linux, too, drops it
	 */
	err = give_name(&ss, ss_len, sa, len);
	if (err)
		fd_close(r);
	return err ? err : r;
}

EXPORT int accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	struct file *f = fd_sock(fd);

	if (!f) {
		int r = real.accept4(fd, sa, len, flags);

		if (r >= 0)
			fd_dropped(r);
		return r;
	}
	return (int)shim_ret(do_accept(f, sa, len, flags));
}

EXPORT int accept(int fd, struct sockaddr *sa, socklen_t *len)
{
	return accept4(fd, sa, len, 0);
}

EXPORT int shutdown(int fd, int how)
{
	struct file *f = fd_sock(fd);
	struct stack *st;
	int r;

	if (!f)
		return real.shutdown(fd, how);
	st = host_lock(OP_SHUTDOWN, f->s);
	r = sock_shutdown(st, f->s, how, host_now());
	sigio_look(f);
	host_unlock();
	return (int)shim_ret(r);
}

static int name_of(struct file *f, bool peer, struct sockaddr *sa,
		   socklen_t *len)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	struct stack *st;
	int r;

	st = host_lock(OP_NAME, f->s);
	r = sock_name(st, f->s, peer, &ss, &ss_len);
	host_unlock();
	if (r)
		return r;
	if (user_is_bad(len, sizeof(*len)))
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	r = user_out(sa, &ss, MIN(*len, ss_len));
	*len = ss_len;
	return r;
}

EXPORT int getsockname(int fd, struct sockaddr *restrict sa,
		       socklen_t *restrict len)
{
	struct file *f = fd_sock(fd);

	if (!f)
		return real.getsockname(fd, sa, len);
	return (int)shim_ret(name_of(f, false, sa, len));
}

EXPORT int getpeername(int fd, struct sockaddr *restrict sa,
		       socklen_t *restrict len)
{
	struct file *f = fd_sock(fd);

	if (!f)
		return real.getpeername(fd, sa, len);
	return (int)shim_ret(name_of(f, true, sa, len));
}
