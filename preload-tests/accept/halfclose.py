#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""halfclose.py listen|connect HOST PORT - hears out a half-closed connection

Reads to the end of file, which must have been "hello", and only then sends
"late": it must still arrive. nc and ncat in listen mode leave when their
client half-closes, so the other end of this test can not be one of them.
"""
import socket
import sys
import time


def open_one(mode, host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if mode == "listen":
        s = socket.create_server((host, port), family=family)
        s.settimeout(20)
        return s.accept()[0]
    end = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection((host, port), timeout=2)
        except OSError:
            if time.monotonic() > end:
                raise


mode, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open_one(mode, host, port) as s:
    s.settimeout(20)
    heard = b""
    while piece := s.recv(1000):
        heard += piece
    s.sendall(b"late\n")
sys.exit(0 if heard == b"hello\n" else f"heard {heard!r}")
