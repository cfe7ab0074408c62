# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
#
# raw_read - the audit's own test, no program of the list

TITLE="raw_read"

client() {
	peer_bg ncat -l -k -e /bin/cat "$V4" 4000
	peer_ready tcp 4000
	show "raw_read $RAW_HOW" under "$RAW_READ" "$RAW_HOW" "$V4" 4000
}
