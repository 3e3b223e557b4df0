"""Flags and help of `python -m stylegan_jax.export`."""

import dataclasses

from stylegan_jax.commands import network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

FORMATS = ("safetensors", "stablehlo", "onnx", "page")
PARTS = ("generator", "mapping", "synthesis")

COMMAND = Command(
    "export",
    "Write a network as one file for this package or for other runtimes, as a web page "
    "that runs it, or to the Hugging Face Hub. Only the averaged generator is written, "
    "and nothing that could execute arbitrary code.",
    (
        "--network=runs/smileys --out=smileys.safetensors --dtype=float16",
        "--network=runs/smileys --format=onnx --out=smileys.onnx",
        "--network=runs/smileys --format=page --out=page",
        "--network=runs/smileys --push_to_hub=alice/smileys --license=cc-by-4.0",
    ),
    {
        "Network": network.REFERENCE,
        "Output": (
            flag.text(
                "out",
                "PATH",
                "The file to write, which ends in .safetensors, .stablehlo or .onnx as "
                "--format says, or the directory of the page.",
            ),
            flag.choice(
                "format",
                "The format: safetensors is a file that every --network accepts; "
                "stablehlo is a program that JAX runs without this package, on CPUs, "
                "GPUs and TPUs; "
                "onnx is a program for ONNX Runtime (extra onnx); page is a directory "
                "with a web page, the network as ONNX, and the runtime from npm.",
                "safetensors",
                FORMATS,
            ),
            flag.choice(
                "part",
                "The function in a file of stablehlo or onnx: generator maps z, label "
                "and psi to images, mapping to styles ws, and synthesis maps ws to "
                "images.",
                "generator",
                PARTS,
            ),
            flag.choice(
                "dtype",
                "The data type in .safetensors: float32 is exact, float16 takes half "
                "the size.",
                "float32",
                ("float32", "float16"),
            ),
        ),
        "Hugging Face Hub (extra hub)": (
            flag.text(
                "push_to_hub",
                "OWNER/NAME",
                "Upload to this repository, in place of --out; it is created if "
                "necessary. --network=hub:OWNER/NAME then opens it.",
            ),
            flag.switch(
                "private",
                "Create a private repository; one that exists must be private already.",
            ),
            flag.text(
                "license",
                "ID",
                "The license of the network for its model card, such as cc-by-4.0; an "
                "existing README.md must state the same one.",
                absent="not stated",
            ),
            dataclasses.replace(
                network.LABEL,
                doc="The label vector of the samples, numbers such as 0,1,1; for "
                "networks that take vectors.",
                absent="all classes in turn",
            ),
        ),
    },
    (
        "HF_TOKEN holds a token of the Hub, unless `hf auth login` has stored one, and "
        "HF_ENDPOINT names another server.",
    ),
    one_of=network.ONE_OF,
)
