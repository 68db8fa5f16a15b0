#!/usr/bin/env bash
# Makes titan-master-bundle.tar.gz and titan-worker-bundle.tar.gz: ./package_cloud.sh [--out DIR]
# Each runs in an empty folder on a machine that has nothing but Node. The work is in scripts/package.
set -euo pipefail
# DIR is relative to the folder of the caller, and the tools are found from here.
export INIT_CWD=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
exec node scripts/launch.mjs package "$@"
