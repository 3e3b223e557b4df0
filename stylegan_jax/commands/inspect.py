"""Flags and help of `python -m stylegan_jax.inspect`."""

import dataclasses

from stylegan_jax.commands import network
from stylegan_jax.runtime.command import Command

COMMAND = Command(
    "inspect",
    "Print the structure of a network: its layers with their parameters, buffers, "
    "output shapes and types; for a run, also its progress, checkpoints, data and "
    "changed settings. Nothing is computed or compiled. Sizes are WIDTHxHEIGHT, in "
    "pixels.",
    ("--network=smileys64", "--network=runs/smileys", "--network=smileys.onnx"),
    {
        "Network": (
            network.NETWORK,
            network.WORKDIR,
            # No array is read, so that a damaged checkpoint is described, too.
            dataclasses.replace(network.STEP, absent="the newest"),
        )
    },
    (
        "Files that `export` wrote for other runtimes, .stablehlo and .onnx, are "
        "described by their inputs, outputs and versions.",
    ),
    one_of=network.ONE_OF,
)
