# SPDX-License-Identifier: MIT
"""The peer of repair_move: serves one connection, sends a file, keeps what
comes, and does not know that the other end moves."""
import socket
import sys
import threading

addr, port, to_send, received = sys.argv[1:]
with socket.create_server((addr, int(port))) as lst:
    print("ready", flush=True)
    c, _ = lst.accept()


def send():
    with open(to_send, "rb") as f:
        c.sendfile(f)
    c.shutdown(socket.SHUT_WR)


t = threading.Thread(target=send)
t.start()
with open(received, "wb") as f:
    while data := c.recv(65536):
        f.write(data)
t.join()
print("done", flush=True)
