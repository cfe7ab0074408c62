/* SPDX-License-Identifier: MIT
 *
 * lookup - every call that finds names, over a table of them, as a transcript
 *
 *	lookup			all of it
 *	lookup threads		many getaddrinfo() at once
 *	lookup name NAME...	these only
 *	lookup one NAME		one getaddrinfo()
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char *eai(int r)
{
	switch (r) {
#define E(x)    \
	case x: \
		return #x;
		E(EAI_ADDRFAMILY)
		E(EAI_AGAIN)
		E(EAI_BADFLAGS)
		E(EAI_FAIL)
		E(EAI_FAMILY)
		E(EAI_MEMORY)
		E(EAI_NODATA)
		E(EAI_NONAME)
		E(EAI_OVERFLOW)
		E(EAI_SERVICE)
		E(EAI_SOCKTYPE)
		E(EAI_SYSTEM)
#undef E
	default:
		return r ? "?" : "0";
	}
}

static const char *herr(int h)
{
	switch (h) {
	case 0:
		return "0";
	case HOST_NOT_FOUND:
		return "HOST_NOT_FOUND";
	case TRY_AGAIN:
		return "TRY_AGAIN";
	case NO_RECOVERY:
		return "NO_RECOVERY";
	case NO_DATA:
		return "NO_DATA";
	case NETDB_INTERNAL:
		return "NETDB_INTERNAL";
	default:
		return "?";
	}
}

static const char *text_of(const struct sockaddr *sa)
{
	static _Thread_local char out[INET6_ADDRSTRLEN + 32];
	char ip[INET6_ADDRSTRLEN] = "?";
	int port = 0;

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		port = ntohs(in->sin_port);
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)sa;

		inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof(ip));
		port = ntohs(in->sin6_port);
	}
	snprintf(out, sizeof(out), "%s port %d", ip, port);
	return out;
}

/* --- getaddrinfo --- */

static void try_ai(const char *node, const char *service,
		   const struct addrinfo *hints)
{
	struct addrinfo *res = NULL;
	int r = getaddrinfo(node, service, hints, &res);

	printf("getaddrinfo %s %s", node ? node : "-", service ? service : "-");
	if (hints)
		printf(" family %d type %d flags %#x", hints->ai_family,
		       hints->ai_socktype, (unsigned)hints->ai_flags);
	printf(": %s\n", eai(r));
	if (r)
		return;
	for (struct addrinfo *a = res; a; a = a->ai_next)
		printf("\t%d %d %d %s%s%s flags %#x len %u\n", a->ai_family,
		       a->ai_socktype, a->ai_protocol, text_of(a->ai_addr),
		       a->ai_canonname ? " canon " : "",
		       a->ai_canonname ? a->ai_canonname : "",
		       (unsigned)a->ai_flags, (unsigned)a->ai_addrlen);
	freeaddrinfo(res);
}

static const char *const names[] = {"four.example.test",
				    "six.example.test",
				    "both.example.test",
				    "alias.example.test",
				    "chain.example.test",
				    "many.example.test",
				    "sorted.example.test",
				    "none.example.test",
				    "text.example.test",
				    "dangling.example.test",
				    "four",
				    "four.sub",
				    "four.example.test.",
				    "nowhere.invalid",
				    "file.example.test",
				    "filedual",
				    "localhost",
				    "10.77.0.9",
				    "fd77::9",
				    "256.0.0.1",
				    "0x7f.1",
				    "::ffff:10.77.0.9",
				    "fe80::1%lo",
				    "",
				    ".",
				    "a..b",
				    "bad name",
				    "big.example.test",
				    "elsewhere.org"};

static void all_ai(void)
{
	static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX};
	static const int flags[] = {
		0,
		AI_CANONNAME,
		AI_NUMERICHOST,
		AI_V4MAPPED,
		AI_V4MAPPED | AI_ALL,
		AI_ADDRCONFIG,
		AI_PASSIVE,
		AI_CANONNAME | AI_V4MAPPED | AI_ADDRCONFIG,
	};

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		try_ai(names[n], NULL, NULL);
		for (size_t f = 0; f < 3; f++)
			for (size_t g = 0; g < sizeof(flags) / sizeof(flags[0]);
			     g++)
				try_ai(names[n], "80",
				       &(struct addrinfo){
					       .ai_family = families[f],
					       .ai_socktype = SOCK_STREAM,
					       .ai_flags = flags[g]});
	}
	try_ai(NULL, NULL, NULL);
	try_ai(NULL, "80", NULL);
	try_ai(NULL, "80", &(struct addrinfo){.ai_flags = AI_PASSIVE});
	for (size_t f = 0; f < 4; f++)
		try_ai("both.example.test", "http",
		       &(struct addrinfo){.ai_family = families[f]});
	for (int type = 0; type < 7; type++)
		try_ai("both.example.test", "domain",
		       &(struct addrinfo){.ai_socktype = type});
	try_ai("both.example.test", "no-such-service", NULL);
	try_ai("nowhere.invalid", "no-such-service", NULL);
	try_ai("both.example.test", "http",
	       &(struct addrinfo){.ai_flags = AI_NUMERICSERV});
	try_ai("both.example.test", NULL,
	       &(struct addrinfo){.ai_flags = 0x4000000});
	try_ai("both.example.test", NULL,
	       &(struct addrinfo){.ai_socktype = SOCK_DGRAM,
				  .ai_protocol = IPPROTO_UDP});
	try_ai("both.example.test", NULL,
	       &(struct addrinfo){.ai_socktype = SOCK_STREAM,
				  .ai_protocol = IPPROTO_UDP});
	try_ai(NULL, NULL, &(struct addrinfo){.ai_flags = AI_CANONNAME});
	try_ai("both.example.test", "65536", NULL);
}

/* --- struct hostent --- */

static void say_host(const struct hostent *h)
{
	char ip[INET6_ADDRSTRLEN];

	printf("\t%s family %d length %d\n", h->h_name, h->h_addrtype,
	       h->h_length);
	for (char **a = h->h_aliases; *a; a++)
		printf("\talias %s\n", *a);
	for (char **a = h->h_addr_list; *a; a++)
		printf("\taddress %s\n",
		       inet_ntop(h->h_addrtype, *a, ip, sizeof(ip)));
}

static void try_host(const char *what, const char *name, struct hostent *h)
{
	printf("%s %s: %s\n", what, name, h ? "found" : herr(h_errno));
	if (h)
		say_host(h);
}

static void try_host_r(const char *name, int family, size_t len)
{
	static char buf[65536];
	struct hostent h, *result = (void *)buf;
	int e = 77;
	int r = gethostbyname2_r(name, family, &h, buf, len, &result, &e);

	printf("gethostbyname2_r %s %d room %zu: %s %s %s\n", name, family, len,
	       r ? strerrorname_np(r) : "0", result ? "found" : "nothing",
	       result ? "" : herr(e));
	if (result)
		say_host(result);
}

static void all_hosts(void)
{
	static char buf[8192];
	struct hostent h, *result;
	int e;

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		try_host("gethostbyname", names[n], gethostbyname(names[n]));
		try_host("gethostbyname2 4", names[n],
			 gethostbyname2(names[n], AF_INET));
		try_host("gethostbyname2 6", names[n],
			 gethostbyname2(names[n], AF_INET6));
		try_host_r(names[n], AF_INET, sizeof(buf));
	}
	/* where too little room begins to be enough is an affair of its own */
	try_host_r("chain.example.test", AF_INET, 16);
	try_host_r("many.example.test", AF_INET, 64);
	e = gethostbyname_r("alias.example.test", &h, buf, sizeof(buf), &result,
			    &e);
	printf("gethostbyname_r: %d\n", e);
	if (result)
		say_host(result);
}

static const char *const addrs[] = {"10.77.0.21", "10.77.0.22", "10.77.0.99",
				    "10.77.0.31", "127.0.0.1",	"fd77::21",
				    "fd77::99",	  "::1",	"10.77.0.41"};

static void all_addrs(void)
{
	static const int flags[] = {0,
				    NI_NUMERICHOST,
				    NI_NAMEREQD,
				    NI_NUMERICSERV,
				    NI_DGRAM,
				    NI_NOFQDN,
				    NI_NAMEREQD | NI_NUMERICHOST};
	char buf[16];

	for (size_t n = 0; n < sizeof(addrs) / sizeof(addrs[0]); n++) {
		union {
			struct sockaddr sa;
			struct sockaddr_in in;
			struct sockaddr_in6 in6;
		} u = {0};
		char host[NI_MAXHOST], serv[NI_MAXSERV];
		bool six = strchr(addrs[n], ':');
		socklen_t len = six ? sizeof(u.in6) : sizeof(u.in);

		u.sa.sa_family = six ? AF_INET6 : AF_INET;
		inet_pton(u.sa.sa_family, addrs[n], buf);
		memcpy(six ? (void *)&u.in6.sin6_addr : &u.in.sin_addr, buf,
		       six ? 16 : 4);
		u.in.sin_port = htons(53);
		try_host("gethostbyaddr", addrs[n],
			 gethostbyaddr(buf, six ? 16 : 4, u.sa.sa_family));
		for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
			int r;

			strcpy(host, "-");
			strcpy(serv, "-");
			r = getnameinfo(&u.sa, len, host, sizeof(host), serv,
					sizeof(serv), flags[f]);
			printf("getnameinfo %s flags %d: %s %s %s\n", addrs[n],
			       flags[f], eai(r), host, serv);
		}
		printf("getnameinfo %s in little room: %s\n", addrs[n],
		       eai(getnameinfo(&u.sa, len, host, 4, NULL, 0, 0)));
		printf("getnameinfo %s too short: %s\n", addrs[n],
		       eai(getnameinfo(&u.sa, 4, host, sizeof(host), NULL, 0,
				       0)));
		printf("getnameinfo %s service only: %s %s\n", addrs[n],
		       eai(getnameinfo(&u.sa, len, NULL, 0, serv, sizeof(serv),
				       0)),
		       serv);
	}
}

/* --- the resolver --- */

static void say_answer(const unsigned char *msg, int len)
{
	ns_msg m;
	ns_rr rr;

	if (ns_initparse(msg, len, &m) < 0) {
		printf("\tnot a message\n");
		return;
	}
	printf("\trcode %d, %d records\n", ns_msg_getflag(m, ns_f_rcode),
	       ns_msg_count(m, ns_s_an));
	for (int i = 0; i < ns_msg_count(m, ns_s_an); i++)
		if (ns_parserr(&m, ns_s_an, i, &rr) == 0)
			printf("\t%s type %d, %d bytes\n", ns_rr_name(rr),
			       ns_rr_type(rr), ns_rr_rdlen(rr));
}

static void try_res(const char *what, const char *name, int type, int len,
		    const unsigned char *msg)
{
	printf("%s %s %d: %s\n", what, name, type,
	       len < 0 ? herr(h_errno) : "answer");
	if (len >= 0)
		say_answer(msg, len);
}

static void all_res(void)
{
	static const int types[] = {ns_t_a, ns_t_aaaa, ns_t_mx, ns_t_txt,
				    ns_t_any};
	static unsigned char msg[65536];
	unsigned char query[512];
	struct __res_state rs = {0};
	int len;

	res_ninit(&rs);
	for (size_t n = 0; n < 16; n++)
		for (size_t t = 0; t < 4; t++) {
			len = res_query(names[n], ns_c_in, types[t], msg,
					sizeof(msg));
			try_res("res_query", names[n], types[t], len, msg);
			len = res_search(names[n], ns_c_in, types[t], msg,
					 sizeof(msg));
			try_res("res_search", names[n], types[t], len, msg);
		}
	len = res_nquery(&rs, "both.example.test", ns_c_in, ns_t_a, msg,
			 sizeof(msg));
	try_res("res_nquery", "both", ns_t_a, len, msg);
	len = res_nsearch(&rs, "both", ns_c_in, ns_t_a, msg, sizeof(msg));
	try_res("res_nsearch", "both", ns_t_a, len, msg);
	len = res_querydomain("both", "example.test", ns_c_in, ns_t_a, msg,
			      sizeof(msg));
	try_res("res_querydomain", "both", ns_t_a, len, msg);
	len = res_nmkquery(&rs, ns_o_query, "four.example.test", ns_c_in,
			   ns_t_a, NULL, 0, NULL, query, sizeof(query));
	len = res_nsend(&rs, query, len, msg, sizeof(msg));
	try_res("res_nsend", "four", ns_t_a, len, msg);
	len = res_query("big.example.test", ns_c_in, ns_t_txt, msg, 65536);
	try_res("res_query", "big", ns_t_txt, len, msg);
	res_nclose(&rs);
}

/* --- many at once --- */

#define NUM_THREADS 16
#define NUM_ROUNDS 20

static void *thread(void *arg)
{
	long wrong = 0;

	for (int i = 0; i < NUM_ROUNDS; i++) {
		struct addrinfo *res = NULL,
				hints = {.ai_family = AF_INET,
					 .ai_socktype = SOCK_DGRAM};
		const char *name =
			i % 2 ? "four.example.test" : "alias.example.test";
		int r = getaddrinfo(name, "53", &hints, &res);

		if (r ||
		    strcmp(text_of(res->ai_addr), "10.77.0.21 port 53") != 0)
			wrong++;
		if (!r)
			freeaddrinfo(res);
	}
	return (void *)wrong;
}

static void all_threads(void)
{
	pthread_t t[NUM_THREADS];
	long wrong = 0;

	for (int i = 0; i < NUM_THREADS; i++)
		pthread_create(&t[i], NULL, thread, NULL);
	for (int i = 0; i < NUM_THREADS; i++) {
		void *ret;

		pthread_join(t[i], &ret);
		wrong += (long)ret;
	}
	printf("%d threads, %d lookups each, %ld wrong\n", NUM_THREADS,
	       NUM_ROUNDS, wrong);
}

/* --- later --- */

static volatile sig_atomic_t num_signals;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	num_signals += info->si_value.sival_int;
}

static void say_requests(struct gaicb *const *list, int num)
{
	for (int i = 0; i < num; i++) {
		int r = list[i] ? gai_error(list[i]) : 0;

		printf("\t%s: %s%s%s\n", list[i] ? list[i]->ar_name : "-",
		       eai(r), r || !list[i] ? "" : " ",
		       r || !list[i] ? ""
				     : text_of(list[i]->ar_result->ai_addr));
		if (list[i] && !r)
			freeaddrinfo(list[i]->ar_result);
	}
}

static void all_later(void)
{
	static const char *const later[] = {"four.example.test", "10.77.0.9",
					    "nowhere.invalid", "filedual",
					    "none.example.test"};
	struct addrinfo hints = {.ai_family = AF_INET,
				 .ai_socktype = SOCK_STREAM};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL,
			      .sigev_signo = SIGUSR1,
			      .sigev_value.sival_int = 7};
	struct sigaction sa = {.sa_sigaction = on_signal,
			       .sa_flags = SA_SIGINFO};
	struct gaicb requests[6] = {0}, *list[6] = {0};
	sigset_t block, old;
	int r;

	for (int i = 0; i < 5; i++) {
		requests[i].ar_name = later[i];
		requests[i].ar_service = "80";
		requests[i].ar_request = &hints;
		list[i] = &requests[i];
	}
	printf("getaddrinfo_a and waits: %s\n",
	       eai(getaddrinfo_a(GAI_WAIT, list, 6, NULL)));
	say_requests(list, 6);
	printf("gai_suspend: %d, gai_cancel: %d\n",
	       gai_suspend((void *)list, 6, NULL) == EAI_ALLDONE,
	       gai_cancel(list[0]) == EAI_ALLDONE);

	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	printf("getaddrinfo_a: %s\n",
	       eai(getaddrinfo_a(GAI_NOWAIT, list, 6, &ev)));
	while ((r = gai_suspend((void *)list, 6, NULL)) == 0)
		continue;
	while (!num_signals)
		sigsuspend(&old);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	printf("all done: %d, signal with %d\n", r == EAI_ALLDONE,
	       (int)num_signals);
	say_requests(list, 6);
	errno = 0;
	r = getaddrinfo_a(77, list, 6, NULL);
	printf("bad mode: %s %s\n", eai(r), strerrorname_np(errno));
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && strcmp(argv[1], "threads") == 0) {
		all_threads();
		return 0;
	}
	if (argc > 2 && strcmp(argv[1], "one") == 0) {
		try_ai(argv[2], NULL,
		       &(struct addrinfo){.ai_socktype = SOCK_STREAM});
		return 0;
	}
	if (argc > 2) {
		for (int i = 2; i < argc; i++) {
			struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
						 .ai_flags = AI_CANONNAME};

			try_ai(argv[i], NULL, &hints);
			hints.ai_family = AF_INET;
			try_ai(argv[i], NULL, &hints);
			hints.ai_family = AF_INET6;
			try_ai(argv[i], NULL, &hints);
			try_host("gethostbyname", argv[i],
				 gethostbyname(argv[i]));
			try_host_r(argv[i], AF_INET, 8192);
		}
		return 0;
	}
	all_ai();
	all_hosts();
	all_addrs();
	all_res();
	all_later();
	return 0;
}
