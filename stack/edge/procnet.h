/* SPDX-License-Identifier: MIT
 *
 * procnet.h - tables of /proc/net out of a stack (proc_pid_net(5), and
 * snmp_counter.rst of Linux)
 */
#ifndef TCPSHIM_PROCNET_H
#define TCPSHIM_PROCNET_H

#include "stack.h"

/* The host that is shown, and who looks at it. */
struct procnet {
	/* Taken and let go many times. NULL: there is no stack yet, and nothing
	 * in it. */
	struct stack *(*lock)(void);
	void (*unlock)(void);
	nsec (*now)(void); /* with and without the lock */
	/* of a socket, as stat(2) shows it to this process; 0: not to be told.
	 * No lock is held. */
	unsigned long (*inode)(const struct sock_row *r);
	int (*write)(void *arg, const char *text, size_t len); /* 0, -errno */
	void *arg;
	unsigned uid; /* whose the sockets are */
};

/* Is there a table of that name ("tcp6", "snmp")? */
bool procnet_has(const char *name);
/* Writes all of it. 0, or what @write said when it failed. */
int procnet_print(const struct procnet *h, const char *name);

#endif
