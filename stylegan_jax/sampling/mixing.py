"""Style mixing: figures in which images copy the styles of some layers from others.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture for GANs",
section 3.1 and figure 3.
"""

from collections.abc import Collection, Mapping

import chex
import jax
import numpy as np

from stylegan_jax.models import Generator, LevelOfDetail, Variables
from stylegan_jax.sampling.figures.sampler import Sampler
from stylegan_jax.sampling.labeled_grid import labeled_grid


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


def mixed_styles(
    source_ws: np.ndarray | jax.Array,
    destination_ws: np.ndarray | jax.Array,
    layers: Collection[int],
) -> np.ndarray:
    """Return the destinations' styles with those of `layers` copied from the sources.

    Args:
      source_ws: [N,L,W], whose styles are copied.
      destination_ws: [M,L,W], which receive them.
      layers: the style layers to copy.

    Returns:
      ws [M,N,L,W].
    """
    n, m, count = len(source_ws), *destination_ws.shape[:2]
    chex.assert_shape(source_ws, (n, *destination_ws.shape[1:]))
    copied = np.isin(np.arange(count), list(layers))[:, None]
    mixed = np.where(copied, source_ws, np.asarray(destination_ws)[:, None])
    chex.assert_shape(mixed, (m, n, *destination_ws.shape[1:]))
    return mixed


def mixing_figure(
    generator: Generator,
    variables: Variables,
    source_ws: np.ndarray | jax.Array,
    destination_ws: Mapping[str, np.ndarray | jax.Array],
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
    source_ws = np.asarray(source_ws)
    parts, names = [], [""]
    for name, chosen in layers.items():
        ws = np.asarray(destination_ws[name])
        mixed = mixed_styles(source_ws, ws, chosen)
        parts.append(np.concatenate([ws[:, None], mixed], axis=1))
        names += [name] * len(ws)
    cells = np.concatenate(parts)  # [sum of M,1+N,L,W]
    # All images are drawn in batches of one size, so that they share one program.
    ws = np.concatenate([source_ws, cells.reshape(-1, *source_ws.shape[1:])])
    images = Sampler(generator, variables, lod).draw(ws)
    top, others = np.split(images, [len(source_ws)])
    rows = others.reshape(*cells.shape[:2], *images.shape[1:])
    return labeled_grid([[None, *top], *rows], names)
