"""Rematerialisation changes what is kept, and nothing else."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.layers import remat
from stylegan_jax.models.stylegan1 import DiscriminatorBlock
from tests import tiny

FAMILIES = {
    "stylegan1": {"data.resolution": 8},
    "stylegan2": tiny.STYLEGAN2 | {"model.g_architecture": "resnet"},
    "skip": tiny.STYLEGAN2 | {"model.d_architecture": "skip"},
}
SMALL = {"model.channel_max": 4, "model.mbstd_group_size": 2}


def results(family: str, policy: str):
    """Return parameters, images, and values and gradients of path length and R1."""
    e = tiny.experiment(FAMILIES[family] | SMALL | {"model.remat": policy})
    g, d = models.build(e.model, e.data, 0)
    z = jax.random.normal(jax.random.key(0), (2, 8))
    noise = {"noise": jax.random.key(1)}

    def init():
        image = jnp.zeros((1, 8, 8, 3))
        g_variables = g.init(jax.random.key(2), z[:1])
        return g_variables, d.init(jax.random.key(3), image)

    def penalties(g_variables, d_variables):
        ws = g.apply(g_variables, z, method="map")

        def synthesize(ws):
            return g.apply(
                g_variables, ws, method="synthesize", noise="random", rngs=noise
            )

        images, pull_back = jax.vjp(synthesize, ws)
        lengths = jnp.sum(jnp.square(pull_back(jnp.cos(images))[0]))
        score = lambda x: jnp.sum(d.apply(d_variables, x))  # noqa: E731
        gradients = jax.grad(score)(images)
        return lengths + score(images) + jnp.sum(jnp.square(gradients)), images

    variables = jax.jit(init)()
    values, by_both = jax.jit(
        jax.value_and_grad(penalties, argnums=(0, 1), has_aux=True)
    )(*variables)
    return variables, values, by_both


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_policies_give_the_same_numbers(family):
    """Random noise and second-order gradients included."""
    with tiny.quick_compilation():
        variables, values, gradients = results(family, "none")
        for policy in ("convolutions", "blocks"):
            others = results(family, policy)
            chex.assert_trees_all_equal(others[0], variables)
            chex.assert_trees_all_close(others[1], values, rtol=1e-5, atol=1e-6)
            for (path, a), b in zip(
                jax.tree_util.tree_leaves_with_path(gradients),
                jax.tree.leaves(others[2]),
                strict=True,
            ):
                if "layers_0" in str(path) and path[-1].key == "bias":
                    continue  # the instance norm cancels it: rounding only
                rms = float(jnp.sqrt(jnp.mean(jnp.square(a))))
                name = f"{policy} {jax.tree_util.keystr(path)}"
                np.testing.assert_allclose(b, a, 0, 1e-4 * rms + 1e-7, err_msg=name)


def test_config_has_all_policies():
    for policy in remat.POLICIES:
        tiny.experiment({"model.remat": policy})
        remat.remat(DiscriminatorBlock, policy)
    with pytest.raises(ValueError, match="`model.remat` .='some'. must be one of"):
        tiny.experiment({"model.remat": "some"})
    with pytest.raises(ValueError, match="remat .='some'. must be one of"):
        remat.remat(DiscriminatorBlock, "some")


class Block(nn.Module):
    """Two layers; the derivative of each activation is another array."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = jnp.sin(remat.convolved(nn.Dense(8, use_bias=False)(x)))
        return jnp.sin(remat.convolved(nn.Dense(8, use_bias=False)(x)))


def stored(policy: str, blocks: int, order: int) -> int:
    """Count the arrays [64,8] that a gradient of this order keeps of some blocks."""
    block = remat.remat(Block, policy)
    network = nn.Sequential([block() for _ in range(blocks)])
    x = jnp.ones((64, 8))

    def objective(params):
        function = lambda x: jnp.sum(network.apply(params, x))  # noqa: E731
        if order == 2:
            return jnp.sum(jnp.square(jax.grad(function)(x)))
        return function(x)

    params = jax.eval_shape(network.init, jax.random.key(0), x)
    jaxpr = jax.make_jaxpr(
        lambda params: jax.tree.leaves(jax.vjp(objective, params)[1])
    )(params).jaxpr
    return len({v for v in jaxpr.outvars if v.aval.shape == x.shape})


@pytest.mark.parametrize(
    ("policy", "order", "each"),
    [("blocks", 1, 1), ("blocks", 2, 2), ("convolutions", 1, 3)],
)
def test_what_a_block_stores(policy, order, each):
    """Store a block's input, and for a penalty the gradient of its result."""
    two, four = stored(policy, 2, order), stored(policy, 4, order)
    assert four - two == 2 * each
    assert stored("none", 4, order) - stored("none", 2, order) > 2 * each
