# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="bash, a socket as a child's standard input" PACKAGES="bash nginx-light socat"
DOES="cat reads from a connection that the shell made; another writes to it"

client() {
	www_up 3
	sum "a child reads it" under bash -c 'exec 3<>"/dev/tcp/$1/80"
		printf "GET /big HTTP/1.0\r\n\r\n" >&3
		cat <&3 | tail -c 1000000' - "$V4"
	peer_bg socat -u TCP4-LISTEN:5001 OPEN:"$W/got",creat
	peer_ready tcp 5001
	does "a child writes to it" under bash -c \
		'exec 3<>"/dev/tcp/$1/5001"; head -c 500000 "$2" >&3' - "$V4" \
		"$W/www/big"
	finish "$BG"
	files "written" "$W/got"
}
