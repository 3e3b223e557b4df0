"""SeFa and GANSpace, compared with dense NumPy computations."""

import numpy as np
import pytest

from stylegan_jax.sampling.directions.principal import ganspace, sefa
from tests.sampling.directions.conftest import at_layers

# The convolutions of the style layers of a StyleGAN2 of 16x16, and its last ToRGB.
STYLEGAN2 = (
    *("blocks_0/conv1", "blocks_1/conv0", "blocks_1/conv1", "blocks_2/conv0"),
    *("blocks_2/conv1", "to_rgb_16"),
)
STYLEGAN3 = ("input", *(f"layers_{i}" for i in range(5)))


def stored_weights(g):
    """Return the stored weights [W,C] of the affine map of each style layer."""
    out = []
    for layer in range(6):
        paths = {
            "stylegan1": [f"layers_{i}/style" for i in range(6)],
            "stylegan2": STYLEGAN2,
            "stylegan3": STYLEGAN3,
        }[g.experiment.model.family]
        node = g.variables["params"]
        for key in paths[layer].split("/"):
            node = node[key]
        out.append(np.asarray(node["affine"]["kernel"]["weight"], np.float64))
    return out


def assert_same_lines(actual, desired, tolerance):
    """Assert that rows are unit vectors that are equal up to their signs."""
    np.testing.assert_allclose(np.linalg.norm(actual, axis=1), 1, 1e-6)
    np.testing.assert_allclose(
        np.abs(np.sum(actual * desired, axis=1)), 1, 0, tolerance
    )


def units(found):
    return np.stack([d.vector / d.sigma for d in found])


@pytest.mark.parametrize("layers", [range(6), [1, 2], [5]])
def test_sefa_is_the_eigenvectors_of_a_dense_computation(g, subject, layers):
    found = sefa(at_layers(subject, *layers), 3)
    weights = stored_weights(g)
    a = np.concatenate([weights[layer] for layer in layers], axis=1)
    a = a / np.sqrt((a**2).sum(0))
    values, vectors = np.linalg.eig(a @ a.T)  # the form of the official code
    order = np.argsort(-values.real)
    values, vectors = values.real[order], vectors.real[:, order]
    assert_same_lines(units(found), vectors.T[:3], 1e-6)
    for i, direction in enumerate(found):
        assert direction.name == f"sefa_{i + 1}" and direction.layers == tuple(layers)
        np.testing.assert_allclose(direction.facts["eigenvalue"], values[i], 1e-9)
        # The columns have unit length, so that the eigenvalues sum to their number.
        share = values[i] / a.shape[1]
        np.testing.assert_allclose(direction.facts["share"], share, 1e-9)


def test_ganspace_is_the_principal_components_of_the_same_w(subject, w):
    """The reference is a singular value decomposition of all w, as scikit-learn's."""
    found = ganspace(subject, 4)
    _, singular, components = np.linalg.svd(w - w.mean(0), full_matrices=False)
    variances = singular**2 / (len(w) - 1)
    assert_same_lines(units(found), components[:4], 1e-4)
    for direction, variance in zip(found, variances, strict=False):
        np.testing.assert_allclose(direction.facts["eigenvalue"], variance, 1e-4)
        share = variance / variances.sum()
        np.testing.assert_allclose(direction.facts["share"], share, 1e-4)
        np.testing.assert_allclose(direction.sigma, np.sqrt(variance), 1e-4)


@pytest.mark.parametrize("method", [sefa, ganspace])
def test_units_are_deviations_of_w(method, subject, w):
    for direction in method(subject, 8):
        length = np.linalg.norm(direction.vector)
        along = w @ (direction.vector / length)
        np.testing.assert_allclose(length, np.std(along, ddof=1), 1e-4)
        vector = direction.vector
        assert vector[np.argmax(np.abs(vector))] > 0


@pytest.mark.parametrize("count", [0, 9])
def test_as_many_directions_as_w_is_long(subject, count):
    message = rf"number of directions \(={count}\) must be from 1 to 8"
    for method in (sefa, ganspace):
        with pytest.raises(ValueError, match=message):
            method(subject, count)


def test_layers_of_the_network_only(subject):
    for layers, message in (((4, 9), r"style layers \[9\] must be"), ((), "at least")):
        with pytest.raises(ValueError, match=message):
            at_layers(subject, *layers)
