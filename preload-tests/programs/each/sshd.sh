# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="sshd" PACKAGES="openssh-server openssh-client rsync"
DOES="server: commands, a terminal, 20 MB by scp each way, sftp, rsync, forwarding, five sessions at once, a refused key"

server() {
	local i pids=()
	sshd_conf
	printf '%s %s\n' "$MY4" "$(cat "$W/host_key.pub")" >"$W/known"
	under_bg sh -c "$SSHD" - "$W/sshd_config" 2>"$W/sshd.log"
	ready 22
	show "command" peer ssh "${OPT[@]}" "$MY4" 'echo hello; echo err >&2'
	fails "exit status" peer ssh "${OPT[@]}" "$MY4" 'exit 7'
	show "terminal" peer ssh -tt -q "${OPT[@]}" "$MY4" 'test -t 0 && echo yes'
	make blob "$SIZE"
	cp "$W/blob" "$W/stdin"
	sum "through a pipe" eventually peer ssh "${OPT[@]}" "$MY4" cat
	rm "$W/stdin"
	does "scp up" peer scp -q "${OPT[@]}" "$W/blob" "$MY4:$W/up"
	files "scp" "$W/up"
	does "scp down" peer scp -q "${OPT[@]}" "$MY4:$W/blob" "$W/down"
	files "scp" "$W/down"
	does "rsync" peer rsync -e "ssh ${OPT[*]}" "$MY4:$W/blob" "$W/rsynced"
	files "rsync" "$W/rsynced"
	for i in 1 2 3 4 5; do
		peer ssh "${OPT[@]}" "$MY4" "head -c ${i}00000 $W/blob" \
			>"$W/at-once$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	files "at once" "$W"/at-once*
	fails "wrong key" peer ssh -F /dev/null -i "$W/host_key" -o \
		IdentitiesOnly=yes -o UserKnownHostsFile="$W/known" \
		-o BatchMode=yes "$MY4" true
}
