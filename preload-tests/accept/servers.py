#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""servers.py - echo servers that give connections to other processes, and
the client that asks them all

    servers.py HOW HOST PORT       until SIGTERM; a line when it listens
    servers.py client HOST PORT CONNECTIONS BYTES [keep]
                                   all at once; each sends random bytes, then an
                                   end, and wants the same bytes, then an end
                                   (keep: closes when it has them)
    servers.py watch HOST PORT     until SIGTERM; whom it hears of first it
                                   listens to, to others (HTTP, or PORT + 1) it
                                   sends without an end; a line for each
                                   connection: how it went
    servers.py leave HOST PORT FILE
                                   sends the file, and leaves by _exit()
"""
import itertools
import multiprocessing
import os
import random
import signal
import socket
import socketserver
import subprocess
import sys
import threading


def echo(conn):
    """All that comes, back; no deadlock while the other side only sends."""
    with conn:
        while data := conn.recv(65536):
            conn.sendall(data)


def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def ready():
    print("ready", flush=True)


# --- a process for each connection ---

class EchoHandler(socketserver.StreamRequestHandler):
    def handle(self):
        while data := self.rfile.read1(65536):
            self.wfile.write(data)


class Forking(socketserver.ForkingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64
    max_children = 100


def forking(host, port):
    with Forking((host, port), EchoHandler) as server:
        ready()
        server.serve_forever()


def fork(host, port):
    signal.signal(signal.SIGCHLD, reap)
    s = socket.create_server((host, port), backlog=64)
    ready()
    while True:
        conn, _ = s.accept()
        if os.fork() == 0:
            s.close()
            echo(conn)
            os._exit(0)
        conn.close()


def passed(host, port):
    """subprocess with pass_fds: another program serves the connection."""
    s = socket.create_server((host, port), backlog=64)
    ready()
    children = []
    while True:
        conn, _ = s.accept()
        fd = conn.fileno()
        children = [c for c in children if c.poll() is None]
        children.append(subprocess.Popen(
            [sys.executable, __file__, "child", str(fd)], pass_fds=[fd]))
        conn.close()


def child(fd):
    echo(socket.socket(fileno=int(fd)))


def mixed(host, port):
    """Threads accept; they serve it, or fork, or start another program."""
    s = socket.create_server((host, port), backlog=64)

    def accept():
        for n in itertools.count():
            conn, _ = s.accept()
            if n % 3 == 0:
                echo(conn)
            elif n % 3 == 1:
                if os.fork() == 0:
                    echo(conn)
                    os._exit(0)
            else:
                subprocess.Popen([sys.executable, __file__, "child",
                                  str(conn.fileno())],
                                 pass_fds=[conn.fileno()])
            conn.close()

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in range(6):
        threading.Thread(target=accept, daemon=True).start()
    ready()
    signal.pause()


# --- processes that were there before ---

def accept_forever(s):
    while True:
        echo(s.accept()[0])


def pre(host, port):
    """Four processes wait in accept() of one listener."""
    s = socket.create_server((host, port), backlog=64)
    for _ in range(4):
        if os.fork() == 0:
            accept_forever(s)
    ready()
    signal.pause()


def workers(host, port):
    """multiprocessing: the parent accepts, a pool gets the connections."""
    s = socket.create_server((host, port), backlog=64)
    queue = multiprocessing.SimpleQueue()
    for _ in range(4):
        multiprocessing.Process(target=take, args=(queue,), daemon=True).start()
    ready()
    while True:
        conn, _ = s.accept()
        queue.put(conn)  # SCM_RIGHTS, from a thread of this process
        conn.close()


def take(queue):
    while True:
        echo(queue.get())


def spawned(host, port):
    """multiprocessing's other way: programs of their own get the listener."""
    context = multiprocessing.get_context("spawn")
    s = socket.create_server((host, port), backlog=64)
    for _ in range(2):
        context.Process(target=accept_forever, args=(s,), daemon=True).start()
    ready()
    signal.pause()


# --- the other side ---

def listen_to(conn):
    """All that comes; then: an end, or what else."""
    try:
        while conn.recv(65536):
            pass
        return "end"
    except OSError as e:
        return e.strerror


def pour(conn):
    """Until the other side has gone; both ways of hearing of it are one."""
    try:
        while True:
            conn.sendall(b"x" * 65536)
    except (ConnectionResetError, BrokenPipeError):
        return "gone"
    except OSError as e:
        return e.strerror


def watched(conn, is_told):
    asked = b"GET" if is_told else conn.recv(4096)
    if asked.startswith(b"GET"):
        if not is_told:
            conn.sendall(b"HTTP/1.1 200 OK\r\n"
                         b"Content-Length: 100000000000\r\n\r\n")
        how = "to " + pour(conn)
    else:
        how = "from " + (listen_to(conn) if asked else "end")
    conn.close()
    os.write(1, (how + "\n").encode())


def watch(host, port):
    def accept(s, is_told):
        while True:
            threading.Thread(target=watched, args=(s.accept()[0], is_told),
                             daemon=True).start()

    for i in 0, 1:
        s = socket.create_server((host, port + i), backlog=64)
        threading.Thread(target=accept, args=(s, i == 1), daemon=True).start()
    signal.pause()


def leave(host, port, file):
    s = socket.create_connection((host, port))
    with open(file, "rb") as f:
        s.sendall(f.read())
    os._exit(0)


def client(host, port, connections, size, keep=False):
    bad = []

    def send(s, said):
        s.sendall(said)
        if not keep:
            s.shutdown(socket.SHUT_WR)

    def one(seed):
        try:
            said = random.Random(seed).randbytes(size)
            with socket.create_connection((host, port), timeout=25) as s:
                sender = threading.Thread(target=send, args=(s, said))
                sender.start()
                heard = b""
                while data := s.recv(65536):
                    heard += data
                    if keep and len(heard) >= size:
                        break
                sender.join()
            if heard != said:
                bad.append(f"{seed}: {len(heard)} of {size} bytes")
        except OSError as e:
            bad.append(f"{seed}: {e}")

    threads = [threading.Thread(target=one, args=(i,))
               for i in range(connections)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(*bad, sep="\n")
    return len(bad) != 0


def main(how, *args):
    if how == "child":
        return child(*args)
    if how == "client":
        host, port, connections, size, *keep = args
        return client(host, int(port), int(connections), int(size),
                      bool(keep))
    if how == "leave":
        return leave(args[0], int(args[1]), args[2])
    os.setpgrp()
    signal.signal(signal.SIGTERM, lambda *_: (
        signal.signal(signal.SIGTERM, signal.SIG_DFL), os.killpg(0, 15)))
    return {"forking": forking, "fork": fork, "passed": passed, "pre": pre,
            "workers": workers, "spawned": spawned, "mixed": mixed,
            "watch": watch}[how](
                args[0], int(args[1]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
