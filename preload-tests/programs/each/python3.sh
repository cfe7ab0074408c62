# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=python3 PACKAGES="python3 nginx-light"
DOES="urllib, asyncio client and server, http.server, socketserver (threads), UDP, makefile() streams, selectors, ssl"

client() {
	www_up
	tls_up
	sum "urllib" under "$PY" -c '
import shutil, sys, urllib.request
shutil.copyfileobj(urllib.request.urlopen(sys.argv[1]), sys.stdout.buffer)
' "http://$V4/big"
	sum "ssl" under "$PY" -c '
import shutil, ssl, sys, urllib.request
c = ssl.create_default_context(cafile=sys.argv[2])
shutil.copyfileobj(urllib.request.urlopen(sys.argv[1], context=c),
                   sys.stdout.buffer)
' "https://[$V6]/big" "$W/cert.pem"
	show "asyncio" under "$PY" -c '
import asyncio, hashlib, sys
async def get(host, n):
    r, w = await asyncio.open_connection(host, 80)
    w.write(f"GET /f{n} HTTP/1.0\r\n\r\n".encode())
    body = (await r.read()).split(b"\r\n\r\n", 1)[1]
    w.close()
    return hashlib.sha256(body).hexdigest()[:16]
async def main():
    print(*await asyncio.gather(*(get(sys.argv[1], n) for n in range(1, 51))),
          sep="\n")
asyncio.run(main())
' "$V4"
	show "threads" under "$PY" -c '
import hashlib, sys, urllib.request
from concurrent.futures import ThreadPoolExecutor
def get(n):
    u = f"http://{sys.argv[1]}/f{n}"
    return hashlib.sha256(urllib.request.urlopen(u).read()).hexdigest()[:16]
with ThreadPoolExecutor(16) as p:
    print(*p.map(get, range(1, 51)), sep="\n")
' "$V4"
	fails "refused" under "$PY" -c '
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9))
except OSError as e:
    print(repr(e))
    sys.exit(3)
' "$V4"
}

server() {
	under_bg "$PY" -m http.server --directory "$W/www" 8000 \
		>"$W/log"
	ready 8000
	sum "http.server" peer curl -sS --fail "http://$MY4:8000/big"
	does "http.server, many" peer curl -sS --fail --parallel \
		--output-dir "$W" --remote-name-all "http://$MY4:8000/f[1-30]"
	sum "their files" eval "cat $W/f?"
	stop_pid "$BG"
	under_bg "$PY" -c '
import socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
Server(("", 8001), Echo).serve_forever()
'
	ready 8001
	show "socketserver" peer sh -c "printf 'one\ntwo\n' | nc -N $MY4 8001"
	stop_pid "$BG"
	under_bg "$PY" -c '
import asyncio
async def echo(r, w):
    while data := await r.read(65536):
        w.write(data)
        await w.drain()
    w.close()
class Udp(asyncio.DatagramProtocol):
    def connection_made(self, t):
        self.t = t
    def datagram_received(self, data, addr):
        self.t.sendto(data[::-1], addr)
async def main():
    s = await asyncio.start_server(echo, None, 8002)
    await asyncio.get_running_loop().create_datagram_endpoint(
        Udp, local_addr=("0.0.0.0", 8003))
    await s.serve_forever()
asyncio.run(main())
'
	ready 8002
	sum "asyncio echo" peer sh -c "nc -N $MY4 8002 <$W/www/big"
	sum "asyncio echo/6" peer sh -c "nc -N $MY6 8002 <$W/www/big"
	show "asyncio udp" peer sh -c "printf abc | nc -u -W 1 $MY4 8003"
}
