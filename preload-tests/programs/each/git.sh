# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=git PACKAGES="git lighttpd openssh-client openssh-server"
DOES="clone, commit, push, fetch over HTTP (git http-backend) and ssh; clone over git://"

http_up() {
	cat >"$W/lighttpd.conf" <<-EOF
		server.document-root = "$W/srv"
		server.port = 8000
		server.bind = "$V4"
		server.modules = ("mod_alias", "mod_setenv", "mod_cgi")
		server.upload-dirs = ("$W")
		alias.url = ("/git" => "/usr/lib/git-core/git-http-backend")
		cgi.assign = ("" => "")
		setenv.add-environment = (
			"GIT_PROJECT_ROOT" => "$W/srv", "HOME" => "$W",
			"GIT_HTTP_EXPORT_ALL" => "1", "REMOTE_USER" => "me")
	EOF
	peer_bg lighttpd -D -f "$W/lighttpd.conf" 2>"$W/lighttpd.log"
	peer_ready tcp 8000
}

over() { # NAME URL
	does "$1 clone" under git clone -q "$2" "$W/$1"
	show "$1 head" git -C "$W/$1" rev-parse HEAD
	does "$1 file" cmp "$W/big" "$W/$1/big"
	git -C "$W/$1" commit -q --allow-empty -m "through $1"
	does "$1 push" under git -C "$W/$1" push -q origin HEAD:main
	show "$1 pushed" git -C "$W/srv/repo" log --format='%h %s' main
	show "$1 ls-remote" under git ls-remote "$2"
}

client() {
	repository
	http_up
	over http "http://$V4:8000/git/repo"
	sshd_up
	export GIT_SSH_COMMAND="ssh ${OPT[*]}"
	over ssh "ssh://$V4$W/srv/repo"
	peer_bg git daemon --reuseaddr --base-path="$W/srv" --export-all \
		--enable=receive-pack --listen="$V4" "$W/srv"
	peer_ready tcp 9418
	does "git:// clone" under git clone -q "git://$V4/repo" "$W/git"
	show "git:// head" git -C "$W/git" rev-parse HEAD
	show "git:// ls-remote" under git ls-remote "git://$V4/repo"
	does "fetch" under git -C "$W/http" fetch -q
	show "fetched" git -C "$W/http" rev-parse origin/main
}
