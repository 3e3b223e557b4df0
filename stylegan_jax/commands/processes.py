"""Flags of programs that run as several processes."""

from stylegan_jax.runtime import flag

FLAGS = (
    flag.switch(
        "distributed",
        "Join the other processes, which the environment names (TPU pods, SLURM, Open "
        "MPI).",
    ),
    flag.text(
        "coordinator",
        "HOST:PORT",
        "The address of process 0, with --num_processes and --process_id.",
        absent="from the environment",
    ),
    flag.integer(
        "num_processes", "N", "The number of processes, with --coordinator.", minimum=1
    ),
    flag.integer(
        "process_id",
        "N",
        "The index of this process, from 0 on, with --coordinator.",
        minimum=0,
    ),
)
