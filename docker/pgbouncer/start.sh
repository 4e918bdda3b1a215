#!/bin/sh
# Writes the one login PgBouncer must know by itself from the environment, then runs it.
set -eu

umask 077
printf '"postgres" "%s"\n' "$POSTGRES_PASSWORD" >/tmp/userlist.txt
exec pgbouncer /etc/readonly-router/pgbouncer.ini
