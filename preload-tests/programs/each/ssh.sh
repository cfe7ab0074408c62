# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="ssh, scp, sftp" PACKAGES="openssh-client openssh-server"
DOES="client with a key: commands, exit status, 200 MB each way by scp, sftp batch, local and dynamic forwarding"

client() {
	local size=200000000
	[ "$AUDITED" = 1 ] && size=5000000
	sshd_up
	show "command" under ssh "${OPT[@]}" "$V4" 'echo hello; echo err >&2'
	show "over IPv6" under ssh "${OPT[@]}" "$V6" 'echo hello'
	fails "exit status" under ssh "${OPT[@]}" "$V4" 'exit 7'
	make blob "$size"
	cp "$W/blob" "$W/stdin"
	sum "through a pipe" eventually under ssh "${OPT[@]}" "$V4" cat
	rm "$W/stdin"
	does "scp up" under scp -q "${OPT[@]}" "$W/blob" "$V4:$W/up"
	files "scp" "$W/up"
	rm -f "$W/up"
	does "scp down" under scp -q "${OPT[@]}" "$V4:$W/blob" "$W/down"
	files "scp" "$W/down"
	rm -f "$W/down"
	printf 'put %s %s\nls -1 %s\nget %s %s\nrm %s\n' "$W/known" \
		"$W/sftp1" "$W/sftp1" "$W/sftp1" "$W/sftp2" "$W/sftp1" >"$W/batch"
	show "sftp" under sftp -q -b "$W/batch" "${OPT[@]}" "$V4"
	does "sftp file" cmp "$W/known" "$W/sftp2"
	fails "wrong key" under ssh -F /dev/null -i "$W/host_key" -o \
		IdentitiesOnly=yes -o UserKnownHostsFile="$W/known" \
		-o BatchMode=yes "$V4" true
	forwarding
	fails "refused" under ssh "${OPT[@]}" -p 9 "$V4" true
}

# The listener that ssh makes is its host's; the peer comes in through it.
forwarding() {
	peer_bg socat TCP4-LISTEN:5001,fork EXEC:"cat $W/known"
	peer_ready tcp 5001
	under_bg ssh "${OPT[@]}" -N -L "$MY4:6001:$V4:5001" \
		-D "$MY4:1080" "$V4"
	ready 1080
	show "forwarded" peer sh -c "nc -d $MY4 6001 | cmp - $W/known"
	show "SOCKS" peer sh -c "nc -d -X 5 -x $MY4:1080 $V4 5001 |
		cmp - $W/known"
	stop_pid "$BG"
}
