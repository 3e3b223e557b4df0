"""Flags and help of `python -m stylegan_jax.export`."""

from stylegan_jax.commands import network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

COMMAND = Command(
    "export",
    "Write a network as one .safetensors file, which can be used wherever --network is "
    "taken. The file holds the averaged generator only, and no code.",
    ("--network=runs/smileys --out=smileys.safetensors --dtype=float16",),
    {
        "Network": network.REFERENCE,
        "Output": (
            flag.text("out", "FILE.safetensors", "The file to write.", required=True),
            flag.choice(
                "dtype",
                "The type of the stored numbers: float32 keeps them exactly, float16 "
                "takes half the size.",
                "float32",
                ("float32", "float16"),
            ),
        ),
    },
    one_of=network.ONE_OF,
)
