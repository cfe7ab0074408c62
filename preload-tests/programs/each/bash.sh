# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="bash /dev/tcp, /dev/udp" PACKAGES="bash nginx-light socat"
DOES="redirections from and to sockets, read and printf"

client() {
	www_up 3
	show "page" under bash -c 'exec 3<>"/dev/tcp/$1/80"
		printf "GET /index.html HTTP/1.0\r\n\r\n" >&3
		while read -r l; do [[ $l = "<"* ]] && echo "$l"; done <&3' - "$V4"
	peer_bg socat UDP4-LISTEN:5005,fork EXEC:'head -c 6'
	peer_ready udp 5005
	show "udp" under bash -c 'exec 3<>"/dev/udp/$1/5005"
		echo hello >&3; read -r -t 0.5 l <&3; echo "$l"' - "$V4"
	fails "refused" under bash -c 'exec 3<>"/dev/tcp/$1/9"' - "$V4"
}
