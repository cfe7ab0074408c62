# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="nmap -sT" PACKAGES="nmap socat"
DOES="a connect scan of 200 ports, both families, with the banner of an open one"
STRIP='/^(Starting|Nmap done|Host is up|Service detection)/d; s/\(T?[0-9.]+s latency\)//'

client() {
	peer_bg socat TCP6-LISTEN:5050,ipv6only=0,fork SYSTEM:'echo SSH-2.0-me; cat'
	peer_ready tcp 5050
	show "scan" under nmap --unprivileged -sT -Pn -n -p 5000-5199 "$V4"
	show "scan/6" under nmap --unprivileged -6 -sT -Pn -n -p 5000-5099 "$V6"
	show "banner" under nmap --unprivileged -sT -Pn -n -sV \
		--version-intensity 0 -p 5050 "$V4"
}
