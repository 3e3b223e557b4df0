"""Flags and help of `python -m stylegan_jax.explore`."""

import dataclasses

from stylegan_jax.commands import network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

COMMAND = Command(
    "explore",
    "Explore a network in the web browser: change seeds, truncation, style mixing, "
    "noise and interpolation, and see the image at once; project, tune and drag your "
    "own photos. Ctrl-C ends it.",
    (
        "--network=smileys64",
        "--network=runs/smileys --port=8000",
        "--network=smileys64 --direction=sefa/sefa_1.safetensors",
    ),
    {
        "Network": (
            *network.REFERENCE,
            network.RESOLUTION,
            dataclasses.replace(
                network.DIRECTION,
                doc="Directions that get a slider each: files of `directions`, "
                "separated by commas.",
            ),
            flag.text(
                "encoder",
                "FILE",
                "A file that `encoder` wrote; projections start from its latents.",
                absent="the nearest of some samples",
            ),
        ),
        "Page": (
            flag.text(
                "host",
                "ADDRESS",
                "The address to listen on. By default, only this machine can connect; "
                "0.0.0.0 lets everybody on the network use the page, without a "
                "password.",
                "127.0.0.1",
            ),
            flag.integer(
                "port",
                "N",
                "The port to listen on; 0 picks a free one.",
                7860,
                minimum=0,
                maximum=65535,
            ),
        ),
    },
    (
        "The page needs no internet connection, and sends nothing anywhere. It needs "
        "the extra `explore`: python -m pip install -e '.[explore]' installs it.",
        "Sizes are printed as WIDTHxHEIGHT, in pixels.",
    ),
    one_of=network.ONE_OF,
)
