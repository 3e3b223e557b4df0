"""Flags and help of `python -m stylegan_jax.explore`."""

import dataclasses

from stylegan_jax.commands import network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

COMMAND = Command(
    "explore",
    "Open a network in a page of the web browser: seeds, truncation, style mixing, "
    "noise and interpolation, drawn while you drag; your own photos, projected, tuned "
    "and dragged. Ctrl-C ends it.",
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
                doc="Directions with a slider each, files of `directions` separated by "
                "commas.",
            ),
            flag.text(
                "encoder",
                "FILE",
                "An encoder of the program `encoder`, from which projections start.",
                absent="the nearest of some samples",
            ),
        ),
        "Page": (
            flag.text(
                "host",
                "ADDRESS",
                "The address to listen on. The default can be reached from this "
                "machine only; 0.0.0.0 lets everybody on the network use the page, "
                "without a password.",
                "127.0.0.1",
            ),
            flag.integer(
                "port",
                "N",
                "The port to listen on; 0 takes one that is free.",
                7860,
                minimum=0,
                maximum=65535,
            ),
        ),
    },
    (
        "The page needs no connection to the internet, and sends nothing anywhere. It "
        "needs the extra `explore`, which python -m pip install -e '.[explore]' adds.",
        "Sizes are printed as WIDTHxHEIGHT, in pixels.",
    ),
    one_of=network.ONE_OF,
)
