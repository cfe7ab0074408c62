# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# lib.sh - what every script that makes a network needs; sourced, never run
#
# Everything here is undone by one EXIT trap: at_exit pushes a command, and the
# commands run last-in first-out however the script ends. Waiting is always
# for a condition, with a bound; the only pause of the whole project's scripts
# is the one inside wait_for.

# --- saying things ---

die() { # MESSAGE... : to stderr, exit 1
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] && return
	die "needs root to make a network namespace and a TUN device; try: sudo $0"
}

need_tun() {
	[ -c /dev/net/tun ] && return
	mkdir -p /dev/net 2>/dev/null &&
		mknod /dev/net/tun c 10 200 2>/dev/null &&
		chmod 666 /dev/net/tun && return
	die "no /dev/net/tun here; load the module (modprobe tun) or pass the device into this container"
}

# --- undoing things ---

AT_EXIT=()

at_exit() { # COMMAND ARGS... : run when the script ends, last first
	AT_EXIT+=("$(printf '%q ' "$@")")
	trap run_at_exit EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
}

run_at_exit() {
	local status=$? i
	trap - EXIT
	trap '' INT TERM HUP
	set +e
	for ((i = ${#AT_EXIT[@]} - 1; i >= 0; i--)); do
		eval "${AT_EXIT[i]}" >/dev/null 2>&1
	done
	exit "$status"
}

at_exit_forget() { # what was made is meant to stay
	AT_EXIT=()
	trap - EXIT INT TERM HUP
}

# --- waiting ---

wait_for() { # SECONDS COMMAND ARGS... : until it succeeds; 1 when time is up
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS >= end)) && return 1
		sleep 0.02
	done
}

stop_pid() { # PID [SECONDS] : asks, then insists; waits until it is gone
	kill "$1" 2>/dev/null || return 0
	if ! wait_for "${2:-3}" is_gone "$1"; then
		kill -9 "$1" 2>/dev/null
	fi
	wait "$1" 2>/dev/null
	return 0
}

is_gone() { # PID : it does not run any more (a zombie does not run)
	local state
	state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" \
		2>/dev/null) || return 0
	[ -z "$state" ] || [ "$state" = Z ]
}

# --- namespaces ---

unique() { # PREFIX : a namespace name that nobody else has
	printf '%s-%d-%04x\n' "$1" "$$" "$RANDOM"
}

ns_exists() {
	ip netns list 2>/dev/null | cut -d' ' -f1 | grep -qxF -- "$1"
}

ns_add() { # NAME : with lo up, and nothing left over when it fails
	ip netns add "$1" || return 1
	ip -n "$1" link set lo up
}

ns_del() { # NAME : ends what still runs in it, too
	ns_exists "$1" || return 0
	local pid pids
	pids=$(ip netns pids "$1")
	for pid in $pids; do
		kill "$pid" 2>/dev/null
	done
	if [ -n "$pids" ] && ! wait_for 2 ns_is_empty "$1"; then
		for pid in $(ip netns pids "$1"); do
			kill -9 "$pid" 2>/dev/null
		done
	fi
	ip netns del "$1"
}

ns_is_empty() {
	[ -z "$(ip netns pids "$1")" ]
}

ns_listens() { # NAME tcp|udp PORT : somebody of the kernel listens there
	ip netns exec "$1" ss -Hln "--$2" "sport = :$3" | grep -q .
}

ns_sysctl() { # NAME KEY=VALUE... : sysctl(8), which a small system lacks
	local ns=$1 row
	shift
	for row; do
		row=${row/=/ }
		# shellcheck disable=SC2016
		ip netns exec "$ns" sh -c 'echo "$2" >"/proc/sys/$1"' - \
			"$(tr . / <<<"${row% *}")" "${row#* }" || return
	done
}

# --- packages ---

install_missing() { # PACKAGE... : with apt, quietly; no service is started
	local p missing=() tried_update=0 log
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q ' installed$' || missing+=("$p")
	done
	((${#missing[@]})) || return 0
	command -v apt-get >/dev/null ||
		die "please install: ${missing[*]} (no apt-get here to do it)"
	[ "$(id -u)" = 0 ] || die "needs root to install: ${missing[*]}"
	printf 'installing: %s\n' "${missing[*]}"
	log=$(mktemp)
	until apt_install "${missing[@]}" >"$log" 2>&1; do
		if ((tried_update)); then
			tail -n 5 "$log" >&2
			rm -f "$log"
			die "could not install: ${missing[*]}"
		fi
		tried_update=1
		apt-get -qq update >>"$log" 2>&1
	done
	rm -f "$log"
}

# A server that we only want as a program must not be started by its package:
# policy-rc.d says no for as long as the installation runs.
apt_install() (
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
		-o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
		--no-install-recommends install "$@"
)
