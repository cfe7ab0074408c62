# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="apache2 -X" PACKAGES="apache2-bin nginx-light curl apache2-utils"
DOES="one process with threads (event MPM): files, ranges, proxy, TLS"

server() {
	local m=/usr/lib/apache2/modules
	www_up
	certificate
	mkdir -p "$W/a"
	cat >"$W/a/conf" <<-EOF
		ServerRoot $W/a
		ServerName tcpshim
		PidFile $W/a/pid
		DefaultRuntimeDir $W/a
		Mutex pthread
		ErrorLog $W/a/error.log
		LoadModule mpm_event_module $m/mod_mpm_event.so
		LoadModule authz_core_module $m/mod_authz_core.so
		LoadModule dir_module $m/mod_dir.so
		LoadModule proxy_module $m/mod_proxy.so
		LoadModule proxy_http_module $m/mod_proxy_http.so
		LoadModule ssl_module $m/mod_ssl.so
		Listen 0.0.0.0:80
		Listen [::]:80
		Listen 443
		User www-data
		Group www-data
		DocumentRoot $W/www
		ProxyPass /proxy/ http://$V4/
		<VirtualHost *:443>
			SSLEngine on
			SSLCertificateFile $W/cert.pem
			SSLCertificateKeyFile $W/key.pem
			DocumentRoot $W/www
		</VirtualHost>
	EOF
	chmod -R a+rX "$W/www"
	under_bg apache2 -X -f "$W/a/conf" 2>"$W/log"
	ready 80
	served_web
	sum "tls" peer curl -sS --fail --cacert "$W/cert.pem" "https://$MY4/big"
	sum "proxy" peer curl -sS --fail "http://$MY4/proxy/big"
}
