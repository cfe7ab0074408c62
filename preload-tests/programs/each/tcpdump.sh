# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="tcpdump, arping" PACKAGES="tcpdump arping iputils-ping"
DOES="packet sockets stay with the kernel, untouched: a capture on lo, ARP on an Ethernet device"
STRIP='s/[0-9.]+ usec/T usec/; s/([0-9a-f]{2}:){5}[0-9a-f]{2}/MAC/g; /^rtt |^round-trip|^listening|^tcpdump: (verbose|listening)|packets (captured|received|dropped)/d; s/(id|seq) [0-9]+/\1 N/g'
KERNEL_ONLY=1

client() {
	local far=$NS-f
	under_bg tcpdump -n -t -l -i lo -c 2 icmp >"$W/seen" 2>"$W/log"
	wait_for 10 has_line "$W/log" listening
	ip netns exec "$NSC" ping -q -c 1 127.0.0.1 >"$W/none"
	does "tcpdump" finish "$BG"
	show "captured" cat "$W/seen"
	at_exit ns_del "$far"
	ns_add "$far"
	ip -n "$NSC" link add arp0 type veth peer name arp1 netns "$far"
	ip -n "$NSC" addr add 10.88.0.2/24 dev arp0
	ip -n "$far" addr add 10.88.0.1/24 dev arp1
	ip -n "$NSC" link set arp0 up
	ip -n "$far" link set arp1 up
	show "arping" under arping -c 2 -W 0.02 -i arp0 10.88.0.1
	show "devices" under sh -c 'tcpdump -D | grep -c "lo \["'
}
