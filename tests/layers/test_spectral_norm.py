"""Spectral normalization against the singular values of NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from stylegan_jax.layers import spectral_norm
from stylegan_jax.models.interface import Channels
from stylegan_jax.models.stylegan2 import Discriminator

NAMES = {"conv/kernel/weight": (3, 3, 4, 5), "dense0/kernel/weight": (6, 7)}


def params(seed=0):
    draw = np.random.RandomState(seed)
    tree = {
        name.split("/")[0]: {
            "kernel": {"weight": jnp.float32(draw.randn(*shape))},
            "bias": {"bias": jnp.float32(draw.randn(shape[-1]))},
        }
        for name, shape in NAMES.items()
    }
    return tree | {"mapping": {"dense": {"kernel": {"weight": jnp.ones((2, 2))}}}}


def weight(tree, name):
    return np.asarray(tree[name.split("/")[0]]["kernel"]["weight"])


def test_iterations_find_the_largest_singular_value():
    before = params()
    vectors = spectral_norm.initial(before)
    assert vectors.keys() == NAMES.keys()  # biases and the mapping are left alone
    for _ in range(200):
        vectors = spectral_norm.iterate(before, vectors)
    after = spectral_norm.normalize(before, vectors)
    for name in NAMES:
        matrix = weight(before, name).reshape(-1, NAMES[name][-1])
        largest = np.linalg.svd(matrix, compute_uv=False)[0]
        # Layers multiply by He's constant.
        wanted = weight(before, name) / largest * np.sqrt(len(matrix))
        np.testing.assert_allclose(weight(after, name), wanted, rtol=1e-4)
        unit = np.linalg.norm(vectors[name])
        np.testing.assert_allclose(unit, 1, rtol=1e-6)
    for name in ("conv", "dense0"):
        np.testing.assert_array_equal(
            after[name]["bias"]["bias"], before[name]["bias"]["bias"]
        )
    assert jax.tree.structure(after) == jax.tree.structure(before)
    np.testing.assert_array_equal(after["mapping"]["dense"]["kernel"]["weight"], 1)


def test_one_iteration_is_that_of_the_paper():
    before = params()
    vectors = {
        name: jnp.float32(np.arange(1.0, s[-1] + 1)) for name, s in NAMES.items()
    }
    after = spectral_norm.iterate(before, vectors)
    for name, u in vectors.items():
        matrix = weight(before, name).reshape(-1, len(u))
        v = matrix @ u
        v = v / np.linalg.norm(v)
        u = matrix.T @ v
        np.testing.assert_allclose(after[name], u / np.linalg.norm(u), rtol=1e-5)
        normalized = weight(spectral_norm.normalize(before, after), name)
        v = matrix @ np.asarray(after[name])
        sigma = np.linalg.norm(v)
        np.testing.assert_allclose(
            normalized, weight(before, name) / sigma * np.sqrt(len(matrix)), rtol=1e-5
        )


def test_the_gradient_is_that_of_the_quotient():
    """d (sum(C * W) / (v' W u)) / dW, with u and v constant."""
    before, name = params(), "dense0/kernel/weight"
    vectors = spectral_norm.iterate(before, spectral_norm.initial(before))
    factors = np.random.RandomState(1).randn(*NAMES[name]).astype(np.float32)

    def total(tree):
        after = spectral_norm.normalize(tree, vectors)
        return jnp.sum(after["dense0"]["kernel"]["weight"] * factors)

    gradient = weight(jax.grad(total)(before), name)
    w, u = weight(before, name), np.asarray(vectors[name])
    v = w @ u / np.linalg.norm(w @ u)
    sigma = v @ w @ u
    wanted = factors / sigma - (factors * w).sum() / sigma**2 * np.outer(v, u)
    np.testing.assert_allclose(gradient, wanted * np.sqrt(len(w)), rtol=1e-4, atol=1e-5)


def test_without_vectors_nothing_changes():
    before = params()
    assert spectral_norm.normalize(before, {}) is before
    assert spectral_norm.iterate(before, {}) == {}


def test_every_layer_of_a_discriminator_has_norm_1():
    """And its gains and multipliers are those that `normalize` assumes."""
    network = Discriminator(resolution=8, channels=Channels(16), label_size=2)
    images, labels = jnp.zeros((4, 8, 8, 3)), jnp.zeros((4, 2))
    tree = network.init(jax.random.key(0), images, labels)["params"]
    vectors = spectral_norm.initial(tree)
    weights = jax.tree_util.tree_leaves_with_path(tree)
    names = ["/".join(k.key for k in path) for path, _ in weights]
    assert vectors.keys() == {
        n for n in names if n.endswith("weight") and not n.startswith("mapping")
    }
    for _ in range(100):
        vectors = spectral_norm.iterate(tree, vectors)
    tree = spectral_norm.normalize(tree, vectors)
    seen = []

    def look(call, args, kwargs, context):
        out = call(*args, **kwargs)
        if type(context.module).__name__ == "EqualizedKernel":
            path = context.module.path
            if path[0] != "mapping":
                matrix = np.asarray(out).reshape(-1, out.shape[-1])
                seen.append(np.linalg.svd(matrix, compute_uv=False)[0])
        return out

    with nn.intercept_methods(look):
        network.apply({"params": tree}, images, labels)
    assert len(seen) == len(vectors)
    assert seen == pytest.approx([1.0] * len(seen), rel=2e-3)
