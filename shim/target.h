/* SPDX-License-Identifier: MIT
 *
 * target.h - can a program be preloaded at all?
 */
#ifndef TCPSHIM_TARGET_H
#define TCPSHIM_TARGET_H

/* @path is about to become this process: one line on standard error when the
 * preload will not be in it, because its sockets are the kernel's then; those
 * that it is handed are served by the keeper. Raw
 * system calls and the stack only, so it may be called in a vfork child. */
void target_warn(const char *path);
/* The same for a name without a slash that is looked for in PATH. */
void target_warn_file(const char *file);

#endif
