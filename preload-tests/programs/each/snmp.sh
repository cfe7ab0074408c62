# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="snmpget, snmpwalk, snmpd" PACKAGES="snmp snmpd"
DOES="SNMP over UDP and TCP, both sides"

conf() {
	printf 'rocommunity public\nrocommunity6 public\nsysLocation here\nsysContact me\nsysName tcpshim\n' \
		>"$W/snmpd.conf"
	export MIBS='' SNMPCONFPATH=$W SNMP_PERSISTENT_DIR=$W/state
}

ask() { # WHERE HOST
	show "get" "$1" snmpget -v 2c -c public -On "$2" .1.3.6.1.2.1.1.6.0
	show "get tcp" "$1" snmpget -v 2c -c public -On "tcp:$2" .1.3.6.1.2.1.1.5.0
	sum "bulk" "$1" snmpbulkwalk -v 2c -c public -On "$2" .1.3.6.1.2.1.1.4
	show "table" "$1" sh -c "snmpwalk -v 1 -c public -On $2 \
		.1.3.6.1.2.1.1.9.1.2 | wc -l"
	fails "not there" "$1" snmpget -v 2c -c wrong -t 0.3 -r 0 "$2" \
		.1.3.6.1.2.1.1.5.0
}

client() {
	conf
	peer_bg snmpd -f -LE 0 -r -C -c "$W/snmpd.conf" -p "$W/pid" \
		"udp:161,tcp:161,udp6:161" 2>"$W/log$SECONDS"
	peer_ready tcp 161
	ask under "$V4"
	show "get/6" under snmpget -v 2c -c public -On "udp6:[$V6]" \
		.1.3.6.1.2.1.1.6.0
	stop_pid "$BG"
}

server() {
	under_bg snmpd -f -Le -r -C -c "$W/snmpd.conf" -p "$W/pid2" \
		"udp:161,tcp:161,udp6:161" 2>"$W/log$SECONDS"
	wait_for 10 peer snmpget -v 2c -c public -t 0.3 -r 0 "$MY4" \
		.1.3.6.1.2.1.1.5.0
	ask peer "$MY4"
}
