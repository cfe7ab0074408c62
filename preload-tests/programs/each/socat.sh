# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=socat PACKAGES="socat"
DOES="TCP, UDP and TLS, client and server, both families, half-close, a relay between two ports, socket options"

client() {
	make blob "$SIZE"
	certificate
	peer_bg socat -u TCP4-LISTEN:5001,bind="$V4" OPEN:"$W/got",creat,trunc
	peer_ready tcp 5001
	does "tcp up" under socat -u OPEN:"$W/blob" TCP4:"$V4":5001
	finish "$BG"
	files "tcp up" "$W/got"
	peer_bg socat -u OPEN:"$W/blob" TCP6-LISTEN:5002
	peer_ready tcp 5002
	sum "tcp/6 down" under socat -u "TCP6:[$V6]:5002" STDOUT
	peer_bg socat TCP4-LISTEN:5003 EXEC:'sha256sum'
	peer_ready tcp 5003
	cp "$W/blob" "$W/stdin"
	show "half-close" eventually under socat -t 5 - \
		TCP4:"$V4":5003,nodelay,keepalive,sndbuf=100000
	rm "$W/stdin"
	peer_bg socat UDP4-LISTEN:5004 EXEC:'head -n 1'
	peer_ready udp 5004
	show "udp" under sh -c "echo datagram | socat -t 1 - UDP4:$V4:5004"
	peer_bg socat -u OPEN:"$W/blob" \
		OPENSSL-LISTEN:5005,cert="$W/cert.pem",key="$W/key.pem",verify=0
	peer_ready tcp 5005
	sum "tls down" under socat -u \
		OPENSSL:"$V4":5005,cafile="$W/cert.pem",no-sni STDOUT
	STRIP='s/^[0-9/]+ [0-9:]+ socat\[[0-9]+\]/TIME socat/'
	fails "refused" under socat - TCP4:"$V4":9
}

server() {
	under_bg socat -u TCP4-LISTEN:6001,reuseaddr OPEN:"$W/got2",creat,trunc
	does "server" eventually peer socat -u OPEN:"$W/blob" TCP4:"$MY4":6001
	does "server, status" finish "$BG"
	files "server" "$W/got2"
	under_bg socat -u OPEN:"$W/blob" \
		OPENSSL-LISTEN:6002,cert="$W/cert.pem",key="$W/key.pem",verify=0
	sum "tls server" eventually peer socat -u \
		OPENSSL:"$MY4":6002,verify=0 STDOUT
	# what comes in at one port goes out to another host
	peer_bg socat TCP4-LISTEN:5010,fork EXEC:'sha256sum'
	peer_ready tcp 5010
	under_bg socat -t 5 TCP6-LISTEN:6003 TCP4:"$V4":5010
	cp "$W/blob" "$W/stdin"
	show "relay" eventually peer socat -t 5 - "TCP6:[$MY6]:6003"
	rm "$W/stdin"
}
