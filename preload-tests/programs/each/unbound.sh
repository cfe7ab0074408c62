# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="unbound" PACKAGES="unbound bind9-dnsutils dnsmasq-base"
DOES="a DNS server in one process: own data over UDP and TCP, and asks a server above it"
STRIP='s/id: [0-9]+/id: N/; /^;; (Query time|WHEN)/d; /COOKIE/d'

server() {
	local option
	dns_up
	cat >"$W/unbound.conf" <<-EOF
		server:
			interface: 0.0.0.0
			interface: ::0
			access-control: 0.0.0.0/0 allow
			access-control: ::0/0 allow
			do-daemonize: no
			username: ""
			chroot: ""
			directory: "$W"
			pidfile: ""
			use-syslog: no
			module-config: "iterator"
			local-zone: "mine.test." static
			local-data: "mine.test. A 10.1.2.3"
			local-data: "mine.test. AAAA fd99::1"
			do-not-query-localhost: no
			domain-insecure: "test."
			local-zone: "test." nodefault
			num-threads: 2
		remote-control:
			control-enable: no
		forward-zone:
			name: "."
			forward-addr: $V4
	EOF
	under_bg unbound -d -c "$W/unbound.conf" 2>"$W/log"
	wait_for 10 peer dig +time=1 +tries=1 @"$MY4" mine.test
	for option in +notcp +tcp; do
		show "own $option" peer dig "$option" +short @"$MY4" mine.test
		show "own/6 $option" peer dig "$option" +short @"$MY6" mine.test AAAA
		show "asked $option" peer dig "$option" +short @"$MY4" one.test
	done
	sum "long" peer dig +short +bufsize=512 @"$MY4" long.test TXT
}
