"""A small generator and styles for all tests of sampling."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.sampling.seeds import latents
from stylegan_jax.sampling.truncation import truncated_styles
from tests import tiny


@pytest.fixture(scope="session")
def network():
    """Return a generator in which every variable, noise included, has an effect."""
    e = tiny.experiment()
    generator, _ = models.build(e.model, e.data, 0)
    variables = jax.eval_shape(generator.init, jax.random.key(0), jnp.zeros((1, 8)))
    random = np.random.RandomState(0)

    def draw(path, leaf):
        # Undoes the mapping's learning rate multiplier, so that ws are of order one.
        scale = 100 if "mapping" in jax.tree_util.keystr(path) else 1
        return jnp.float32(scale * random.randn(*leaf.shape))

    return generator, jax.tree_util.tree_map_with_path(draw, variables)


@pytest.fixture(scope="session")
def ws(network):
    generator, variables = network
    styles = jax.jit(functools.partial(truncated_styles, generator))
    return styles(variables, latents(list(range(7)), 8))
