# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="fping" PACKAGES="fping"
DOES="ICMP echo, several times, both families"
STRIP='s/[0-9.]+ ms/T/g; s,[0-9.]+/[0-9.]+/[0-9.]+$,T,; s/\([0-9.]+ avg/(T avg/'

client() {
	show "one" under fping "$V4"
	show "some" under fping -c 3 -p 20 "$V4"
	show "six" under fping -6 "$V6"
}
