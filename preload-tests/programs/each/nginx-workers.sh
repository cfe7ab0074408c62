# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="nginx with workers" PACKAGES="nginx-light curl apache2-utils"
DOES="four worker processes, and with reuseport; reload, a killed worker, stop"

server() {
	local server old
	www_up
	mkdir -p "$W/n"
	cat >"$W/n/conf" <<-EOF
		daemon off;
		worker_processes 4;
		user $(id -un);
		pid $W/n/pid;
		events { worker_connections 512; }
		http {
			access_log off;
			sendfile on;
			default_type application/octet-stream;
			client_body_temp_path $W/n/body;
			proxy_temp_path $W/n/proxy;
			fastcgi_temp_path $W/n/fastcgi;
			scgi_temp_path $W/n/scgi;
			uwsgi_temp_path $W/n/uwsgi;
			server {
				listen 80;
				listen [::]:80 ipv6only=on;
				listen 8080 reuseport;
				root $W/www;
			}
		}
	EOF
	under_bg nginx -p "$W/n" -c "$W/n/conf" -e "$W/n/error.log"
	server=$BG
	ready 80
	served_web
	show "reuseport" sh -c '"$@" | grep -E "^(Complete|Failed)"' - \
		ip netns exec "$NS" ab -q -n 500 -c 20 "http://$MY4:8080/f5"
	show "complaints" eval "sed -nE 's/.*(\[(alert|emerg|crit)\].*)/\\1/p' \
		$W/n/error.log"
	old=$(pgrep -P "$server" | sort)
	does "reload" kill -HUP "$server"
	wait_for 10 eval '[ -z "$(comm -12 <(echo "$old") \
		<(pgrep -P "$server" | sort))" ]'
	show "workers" eval 'pgrep -P "$server" | wc -l'
	sum "after the reload" peer curl -sS --fail "http://$MY4/big"
	old=$(pgrep -P "$server" | head -n 1)
	kill -9 "$old"
	wait_for 10 eval '[ "$(pgrep -P "$server" | wc -l)" = 4 ] &&
		! pgrep -P "$server" | grep -qx "$old"'
	show "workers" eval 'pgrep -P "$server" | wc -l'
	sum "after a death" peer curl -sS --fail "http://$MY4/big"
	does "quit" kill -QUIT "$server"
	does "ended" finish "$server"
}
