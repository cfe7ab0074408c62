/* SPDX-License-Identifier: MIT
 *
 * packetdrill-tool.c - ip, tc and sysctl, as a packetdrill script calls them
 *
 * bench/packetdrill puts it first in PATH under these names. `ip` and `tc` hand
 * their words to the stack under test, which listens in the script's namespace
 * (stack/edge/packetdrill_ask.c): routes, queueing disciplines and the flushing
 * of cookies are then its own. What is not for it, the command of that name
 * behind us in PATH does. `sysctl` writes into /proc/sys, and what the
 * kernel refuses and the stack knows into $TCPSHIM_SYSCTL_DIR, where that looks
 * first.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ASK_NAME "tcpshim-packetdrill"

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The words, a line each; true: the stack has done it. */
static int asked(char **argv)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char text[2048] = "", sign = '-';
	size_t len = 0;

	memcpy(sun.sun_path + 1, ASK_NAME, sizeof(ASK_NAME) - 1);
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&sun,
		    offsetof(struct sockaddr_un, sun_path) + sizeof(ASK_NAME)))
		return 0;
	for (char **w = argv; *w && len < sizeof(text); w++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s\n",
					w == argv ? base_of(*w) : *w);
	if (len < sizeof(text) && write(fd, text, len) == (ssize_t)len &&
	    shutdown(fd, SHUT_WR) == 0 && read(fd, &sign, 1) != 1)
		sign = '-';
	close(fd);
	return sign == '+';
}

/* The next of our name in PATH. */
static int run_real(char **argv)
{
	char *path = getenv("PATH"), file[4096], self[4096], real[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = 0;
	path = strdup(path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
	for (char *dir = strtok(path, ":"); dir; dir = strtok(NULL, ":")) {
		snprintf(file, sizeof(file), "%s/%s", dir, base_of(argv[0]));
		if (realpath(file, real) && strcmp(real, self) &&
		    access(file, X_OK) == 0)
			execv(file, argv);
	}
	fprintf(stderr, "%s: %s\n", argv[0], strerror(ENOENT));
	return 127;
}

/* A file of @dir for the setting: with dots for the stack, with slashes for the
 * kernel. */
static int put(const char *dir, const char *setting, char from, char to)
{
	const char *eq = strchr(setting, '=');
	char file[4096];
	FILE *f;
	int ok;

	snprintf(file, sizeof(file), "%s/%.*s", dir, (int)(eq - setting),
		 setting);
	for (char *p = file + strlen(dir) + 1; *p; p++)
		if (*p == from)
			*p = to;
	if (eq[1] == 0)
		return unlink(file) == 0;
	f = fopen(file, "w");
	if (!f)
		return 0;
	ok = fprintf(f, "%s\n", eq + 1) > 0;
	return (fclose(f) == 0) & ok;
}

static int forget(const char *dir, const char *setting)
{
	char name[4096];

	snprintf(name, sizeof(name), "%.*s", (int)(strcspn(setting, "=") + 1),
		 setting);
	return put(dir, name, '/', '.');
}

static int is_known(const char *setting)
{
	char name[256];
	char *words[] = {(char *)"sysctl", name, NULL};

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(setting, "="),
		 setting);
	for (char *p = name; *p; p++)
		if (*p == '/')
			*p = '.';
	return asked(words);
}

static int sysctl(char **argv)
{
	const char *dir = getenv("TCPSHIM_SYSCTL_DIR");
	int status = 0, num = 0;

	for (char **w = argv + 1; *w; w++) {
		if (**w == '-' || !strchr(*w, '='))
			continue;
		num++;
		if (put("/proc/sys", *w, '.', '/')) {
			if (dir)
				forget(dir, *w);
		} else if (!dir || !is_known(*w) || !put(dir, *w, '/', '.')) {
			status = 1;
		}
	}
	return num ? status : run_real(argv);
}

int main(int argc, char **argv)
{
	unsetenv("LD_PRELOAD");
	if (argc > 0 && strcmp(base_of(argv[0]), "sysctl") == 0)
		return sysctl(argv);
	return asked(argv) ? 0 : run_real(argv);
}
