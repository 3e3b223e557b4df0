"""Flags and help of `python -m stylegan_jax.ema`."""

from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

COMMAND = Command(
    "ema",
    "Choose the length of the generator's average after training (post-hoc EMA of "
    "EDM2): reconstruct averages of several lengths from a run's snapshots, measure "
    "them, and write the best one as a network file.",
    (
        "--workdir=runs/smileys --stds=0.1 --out=average.safetensors",
        "--workdir=runs/smileys --stds=0.02,0.05,0.1,0.15,0.2 --metric=swd "
        "--out=best.safetensors",
    ),
    {
        "Averages": (
            flag.text(
                "workdir",
                "DIRECTORY",
                "The directory of a run with --config.training.power_ema.",
                required=True,
            ),
            flag.text(
                "stds",
                "LIST",
                "The lengths: relative standard deviations above 0 and at most 0.25. "
                "0.1 averages over about the last third of the run.",
                "0.02,0.05,0.1,0.15,0.2",
            ),
            flag.number(
                "kimg",
                "KIMG",
                "The time of the averages, which must be that of a snapshot.",
                absent="the last snapshot",
                unit="thousands of real images",
            ),
        ),
        "Choice": (
            flag.text(
                "metric",
                "NAME",
                "The metric that chooses among several lengths; --help=metrics of "
                "`evaluate` lists them.",
            ),
            flag.integer(
                "images",
                "N",
                "The number of generated images.",
                minimum=2,
                absent="the metric's default",
                unit="images",
            ),
        ),
        "Output": (
            flag.text(
                "out",
                "FILE.safetensors",
                "The network file to write; --metric also writes FILE.html, a plot of "
                "the metric against the length.",
                required=True,
            ),
        ),
    },
)
