# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="git daemon" PACKAGES="git"
DOES="server, git upload-pack and receive-pack as children with the socket: clone, push, three clones at once"

server() {
	local i pids=()
	repository
	under_bg git daemon --reuseaddr --base-path="$W/srv" --export-all \
		--enable=receive-pack --listen="$MY4" "$W/srv"
	ready 9418
	does "clone" peer git clone -q "git://$MY4/repo" "$W/c"
	show "head" git -C "$W/c" rev-parse HEAD
	does "file" cmp "$W/big" "$W/c/big"
	git -C "$W/c" commit -q --allow-empty -m pushed
	does "push" peer git -C "$W/c" push -q origin HEAD:main
	show "pushed" git -C "$W/srv/repo" log --format='%h %s' main
	for i in 1 2 3; do
		peer git clone -q "git://$MY4/repo" "$W/c$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	show "at once" cat "$W"/c[123]/.git/refs/heads/main
}
