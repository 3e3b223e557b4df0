"""The figure of feature norms, which reveals the droplet artifacts of StyleGAN.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
section 2, figures 1 and 3.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from stylegan_jax.models import Generator, stylegan1, stylegan2, stylegan3
from stylegan_jax.runtime.image_io import rgb_on_white, shrink, to_uint8
from stylegan_jax.runtime.messages import sides
from stylegan_jax.sampling.figures.sampler import Figure, Sampler, seed_names
from stylegan_jax.sampling.labeled_grid import labeled_grid

LAYERS = tuple(m.SynthesisLayer for m in (stylegan1, stylegan2, stylegan3))
MAX_PIXELS = 256  # maximum size of an image or map; larger ones are downsampled
# Red, green and blue at equal distances from the smallest to the largest value.
HEAT = ((0, 0, 0), (66, 15, 117), (185, 54, 84), (245, 145, 30), (255, 255, 220))


def norms(sampler: Sampler, seeds: Sequence[int]) -> Figure:
    """Draw a row for each seed: its image, and a map of norms after each layer.

    The colors of each map go from black for 0 to white for its largest norm.
    """
    ws = sampler.styles(seeds)
    rows = []
    for w in ws:
        image, maps = feature_norms(sampler, w[None])
        tiles = [to_uint8(image[0]), *(heat(m[0] / max(m.max(), 1e-12)) for m in maps)]
        rows.append([shrink(rgb_on_white(tile), MAX_PIXELS) for tile in tiles])
    names = ["image", *(f"layer {i}\n{sides(m.shape[1:])}" for i, m in enumerate(maps))]
    return Figure(labeled_grid(rows, seed_names(seeds), names))


def feature_norms(
    sampler: Sampler, ws: jax.Array
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return images of styles, and the L2 norm over the channels after each layer.

    Args:
      sampler: the network.
      ws: [N,L,W].

    Returns:
      Images [N,H,W,C] float32; and for each layer, from the lowest resolution on, the
      norms of its pixels [N,h,w] float32.
    """
    generator = sampler.generator.clone(remat="none")
    image, maps = _capture(generator, sampler.variables, ws, sampler.lod)
    return np.asarray(image), [np.asarray(m) for m in maps]


@functools.partial(jax.jit, static_argnums=0)
def _capture(generator, variables, ws, lod):
    image, captured = generator.apply(
        variables,
        ws,
        lod=lod,
        method="synthesize",
        capture_intermediates=lambda module, _: isinstance(module, LAYERS),
        mutable=["intermediates"],
    )
    outputs = traverse_util.flatten_dict(captured["intermediates"])
    paths = [(*path, "__call__") for path in _layers(generator)]
    features = [outputs[path][0] for path in paths if path in outputs]
    if isinstance(generator, stylegan3.Generator):
        rates = [layer.after.rate for layer in generator.table.layers]
        features = [_center(x, n) for x, n in zip(features, rates, strict=False)]
    return image, [jnp.linalg.norm(x.astype(jnp.float32), axis=-1) for x in features]


def _layers(generator: Generator) -> list[tuple[str, ...]]:
    """Return the paths of the layers, from the lowest resolution on."""
    if isinstance(generator, stylegan3.Generator):
        return [(f"layers_{i}",) for i in range(generator.design.num_layers)]
    # The paths of the noise strengths, without their last parts.
    return [path[:-2] for path in generator.noise_strengths().values()]


def _center(x: jax.Array, size: int) -> jax.Array:
    """Crop features to the image [N,size,size,C], without the margin around it."""
    margin = (x.shape[1] - size) // 2
    return x[:, margin : margin + size, margin : margin + size]


def heat(values: np.ndarray) -> np.ndarray:
    """Return the colors [H,W,3] uint8 of values [H,W] in [0,1]."""
    places = np.linspace(0, 1, len(HEAT))
    channels = [
        np.interp(values, places, channel) for channel in zip(*HEAT, strict=True)
    ]
    return np.stack(channels, axis=-1).astype(np.uint8)
