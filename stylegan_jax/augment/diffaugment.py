"""DiffAugment: color, translation and cutout.

These transforms are simpler than those of StyleGAN2-ADA and suit data sets of about a
hundred images. In the paper, they are applied to every image, with probability 1.

Reference: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN
Training", section 3.2 and appendix; the ranges are those of its code.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.augment.policies import DiffPolicy
from stylegan_jax.layers.matmul import precision

SHIFT = 0.125  # maximum translation, relative to the image
CUTOUT = 0.5  # side of the square that is cut out, relative to the image
# The position of a name enters its random key: add new names at the end only.
DRAWS = ("brightness", "saturation", "contrast", "translation", "cutout")


def augment(
    key: jax.Array,
    images: jax.Array,
    probability: jax.Array | float,
    policy: DiffPolicy,
) -> jax.Array:
    """Transform each image at random; differentiable to any order.

    The arguments and the result are those of `transforms.augment`, except for the type
    of the policy.
    """
    chex.assert_rank(images, 4)
    chex.assert_type(images, jnp.float32)
    batch = len(images)
    numbers = {}
    for index, name in enumerate(DRAWS):
        of_value, of_gate = jax.random.split(jax.random.fold_in(key, index))
        # Two numbers; color transforms use only the first.
        value = jax.random.uniform(of_value, (batch, 2))
        happens = jax.random.uniform(of_gate, (batch,)) < probability
        numbers[name] = value, happens
    if policy.color:
        images = _color(images, numbers)
    if policy.translation:
        images = _translate(images, *numbers["translation"])
    if policy.cutout:
        images = images * _outside(*numbers["cutout"], images.shape)
    return images


def _color(
    images: jax.Array, numbers: dict[str, tuple[jax.Array, jax.Array]]
) -> jax.Array:
    """Change brightness, saturation and contrast."""
    channels = images.shape[3]
    color, alpha = images[..., : min(channels, 3)], images[..., min(channels, 3) :]
    brightness, saturation, contrast = (
        jnp.where(numbers[name][1], numbers[name][0][:, 0], 0.5)[:, None, None, None]
        for name in ("brightness", "saturation", "contrast")
    )
    color += brightness - 0.5
    gray = jnp.mean(color, axis=3, keepdims=True)
    color = (color - gray) * (2 * saturation) + gray
    mean = jnp.mean(color, axis=(1, 2, 3), keepdims=True)
    color = (color - mean) * (contrast + 0.5) + mean
    return jnp.concatenate([color, alpha], axis=3)


def _translate(images: jax.Array, value: jax.Array, happens: jax.Array) -> jax.Array:
    """Shift by whole pixels, up to SHIFT of each side, and fill with zeros."""
    for axis, spec in ((1, "bij,bjwc->biwc"), (2, "bij,bhjc->bhic")):
        side = images.shape[axis]
        most = int(side * SHIFT + 0.5)
        shift = jnp.floor(value[:, axis - 1] * (2 * most + 1)) - most
        shift = jnp.where(happens, shift, 0)
        # A product with shifted identity matrices, because gathers are slow.
        place = np.arange(side)
        moved = place[:, None] - place + shift[:, None, None] == 0
        images = jnp.einsum(
            spec, moved.astype(images.dtype), images, precision=precision(images)
        )
    return images


def _outside(value: jax.Array, happens: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return [B,H,W,1], 0 inside a rectangle of CUTOUT of the sides, and 1 outside."""
    inside = happens[:, None, None]
    for axis in (1, 2):
        side = shape[axis]
        size = int(side * CUTOUT + 0.5)
        offset = jnp.floor(value[:, axis - 1] * (side + 1 - size % 2)) - size // 2
        place = np.expand_dims(np.arange(side), 2 - axis)  # [H,1] or [1,W]
        begin = offset[:, None, None]
        inside = inside & (place >= begin) & (place < begin + size)
    return 1.0 - inside[..., None].astype(jnp.float32)
