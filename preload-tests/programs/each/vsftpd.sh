# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="vsftpd" PACKAGES="vsftpd lftp curl"
NOTE="with isolate_network=NO; else the processes of a session are in a network namespace of their own, where the keeper is not"
DOES="server, processes for each session: passive and active, get, put, mirror with three connections"

server() {
	local mode
	vsftpd_conf "$MY4"
	under_bg vsftpd "$W/vsftpd.conf"
	ready 21
	export HOME=$W
	make up 3000000
	for mode in on off; do
		does "get, passive $mode" peer lftp -c "set ftp:passive-mode $mode;
			open $MY4; get big -o $W/got"
		files "get" "$W/got"
		rm -f "$W/got"
		does "put, passive $mode" peer lftp -c "set ftp:passive-mode $mode;
			open $MY4; cd up; put $W/up -o up$mode"
		does "put file" cmp "$W/up" "$W/ftp/up/up$mode"
	done
	does "mirror" peer lftp -c "open $MY4; mirror -P 3 dir $W/mirror"
	does "mirror files" diff -r "$W/ftp/dir" "$W/mirror"
	sum "curl" peer curl -sS "ftp://$MY4/big"
}
