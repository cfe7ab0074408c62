# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=aria2c PACKAGES="aria2 nginx-light"
DOES="one file in eight pieces at once, and five files at once"

client() {
	www_up 5
	tls_up
	does "eight pieces" under aria2c -q -x 8 -s 8 -k 1M -d "$W" -o got \
		"http://$V4/big"
	files "eight pieces" "$W/got"
	does "tls" under aria2c -q --ca-certificate="$W/cert.pem" -x 4 -s 4 -k 1M \
		-d "$W" -o got2 "https://$V4/big"
	files "tls" "$W/got2"
	does "five" under aria2c -q -Z -d "$W" "http://$V4/f1" "http://$V4/f2" \
		"http://$V4/f3" "http://$V4/f4" "http://$V4/f5"
	files "five" "$W"/f[1-5]
	fails "refused" under aria2c -q -t 2 -m 1 -d "$W" "http://$V4:9/x"
}
