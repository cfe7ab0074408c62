# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="git push to git://" PACKAGES="git"
DOES="a push with git's own protocol, where git gives the socket to git pack-objects"

client() {
	repository
	peer_bg git daemon --reuseaddr --base-path="$W/srv" --export-all \
		--enable=receive-pack --listen="$V4" "$W/srv"
	peer_ready tcp 9418
	does "clone" under git clone -q "git://$V4/repo" "$W/git"
	cp "$W/big" "$W/git/another"
	echo more >>"$W/git/another"
	git -C "$W/git" add another
	git -C "$W/git" commit -qm "another"
	does "push" under git -C "$W/git" push -q origin HEAD:main
	show "pushed" git -C "$W/srv/repo" log --format='%h %s' main
}
