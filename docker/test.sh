#!/bin/sh
# Runs the test-suite against real servers in containers, once per PostgreSQL major, and leaves nothing behind
# but the images.
#
#   sh docker/test.sh                                        all majors
#   MAJORS="14 18" PYTEST_ARGS="-x -k 'role or twin'" sh docker/test.sh
#
# The suite gets TEST_DATABASE_URL (superuser), TEST_WRITER_URL (not superuser, owns its database) and
# TEST_ADMIN_URL (CREATEROLE only); on 15 also TEST_STANDBY_URL, on 18 also TEST_PGBOUNCER_URL (transaction pooling).
# HEALTH_SECONDS (180) bounds the wait for the servers.
set -eu
cd "$(dirname "$0")/.."

majors=${MAJORS:-14 15 16 17 18}
pending=$majors
python=.venv/bin/python
standby_of=15 pooled=18 # as compose.yaml has it
child='' scratch='' started='' results='' status=0

say() { printf 'docker-test: %s\n' "$*" >&2; }
refuse() { say "$*"; exit 1; }
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

check_tools() {
  command -v docker >/dev/null || refuse "docker is not installed; install Docker Engine and Compose, or run 'make test'."
  docker version >/dev/null 2>&1 || refuse "the Docker engine does not answer; start it, and see that this user may use it."
  if docker compose version >/dev/null 2>&1; then
    compose='docker compose'
  elif docker-compose version >/dev/null 2>&1; then
    compose='docker-compose'
  else
    refuse "neither 'docker compose' nor docker-compose is installed; install the Compose plugin."
  fi
  "$python" -c 'import pytest' 2>/dev/null || refuse "$python with pytest is missing; run 'make test' once, which makes it."
}

choose_services() {
  services=''
  for major in $majors; do
    case $major in
      14 | 15 | 16 | 17 | 18) services="$services pg$major" ;;
      *) refuse "MAJORS holds '$major'; it may hold 14, 15, 16, 17 and 18, separated by spaces." ;;
    esac
    [ "$major" != "$standby_of" ] || services="$services standby"
    [ "$major" != "$pooled" ] || services="$services pgbouncer"
  done
  [ -n "$services" ] || refuse "MAJORS is blank; name at least one of 14 15 16 17 18, or unset it."
}

# In the background, because a shell answers a signal at once only while it waits. Leaves the exit code in $status.
run() {
  "$@" &
  child=$!
  status=0
  wait "$child" || status=$?
  child=''
}

end_child() {
  [ -n "$child" ] || return 0
  kill -TERM "$child" 2>/dev/null || return 0
  patience=30
  while [ "$patience" -gt 0 ]; do
    kill -0 "$child" 2>/dev/null || return 0
    sleep 1
    patience=$((patience - 1))
  done
  kill -KILL "$child" 2>/dev/null || true
}

left_behind() {
  undisturbed docker ps --all --quiet --filter "label=com.docker.compose.project=$project"
  undisturbed docker volume ls --quiet --filter "label=com.docker.compose.project=$project"
  undisturbed docker network ls --quiet --filter "label=com.docker.compose.project=$project"
}

# In a session of its own, where no further Ctrl-C reaches it: Compose stops half way at one, even if told to ignore it.
undisturbed() { "$python" -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])' "$@"; }

# More than once, because the engine may still finish a container that was asked for before an interruption.
take_down() {
  for _ in 1 2 3; do
    # shellcheck disable=SC2086 # $compose is a list of words
    if undisturbed $compose down --volumes --remove-orphans --timeout 3 >&2 && [ -z "$(left_behind)" ]; then return 0; fi
    sleep 1
  done
  say "could not remove everything; what is left carries the label com.docker.compose.project=$project."
  return 1
}

finish() {
  code=$?
  trap '' HUP INT TERM
  trap - EXIT
  set +e
  [ -z "$started" ] || take_down || [ "$code" -ne 0 ] || code=1
  [ -z "$scratch" ] || rm -rf "$scratch"
  for major in $pending; do results="${results}PostgreSQL $major: not finished
"; done
  [ -z "$started" ] || printf '%s' "$results"
  exit "$code"
}

stopped() {
  trap '' HUP INT TERM
  say "interrupted; taking everything down."
  end_child
  exit "$1"
}

service_status() {
  docker ps --all --filter "label=com.docker.compose.project=$project" \
    --filter "label=com.docker.compose.service=$1" --format '{{.Status}}'
}

give_up_on() {
  $compose logs --tail 20 "$1" >&2 || true
  refuse "service $1 is not healthy ($2); its last lines are above."
}

wait_healthy() {
  deadline=$(($(date +%s) + ${HEALTH_SECONDS:-180}))
  for service in $services; do
    while :; do
      state=$(service_status "$service")
      case $state in
        *'(healthy)'*) break ;;
        Exited* | Dead* | *'(unhealthy)'*) give_up_on "$service" "$state" ;;
      esac
      [ "$(date +%s)" -lt "$deadline" ] || give_up_on "$service" "$state"
      sleep 1
    done
  done
}

# role, password, service, port, database
url() {
  address=$($compose port "$3" "$4")
  printf 'postgres://%s:%s@%s/%s' "$1" "$2" "$address" "$5"
}

point_suite_at() {
  unset TEST_STANDBY_URL TEST_PGBOUNCER_URL
  TEST_DATABASE_URL=$(url postgres "$POSTGRES_PASSWORD" "pg$1" 5432 postgres)
  TEST_WRITER_URL=$(url site_writer "$WRITER_PASSWORD" "pg$1" 5432 site)
  TEST_ADMIN_URL=$(url site_admin "$ADMIN_PASSWORD" "pg$1" 5432 site)
  export TEST_DATABASE_URL TEST_WRITER_URL TEST_ADMIN_URL
  if [ "$1" = "$standby_of" ]; then
    TEST_STANDBY_URL=$(url postgres "$POSTGRES_PASSWORD" standby 5432 postgres)
    export TEST_STANDBY_URL
  fi
  if [ "$1" = "$pooled" ]; then
    TEST_PGBOUNCER_URL=$(url postgres "$POSTGRES_PASSWORD" pgbouncer 6432 postgres)
    export TEST_PGBOUNCER_URL
  fi
}

run_suite() {
  say "PostgreSQL $1"
  point_suite_at "$1"
  eval "set -- ${PYTEST_ARGS:-}" # so that an argument may be quoted
  began=$(date +%s)
  run env TMPDIR="$scratch" "$python" docker/run_pytest.py "$@"
  seconds=$(($(date +%s) - began))
}

check_tools
choose_services
project=readonly-router-$(random 4)
compose="$compose --project-name $project --file docker/compose.yaml"
POSTGRES_PASSWORD=$(random 16) WRITER_PASSWORD=$(random 16) ADMIN_PASSWORD=$(random 16)
export POSTGRES_PASSWORD WRITER_PASSWORD ADMIN_PASSWORD

trap finish EXIT
trap 'stopped 129' HUP
trap 'stopped 130' INT
trap 'stopped 143' TERM
scratch=$(mktemp -d)
started=yes
# shellcheck disable=SC2086 # $compose and $services are lists of words
run $compose up --detach --build --quiet-pull $services >&2
[ "$status" -eq 0 ] || refuse "Compose could not start the servers; what it said is above."
wait_healthy

failed=0
for major in $majors; do
  run_suite "$major"
  if [ "$status" -eq 0 ]; then outcome=passed; else outcome="FAILED (exit $status)" failed=1; fi
  results="${results}PostgreSQL $major: $outcome in $seconds s
"
  pending=${pending#*"$major"}
done
exit "$failed"
