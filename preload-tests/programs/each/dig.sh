# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=dig PACKAGES="bind9-dnsutils dnsmasq-base"
DOES="UDP and TCP, both families, an answer too long for UDP, several at once; nslookup and host too"
STRIP='s/id: [0-9]+/id: N/; /^;; (Query time|WHEN)/d; /COOKIE/d; /^;; communications error/d'

client() {
	dns_up
	for option in +notcp +tcp; do
		show "A $option" under dig "$option" @"$V4" one.test
		show "AAAA $option" under dig "$option" @"$V6" one.test AAAA
		show "none $option" under dig "$option" +short @"$V4" none.test MX
	done
	sum "long" under dig +short +bufsize=512 @"$V4" long.test TXT
	show "several" under dig +short @"$V4" one.test two.test -x 10.9.8.7
	show "nslookup" under nslookup two.test "$V4"
	fails "no server" under dig +time=1 +tries=1 +noall -p 9 @"$V4" one.test
}
