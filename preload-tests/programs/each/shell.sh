# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="one command after the other" PACKAGES="curl netcat-openbsd nginx-light redis-tools"
DOES="a shell under the preload runs 30 curls in turn, 10 at once, a pipeline of nc and head, and a server beside its client"

client() {
	www_up 30
	sum "in turn" under sh -c 'for i in $(seq 30); do
		curl -sS --fail "http://$1/f$i" || echo no; done' - "$V4"
	mkdir "$W/once"
	does "at once" under sh -c 'for i in $(seq 10); do
		curl -sS --fail -o "$2/$i" "http://$1/f$i" & done; wait' - \
		"$V4" "$W/once"
	files "at once" "$W"/once/*
	show "pipeline" under sh -c 'printf "GET /index.html HTTP/1.0\r\n\r\n" |
		nc -N "$1" 80 | tail -n 1' - "$V4"
	show "each other" under sh -c 'nc -l "$1" 7000 >"$2/heard" &
		until echo hello | nc -N "$1" 7000 2>/dev/null; do :; done
		wait; cat "$2/heard"' - "$MY4" "$W"
}
