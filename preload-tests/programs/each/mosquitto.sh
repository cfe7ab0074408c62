# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="mosquitto, mosquitto_pub, mosquitto_sub" PACKAGES="mosquitto mosquitto-clients"
DOES="publish and subscribe with all qualities of service, retained, 1000 messages, a will, both sides"

broker() { # peer|under HOST : and its log
	printf 'listener 1883 0.0.0.0\nallow_anonymous true\nuser %s\n' \
		"$(id -un)" >"$W/conf"
	"$1_bg" mosquitto -c "$W/conf" 2>"$W/log"
	wait_for 10 peer nc -z "$2" 1883
}

talk() { # SUBSCRIBER-WHERE PUBLISHER-WHERE HOST
	local q sub
	for q in 0 1 2; do
		"$1_bg" mosquitto_sub -h "$3" -q $q -t "t/$1$q" -C 3 >"$W/heard"
		sub=$BG
		wait_for 10 eval "$2 mosquitto_pub -h $3 -q $q -t t/$1$q -m hello
			is_gone $sub"
		show "$1 hears, quality $q" cat "$W/heard"
	done
	does "$2 retains" "$2" mosquitto_pub -h "$3" -r -t r -m kept
	show "$1 hears it" "$1" mosquitto_sub -h "$3" -t r -C 1
	"$1_bg" mosquitto_sub -h "$3" -q 1 -t many -C 1001 >"$W/many"
	sub=$BG
	wait_for 10 eval "$2 mosquitto_pub -h $3 -q 1 -t many -m first;
		grep -q first '$W/many'"
	does "$2 says 1000" "$2" sh -c "seq 1100 |
		mosquitto_pub -h $3 -q 1 -t many -l"
	does "$1 leaves" finish "$sub"
	sum "$1 hears them" sh -c "grep -v first '$W/many' | head -n 990"
}

client() {
	broker peer "$V4"
	talk under peer "$V4"
	talk peer under "$V4"
}

server() {
	broker under "$MY4"
	talk peer peer "$MY4"
}
