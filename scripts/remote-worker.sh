#!/usr/bin/env bash
# A worker on another machine, over SSH: scripts/remote-worker.sh USER@HOST [--port SSH_PORT] [--dir DIR]
#     [--master HOST:PORT] [--bundle FILE] [--identity KEY] [flags of titan worker: --tags GPU --slots 4 …]
#
# Copies the worker's bundle into DIR of that account (default: titan there), and starts it. It needs Node there and
# nothing else. Where the master (--master, TITAN_MASTER, else 127.0.0.1:9090) cannot be reached from there, its one
# connection goes through this SSH session. The worker ends with the session: Ctrl-C here stops it in order.
# The token (TITAN_TOKEN) travels through stdin, so that no list of processes shows it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  echo "usage: $0 USER@HOST [--port SSH_PORT] [--dir DIR] [--master HOST:PORT] [--bundle FILE] [--identity KEY]" \
    "[--tags GPU] [--slots N] [--name NAME]" >&2
  exit 2
}

target=
bundle=
dir=titan
master=${TITAN_MASTER:-127.0.0.1:9090}
ssh=(-o ServerAliveInterval=15 -o ExitOnForwardFailure=yes)
flags=()
while [ $# -gt 0 ]; do
  case $1 in
    --port | --dir | --master | --bundle | --identity | --tags | --slots | --name) [ $# -ge 2 ] || usage ;;
  esac
  case $1 in
    --port) ssh+=(-p "$2"); shift 2 ;;
    --dir) dir=$2; shift 2 ;;
    --master) master=$2; shift 2 ;;
    --bundle) bundle=$2; shift 2 ;;
    --identity) ssh+=(-i "$2"); shift 2 ;;
    --tags | --slots | --name) flags+=("$1" "$2"); shift 2 ;;
    --json | --permanent) flags+=("$1"); shift ;;
    -*) usage ;;
    *) [ -z "$target" ] || usage; target=$1; shift ;;
  esac
done
[ -n "$target" ] || usage
case $master in *:*) ;; *) master=$master:9090 ;; esac

work=$(mktemp -d)
session=
finish() {
  trap - EXIT
  if [ -n "$session" ] && kill "$session" 2>/dev/null; then wait "$session" || true; fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "$bundle" ]; then
  "$here/package_cloud.sh" --out "$work" >/dev/null
  bundle=$work/titan-worker-bundle.tar.gz
fi

# As a word of the shell on the other side.
word() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }
there=$(word "$dir")

echo "titan: copying the worker's bundle to $target:$dir" >&2
ssh "${ssh[@]}" "$target" "umask 077; mkdir -p $there && tar xz -C $there" <"$bundle"

# Does the master answer from there? If not, a free port for the tunnel. The program ends with one line.
probe='const net = require("node:net");
const [host, port] = [process.argv[1], Number(process.argv[2])];
const tunnel = () => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const free = server.address().port;
    server.close(() => { console.log(free); process.exit(); });
  });
};
if (/^(127\.|localhost$|\[?::1)/.test(host)) tunnel();
else {
  const socket = net.connect({ host: host.replace(/^\[|\]$/g, ""), port, timeout: 3000 });
  socket.on("connect", () => { console.log("direct"); process.exit(); });
  socket.on("error", tunnel).on("timeout", () => { socket.destroy(); tunnel(); });
}'
way=$(ssh "${ssh[@]}" "$target" "node -e $(word "$probe") $(word "${master%:*}") ${master##*:}" </dev/null)
if [ "$way" = direct ]; then
  at=$master
else
  at=127.0.0.1:$way
  ssh+=(-R "$at:$master")
  echo "titan: the master is not reachable from there: its connection goes through SSH" >&2
fi

command="IFS= read -r TITAN_TOKEN; [ -z \"\$TITAN_TOKEN\" ] && unset TITAN_TOKEN || export TITAN_TOKEN"
command="$command; exec $there/titan-worker/start_worker.sh $at --parent-pipe"
for flag in ${flags[@]+"${flags[@]}"}; do command="$command $(word "$flag")"; done

# The worker ends when its stdin ends, and that is when this session does, however it does.
mkfifo "$work/in"
exec 3<>"$work/in"
printf '%s\n' "${TITAN_TOKEN:-}" >&3
ssh "${ssh[@]}" "$target" "$command" <&3 &
session=$!
wait "$session"
