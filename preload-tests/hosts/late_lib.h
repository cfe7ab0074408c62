/* SPDX-License-Identifier: MIT
 *
 * late_lib.h - for late.c
 */
#ifndef TCPSHIM_PRELOAD_LATE_LIB_H
#define TCPSHIM_PRELOAD_LATE_LIB_H

/* What this library says at the end goes to @number. */
void late_use(int number);

#endif
