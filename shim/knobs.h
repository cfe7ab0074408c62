/* SPDX-License-Identifier: MIT
 *
 * knobs.h - what the user has set: TCPSHIM_* and the file of TCPSHIM_CONFIG
 */
#ifndef TCPSHIM_KNOBS_H
#define TCPSHIM_KNOBS_H

#include <net/if.h>

#include "stack.h"

#define KNOB_PATH 256
#define KNOB_MAX_PREFIXES 16
#define KNOB_MAX_DNS 8

enum knob_loopback { LOOPBACK_AUTO, LOOPBACK_KERNEL, LOOPBACK_STACK };

struct prefix {
	struct ip_addr net;
	unsigned plen;
};

struct knobs {
	struct stack_cfg cfg; /* addresses, routes, impairment, log level */
	char dev[IFNAMSIZ];
	uint32_t mtu; /* 0: the device's */
	struct ip_addr gateways[IP_MAX_ADDRS];
	unsigned num_gateways;
	struct prefix bypass[KNOB_MAX_PREFIXES];
	unsigned num_bypass;
	struct ip_addr dns[KNOB_MAX_DNS];
	unsigned num_dns; /* 0: names are libc's */
	enum knob_loopback loopback;
	struct impair_cfg impair_in, impair_out;
	struct sysctl_values sysctl;
	bool offload, has_seed, to_kernel, keeper, proc_of_kernel;
	bool is_mirror; /* TCPSHIM_EPOLL */
	uint64_t seed;
	nsec grace; /* of the keeper */
	char pcap[KNOB_PATH], log_file[KNOB_PATH], stats[KNOB_PATH];
};
extern struct knobs knobs;

/* Reads everything, once. 0, or -EINVAL with the variable's name in @why. */
int knobs_load(char *why, size_t len);
/* Alone, since it must be known even if nothing else is right. */
bool knobs_proc_of_kernel(void); /* asked before there is a host */
bool knobs_on_error_kernel(void);
/* Of everything that makes a host what it is: processes that share one should
 * agree. */
uint64_t knobs_host_hash(void);

#endif
