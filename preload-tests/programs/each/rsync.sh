# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=rsync PACKAGES="rsync openssh-client openssh-server"
DOES="client of a daemon and over ssh: up, down, again with few changes, listing"

tree() { # DIRECTORY
	local i
	mkdir -p "$1/sub"
	for i in $(seq 20); do
		make "t$i" $((i * 1009))
		mv "$W/t$i" "$1/sub/"
	done
	make big "$SIZE"
	mv "$W/big" "$1/"
}

client() {
	tree "$W/src"
	mkdir -p "$W/mod"
	cat >"$W/rsyncd.conf" <<-EOF
		use chroot = no
		uid = $(id -un)
		gid = $(id -gn)
		pid file =
		[mod]
			path = $W/mod
			read only = no
	EOF
	peer_bg rsync --daemon --no-detach --config="$W/rsyncd.conf" \
		--log-file="$W/log"
	peer_ready tcp 873
	does "up" under rsync -a "$W/src/" "rsync://$V4/mod/"
	sum "files" eval "cat $W/mod/big $W/mod/sub/*"
	printf changed | dd of="$W/src/big" bs=1 seek=5000 conv=notrunc 2>/dev/null
	touch -d @1700000000 "$W/src/big"
	STRIP='/^sent|^$/d'
	show "again" under rsync -a -c -i --no-whole-file "$W/src/" "rsync://$V4/mod/"
	does "the change" cmp "$W/src/big" "$W/mod/big"
	show "listing" under rsync "rsync://$V4/"
	does "down" under rsync -a "rsync://$V4/mod/" "$W/down/"
	does "the same" diff -r "$W/src" "$W/down"
	sshd_up
	does "over ssh" under rsync -a -e "ssh ${OPT[*]}" "$V4:$W/src/" "$W/ssh/"
	does "the same" diff -r "$W/src" "$W/ssh"
	fails "refused" under rsync --port 9 "rsync://$V4/mod/" "$W/x"
}
