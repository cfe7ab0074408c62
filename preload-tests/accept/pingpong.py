#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pingpong.py - two netcats pass blocks to and fro, one datagram at a time

A datagram has no flow control, so a block is written to the client's stdin and
waited for at the server's stdout, then one goes back the same way. What comes
out must be what went in, byte for byte. The first block is repeated until the
server is there to hear it.
"""
import argparse
import os
import random
import select
import shlex
import subprocess
import sys
import time

PATIENCE = 10  # seconds for one block


def start(command):
    return subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, bufsize=0)


def take(proc, want, patience):
    """Reads until @want bytes are there; what is there when time is up."""
    got = b""
    end = time.monotonic() + patience
    fd = proc.stdout.fileno()
    while len(got) < want:
        left = end - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            break
        piece = os.read(fd, want - len(got))
        if not piece:
            break
        got += piece
    return got


def greet(args, server):
    """A client that the server hears; a refused one is started again."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        client = start(args.client)
        try:
            client.stdin.write(b"hello")
        except BrokenPipeError:
            pass
        if take(server, 5, 0.5) == b"hello":
            return client
        client.kill()
        client.wait()
    sys.exit("the server never heard the client")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--total", type=int, required=True)
    p.add_argument("--block", type=int, required=True)
    p.add_argument("--server", required=True)
    p.add_argument("--client", required=True)
    args = p.parse_args()

    rng = random.Random(1)
    pool = rng.randbytes(1 << 20)
    server = start(args.server)
    client = None
    try:
        client = greet(args, server)
        done = rounds = 0
        while done < args.total:
            # mostly large ones, and every small size sooner or later
            size = args.block if rounds % 8 else 1 + rounds // 8 % 2000
            at = rng.randrange(len(pool) - size)
            block = pool[at:at + size]
            for a, b, way in ((client, server, "up"), (server, client, "down")):
                a.stdin.write(block)
                got = take(b, size, PATIENCE)
                if got != block:
                    sys.exit(f"round {rounds} {way}: {size} bytes sent, "
                             f"{len(got)} came, equal: {got == block[:len(got)]}")
            done += size
            rounds += 1
        print(f"{done} bytes each way in {rounds} rounds")
    finally:
        for proc in (client, server):
            if proc:
                proc.kill()
                proc.wait()


main()
