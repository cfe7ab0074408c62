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
	strip <"$W/show.out" | sed '$a\' | sed 's/^/  /'
	strip <"$W/show.err" | sed '$a\' | sed 's/^/  ! /'
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
	strip <"$W/fails.out" | sed '$a\' | sed 's/^/  /'
	strip <"$W/fails.err" | sed '$a\' | sed 's/^/  ! /'
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

# WHAT : of a web server under the shim at port 80 that serves $W/www
served_web() {
	local host
	for host in "$MY4" "[$MY6]"; do
		sum "big $host" peer curl -sS --fail "http://$host/big"
		does "many $host" peer curl -sS --fail --parallel --parallel-max 50 \
			--output-dir "$W" --remote-name-all "http://$host/f[1-50]"
		sum "their files" eval "cat $W/f?*"
		rm -f "$W"/f?*
	done
	show "head" peer curl -sS -o "$W/none" -w '%{http_code} %{size_download}\n' \
		-r 100-199 "http://$MY4/big"
	show "missing" peer curl -sS -o "$W/none" -w '%{http_code}\n' \
		"http://$MY4/none"
	show "ab" sh -c '"$@" | grep -E "^(Complete|Failed|Document Length)"' - \
		ip netns exec "$NS" ab -q -k -n 2000 -c 20 "http://$MY4/f5"
	show "ab, new connections" sh -c '"$@" | grep -E "^(Complete|Failed)"' - \
		ip netns exec "$NS" ab -q -n 500 -c 20 "http://$MY4/f5"
}

# Standard input that stays open and silent: <&4; what is written to it comes.
quiet_input() {
	mkfifo "$W/quiet"
	exec 4<>"$W/quiet"
}

# [PORT] : a kernel-side name server with some names
dns_up() {
	peer_bg dnsmasq -k -C /dev/null --no-resolv --no-hosts --user=root \
		--pid-file= --port="${1:-53}" --listen-address="$V4,$V6" \
		--bind-interfaces \
		--log-facility=- --host-record=one.test,10.9.8.7,fd98::7 \
		--host-record=two.test,10.9.8.8 --local=/test/ \
		--txt-record=long.test"$(printf ',%0200d' $(seq 12))" 2>"$W/dns.log"
	wait_for 10 ns_listens "$NS" udp "${1:-53}"
}

OPT=() # for ssh, scp and sftp

# Keys, a configuration and $OPT, for an sshd on either side
sshd_conf() {
	ssh-keygen -q -t ed25519 -N '' -f "$W/host_key"
	ssh-keygen -q -t ed25519 -N '' -f "$W/id"
	cp "$W/id.pub" "$W/authorized"
	chmod 600 "$W/authorized"
	cat >"$W/sshd_config" <<-EOF
		HostKey $W/host_key
		AuthorizedKeysFile $W/authorized
		PidFile none
		UsePAM no
		StrictModes no
		PermitRootLogin yes
		PasswordAuthentication no
		Subsystem sftp internal-sftp
	EOF
	printf '[%s]:22 %s\n%s %s\n%s %s\n' "$V4" "$(cat "$W/host_key.pub")" \
		"$V4" "$(cat "$W/host_key.pub")" "$V6" \
		"$(cat "$W/host_key.pub")" >"$W/known"
	OPT=(-F /dev/null -i "$W/id" -o UserKnownHostsFile="$W/known"
		-o BatchMode=yes -o StrictHostKeyChecking=yes)
}

# sshd wants a directory in /run; the namespace's own /run takes it.
SSHD='mount -t tmpfs none /run && mkdir /run/sshd &&
	exec /usr/sbin/sshd -D -e -f "$1"'

sshd_up() {
	sshd_conf
	peer_bg sh -c "$SSHD" - "$W/sshd_config" 2>"$W/sshd.log"
	peer_ready tcp 22
}

# A repository $W/srv/repo with 101 files, of which $W/big is one
repository() {
	export HOME=$W GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
	export GIT_AUTHOR_DATE=@1700000000+0000 GIT_COMMITTER_DATE=@1700000000+0000
	git config --global user.name me
	git config --global user.email me@test
	git config --global safe.directory '*'
	git config --global init.defaultBranch main
	git config --global http.receivepack true
	git config --global advice.detachedHead false
	git init -q "$W/work"
	make big 3000000
	cp "$W/big" "$W/work/big"
	for i in $(seq 100); do
		echo "$i" >"$W/work/f$i"
	done
	git -C "$W/work" add .
	git -C "$W/work" commit -qm first
	git clone -q --bare "$W/work" "$W/srv/repo"
	git -C "$W/srv/repo" config http.receivepack true
}

# ADDRESS : files in $W/ftp and a configuration
vsftpd_conf() {
	mkdir -p "$W/ftp/up" "$W/empty" "$W/ftp/dir"
	make big "$SIZE"
	mv "$W/big" "$W/ftp/big"
	for i in 1 2 3 4 5; do
		make "f$i" $((i * 9973))
		mv "$W/f$i" "$W/ftp/dir/"
	done
	chmod 777 "$W/ftp/up"
	chmod 555 "$W/ftp"
	cat >"$W/vsftpd.conf" <<-EOF
		listen=YES
		listen_address=$1
		background=NO
		anonymous_enable=YES
		local_enable=NO
		write_enable=YES
		anon_upload_enable=YES
		anon_mkdir_write_enable=YES
		anon_other_write_enable=YES
		anon_umask=022
		anon_root=$W/ftp
		no_anon_password=YES
		secure_chroot_dir=$W/empty
		connect_from_port_20=YES
		seccomp_sandbox=NO
		isolate_network=NO
		ftp_username=daemon
	EOF
}
