#!/usr/bin/env bash
# Trains with several processes on this machine: a rehearsal of a cluster.
#
#   launch/local.sh [OPTIONS] -- FLAGS_OF_TRAIN
#   launch/local.sh -n 2 -d 1 --restarts=3 -- --config=configs/emoji.py --workdir=runs/two
#
#   -n N           processes (default 2); process 0 writes the logs and the images
#   -d N           run on the CPU, with so many devices in every process; without it,
#                  every process takes the accelerators that it sees
#   -p PORT        of the coordinator on 127.0.0.1 (default: one that is free)
#   --restarts=N   after a failure start all processes again, so many times at most;
#                  they go on from the last checkpoint (default 0). What would fail
#                  again (status 2: a wrong setting, divergence) is not started again
#   --dry-run      print the commands and do nothing
#
# PYTHON says which Python runs them (default python). SIGINT and SIGTERM are passed on
# once, so that the run saves and ends, a second one ends it by force. When one process
# fails, the others are ended, after GRACE_SECONDS (default 30) by force.
#
# Status: 0 when the run has finished, or this script was told to stop and it was saved;
# 75 when a signal to a process stopped it; else that of the first process to fail.
# The same command again resumes.
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
}

fail_usage() {
  usage >&2
  exit 2
}

# So that a failure can say how to resume.
printf -v again '%q ' "$0" "$@"
# Statuses of train: stopped by a signal and saved; would fail again.
stopped=75
hopeless=2
python=${PYTHON:-python}
grace_seconds=${GRACE_SECONDS:-30}
processes=2
devices=
port=
restarts=0
dry_run=no
while [[ $# -gt 0 ]]; do
  case $1 in
    -n | -d | -p)
      if [[ $# -lt 2 || ! $2 =~ ^[0-9]+$ ]]; then
        echo "$1 needs a number" >&2
        fail_usage
      fi
      case $1 in
        -n) processes=$((10#$2)) ;;
        -d) devices=$2 ;;
        -p) port=$2 ;;
      esac
      shift
      ;;
    --restarts=*)
      restarts=${1#*=}
      if [[ ! $restarts =~ ^[0-9]+$ ]]; then
        echo "--restarts needs a number, got '$restarts'" >&2
        fail_usage
      fi
      ;;
    --dry-run) dry_run=yes ;;
    -h | --help) usage; exit 0 ;;
    --) shift; break ;;
    *)
      echo "unknown option '$1'; flags of train come after --" >&2
      fail_usage
      ;;
  esac
  shift
done
if [[ $# -eq 0 || $processes -eq 0 ]]; then
  fail_usage
fi
flags=("$@")

environment=()
if [[ -n $devices ]]; then
  environment=(JAX_PLATFORMS=cpu "JAX_NUM_CPU_DEVICES=$devices")
fi

free_port() {
  "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

command_of() { # PROCESS COORDINATOR_PORT
  command=(env ${environment[@]+"${environment[@]}"} "$python" -m stylegan_jax.train \
    --coordinator="127.0.0.1:$2" --num_processes="$processes" --process_id="$1" \
    --stopped_status="$stopped" "${flags[@]}")
}

if [[ $dry_run == yes ]]; then
  for ((i = 0; i < processes; i++)); do
    command_of "$i" "${port:-PORT}"
    printf '%q ' "${command[@]}"
    echo '&'
  done
  exit 0
fi

pids=()
running=()
stopping=no

end_all() { # SIGNAL
  local i
  for i in "${!pids[@]}"; do
    if [[ ${running[i]} == yes ]]; then
      kill "-$1" "${pids[i]}" 2>/dev/null || true
    fi
  done
}

# shellcheck disable=SC2329  # by the trap
forward() {
  trap 'end_all KILL' INT TERM # who asks twice does not want to wait
  stopping=yes
  end_all TERM
}

describe() { # PROCESS STATUS
  local how="failed with status $2"
  if [[ $2 -eq 134 ]]; then
    how="was aborted (status 134; by JAX, if it says above which process is gone)"
  elif [[ $2 -gt 128 ]]; then
    how="was killed by SIG$(kill -l $(($2 - 128))) (status $2)"
  fi
  echo "process $1 of $processes $how; ending the others" >&2
}

attempt() { # runs all processes to their ends; sets status
  local coordinator_port=${port:-$(free_port)} deadline='' i code
  status=0
  for ((i = 0; i < processes; i++)); do
    command_of "$i" "$coordinator_port"
    "${command[@]}" </dev/null &
    pids[i]=$!
    running[i]=yes
  done
  if [[ $stopping == yes ]]; then # the signal came in between
    end_all TERM
  fi
  while [[ " ${running[*]} " == *" yes "* ]]; do
    for i in "${!pids[@]}"; do
      if [[ ${running[i]} == no ]] || kill -0 "${pids[i]}" 2>/dev/null; then
        continue
      fi
      running[i]=no
      code=0
      wait "${pids[i]}" || code=$?
      if [[ $code -eq $stopped ]]; then # so are the others, they have agreed
        status=$((status == 0 ? code : status))
      elif [[ $code -ne 0 && ($status -eq 0 || $status -eq $stopped) ]]; then
        status=$code
        describe "$i" "$code"
        deadline=$((SECONDS + grace_seconds))
        end_all TERM
      fi
    done
    if [[ -n $deadline && $SECONDS -ge $deadline ]]; then
      end_all KILL
    fi
    # In the foreground it would take a Ctrl-C of the terminal, and the trap none.
    sleep 0.2 &
    wait $! || true
  done
}

# Own process groups: a Ctrl-C of the terminal reaches this script only.
set -m
trap forward INT TERM
attempt
for ((k = 1; k <= restarts; k++)); do
  if [[ $status -eq 0 || $status -eq $hopeless || $stopping == yes ]]; then
    break
  fi
  echo "restart $k of $restarts, from the last checkpoint" >&2
  attempt
done
if [[ $status -eq $stopped && $stopping == yes ]]; then
  status=0
elif [[ $status -eq $hopeless ]]; then
  echo "the same command would fail again: see the error above" >&2
elif [[ $status -ne 0 ]]; then
  echo "to resume from the last checkpoint: $again" >&2
fi
exit "$status"
