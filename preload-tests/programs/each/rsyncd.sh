# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="rsync --daemon" PACKAGES="rsync"
DOES="server, a child for each connection: up, down, changes, listing, three at once"

server() {
	local i pids=()
	mkdir -p "$W/src/sub" "$W/mod"
	make big "$SIZE"
	mv "$W/big" "$W/src/"
	for i in $(seq 20); do
		make "t$i" $((i * 1009))
		mv "$W/t$i" "$W/src/sub/"
	done
	cat >"$W/rsyncd.conf" <<-EOF
		use chroot = no
		uid = $(id -un)
		gid = $(id -gn)
		pid file =
		[mod]
			path = $W/mod
			read only = no
	EOF
	under_bg rsync --daemon --no-detach --config="$W/rsyncd.conf" \
		--log-file="$W/log"
	ready 873
	does "up" peer rsync -a "$W/src/" "rsync://$MY4/mod/"
	does "the same" diff -r "$W/src" "$W/mod"
	printf changed | dd of="$W/src/big" bs=1 seek=5000 conv=notrunc 2>/dev/null
	does "changes" peer rsync -a -c --no-whole-file "$W/src/" "rsync://$MY4/mod/"
	does "the same" diff -r "$W/src" "$W/mod"
	show "listing" peer rsync "rsync://$MY4/"
	for i in 1 2 3; do
		peer rsync -a "rsync://$MY4/mod/" "$W/down$i/" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for i in 1 2 3; do
		does "down $i" diff -r "$W/src" "$W/down$i"
	done
}
