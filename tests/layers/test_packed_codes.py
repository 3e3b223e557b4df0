"""Two-bit codes in bytes."""

import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import packed_codes


@pytest.mark.parametrize(("count", "arrays"), [(1, 1), (4, 1), (5, 2), (9, 3)])
def test_every_code_returns(count, arrays):
    codes = np.random.default_rng(0).integers(0, 4, (count, 2, 3)).astype(np.uint8)
    packed = packed_codes.pack([jnp.asarray(x) for x in codes])
    assert [(x.shape, x.dtype) for x in packed] == [((2, 3), np.uint8)] * arrays
    for i, wanted in enumerate(codes):
        np.testing.assert_array_equal(packed_codes.unpack(packed, i), wanted)
