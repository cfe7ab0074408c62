/* SPDX-License-Identifier: MIT
 *
 * Streams that are signed (TCP-AO) over bad networks: keys change every few
 * round trips, in both directions, while segments of the one before are in
 * flight, lost, late or there twice. None is taken for a forgery.
 */
#include <criterion/criterion.h>
#include <netinet/tcp.h>

#include "edge/netsim.h"
#include "sock/uapi.h"

#define LIMIT (3600 * SEC)
#define NUM_KEYS 3

static struct netsim *ns;
static const char *peers; /* prefix that all are in */
static const char *alg;
static bool has_md5; /* instead */

static void add_key(struct stack *st, sockid s, uint8_t id, nsec now)
{
	struct uapi_ao_add k = {.sndid = id, .rcvid = id, .keylen = 4};

	netsim_addr(peers, 0, &k.addr);
	k.prefix = k.addr.ss_family == AF_INET ? 24 : 64;
	memcpy(k.alg_name, alg, strlen(alg));
	memcpy(k.key, "key", 3);
	k.key[3] = id;
	k.maclen = (uint8_t)(8 + 4 * (id % 3)); /* 12, 16, 8 bytes */
	cr_assert(sock_setopt(st, s, IPPROTO_TCP, TCP_AO_ADD_KEY, &k, sizeof(k),
			      now) == 0);
}

static void set_up(struct stack *st, sockid s, nsec now)
{
	struct tcp_md5sig m = {.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX,
			       .tcpm_keylen = 3,
			       .tcpm_key = "key"};

	netsim_addr(peers, 0, &m.tcpm_addr);
	m.tcpm_prefixlen = m.tcpm_addr.ss_family == AF_INET ? 24 : 64;
	if (has_md5)
		cr_assert(sock_setopt(st, s, IPPROTO_TCP, TCP_MD5SIG_EXT, &m,
				      sizeof(m), now) == 0);
	for (uint8_t id = 1; id <= NUM_KEYS && !has_md5; id++)
		add_key(st, s, id, now);
}

/* Each end asks for its next key. Not once it is closed. */
static void rotate(unsigned turn)
{
	for (unsigned i = 0; i < netsim_num_streams(ns); i++) {
		const struct netsim_stream *e = netsim_stream(ns, i);
		struct uapi_ao_info v = {.set_rnext = 1};

		v.rnext = (uint8_t)(1 + (turn + i) % NUM_KEYS);
		if (e->is_open && !e->is_closed)
			cr_assert(sock_setopt(netsim_stack(ns, e->host), e->s,
					      IPPROTO_TCP, TCP_AO_INFO, &v,
					      sizeof(v), netsim_now(ns)) == 0);
	}
}

static void stream(uint64_t seed, const char *impair, const char *to)
{
	struct netsim_host_cfg cfg = {.impair = impair,
				      .delay = 5 * MSEC,
				      .offload = seed & 1,
				      .rate = 100000000,
				      .queue = 1 << 20};
	struct netsim_stream_cfg sc = {.seed = seed,
				       .to_server = 300000,
				       .to_client = 300000,
				       .set_up = set_up};
	unsigned turns = 0;

	ns = netsim_new(seed, true);
	cfg.addr4 = "10.0.0.1";
	cfg.addr6 = "fd00::1";
	cr_assert(netsim_add_host(ns, &cfg) == 0);
	cfg.addr4 = "10.0.0.2";
	cfg.addr6 = "fd00::2";
	cr_assert(netsim_add_host(ns, &cfg) == 1);
	cr_assert(netsim_listen(ns, 1, to, 80, &sc) == 0);
	cr_assert(netsim_connect(ns, 0, to, 80, &sc) == 0);
	while (netsim_run(ns, netsim_now(ns) + 7 * MSEC, netsim_all_closed,
			  ns) == NETSIM_TIME &&
	       netsim_now(ns) < LIMIT)
		if (!has_md5)
			rotate(turns++);
	cr_assert(netsim_all_well(ns));
	cr_assert(has_md5 || turns > 5);
	for (int i = 0; i < 2; i++) {
		const struct stats *st = stack_stats(netsim_stack(ns, i));

		cr_assert(has_md5 || st->v[STAT_TcpExtTCPAOGood] > 200);
		cr_assert(!st->v[STAT_TcpExtTCPAOBad]);
		cr_assert(!st->v[STAT_TcpExtTCPAOKeyNotFound]);
		cr_assert(!st->v[STAT_TcpExtTCPAORequired]);
		cr_assert(!st->v[STAT_TcpExtTCPMD5Failure]);
		cr_assert(!st->v[STAT_TcpExtTCPMD5NotFound]);
	}
	netsim_unlisten(ns, 1);
	cr_assert(netsim_run(ns, netsim_now(ns) + LIMIT, NULL, NULL) ==
		  NETSIM_IDLE);
	netsim_free(ns);
}

static void all_networks(void)
{
	static const char *const bad[] = {
		NULL,
		"in: loss 5%",
		"in: delay 3ms reorder 25%",
		"in: duplicate 5%",
		"loss 3% delay 10ms 3ms reorder 10% duplicate 1% corrupt 0.5%",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		peers = "10.0.0.0";
		stream(i, bad[i], "10.0.0.2");
		peers = "fd00::";
		stream(i + 10, bad[i], "fd00::2");
	}
}

Test(ao_net, keys_change_while_all_goes_wrong)
{
	alg = "hmac(sha1)";
	all_networks();
	alg = "cmac(aes128)";
	all_networks();
}

Test(ao_net, the_same_with_md5_and_one_key)
{
	has_md5 = true;
	all_networks();
}
