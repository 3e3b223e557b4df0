"""Flags and help of `python -m stylegan_jax.generate`."""

from stylegan_jax.commands import network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

NOISE = ("const", "random", "none")

COMMAND = Command(
    "generate",
    "Generate images with a trained or converted generator: a PNG file for each seed, "
    "and grid.png of the first ones.",
    ("--workdir=runs/emoji --seeds=0-63 --out=out",),
    {
        "Network": (network.WORKDIR, network.STEP),
        "Images": (
            flag.text(
                "seeds",
                "LIST",
                "The seeds of the latents: numbers and ranges, such as 0-3,7. A seed "
                "always gives the same image.",
                "0-63",
            ),
            network.TRUNCATION_PSI,
            flag.integer(
                "truncation_cutoff",
                "LAYERS",
                "The number of style layers to truncate, from the lowest resolution "
                "on.",
                minimum=0,
                absent="all layers",
            ),
            flag.choice(
                "noise",
                "The noise inputs: const uses the fixed maps of the network, random "
                "draws new ones, none leaves them out.",
                "const",
                NOISE,
            ),
            network.CLASS,
            network.LABEL,
        ),
        "Output": (
            flag.text(
                "out",
                "DIRECTORY",
                "The directory for the images, which is created if necessary.",
                required=True,
            ),
            flag.integer(
                "columns",
                "N",
                "The width of the grid.",
                8,
                minimum=1,
                maximum=1024,
                unit="images per row",
            ),
            flag.integer(
                "batch_size",
                "N",
                "The number of images that are computed at a time; fewer need less "
                "memory.",
                16,
                minimum=1,
                unit="images",
            ),
        ),
    },
    ("Sizes are printed as WIDTHxHEIGHT, in pixels.",),
)
