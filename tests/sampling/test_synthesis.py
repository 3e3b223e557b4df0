"""Batches, fades and noise of a small generator."""

import numpy as np

from stylegan_jax.models import LevelOfDetail
from stylegan_jax.sampling import synthesis
from stylegan_jax.sampling.seeds import latents
from stylegan_jax.sampling.synthesis import synthesize


def test_the_size_of_batches_has_no_effect(network, ws):
    assert ws.shape == (7, 6, 8)
    whole = synthesize(*network, ws)
    assert whole.shape == (7, 16, 16, 3)
    direct = network[0].apply(network[1], latents(list(range(7)), 8), noise="const")
    scale = np.abs(direct).max()
    for other in (
        direct,
        *(synthesize(*network, ws, batch_size=b) for b in (1, 3)),
    ):
        np.testing.assert_allclose(whole, other, atol=1e-5 * scale, rtol=0)


def test_one_program_serves_all_fades_of_a_resolution(network, ws):
    def draw(lod):
        return synthesize(*network, ws, lod=lod)

    half = draw(LevelOfDetail(16, 0.5))
    programs = synthesis._synthesize._cache_size()
    one = draw(LevelOfDetail(16).with_traced_fade())
    for fade in (0.5, np.float32(0.5)):
        np.testing.assert_array_equal(draw(LevelOfDetail(16, fade)), half)
    assert synthesis._synthesize._cache_size() == programs
    scale = np.abs(one).max()
    np.testing.assert_allclose(draw(LevelOfDetail(16)), one, atol=1e-5 * scale, rtol=0)
    assert not np.allclose(half, one, atol=0.01 * scale)


def test_noise_modes(network, ws):
    def draw(**kwargs):
        return synthesize(*network, ws, **kwargs)

    const, none, random = (draw(noise=n) for n in ("const", "none", "random"))
    assert not np.allclose(const, none) and not np.allclose(const, random)
    np.testing.assert_array_equal(random, draw(noise="random"))
    assert not np.allclose(random, draw(noise="random", noise_seed=1))
    same = synthesize(*network, ws[:1].repeat(2, axis=0), noise="random")
    assert not np.allclose(same[0], same[1])  # each image has noise of its own
    # The batches do not share theirs.
    apart = synthesize(*network, ws[:1].repeat(2, axis=0), noise="random", batch_size=1)
    assert not np.allclose(apart[0], apart[1])
