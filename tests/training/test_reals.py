"""What the discriminator is shown as real."""

import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.training.reals import process_reals
from tests import goldens


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("lod", [0.0, 0.4, 1.0, 1.7, 3.0])
def test_official_processing(lod, mirror):
    data = goldens.arrays("stylegan1/process_reals.npz")
    images = goldens.nhwc(data[f"in/uint8_floor_lod{int(lod)}"])
    flip = data["in/mirror_uniform"].reshape(-1) >= 0.5
    assert flip.any() and not flip.all()
    fade = 1 - (lod - int(lod))
    ours = process_reals(
        jnp.asarray(images), jnp.asarray(flip) if mirror else None, fade
    )
    wanted = goldens.nhwc(data[f"out/{'mirror_' * mirror}lod{lod}"])
    k = wanted.shape[1] // ours.shape[1]
    enlarged = np.repeat(np.repeat(ours, k, 1), k, 2)
    np.testing.assert_allclose(enlarged, wanted, atol=1e-6)


def test_a_traced_fade_gives_the_same():
    images = np.random.RandomState(0).randint(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    for fade in (0.0, 0.3, 1.0):
        static = process_reals(jnp.asarray(images), None, fade)
        traced = process_reals(jnp.asarray(images), None, jnp.float32(fade))
        np.testing.assert_allclose(static, traced, atol=1e-6)
