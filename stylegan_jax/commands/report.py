"""Flags and help of `python -m stylegan_jax.report`."""

from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

COMMAND = Command(
    "report",
    "Write report.html into the directory of a run: curves, images over time, metrics "
    "and settings in one file. A run that finishes has written it already.",
    ("--workdir=runs/smileys",),
    {
        "Flags": (
            flag.text(
                "workdir",
                "DIRECTORY",
                "The directory of a training run, on disk or at gs://... or s3://....",
            ),
            flag.text("network", "DIRECTORY", "Another name for --workdir."),
        )
    },
    one_of=("workdir", "network"),
)
