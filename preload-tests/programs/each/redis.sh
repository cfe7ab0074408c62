# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="redis-server, redis-cli, redis-benchmark" PACKAGES="redis-server redis-tools"
DOES="commands, pipes, publish and subscribe, a big value, benchmark with 50 clients, both sides"

commands() { # WHERE HOST
	show "set" "$1" redis-cli -h "$2" set key value
	show "get" "$1" redis-cli -h "$2" get key
	show "list" "$1" sh -c "printf 'rpush l a b c\nlrange l 0 -1\nllen l\n' |
		redis-cli -h $2"
	make value 3000000
	does "big set" "$1" sh -c "redis-cli -h $2 -x set big <$W/value"
	sum "big get" "$1" redis-cli -h "$2" --raw get big
	show "pipe" "$1" sh -c "seq -f 'SET k%.0f v%.0f' 20000 |
		redis-cli -h $2 --pipe"
	show "size" "$1" redis-cli -h "$2" dbsize
	show "benchmark" "$1" redis-benchmark -h "$2" -q -n 5000 -c 50 \
		-t set,get,incr,lpush
	"$1_bg" redis-cli -h "$2" subscribe news >"$W/heard"
	wait_for 10 has_line "$W/heard" subscribe
	show "publish" peer redis-cli -h "$2" publish news hello
	wait_for 10 has_line "$W/heard" hello
	show "heard" cat "$W/heard"
	stop_pid "$BG"
}

STRIP='s/.*\r//; s/: [0-9.]+ requests per second.*/: done/'
CONF=(--save "" --protected-mode no --daemonize no)

client() {
	peer_bg redis-server "${CONF[@]}" >"$W/log"
	peer_ready tcp 6379
	commands under "$V4"
	fails "refused" under redis-cli -h "$V4" -p 9 ping
}

server() {
	local server
	under_bg redis-server "${CONF[@]}" >"$W/log2"
	server=$BG
	ready 6379
	commands peer "$MY4"
	show "over IPv6" peer redis-cli -h "$MY6" get key
	show "shutdown" peer redis-cli -h "$MY4" shutdown nosave
	does "ended" finish "$server"
}
