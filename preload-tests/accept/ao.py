# SPDX-License-Identifier: MIT
#
# ao.py - bytes both ways over a connection that is signed (TCP-AO), whose keys
#	  change in the middle
#
# serve ADDR PORT PEER ALGORITHM SECRET BYTES, or connect the same: a line of
# NAME=VALUE as TCP_AO_INFO has it at the end. Structs are those of linux/tcp.h,
# which Python does not know. The server goes on in a child of fork(2).

import ctypes
import errno
import hashlib
import os
import socket
import struct
import sys

ADD_KEY, DEL_KEY, INFO, GET_KEYS = 38, 39, 40, 41
ADD = struct.Struct("=128s64siIH6B80s")  # struct tcp_ao_add
DEL = struct.Struct("=128siIH6B")  # struct tcp_ao_del
OPT = struct.Struct("=IHBB5Q")  # struct tcp_ao_info_opt
KEY = struct.Struct("=128s64s80sIH6BiQQ")  # struct tcp_ao_getsockopt
SET_CURRENT, SET_RNEXT = 1, 2
NKEYS_AT, GET_ALL = 272, 4
OLD, NEW = 1, 2


def sockaddr(ip):
    if ":" in ip:
        return struct.pack("=HHI16sI", socket.AF_INET6, 0, 0,
                           socket.inet_pton(socket.AF_INET6, ip), 0)
    return struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(ip))


def add_key(s, peer, number, alg, secret):
    bits = 128 if ":" in peer else 32
    secret = secret.encode() + bytes([number])
    s.setsockopt(socket.IPPROTO_TCP, ADD_KEY, ADD.pack(
        sockaddr(peer), alg.encode(), 0, 0, 0, bits, number, number, 0, 0,
        len(secret), secret))


def del_key(s, peer, number):
    bits = 128 if ":" in peer else 32
    s.setsockopt(socket.IPPROTO_TCP, DEL_KEY, DEL.pack(
        sockaddr(peer), 0, 0, 0, bits, number, number, 0, 0, 0))


def ask_for(s, number):
    s.setsockopt(socket.IPPROTO_TCP, INFO,
                 OPT.pack(SET_RNEXT, 0, 0, number, 0, 0, 0, 0, 0))


def ask(s, name, buf, size):
    """Python's own leaves in the buffer whatever was there."""
    libc = ctypes.CDLL(None, use_errno=True)
    n = ctypes.c_uint32(size)
    if libc.getsockopt(s.fileno(), socket.IPPROTO_TCP, name, buf,
                       ctypes.byref(n)):
        raise OSError(ctypes.get_errno(), f"getsockopt {name}")
    return buf.raw


def keys(s):
    """IDs of all, the newest first."""
    buf = ctypes.create_string_buffer(8 * KEY.size)
    struct.pack_into("=IH", buf, NKEYS_AT, 8, GET_ALL)
    raw = ask(s, GET_KEYS, buf, KEY.size)
    num = struct.unpack_from("=I", raw, NKEYS_AT)[0]
    return [KEY.unpack_from(raw, i * KEY.size)[5] for i in range(num)]


def info(s):
    raw = ask(s, INFO, ctypes.create_string_buffer(OPT.size), OPT.size)
    v = dict(zip(("flags", "", "current", "rnext", "good", "bad", "nokey",
                  "required", "icmps"), OPT.unpack(raw)))
    del v[""], v["flags"]
    return v


def data(n):
    return hashlib.shake_128(b"ao").digest(n)


def recv(s, n):
    got = bytearray()
    while len(got) < n:
        b = s.recv(1 << 16)
        if not b:
            break
        got += b
    return bytes(got)


def turn(s, blob, right):
    if right:
        s.sendall(blob)
        return s.recv(1) == b"!"
    ok = recv(s, len(blob)) == blob
    s.sendall(b"!")
    return ok


def talk(s, peer, size, is_client):
    blob = data(size)
    ok = info(s)["current"] == OLD and sorted(keys(s)) == [OLD, NEW]
    ok = turn(s, blob, is_client) and turn(s, blob, not is_client) and ok
    # while bytes go both ways: it asks, the peer signs with it and asks too
    ask_for(s, NEW)
    ok = turn(s, blob, is_client) and turn(s, blob, not is_client) and ok
    if is_client:
        s.sendall(b"?")
        s.recv(1)
        del_key(s, peer, OLD)
        s.sendall(b"?")
    else:
        s.recv(1)
        s.sendall(b".")
        s.recv(1)
    v = info(s)
    if is_client:
        ok = keys(s) == [NEW] and ok
    v["ok"] = int(ok)
    print(" ".join(f"{k}={v[k]}" for k in sorted(v)), flush=True)
    return ok


def serve(s, addr, port, peer, size):
    s.bind((addr, port))
    s.listen(1)
    print("ready", flush=True)
    while True:
        c, frm = s.accept()
        if frm[0] == peer:
            break
    pid = os.fork()
    if not pid:
        os._exit(0 if talk(c, peer, size, False) else 1)
    c.close()
    return os.waitpid(pid, 0)[1] == 0


def connect(s, addr, port, peer, size):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    try:
        s.connect((addr, port))
    except OSError as e:
        print(f"error={errno.errorcode[e.errno]}", flush=True)
        return False
    return talk(s, peer, size, True)


def main():
    role, addr, port, peer, alg, secret, size = sys.argv[1:]
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if secret != "-":
        for number in NEW, OLD:  # the newest is in use
            add_key(s, peer, number, alg, secret)
    ok = (serve if role == "serve" else connect)(s, addr, int(port), peer,
                                                 int(size))
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
