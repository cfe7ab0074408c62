# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
#
# programs/lib.sh - what the files in each/ are written in; sourced by run
#
# A file describes one program: TITLE, PACKAGES (its own first), DOES, and the
# functions client() and server(), the program as the one and as the other;
# what they print is the transcript. It is taken twice, on the kernel and under
# the shim, and must be equal, so nothing that differs from run to run may be
# in it: contents are printed as hashes, STRIP takes out the rest. `under` and
# `under_bg` run the program, `peer` and `peer_bg` what it talks to, which is
# always the kernel's; see accept/lib.sh.
#
# Optional: NOTE, a remark for the table; NOT, why the program does not work
# (the table says so, and a difference is no failure); LONG=1 for --all only;
# RELAY, why the kernel may move bytes on a near end (audit).

TITLE='' PACKAGES='' DOES='' NOTE='' NOT='' LONG=0 RELAY=''
STRIP='s/^$//'
AUDITED=0 # 1: under strace, so sizes are small
PROGRAMS=$TOP/preload-tests/programs

# --- the transcript ---

strip() {
	sed -E -e "s,$W,W,g" -e "$STRIP"
}

show() { # WHAT COMMAND... : what it says, and its status
	local what=$1 status
	shift
	"$@" >"$W/show.out" 2>"$W/show.err"
	status=$?
	printf '%s: status %d\n' "$what" "$status"
	strip <"$W/show.out" | sed 's/^/  /'
	strip <"$W/show.err" | sed 's/^/  ! /'
	return "$status"
}

# WHAT COMMAND... : how long what it says is, and its hash
sum() {
	local what=$1 status
	shift
	"$@" >"$W/sum.out" 2>"$W/sum.err"
	status=$?
	printf '%s: status %d, %d bytes, %.16s\n' "$what" "$status" \
		"$(stat -c %s "$W/sum.out")" "$(sha "$W/sum.out")"
	[ "$status" = 0 ] || strip <"$W/sum.err" | tail -n 5 | sed 's/^/  ! /'
	return "$status"
}

# WHAT COMMAND... : the status only; what it says matters if it fails
does() {
	local what=$1 status
	shift
	"$@" >"$W/does.out" 2>&1
	status=$?
	printf '%s: status %d\n' "$what" "$status"
	[ "$status" = 0 ] || strip <"$W/does.out" | tail -n 5 | sed 's/^/  ! /'
	return "$status"
}

# WHAT COMMAND... : a failure that belongs to the test
fails() {
	local what=$1
	shift
	"$@" >"$W/fails.out" 2>"$W/fails.err"
	printf '%s: fails with %d\n' "$what" $?
	strip <"$W/fails.out" | sed 's/^/  /'
	strip <"$W/fails.err" | sed 's/^/  ! /'
}

files() { # WHAT FILE... : their lengths and hashes
	local what=$1 f
	shift
	for f; do
		if [ -e "$f" ]; then
			printf '%s %s: %d bytes, %.16s\n' "$what" "${f##*/}" \
				"$(stat -c %s "$f")" "$(sha "$f")"
		else
			printf '%s %s: status 1, no such file\n' "$what" "${f##*/}"
		fi
	done
}

# --- conditions ---

# A server needs a moment: the command is tried until it succeeds. Only the
# last attempt counts, so its output may be taken.
eventually() { # COMMAND...
	local end=$((SECONDS + 10)) in=/dev/null
	[ -e "$W/stdin" ] && in=$W/stdin
	until "$@" <"$in" >"$W/ev.out" 2>"$W/ev.err"; do
		((SECONDS >= end)) && break
		sleep 0.02
	done
	cat "$W/ev.out"
	cat "$W/ev.err" >&2
}

ready() { # PORT : somebody under the shim accepts there, and more than once
	wait_for 10 peer nc -z "$MY4" "$1" || echo "status 1: no server at $1"
}

peer_ready() { # tcp|udp PORT
	wait_for 10 ns_listens "$NS" "$1" "$2" || echo "status 1: no peer at $2"
}

has_line() { # FILE PATTERN
	grep -qE -- "$2" "$1"
}

# --- things to send ---

SIZE=20000000 # of a big file; small when it is traced

# NAME BYTES : bytes that look random, and are the same in every run
make() {
	head -c "$2" /dev/zero | openssl enc -aes-128-ctr -nosalt \
		-K "$(printf '%s' "$1" | sha256sum | cut -c1-32)" \
		-iv 0123456789abcdef0123456789abcdef >"$W/$1"
}

certificate() { # $W/key.pem and $W/cert.pem, for both ends' addresses
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
		-nodes -keyout "$W/key.pem" -out "$W/cert.pem" -days 2 \
		-subj /CN=tcpshim -addext \
		"subjectAltName=IP:$V4,IP:$MY4,IP:$V6,IP:$MY6" 2>/dev/null
}

# A kernel-side nginx beside the one of web_up: TLS, with HTTP/2, on 443
tls_up() {
	certificate
	mkdir -p "$W/www" "$W/tls"
	cat >"$W/tls/conf" <<-EOF
		master_process off;
		daemon off;
		user $(id -un);
		pid $W/tls/pid;
		events { worker_connections 512; }
		http {
			access_log off;
			default_type application/octet-stream;
			client_body_temp_path $W/tls/body;
			proxy_temp_path $W/tls/proxy;
			fastcgi_temp_path $W/tls/fastcgi;
			scgi_temp_path $W/tls/scgi;
			uwsgi_temp_path $W/tls/uwsgi;
			server {
				listen 443 ssl http2;
				listen [::]:443 ssl http2 ipv6only=on;
				ssl_certificate $W/cert.pem;
				ssl_certificate_key $W/key.pem;
				root $W/www;
			}
		}
	EOF
	peer_bg nginx -p "$W/tls" -c "$W/tls/conf" -e "$W/tls/error.log"
	peer_ready tcp 443
}

# A kernel-side nginx with $W/www: many small files and a big one
www_up() {
	local i
	mkdir -p "$W/www"
	make big "$SIZE"
	mv "$W/big" "$W/www/big"
	for i in $(seq "${1:-50}"); do
		make "f$i" $((i * 997))
		mv "$W/f$i" "$W/www/f$i"
	done
	echo '<html><body><p>hello</p></body></html>' >"$W/www/index.html"
	web_up
}
