# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=traceroute PACKAGES="traceroute"
DOES="with UDP, ICMP and TCP, both families"
STRIP='s/ +[0-9.]+ ms/ T/g'

client() {
	show "udp" under traceroute -n "$V4"
	show "udp/6" under traceroute -n -6 "$V6"
	show "icmp" under traceroute -n -I "$V4"
	show "icmp/6" under traceroute -n -6 -I "$V6"
	show "tcp" under traceroute -n -T -p 9 "$V4"
}
