"""Layouts are invertible; tables refuse arrays that do not fit them."""

import chex
import numpy as np
import pytest

from stylegan_jax.weights import layout
from stylegan_jax.weights.layout import Entry

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("rearrangement", "shape", "ours"),
    [
        (layout.IDENTITY, (2, 3), (2, 3)),
        (layout.TRANSPOSED, (2, 3), (3, 2)),
        (layout.OIHW, (2, 3, 4, 5), (4, 5, 3, 2)),
        (layout.NCHW, (2, 3, 4, 5), (2, 4, 5, 3)),
        (layout.LEADING_AXIS.then(layout.permuted(1, 2, 0)), (1, 3, 4, 5), (4, 5, 3)),
        (layout.chw_rows(4, 5), (60, 7), (60, 7)),
        (layout.TRANSPOSED.then(layout.chw_rows(4, 5)), (7, 60), (60, 7)),
    ],
)
def test_layouts_have_an_inverse(rearrangement, shape, ours):
    array = RNG.random(shape)
    loaded = rearrangement.load(array)
    assert loaded.shape == ours
    np.testing.assert_array_equal(rearrangement.save(loaded), array)


def test_a_matrix_acts_on_flattened_maps_of_either_order():
    maps, matrix = RNG.random((2, 3, 4, 5)), RNG.random((60, 7))
    theirs = maps.reshape(2, -1) @ matrix
    ours = maps.transpose(0, 2, 3, 1).reshape(2, -1) @ layout.chw_rows(4, 5).load(
        matrix
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


TABLE = [
    Entry("w", (3, 2), ("params", "dense", "kernel"), layout.TRANSPOSED),
    Entry("filter", (2,), (), constant=np.float32([1, 2])),
]
ARRAYS = {"w": np.float32([[1, 2], [3, 4], [5, 6]]), "filter": np.float32([1, 2])}


def load(arrays):
    return layout.load(TABLE, arrays, "network", "the names", "the shapes")


def test_arrays_become_variables_and_back():
    variables = load(ARRAYS)
    chex.assert_trees_all_equal(
        variables, {"params": {"dense": {"kernel": ARRAYS["w"].T}}}
    )
    chex.assert_trees_all_equal(layout.save(TABLE, variables), ARRAYS)
    # An array that follows from the arguments may be missing.
    chex.assert_trees_all_equal(load({"w": ARRAYS["w"]}), variables)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"w": None}, r"fit an official network: missing \['w'\].*check the names"),
        ({"x": np.zeros(1)}, r"left over \['x'\]"),
        ({f"x{i}": np.zeros(1) for i in range(99)}, r"left over 99 of them, \['x0'"),
        ({"w": np.zeros((2, 3))}, r"shape \(2, 3\), expected \(3, 2\); check the shap"),
        ({"filter": np.ones(2)}, r"filter is \[1.0, 1.0\], expected \[1.0, 2.0\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, match):
    arrays = {k: v for k, v in (ARRAYS | changes).items() if v is not None}
    with pytest.raises(ValueError, match=match):
        load(arrays)


def test_missing_variables_are_refused():
    with pytest.raises(ValueError, match="variables lack params/dense/kernel"):
        layout.save(TABLE, {})
