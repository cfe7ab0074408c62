# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="socat, fork and EXEC" PACKAGES="socat"
DOES="a child, and a program with the socket, for each of 20 connections; EXEC and SYSTEM as client; a relay that forks"

client() {
	make blob "$SIZE"
	peer_bg socat -u TCP4-LISTEN:5001 OPEN:"$W/got",creat
	peer_ready tcp 5001
	does "EXEC as client" under socat -u EXEC:"cat $W/blob" TCP4:"$V4":5001
	finish "$BG"
	files "EXEC" "$W/got"
}

server() {
	under_bg socat TCP4-LISTEN:6001,reuseaddr,fork EXEC:sha256sum,nofork
	ready 6001
	show "nofork" peer sh -c "head -c 100000 $W/blob | socat -t 5 - TCP4:$MY4:6001"
	show "20 at once" peer sh -c "seq 20 | xargs -P 20 -I{} sh -c \
		'echo {} | socat -t 5 - TCP4:$MY4:6001' | sort"
	under_bg socat TCP4-LISTEN:6002,reuseaddr,fork \
		SYSTEM:'read l; echo "you said $l"'
	ready 6002
	show "SYSTEM" peer sh -c "echo word | socat -t 5 - TCP4:$MY4:6002"
	peer_bg socat TCP4-LISTEN:5010,fork EXEC:'sha256sum'
	peer_ready tcp 5010
	under_bg socat -t 5 TCP4-LISTEN:6003,reuseaddr,fork TCP4:"$V4":5010
	ready 6003
	show "relay, 10 at once" peer sh -c "seq 10 | xargs -P 10 -I{} sh -c \
		'echo {} | socat -t 5 - TCP4:$MY4:6003' | sort"
}
