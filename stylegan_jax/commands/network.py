"""Flags that the programs which use a generator have in common."""

from stylegan_jax.runtime import flag

WORKDIR = flag.text(
    "workdir",
    "DIRECTORY",
    "The directory of a training run (its --workdir) or of a converted network (the "
    "--out of `convert`), on disk or at gs://... or s3://...; "
    "DIRECTORY/checkpoints/NUMBER selects a checkpoint.",
    required=True,
)
STEP = flag.integer(
    "step",
    "NUMBER",
    "The checkpoint to load, by the number of its directory in checkpoints/, which "
    "counts images.",
    minimum=0,
    absent="the newest that is intact",
)
TRUNCATION_PSI = flag.number(
    "truncation_psi",
    "PSI",
    "The truncation: 1 keeps the variety of the images, 0 gives the average image.",
    0.7,
)
CLASS = flag.text(
    "class",
    "NAME",
    "The class to draw, by its name or index; for networks with classes.",
)
LABEL = flag.text(
    "label",
    "NUMBERS",
    "The label vector, in place of a class: numbers such as 0,1,1.",
)
