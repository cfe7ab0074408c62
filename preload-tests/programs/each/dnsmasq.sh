# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="dnsmasq" PACKAGES="dnsmasq-base bind9-dnsutils"
NOTE="with --bind-interfaces; at the wildcard address it answers UDP only, since it looks for the address of a TCP connection in netlink, which is the kernel's"
DOES="a DNS server over UDP and TCP, both families; asks a server above it"
STRIP='s/id: [0-9]+/id: N/; /^;; (Query time|WHEN)/d; /COOKIE/d'

server() {
	local option
	# at port 53 of an address of the kernel's, dnsmasq takes it for itself:
	# it asks netlink
	dns_up 5353
	under_bg dnsmasq -k -C /dev/null --no-resolv --no-hosts --user=root \
		--pid-file= --listen-address="$MY4,$MY6" --bind-interfaces \
		--server="$V4#5353" --address=/mine.test/10.1.2.3 \
		--host-record=both.test,10.3.2.1,fd99::1 --log-facility=- \
		2>"$W/log"
	wait_for 10 peer dig +time=1 +tries=1 @"$MY4" mine.test
	for option in +notcp +tcp; do
		show "own $option" peer dig "$option" +short @"$MY4" mine.test
		show "both $option" peer dig "$option" +short @"$MY6" both.test AAAA
		show "asked $option" peer dig "$option" +short @"$MY4" one.test
		show "again $option" peer dig "$option" @"$MY4" one.test
	done
	sum "long" peer dig +short +bufsize=512 @"$MY4" long.test TXT
}
