/* SPDX-License-Identifier: MIT
 *
 * early_lib.h - for early.c
 */
#ifndef TCPSHIM_PRELOAD_EARLY_LIB_H
#define TCPSHIM_PRELOAD_EARLY_LIB_H

/* Prints what the constructor of the library saw. */
void early_report(void);

#endif
