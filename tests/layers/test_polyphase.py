"""Resampling to and from the phases of a grid, against the interleaved grid."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.layers import polyphase, upfirdn2d
from tests import goldens

# Sums in another order; a merge of 4x4 phases differs by up to 1.05e-6.
TOLERANCE = 2e-6
# Factors up and down, the number of phases along an axis, and the size of a filter.
CASES = [
    (2, 1, 2, (12,)),
    (4, 1, 2, (24,)),
    pytest.param(4, 1, 4, (24,), marks=pytest.mark.slow),
    (1, 2, 2, (12,)),
    (1, 2, 4, (7,)),
    (3, 2, 6, (5,)),
    (1, 2, 2, (12, 12)),
    pytest.param(1, 2, 4, (12, 12), marks=pytest.mark.slow),
    (2, 1, 2, (5, 8)),
    (2, 3, 2, (4, 3)),
    (2, 1, 2, (1,)),
]
PADDING = ((5, 4), (-1, 6))


def _interleave(phases, n, height, width):
    """Write the phases to their places with NumPy."""
    b, h, w, c = phases[0].shape
    grid = np.zeros((b, n * h, n * w, c), np.float32)
    for k, phase in enumerate(phases):
        grid[:, k // n :: n, k % n :: n] = phase
    return grid[:, :height, :width]


def _phases(x, n):
    """Return the phases of a grid [B,H,W,C], which are zero outside of it."""
    whole = jnp.pad(x, ((0, 0), (0, -x.shape[1] % n), (0, -x.shape[2] % n), (0, 0)))
    return [whole[:, i::n, j::n] for i in range(n) for j in range(n)]


def _geometry(up, down, size, shape):
    taps = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    return upfirdn2d.geometry(shape, taps, up, down, PADDING)


@functools.partial(jax.jit, static_argnums=0)
def _value_and_gradient(f, x, y):
    """Return f(x), and the gradient of its product with y."""
    value, pull_back = jax.vjp(f, x)
    return value, pull_back(y)[0]


@pytest.mark.parametrize(("up", "down", "n", "size"), CASES)
def test_split(up, down, n, size):
    x = jax.random.normal(jax.random.key(0), (2, 9, 10, 3))
    g = _geometry(up, down, size, x.shape)
    y = jax.random.normal(jax.random.key(1), (2, *g.lengths, 3))
    found, gradient = _value_and_gradient(
        lambda x: polyphase.split(x, g, n), x, _phases(y, n)
    )
    assert len(found) == n * n
    wanted = _value_and_gradient(lambda x: upfirdn2d.apply(x, g), x, y)
    found = _interleave(found, n, *g.lengths)
    goldens.assert_close(found, wanted[0], TOLERANCE)
    goldens.assert_close(gradient, wanted[1], TOLERANCE)


@pytest.mark.parametrize(("up", "down", "n", "size"), CASES)
def test_merge(up, down, n, size):
    """The last row and column of some phases lie outside of the array, and are zero."""
    x = jax.random.normal(jax.random.key(0), (2, 4 * n + 1, 5 * n - 1, 3))
    g = _geometry(up, down, size, x.shape)
    y = jax.random.normal(jax.random.key(1), (2, *g.lengths, 3))
    found, gradient = _value_and_gradient(
        lambda phases: polyphase.merge(phases, g, n), _phases(x, n), y
    )
    wanted = _value_and_gradient(lambda x: upfirdn2d.apply(x, g), x, y)
    gradient = _interleave(gradient, n, *x.shape[1:3])
    goldens.assert_close(found, wanted[0], TOLERANCE)
    goldens.assert_close(gradient, wanted[1], TOLERANCE)


@pytest.mark.parametrize("stored", [False, True])
def test_phases_of_the_height_alone(stored):
    x = jax.random.normal(jax.random.key(0), (2, 9, 10, 3))
    g = _geometry(2, 1, (12,), x.shape).along_height(10)
    split = functools.partial(polyphase.split, g=g, n=(2, 1), stored=stored)
    phases = jax.jit(split)(x)
    wanted = upfirdn2d.apply(x, g)
    assert wanted.shape == (2, *g.lengths, 3)
    for i, phase in enumerate(phases):
        goldens.assert_close(
            phase[:, : len(wanted[0, i::2])], wanted[:, i::2], TOLERANCE
        )
    down = g.adjoint((9, 10))
    rows = [wanted[:, i::2] for i in (0, 1)]
    merged = jax.jit(lambda rows: polyphase.merge(rows, down, (2, 1), stored))(rows)
    goldens.assert_close(merged, upfirdn2d.apply(wanted, down), TOLERANCE)
