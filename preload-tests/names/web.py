#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""web.py FOLDER - serves it on port 80, over both families"""
import functools
import http.server
import socket
import sys


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


handler = functools.partial(http.server.SimpleHTTPRequestHandler,
                            directory=sys.argv[1])
Server(("::", 80), handler).serve_forever()
