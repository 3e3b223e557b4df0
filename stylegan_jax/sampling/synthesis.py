"""Synthesis of images from styles, in batches that bound the memory."""

import functools
from collections.abc import Iterator

import chex
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.layers.matmul import fastest_forms
from stylegan_jax.models import Generator, LevelOfDetail, Variables

BATCH_BYTES = 2**30  # memory limit of `automatic_batch_size`
MAX_AUTOMATIC_BATCH = 16


def synthesize(
    generator: Generator, variables: Variables, ws: jax.Array | np.ndarray, **options
) -> np.ndarray:
    """Return all images [N,H,W,C] of ws at once; see `synthesize_batches`."""
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
    """Generate the images of ws, one batch at a time.

    Args:
      generator: the network.
      variables: its variables.
      ws: [N,L,W].
      lod: the resolution and its fade; None is the full resolution. All fades of a
        resolution share one program, except a Python 1.0, which has its own.
      noise: "const", "random" or "none".
      noise_seed: seed of the random noise, which also depends on `batch_size`.
      batch_size: number of images per batch; bounds the memory.

    Yields:
      Images [B,H,W,C] float32, about [-1,1]; the last batch may be smaller.
    """
    chex.assert_rank(ws, 3)
    for i in range(0, len(ws), batch_size):
        batch = jnp.asarray(ws[i : i + batch_size])
        missing = min(batch_size, len(ws)) - len(batch)
        padded = jnp.concatenate([batch, jnp.repeat(batch[-1:], missing, axis=0)])
        key = noise_key(noise_seed, i)
        images = _synthesize(generator, variables, padded, lod, noise, key)
        yield np.asarray(images)[: len(batch)]


def noise_key(noise_seed: int, start: int = 0) -> jax.Array:
    """Return the key of random noise of the batch that begins with image `start`."""
    return jax.random.fold_in(jax.random.key(noise_seed), start)


def compile_synthesis(
    generator: Generator,
    variables: Variables,
    *,
    lod: LevelOfDetail,
    noise: str = "const",
) -> jax.stages.Compiled:
    """Compile the program of `synthesize_batches` for a single image.

    Returns:
      The program (variables, ws [1,L,W] float32, lod, key) -> images; see
      `noise_key`. It never compiles again, and reports its memory.
    """
    shape = (1, generator.num_ws, generator.w_dim)
    ws = jax.ShapeDtypeStruct(shape, jnp.float32)
    key = noise_key(0)
    return _synthesize.lower(generator, variables, ws, lod, noise, key).compile()


def automatic_batch_size(generator: Generator, resolution: int) -> int:
    """Return the number of images to generate at a time in BATCH_BYTES, at most 16.

    An image needs about four times its largest activation at once.
    """
    largest = generator.largest_activation(resolution)
    return max(min(BATCH_BYTES // (4 * 4 * largest), MAX_AUTOMATIC_BATCH), 1)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _synthesize(generator, variables, ws, lod, noise, key):
    return generator.clone(**fastest_forms(jax.default_backend())).apply(
        variables,
        ws,
        lod=lod,
        noise=noise,
        method="synthesize",
        rngs={"noise": key},
    )
