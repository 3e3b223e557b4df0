"""The affine maps of all families, compared with the styles of the networks."""

import functools

import jax
import numpy as np
import pytest

from stylegan_jax import config, models
from stylegan_jax.sampling.directions import affines
from tests import tiny


@pytest.fixture(scope="module")
def ws(g):
    rng = np.random.default_rng(0)
    shape = (2, g.generator.num_ws, g.generator.w_dim)
    return rng.normal(size=shape).astype(np.float32)


def computed_styles(g, variables, ws):
    """Return what the affine maps return in the synthesis, by path."""
    flat = jax.tree_util.tree_leaves_with_path(_captured(g.generator, variables, ws))
    named = {tuple(k.key for k in p if hasattr(k, "key")): x for p, x in flat}
    # Without the features that StyleGAN's layers record themselves.
    return {p[:-1]: np.asarray(x) for p, x in named.items() if "affine" in p}


@functools.partial(jax.jit, static_argnums=0)
def _captured(generator, variables, ws):
    _, captured = generator.apply(
        variables,
        ws,
        method="synthesize",
        capture_intermediates=lambda module, _: module.name == "affine",
        mutable=["intermediates"],
    )
    return captured["intermediates"]


def test_styles_are_affine_maps_of_the_w_of_their_layer(g, ws):
    found = affines.affines(g.generator, g.variables)
    desired = computed_styles(g, g.variables, ws)
    assert {affine.path for affine in found} == desired.keys()
    zero = computed_styles(g, g.variables, np.zeros_like(ws))
    for layer, path, kernel in found:
        np.testing.assert_allclose(
            ws[:, layer] @ kernel, desired[path] - zero[path], 0, 1e-5
        )


def test_all_layers_have_a_convolution_first(g):
    layers = g.generator.style_affines()
    assert sorted(layers) == list(range(g.generator.num_ws))
    firsts = [paths[0] for paths in layers.values()]
    assert all("to_rgb" not in path[0] for path in firsts[:-1])


def test_shifted_styles(g, ws):
    rng = np.random.default_rng(1)
    before = computed_styles(g, g.variables, ws)
    for layer, paths in g.generator.style_affines().items():
        count = affines.channels(g.generator, g.variables, layer)
        offset = rng.normal(size=count)
        shifted = affines.shifted(g.generator, g.variables, layer, offset)
        after = computed_styles(g, shifted, ws)
        moved = np.concatenate([after[p] - before[p] for p in paths], axis=1)
        np.testing.assert_allclose(moved, [offset] * 2, 0, 1e-5)
        for path in before.keys() - set(paths):
            np.testing.assert_array_equal(after[path], before[path])


def test_a_generator_without_styles():
    e = tiny.experiment(
        {
            "model.styles": False,
            "model.const_input": False,
            "training.style_mixing_probability": 0.0,
        }
    )
    generator, _ = models.build(e.model, e.data, 0)
    variables = jax.eval_shape(generator.init, jax.random.key(0), np.zeros((1, 8), "f"))
    variables = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), variables)
    assert isinstance(e, config.Experiment) and generator.style_affines() == {}
    with pytest.raises(ValueError, match="has no styles.*use ganspace, boundary"):
        affines.affines(generator, variables)
