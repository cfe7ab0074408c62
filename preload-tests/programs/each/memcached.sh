# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=memcached PACKAGES="memcached"
DOES="four threads: text protocol, a big value, 40 connections at once, UDP"

server() {
	local i
	under_bg memcached -u "$(id -un)" -l 0.0.0.0 -p 11211 -U 11211 -t 4 \
		-I 4m 2>"$W/log"
	ready 11211
	show "set and get" peer sh -c "printf 'set k 0 0 5\r\nhello\r\nget k\r\nincr n 1\r\nquit\r\n' | nc $MY4 11211"
	make value 3000000
	{
		printf 'set big 0 0 3000000\r\n'
		cat "$W/value"
		printf '\r\nquit\r\n'
	} >"$W/set"
	show "big set" peer sh -c "nc $MY4 11211 <$W/set"
	sum "big get" peer sh -c "printf 'get big\r\nquit\r\n' |
		nc $MY4 11211"
	show "counter" peer sh -c "printf 'set n 0 0 1\r\n0\r\nquit\r\n' |
		nc $MY4 11211"
	show "40 at once" peer sh -c "seq 40 | xargs -P 40 -I{} sh -c \
		\"printf 'incr n {}\\r\\nquit\\r\\n' | nc $MY4 11211\" >/dev/null"
	show "counted" peer sh -c "printf 'get n\r\nquit\r\n' | nc $MY4 11211"
	sum "udp" peer sh -c "printf '\0\1\0\0\0\1\0\0get k\r\n' |
		nc -u -W 1 -w 2 $MY4 11211"
}
