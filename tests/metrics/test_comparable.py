"""Results that were taken in other ways are on other lines, and told apart."""

import dataclasses

from stylegan_jax.metrics import comparable
from stylegan_jax.metrics.result import Conditions

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
    "size": ([32, 48], "size 32x48"),
}


def names(*rows):
    ways = [comparable.way(row) for row in rows]
    assert len(set(ways)) == len(rows)
    return comparable.told_apart(ways)


def test_every_setting_makes_another_line():
    assert OTHERS.keys() | {"images_generated"} == comparable.WAY.keys()
    assert comparable.WAY.keys() <= {f.name for f in dataclasses.fields(Conditions)}
    assert names(ROW) == ["64 images"]
    assert names(ROW | {"truncation_psi": 0.5}) == ["64 images, psi 0.5"]
    for name, (value, text) in OTHERS.items():
        first, second = names(ROW, ROW | {name: value})
        assert second == f"64 images, {text}" and first != second
    assert names(ROW, ROW | {"images_generated": 8}) == ["64 images", "8 images"]


def test_what_an_older_line_does_not_have():
    old = {k: v for k, v in ROW.items() if k not in ("dtype", "label_source")}
    assert names(old, ROW) == ["64 images", "64 images, labels data, float32"]
    # What is but another sample is on the same line.
    assert comparable.way(ROW | {"seed": 1}) == comparable.way(ROW)
