"""Results: their file, their table, and which of them compare."""

import dataclasses

import numpy as np
import pytest

from stylegan_jax.metrics import results
from stylegan_jax.metrics.results import (
    COMPARISON_KEYS,
    MetricResult,
    MetricValue,
    comparison_key,
    disambiguating_labels,
)
from stylegan_jax.runtime import storage

ROW = {
    "images_generated": 64,
    "images_real": 64,
    "truncation_psi": 1.0,
    "noise": "random",
    "label_source": "data",
    "dtype": "float32",
    "detector": "inception",
    "detector_digest": "ab" * 32,
    "resize": "tf1_bilinear",
    "dataset_fingerprint": "cd" * 32,
    "dataset_fit": "exact",
    "dataset_mirrored": False,
    "size": [16, 24],
    "decoder": 2,
}
OTHERS = {
    "images_real": (128, "128 reals"),
    "truncation_psi": (0.7, "psi 0.7"),
    "noise": ("const", "noise const"),
    "label_source": ("uniform", "labels uniform"),
    "dtype": ("bfloat16", "bfloat16"),
    "detector": ("vgg16", "vgg16"),
    "detector_digest": ("ef" * 32, "weights efefefefefef"),
    "resize": ("clean", "resize clean"),
    "dataset_fingerprint": ("01" * 32, "data 010101010101"),
    "dataset_fit": ("crop", "fit crop"),
    "dataset_mirrored": (True, "mirrored True"),
    "size": ([32, 48], "size 48x32"),
    "decoder": (3, "decoder 3"),
}


def labels(*rows):
    keys = [comparison_key(row) for row in rows]
    assert len(set(keys)) == len(rows)
    return disambiguating_labels(keys)


def test_every_condition_makes_another_label():
    assert OTHERS.keys() | {"images_generated"} == COMPARISON_KEYS.keys()
    assert COMPARISON_KEYS.keys() <= {f.name for f in dataclasses.fields(MetricResult)}
    assert labels(ROW) == ["64 images"]
    assert labels(ROW | {"truncation_psi": 0.5}) == ["64 images, psi 0.5"]
    for name, (value, text) in OTHERS.items():
        first, second = labels(ROW, ROW | {name: value})
        assert second == f"64 images, {text}" and first != second
    assert labels(ROW, ROW | {"images_generated": 8}) == ["64 images", "8 images"]


def test_lines_without_a_condition_and_samples_of_the_same():
    old = {k: v for k, v in ROW.items() if k not in ("dtype", "label_source")}
    assert labels(old, ROW) == ["64 images", "64 images, labels data, float32"]
    assert comparison_key(ROW | {"seed": 1}) == comparison_key(ROW)


def test_means_have_a_standard_error():
    found = MetricValue.mean(np.arange(9.0), k=3)
    assert found.value == 4 and found.details == {"k": 3}
    np.testing.assert_allclose(found.standard_error, np.sqrt(7.5) / 3)
    assert MetricValue.mean(np.ones(1)).standard_error is None


def test_failures_are_grouped_by_reason():
    found = results.group_failures({"a": "x", "b": "y", "c": "x"})
    assert found == ["a, c: x", "b: y"]


def test_a_file_that_can_be_written_is_left_alone(tmp_path):
    target = storage.open_path(tmp_path / "metrics.jsonl")
    results.check_writable(target)
    assert list(tmp_path.iterdir()) == []
    target.write_text("line\n")
    results.check_writable(target)
    assert target.read_text() == "line\n"


@pytest.mark.parametrize("name", ["", "missing/metrics.jsonl", "file/metrics.jsonl"])
def test_a_file_that_cannot_be_written_is_reported(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written to .*; name a file"):
        results.check_writable(storage.open_path(tmp_path / name))
    assert [x.name for x in tmp_path.iterdir()] == ["file"]


def test_buckets_are_probed_beside_the_file(tmp_path, monkeypatch):
    target = storage.open_path(tmp_path / "metrics.jsonl")
    missing = storage.open_path(tmp_path / "missing" / "x.jsonl")
    target.write_text("line\n")
    monkeypatch.setattr(storage, "scheme_of", lambda path: "gs")
    results.check_writable(target)
    assert [x.name for x in tmp_path.iterdir()] == ["metrics.jsonl"]
    with pytest.raises(ValueError, match="cannot be written"):
        results.check_writable(missing)
