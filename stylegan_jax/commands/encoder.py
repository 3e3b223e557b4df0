"""Flags and help of `python -m stylegan_jax.encoder`."""

from stylegan_jax.commands import network
from stylegan_jax.commands.project import DISTANCE, DISTANCE_NEEDS, EFFICIENTNET, VGG16
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

COMMAND = Command(
    "encoder",
    "Train an encoder, which gives the latents of images at once. It learns from "
    "samples of the network alone, in minutes, and is a start for `project`.",
    (
        "--network=smileys64 --out=encoder.safetensors",
        "--network=smileys64 --space=w+ --steps=5000 --out=encoder.safetensors",
    ),
    {
        "Network": (*network.REFERENCE, network.RESOLUTION),
        "Training": (
            flag.choice(
                "space",
                "The latent: w is one for all style layers; w+ adds an offset for each "
                "layer.",
                "w",
                ("w", "w+"),
            ),
            flag.integer(
                "steps", "N", "The number of steps.", 2000, minimum=1, maximum=1_000_000
            ),
            flag.integer(
                "batch_size",
                "N",
                "The number of samples of a step, a multiple of the number of devices.",
                16,
                minimum=1,
                unit="images",
            ),
            flag.number(
                "learning_rate",
                "RATE",
                "The learning rate at the beginning; it falls to 0.",
                2e-3,
                minimum=0.0,
            ),
            flag.number(
                "image_weight",
                "WEIGHT",
                "The weight of the distance of the images, beside the error of w; 0 "
                "leaves it out, which saves half of the time.",
                10.0,
                minimum=0.0,
            ),
            DISTANCE,
            VGG16,
            EFFICIENTNET,
            flag.integer(
                "seed",
                "N",
                "The seed of the samples.",
                0,
                minimum=0,
                maximum=2**32 - 1,
            ),
        ),
        "Output": (
            flag.text(
                "out",
                "FILE",
                "The file for the encoder, which ends in .safetensors.",
                required=True,
            ),
        ),
    },
    (
        "The file is for this network, and for those that are tuned from it.",
        "Sizes are printed as WIDTHxHEIGHT, in pixels.",
    ),
    one_of=network.ONE_OF,
    needs=DISTANCE_NEEDS,
)
