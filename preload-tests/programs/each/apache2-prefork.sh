# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="apache2, prefork" PACKAGES="apache2-bin nginx-light curl apache2-utils"
DOES="five processes that accept in turn; graceful restart, stop"

server() {
	local m=/usr/lib/apache2/modules server
	www_up
	mkdir -p "$W/a"
	cat >"$W/a/conf" <<-EOF
		ServerRoot $W/a
		ServerName tcpshim
		PidFile $W/a/pid
		DefaultRuntimeDir $W/a
		ErrorLog $W/a/error.log
		LoadModule mpm_prefork_module $m/mod_mpm_prefork.so
		LoadModule authz_core_module $m/mod_authz_core.so
		LoadModule dir_module $m/mod_dir.so
		StartServers 5
		MinSpareServers 2
		MaxRequestWorkers 30
		Listen 0.0.0.0:80
		Listen [::]:80
		User www-data
		Group www-data
		DocumentRoot $W/www
	EOF
	chmod -R a+rX "$W/www"
	under_bg setsid apache2 -DFOREGROUND -f "$W/a/conf" 2>"$W/log"
	server=$BG
	ready 80
	served_web
	does "graceful" kill -USR1 "$server"
	wait_for 10 grep -q 'resuming normal' "$W/a/error.log"
	sum "after it" peer curl -sS --fail "http://$MY4/big"
	does "stop" kill -TERM "$server"
	does "stopped" finish "$server"
}
