"""Images of a generator: latents of seeds, truncation, noise, in batches."""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models import Generator, LevelOfDetail, Variables


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
    generator: Generator, variables: Variables, ws: jax.Array | np.ndarray, **options
) -> np.ndarray:
    """Images [N,H,W,C] of ws, all in memory; else as `synthesize_batches`."""
    return np.concatenate(list(synthesize_batches(generator, variables, ws, **options)))


def synthesize_batches(
    generator: Generator,
    variables: Variables,
    ws: jax.Array | np.ndarray,
    *,
    lod: LevelOfDetail | None = None,
    noise: str = "const",
    noise_seed: int = 0,
    batch_size: int = 16,
) -> Iterator[np.ndarray]:
    """Images of ws, a batch at a time.

    Args:
      generator: the network.
      variables: its variables.
      ws: [N,L,W].
      lod: the resolution and its fade; None is the full resolution. All fades of a
        resolution share one program, except a Python 1.0, which has its own.
      noise: "const", "random" or "none".
      noise_seed: of the random noise, which also depends on `batch_size`.
      batch_size: images at once; bounds the memory.

    Yields:
      Images [B,H,W,C] float32, about [-1,1]; of the last batch maybe fewer.
    """
    for i in range(0, len(ws), batch_size):
        batch = jnp.asarray(ws[i : i + batch_size])
        missing = min(batch_size, len(ws)) - len(batch)
        padded = jnp.concatenate([batch, jnp.repeat(batch[-1:], missing, axis=0)])
        key = jax.random.fold_in(jax.random.key(noise_seed), i)
        images = _synthesize(generator, variables, padded, lod, noise, key)
        yield np.asarray(images)[: len(batch)]


@functools.partial(jax.jit, static_argnums=(0, 4))
def _synthesize(generator, variables, ws, lod, noise, key):
    return generator.clone(winograd=True).apply(
        variables,
        ws,
        lod=lod,
        noise=noise,
        method="synthesize",
        rngs={"noise": key},
    )
