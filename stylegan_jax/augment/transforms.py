"""Random transforms of the images that the discriminator sees.

As long as some images stay unchanged, the generator does not learn the transforms,
because the distribution after them determines the distribution before them. `augment`
has three steps:

  draw     key -> standard random numbers, two for each transform and image
  plan     numbers, probability -> matrices, gains, strengths
  execute  images, plan -> images; linear in the images, so differentiable to any order

Shapes are static: every image is padded by reflection to almost three times its width
and height, even if the transforms of a batch need less.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
Data", sections 2.2 and 3, appendix B.
"""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.augment.policies import COLOR, GEOMETRY, Policy
from stylegan_jax.layers.bands import filter_bands
from stylegan_jax.layers.matmul import precision
from stylegan_jax.layers.warp import warp

# The position of a name enters its random key: add new names at the end only.
TRANSFORMS = (*GEOMETRY, *COLOR, "imgfilter", "noise", "cutout")
CHOICES = {"xflip": 2, "rotate90": 4, "lumaflip": 2}  # number of equally likely values
SYMMETRIC = ("xint", "rotate", "rotate_post", "hue")  # uniform in [-1,1)
UNIFORM = (*CHOICES, *SYMMETRIC, "cutout")  # all others are normal
WIDTHS = {"xint": (2,), "xfrac": (2,), "imgfilter": (4,), "cutout": (2,)}
BAND_POWER = np.array([10, 1, 1, 1]) / 13  # power of natural images, low to high


class Numbers(NamedTuple):
    """Standard random numbers of the transforms that the policy has.

    Attributes:
      values: name -> [B], [B,2] (x, y) or [B,4] (bands); uniform in [0,1) for UNIFORM,
        else standard normal. That of `cutout` is the rectangle's center.
      gates: name -> uniform in [0,1), [B] or [B,4]. The transform is applied where this
        is below its probability.
      noise: [B,H,W,C] standard normal, or None without `noise`.
    """

    values: dict[str, jax.Array]
    gates: dict[str, jax.Array]
    noise: jax.Array | None


class Plan(NamedTuple):
    """The transforms of each image, in order of application; None if not in use.

    Attributes:
      inverse: [B,3,3], matrices that map the position of a pixel in the result to that
        in the source; positions are (x, y, 1), in pixels from the center.
      color: [B,4,4], matrices that map colors (r, g, b, 1).
      band_gains: [B,4], from the lowest frequencies to the highest.
      noise: [B,H,W,C], added to the images.
      cutout: [B,3], center (x, y) and size of the rectangle, relative to the image.
    """

    inverse: jax.Array | None
    color: jax.Array | None
    band_gains: jax.Array | None
    noise: jax.Array | None
    cutout: jax.Array | None


def augment(
    key: jax.Array,
    images: jax.Array,
    probability: jax.Array | float,
    policy: Policy,
) -> jax.Array:
    """Transform each image at random.

    Args:
      key: random key of this batch.
      images: [B,H,W,C] float32 in [-1,1]; C is 1, 3 or 4. Color transforms leave alpha,
        the last of 4 channels, unchanged.
      probability: [], probability of each transform, in [0,1]; it may be traced.
      policy: the transforms.

    Returns:
      [B,H,W,C].
    """
    numbers = draw(key, images.shape, policy)
    return execute(images, plan(numbers, images.shape, probability, policy))


def draw(key: jax.Array, shape: tuple[int, ...], policy: Policy) -> Numbers:
    """Draw random numbers for a batch of images of `shape` [B,H,W,C].

    The numbers of a transform do not depend on the policy's other transforms.
    """
    values, gates, noise = {}, {}, None
    for index, name in enumerate(TRANSFORMS):
        if not policy.multiplier(name):
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
    policy: Policy,
) -> Plan:
    """Convert random numbers to the transforms of images of `shape` [B,H,W,C]."""
    batch, height, width, _ = shape
    size = np.array([width, height])
    amount = _amounts(numbers, batch, probability, policy)
    has = numbers.values.keys()
    inverse = color = band_gains = noise = cutout = None
    if has & set(GEOMETRY):
        zoom = jnp.exp2(-policy.scale_std * amount["scale"])
        stretch = jnp.exp2(-policy.aniso_std * amount["aniso"])
        inverse = _product(
            _scaling(1 - 2 * amount["xflip"], 1.0),
            _rotation(math.pi / 2 * amount["rotate90"]),
            _shift(-jnp.round(policy.xint_max * size * amount["xint"])),
            _scaling(zoom, zoom),
            _rotation(math.pi * amount["rotate"]),
            _scaling(stretch, 1 / stretch),
            _rotation(math.pi * amount["rotate_post"]),
            _shift(-policy.xfrac_std * size * amount["xfrac"]),
        )
    if has & set(COLOR):
        color = _color_matrix(amount, policy)
    if "imgfilter" in has:
        gains = jnp.exp2(policy.imgfilter_std * amount["imgfilter"])
        # Normalize the expected power of a natural image to 1.
        power = 1 + BAND_POWER * (jnp.square(gains) - 1)
        band_gains = gains / jnp.sqrt(jnp.prod(power, axis=1, keepdims=True))
    if "noise" in has:
        deviation = policy.noise_std * jnp.abs(amount["noise"])
        noise = deviation[:, None, None, None] * numbers.noise
    if "cutout" in has:
        extent = policy.cutout_size * amount["cutout"]
        cutout = jnp.concatenate([numbers.values["cutout"], extent[:, None]], axis=1)
    return Plan(inverse, color, band_gains, noise, cutout)


def _amounts(
    numbers: Numbers, batch: int, probability: jax.Array | float, policy: Policy
) -> dict[str, jax.Array]:
    """Return the strength of each transform, [B], [B,2] or [B,4]; 0 is the identity."""
    amounts = {n: jnp.zeros((batch, *WIDTHS.get(n, ()))) for n in TRANSFORMS}
    for name, value in numbers.values.items():
        rate = jnp.clip(policy.multiplier(name) * probability, 0, 1)
        if name in ("rotate", "rotate_post"):
            rate = 1 - jnp.sqrt(1 - rate)  # P(at least one of the two) is `rate`
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
    """Apply the transforms of a plan to images [B,H,W,C]."""
    chex.assert_rank(images, 4)
    chex.assert_type(images, jnp.float32)
    if images.shape[3] not in (1, 3, 4):
        raise ValueError(
            f"images have {images.shape[3]} channels; augmentation takes 1 (gray), 3 "
            "(RGB) or 4 (RGBA)"
        )
    if plan.inverse is not None:
        images = warp(images, plan.inverse)
    if plan.color is not None:
        images = _recolor(images, plan.color)
    if plan.band_gains is not None:
        images = filter_bands(images, plan.band_gains)
    if plan.noise is not None:
        images = images + plan.noise
    if plan.cutout is not None:
        images = images * _outside(plan.cutout, images.shape)
    return images


def _recolor(images: jax.Array, color: jax.Array) -> jax.Array:
    """Apply color matrices [B,4,4]; gray images take the mean over the channels."""
    if images.shape[3] == 1:
        mean = jnp.mean(color[:, :3], axis=1)
        factor, offset = jnp.sum(mean[:, :3], axis=1), mean[:, 3]
        return images * factor[:, None, None, None] + offset[:, None, None, None]
    rgb, alpha = images[..., :3], images[..., 3:]
    mixed = jnp.einsum(
        "bij,bhwj->bhwi", color[:, :3, :3], rgb, precision=precision(images)
    )
    return jnp.concatenate([mixed + color[:, None, None, :3, 3], alpha], axis=-1)


def _outside(cutout: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return [B,H,W,1], 1 outside the rectangles [B,3] and 0 inside."""
    _, height, width, _ = shape
    x, y, size = (cutout[:, i, None, None, None] for i in range(3))
    columns = (np.arange(width, dtype=np.float32) + 0.5)[:, None] / width
    rows = (np.arange(height, dtype=np.float32) + 0.5)[:, None, None] / height
    beside = jnp.abs(columns - x) >= size / 2
    above = jnp.abs(rows - y) >= size / 2
    return (beside | above).astype(jnp.float32)


def _color_matrix(amount: dict[str, jax.Array], policy: Policy) -> jax.Array:
    """Return the product [B,4,4] of the color transforms."""
    b, c, flip, angle, s = (amount[name][:, None, None] for name in COLOR)
    c, s = jnp.exp2(policy.contrast_std * c), jnp.exp2(policy.saturation_std * s)
    unit, last = np.eye(4), np.diag([0, 0, 0, 1])
    offset = np.outer([1, 1, 1, 0], [0, 0, 0, 1])
    axis = np.array([1, 1, 1, 0]) / math.sqrt(3)  # the gray axis
    onto = np.outer(axis, axis)
    across = np.zeros((4, 4))  # cross product with the axis
    across[:3, :3] = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cos, sin = jnp.cos(math.pi * angle), jnp.sin(math.pi * angle)
    return _product(
        onto + s * (unit - onto),
        onto + last + cos * (unit - onto - last) + sin * across,
        unit - 2 * flip * onto,
        c * (unit - last) + last,
        unit + policy.brightness_std * b * offset,
    )


def _product(*matrices: jax.Array) -> jax.Array:
    """Return the product of matrices [B,n,n], the first one leftmost."""
    out = matrices[0]
    for m in matrices[1:]:
        out = jnp.matmul(out, m, precision=precision(out))
    return out


def _matrix(xx, xy, x1, yx, yy, y1) -> jax.Array:
    """Return matrices [B,3,3] of (x, y, 1) from the entries of their first two rows."""
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
