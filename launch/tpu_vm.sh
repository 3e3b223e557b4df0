#!/usr/bin/env bash
# Train on a Google Cloud TPU VM or a pod of them, with the gcloud command.
#
#   export NAME=stylegan ZONE=us-central2-b
#   launch/tpu_vm.sh train --config=configs/ffhq.py --workdir=gs://bucket/runs/ffhq
#   launch/tpu_vm.sh logs      follow the output of worker 0
#   launch/tpu_vm.sh stop      let the run save and end
#   launch/tpu_vm.sh delete    delete the TPU
#
# `train` is `create`, `setup` and `run`, which are also separate commands: create the
# TPU unless it exists, copy this repository to all workers and install it, and start
# the same command on all of them, detached. Each step may be repeated: an active run is
# left alone, and a run that has ended is resumed.
#
#   launch/tpu_vm.sh keep FLAGS_OF_TRAIN    train, and supervise the run: checks every
#                      POLL_SECONDS; recreates a preempted TPU and restarts a failed run
#                      (at most RESTARTS times) until it has finished. While no TPU can be
#                      created, it tries again without limit, because one may be free
#                      in an hour. It gives up on a run that would fail again (status 2 of any
#                      worker: a wrong setting, divergence), and on workers that cannot
#                      be reached or set up, SILENT times in a row
#
# --dry-run before the command prints what would be run for a TPU that does not exist yet.
#
# Settings, as environment variables:
#   NAME   name of the TPU (required)        ZONE     its zone (required)
#   TYPE   accelerator type (v4-8)           VERSION  image (tpu-ubuntu2204-base)
#   SPOT   1 for a spot TPU (default 0)      PROJECT  default: that of gcloud's settings
#   RESTARTS  for `keep` (default 100)       POLL_SECONDS  for `keep` (default 60)
#   SILENT    for `keep` (default 15)
#
# On a pod, --workdir and the data must be where all workers see them, such as a mounted
# Filestore or a bucket; on a single TPU VM any path will do.
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
}

dry_run=no
if [[ ${1:-} == --dry-run ]]; then
  dry_run=yes
  shift
fi
command=${1:-help}
if [[ $command == help || $command == -h || $command == --help ]]; then
  usage
  exit 0
fi
shift

name=${NAME:?set NAME to the name of the TPU}
zone=${ZONE:?set ZONE to its zone}
type=${TYPE:-v4-8}
version=${VERSION:-tpu-ubuntu2204-base}
restarts=${RESTARTS:-100}
poll_seconds=${POLL_SECONDS:-60}
silent_limit=${SILENT:-15}
where=(--zone="$zone")
if [[ -n ${PROJECT:-} ]]; then
  where+=(--project="$PROJECT")
fi
repository=$(cd "$(dirname "$0")/.." && pwd)

run() { # COMMAND...
  if [[ $dry_run == yes ]]; then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}

tpu() {
  run gcloud compute tpus tpu-vm "$@" "${where[@]}"
}

on_workers() { # WORKERS COMMAND
  tpu ssh "$name" --worker="$1" --command="$2"
}

# Print the answer of each worker on a separate line; nothing if one of them cannot be
# reached, which takes at most a minute.
ask_workers() { # COMMAND
  local answers
  if [[ $dry_run == no ]] && answers=$(
    gcloud compute tpus tpu-vm ssh "$name" --worker=all --command="$1" "${where[@]}" -- \
      -o ConnectTimeout=30 -o ServerAliveInterval=15 2>/dev/null
  ); then
    echo "$answers"
  fi
}

# Combine the answers of all workers into one. The run is active while any worker runs,
# because JAX ends workers that have lost another. Otherwise a permanent failure takes
# precedence over other failures, because a worker with a wrong setting makes the others
# fail, and these over a stop; the run has finished if all workers have.
summary() { # ANSWERS
  local answer worst=''
  for answer in $1; do
    case $answer in
      running)
        echo running
        return
        ;;
      2) worst=2 ;;
      0) worst=${worst:-0} ;;
      75 | 143) [[ ${worst:-0} != 0 ]] || worst=$answer ;;
      absent | died | [0-9]*) [[ $worst == 2 ]] || worst=$answer ;;
    esac
  done
  echo "$worst"
}

state() { # print the state of the TPU; nothing if it does not exist
  if [[ $dry_run == no ]]; then
    tpu describe "$name" --format='value(state)' 2>/dev/null || true
  fi
}

create() {
  local spot=() found
  found=$(state)
  case $found in
    READY) return ;;
    PREEMPTED | TERMINATED | STOPPED)
      echo "$name is $found; deleting and recreating it"
      tpu delete "$name" --quiet || return 1
      ;;
    "") ;;
    *)
      echo "$name is $found; try again later" >&2
      return 1
      ;;
  esac
  if [[ ${SPOT:-0} == 1 ]]; then
    spot=(--spot)
  fi
  tpu create "$name" --accelerator-type="$type" --version="$version" \
    ${spot[@]+"${spot[@]}"}
}

# The Python of the images is too old for JAX; uv installs a newer one. The commands are
# joined by && because `set -e` has no effect in conditions, where `keep` calls this.
setup() {
  local archive=/tmp/stylegan_jax-$$.tar.gz
  if [[ $dry_run == yes ]]; then
    archive=/tmp/stylegan_jax.tar.gz
  fi
  run tar -czf "$archive" -C "$repository" \
    configs launch stylegan_jax setup.py LICENSE NOTICE &&
    tpu scp "$archive" "$name:stylegan_jax.tar.gz" --worker=all &&
    run rm "$archive" &&
    on_workers all 'mkdir -p stylegan_jax && tar -xzf stylegan_jax.tar.gz -C stylegan_jax' &&
    on_workers all 'cd stylegan_jax && python3 -m pip install --quiet --user uv && (test -x .venv/bin/python || ~/.local/bin/uv venv --quiet --python 3.12 .venv) && ~/.local/bin/uv pip install --quiet --python .venv/bin/python -e ".[tpu]"'
}

# shellcheck disable=SC2016  # the worker expands it
running='test -f train.pid && kill -0 $(cat train.pid) 2>/dev/null'

# train.status holds the exit status of the last run on a worker.
start() { # FLAGS_OF_TRAIN
  local train
  train=".venv/bin/python -m stylegan_jax.train --distributed --stopped_status=75 $(printf '%q ' "$@")"
  on_workers all "cd stylegan_jax; if $running; then echo is training already; exit 0; fi; rm -f train.status; nohup sh -c $(printf '%q' "$train& echo \$! >train.pid; wait \$!; echo \$? >train.status") >>train.log 2>&1 </dev/null & echo started"
}

# Print absent, running, died (without a status), or the exit status of the run.
# shellcheck disable=SC2016  # the worker expands it
look='cd stylegan_jax 2>/dev/null || { echo absent; exit; }; if '$running'; then echo running; elif test -f train.status; then cat train.status; else echo died; fi'

# The exit status on a worker counts only if `keep` has started the run or has seen it
# running; otherwise it may belong to an earlier run.
keep() { # FLAGS_OF_TRAIN
  local k=0 found answer before='' known=no silent=0 unready=0
  while :; do
    answer=$(summary "$(ask_workers "$look")")
    found=$(state)
    if [[ $found == READY && -z $answer ]]; then
      silent=$((silent + 1))
      if [[ $silent -ge $silent_limit ]]; then
        echo "$name is READY, but not all of its workers could be reached, $silent times; giving up. The run may still be active. Try: launch/tpu_vm.sh logs" >&2
        return 1
      fi
      sleep "$poll_seconds"
      continue
    fi
    silent=0
    if [[ $found:$answer == READY:running ]]; then
      known=yes before=
      sleep "$poll_seconds"
      continue
    fi
    case $known:$found:$answer in
      yes:READY:0)
        echo "$name: the run has finished"
        return
        ;;
      yes:READY:2)
        echo "$name: the same command would fail again; see: launch/tpu_vm.sh logs" >&2
        return 2
        ;;
      # Stopped, by a person or because the TPU is about to be preempted; 143 is a SIGTERM
      # before training started.
      yes:READY:75 | yes:READY:143)
        if [[ $before == stopped ]]; then
          echo "$name: the run was stopped; the same command resumes it"
          return
        fi
        before=stopped
        sleep "$poll_seconds"
        continue
        ;;
    esac
    before=
    if [[ $k -gt $restarts ]]; then
      echo "$name: failed after $restarts restarts; see: launch/tpu_vm.sh logs" >&2
      return 1
    fi
    if [[ $k -gt 0 ]]; then
      echo "$name is ${found:-gone}, the run ${answer:-unknown}: restart $k of $restarts"
    fi
    known=no
    # Only runs that started count.
    if ! create; then
      echo "there is no TPU yet; trying again" >&2
    elif setup && start "$@"; then
      k=$((k + 1)) known=yes unready=0
    else
      unready=$((unready + 1))
      if [[ $unready -ge $silent_limit ]]; then
        echo "$name: no run could be started, $unready times; giving up" >&2
        return 1
      fi
      echo "no run could be started; trying again" >&2
    fi
    if [[ $dry_run == yes ]]; then
      return
    fi
    sleep "$poll_seconds"
  done
}

need_flags() {
  if [[ $# -eq 0 ]]; then
    usage >&2
    exit 2
  fi
}

case $command in
  create) create ;;
  setup) setup ;;
  run)
    need_flags "$@"
    start "$@"
    ;;
  train)
    need_flags "$@"
    create
    if [[ $(ask_workers "cd stylegan_jax 2>/dev/null && $running && echo yes") == *yes* ]]; then
      echo "$name is training already; see: launch/tpu_vm.sh logs"
      exit 0
    fi
    setup
    start "$@"
    echo "follow it with: NAME=$name ZONE=$zone launch/tpu_vm.sh logs"
    ;;
  keep)
    need_flags "$@"
    keep "$@"
    ;;
  logs) on_workers 0 'tail -n 100 -F stylegan_jax/train.log' ;;
  stop) on_workers all "cd stylegan_jax && if $running; then kill -TERM \$(cat train.pid); fi" ;;
  delete) tpu delete "$name" --quiet ;;
  *)
    echo "unknown command '$command'; one of: create, setup, run, train, keep, logs, stop, delete" >&2
    exit 2
    ;;
esac
