#!/bin/sh
# Starts a worker in the foreground: ./start_worker.sh MASTER[:PORT] [flags of titan worker]
#
#     TITAN_TOKEN=… ./start_worker.sh master.example.org:9090 --tags GPU --slots 4
#
# titan.env beside this file is read first. Without MASTER its TITAN_MASTER is meant.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
if [ -r "$here/titan.env" ]; then
  set -a
  . "$here/titan.env"
  set +a
fi
case ${1:-} in
  '' | -*) ;;
  *)
    TITAN_MASTER=$1
    export TITAN_MASTER
    shift
    ;;
esac
if [ -z "${TITAN_MASTER:-}" ]; then
  echo "usage: $0 MASTER[:PORT] [--tags GPU,HIGH_MEM] [--slots N] [--name NAME]" >&2
  exit 2
fi
TITAN_HOME=${TITAN_HOME:-$here/work}
export TITAN_HOME
exec "$here/bin/titan" worker "$@"
