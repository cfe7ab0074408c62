# SPDX-License-Identifier: MIT
#
# ao_pcap.py - is each MAC in a capture what RFC 5925 and 5926 say? By Python's
#	       own HMAC, so that both ends of ours are not wrong alike
#
# ao_pcap.py FILE SECRET: IPv4, HMAC-SHA-1, keys as ao.py makes them. A line of
# NAME=VALUE: segments that were right and wrong.

import hmac
import struct
import sys

SYN, ACK = 2, 16
AO = 29


def packets(path):
    """Raw IP packets of a pcap file of this machine."""
    with open(path, "rb") as f:
        raw = f.read()
    assert struct.unpack_from("=I", raw)[0] in (0xa1b2c3d4, 0xa1b23c4d)
    at = 24
    while at < len(raw):
        n = struct.unpack_from("=I", raw, at + 8)[0]
        yield raw[at + 16:at + 16 + n]
        at += 16 + n


def option(head):
    at = 20
    while at < len(head) and head[at]:
        if head[at] == AO:
            return at
        at += 1 if head[at] == 1 else head[at + 1]
    return None


def sha1(key, text):
    return hmac.new(key, text, "sha1").digest()


def is_right(pkt, secret, isns):
    ends, tcp = pkt[12:20], pkt[(pkt[0] & 15) * 4:]
    ports, seq, ack = tcp[:4], *struct.unpack_from("!II", tcp, 4)
    hlen, flags = (tcp[12] >> 4) * 4, tcp[13]
    way = ends + ports
    if flags & SYN:
        isns[way] = seq
    sisn = isns[way]
    disn = isns.get(ends[4:] + ends[:4] + ports[2:] + ports[:2], 0)
    if flags & (SYN | ACK) == SYN:
        disn = 0
    head = bytearray(tcp[:hlen])
    at = option(head)
    if at is None:
        return False
    end = at + head[at + 1]
    mac = bytes(head[at + 4:end])
    head[at + 4:end] = bytes(len(mac))
    head[16:18] = bytes(2)
    extension = (sisn + ((seq - sisn) & 0xffffffff)) >> 32
    traffic = sha1(secret + bytes([head[at + 2]]),
                   b"\x01TCP-AO" + way + struct.pack("!IIH", sisn, disn, 160))
    text = (struct.pack("!I", extension) + ends + b"\0\x06" +
            struct.pack("!H", len(tcp)) + bytes(head) + tcp[hlen:])
    return sha1(traffic, text)[:len(mac)] == mac


def main():
    path, secret = sys.argv[1:]
    isns, count = {}, [0, 0]
    for pkt in packets(path):
        count[is_right(pkt, secret.encode(), isns)] += 1
    print(f"right={count[1]} wrong={count[0]}")
    sys.exit(0 if count[1] and not count[0] else 1)


main()
