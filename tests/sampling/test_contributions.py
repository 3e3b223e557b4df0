"""The share of each resolution in images."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from flax import traverse_util

from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan2 import Generator
from stylegan_jax.sampling import contributions, synthesis

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def skip():
    generator = Generator(
        16,
        z_dim=4,
        w_dim=4,
        mapping_layers=1,
        channels=Channels(64, 8),
        architecture="skip",
    )
    shapes = jax.eval_shape(generator.init, jax.random.key(0), np.zeros((1, 4), "f"))
    random = np.random.RandomState(1)
    return generator, jax.tree.map(lambda x: np.float32(random.randn(*x.shape)), shapes)


WS = np.float32(np.random.RandomState(2).randn(5, 6, 4))


def test_shares_are_those_of_the_images_without_a_resolution(skip):
    """A resolution adds the difference between images with and without its ToRGB."""
    generator, variables = skip
    expected = {}
    for r in (4, 8, 16):
        # The part of the network up to this resolution adds its ToRGB's output last.
        part = dataclasses.replace(generator, resolution=r, parent=None)
        params = traverse_util.flatten_dict(variables["params"])
        zeros = {
            path: np.zeros_like(value) if path[0] == f"to_rgb_{r}" else value
            for path, value in params.items()
        }
        without = {**variables, "params": traverse_util.unflatten_dict(zeros)}
        synthesize = jax.jit(functools.partial(part.apply, method="synthesize"))
        images = [
            np.asarray(synthesize(v, WS[:, : part.num_ws]), np.float64)
            for v in (variables, without)
        ]
        added = images[0] - images[1]
        expected[r] = np.sqrt(added.var((0, 1, 2)).mean())
    total = sum(expected.values())
    found = contributions.contributions(generator, variables, WS)
    assert sum(found.values()) == pytest.approx(1)
    assert found == pytest.approx({r: x / total for r, x in expected.items()}, 1e-4)


def test_batches_do_not_matter(skip, monkeypatch):
    whole = contributions.contributions(*skip, WS)
    monkeypatch.setattr(contributions, "automatic_batch_size", lambda *_: 2)
    assert contributions.contributions(*skip, WS) == pytest.approx(whole, 1e-5)


def test_networks_without_a_sum_are_refused(skip, network):
    generator, variables = skip
    assert contributions.adds_up(generator)
    for other in (network[0], generator.clone(architecture="resnet")):
        assert not contributions.adds_up(other)
        with pytest.raises(ValueError, match="use a StyleGAN2 network with `model.g_a"):
            contributions.contributions(other, variables, WS)


def test_the_size_of_batches_is_that_of_synthesis():
    assert contributions.automatic_batch_size is synthesis.automatic_batch_size
