# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="lftp, curl ftp://" PACKAGES="lftp curl vsftpd"
DOES="FTP passive and active: get, put, mirror, listing, with a kernel vsftpd"

vsftpd_up() {
	mkdir -p "$W/ftp/up" "$W/empty" "$W/ftp/dir"
	make big "$SIZE"
	mv "$W/big" "$W/ftp/big"
	for i in 1 2 3 4 5; do
		make "f$i" $((i * 9973))
		mv "$W/f$i" "$W/ftp/dir/"
	done
	chmod 777 "$W/ftp/up"
	chmod 555 "$W/ftp"
	cat >"$W/vsftpd.conf" <<-EOF
		listen=YES
		listen_address=$V4
		background=NO
		anonymous_enable=YES
		local_enable=NO
		write_enable=YES
		anon_upload_enable=YES
		anon_mkdir_write_enable=YES
		anon_other_write_enable=YES
		anon_umask=022
		anon_root=$W/ftp
		no_anon_password=YES
		secure_chroot_dir=$W/empty
		connect_from_port_20=YES
		seccomp_sandbox=NO
		ftp_username=daemon
	EOF
	peer_bg vsftpd "$W/vsftpd.conf"
	peer_ready tcp 21
}

client() {
	local mode
	vsftpd_up
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
