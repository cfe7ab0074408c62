# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=lighttpd PACKAGES="lighttpd nginx-light curl apache2-utils"
DOES="files, ranges, CGI, proxy to a server, many requests on kept connections"

server() {
	www_up
	mkdir "$W/www/cgi"
	printf '#!/bin/sh\necho; echo "$REQUEST_METHOD $QUERY_STRING"; cat\n' \
		>"$W/www/cgi/x.cgi"
	chmod 755 "$W/www/cgi/x.cgi"
	cat >"$W/conf" <<-EOF
		server.document-root = "$W/www"
		server.port = 80
		server.modules = ("mod_cgi", "mod_proxy")
		server.upload-dirs = ("$W")
		server.feature-flags = ("server.graceful-shutdown-timeout" => 1)
		index-file.names = ("index.html")
		\$SERVER["socket"] == "[::]:80" { }
		\$HTTP["url"] =~ "^/proxy/" {
			proxy.server = ("" => (("host" => "$V4", "port" => 80)))
			proxy.header = ("map-urlpath" => ("/proxy/" => "/"))
		}
		cgi.assign = (".cgi" => "")
	EOF
	under_bg lighttpd -D -f "$W/conf" 2>"$W/log"
	ready 80
	served_web
	show "cgi" peer curl -sS --fail -d body "http://$MY4/cgi/x.cgi?query"
	sum "proxy" peer curl -sS --fail "http://$MY4/proxy/big"
}
