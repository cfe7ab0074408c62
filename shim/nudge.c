/* SPDX-License-Identifier: MIT
 *
 * nudge.c - a thread that has the lock and doesn't let go
 *
 * Stopped by a signal (Ctrl-Z) it would stop everybody. Whoever waits for the
 * lock continues it; it stops itself again when it is out (stop_again() in
 * host.c). One that is debugged is the debugger's; that is said, once, and
 * waited for.
 */
#include "host_priv.h"

#include <stdlib.h>

#include "sys.h"

#define SAY_AFTER 5 /* times that it was found so; one may be a single step */

struct holder {
	int pid, tracer;
	char state;
	char name[32];
};

/* The rest of line @key of /proc/TID/status; NULL: there is none. */
static const char *line_of(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	return p ? p + strlen(key) : NULL;
}

static bool look_at(int tid, struct holder *h)
{
	char path[32], buf[1024];
	const char *p;
	long fd, n;

	*h = (struct holder){0};
	log_snprintf(path, sizeof(path), "/proc/%d/status", tid);
	fd = sys(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	n = fd < 0 ? fd : sys(read, fd, buf, sizeof(buf) - 1);
	if (fd >= 0)
		sys(close, fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	p = line_of(buf, "Name:\t");
	for (size_t i = 0; p && p[i] && p[i] != '\n'; i++)
		if (i < sizeof(h->name) - 1)
			h->name[i] = p[i];
	p = line_of(buf, "\nTgid:\t");
	h->pid = p ? atoi(p) : 0;
	p = line_of(buf, "\nTracerPid:\t");
	h->tracer = p ? atoi(p) : 0;
	p = line_of(buf, "\nState:\t");
	h->state = p ? *p : 0;
	return h->pid != 0;
}

static bool is_holder(int tid)
{
	return (host.sh->lock.__data.__lock & FUTEX_TID_MASK) == tid;
}

static void say_debugged(int tid, const struct holder *h)
{
	uint32_t was = atomic_load(&host.sh->debugged);
	char line[128];
	size_t n;

	/* the keeper has no standard error */
	if (host.log_fd < 0 || was == (uint32_t)tid ||
	    !atomic_compare_exchange_strong(&host.sh->debugged, &was,
					    (uint32_t)tid))
		return;
	n = log_snprintf(line, sizeof(line),
			 "tcpshim: process %d (%s) is being debugged, by %d, "
			 "and has the lock: everybody waits\n",
			 h->pid, h->name, h->tracer);
	sys(write, host.log_fd, line, n);
}

void host_nudge(unsigned num_times)
{
	int tid = host.sh->lock.__data.__lock & FUTEX_TID_MASK;
	uint32_t none = 0;
	struct holder h;

	if (!tid || !look_at(tid, &h) || !is_holder(tid))
		return;
	if (h.state == 't' && h.tracer && num_times >= SAY_AFTER)
		say_debugged(tid, &h);
	if (h.state != 'T')
		return;
	atomic_compare_exchange_strong(&host.sh->stops_again, &none,
				       (uint32_t)tid);
	sys(kill, h.pid, SIGCONT);
}
