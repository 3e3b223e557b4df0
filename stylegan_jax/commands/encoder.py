"""Flags and help of `python -m stylegan_jax.encoder`."""

from stylegan_jax.commands import network
from stylegan_jax.commands.project import DISTANCE, DISTANCE_NEEDS, EFFICIENTNET, VGG16
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

COMMAND = Command(
    "encoder",
    "Train an encoder, which computes the latents of images in a single pass. It is "
    "trained in minutes, only on samples of the network; `project` can start from it.",
    (
        "--network=smileys64 --out=encoder.safetensors",
        "--network=smileys64 --space=w+ --steps=5000 --out=encoder.safetensors",
    ),
    {
        "Network": (*network.REFERENCE, network.RESOLUTION),
        "Training": (
            flag.choice(
                "space",
                "The latent: w is one vector for all style layers; w+ adds an offset "
                "for each layer.",
                "w",
                ("w", "w+"),
            ),
            flag.integer(
                "steps", "N", "The number of steps.", 2000, minimum=1, maximum=1_000_000
            ),
            flag.integer(
                "batch_size",
                "N",
                "The number of samples in a step, a multiple of the number of devices.",
                16,
                minimum=1,
                unit="images",
            ),
            flag.number(
                "learning_rate",
                "RATE",
                "The initial learning rate; it decays to 0.",
                2e-3,
                minimum=0.0,
            ),
            flag.number(
                "image_weight",
                "WEIGHT",
                "The weight of the distance between images, relative to the error of "
                "w; 0 leaves it out, which halves the time.",
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
                "The file to write, which ends in .safetensors.",
                required=True,
            ),
        ),
    },
    (
        "The encoder works with this network and with networks that are tuned from it.",
        "Sizes are printed as WIDTHxHEIGHT, in pixels.",
    ),
    one_of=network.ONE_OF,
    needs=DISTANCE_NEEDS,
)
