"""Every change of an array changes its checksum."""

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoint.integrity import signature


def test_any_changed_bit_or_swap_changes_the_checksum():
    def sums(x):
        return [v[2] for v in signature({"x": x}).values()]

    for x in (
        np.zeros(33, np.float32),
        np.arange(24, dtype=np.int32).reshape(2, 3, 4),
        np.ones(5, jnp.bfloat16),
        np.zeros(9, np.uint8),
    ):
        before = sums(jnp.asarray(x))
        raw = x.view(f"uint{8 * x.dtype.itemsize}")
        for bit in range(8 * x.dtype.itemsize):
            changed = raw.copy()
            changed.flat[x.size // 2] ^= np.array(1 << bit).astype(raw.dtype)
            assert sums(jnp.asarray(changed.view(x.dtype))) != before
    # Round numbers a power of two apart: what a plain weighted sum would not see.
    x = np.zeros(8192, np.float32)
    x[0], x[4096] = 1, 2
    assert sums(jnp.asarray(x)) != sums(jnp.asarray(np.roll(x, 4096)))
    assert sums(jax.random.key(1)) != sums(jax.random.key(2))
    assert sums(jnp.array([True, False])) != sums(jnp.array([False, True]))
