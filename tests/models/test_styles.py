"""Assignment of the styles ws [B,L,W] to the layers of a synthesis network."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.models import LevelOfDetail
from tests import tiny

SMALL = {
    "data.resolution": 8,
    "training.initial_resolution": 4,
    "model.channel_base": 16,
}
STYLEGAN2 = tiny.STYLEGAN2 | SMALL
GROWING = {"model.g_architecture": "growing", "model.d_architecture": "growing"}
BLOCKS = {
    "blocks_0/conv1/affine": 0,
    "blocks_1/conv0/affine": 1,
    "blocks_1/conv1/affine": 2,
}
BELOW, LAST = {"to_rgb_4/affine": 1}, {"to_rgb_8/affine": 3}
WANTED = {
    "stylegan1": (SMALL, {f"layers_{i}/style/affine": i for i in range(4)}),
    "skip": (STYLEGAN2, BLOCKS | BELOW | LAST),
    "resnet": (STYLEGAN2 | {"model.g_architecture": "resnet"}, BLOCKS | LAST),
    "growing": (STYLEGAN2 | GROWING, BLOCKS | BELOW | LAST),
}


def styles_by_layer(g, ws, resolution):
    """The number of the style that each affine layer was given."""
    shapes = jax.eval_shape(g.init, jax.random.key(0), jnp.zeros((1, g.z_dim)))
    variables = jax.tree.map(lambda x: np.ones(x.shape, x.dtype), shapes)

    @jax.jit
    def styles(variables, ws):
        given = {}

        def watch(call, args, kwargs, context):
            if context.module.name == "affine":
                given["/".join(context.module.path)] = args[0]
            return call(*args, **kwargs)

        with nn.intercept_methods(watch):
            g.apply(variables, ws, LevelOfDetail(resolution), method="synthesize")
        return given

    given = {k: set(np.ravel(x).tolist()) for k, x in styles(variables, ws).items()}
    assert all(len(values) == 1 for values in given.values()), given
    return {path: values.pop() for path, values in given.items()}


@pytest.mark.parametrize("name", WANTED)
def test_every_layer_has_its_own_style(name):
    """Two a resolution; a ToRGB shares that of the layer after it."""
    changes, wanted = WANTED[name]
    e = tiny.experiment(changes)
    g, _ = models.build(e.model, e.data, 0)
    assert g.num_ws == 4
    ws = jnp.broadcast_to(jnp.arange(4.0)[None, :, None], (1, 4, g.w_dim))
    assert styles_by_layer(g, ws, 8) == wanted
