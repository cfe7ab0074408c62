# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="ping (iputils)" PACKAGES="iputils-ping"
DOES="ICMP echo both families, sizes to 60000, 100 at once, time to live, a source address"
STRIP='s/time=[0-9.]+ ms/time=T/; s/time [0-9]+ms/time T/; /^rtt /d'

client() {
	local size
	for size in 56 3000 60000; do
		show "$size" under ping -n -c 3 -i 0.02 -s $size "$V4"
		show "$size/6" under ping -n -c 3 -i 0.02 -s $size "$V6"
	done
	show "flood" under ping -n -q -c 100 -i 0 "$V4"
	show "time to live" under ping -n -c 1 -t 1 "$V4"
	show "as another" under ping -n -c 1 -I "$MY4" "$V4"
}
