# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=curl PACKAGES="curl nginx-light"
DOES="HTTP/1.1 both families, up and down, ranges; TLS, HTTP/2, 50 files in parallel; refusals"

client() {
	local host
	www_up
	tls_up
	make up 3000000
	for host in "$V4" "[$V6]"; do
		sum "down $host" under curl -sS --fail "http://$host/big"
		does "up $host" under curl -sS --fail -T "$W/up" "http://$host/up"
		files "up" "$W/www/up"
		rm -f "$W/www/up"
	done
	sum "range" under curl -sS --fail -r 1000-2999 "http://$V4/big"
	show "verbose" under curl -sS -o "$W/none" -o "$W/none2" -w \
		'%{http_code} %{http_version} %{size_download} %{num_connects} %{remote_ip} %{local_ip}\n' \
		"http://$V4/f1" "http://$V4/f2"
	sum "tls h1" under curl -sS --fail --cacert "$W/cert.pem" --http1.1 \
		"https://$V4/big"
	sum "tls h2" under curl -sS --fail --cacert "$W/cert.pem" --http2 \
		"https://[$V6]/big"
	mkdir "$W/par" "$W/par2"
	(cd "$W/par" && does "parallel" under curl -sS --fail --parallel \
		--parallel-max 50 --remote-name-all "http://$V4/f[1-50]")
	sum "parallel files" cat "$W"/par/*
	(cd "$W/par2" && does "parallel h2" under curl -sS --fail --parallel \
		--parallel-max 50 --remote-name-all --cacert "$W/cert.pem" \
		--http2 "https://$V4/f[1-50]")
	sum "parallel h2 files" cat "$W"/par2/*
	STRIP='s/after [0-9]+ ms/after N ms/'
	fails "missing" under curl -sS --fail "http://$V4/none"
	fails "refused" under curl -sS "http://$V4:9/"
}
