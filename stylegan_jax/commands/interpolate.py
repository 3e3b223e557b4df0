"""Flags and help of `python -m stylegan_jax.interpolate`."""

import dataclasses

from stylegan_jax.commands import generate, network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command, Needs

COMMAND = Command(
    "interpolate",
    "Write a video in which images of a network morph into one another. Each seed or "
    "latent is a keyframe of its path. Sizes are WIDTHxHEIGHT, in pixels.",
    (
        "--network=smileys64 --seeds=0-7 --out=walk.mp4",
        "--network=smileys64 --seeds=0-31 --grid=4x2 --scale=2 --out=walk.webp",
    ),
    {
        "Network": network.REFERENCE,
        "Path": (
            flag.text(
                "seeds",
                "LIST",
                "The seeds of the keyframes: numbers and ranges, such as 0-3,7.",
                "0-7",
            ),
            dataclasses.replace(
                generate.COMMAND.all_flags["latents"],
                doc="Latents in place of seeds, in a .npz or .npy file as for "
                "`generate`. Only those of z are truncated by default.",
            ),
            flag.choice(
                "curve",
                "The path from keyframe to keyframe: cubic is a smooth curve in w, "
                "linear a straight line in w, slerp an arc in z.",
                "cubic",
                ("cubic", "linear", "slerp"),
            ),
            flag.choice(
                "loop",
                "The end of the path: closed returns to the first keyframe, open ends "
                "at the last one.",
                "closed",
                ("closed", "open"),
            ),
            flag.choice(
                "easing",
                "The speed between keyframes: linear is constant, smooth stops at each "
                "keyframe.",
                "linear",
                ("linear", "smooth"),
            ),
            flag.integer(
                "frames",
                "N",
                "The number of frames from one keyframe to the next.",
                60,
                minimum=1,
                maximum=100_000,
            ),
            flag.text(
                "grid",
                "WIDTHxHEIGHT",
                "The number of cells, each with its own path; the keyframes are "
                "distributed among them.",
                "1x1",
            ),
        ),
        "Images": (
            flag.text(
                "class",
                "NAMES",
                "The class to draw, by its name or index; several, separated by "
                "commas, are assigned to the keyframes in turn.",
            ),
            network.LABEL,
            network.TRUNCATION_PSI,
            network.TRUNCATION_CUTOFF,
            network.TRUNCATION_CENTERS,
            flag.choice(
                "noise",
                "The noise inputs: const uses the maps of the network, none no maps, "
                "random new ones for each frame, animated ones that move with the "
                "keyframes.",
                "const",
                ("const", "none", "random", "animated"),
            ),
            network.NOISE_SEED,
            network.NOISE_LAYERS,
            dataclasses.replace(
                network.TRANSLATE,
                doc="The translation at the end, or in the middle of a closed path "
                "(StyleGAN3).",
            ),
            dataclasses.replace(
                network.ROTATE, doc="The rotation, likewise (StyleGAN3)."
            ),
            dataclasses.replace(
                network.ANCHOR,
                doc="Keep w from moving or rotating the image (StyleGAN3).",
            ),
            network.RESOLUTION,
        ),
        "Edits": (
            network.DIRECTION,
            dataclasses.replace(
                network.STRENGTH,
                doc="The strength in standard deviations of w, one for all or each: a "
                "number, or START:END such as -3:3, which moves there and, in a closed "
                "path, back.",
            ),
            network.DIRECTION_LAYERS,
        ),
        "Output": (
            flag.text(
                "out",
                "FILE",
                "The file: .mp4 (H.264), .webm (VP9), .gif or .webp. All but .mp4 keep "
                "the transparency of RGBA networks.",
                required=True,
            ),
            flag.integer(
                "fps", "N", "The frames per second.", 30, minimum=1, maximum=1000
            ),
            flag.integer(
                "quality",
                "N",
                "The quality of .mp4, .webm and .webp, from 0 to 100.",
                minimum=0,
                maximum=100,
                absent="80, and 100, which is lossless, in .webp",
            ),
            flag.integer(
                "scale",
                "N",
                "The side of the square that each pixel becomes.",
                1,
                minimum=1,
                maximum=64,
            ),
            network.BATCH_SIZE,
        ),
    },
    one_of=network.ONE_OF,
    needs={
        "noise_seed": Needs("noise", ("random", "animated")),
        "noise_layers": Needs("noise", ("const", "random", "animated")),
    },
)
