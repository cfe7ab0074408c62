# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="dbclient (Dropbear)" PACKAGES="dropbear-bin openssh-server"
DOES="ssh client: a command, 20 MB through a pipe, an exit status"

client() {
	sshd_up
	dropbearkey -t ed25519 -f "$W/db" >"$W/db.pub" 2>"$W/none"
	grep '^ssh-' "$W/db.pub" >>"$W/authorized"
	export HOME=$W
	mkdir -p "$W/.ssh"
	printf '%s %s\n' "$V4" "$(cut -d' ' -f1,2 "$W/host_key.pub")" \
		>"$W/.ssh/known_hosts"
	show "command" under dbclient -i "$W/db" "root@$V4" 'echo hello'
	make blob "$SIZE"
	sum "pipe" under sh -c "dbclient -i $W/db root@$V4 cat <$W/blob"
	fails "exit status" under dbclient -i "$W/db" "root@$V4" 'exit 7'
	fails "refused" under dbclient -p 9 -i "$W/db" "root@$V4" true
}
