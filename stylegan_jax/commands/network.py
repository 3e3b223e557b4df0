"""Flags that are common to the programs that use a generator."""

from absl import flags

from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Needs

NETWORK = flag.text(
    "network",
    "NETWORK",
    "The network: smileys64, which comes with the package; the directory of a "
    "training run (its --workdir) or of a conversion (the --out of `convert`), on disk "
    "or at gs://... or s3://..., or its checkpoints/NUMBER; a .safetensors file that "
    "`export` wrote; an official .pkl; or hub:OWNER/NAME, on the Hugging Face Hub.",
)
WORKDIR = flag.text(
    "workdir", "DIRECTORY", "Another name for --network, as in training."
)
STEP = flag.integer(
    "step",
    "NUMBER",
    "The checkpoint of a run, by the number of its directory in checkpoints/, which "
    "counts images.",
    minimum=0,
    absent="the newest that is intact",
)
REFERENCE = (NETWORK, WORKDIR, STEP)
ONE_OF = (NETWORK.name, WORKDIR.name)  # for `Command.one_of`
TRUNCATION_PSI = flag.number(
    "truncation_psi",
    "PSI",
    "The truncation: 1 keeps the variety of the images, 0 gives the average image.",
    0.7,
)
TRUNCATION_CUTOFF = flag.integer(
    "truncation_cutoff",
    "LAYERS",
    "The number of style layers to truncate, starting at the lowest resolution.",
    minimum=0,
    absent="all layers",
)
TRUNCATION_CENTERS = flag.integer(
    "truncation_centers",
    "N",
    "Truncate towards the nearest of N centers of w (multimodal truncation), in place "
    "of the average. They are found by k-means clustering of 60,000 w.",
    minimum=1,
    maximum=4096,
    absent="the average",
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
PNG_OUT = flag.text(
    "out",
    "FILE.png",
    "The PNG file to write; its directory is created if necessary.",
    required=True,
)
NOISE = flag.choice(
    "noise",
    "The noise inputs: const uses the fixed maps of the network, random draws new "
    "ones, none leaves them out.",
    "const",
    ("const", "random", "none"),
)
NOISE_SEED = flag.integer(
    "noise_seed",
    "N",
    "The seed of random noise.",
    0,
    minimum=0,
    maximum=2**32 - 1,
)
NOISE_LAYERS = flag.text(
    "noise_layers",
    "LIST",
    "The style layers that have noise: numbers and ranges such as 0-3, where 0 is the "
    "lowest resolution.",
    absent="all",
)
NOISE_NEEDS = {
    NOISE_SEED.name: Needs(NOISE.name, ("random",)),
    NOISE_LAYERS.name: Needs(NOISE.name, ("const", "random")),
}
TRANSLATE = flag.text(
    "translate",
    "X,Y",
    "The translation of the images to the right and downwards, in image widths and "
    "heights; for StyleGAN3 networks.",
    absent="none",
)
ROTATE = flag.number(
    "rotate",
    "DEGREES",
    "The counterclockwise rotation of the images; for StyleGAN3 networks.",
    absent="none",
)
ANCHOR = flag.switch(
    "anchor",
    "Keep the view: all w move and rotate the image like the average w (StyleGAN3).",
)
RESOLUTION = flag.integer(
    "resolution",
    "R",
    "The resolution of the images, if the network grew through it in training.",
    minimum=4,
    absent="the highest",
    unit="pixels",
)
DIRECTION = flag.text(
    "direction",
    "FILES",
    "Edit the images along directions, files of `directions` separated by commas.",
)
STRENGTH = flag.text(
    "strength",
    "NUMBERS",
    "The strength of the edit in standard deviations of w, such as 2 or -1.5; one for "
    "all directions, or one for each, separated by commas.",
    "1",
)
DIRECTION_LAYERS = flag.text(
    "direction_layers",
    "LIST",
    "The style layers to edit, such as 0-3.",
    absent="those of the direction",
)
BATCH_SIZE = flag.integer(
    "batch_size",
    "N",
    "The number of images generated at a time; fewer need less memory.",
    minimum=1,
    absent="up to 16, as fit in 1 GiB of memory",
    unit="images",
)


def reference(values: flags.FlagValues) -> str | None:
    """Return the value of --network or --workdir."""
    return values.network if values.network is not None else values.workdir
