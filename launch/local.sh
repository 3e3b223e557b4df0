#!/usr/bin/env bash
# Trains with several processes on this machine: a rehearsal of a cluster.
#
#   launch/local.sh [-n PROCESSES] [-d CPU_DEVICES] [-p PORT] -- FLAGS_OF_TRAIN
#   launch/local.sh -n 2 -d 1 -- --config=configs/emoji.py --workdir=runs/two
#
#   -n  processes (default 2); process 0 writes the logs and the images
#   -d  run on the CPU, with so many devices in every process; without it, every
#       process takes the accelerators that it sees
#   -p  port of the coordinator on 127.0.0.1 (default: one that is free)
#
# PYTHON says which Python runs them (default python). SIGINT and SIGTERM are passed on
# once, so that the run saves and ends; when one process fails, the others are ended,
# after GRACE_SECONDS (default 30) by force, and the status is that of the first to fail.
# The same command again resumes.
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
}

python=${PYTHON:-python}
grace_seconds=${GRACE_SECONDS:-30}
processes=2
devices=
port=
while getopts "n:d:p:h" option; do
  case $option in
    n) processes=$OPTARG ;;
    d) devices=$OPTARG ;;
    p) port=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [[ $# -eq 0 ]]; then
  usage >&2
  exit 2
fi
if [[ -z $port ]]; then
  port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
fi
if [[ -n $devices ]]; then
  export JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=$devices
fi

pids=()
running=()
status=0
deadline=

forward() {
  trap - INT TERM
  end_all TERM
}

end_all() {
  local i
  for i in "${!pids[@]}"; do
    if [[ ${running[i]} == yes ]]; then
      kill "-$1" "${pids[i]}" 2>/dev/null || true
    fi
  done
}

# Own process groups: a Ctrl-C of the terminal reaches this script only.
set -m
trap forward INT TERM
for ((i = 0; i < processes; i++)); do
  "$python" -m stylegan_jax.train \
    --coordinator="127.0.0.1:$port" --num_processes="$processes" --process_id="$i" \
    "$@" </dev/null &
  pids[i]=$!
  running[i]=yes
done

while [[ " ${running[*]} " == *" yes "* ]]; do
  for i in "${!pids[@]}"; do
    if [[ ${running[i]} == no ]] || kill -0 "${pids[i]}" 2>/dev/null; then
      continue
    fi
    running[i]=no
    code=0
    wait "${pids[i]}" || code=$?
    if [[ $code -ne 0 && $status -eq 0 ]]; then
      status=$code
      echo "process $i failed with status $code; ending the others" >&2
      deadline=$((SECONDS + grace_seconds))
      end_all TERM
    fi
  done
  if [[ -n $deadline && $SECONDS -ge $deadline ]]; then
    end_all KILL
  fi
  sleep 0.2
done
exit "$status"
