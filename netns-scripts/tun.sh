#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tun.sh up|down [NAME] - one namespace, one TUN device, both families
#
#   namespace NAME (default: tcpshim)
#   +-------------------------------------------------------------------+
#   |                                                                   |
#   |   kernel                             a program under the preload  |
#   |   10.77.0.1/24, fd77::1/64           10.77.0.2/24, fd77::2/64     |
#   |        |                                  |                       |
#   |        +---------- tcpshim0 (TUN) --------+                       |
#   |                                                                   |
#   |   lo up                                                           |
#   +-------------------------------------------------------------------+
#
# The device is the same in every namespace, so runs with different names do
# not meet. Nothing outside the namespace is touched.
#
#   netns-scripts/tun.sh up
#   ip netns exec tcpshim env LD_PRELOAD=build/shim/libtcpshim.so curl ...
#   netns-scripts/tun.sh down

set -eu
. "$(dirname "$0")/lib.sh"

DEV=tcpshim0

usage() {
	echo "usage: ${0##*/} up|down [NAME]" >&2
	exit 1
}

up() {
	need_tun
	ns_exists "$1" && die "namespace $1 exists already; first: $0 down $1"
	at_exit ns_del "$1"
	ns_add "$1"
	ip -n "$1" tuntap add dev "$DEV" mode tun
	# router solicitations would be the only packets of an idle kernel
	ns_sysctl "$1" "net.ipv6.conf.$DEV.router_solicitations=0" \
		"net.ipv6.conf.$DEV.accept_dad=0"
	ip -n "$1" addr add 10.77.0.1/24 dev "$DEV"
	ip -n "$1" addr add fd77::1/64 dev "$DEV" nodad
	ip -n "$1" link set "$DEV" up
	at_exit_forget
}

down() {
	ns_exists "$1" || die "no namespace $1"
	ns_del "$1"
}

[ $# -ge 1 ] && [ $# -le 2 ] || usage
case $1 in
up | down) ;;
*) usage ;;
esac
need_root
"$1" "${2:-tcpshim}"
