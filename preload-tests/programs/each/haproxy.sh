# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=haproxy PACKAGES="haproxy nginx-light curl apache2-utils"
DOES="two threads: HTTP and TCP frontends before two kernel servers, health checks, TLS, a server that is down"

server() {
	www_up
	certificate
	cat "$W/cert.pem" "$W/key.pem" >"$W/both.pem"
	cat >"$W/conf" <<-EOF
		global
			nbthread 2
			maxconn 500
		defaults
			timeout connect 2s
			timeout client 10s
			timeout server 10s
		frontend web
			mode http
			bind 0.0.0.0:80
			bind [::]:80 v6only
			bind 0.0.0.0:443 ssl crt $W/both.pem alpn h2,http/1.1
			default_backend servers
		backend servers
			mode http
			balance roundrobin
			option httpchk GET /f1
			option redispatch
			server a $V4:80 check inter 100
			server b [$V6]:80 check inter 100
			server down $V4:9
		listen tcp
			mode tcp
			bind 0.0.0.0:8080
			server a $V4:80
	EOF
	under_bg haproxy -db -f "$W/conf" 2>"$W/log"
	ready 80
	served_web
	sum "tls h2" peer curl -sS --fail --http2 --cacert "$W/cert.pem" \
		"https://$MY4/big"
	sum "tcp" peer curl -sS --fail "http://$MY4:8080/big"
}
