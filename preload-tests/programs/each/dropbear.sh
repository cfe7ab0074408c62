# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="dropbear" PACKAGES="dropbear-bin openssh-client"
DOES="ssh server, a process for each session: a command, 20 MB through it, a terminal"

server() {
	sshd_conf
	mkdir "$W/.ssh"
	dropbearkey -t ed25519 -f "$W/db_host" >"$W/none" 2>&1
	OPT=(-F /dev/null -i "$W/id" -o UserKnownHostsFile=/dev/null
		-o BatchMode=yes -o StrictHostKeyChecking=no -q)
	# its keys are below the home directory; the namespace has its own
	under_bg sh -c 'home=$(getent passwd root | cut -d: -f6)
		mount -t tmpfs none "$home" && mkdir "$home/.ssh" &&
		cp "$1/authorized" "$home/.ssh/authorized_keys" &&
		chmod -R go= "$home" &&
		exec dropbear -F -E -r "$1/db_host" -p 22 -P "$1/pid"' - "$W" 2>"$W/log"
	ready 22
	show "command" peer ssh "${OPT[@]}" "root@$MY4" 'echo hello'
	fails "exit status" peer ssh "${OPT[@]}" "root@$MY4" 'exit 7'
	show "terminal" peer ssh -tt "${OPT[@]}" "root@$MY4" 'test -t 0 && echo yes'
	make blob "$SIZE"
	cp "$W/blob" "$W/stdin"
	sum "through a pipe" eventually peer ssh "${OPT[@]}" "root@$MY4" cat
	rm "$W/stdin"
}
