# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=iperf3 PACKAGES="iperf3 python3-minimal"
DOES="client and server: up, -R, --bidir, -P 4, -u, both families; what was to be sent was sent and received"

# Bytes are the test's; rates, times and retransmissions are not.
JSON='
import json, sys
d = json.load(sys.stdin)
e = d["end"]
print("error", d.get("error"))
print("streams", len(e["streams"]), "protocol", d["start"]["test_start"]["protocol"])
if sys.argv[2] != "both ways":
    print("all", e.get("sum_sent", e.get("sum"))["bytes"] >= int(sys.argv[1]))
for s in e["streams"]:
    for side, r in sorted(s.items()):
        print(side, "sender" if r.get("sender") else "receiver",
              "bytes", r["bytes"] > 0)
'

one() { # WHAT BYTES COMMAND...
	local what=$1 bytes=$2
	shift 2
	"$@" -J -n "$bytes" >"$W/json" 2>"$W/err"
	show "$what" "$PY" -c "$JSON" "$bytes" "$what" <"$W/json"
}

all() { # WHERE HOST HOST6
	one "up" "$SIZE" "$1" iperf3 -c "$2"
	one "down" "$SIZE" "$1" iperf3 -c "$2" -R
	one "both ways" "$SIZE" "$1" iperf3 -c "$2" --bidir
	one "four" "$SIZE" "$1" iperf3 -c "$2" -P 4
	one "four down" "$SIZE" "$1" iperf3 -c "$2" -P 4 -R
	one "six" "$SIZE" "$1" iperf3 -6 -c "$3"
	one "udp" 300000 "$1" iperf3 -u -b 20M -c "$2"
	one "udp down" 300000 "$1" iperf3 -u -b 20M -c "$2" -R
}

client() {
	peer_bg iperf3 -s >"$W/log"
	peer_ready tcp 5201
	all under "$V4" "$V6"
}

server() {
	under_bg iperf3 -s --forceflush >"$W/log2"
	wait_for 10 has_line "$W/log2" listening
	all peer "$MY4" "$MY6"
}
