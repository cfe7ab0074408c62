# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="busybox httpd" PACKAGES="busybox curl"
DOES="files to kernel clients; a child for each connection"

server() {
	mkdir "$W/www"
	make big "$SIZE"
	mv "$W/big" "$W/www/"
	echo hello >"$W/www/index.html"
	under_bg busybox httpd -f -p 8000 -h "$W/www"
	ready 8000
	sum "file" peer curl -sS --fail "http://$MY4:8000/big"
	show "page" peer curl -sS --fail "http://$MY4:8000/"
	does "20 at once" peer curl -sS --fail --parallel -o "$W/none#1" \
		"http://$MY4:8000/index.html?[1-20]"
}
