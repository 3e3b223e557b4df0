"""Matrix products with one kernel for all images, or one for each."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers.matmul import matmul

SHAPE = (2, 5, 6, 3)  # of the images


def arrays(dtype):
    random = np.random.RandomState(0)
    x, kernels, y = (
        random.randn(*shape).astype(np.float32)
        for shape in (SHAPE, (2, 3, 4), (*SHAPE[:-1], 4))
    )
    return jnp.asarray(x, dtype), kernels, jnp.asarray(y, dtype)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_kernel_for_each_image(dtype):
    x, kernels, y = arrays(dtype)

    def images(x, kernels):
        return jnp.stack([matmul(*pair) for pair in zip(x, kernels, strict=True)])

    def squared_gradients(product):
        def loss(x, kernels):
            return jnp.sum((product(x, kernels) * y).astype(jnp.float32))

        def of_gradients(x, kernels):
            gradients = jax.grad(loss, argnums=(0, 1))(x, kernels)
            return sum(jnp.sum(jnp.square(g.astype(jnp.float32))) for g in gradients)

        return jax.grad(of_gradients, argnums=(0, 1))(x, kernels)

    chex.assert_shape(matmul(x, kernels), (*SHAPE[:-1], 4))
    assert matmul(x, kernels).dtype == dtype
    tolerance = 1e-5 if dtype == jnp.float32 else 0.02
    for found, wanted in (
        (matmul(x, kernels), images(x, kernels)),
        (squared_gradients(matmul), squared_gradients(images)),
    ):
        chex.assert_trees_all_close(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("each", [False, True])
def test_gradients_of_kernels_are_accumulated_in_their_dtype(each):
    """In bfloat16, 256 + 1 is 256."""
    x = jnp.ones((2, 257, 1), jnp.bfloat16)
    kernel = jnp.ones((2, 1, 1) if each else (1, 1))
    gradient = jax.grad(lambda k: jnp.sum(matmul(x, k).astype(jnp.float32)))(kernel)
    np.testing.assert_array_equal(gradient, np.full(kernel.shape, 257 if each else 514))
