"""Augmentation policies: the transforms, their probabilities and their strengths.

To add a transform, add its multiplier and the parameters of its strength to `Policy`,
its name to a policy of `POLICIES`, and, in `transforms.py`, its name to the end of
`TRANSFORMS` and its formula to `plan`. docs/code.md lists all steps.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data", appendix B; for DiffAugment see `diffaugment.py`.
"""

import dataclasses

PIXEL = ("xflip", "rotate90", "xint")
AFFINE = ("scale", "rotate", "aniso", "xfrac")
GEOMETRY = (*PIXEL, *AFFINE, "rotate_post")
COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")


@dataclasses.dataclass(frozen=True)
class Policy:
    """Multipliers of the transforms' probabilities, and parameters of their strengths.

    The probability of a transform is its multiplier times the augmentation
    probability; a multiplier of 0 removes it from the program. `_std` is the standard
    deviation of a normally distributed strength, `_max` the bound of a uniform one.
    Sizes and shifts are relative to the image.
    """

    xflip: float = 0.0  # mirror left-right
    rotate90: float = 0.0  # rotate by a multiple of 90 degrees
    xint: float = 0.0  # shift by whole pixels
    scale: float = 0.0  # scale both axes equally
    rotate: float = 0.0  # rotate by any angle; drawn twice, before and after `aniso`
    aniso: float = 0.0  # stretch one axis as much as the other shrinks
    xfrac: float = 0.0  # shift by fractions of pixels
    brightness: float = 0.0  # add to all channels
    contrast: float = 0.0  # multiply all channels
    lumaflip: float = 0.0  # mirror the luma, keep the chroma
    hue: float = 0.0  # rotate colors around the gray axis
    saturation: float = 0.0  # multiply the distance from the gray axis
    imgfilter: float = 0.0  # amplify frequency bands
    noise: float = 0.0  # add white noise
    cutout: float = 0.0  # set a rectangle to zero
    xint_max: float = 0.125
    scale_std: float = 0.2  # log2 of the factor
    aniso_std: float = 0.2  # log2 of the factor
    xfrac_std: float = 0.125
    brightness_std: float = 0.2
    contrast_std: float = 0.5  # log2 of the factor
    saturation_std: float = 1.0  # log2 of the factor
    imgfilter_std: float = 1.0  # log2 of the gain
    noise_std: float = 0.1  # an image's noise has deviation |N(0, noise_std^2)|
    cutout_size: float = 0.5

    @classmethod
    def of(cls, *names: str) -> "Policy":
        """Return the policy with these transforms at full probability."""
        return cls(**dict.fromkeys(names, 1.0))

    def multiplier(self, name: str) -> float:
        """Return the probability multiplier of one of `transforms.TRANSFORMS`."""
        return getattr(self, name.removesuffix("_post"))


@dataclasses.dataclass(frozen=True)
class DiffPolicy:
    """The transforms of DiffAugment, see `diffaugment.py`."""

    color: bool = False  # brightness, saturation and contrast
    translation: bool = False
    cutout: bool = False

    @classmethod
    def of(cls, *names: str) -> "DiffPolicy":
        """Return the policy with these transforms."""
        return cls(**dict.fromkeys(names, True))


@dataclasses.dataclass(frozen=True)
class PseudoPolicy:
    """Adaptive pseudo augmentation (APA): generated images in place of some reals.

    Images are not transformed; each real image is replaced with the probability.

    Reference: Jiang et al. 2021, "Deceive D: Adaptive Pseudo Augmentation for GAN
    Training with Limited Data", section 3.
    """


POLICIES: dict[str, Policy | DiffPolicy | PseudoPolicy] = {
    # The names of StyleGAN2-ADA's have a letter for each group of transforms ...
    "none": Policy(),
    "b": Policy.of(*PIXEL),
    "bg": Policy.of(*PIXEL, *AFFINE),
    "bgc": Policy.of(*PIXEL, *AFFINE, *COLOR),
    "bgcf": Policy.of(*PIXEL, *AFFINE, *COLOR, "imgfilter"),
    "bgcfn": Policy.of(*PIXEL, *AFFINE, *COLOR, "imgfilter", "noise"),
    "bgcfnc": Policy.of(*PIXEL, *AFFINE, *COLOR, "imgfilter", "noise", "cutout"),
    "pseudo": PseudoPolicy(),
    # ... and those of DiffAugment list the transforms, both as in the official codes.
    "color": DiffPolicy.of("color"),
    "translation": DiffPolicy.of("translation"),
    "cutout": DiffPolicy.of("cutout"),
    "color,translation": DiffPolicy.of("color", "translation"),
    "color,cutout": DiffPolicy.of("color", "cutout"),
    "translation,cutout": DiffPolicy.of("translation", "cutout"),
    "color,translation,cutout": DiffPolicy.of("color", "translation", "cutout"),
}
