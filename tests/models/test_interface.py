"""The values and checks that all families share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.models import LevelOfDetail
from tests import tiny
from tests.models import test_stylegan1, test_stylegan2
from tests.models.random_variables import random_variables


def test_jit_takes_the_resolution_as_static_and_traces_the_fade():
    seen = []

    @jax.jit
    def f(lod):
        seen.append((lod.resolution, lod.fades, isinstance(lod.fade, jax.Array)))
        return jnp.float32(lod.fade)

    for fade in (0.25, np.float32(0.25), np.float64(0.25), jnp.float32(0.25)):
        assert f(LevelOfDetail(8, fade)) == 0.25
    assert seen == [(8, True, True)]  # one program for all of them
    # At full strength nothing is traced, unless that is requested.
    assert f(LevelOfDetail(8)) == f(LevelOfDetail(8, 1)) == 1
    assert seen[1:] == [(8, False, False)]
    assert f(LevelOfDetail(8).with_traced_fade()) == 1
    assert len(seen) == 2
    f(LevelOfDetail(16, 0.25))
    assert seen[2:] == [(16, True, True)]


@pytest.mark.parametrize("fade", [1.0, np.float32(1), jnp.ones(())])
def test_a_known_fade_of_one_does_not_fade(fade):
    assert not LevelOfDetail(8, fade).fades
    assert LevelOfDetail(8, fade * 0.5).fades


@pytest.mark.parametrize(
    ("scalar", "resolution", "fade"),
    [(0.0, 64, 1.0), (0.25, 64, 0.75), (1.0, 32, 1.0), (3.5, 8, 0.5)],
)
def test_official_level_of_detail(scalar, resolution, fade):
    assert LevelOfDetail.from_scalar(scalar, 64) == LevelOfDetail(resolution, fade)


@pytest.mark.parametrize("family", ["stylegan1", "stylegan2"])
def test_networks_allow_winograds_form_where_they_are_told(family):
    """In generator and discriminator, and nowhere by default."""
    changes = {"model.family": family, "model.channel_max": 64}
    e = tiny.experiment(changes | {"model.channel_base": 64 * 16})
    g, d = models.build(e.model, e.data, 0, winograd=True)
    assert models.build(e.model, e.data, 0) == (
        g.clone(winograd=False),
        d.clone(winograd=False),
    )
    z, images = jnp.zeros((1, g.z_dim)), jnp.zeros((1, 16, 16, 3))
    for network, x in ((g, z), (d, images)):
        variables = jax.eval_shape(network.init, jax.random.key(0), x)
        counts = {
            winograd: jax.jit(network.clone(winograd=winograd).apply)
            .lower(variables, x)
            .cost_analysis()["flops"]
            for winograd in (True, False)
        }
        assert counts[True] < 0.9 * counts[False]


@pytest.mark.parametrize("small", [test_stylegan1.small, test_stylegan2.small])
def test_noise_modes(small):
    g, _ = small(8)
    z = np.tile(np.random.RandomState(0).normal(size=(1, 8)), (2, 1))
    variables = random_variables(g, z)
    # Without biases, too, because programs differ in how they round the sums.
    silent = jax.tree_util.tree_map_with_path(
        lambda path, x: x * (not {"strength", "bias"} & {p.key for p in path}),
        variables,
    )
    apply = jax.jit(
        lambda variables, noise, seed: g.apply(
            variables, z, noise=noise, rngs={"noise": jax.random.key(seed)}
        ),
        static_argnums=1,
    )
    draw = lambda noise, seed=0: np.asarray(apply(variables, noise, seed))  # noqa: E731
    const, random, none = draw("const"), draw("random"), draw("none")
    np.testing.assert_array_equal(const[0], const[1])
    np.testing.assert_array_equal(const, draw("const", 1))
    assert np.abs(random[0] - random[1]).max() > 0.01  # one map per image
    assert np.abs(random - draw("random", 1)).max() > 0.01
    assert np.abs(const - none).max() > 0.01
    np.testing.assert_array_equal(apply(silent, "none", 0), apply(silent, "const", 0))
    with pytest.raises(ValueError, match="must be one of"):
        draw("constant")
