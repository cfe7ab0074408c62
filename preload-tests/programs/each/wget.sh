# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=wget PACKAGES="wget nginx-light"
DOES="HTTP both families, TLS, continued and recursive downloads, several files on one connection"

client() {
	local host
	www_up
	tls_up
	for host in "$V4" "[$V6]"; do
		sum "down $host" under wget -q -O - "http://$host/big"
	done
	sum "tls" under wget -q --ca-certificate="$W/cert.pem" -O - \
		"https://$V4/big"
	mkdir "$W/d"
	head -c 300000 "$W/www/big" >"$W/d/big"
	does "continue" under wget -q -c -P "$W/d" "http://$V4/big"
	files "continued" "$W/d/big"
	does "many" under wget -nv -P "$W/d" "http://$V4/f1" "http://$V4/f2" \
		"http://$V4/f3"
	files "many" "$W"/d/f[123]
	echo '<a href="f4">4</a> <a href="f5">5</a>' >"$W/www/links.html"
	does "recursive" under wget -q -r -nH -P "$W/r" "http://$V4/links.html"
	sum "recursive files" cat "$W"/r/*
	fails "missing" under wget -q -O - "http://$V4/none"
	fails "refused" under wget -q -t 1 -O - "http://$V4:9/"
}
