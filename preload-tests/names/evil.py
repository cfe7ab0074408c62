#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""evil.py ADDRESS - a name server whose answers are wrong in many ways

The first label of the name says in which: what a resolver must survive, and
what it makes of it.
"""
import socket
import struct
import sys
import threading

A, CNAME, AAAA = 1, 5, 28


def name_of(text):
    return b"".join(bytes([len(w)]) + w.encode()
                    for w in text.split(".")) + b"\0"


def record(owner, kind, data, length=None):
    return owner + struct.pack("!HHIH", kind, 1, 60,
                               len(data) if length is None else length) + data


def reply(query, records=(), rcode=0, flags=0x8580, count=None, questions=1):
    asked = query[12:query.index(b"\0", 12) + 5] if questions else b""
    count = len(records) if count is None else count
    return query[:2] + struct.pack("!HHHHH", flags | rcode, questions, count,
                                   0, 0) + asked + b"".join(records)


ME = b"\xc0\x0c"  # the name that was asked for
FOUR = socket.inet_aton("10.77.0.66")


def answers(query, over_tcp):
    """The datagrams, or messages, that answer."""
    label = query[13:13 + query[12]].decode("latin-1").lower()
    kind = struct.unpack("!H", query[query.index(b"\0", 12) + 1:][:2])[0]
    good = record(ME, A, FOUR)
    if kind == AAAA and label == "half":
        return [reply(query, rcode=2)]
    if kind != A and label != "both":
        return [reply(query)]
    table = {
        "good": [reply(query, [good])],
        "wrongid": [struct.pack("!H", ~struct.unpack("!H", query[:2])[0] &
                                0xffff) + reply(query, [record(
                                    ME, A, b"\x01\x02\x03\x04")])[2:],
                    reply(query, [good])],
        "shortaddr": [reply(query, [record(ME, A, FOUR[:3])])],
        "longaddr": [reply(query, [record(ME, A, FOUR + b"\0")])],
        "pastend": [reply(query, [record(ME, A, FOUR, 400)])],
        "morecount": [reply(query, [good], count=9)],
        "loop": [reply(query, [record(
            struct.pack("!H", 0xc000 | (len(reply(query)))), A, FOUR)])],
        "cnameloop": [reply(query, [
            record(ME, CNAME, name_of("b.evil.test")),
            record(name_of("b.evil.test"), CNAME, ME)])],
        "badtarget": [reply(query, [
            record(ME, CNAME, name_of("bad name.evil.test")),
            record(name_of("bad name.evil.test"), A, FOUR)])],
        "otherowner": [reply(query, [
            record(name_of("other.evil.test"), A, FOUR)])],
        "late": [reply(query, [
            record(name_of("far.evil.test"), A, FOUR),
            record(ME, CNAME, name_of("far.evil.test"))])],
        "twice": [reply(query, [good, good])],
        "mixed": [reply(query, [record(ME, 16, b"\4text"), good,
                                record(ME, AAAA, bytes(16))])],
        "half": [reply(query, [good])],
        "silent": [],
        "nodata": [reply(query)],
        "nxdomain": [reply(query, rcode=3)],
        "servfail": [reply(query, rcode=2)],
        "refused": [reply(query, rcode=5)],
        "cut": [reply(query, [good] * (400 if over_tcp else 1),
                      flags=0x8580 | (0 if over_tcp else 0x200))],
    }
    return table.get(label, [reply(query, rcode=3)])


def serve_stream(s):
    try:
        while head := s.recv(2, socket.MSG_WAITALL):
            length = struct.unpack("!H", head)[0]
            for a in answers(s.recv(length, socket.MSG_WAITALL), True):
                s.sendall(struct.pack("!H", len(a)) + a)
    except (OSError, struct.error):
        pass
    s.close()


def serve_tcp(listener):
    while True:
        s = listener.accept()[0]
        threading.Thread(target=serve_stream, args=(s,), daemon=True).start()


def main():
    listener = socket.create_server((sys.argv[1], 53))
    threading.Thread(target=serve_tcp, args=(listener,), daemon=True).start()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((sys.argv[1], 53))
    while True:
        query, sender = udp.recvfrom(4096)
        for a in answers(query, False):
            udp.sendto(a, sender)


main()
