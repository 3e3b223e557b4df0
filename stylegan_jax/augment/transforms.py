"""Random transforms of everything that the discriminator sees.

A generator cannot learn them as long as they happen to less than all images: the
distribution before them can be told from the one after. `augment` is three steps:

  draw     key -> standard random numbers, two for each transform and image
  plan     numbers, probability -> matrices, gains, strengths
  execute  images, plan -> images; linear in the images, so of any order of gradient

Sizes are static: an image is always mirrored by its whole size at the edges, whatever
part of that the transforms of a batch need.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data", sections 2.2 and 3, appendix B.
"""

import dataclasses
import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.bands import filter_bands
from stylegan_jax.layers.matmul import precision
from stylegan_jax.layers.warp import warp

_PIXELS = ("xflip", "rotate90", "xint")
_AFFINE = ("scale", "rotate", "aniso", "xfrac")
GEOMETRY = (*_PIXELS, *_AFFINE, "rotate_post")
COLOUR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
TRANSFORMS = (*GEOMETRY, *COLOUR, "imgfilter", "noise", "cutout")  # never reorder
CHOICES = {"xflip": 2, "rotate90": 4, "lumaflip": 2}  # one of so many
SYMMETRIC = ("xint", "rotate", "rotate_post", "hue")  # from -1 to 1
UNIFORM = (*CHOICES, *SYMMETRIC, "cutout")  # all others are normally distributed
WIDTHS = {"xint": (2,), "xfrac": (2,), "imgfilter": (4,), "cutout": (2,)}
BAND_POWER = np.array([10, 1, 1, 1]) / 13  # of natural images, from low to high


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Which transforms there are and how far they go.

    A transform's multiplier times the probability is how often it happens; 0: never.
    Sizes and shifts are in image sizes.
    """

    xflip: float = 0.0  # mirror left-right
    rotate90: float = 0.0  # by a multiple of 90 degrees
    xint: float = 0.0  # shift by whole pixels
    scale: float = 0.0  # both directions alike
    rotate: float = 0.0  # by any angle; tried before and after `aniso`
    aniso: float = 0.0  # stretch one direction as much as the other shrinks
    xfrac: float = 0.0  # shift by fractions of pixels
    brightness: float = 0.0  # add to all channels
    contrast: float = 0.0  # multiply all channels
    lumaflip: float = 0.0  # mirror the luma, keep the chroma
    hue: float = 0.0  # rotate colours around the gray axis
    saturation: float = 0.0  # multiply the distance from the gray axis
    imgfilter: float = 0.0  # multiply frequency bands
    noise: float = 0.0  # add white noise
    cutout: float = 0.0  # make a rectangle zero
    xint_max: float = 0.125
    scale_std: float = 0.2  # of log2 of the factor, as the next
    aniso_std: float = 0.2
    xfrac_std: float = 0.125
    brightness_std: float = 0.2
    contrast_std: float = 0.5  # of log2 of the factor, as the next two
    saturation_std: float = 1.0
    imgfilter_std: float = 1.0
    noise_std: float = 0.1  # of the noise's standard deviation
    cutout_size: float = 0.5

    @classmethod
    def of(cls, *names: str) -> "Pipeline":
        """The pipeline with these transforms at full probability."""
        return cls(**dict.fromkeys(names, 1.0))

    def multiplier(self, name: str) -> float:
        """Of the probability of a transform out of TRANSFORMS."""
        return getattr(self, name.removesuffix("_post"))


PIPELINES = {  # the names are a letter for each group: (b)lit, (g)eometry, ...
    "none": Pipeline(),
    "b": Pipeline.of(*_PIXELS),
    "bg": Pipeline.of(*_PIXELS, *_AFFINE),
    "bgc": Pipeline.of(*_PIXELS, *_AFFINE, *COLOUR),
    "bgcf": Pipeline.of(*_PIXELS, *_AFFINE, *COLOUR, "imgfilter"),
    "bgcfn": Pipeline.of(*_PIXELS, *_AFFINE, *COLOUR, "imgfilter", "noise"),
    "bgcfnc": Pipeline.of(*_PIXELS, *_AFFINE, *COLOUR, "imgfilter", "noise", "cutout"),
}


class Numbers(NamedTuple):
    """Standard random numbers; only of transforms that the pipeline has.

    Attributes:
      values: name -> [B], [B,2] (x, y) or [B,4] (bands); uniform in [0,1) for UNIFORM,
        else standard normal. That of `cutout` is the rectangle's centre.
      gates: name -> uniform in [0,1), [B] or [B,4]; below its probability the
        transform takes place.
      noise: [B,H,W,C] standard normal, or None without `noise`.
    """

    values: dict[str, jax.Array]
    gates: dict[str, jax.Array]
    noise: jax.Array | None


class Plan(NamedTuple):
    """What happens to each image, in this order; None is for what the pipeline lacks.

    Attributes:
      inverse: [B,3,3], of (x, y, 1) in pixels from the centre: where a pixel of the
        result comes from.
      colour: [B,4,4], of (r, g, b, 1).
      band_gains: [B,4], from the lowest frequencies to the highest.
      noise: [B,H,W,C], to be added.
      cutout: [B,3], centre (x, y) and size of the rectangle in image sizes.
    """

    inverse: jax.Array | None
    colour: jax.Array | None
    band_gains: jax.Array | None
    noise: jax.Array | None
    cutout: jax.Array | None


def augment(
    key: jax.Array,
    images: jax.Array,
    probability: jax.Array | float,
    pipeline: Pipeline,
) -> jax.Array:
    """Transforms each image at random.

    Args:
      key: of this batch.
      images: [B,H,W,C] in [-1,1], C 1, 3 or 4; the last of 4, alpha, keeps out of the
        changes of colour.
      probability: of each transform, in [0,1]; may be traced.
      pipeline: the transforms.

    Returns:
      [B,H,W,C].
    """
    numbers = draw(key, images.shape, pipeline)
    return execute(images, plan(numbers, images.shape, probability, pipeline))


def draw(key: jax.Array, shape: tuple[int, ...], pipeline: Pipeline) -> Numbers:
    """Random numbers for a batch of images of `shape` [B,H,W,C].

    Those of a transform do not depend on which others there are.
    """
    values, gates, noise = {}, {}, None
    for index, name in enumerate(TRANSFORMS):
        if not pipeline.multiplier(name):
            continue
        of_value, of_gate, of_noise = jax.random.split(
            jax.random.fold_in(key, index), 3
        )
        sampler = jax.random.uniform if name in UNIFORM else jax.random.normal
        values[name] = sampler(of_value, shape[:1] + WIDTHS.get(name, ()))
        bands = (4,) if name == "imgfilter" else ()
        gates[name] = jax.random.uniform(of_gate, shape[:1] + bands)
        if name == "noise":
            noise = jax.random.normal(of_noise, shape)
    return Numbers(values, gates, noise)


def plan(
    numbers: Numbers,
    shape: tuple[int, ...],
    probability: jax.Array | float,
    pipeline: Pipeline,
) -> Plan:
    """The transforms that the numbers stand for, of images of `shape` [B,H,W,C]."""
    batch, height, width, _ = shape
    size = np.array([width, height])
    amount = _amounts(numbers, batch, probability, pipeline)
    has = numbers.values.keys()
    inverse = colour = band_gains = noise = cutout = None
    if has & set(GEOMETRY):
        zoom = jnp.exp2(-pipeline.scale_std * amount["scale"])
        stretch = jnp.exp2(-pipeline.aniso_std * amount["aniso"])
        inverse = _product(
            _scaling(1 - 2 * amount["xflip"], 1.0),
            _rotation(math.pi / 2 * amount["rotate90"]),
            _shift(-jnp.round(pipeline.xint_max * size * amount["xint"])),
            _scaling(zoom, zoom),
            _rotation(math.pi * amount["rotate"]),
            _scaling(stretch, 1 / stretch),
            _rotation(math.pi * amount["rotate_post"]),
            _shift(-pipeline.xfrac_std * size * amount["xfrac"]),
        )
    if has & set(COLOUR):
        colour = _colour_matrix(amount, pipeline)
    if "imgfilter" in has:
        gains = jnp.exp2(pipeline.imgfilter_std * amount["imgfilter"])
        # What one band gains in power, all four together lose.
        power = 1 + BAND_POWER * (jnp.square(gains) - 1)
        band_gains = gains / jnp.sqrt(jnp.prod(power, axis=1, keepdims=True))
    if "noise" in has:
        deviation = pipeline.noise_std * jnp.abs(amount["noise"])
        noise = deviation[:, None, None, None] * numbers.noise
    if "cutout" in has:
        extent = pipeline.cutout_size * amount["cutout"]
        cutout = jnp.concatenate([numbers.values["cutout"], extent[:, None]], axis=1)
    return Plan(inverse, colour, band_gains, noise, cutout)


def _amounts(
    numbers: Numbers, batch: int, probability: jax.Array | float, pipeline: Pipeline
) -> dict[str, jax.Array]:
    """By name how far each image goes [B], [B,2] or [B,4]; 0 is nowhere."""
    amounts = {n: jnp.zeros((batch, *WIDTHS.get(n, ()))) for n in TRANSFORMS}
    for name, value in numbers.values.items():
        rate = jnp.clip(pipeline.multiplier(name) * probability, 0, 1)
        if name in ("rotate", "rotate_post"):
            rate = 1 - jnp.sqrt(1 - rate)  # so that `rate` are turned once or twice
        happens = numbers.gates[name] < rate
        if name in CHOICES:
            value = jnp.floor(CHOICES[name] * value)
        elif name in SYMMETRIC:
            value = 2 * value - 1
        elif name == "cutout":
            value = jnp.ones(batch)
        if value.ndim > happens.ndim:
            happens = happens[:, None]
        amounts[name] = jnp.where(happens, value, 0.0)
    return amounts


def execute(images: jax.Array, plan: Plan) -> jax.Array:
    """Transforms images [B,H,W,C] as planned."""
    chex.assert_rank(images, 4)
    chex.assert_type(images, jnp.float32)
    if images.shape[3] not in (1, 3, 4):
        raise ValueError(
            f"images have {images.shape[3]} channels; augmentation takes 1 (gray), 3 "
            "(RGB) or 4 (RGBA)"
        )
    if plan.inverse is not None:
        images = warp(images, plan.inverse)
    if plan.colour is not None:
        images = _recolour(images, plan.colour)
    if plan.band_gains is not None:
        images = filter_bands(images, plan.band_gains)
    if plan.noise is not None:
        images = images + plan.noise
    if plan.cutout is not None:
        images = images * _outside(plan.cutout, images.shape)
    return images


def _recolour(images: jax.Array, colour: jax.Array) -> jax.Array:
    """Applies matrices [B,4,4]; a gray image changes as the mean of the channels."""
    if images.shape[3] == 1:
        mean = jnp.mean(colour[:, :3], axis=1)
        factor, offset = jnp.sum(mean[:, :3], axis=1), mean[:, 3]
        return images * factor[:, None, None, None] + offset[:, None, None, None]
    rgb, alpha = images[..., :3], images[..., 3:]
    mixed = jnp.einsum(
        "bij,bhwj->bhwi", colour[:, :3, :3], rgb, precision=precision(images)
    )
    return jnp.concatenate([mixed + colour[:, None, None, :3, 3], alpha], axis=-1)


def _outside(cutout: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """1 outside of the rectangles [B,3] and 0 inside: [B,H,W,1]."""
    _, height, width, _ = shape
    x, y, size = (cutout[:, i, None, None, None] for i in range(3))
    columns = (np.arange(width, dtype=np.float32) + 0.5)[:, None] / width
    rows = (np.arange(height, dtype=np.float32) + 0.5)[:, None, None] / height
    beside = jnp.abs(columns - x) >= size / 2
    above = jnp.abs(rows - y) >= size / 2
    return (beside | above).astype(jnp.float32)


def _colour_matrix(amount: dict[str, jax.Array], pipeline: Pipeline) -> jax.Array:
    """The product [B,4,4] of the changes of colour."""
    b, c, flip, angle, s = (amount[name][:, None, None] for name in COLOUR)
    c, s = jnp.exp2(pipeline.contrast_std * c), jnp.exp2(pipeline.saturation_std * s)
    unit, last = np.eye(4), np.diag([0, 0, 0, 1])
    offset = np.outer([1, 1, 1, 0], [0, 0, 0, 1])
    axis = np.array([1, 1, 1, 0]) / math.sqrt(3)  # of gray
    onto = np.outer(axis, axis)
    across = np.zeros((4, 4))  # cross product with the axis
    across[:3, :3] = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cos, sin = jnp.cos(math.pi * angle), jnp.sin(math.pi * angle)
    return _product(
        onto + s * (unit - onto),
        onto + last + cos * (unit - onto - last) + sin * across,
        unit - 2 * flip * onto,
        c * (unit - last) + last,
        unit + pipeline.brightness_std * b * offset,
    )


def _product(*matrices: jax.Array) -> jax.Array:
    """Of [B,n,n], the first leftmost."""
    out = matrices[0]
    for m in matrices[1:]:
        out = jnp.matmul(out, m, precision=precision(out))
    return out


def _matrix(xx, xy, x1, yx, yy, y1) -> jax.Array:
    """[B,3,3] of (x, y, 1), from the entries of its first two rows."""
    entries = jnp.broadcast_arrays(
        *map(jnp.float32, (xx, xy, x1, yx, yy, y1, 0.0, 0.0, 1.0))
    )
    return jnp.stack(entries, axis=-1).reshape(-1, 3, 3)


def _scaling(x: jax.Array | float, y: jax.Array | float) -> jax.Array:
    return _matrix(x, 0.0, 0.0, 0.0, y, 0.0)


def _rotation(angle: jax.Array) -> jax.Array:
    c, s = jnp.cos(angle), jnp.sin(angle)
    return _matrix(c, -s, 0.0, s, c, 0.0)


def _shift(xy: jax.Array) -> jax.Array:
    return _matrix(1.0, 0.0, xy[:, 0], 0.0, 1.0, xy[:, 1])
