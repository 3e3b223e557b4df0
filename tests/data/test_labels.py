"""Labels, above all vectors: from every source, through `prepare`, into batches."""

import json

import numpy as np
import pytest

from stylegan_jax.data import labels, pipeline
from stylegan_jax.data.label_file import LabelFile, read_labels
from stylegan_jax.data.order import shuffled
from stylegan_jax.data.sources import open_source
from tests import goldens
from tests.data.opened import data, prepare, take
from tests.data.raw_data import FILES, noise, nvidia_folder, pack, png

VECTORS = {name: [i / 4, float(i % 2), -i] for i, name in enumerate(FILES)}


@pytest.fixture
def sources(tmp_path):
    """Zip and folder with vectors in their dataset.json, and prepared sets of them."""
    content = json.dumps({"labels": list(VECTORS.items())}).encode()
    path = pack("zip", tmp_path / "raw", FILES | {"dataset.json": content})
    pack("folder", tmp_path / "folder", FILES | {"dataset.json": content})
    prepare(path, tmp_path / "prepared", multires=True)
    prepare(path, tmp_path / "again.zip", format="zip")
    return {
        "zip": path,
        "folder": tmp_path / "folder",
        "prepared": tmp_path / "prepared",
        "again": tmp_path / "again.zip",
    }


def label_file(content: bytes) -> LabelFile:
    return LabelFile("", "x.json", lambda: content)


def all_labels(source) -> np.ndarray:
    """Return the labels of all images in the source's order."""
    _, found = pipeline.first_images(
        source, resolution=4, count=source.num_images, seed=0
    )
    order = shuffled(np.arange(source.num_images), source.num_images, 0)
    return found[np.argsort(order)]


def test_vectors_arrive(sources):
    expected = np.float32([VECTORS[name] for name in sorted(FILES)])
    for kind, path in sources.items():
        kind = {"again": "zip"}.get(kind, kind)
        source = open_source(data(kind, path, conditional=True))
        assert source.label_size == 3 and source.label_vectors
        found = all_labels(source)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_allclose(source.label_totals, expected.sum(0))
        summary = "label vectors of 3, means from -4.5 (2) to 1.12 (0)"
        rows = ["  0 1.12", "  1 0.5", "  2 -4.5"]
        assert source.label_histogram() == [summary, *rows]


def test_vectors_are_part_of_the_fingerprint(sources, tmp_path):
    other = {name: [*vector[:2], 1] for name, vector in VECTORS.items()}
    content = json.dumps({"labels": list(other.items())}).encode()
    path = pack("zip", tmp_path / "other", FILES | {"dataset.json": content})
    info = prepare(path, tmp_path / "out")
    old = open_source(data("prepared", sources["prepared"])).fingerprint
    assert info["fingerprint"] != old


def test_vectors_are_those_of_nvidias_reader(tmp_path):
    reader = json.loads(
        goldens.path("stylegan2_and_3/I8_dataset_reader.json").read_text()
    )
    (case,) = [c for c in reader["cases"] if "note" in c["kwargs"]]
    files = {f"{i}.png": png(i, size=(8, 8), mode="L") for i in range(3)}
    stored = json.dumps({"labels": list(zip(files, case["labels"], strict=True))})
    path = pack("folder", tmp_path / "x", files | {"dataset.json": stored.encode()})
    settings = {"resolution": 8, "channels": 1, "conditional": True}
    source = open_source(data("folder", path, **settings))
    np.testing.assert_array_equal(all_labels(source), case["labels"])


def test_vectors_of_nvidias_tfrecords(tmp_path):
    table = [[0.5, 1, 0], [0, 1, 1]]
    nvidia_folder(tmp_path / "in", [noise(2, 3, 16, 16)], labels=table)
    direct = open_source(data("tfrecords", tmp_path / "in", conditional=True))
    prepare(tmp_path / "in", tmp_path / "out")
    prepared = open_source(data("prepared", tmp_path / "out", conditional=True))
    for source in (direct, prepared):
        np.testing.assert_array_equal(all_labels(source), table)


def test_one_hot_vectors_are_classes():
    one_hot = labels.from_vectors(np.float32([[0, 1], [1, 0], [0, 1]]))
    assert not one_hot.are_vectors and one_hot.values.tolist() == [1, 0, 1]
    assert one_hot.counts().totals == (1, 2)
    # The last class unused, or rows that are not one-hot.
    for table in ([[0, 1, 0]], [[1, 1]], [[0, 0]], [[0, 2]]):
        found = labels.from_vectors(np.float32(table))
        assert found.are_vectors and found.values.tolist() == table


@pytest.mark.parametrize("wrong", [[], [1], ["a", 0], [float("nan"), 0], [True, 0], 3])
def test_wrong_vectors_are_named(wrong):
    content = json.dumps({"labels": [["a", [0.5, 1]], ["b", wrong]]}).encode()
    with pytest.raises(ValueError, match="are not lists of 2 finite numbers.*\n  b: "):
        read_labels(label_file(content), ["a", "b"])


def test_only_a_few_classes_are_listed(tmp_path):
    files = {f"{i}/x.png": png(i) for i in range(21)}
    source = open_source(data("folder", pack("folder", tmp_path / "x", files)))
    assert source.label_histogram() == [source.label_summary()]


def test_absurd_numbers_of_classes_are_refused():
    for label in (10**9, 1e3, True, "0"):
        content = json.dumps({"labels": [["a", 0], ["b", label]]}).encode()
        with pytest.raises(
            ValueError, match="1 labels that are not class numbers.*\n  b: "
        ):
            read_labels(label_file(content), ["a", "b"])


@pytest.mark.parametrize("batch_size", [3, 7])
def test_batches_have_the_labels_of_the_data(tmp_path, batch_size):
    files = {f"{'aaabbc'[i % 6]}/{i}.png": png(i) for i in range(21)}
    source = open_source(data("folder", pack("folder", tmp_path / "x", files)))
    changes = {"resolution": 4, "batch_size": batch_size, "seed": 1}
    _, two_epochs = take(source, 2 * 21 // batch_size, **changes)
    assert source.label_totals == (12, 6, 3)
    assert source.label_histogram() == [
        "3 classes of 3 (c) to 12 (a) images",
        "  a        12 ########################################",
        "  b         6 ####################",
        "  c         3 ##########",
    ]
    np.testing.assert_array_equal(two_epochs.sum(0), [24, 12, 6])
