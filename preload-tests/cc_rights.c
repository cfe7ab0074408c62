/* SPDX-License-Identifier: MIT
 *
 * cc_rights.c - TCP_CONGESTION with and without CAP_NET_ADMIN: which may be
 *	    chosen is the host's business, so no names but reno's are told
 */
#include <linux/capability.h>
#include <sys/syscall.h>

#include "t.h"

static bool has_line(const char *file, const char *word)
{
	char path[80], line[256] = "", *save = NULL;
	FILE *f;
	bool has = false;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", file);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (fgets(line, sizeof(line), f))
		for (char *w = strtok_r(line, " \n", &save); w;
		     w = strtok_r(NULL, " \n", &save))
			has |= strcmp(w, word) == 0;
	fclose(f);
	return has;
}

/* Is there one here that is not for everybody? */
static bool kernel_restricts(void)
{
	static const char *const names[] = {"cubic", "bbr", "dctcp"};

	for (unsigned i = 0; i < 3; i++)
		if (has_line("tcp_available_congestion_control", names[i]) &&
		    !has_line("tcp_allowed_congestion_control", names[i]))
			return true;
	return false;
}

static void set_admin(bool on)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];

	MUST(syscall(SYS_capget, &h, d));
	d[0].effective &= ~(1u << CAP_NET_ADMIN);
	d[0].effective |= (unsigned)on << CAP_NET_ADMIN;
	MUST(syscall(SYS_capset, &h, d));
}

static int choose(int fd, const char *cc)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc,
			  (socklen_t)strlen(cc));
}

/* How many of those that there are this thread may not choose. */
static unsigned num_refused(void)
{
	static const char *const names[] = {"cubic", "bbr", "dctcp"};
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	unsigned n = 0;

	for (unsigned i = 0; i < 3; i++)
		n += choose(fd, names[i]) < 0 && errno == EPERM;
	close(fd);
	return n;
}

int main(void)
{
	int fd;

	t_init();
	fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	say("root is refused %u", num_refused());
	set_admin(false);
	CALL(choose(fd, "reno"));
	CALL(choose(fd, "nonesuch"));
	if (kernel_restricts())
		say("without the capability some are: %d", num_refused() > 0);
	set_admin(true);
	say("with it again %u", num_refused());
	close(fd);
	return 0;
}
