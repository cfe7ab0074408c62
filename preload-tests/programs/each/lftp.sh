# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="lftp, curl ftp://" PACKAGES="lftp curl vsftpd"
DOES="FTP passive and active: get, put, mirror, listing, with a kernel vsftpd"

client() {
	local mode
	vsftpd_conf "$V4"
	peer_bg vsftpd "$W/vsftpd.conf"
	peer_ready tcp 21
	export HOME=$W
	make up 3000000
	for mode in on off; do
		does "get, passive $mode" under lftp -c "set ftp:passive-mode $mode;
			open $V4; get big -o $W/got"
		files "get" "$W/got"
		rm -f "$W/got"
		does "put, passive $mode" under lftp -c "set ftp:passive-mode $mode;
			open $V4; cd up; put $W/up -o up$mode"
		does "put file" cmp "$W/up" "$W/ftp/up/up$mode"
	done
	does "mirror" under lftp -c "open $V4; mirror -P 3 dir $W/mirror"
	does "mirror files" diff -r "$W/ftp/dir" "$W/mirror"
	show "listing" under lftp -c "open $V4; cls -1 dir"
	sum "curl" under curl -sS "ftp://$V4/big"
	sum "curl, active" under curl -sS -P - "ftp://$V4/big"
}
