"""Images of a generator: latents of seeds, truncation, noise, in batches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models import Generator, Variables
from stylegan_jax.models.mapping import mix_styles


def latents(seeds: list[int], z_dim: int) -> np.ndarray:
    """The z of each seed, as users of the official code know it: [len(seeds), Z]."""
    return np.stack(
        [np.random.RandomState(seed).randn(z_dim) for seed in seeds]
    ).astype(np.float32)


def styles(
    generator: Generator,
    variables: Variables,
    z: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
) -> jax.Array:
    """Truncated ws [N,L,W] of z [N,Z] and labels [N,label_size]."""
    ws = generator.apply(variables, z, labels, method="map")
    return generator.apply(
        variables, ws, truncation_psi, truncation_cutoff, method="truncate"
    )


def synthesize(
    generator: Generator,
    variables: Variables,
    ws: jax.Array | np.ndarray,
    *,
    resolution: int | None = None,
    fade: float = 1.0,
    noise: str = "const",
    noise_seed: int = 0,
    batch_size: int = 16,
) -> np.ndarray:
    """Images of ws, a batch at a time.

    Args:
      generator: the network.
      variables: its variables.
      ws: [N,L,W].
      resolution: the stage; None is the full one.
      fade: share of the stage's resolution.
      noise: "const", "random" or "none".
      noise_seed: of the random noise.
      batch_size: images at once; bounds the memory.

    Returns:
      Images [N,R,R,C] float32, about [-1,1].
    """
    resolution = resolution or generator.resolution
    out = []
    for i in range(0, len(ws), batch_size):
        batch = jnp.asarray(ws[i : i + batch_size])
        missing = min(batch_size, len(ws)) - len(batch)
        padded = jnp.concatenate([batch, jnp.repeat(batch[-1:], missing, axis=0)])
        key = jax.random.fold_in(jax.random.key(noise_seed), i)
        images = _synthesize(
            generator, variables, padded, resolution, fade != 1, fade, noise, key
        )
        out.append(np.asarray(images)[: len(batch)])
    return np.concatenate(out)


def style_mixing(
    generator: Generator,
    variables: Variables,
    row_ws: jax.Array,
    column_ws: jax.Array,
    layers: range,
    **kwargs,
) -> np.ndarray:
    """The paper's figure 3: columns' images with the styles of `layers` from a row.

    Args:
      generator: the network.
      variables: its variables.
      row_ws: [N,L,W], whose styles are copied.
      column_ws: [M,L,W], which receive them.
      layers: which style layers are copied, contiguous.
      **kwargs: for `synthesize`.

    Returns:
      Images [N,M,R,R,C].
    """
    n, m = len(row_ws), len(column_ws)
    source = jnp.repeat(jnp.asarray(row_ws), m, axis=0)
    target = jnp.tile(jnp.asarray(column_ws), (n, 1, 1))
    mixed = mix_styles(target, mix_styles(source, target, layers.stop), layers.start)
    images = synthesize(generator, variables, mixed, **kwargs)
    return images.reshape(n, m, *images.shape[1:])


@functools.partial(jax.jit, static_argnums=(0, 3, 4, 6))
def _synthesize(generator, variables, ws, resolution, fading, fade, noise, key):
    return generator.apply(
        variables,
        ws,
        resolution=resolution,
        fade=fade if fading else 1.0,
        noise=noise,
        method="synthesize",
        rngs={"noise": key},
    )
