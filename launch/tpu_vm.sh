#!/usr/bin/env bash
# Trains on a Google Cloud TPU VM or a pod of them, with the gcloud command.
#
#   export NAME=stylegan ZONE=us-central2-b
#   launch/tpu_vm.sh train --config=configs/ffhq.py --workdir=/mnt/shared/runs/ffhq
#   launch/tpu_vm.sh log       follow what worker 0 prints
#   launch/tpu_vm.sh stop      let the run save and end
#   launch/tpu_vm.sh delete    give the TPU back
#
# `train` creates the TPU unless it is there, copies this repository to all workers,
# installs it, and starts the same command on all of them, detached. Every step may be
# repeated: a run that is going on is left alone, one that has ended is resumed.
#
# Settings, by environment:
#   NAME   of the TPU (required)             ZONE     required
#   TYPE   accelerator type (v4-8)           VERSION  of the image (tpu-ubuntu2204-base)
#   SPOT   1 for a spot TPU (default 0)      PROJECT  default: the one gcloud is set to
#
# On a pod --workdir and the data have to lie on a file system that all workers see, such
# as a mounted Filestore; on a single TPU VM any path will do.
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
}

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
where=(--zone="$zone")
if [[ -n ${PROJECT:-} ]]; then
  where+=(--project="$PROJECT")
fi
repository=$(cd "$(dirname "$0")/.." && pwd)

tpu() {
  gcloud compute tpus tpu-vm "$@" "${where[@]}"
}

on_workers() { # WORKERS COMMAND
  tpu ssh "$name" --worker="$1" --command="$2"
}

create() {
  local spot=()
  local state
  state=$(tpu describe "$name" --format='value(state)' 2>/dev/null || true)
  case $state in
    READY) return ;;
    PREEMPTED | TERMINATED | STOPPED)
      echo "$name is $state; deleting it and creating it anew"
      tpu delete "$name" --quiet
      ;;
    "") ;;
    *)
      echo "$name is $state; try again later" >&2
      exit 1
      ;;
  esac
  if [[ ${SPOT:-0} == 1 ]]; then
    spot=(--spot)
  fi
  tpu create "$name" --accelerator-type="$type" --version="$version" \
    ${spot[@]+"${spot[@]}"}
}

copy() {
  local archive
  archive=$(mktemp -d)
  tar -czf "$archive/stylegan_jax.tar.gz" -C "$repository" \
    configs launch stylegan_jax setup.py LICENSE NOTICE
  tpu scp "$archive/stylegan_jax.tar.gz" "$name:" --worker=all
  rm -r "$archive"
  on_workers all 'mkdir -p stylegan_jax && tar -xzf stylegan_jax.tar.gz -C stylegan_jax'
}

# The images come with a Python that is too old for JAX; uv brings a newer one.
install() {
  on_workers all 'set -e; cd stylegan_jax
    python3 -m pip install --quiet --user uv
    test -x .venv/bin/python || ~/.local/bin/uv venv --quiet --python 3.12 .venv
    ~/.local/bin/uv pip install --quiet --python .venv/bin/python -e ".[tpu]"'
}

running='test -f train.pid && kill -0 "$(cat train.pid)" 2>/dev/null'

start() {
  local arguments
  arguments=$(printf '%q ' "$@")
  on_workers all "cd stylegan_jax
    if $running; then echo \"\$(hostname): is training already\"; exit 0; fi
    nohup .venv/bin/python -m stylegan_jax.train --distributed $arguments \
      >>train.log 2>&1 </dev/null &
    echo \$! >train.pid
    echo \"\$(hostname): started\""
}

case $command in
  train)
    if [[ $# -eq 0 ]]; then
      usage >&2
      exit 2
    fi
    create
    if on_workers 0 "cd stylegan_jax 2>/dev/null && $running"; then
      echo "$name is training already; see: launch/tpu_vm.sh log"
      exit 0
    fi
    copy
    install
    start "$@"
    echo "follow it with: NAME=$name ZONE=$zone launch/tpu_vm.sh log"
    ;;
  log) on_workers 0 'tail -n 100 -F stylegan_jax/train.log' ;;
  stop) on_workers all "cd stylegan_jax && if $running; then kill -TERM \$(cat train.pid); fi" ;;
  delete) tpu delete "$name" ;;
  *)
    echo "unknown command '$command'; one of: train, log, stop, delete" >&2
    exit 2
    ;;
esac
