# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="tftp" PACKAGES="tftp-hpa tftpd-hpa"
DOES="get and put over UDP, with a kernel tftpd"

client() {
	mkdir "$W/tftp"
	chmod 777 "$W/tftp"
	make big 2000000
	cp "$W/big" "$W/tftp/big"
	: >"$W/tftp/up"
	chmod 666 "$W/tftp/"*
	peer_bg in.tftpd -L -a "$V4:69" -u nobody -s "$W/tftp"
	peer_ready udp 69
	does "get" under tftp -m binary "$V4" -c get big "$W/got"
	files "get" "$W/got"
	does "put" under tftp -m binary "$V4" -c put "$W/big" up
	wait_for 5 cmp "$W/big" "$W/tftp/up"
	files "put" "$W/tftp/up"
	show "missing" under tftp -m binary "$V4" -c get none "$W/none"
}
