"""Flags and help of `python -m stylegan_jax.generate`."""

from stylegan_jax.commands import network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command, Needs

FORMATS = ("png", "webp", "npz")

COMMAND = Command(
    "generate",
    "Generate images with a network: a file for each seed or latent, and a grid of the "
    "first ones.",
    (
        "--network=smileys64 --seeds=0-63 --out=out",
        "--network=runs/smileys --latents=projected_w.npz --out=out",
    ),
    {
        "Network": network.REFERENCE,
        "Images": (
            flag.text(
                "seeds",
                "LIST",
                "The seeds of the latents: numbers and ranges, such as 0-3,7. A seed "
                "always gives the same image.",
                "0-63",
            ),
            flag.text(
                "latents",
                "FILE",
                "Latents in place of seeds: a .npz file with z [N,Z], w [N,W] or "
                "[N,L,W] (as official projectors write it) or ws [N,L,W], or a .npy "
                "file. Only those of z are truncated by default.",
            ),
            network.CLASS,
            network.LABEL,
            network.TRUNCATION_PSI,
            network.TRUNCATION_CUTOFF,
            network.TRUNCATION_CENTERS,
            network.NOISE,
            network.NOISE_SEED,
            network.NOISE_LAYERS,
            network.TRANSLATE,
            network.ROTATE,
            network.ANCHOR,
            network.RESOLUTION,
        ),
        "Edits": (network.DIRECTION, network.STRENGTH, network.DIRECTION_LAYERS),
        "Output": (
            flag.text(
                "out",
                "DIRECTORY",
                "The directory for the images, which is created if necessary.",
                required=True,
            ),
            flag.choice(
                "format",
                "The files: png and webp (lossless) are one for each image and a grid; "
                "npz is one file, images.npz, with the arrays images and ws.",
                "png",
                FORMATS,
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
            network.BATCH_SIZE,
        ),
    },
    ("Sizes are printed as WIDTHxHEIGHT, in pixels.",),
    one_of=network.ONE_OF,
    needs={**network.NOISE_NEEDS, "columns": Needs("format", ("png", "webp"))},
)
