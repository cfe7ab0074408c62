/* SPDX-License-Identifier: MIT
 *
 * pcapfile.h - the capture file, written by libpcap
 */
#ifndef TCPSHIM_EDGE_PCAPFILE_H
#define TCPSHIM_EDGE_PCAPFILE_H

#include <stddef.h>
#include <stdint.h>

struct pcapfile;

/* Creates @path, link type RAW. NULL with cause and cure in @why. */
struct pcapfile *pcapfile_open(const char *path, char *why, size_t len);
/* Whole struct capture_rec with their bytes, as stack_capture_drain() gives
 * them; written through to the file. */
void pcapfile_write(struct pcapfile *p, const uint8_t *recs, size_t len);
void pcapfile_close(struct pcapfile *p);

#endif
