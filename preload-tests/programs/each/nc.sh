# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="nc (OpenBSD)" PACKAGES="netcat-openbsd"
DOES="TCP and UDP, client and -l, both families; -z scan, refusals, timeouts"

one_way() { # HOST PORT SERVER-SIDE CLIENT-SIDE WHAT
	"$3_bg" nc -d -l "$1" "$2" >"$W/got"
	cp "$W/blob" "$W/stdin"
	does "$5" eventually "$4" nc -N "$1" "$2"
	rm "$W/stdin"
	does "$5, server" finish "$BG"
	files "$5" "$W/got"
}

client() {
	make blob "$SIZE"
	one_way "$V4" 5001 peer under "client tcp/4"
	one_way "$V6" 5002 peer under "client tcp/6"
	peer_bg nc -d -l "$V4" 5003 >"$W/none"
	peer_ready tcp 5003
	show "scan" under nc -nvz -w 2 "$V4" 5001-5004
	fails "refused" under nc -nv "$V4" 5001
	peer_bg socat UDP4-LISTEN:5005,bind="$V4",fork EXEC:'head -c 6'
	peer_ready udp 5005
	show "client udp" under sh -c "echo hello | nc -u -W 1 $V4 5005"
}

server() {
	one_way "$MY4" 6001 under peer "server tcp/4"
	one_way "$MY6" 6002 under peer "server tcp/6"
	under_bg nc -u -l -W 1 "$MY4" 6003 >"$W/got"
	wait_for 10 eval "echo datagram | peer nc -u -w 1 $MY4 6003;
		grep -q datagram '$W/got'"
	finish "$BG"
	show "server udp" cat "$W/got"
}
