/* SPDX-License-Identifier: MIT
 *
 * procfs.h - files of /proc whose content is the stack's
 *
 * /proc/sys/net/... for each sysctl of the stack, and tables of /proc/net
 * (proc_pid_net(5), ip-sysctl.rst and snmp_counter.rst of Linux).
 */
#ifndef TCPSHIM_PROCFS_H
#define TCPSHIM_PROCFS_H

#include <stdbool.h>
#include <stddef.h>

#define PROCFS_MAX_NAME 96

enum procfs_kind { PROCFS_NOT_OURS, PROCFS_SYSCTL, PROCFS_TABLE };

/* What @path names. @name: the sysctl, dotted, or the table. Needs no host. */
enum procfs_kind procfs_find(const char *path, char name[PROCFS_MAX_NAME]);

/* Writes the content to @fd, from where it stands. 0 or -errno. The host is
 * up, no lock is held. */
int procfs_write(int fd, enum procfs_kind kind, const char *name);

#endif
