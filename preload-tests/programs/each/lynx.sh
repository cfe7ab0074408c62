# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=lynx PACKAGES="lynx nginx-light"
DOES="a page as text, its source, a download"

client() {
	www_up 3
	show "page" under lynx -dump "http://$V4/index.html"
	sum "source" under lynx -source "http://$V4/big"
	fails "refused" under lynx -dump "http://$V4:9/"
}
