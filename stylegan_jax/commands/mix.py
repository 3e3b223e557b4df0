"""Flags and help of `python -m stylegan_jax.mix`."""

from stylegan_jax.commands import network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command

COMMAND = Command(
    "mix",
    "Draw the style-mixing figure of the StyleGAN paper: the images on top replace the "
    "coarse, middle or fine styles of those on the left. With --layers, they replace "
    "the styles of chosen layers.",
    (
        "--network=smileys64 --out=mixing.png",
        "--network=smileys64 --layers=0-3 --row_seeds=10-13 "
        "--column_seeds=0-5 --out=mixing.png",
    ),
    {
        "Network": network.REFERENCE,
        "The paper's figure": (
            flag.text(
                "source_seeds",
                "LIST",
                "The seeds of the images on top, whose styles are copied: numbers and "
                "ranges, such as 0-3,7.",
                "0-5",
            ),
            flag.text(
                "coarse_seeds",
                "LIST",
                "The seeds of the rows that receive coarse styles.",
                "10-12",
            ),
            flag.text(
                "middle_seeds",
                "LIST",
                "The seeds of the rows that receive middle styles.",
                "13-14",
            ),
            flag.text(
                "fine_seeds",
                "LIST",
                "The seeds of the rows that receive fine styles.",
                "15",
            ),
        ),
        "Chosen layers, in place of the paper's figure": (
            flag.text(
                "layers",
                "LIST",
                "The style layers to copy: numbers and ranges such as 0-3, where 0 is "
                "the lowest resolution.",
            ),
            flag.text(
                "row_seeds",
                "LIST",
                "The seeds of the images on the left, which receive these styles.",
                "10-13",
            ),
            flag.text(
                "column_seeds",
                "LIST",
                "The seeds of the images on top, whose styles are copied.",
                "0-5",
            ),
        ),
        "Images": (
            network.TRUNCATION_PSI,
            network.CLASS,
            network.LABEL,
        ),
        "Output": (network.PNG_OUT,),
    },
    (
        "Coarse styles are those of 4x4 and 8x8, middle styles those of 16x16 and "
        "32x32, and fine styles the rest; for a network of 16x16 or 32x32 pixels, they "
        "are those of 4x4, of 8x8, and the rest.",
    ),
    one_of=network.ONE_OF,
)
