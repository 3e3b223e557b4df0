"""Batches, fades and noise of a small generator."""

import functools

import chex
import jax
import numpy as np
import pytest

from stylegan_jax.models import LevelOfDetail
from stylegan_jax.sampling import synthesis
from stylegan_jax.sampling.seeds import latents
from stylegan_jax.sampling.synthesis import synthesize

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_batch_size_has_no_effect(network, ws):
    assert ws.shape == (7, 6, 8)
    whole = synthesize(*network, ws)
    assert whole.shape == (7, 16, 16, 3)
    generator, variables = network
    direct = jax.jit(functools.partial(generator.apply, noise="const"))(
        variables, latents(list(range(7)), 8)
    )
    scale = np.abs(direct).max()
    for other in (
        direct,
        *(synthesize(*network, ws, batch_size=b) for b in (1, 3)),
    ):
        np.testing.assert_allclose(whole, other, atol=1e-5 * scale, rtol=0)


def test_one_program_serves_all_fades_of_a_resolution(network, ws, monkeypatch):
    traced = chex.assert_max_traces(synthesis._synthesize.__wrapped__, n=1)
    program = jax.jit(traced, static_argnums=(0, 4))

    def draw(lod):
        return synthesize(*network, ws, lod=lod, batch_size=3)  # three batches

    full = draw(LevelOfDetail(16))
    monkeypatch.setattr(synthesis, "_synthesize", program)
    half = draw(LevelOfDetail(16, 0.5))
    one = draw(LevelOfDetail(16).with_traced_fade())
    np.testing.assert_array_equal(draw(LevelOfDetail(16, np.float32(0.5))), half)
    with pytest.raises(AssertionError, match="traced"):
        draw(LevelOfDetail(16))  # a program of its own
    scale = np.abs(one).max()
    np.testing.assert_allclose(full, one, atol=1e-5 * scale, rtol=0)
    assert not np.allclose(half, one, atol=0.01 * scale)


def test_noise_modes(network, ws):
    def draw(**kwargs):
        return synthesize(*network, ws, **kwargs)

    const, none, random = (draw(noise=n) for n in ("const", "none", "random"))
    assert not np.allclose(const, none) and not np.allclose(const, random)
    np.testing.assert_array_equal(random, draw(noise="random"))
    assert not np.allclose(random, draw(noise="random", noise_seed=1))
    repeated = np.repeat(ws[:1], 14, axis=0)
    same = synthesize(*network, repeated, noise="random", batch_size=7)
    assert not np.allclose(same[0], same[1])  # each image has noise of its own
    assert not np.allclose(same[0], same[7])  # the batches do not share theirs
