# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="busybox wget, nc" PACKAGES="busybox nginx-light curl"
DOES="wget and nc, both families; wget reads its socket through stdio"

client() {
	www_up 3
	sum "wget" under busybox wget -q -O - "http://$V4/big"
	sum "wget/6" under busybox wget -q -O - "http://[$V6]/f3"
	STRIP='s/^wget: note.*//'
	fails "missing" under busybox wget -q -O - "http://$V4/none"
	printf 'GET /index.html HTTP/1.0\r\n\r\n' >"$W/stdin"
	show "nc" eventually under sh -c "busybox nc $V4 80 | tail -n 1"
	rm "$W/stdin"
	fails "refused" under busybox nc "$V4" 9
}
