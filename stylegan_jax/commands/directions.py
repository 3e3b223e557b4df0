"""Flags and help of `python -m stylegan_jax.directions`."""

import dataclasses
from typing import NamedTuple

from stylegan_jax.commands import network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command


class Method(NamedTuple):
    """A method that finds directions.

    Attributes:
      doc: its explanation, in a sentence.
      flags: the flags that belong to it and not to all methods.
    """

    doc: str
    flags: tuple[str, ...]


GROUPS = ("positive", "negative", "latents", "images", "encoder", "name")
TEXTS = ("positive_text", "negative_text", "clip_model", "clip_weights", "name")
METHODS = {
    "sefa": Method(
        "The directions of w that change the styles most, in closed form from the "
        "weights (SeFa).",
        ("count",),
    ),
    "ganspace": Method("The principal components of w (GANSpace).", ("count",)),
    "stylespace": Method(
        "Single style channels (StyleSpace), those that change images most or those of "
        "--channels.",
        ("count", "channels"),
    ),
    "boundary": Method(
        "The normal of a linear boundary between latents that have a property and "
        "latents that do not.",
        GROUPS,
    ),
    "difference": Method(
        "The difference of two latents, or of the means of two groups.", GROUPS
    ),
    "text": Method(
        "The change of w along which images come closer to a text, by a CLIP network.",
        TEXTS,
    ),
}

COMMAND = Command(
    "directions",
    "Find directions of edits in a network. Each becomes a file that `generate` and "
    "`interpolate` apply (--direction) and a figure of images with a column for each "
    "strength.",
    (
        "--network=smileys64 --method=sefa --out=sefa",
        "--network=smileys64 --method=boundary --name=tongue --positive=5,8,13 "
        "--negative=0-4,6 --out=tongue",
    ),
    {
        "Network": network.REFERENCE,
        "Directions": (
            flag.choice("method", "The method; see below.", None, tuple(METHODS)),
            flag.integer(
                "count",
                "N",
                "The number of directions of sefa, ganspace and stylespace.",
                5,
                minimum=1,
                maximum=1000,
            ),
            flag.text(
                "layers",
                "LIST",
                "The style layers that are searched, and that the directions change: "
                "numbers and ranges such as 0-3, where 0 is the lowest resolution.",
                absent="all",
            ),
            flag.text(
                "channels",
                "LIST",
                "The channels of stylespace as LAYER:CHANNEL, such as 2:17,3:5.",
                absent="those that change images most",
            ),
            flag.integer(
                "samples",
                "N",
                "The number of latents for the mean and covariance of w, which "
                "determine the unit of strengths.",
                100_000,
                minimum=2,
                maximum=100_000_000,
                unit="latents",
            ),
            dataclasses.replace(
                network.CLASS,
                doc="The class of all latents and figures, by its name or index; for "
                "networks with classes.",
                absent="all in turn",
            ),
            network.LABEL,
        ),
        "Groups, for boundary and difference": (
            flag.text(
                "positive",
                "LIST",
                "The seeds, or the rows of --latents counted from 0, towards which the "
                "direction points: numbers and ranges, such as 0-3,7.",
            ),
            flag.text(
                "negative",
                "LIST",
                "The seeds or rows from which the direction points away.",
            ),
            flag.text(
                "latents",
                "FILES",
                "Latents in place of seeds, in .npz or .npy files as for `generate`, "
                "separated by commas. The array labels of a .npz, 1 for positive and 0 "
                "for negative, takes the place of --positive and --negative.",
            ),
            flag.text(
                "images",
                "FOLDER",
                "A folder with images in its subfolders positive and negative, in "
                "place of seeds. Their latents come from --encoder, or else from a "
                "projection, which takes longer.",
            ),
            flag.text(
                "encoder",
                "FILE",
                "A file that `encoder` wrote, for --images.",
            ),
            flag.text(
                "name",
                "NAME",
                "The name of the direction and of its files.",
                absent="the method",
            ),
        ),
        "Texts, for text": (
            flag.text(
                "positive_text", "TEXT", "The text towards which the direction points."
            ),
            flag.text(
                "negative_text",
                "TEXT",
                "The text from which it points away, such as a neutral text.",
            ),
            flag.text(
                "clip_model",
                "NAME",
                "The model of the package open_clip_torch, which you must install.",
                "ViT-B-32",
            ),
            flag.text(
                "clip_weights",
                "FILE",
                "The file with its weights, which you must download.",
            ),
        ),
        "Figures": (
            flag.text("seeds", "LIST", "The seeds of the images.", "0-3"),
            flag.text(
                "strengths",
                "LIST",
                "The strengths of the columns, increasing, in standard deviations.",
                "-3,-2,-1,0,1,2,3",
            ),
            dataclasses.replace(
                network.TRUNCATION_PSI,
                doc="The truncation of the images, and of the seeds and z in groups, "
                "as in `generate`: 1 keeps their variety, 0 gives the average image.",
            ),
        ),
        "Output": (
            flag.text(
                "out",
                "DIRECTORY",
                "The directory for NAME.safetensors and NAME.png of each direction, "
                "and directions.png of all; it is created if necessary.",
                required=True,
            ),
        ),
    },
    tables={"Methods": {name: method.doc for name, method in METHODS.items()}},
    one_of=network.ONE_OF,
)
