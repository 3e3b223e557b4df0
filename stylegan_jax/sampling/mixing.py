"""Style mixing: figures in which images copy the styles of some layers from others.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
section 3.1 and figure 3.
"""

from collections.abc import Collection, Mapping

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.runtime.image_io import to_uint8
from stylegan_jax.sampling.labeled_grid import labeled_grid
from stylegan_jax.sampling.synthesis import synthesize


def style_ranges(generator: Generator, resolution: int) -> dict[str, range]:
    """Return the style layers that are coarse, middle and fine up to a resolution.

    As in the paper, coarse is 4 to 8, middle 16 to 32 and fine 64 and above; at 16x16
    and 32x32, coarse is 4, middle 8, and fine the rest.

    Raises:
      ValueError: `resolution` is below 16, so that there are fewer than three.
    """
    resolutions = [r for r in generator.resolutions if r <= resolution]
    if len(resolutions) < 3:
        raise ValueError(
            f"style mixing needs a generator of at least resolution 16; this one has "
            f"reached {resolution}, so train it further"
        )
    a, b = (2, 4) if len(resolutions) >= 5 else (1, 2)
    parts = {
        "coarse": resolutions[:a],
        "middle": resolutions[a:b],
        "fine": resolutions[b:],
    }
    layers = generator.style_layers
    return {
        name: range(layers(part[0]).start, layers(part[-1]).stop)
        for name, part in parts.items()
    }


def check_layers(
    generator: Generator, resolution: int, layers: Collection[int]
) -> None:
    """Raise ValueError unless images of a resolution have these style layers."""
    count = generator.num_ws_at(resolution)
    wrong = sorted(set(layers) - set(range(count)))
    if wrong:
        raise ValueError(
            f"style layers {wrong} must be from 0 to {count - 1}, the layers of images "
            f"of resolution {resolution}"
        )


def style_mixing(
    generator: Generator,
    variables: Variables,
    row_ws: jax.Array,
    column_ws: jax.Array,
    layers: Collection[int],
    **kwargs,
) -> np.ndarray:
    """Draw the columns' images with the styles of `layers` copied from the rows.

    Args:
      generator: the network.
      variables: its variables.
      row_ws: [N,L,W], whose styles are copied.
      column_ws: [M,L,W], which receive them.
      layers: the style layers to copy.
      **kwargs: for `synthesize`.

    Returns:
      Images [N,M,H,W,C].
    """
    n, m, count = len(row_ws), *column_ws.shape[:2]
    chex.assert_shape(row_ws, (n, *column_ws.shape[1:]))
    source = jnp.repeat(jnp.asarray(row_ws), m, axis=0)
    target = jnp.tile(jnp.asarray(column_ws), (n, 1, 1))
    copied = np.isin(np.arange(count), list(layers))[:, None]
    mixed = jnp.where(copied, source, target)
    images = synthesize(generator, variables, mixed, **kwargs)
    return images.reshape(n, m, *images.shape[1:])


def mixing_figure(
    generator: Generator,
    variables: Variables,
    source_ws: jax.Array,
    destination_ws: Mapping[str, jax.Array],
    *,
    lod: LevelOfDetail,
    layers: Mapping[str, Collection[int]] | None = None,
) -> np.ndarray:
    """Draw a style-mixing figure.

    Args:
      generator: the network.
      variables: its variables.
      source_ws: [N,L,W], the images on top, whose styles are copied.
      destination_ws: name -> [M,L,W], the images on the left, which keep all other
        styles.
      lod: the resolution and its fade.
      layers: name -> the style layers to copy; None for "coarse", "middle" and "fine"
        of `style_ranges`, as in the paper.

    Returns:
      The figure [H,W,3] uint8 with one row per destination.

    Raises:
      ValueError: there is no such style layer.
    """
    if layers is None:
        layers = style_ranges(generator, lod.resolution)
    for chosen in layers.values():
        check_layers(generator, lod.resolution, chosen)
    top = synthesize(generator, variables, source_ws, lod=lod)
    rows = [[None, *to_uint8(top)]]
    names = [""]
    for name, chosen in layers.items():
        ws = destination_ws[name]
        left = synthesize(generator, variables, ws, lod=lod)
        mixed = style_mixing(generator, variables, source_ws, ws, chosen, lod=lod)
        for first, others in zip(
            to_uint8(left), to_uint8(mixed.swapaxes(0, 1)), strict=True
        ):
            rows.append([first, *others])
            names.append(name)
    return labeled_grid(rows, names)
