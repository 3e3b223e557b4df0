"""Files with a description: what is read, and what is refused."""

import json

import numpy as np
import pytest

from stylegan_jax.weights import described, safetensors
from stylegan_jax.weights.described import Kind

KIND = Kind("test_apple", version=3, name="apple", program="pick")


def parse(arrays, description):
    described.require({"color": described.is_text(description.get("color"))})
    return arrays, description


def test_round_trip_and_damage(tmp_path):
    path = tmp_path / "a.safetensors"
    described.write(path, KIND, {"x": np.arange(3)}, {"color": "red"})
    arrays, description = described.read(path, KIND, parse)
    np.testing.assert_array_equal(arrays["x"], np.arange(3))
    assert description == {"version": 3, "color": "red"}
    for text, message in (
        ("{", "its description is damaged: "),
        ("[" * 5000, "its description is damaged: "),
        ("[1]", "has version None; this program reads version 3, and a newer"),
        (json.dumps({"version": 4}), "has version 4; this program reads version 3"),
        (json.dumps({"version": 3, "color": ""}), "damaged: color must be present"),
    ):
        safetensors.write(path, arrays, {KIND.key: text})
        with pytest.raises(
            ValueError, match=rf"apple {path} cannot be used: .*{message}"
        ):
            described.read(path, KIND, parse)
    safetensors.write(path, arrays, {})
    message = (
        "no description of an apple; use a file that `python -m stylegan_jax.pick`"
    )
    with pytest.raises(ValueError, match=message):
        described.read(path, KIND, parse)


def test_values():
    assert described.is_number(2) and described.is_number(0.5)
    for value in (True, "1", None, float("nan"), 10**400, float("inf")):
        assert not described.is_number(value)
    assert described.is_count(1) and described.is_count(0, 0)
    for value in (0, True, 1.0, "1"):
        assert not described.is_count(value)
    assert described.is_digest("0f" * 32)
    for value in ("0F" * 32, "0f" * 31, None, "0f" * 32 + "\n"):
        assert not described.is_digest(value)
