"""The share of each resolution in the images of a skip generator.

Reference: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN",
section 4.1, figure 8.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.matmul import fastest_forms
from stylegan_jax.models import Generator, Variables, stylegan2
from stylegan_jax.sampling.synthesis import automatic_batch_size


def adds_up(generator: Generator) -> bool:
    """Return True for a generator whose image is the sum of all resolutions."""
    return isinstance(generator, stylegan2.Generator) and generator.architecture == (
        "skip"
    )


def contributions(
    generator: Generator, variables: Variables, ws: jax.Array | np.ndarray
) -> dict[int, float]:
    """Return the share of each resolution in images.

    A share is the standard deviation of the ToRGB layer's output over all images and
    pixels, as the root mean square over the channels; the shares sum to 1.

    Args:
      generator: the network, for which `adds_up` is true.
      variables: its variables.
      ws: the styles of images, [N,L,W].

    Returns:
      Resolution -> share.

    Raises:
      ValueError: the image is not the sum of all resolutions.
    """
    if not adds_up(generator):
        raise ValueError(
            "the image of this network is not the sum of contributions of all "
            "resolutions; use a StyleGAN2 network with `model.g_architecture` skip"
        )
    size = min(automatic_batch_size(generator, generator.resolution), len(ws))
    sums = []
    for start in range(0, len(ws), size):
        # The last batch may overlap with the previous one, to have the same shape.
        begin = min(start, len(ws) - size)
        keep = (np.arange(begin, begin + size) >= start).astype(np.float32)
        sums.append(_sums(generator, variables, ws[begin : begin + size], keep))
    total = jax.tree.map(lambda *x: np.sum(x, 0, np.float64), *jax.device_get(sums))
    deviations = {}
    for r in generator.to_rgb_resolutions:
        count, first, second = total[f"to_rgb_{r}"]
        variance = second / count - np.square(first / count)
        deviations[r] = float(np.sqrt(np.maximum(variance, 0).mean()))
    whole = sum(deviations.values()) or 1.0
    return {r: deviation / whole for r, deviation in deviations.items()}


@functools.partial(jax.jit, static_argnums=0)
def _sums(generator, variables, ws, keep):
    """Return the number of pixels, their sum and their sum of squares, by layer."""
    fast = generator.clone(remat="none", **fastest_forms(jax.default_backend()))
    _, captured = fast.apply(
        variables,
        ws,
        method="synthesize",
        capture_intermediates=lambda module, _: isinstance(module, stylegan2.ToRGB),
        mutable=["intermediates"],
    )
    out = {}
    for name, layer in captured["intermediates"].items():
        rgb = layer["__call__"][0]
        kept = jnp.broadcast_to(keep[:, None, None, None], rgb.shape)
        parts = kept, kept * rgb, kept * jnp.square(rgb)
        out[name] = tuple(part.sum((0, 1, 2)) for part in parts)
    return out
