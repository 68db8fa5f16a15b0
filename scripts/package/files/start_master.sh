#!/bin/sh
# Starts a master in the foreground: ./start_master.sh [flags of titan master]
#
#     ./start_master.sh                                      for this machine alone
#     TITAN_TOKEN=… ./start_master.sh --host 0.0.0.0         for workers on other machines
#
# titan.env beside this file is read first. State lies in TITAN_HOME, by default in ./state here.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
if [ -r "$here/titan.env" ]; then
  set -a
  . "$here/titan.env"
  set +a
fi
TITAN_HOME=${TITAN_HOME:-$here/state}
export TITAN_HOME
exec "$here/bin/titan" master "$@"
