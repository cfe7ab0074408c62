# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=ncat PACKAGES="ncat nginx-light"
DOES="TCP client and -l, TLS both sides, UDP, chat broker with three clients, as an HTTP client"

client() {
	make blob "$SIZE"
	certificate
	peer_bg ncat -l --recv-only "$V4" 5001 >"$W/got"
	peer_ready tcp 5001
	cp "$W/blob" "$W/stdin"
	does "tcp" eventually under ncat --send-only "$V4" 5001
	rm "$W/stdin"
	does "tcp, server" finish "$BG"
	files "tcp" "$W/got"
	peer_bg ncat -l --send-only "$V6" 5002 <"$W/blob"
	peer_ready tcp 5002
	sum "tcp/6 down" under ncat --recv-only "$V6" 5002
	peer_bg ncat -l --ssl --ssl-cert "$W/cert.pem" --ssl-key "$W/key.pem" \
		--send-only "$V4" 5003 <"$W/blob"
	peer_ready tcp 5003
	sum "tls down" under ncat --ssl --recv-only "$V4" 5003
	www_up 1
	show "http" under sh -c "printf 'GET /index.html HTTP/1.0\r\n\r\n' |
		ncat $V4 80 | tail -n 1"
	STRIP='s/^Ncat: Version.*//'
	fails "refused" under ncat -v "$V4" 9
}

server() {
	under_bg ncat -l --recv-only "$MY4" 6001 >"$W/got"
	cp "$W/blob" "$W/stdin"
	does "server" eventually peer ncat --send-only "$MY4" 6001
	rm "$W/stdin"
	does "server, status" finish "$BG"
	files "server" "$W/got"
	under_bg ncat -l --ssl --ssl-cert "$W/cert.pem" --ssl-key "$W/key.pem" \
		--send-only "$MY4" 6002 <"$W/blob"
	sum "tls server" eventually peer ncat --ssl --recv-only "$MY4" 6002
	broker
}

# Two listen, one says something; everybody but the speaker hears it.
broker() {
	local a b
	under_bg ncat -l --broker "$MY4" 6003
	ready 6003
	peer_bg ncat --recv-only "$MY4" 6003 >"$W/a"
	a=$BG
	peer_bg ncat --recv-only "$MY4" 6003 >"$W/b"
	b=$BG
	wait_for 10 eval "echo to all | peer ncat $MY4 6003 >/dev/null;
		grep -q 'to all' '$W/a' && grep -q 'to all' '$W/b'"
	show "broker" head -qn 1 "$W/a" "$W/b"
	stop_pid "$a"
	stop_pid "$b"
}
