# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=sockperf PACKAGES="sockperf"
DOES="ping-pong and throughput over UDP and TCP, both sides: nothing lost, doubled or out of order"
STRIP='/^sockperf: (# )?(dropped|\[Valid)/!d; s/\[Valid.*//; s/received messages =.*//'

both() { # WHERE HOST
	show "udp" "$1" sockperf pp -i "$2" -p 11111 -t 1
	show "tcp" "$1" sockperf pp --tcp -i "$2" -p 11112 -t 1
	does "tcp throughput" "$1" sockperf tp --tcp -i "$2" -p 11112 -t 1 -m 1000
}

client() {
	peer_bg sockperf sr -i "$V4" -p 11111 >"$W/log"
	peer_bg sockperf sr --tcp -i "$V4" -p 11112 >"$W/log"
	peer_ready tcp 11112
	both under "$V4"
}

server() {
	printf 'U:%s:11111\nT:%s:11112\n' "$MY4" "$MY4" >"$W/feed"
	under_bg sockperf sr -f "$W/feed" >"$W/log2"
	ready 11112
	both peer "$MY4"
}
