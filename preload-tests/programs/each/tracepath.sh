# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="tracepath" PACKAGES="iputils-tracepath"
DOES="the path and its MTU by UDP and the error queue, both families"
STRIP='s/ +[0-9.]+ms( asymm +[0-9]+)?/ T/g'

client() {
	show "four" under tracepath -n "$V4"
	show "six" under tracepath -n "$V6"
}
