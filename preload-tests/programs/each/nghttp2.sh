# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="h2load, nghttp, nghttpd" PACKAGES="nghttp2-client nghttp2-server nginx-light"
DOES="HTTP/2 with many streams over TLS, both sides"
STRIP='/^(requests|status codes):/!d'

client() {
	www_up 10
	tls_up
	show "h2load" under h2load -n 1000 -c 10 -m 10 "https://$V4/f5"
	show "h2load h1" under h2load --h1 -n 500 -c 10 "http://$V4/f5"
	sum "nghttp" under nghttp "https://[$V6]/big"
}

server() {
	under_bg nghttpd -d "$W/www" -n 2 8443 "$W/key.pem" "$W/cert.pem" \
		>"$W/log"
	ready 8443
	show "nghttpd" peer h2load -n 1000 -c 10 -m 10 "https://$MY4:8443/f5"
	sum "a file" peer curl -sS --fail --http2 --cacert "$W/cert.pem" \
		"https://$MY4:8443/big"
}
