# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="ab" PACKAGES="apache2-utils nginx-light"
DOES="2000 requests on 20 connections, kept and not, TLS: none failed"
STRIP='/^(Complete|Failed|Total transferred|HTML|Document Length|Write|Non-2xx)/!d'

client() {
	www_up 5
	tls_up
	show "new connections" under ab -q -n 1000 -c 20 "http://$V4/f5"
	show "kept" under ab -q -k -n 1000 -c 20 "http://[$V6]/f5"
	show "tls" under ab -q -n 100 -c 10 "https://$V4/f5"
	make post 100000
	fails "post" under ab -q -n 10 -p "$W/post" "http://$V4:9/x"
}
