"""Distances between a target and generated images.

A distance is a pair of functions: one describes images by a tree of arrays, and the
other compares two descriptions. The features of a target are thus computed only once.
To add a distance, such as one between the features of another network, write these two
functions and an entry in `DISTANCES`; docs/code.md names the other places that list it.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.layers.resample import downscale2d
from stylegan_jax.metrics.networks import efficientnet as efficientnet_lite0
from stylegan_jax.metrics.networks import efficientnet_weights, lpips
from stylegan_jax.metrics.networks.published import cached, find, sha256
from stylegan_jax.runtime.messages import listed
from stylegan_jax.weights import files

AUTO = "auto"
MAX_SIDE = 256  # pixels: limit of the shorter side of the images that LPIPS sees
SMOOTHING = 1e-3  # smaller differences are penalized quadratically
EDGE_SCALES = 2  # edges are those of the full and of half of the resolution ...
EDGE_WEIGHT = 3.0  # ... and have this weight relative to the pixels

# The last blocks of EfficientNet-Lite0 at resolutions 112, 56, 28, 14 and 7.
BLOCKS = ("block0", "block2", "block4", "block10", "block15")

Description = Any  # tree of arrays [B,...]
WeightFile = str | os.PathLike | None


@dataclasses.dataclass(frozen=True, eq=False)
class Distance:
    """A distance between images [B,H,W,C] in about [-1,1], C 1, 3 or 4.

    Attributes:
      name: one of DISTANCES.
      digest: SHA-256 of its weights; without weights, the name of its formula.
      variables: its weights, the first argument of both functions.
      describe: traced function (variables, images) -> description.
      compare: traced function (variables, description of the targets, description of
        the images) -> [B] float32, 0 for equal images.
    """

    name: str
    digest: str
    variables: Any
    describe: Callable[[Any, jax.Array], Description]
    compare: Callable[[Any, Description, Description], jax.Array]


def load(
    name: str = AUTO,
    vgg16: str | os.PathLike | None = None,
    efficientnet: str | os.PathLike | None = None,
) -> Distance:
    """Load a distance.

    Args:
      name: one of DISTANCES; or "auto", which is "lpips" if `vgg16` is given or the
        weights are in the cache folder, and "multiscale" otherwise.
      vgg16: path of VGG16's weights; None looks for them in the cache folder, and
        "lpips" downloads them if they are not there.
      efficientnet: path of EfficientNet-Lite0's weights; None takes those in the cache
        folder, or in the package that the extra `metrics` installs.

    Raises:
      ValueError: there is no such distance, or the file does not hold these weights.
      WeightsNotFound: there is no such file, or the download failed.
    """
    if name == AUTO:
        name = "lpips" if vgg16 or cached("vgg16") else "multiscale"
    if name not in DISTANCES:
        raise ValueError(
            f"distance (={name!r}) must be one of {listed((AUTO, *DISTANCES))}"
        )
    return DISTANCES[name](vgg16, efficientnet)


def on_backgrounds(images: jax.Array) -> list[jax.Array]:
    """Composite RGBA images onto white and onto black; return others unchanged.

    The two backgrounds together determine alpha, and they hide the colors of
    transparent pixels.

    Args:
      images: [B,H,W,C] in [-1,1].

    Returns:
      Images [B,H,W,1 or 3].
    """
    if images.shape[-1] != 4:
        return [images]
    color, alpha = images[..., :3], (images[..., 3:] + 1) / 2
    return [color * alpha + (1 - alpha), color * alpha - (1 - alpha)]


# Without weights


def describe_pixels_and_edges(variables: None, images: jax.Array) -> Description:
    """Return the visible pixels of images, and their edges at EDGE_SCALES scales."""
    del variables
    pixels = jnp.concatenate(on_backgrounds(images), axis=-1)
    shown, maps = jnp.clip(pixels, -1, 1), []
    for _ in range(EDGE_SCALES):
        maps.append(edges(shown))
        if any(side % 2 for side in shown.shape[1:3]):
            break
        shown = downscale2d(shown)
    return {"pixels": pixels, "edges": maps}


def edges(images: jax.Array) -> jax.Array:
    """Return the edges of images [B,H,W,C] as maps [B,H,W,4C] that are never negative.

    The four maps of each channel are the increases and the decreases from a pixel to
    its right and to its lower neighbor.
    """
    right = jnp.diff(images, axis=2, append=images[:, :, -1:])
    lower = jnp.diff(images, axis=1, append=images[:, -1:])
    maps = (right, -right, lower, -lower)
    return jnp.concatenate([jax.nn.relu(each) for each in maps], axis=-1)


def residual(target: jax.Array, images: jax.Array) -> jax.Array:
    """Return images - target, but 0 where clipping the image makes them equal.

    A target comes from a file and is clipped to [-1,1]; an image will be clipped, too.
    """
    difference = images - target
    over = (target >= 1) & (difference > 0)
    under = (target <= -1) & (difference < 0)
    return jnp.where(over | under, 0.0, difference)


def multiscale(variables: None, target: Description, images: Description) -> jax.Array:
    """Return the distance of the pixels plus that of their edges, [B].

        over_scales(pixels) + EDGE_WEIGHT * mean over maps m of over_scales(m)

    The coarse scales give a gradient where shapes do not overlap yet. A small feature
    disappears in their averages of pixels, but not in those of its edges, which all
    have the same sign; without the edges, searches replace such features by a blur.
    The difference of the pixels is that of `residual`.
    """
    del variables
    pixels = over_scales(residual(target["pixels"], images["pixels"]))
    found = [
        over_scales(b - a)
        for a, b in zip(target["edges"], images["edges"], strict=True)
    ]
    return pixels + EDGE_WEIGHT * sum(found) / len(found)


def over_scales(difference: jax.Array) -> jax.Array:
    """Return the mean absolute difference over all scales of a box pyramid, [B].

        mean over scales s of mean over pixels of sqrt(r_s^2 + e^2) - e

    where r_0 is the difference, r_s averages 2x2 pixels of r_(s-1), and e = SMOOTHING.
    Unlike squares, absolute differences keep a large gradient when they are small.
    """
    scales = []
    while True:
        smooth = jnp.sqrt(jnp.square(difference) + SMOOTHING**2) - SMOOTHING
        scales.append(jnp.mean(smooth, (1, 2, 3)))
        if any(side % 2 for side in difference.shape[1:3]):
            return sum(scales) / len(scales)
        difference = downscale2d(difference)


# By VGG16


def describe_by_vgg16(variables: Any, images: jax.Array) -> Description:
    """Return the maps of LPIPS for each background; see `lpips.unit_maps`.

    Images are halved by averaging until their shorter side is at most MAX_SIDE, as in
    the official projector.
    """
    while min(images.shape[1:3]) > MAX_SIDE:
        images = downscale2d(images)
    rgb = (*images.shape[:3], 3)
    return [
        lpips.unit_maps(variables, jnp.broadcast_to(seen, rgb))
        for seen in on_backgrounds(images)
    ]


def compare_by_vgg16(
    variables: Any, target: Description, images: Description
) -> jax.Array:
    """Return LPIPS [B], averaged over the backgrounds."""
    found = [
        sum(lpips.compare(variables, a, b)) for a, b in zip(target, images, strict=True)
    ]
    return sum(found) / len(found)


def _lpips(vgg16: WeightFile, efficientnet: WeightFile) -> Distance:
    del efficientnet
    variables, digest = lpips.load(vgg16)
    return Distance("lpips", digest, variables, describe_by_vgg16, compare_by_vgg16)


# By EfficientNet-Lite0


def describe_by_efficientnet(variables: Any, images: jax.Array) -> Description:
    """Return feature maps of EfficientNet-Lite0 for each background.

    Images are resized to 224x224 pixels. The maps are the outputs of the last block at
    each of five resolutions, normalized to unit length at every position.
    """
    maps = []
    for seen in on_backgrounds(images):
        rgb = jnp.broadcast_to(seen, (*images.shape[:3], 3))
        side = efficientnet_lite0.SIZE
        rgb = jax.image.resize(rgb, (len(rgb), side, side, 3), "linear")
        _, captured = efficientnet_lite0.EfficientNetLite0().apply(
            variables,
            (rgb + 1) * 127.5,
            capture_intermediates=lambda module, _: module.name in BLOCKS,
            mutable=["intermediates"],
        )
        blocks = captured["intermediates"]
        maps.append([lpips.normalize(blocks[b]["__call__"][0]) for b in BLOCKS])
    return maps


def compare_by_efficientnet(
    variables: Any, target: Description, images: Description
) -> jax.Array:
    """Return the squared distance of the normalized maps [B].

    It is averaged over the positions of each map, then over maps and backgrounds.
    """
    del variables
    found = [
        jnp.mean(jnp.sum(jnp.square(a - b), -1), (1, 2))
        for a, b in zip(jax.tree.leaves(target), jax.tree.leaves(images), strict=True)
    ]
    return sum(found) / len(found)


def _efficientnet(vgg16: WeightFile, efficientnet: WeightFile) -> Distance:
    del vgg16
    path = find("efficientnet", efficientnet)
    variables = files.convert_tensors(path, efficientnet_weights.load)
    return Distance(
        "efficientnet",
        sha256(path),
        variables,
        describe_by_efficientnet,
        compare_by_efficientnet,
    )


def _multiscale(vgg16: WeightFile, efficientnet: WeightFile) -> Distance:
    del vgg16, efficientnet
    return Distance("multiscale", "edges", None, describe_pixels_and_edges, multiscale)


DISTANCES: dict[str, Callable[[WeightFile, WeightFile], Distance]] = {
    "lpips": _lpips,
    "efficientnet": _efficientnet,
    "multiscale": _multiscale,
}
