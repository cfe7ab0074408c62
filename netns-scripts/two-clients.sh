#!/bin/bash
# SPDX-License-Identifier: MIT
#
# two-clients.sh up [HOST...] | env HOST | down - a server and router between two clients
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
#
# A HOST named after `up` (server, client1, client2) is a stack under the
# preload: it takes the addresses of the drawing, behind a TUN in the same
# namespace, and everybody else finds it where he found the kernel. `env HOST`
# prints the settings for it, `down` is as before.
#
#   ns_client1, with `up client1`             ns_server, with `up server`
#   +-------------------------------+         +-------------------------------+
#   | shim 10.0.1.2/24, via .252    |         | shim 10.0.1.1/24, 10.0.2.1/24 |
#   |   | tcpshim0 (TUN)            |         |   | tcpshim0 (TUN)            |
#   | kernel, forwards              |         | kernel, forwards              |
#   |   | veth_c1 10.0.1.252/24     |         |   | veth_srv_c1 10.0.1.251/24 |
#   |   |   answers ARP for .2      |         |   | veth_srv_c2 10.0.2.251/24 |
#   +---|---------------------------+         +---|---------------------------+
#
# The kernel between a shim and its cable takes one from the TTL. It is the
# kernel that routes from client to client, in every case.
#
#   netns-scripts/two-clients.sh up client1
#   ip netns exec ns_client1 env $(netns-scripts/two-clients.sh env client1) \
#	LD_PRELOAD=build/shim/libtcpshim.so nc 10.0.1.1 8080

set -eu
. "$(dirname "$0")/lib.sh"

ALL="ns_server ns_client1 ns_client2"
DEV=tcpshim0
SHIMS=" "

usage() {
	echo "usage: ${0##*/} up [server] [client1] [client2] | env HOST | down" >&2
	exit 1
}

is_shim() { # HOST
	[[ $SHIMS = *" $1 "* ]]
}

is_host() { # WORD
	case $1 in
	server | client1 | client2) ;;
	*) return 1 ;;
	esac
}

# The kernel's own address on a cable: the one of the drawing, or another when
# a stack has that one.
address() { # HOST NET LAST
	if is_shim "$1"; then
		echo "10.0.$2.25$3"
	else
		echo "10.0.$2.$3"
	fi
}

client() { # NUMBER : its namespace, its cable, its way out
	local ns=ns_client$1 near=veth_c$1 far=veth_srv_c$1 net=10.0.$1

	ip -n ns_server link add "$far" type veth peer name "$near" netns "$ns"
	ip -n ns_server addr add "$(address server "$1" 1)/24" dev "$far"
	ip -n "$ns" addr add "$(address "client$1" "$1" 2)/24" dev "$near"
	ip -n ns_server link set "$far" up
	ip -n "$ns" link set "$near" up
	ip -n "$ns" route add default via "$net.1"
}

# A TUN for the stack, and ARP on the cables for the addresses behind it.
shim() { # NAMESPACE ADDRESS,CABLE...
	local ns=$1 pair

	ip -n "$ns" tuntap add dev "$DEV" mode tun
	ns_sysctl "$ns" net.ipv4.ip_forward=1 "net.ipv6.conf.$DEV.disable_ipv6=1"
	ip -n "$ns" link set "$DEV" up
	shift
	for pair; do
		ip -n "$ns" route add "${pair%,*}/32" dev "$DEV"
		ns_sysctl "$ns" "net.ipv4.conf.${pair#*,}.proxy_arp=1" \
			"net.ipv4.neigh.${pair#*,}.proxy_delay=0"
	done
}

up() {
	local ns
	for ns in $ALL; do
		ns_exists "$ns" &&
			die "namespace $ns exists already; first: $0 down"
	done
	is_shim server || is_shim client1 || is_shim client2 && need_tun
	for ns in $ALL; do
		at_exit ns_del "$ns"
		ns_add "$ns"
	done
	client 1
	client 2
	ns_sysctl ns_server net.ipv4.ip_forward=1
	is_shim server &&
		shim ns_server 10.0.1.1,veth_srv_c1 10.0.2.1,veth_srv_c2
	is_shim client1 && shim ns_client1 10.0.1.2,veth_c1
	is_shim client2 && shim ns_client2 10.0.2.2,veth_c2
	at_exit_forget
}

settings() { # HOST
	case $1 in
	server)
		echo "TCPSHIM_ADDR=10.0.1.1/24,10.0.2.1/24" \
			"TCPSHIM_GATEWAY=10.0.1.251"
		;;
	client*)
		echo "TCPSHIM_ADDR=10.0.${1#client}.2/24" \
			"TCPSHIM_GATEWAY=10.0.${1#client}.252"
		;;
	esac
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

[ $# -ge 1 ] || usage
what=$1
shift
for host; do
	is_host "$host" || usage
	SHIMS+="$host "
done
case $what in
up) ;;
env)
	[ $# -eq 1 ] || usage
	settings "$1"
	exit
	;;
down) [ $# -eq 0 ] || usage ;;
*) usage ;;
esac
need_root
"$what"
