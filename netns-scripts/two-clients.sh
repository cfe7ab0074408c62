#!/bin/bash
# SPDX-License-Identifier: MIT
#
# two-clients.sh up|down - a server and router between two clients
#
#      ns_client1                                        ns_client2
#   +---------------+                                 +---------------+
#   | default       |                                 | default       |
#   | via 10.0.1.1  |                                 | via 10.0.2.1  |
#   |  veth_c1      |                                 |  veth_c2      |
#   |  10.0.1.2/24  |                                 |  10.0.2.2/24  |
#   +------|--------+                                 +-------|-------+
#          |                                                  |
#   +------|--------------------------------------------------|-------+
#   |  veth_srv_c1                                   veth_srv_c2      |
#   |  10.0.1.1/24          ip_forward = 1           10.0.2.1/24      |
#   +-----------------------------------------------------------------+
#                               ns_server
#
# lo is up in all three. A client reaches the other one through the server.

set -eu
. "$(dirname "$0")/lib.sh"

ALL="ns_server ns_client1 ns_client2"

usage() {
	echo "usage: ${0##*/} up|down" >&2
	exit 1
}

client() { # NUMBER : its namespace, its cable, its way out
	local ns=ns_client$1 near=veth_c$1 far=veth_srv_c$1 net=10.0.$1

	ip -n ns_server link add "$far" type veth peer name "$near" netns "$ns"
	ip -n ns_server addr add "$net.1/24" dev "$far"
	ip -n "$ns" addr add "$net.2/24" dev "$near"
	ip -n ns_server link set "$far" up
	ip -n "$ns" link set "$near" up
	ip -n "$ns" route add default via "$net.1"
}

up() {
	local ns
	for ns in $ALL; do
		ns_exists "$ns" &&
			die "namespace $ns exists already; first: $0 down"
	done
	for ns in $ALL; do
		at_exit ns_del "$ns"
		ns_add "$ns"
	done
	client 1
	client 2
	ns_sysctl ns_server net.ipv4.ip_forward=1
	at_exit_forget
}

down() {
	local ns found=
	for ns in $ALL; do
		ns_exists "$ns" || continue
		found=1
		ns_del "$ns"
	done
	[ -n "$found" ] || die "nothing to take down"
}

[ $# -eq 1 ] || usage
case $1 in
up | down) ;;
*) usage ;;
esac
need_root
"$1"
