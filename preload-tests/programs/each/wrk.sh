# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=wrk PACKAGES="wrk nginx-light"
DOES="two threads, 50 connections for a second; every answer right"

client() {
	www_up 5
	cat >"$W/count.lua" <<-'EOF'
		function done(summary)
			local e = summary.errors
			io.write("errors ", e.connect, " ", e.read, " ", e.write, " ",
				e.status, " ", e.timeout, "\n")
			io.write("some ", tostring(summary.requests > 100), "\n")
			io.write("bytes ",
				tostring(summary.bytes > 997 * summary.requests), "\n")
		end
	EOF
	local host
	for host in "$V4" "[$V6]"; do
		show "$host" sh -c '"$@" | grep -E "^(errors|some|bytes|  Socket)"' - \
			ip netns exec "$NSC" "${UNDER[@]}" \
			wrk -t 2 -c 50 -d 1s -s "$W/count.lua" "http://$host/f1"
	done
}
