# SPDX-License-Identifier: MIT
#
# ecn.py - bytes both ways at once, and what both ends were told of ECN
#
# serve ADDR PORT BYTES CC, or connect ADDR PORT BYTES CC: a line of NAME=VALUE
# as the connection is at its end, from TCP_INFO by offsets of Linux 6.18.

import hashlib
import socket
import struct
import sys

FIELDS = {  # name: (offset, format)
    "options": (5, "B"), "retrans": (100, "I"), "marks": (196, "I"),
    "rcv_ce": (248, "I"), "told_ce_bytes": (260, "I"),
    "rcv_ce_bytes": (272, "I"), "fail": (276, "H"), "opt": (278, "H"),
}
ECN, ECN_SEEN = 8, 16


def data(n):
    return hashlib.shake_128(b"ecn").digest(n)


def send(s, blob):
    s.sendall(blob)


def recv(s, n):
    got = bytearray()
    while len(got) < n:
        b = s.recv(1 << 16)
        if not b:
            break
        got += b
    return bytes(got)


def turn(s, blob, right):
    """One direction at a time fills a queue; both at once would share it."""
    if right:
        send(s, blob)
        return s.recv(1) == b"!"
    ok = recv(s, len(blob)) == blob
    s.sendall(b"!")
    return ok


def info(s):
    raw = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 400)
    v = {k: struct.unpack_from(f, raw, at)[0] for k, (at, f) in FIELDS.items()}
    v["ecn"] = int(bool(v["options"] & ECN))
    v["seen"] = int(bool(v.pop("options") & ECN_SEEN))
    return v


def main():
    role, addr, port, size, cc = sys.argv[1:]
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, cc.encode())
    if role == "serve":
        s.bind((addr, int(port)))
        s.listen(1)
        print("ready", flush=True)
        s = s.accept()[0]
    else:
        s.connect((addr, int(port)))
    blob = data(int(size))
    ok = turn(s, blob, role == "connect")
    ok = turn(s, blob, role == "serve") and ok
    if role == "connect":  # and its last ACK is in
        s.sendall(b"?")
        s.recv(1)
    else:
        s.recv(1)
    v = info(s)
    v["ok"] = int(ok)
    print(" ".join(f"{k}={v[k]}" for k in sorted(v)), flush=True)
    if role == "serve":
        s.sendall(b".")
        s.recv(1)


main()
