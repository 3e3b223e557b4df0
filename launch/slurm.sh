#!/usr/bin/env bash
# Trains on a SLURM cluster, one process a node, each with all GPUs of its node.
#
#   sbatch launch/slurm.sh --config=configs/ffhq.py --workdir=/shared/runs/ffhq
#   sbatch --nodes=4 --gpus-per-node=8 --time=2-00:00:00 launch/slurm.sh FLAGS_OF_TRAIN
#
# Submit it from the repository. Options of sbatch before the script override the lines
# below. --workdir has to lie on a file system that all nodes see. VENV names the virtual
# environment, as `make setup EXTRAS=dev,gpu` makes it in the repository (default: the
# only .venv* there).
#
# Three minutes before the time is up SLURM sends SIGTERM: the run saves and ends. The
# same command resumes it. A chain of jobs, each going on where the last one stopped:
#   for i in 1 2 3; do sbatch --dependency=singleton launch/slurm.sh FLAGS_OF_TRAIN; done
#
#SBATCH --job-name=stylegan
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=1-00:00:00
#SBATCH --signal=TERM@180
#SBATCH --output=slurm-%x-%j.log
#SBATCH --open-mode=append
set -euo pipefail

if [[ -z ${SLURM_JOB_ID:-} ]]; then
  echo "not in a SLURM job; submit with: sbatch launch/slurm.sh FLAGS_OF_TRAIN" >&2
  exit 2
fi
cd "$SLURM_SUBMIT_DIR"
candidates=(.venv*)
venv=${VENV:-${candidates[0]}}
if [[ ! -x $venv/bin/python || (-z ${VENV:-} && ${#candidates[@]} -gt 1) ]]; then
  echo "set VENV to the virtual environment; here are: ${candidates[*]}" >&2
  exit 2
fi

# Left alone, JAX gives a SLURM task one GPU; ours has all of the node.
gpus=${SLURM_GPUS_ON_NODE:-0}
if [[ $gpus -gt 0 ]]; then
  JAX_LOCAL_DEVICE_IDS=$(seq -s, 0 $((gpus - 1)))
  export JAX_LOCAL_DEVICE_IDS
fi

# srun no longer takes this over from sbatch by itself.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

exec srun --kill-on-bad-exit=1 "$venv/bin/python" -m stylegan_jax.train \
  --distributed "$@"
