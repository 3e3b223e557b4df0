#!/usr/bin/env bash
# Train with several processes on this machine, as a rehearsal for a cluster.
#
#   launch/local.sh [OPTIONS] -- FLAGS_OF_TRAIN
#   launch/local.sh -n 2 -d 1 --restarts=3 -- --config=configs/smileys.py --workdir=runs/two
#
#   -n N           number of processes (default 2); process 0 writes logs and images
#   -d N           run on the CPU, with N devices in each process; without it, each
#                  process uses the accelerators that it sees
#   -p PORT        port of the coordinator on 127.0.0.1 (default: any free port)
#   --restarts=N   restart all processes after a failure, at most N times (default 0);
#                  they resume from the last checkpoint. A run that would fail again
#                  (status 2: a wrong setting, divergence) is not restarted
#   --dry-run      print the commands and do nothing
#
# PYTHON is the Python that runs them (default python). The first SIGINT or SIGTERM is
# forwarded, so that the run saves and ends; a second one kills it. When one process
# fails, the others are terminated, and killed after GRACE_SECONDS (default 30).
#
# Exit status: 0 when the run has finished, or was saved after this script was told to
# stop; 75 when a signal to one of the processes stopped it; otherwise the status of the
# first process that failed. The same command resumes the run.
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
}

fail_usage() {
  usage >&2
  exit 2
}

# The command that resumes, for messages.
printf -v again '%q ' "$0" "$@"
# Exit statuses of train: stopped by a signal and saved; would fail again.
stopped=75
permanent=2
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
      echo "unknown option '$1'; the flags of train follow --" >&2
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

# shellcheck disable=SC2329  # called by the trap
forward() {
  trap 'end_all KILL' INT TERM # a second request does not wait
  stopping=yes
  end_all TERM
}

describe() { # PROCESS STATUS
  local how="failed with status $2"
  if [[ $2 -eq 134 ]]; then
    how="was aborted (status 134; by JAX, if it names a lost process above)"
  elif [[ $2 -gt 128 ]]; then
    how="was killed by SIG$(kill -l $(($2 - 128))) (status $2)"
  fi
  echo "process $1 of $processes $how; terminating the others" >&2
}

attempt() { # run all processes until they end; sets status
  local coordinator_port=${port:-$(free_port)} deadline='' i code
  status=0
  for ((i = 0; i < processes; i++)); do
    command_of "$i" "$coordinator_port"
    "${command[@]}" </dev/null &
    pids[i]=$!
    running[i]=yes
  done
  if [[ $stopping == yes ]]; then # a signal arrived in the meantime
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
      if [[ $code -eq $stopped ]]; then # the others have agreed to stop, too
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
    # In the background, because a sleep in the foreground would get the terminal's
    # Ctrl-C.
    sleep 0.2 &
    wait $! || true
  done
}

# Separate process groups, so that Ctrl-C in the terminal reaches only this script.
set -m
trap forward INT TERM
attempt
for ((k = 1; k <= restarts; k++)); do
  if [[ $status -eq 0 || $status -eq $permanent || $stopping == yes ]]; then
    break
  fi
  echo "restart $k of $restarts, from the last checkpoint" >&2
  attempt
done
if [[ $status -eq $stopped && $stopping == yes ]]; then
  status=0
elif [[ $status -eq $permanent ]]; then
  echo "the same command would fail again: see the error above" >&2
elif [[ $status -ne 0 ]]; then
  echo "to resume from the last checkpoint: $again" >&2
fi
exit "$status"
