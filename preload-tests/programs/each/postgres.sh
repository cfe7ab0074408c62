# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="postgres" PACKAGES="postgresql-15 postgresql-client-15"
DOES="server, a process for each connection: COPY both ways, 200 transactions of 8 clients, a cancelled query, stop"

PG=/usr/lib/postgresql/15/bin

server() {
	local server
	mkdir "$W/pg"
	chown postgres "$W/pg"
	cd "$W/pg" || return
	setpriv --reuid postgres --regid postgres --clear-groups \
		"$PG/initdb" -A trust -N -D "$W/pg/data" >"$W/initdb" 2>&1
	cd "$W" || return
	echo "host all all 0.0.0.0/0 trust" >>"$W/pg/data/pg_hba.conf"
	echo "host all all ::/0 trust" >>"$W/pg/data/pg_hba.conf"
	# as an ordinary user, who may open a device that has no owner
	under_bg sh -c 'mount -t tmpfs none /dev/net &&
		mknod -m 666 /dev/net/tun c 10 200 &&
		exec setpriv --reuid postgres --regid postgres --clear-groups "$@"' \
		- "$PG/postgres" -D "$W/pg/data" -c listen_addresses='*' \
		-c unix_socket_directories="$W/pg" -c fsync=off 2>"$W/pg.log"
	server=$BG
	wait_for 20 peer "$PG/pg_isready" -q -h "$MY4"
	export PGUSER=postgres PGCONNECT_TIMEOUT=5
	export PGOPTIONS='-c client_min_messages=warning'
	show "query" peer psql -h "$MY4" -c 'select 1 as one, 2 as two'
	show "over IPv6" peer psql -h "$MY6" -Atc 'select inet_client_addr()'
	does "create" peer psql -h "$MY4" -c 'create table t (a int, b text)'
	seq 100000 | sed 's/.*/&,row number &/' >"$W/rows"
	show "copy in" peer psql -h "$MY4" -c \
		"\\copy t from '$W/rows' with (format csv)"
	sum "copy out" peer psql -h "$MY4" -c '\copy (select * from t) to stdout'
	fails "cancelled" peer sh -c "timeout --foreground -s INT 0.3 \
		psql -h $MY4 -c 'select pg_sleep(20)'"
	does "pgbench -i" peer pgbench -q -i -h "$MY4"
	STRIP='/^(latency|tps|initial|pgbench|scaling|query|average connection|number of (threads|clients)|maximum|transaction type)/d'
	show "pgbench" peer pgbench -h "$MY4" -c 8 -j 2 -t 25 -n
	show "pgbench, new connections" peer pgbench -h "$MY4" -c 4 -t 5 -n -C -S
	does "stop" kill -INT "$server"
	does "stopped" finish "$server"
}
