"""LSUN's format. `lsun.mdb.gz` was written by LMDB 0.9.36 (py-lmdb 3.0.0).

It had two transactions: 41 pairs were added, one of them with a value of 4,880 bytes,
and the first was deleted. The values are WebP images of 16x16. The digest covers all
keys and values in order, as that library returned them.
"""

import gzip
import hashlib
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from stylegan_jax.data import formats
from stylegan_jax.data.decoding import decode_pil
from stylegan_jax.data.formats import lsun
from stylegan_jax.runtime.tensorflow import tensorflow
from tests.data.opened import prepare
from tests.data.raw_data import mutated, pack, png

DIGEST = "920f46ea02f1995dbcd0586a5cebf1842ef2adb371810bda3ffea298ec273146"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "church_lmdb").mkdir()
    packed = Path(__file__).with_name("lsun.mdb.gz").read_bytes()
    path = tmp_path / "church_lmdb" / "data.mdb"
    path.write_bytes(gzip.decompress(packed))
    return path


def test_entries_are_those_of_the_library(path):
    database = lsun.Lmdb(path)
    pairs = [entry.key + database.value(i) for i, entry in enumerate(database.entries)]
    assert len(pairs) == 40 and max(map(len, pairs)) > 4096
    assert hashlib.sha256(b"".join(pairs)).hexdigest() == DIGEST


def test_lsun_is_prepared(path, tmp_path):
    info = prepare(path.parent, tmp_path / "out")
    assert info["num_images"] == 40 and info["skipped"] == []
    assert (info["width"], info["channels"], info["classes"]) == (16, 3, ())
    opened = formats.open_raw_dataset(str(path))
    shard = tmp_path / "out" / "r0016-00000-of-00001.tfrecord"
    first = next(tensorflow().data.TFRecordDataset(str(shard)).as_numpy_iterator())
    feature = tensorflow().train.Example.FromString(first).features.feature
    stored = decode_pil(feature["image"].bytes_list.value[0])
    np.testing.assert_array_equal(stored, decode_pil(opened.read(0)))


def failure(path) -> str:
    with pytest.raises(ValueError) as error:
        formats.open_raw_dataset(str(path))
    return str(error.value)


def test_damage_is_reported(path):
    whole = path.read_bytes()
    for content, reason in {
        b"": "cannot be read as LMDB: cannot mmap an empty file; unpack or download",
        b"hello": "it ends within a page",
        whole.replace(b"\xde\xc0\xef\xbe", b"abcd"): "does not begin like an LMDB file",
        whole[:12000]: "cannot be read as LMDB",
        bytes(8192): "does not begin like an LMDB file of version 1",
    }.items():
        path.write_bytes(content)
        assert reason in failure(path)


@pytest.mark.parametrize("page", [2**20, 2**60, 2**63, 2**64 - 2])
def test_a_damaged_pointer_is_reported(path, page):
    content = bytearray(path.read_bytes())
    for meta in (0, 4096):  # where the number of the root page is
        struct.pack_into("<Q", content, meta + 128, page)
    path.write_bytes(content)
    message = failure(path)
    assert f"cannot be read as LMDB: its page {page} " in message


def test_a_damaged_page_is_reported(path):
    content = path.read_bytes()
    (root,) = struct.unpack_from("<Q", content, 128)
    damaged = bytearray(content)
    struct.pack_into("<H", damaged, root * 4096 + 12, 2)  # the end of its list of nodes
    path.write_bytes(damaged)
    assert f"its page {root} is damaged" in failure(path)


def test_random_damage_neither_hangs_nor_crashes(path):
    whole, rng = path.read_bytes(), random.Random(0)
    for _ in range(300):
        path.write_bytes(mutated(whole, rng))
        try:
            opened = lsun.Lmdb(path)
        except ValueError:
            continue
        for index in range(len(opened.entries)):
            opened.value(index)


def test_split_flags_are_refused(path, tmp_path):
    for arguments in [("train", None), (None, "/data")]:
        with pytest.raises(ValueError, match="needs tfds:NAME"):
            formats.open_raw_dataset(str(path), *arguments)
    source = pack("folder", tmp_path / "in", {"1.png": png(1)})
    with pytest.raises(ValueError, match="`--split` .=train. needs tfds:NAME"):
        formats.open_raw_dataset(str(source), "train")
