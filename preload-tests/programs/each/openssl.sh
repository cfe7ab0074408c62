# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="openssl s_client, s_server" PACKAGES="openssl"
DOES="TLS 1.2 and 1.3, both sides; certificate checks; s_server -WWW; session resumption; DTLS"

STRIP='/^(    )?(Session-ID|Session-ID-ctx|Master-Key|Resumption PSK|Start Time|Timeout|TLS session ticket):?/d; /^    [0-9a-f]{4} - /d; /(Post-Handshake|SSL handshake has read|Verification|Server Temp Key)/d'

client() {
	local v
	certificate
	mkdir "$W/www"
	make big 1000000
	mv "$W/big" "$W/www/big"
	cd "$W/www" || return
	peer_bg openssl s_server -quiet -accept "$V4:4433" -cert "$W/cert.pem" \
		-key "$W/key.pem" -WWW
	peer_ready tcp 4433
	for v in tls1_2 tls1_3; do
		show "$v" under sh -c "printf 'GET /none HTTP/1.0\r\n\r\n' |
			openssl s_client -$v -CAfile $W/cert.pem -quiet \
			-verify_return_error -connect $V4:4433 2>/dev/null | head -n 3"
	done
	sum "a file" under sh -c "printf 'GET /big HTTP/1.0\r\n\r\n' |
		openssl s_client -CAfile $W/cert.pem -quiet \
		-verify_return_error -connect $V4:4433 2>/dev/null"
	does "session out" under sh -c "printf 'GET /x HTTP/1.0\r\n\r\n' |
		openssl s_client -tls1_2 -sess_out $W/sess -connect $V4:4433"
	show "session in" under sh -c "printf 'GET /x HTTP/1.0\r\n\r\n' |
		openssl s_client -tls1_2 -sess_in $W/sess -connect $V4:4433 \
		2>/dev/null | grep -E '^(New|Reused)'"
	fails "wrong authority" under sh -c "openssl s_client -quiet \
		-verify_return_error -CAfile /dev/null -connect $V4:4433 \
		</dev/null 2>/dev/null"
	fails "refused" under sh -c "openssl s_client -connect $V4:9 \
		</dev/null 2>&1 | sed -nE 's/.*(connect:.*)/\1/p'"
}

server() {
	under_bg openssl s_server -quiet -accept 4433 -cert "$W/cert.pem" \
		-key "$W/key.pem" -WWW
	ready 4433
	sum "server" peer curl -sS --cacert "$W/cert.pem" "https://$MY4:4433/big"
	sum "server/6" peer curl -sS --cacert "$W/cert.pem" \
		"https://[$MY6]:4433/big"
	stop_pid "$BG"
	quiet_input
	under_bg openssl s_server -quiet -dtls -accept "$MY4:4434" \
		-cert "$W/cert.pem" -key "$W/key.pem" >"$W/dtls" <&4
	wait_for 10 eval "echo over dtls | peer timeout 0.5 openssl s_client -dtls \
		-quiet -connect $MY4:4434; grep -q dtls '$W/dtls'"
	show "dtls server" head -n 1 "$W/dtls"
}
