# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=nuttcp PACKAGES="nuttcp"
DOES="TCP and UDP, sending and receiving, both sides (server for one test)"
STRIP='s/.*MB \/.*/done/'

both() { # WHERE HOST
	show "send" "$1" nuttcp -n 20m "$2"
	show "receive" "$1" nuttcp -r -n 20m "$2"
	show "udp" "$1" nuttcp -u -R 20m -n 200 "$2"
}

client() {
	peer_bg nuttcp -S --nofork
	peer_ready tcp 5000
	both under "$V4"
}

server() {
	local what
	for what in "-n 20m" "-r -n 20m"; do
		under_bg nuttcp -1 --nofork
		# shellcheck disable=SC2086
		show "server $what" eventually peer nuttcp $what "$MY4"
		finish "$BG"
	done
}
