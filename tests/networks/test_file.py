"""Networks as files: round trips, and files that are damaged or hostile."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import traverse_util

import stylegan_jax
from stylegan_jax.networks import file
from stylegan_jax.weights import safetensors
from tests.networks import small


def flat(network):
    return traverse_util.flatten_dict(jax.device_get(network.variables), sep="/")


@pytest.mark.parametrize("family", ["stylegan1", "stylegan2", "stylegan3"])
def test_float32_is_kept_bit_for_bit(family, tmp_path):
    g = small.network(family, ("a", "b"))
    file.save(g, tmp_path / "g.safetensors")
    loaded = stylegan_jax.load(tmp_path / "g.safetensors")
    assert loaded.module == g.module and loaded.classes == ("a", "b")
    assert (loaded.checkpoint, loaded.step, loaded.lod) == (3000, 375, g.lod)
    assert loaded.experiment.model == g.experiment.model
    before, after = flat(g), flat(loaded)
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, name)
    np.testing.assert_array_equal(loaded(seeds=0, label="b"), g(seeds=0, label="b"))


def test_label_vectors_are_kept(tmp_path):
    g = small.network("stylegan2", ("a", "b"))
    for vectors in (False, True):
        g = dataclasses.replace(g, label_vectors=vectors)
        file.save(g, tmp_path / "g.safetensors")
        loaded = stylegan_jax.load(tmp_path / "g.safetensors")
        assert loaded.label_vectors is vectors
    arrays, metadata = safetensors.read(tmp_path / "g.safetensors")
    older = json.loads(metadata[file.KEY])
    del older["label_vectors"]
    metadata = {file.KEY: json.dumps(older)}
    safetensors.write(tmp_path / "older.safetensors", arrays, metadata)
    assert not stylegan_jax.load(tmp_path / "older.safetensors").label_vectors


def test_float16_is_rounded_and_half_as_large(tmp_path):
    g = small.network()
    sizes = {}
    for dtype in ("float32", "float16"):
        file.save(g, tmp_path / f"{dtype}.safetensors", dtype)
        arrays, _ = safetensors.read(tmp_path / f"{dtype}.safetensors")
        sizes[dtype] = sum(array.nbytes for array in arrays.values())
    assert sizes["float16"] * 2 == sizes["float32"]
    after = flat(stylegan_jax.load(tmp_path / "float16.safetensors"))
    for name, value in flat(g).items():
        assert after[name].dtype == np.float32
        np.testing.assert_array_equal(after[name], value.astype(np.float16), name)


def test_numbers_beyond_float16_are_refused(tmp_path):
    g = small.network()
    variables = g.variables | {"stats": {"w_avg": np.full(8, 1e5, np.float32)}}
    g = dataclasses.replace(g, variables=variables)
    with pytest.raises(ValueError, match="stats/w_avg exceeds the range of float16"):
        file.save(g, tmp_path / "g.safetensors", "float16")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def parts(tmp_path):
    """Return the arrays and the description of a good file."""
    file.save(small.network(), tmp_path / "good.safetensors")
    arrays, metadata = safetensors.read(tmp_path / "good.safetensors")
    return arrays, json.loads(metadata[file.KEY])


def changed(description, **changes):
    return description | changes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, d: (a, None), "has no description of a network; use"),
        (lambda a, d: (a, "{"), "its description is damaged: Expecting"),
        (lambda a, d: (a, "[" * 100_000), "its description is damaged"),
        (lambda a, d: (a, d | {"version": 2}), "has version 2; this program reads"),
        (lambda a, d: (a, d | {"fade": "x"}), "fade must be present and have allowed"),
        (lambda a, d: (a, d | {"classes": [1]}), "classes must be present"),
        (lambda a, d: (a, d | {"label_vectors": 1}), "label_vectors must be present"),
        (lambda a, d: (a, d | {"classes": ["a"]}), "classes and config disagree"),
        (lambda a, d: (a, d | {"resolution": 64}), "it says LevelOfDetail"),
        (lambda a, d: (a, d | {"config": {"model": {"z": 1}}}), "model.z"),
        (lambda a, d: (a, {k: d[k] for k in d if k != "step"} | {"step": "x"}), "step"),
        (lambda a, d: ({"x": np.zeros(1)}, d), "is missing"),
        (lambda a, d: (a | {"x": np.zeros(1)}, d), "x is unknown"),
        (
            lambda a, d: (a | {"stats/w_avg": np.zeros((9,), np.float32)}, d),
            r"stats/w_avg is \(9,\), not \(8,\)",
        ),
        (
            lambda a, d: (a | {"stats/w_avg": np.zeros(8, np.int32)}, d),
            "must hold finite floating-point numbers",
        ),
        (
            lambda a, d: (a | {"stats/w_avg": np.full(8, np.nan, np.float32)}, d),
            "must hold finite floating-point numbers",
        ),
    ],
)
def test_bad_files(parts, tmp_path, change, message):
    arrays, description = change(*parts)
    if description is not None and not isinstance(description, str):
        description = json.dumps(description)
    metadata = {} if description is None else {file.KEY: description}
    path = tmp_path / "bad.safetensors"
    safetensors.write(path, arrays, metadata)
    with pytest.raises(ValueError, match=message) as raised:
        stylegan_jax.load(path)
    assert str(raised.value).startswith(f"{path} cannot be used: ")


def test_truncated_files(parts, tmp_path):
    content = (tmp_path / "good.safetensors").read_bytes()
    path = tmp_path / "cut.safetensors"
    for end in (9, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match="cannot be used: the file is damaged"):
            stylegan_jax.load(path)


def test_an_unknown_type_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"dtype \(='int8'\) must be one of"):
        file.save(small.network(), tmp_path / "g.safetensors", "int8")
