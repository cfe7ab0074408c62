# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=node PACKAGES="nodejs nginx-light"
DOES="http server and fetch, net and dgram, TLS, 50 requests at once"

client() {
	www_up
	tls_up
	show "fetch" under node -e '
const crypto = require("crypto");
const hash = (b) => crypto.createHash("sha256").update(Buffer.from(b))
	.digest("hex").slice(0, 16);
(async () => {
	const u = process.argv[1];
	console.log(hash(await (await fetch(u + "big")).arrayBuffer()));
	const all = [...Array(50).keys()].map(async (i) =>
		hash(await (await fetch(u + "f" + (i + 1))).arrayBuffer()));
	console.log((await Promise.all(all)).join("\n"));
})();' "http://$V4/"
	show "https" under node -e '
const crypto = require("crypto"), fs = require("fs");
require("https").get({host: process.argv[1], path: "/big",
	ca: fs.readFileSync(process.argv[2])}, (r) => {
	const h = crypto.createHash("sha256");
	r.on("data", (d) => h.update(d));
	r.on("end", () => console.log(r.statusCode, h.digest("hex")));
});' "$V4" "$W/cert.pem"
	show "refused" under node -e '
require("net").connect(9, process.argv[1]).on("error",
	(e) => console.log(e.code, e.syscall, e.port));' "$V4"
}

server() {
	under_bg node -e '
const http = require("http"), fs = require("fs"), net = require("net");
http.createServer((q, r) => {
	if (q.method == "PUT") {
		let n = 0;
		q.on("data", (d) => n += d.length);
		q.on("end", () => r.end("got " + n));
	} else
		fs.createReadStream(process.argv[1] + q.url).pipe(r);
}).listen(8000);
net.createServer({allowHalfOpen: true}, (s) => s.pipe(s)).listen(8001);
const u = require("dgram").createSocket("udp4");
u.on("message", (m, r) => u.send(m.reverse(), r.port, r.address));
u.bind(8002);' "$W/www"
	ready 8001
	sum "http" peer curl -sS --fail "http://$MY4:8000/big"
	sum "http/6" peer curl -sS --fail "http://[$MY6]:8000/big"
	does "many" peer curl -sS --fail --parallel --output-dir "$W" \
		--remote-name-all "http://$MY4:8000/f[1-50]"
	sum "their files" eval "cat $W/f?*"
	show "put" peer curl -sS --fail -T "$W/www/big" "http://$MY4:8000/x"
	sum "echo" peer sh -c "nc -N $MY4 8001 <$W/www/big"
	show "udp" peer sh -c "printf abc | nc -u -W 1 $MY4 8002"
}
