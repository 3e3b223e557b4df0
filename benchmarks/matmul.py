"""Speed of the machine, to which all other figures are relative."""

import statistics
import time

import jax
import jax.numpy as jnp

SIZE = 2048


def rate(
    size: int = SIZE,
    seconds: float = 0.5,
    dtype: str = "float32",
    precision: str = "highest",
) -> float:
    """Measure the operations per second of a product of square matrices.

    Args:
      size: rows and columns of the matrices.
      seconds: duration of the measurement.
      dtype: data type of the matrices.
      precision: name of a `jax.lax.Precision`, which matters for float32.
    """
    x = jnp.ones((size, size), dtype)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision=precision))
    product(x).block_until_ready()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        product(x).block_until_ready()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(times)
