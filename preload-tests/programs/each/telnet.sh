# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=telnet PACKAGES="inetutils-telnet socat"
DOES="a line each way, both families, closed by the far side; refused"

client() {
	local host
	peer_bg socat TCP6-LISTEN:5001,ipv6only=0,fork \
		SYSTEM:'read l; echo "you said $l"'
	peer_ready tcp 5001
	quiet_input
	for host in "$V4" "$V6"; do
		echo hello >&4
		fails "$host" under telnet "$host" 5001 <&4
	done
	fails "refused" under telnet "$V4" 9
}
