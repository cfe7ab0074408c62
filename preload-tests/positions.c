/* SPDX-License-Identifier: MIT
 *
 * positions.c - calls that a socket refuses, or takes only in part: pread and
 * its kin, seeking, mapping, tee, vmsplice, copy_file_range; built fortified
 */
#include "lib/pair.h"
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

static void positions(int fd)
{
	static char buf[8];
	struct iovec v = {buf, sizeof(buf)};
	volatile size_t len = sizeof(buf);

	CALL(pread(fd, buf, len, 0));
	CALL(pread(fd, buf, len, 5));
	CALL(pread(fd, buf, len, -1));
	CALL(pread64(fd, buf, len, 0));
	CALL(pread(fd, buf, 0, 0));
	CALL(pwrite(fd, buf, len, 0));
	CALL(pwrite(fd, buf, len, -1));
	CALL(pwrite64(fd, buf, len, 0));
	CALL(preadv(fd, &v, 1, 0));
	CALL(preadv(fd, &v, 1, -1));
	CALL(preadv64(fd, &v, 1, 0));
	CALL(pwritev(fd, &v, 1, 0));
	CALL(pwritev64(fd, &v, 1, -2));
	CALL(preadv2(fd, &v, 1, 0, 0));
	CALL(preadv2(fd, &v, 1, -2, 0));
	CALL(pwritev2(fd, &v, 1, 3, 0));
	CALL(lseek(fd, 0, SEEK_CUR));
	CALL(ftruncate(fd, 10));
	CALL(fallocate(fd, 0, 0, 10));
	CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
	CALL(readahead(fd, 0, 10));
	CALL(fsync(fd));
	CALL(fdatasync(fd));
	CALL(sync_file_range(fd, 0, 0, 0));
	CALL(fchdir(fd));
}

/* An offset of -1: where it stands. */
static void second_forms(const struct t_fam *f)
{
	char a[4] = "abc", b[8] = "defg";
	struct iovec v[2] = {{a, 3}, {b, 4}}, none = {a, 0};
	volatile int bad = -1, many = 1025;
	int sv[2];

	t_pair(f, sv);
	CALL(preadv2(sv[1], v, 2, -1, RWF_NOWAIT));
	CALL(preadv2(sv[1], &none, 1, -1, 0));
	CALL(pwritev2(sv[0], v, 2, -1, 0));
	CALL(pwritev2(sv[0], v, 1, -1, RWF_NOWAIT));
	CALL(pwritev2(sv[0], v, 1, -1, RWF_DSYNC | RWF_SYNC));
	CALL(pwritev2(sv[0], v, 1, -1, RWF_APPEND));
	CALL(pwritev2(sv[0], v, 1, -1, RWF_HIPRI));
	CALL(pwritev2(sv[0], v, 1, -1, 1 << 20));
	CALL(pwritev2(sv[0], &none, 1, -1, 1 << 20));
	CALL(pwritev2(sv[0], v, bad, -1, 0));
	CALL(pwritev2(sv[0], v, many, -1, 0));
	t_wait_bytes(sv[1], 19);
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	CALL(preadv2(sv[1], v, 2, -1, 0));
	say("%.3s %.4s", a, b);
	CALL(preadv64v2(sv[1], v, 1, -1, RWF_NOWAIT));
	CALL(preadv2(sv[1], v, 2, -1, RWF_HIPRI));
	CALL(preadv2(sv[1], v, 2, -1, 1 << 20));
	CALL(preadv2(sv[1], v, 2, -1, 0));
	CALL(preadv2(sv[1], v, 2, -1, RWF_NOWAIT));
	CALL(fcntl(sv[1], F_SETFL, O_NONBLOCK));
	CALL(preadv2(sv[1], v, 2, -1, 0));
	close(sv[0]);
	t_settle(sv[1], POLLRDHUP);
	CALL(preadv2(sv[1], v, 2, -1, 0));
	CALL(preadv2(-1, v, 2, -1, 0));
	close(sv[1]);
}

static void pipes(const struct t_fam *f)
{
	struct iovec v = {(char[]){"x"}, 1};
	char page[4];
	int sv[2], p[2], q[2], file;

	t_pair(f, sv);
	MUST(pipe(p));
	MUST(pipe(q));
	file = (int)MUST(open("positions.tmp", O_RDWR | O_CREAT, 0600));
	MUST(write(file, "12345", 5));
	MUST(write(p[1], "pipe", 4));
	CALL(vmsplice(sv[0], &v, 1, 0));
	CALL(tee(sv[0], p[1], 1, 0));
	CALL(tee(p[0], sv[0], 1, 0));
	CALL(copy_file_range(file, NULL, sv[0], NULL, 5, 0));
	CALL(copy_file_range(sv[0], NULL, file, NULL, 5, 0));
	CALL(splice(sv[0], &(off64_t){0}, p[1], NULL, 5, 0));
	CALL(splice(p[0], NULL, sv[0], &(off64_t){0}, 5, 0));
	CALL(splice(sv[0], NULL, sv[1], NULL, 5, 0));
	CALL(splice(p[0], NULL, sv[0], NULL, 4, 0));
	t_wait_bytes(sv[1], 4);
	CALL(splice(sv[1], NULL, q[1], NULL, 100, 0));
	CALL(fcntl(sv[1], F_SETFL, O_NONBLOCK));
	CALL(splice(sv[1], NULL, q[1], NULL, 100, 0));
	CALL(fcntl(q[1], F_SETPIPE_SZ, 4096));
	MUST(write(sv[0], "x", 1));
	t_wait_bytes(sv[1], 1);
	CALL(splice(sv[1], NULL, q[1], NULL, 100, SPLICE_F_NONBLOCK));
	CALL(read(sv[1], page, 4));
	CALL(sendfile(sv[0], sv[1], NULL, 1));
	CALL(sendfile(sv[0], file, &(off_t){1}, 100));
	unlink("positions.tmp");
	close(file);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
	t_close_pair(sv);
}

static void kinds(int fd, int udp)
{
	struct stat st;
	struct statx sx;
	char path[32];

	CALL(isatty(fd));
	CALL(isfdtype(fd, S_IFSOCK));
	CALL(isfdtype(fd, S_IFREG));
	CALL(fstat(fd, &st));
	say("a socket: %d, perm %o, nlink %d, blksize %d, size %d",
	    S_ISSOCK(st.st_mode), st.st_mode & 07777, (int)st.st_nlink,
	    (int)st.st_blksize, (int)st.st_size);
	CALL(fstatat(fd, "", &st, AT_EMPTY_PATH));
	say("a socket: %d", S_ISSOCK(st.st_mode));
	CALL(statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &sx));
	say("a socket: %d", S_ISSOCK(sx.stx_mode));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CALL(stat(path, &st));
	say("a socket: %d", S_ISSOCK(st.st_mode));
	CALL(open(path, O_RDWR));
	errno = 0;
	say("ttyname %d %s", ttyname(fd) != NULL, t_err(errno));
	errno = 0;
	/* of TCP the kernel has a mapping for zero-copy receiving, we have not
	 */
	say("mmap %d %s",
	    mmap(NULL, 4096, PROT_READ, MAP_SHARED, udp, 0) != MAP_FAILED,
	    t_err(errno));
	CALL(flock(fd, LOCK_UN));
	CALL(lockf(fd, F_TEST, 0));
}

int main(void)
{
	t_init();
	for (int i = 0; i < 2; i++) {
		const struct t_fam *f = &t_fams[i];
		int fd, udp;

		say("-- IPv%d", f->n);
		fd = (int)MUST(socket(f->af, SOCK_STREAM, 0));
		positions(fd);
		udp = (int)MUST(socket(f->af, SOCK_DGRAM, 0));
		positions(udp);
		kinds(fd, udp);
		close(udp);
		close(fd);
		second_forms(f);
		pipes(f);
	}
	return 0;
}
