# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# accept/lib.sh - what the acceptance scripts share; sourced, never run
#
#   namespace $NS                                 (in kernel mode: namespace $NSC)
#   +---------------------+                       +-------------------------+
#   | peer: the kernel    |---- TUN or veth ------| under: program of the   |
#   | 10.77.0.1, fd77::1  |                       | test, 10.77.0.2, fd77::2|
#   +---------------------+                       +-------------------------+
#
# `under CMD` runs an unmodified program under the preload, `peer CMD` runs one
# on the kernel's side. With ACCEPT_KERNEL=1 there is no preload: the program
# gets a namespace of its own behind a veth, so that the kernel passes the same
# script first and the script is known to be right.
#
#   SHIM_LIB       the library (default: build/shim/libtcpshim.so)
#   ACCEPT_KERNEL  1: against the kernel

ACCEPT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$ACCEPT/../.." && pwd)
. "$TOP/netns-scripts/lib.sh"

KERNEL=${ACCEPT_KERNEL:-0}
LIB=${SHIM_LIB:-$TOP/build/shim/libtcpshim.so}
LIMIT=30 # seconds for one command
V4=10.77.0.1 V6=fd77::1 MY4=10.77.0.2 MY6=fd77::2
NUM_OK=0 NUM_FAIL=0
PY=$(PATH=/usr/bin:/bin command -v python3 ||
	python3 -c 'import sys; print(sys.executable)')
SUPPORT=$TOP/preload-tests

begin() { # NAME
	TEST=$1
	set -u
	need_root
	need_tun
	[ "$KERNEL" = 1 ] || [ -e "$LIB" ] || die "no $LIB: build it first"
	W=$(mktemp -d)
	at_exit rm -rf "$W"
}

end() { # the last line, and the status
	printf '%d passed, %d failed\n' "$NUM_OK" "$NUM_FAIL"
	[ "$NUM_FAIL" = 0 ] && [ "$NUM_OK" -gt 0 ]
	exit
}

ok() {
	NUM_OK=$((NUM_OK + 1))
	printf 'ok   %s: %s\n' "$TEST" "$*"
}

fail() {
	NUM_FAIL=$((NUM_FAIL + 1))
	printf 'FAIL %s: %s\n' "$TEST" "$*"
}

# WHAT COMMAND... : one line for it; what it said is shown when it fails
check() {
	local what=$1 status
	shift
	"$@" >"$W/said" 2>&1
	status=$?
	if [ "$status" = 0 ]; then
		ok "$what"
	else
		fail "$what (status $status)"
		tail -n 8 "$W/said" | cut -c1-300 | sed 's/^/    /'
	fi
	return "$status"
}

# --- networks ---

net_up() { # makes $NS and $NSC
	NS=$(unique accept)
	if [ "$KERNEL" = 1 ]; then
		NSC=$NS-c
		veth_up
	else
		NSC=$NS
		at_exit ns_del "$NS"
		"$TOP/netns-scripts/tun.sh" up "$NS" || die "no network"
	fi
}

veth_up() {
	at_exit ns_del "$NS"
	at_exit ns_del "$NSC"
	ns_add "$NS" && ns_add "$NSC" &&
		ip -n "$NS" link add eth0 type veth peer name eth0 netns "$NSC" &&
		ip -n "$NS" addr add "$V4/24" dev eth0 &&
		ip -n "$NS" addr add "$V6/64" dev eth0 nodad &&
		ip -n "$NSC" addr add "$MY4/24" dev eth0 &&
		ip -n "$NSC" addr add "$MY6/64" dev eth0 nodad &&
		ip -n "$NS" link set eth0 up &&
		ip -n "$NSC" link set eth0 up || die "no network"
}

peer() {
	ip netns exec "$NS" timeout -k 5 "$LIMIT" "$@"
}

under() { # [VAR=VALUE...] COMMAND...
	ip netns exec "$NSC" timeout -k 5 "$LIMIT" "${UNDER[@]}" "$@"
}

UNDER=(env LD_PRELOAD="$LIB")
[ "$KERNEL" = 1 ] && UNDER=(env)

# In the background, as $BG; the process is the program itself. Its standard
# input is the caller's (bash would give it /dev/null).
background() {
	{ (exec "$@" <&3 3<&-) & } 3<&0
	BG=$!
	at_exit stop_pid "$BG"
}

peer_bg() {
	background ip netns exec "$NS" "$@"
}

under_bg() {
	background ip netns exec "$NSC" "${UNDER[@]}" "$@"
}

finish() { # PID : its status, or 124 when it does not end in $LIMIT
	if ! wait_for "$LIMIT" is_gone "$1"; then
		kill -9 "$1"
		wait "$1" 2>/dev/null
		return 124
	fi
	wait "$1"
}

# --- files and servers ---

blob() { # NAME BYTES : random bytes, not compressible, not repeating
	head -c "$2" /dev/urandom >"$W/$1"
}

sha() { # FILE, or stdin
	sha256sum "$@" | cut -d' ' -f1
}

same() { # FILE FILE : equal, and says what differs
	cmp "$1" "$2"
}

# nginx on the kernel's side: serves $W/www, takes PUT into it
web_up() {
	mkdir -p "$W/www" "$W/nginx"
	cat >"$W/nginx/conf" <<-END
		master_process off;
		user $(id -un);
		pid $W/nginx/pid;
		error_log $W/nginx/error.log warn;
		daemon off;
		events { worker_connections 512; }
		http {
			access_log off;
			sendfile on;
			types { text/html html; }
			default_type application/octet-stream;
			client_max_body_size 0;
			client_body_temp_path $W/nginx/body;
			proxy_temp_path $W/nginx/proxy;
			fastcgi_temp_path $W/nginx/fastcgi;
			scgi_temp_path $W/nginx/scgi;
			uwsgi_temp_path $W/nginx/uwsgi;
			server {
				listen 80;
				listen [::]:80 ipv6only=on;
				root $W/www;
				location / { dav_methods PUT DELETE; }
			}
		}
	END
	chmod 755 "$W"
	peer_bg nginx -p "$W/nginx" -c "$W/nginx/conf" -e "$W/nginx/error.log"
	wait_for 10 ns_listens "$NS" tcp 80 || {
		cat "$W/nginx/error.log"
		die "nginx does not start"
	}
}
