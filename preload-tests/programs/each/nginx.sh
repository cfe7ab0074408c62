# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=nginx PACKAGES="nginx-light curl apache2-utils"
DOES="one process (master_process off): files with sendfile, ranges, uploads, TLS with HTTP/2, proxy to a server; 2000 requests from ab"

server() {
	www_up
	certificate
	mkdir -p "$W/n"
	cat >"$W/n/conf" <<-EOF
		master_process off;
		daemon off;
		user $(id -un);
		pid $W/n/pid;
		events { worker_connections 512; }
		http {
			access_log off;
			sendfile on;
			tcp_nopush on;
			client_max_body_size 0;
			default_type application/octet-stream;
			client_body_temp_path $W/n/body;
			proxy_temp_path $W/n/proxy;
			fastcgi_temp_path $W/n/fastcgi;
			scgi_temp_path $W/n/scgi;
			uwsgi_temp_path $W/n/uwsgi;
			server {
				listen 80;
				listen [::]:80 ipv6only=on;
				listen 443 ssl http2;
				ssl_certificate $W/cert.pem;
				ssl_certificate_key $W/key.pem;
				root $W/www;
				location / { dav_methods PUT; }
				location /proxy/ { proxy_pass http://$V4/; }
			}
		}
	EOF
	under_bg nginx -p "$W/n" -c "$W/n/conf" -e "$W/n/error.log"
	ready 80
	served_web
	sum "tls h2" peer curl -sS --fail --http2 --cacert "$W/cert.pem" \
		"https://$MY4/big"
	sum "proxy" peer curl -sS --fail "http://$MY4/proxy/big"
	make up 3000000
	does "put" peer curl -sS --fail -T "$W/up" "http://$MY4/put"
	does "put file" cmp "$W/up" "$W/www/put"
	STRIP='s,^[0-9/]+ [0-9:]+ ,TIME ,; s,[0-9]+#[0-9]+: \*[0-9]+,PID,'
	show "log" cat "$W/n/error.log"
}
