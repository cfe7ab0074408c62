/* SPDX-License-Identifier: MIT
 *
 * pcapfile.c - the capture file, written by libpcap
 *
 * libpcap is opened when a capture is asked for, and not before: most programs
 * never pay for it. Instants are the stack's, moved to the wall clock by the
 * offset of the moment when the file was opened.
 */
#include "edge/pcapfile.h"

#include <pcap/pcap.h>

#include "base/log.h"
#include "edge/dl.h"
#include "edge/sys.h"
#include "link/link.h"

#define PCAP_CALLS(X)                           \
	X(pcap_open_dead_with_tstamp_precision) \
	X(pcap_dump_open)                       \
	X(pcap_dump)                            \
	X(pcap_dump_flush)                      \
	X(pcap_dump_close)                      \
	X(pcap_close)

#define SNAPLEN 65535

static struct {
#define X(name) __typeof__(&name) name;
	PCAP_CALLS(X)
#undef X
} lib;

static struct pcapfile {
	pcap_t *pcap;
	pcap_dumper_t *dump;
	nsec to_wall;
} me;

static const char *const lib_names[] = {
#define X(name) #name,
	PCAP_CALLS(X)
#undef X
		NULL,
};

static const struct dl_lib lib_file = {
	.name = "libpcap.so.0.8",
	.also = "libpcap.so.1",
	.cure = "libpcap not found; install libpcap0.8",
	.fn = lib_names,
};

struct pcapfile *pcapfile_open(const char *path, char *why, size_t len)
{
	struct timespec ts;

	if (dl_open(&lib_file, &lib, why, len) < 0)
		return NULL;
	me.pcap = lib.pcap_open_dead_with_tstamp_precision(
		DLT_RAW, SNAPLEN, PCAP_TSTAMP_PRECISION_NANO);
	if (me.pcap)
		me.dump = lib.pcap_dump_open(me.pcap, path);
	if (!me.dump) {
		log_snprintf(why, len, "capture file %s cannot be made", path);
		return NULL;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	me.to_wall = (nsec)ts.tv_sec * SEC + ts.tv_nsec - sys_now();
	return &me;
}

void pcapfile_write(struct pcapfile *p, const uint8_t *recs, size_t len)
{
	while (len >= sizeof(struct capture_rec)) {
		struct capture_rec rec;
		struct pcap_pkthdr h = {0};

		memcpy(&rec, recs, sizeof(rec));
		if (len - sizeof(rec) < rec.len)
			break;
		rec.at += p->to_wall;
		h.ts.tv_sec = rec.at / SEC;
		h.ts.tv_usec = rec.at % SEC; /* nanoseconds in such a file */
		h.caplen = rec.len;
		h.len = rec.orig;
		lib.pcap_dump((u_char *)p->dump, &h, recs + sizeof(rec));
		recs += sizeof(rec) + rec.len;
		len -= sizeof(rec) + rec.len;
	}
	lib.pcap_dump_flush(p->dump);
}

void pcapfile_close(struct pcapfile *p)
{
	lib.pcap_dump_close(p->dump);
	lib.pcap_close(p->pcap);
	p->dump = NULL;
}
