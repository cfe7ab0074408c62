# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
TITLE="psql, pg_dump, pgbench" PACKAGES="postgresql-15 postgresql-client-15"
DOES="clients of a kernel server: queries, COPY both ways, errors, a notification, dump, 200 transactions of 4 clients"

PG=/usr/lib/postgresql/15/bin

postgres_up() {
	mkdir "$W/pg"
	chown postgres "$W/pg"
	(cd "$W/pg" && setpriv --reuid postgres --regid postgres --clear-groups \
		"$PG/initdb" -A trust -N -D "$W/pg/data" >"$W/initdb" 2>&1)
	echo "host all all 0.0.0.0/0 trust" >>"$W/pg/data/pg_hba.conf"
	echo "host all all ::/0 trust" >>"$W/pg/data/pg_hba.conf"
	peer_bg setpriv --reuid postgres --regid postgres --clear-groups \
		"$PG/postgres" -D "$W/pg/data" -c listen_addresses='*' \
		-c unix_socket_directories="$W/pg" -c fsync=off 2>"$W/pg.log"
	wait_for 20 peer "$PG/pg_isready" -q -h "$V4"
}

client() {
	postgres_up
	export PGUSER=postgres PGOPTIONS='-c client_min_messages=warning'
	show "ready" under pg_isready -h "$V4"
	show "query" under psql -h "$V4" -c 'select 1 as one, 2 as two'
	show "over IPv6" under psql -h "$V6" -Atc 'select inet_client_addr()'
	does "create" under psql -h "$V4" -c 'create table t (a int, b text)'
	seq 100000 | sed 's/.*/&,row number &/' >"$W/rows"
	show "copy in" under psql -h "$V4" -c \
		"\\copy t from '$W/rows' with (format csv)"
	sum "copy out" under psql -h "$V4" -c '\copy (select * from t) to stdout'
	sum "select" under psql -h "$V4" -Atc 'select a, md5(b) from t order by a'
	sum "wide" under psql -h "$V4" -Atc "select repeat('x', 5000000)"
	fails "error" under psql -h "$V4" -c 'select nothing'
	STRIP='s/with PID [0-9]+/with PID N/'
	show "notify" under psql -h "$V4" -c 'listen n' -c "notify n, 'hi'" \
		-c 'select 1'
	sum "dump" under sh -c "pg_dump -h $V4 -t t | grep -v restrict"
	does "pgbench -i" under pgbench -q -i -h "$V4"
	STRIP='/^(latency|tps|initial|pgbench|scaling|query|number of (threads|clients)|maximum|transaction type)/d'
	show "pgbench" under pgbench -h "$V4" -c 4 -j 2 -t 50 -n
	fails "refused" under psql -h "$V4" -p 9 -c 'select 1'
}
