/* SPDX-License-Identifier: MIT
 *
 * raw_read.c - a program that the audit must object to, or not
 *
 * raw_read hooked|raw|kernel ADDRESS PORT: connects, sends a line through
 * libc, and reads: through libc, by a system call instruction of its own, or
 * on a socket that it made in that way. A read of 0 bytes does not wait.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long raw(long number, long a, long b, long c)
{
	long res;

	__asm__ volatile("syscall"
			 : "=a"(res)
			 : "0"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return res;
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	char buf[16];
	int fd;

	if (argc < 4)
		return 2;
	sa.sin_port = htons((unsigned short)atoi(argv[3]));
	inet_pton(AF_INET, argv[2], &sa.sin_addr);
	if (!strcmp(argv[1], "kernel")) {
		fd = (int)raw(SYS_socket, AF_INET, SOCK_STREAM, 0);
		raw(SYS_connect, fd, (long)&sa, sizeof(sa));
		raw(SYS_write, fd, (long)"hello\n", 6);
		return 0;
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		return 1;
	if (send(fd, "hello\n", 6, 0) != 6)
		return 1;
	if (!strcmp(argv[1], "raw"))
		raw(SYS_read, fd, (long)buf, 0);
	if (recv(fd, buf, sizeof(buf), 0) != 6)
		return 1;
	puts("answered");
	return 0;
}
