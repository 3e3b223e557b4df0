"""The machine's speed, to which all other figures are relative."""

import statistics
import time

import jax
import jax.numpy as jnp

SIZE = 2048


def rate(size: int = SIZE, seconds: float = 0.5) -> float:
    """Measure the operations per second of a square float32 matrix product."""
    x = jnp.ones((size, size))
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    product(x).block_until_ready()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        product(x).block_until_ready()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(times)
