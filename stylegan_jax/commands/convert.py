"""Flags and help of `python -m stylegan_jax.convert`."""

from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

COMMAND = Command(
    "convert",
    "Convert an official network file of StyleGAN, StyleGAN2, StyleGAN2-ADA or "
    "StyleGAN3, written by TensorFlow or PyTorch, to a directory that the other "
    "programs read. Nothing in the file is executed.",
    ("--source=ffhq-1024x1024.pkl --out=runs/ffhq",),
    {
        "Flags": (
            flag.text(
                "source",
                "FILE.pkl",
                "The official network file, on disk.",
                required=True,
            ),
            flag.text(
                "out",
                "DIRECTORY",
                "The directory to write, on disk or at gs://... or s3://...; it must "
                "not hold a run.",
                required=True,
            ),
        )
    },
    (
        "Afterwards `generate`, `mix` and `evaluate` take the directory as --workdir, "
        "and `train` as --config.training.transfer.",
    ),
)
