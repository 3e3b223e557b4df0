"""Fingerprints and orders that runs have stored; none of these values may change.

A run refuses to resume on data of another fingerprint, and continues in the same order.
The images are uncompressed, so that no encoder's version matters.
"""

import hashlib

import numpy as np
import pytest

from stylegan_jax import config
from stylegan_jax.data import preparation
from stylegan_jax.data.sources import open_source
from tests.data.opened import data, prepare, take
from tests.data.raw_data import noise, nvidia_folder, pack, png

BMP_FILES = {f"{'ab'[i % 2]}/{i}.bmp": png(i, kind="BMP") for i in range(6)}
BMP_BATCHES = "eef583a613794bed345d4135b5400da1f003b4e068cb392b96dbf8aea66ae562"
# Source -> its fingerprint, and the digest of three batches from image 2 on.
EXPECTED = {
    "builtin": (
        "6e3442148909b2d260d26484a7c026a8496359ba81bf8923e8150dfc083f61fe",
        "b012a62b7daadb57c9be9945a414eda5ab8b8cb13dad35025566a418f520f6ec",
    ),
    "folder": (
        "6ccc0a6f11eb51aaf16df4a15dcda0bc4293162c2ea198ce6ec99e1dc9b92795",
        BMP_BATCHES,
    ),
    "prepared": (
        "c67d8136bd9b9fdc5000bc6b4b639a5fa4234a5302b964089e3a32f8b35ec7cd",
        BMP_BATCHES,
    ),
    "tfrecords": (
        "164b17aace1970a89493543144a8916ac1e900aa4f3a325fac4ce136fade3491",
        "64a9c2df9e5015df7bfd7f762afa4173988205d66d5672ce1428100885a71f56",
    ),
    "zip": (
        "14f416b972f27001f2b601dae68e6f867e9fbb9376da084ccaa6dd149f055443",
        BMP_BATCHES,
    ),
}


def source_of(kind, root, monkeypatch) -> config.Data:
    """Make a small data set of a kind."""
    if kind == "builtin":
        return config.Data(resolution=64)
    if kind == "tfrecords":
        nvidia_folder(root / "set", [noise(5, 3, side, side) for side in (8, 16)])
        return data(kind, root / "set")
    if kind == "zip":
        return data(kind, pack("zip", root / "set", BMP_FILES))
    path = pack("folder", root / "set", BMP_FILES)
    if kind == "prepared":
        monkeypatch.setattr(preparation, "SHARD_IMAGES", 4)
        prepare(path, root / "out", labels="folders", multires=True)
        path = root / "out"
    return data(kind, path)


@pytest.mark.parametrize("kind", EXPECTED)
def test_fingerprints_and_orders_are_stable(kind, tmp_path, monkeypatch):
    source = open_source(source_of(kind, tmp_path, monkeypatch))
    images, labels = take(source, 3, start_images=2, seed=3)
    digest = hashlib.sha256()
    for batch in zip(np.split(images, 3), np.split(labels, 3), strict=True):
        for part in batch:
            digest.update(part.tobytes())
    assert (source.fingerprint, digest.hexdigest()) == EXPECTED[kind]
