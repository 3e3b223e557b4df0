"""Differences of tuned networks as files."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest

import stylegan_jax
from stylegan_jax.networks import delta, file
from stylegan_jax.weights import safetensors
from tests.networks import small

MISSING = object()


@pytest.fixture
def base(tmp_path):
    """Return a network in a file."""
    path = tmp_path / "base.safetensors"
    file.save(small.network("stylegan2"), path)
    return stylegan_jax.load(path)


def changed(network):
    """Return a network with another constant input."""
    variables = jax.tree.map(np.array, jax.device_get(network.variables))
    variables["params"]["blocks_0"]["const"] += np.float32(0.01)
    return dataclasses.replace(network, variables=jax.device_put(variables))


def test_a_difference_opens_as_the_tuned_network(base, tmp_path):
    path = tmp_path / "delta.safetensors"
    delta.save(base, changed(base), path)
    assert path.stat().st_size < 0.2 * (tmp_path / "base.safetensors").stat().st_size
    found = stylegan_jax.load(path)
    assert found.reference == str(path)
    expected = changed(base)(seeds=[0, 1], dtype="float32")
    np.testing.assert_allclose(
        found(seeds=[0, 1], dtype="float32"), expected, atol=1e-3
    )
    assert np.any(base(seeds=[0, 1]) != found(seeds=[0, 1]))


def test_the_base_must_be_the_same(base, tmp_path):
    path = tmp_path / "delta.safetensors"
    delta.save(base, changed(base), path)
    file.save(changed(base), tmp_path / "base.safetensors")
    with pytest.raises(ValueError, match="is a difference to another version of"):
        stylegan_jax.load(path)
    (tmp_path / "base.safetensors").unlink()
    with pytest.raises(ValueError, match=re.escape("which cannot be opened")):
        stylegan_jax.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base": MISSING}, "base must be present"),
        ({"step": "last"}, "step must be present and have allowed values"),
        ({"digest": 7}, "digest must be present and have allowed values"),
        ({"version": 2}, "has version 2; this program reads version 1"),
    ],
)
def test_bad_descriptions(base, tmp_path, change, message):
    path = tmp_path / "delta.safetensors"
    delta.save(base, changed(base), path)
    arrays, metadata = safetensors.read(path)
    about = json.loads(metadata[delta.KEY]) | change
    about = {key: value for key, value in about.items() if value is not MISSING}
    safetensors.write(path, arrays, {delta.KEY: json.dumps(about)})
    with pytest.raises(ValueError, match=message) as raised:
        stylegan_jax.load(path)
    assert str(raised.value).startswith(f"{path} cannot be used: ")


def test_networks_of_other_shapes_have_no_difference(base, tmp_path):
    with pytest.raises(ValueError, match="have different arrays"):
        delta.save(base, small.network("stylegan1"), tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
