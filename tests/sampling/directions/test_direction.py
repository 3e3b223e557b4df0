"""Edits along directions, and the networks that they are for."""

import dataclasses

import jax
import numpy as np
import pytest

from stylegan_jax.networks import file
from stylegan_jax.sampling.directions import affines
from stylegan_jax.sampling.directions.direction import fingerprint
from stylegan_jax.sampling.directions.principal import sefa

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def direction(subject):
    return sefa(subject, 1)[0]


@pytest.fixture(scope="module")
def ws(g):
    return np.asarray(g.map(g.z(range(3)), "a" if g.classes else None))


def test_edits_add_the_vector_at_the_layers(g, direction, ws):
    moved = g.edit(ws, direction, 2.0)
    np.testing.assert_allclose(
        moved - ws, np.broadcast_to(2 * direction.vector, ws.shape), 0, 1e-5
    )
    moved = g.edit(ws, direction, np.array([0, -1, 3]), layers=[1, 5])
    np.testing.assert_array_equal(moved[:, [0, 2, 3, 4]], ws[:, [0, 2, 3, 4]])
    for strength, before, after in zip((0, -1, 3), ws, moved, strict=True):
        difference = (after - before)[[1, 5]]
        np.testing.assert_allclose(
            difference, [strength * direction.vector] * 2, 0, 1e-5
        )


def test_an_edit_of_w_is_a_shift_of_all_styles_of_its_layer(g, subject, direction, ws):
    """This ties the layers of w to those of the affine maps, through images."""
    for layer in range(6):
        kernels = [
            a.kernel
            for a in affines.affines(g.generator, g.variables)
            if a.layer == layer
        ]
        offset = direction.vector @ np.concatenate(kernels, axis=1)
        sigma = float(np.linalg.norm(offset))
        style = subject.in_styles("x", layer, offset / sigma, sigma)
        edited = g.synthesize(g.edit(ws, direction, 1.5, [layer]), dtype="float32")
        shifted = g.shift_styles(style, 1.5).synthesize(ws, dtype="float32")
        before = g.synthesize(ws, dtype="float32")
        np.testing.assert_allclose(shifted, edited, 0, 1e-4)
        assert np.abs(edited - before).max() > 1e-3


def test_edits_that_do_not_fit(g, subject, direction, ws):
    for strength in (np.nan, np.inf, -1001, [1.0, 2.0], "x"):
        with pytest.raises(ValueError, match="must be a number from -1000 to 1000"):
            g.edit(ws, direction, strength)
    for layers, message in (([6], r"\[6\] must be from 0 to 5"), ([], "at least one")):
        with pytest.raises(ValueError, match=message):
            g.edit(ws, direction, 1, layers)
    with pytest.raises(ValueError, match=r"ws have shape \[3, 8\]; this network takes"):
        g.edit(ws[:, 0], direction)
    with pytest.raises(ValueError, match="one of w, not of styles; use `edit`"):
        g.shift_styles(direction)
    size = affines.channels(g.generator, g.variables, 2)
    style = subject.in_styles("x", 2, np.eye(size)[0], 1.0)
    with pytest.raises(ValueError, match="use `shift_styles`"):
        g.edit(ws, style)
    with pytest.raises(ValueError, match=r"strength \(=nan\) must be a number"):
        g.shift_styles(style, np.nan)


def test_another_network_is_refused(g, direction, ws):
    params = g.variables["params"]
    mapping = jax.tree.map(lambda x: x + 1, params["mapping"])
    variables = {**g.variables, "params": {**params, "mapping": mapping}}
    other = dataclasses.replace(g, variables=variables)
    with pytest.raises(
        ValueError,
        match=r"made for another network: small with the fingerprint \w{12}, while "
        r"this one has \w{12}; .*make one for this network with `python -m "
        r"stylegan_jax.directions --method=sefa`",
    ):
        other.edit(ws, direction)
    for vector in (np.zeros(9, "f"), np.zeros((5, 8), "f")):
        wrong = dataclasses.replace(direction, vector=vector)
        with pytest.raises(ValueError, match="this network takes .8. or .6, 8."):
            g.edit(ws, wrong)
    wrong = dataclasses.replace(direction, layers=(7,))
    with pytest.raises(ValueError, match=r"style layers \[7\] must be from 0 to 5"):
        g.edit(ws, wrong)


def test_the_fingerprint_is_that_of_the_mapping_network(g, tmp_path):
    params = g.variables["params"]
    tuned = {name: params[name] for name in params}
    other = next(name for name in params if name != "mapping")
    tuned[other] = dict.fromkeys(params[other], np.ones(3))
    assert fingerprint({"params": tuned}) == g.fingerprint
    name = next(iter(params["mapping"]))
    tuned["mapping"] = {**params["mapping"], name: {"x": np.ones(3)}}
    assert fingerprint({"params": tuned}) != g.fingerprint
    file.save(g, tmp_path / "half.safetensors", "float16")
    assert file.load(tmp_path / "half.safetensors", "half").fingerprint == g.fingerprint
    del tuned["mapping"]  # then all parameters are hashed
    one = fingerprint({"params": tuned})
    tuned[other] = dict.fromkeys(params[other], np.zeros(3))
    assert fingerprint({"params": tuned}) != one
