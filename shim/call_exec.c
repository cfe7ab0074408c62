/* SPDX-License-Identifier: MIT
 *
 * call_exec.c - becoming another program, and starting one
 *
 * A program keeps the host across exec if it keeps the library: what the
 * environment said about us when we were loaded is put back into one that was
 * cleaned (sshd, sudo, cron). LD_PRELOAD set to something else, also to
 * nothing, is somebody's will and stays.
 *
 * A socket without FD_CLOEXEC is handed down as its near end. That there may be
 * one is said in TCPSHIM_INHERIT; the constructor of the next program looks at
 * its descriptors then, and at standard input, output and error in any case,
 * since whoever put a socket there may not have been able to say so.
 *
 * What copies descriptors without the handlers of fork() is noted, since a
 * socket that may have copies is not closed by us (fdtab.c).
 */
#include <dlfcn.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "call_priv.h"
#include "forks.h"
#include "host_priv.h"
#include "join.h"
#include "real.h"
#include "sys.h"
#include "target.h"

#define MAX_ARGS 1024 /* more are rare, and get memory of their own */
#define MAX_SAVED 32
#define UNSEEN_MOST 256u

extern char **environ;

static char preload[] EVERY_RUN_DATA = "LD_PRELOAD=";
static char prefix[] EVERY_RUN_DATA = "TCPSHIM_";
static char inherit[] EVERY_RUN_DATA = "TCPSHIM_INHERIT=";

/* What the environment said at the start. The strings there may be written over
 * (setproctitle). */
static char more_text[8192]; /* what the first few bytes don't hold */
static struct {
	unsigned num;
	size_t used, more_used;
	char *v[MAX_SAVED];
	char text[384];
} saved EVERY_RUN_DATA = {.num = 0};

static size_t name_len(const char *var)
{
	return strcspn(var, "=") + 1;
}

EVERY_RUN static bool is_ours(const char *var)
{
	return !strncmp(var, preload, sizeof(preload) - 1) ||
	       !strncmp(var, prefix, sizeof(prefix) - 1);
}

EVERY_RUN static char *room_for(size_t len)
{
	char *p = NULL;

	if (saved.used + len <= sizeof(saved.text)) {
		p = saved.text + saved.used;
		saved.used += len;
	} else if (saved.more_used + len <= sizeof(more_text)) {
		p = more_text + saved.more_used;
		saved.more_used += len;
	}
	return p;
}

EVERY_RUN static void save(const char *var)
{
	size_t len = strlen(var) + 1;
	char *p = saved.num < MAX_SAVED ? room_for(len) : NULL;

	if (p)
		saved.v[saved.num++] = memcpy(p, var, len);
}

char *const *exec_saved(unsigned *num)
{
	*num = saved.num;
	return saved.v;
}

bool exec_has_var(char *const *envp, const char *var)
{
	size_t n = name_len(var);

	for (; *envp; envp++)
		if (!strncmp(*envp, var, n))
			return true;
	return false;
}

/* --- lists of strings --- */

struct strings {
	char *few[MAX_ARGS];
	char **v;
	size_t num, max, mapped;
	char inherit[sizeof(inherit) + 12]; /* room for that variable */
};

/* 0 or -ENOMEM. */
static int strings_init(struct strings *s, size_t max)
{
	long p;

	s->v = s->few;
	s->num = 0;
	s->max = MAX_ARGS;
	s->mapped = 0;
	if (max < MAX_ARGS)
		return 0;
	s->max = max + 1;
	s->mapped = s->max * sizeof(char *);
	p = sys(mmap, NULL, s->mapped, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p >= -4095)
		return -ENOMEM;
	s->v = (char **)p;
	return 0;
}

static void strings_add(struct strings *s, char *text)
{
	if (s->num + 1 < s->max)
		s->v[s->num++] = text;
	s->v[s->num] = NULL;
}

static void strings_fini(struct strings *s)
{
	if (s->mapped)
		sys(munmap, s->v, s->mapped);
}

static size_t count(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

/* Below which number may sockets be handed down? What a child that shares our
 * memory, or posix_spawn(), does to its numbers is not seen. */
static unsigned num_handed_down(unsigned unseen)
{
	return MAX(fd_highest() + 1,
		   host.pid == (int)sys(getpid) ? unseen : UNSEEN_MOST);
}

/* The environment of the next program, in @s. */
static int make_env(struct strings *s, char *const *envp, unsigned unseen)
{
	static char *const none[] = {NULL};
	int r = strings_init(s, count(envp) + MAX_SAVED + 1);

	if (r < 0)
		return r;
	if (!envp)
		envp = none;
	s->v[0] = NULL;
	for (char *const *e = envp; *e; e++)
		strings_add(s, *e);
	for (unsigned i = 0; i < saved.num; i++)
		if (!exec_has_var(envp, saved.v[i]))
			strings_add(s, saved.v[i]);
	if (fdtab_may_hand_down() && !exec_has_var(envp, inherit)) {
		log_snprintf(s->inherit, sizeof(s->inherit), "%s%u", inherit,
			     num_handed_down(unseen));
		strings_add(s, s->inherit);
	}
	return 0;
}

/* Is the next program to be preloaded? Who cleared it wants it so. */
static bool is_preloaded(const struct strings *env)
{
	for (char *const *e = env->v; *e; e++)
		if (!strncmp(*e, preload, sizeof(preload) - 1))
			return (*e)[sizeof(preload) - 1] != '\0';
	return false;
}

/* --- exec --- */

/* Other threads of ours must not be in the lock when they are ended. A vfork
 * child is not us, and has no other threads. */
static bool is_us(void)
{
	return host_is_up() && host.pid == (int)sys(getpid) &&
	       host_has_joined();
}

/* What surrounds a call that ends the program, if all goes well. */
struct become {
	struct strings env;
	bool us;
};

/* 0 or -ENOMEM. */
static int become_begin(struct become *b, char *const envp[],
			void (*warn)(const char *), const char *name)
{
	b->us = is_us();
	if (make_env(&b->env, envp, 0) < 0)
		return -ENOMEM;
	if (warn && is_preloaded(&b->env))
		warn(name);
	if (b->us)
		host_exec_before();
	return 0;
}

/* It did not: @r is what it said. */
static int become_failed(struct become *b, int r)
{
	if (b->us)
		host_exec_failed();
	strings_fini(&b->env);
	return r;
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	struct become b;

	if (become_begin(&b, envp, target_warn, path) < 0)
		return (int)shim_ret(-ENOMEM);
	return become_failed(&b, real.execve(path, argv, b.env.v));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	struct become b;

	if (become_begin(&b, envp, target_warn_file, file) < 0)
		return (int)shim_ret(-ENOMEM);
	return become_failed(&b, real.execvpe(file, argv, b.env.v));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	struct become b;

	if (become_begin(&b, envp, NULL, NULL) < 0)
		return (int)shim_ret(-ENOMEM);
	return become_failed(&b, real.fexecve(fd, argv, b.env.v));
}

EXPORT int execveat(int dir, const char *path, char *const argv[],
		    char *const envp[], int flags)
{
	struct become b;

	if (become_begin(&b, envp, NULL, NULL) < 0)
		return (int)shim_ret(-ENOMEM);
	return become_failed(&b,
			     real.execveat(dir, path, argv, b.env.v, flags));
}

/* The arguments of execl() and its relatives, up to NULL; then perhaps an
 * environment. */
static int make_args(struct strings *s, const char *first, va_list ap)
{
	va_list twice;
	size_t num = 1;
	int r;

	va_copy(twice, ap);
	while (va_arg(twice, char *))
		num++;
	va_end(twice);
	r = strings_init(s, num + 1);
	if (r < 0)
		return r;
	s->v[0] = NULL;
	for (char *arg = (char *)(uintptr_t)first; arg;
	     arg = va_arg(ap, char *))
		strings_add(s, arg);
	return 0;
}

EXPORT int execl(const char *path, const char *arg, ...)
{
	struct strings args;
	va_list ap;
	int r;

	va_start(ap, arg);
	r = make_args(&args, arg, ap);
	va_end(ap);
	if (r < 0)
		return (int)shim_ret(r);
	r = execve(path, args.v, environ);
	strings_fini(&args);
	return r;
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	struct strings args;
	va_list ap;
	int r;

	va_start(ap, arg);
	r = make_args(&args, arg, ap);
	va_end(ap);
	if (r < 0)
		return (int)shim_ret(r);
	r = execvpe(file, args.v, environ);
	strings_fini(&args);
	return r;
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	struct strings args;
	char *const *envp;
	va_list ap;
	int r;

	va_start(ap, arg);
	r = make_args(&args, arg, ap);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	if (r < 0)
		return (int)shim_ret(r);
	r = execve(path, args.v, envp);
	strings_fini(&args);
	return r;
}

/* --- starting one --- */

typedef int (*spawn_fn)(pid_t *pid, const char *path,
			const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[],
			char *const envp[]);

static int spawn(spawn_fn fn, pid_t *pid, const char *path,
		 const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr, char *const argv[],
		 char *const envp[])
{
	struct strings env;
	int r = make_env(&env, envp, actions ? UNSEEN_MOST : 0);

	if (r < 0)
		return -r;
	if (is_preloaded(&env))
		target_warn_file(path);
	fork_copied();
	r = fn(pid, path, actions, attr, argv, env.v);
	strings_fini(&env);
	return r;
}

EXPORT int posix_spawn(pid_t *pid, const char *path,
		       const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[],
		       char *const envp[])
{
	return spawn(real.posix_spawn, pid, path, actions, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file,
			const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[],
			char *const envp[])
{
	return spawn(real.posix_spawnp, pid, file, actions, attr, argv, envp);
}

EXPORT int system(const char *command)
{
	fork_copied();
	return real.system(command);
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	fork_copied();
	return real.popen(command, mode);
}

/* vfork() returns twice, the first time over the frames of whoever called it:
 * no function of ours can stand in between. */
void *exec_before_vfork(void) __attribute__((visibility("hidden"), used));

void *exec_before_vfork(void)
{
	static _Atomic(void *) libc;
	void *p = atomic_load(&libc);

	fork_copied();
	heirs_join(); /* the child can't */
	if (!p) {
		p = dlsym(RTLD_NEXT, "vfork");
		atomic_store(&libc, p);
	}
	return p;
}

#if defined(__x86_64__)
#define VFORK_BODY                  \
	"	sub $8, %rsp\n"           \
	"	call exec_before_vfork\n" \
	"	add $8, %rsp\n"           \
	"	jmp *%rax\n"
#else
#define VFORK_BODY                     \
	"	stp x29, x30, [sp, #-16]!\n" \
	"	bl exec_before_vfork\n"      \
	"	mov x16, x0\n"               \
	"	ldp x29, x30, [sp], #16\n"   \
	"	br x16\n"
#endif
#define VFORK(name)                                                   \
	__asm__(".pushsection .text\n"                                \
		".globl " #name "\n"                                  \
		".type " #name ", @function\n" #name ":\n" VFORK_BODY \
		".size " #name ", . - " #name "\n"                    \
		".popsection\n")
VFORK(vfork);
VFORK(__vfork);

EVERY_RUN void exec_init(void)
{
	unsigned num_fds = 0;
	char **to = environ;

	for (char **e = environ; e && *e; e++) {
		if ((*e)[0] != 'L' && (*e)[0] != 'T') {
			*to++ = *e;
		} else if (!strncmp(*e, inherit, sizeof(inherit) - 1)) {
			num_fds = (unsigned)atoi(*e + sizeof(inherit) - 1);
		} else {
			if (is_ours(*e))
				save(*e);
			*to++ = *e;
		}
	}
	if (to)
		*to = NULL;
	heirs_init(num_fds);
}
