/* SPDX-License-Identifier: MIT
 *
 * spawned.c - sockets across posix_spawn() with file actions, vfork() from
 * threads, popen(), daemon(), double forks, sessions: which numbers the other
 * program has, and that what it was not given is not held open by it
 */
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "t.h"

extern char **environ;
static char *self;

/* --- what this program is when it is started as another one --- */

/* A letter for each of the numbers up to 15: s socket, p pipe, - closed, ... */
static int numbers(int out)
{
	char text[32] = "";
	struct stat st;

	for (int fd = 0; fd < 16; fd++) {
		int m = fstat(fd, &st) < 0 ? 0 : (int)(st.st_mode & S_IFMT);

		text[fd] = m == S_IFSOCK ? 's' : m ? 'f' : '-';
		if (fd == 1 || fd == 2) /* what the test was started with */
			text[fd] = m == S_IFSOCK ? 's' : '.';
	}
	dprintf(out, "%s\n", text);
	return 0;
}

static int other_program(char **argv)
{
	const char *what = argv[1];
	int a = atoi(argv[2]), b = atoi(argv[3]);
	struct t_addr addr = {.len = sizeof(addr.ss)};

	if (!strcmp(what, "echo"))
		return t_echo_all(a, b);
	if (!strcmp(what, "numbers"))
		return numbers(a);
	if (!strcmp(what, "accept")) {
		int fd = accept(a, NULL, NULL);

		return fd < 0 ? 3 : t_echo_all(fd, fd);
	}
	if (!strcmp(what, "name")) /* what is it? */
		return getpeername(a, &addr.sa, &addr.len) < 0
			       ? errno == ENOTSOCK ? 40 : 41
		       : addr.sa.sa_family == AF_INET  ? 4
		       : addr.sa.sa_family == AF_INET6 ? 6
						       : 42;
	if (!strcmp(what, "wait")) /* until its input ends */
		return read(a, (char[1]){0}, 1) == 0 ? 0 : 5;
	return 9;
}

/* --- tests --- */

static void say_exit(const char *label, pid_t pid)
{
	int status = 0;

	MUST(waitpid(pid, &status, 0));
	say("%s: %s %d", label, WIFSIGNALED(status) ? "signal" : "exit",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static pid_t start(const char *what, int a, int b,
		   posix_spawn_file_actions_t *actions,
		   const posix_spawnattr_t *attr)
{
	char x[12], y[12], word[16];
	char *argv[] = {self, word, x, y, NULL};
	pid_t pid = -1;

	snprintf(word, sizeof(word), "%s", what);
	snprintf(x, sizeof(x), "%d", a);
	snprintf(y, sizeof(y), "%d", b);
	fflush(stdout);
	errno = posix_spawn(&pid, self, actions, attr, argv, environ);
	if (errno)
		say("posix_spawn: %s", t_err(errno));
	return pid;
}

static void renumbered(const struct t_fam *f)
{
	posix_spawn_file_actions_t a;
	int fd, other;
	pid_t pid;

	say("adddup2 to itself takes the mark away");
	fd = t_connected(f, 0);
	MUST(fcntl(fd, F_SETFD, FD_CLOEXEC));
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, fd, fd);
	pid = start("echo", fd, fd, &a, NULL);
	close(fd);
	t_echoed();
	say_exit("program", pid);
	posix_spawn_file_actions_destroy(&a);

	say("over another socket's number");
	fd = t_connected(f, 0);
	other = t_connected(f, 1);
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, fd, other);
	posix_spawn_file_actions_addclose(&a, fd);
	pid = start("echo", other, other, &a, NULL);
	close(fd);
	CALL(send(other, "\0\1", 2, 0));
	peer("recv 1 2");
	close(other);
	peer("end 1"); /* the program has no copy of it */
	peer("close 1");
	t_echoed();
	say_exit("program", pid);
	posix_spawn_file_actions_destroy(&a);

	say("exchanged");
	fd = t_connected(f, 0);
	other = t_connected(f, 1);
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, fd, 12);
	posix_spawn_file_actions_adddup2(&a, other, fd);
	posix_spawn_file_actions_adddup2(&a, 12, other);
	posix_spawn_file_actions_addclose(&a, 12);
	pid = start("echo", fd, other, &a, NULL);
	close(fd);
	close(other);
	peer("send 1 300"); /* read from what was @other, written to @fd */
	peer("shut 1 1");
	peer("recv 0 300");
	peer("end 0");
	peer("end 1");
	peer("close 0");
	peer("close 1");
	say_exit("program", pid);
	posix_spawn_file_actions_destroy(&a);
}

static void to_standard(const struct t_fam *f)
{
	posix_spawn_file_actions_t a;
	posix_spawnattr_t attr;
	sigset_t set;
	int fd, lfd;
	pid_t pid;

	say("as 0 and 1, the rest closed, a session of its own");
	fd = t_connected(f, 0);
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, fd, 0);
	posix_spawn_file_actions_adddup2(&a, fd, 1);
	posix_spawn_file_actions_addclosefrom_np(&a, 3);
	posix_spawnattr_init(&attr);
	sigfillset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID |
						POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigdefault(&attr, &set);
	pid = start("echo", 0, 1, &a, &attr);
	close(fd);
	t_echoed();
	say_exit("program", pid);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&a);

	say("its numbers, to the peer");
	fd = t_connected(f, 0);
	MUST(fcntl(fd, F_SETFD, FD_CLOEXEC));
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_addopen(&a, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&a, fd, 9);
	posix_spawn_file_actions_addchdir_np(&a, "/");
	pid = start("numbers", 1, 0, &a, NULL);
	say_exit("program", pid);
	pid = start("name", 9, 0, &a, NULL);
	say_exit("what 9 is", pid);
	posix_spawn_file_actions_destroy(&a);
	pid = start("name", fd, 0, NULL, NULL);
	say_exit("what was marked", pid);
	close(fd);
	peer("end 0");
	peer("close 0");

	say("a listener as 0");
	lfd = t_listener(f, 4);
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, lfd, 0);
	posix_spawn_file_actions_addclose(&a, lfd);
	pid = start("accept", 0, 0, &a, NULL);
	peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
	close(lfd);
	t_echoed();
	say_exit("program", pid);
	posix_spawn_file_actions_destroy(&a);
}

static void that_fails(const struct t_fam *f)
{
	posix_spawn_file_actions_t a;
	int fd = t_connected(f, 0);

	say("a spawn that fails harms nothing");
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, 77, 3);
	start("echo", 0, 0, &a, NULL);
	posix_spawn_file_actions_destroy(&a);
	errno = posix_spawn(&(pid_t){0}, "/nonexistent", NULL, NULL,
			    (char *[]){"x", NULL}, environ);
	say("posix_spawn: %s", t_err(errno));
	CALL(waitpid(-1, NULL, WNOHANG));
	CALL(send(fd, "\0\1", 2, 0));
	peer("recv 0 2");
	close(fd);
	peer("end 0");
	peer("close 0");
}

/* --- vfork from threads --- */

struct vforker {
	pthread_t tid;
	int fd, status;
};

static void *vforker_main(void *arg)
{
	struct vforker *v = arg;
	char number[12];
	pid_t pid;

	snprintf(number, sizeof(number), "%d", v->fd);
	for (int i = 0; i < 3 && !v->status; i++) {
		pid = vfork();
		if (pid == 0) {
			execl(self, self, "name", number, "0", NULL);
			_exit(127);
		}
		waitpid(pid, &v->status, 0);
		v->status = WEXITSTATUS(v->status) == 4 ||
					    WEXITSTATUS(v->status) == 6
				    ? 0
				    : v->status;
		if (send(v->fd, "x", 1, 0) != 1 ||
		    recv(v->fd, (char[1]){0}, 1, 0) != 1)
			v->status = -1;
	}
	return NULL;
}

static void vforks(const struct t_fam *f)
{
	struct vforker v[4] = {0};

	say("vfork and exec from threads");
	fflush(stdout);
	for (int i = 0; i < 4; i++) {
		v[i].fd = t_connected(f, i);
		peer_quiet("echo %d", i);
	}
	for (int i = 0; i < 4; i++)
		pthread_create(&v[i].tid, NULL, vforker_main, &v[i]);
	for (int i = 0; i < 4; i++) {
		pthread_join(v[i].tid, NULL);
		say("thread %d: %d", i, v[i].status);
		close(v[i].fd);
	}
	peer("join");
	CALL(waitpid(-1, NULL, WNOHANG));
}

/* --- popen --- */

static void popens(const struct t_fam *f)
{
	int fd = t_connected(f, 0), cl = t_connected(f, 1);
	char line[64];
	FILE *p, *q;

	say("popen while connected");
	MUST(fcntl(cl, F_SETFD, FD_CLOEXEC));
	fflush(stdout);
	p = popen("read l; echo \"heard $l\"", "w");
	q = popen("cat; echo done", "r");
	if (!p || !q)
		t_die("popen");
	CALL(send(fd, "\0\1", 2, 0));
	peer("recv 0 2");
	fprintf(p, "word\n");
	CALL(pclose(p));
	while (fgets(line, sizeof(line), q))
		say("said: %s", strtok(line, "\n"));
	CALL(pclose(q));

	say("a command that holds a connection");
	fflush(stdout);
	p = popen("read l; exit 3", "w");
	CALL(close(fd));
	close(cl);
	peer("end 1"); /* that one was marked */
	fprintf(p, "now\n");
	CALL(pclose(p));
	peer("end 0");
	peer("close 0");
	peer("close 1");
}

/* --- far from the parent --- */

/* Runs @fn in a child and waits for all that came of it. */
static void apart(void (*fn)(const struct t_fam *, int), const struct t_fam *f,
		  int lfd)
{
	int p[2];

	MUST(pipe(p));
	fflush(stdout);
	if (MUST(fork()) == 0) {
		close(p[0]);
		fn(f, lfd);
		_exit(0);
	}
	close(p[1]);
	close(lfd);
	t_echoed();
	CALL(read(p[0], (char[1]){0}, 1)); /* all have gone */
	close(p[0]);
	CALL(wait(NULL) > 0);
	CALL(waitpid(-1, NULL, WNOHANG));
}

static void serve_one(int lfd)
{
	int fd = accept(lfd, NULL, NULL);

	t_echo_all(fd, fd);
	close(fd);
}

static void as_daemon(const struct t_fam *f, int lfd)
{
	if (daemon(0, 0) == 0)
		serve_one(lfd);
}

static void double_fork(const struct t_fam *f, int lfd)
{
	if (setsid() < 0 || fork() > 0)
		_exit(0);
	if (setsid() < 0) /* fails for none but a leader */
		_exit(1);
	serve_one(lfd);
}

static void daemon_of_thread(const struct t_fam *f, int lfd);

static void *daemon_main(void *arg)
{
	if (fork() == 0)
		as_daemon(NULL, *(int *)arg);
	return NULL;
}

static void daemon_of_thread(const struct t_fam *f, int lfd)
{
	pthread_t t;

	pthread_create(&t, NULL, daemon_main, &lfd);
	pthread_join(t, NULL);
}

static void daemon_execs(const struct t_fam *f, int lfd)
{
	char number[12];

	if (daemon(1, 1) < 0)
		return;
	snprintf(number, sizeof(number), "%d", lfd);
	execl(self, self, "accept", number, "0", NULL);
}

static void far_away(const struct t_fam *f)
{
	static const struct {
		const char *label;
		void (*fn)(const struct t_fam *f, int lfd);
	} ways[] = {{"daemon after listen", as_daemon},
		    {"two forks, two sessions", double_fork},
		    {"daemon in a thread's child", daemon_of_thread},
		    {"daemon, then another program", daemon_execs}};

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int lfd = t_listener(f, 4);

		say("%s", ways[i].label);
		/* in its queue before anybody accepts */
		peer_quiet("connect 0 %d %d", f->n, t_local_port(lfd));
		apart(ways[i].fn, f, lfd);
	}
}

int main(int argc, char **argv)
{
	if (argc == 4)
		return other_program(argv);
	self = realpath(argv[0], NULL);
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];

		say("-- IPv%d", f->n);
		renumbered(f);
		to_standard(f);
		that_fails(f);
		vforks(f);
		popens(f);
		far_away(f);
	}
	return 0;
}
