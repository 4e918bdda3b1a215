#!/bin/sh
# Copies the primary once, through a replication slot, then follows it: exec of the command given.
set -eu

until pg_isready -q -h "$PRIMARY_HOST" -U postgres; do sleep 0.5; done
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  PGPASSWORD=$POSTGRES_PASSWORD pg_basebackup --host="$PRIMARY_HOST" --username=postgres --pgdata="$PGDATA" \
    --checkpoint=fast --wal-method=stream --create-slot --slot=standby --write-recovery-conf
fi
# The socket folder belongs to the image's entrypoint, which is not run here.
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/tmp
