# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE=beanstalkd PACKAGES="beanstalkd"
DOES="a work queue: put, reserve, statistics, 30 clients at once"

server() {
	under_bg beanstalkd -l 0.0.0.0 -p 11300
	ready 11300
	show "put" peer sh -c "printf 'put 1 0 60 5\r\nhello\r\nquit\r\n' |
		nc $MY4 11300"
	show "reserve" peer sh -c "printf 'reserve\r\ndelete 1\r\nquit\r\n' |
		nc $MY4 11300"
	show "30 at once" peer sh -c "seq 30 | xargs -P 30 -I{} sh -c \
		\"printf 'put 1 0 60 1\\r\\nx\\r\\nquit\\r\\n' | nc $MY4 11300\" |
		wc -l"
	show "counted" peer sh -c "printf 'stats\r\nquit\r\n' | nc $MY4 11300 |
		grep -E 'current-jobs-ready|cmd-put|total-jobs'"
}
