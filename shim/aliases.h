/* SPDX-License-Identifier: MIT
 *
 * aliases.h - names that libc exports without declaring them
 *
 * A program can bind to them all the same: the fortified forms that the
 * compiler puts in, and the old double underscore names.
 */
#ifndef TCPSHIM_ALIASES_H
#define TCPSHIM_ALIASES_H

#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

int __connect(int fd, const struct sockaddr *sa, socklen_t len);
ssize_t __read(int fd, void *buf, size_t len);
ssize_t __write(int fd, const void *buf, size_t len);
ssize_t __send(int fd, const void *buf, size_t len, int flags);
ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags,
		       struct sockaddr *sa, socklen_t *sa_len);
ssize_t __pread64(int fd, void *buf, size_t len, off64_t off);
ssize_t __pwrite64(int fd, const void *buf, size_t len, off64_t off);
ssize_t __pread_chk(int fd, void *buf, size_t len, off64_t off, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t off, size_t room);
int __open(const char *path, int flags, ...);
int __open64(const char *path, int flags, ...);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
char *__realpath_chk(const char *path, char *out, size_t room);
int _IO_fclose(FILE *fp);
FILE *_IO_fopen(const char *path, const char *mode);
FILE *_IO_fdopen(int fd, const char *mode);
int __dprintf_chk(int fd, int flag, const char *fmt, ...);
int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap);
int __vasprintf_chk(char **out, int flag, const char *fmt, va_list ap);

struct __res_state;
int __res_nquerydomain(struct __res_state *rs, const char *name,
		       const char *domain, int class, int type,
		       unsigned char *answer, int room);
int __res_nquery(struct __res_state *rs, const char *name, int class, int type,
		 unsigned char *answer, int room);
int __res_nsearch(struct __res_state *rs, const char *name, int class, int type,
		  unsigned char *answer, int room);
int __res_nsend(struct __res_state *rs, const unsigned char *msg, int len,
		unsigned char *answer, int room);
int __res_query(const char *name, int class, int type, unsigned char *answer,
		int room);
int __res_querydomain(const char *name, const char *domain, int class, int type,
		      unsigned char *answer, int room);
int __res_search(const char *name, int class, int type, unsigned char *answer,
		 int room);
int __res_send(const unsigned char *msg, int len, unsigned char *answer,
	       int room);

#endif
