"""Files of directions: round trips, and all kinds of damage."""

import json

import numpy as np
import pytest

from stylegan_jax.networks import file as network_file
from stylegan_jax.sampling.directions import file
from stylegan_jax.sampling.directions.direction import Direction
from stylegan_jax.weights import safetensors
from tests.networks import small


@pytest.fixture(scope="module")
def direction():
    return Direction(
        name="smile",
        method="difference",
        space="w",
        vector=np.arange(8, dtype=np.float32),
        layers=(0, 2),
        strengths=(-3.0, 2.5),
        sigma=0.5,
        reference="small",
        fingerprint=small.network().fingerprint,
        facts={"distance": 4.0},
    )


@pytest.fixture
def path(direction, tmp_path):
    file.save(direction, tmp_path / "smile.safetensors")
    return tmp_path / "smile.safetensors"


def test_round_trip(direction, path):
    found = file.load(path)
    np.testing.assert_array_equal(found.vector, direction.vector)
    assert found.vector.dtype == np.float32
    assert {**vars(found), "vector": 0} == {**vars(direction), "vector": 0}
    assert small.network().direction(path).name == "smile"
    with pytest.raises(ValueError, match="made for another network"):
        small.network(classes=("a", "b")).direction(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "its description has version 2; this program reads version 1"),
        ({"name": ""}, "name must be present and have allowed values"),
        ({"method": "magic"}, "damaged: method must"),
        ({"method": ["sefa"]}, "damaged: method must"),
        ({"space": "z"}, "damaged: space must"),
        ({"space": "style"}, "damaged: layers must"),  # which has one layer
        ({"layers": []}, "damaged: layers must"),
        ({"layers": [0, 0]}, "damaged: layers must"),
        ({"layers": [-1]}, "damaged: layers must"),
        ({"layers": [True]}, "damaged: layers must"),
        ({"strengths": [3, -3]}, "damaged: strengths must"),
        ({"strengths": [0, float("inf")]}, "damaged: strengths must"),
        ({"strengths": [1]}, "damaged: strengths must"),
        ({"sigma": 0}, "damaged: sigma must"),
        ({"sigma": float("nan")}, "damaged: sigma must"),
        ({"network": None}, "damaged: network must"),
        ({"network": {"reference": "x", "fingerprint": "x"}}, "damaged: network must"),
        ({"facts": {"a": "b"}}, "damaged: facts must"),
        ({"facts": None, "sigma": None}, "damaged: sigma, facts must"),
    ],
)
def test_damaged_descriptions(path, change, message):
    arrays, metadata = safetensors.read(path)
    description = json.loads(metadata[file.KEY]) | change
    safetensors.write(path, arrays, {file.KEY: json.dumps(description)})
    with pytest.raises(ValueError, match=message):
        file.load(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "it must hold one array, vector .W., .L,W. or .C., but it holds none"),
        ({"vector": np.zeros((1, 1, 8), "f")}, r"holds vector \[1, 1, 8\]"),
        ({"vector": np.zeros(0, "f")}, r"holds vector \[0\]"),
        ({"vector": np.zeros(8, "f"), "x": np.zeros(1, "f")}, "holds .*x "),
        ({"vector": np.zeros(8)}, "must hold float32 numbers from -1e.06"),
        ({"vector": np.full(8, 2e6, "f")}, "must hold float32 numbers from"),
        ({"vector": np.full(8, np.nan, "f")}, "must hold float32 numbers from -1e.06"),
    ],
)
def test_damaged_arrays(path, arrays, message):
    _, metadata = safetensors.read(path)
    safetensors.write(path, arrays, metadata)
    with pytest.raises(ValueError, match=message):
        file.load(path)


def test_files_that_are_no_directions(path, tmp_path):
    content = path.read_bytes()
    for cut in (0, 5, len(content) - 4):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match="cannot be used: the file is damaged"):
            file.load(path)
    for text in ("[" * 5000, "[1]", "{"):
        safetensors.write(path, {"vector": np.zeros(8, "f")}, {file.KEY: text})
        with pytest.raises(ValueError, match="description (is damaged|has version)"):
            file.load(path)
    network = tmp_path / "network.safetensors"
    network_file.save(small.network(), network)
    with pytest.raises(ValueError, match="no description of a direction; use a file"):
        file.load(network)
    with pytest.raises(OSError, match="missing"):
        file.load(tmp_path / "missing.safetensors")
