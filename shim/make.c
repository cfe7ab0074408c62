/* SPDX-License-Identifier: MIT
 *
 * make.c - a host comes into being: its memory, its device, its stack
 *
 * The keeper does this for all its processes; a process without a keeper for
 * itself.
 */
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "edge/pcapfile.h"
#include "host_priv.h"
#include "knobs.h"
#include "sys.h"

#define BUSY_TRIES 100
#define BUSY_NAP (2 * MSEC)
#define MAP_STEP ((size_t)1 << 20)
#define MAP_FIRST (2 * MAP_STEP)
#define MAP_MOST ((size_t)8 << 30)
#define MAP_LEAST ((size_t)64 << 20)

/* Tried in turn: the first passes every sanitizer's own layout. */
static const uintptr_t places[] = {0x567000000000, 0x200000000000,
				   0x300000000000, 0x400000000000};

int host_map(int fd, uintptr_t at, size_t len)
{
	long p = sys(mmap, at, len, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);

	if (p == (long)at) {
		host.sh = (struct shared *)p;
		sys(madvise, p, len, MADV_DONTDUMP);
		repair_init(len);
		return 0;
	}
	if (p < 0 && p >= -4095)
		return (int)p;
	sys(munmap, p, len); /* an old kernel took it for a hint */
	return -EEXIST;
}

static size_t most_memory(void)
{
	struct rlimit r = {0};
	size_t most = MAP_MOST;

	if (sys(prlimit64, 0, RLIMIT_AS, NULL, &r) == 0 &&
	    r.rlim_cur != RLIM_INFINITY)
		most = MIN(most, r.rlim_cur / 4);
	/* past it ftruncate() is SIGXFSZ, death for most programs */
	if (sys(prlimit64, 0, RLIMIT_FSIZE, NULL, &r) == 0 &&
	    r.rlim_cur != RLIM_INFINITY)
		most = MIN(most, r.rlim_cur);
	return most & ~(MAP_STEP - 1);
}

static int map_somewhere(int fd, size_t len)
{
	int r = -EEXIST;

	for (size_t i = 0; r < 0 && i < ARRAY_SIZE(places); i++)
		r = host_map(fd, places[i], len);
	return r;
}

static int map_memory(char *why, size_t len)
{
	size_t most = most_memory();
	int r = -ENOMEM, fd;

	fd = (int)sys(memfd_create, "tcpshim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0)
		fd = fd_make_internal(fd);
	if (fd >= 0 && most >= MAP_LEAST)
		r = (int)sys(ftruncate, fd, MAP_FIRST);
	if (r == 0)
		r = map_somewhere(fd, most);
	if (r < 0) {
		log_snprintf(why, len,
			     "no memory for the stack (error %d); it needs %zu "
			     "MiB of address space and of file size (ulimit "
			     "-v, -f)",
			     fd < 0 ? -fd : -r, MAP_LEAST >> 20);
		return -ENOMEM;
	}
	host.memfd = fd;
	host.can_grow = true;
	host.sh->max = most;
	sys(madvise, host.sh, MAP_FIRST, MADV_POPULATE_WRITE);
	sys(fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK);
	atomic_store(&host.sh->len, MAP_FIRST);
	return 0;
}

static void init_shared(void)
{
	struct shared *sh = host.sh;
	pthread_mutexattr_t at;

	pthread_mutexattr_init(&at);
	pthread_mutexattr_setpshared(&at, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&sh->lock, &at);
	pthread_mutex_init(&sh->grow_lock, &at);
	pthread_mutex_init(&sh->start_lock, &at);
	pthread_mutexattr_destroy(&at);
	list_init(&sh->asleep);
	list_init(&sh->wakes);
	list_init(&sh->free);
	for (unsigned i = 0; i < STACK_MAX_PARTIES; i++) {
		list_init(&sh->parties[i].seats);
		list_init(&sh->parties[i].all);
	}
	sh->parties[PARTY_KEEPER].pid = host.pid;
	sh->sentinel_at = TIME_NEVER;
	sys(getrandom, sh->secret, sizeof(sh->secret), 0);
	sh->now = sys_now();
	sh->tun = host.tun;
	sh->config = knobs_host_hash();
}

static int open_device(char *why, size_t len)
{
	struct tun_cfg cfg = {
		.name = knobs.dev,
		.offload = knobs.offload,
		.mtu = knobs.mtu,
	};
	const struct stack_cfg *sc = &knobs.cfg;
	int r;

	for (unsigned i = 0; i < knobs.num_gateways; i++) {
		const struct ip_addr *gw = &knobs.gateways[i];

		for (unsigned k = 0; k < sc->num_addrs; k++)
			if (ip_addr_in_prefix(gw, &sc->addrs[k].addr,
					      sc->addrs[k].plen)) {
				cfg.peers[cfg.num_peers].addr = *gw;
				cfg.peers[cfg.num_peers++].plen =
					sc->addrs[k].plen;
				break;
			}
	}
	r = tun_open(&host.tun, &cfg, why, len);
	/* a process of the host before us may be on its way out, with a copy */
	for (int i = 0; r == -EBUSY && i < BUSY_TRIES; i++) {
		sys(nanosleep, &(struct timespec){.tv_nsec = BUSY_NAP}, NULL);
		r = tun_open(&host.tun, &cfg, why, len);
	}
	if (r < 0)
		return r;
	host.tun.fd = fd_make_internal(host.tun.fd);
	if (host.tun.fd < 0)
		log_snprintf(why, len,
			     "no file descriptor left for the device");
	return host.tun.fd < 0 ? host.tun.fd : 0;
}

int host_open_log(char *why, size_t len)
{
	int fd;

	host.is_logging = knobs.cfg.log > LOG_WARN;
	if (!knobs.log_file[0])
		return 0;
	fd = (int)sys(openat, AT_FDCWD, knobs.log_file,
		      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd >= 0)
		fd = fd_make_internal(fd);
	if (fd < 0) {
		log_snprintf(why, len,
			     "TCPSHIM_LOG: %s cannot be written: error %d",
			     knobs.log_file, -fd);
		return fd;
	}
	host.log_fd = fd;
	return 0;
}

static int open_capture(char *why, size_t len)
{
	if (!knobs.pcap[0])
		return 0;
	fdtab_fill_low();
	host.pcap = pcapfile_open(knobs.pcap, why, len);
	fdtab_free_low();
	return host.pcap ? 0 : -ENOENT;
}

static void make_seed(uint8_t seed[32])
{
	memset(seed, 0, 32);
	if (knobs.has_seed)
		memcpy(seed, &knobs.seed, sizeof(knobs.seed));
	else if (sys(getrandom, seed, 32, 0) != 32)
		memcpy(seed, &(nsec){sys_now()}, sizeof(nsec));
}

static int make_stack(char *why, size_t len)
{
	struct stack_cfg *cfg = &knobs.cfg;
	struct shared *sh = host.sh;
	uint8_t seed[32];
	struct arena *a;

	make_seed(seed);
	cfg->link.mtu = knobs.mtu && knobs.mtu < host.tun.mtu ? knobs.mtu
							      : host.tun.mtu;
	sh->mtu = cfg->link.mtu;
	/* without vnet_hdr the edge cuts, outside the lock: the same to the
	 * core, which then sends large */
	cfg->link.can_csum = cfg->link.can_tso4 = cfg->link.can_tso6 = true;
	if (!knobs.offload)
		cfg->link.can_csum = cfg->link.can_tso4 = cfg->link.can_tso6 =
			false;
	cfg->link.capture_ring = knobs.pcap[0] ? 1 << 20 : 0;
	memcpy(cfg->dev_name, host.tun.name, sizeof(cfg->dev_name));
	cfg->num_parties = STACK_MAX_PARTIES;
	sh->is_capturing = host.pcap != NULL;
	a = arena_init((char *)sh + SHARED_SIZE, sh->len - SHARED_SIZE,
		       sh->max - SHARED_SIZE);
	if (a)
		arena_share(a);
	if (a)
		host.st = sh->st = stack_new(a, cfg, seed, sh->now);
	if (host.st)
		return 0;
	log_snprintf(why, len,
		     "addresses and routes don't fit each other; look at "
		     "TCPSHIM_ADDR, TCPSHIM_GATEWAY and TCPSHIM_ROUTES");
	return -EINVAL;
}

int host_make(char *why, size_t len)
{
	int r = open_capture(why, len);

	if (r == 0)
		r = open_device(why, len);
	if (r == 0)
		r = map_memory(why, len);
	if (r < 0)
		return r;
	init_shared();
	return make_stack(why, len);
}
