/* SPDX-License-Identifier: MIT
 *
 * sysctl.h - tunables under Linux's names (ip-sysctl.rst), one row each
 */
#ifndef TCPSHIM_SYSCTL_H
#define TCPSHIM_SYSCTL_H

#include <stddef.h>
#include <stdint.h>

struct sysctl_values {
#define SYSCTL(id, name, def, lo, hi, text) int64_t id;
#include "sysctl.def"
#undef SYSCTL
};

#define QDISC_FQ                                                    \
	1 /* of default_qdisc, which are words; 0: one without pace \
	   */

extern const struct sysctl_values sysctl_defaults;

/* Sets by Linux's dotted name ("net.ipv4.tcp_retries2"). 0, -ENOENT for an
 * unknown name, -EINVAL for a value that is no number or out of bounds. Takes
 * what Linux writes: "4096 131072 6291456" for tcp_rmem, "cubic" for
 * tcp_congestion_control. */
int sysctl_set(struct sysctl_values *v, const char *name, const char *value);
int sysctl_get(const struct sysctl_values *v, const char *name, int64_t *out);
/* As /proc/sys shows it, words and groups of numbers too, without the end of
 * line. Its length (what does not fit is cut), or -ENOENT. */
#define SYSCTL_MAX_TEXT 128
int sysctl_text(const struct sysctl_values *v, const char *name, char *out,
		size_t len);

#endif
