# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=stunnel PACKAGES="stunnel4 curl nginx-light"
DOES="TLS before a plain server and before a TLS one, with threads; 20 at once"

server() {
	www_up 20
	tls_up
	cat >"$W/conf" <<-EOF
		foreground = yes
		pid =
		debug = 3
		[in]
		accept = 0.0.0.0:8443
		connect = $V4:80
		cert = $W/cert.pem
		key = $W/key.pem
		[out]
		client = yes
		accept = 0.0.0.0:8080
		connect = $V4:443
	EOF
	under_bg stunnel4 "$W/conf" 2>"$W/log"
	ready 8080
	sum "in" peer curl -sS --fail --cacert "$W/cert.pem" "https://$MY4:8443/big"
	sum "out" peer curl -sS --fail "http://$MY4:8080/big"
	does "20 at once" peer curl -sS --fail --parallel --output-dir "$W" \
		--remote-name-all --cacert "$W/cert.pem" \
		"https://$MY4:8443/f[1-20]"
	sum "their files" eval "cat $W/f?*"
}
