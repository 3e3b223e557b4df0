"""Flags and help of `python -m stylegan_jax.figures`."""

from typing import NamedTuple

from stylegan_jax.commands import network
from stylegan_jax.runtime import flag
from stylegan_jax.runtime.command import Command, Needs


class Kind(NamedTuple):
    """A figure.

    Attributes:
      seeds: the default of --seeds.
      doc: its explanation, in a sentence.
      flags: the flags that belong to it and not to all figures.
    """

    seeds: str
    doc: str
    flags: tuple[str, ...] = ("truncation_psi",)


FIGURES = {
    "truncation": Kind(
        "0-3", "A column for each truncation psi (StyleGAN, figure 8).", ("psis",)
    ),
    "stochastic": Kind(
        "0-3",
        "Crops with different noise, and the standard deviation of each pixel over "
        "many realizations of the noise (StyleGAN, figure 4).",
        ("truncation_psi", "realizations"),
    ),
    "noise": Kind(
        "0-3",
        "Noise at all layers, no layers, fine layers, coarse layers (StyleGAN, figure "
        "5).",
    ),
    "uncurated": Kind("0-63", "The images of the first seeds, without selection."),
    "nearest": Kind(
        "0-3",
        "The nearest training images, by the root mean square difference of pixels "
        "after downsampling to at most 32x32.",
        ("truncation_psi", "data", "fit", "neighbors"),
    ),
    "growth": Kind(
        "0", "The same latent at every resolution and fade of a growing network."
    ),
    "norms": Kind(
        "0-1",
        "The norms of the features after each layer, in which StyleGAN's droplets show "
        "(StyleGAN2, figures 1 and 3).",
    ),
    "contributions": Kind(
        "0-63",
        "The share of each resolution in the images of a skip generator (StyleGAN2, "
        "figure 8).",
    ),
    "interpolations": Kind("0-2", "The path between successive seeds in z, and in w."),
    "sticking": Kind(
        "0-1",
        "A column of pixels over time, while the latent changes, or a StyleGAN3 "
        "network moves the image (StyleGAN3, figure 1).",
        ("truncation_psi", "beside"),
    ),
    "average": Kind(
        "0-1",
        "Averages of images around a latent, and around a position (StyleGAN3, figure "
        "1).",
        ("truncation_psi", "beside", "realizations"),
    ),
}

COMMAND = Command(
    "figures",
    "Draw a figure as in the StyleGAN papers with a network.",
    (
        "--figure=truncation --network=smileys64 --out=truncation.png",
        "--figure=nearest --network=runs/emoji --data=photos.zip --out=nearest.png",
    ),
    {
        "Network": network.REFERENCE,
        "Figure": (
            flag.choice(
                "figure",
                "The figure; see the list below.",
                None,
                tuple(FIGURES),
            ),
            flag.text(
                "seeds",
                "LIST",
                "The seeds of the latents: numbers and ranges, such as 0-3,7.",
                absent="see the list below",
            ),
            network.CLASS,
            network.LABEL,
            network.TRUNCATION_PSI,
            flag.text(
                "psis",
                "LIST",
                "The truncations of the columns, for the figure truncation.",
                "1,0.7,0.5,0,-0.5,-1",
            ),
            flag.integer(
                "realizations",
                "N",
                "The number of realizations of the noise, for the figure stochastic, "
                "and of images of an average.",
                100,
                minimum=4,
                maximum=100_000,
            ),
            flag.text(
                "beside",
                "NETWORK",
                "Another network to compare, for the figures sticking and average.",
                absent="none",
            ),
        ),
        "Training images, for the figure nearest": (
            flag.text(
                "data",
                "PATH",
                "Images in place of the training data: a folder, zip or prepared set.",
                absent="the training data of the network",
            ),
            flag.choice(
                "fit",
                "The handling of images of --data that have other sizes: exact rejects "
                "them unless the sides are 2, 4, 8... times as long, crop crops the "
                "center and resizes it.",
                "exact",
                ("exact", "crop"),
            ),
            flag.integer(
                "neighbors",
                "N",
                "The number of nearest images.",
                4,
                minimum=1,
                maximum=100,
            ),
        ),
        "Output": (network.PNG_OUT,),
    },
    tables={
        "Figures": {
            name: f"{kind.doc} Seeds: {kind.seeds}." for name, kind in FIGURES.items()
        }
    },
    one_of=network.ONE_OF,
    needs={"fit": Needs("data")},
)
