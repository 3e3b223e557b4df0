"""Small generators for the tests of all figures."""

import dataclasses

import jax
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.sampling.figures.sampler import Sampler
from stylegan_jax.sampling.labeled_grid import CELL_PIXELS, GAP
from tests import tiny

SKIP = {"model.family": "stylegan2", "model.g_architecture": "skip"}


def build(changes, classes=0, label=None):
    """Return a sampler in which every variable, noise included, has an effect."""
    e = tiny.experiment(changes | {"data.conditional": classes > 0})
    generator, _ = models.build(e.model, e.data, classes)
    labels = np.zeros((1, classes), "f") if classes else None
    shapes = jax.eval_shape(
        generator.init, jax.random.key(0), np.zeros((1, generator.z_dim), "f"), labels
    )
    random = np.random.RandomState(0)

    def draw(path, leaf):
        name = jax.tree_util.keystr(path)
        if "strength" in name or "magnitude" in name:
            return np.ones(leaf.shape, np.float32)
        if "transform" in name:
            return np.eye(3, dtype=np.float32)
        scale = 1
        if "mapping" in name and "label" not in name:
            scale = 100  # undoes the learning rate multiplier
        if "to_rgb" in name:
            scale = 0.1  # images are hardly clipped
        return np.float32(scale * random.randn(*leaf.shape))

    variables = jax.tree_util.tree_map_with_path(draw, shapes)
    return Sampler(generator, variables, LevelOfDetail(16), label, psi=0.7)


@pytest.fixture(scope="session")
def growing():
    """A conditional StyleGAN."""
    return build({}, 3, np.eye(3, dtype=np.float32)[1])


@pytest.fixture(scope="session")
def skip():
    """An unconditional StyleGAN2 with a skip generator."""
    return build(SKIP | {"model.d_architecture": "resnet"})


@pytest.fixture(scope="session")
def alias_free():
    """A StyleGAN3, whose images are hardly clipped."""
    sampler = build(tiny.STYLEGAN3 | {"data.resolution": 16})
    return dataclasses.replace(
        sampler, generator=sampler.generator.clone(output_scale=0.1)
    )


@pytest.fixture
def tile():
    """Return a function that cuts an image out of a figure, at its own size."""

    def cut(figure, place, shape, side=16):
        pitch = CELL_PIXELS + GAP
        y = figure.shape[0] - (shape[0] - place[0]) * pitch
        x = figure.shape[1] - (shape[1] - place[1]) * pitch
        cell = figure[y : y + CELL_PIXELS, x : x + CELL_PIXELS]
        return cell[:: CELL_PIXELS // side, :: CELL_PIXELS // side]

    return cut
