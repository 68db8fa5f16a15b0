#!/usr/bin/env bash
# Makes titan-master-bundle.tar.gz and titan-worker-bundle.tar.gz: ./package_cloud.sh [--out DIR]
# Each runs in an empty folder on a machine that has nothing but Node. The work is in scripts/package.
set -euo pipefail
exec node "$(dirname "${BASH_SOURCE[0]}")/scripts/launch.mjs" package "$@"
