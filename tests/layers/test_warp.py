"""Warps, compared with a plain implementation in float64, and their memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers.warp import SYM6, warp
from tests import goldens

# The positions in between are those of some augmentation; the others are at the end of
# the mirrored image, outside of it, and on pixels.
MATRICES = np.float32(
    [
        [[0.8, -0.7, 1.3], [0.6, 0.9, -2.4], [0, 0, 1]],
        [[-2.9, 0.2, -0.6], [0.1, 3.1, 0.3], [0, 0, 1]],
        [[40, 0, 7], [0, -60, 0], [0, 0, 1]],
        [[-1, 0, 0.5], [0, 1, -0.5], [0, 0, 1]],
    ]
)


def plain(image: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Warp an image [H,W,C] with the whole enlarged mirrored image in memory."""
    height, width, _ = image.shape
    enlarged = np.einsum("ij,jwc->iwc", enlarging(height), image)
    enlarged = np.einsum("ij,hjc->hic", enlarging(width), enlarged)
    enlarged = np.pad(enlarged, ((1, 1), (1, 1), (0, 0)))
    v = (np.arange(2 * height + 12) - (height + 5)) / 2
    u = (np.arange(2 * width + 12) - (width + 5)) / 2
    grid = np.stack(np.broadcast_arrays(u, v[:, None], 1.0))
    x, y, _ = np.einsum("ij,jhw->ihw", np.float64(inverse), grid)
    column = np.clip(2 * x + 3 * width - 2, 0, 6 * width - 3)
    row = np.clip(2 * y + 3 * height - 2, 0, 6 * height - 3)
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    top, left = np.minimum(top, 6 * height - 4), np.minimum(left, 6 * width - 4)
    down, right = (row - top)[..., None], (column - left)[..., None]
    upper = enlarged[top, left] * (1 - right) + enlarged[top, left + 1] * right
    lower = enlarged[top + 1, left] * (1 - right) + enlarged[top + 1, left + 1] * right
    samples = upper * (1 - down) + lower * down
    samples = np.einsum("ij,jwc->iwc", reducing(height), samples)
    return np.einsum("ij,hjc->hic", reducing(width), samples)


def enlarging(size: int) -> np.ndarray:
    """Return the matrix [2 * (3 * size - 2),size] that mirrors and enlarges an axis."""
    mirrored = np.pad(np.eye(size), ((size - 1, size - 1), (0, 0)), "reflect")
    apart = np.zeros((2 * len(mirrored), size))
    apart[::2] = 2 * mirrored
    whole = np.stack([np.convolve(x, SYM6) for x in apart.T], axis=1)
    return whole[5:-6]


def reducing(size: int) -> np.ndarray:
    """Return the matrix [size,2 * size + 12] that filters and halves an axis."""
    matrix = np.zeros((size, 2 * size + 12))
    for i in range(size):
        matrix[i, 2 * i + 1 : 2 * i + 13] = SYM6
    return matrix


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(8, 13, 3), (4, 5, 1), (16, 2, 4), (1, 3, 2)]
)
def test_plain_implementation(height, width, channels):
    """Check sizes at which the ends of a mirrored image overlap, too."""
    random = np.random.default_rng(0)
    images = random.normal(size=(len(MATRICES), height, width, channels))
    expected = np.stack([plain(*each) for each in zip(images, MATRICES, strict=True)])
    actual = jax.jit(warp)(images.astype(np.float32), MATRICES)
    goldens.assert_close(actual, expected, 5e-6)


def test_gradients_of_every_order():
    """They are the transposed matrix, the matrix, the transposed matrix, ..."""
    shape = (len(MATRICES), 5, 4, 2)
    basis = np.eye(20).reshape(20, 5, 4, 1)
    matrices = [
        np.stack([plain(image, inverse).ravel() for image in basis], axis=1)
        for inverse in MATRICES
    ]

    def along(matrices: list[np.ndarray], images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), 20, 2)
        return np.einsum("bij,bjc->bic", matrices, flat).reshape(shape)

    @jax.jit
    def orders(x: jax.Array) -> list[jax.Array]:
        found, function = [], lambda x: warp(x, MATRICES)
        for _ in range(3):
            function = functools.partial(transposed, function)
            found.append(function(x))
        return found

    def transposed(function, y: jax.Array) -> jax.Array:
        return jax.vjp(function, jnp.zeros(shape))[1](y)[0]

    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    back = along([m.T for m in matrices], x)
    expected = [back, along(matrices, x), back]
    for actual, correct in zip(orders(x), expected, strict=True):
        goldens.assert_close(actual, correct, 5e-6)


def loss(images: jax.Array, inverse: jax.Array) -> jax.Array:
    return jnp.sum(jnp.square(warp(images, inverse)))


def penalty(images: jax.Array, inverse: jax.Array, scale: jax.Array) -> jax.Array:
    gradient = jax.grad(lambda x: scale * loss(x, inverse))(images)
    return jnp.sum(jnp.square(gradient))


PROGRAMS = {
    "result": (warp, 15),
    "gradient": (jax.value_and_grad(loss), 30),
    "penalty": (jax.value_and_grad(penalty, argnums=2), 34),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_memory(name):
    """Compare it with that of RGB images; the enlarged image alone takes 36 times."""
    program, factor = PROGRAMS[name]
    shapes = [(2, 128, 128, 3), (2, 3, 3), ()][: 2 + (name == "penalty")]
    arguments = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    found = jax.jit(program).lower(*arguments).compile().memory_analysis()
    assert found.temp_size_in_bytes < factor * 4 * 2 * 128 * 128 * 3
